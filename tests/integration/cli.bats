#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The command line itself.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

@test "help lists every verb, and each has help of its own" {
  run duet help
  is "$status" 0
  local help=$output
  for verb in run create start stop kill rm ps inspect logs exec wait image compare bench check; do
    [[ $help == *"  $verb "* ]]
    [[ $verb == bench ]] || expect 0 duet "$verb" --help
  done
}

# fits WORD...: no line of this page is wider than a terminal.
fits() {
  local page
  page=$(duet "$@")
  [ "$(wc -L <<<"$page")" -le 80 ] || { echo "duet $*"; awk 'length > 80' <<<"$page"; return 1; }
}
# below VERB: the commands that a verb has of its own, one a line.
below() { duet "$1" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p'; }

@test "every page of help fits 80 columns" {
  local verb command pages=0
  fits help
  for verb in $(duet help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p'); do
    [ "$verb" != help ] || continue
    fits "$verb" --help
    for command in $(below "$verb"); do
      fits "$verb" "$command" --help
      pages=$((pages + 1))
    done
  done
  [ $pages -ge 16 ] # of bench and image
  # What is cut is continued, and tools that read the page find it whole.
  duet bench boot --help | grep -q '^ \{30,\}[a-z]'
  "$source_dir/docs/commands.sh" "$DUET" |
    grep -P '^o\tbench boot\t--cache\tMODE\tbefore each sample: .*\(drop all caches of the host\)$'
}

@test "the page of a command below another has its own usage line" {
  [ "$(duet bench boot --help | head -1)" = 'Usage: duet bench boot [OPTION...] IMAGE [-- COMMAND [ARG...]]' ]
  [ "$(duet help image ls | head -1)" = 'Usage: duet image ls [--format FORMAT] [-q]' ]
  is "$(duet run --help | grep -c OPTION)" 1
  expect 0 duet image -h
  expect 125 duet bench memory
  [[ $output == *"bench memory: which image?"* ]]
  expect 125 duet bench quick --memory-budget 1g busybox
}

@test "compare exits with 1 where its command never ran in one arm, and says which" {
  # No guest is up by then.
  expect 1 duet compare --timeout 0.2 busybox true
  [[ $output == *"! vm: timed out"* && $output != *"! container"* ]]
  none_listed
}

@test "a near miss is answered with the nearest verb" {
  run duet rnu
  is "$status" 125
  [[ $output == *"did you mean 'run'"* ]]
  run duet image lss
  is "$status" 125
  [[ $output == *"did you mean 'ls'"* ]]
}

@test "impossible requests are one error each, code 125" {
  for words in "run" "run --as chroot busybox true" "run -m lots busybox true" \
    "run --cpus -1 busybox true" "run --cpus 99999 busybox true" "run --pids-limit -7 busybox true" \
    "run --network bridge busybox true" "run -v relative busybox true" "run nosuchimage true" \
    "exec" "logs" "logs nosuch" "inspect nosuch" "rm nosuch" "stop nosuch" "kill -s NOSUCH x" \
    "image import" "image import /nosuch" "image rm nosuch" "ps --format yaml" "bench" \
    "run --disk-size 1g busybox true" "run -w x busybox true" "run --timeout nan busybox true" \
    "run --timeout 4294968 busybox true" "run --timeout 0.0004 busybox true" "image ls busybox" "check kvm"; do
    # shellcheck disable=SC2086
    run duet $words
    [ "$status" = 125 ] || { echo "$status: duet $words: $output"; return 1; }
    [ -n "$output" ]
  done
  none_listed
}

@test "ps and image ls as JSON and as tables" {
  duet create --name listed busybox true
  duet ps -a --format json | jq -e '.[0].name == "listed" and .[0].state == "created"'
  [[ $(duet ps -a) == *listed* ]]
  none_runs
  duet image ls --format json | jq -e '.[0].name | startswith("busybox")'
  duet image inspect busybox | jq -e type
  duet rm listed
}

@test "options may stand behind the names that they are for, and a command's are its own" {
  duet run -d --name late busybox sh -c 'trap "exit 7" HUP; echo set; while :; do sleep 0.1; done'
  wait_for 10 wrote late set
  duet kill late -s HUP
  is "$(duet wait late)" 7
  [[ $(duet logs late -f) == set ]]
  duet rm late -f
  is "$(duet run --rm busybox echo -- -m --name)" "-- -m --name"
  run duet rm -- -f
  is "$status" 125
  [[ $output == *"'-f'"* ]]
}

@test "what others wrote is shown to a terminal, not obeyed by it" {
  duet create --name escape busybox echo $'\e[2J\e]0;owned\a' ü
  run duet ps -a
  [[ $output == *'^[[2J^[]0;'* && $output != *$'\e'* ]]
  duet rm escape
  run duet run --rm $'no\e[2Jimage' true
  is "$status" 125
  [[ $output == *'no^[[2Jimage'* && $output != *$'\e'* ]]
}

@test "check answers with a line for each ability, as a table and as JSON" {
  run duet check
  is "$status" 0
  for what in kvm cgroup overlayfs libvirt qemu disk; do [[ $output == *"$what"* ]]; done
  duet check --format json | jq -e 'map(.name) | index("disk")'
  duet check --format json | jq -e 'all(.status == "ok" or .status == "warning" or .status == "no")'
  # a no comes with advice
  duet check --format json | jq -e 'all(.[] | select(.status == "no"); .advice != null)'
}

@test "DUET_AS chooses the kind, DUET_ROOT the place" {
  DUET_AS=nonsense run duet run --rm busybox true
  is "$status" 125
  DUET_AS=container run duet run --rm busybox true
  is "$status" 0
  [ -d "$DUET_ROOT/instances" ]
}

@test "a locale that is not UTF-8 changes nothing" {
  is "$(LC_ALL=C duet run --rm -e 'U=ü' busybox sh -c 'echo "$U $1"' s 'é')" "ü é"
}
