#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is left after many starts, and after a kill -9 at a random moment: nothing.

load lib

setup_file() {
  root_up
  stock_image busybox
  # The first VM of a host probes QEMU and fetches a kernel: not part of what is tested here.
  duet run --rm --vm busybox true 2>/dev/null
  image_before=$(image)
  export image_before
}
# What all instances share: layers, root disks, blobs; names, modes and content.
image() { (cd "$DUET_ROOT/images" && find blobs layers vmroot -printf '%p %m %U %G %s\n' -type f -exec sha256sum {} + | sort | sha256sum); }
teardown() { ! mountpoint -q "$scratch/small" || umount "$scratch/small"; }
teardown_file() {
  is "$(image)" "$image_before"
  root_down
}

# many SHORT FULL: how often, in the short and in the full run; a third of the short one where all is slow.
many() {
  if [ -n "${DUET_TEST_FULL:-}" ]; then echo "$2"; elif [ "$slow" != 1 ]; then echo $((($1 + 2) / 3)); else echo "$1"; fi
}

ids() { ls "$DUET_ROOT/instances"; }

# Whether duet has to take it for one that somebody is just making: marked within the last 5 seconds, without a spec.
is_young() {
  [ ! -e "$DUET_ROOT/instances/$1/spec" ] &&
    [ -n "$(find "$DUET_ROOT/live/$1" -newermt '-6 seconds' 2>/dev/null)" ]
}

# After the next duet command nothing of these ids is left, and ps tells the truth.
settled() {
  local id left
  for id in "$@"; do
    while is_young "$id"; do sleep 0.2; done
  done
  duet ps -a >/dev/null
  left=$(left_behind "$@")
  [ -z "$left" ] || { echo "left behind: $left"; return 1; }
}

cycles() {
  local kind=$1 times=$2 seen=()
  for ((i = 0; i < times; i++)); do
    duet create --as "$kind" --name "cycle$i" busybox sleep 300
    seen+=("$(ids)")
    duet start "cycle$i"
    duet rm -f "cycle$i"
  done 2>/dev/null
  none_listed
  settled "${seen[@]}"
}

@test "starts and removals of containers leave nothing" {
  cycles container "$(many 10 200)"
}

@test "starts and removals of VMs leave nothing" {
  cycles vm "$(many 3 200)"
}

# victim: the process to kill is there.
victim() {
  case $victim in
  client) pid=$client ;;
  monitor) pid=$(pgrep -P "$client" -x duet-monitor) ;;
  virtiofsd) pid=$(pgrep -n -f "^[^ ]*virtiofsd .*=$(run_base)/$(ids | head -1)/vol/") ;;
  qemu) pid=$(duet inspect struck 2>/dev/null | jq '.[0].pid | select(. > 0)') ;;
  esac
  [ -n "$pid" ]
}
# strike KIND VICTIM [OPTION...]: kills one process of a run at a random moment of its life, and counts that in $hits.
strike() {
  local kind=$1 victim=$2 span=300 client pid='' id deadline=$((SECONDS + 20 * slow))
  shift 2
  [ "$kind" = container ] || span=4000
  # Not the function: its process would be the one that is struck.
  "$DUET" run --rm --as "$kind" --name struck "$@" busybox sleep 1 >/dev/null 2>&1 3>&- &
  client=$!
  # Without a pause: the first moments are those in which most is half made, and so are more often taken.
  until victim || [ $SECONDS -ge $deadline ]; do :; done
  sleep "$(awk -v s="$span" -v r="$RANDOM" 'BEGIN { r /= 32768; printf "%.3f", r * r * s / 1000 }')"
  id=$(ids | head -1 || true)
  if kill -KILL "$pid" 2>/dev/null; then hits=$((hits + 1)); fi
  if [ "$victim" = client ]; then
    wait "$client" || true
    # What it left is listed, or gone; either can be ended.
    duet rm -f struck >/dev/null 2>&1 || true
  else
    wait "$client" || true
  fi
  none_runs
  [ -z "$id" ] || settled "$id"
  duet rm -f --all >/dev/null
}

# strikes KIND VICTIM TIMES [OPTION...]
strikes() {
  local n hits=0
  for ((n = 0; n < $3; n++)); do strike "$1" "$2" "${@:4}"; done
  echo "$hits of $3 hit"
  [ $hits -gt 0 ]
}

@test "kill -9 of a container's monitor at random moments" {
  strikes container monitor "$(many 8 20)"
}

@test "kill -9 of a container's client at random moments" {
  strikes container client "$(many 8 20)"
}

@test "kill -9 of a VM's monitor at random moments" {
  strikes vm monitor "$(many 3 20)"
}

@test "kill -9 of a VM's client at random moments" {
  strikes vm client "$(many 3 20)"
}

@test "kill -9 of QEMU at random moments" {
  strikes vm qemu "$(many 3 20)"
}

@test "kill -9 of a folder's virtiofsd at random moments" {
  mkdir -p "$scratch/folder"
  strikes vm virtiofsd "$(many 2 20)" -v "$scratch/folder:/folder"
}

# What all suites rest on: root_down, left_behind.
@test "an agent and a QEMU that are left are found" {
  is "$(left_now)" ""
  cp "$(command -v bash)" "$scratch/qemu-system-x86_64"
  mkfifo "$scratch/never"
  # Of another test is an agent that has its monitor.
  cp "$(command -v bash)" "$scratch/duet-monitor"
  "$scratch/duet-monitor" -c '(exec -c -a duet-agent sleep 60) & wait' 3>&- &
  local monitor=$! agent qemu
  agent=$(bash -c '(exec -c -a duet-agent sleep 60) >/dev/null 2>&1 3>&- & echo $!')
  (exec -c -a qemu "$scratch/qemu-system-x86_64" -c 'read -r -t 60' <>"$scratch/never" 4>"$DUET_ROOT/console.log" 3>&-) &
  qemu=$!
  wait_for 5 eval '[ "$(left_now | wc -l)" = 3 ]' || true
  run left_now
  kill "$monitor" "$agent" "$qemu" $(pgrep -P "$monitor")
  echo "$output"
  # The monitor has our environment.
  is "$(awk '{ print $2 }' <<<"$output" | sort)" "$(printf '%s\n' "$monitor" "$agent" "$qemu" | sort)"
  is "$(left_behind)" ""
}

@test "a full disk while an instance is made is one clear error and leaves nothing" {
  needs_root "to mount a file system"
  local small=$scratch/small
  mkdir "$small"
  # tmpfs has idmapped mounts since Linux 6.3 only
  mkfs.ext4 -q -m 0 "$scratch/small.ext4" 64M
  mount -o loop "$scratch/small.ext4" "$small"
  chmod 0711 "$small"
  duet --root "$small" image import --name busybox "$scratch/busybox.tar"
  local in left more=0
  in=$(duet --root "$small" run --rm busybox echo in)
  cat /dev/zero >"$small/fill" 2>/dev/null || true
  # what the instance that went gave back
  while mkdir "$small/more$((++more))" 2>/dev/null; do :; done
  run duet --root "$small" run --rm busybox true
  left=$(ls -A "$small/instances" "$small/live" "$small/names" | grep -v : || true)
  umount "$small"
  is "$in" in
  is "$status" 125
  [[ $output == *"No space left"* ]]
  is "$(wc -l <<<"$output")" 1
  is "$left" ""
}

@test "a signal in the middle of a creation leaves nothing" {
  local call
  for call in mkdirat symlinkat; do
    expect 143 strace -qq -o /dev/null -e trace="$call" -e inject="$call:signal=TERM:when=1" "$DUET" run --rm busybox sleep 60
    settled
    is "$(ls -A "$DUET_ROOT/instances" "$DUET_ROOT/live" "$DUET_ROOT/names" | grep -v :)" ""
  done
}
