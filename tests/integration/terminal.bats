#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Terminals of both kinds: -t, attach, detach keys, window sizes; each command on a real one.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown() { duet rm -f --all >/dev/null; }
teardown_file() { root_down; }

# on STEP... -- COMMAND...: see terminal.py. Debian's Python, which has all of its modules.
on() { /usr/bin/python3 "$tests_dir/integration/terminal.py" "$@" 3>&-; }

# begin NAME [OPTION...]: a shell on a terminal, in the background.
begin() { duet run -dit --as "$KIND" --name "$@" 2>/dev/null >"$scratch/id"; }

# runs_in INSTANCE COMMAND
runs_in() { duet exec "$1" ps -o args | grep -qx "$2"; }

a_shell() {
  on size=33x77 'see=/ # ' raw 'type=tty; stty size; echo "$TERM $(id -u)"\r' see=/dev/pts/0 'see=33 77' 'see=xterm 0' \
    'type=test -t 0 -a -t 1 -a -t 2 && echo all; ls -l /dev/tty\r' 'see=all' \
    'type=sleep 100; echo rc=$?\r' wait=0.3 'type=\x03' 'see=/ # ' 'type=echo nex""t\r' 'see=next' \
    size=21x91 wait=0.3 'type=stty size\r' 'see=21 91' \
    'type=cat\r' wait=0.2 'type=typed\r' 'see=typed' 'see=typed' 'type=\x04' 'see=/ # ' 'type=exit 7\r' end=7 -- \
    "$DUET" run --rm --as "$KIND" -it busybox sh
}

many_checks_of_one() {
  begin box busybox sh
  # -dt: nobody was attached yet. What is typed goes to the shell, the size is the caller's
  on size=24x80 'type=stty size\r' 'see=24 80' 'see=# ' 'type=\x10\x11' end=0 -- "$DUET" attach box
  on size=30x100 'type=stty size; X=kept\r' 'see=30 100' 'see=# ' 'type=\x10\x11' end=0 -- "$DUET" attach box
  # other keys, and none: then they are the payload's
  on 'type=echo $X there\r' 'see=kept there' 'see=# ' 'type=qw' end=0 -- "$DUET" attach --detach-keys q,w box
  on 'type=\x10\x11\x15echo still $X\r' 'see=still kept' signal=KILL gone=137 -- "$DUET" attach --detach-keys '' box
  # a client that is killed leaves it running, and what it had to say is in the log
  on 'type=echo "[$X]"\r' 'see=[kept]' raw signal=KILL gone=137 -- "$DUET" attach box
  is "$(state_of box)" running
  on raw 'type=sleep 0.5; echo late-$X\r' 'type=\x10\x11' end=0 -- "$DUET" attach box
  wait_for 10 eval 'duet logs box | grep -q late-kept'
  on raw wait=0.5 'unseen=late-kept' 'type=\x10\x11' end=0 -- "$DUET" attach box
  is "$(duet inspect box | jq -c '.[0] | [.tty, .interactive]')" '[true,true]'

  # exec: a terminal each
  on size=11x22 'see=# ' 'type=stty size; tty; exit 5\r' 'see=11 22' see=/dev/pts/1 end=5 -- "$DUET" exec -it box sh
  on 'see=1000' 'see=via tty' 'see=by name' end=0 -- "$DUET" exec -t --user 1000 box \
    sh -c 'id -u; echo via tty >/dev/tty; echo by name >$(tty)'
  on lines=30000 end=3 -- "$DUET" exec -t box sh -c 'seq 1 30000; exit 3'
  on 'see=on' raw signal=TERM end=143 -- "$DUET" exec -it box sh -c 'echo on; sleep 1000'
  on 'see=on' signal=INT end=130 -- "$DUET" exec -t box sh -c 'echo on; sleep 1000'
  on 'see=not found' end=127 -- "$DUET" exec -it box nosuch
  # left by its keys, it goes on; its client killed, it is hung up
  on 'see=on' raw 'type=\x10\x11' end=0 -- "$DUET" exec -it box sh -c 'echo on; exec sleep 2001'
  on 'see=on' raw signal=KILL gone=137 -- "$DUET" exec -it box sh -c 'echo on; exec sleep 2002'
  wait_for 10 eval '! runs_in box "sleep 2002"'
  runs_in box 'sleep 2001'
  duet exec -d box sleep 2003
  runs_in box 'sleep 2003'
  expect 127 duet exec -d box nosuch

  on 'type=exit 9\r' end=9 -- "$DUET" attach box
  is "$(field box exit_code)" 9
  duet logs box | grep -q 'still kept'
  # and once more, attached from the start
  on size=25x99 'see=# ' 'type=stty size; exit 3\r' 'see=25 99' end=3 -- "$DUET" start -ai box
  duet rm box
}

@test "container: a shell on a terminal" { KIND=container a_shell; }
@test "vm: a shell on a terminal" { KIND=vm a_shell; }
@test "container: attach, detach, exec, start" { KIND=container many_checks_of_one; }
@test "vm: attach, detach, exec, start" { KIND=vm many_checks_of_one; }

@test "output that is larger than all buffers is whole, and so is its end" {
  on lines=60000 see=last end=4 -- "$DUET" run --rm -t busybox sh -c 'seq 1 60000; echo last; exit 4'
  duet run -t --name long busybox sh -c 'seq 1 60000; printf "no newline"' >"$scratch/out"
  cmp "$scratch/out" <(seq 1 60000 | sed 's/$/\r/'; printf 'no newline')
  duet logs long | cmp - "$scratch/out"
}

@test "run is left by its keys, prints nothing, and what it started goes on" {
  on raw 'type=echo there\r' 'see=there' 'type=\x10' 'type=\x11' end=0 print -- "$DUET" run --rm --name left -it busybox sh >"$scratch/screen"
  is "$(grep -c left "$scratch/screen" || true)" 0
  is "$(state_of left)" running
  # --rm still is to come
  on 'type=exit\r' end=0 -- "$DUET" attach left
  none_listed
  on raw 'see=on' signal=KILL gone=137 -- "$DUET" run --rm --name left -it busybox sh -c 'echo on; read x; echo "got $x"; read y'
  on 'type=word\r' 'see=got word' 'type=\r' end=0 -- "$DUET" attach left
  none_listed
}

@test "the caller's terminal is as before after every end" {
  on 'see=on' raw signal=TERM end=143 -- "$DUET" run --rm -it busybox sh -c 'echo on; sleep 1000'
  on 'see=on' raw signal=HUP end=129 -- "$DUET" run --rm -it busybox sh -c 'echo on; sleep 1000'
  on 'see=on' raw 'type=\x03' end=130 -- "$DUET" run --rm -it busybox sh -c 'echo on; sleep 1000'
  # a signal that is the client's own
  on 'see=on' raw signal=TERM end=143 -- "$DUET" run --name own --sig-proxy=false -it busybox sh -c 'echo on; sleep 1000'
  is "$(state_of own)" running
  # started again, and again
  on 'see=on' 'see=on' 'see=on' end=1 -- "$DUET" run --restart on-failure:2 --name again -it busybox sh -c 'echo on; exit 1'
  # the monitor dies
  on raw 'see=up' end=125 -- "$DUET" run --name dies -it busybox sh -c 'echo up; sleep 1000' &
  local client=$!
  wait_for 10 wrote dies $'up\r'
  kill -9 "$(field dies monitor_pid)"
  wait $client
  # nothing that could be started
  on 'see=not found' end=127 -- "$DUET" run --rm -it busybox nosuch
}

@test "-t without a terminal of the caller's" {
  run --separate-stderr duet run --rm -it busybox sh -c 'read x; echo "got $x"; exit 4' <<<word
  is "$status" 4
  [[ $stderr == *"standard input is no terminal"* && $stderr != *"(-t)"* ]]
  [[ $output == *"got word"* ]]
  # the end of what is passed on is told to who reads lines
  is "$(duet run --rm -it busybox cat <<<hello 2>/dev/null | tr -d '\r')" $'hello\nhello'
  # without -i nothing is missing
  run --separate-stderr duet run --rm -t busybox sh -c 'tty; test -t 0 && echo in' <<<word
  is "$output$stderr" $'/dev/pts/0\r\nin\r'
  # the caller's ^C is a signal then
  on 'see=on' 'type=\x03' end=130 -- "$DUET" run --rm -t busybox sh -c 'echo on; sleep 1000'
  # a reader that goes away ends the payload
  run bash -c '"$DUET" run --rm -t busybox yes | head -1'
  is "$output" $'y\r'
  none_listed
}

@test "attach to what has no terminal" {
  duet run -d --name plain busybox sh -c 'trap "echo got it; exit 5" USR1; echo on; while :; do sleep 0.1; done'
  wait_for 5 wrote plain on
  "$DUET" attach plain >"$scratch/out" 2>"$scratch/err" 3>&- &
  local client=$! code=0
  wait_for 5 eval '[ -e /proc/$client/fd/0 ] && grep -q SigBlk /proc/$client/status && sleep 0.3'
  kill -USR1 $client
  wait $client || code=$?
  is "$code" 5
  is "$(cat "$scratch/out")" "got it"
  expect 125 duet attach plain
  [[ $output == *"is not running"* ]]
  expect 125 duet attach nosuch

  # its standard streams are apart; input goes in; its end is not the payload's
  duet run -di --name cat busybox sh -c 'while read x; do echo "out $x"; echo "err $x" >&2; done'
  echo one | duet attach cat >"$scratch/out" 2>"$scratch/err" 3>&- &
  client=$!
  wait_for 5 wrote cat 'out one'
  wait_for 5 grep -qx 'out one' "$scratch/out"
  is "$(cat "$scratch/err")" "err one"
  # who reads no more goes, and leaves it
  (echo two; sleep 1; echo three) | timeout 20 "$DUET" attach cat 2>/dev/null 3>&- | head -1 >"$scratch/head"
  is "$(cat "$scratch/head")" "out two"
  is "$(state_of cat)" running
  # a signal that is not passed on
  code=0
  timeout -s TERM 1 "$DUET" attach --no-stdin --sig-proxy=false cat || code=$?
  is $code 124
  is "$(state_of cat)" running
  duet stop -t 0 cat
  code=0
  wait $client || code=$?
  is "$code" 137
  expect 125 duet attach --sig-proxy=maybe cat
  expect 125 duet attach --detach-keys ctrl-1 cat
  [[ $output == *"'ctrl-1' are no detach keys"* ]]
  # not what it was made without
  duet create --name dumb busybox true
  expect 125 duet start -i dumb
  [[ $output == *"made without -i"* ]]
  expect 0 duet start -a dumb
  duet pause cat 2>/dev/null || true
}

@test "many are attached: each gets all, may type, and none holds up the others" {
  duet run -di --name fan busybox sh -c 'read x; yes 0123456789 | head -c 20000000; echo end; read y; echo "last $y"'
  local clients=() i stalled code
  for i in 1 2 3; do
    "$DUET" attach --no-stdin fan >"$scratch/out$i" 3>&- &
    clients+=($!)
  done
  # one that reads nothing
  mkfifo "$scratch/pipe"
  exec 8<>"$scratch/pipe"
  "$DUET" attach --no-stdin fan >"$scratch/pipe" 2>"$scratch/said" 3>&- 8>&- &
  stalled=$!
  sleep 0.3
  # theirs stay open: who has come to an end of its input is no test of this
  mkfifo "$scratch/typed"
  exec 9<>"$scratch/typed"
  echo go >&9
  "$DUET" attach fan <"$scratch/typed" >/dev/null 3>&- 8>&- 9>&- &
  wait_for 30 eval 'tail -c 4 "$scratch/out1" | grep -qx end'
  for i in 1 2 3; do is "$(wc -c <"$scratch/out$i")" 20000004; done
  # the slowest sets the pace, unless it stands still
  is "$(yes 0123456789 | head -c 20000000 | sha256sum)" "$(head -c 20000000 "$scratch/out2" | sha256sum)"
  # told so; what had come before is in the pipe
  cat <&8 >/dev/null 3>&- &
  local drain=$!
  code=0
  wait $stalled || code=$?
  kill $drain
  exec 8>&-
  is "$code" 125
  [[ $(cat "$scratch/said") == *"others wait for that: detached"* ]]
  # one that goes is no loss
  kill -9 "${clients[0]}"
  "$DUET" attach fan <"$scratch/typed" >"$scratch/last" 3>&- 9>&- &
  echo bye >&9
  wait "${clients[1]}" "${clients[2]}"
  is "$(tail -n 1 "$scratch/out3")" "last bye"
  wait_for 5 has_state fan exited
  exec 9>&-
}

@test "one stalls, and goes: the payload is held back, and then not" {
  duet run -d --name held busybox sh -c 'sleep 1; yes | head -c 3000000; echo end'
  mkfifo "$scratch/wait"
  exec 8<>"$scratch/wait"
  "$DUET" attach --no-stdin held >"$scratch/wait" 3>&- 8>&- &
  local first=$!
  sleep 0.5
  "$DUET" attach --no-stdin held >"$scratch/out" 3>&- 8>&- &
  local second=$!
  sleep 2
  is "$(state_of held)" running
  kill -9 $first
  wait $second
  exec 8>&-
  is "$(tail -n 1 "$scratch/out") $(wc -c <"$scratch/out")" "end 3000004"
}
