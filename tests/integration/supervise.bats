#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a monitor does by itself: starts again, bounds the log, checks the health.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }
teardown() { duet rm -f --all >/dev/null; }

restarts_are() { [ "$(field "$1" restarts)" -ge "$2" ]; }
monitor_of() { field "$1" monitor_pid; }
descriptors() { find "/proc/$1/fd" -mindepth 1 | wc -l; }
refused() { expect 125 "${@:2}" && { [[ $output == *"$1"* ]] || { echo "$output"; false; }; }; }

@test "a payload that fails is started again as often as asked" {
  run duet run --name one --restart on-failure:2 busybox sh -c 'echo x >>/n; wc -l </n; exit 3'
  is "$status" 3
  is "$(xargs <<<"$output")" "1 2 3"
  is "$(field one restarts) $(field one exit_code) $(field one restart) $(field one restart_retries)" "2 3 on-failure 2"
  # the log has all runs
  is "$(duet logs one | xargs)" "1 2 3"
  # a start by hand counts anew
  run duet start one
  is "$(duet wait one) $(field one restarts) $(duet logs one | xargs)" "3 2 4 5 6"
}

@test "one that succeeds is not started again by on-failure, but by always" {
  is "$(duet run --name one --restart on-failure busybox sh -c 'echo ran')" ran
  is "$(field one restarts)" 0
  duet run -d --name two --restart unless-stopped busybox true
  wait_for 5 restarts_are two 2
  is "$(field two restart)" always
  duet stop two
  is "$(state_of two)" exited
}

@test "what never started is not started again" {
  expect 127 timeout 20 "$DUET" run --name one --restart always busybox /no/such/program
  is "$(field one restarts)" 0
}

@test "policies that are none are refused" {
  refused "is no restart policy" duet create --restart sometimes busybox true
  refused "TIMES is a number" duet create --restart on-failure:x busybox true
  refused "only on-failure takes a count" duet create --restart always:3 busybox true
  refused "contradict each other" duet create --rm --restart always busybox true
  duet run --rm --restart no busybox true
}

@test "between two runs it is listed, held, and ended by stop, kill and rm" {
  local id
  duet run -d --name one --restart always busybox sh -c 'exit 7'
  id=$(field one id)
  wait_for 10 restarts_are one 4
  wait_for 5 has_state one restarting
  [[ $(duet ps) == *"Restarting (7)"* ]]
  is "$(field one exit_code)" 7
  refused "waits to be started again" duet exec one true
  refused "waits to be started again" duet kill -s USR1 one
  refused "it is not running" duet pause one
  refused "already running" duet start one
  refused "is running" duet rm one
  # nothing of the last run is left
  is "$(find /sys/fs/cgroup -type d -name "duet-$id" 2>/dev/null)" ""
  is "$(grep -cF "$id" /proc/self/mountinfo)" 0
  duet stop one
  is "$(state_of one) $(field one exit_code)" "exited 7"
  is "$(left_now "$id" | grep -v -e /names/ -e /instances/)" ""
  duet rm one

  duet run -d --name one --restart always busybox sh -c 'exit 7'
  wait_for 10 restarts_are one 3
  duet wait one >"$scratch/wait" &
  wait_for 5 has_state one restarting
  duet kill one
  wait $!
  is "$(cat "$scratch/wait")" 7
  duet rm one

  duet run -d --name one --restart always busybox sh -c 'exit 7'
  wait_for 10 restarts_are one 3
  duet rm -f one
  none_listed
}

@test "a run that is stopped, killed or told to end is the last" {
  local signal
  for signal in KILL TERM INT; do
    duet run -d --name one --restart always busybox sh -c 'trap "exit 5" TERM INT; while :; do sleep 0.1; done'
    duet kill -s "$signal" one
    wait_for 10 has_state one exited
    is "$(field one restarts)" 0
    duet rm one
  done
  duet run -d --name one --restart always busybox sh -c 'trap "exit 5" HUP; while :; do sleep 0.1; done'
  duet kill -s HUP one
  wait_for 10 restarts_are one 1
  kill -TERM "$(monitor_of one)"
  wait_for 20 has_state one exited
}

@test "a monitor that is killed between two runs leaves nothing, and starts nothing" {
  local id
  duet run -d --name one --restart always busybox sh -c 'exit 7'
  id=$(field one id)
  wait_for 10 restarts_are one 4
  wait_for 5 has_state one restarting
  kill -KILL "$(monitor_of one)"
  wait_for 5 has_state one exited
  is "$(find "$DUET_ROOT/live" -name "$id")" ""
  sleep 1
  is "$(state_of one)" exited
}

@test "many runs leave no descriptor open" {
  local pid before
  duet run -d --name one --restart always busybox sleep 100
  pid=$(monitor_of one)
  before=$(descriptors "$pid")
  for i in 1 2 3; do
    duet exec one sh -c 'kill -KILL $(pidof sleep)' || true
    wait_for 10 restarts_are one "$i"
    wait_for 10 has_state one running
  done
  is "$(monitor_of one)" "$pid"
  # a client may still be connected
  [ "$(descriptors "$pid")" -le $((before + 1)) ]
}

@test "an attached client stays over all runs, with its input" {
  # what one run leaves of the line is lost, what comes later is the next run's
  run bash -c '(echo a; sleep 0.3; echo b; sleep 0.5; echo c) |
    "$DUET" run -i --name one --restart on-failure:2 busybox sh -c "read -r x; echo got \$x; exit 1"'
  is "$status" 1
  is "$output" $'got a\ngot b\ngot c'
  # an end of input is every run's
  is "$(duet run -i --name two --restart on-failure:2 busybox sh -c 'cat; echo end; exit 1' </dev/null | xargs)" "end end end"
}

@test "a client that reads slowly loses nothing of many runs" {
  run bash -c '"$DUET" run --name two --restart on-failure:3 busybox sh -c "head -c 700000 /dev/zero; exit 1" |
    { sleep 2; wc -c; }'
  is "$output" 2800000
  is "$(duet logs two | wc -c)" 2800000
}

@test "a VM is started again by its monitor" {
  local pid
  duet run -d --vm --name one --restart always busybox sh -c 'echo x >>/n; wc -l </n; sleep 1000' 2>"$scratch/err"
  pid=$(monitor_of one)
  duet exec one sh -c 'kill -KILL $(pidof sleep)' || true
  wait_for 60 restarts_are one 1
  wait_for 60 has_state one running
  is "$(monitor_of one)" "$pid"
  is "$(duet exec one wc -l /n)" "2 /n"
  is "$(duet logs one | xargs)" "1 2"
  duet stop -t 1 one
  is "$(state_of one) $(field one restarts)" "exited 1"
}
