#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# `duet bench overhead`: the stock image's tools in each kind.

load lib
load look

setup_file() {
  root_up
  stock_image bench
}
teardown_file() { root_down; }

# overhead ARGUMENT...: quick, with few samples.
overhead() { duet bench overhead --duration 1 -n 1 --timeout $((60 * slow)) "$@"; }


@test "bench overhead: work in all three kinds, and a result that can be shown again" {
  local result=$scratch/overhead.json
  run --separate-stderr overhead --tests cpu,process --seed 7 -o "$result"
  is "$status" 0
  # shellcheck disable=SC2154 # bats sets it
  [ "$(wc -L <<<"$output")" -le 80 ]
  jq -e '.benchmark == "overhead" and .plan.duration_s == 1 and .plan.seed == 7 and
    [.tests[].name] == ["cpu", "process"] and
    [.arms[].name] == ["cpu:native", "cpu:container", "cpu:vm", "process:native", "process:container", "process:vm"] and
    (.samples | length) == 12 and all(.samples[]; .status == "ok" and (.warnings | length) == 0) and
    all(.samples[] | .overhead.values[]; . > 0) and
    ([.samples[].overhead.tool] | unique | length) == 2 and
    ([.comparisons[] | .a] == ["cpu:container", "cpu:vm", "process:container", "process:vm"]) and
    all(.comparisons[]; .verdict == "too few samples")' "$result"
  valid_result "$result"
  # What the table says is what the samples say.
  local rate
  rate=$(jq -r '[.samples[] | select(.arm == "cpu:container" and (.discarded | not))][0].overhead.values.events_per_s' "$result")
  duet bench show "$result" | diff - <(echo "$output")
  duet bench show --format csv "$result" | grep -q ",cpu:container,.*,events_per_s,$rate,1/s$"
  duet bench show --format md "$result" | grep -q '^## cpu: searches for primes'
  duet bench show --format json "$result" | jq -S . | diff - <(jq -S . "$result")
  expect 1 duet bench check "$result"
  grep -q few-samples <<<"$output"
}

@test "an overhead result in other programs' formats has the same figures" {
  for format in openmetrics benchstat phoronix; do
    duet bench show --format $format "$scratch/overhead.json" >"$scratch/as.$format"
  done
  # Debian's, which has Debian's modules, whatever comes first in PATH.
  /usr/bin/python3 - "$scratch" <<'PYTHON'
import json, re, sys
import xml.etree.ElementTree as tree
from prometheus_client.openmetrics.parser import text_string_to_metric_families
scratch = sys.argv[1]
run = json.load(open(scratch + "/overhead.json"))
wanted = {(arm["arm"], f"{arm['arm'].split(':')[0]}.{id}"): value["median"]
          for arm in run["summary"] for id, value in arm["values"].items()}
families = {f.name: f for f in text_string_to_metric_families(open(scratch + "/as.openmetrics").read())}
got = {(s.labels["arm"], s.labels["metric"]): s.value
       for f in families.values() if f.name.startswith("duet_work_") for s in f.samples
       if s.labels.get("quantile") == "0.5"}
assert set(got) == set(wanted) and all(abs(got[k] / wanted[k] - 1) < 1e-9 for k in wanted), (got, wanted)
lines = re.findall(r"^BenchmarkOverhead/test=(\S+)/arm=(\w+) 1 (\S+) (events/s|programs/s)$",
                   open(scratch + "/as.benchstat").read(), re.M)
assert len(lines) == 6, lines
for test, kind, value, unit in lines:
    assert abs(float(value) / wanted[f"{test}:{kind}", f"{test}.{unit[:-2]}_per_s"] - 1) < 1e-9
root = tree.parse(scratch + "/as.phoronix").getroot()
assert [e.text for e in root.findall("System/Identifier")] == ["native", "container", "vm"]
entries = {(f"{r.findtext('Arguments').split('.')[0]}:{e.findtext('Identifier')}", r.findtext("Arguments")):
           float(e.findtext("Value")) for r in root.findall("Result") for e in r.findall("Data/Entry")}
assert set(entries) == set(wanted) and all(abs(entries[k] - wanted[k]) < 1e-5 for k in wanted)
assert {r.findtext("Proportion") for r in root.findall("Result")} == {"HIB"}
PYTHON
}

# With --full in all three kinds; else in containers, which takes a tenth of the time.
@test "bench overhead: every tool runs, and nothing of it stays" {
  local result=$scratch/all.json arms=container
  [ -z "${DUET_TEST_FULL:-}" ] || arms=native,container,vm
  overhead --arms $arms -o "$result" >"$scratch/table"
  jq -e --arg arms $arms '($arms | split(",")) as $kinds | [.arms[].name] ==
      [.tests[].name as $test | $kinds[] | $test + ":" + .] and
    (.tests | length) == 11 and (.samples | length) == 2 * (.arms | length) and
    all(.samples[]; .status == "ok" and (.overhead.tool | length) > 0 and all(.overhead.values[]; . > 0)) and
    all(.summary[]; .ok == 1 and .failed == 0 and .timeouts == 0 and all(.values[]; .median > 0)) and
    (.comparisons | length) == ($kinds - ["native"] - ["container" | select($kinds == ["container"])] | length) *
      ([.tests[].values | length] | add) and
    all(.comparisons[]; .verdict | IN("too few samples", "withheld: measured in different modes"))' "$result"
  # A call of the kernel takes longer than 10 ns and less than a tenth of a second, and so on.
  jq -e '[.summary[] | {(.arm): .values}] | add as $of | ($of | keys | map(split(":")[1]) | unique)[] |
    . as $kind | $of["syscall:" + $kind].call_ns.median as $call |
    $call > 10 and $call < 1e8 and $of["switch:" + $kind].switch_ns.median > $call and
    $of["memory-read:" + $kind].bytes_per_s.median > 1e6' "$result"
  jq -e '[.samples[] | select(.overhead.test | startswith("disk")) | .overhead.mode] |
    length > 0 and all(.[]; test("^direct=[01]$"))' "$result"
  grep -q "over each instance's own loopback" "$scratch/table"
  [ "$(wc -L <"$scratch/table")" -le 80 ]
  valid_result "$result"
  none_listed
}

@test "bench overhead refuses what makes no sense, and says how to get its image" {
  expect 125 overhead --tests cpu,speed
  grep -q "'speed' is no test: choose from cpu, syscall" <<<"$output"
  expect 125 duet bench overhead --duration 0
  expect 125 duet bench overhead --duration 60
  grep -q -e '--timeout must be longer than --duration' <<<"$output"
  expect 125 duet bench overhead bench -- sleep 1
  grep -q 'takes no command' <<<"$output"
  expect 125 duet bench overhead --arms lxc
  expect 125 duet --root "$scratch/empty" bench overhead
  grep -q 'images/recipes/bench .* duet image import --name bench' <<<"$output"
  is "$(duet ps -a --format json | jq length)" 0
}

@test "bench overhead counts what fails and says what the tool wrote" {
  stock_image busybox
  expect 1 overhead --arms container --tests cpu -o "$scratch/bad.json" busybox
  jq -e 'all(.samples[]; .status == "failed" and .exit_code == 127 and (.warnings[0] | test("sysbench.*not found"))) and
    .summary[0].failed == 1 and .summary[0].values.events_per_s == null' "$scratch/bad.json"
  valid_result "$scratch/bad.json"
  grep -q '1 of 1 samples are not in its figures' <<<"$output"
}

@test "bench overhead that was killed goes on with --resume, with the same plan" {
  local result=$scratch/resumed.json pid
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench overhead --arms container --tests cpu,process --duration 1 -n 3 \
    --seed 7 -o "$result" >/dev/null 2>&1 &
  pid=$!
  wait_for 60 sh -c "[ \$(wc -l <'$result.part') -ge 5 ]"
  kill -9 $pid
  expect 0 duet bench overhead --arms container --tests cpu,process --duration 1 -n 3 --seed 7 -o "$result" --resume
  jq -e '.interrupted == false and ([.samples[] | select(.discarded | not)] | length) == 6 and
    ([.samples[] | .seq] == [range(.samples | length)]) and any(.warnings[]; test("resumed after"))' "$result"
  valid_result "$result"
  none_listed
}

@test "the page of all tools" {
  "$tests_dir/browser/install"
  duet bench overhead --duration 1 -n 5 --arms native,container --tests cpu,syscall,switch,process,memory-read \
    -o "$scratch/page.json" >/dev/null 2>&1
  as_on_hardware "$scratch/page.json"
  duet report -o "$scratch/page.html" "$scratch/page.json"
  # shellcheck disable=SC2154 # look.bash's
  look "$scratch/page.html" --figures 1 --downloads 2 --views '360|dark-820|print' --shots "$shots/report-overhead"
}
