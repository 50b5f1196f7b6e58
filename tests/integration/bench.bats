#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# `compare` and `bench boot`, for real.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

@test "compare shows both kinds, marks, memory, ratio and accelerator" {
  run --separate-stderr duet compare busybox -- uname -r
  is "$status" 0
  [[ $output == *"$(uname -r)"* ]]
  for what in container vm request init exec output ratio; do
    [[ ${output,,} == *"$what"* ]] || { echo "no $what in: $output"; return 1; }
  done
  [[ ${output,,} == *tcg* || ${output,,} == *kvm* ]]
  is "$(duet ps -aq)" ""
}

@test "bench boot writes a result that holds all samples" {
  duet bench boot --arms container,native,vm -n 3 --seed 7 -o "$scratch/run.json" busybox >"$scratch/table" 2>/dev/null
  jq -e '.schema_version == 1 and (.samples | length) >= 9 and .plan.seed == 7' "$scratch/run.json"
  for arm in container native vm; do
    jq -e --arg a "$arm" '[.samples[] | select(.arm == $a and .status == "ok")] | length >= 3' "$scratch/run.json"
    grep -q "$arm" "$scratch/table"
  done
  # one warm-up per arm is discarded, nothing else
  jq -e '.samples[] | .marks_ns.request' "$scratch/run.json" >/dev/null
  [ "$(awk '{ if (length > m) m = length } END { print m }' "$scratch/table")" -le 80 ]
}

@test "C52 failures are counted, not averaged" {
  mkdir -p "$scratch/count"
  echo 0 >"$scratch/count/n"
  run duet bench boot --arms container -n 6 -v "$scratch/count:/c" -o "$scratch/fail.json" busybox -- \
    sh -c 'n=$(cat /c/n); echo $((n + 1)) > /c/n; echo x; [ $((n % 3)) != 2 ]'
  is "$status" 0
  jq -e '[.samples[] | select(.status != "ok")] | length == 2' "$scratch/fail.json"
  run duet bench boot --arms container -n 3 busybox -- sh -c 'exit 1'
  is "$status" 1
  run duet bench boot --arms container -n 2 --timeout 1 -o "$scratch/hang.json" busybox -- sleep 60
  is "$status" 1
  jq -e '[.samples[].status] | index("timeout")' "$scratch/hang.json"
  expect 125 duet bench boot nosuchimage
}

@test "arms are interleaved by the seed" {
  order() { duet bench boot --arms container,native -n 4 --seed "$1" -o "$scratch/s.json" busybox >/dev/null 2>&1 && jq -c '[.samples[].arm]' "$scratch/s.json"; }
  is "$(order 1)" "$(order 1)"
  [ "$(order 1)" != "$(order 3)" ] || [ "$(order 1)" != "$(order 4)" ]
}
