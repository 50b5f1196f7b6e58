#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One arm twice, of which one waits before it writes: does duet find the delay that it was given?

deal.py plan N SEED DELAY_S  prints how long each sample of a run shall wait: one for the warm-up, then N pairs in
                             random order
deal.py split PLAN RESULT    the run's samples as two arms, 'delayed' and 'plain', in blocks of a pair, as a result file"""
import json, random, sys


def plan(n, seed, delay):
    random.seed(seed)
    print(0)
    for _ in range(n):
        print(*random.sample([delay, "0"], 2), sep="\n")


def split(plan_path, result_path):
    waits = [float(line) for line in open(plan_path)][1:]
    result = json.load(open(result_path))
    names = ["delayed" if wait > 0 else "plain" for wait in waits]
    samples = [s for s in result["samples"] if not s["discarded"]]
    assert len(samples) == len(names), (len(samples), len(names))
    for i, (sample, name) in enumerate(zip(samples, names)):
        sample.update(arm=name, block=i // 2)
    arm = result["arms"][0]
    result["arms"] = [{**arm, "name": name} for name in ("delayed", "plain")]
    pairs = len(names) // 2
    result["plan"].update(n=pairs, order=[names[2 * k : 2 * k + 2] for k in range(pairs)])
    for part in ("summary", "comparisons", "notes"):
        result.pop(part, None)
    result["samples"] = samples
    json.dump(result, sys.stdout)


if sys.argv[1] == "plan":
    plan(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
else:
    split(*sys.argv[2:])
