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
  # Of what has a host name -h is that, and help has no letter.
  for verb in run compare "bench boot"; do
    # shellcheck disable=SC2086
    duet $verb --help >"$scratch/help"
    grep -q -e '  -h, --hostname=NAME' "$scratch/help"
    grep -q -e '^  --help ' "$scratch/help"
  done
  duet ps --help | grep -q -e '-h, --help'
  expect 0 duet ps -h
  is "$(duet run --rm -h there busybox hostname)" there
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
  is "$(duet ps -a --format '{{.Names}}\t{{ .Image }}: {{.State}}, {{.Command}}')" \
    $'listed\tbusybox:latest: created, true'
  is "$(duet ps -a --format '{{.ID}}')" "$(duet ps -aq)"
  duet ps -a --format '{{json .}}' | jq -e '.name == "listed"'
  expect 125 duet ps --format '{{.Nmaes}}'
  [[ $output == *"'{{.Nmaes}}' is nothing"*"{{json .}}"*".Names, "* ]]
  expect 125 duet ps --format 'table {{.ID}}'
  expect 125 duet ps --format '{{.ID'
  [[ $output == *"is not closed"* ]]
  expect 125 duet image ls --format '{{.ID}}'
  [[ $output == *"--format json"* ]]
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

@test "--all is for those that a verb can do something to" {
  local name
  for name in one two three; do duet run -d --name $name busybox sleep 100 >/dev/null; done
  is "$(duet pause one)" one
  is "$(duet pause --all | sort | xargs)" "three two"
  is "$(duet unpause -a | sort | xargs)" "one three two"
  is "$(duet stop -a -t 0 | sort | xargs)" "one three two"
  is "$(duet stop -a)" ""
  is "$(duet start --all | sort | xargs)" "one three two"
  duet kill -a >/dev/null
  wait_for 10 none_runs
  expect 125 duet stop --all one
  [[ $output == *"contradict"* ]]
  duet rm --all >/dev/null
  none_listed
}

@test "rm -f of what is not there is no failure, rm is" {
  duet create --name one busybox true >/dev/null
  is "$(duet rm -f nosuch one 2>&1)" one
  expect 125 duet rm nosuch
}

@test "--replace takes the place of an instance when the new one can be, and not before" {
  local first
  expect 125 duet create --replace busybox true
  first=$(duet run -d --replace --name one busybox sleep 100)
  expect 125 duet run -d --replace --name one nosuch true
  expect 125 duet run -d --replace --name one -w relative busybox true
  is "$(field one id) $(state_of one)" "$first running"
  duet run -d --replace --name one busybox sleep 100 >/dev/null
  [ "$(field one id)" != "$first" ]
  is "$(duet ps -aq | wc -l)" 1
  duet rm -f one
}

@test "--cidfile is made with the instance, or not at all" {
  local file=$scratch/id
  expect 125 duet create --cidfile "$file" nosuch true
  duet create --name one busybox true >/dev/null
  expect 125 duet create --name one --cidfile "$file" busybox true
  [ ! -e "$file" ]
  is "$(duet create --cidfile "$file" busybox true)" "$(cat "$file")"
  expect 125 duet create --cidfile "$file" busybox true
  [[ $output == *"File exists"* ]]
  is "$(duet ps -aq | wc -l)" 2
  duet rm --all >/dev/null
}

@test "exec --env-file" {
  printf '# not this\nONE=of the file\nTWO=of the file\n' >"$scratch/env"
  duet run -d --name one busybox sleep 100 >/dev/null
  is "$(duet exec --env-file "$scratch/env" -e TWO=given one sh -c 'echo $ONE $TWO')" "of the file given"
  expect 125 duet exec --env-file "$scratch/nosuch" one true
  duet rm -f one >/dev/null
}
