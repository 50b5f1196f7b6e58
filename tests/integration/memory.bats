#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What `bench memory` does beside reading: memory that is made equal, guests that are asked, balloons, KSM. The
# reading itself is in bench.bats.

load lib

ksm=/sys/kernel/mm/ksm

setup_file() {
  root_up
  # Not a single program: all that is asked of a guest, its agent must tell by itself.
  mkdir "$scratch/nothing"
  tar -C "$scratch/nothing" -cf "$scratch/nothing.tar" .
  duet image import --name nothing "$scratch/nothing.tar" >/dev/null
}
setup() {
  before='' scans=''
  ! [ -w $ksm/run ] || { before=$(cat $ksm/run) && scans=$(cat $ksm/pages_to_scan); }
}
teardown() {
  [ -z "$before" ] || { echo "$scans" >$ksm/pages_to_scan && echo "$before" >$ksm/run; }
}
teardown_file() { root_down; }

@test "bench memory --equal-memory: a guest has for its payload what a container's limit is" {
  needs_limits
  local result=$scratch/equal.json
  expect 0 duet bench memory --equal-memory 96m --counts 1 --rounds 1 --age 1 -o "$result" nothing
  local text
  text=$(tr -s ' \n' ' ' <<<"$output") # lines are wrapped
  [[ $text == *"96.0 MiB for each payload"* && $text == *"so that an idle guest has for its payload"* ]]
  valid_result "$result"
  jq -e '.plan.equal_memory_bytes == 96 * 1048576 and
    .arms[1].limits.memory_bytes == 96 * 1048576 and
    (.arms[0].limits.memory_bytes | . > 110 * 1048576 and . < 256 * 1048576 and . % 1048576 == 0)' "$result"
  # 1 % when it was fitted, and what a guest does in its first seconds.
  jq -e 'any(.samples[]; .arm == "vm" and (.discarded | not)) and
    all(.samples[] | select(.arm == "vm") | .memory.instances[].guest;
      .available_bytes / 1048576 | . > 93 and . < 99)' "$result"
  jq -e '[.samples[] | select(.arm == "container") | .memory.instances[] | has("guest")] == [false, false]' "$result"
  is "$(duet bench show --format json "$result" | jq -S .samples)" "$(jq -S .samples "$result")"
}

@test "bench memory --equal-memory refuses what can't be" {
  expect 125 duet bench memory --equal-memory 96m -m 128m nothing
  [[ $output == *"leave -m out"* ]]
  expect 125 duet bench memory --equal-memory 0 nothing
  expect 125 duet bench memory --equal-memory lots nothing
  # The smallest VM leaves more than that.
  expect 125 duet bench memory --arms vm --equal-memory 8m --counts 1 nothing
  [[ $output == *"leaves"*"to its payload"* ]]
  none_listed
}

@test "bench memory --balloon: a guest gives back what it does not use, and is told of" {
  local result=$scratch/balloon.json
  expect 0 duet bench memory --balloon 96m --counts 1,2 --rounds 1 --age 1 -o "$result" nothing
  local text
  text=$(tr -s ' \n' ' ' <<<"$output")
  [[ $text == *"then each shrunk to 96.0 MiB"* && $text == *"each, once it is shrunk to 96.0 MiB"* &&
    $text == *"container: its limit is 96.0 MiB then"* ]]
  valid_result "$result"
  jq -e '.plan.balloon_bytes == 96 * 1048576 and all(.samples[]; .status == "ok" and .warnings == [] and
    (.memory.shrunk.instances | length) == .memory.count and all(.memory.shrunk.instances[]; .shrink_ns > 0))' "$result"
  # What the guest has less is what the balloon took: 160 of 256 MiB.
  jq -e 'all(.samples[] | select(.arm == "vm") | .memory;
    (.instances[0].guest.total_bytes - .shrunk.instances[0].guest.total_bytes) / 1048576 | . > 159 and . < 161)' "$result"
  # It never had all of that, but some.
  jq -e 'all(.samples[] | select(.arm == "vm") | .memory;
    .shrunk.instances[0].guest_ram_pss_bytes > 16777216 and
    .instances[0].guest_ram_pss_bytes - .shrunk.instances[0].guest_ram_pss_bytes > 1048576)' "$result" ||
    { jq '.samples[] | select(.arm == "vm") | .memory | [.instances[0], .shrunk.instances[0]] | map(.guest_ram_pss_bytes)' "$result"; return 1; }
  is "$(duet bench show --format json "$result" | jq -S .samples)" "$(jq -S .samples "$result")"
  # More than an idle guest can do without.
  expect 0 duet bench memory --balloon 80m -m 512m --arms vm --counts 1 --rounds 1 --age 1 -o "$result" nothing
  jq -e '.samples[-1] | .memory.shrunk or any(.warnings[]; startswith("not shrunk"))' "$result"
  none_listed
}

@test "bench memory --balloon refuses what can't be" {
  local size
  for size in 8m 256m lots 0; do expect 125 duet bench memory --balloon $size --arms vm nothing; done
  expect 125 duet bench memory --balloon 128m -m 100m nothing
  [[ $output == *"has 100.0 MiB from its start"* ]]
  none_listed
}

@test "bench memory --ksm: guests are merged, and the switch is put back" {
  if ! [ -w $ksm/run ]; then
    expect 125 duet bench memory --ksm on --arms container --counts 1 nothing
    [[ $output == *KSM* ]]
    return
  fi
  local result=$scratch/ksm.json
  # A host's default takes a minute for two guests.
  echo 20000 >$ksm/pages_to_scan
  echo 0 >$ksm/run
  expect 0 duet bench memory --ksm on --arms vm --counts 2 --rounds 1 --age 1 -o "$result" nothing
  is "$(cat $ksm/run)" 0
  local text
  text=$(tr -s ' \n' ' ' <<<"$output")
  [[ $text == *"CPU of ksmd"* && $text == *", KSM on"* ]]
  valid_result "$result"
  jq -e '.plan.ksm == "on" and ([.samples[] | select(.discarded) | .memory | has("ksm")] == [false])' "$result"
  # Two guests of one image have much in common; other VMs of the host may add to it.
  jq -e '.samples[-1].memory.ksm | .settled and .after.full_scans - .before.full_scans >= 2 and
    (.after.pages_sharing - .before.pages_sharing) * .page_bytes > 10e6' "$result"
  emulated "$result" || jq -e '.summary[0].counts[0] | .ksm_settled == 1 and .median_ksm_saved_bytes > 10e6' "$result"
  # Nobody told the host to stop it.
  echo 1 >$ksm/run
  expect 0 duet bench memory --ksm off --arms container --counts 1 --rounds 1 --age 0.1 -o "$result.off" nothing
  is "$(cat $ksm/run)" 1
  jq -e '.plan.ksm == "off" and all(.samples[]; .memory | has("ksm") | not)' "$result.off"
}

@test "bench memory --ksm: killed, it leaves the switch as it was" {
  [ -w $ksm/run ] || skip "KSM can't be switched here"
  echo 0 >$ksm/run
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench memory --ksm on --arms container --counts 1 --age 60 nothing \
    >/dev/null 2>&1 &
  local bench=$!
  wait_for 20 grep -q 1 $ksm/run
  kill -9 -- -$bench
  wait_for 5 grep -q 0 $ksm/run
  duet rm -f --all >/dev/null
}

@test "bench memory --ksm refuses what makes no sense" {
  expect 125 duet bench memory --ksm maybe nothing
  expect 125 duet bench memory --ksm on --ksm-limit 1 nothing
}
