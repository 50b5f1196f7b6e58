#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""interleave.py N COMMAND COMMAND...: times whole commands, interleaved in random order, from fork to exit.
Prints a line for each, and last the ratio of the first's median to the second's."""
import os, random, shlex, statistics, sys, time

runs, commands = int(sys.argv[1]), [shlex.split(text) for text in sys.argv[2:]]
times = [[] for _ in commands]
null = os.open("/dev/null", os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
random.seed(1)
for round_number in range(-3, runs):  # three rounds are discarded
    order = list(range(len(commands)))
    random.shuffle(order)
    for index in order:
        start = time.perf_counter()
        pid = os.posix_spawnp(commands[index][0], commands[index], os.environ, file_actions=actions)
        status = os.waitpid(pid, 0)[1]
        elapsed = time.perf_counter() - start
        if status != 0:
            sys.exit(f"{commands[index]} failed with status {status}")
        if round_number >= 0:
            times[index].append(elapsed)
for command, samples in zip(commands, times):
    print(f"{statistics.median(samples) * 1e3:8.2f} ms  {' '.join(command[:2])}")
print(statistics.median(times[0]) / statistics.median(times[1]))
