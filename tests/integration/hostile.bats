#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Callers with bad luck: readers that stall, full devices, garbage, races.

load lib
KIND=container

setup_file() {
  root_up
  stock_image busybox
}
teardown() { duet rm -f --all >/dev/null; }
teardown_file() { root_down; }

# client SIGNAL SCRIPT: runs the script with a reader that never reads; after 1 s the client gets
# the signal (0: none) and has 5 s to end. Prints its exit code, and what the reader then finds.
client() {
  python3 - "$@" <<'PYTHON'
import os, signal, subprocess, sys, time
number, script = int(sys.argv[1]), sys.argv[2]
p = subprocess.Popen([os.environ["DUET"], "run", "--rm", "busybox", "sh", "-c", script], stdout=subprocess.PIPE)
time.sleep(1)
if number:
    p.send_signal(number)
    print(p.wait(5))
else:
    listed = subprocess.run([os.environ["DUET"], "ps", "-aq"], capture_output=True, text=True).stdout
    print(len(listed), len(p.stdout.read()), p.wait(5))
PYTHON
}

@test "a reader that stalls holds back no signal" {
  is "$(client 2 'yes')" 130
  is "$(client 15 'yes')" 143
  is "$(client 1 'yes')" 129
}

@test "a reader that stalls holds back no clean-up, and loses nothing" {
  is "$(client 0 'head -c 300000 /dev/zero; exit 4')" "0 300000 4"
}

@test "output that can't be written is an error" {
  expect 125 sh -c '"$DUET" run --rm busybox echo hi >/dev/full'
  expect 125 sh -c '"$DUET" ps -a >/dev/full'
}

@test "closed standard streams do no harm" {
  expect 3 sh -c '"$DUET" run --rm busybox sh -c "exit 3" <&- >&- 2>&-'
}

@test "standard input without end does not hold up the end" {
  is "$(yes | timeout 20 "$DUET" run --rm -i busybox head -1)" y
}

@test "ten runs with one name: one has it, nine are told" {
  local i
  for ((i = 0; i < 10; i++)); do
    { "$DUET" run --rm --name same busybox sleep 1 >/dev/null 2>&1 && echo won || echo lost; } >"$scratch/same.$i" 3>&- &
  done
  wait
  is "$(cat "$scratch"/same.* | sort | uniq -c | tr -s ' ' | tr '\n' ,)" " 9 lost, 1 won,"
}

@test "garbage on a monitor's socket costs that connection only" {
  duet run -d --name garbage busybox sleep 100
  python3 - /run/duet/"$(duet inspect garbage | jq -r '.[0].id')"/sock <<'PYTHON'
import os, socket, sys
for n in range(50):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    try:
        s.sendall(os.urandom(1 + 97 * n))
        # a SPAWN whose fields are nonsense, an exec that never reads
        s.sendall(b"\x20\x00\x00\x00\x03\x00\x00\x00" + os.urandom(32))
    except OSError:
        pass
    s.close()
PYTHON
  is "$(duet exec garbage echo alive)" alive
}

@test "fifty execs at once" {
  duet run -d --name busy busybox sleep 100
  local i
  for ((i = 0; i < 50; i++)); do "$DUET" exec busy echo x >"$scratch/exec.$i" 3>&- & done
  wait
  is "$(cat "$scratch"/exec.* | wc -l)" 50
}

@test "a payload that ignores SIGTERM is killed after the grace" {
  duet run -d --name deaf busybox sh -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
  wait_for 10 wrote deaf ready
  local start=$SECONDS
  duet stop -t 1 deaf
  [ $((SECONDS - start)) -le 5 ]
  is "$(duet wait deaf)" 137
}

@test "a paused instance can be stopped and removed" {
  duet run -d --name held busybox sleep 100
  duet pause held
  duet stop -t 1 held
  is "$(state_of held)" exited
  duet start held
  duet pause held
  duet rm -f held
}

@test "roots in odd places" {
  local odd="$scratch/a b/ü"
  mkdir -p "$odd"
  duet --root "$odd" image import --name busybox "$scratch/busybox.tar" >/dev/null
  is "$(duet --root "$odd" run --rm busybox echo in)" in
  ln -s "$odd" "$scratch/link"
  is "$(duet --root "$scratch/link" run --rm busybox echo in)" in
  local long="$scratch/$(printf 'x%.0s' {1..200})"
  mkdir -p "$long"
  duet --root "$long" image import --name busybox "$scratch/busybox.tar" >/dev/null
  is "$(duet --root "$long" run --rm busybox echo in)" in
  (cd "$odd" && is "$(duet --root . run --rm busybox echo in)" in)
}
