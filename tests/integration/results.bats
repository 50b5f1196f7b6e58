#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is done with result files alone: `bench show`, `bench check`, `bench compare`.

load lib

setup_file() {
  root_up
  stock_image busybox
  duet bench boot --arms container,native -n 12 --seed 1 -o "$scratch/a.json" busybox >/dev/null 2>&1
  duet bench boot --arms native,container -n 12 --seed 2 -o "$scratch/b.json" busybox >/dev/null 2>&1
  duet bench memory --arms container,native --counts 1,2 --rounds 3 --age 0.1 --seed 4 -o "$scratch/memory.json" \
    busybox >/dev/null 2>&1
  # Whatever this host is: verdicts are withheld where its CPUs are emulated.
  for run in a b memory; do
    jq '.host.cpu.hypervisor = null' "$scratch/$run.json" >"$scratch/edited.json"
    mv "$scratch/edited.json" "$scratch/$run.json"
  done
  duet bench boot --arms vm,container -n 1 --seed 3 -o "$scratch/vm.json" busybox >/dev/null 2>&1
}
teardown_file() { root_down; }

# Debian's, which has Debian's modules, whatever comes first in PATH.
python() { /usr/bin/python3 "$@"; }

narrow() { [ "$(wc -L <"$1")" -le 80 ] || { cat "$1"; return 1; }; }

# edit FILTER [FROM]: a result with something else in it, in $scratch/edited.json.
edit() { jq "$1" "$scratch/${2:-a}.json" >"$scratch/edited.json"; }

@test "results are as the schema says, and other files are not" {
  for run in a b vm memory; do valid_result "$scratch/$run.json"; done
  duet bench show --format json "$scratch/vm.json" >"$scratch/shown.json"
  valid_result "$scratch/shown.json"
  for damage in 'del(.plan)' '.samples[0].status = "splendid"' '.schema_version = 2' '.arms = []' \
    '.samples[0].marks_ns.output = "1"' '.host.memory.ram_bytes = -1' '.comparisons[0].verdict = "good"' \
    'del(.comparisons[0].p)' '.samples[0].exit_code = 256' '.plan.seed = 1.5'; do
    edit "$damage"
    ! valid_result "$scratch/edited.json" >/dev/null || { echo "passes: $damage"; return 1; }
  done
}

@test "memory results are as the schema says, and damaged ones are not" {
  duet bench show --format json "$scratch/memory.json" >"$scratch/shown.json"
  valid_result "$scratch/shown.json"
  for damage in 'del(.plan.counts)' '.plan.counts = [1, 1]' 'del(.samples[0].memory.host)' \
    '.samples[0].memory.instances[0].cgroup_bytes = -1' 'del(.idle_noise)' '.summary[0].verdict = "fine"' \
    'del(.summary[0].estimators.pss)' '.summary[0].verdict = "withheld: nested under TCG"' \
    'del(.comparisons[0].difference_bytes)' 'del(.samples[0].memory)' '.benchmark = "speed"'; do
    edit "$damage" memory
    ! valid_result "$scratch/edited.json" >/dev/null || { echo "passes: $damage"; return 1; }
  done
}

@test "memory results are shown in each format" {
  DUET_ROOT=/nonexistent duet bench show "$scratch/memory.json" --format json | jq -S 'del(.summary, .comparisons)' >"$scratch/again"
  diff "$scratch/again" <(jq -S 'del(.summary, .comparisons)' "$scratch/memory.json")
  duet bench show --format json "$scratch/memory.json" | jq -e '. as $r | .comparisons | length == 3 and
    all(.[]; .a == "container" and .b == "native") and
    (.[0] | .metric == "pss" and .ratio_low <= .ratio and .ratio <= .ratio_high and
      .ratio == $r.summary[0].estimators.pss.slope_bytes / $r.summary[1].estimators.pss.slope_bytes)'
  jq -e '.reread_bytes > 500000 and (.summary[0] | (.per_gib.resident * .estimators.pss.slope_bytes / 1073741824 - 1 | fabs) < 1e-9 and
    .per_gib.reserved == null and .managing_share > 0 and .managing_share < 1)' "$scratch/memory.json"
  duet bench show "$scratch/memory.json" >"$scratch/table"
  narrow "$scratch/table"
  grep -q '^container / native, pss ' "$scratch/table"
  grep -q '^  resident, by PSS ' "$scratch/table"
  duet bench show --format md "$scratch/memory.json" >"$scratch/page"
  for what in '## One more instance' '## Ratios of one more' '| container | pss |'; do
    grep -qF "$what" "$scratch/page" || { echo "no $what"; return 1; }
  done
  duet bench show --format csv "$scratch/memory.json" >"$scratch/long"
  python - "$scratch/memory.json" "$scratch/long" <<'PYTHON'
import csv, json, sys
run = json.load(open(sys.argv[1]))
rows = list(csv.DictReader(open(sys.argv[2])))
for sample in run["samples"]:
    own = {row["what"]: row["value"] for row in rows if row["seq"] == str(sample["seq"])}
    one = sample["memory"]
    assert own["count"] == str(one["count"])
    assert int(own["pss"]) == sum(i["payload_pss_bytes"] + i["managing_pss_bytes"] for i in one["instances"])
    assert int(own["host"]) == one["host_before"]["available_bytes"] - one["host"]["available_bytes"]
PYTHON
  duet bench show --format openmetrics "$scratch/memory.json" | tail -1 | grep -qx '# EOF'
  expect 125 duet bench show --format benchstat "$scratch/memory.json"
}

@test "memory results are checked, and compared by what one more takes" {
  expect 1 duet bench check --format json "$scratch/memory.json"
  jq -e '.weak and all(.findings[]; .code != "memory")' <<<"$output"
  # As on a quiet host: what runs beside this moves shared pages.
  jq '.samples |= map(.seq as $seq | .memory.instances |=
    map(.payload_pss_bytes = 400000 + $seq * 7919 % 1000 | .managing_pss_bytes = 400000))' "$scratch/memory.json" >"$scratch/even.json"
  jq '.run_id = "5d0a9b3e-0d5c-4a52-9d0d-3a3f6e1f4c11" | (.samples[] | select(.arm == "container") | .memory.instances[]) |=
    (.payload_pss_bytes *= 2 | .managing_pss_bytes *= 2)' "$scratch/even.json" >"$scratch/edited.json"
  duet bench compare --format json --metric pss,pss_anon "$scratch/even.json" "$scratch/edited.json" >"$scratch/compared"
  jq -e '.comparisons | length == 4 and
    (.[0] | .arm == "container" and .metric == "pss" and (.ratio - 2 | fabs) < 1e-9 and .verdict == "differs" and
      (.second_slope_bytes - 2 * .first_slope_bytes | fabs) < 1 and .difference_low_bytes > 0) and
    (.[1] | .arm == "native" and .ratio == 1 and .verdict == "no difference shown")' "$scratch/compared"
  duet bench compare "$scratch/memory.json" "$scratch/edited.json" >"$scratch/table"
  narrow "$scratch/table"
  grep -q '^host, second / first' "$scratch/table"
  expect 125 duet bench compare --metric request_to_output "$scratch/memory.json" "$scratch/edited.json"
}

@test "show gives back what was measured" {
  DUET_ROOT=/nonexistent duet bench show "$scratch/vm.json" --format json | jq -S . >"$scratch/again"
  diff "$scratch/again" <(jq -S . "$scratch/vm.json")
  duet bench show "$scratch/a.json" >"$scratch/table"
  narrow "$scratch/table"
  grep -q '^container / native ' "$scratch/table"
  duet bench show --format md "$scratch/vm.json" >"$scratch/md"
  grep -q '^| container | 1 | 0 |' "$scratch/md"
  grep -q '^| vm / container |' "$scratch/md"
  [ "$(jq -r '[.arms[].driver.accel] | index("tcg")' "$scratch/vm.json")" = null ] ||
    for format in table md benchstat; do
      duet bench show --format "$format" "$scratch/vm.json" | head -1 | grep -qE 'No hardware virtualization|Nested'
    done
}

@test "CSV has a row for each sample and mark" {
  duet bench show "$scratch/vm.json" --format csv >"$scratch/csv"
  # as if each had been asked for, and stopped then
  edit '.samples[].marks_ns |= (.ready = .output + 1000 | .stop = .output + 2000)'
  duet bench show "$scratch/edited.json" --format csv >"$scratch/ready.csv"
  for pair in csv:vm.json ready.csv:edited.json; do
    python - "$scratch/${pair%:*}" "$scratch/${pair#*:}" <<'PYTHON' || return
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
run = json.load(open(sys.argv[2]))
wanted = {(s["seq"], m, ns) for s in run["samples"] for m, ns in s["marks_ns"].items()}
got = {(int(r["seq"]), r["what"], int(r["value"])) for r in rows if r["what"] in
       ("request", "spawned", "running", "init", "exec", "output", "ready", "stop", "exited", "released")}
assert got == wanted, got ^ wanted
assert {r["run_id"] for r in rows} == {run["run_id"]}
assert {r["discarded"] for r in rows if int(r["seq"]) < 2} == {"true"}
PYTHON
  done
  # the same in benchstat, for good samples
  duet bench show "$scratch/edited.json" --format benchstat >"$scratch/go"
  is "$(grep -cE '^BenchmarkBoot/.* [0-9]+ ready-ns/op [0-9]+ stopping-ns/op ' "$scratch/go")" 24
}

@test "OpenMetrics and benchstat hold the same figures" {
  duet bench show "$scratch/a.json" --format openmetrics >"$scratch/metrics"
  duet bench show "$scratch/a.json" --format benchstat >"$scratch/go"
  python - "$scratch" <<'PYTHON'
import json, re, statistics, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
scratch = sys.argv[1]
run = json.load(open(scratch + "/a.json"))
families = {f.name: f for f in text_string_to_metric_families(open(scratch + "/metrics").read())}
medians = {s.labels["arm"]: s.value for s in families["duet_time_seconds"].samples
           if s.labels.get("quantile") == "0.5" and s.labels["metric"] == "request_to_output"}
lines = re.findall(r"^BenchmarkBoot/arm=(\w+) 1 (\d+) ns/op( \d+ \S+)*$", open(scratch + "/go").read(), re.M)
for arm in run["summary"]:
    median = arm["metrics"]["request_to_output"]["median_ns"]
    assert abs(medians[arm["arm"]] * 1e9 - median) < 1, (medians, median)
    for figure, of in ("median_low", "median_low_ns"), ("median_high", "median_high_ns"), ("mad", "mad_ns"):
        spread = [s.value for s in families["duet_time_spread_seconds"].samples if s.labels["figure"] == figure and
                  s.labels["arm"] == arm["arm"] and s.labels["metric"] == "request_to_output"]
        assert len(spread) == 1 and abs(spread[0] * 1e9 - arm["metrics"]["request_to_output"][of]) < 1, (figure, spread)
    assert statistics.median(int(ns) for name, ns, _ in lines if name == arm["arm"]) == median
assert len(lines) == 24, lines
PYTHON
}

@test "Phoronix has each arm as a system and each sample of a metric" {
  duet bench show "$scratch/vm.json" --format phoronix >"$scratch/vm.xml"
  duet bench show "$scratch/a.json" --format phoronix >"$scratch/a.xml"
  python - "$scratch" <<'PYTHON'
import json, re, statistics, sys
import xml.etree.ElementTree as tree
for name in "vm", "a":
    root = tree.parse(f"{sys.argv[1]}/{name}.xml").getroot()
    run = json.load(open(f"{sys.argv[1]}/{name}.json"))
    assert root.tag == "PhoronixTestSuite"
    # the order of elements is part of its schema
    assert [e.tag for e in root.find("Generated")] == ["Title", "LastModified", "TestClient", "Description"]
    assert [e.tag for e in root.find("System")] == ["Identifier", "Hardware", "Software", "User",
        "TimeStamp", "TestClientVersion", "Notes"]
    assert [e.tag for e in root.find("Result")] == ["Identifier", "Title", "AppVersion", "Arguments",
        "Description", "Scale", "Proportion", "DisplayFormat", "Data"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", root.findtext("Generated/LastModified"))
    assert all(2 <= len(e.text) <= 50 for e in root.findall("Result/Title"))
    assert [e.text for e in root.findall("System/Identifier")] == [a["name"] for a in run["arms"]]
    wanted = {(m, a["arm"]) for a in run["summary"] for m, s in a["metrics"].items() if s}
    got = {}
    for result in root.findall("Result"):
        for entry in result.findall("Data/Entry"):
            key = result.findtext("Arguments"), entry.findtext("Identifier")
            got[key] = float(entry.findtext("Value")), [float(v) for v in entry.findtext("RawString").split(":")]
    assert set(got) == wanted, set(got) ^ wanted
    for arm in run["summary"]:
        median, values = got["request_to_output", arm["arm"]]
        assert len(values) == arm["ok"] and abs(statistics.median(values) - median) < 1e-6
        assert abs(median * 1e6 - arm["metrics"]["request_to_output"]["median_ns"]) < 2
PYTHON
}

@test "hostile names stay data in every format" {
  edit '(.. | strings | select(. == "native")) |= "=cmd()|<script>\"\n\u001b[31m`*"'
  for format in table md csv openmetrics benchstat phoronix; do
    duet bench show "$scratch/edited.json" --format "$format" >"$scratch/out.$format"
  done
  for format in table md benchstat; do run ! grep -q $'\e' "$scratch/out.$format"; done
  narrow "$scratch/out.table"
  run ! grep -q '<script>' "$scratch/out.md"
  python - "$scratch" <<'PYTHON'
import csv, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
name = '=cmd()|<script>"\n\x1b[31m`*'
rows = list(csv.DictReader(open(sys.argv[1] + "/out.csv", newline="")))
assert {r["arm"] for r in rows} == {"container", "'" + name}
families = text_string_to_metric_families(open(sys.argv[1] + "/out.openmetrics", newline="").read())
assert name in {s.labels.get("arm") for f in families for s in f.samples}
import xml.etree.ElementTree as tree
systems = tree.parse(sys.argv[1] + "/out.phoronix").findall("System/Identifier")
assert systems[1].text.startswith('=cmd()|<script>"^J'), systems[1].text
PYTHON
  cp "$scratch/edited.json" "$scratch/hostile.json"
  duet bench compare "$scratch/hostile.json" "$scratch/hostile.json" >"$scratch/out"
  run ! grep -q $'\e' "$scratch/out"
  narrow "$scratch/out"
  # in errors, too
  edit '.arms[1].image.digest = "\u001b[2J\nsha256:0"' hostile
  expect 125 duet bench compare "$scratch/hostile.json" "$scratch/edited.json"
  [[ $output != *$'\e'* && $output == "duet: "* && $output != *$'\n'* ]]
  edit '.samples[0].arm = "\u001b[2J\nnobody"' hostile
  expect 125 duet bench show "$scratch/edited.json"
  [[ $output != *$'\e'* && $output == *"^J"* && $output != *$'\n'* ]]
}

@test "compare matches arms by name, and tells what it left out" {
  cd "$scratch"
  duet bench compare a.json b.json >table
  narrow table
  grep -qE '^container +[0-9.]+ [mu]?s +[0-9.]+ [mu]?s +[0-9.]+ ' table
  grep -qE '^native ' table
  grep -q 'not interleaved' table
  duet bench compare --format json a.json b.json |
    jq -e '.forced == false and (.comparisons | length) == 2 and .comparisons[0].p_holm >= .comparisons[0].p
      and .comparisons[0].smallest_detectable_effect > 0'
  # times of a host that has nothing else to do
  edit '.samples |= map(.marks_ns.output = 10000000 + .seq * 7919 % 100 * 1000)'
  cp edited.json steady.json
  edit '.samples |= map(.marks_ns.output *= 3)' steady
  duet bench compare --format json steady.json edited.json --metric request_to_output |
    jq -e '[.comparisons[] | select(.verdict == "differs" and .ratio_low < 3.01 and .ratio_high > 2.99)] | length == 2'
  duet bench compare --format md steady.json edited.json | grep -q '^| container |.*| differs |'
  duet bench compare a.json vm.json >table
  grep -q "'native' is in 'a.json' only" table
  grep -q "'vm' is in 'vm.json' only" table
  is "$(duet bench compare --format json a.json a.json | jq -c '[.comparisons[].ratio]')" '[1,1]'
}

@test "compare refuses what is not alike, and says so when forced" {
  cd "$scratch"
  edit '.host.machine_hash = "0123456789abcdef"'
  expect 125 duet bench compare a.json edited.json
  [[ $output == *"host: "*"--force"* ]]
  is "$(wc -l <<<"$output")" 1
  duet bench compare --force a.json edited.json | grep -q '^\*\*\* Forced'
  duet bench compare --force --format md a.json edited.json | grep -q '^> \*\*Forced'
  duet bench compare --force --format json a.json edited.json | jq -e '.forced and (.differ | length) == 1'
  for change in '.arms[0].image.digest = "sha256:0"' '.plan.mode = "cold-host"' '.arms[0].driver.accel = "kvm"' \
    '.arms[0].command = ["other"]' '.host.cpu.model = "other"' '.arms[0].driver.seccomp = "unconfined"' \
    '.arms[0].driver.capabilities = "0000000000000000"' '.arms[0].driver.apparmor = "other (enforce)"'; do
    edit "$change"
    expect 125 duet bench compare a.json edited.json
  done
  edit '.host.kernel.release = "other"'
  duet bench compare a.json edited.json | grep -q '^changed .*kernel.release'
  # as files of an older duet are
  edit 'del(.arms[0].driver.seccomp)'
  duet bench compare a.json edited.json | grep -q "^changed .*container seccomp: 'builtin' and 'unknown'"
}

@test "C52 no ratio of a run with failures, unless asked" {
  cd "$scratch"
  edit '(.samples[] | select(.arm == "native" and .block == 3)) |= (.status = "failed" | .exit_code = 1)'
  duet bench compare a.json edited.json >table
  grep -q '^native .*withheld: samples failed' table
  duet bench compare --format json a.json edited.json |
    jq -e '.comparisons[] | select(.arm == "native") | has("ratio") | not'
  duet bench compare --ratio-with-failures --format json a.json edited.json | jq -e 'all(.comparisons[]; has("ratio"))'
}

@test "C53 figures of few, equal and outlying values" {
  cd "$scratch"
  # values V...: what becomes of an arm native that took these, in ns.
  edit() { jq "$1" a.json --args "${@:2}" >edited.json; }
  values() {
    edit "$filter" "$@"
    duet bench show --format json edited.json | python -c 'import json, sys
def no(constant): raise ValueError(constant)
json.dump(json.load(sys.stdin, parse_constant=no)["summary"][1]["metrics"]["request_to_output"], sys.stdout)'
  }
  local filter='[$ARGS.positional[] | tonumber] as $v | .plan.n = ($v | length)
    | .plan.order = [$v[] | ["container", "native"]]
    | .samples = [$v | to_entries[] | {arm: "native", block: .key, seq: .key, discarded: false, status: "ok",
        exit_code: 0, marks_ns: {request: 0, output: .value}, request_monotonic_ns: 1000, cpu_ns: {},
        guest_clock_ns: {}, mem_bytes: {}, warnings: []}]'
  values 10 10 10 10 10 10 10 10 10 1000 |
    jq -e '.mean_ns == 109 and .median_ns == 10 and (.sd_ns * 100 | round) == 31307 and .mad_ns == 0 and .outliers == 1'
  values 12 15 11 14 13 90 |
    jq -e '(.mean_ns * 100 | round) == 2583 and .median_ns == 13.5 and (.sd_ns * 100 | round) == 3147 and (.standard_error_ns * 100 | round) == 1285'
  # Of ten values p95 is a guess, and is not told.
  values 1 2 3 4 5 6 7 8 9 10 | jq -e '(.sd_ns * 100 | round) == 303 and .median_ns == 5.5 and .p95_ns == null'
  values 7 | jq -e '.mean_ns == 7 and .median_ns == 7 and .sd_ns == null'
  is "$(values)" null
  expect 1 duet bench check edited.json
}

@test "check: 1 and every weakness, or 0" {
  cd "$scratch"
  edit '.host.load_1min = 0 | .host.cpu.governor = "performance" | .host.cpu.hypervisor = null | .warnings = []
    | .tool.commit = "abc" | .tool.build_flags = "" | .host.memory.ksm_run = 0 | .host.memory.swap_bytes = 0
    | .host.memory.damon_reclaim = null | del(.host.during_run)
    | .samples |= map(.warnings = [] | .marks_ns.output = 10000000 + .seq * 7919 % 100 * 1000)'
  cp edited.json strong.json
  duet bench check strong.json | grep -qx 'Nothing weak was found.'
  duet bench check strong.json --format json | jq -e '.weak == false and .findings == []'
  for pair in '.host.load_1min = 99|host' '.samples[9].status = "failed"|failures' '.interrupted = true|interrupted' \
    '.host.cpu.hypervisor = "tcg"|host' '.arms[0].driver.accel = "tcg"|tcg' '.host.memory.ksm_run = 1|host'; do
    jq "${pair%|*}" strong.json >edited.json
    expect 1 duet bench check edited.json
    duet bench check --format json edited.json | jq -e --arg c "${pair#*|}" '.weak and any(.findings[]; .code == $c)'
  done
  expect 1 duet bench check vm.json
  [[ $output == *few-samples* ]]
}

@test "bad input gives one clear error and 125" {
  cd "$scratch"
  head -c 3000 a.json >cut.json
  echo '{"name": "package", "version": 1}' >foreign.json
  : >empty.json
  jq '.schema_version = 2' a.json >other.json
  printf '%1000000s' '' | tr ' ' '[' >deep.json
  mkdir -p folder
  for file in cut.json foreign.json empty.json other.json deep.json folder missing.json /dev/null; do
    for verb in show check "compare a.json" "compare --force $PWD/a.json"; do
      # shellcheck disable=SC2086 # two words
      expect 125 duet bench $verb "$file"
      is "$(wc -l <<<"$output")" 1
      [[ $output == "duet: "*"$file"* ]] || { echo "$output"; return 1; }
    done
  done
  expect 125 duet bench compare a.json memory.json
  [[ $output == *"'a.json'"*boot*memory* ]]
  jq '.benchmark = "speed"' a.json >unknown.json
  expect 125 duet bench show unknown.json
  [[ $output == *"'speed'"* ]]
  expect 125 duet bench show
  expect 125 duet bench show a.json b.json
  expect 125 duet bench compare a.json
  expect 125 duet bench show --format xml a.json
  expect 125 duet bench compare --metric speed a.json b.json
  expect 125 duet bench compare --floor -3 a.json b.json
}
