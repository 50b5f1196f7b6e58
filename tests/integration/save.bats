#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2154 # scripts of the guest's shell; scratch is lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# `duet save` and `duet restore`: a VM goes on where it was; what can't be saved, or restored, is told of and kept.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown() {
  if [[ $BATS_TEST_DESCRIPTION != *"(stays)"* || -n ${BATS_ERROR_STATUS:-} && $BATS_ERROR_STATUS != 0 ]]; then duet rm -f --all >/dev/null; fi
}
teardown_file() { root_down; }

# counts NAME: a VM whose payload says its pid and counts, and that has something in memory.
counts() {
  [ "$(duet ps -aq --filter "name=^$1\$")" = "" ] || { [ "$(state_of "$1")" = running ] && return; duet rm -f "$1"; }
  duet run -d --vm -m 128m --name "$1" busybox sh -c 'i=0; while :; do echo $i $$; i=$((i+1)); sleep 0.4; done' 2>/dev/null
  duet exec "$1" sh -c 'echo remembered >/dev/shm/memory'
}
# goes_on NAME: what it had in memory is there, and the payload still writes.
goes_on() {
  local lines
  is "$(duet exec "$1" cat /dev/shm/memory)" remembered
  lines=$(duet logs "$1" | wc -l)
  wait_for 10 eval "[ \$(duet logs $1 | wc -l) -gt $lines ]"
}
# whole_log NAME: no line is missing, doubled, or of another process.
whole_log() { duet logs "$1" | awk 'NR == 1 { pid = $2 } $1 != NR - 1 || $2 != pid || NF != 2 { print "line " NR ": " $0; bad = 1 } END { exit bad }'; }
dir_of() { echo "$DUET_ROOT/instances/$(field "$1" id)"; }
# is_files NAME: nothing of it runs, or is half made.
is_files() {
  local id left
  id=$(field "$1" id)
  left=$(find "$DUET_ROOT/live" -mindepth 1 -name "$id"
    find /sys/fs/cgroup -type d '(' -name "duet-$id" -o -name "duet-$id.scope" ')' 2>/dev/null
    find "$(run_base)/$id" "$(dir_of "$1")"/{sock,saved.new,saved.used,copy.new,copy.commit} -maxdepth 0 2>/dev/null || true
    pgrep -f "guest=$id" || true)
  is "$left" ""
}
quietly() { "$@" 2> >(grep -v 'no usable KVM' >&2); }

@test "a VM goes on where it was (stays)" {
  local pids monitor qemu
  counts box
  duet exec -d box sleep 1000
  monitor=$(field box monitor_pid)
  qemu=$(field box pid)
  pids=$(duet exec box ps -o pid,args | grep -E 'sleep 1000|while' | grep -v grep)
  is "$(duet save box)" box
  is "$(state_of box)" saved
  is "$(duet ps -q)" ""
  is "$(duet ps -a --filter status=saved --format json | jq -r '.[].name')" box
  is_files box
  [ ! -e "/proc/$monitor" ] && [ ! -e "/proc/$qemu" ]
  is "$(quietly duet restore box)" box
  is "$(duet exec box ps -o pid,args | grep -E 'sleep 1000|while' | grep -v grep)" "$pids"
  goes_on box
  [ $(($(date +%s) - $(duet exec box date +%s))) -le 2 ]
  # again, by the other verb
  duet save box
  sleep 2
  quietly duet start box
  goes_on box
  [ $(($(date +%s) - $(duet exec box date +%s))) -le 2 ]
  whole_log box
  [ ! -e "$(dir_of box)/saved" ]
  is "$(duet events --until 0s --filter container=box 2>/dev/null | awk '{ print $6 }' | grep -E 'save|restore|ready|died|^start' | xargs)" \
    "start ready save restore ready save restore ready"
}

@test "what can't be saved is refused, and goes on (stays)" {
  counts box
  duet create --name c busybox true >/dev/null
  expect 125 duet save c
  [[ $output == *"a container's state is its host's kernel's; CRIU is not used"* && $(wc -l <<<"$output") = 1 ]]
  duet create --vm --rm --name r busybox true >/dev/null
  expect 125 duet save r
  [[ $output == *--rm* ]]
  duet create --vm --name n busybox true >/dev/null
  expect 125 duet save n
  [[ $output == *"not running"* ]]
  if [ "$(id -u)" = 0 ]; then
    duet create --vm -v "$scratch:/s" --name v busybox true >/dev/null
    expect 125 duet save v
    [[ $output == *virtiofs* ]]
  fi
  duet pause box
  expect 125 duet save box
  [[ $output == *paused* ]]
  duet unpause box
  duet exec box sleep 3 &
  sleep 0.5
  expect 125 duet save box
  [[ $output == *exec* ]]
  wait
  "$DUET" attach box >"$scratch/attached" &
  sleep 0.5
  expect 125 duet save box
  [[ $output == *attached* ]]
  kill -9 $!
  wait $! || true
  for verb in 'restore box' 'restore c' 'restore n' 'start --force-boot box' 'snapshot create --stateful n' 'save nosuch'; do
    # shellcheck disable=SC2086 # words
    expect 125 duet $verb
  done
  duet rm c r n >/dev/null
  [ "$(id -u)" != 0 ] || duet rm v
  goes_on box
  whole_log box
}

@test "what changed of a VM while it ran goes on with it, also in its clones" {
  local was limit
  # What the kernel keeps QEMU to.
  memory_limit() {
    cat $(find /sys/fs/cgroup -path "*duet-$(field "$1" id)*/payload/memory.*" \
      \( -name memory.max -o -name memory.limit_in_bytes \) 2>/dev/null)
  }
  truncate -s 1M "$scratch"/{first,second,third}
  duet run -d --vm -m 160m --vcpus maxvcpus=2 --disk "$scratch/first" --name lively busybox sleep 1000 2>/dev/null
  duet update -m 128m --pids-limit 50 lively
  # Its vCPUs stay when there is less time for them.
  if limited && [ "$(nproc)" -gt 1 ]; then
    duet update --cpus 1.5 lively
    duet update --cpus 0.9 lively
  fi
  # Its memory would not go any more with a disk that was written.
  expect 125 duet snapshot create --stateful lively live
  [[ $output == *"its disk '$scratch/first' is in no snapshot, and can be written"*"readonly=on"* ]]
  duet disk attach lively "$scratch/second,readonly=on"
  duet disk attach lively "$scratch/third,target=vdk,readonly=on"
  duet disk detach lively vdc
  look() { duet exec "$1" sh -c "awk '/MemTotal/ { print \$2 }' /proc/meminfo; nproc; cat /sys/block/*/serial"; }
  wait_for 5 eval '[[ $(look lively) == *duet-disk-8* ]]'
  was=$(look lively)
  limit=$(memory_limit lively)
  ! limited || [ "$limit" -gt $((128 << 20)) ]
  is "$(quietly duet snapshot create --stateful lively live)" live
  is "$(look lively)" "$was"
  duet save lively
  duet update --pids-limit 9 lively
  expect 125 quietly duet restore lively
  [[ $output == *"another limit of processes ('50' then, '9' now)"* ]]
  duet update --pids-limit 50 lively
  duet disk detach lively vdk
  expect 125 quietly duet restore lively
  [[ $output == *"another list of its further disks ('$scratch/second,"*" then, '$scratch/second,"*" now)"* ]]
  duet disk attach lively "$scratch/third,target=vdk,readonly=on"
  duet clone lively twin >/dev/null
  quietly duet start --all >/dev/null
  is "$(look lively)" "$was"
  is "$(look twin)" "$was"
  ! limited || is "$(memory_limit lively)" "$limit"
  # and it can change again, within what the VM was started with
  duet update -m 160m lively
  [ "$(look lively | head -n 1)" -gt "$(head -n 1 <<<"$was")" ]
  expect 125 duet update -m 161m twin
  [[ $output == *"was started with 160.0 MiB"* ]]
  duet disk detach twin vdk
  duet disk attach twin "$scratch/first"
  duet rm -f lively twin >/dev/null
}

@test "a saved VM may get more vCPUs: it goes on with those it has, and the next update brings them" {
  limited && [ "$(nproc)" -gt 1 ] || skip "more CPUs can't be given here"
  duet run -d --vm -m 128m --vcpus 1,maxvcpus=2 --name few busybox sleep 1000 2>/dev/null
  duet save few
  duet update --cpus 2 few
  quietly duet restore few
  is "$(duet exec few nproc)" 1
  duet update --cpus 2 few
  is "$(duet exec few nproc)" 2
  duet rm -f few >/dev/null
}

@test "a state that does not fit is one clear error, and is kept (stays)" {
  local dir stamp
  counts box
  duet save box
  dir=$(dir_of box)
  refuses() {
    expect 125 quietly duet restore box
    [ "$(wc -l <<<"$output")" = 1 ] && [[ $output == *"$1"* && $output == *--force-boot* ]] || { echo "$output"; return 1; }
    is "$(state_of box)" saved
    is_files box
  }
  cp -a "$dir/saved" "$scratch/saved"
  sed -i "s/'qemu': <'[^']*'>/'qemu': <'1.2.3'>/" "$dir/saved/about"
  refuses "another QEMU ('1.2.3' then"
  cp -a "$scratch/saved/about" "$dir/saved/about"
  sed -i "s/'kernel': <'[^']*'>/'kernel': <'0123'>/" "$dir/saved/about"
  refuses "another guest kernel"
  cp -a "$scratch/saved/about" "$dir/saved/about"
  stamp=$(stat -c %y "$dir/rw.img")
  touch "$dir/rw.img"
  refuses "another state of its writable disk"
  touch -d "$stamp" "$dir/rw.img"
  truncate -s -4096 "$dir/saved/memory"
  refuses "another memory file"
  # of the same size and time, which only libvirt can tell
  cp -a "$scratch/saved/memory" "$dir/saved/memory"
  stamp=$(stat -c %y "$dir/saved/memory")
  printf 'garbage' | dd of="$dir/saved/memory" conv=notrunc status=none
  touch -d "$stamp" "$dir/saved/memory"
  refuses libvirt
  expect 125 duet cp box:/etc/passwd "$scratch/passwd"
  [[ $output == *saved* ]]
  expect 125 duet wait box
  duet update --memory 256m box
  cp -a "$scratch/saved/memory" "$dir/saved/memory"
  refuses "another amount of memory"
  duet update --memory 128m box
  quietly duet restore box
  goes_on box
  whole_log box
}

@test "snapshots with memory, and clones that go on from there (stays)" {
  local names randoms
  counts box
  duet exec box sh -c 'echo before >/file'
  is "$(quietly duet snapshot create --stateful box live)" live
  goes_on box
  is "$(duet snapshot ls --format json box | jq -c '.[] | [.name, .stateful]')" '["live",true]'
  expect 125 duet snapshot create --stateful box live
  [[ $output == *already* ]]
  is "$(state_of box)" running
  duet exec box sh -c 'echo now >/file; rm /dev/shm/memory'
  duet save box
  quietly duet snapshot restore box live
  is "$(state_of box)" saved
  duet clone box one >/dev/null
  duet clone --snapshot live box two >/dev/null
  is "$(state_of two)" saved
  quietly duet restore box one two >/dev/null
  for name in box one two; do
    goes_on "$name"
    is "$(duet exec "$name" cat /file)" before
    names+="$(duet exec "$name" hostname) "
    randoms+="$(duet exec "$name" cat /proc/sys/kernel/random/uuid)"$'\n'
  done
  is "$names" "$(field box id) $(field one id) $(field two id) "
  is "$(printf %s "$randoms" | sort -u | wc -l)" 3
  # A clone is an instance as any other from its next boot on.
  duet stop -t 0 one
  duet snapshot create one plain >/dev/null
  quietly duet start one
  is "$(duet exec one cat /file)" before
  expect 1 duet exec one test -e /dev/shm/memory
  duet rm -f one two >/dev/null
}

@test "a saved VM is removed, or booted without its state" {
  local id
  counts box
  id=$(field box id)
  duet save box
  quietly duet start --force-boot box
  expect 1 duet exec box test -e /dev/shm/memory
  wait_for 10 eval '[ "$(duet logs box | head -n 1 | cut -d" " -f1)" = 0 ]'
  duet save box
  duet rm box
  is "$(left_behind "$id")" ""
}

@test "kill -9 at random moments leaves a VM that runs, is saved, or ended, and nothing half" {
  local rounds='save:client restore:monitor save:qemu' what victim state
  [ -z "${DUET_TEST_FULL:-}" ] ||
    rounds=$(for _ in $(seq 6); do echo {save,restore}:{client,monitor,qemu,worker}; done)
  for round in $rounds; do
    what=${round%:*} victim=${round#*:}
    counts box
    [ "$what" = save ] || duet save box
    killed_in "$what" box "$victim"
    state=$(state_of box)
    echo "$round: $state"
    [ "$state" != exited ] || [ "$victim" != client ]
    [ "$state" = running ] || wait_for 5 is_files box
    [ "$state" != saved ] || quietly duet restore box
    [ "$state" = exited ] || { goes_on box && whole_log box; }
  done
  [ -n "${DUET_TEST_FULL:-}" ] || return 0
  # A silent agent whose monitor died ends its guest all the same, with no command's help.
  counts box
  local qemu both
  qemu=$(field box pid)
  mapfile -t both < <(monitors box)
  kill -STOP "${both[1]}"
  "$DUET" save box >/dev/null 2>&1 &
  sleep 1
  kill -9 "${both[0]}"
  wait $! || true
  wait_for 40 [ ! -e "/proc/$qemu" ]
}

@test "a full disk is one clear error, and the VM goes on" {
  needs_root "to mount a file system"
  local small=$scratch/small code=0 said state answer left
  mkdir "$small"
  mkfs.ext4 -q -m 0 "$scratch/small.ext4" 48M
  mount -o loop "$scratch/small.ext4" "$small"
  chmod 0711 "$small"
  duet --root "$small" image import --name busybox "$scratch/busybox.tar" >/dev/null
  duet --root "$small" run -d --vm -m 128m --disk-size 16m --name box busybox sleep 1000 2>/dev/null
  said=$(duet --root "$small" save box 2>&1) || code=$?
  state=$(duet --root "$small" inspect box | jq -r '.[0].state')
  answer=$(duet --root "$small" exec box echo alive)
  left=$(ls -d "$small"/instances/*/saved* 2>/dev/null || true)
  duet --root "$small" rm -f box
  wait_for 10 umount "$small"
  echo "$said"
  is "$code" 125
  is "$(wc -l <<<"$said")" 1
  is "$state $answer $left" "running alive "
}
