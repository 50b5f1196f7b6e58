#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# `bench density`: how many instances at the same time.

# shellcheck disable=SC2016,SC2046,SC2154 # jq's variables; several words; those of lib.bash and bats
load lib
load bench

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }
setup() {
  touch "$scratch/stamp"
  benchmark=(density --arms container) result=$scratch/density.json
  rm -f "$result" "$result.part"
}

# Cgroups of pools that are there since this test began.
pools() { find /sys/fs/cgroup -type d -name 'duet-pool-*' -newer "$scratch/stamp" 2>/dev/null; }
no_pool() { [ -z "$(pools)" ]; }

# density ARGUMENT...: of containers, quick, into $scratch/density.json.
density() { duet bench "${benchmark[@]}" --age 0.1 -o "$result" "$@"; }
# figure FILTER: holds where figures are told.
figure() { emulated "$scratch/density.json" || holds "$1"; }

@test "bench density: a memory budget ends it, all answer, figures follow from the samples" {
  run --separate-stderr density --memory-budget 16m busybox
  is "$status" 0
  is "$stderr" ""
  [ "$(wc -L <<<"$output")" -le 80 ]
  emulated "$scratch/density.json" || [[ $output == *"bound by   memory-budget"*"start latency at N"* ]]
  holds '.schema_version == 1 and .benchmark == "density" and .plan.density.budget_bytes == 16777216'
  holds '.density[0] | .bound == "memory-budget" and .reached >= 5 and .answered == .reached and
    .ended == 0 and .silent == 0 and .used_bytes > 0 and (.memory.instances | length) == .reached'
  # Where directories are ours the kernel keeps the budget.
  systemd_runs || holds '.density[0] | .no_pool == null and .used_bytes <= 16777216'
  # Every start is a sample, with what ran then and the host of that moment.
  holds '[.samples[] | select(.discarded | not)] as $s | ($s | length) == .density[0].reached and
    [$s[].density.running] == [range(1; ($s | length) + 1)] and
    all($s[]; .status == "ok" and .marks_ns.exec > 0 and .density.host.available_bytes > 0 and
      .density.used_bytes <= 16777216) and ([.samples[] | select(.discarded)] | length) == 1'
  figure '([.samples[] | select(.discarded | not) | .marks_ns.exec] | length / (add / 1e9)) as $rate |
    .summary[0].starts_per_second / $rate | . > 0.999999 and . < 1.000001'
  figure '(.density[0].memory.instances | map(.payload_pss_bytes + .managing_pss_bytes) | add / length) as $each |
    .summary[0].memory_per_instance.pss_bytes / $each | . > 0.999999 and . < 1.000001'
  is "$(duet bench show "$scratch/density.json")" "$output"
  diff <(duet bench show --format json "$scratch/density.json") "$scratch/density.json"
  is "$(duet bench show --format csv "$scratch/density.json" | awk -F , '$10 == "reached" { print $8, $11 }')" \
    "memory-budget $(jq '.density[0].reached' "$scratch/density.json")"
  duet bench show --format md "$scratch/density.json" | grep -q '^| container | '
  duet bench show --format openmetrics "$scratch/density.json" >"$scratch/metrics"
  emulated "$scratch/density.json" || /usr/bin/python3 - "$scratch/metrics" "$scratch/density.json" <<'PYTHON'
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = {f.name: f for f in text_string_to_metric_families(open(sys.argv[1]).read())}
outcome = json.load(open(sys.argv[2]))["density"][0]
states = {s.labels["state"]: s.value for s in families["duet_density_instances"].samples}
assert states == {k: outcome[k] for k in ("reached", "answered", "ended", "silent")}, states
assert [s.labels["bound"] for s in families["duet_density_bound"].samples] == [outcome["bound"]]
PYTHON
  valid_result "$scratch/density.json"
  jq 'del(.density[0].bound)' "$scratch/density.json" >"$scratch/cut.json"
  expect 1 valid_result "$scratch/cut.json"
  none_listed
  wait_for 5 no_pool
}

@test "bench density: --max, both kinds" {
  run --separate-stderr duet bench density --max 2 --age 0.1 -o "$scratch/density.json" busybox
  is "$status" 0
  [[ ${output,,} == *tcg* || ${output,,} == *kvm* ]]
  for arm in vm container; do
    holds "[.arms[].name] | index(\"$arm\")"
    holds "[.density[] | select(.arm == \"$arm\" and .bound == \"max\" and .reached == 2 and .answered == 2)] | length == 1"
  done
  # A VM is not lighter than its RAM says, and a container has none reserved.
  holds '[.density[].reserved_bytes] | sort == [0, 268435456]'
  run duet bench check "$scratch/density.json"
  [[ $output == *"one after the other"* ]]
  none_listed
}

@test "bench density: VMs under a memory budget, their QEMUs in the cgroup that keeps it" {
  benchmark=(density --arms vm)
  begin --memory-budget 600m --age 6 busybox
  bound() { jq -e -s 'any(.[]; .density?.running? == 2)' "$result.part" >/dev/null 2>&1; }
  wait_for 120 bound
  if ! systemd_runs; then
    local member qemus=0
    for member in $(find $(pools) -name cgroup.procs -exec cat {} + | sort -u); do
      ! grep -q '^qemu-system' "/proc/$member/comm" || qemus=$((qemus + 1))
    done
    [ "$qemus" -ge 2 ]
  fi
  wait $bench
  holds '.density[0] | .bound == "memory-budget" and .reached >= 2 and .answered == .reached and
    (.memory.instances | length) == .reached'
  systemd_runs || holds '.density[0] | .no_pool == null and .pool_limit_bytes == 629145600 and
    .used_bytes <= .pool_limit_bytes'
  valid_result "$result"
  is "$(left_behind)" ""
  none_listed
  wait_for 5 no_pool
}

@test "bench density: what ends by itself, or fails, is no density" {
  run density --max 4 --age 1 busybox -- sleep 0.2
  is "$status" 1
  holds '.density[0] | .answered < .reached and .ended > 0'
  figure '.summary[0].verdict == "not all answered"'
  # It starts while the file is there, and the third start takes the file away.
  mkdir -p "$scratch/count"
  echo 0 >"$scratch/count/n"
  run density --max 9 -v "$scratch/count:/c" busybox -- \
    sh -c 'n=$(cat /c/n); echo $((n + 1)) >/c/n; [ $n -lt 3 ] || exit 7; sleep 100'
  is "$status" 1
  holds '.density[0] | .bound == "instance-ended" and (.detail | test("code 7")) and .reached < 9'
  expect 127 density busybox -- /nosuchcommand
  [[ $output == *nosuchcommand* ]]
  none_listed
}

@test "bench density: the kernel keeps a budget that instances outgrow, and the host lives" {
  systemd_runs && skip "instances are scopes: the budget is what was measured"
  # Small while they start; then each wants 12 MB, together more than the budget.
  mkdir -p "$scratch/grow"
  begin --max 6 --age 8 --memory-budget 32m -v "$scratch/grow:/c" busybox -- sh -c \
    'while [ ! -e /c/go ]; do sleep 0.1; done; x=$(head -c 12000000 /dev/zero | tr "\0" x); sleep 100'
  wait_for 60 running 6
  touch "$scratch/grow/go"
  status=0
  wait $bench || status=$?
  is "$status" 1
  holds '.density[0] | .answered < .reached and .used_bytes <= 33554432'
  none_listed
  wait_for 5 no_pool
}


@test "bench density: one cgroup holds all; ^C ends all, with what was measured" {
  begin --max 3 --age 60 --memory-budget 64m busybox
  wait_for 60 running 3
  if ! systemd_runs; then
    local pool
    pool=$(find $(pools) -maxdepth 1 -name memory.max -o -maxdepth 1 -name memory.limit_in_bytes)
    is "$(cat "$pool")" 67108864
    is "$(find "$(dirname "$pool")" -type d -name payload | wc -l)" 3
    # shellcheck disable=SC2046
    is "$(duet inspect $(duet ps -q) | jq '.[].monitor_pid' |
      xargs -I PID grep -l "/$(basename "$(dirname "$pool")")/duet-" /proc/PID/cgroup | wc -l)" 3
  fi
  kill -INT $bench
  status=0
  wait $bench || status=$?
  is "$status" 130
  holds '.interrupted and .density[0].bound == "interrupted" and .density[0].detail == null and
    ([.samples[] | select(.status == "ok")] | length) == 4'
  grep -q 'take no conclusion' "$scratch/out"
  none_listed
  wait_for 5 no_pool
}

@test "bench density: without a budget, too, one cgroup holds all to what the host can spare" {
  begin --max 3 --age 2 busybox
  wait_for 60 running 3
  if ! systemd_runs; then
    local pool limit
    pool=$(find $(pools) -maxdepth 1 -name memory.max -o -maxdepth 1 -name memory.limit_in_bytes)
    limit=$(cat "$pool")
    is "$(find "$(dirname "$pool")" -type d -name payload | wc -l)" 3
  fi
  wait $bench
  # The host keeps half of what it must keep, or more; it may have changed by as much as a page.
  systemd_runs || jq -e --argjson limit "$limit" '.host.memory.total_bytes as $total |
    .density[0] | .no_pool == null and .pool_limit_bytes - $limit < 65536 and
    (.memory.host_before.available_bytes - .pool_limit_bytes) as $kept |
    $kept > 512 * 1048576' "$result"
  holds '.plan.density.budget_bytes == 0 and .density[0].used_bytes == 0 and .density[0].bound == "max"'
  run ! grep -q no-pool <<<"$(duet bench check "$result")"
  none_listed
  wait_for 5 no_pool
}

@test "bench density: after kill -9 its instances are gone, and their cgroup" {
  begin --max 3 --age 60 --memory-budget 64m busybox
  wait_for 60 running 3
  kill -KILL $bench
  wait $bench || true
  wait_for 20 running 0
  none_listed
  wait_for 5 no_pool
}

@test "bench density: kill -9 between two arms: the first is kept and shown, --resume measures the other" {
  benchmark=(density --arms "container,native" --max 3 --age 2)
  begin busybox -- sleep 1000
  one_over() { grep -q '"bound" *: *"max"' "$result.part"; }
  wait_for 60 one_over
  kill -KILL $bench
  wait $bench || true
  wait_for 20 running 0
  none_listed
  [ ! -e "$result" ]
  duet bench show --format json "$result.part" >"$scratch/shown.json"
  jq -e '.interrupted and ([.density[] | select(.bound == "max" and .reached == 3 and .answered == 3 and
    (.memory.instances | length) == 3)] | length) == 1 and all(.samples[]; .status == "ok")' "$scratch/shown.json"
  duet bench show "$result.part" | grep -q 'interrupted'
  expect 125 density busybox -- sleep 1000
  [[ $output == *"density.json.part"*"--resume"* ]]
  expect 125 density --max 4 --resume busybox -- sleep 1000
  duet bench "${benchmark[@]}" -o "$result" --resume busybox -- sleep 1000
  [ ! -e "$result.part" ]
  holds '(.interrupted | not) and all(.density[]; .bound == "max" and .reached == 3 and .answered == 3) and
    ([.samples[] | select(.discarded | not)] | length) == 6 and (.warnings | any(contains("resumed after 1 of 2 arms")))'
  jq -e --slurpfile was "$scratch/shown.json" '[.density[] | select(. as $d | $was[0].density | any(. == $d))] | length == 1' "$result"
  valid_result "$result"
  none_listed
}

@test "bench density: kill -9 in the middle of an arm: its starts are shown" {
  begin --max 3 --age 60 busybox
  three_kept() { [ "$(grep -c '"seq"' "$result.part")" = 4 ]; }
  wait_for 60 three_kept
  kill -KILL $bench
  wait $bench || true
  duet bench show --format json "$result.part" >"$scratch/shown.json"
  jq -e '.density[0].bound == "interrupted" and .density[0].reached == 3' "$scratch/shown.json"
  run duet bench show "$result.part"
  emulated "$scratch/shown.json" || [[ $output == *"3 at the same time"*"cut short before"* ]]
  wait_for 20 running 0
  none_listed
}

@test "bench density refuses what makes no sense" {
  for option in "--max -1" "--max 0" "--max 99999" "--memory-budget none" "--memory-budget 0" "--max-latency -1" \
    "--max-latency 0" "--max-latency 1e-10" "--time-limit 0" "--arms vm,vm" "--format xml" "-o /nonexistent/file" "--output="; do
    # shellcheck disable=SC2086 # two words
    expect 125 duet bench density $option busybox
    is "$(wc -l <<<"$output")" 1
  done
  expect 125 duet bench density --resume -o "$scratch/none.json" busybox
  [[ $output == *"nothing to resume"* ]]
  is "$(wc -l <<<"$output")" 1
  expect 125 duet bench density nosuchimage
  expect 125 duet bench density
  none_listed
}
