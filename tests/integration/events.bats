#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # for the shell inside; scratch is lib.bash's
# What `duet events` tells of containers, and of one VM.

load lib
KIND=container

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }
# Each case has a file of its own.
setup() { rm -f "$DUET_ROOT"/events "$DUET_ROOT"/events.1; }
teardown() {
  duet rm -f --all >/dev/null
  [ ! -e "$scratch/followers" ] || xargs kill <"$scratch/followers" 2>/dev/null || true
  rm -f "$scratch/followers"
}

refused() { expect 125 "${@:2}" && { [[ $output == *"$1"* ]] || { echo "$output"; false; }; }; }
history() { duet events --since 1h --no-stream "$@"; }
# told [OPTION...]: what happened, in its order.
told() { history --format json "$@" | jq -r .event | xargs; }
# attribute EVENT NAME: of the last of these.
attribute() { history --format json --filter event="$1" | jq -r ".attributes.$2" | tail -n 1; }
# follow FILE [OPTION...]: in the background, into that file; returns when it reads. The process is $follower.
follow() {
  "$DUET" events --format json "${@:2}" >"$1" 3>&- &
  follower=$!
  echo "$follower" >>"$scratch/followers"
  wait_for 10 eval '[ -n "$(find "/proc/$follower/fd" -lname "$DUET_ROOT/events")" ]'
  sleep 0.3
}
monitor_of() { field "$1" monitor_pid; }
has_told() { [ "$(told --filter event="$1" | wc -w)" -ge "${2:-1}" ]; }

@test "a whole life, in its order, with exit codes" {
  run duet run --name one busybox sh -c 'exit 3'
  is "$status" 3
  is "$(told)" "create start ready died"
  is "$(attribute died exit_code)" 3
  duet start one
  duet wait one
  duet rm one
  is "$(told)" "create start ready died start ready died remove"
  # each tells whose it is
  is "$(history --format json | jq -r '[.name, .kind, .image] | join(" ")' | sort -u)" "one container busybox:latest"
  is "$(history --format json | jq -r .id | sort -u | wc -l)" 1
  # in the order of their times
  history --format json | jq -r .time_ns >"$scratch/times"
  sort -nc "$scratch/times"
  [[ $(history --format json | jq -r .time | head -n 1) =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z$ ]]
}

@test "one that goes at its end" {
  duet run --rm busybox true
  is "$(told)" "create start ready died remove"
  is "$(attribute died exit_code)" 0
  # what never ran died, and did not start
  expect 127 "$DUET" run --rm busybox /no/such/program
  is "$(told)" "create start ready died remove create died remove"
  is "$(attribute died exit_code)" 127
  [[ $(attribute died error) == *"/no/such/program"* ]]
}

@test "pause, signals, update, rename, restart" {
  duet run -d --name one busybox sleep 1000
  duet pause one
  duet unpause one
  duet update --pids-limit 50 one >/dev/null
  duet rename one two
  duet restart -t 0 two >/dev/null
  duet pause two
  duet rm -f two
  is "$(told)" "create start ready pause unpause update rename died restart start ready pause died remove"
  is "$(attribute update changed)" pids-limit
  is "$(attribute rename old_name)" one
  is "$(attribute died exit_signal)" 9
  is "$(history --format json --filter event=rename | jq -r .name)" two
  # nothing was changed
  duet create --name three busybox true
  duet rename three three || true
  is "$(told --filter name=three)" create
}

@test "policies start it again, and a check tells its health" {
  run duet run --name one --restart on-failure:2 busybox false
  is "$(told)" "create start ready died restart start ready died restart start ready died"
  duet run -d --name two --health-cmd 'test -e /well' --health-interval 200ms --health-retries 1 busybox sleep 1000
  wait_for 10 has_told health_status 1
  duet exec two touch /well
  wait_for 10 has_told health_status 2
  is "$(history --format json --filter event=health_status | jq -r .attributes.health_status | xargs)" "unhealthy healthy"
  # only changes are told
  sleep 1
  is "$(told --filter event=health_status)" "health_status health_status"
  # and it is ready once
  is "$(told --filter name=two)" "create start health_status health_status ready"
}

@test "lack of memory" {
  needs_limits
  run duet run --rm --name one -m 32m busybox tail /dev/zero
  is "$(told)" "create start ready oom died remove"
}

@test "copies of files are no run of it" {
  duet create --name one busybox true >/dev/null
  duet cp one:/etc/passwd "$scratch/passwd"
  is "$(told)" create
}

@test "a monitor that is killed: its end is told once, by who finds it" {
  local keeps goes
  duet run -d --name keeps busybox sleep 1000
  duet run -d --rm --name goes busybox sleep 1000
  keeps=$(monitor_of keeps) goes=$(monitor_of goes)
  kill -KILL "$keeps" "$goes"
  wait_for 5 eval "! kill -0 $keeps $goes 2>/dev/null"
  duet ps -a >/dev/null
  duet ps -a >/dev/null
  is "$(told --filter name=keeps)" "create start ready died"
  is "$(told --filter name=goes)" "create start ready died remove"
  is "$(attribute died exit_code)" 137
  [[ $(attribute died error) == *"monitor was killed"* ]]
  duet rm keeps
  is "$(told --filter name=keeps)" "create start ready died remove"
}

@test "followed from another shell, until somebody interrupts" {
  local pid code=0
  duet run --rm busybox true
  # without a bound only what is new
  follow "$scratch/new"
  pid=$follower
  follow "$scratch/all" --since 1h
  wait_for 5 eval '[ "$(wc -l <"$scratch/all")" = 5 ]'
  duet run --rm --name later busybox true
  wait_for 5 eval '[ "$(wc -l <"$scratch/new")" = 5 ]'
  wait_for 5 eval '[ "$(wc -l <"$scratch/all")" = 10 ]'
  is "$(jq -r .event "$scratch/new" | xargs)" "create start ready died remove"
  is "$(jq -r .name "$scratch/new" | sort -u)" later
  # a shell without job control has its background ignore SIGINT: it is blocked, and so found all the same
  kill -INT "$pid" "$follower"
  wait "$pid" || code=$?
  is "$code" 0
  wait "$follower"
}

@test "it ends with its reader, and well" {
  bash -c '"$DUET" events --since 1h | head -n 1 >"$scratch/first"; echo "${PIPESTATUS[0]}" >"$scratch/code"' 3>&- &
  local pid=$!
  sleep 0.3
  # the file is made after who follows began
  duet run --rm busybox true
  wait "$pid"
  is "$(cat "$scratch/code")" 0
  is "$(wc -l <"$scratch/first")" 1
  # a socket, as node gives its children, tells it in another way
  timeout 20 python3 - "$DUET" <<'EOF'
import socket, subprocess, sys
ours, theirs = socket.socketpair()
follower = subprocess.Popen([sys.argv[1], "events"], stdout=theirs)
theirs.close()
ours.close()
sys.exit(follower.wait())
EOF
}

@test "bounds of time" {
  local middle
  duet create --name one busybox true >/dev/null
  sleep 0.2
  middle=$(date +%s.%N)
  sleep 0.2
  duet create --name two busybox true >/dev/null
  is "$(duet events --since "$middle" --no-stream --format json | jq -r .name)" two
  # what is over ends by itself
  is "$(timeout 20 "$DUET" events --until "$middle" --format json | jq -r .name)" one
  is "$(duet events --since 1h --until 30m --stream=false)" ""
  is "$(duet events --no-stream --format json | jq -r .name | xargs)" "one two"
  # and what is to come at its time
  run timeout 20 "$DUET" events --since "$middle" --until "$(date -d '+1 second' +%s.%N)" --format json
  is "$status $(jq -r .name <<<"$output")" "0 two"
  refused "is no time" duet events --since yesterday
}

@test "filters" {
  duet run --name web --label app=web busybox true
  duet run --name db --label app=db busybox false || true
  is "$(told --filter name=web)" "create start ready died"
  is "$(told --filter container=web --filter event=died)" died
  is "$(told --filter container=we)" ""
  is "$(told -f event=create -f event=died)" "create died create died"
  is "$(told --filter label=app=db --filter event=start)" start
  is "$(told --filter label=app)" "create start ready died create start ready died"
  is "$(told --filter id="$(field db id)" --filter event=died)" died
  is "$(told --filter image=busybox --filter kind=container)" "create start ready died create start ready died"
  is "$(told --filter kind=vm)" ""
  is "$(told --filter image=other)" ""
  refused "there is no such event" duet events --filter event=dance
  refused "one of the keys event" duet events --filter status=running
  refused "one of the keys event" duet events --filter event
  refused "it has no value" duet events --filter name=
  refused "is no format" duet events --format yaml
  refused "use true or false" duet events --stream=maybe
  # 1970, too, is a bound
  is "$(timeout 20 "$DUET" events --until 0)" ""
  refused "takes no words" duet events web
}

@test "text is for people, and obeys no terminal" {
  local line
  duet create --name one --label $'evil=a\nb\033[2Jc' --label plain=1 busybox true >/dev/null
  line=$(history)
  is "$(wc -l <<<"$line")" 1
  [[ $line =~ ^20[0-9-]{8}\ [0-9:]{8}\.[0-9]{9}\ [+-][0-9]{4}\ .*\ container\ create\ [0-9a-f]{12}\ \(image=busybox:latest,\ name=one, ]]
  [[ $line == *'evil=a^Jb^[[2Jc'* && $line == *plain=1* ]]
  is "$(tr -dc '\000-\010\013-\037' <<<"$line" | wc -c)" 0
  is "$(history --format json | wc -l)" 1
  is "$(history --format json | jq -r '.labels.evil')" $'a\nb\033[2Jc'
}

@test "a torn line is passed over, a full file is put aside" {
  local inode
  duet create --name one busybox true >/dev/null
  printf '\036{"torn' >>"$DUET_ROOT/events"
  duet rm one
  is "$(told)" "create remove"
  is "$(stat -c %a "$DUET_ROOT/events")" 600
  # so full that the next one begins another
  yes "" | head -c $((4 << 20)) >>"$DUET_ROOT/events"
  inode=$(stat -c %i "$DUET_ROOT/events")
  follow "$scratch/all" --since 1h
  wait_for 10 eval '[ "$(wc -l <"$scratch/all")" = 2 ]'
  duet run --rm busybox true
  wait_for 10 eval '[ "$(wc -l <"$scratch/all")" = 7 ]'
  kill -INT "$follower"
  wait "$follower"
  is "$(stat -c %i "$DUET_ROOT/events.1")" "$inode"
  is "$(jq -r .event "$scratch/all" | xargs)" "create remove create start ready died remove"
  is "$(told)" "create remove create start ready died remove"
}

@test "what can't be written is lost, and nothing else" {
  ln -s /dev/full "$DUET_ROOT/events"
  is "$(duet run --rm busybox echo works)" works
  rm "$DUET_ROOT/events"
  mkdir "$DUET_ROOT/events"
  is "$(duet run --rm busybox echo works)" works
  rmdir "$DUET_ROOT/events"
  is "$(history)" ""
}

@test "of a VM" {
  duet run -d --as vm --name one busybox sleep 1000 2>/dev/null
  duet pause one
  duet unpause one
  duet stop -t 0 one
  duet rm one
  is "$(told --filter kind=vm)" "create start ready pause unpause died remove"
  is "$(told)" "create start ready pause unpause died remove"
  run_as --as vm busybox sh -c 'exit 5' || true
  is "$(attribute died exit_code)" 5
}
