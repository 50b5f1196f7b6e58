#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# A benchmark that is killed loses at most the sample that it was taking, and leaves nothing.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }
teardown() {
  rm -f "$scratch"/run.json*
  ! mountpoint -q "$scratch/full" || umount "$scratch/full"
}

# measure NAME [OPTION...]: a benchmark with its result in $scratch/run.json.
boot() {
  "$DUET" bench boot --arms container,native -n 6 --timeout 30 -o "$scratch/run.json" "$@" busybox -- \
    sh -c 'echo x; sleep 0.2'
}
memory() {
  "$DUET" bench memory --arms container --counts 1,2 --rounds 3 --age 0.3 -o "$scratch/run.json" "$@" busybox
}

# has_lines N: the journal's first line, one for the facts of each driver, and one for each sample.
has_lines() { [ "$(wc -l <"$scratch/run.json.part")" -ge "$1" ]; }

# kill_after LINES COMMAND...: kills the benchmark, and nothing else, with so much in its journal.
kill_after() {
  local lines=$1 bench
  shift
  "$@" >"$scratch/table" 2>&1 3>&- &
  bench=$(child_of $!)
  wait_for 60 has_lines "$lines"
  kill -KILL "$bench"
  wait $! || true
  # What it had started ends by itself, without any other command.
  is "$(left_behind)" ""
  wait_for 10 none_listed
}
# The shell of the job, or the command that it became.
child_of() {
  local child=''
  for ((i = 0; i < 100 * slow; i++)); do
    child=$(pgrep -P "$1" -x duet || true)
    [ -z "$child" ] || break
    [ "$(cat "/proc/$1/comm" 2>/dev/null)" != duet ] || { child=$1 && break; }
    sleep 0.05
  done
  echo "$child"
}

# complete N: each sample of the plan is there once, in the plan's order, and all numbers are.
complete() {
  jq -e --argjson n "$1" '.interrupted == false and
    ([.samples[].seq] == [range(.samples | length)]) and
    ([.samples[] | select(.discarded | not) | .arm] == ([.plan.order[]] | flatten)) and
    ([.samples[] | select(.discarded | not)] | length == $n)' "$scratch/run.json" >/dev/null
}

@test "bench boot killed with SIGKILL: what was measured is shown, and resumed to the end" {
  kill_after 7 boot --seed 5
  [ ! -e "$scratch/run.json" ]
  # Half of a line more, as a crash of the host may leave it.
  printf '{"arm": "contai' >>"$scratch/run.json.part"
  local k
  duet bench show --format json "$scratch/run.json.part" >"$scratch/shown.json"
  k=$(jq '.samples | length' "$scratch/shown.json")
  [ "$k" -ge 4 ]
  [ "$k" -lt 14 ]
  jq -e '.interrupted and .plan.seed == 5 and .plan.n == 6' "$scratch/shown.json"
  duet bench show "$scratch/run.json.part" | grep -q 'interrupted'
  expect 1 duet bench check "$scratch/run.json.part"
  [[ $output == *interrupted* ]]

  expect 125 boot --seed 5
  [[ $output == *"run.json.part"*"--resume"* ]]
  boot --resume >"$scratch/table"
  [ ! -e "$scratch/run.json.part" ]
  complete 12
  # Those that were taken are as they were, and a warm-up of each arm came between.
  jq -e --slurpfile cut "$scratch/shown.json" --argjson k "$k" '.samples[:$k] == $cut[0].samples and
    .run_id == $cut[0].run_id and ([.samples[$k:$k + 2][].discarded] | all) and .plan.seed == 5 and
    (.warnings | any(contains("resumed after")))' "$scratch/run.json" >/dev/null
  expect 1 duet bench check "$scratch/run.json"
  [[ $output == *"resumed after"* ]]
}

@test "bench memory killed with SIGKILL: its instances go, and it is resumed" {
  kill_after 5 memory --seed 5
  local k
  k=$(grep -c '"seq"' "$scratch/run.json.part")
  memory --resume >"$scratch/table"
  complete 6
  jq -e '(.idle_noise | length) > 1 and ([.samples[] | select(.discarded)] | length == 2)' "$scratch/run.json"
  [ "$(jq '.samples | length' "$scratch/run.json")" -ge "$k" ]
}

@test "a VM whose benchmark is killed goes with it" {
  "$DUET" bench boot --arms vm -n 1 -o "$scratch/run.json" busybox -- sleep 100 >/dev/null 2>&1 3>&- &
  local bench=$!
  one_runs() { [ -n "$(duet ps -q)" ]; }
  wait_for 60 one_runs
  kill -KILL $bench
  wait_for 30 none_listed
  is "$(left_behind)" ""
  # Not one sample was taken: what holds the name is in nobody's way.
  [ ! -s "$scratch/run.json.part" ]
  expect 125 "$DUET" bench boot --arms vm -n 1 -o "$scratch/run.json" --resume busybox -- sleep 100
  [[ $output == *"nothing to resume"* ]]
  "$DUET" bench boot --arms container -n 1 -o "$scratch/run.json" busybox -- true >/dev/null 2>&1
  complete 1
}

@test "of two benchmarks into one file the second is refused before it measures" {
  "$DUET" bench boot --arms container -n 1 -o "$scratch/run.json" busybox -- sleep 100 >/dev/null 2>&1 3>&- &
  local bench=$! code=0
  wait_for 60 running_one
  for option in '' --resume; do
    # shellcheck disable=SC2086
    expect 125 boot $option
    [[ $output == *"process $bench is still writing '$scratch/run.json.part'"* ]]
    is "$(grep -c "still writing" <<<"$output")" 1
  done
  running_one
  kill -TERM $bench
  wait $bench || code=$?
  is "$code" 130
  [ ! -e "$scratch/run.json.part" ]
  none_listed
}

@test "bench memory that is resumed keeps its numbers, unless others are asked for" {
  kill_after 5 memory --seed 5
  local command=("$DUET" bench memory --arms container --rounds 3 --age 0.3 -o "$scratch/run.json" --resume)
  expect 125 "${command[@]}" --counts 1,4 busybox
  "${command[@]}" busybox >/dev/null 2>&1
  complete 6
  is "$(jq -c '.plan.counts' "$scratch/run.json")" '[1,2]'
}

@test "only the same is resumed" {
  kill_after 7 boot --seed 5
  cp "$scratch/run.json.part" "$scratch/before"
  expect 125 boot --seed 6 --resume
  [[ $output == *"seed: then '5', now '6'"* ]]
  expect 125 boot -n 7 --resume
  expect 125 boot --arms container,vm --resume
  expect 125 "$DUET" bench boot --arms container,native -n 6 --timeout 30 -o "$scratch/run.json" --resume busybox
  expect 125 memory --resume
  expect 125 duet bench boot --resume busybox
  expect 125 duet bench boot --resume -o "$scratch/other.json" busybox
  [[ $output == *"nothing to resume"* ]]
  cmp "$scratch/before" "$scratch/run.json.part"
  none_listed
}

@test "a run that the user interrupted is resumed from its result" {
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench boot --arms container -n 4 --seed 3 -o "$scratch/run.json" \
    busybox -- sh -c 'echo x; sleep 0.7' >/dev/null 2>&1 3>&- &
  local bench=$! code=0
  wait_for 60 has_lines 4
  wait_for 20 running_one
  kill -INT -- -$bench
  wait $bench || code=$?
  is "$code" 130
  [ ! -e "$scratch/run.json.part" ]
  jq -e '.interrupted' "$scratch/run.json"
  "$DUET" bench boot --arms container -n 4 -o "$scratch/run.json" --resume busybox -- \
    sh -c 'echo x; sleep 0.7' >/dev/null 2>&1
  complete 4
  expect 125 "$DUET" bench boot --arms container -n 4 -o "$scratch/run.json" --resume busybox -- \
    sh -c 'echo x; sleep 0.7'
  [[ $output == *complete* ]]
}
running_one() { [ "$(duet ps --format json | jq '[.[] | select(.state == "running")] | length')" = 1 ]; }

@test "what can't be measured leaves no journal" {
  expect 127 "$DUET" bench boot --arms container -n 1 -o "$scratch/run.json" busybox -- nosuchprogram
  [ ! -e "$scratch/run.json.part" ]
}

# full BENCHMARK ARGUMENT...: with its result on a disk that has no room for it, and then has.
full() {
  local size
  duet bench "$@" -o "$scratch/run.json" busybox >/dev/null 2>&1
  size=$(stat -c %s "$scratch/run.json")
  mkdir -p "$scratch/full"
  mount -t tmpfs -o size=4m small "$scratch/full"
  # The journal fits beside this, and the result does not.
  head -c $((4194304 - size)) /dev/zero >"$scratch/full/other"
  expect 125 duet bench "$@" -o "$scratch/full/run.json" busybox
  [[ $output == *"cannot save the result: "*"No space left on device; '$scratch/full/run.json.part' holds"*"--resume"* ]]
  [[ $output == *"image    busybox"*container* ]]
  is "$(ls "$scratch/full")" $'other\nrun.json.part'
  rm "$scratch/full/other"
  expect 0 duet bench "$@" --resume -o "$scratch/full/run.json" busybox
  jq -e '.interrupted | not' "$scratch/full/run.json"
  umount "$scratch/full"
}

@test "what can't be saved is shown, and saved later without measuring anew" {
  full boot --arms container,native -n 20
  full density --arms container --max 20
}
