#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""report-numbers.py PAGE.html RESULT.json: are the numbers in the page those of the samples?

Recomputes, from the samples alone, medians, quartiles and percentiles of each arm, ratios of medians and medians of
phases (of `bench boot`), or the slopes of each estimator (of `bench memory`), and looks each up in the page's tables.
"""
import html.parser
import itertools
import json
import re
import statistics
import sys

UNITS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
MARKS = ["request", "spawned", "running", "init", "exec", "output", "stop", "exited", "released"]


class Tables(html.parser.HTMLParser):
    """All tables of a page: caption -> rows of cells."""

    def __init__(self):
        super().__init__()
        self.tables = []
        self.inside = None

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.tables.append({"caption": "", "rows": []})
        elif tag == "tr":
            self.tables[-1]["rows"].append([])
        elif tag in ("td", "th"):
            self.tables[-1]["rows"][-1].append("")
            self.inside = tag
        elif tag == "caption":
            self.inside = tag

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = None

    def handle_data(self, data):
        if self.inside == "caption":
            self.tables[-1]["caption"] += data
        elif self.inside:
            self.tables[-1]["rows"][-1][-1] += data


def shown(text):
    """A figure of the page: its value, and half a unit of its last digit."""
    number, unit = re.fullmatch(r"(-?[\d.]+)(?: (\w+))?", text).groups()
    digits = len(number.partition(".")[2])
    scale = UNITS[unit] if unit else 1
    return float(number) * scale, 0.5000001 * 10**-digits * scale


found = 0


def expect(what, text, value):
    global found
    got, half = shown(text)
    if abs(got - value) > half:
        sys.exit(f"{what}: the page says {text}, the samples {value}")
    found += 1


def percentile(values, share):
    ordered = sorted(values)
    at = (len(ordered) - 1) * share
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def table(tables, beginning):
    return next(t["rows"] for t in tables if t["caption"].startswith(beginning))


def boot(run, tables):
    good = [s for s in run["samples"] if s["status"] == "ok" and not s.get("discarded")]
    arms = [a["name"] for a in run["arms"]]
    times = {a: [s["marks_ns"]["output"] for s in good if s["arm"] == a] for a in arms}
    rows = table(tables, ("from request to output", "imported time"))
    for name, ok, failed, median, _, iqr, p95, _ in rows[1:]:
        values = times[name]
        expect(f"{name}, ok", ok, len(values))
        expect(f"{name}, median", median, statistics.median(values))
        expect(f"{name}, IQR", iqr, percentile(values, 0.75) - percentile(values, 0.25))
        if p95 != "n/a":
            expect(f"{name}, p95", p95, percentile(values, 0.95))
    if len(arms) > 1:
        for pair, ratio, *_ in table(tables, "Arms against each other")[1:]:
            a, b = pair.split(" / ")
            if ratio:
                expect(f"{pair}", ratio, statistics.median(times[a]) / statistics.median(times[b]))
    if not any(t["caption"].startswith("Medians of all phases") for t in tables):
        return
    head, *phases = table(tables, "Medians of all phases")
    for row in phases:
        mark = row[0].split("-> ")[-1].strip()
        if mark not in MARKS or "request -> " in row[0] and mark != "spawned":
            continue
        for name, cell in zip(head[1:], row[1:]):
            if cell == "n/a":
                continue
            took = []
            for sample in (s for s in good if s["arm"] == name):
                before = [sample["marks_ns"][m] for m in MARKS[: MARKS.index(mark)] if sample["marks_ns"].get(m) is not None]
                took.append(sample["marks_ns"][mark] - before[-1])
            expect(f"{name}, {row[0]}", cell, statistics.median(took))


def memory(run, tables):
    good = [s for s in run["samples"] if s["status"] == "ok" and not s.get("discarded") and s["memory"]["count"] > 0]
    name = None
    for row in table(tables, "What one more instance takes")[1:]:
        name = row[0] or name
        if row[1] != "sum of PSS":
            continue
        points = [
            (
                s["memory"]["count"],
                sum(i["payload_pss_bytes"] + i["managing_pss_bytes"] for i in s["memory"]["instances"]),
            )
            for s in good
            if s["arm"] == name
        ]
        slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(points, 2) if a[0] != b[0]]
        slope = statistics.median(slopes)
        expect(f"{name}, slope", row[2], slope)
        expect(f"{name}, fixed", row[4], statistics.median(y - slope * x for x, y in points))


parser = Tables()
with open(sys.argv[1], encoding="utf-8") as page:
    parser.feed(page.read())
with open(sys.argv[2], encoding="utf-8") as result:
    run = json.load(result)
{"boot": boot, "memory": memory}[run.get("benchmark", "boot")](run, parser.tables)
if found < 2:
    sys.exit("nothing was compared")
print(f"{found} figures are those of the samples")
