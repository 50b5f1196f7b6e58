# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sums PSS over all processes of all instances of $DUET_ROOT, found by who is whose child, again and
again until it is ended: "<CLOCK_MONOTONIC ns> <instances> <bytes>" a line."""
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
    print(time.clock_gettime_ns(time.CLOCK_MONOTONIC), len(monitors), sum(map(pss, members)), flush=True)
    time.sleep(0.1)
