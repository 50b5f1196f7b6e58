#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # for the shell inside; scratch is lib.bash's
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
  # the more runs, the longer the rest: enough for what follows, on a slow host as well
  wait_for 10 restarts_are one $((slow > 1 ? 6 : 4))
  wait_for 5 has_state one restarting
  [[ $(duet ps --filter status=restarting) == *"Restarting (7)"* ]]
  is "$(field one exit_code)" 7
  refused "waits to be started again" duet exec one true
  refused "waits to be started again" duet kill -s USR1 one
  refused "it is restarting: it ended, and waits to be started again; \`duet stop\` ends that" duet pause one
  # what is changed now counts from the next run on
  expect 0 duet update --pids-limit 50 one
  refused "is restarting, and starts by itself" duet start one
  refused "is running" duet rm one
  # nothing of the last run is left
  is "$(find /sys/fs/cgroup -type d -name "duet-$id" 2>/dev/null)" ""
  is "$(grep -cF "$id" /proc/self/mountinfo)" 0
  duet stop one
  is "$(state_of one) $(field one exit_code)" "exited 7"
  wait_for 5 eval '[ -z "$(left_now "$id" | grep -v -e /names/ -e /instances/)" ]'
  duet rm one

  duet run -d --name one --restart always busybox sh -c 'exit 7'
  wait_for 10 restarts_are one $((slow > 1 ? 6 : 3))
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
  local pid
  mkfifo "$scratch/in"
  "$DUET" run -i --name one --restart on-failure:2 busybox sh -c 'read -r x; echo "got $x"; exit 1' \
    <"$scratch/in" >"$scratch/out" &
  pid=$!
  exec 9>"$scratch/in"
  echo a >&9
  wait_for 10 restarts_are one 1
  echo b >&9
  wait_for 10 restarts_are one 2
  echo c >&9
  exec 9>&-
  status=0
  wait "$pid" || status=$?
  is "$status $(xargs <"$scratch/out")" "1 got a got b got c"
  # what comes between two runs waits for the next; before the fifth there are 0.8 s, before the eighth 6.4
  local last=$((slow > 1 ? 7 : 4))
  "$DUET" run -i --name three --restart on-failure:$last busybox \
    sh -c "echo >>/n; [ \$(wc -l </n) -gt $last ] || exit 1; read -r x; echo \"got \$x\"" <"$scratch/in" >"$scratch/out" &
  pid=$!
  exec 9>"$scratch/in"
  wait_for 10 restarts_are three $((last - 1))
  wait_for 10 has_state three restarting
  echo late >&9
  exec 9>&-
  wait "$pid"
  is "$(cat "$scratch/out")" "got late"
  # an end of input is every run's
  is "$(duet run -i --name two --restart on-failure:2 busybox sh -c 'cat; echo end; exit 1' </dev/null | xargs)" "end end end"
}

@test "input that ended with its sender has ended for every run" {
  mkfifo "$scratch/input"
  exec 7<>"$scratch/input"
  duet run -i --restart always --name one busybox sh -c 'cat; echo eof' <"$scratch/input" >/dev/null 3>&- 7>&- &
  local client=$!
  wait_for 5 has_state one running
  kill -9 $client
  exec 7>&-
  wait_for 10 eval '[ "$(duet logs one | grep -c eof)" -ge 3 ]'
  duet rm -f one
}

@test "a client that reads slowly loses nothing of many runs" {
  run bash -c '"$DUET" run --name two --restart on-failure:3 busybox sh -c "head -c 700000 /dev/zero; exit 1" |
    { sleep 2; wc -c; }'
  is "$output" 2800000
  is "$(duet logs two | wc -c)" 2800000
}

log_bytes() { cat "$DUET_ROOT/instances/$(field "$1" id)"/log* | wc -c; }

@test "the log is bounded by rotation, and holds the newest lines" {
  duet run --name one --log-opt max-size=4k --log-opt max-file=3 busybox seq 5000 >/dev/null
  [ "$(log_bytes one)" -le $((3 * 4096)) ]
  run duet logs one
  is "$(tail -n 1 <<<"$output")" 5000
  is "$output" "$(seq "$(head -n 1 <<<"$output" | tr -dc 0-9)" 5000)" || {
    # the first line may be cut where a part begins
    is "$(tail -n +2 <<<"$output")" "$(seq "$(sed -n 2p <<<"$output")" 5000)"
  }
  is "$(field one log_max_size_bytes) $(field one log_max_files)" "4096 3"
  # docker's form, and one file
  duet run --name two --log-driver json-file --log-opt max-size=2k busybox seq 5000 >/dev/null
  [ "$(log_bytes two)" -le 2048 ]
  is "$(duet logs --tail 1 two)" 5000
  # the next start begins a new one
  duet start two && duet wait two
  [ "$(log_bytes two)" -le 2048 ]
}

@test "logs -f goes on over rotations" {
  duet run -d --name one --log-opt max-size=64k --log-opt max-file=20 busybox \
    sh -c 'i=0; while [ $i -lt 60 ]; do i=$((i+1)); seq ${i}1000 ${i}1300; sleep 0.02; done'
  duet logs -f one >"$scratch/out"
  for i in $(seq 60); do seq "${i}1000" "${i}1300"; done >"$scratch/expected"
  cmp "$scratch/out" "$scratch/expected"
  ls "$DUET_ROOT/instances/$(field one id)"/log.[0-9]* >/dev/null
  duet logs one | cmp - "$scratch/expected"
}

@test "logs shows the last lines, those of a time, and when they came" {
  local middle
  duet run -d --name one busybox sh -c 'echo 1; echo 2 >&2; sleep 1.2; echo 3; printf 4; sleep 1000'
  wait_for 10 wrote one 4
  middle=$(date -d '-0.6 seconds' +%s.%N)
  is "$(duet logs -n 2 one)" $'3\n4'
  is "$(duet logs --tail 3 one 2>/dev/null)" $'3\n4'
  is "$(duet logs --tail 0 one)" ""
  is "$(duet logs --tail all one 2>&1 | sort | xargs)" "1 2 3 4"
  is "$(duet logs --since "$middle" one 2>&1 | xargs)" "3 4"
  is "$(duet logs --until "$middle" one 2>&1 | sort | xargs)" "1 2"
  is "$(duet logs --since 1h one 2>&1 | sort | xargs)" "1 2 3 4"
  is "$(duet logs --until 1h one 2>&1)" ""
  [[ $(duet logs -t -n 1 one) =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z\ 4$ ]]
  # until a time to come
  run timeout 10 "$DUET" logs -f -n 1 --until "$(date -d '+1 second' +%s.%N)" one
  is "$status $output" "0 4"
  refused "is no number of lines" duet logs --tail x one
  refused "is no time" duet logs --since yesterday one
}

@test "no log is kept if none is wanted, and options that are none are refused" {
  is "$(duet run --name one --log-driver none busybox echo hello)" hello
  [ ! -e "$DUET_ROOT/instances/$(field one id)/log" ]
  refused "keeps no log" duet logs one
  is "$(field one log_driver)" none
  refused "is no log driver" duet create --log-driver journald busybox true
  refused "is no log option" duet create --log-opt path=/x busybox true
  refused "is no size" duet create --log-opt max-size=x busybox true
  refused "1k at least" duet create --log-opt max-size=10 busybox true
  refused "is no number of files" duet create --log-opt max-size=1m --log-opt max-file=0 busybox true
  refused "needs a max-size" duet create --log-opt max-file=3 busybox true
  refused "does not keep" duet create --log-driver none --log-opt max-size=1m busybox true
}

@test "logs -f ends cleanly with its reader, and with SIGINT" {
  duet run -d --name one busybox sh -c 'echo first; sleep 1000'
  wait_for 10 wrote one first
  # nothing more comes: the reader's end is noticed all the same
  run timeout 10 bash -c '"$DUET" logs -f one | head -n 1'
  is "$status $output" "0 first"
  expect 130 timeout --preserve-status -s INT 0.5 "$DUET" logs -f one
  is "$output" first
  is "$(state_of one)" running
  is "$(duet exec one echo alive)" alive
}

@test "a full disk stops the log and not the payload, and is told" {
  needs_root "to mount a small file system"
  mkdir -p "$scratch/small"
  # no tmpfs, which has idmapped mounts since Linux 6.3 only
  truncate -s 600K "$scratch/small.ext4"
  mkfs.ext4 -q -m 0 -O ^has_journal "$scratch/small.ext4"
  mount -o loop "$scratch/small.ext4" "$scratch/small"
  chmod 0711 "$scratch/small"
  local root=$DUET_ROOT
  cp -a "$DUET_ROOT/images" "$scratch/images"
  DUET_ROOT=$scratch/small
  mkdir "$DUET_ROOT/images" && mount --bind "$scratch/images" "$DUET_ROOT/images"
  local code=0 first
  "$DUET" run --name one busybox sh -c 'seq 200000; exit 4' >"$scratch/out" 2>"$scratch/err" || code=$?
  grep -q "its log is not complete" "$scratch/err" || code=untold
  seq 200000 | cmp - "$scratch/out" || code=short
  first=$(duet logs one | head -n 1)
  duet rm -f one
  umount "$DUET_ROOT/images" "$DUET_ROOT"
  DUET_ROOT=$root
  is "$code $first" "4 1"
}

health_is() { [ "$(field "$1" health.status)" = "$2" ]; }
results_are() { [ "$(duet inspect "$1" | jq '.[0].health.log | length')" -ge "$2" ]; }

# falls_ill_and_recovers NAME
falls_ill_and_recovers() {
  duet exec "$1" touch /well
  wait_for 20 health_is "$1" healthy
  [[ $(duet ps) == *"(healthy)"* ]]
  duet healthcheck run "$1"
  duet exec "$1" rm /well
  wait_for 20 health_is "$1" unhealthy
  [ "$(field "$1" health.failing_streak)" -ge 2 ]
  [[ $(duet ps) == *"(unhealthy)"* ]]
  expect 1 duet healthcheck run "$1"
  is "$output" unhealthy
  is "$(duet inspect "$1" | jq -r '.[0].health.log[-1] | .exit_code, .output' | head -n 2 | xargs)" "1 looked"
  duet exec "$1" touch /well
  wait_for 20 health_is "$1" healthy
  is "$(field "$1" health.failing_streak) $(field "$1" state)" "0 running"
  is "$(duet inspect "$1" | jq '.[0].health.log | length')" 5
}

@test "health goes from starting to healthy to unhealthy and back" {
  duet run -d --name one --health-cmd 'echo looked; cat /well' \
    --health-interval $((slow > 1 ? 5000 : 400))ms --health-retries 2 busybox sleep 1000
  health_is one starting
  [[ $(duet ps) == *"(starting)"* ]]
  falls_ill_and_recovers one
  # paused, it is not looked at
  if limited; then
    duet exec one rm /well
    duet pause one
    sleep 1.2
    refused "it is paused" duet healthcheck run one
    duet unpause one
    wait_for 5 health_is one unhealthy
  fi
  duet stop -t 1 one
  refused "not running" duet healthcheck run one
}

@test "a check that takes too long has failed and is killed, with what it started" {
  local id
  duet run -d --name one --health-cmd 'sleep 4321 & sleep 4321; true' --health-interval 100ms --health-timeout 300ms \
    --health-retries 2 busybox sleep 1000
  wait_for 10 health_is one unhealthy
  is "$(duet inspect one | jq -r '.[0].health.log[0] | "\(.exit_code) \(.output)"')" "-1 the check took longer than 300ms and was killed"
  # one check at most is alive, and with it two sleeps
  [ "$(duet exec one sh -c 'ps | grep -c "[s]leep 4321"')" -le 3 ]
  is "$(state_of one)" running
}

@test "an unhealthy instance is killed, stopped or started again, as asked" {
  duet run -d --name one --health-cmd false --health-interval 100ms --health-retries 1 --health-on-failure kill busybox sleep 1000
  wait_for 10 has_state one exited
  is "$(field one exit_code)" 137
  [[ $(field one error) == *"health check failed 1 times: it was killed"* ]]
  duet run -d --name two --health-cmd false --health-interval 100ms --health-retries 1 --health-on-failure stop --restart always \
    busybox sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done'
  wait_for 10 has_state two exited
  is "$(field two exit_code) $(field two restarts)" "5 0"
  duet run -d --name three --health-cmd 'test -e /again' --health-interval 100ms --health-retries 1 --health-on-failure restart \
    busybox sh -c '[ -e /once ] && touch /again; touch /once; trap "exit 5" TERM; while :; do sleep 0.1; done'
  wait_for 10 restarts_are three 1
  wait_for 10 health_is three healthy
  is "$(field three restarts) $(state_of three)" "1 running"
  # a kill is followed by what --restart says
  duet run -d --name four --health-cmd false --health-interval 100ms --health-retries 1 --health-on-failure kill \
    --restart on-failure busybox sleep 1000
  wait_for 10 restarts_are four 1
}

@test "failures do not count in the start period, and checks can be left to be asked for" {
  duet run -d --name one --health-cmd false --health-interval 1h --health-start-period 1h --health-start-interval 100ms \
    --health-retries 1 busybox sleep 1000
  wait_for 10 results_are one 3
  is "$(field one health.status) $(field one health.failing_streak)" "starting 0"
  duet run -d --name two --health-cmd '["sh","-c","exit 3"]' --health-interval disable --health-retries 2 busybox sleep 1000
  sleep 0.3
  is "$(duet inspect two | jq '.[0].health.log | length')" 0
  expect 1 duet healthcheck run two
  is "$(field two health.status)" starting
  expect 1 duet healthcheck run two
  is "$(field two health.status)" unhealthy
  # a program that is not there fails, and says so
  duet run -d --name three --health-cmd '["/no/such"]' --health-interval disable busybox sleep 1000
  expect 1 duet healthcheck run three
  [[ $(duet inspect three | jq -r '.[0].health.log[0].output') == *"/no/such"* ]]
  is "$(field three 'health.log[0].exit_code')" 127
}

@test "an image's health check is used, overridden or left out" {
  local dir=$scratch/archive config
  mkdir -p "$dir"
  duet image export --format docker-archive -o "$scratch/busybox.docker" busybox
  tar -C "$dir" -xf "$scratch/busybox.docker"
  config=$dir/$(jq -r '.[0].Config' "$dir/manifest.json")
  jq '.config.Healthcheck = { Test: ["CMD-SHELL", "test -e /x"], Interval: 200000000, Retries: 1 }' "$config" >"$dir/fresh"
  rm -f "$config"
  mv "$dir/fresh" "$dir/config.json"
  jq '.[0].Config = "config.json" | .[0].RepoTags = ["checked:latest"]' "$dir/manifest.json" >"$dir/m" && mv "$dir/m" "$dir/manifest.json"
  tar -C "$dir" -cf "$scratch/checked.tar" .
  duet image import "$scratch/checked.tar"
  duet run -d --name one checked sleep 1000
  is "$(field one healthcheck.interval_ms) $(field one healthcheck.timeout_ms) $(field one healthcheck.retries)" "200 30000 1"
  wait_for 10 health_is one unhealthy
  duet exec one touch /x
  wait_for 10 health_is one healthy
  duet run -d --name two --no-healthcheck checked sleep 1000
  is "$(field two healthcheck) $(field two health)" "null null"
  duet run -d --name three --health-interval 1h checked sleep 1000
  is "$(field three healthcheck.interval_ms) $(field three 'healthcheck.test[2]')" "3600000 test -e /x"
  duet create --name four --health-cmd none checked true
  is "$(field four healthcheck)" null
  refused "has no health check" duet healthcheck run two
}

@test "health options that make no sense are refused" {
  refused "is of no use without a check" duet create --health-interval 3s busybox true
  refused "is no duration" duet create --health-cmd true --health-interval 3 busybox true
  refused "use 1ms to" duet create --health-cmd true --health-timeout 0s busybox true
  refused "use a number above 0" duet create --health-cmd true --health-retries -1 busybox true
  refused "use a number above 0" duet create --health-cmd true --health-retries 0 busybox true
  refused "is of no use without a check" duet create --health-retries 0 busybox true
  refused "is no action" duet create --health-cmd true --health-on-failure explode busybox true
  refused "contradict each other" duet create --health-cmd true --no-healthcheck busybox true
  refused "contradict each other" duet create --rm --health-cmd true --health-on-failure restart busybox true
  refused "is no health check" duet create --health-cmd '["CMD"]' busybox true
  refused "is no health check" duet create --health-cmd '' busybox true
  # a line for the shell that begins as a list does
  duet run -d --name one --health-cmd '[ -e /bin/sh ]' --health-interval disable busybox sleep 1000
  duet healthcheck run one
}

# Daemons that left their parents, their sessions and their signals behind.
stubborn='trap "" TERM HUP INT
  for i in 1 2 3; do (setsid sh -c "trap \"\" TERM HUP INT; (while :; do sleep 1; done) & exit" &); done
  echo ready; while :; do sleep 1; done'

# stops_at_once NAME
stops_at_once() {
  local id began=$SECONDS
  id=$(field "$1" id)
  duet stop -t 1 "$1"
  [ $((SECONDS - began)) -le $((15 * slow)) ]
  is "$(state_of "$1") $(field "$1" exit_code)" "exited 137"
  is "$(find /sys/fs/cgroup -type d -name "duet-$id" 2>/dev/null)" ""
}

@test "stop ends a payload that ignores its signals, daemons of its own included" {
  duet run -d --name one busybox sh -c "$stubborn"
  wait_for 20 wrote one ready
  stops_at_once one
}

@test "a VM is started again, has its health checked, and is stopped, by its monitor" {
  local pid
  duet run -d --vm --name one --restart always --health-cmd 'echo looked; cat /well' --health-interval 500ms \
    --health-retries 2 busybox sh -c "echo \$\$ >/pid; echo x >>/n; wc -l </n; $stubborn" 2>"$scratch/err"
  pid=$(monitor_of one)
  wait_for 20 wrote one ready
  duet exec one sh -c 'kill -KILL $(cat /pid)' || true
  wait_for 60 restarts_are one 1
  wait_for 60 has_state one running
  is "$(monitor_of one)" "$pid"
  wait_for 20 wrote one 2
  is "$(duet exec one wc -l /n)" "2 /n"
  falls_ill_and_recovers one
  is "$(duet logs one | xargs)" "1 ready 2 ready"
  stops_at_once one
  is "$(field one restarts)" 1
}

@test "ten thousand lines a second and a reader of ten: nothing is lost, nothing hangs" {
  local pid began
  # the payload waits for who is attached, once what is on its way is enough
  "$DUET" run --name one busybox sh -c 'seq 1 400000; echo done' 2>"$scratch/err" |
    { for ((i = 0; i < 30; i++)); do read -r line; echo "$line"; sleep 0.1; done; echo cut >&2; cat; } >"$scratch/slow" 2>"$scratch/cut" &
  pid=$!
  wait_for 10 has_state one running
  sleep 1.5
  # held back: its log is not much further than its reader
  [ "$(duet logs one | wc -c)" -lt 1500000 ]
  # and yet it answers
  is "$(duet exec one echo alive)" alive
  wait "$pid"
  seq 1 400000 >"$scratch/expected"
  echo "done" >>"$scratch/expected"
  cmp "$scratch/slow" "$scratch/expected"
  duet logs one | cmp - "$scratch/expected"

  # in the background nobody is waited for: a reader of the log reads a file
  duet run -d --name two busybox sh -c 'i=0; while [ $i -lt 10 ]; do i=$((i+1)); seq 1 10000; sleep 0.05; done'
  "$DUET" logs -f two | { for ((i = 0; i < 10; i++)); do read -r line; echo "$line"; sleep 0.1; done; cat; } >"$scratch/slow"
  is "$(duet wait two)" 0
  for _ in $(seq 10); do seq 1 10000; done | cmp - "$scratch/slow"
  # a reader that stands still holds up neither a stop nor the end
  { "$DUET" run --name three busybox yes || true; } 2>/dev/null | { sleep 4; wc -c >/dev/null; } &
  pid=$!
  wait_for 10 has_state three running
  began=$SECONDS
  timeout 10 "$DUET" stop -t 1 three
  [ $((SECONDS - began)) -le 3 ]
  wait "$pid"
}

@test "a log that is read while it is written gives whole lines, in order" {
  duet run -d --name one --log-opt max-size=1m --log-opt max-file=40 busybox sh -c 'seq 1 300000; sleep 0.1'
  seq 1 300000 >"$scratch/expected"
  for _ in $(seq 15); do
    duet logs one >"$scratch/part"
    cmp -n "$(stat -c %s "$scratch/part")" "$scratch/part" "$scratch/expected"
  done
  # several at once, one of which is killed
  duet logs -f one >"$scratch/first" &
  timeout -s KILL 0.05 "$DUET" logs -f one >/dev/null || true
  duet logs -f one >"$scratch/second"
  wait
  cmp "$scratch/first" "$scratch/expected" && cmp "$scratch/second" "$scratch/expected"
}
