#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Callers with bad luck: readers that stall, full devices, garbage, races.

load lib
KIND=container

setup_file() {
  root_up
  stock_image busybox
}
teardown() {
  duet rm -f --all >/dev/null
  ! mountpoint -q "$scratch/small" || umount "$scratch/small"
}
teardown_file() { root_down; }

# client SIGNAL SCRIPT: runs the script with a reader that never reads; after 1 s the client gets
# the signal (0: none) and has 5 s to end; on a slow host each is longer. Prints its exit code, and what the reader then finds.
client() {
  python3 - "$@" <<'PYTHON'
import os, signal, subprocess, sys, time
number, script = int(sys.argv[1]), sys.argv[2]
slow = min(5, int(os.environ.get("DUET_TEST_SLOW", 1)))
p = subprocess.Popen([os.environ["DUET"], "run", "--rm", "busybox", "sh", "-c", script], stdout=subprocess.PIPE)
time.sleep(slow)
if number:
    p.send_signal(number)
    print(p.wait(5 * slow))
else:
    listed = subprocess.run([os.environ["DUET"], "ps", "-aq"], capture_output=True, text=True).stdout
    print(len(listed), len(p.stdout.read()), p.wait(5 * slow))
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
    { "$DUET" run --rm --name same busybox sleep "$slow" >/dev/null 2>&1 && echo won || echo lost; } >"$scratch/same.$i" 3>&- &
  done
  wait
  is "$(cat "$scratch"/same.* | sort | uniq -c | tr -s ' ' | tr '\n' ,)" " 9 lost, 1 won,"
}

@test "garbage on a monitor's socket costs that connection only" {
  duet run -d --name garbage busybox sleep 100
  python3 - "$DUET_ROOT/instances/$(field garbage id)/sock" <<'PYTHON'
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
  [ $((SECONDS - start)) -le $((5 * slow)) ]
  is "$(duet wait deaf)" 137
}

@test "a paused instance can be stopped and removed" {
  needs_limits
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

@test "output that waits when the user ends it still reaches a reader that reads" {
  python3 - <<'PYTHON'
import os, signal, subprocess, time
script = 'trap "head -c 300000 /dev/zero; exit 6" TERM; echo; while :; do sleep 0.05; done'
p = subprocess.Popen([os.environ["DUET"], "run", "--rm", "busybox", "sh", "-c", script], stdout=subprocess.PIPE)
p.stdout.read(1)
time.sleep(0.2)
p.send_signal(signal.SIGTERM)
time.sleep(0.7)
got = 0
while chunk := os.read(p.stdout.fileno(), 16384):
    got += len(chunk)
    time.sleep(0.02)
assert (got, p.wait(5)) == (300000, 6), (got, p.returncode)
PYTHON
}

@test "an exec in a paused instance is refused" {
  needs_limits
  duet run -d --name held busybox sleep 100
  duet pause held
  expect 125 timeout -k 1 5 "$DUET" exec held true
  [[ $output == *"duet unpause"* ]]
}

@test "a stop at the moment of the end is no failure" {
  local i
  for ((i = 0; i < 20; i++)); do
    duet run -d --name brief busybox sh -c "sleep 0.0$((i % 8)); exit 5" >/dev/null
    { duet stop brief 2>&1 || echo failed; } >"$scratch/stop" 3>&- &
    expect 0 duet stop brief
    wait $!
    is "$(grep -c failed "$scratch/stop" || true)" 0
    duet rm brief
  done
}

@test "who asks at the moment of the end is told the exit code" {
  local i n
  for ((i = 0; i < 20; i++)); do
    duet run -d --name brief busybox sh -c "sleep 0.0$((i % 5)); exit 5" >/dev/null
    for ((n = 0; n < 100; n++)); do
      output=$(duet inspect brief | jq -r '.[0] | "\(.state) \(.exit_code)"')
      [[ $output == exited* ]] && break
    done
    is "$output" "exited 5"
    duet rm brief
  done
}

@test "many commands at once sweep away nothing that is being made" {
  local i
  for ((i = 0; i < 8; i++)); do
    (for n in {1..25}; do "$DUET" run --rm --name many busybox echo ran || true; done) >"$scratch/many.$i" 2>&1 3>&- &
  done
  wait
  # Each ran, or was told why not.
  is "$(cat "$scratch"/many.* | grep -vc '^ran$\|is in use by the instance')" 0
  is "$(cat "$scratch"/many.* | wc -l)" 200
  [ "$(cat "$scratch"/many.* | grep -cx ran)" -gt 0 ]
}

@test "a tree deeper than there are descriptors is removed" {
  run -0 duet run --name deep busybox sh -c 'cd /root; i=0
    while [ $i -lt 2000 ]; do mkdir -p a/a/a/a/a/a/a/a/a/a && cd -P a/a/a/a/a/a/a/a/a/a || exit; i=$((i + 10)); done'
  duet rm deep
  is "$(ls "$DUET_ROOT/trash")" ""
}

@test "what can't be written is no running instance" {
  needs_root "to mount a file system"
  local small=$scratch/small
  mkdir "$small"
  mount -t tmpfs -o mode=0711 tmpfs "$small"
  duet --root "$small" image import --name busybox "$scratch/busybox.tar"
  duet --root "$small" create --name still busybox true
  mount -o remount,ro "$small"
  run duet --root "$small" rm -f still
  local forced="$status $output"
  run duet --root "$small" rm still
  umount "$small"
  is "$status $output" "125 duet: cannot lock the instance 'still': Read-only file system"
  is "$forced" "$status $output"
}

@test "a caller's ignored signals and file size limit do no harm" {
  # nohup: the terminal goes away, the instance stays.
  (trap '' HUP && exec "$DUET" run --rm --name kept busybox sleep 2) 3>&- &
  wait_for 5 has_state kept running
  kill -HUP $!
  wait $!
  expect 5 bash -c 'trap "" CHLD INT TERM; exec "$DUET" run --rm busybox sh -c "exit 5"'
  run bash -c 'ulimit -f 0; "$DUET" create busybox true 2>&1 | cat'
  [[ $output == "duet: cannot write 'spec': File too large" ]]
  is "$(ls "$DUET_ROOT/live")" ""
}

@test "a container's set-user-id programs are out of reach for the host's users" {
  needs_root "to be another user"
  local id
  id=$(duet run -d busybox sh -c 'cp /bin/busybox /bin/mine; chmod 4755 /bin/mine; echo made; sleep 100')
  wait_for 5 wrote "$id" made
  [ -u "$DUET_ROOT/instances/$id/upper/bin/mine" ]
  setpriv --reuid 65534 --regid 65534 --clear-groups test ! -e "$DUET_ROOT/instances/$id/upper/bin/mine"
}
