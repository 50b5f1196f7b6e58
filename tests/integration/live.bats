#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck disable=SC2016,SC2034,SC2154 # scripts for shells inside; of lib.bash
# A VM that is changed while it lives: memory, CPUs, processes, disks; and how its guest ends. Most cases share one VM.

load lib
KIND=vm

setup_file() {
  root_up
  stock_image busybox
  truncate -s 8M "$scratch"/{first,second,third,fourth}
  for disk in first second third fourth; do printf '%s\n' "$disk" | dd of="$scratch/$disk" conv=notrunc status=none; done
  duet run -d --vm --name box -m 256m --vcpus maxvcpus=2 --disk "$scratch/first" busybox sleep 1000 >/dev/null
}
teardown_file() { root_down; }

total_kib() { duet exec "$1" awk '/^MemTotal/ { print $2 }' /proc/meminfo; }
inside() { duet exec box sh -c "$1"; }
# disk NUMBER: the guest's device with that serial.
disk() { inside "grep -lx duet-disk-$1 /sys/block/*/serial | cut -d/ -f4"; }
# A guest takes a moment to see one that came.
has_disk() { inside "grep -qx duet-disk-$1 /sys/block/*/serial"; }
has_no_disk() { ! inside "grep -qx duet-disk-$1 /sys/block/*/serial"; }

@test "memory: the guest has less, and gets it back" {
  local full less
  full=$(total_kib box)
  is "$(duet update -m 128m box)" box
  less=$(total_kib box)
  [ $((full - less)) -gt 126000 ] && [ $((full - less)) -lt 136000 ]
  is "$(field box memory_limit_bytes)" 134217728
  if limited; then
    [ "$(duet stats --no-stream --format json box | jq '.[0].memory_limit_bytes')" -lt 560000000 ]
  fi
  expect 125 duet update -m 300m box
  [[ $output == *"was started with 256.0 MiB"*"stop it first"* ]]
  expect 125 duet update -m 60m box
  [[ $output == *"at least 80.0 MiB"* ]]
  is "$(total_kib box)" "$less"
  duet update -m 0 box
  is "$(total_kib box)" "$full"
}

@test "memory that is in use is not taken, and all is as it was" {
  local full
  full=$(total_kib box)
  inside 'mount -t tmpfs -o size=200m none /mnt && dd bs=1M count=120 if=/dev/zero of=/mnt/fill 2>/dev/null'
  expect 125 duet update -m 100m --pids-limit 900 box
  [[ $output == *"not in use"* ]]
  is "$(duet inspect box | jq -c '.[0] | [.memory_limit_bytes, .pids_limit]')" '[0,0]'
  inside 'umount /mnt'
  is "$(total_kib box)" "$full"
  has_state box running
}

@test "CPUs are plugged in and switched on, up to what the VM was started for" {
  is "$(inside nproc)" 1
  if [ "$(nproc)" -gt 1 ]; then
    duet update --cpus 1.5 box
    is "$(inside nproc)" 2
    is "$(field box cpus)" 1.5
  fi
  # Its vCPUs stay; there is less time for them.
  duet update --cpus 0.5 box
  [ "$(inside nproc)" = "$(($(nproc) > 1 ? 2 : 1))" ]
  duet update --cpus 0 box
}

# QEMU's TCG asserts that its code cache has room for a vCPU that comes: in one this small it often has none.
@test "a vCPU that has no room in the code cache ends nothing" {
  [ "$(nproc)" -gt 1 ] || skip "this host has one CPU to give"
  echo '<domain><features><tcg><tb-cache unit="MiB">4</tb-cache></tcg></features></domain>' >"$scratch/cache.xml"
  duet run -d --vm --name busy --accel tcg --vcpus maxvcpus=2 --xml-patch "$scratch/cache.xml" busybox \
    sh -c 'while :; do ls /proc/*/ >/dev/null; done' >/dev/null
  wait_for $((20 * slow)) gets_a_vcpu || { cat "$scratch/update"; return 1; }
  is "$(duet exec busy nproc)" 2
  duet rm -f busy
}
# Fails the case at once by an error of another kind.
gets_a_vcpu() {
  duet update --cpus 2 busy >"$scratch/update" 2>&1 && return
  [[ $(<"$scratch/update") == *"code cache is too full"* ]] || { cat "$scratch/update"; exit 1; }
  return 1
}

@test "a limit of processes counts for those that run already" {
  duet update --pids-limit 30 box
  expect 2 duet exec box sh -c 'for i in $(seq 40); do sleep 1 & done'
  [[ $output == *"can't fork"* ]]
  duet update --pids-limit -1 box
  inside 'for i in $(seq 40); do sleep 0.1 & done; wait'
}

@test "disks come and go" {
  is "$(duet disk attach box "$scratch/second")" box
  duet disk attach box "$scratch/third,readonly=on"
  wait_for 5 has_disk 1
  wait_for 5 has_disk 2
  is "$(inside "head -n 1 /dev/$(disk 1)")" second
  is "$(inside "cat /sys/block/$(disk 2)/ro")" 1
  inside "echo written | dd of=/dev/$(disk 1) conv=notrunc,fsync 2>/dev/null"
  is "$(head -n 1 "$scratch/second")" written
  is "$(duet disk ls box | awk '{ print $1, $3, $4 }')" "TARGET ACCESS FILE
vdc rw $scratch/first
vdd rw $scratch/second
vde ro $scratch/third"
  # There is no room for a third one that comes.
  expect 125 duet disk attach box "$scratch/fourth"
  [[ $output == *"room for 2 disks more"*"stop it first"* ]]
  is "$(duet disk detach box vdd)" box
  wait_for 5 has_no_disk 1
  duet disk detach box "$scratch/first"
  wait_for 5 has_no_disk 0
  duet disk attach box "$scratch/fourth,target=vdk"
  wait_for 5 has_disk 8
  is "$(inside "head -n 1 /dev/$(disk 8)")" fourth
  is "$(field box 'disks | map(.target) | join(" ")')" "vde vdk"
  # What went is not seen by QEMU any more.
  run ! grep -qF "$scratch/second" "/proc/$(field box pid)/mountinfo"
}

@test "disks that can't be are refused, one error each, and nothing changes" {
  local before
  before=$(duet disk ls --format json box)
  refused() {
    local word=$1
    shift
    expect 125 duet disk "$@"
    [[ $output == *"$word"* ]] || { echo "not '$word': $output"; return 1; }
  }
  refused "No such file" attach box "$scratch/nosuch"
  refused "is a directory" attach box "$scratch"
  refused "twice" attach box "$scratch/third"
  refused "has the target vde" attach box "$scratch/first,target=vde"
  refused "vdc, vdd and so on" attach box "$scratch/first,target=sda"
  refused "use PATH" attach box "$scratch/first,size=5"
  refused "has no disk 'vdz'" detach box vdz
  refused "has no disk '$scratch/first'" detach box "$scratch/first"
  refused "one disk" attach box
  refused "no such instance" attach nobody "$scratch/first"
  duet create --name plain busybox true
  refused "only VMs have disks" attach plain "$scratch/first"
  refused "only a VM has disks" detach plain vdc
  duet rm plain
  is "$(duet disk ls --format json box)" "$before"
}

@test "a paused VM, whose guest would have a part in it, is not changed" {
  duet pause box
  for words in "update -m 128m box" "update --pids-limit 20 box" "disk detach box vdk"; do
    # shellcheck disable=SC2086
    expect 125 duet $words
    [[ $output == *"unpause it first"* ]]
  done
  duet unpause box
}

@test "all of it holds after a stop and a start" {
  duet update -m 128m --pids-limit 50 box
  duet stop -t 0 box
  duet disk detach box vde
  duet disk attach box "$scratch/first"
  expect 125 duet disk detach box vde
  duet start box
  is "$(inside 'cat /sys/block/vd[c-z]/serial | tr -d "\n"')" duet-disk-0duet-disk-8
  [ "$(total_kib box)" -lt 110000 ]
  expect 2 duet exec box sh -c 'for i in $(seq 60); do sleep 1 & done'
  # A disk of the start goes as well.
  duet disk detach box vdc
  wait_for 5 has_no_disk 0
}

@test "a QEMU that dies in the middle of a change ends the VM at once" {
  local round qemu
  for round in 0 1 3; do
    duet run -d --vm --name dies -m 256m busybox sleep 1000 2>/dev/null >/dev/null
    qemu=$(field dies pid)
    "$DUET" update -m 100m dies >/dev/null 2>&1 &
    sleep "0.$round"
    kill -9 "$qemu"
    wait_for 10 has_state dies exited
    wait $! || true
    duet rm dies >/dev/null
  done
}

@test "a monitor that is killed leaves nothing of what was attached" {
  local id
  id=$(field box id)
  duet disk attach box "$scratch/second"
  kill -9 "$(field box monitor_pid)"
  wait_for 10 has_state box exited
  nothing_left() { has_state box exited && ! left_now "$id" | grep -qv "^$DUET_ROOT"; }
  wait_for 10 nothing_left
  duet disk ls box | grep -qF "$scratch/second"
  duet rm box
}

# Of its three runs the first ends by a panic, which is a failure and the one that may be, the second by a reboot, which
# is none, and the third switches itself off.
@test "a guest that panics, reboots and switches itself off is told as such" {
  duet run -d --vm --name ends --restart on-failure:1 busybox sh -c '
    if [ -e /rebooted ]; then echo "Kernel panic - not syncing: forged" >/dev/ttyS0; poweroff -f
    elif [ -e /panicked ]; then touch /rebooted; sync; reboot -f
    else touch /panicked; sync; sleep 1.5; echo c >/proc/sysrq-trigger; fi; sleep 100' >/dev/null
  is "$(duet wait ends)" 0
  is "$(duet inspect ends | jq -c '.[0] | [.state, .restarts, .error]')" '["exited",2,null]'
  is "$(duet events --since 5m --until 0s --filter event=panic --filter name=ends | grep -c 'sysrq triggered crash')" 1
  duet rm ends
}

@test "a reboot ends a VM that is not to be started again, and says so" {
  expect 137 duet run --vm --name once busybox sh -c 'reboot -f; sleep 100'
  [[ $output == *"the guest rebooted"*"--restart"* ]]
  is "$(field once error)" "the guest rebooted, with which a VM ends that has no --restart"
  duet rm once
}
