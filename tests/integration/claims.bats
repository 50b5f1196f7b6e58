#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# `bench claims`, for real.

load lib

setup_file() {
  root_up
  stock_image busybox
  # Where a second root and an archive are made; QEMU must come through.
  export TMPDIR=$scratch/tmp
  mkdir "$TMPDIR"
  chmod 0711 "$scratch" "$TMPDIR"
}
teardown_file() { root_down; }

claims() { duet bench claims "$@" 2>/dev/null; }
# says ID FILTER: what the page says of a claim.
says() { jq -e --arg id "$1" ".claims[] | select(.id == \$id) | $2" "$scratch/claims.json"; }
clean() {
  none_listed
  is "$(left_behind)" ""
  is "$(ls -A "$TMPDIR")" ""
}

@test "what can be tried here holds, a guest's panic among it" {
  local id
  claims --format json busybox --only \
    kernel-shared,kernel-own,processes,unchanged,portable,layers,panic,panic-container >"$scratch/claims.json"
  for id in kernel-shared kernel-own processes unchanged portable layers panic; do
    says "$id" '.verdict == "holds"' || { cat "$scratch/claims.json"; return 1; }
    says "$id" ".command == \"duet bench claims busybox --only $id\""
  done
  says kernel-shared ".because | contains(\"$(uname -r)\")"
  says layers '.value < 0.5 and .value > 0'
  says panic-container '.verdict == "not run" and (.because | contains("the host"))'
  clean
}

# bats test_tags=quiet
@test "a container is throttled as told, within 5 %" {
  needs_limits
  claims --format json busybox --only throttle >"$scratch/claims.json"
  # A host that has not half a CPU to give can't show it, and says so.
  says throttle '.value <= 0.525 and (.verdict == "holds" and .value >= 0.475 or
    .verdict == "undecided" and (.because | contains("no CPU time left")))'
  clean
}

# bats test_tags=full
@test "figures are measured at once where no result is given" {
  claims busybox --only stop --seed 3 --format json >"$scratch/claims.json"
  says stop '.value > 1 and .low <= .value and .value <= .high and .unit == "vm / container" and
    (.verdict == "holds" or (.verdict == "undecided" and (.because | contains("no KVM")) or (.because | contains("nested"))))'
  says stop '.command == "duet bench claims busybox --seed 3 --only stop"'
  clean
}

# bats test_tags=full
@test "more containers than VMs fit, measured at once" {
  claims busybox --only density --format json >"$scratch/claims.json"
  says density '.value > 5 and .unit == "container / vm" and
    (.verdict == "holds" or (.verdict == "undecided" and (.because | contains("no KVM")) or (.because | contains("nested"))))'
  clean
}

@test "figures come from results, and an arm that is not there is told" {
  cd "$scratch"
  duet bench boot --arms container,native -n 2 -o boot.json busybox >/dev/null 2>&1
  duet bench memory --arms container --counts 1 --rounds 1 --age 0.1 -o memory.json busybox >/dev/null 2>&1
  # Nothing is started for these: there is no root.
  DUET_ROOT=/nonexistent claims --results boot.json memory.json --only start,memory,density,throttle >page
  [ "$(wc -L <page)" -le 80 ]
  is "$(grep -c 'the result has no arm of kind vm' page)" 2
  grep -q 'give a result of `duet bench density`' page
  grep -q 'because  *no image was given' page
  grep -q '0 hold, 0 do not hold, 0 undecided, 4 not run' page
  # A host of its own, not a guest, where figures would be withheld before they are counted.
  jq '.host.cpu.hypervisor = null | .arms |= map(if .name == "native" then .kind = "vm" else . end)' boot.json >vm.json
  DUET_ROOT=/nonexistent claims --results vm.json --only start --format md | grep -q 'too few samples: 2'
}

@test "kinds that are not wanted are why a claim is not run" {
  claims --format json busybox --arms container --only kernel-shared,kernel-own >"$scratch/claims.json"
  says kernel-shared '.verdict == "holds"'
  says kernel-own '.verdict == "not run" and .because == "--arms container leaves vm out"'
  expect 125 duet bench claims busybox --arms container,jail
  [[ $output == *"'jail' is no kind"* ]]
  clean
}

@test "published figures stand beside ours, and none is a limit" {
  cd "$scratch"
  duet bench reproduce >list
  [ "$(wc -L <list)" -le 80 ]
  is "$(grep -c '^[a-z]' list)" "$(duet bench reproduce --format json | jq length)"
  duet bench boot --arms container,native -n 10 -o ours.json busybox >/dev/null 2>&1
  # Times of a host with KVM: 6.69 times as long was published, here it is 6.
  jq '.host.cpu.hypervisor = null
    | .arms |= map(if .name == "native" then .kind = "vm" | .driver = {"accel": "kvm"} else . end)
    | .samples |= map(.marks_ns.output = (if .arm == "native" then 60000000 else 10000000 end) + .seq * 7919 % 100 * 1000)' \
    ours.json >kvm.json
  duet bench reproduce idlab-start --results kvm.json >page
  [ "$(wc -L <page)" -le 80 ]
  grep -q '^its ratio  *6.69$' page
  grep -qE '^our ratio  *(5.9|6.0)' page
  grep -q '^verdict  *ratio within x2$' page
  jq '(.samples[] | select(.arm == "native")).marks_ns.output *= 10' kvm.json >far.json
  duet bench reproduce idlab-start --results far.json --format md | grep -q '| verdict | direction holds |'
  jq '.arms |= map(if .kind == "vm" then .driver.accel = "tcg" else . end)' kvm.json >tcg.json
  duet bench reproduce --format json idlab-start --results tcg.json |
    jq -e '.verdict == "not comparable" and (.because | contains("TCG")) and .our_ratio > 5'
  duet bench reproduce crun --results kvm.json | grep -q 'not comparable, because the run has not both runc and crun'
  expect 125 duet bench reproduce nosuch --results kvm.json
  expect 125 duet bench reproduce crun
  expect 125 duet bench reproduce crun --results kvm.json far.json
  expect 125 duet bench reproduce crun --results list
}

@test "an image without a shell is told, and no error" {
  mkdir "$scratch/empty"
  echo text >"$scratch/empty/file"
  tar -C "$scratch/empty" -cf "$scratch/empty.tar" .
  duet image import --name empty "$scratch/empty.tar" >/dev/null
  claims empty --only kernel-shared,throttle --format json >"$scratch/claims.json"
  says kernel-shared '.verdict == "not run" and (.because | contains("sh"))'
  clean
}

@test "^C ends all instances, and tells what was tried" {
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench claims busybox --only kernel-shared,layers,throttle \
    --format json >"$scratch/claims.json" 2>/dev/null &
  local bench=$! code=0
  # Four containers of `layers` are there, and the first of its VMs.
  five() { [ "$(duet ps -q | wc -l)" -ge 5 ]; }
  wait_for 60 five
  kill -INT -- -$bench
  wait $bench || code=$?
  is "$code" 130
  says kernel-shared '.verdict == "holds"'
  says layers '.verdict == "not run" and .because == "the user interrupted"'
  says throttle '.because == "the user interrupted"'
  clean
}

@test "bad input gives one clear error and 125" {
  for words in '' 'busybox other' 'nosuchimage' 'busybox --only nosuchclaim' 'busybox --format xml' 'busybox --seed x' \
    "--results $scratch/nosuchfile" "--results /dev/null" 'busybox --only='; do
    # shellcheck disable=SC2086 # several words
    expect 125 duet bench claims $words
    is "$(wc -l <<<"$output")" 1
    [[ $output == "duet: "* ]] || { echo "$output"; return 1; }
  done
  clean
}
