#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""crosscheck.py ROUNDS N ARM IMAGE COMMAND...: the same whole command, timed by `duet bench boot` and by hyperfine.

Neighbours come and go in seconds: each round takes N runs by the one and N by the other, in turns of who is first. The
last line is "RATIO LOW HIGH": of the medians over all rounds, duet's by hyperfine's, with a 95 % bootstrap interval that
draws whole rounds. With it comes what a client takes that does nothing, and what is left of the whole when that and the time
from `request` to `released` are taken off."""
import json
import os
import random
import statistics
import subprocess
import sys

rounds, n, arm = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
image, command = sys.argv[4], sys.argv[5:]
duet, scratch = os.environ["DUET"], os.environ["scratch"]

# A peer makes duet time its own arms as whole commands, too.
peer = os.path.join(scratch, "nothing.peer")
with open(peer, "w") as file:
    file.write("[peer]\nkind=container\nrun=true {argv...}\n")


def by_duet():
    out = os.path.join(scratch, "crosscheck.json")
    subprocess.run([duet, "bench", "boot", "--arms", arm, "--peer", peer, "-n", str(n), "-o", out, image, "--", *command],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(out) as file:
        samples = [s for s in json.load(file)["samples"] if s["arm"] == arm and not s["discarded"]]
    assert all(s["status"] == "ok" for s in samples)
    return ([s["command_ns"]["exit"] / 1e6 for s in samples],
            [(s["marks_ns"]["released"] - s["marks_ns"]["request"]) / 1e6 for s in samples])


# The kernel takes namespaces and mounts apart after the process that had them is reaped. duet looks for what is left
# after each sample, outside of what is timed; hyperfine, which begins at once, would time that into its next run.
def by_hyperfine(words, runs):
    out = os.path.join(scratch, "hyperfine.json")
    subprocess.run(["hyperfine", "-N", "--style", "none", "--warmup", "1", "--prepare", "sleep 0.05", "-r", str(runs), "--export-json", out, " ".join(words)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(out) as file:
        return [t * 1e3 for t in json.load(file)["results"][0]["times"]]


def ratio(pairs):
    return (statistics.median(t for ours, _ in pairs for t in ours) /
            statistics.median(t for _, theirs in pairs for t in theirs))


words = [duet, "run", "--rm", "--as", arm, image, *command]
pairs, inner, idle = [], [], []
for i in range(rounds):
    theirs = by_hyperfine(words, n) if i % 2 else None
    ours, released = by_duet()
    theirs = theirs or by_hyperfine(words, n)
    idle += by_hyperfine([duet, "--version"], n)
    pairs.append((ours, theirs))
    inner += released

draw = random.Random(1)
resampled = sorted(ratio(draw.choices(pairs, k=len(pairs))) for _ in range(2000))
whole = statistics.median(t for ours, _ in pairs for t in ours)
print("duet %.2f ms, hyperfine %.2f ms; request to released %.2f ms, an idle client %.2f ms, the rest %.2f ms" % (
    whole, statistics.median(t for _, theirs in pairs for t in theirs), statistics.median(inner),
    statistics.median(idle), whole - statistics.median(inner) - statistics.median(idle)))
print("%.4f %.4f %.4f" % (ratio(pairs), resampled[50], resampled[1949]))
