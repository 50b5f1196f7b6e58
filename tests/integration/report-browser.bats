#!/usr/bin/env bats
# shellcheck disable=SC2154 # tests_dir is lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# A page of `duet report`, as browsers show it.

load lib

setup_file() {
  "$tests_dir/browser/install"
  root_up
  stock_image busybox
  duet bench boot --arms vm,container,native -n 6 --seed 1 -o "$scratch/boot.json" busybox >/dev/null 2>&1
  duet bench memory --arms vm,container --counts 1,2 --rounds 3 --age 0.5 --seed 2 -o "$scratch/memory.json" \
    busybox >/dev/null 2>&1
  duet bench density --arms vm,container --max 3 --age 0.1 -o "$scratch/density.json" busybox >/dev/null 2>&1
  for run in boot memory density; do
    jq '.host.cpu.hypervisor = null' "$scratch/$run.json" >"$scratch/edited.json"
    mv "$scratch/edited.json" "$scratch/$run.json"
  done
}
teardown_file() { root_down; }

# look ARGUMENT...: looks at a page (tests/browser/look.mjs); shows what of it does not hold, and fails then.
look() {
  local tap code=0
  tap=$(node "$tests_dir/browser/look.mjs" "$@" 2>&1) || code=$?
  if [ $code = 0 ] && grep -q '^1\.\.[1-9]' <<<"$tap"; then return 0; fi
  # Cases and their comments, and what is no TAP.
  awk '/^ok /{ bad = 0; next } /^not ok /{ bad = 1 } bad || !/^(#|1\.\.)/' <<<"$tap"
  return 1
}

@test "a page without a fault passes, and each fault put into it is found" {
  # Each takes some seconds: of each sort one, else.
  local faults=(overflow clipped small-text empty-chart tiny-words words-overlap no-base64 throws image faint-in-dark)
  [ -z "${DUET_TEST_FULL:-}" ] || faults=()
  look --selftest "${faults[@]}"
}

@test "the page of real results, in English and in Korean" {
  local results=("$scratch/boot.json" "$scratch/memory.json" "$scratch/density.json") shots=$source_dir/build/test-logs
  duet report -o "$scratch/en.html" "${results[@]}"
  look "$scratch/en.html" --figures 7 --downloads 6 --shots "$shots/report-en"
  duet report --lang ko -o "$scratch/ko.html" "${results[@]}"
  look "$scratch/ko.html" --figures 7 --views 'light-360|dark-1440|print' --shots "$shots/report-ko"
}

@test "a page of two results of one benchmark, with names of anybody" {
  jq '.arms[0].name = "<b>" + ("long name " * 20) | .arms as $a | .plan.arms = [$a[].name] |
    .samples |= map(if .arm == "vm" then .arm = $a[0].name else . end) |
    .plan.order |= map(map(if . == "vm" then $a[0].name else . end))' "$scratch/boot.json" >"$scratch/long.json"
  duet report -o "$scratch/two.html" "$scratch/long.json" "$scratch/boot.json"
  look "$scratch/two.html" --figures 8 --downloads 2 --views '360|light-820|print|noscript'
}
