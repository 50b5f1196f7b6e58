#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What both kinds do alike: this file is run with KIND=container and with KIND=vm, as the suites
# kind-container and kind-vm of tests/run. Numbers like C27 name faults from public bug reports; see docs/cases.md.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown() { duet rm -f --all >/dev/null; }
teardown_file() { root_down; }

# bats test_tags=host
@test "$KIND run prints and exits with the payload's code" {
  expect 0 run_as busybox echo hello
  is "$output" hello
  expect 42 run_as busybox sh -c 'exit 42'
}

@test "$KIND C27 exit codes of run" {
  expect 127 run_as busybox nosuch
  expect 126 run_as busybox /etc
  expect 126 run_as busybox /etc/passwd
  expect 137 run_as busybox sh -c 'sh -c "kill -9 \$\$"; exit $?'
  expect 137 run_as busybox sh -c 'kill -9 $$'
  expect 125 duet run --nosuch busybox true
  expect 125 duet run --rm --as "$KIND" nosuchimage true
}

@test "$KIND C27 exit codes of exec" {
  duet run -d --as "$KIND" --name codes busybox sleep 300
  expect 0 duet exec codes true
  expect 127 duet exec codes nosuch
  expect 126 duet exec codes /etc
  expect 126 duet exec codes /etc/passwd
  expect 42 duet exec codes sh -c 'exit 42'
  expect 137 duet exec codes sh -c 'kill -9 $$'
  duet exec codes sh -c 'echo on; exec sleep 30' >"$scratch/on" 3>&- &
  local waiter=$!
  wait_for 10 grep -qx on "$scratch/on"
  duet stop -t 1 codes
  local code=0
  wait "$waiter" || code=$?
  is "$code" 137
  run --separate-stderr duet exec codes true
  is "$status" 125
  is "$output" ""
  [ -n "$stderr" ]
  run --separate-stderr duet exec nosuchinstance true
  is "$status" 125
  is "$output" ""
  duet rm codes
}

@test "$KIND standard streams are apart and binary" {
  head -c 300000 /dev/urandom >"$scratch/in"
  run_plain -i busybox sh -c 'cat; echo e >&2' <"$scratch/in" >"$scratch/out" 2>"$scratch/e"
  cmp "$scratch/in" "$scratch/out"
  is "$(grep -v '^duet: ' "$scratch/e")" e
}

@test "$KIND C39 nothing is added, cut or mixed" {
  local noise=':'
  [ "$KIND" != vm ] || noise='echo "<0>kernel noise" > /dev/kmsg'
  run_as busybox sh -ec "$noise; seq 1 200000; $noise; printf 'no newline'" >"$scratch/out"
  cmp "$scratch/out" <(seq 1 200000; printf 'no newline')
}

@test "$KIND C31 large output is whole" {
  local bytes=50000000 sum=f261a48610e35a8b55dd3e6932a329f1ea8b97908983268e8d9ecf92e6f5156b times=20
  if [ "$KIND" = vm ]; then
    bytes=5000000 times=2
    sum=$(yes 0123456789 | head -c 5000000 | sha256sum | cut -d' ' -f1)
  fi
  [ -n "$DUET_TEST_FULL" ] || times=1
  for ((i = 0; i < times; i++)); do
    is "$(run_as busybox sh -c "yes 0123456789 | head -c $bytes" | sha256sum | cut -d' ' -f1)" "$sum"
  done
  sum=$(yes 0123456789 | head -c 5000000 | sha256sum | cut -d' ' -f1)
  run_plain busybox sh -c 'yes 0123456789 | head -c 5000000 >&2; head -c 3000000 /dev/zero | tr "\0" x' \
    >"$scratch/out" 2>"$scratch/e"
  is "$(grep -av '^duet: ' "$scratch/e" | head -c 5000000 | sha256sum | cut -d' ' -f1)" "$sum"
  is "$(tr -d x <"$scratch/out" | wc -c) $(wc -c <"$scratch/out")" "0 3000000"
  duet run --as "$KIND" --name big busybox sh -c 'yes 0123456789 | head -c 5000000' >/dev/null
  is "$(duet logs big | sha256sum | cut -d' ' -f1)" "$sum"
  duet rm big
}

@test "$KIND C31 a reader that goes away ends the payload" {
  local start=$SECONDS
  duet run --rm --as "$KIND" busybox yes 2>/dev/null | head -1 >"$scratch/out"
  is "$(cat "$scratch/out")" y
  [ $((SECONDS - start)) -le $((10 * slow)) ]
  none_listed
}

@test "$KIND C41 arguments and variables arrive as they are" {
  local many=()
  for ((i = 0; i < 300; i++)); do many+=(-e "V$i=$(printf '%050d' "$i")"); done
  run_as -e 'J={"m":"a b"}' -e 'N=x y' -e 'E=' "${many[@]}" busybox \
    sh -c 'printf %s "$1" | wc -c; shift; for a; do echo "[$a]"; done; echo "$J|$N|$E"
      env | grep -c "^V[0-9]*=0*[0-9]*$"' s "$(printf '%0100000d' 0)" \
    'a b' '' '"q"' "it's" '$HOME' $'l1\nl2' 'ü' '--' '-x' >"$scratch/out"
  printf '100000\n[a b]\n[]\n["q"]\n[it'"'"'s]\n[$HOME]\n[l1\nl2]\n[ü]\n[--]\n[-x]\n{"m":"a b"}|x y|\n300\n' >"$scratch/want"
  cmp "$scratch/out" "$scratch/want"
}

@test "$KIND a read-only root, and file systems in memory" {
  run run_as --read-only --tmpfs /data:size=1m,mode=750,exec --tmpfs /tmp/below:ro busybox sh -c '
    for file in /x /etc/x /tmp/below/x; do touch $file 2>&1; done
    touch /tmp/x /run/x /var/tmp/x /data/x && echo written
    stat -c "%a %u %g" /data /tmp
    dd if=/dev/zero of=/data/big bs=1M count=2 2>&1 | grep -o "No space left on device"
    rm -f /data/big
    for dir in /data /tmp; do
      printf "#!/bin/sh\necho ran\n" >$dir/run && chmod +x $dir/run && $dir/run 2>/dev/null || echo $?
    done
    awk "\$2 == \"/data\" { print \$4 }" /proc/mounts | grep -o -E "noexec|nosuid|nodev|size=[0-9]*k" | xargs'
  is "$status" 0
  is "$output" "touch: /x: Read-only file system
touch: /etc/x: Read-only file system
touch: /tmp/below/x: Read-only file system
written
750 0 0
1777 0 0
No space left on device
ran
126
nosuid nodev size=1024k"
}

@test "$KIND environment, working directory, entrypoint, hostname, user" {
  is "$(run_as -w /usr -e A=1 --entrypoint /bin/sh --hostname lab -u 1000:1001 busybox \
    -c 'echo $PWD $A $(hostname) $(id -u) $(id -g) $0 $1' a b)" "/usr 1 lab 1000 1001 a b"
  expect 125 run_as -w relative busybox true
}

# bats test_tags=host
@test "$KIND volumes: folders and files, read-only and not" {
  mkdir -p "$scratch/vol"
  echo from-host >"$scratch/vol/a"
  is "$(run_as -v "$scratch/vol:/mnt/v" -v "$scratch/vol:/mnt/r:ro" -v "$scratch/vol/a:/etc/one:ro" busybox \
    sh -c 'cat /mnt/v/a /mnt/r/a /etc/one; echo from-inside > /mnt/v/b
      touch /mnt/r/c 2>/dev/null || echo no; (echo x >>/etc/one) 2>/dev/null || echo no')" \
    $'from-host\nfrom-host\nfrom-host\nno\nno'
  is "$(cat "$scratch/vol/a" "$scratch/vol/b")" $'from-host\nfrom-inside'
  is "$(stat -c %u "$scratch/vol/b")" "$(id -u)"
  [ ! -e "$scratch/vol/c" ]
  expect 125 run_as -v "$scratch/nosuch:/x" busybox true
}

# bats test_tags=host
@test "$KIND limits are seen inside" {
  if [ "$KIND" = container ] && ! limited; then
    expect 125 run_as -m 128m busybox true
    [[ $output == *"cannot keep --memory: no cgroup was delegated to you"* ]]
    expect 125 run_as --cpus 1 busybox true
    expect 125 run_as --pids-limit 50 busybox true
    return 0
  fi
  # fork fails at the limit, and the shell says so
  run run_as --pids-limit 10 busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait'
  [[ $output == *fork* ]]
  run run_as -m 128m --cpus 1 --pids-limit 40 busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.1 & done; wait; echo all'
  is "$output" all
}

# bats test_tags=host
@test "$KIND create, start, stop, start again, rm: the writable layer stays" {
  duet create --as "$KIND" --name twice busybox sh -c 'cat /count 2>/dev/null; echo x >> /count; sync; echo ready; sleep 300'
  is "$(state_of twice)" created
  duet start twice
  is "$(state_of twice)" running
  wait_for 10 wrote twice ready
  duet stop -t 1 twice
  is "$(state_of twice)" exited
  duet start twice
  wait_for 10 wrote twice ready
  is "$(duet logs twice)" $'x\nready'
  expect 125 duet rm twice
  expect 0 duet rm -f twice
  expect 125 duet inspect twice
}

@test "$KIND names: taken ones and impossible ones" {
  duet create --as "$KIND" --name taken busybox true
  expect 125 duet create --as "$KIND" --name taken busybox true
  [[ $output == *"in use"* ]]
  expect 125 duet create --as "$KIND" --name 'no/slash' busybox true
  duet rm taken
}

# bats test_tags=host
@test "$KIND stop signal, kill, wait" {
  duet run -d --as "$KIND" --name sig busybox sh -c 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done'
  wait_for 20 wrote sig ready
  duet stop -t 20 sig
  is "$(duet wait sig)" 7
  duet start sig
  duet kill -s KILL sig
  is "$(duet wait sig)" 137
  duet rm sig
}

# bats test_tags=host
@test "$KIND pause and unpause" {
  duet run -d --as "$KIND" --name pause busybox sleep 300
  if [ "$KIND" = container ] && ! limited; then
    expect 125 duet pause pause
    [[ $output == *"it has no cgroup"* ]]
    is "$(state_of pause)" running
    duet rm -f pause
    return 0
  fi
  duet pause pause
  is "$(state_of pause)" paused
  duet unpause pause
  expect 0 duet exec pause true
  duet rm -f pause
}

@test "$KIND logs -f follows to the end" {
  duet run -d --as "$KIND" --name talk busybox sh -c 'echo one; sleep 1; echo two'
  is "$(timeout 20 "$DUET" logs -f talk)" "$(printf 'one\ntwo')"
  duet rm -f talk
}

# bats test_tags=host
@test "$KIND C37 exec works as soon as run -d returns" {
  local times=20
  [ "$KIND" = container ] || [ -n "$DUET_TEST_FULL" ] || times=1
  for ((i = 0; i < times; i++)); do
    duet run -d --as "$KIND" --name "v$i" busybox sleep 300
    is "$(duet exec "v$i" echo ok)" ok
    duet rm -f "v$i"
  done
}

@test "$KIND a time-out kills and is said" {
  local limit=1
  [ "$KIND" = container ] || limit=$((2 + 3 * slow)) # its boot is part of it
  run --separate-stderr duet run --rm --as "$KIND" --timeout $limit busybox sleep 300
  is "$status" 137
  [[ $stderr == *"timed out"* ]]
}

@test "$KIND C29 orphans are reaped and do not outlive the payload" {
  local start=$SECONDS
  expect 6 run_as busybox sh -c 'for i in 1 2 3 4 5; do (sleep 0.2 &) ; done; sleep 1
    grep -l "State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l; (sleep 300 &); exit 6'
  is "$output" 0
  [ $((SECONDS - start)) -lt $((20 * slow)) ]
}

@test "$KIND C59 signals to the client reach the payload" {
  for pair in INT:130 TERM:143 HUP:129; do
    # bash has a background job ignore SIGINT, and a program can't undo that with trap
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$DUET" run --rm --as "$KIND" --name signalled busybox sleep 300 3>&- &
    local client=$! code=0
    wait_for 30 has_state signalled running
    kill -"${pair%:*}" "$client"
    wait "$client" || code=$?
    is "$code" "${pair#*:}"
    none_listed
  done
}

@test "$KIND C59 a signal right after the start" {
  for delay in 0.001 0.01 0.03; do
    bash -c 'exec "$DUET" run --rm --as "$KIND" busybox sleep 300' 3>&- &
    local client=$! code=0 name='' deadline=$((SECONDS + 5 * slow))
    # Not the shell that it was.
    until [ "$name" = duet ] || [ $SECONDS -ge $deadline ]; do read -r name <"/proc/$client/comm"; done
    sleep "$delay"
    kill -TERM "$client"
    wait "$client" || code=$?
    is "$code" 143
    none_listed
  done
}

# bats test_tags=host
@test "$KIND C59 a killed client leaves a listed instance" {
  bash -c 'exec "$DUET" run --as "$KIND" --name orphan busybox sleep 300' 3>&- &
  local client=$!
  wait_for 30 has_state orphan running
  kill -KILL "$client"
  sleep 0.5
  is "$(state_of orphan)" running
  duet stop -t 1 orphan
  is "$(state_of orphan)" exited
  duet rm orphan
}

# bats test_tags=host
@test "$KIND C55 a state file is never believed about a pid" {
  duet run -d --as "$KIND" --name stale busybox sleep 300
  local dir monitor pid
  dir=$DUET_ROOT/instances/$(duet inspect stale | jq -r '.[0].id')
  monitor=$(duet inspect stale | jq '.[0].monitor_pid')
  pid=$(duet inspect stale | jq '.[0].pid')
  cp "$dir/state" "$scratch/state"
  kill -KILL "$monitor" "$pid"
  sleep 1000 3>&- &
  local bystander=$!
  for number in "$bystander" 1 4000000; do
    sed "s/'pid': <[^>]*>/'pid': <int64 $number>/; s/'monitor-pid': <[^>]*>/'monitor-pid': <int64 $number>/" \
      "$scratch/state" >"$dir/state"
    is "$(state_of stale)" exited
    run duet stop stale
    [[ $output == *"not running"* ]]
    kill -0 "$bystander"
  done
  : >"$dir/state"
  is "$(state_of stale)" exited
  echo garbage >"$dir/state"
  is "$(state_of stale)" exited
  duet start stale
  is "$(duet exec stale echo ok)" ok
  duet rm -f stale
  kill -0 "$bystander"
  kill "$bystander"
}

# bats test_tags=host
@test "$KIND marks are in order and inspect tells them" {
  duet run --as "$KIND" --name marks busybox echo x
  duet inspect marks | jq -e '.[0].marks | .request > 0 and .spawned > .request and .init > .spawned
    and .exec >= .init and .output >= .exec and .exited >= .output and .released >= .exited'
  duet inspect marks | jq -e '.[0].exit_code == 0 and .[0].state == "exited" and .[0].pid == 0'
  duet rm marks
}
