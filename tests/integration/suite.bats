#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# All benchmarks in turn: `bench all` and `bench quick`.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() {
  root_down
  is "$(left_behind)" ""
}

quick() { duet bench quick --arms container,native --budget 1s -o "$scratch/run" "$@"; }

@test "a run that is killed goes on with --resume, with the same plan" {
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench quick --arms container,native --budget 1s --seed 7 \
    -m 64m -o "$scratch/run" busybox >/dev/null 2>&1 &
  local pid=$!
  wait_for 60 test -s "$scratch/run/memory.json.part"
  kill -9 $pid
  cp "$scratch/run/boot.json" "$scratch/boot.json"
  expect 125 quick busybox
  [[ $output == *"give --resume"* ]]
  # As it was told, and nothing else.
  for other in "-m 65m" "--seed=8" "--idle"; do
    # shellcheck disable=SC2086
    expect 125 quick $other --resume busybox
    [[ $output == *"cannot resume"*"duet bench quick"* || $output == *"Unknown option"* ]]
  done
  expect 125 duet bench all --resume -o "$scratch/run"
  expect 0 duet bench quick --resume -o "$scratch/run"
  cmp "$scratch/boot.json" "$scratch/run/boot.json"
  jq -e '.plan.seed == 7 and .benchmark == "cost" and [.arms[] | [.kind, .command]] == [["native", ["true"]]] and
    all(.samples[]; .status == "ok" and .bare_spawn_ns > 0)' "$scratch/run/cost.json"
  jq -e '.plan.seed == 7 and .benchmark == "boot" and .plan.n >= 10 and .interrupted == false' "$scratch/run/boot.json"
  jq -e '.plan.seed == 7 and .benchmark == "memory" and .interrupted == false and
    ([.samples[].arm] | unique) == ["container"] and .arms[0].limits.memory_bytes == 67108864 and
    ([.samples[] | select(.discarded | not)] | length) == .plan.n * (.plan.counts | length)' "$scratch/run/memory.json"
  is "$(ls "$scratch/run")" $'boot.json\ncost.json\nmemory.json\nsuite.conf'
  [[ $output == *"=== claims"*"containers"* ]]
  # The image is tried with the kinds there are.
  [[ $output == *"holds         A container has the host's kernel."*"--arms container,native leaves vm out"* ]]
  [[ $output != *"no image was given"* ]]
  expect 125 quick --resume other
  none_listed
  expect 0 quick --resume busybox
  [[ $output != *"=== boot"* && $output != *"=== memory"* ]]
}

@test "a benchmark that was interrupted goes on with --resume as well" {
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench quick --arms container,native --budget 1s --seed 7 -v "$scratch:/mnt" \
    -o "$scratch/cut" busybox >/dev/null 2>&1 3>&- &
  local pid=$!
  wait_for 60 test -s "$scratch/cut/memory.json.part"
  kill -INT $pid
  status=0
  wait $pid || status=$?
  is "$status" 130
  jq -e '.interrupted' "$scratch/cut/memory.json"
  expect 0 duet bench quick --arms container,native --budget 1s -o "$scratch/cut" --resume busybox
  [[ $output == *"cost: left out: only root can spawn a payload bare, and one of root's without folders"* ]]
  [[ $output != *"=== boot"* && $output == *"=== memory"* ]]
  jq -e '.plan.seed == 7 and (.interrupted | not) and any(.warnings[]; startswith("it was cut short")) and
    ([.samples[] | select(.discarded | not)] | length) == .plan.n * (.plan.counts | length)' "$scratch/cut/memory.json"
  expect 0 duet bench quick --arms container,native --budget 1s -o "$scratch/cut" --resume busybox
  [[ $output != *"=== memory"* ]]
}

@test "^C while a part's own payload is tried ends all" {
  needs_root "to spawn a payload bare"
  mkdir -p "$scratch/layer/bin"
  printf '#!/bin/sh\nexec sleep 100\n' >"$scratch/layer/bin/true"
  chmod 755 "$scratch/layer/bin/true"
  cp "$scratch/busybox.tar" "$scratch/slow.tar"
  tar -rf "$scratch/slow.tar" -C "$scratch/layer" bin/true
  duet image import --name slow "$scratch/slow.tar" >/dev/null
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench quick --arms container,native --budget 1s -o "$scratch/stopped" \
    slow >/dev/null 2>&1 3>&- &
  local pid=$!
  one_runs() { [ -n "$(duet ps -q)" ]; }
  wait_for 60 one_runs
  kill -INT $pid
  status=0
  wait $pid || status=$?
  is "$status" 130
  is "$(ls "$scratch/stopped")" suite.conf
  none_listed
}

@test "what makes no sense is refused before anything is measured" {
  for budget in 0 -1m 1d ten 1e99h; do
    expect 125 duet bench all --budget "$budget" -o "$scratch/none" busybox
    [[ $output == *"--budget"* ]]
  done
  expect 125 duet bench all --resume busybox
  expect 125 duet bench all --resume -o "$scratch/none" busybox
  [[ $output == *"nothing to resume"* ]]
  expect 125 duet bench all -o /proc/none busybox
  expect 125 duet bench all --arms container -o "$scratch/fails" busybox -- false
  [[ $output == *"the payload failed"* ]]
  [ ! -e "$scratch/none" ] && [ ! -e "$scratch/fails" ]
  # Nor is anything left of what came before the trial, but what is the user's.
  expect 125 duet bench all --arms container,native --budget 1s -o "$scratch/fails" busybox -- false
  [[ $output == *"=== cost"*"the payload failed"* ]]
  [ ! -e "$scratch/fails" ]
  mkdir "$scratch/fails" && echo mine >"$scratch/fails/cost.json"
  expect 125 duet bench all --arms container,native --budget 1s -o "$scratch/fails" busybox -- false
  is "$(head "$scratch/fails"/*)" mine
}

@test "results of another run in the folder are no part of this one" {
  mkdir "$scratch/others"
  for file in boot.json density.json memory.json.part; do
    touch "$scratch/others/$file"
    for verb in quick all; do
      expect 125 duet bench $verb --arms container,native --budget 1s -o "$scratch/others" busybox
      [[ $output == *"others/$file' is there already, and not of this run"* && $output != *"==="* ]]
      is "$(ls "$scratch/others")" "$file"
    done
    rm "$scratch/others/$file"
  done
  # Nor what was laid beside a run that goes on.
  begun cost.json --arms container,native --budget 1s busybox -- sleep 0.5
  touch "$scratch/early/density.json"
  expect 125 duet bench quick --resume -o "$scratch/early"
  [[ $output == *"early/density.json' is there already, and not of this run"* && $output != *"==="* ]]
  rm -r "$scratch/early"
}

# begun FILE ARGUMENT...: a `bench quick` that is killed a second after FILE is there.
begun() {
  local file=$1
  shift
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench quick -o "$scratch/early" "$@" >/dev/null 2>"$scratch/early.log" 3>&- &
  local pid=$!
  wait_for 60 test -s "$scratch/early/$file"
  sleep 1
  kill -9 $pid
}

@test "one that was killed in its trial goes on with another trial" {
  begun cost.json --arms container,native --budget 1s busybox -- sleep 0.5
  cp "$scratch/early/cost.json" "$scratch/cost.json"
  [ ! -e "$scratch/early/boot.json.part" ]
  # No word of progress where nobody watches.
  is "$(grep -c 'a trial' "$scratch/early.log")" 0
  begun boot.json.part --resume
  cmp "$scratch/cost.json" "$scratch/early/cost.json"
}

@test "bench all measures work, too, where the store has the image with the tools" {
  expect 0 duet bench all --arms container,native --budget 1s -o "$scratch/all" busybox
  [[ $output == *"=== cost: $scratch/all/cost.json"*"duet itself "*" spawned bare "*"=== boot"* ]]
  [[ $output == *"overhead: left out: there is no image 'bench'"*"images/recipes/bench"* ]]
  [ ! -e "$scratch/all/overhead.json" ]
  stock_image bench
  expect 0 duet bench all --resume -o "$scratch/all" busybox
  [[ $output == *"=== overhead: $scratch/all/overhead.json"* && $output != *"=== boot"* ]]
  jq -e '.host.load_includes_own and .benchmark == "overhead" and .plan.n == 12 and .plan.duration_s == 1 and
    [.arms[].name] == ["cpu:container", "cpu:native"] and
    all(.samples[]; .status == "ok") and .comparisons[0].verdict != "too few samples"' "$scratch/all/overhead.json"
  valid_result "$scratch/all/overhead.json"
  # What is not alike is not set side by side.
  run duet report "$scratch"/all/*.json
  is "$status" 0
  [[ $output == *"== Start and end =="*"== What duet itself costs =="* && $output != *"the change =="* ]]
  expect 0 duet bench compare "$scratch/all/overhead.json" "$scratch/all/overhead.json"
  [[ $output == *"cpu.events_per_s, second / first"*"both files hold the same run"* ]]
}

# Both kinds, and the budget that a lecture has: every claim has its figure, and what takes a VM is told.
# bats test_tags=full
@test "bench quick as it comes ends within its time, with a figure for each claim it measures" {
  local began=$SECONDS terminal
  expect 0 duet bench quick --seed 5 -o "$scratch/lecture" busybox
  # Three minutes are the plan; a busy host may take half as long again.
  [ $((SECONDS - began)) -le 270 ] || { echo "took $((SECONDS - began)) s"; return 1; }
  is "$(ls "$scratch/lecture")" $'boot.json\ncost.json\nmemory.json\nsuite.conf'
  for file in cost boot memory; do valid_result "$scratch/lecture/$file.json"; done
  jq -e '[.arms[].kind] == ["vm", "container", "native"] and all(.samples[]; .status == "ok")' "$scratch/lecture/boot.json"
  [[ $output == *", 0 do not hold,"* && $output != *"too few samples"* ]]
  claims=$(duet bench claims --results "$scratch/lecture/boot.json" "$scratch/lecture/memory.json" \
    --only memory,start,stop,cpu --format json)
  jq -e 'all(.claims[]; .low > 1 and .value > .low and .high > .value)' <<<"$claims" || { echo "$claims"; return 1; }
  # With somebody at a terminal, what comes and how long it takes is told.
  terminal=$(script -qec "'$DUET' bench quick --resume -o '$scratch/lecture' busybox" /dev/null)
  [[ $terminal == *"claims: about a minute"* ]]
}
