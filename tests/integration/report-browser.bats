#!/usr/bin/env bats
# shellcheck disable=SC2154 # tests_dir is lib.bash's, shots look.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# A page of `duet report`, as browsers show it.

load lib
load look

setup_file() {
  "$tests_dir/browser/install"
  root_up
  stock_image busybox
  duet bench boot --arms vm,container,native -n 4 --seed 1 -o "$scratch/boot.json" busybox >/dev/null 2>&1
  duet bench memory --arms vm,container --counts 1,2 --rounds 2 --age 0.5 --seed 2 -o "$scratch/memory.json" \
    busybox >/dev/null 2>&1
  duet bench density --arms vm,container --max 3 --age 0.1 -o "$scratch/density.json" busybox >/dev/null 2>&1
  duet bench boot --arms container,native --parallel 1,2,4 -n 6 --seed 3 -o "$scratch/load.json" busybox >/dev/null 2>&1
  duet compare -o "$scratch/compare.json" busybox >/dev/null 2>&1
  for run in boot memory density load compare; do as_on_hardware "$scratch/$run.json"; done
}
teardown_file() { root_down; }

# bats test_tags=full
@test "a page without a fault passes, and each fault put into it is found" {
  look --selftest
}

@test "the page of real results, in English and in Korean" {
  local results=("$scratch/boot.json" "$scratch/memory.json" "$scratch/density.json")
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

# bats test_tags=full
@test "a page of three results, and of many starts at once" {
  duet report -o "$scratch/many.html" "$scratch/boot.json" "$scratch/long.json" "$scratch/boot.json" "$scratch/load.json"
  look "$scratch/many.html" --figures 12 --downloads 8 --views '360|dark-820|print' --shots "$shots/report-many"
}

@test "the page of a comparison" {
  duet report -o "$scratch/compare.html" "$scratch/compare.json"
  grep -q "$(uname -r)" "$scratch/compare.html"
  look "$scratch/compare.html" --figures 2 --views '360|dark-820|print' --shots "$shots/report-compare"
}
