# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sums PSS over all processes of all instances of $DUET_ROOT, again and again until it is ended:
"<CLOCK_MONOTONIC ns> <instances> <bytes> <bytes>" a line. The first sum is over those that are found
by who is whose child, the second over those in the instances' cgroups (-1: there are none)."""
import os
import time


def read(path, mode="r"):
    try:
        with open(path, mode) as file:
            return file.read()
    except OSError:
        return "" if mode == "r" else b""


def processes():
    """{pid: (parent, name)} of all that are no zombies."""
    table = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        stat = read(f"/proc/{pid}/stat")
        if not stat:
            continue
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
        if state != "Z":
            table[int(pid)] = (int(parent), name)
    return table


def pss(pid):
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def in_cgroups(table):
    """All processes whose cgroup is one of an instance's."""
    try:
        ids = os.listdir(os.path.join(os.environ["DUET_ROOT"], "live"))
    except OSError:
        ids = []
    marks = [mark for i in ids for mark in (f"/duet-{i}/", f"/duet-{i}\n", f"/duet-{i}.scope/")]
    return {pid for pid in table if any(mark in read(f"/proc/{pid}/cgroup") for mark in marks)}


ours = b"DUET_ROOT=" + os.environb[b"DUET_ROOT"]
while True:
    table = processes()

    def is_monitor(pid):
        return pid in table and table[pid][1] == "duet-monitor"

    monitors = {
        pid
        for pid in table
        if is_monitor(pid)
        and not is_monitor(table[pid][0])
        and ours in read(f"/proc/{pid}/environ", "rb").split(b"\0")
    }
    members = set(monitors)
    while True:
        more = {pid for pid, (parent, _) in table.items() if parent in members} - members
        if not more:
            break
        members |= more
    by_cgroup = in_cgroups(table)
    sums = sum(map(pss, members)), sum(map(pss, by_cgroup)) if by_cgroup else -1
    # When it was all seen: what comes later, their end, is in none of it.
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    print(now, len(monitors), *sums, flush=True)
    time.sleep(0.1)
