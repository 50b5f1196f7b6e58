#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# `bench boot --parallel` and `--rate`: many starts at once, or arriving at a rate.

# shellcheck disable=SC2016,SC2154 # jq's variables; those of lib.bash and bats
load lib
load bench

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }
setup() { benchmark=(boot --arms container) result=$scratch/load.json; }
teardown() { end_bench; rm -f "$scratch"/load.json*; }

# load_of ARGUMENT...: of containers, into $scratch/load.json, with a table within the terminal.
load_of() {
  run --separate-stderr duet bench "${benchmark[@]}" -o "$result" "$@"
  is "$status" 0
  [ "$(wc -L <<<"$output")" -le 80 ]
}
part_has() { [ "$(wc -l 2>/dev/null <"$scratch/load.json.part")" -ge "$1" ]; }

@test "bench boot --parallel: each start is there with its marks, and figures follow from them" {
  load_of --parallel 1,3 -n 6 --seed 4 busybox
  [[ $output == *"x3"*"starts/s"* ]]
  holds '.benchmark == "load" and .plan.levels == [1, 3] and (.plan.order_levels | map(sort) | unique) == [[1, 3]]'
  holds '[.samples[] | select(.discarded | not)] | length == 12 and
    all(.[]; .status == "ok" and (.load.starts | length) == .load.level and
      all(.load.starts[]; .status == "ok" and .intended_ns == 0 and .request_ns > 0 and
        .marks_ns.request == 0 and .marks_ns.output > 0 and .marks_ns.released >= .marks_ns.output))'
  # At once: of three none had its output before the last was requested, but by accident of a busy host.
  holds '[.samples[] | select(.load.level == 3 and (.discarded | not)) | .load.starts |
    ([.[].request_ns] | max) < ([.[] | .request_ns + .marks_ns.output] | max)] | all'
  # By jq: the median of 18 latencies, and of 6 rates.
  holds '([.samples[] | select(.load.level == 3 and (.discarded | not)) | .load.starts[].marks_ns.output] | sort |
      (.[8] + .[9]) / 2) as $median |
    ([.samples[] | select(.load.level == 3 and (.discarded | not)) | .load.starts |
      3e9 / (([.[] | .request_ns + .marks_ns.output] | max) - ([.[].request_ns] | min))] | sort |
      (.[2] + .[3]) / 2) as $rate |
    .summary[0].levels[1] | .ok == 18 and .failed == 0 and .latency.n == 18 and
      (.latency.median_ns / $median | . > 0.999999 and . < 1.000001) and
      (.starts_per_second.median / $rate | . > 0.999999 and . < 1.000001) and
      .latency.median_low_ns <= .latency.median_ns and .latency.median_high_ns >= .latency.median_ns'
  is "$(duet bench show "$scratch/load.json")" "$output"
  diff <(duet bench show --format json "$scratch/load.json") "$scratch/load.json"
  [ "$(duet bench show --format csv "$scratch/load.json" | grep -c 'x3\.[0-2]\.output,')" = 18 ]
  [[ $(duet bench show --format md "$scratch/load.json") == *"| container | x3 | 18 | 0 |"* ]]
  duet bench show --format openmetrics "$scratch/load.json" >"$scratch/metrics"
  duet bench show --format phoronix "$scratch/load.json" >"$scratch/phoronix.xml"
  is "$(duet bench show --format benchstat "$scratch/load.json" | grep -cE '^BenchmarkLoad/load=x[13]/arm=container 1 [0-9]+ ns/op [0-9.]+ starts/s$')" 12
  # Debian's, which has Debian's modules, whatever comes first in PATH.
  /usr/bin/python3 - "$scratch" <<'PYTHON'
import json, statistics, sys
import xml.etree.ElementTree as tree
from prometheus_client.openmetrics.parser import text_string_to_metric_families
level = json.load(open(sys.argv[1] + "/load.json"))["summary"][0]["levels"][1]
families = {f.name: f for f in text_string_to_metric_families(open(sys.argv[1] + "/metrics").read())}
def median(family):
    return [s.value for s in families[family].samples if s.labels["metric"] == "x3" and s.labels.get("quantile") == "0.5"][0]
assert abs(median("duet_start_seconds") * 1e9 / level["latency"]["median_ns"] - 1) < 1e-9
assert abs(median("duet_starts_per_second") / level["starts_per_second"]["median"] - 1) < 1e-9
results = {r.findtext("Arguments"): r for r in tree.parse(sys.argv[1] + "/phoronix.xml").findall("Result")}
assert list(results) == ["x1.latency", "x1.starts_per_s", "x3.latency", "x3.starts_per_s"], list(results)
raw = [float(v) for v in results["x3.latency"].findtext("Data/Entry/RawString").split(":")]
assert len(raw) == 18 and abs(statistics.median(raw) * 1e6 - level["latency"]["median_ns"]) < 2
assert results["x3.starts_per_s"].findtext("Proportion") == "HIB"
PYTHON
  valid_result "$scratch/load.json"
  jq 'del(.samples[1].load.starts[0].intended_ns)' "$scratch/load.json" >"$scratch/cut.json"
  expect 1 valid_result "$scratch/cut.json"
  # Two runs, level by level: every start of three at once twice as long, and two in place of one.
  jq '(.samples[] | select(.load.level == 3 and (.discarded | not)) | .load.starts[].marks_ns | .output, .exited, .released) |= . * 2 |
    (.plan.levels[], .plan.order_levels[][], .samples[].load.level) |= if . == 1 then 2 else . end |
    (.samples[] | select(.load.level == 2 and (.discarded | not)) | .load.starts) |= . + .' "$scratch/load.json" >"$scratch/cut.json"
  duet bench compare --format json "$scratch/load.json" "$scratch/cut.json" | jq -e '
    (.comparisons | length == 1 and (.[0] | .arm == "container" and .metric == "x3" and .verdict == "differs" and
      (.ratio - 2 | fabs) < 1e-9 and (.second_median_ns / .first_median_ns - 2 | fabs) < 1e-9)) and
    (.notes | map(select(.code == "levels").text) == ["container: only one of the runs has x1, x2: left out"])'
  duet bench compare "$scratch/load.json" "$scratch/load.json" | grep '^x1, second / first'
  expect 125 duet bench compare --metric x2 "$scratch/load.json" "$scratch/cut.json"
  [[ $output == *"choose from x3"* ]]
  none_listed
}

@test "bench boot --parallel: a VM, two at once" {
  run --separate-stderr duet bench boot --arms vm --parallel 2 -n 1 -o "$scratch/load.json" busybox
  is "$status" 0
  holds '.arms[0].driver.accel and .summary[0].levels[0].ok == 2 and
    ([.samples[-1].load.starts[].marks_ns | .running > 0 and .init > .running] | all)'
  valid_result "$scratch/load.json"
  none_listed
}

@test "bench boot --rate: starts come when they are due, whatever became of those before" {
  # Each takes half a second and more, ten are due each second: one after the other would be 5 s late.
  load_of --rate 10 --starts 8 -n 1 --seed 3 busybox -- sh -c 'sleep 0.5; echo x'
  [[ $output == *"from when a start was due to output"* ]]
  holds '.plan.rates_per_s == [10] and .plan.starts == 8'
  holds '.samples[-1].load.starts | length == 8 and
    ([.[].intended_ns] | . == sort and .[0] > 0) and
    all(.[]; .request_ns >= .intended_ns and .marks_ns.output >= 500000000) and
    .[7].intended_ns - .[0].intended_ns < 4000000000'
  holds '([.samples[-1].load.starts[] | .request_ns + .marks_ns.output - .intended_ns] | sort |
      (.[3] + .[4]) / 2) as $median |
    .summary[0].levels[0] | .rate_per_s == 10 and (.latency.median_ns / $median | . > 0.999999 and . < 1.000001) and
      .most_waiting >= 2'
  valid_result "$scratch/load.json"
  # The arrivals are of the seed alone.
  jq '[.samples[-1].load.starts[].intended_ns]' "$scratch/load.json" >"$scratch/first"
  rm "$scratch/load.json"
  load_of --rate 10 --starts 8 -n 1 --seed 3 busybox
  diff "$scratch/first" <(jq '[.samples[-1].load.starts[].intended_ns]' "$scratch/load.json")
}

@test "bench boot --parallel: starts that fail are counted, and told" {
  run --separate-stderr duet bench boot --arms container --parallel 2 -n 1 -o "$scratch/load.json" busybox -- \
    sh -c 'exit 3'
  is "$status" 1
  [[ $output == *"2 of 2 starts are not in its figures"* ]]
  holds '.summary[0] | .ok == 0 and .failed == 2 and .levels[0].latency == null'
  holds '[.samples[-1].load.starts[].exit_code] == [3, 3]'
  valid_result "$scratch/load.json"
  expect 1 duet bench check "$scratch/load.json"
  [[ $output == *failures* ]]
  expect 127 duet bench boot --arms container --parallel 2 -n 1 busybox -- /no/such
  [[ $output == *"/no/such"* ]]
  none_listed
}

@test "bench boot --parallel, --rate: what cannot be is refused with one line" {
  local words
  while read -r words; do
    # shellcheck disable=SC2086 # several words
    expect 125 duet bench boot --arms container $words busybox
    [ "$(wc -l <<<"$output")" = 1 ]
  done <<'END'
--parallel 0
--parallel 1,1
--parallel 1001
--parallel 1,x
--parallel 2 --rate 2
--parallel 2 --starts 5
--parallel 2 -n 101
--parallel 2 --ready exec
--parallel 2 --cache cold-guest
--parallel 2 --peers podman
--rate 0
--rate -1
--rate nan
--rate 1001
--rate 1e9
--rate 0.001 --starts 1000
--rate 2 --starts 1001
END
  expect 125 duet bench boot --arms vm --parallel 1000 -m 4g busybox
  [[ $output == *"--parallel 1000: so many VMs"* ]]
  none_listed
}

@test "bench boot --parallel: Ctrl-C ends all, and keeps what was measured" {
  begin --parallel 3 -n 4 busybox -- sh -c 'echo x; sleep 1.5'
  wait_for 20 part_has 4
  wait_for 20 running 3
  kill -INT "-$bench"
  status=0
  wait "$bench" || status=$?
  is "$status" 130
  none_listed
  is "$(left_behind)" ""
  holds '.interrupted and ([.samples[] | select(.status == "ok" and (.discarded | not))] | length) >= 1'
  grep -q interrupted "$scratch/out"
  valid_result "$scratch/load.json"
}

@test "bench boot --parallel killed with SIGKILL: nothing is left, and it is resumed to the end" {
  begin --parallel 1,3 -n 2 --seed 5 busybox -- sh -c 'echo x; sleep 0.7'
  wait_for 20 part_has 5
  kill -KILL "$bench"
  wait "$bench" || true
  is "$(left_behind)" ""
  none_listed
  [ ! -e "$scratch/load.json" ]
  duet bench show "$scratch/load.json.part" | grep -q interrupted
  local taken
  taken=$(duet bench show --format json "$scratch/load.json.part" | jq '[.samples[] | select(.discarded | not)] | length')
  [ "$taken" -ge 1 ]
  [ "$taken" -lt 4 ]
  expect 125 duet bench boot --arms container --parallel 1,2 -n 2 -o "$scratch/load.json" --resume busybox -- \
    sh -c 'echo x; sleep 0.7'
  [[ $output == *"cannot resume"* ]]
  load_of --parallel 1,3 -n 2 --resume busybox -- sh -c 'echo x; sleep 0.7'
  holds '.interrupted == false and .plan.seed == 5 and
    ([.samples[] | select(.discarded | not) | .load.level] == ([.plan.order_levels[]] | flatten))'
  valid_result "$scratch/load.json"
}
