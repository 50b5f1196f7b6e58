#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is a VM's alone: its kernel, its accelerator, where QEMU lives.

load lib
KIND=vm

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

# bats test_tags=host
@test "a VM runs a kernel of its own" {
  # The version may be the host's own; the boot is not.
  local boot=/proc/sys/kernel/random/boot_id inside
  inside=$(run_as busybox cat $boot)
  [[ $inside == ????????-*-???????????? ]]
  [ "$inside" != "$(cat $boot)" ]
}

# bats test_tags=host
@test "C46 the accelerator is said once, recorded, and KVM is refused where it does not work" {
  run --separate-stderr duet run --vm --name accel busybox true
  is "$status" 0
  local accel
  accel=$(duet inspect accel | jq -r '.[0].driver.accel')
  duet rm accel
  if [ "$accel" = tcg ]; then
    is "$(grep -c 'no usable KVM' <<<"$stderr")" 1
    run duet run --rm --vm --accel kvm busybox true
    is "$status" 125
    [[ $output == *KVM* || $output == *kvm* ]]
  else
    is "$accel" kvm
    is "$stderr" ""
  fi
  expect 125 duet run --rm --accel kvm busybox true
}

# bats test_tags=host
@test "QEMU lives in the payload cgroup, under a uid of its own" {
  duet run -d --vm --cpus 1 --name place busybox sleep 300
  local pid id
  pid=$(duet inspect place | jq '.[0].pid')
  id=$(duet inspect place | jq -r '.[0].id')
  grep -Eq "/duet-$id(.scope)?/payload(/box)?$" "/proc/$pid/cgroup"
  for controller in memory cpu; do
    if [ -d "/sys/fs/cgroup/$controller" ]; then
      grep -Eq ":$controller:.*/duet-$id(.scope)?/payload(/box)?$" "/proc/$pid/cgroup"
    fi
  done
  [ "$(id -u)" != 0 ] || [ "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" -ge 524288 ] # a user has one
  duet rm -f place
}

@test "two VMs share nothing that can be written" {
  duet run -d --vm --name one busybox sleep 300
  duet run -d --vm --name two busybox sleep 300
  local first second
  first=$(duet inspect one | jq '.[0].pid')
  second=$(duet inspect two | jq '.[0].pid')
  [ "$(id -u)" != 0 ] ||
    [ "$(awk '/^Uid:/ { print $2 }' "/proc/$first/status")" != "$(awk '/^Uid:/ { print $2 }' "/proc/$second/status")" ]
  # Open for writing in both: no file at all, whatever its name is, or was.
  writable() {
    local fd flags
    for fd in /proc/"$1"/fd/*; do
      [[ -f $fd && $(readlink "$fd") != anon_inode:* ]] || continue
      flags=$(awk '/^flags:/ { print $2 }' "/proc/$1/fdinfo/${fd##*/}" 2>/dev/null) || continue
      [ $((8#${flags: -1} & 3)) = 0 ] || stat -Lc %d:%i "$fd"
    done | sort -u
  }
  writable "$first" >"$scratch/first"
  writable "$second" >"$scratch/second"
  [ -s "$scratch/first" ]
  [ -s "$scratch/second" ]
  is "$(comm -12 "$scratch/first" "$scratch/second")" ""
  duet rm -f one two
}

@test "memory below the minimum or above the host's, and volumes from /dev, are refused before the boot" {
  run duet run --rm --vm -m 32m busybox true
  is "$status" 125
  [[ $output == *"at least"* ]]
  run duet run --rm --vm -m "$(($(awk '/^MemTotal/ { print $2 }' /proc/meminfo) / 1024 + 1))m" busybox true
  is "$status" 125
  [[ $output == *"too much for a VM: this host has "*"-m"* ]]
  run duet run --rm --vm -v /dev/shm:/shm busybox true
  is "$status" 125
  [ "$(id -u)" != 0 ] || [[ $output == *"/dev of its own"* ]]
}

@test "memory and cpus are the guest's" {
  run run_as -m 512m --cpus 2 busybox sh -c 'nproc; grep MemTotal /proc/meminfo | tr -dc 0-9'
  is "${lines[0]}" 2
  [ "${lines[1]}" -gt 400000 ]
}

@test "a VM's root has all capabilities but those that were dropped" {
  local mask last
  read -r mask last < <(run_as --cap-drop net_raw busybox sh -c \
    'echo $(awk "/^CapEff/ { print \$2 }" /proc/self/status) $(cat /proc/sys/kernel/cap_last_cap)')
  is "$mask" "$(printf %016x $(((1 << (last + 1)) - 1 - (1 << 13))))"
}

@test "a kernel or a QEMU that is none is refused" {
  head -c 100000 /dev/urandom >"$scratch/kernel"
  run timeout 200 "$DUET" run --rm --vm --kernel "$scratch/kernel" busybox true
  is "$status" 125
  run duet run --rm --vm --kernel /nosuch busybox true
  is "$status" 125
  [[ $output == *nosuch* ]]
  run duet run --rm --vm --qemu /nosuch busybox true
  is "$status" 125
  [[ $output == *nosuch* ]]
}

@test "a QEMU that ends before the first word is told as it ended" {
  local client
  "$DUET" run --rm --vm --name short busybox true >"$scratch/short" 2>&1 3>&- &
  client=$!
  wait_for 20 sh -c "[ \"\$($DUET inspect short | jq '.[0].pid // 0')\" -gt 0 ]"
  kill -TERM "$(duet inspect short | jq '.[0].pid')" # which QEMU takes for a wish to end
  wait "$client" || true
  grep -F 'could be started (its process ended by itself, with exit code 0)' "$scratch/short"
}

@test "C37 the state before the payload runs is not running" {
  duet run -d --vm --name early busybox sleep 300 >/dev/null 2>&1 3>&- &
  local starter=$! seen
  wait_for 10 duet inspect early
  seen=$(state_of early)
  [[ $seen == created || $seen == starting ]]
  run duet exec early true
  [ "$status" = 0 ] || [[ $output == *starting* ]]
  wait "$starter"
  is "$(state_of early)" running
  duet rm -f early
}

# bats test_tags=host
@test "while the driver is at work on a start, the instance is seen, and can be told to stop" {
  printf '#!/bin/sh\nsleep 601.25\n' >"$scratch/slow-qemu"
  chmod +x "$scratch/slow-qemu"
  local client end code
  for end in "duet stop long" "duet rm -f long" "kill -INT"; do
    "$DUET" run --vm --name long --qemu "$scratch/slow-qemu" busybox true 3>&- &
    client=$!
    wait_for 10 has_state long starting
    [[ $(timeout 10 "$DUET" ps) == *Starting* ]]
    run timeout 10 "$DUET" exec long true
    is "$status" 125
    [[ $output == *"is starting"* ]]
    expect 125 timeout 10 "$DUET" update -m 200m long
    [[ $output == *"is starting"* ]]
    [ "$end" != "kill -INT" ] || end="kill -INT $client"
    $end
    code=0
    wait "$client" || code=$?
    [[ $end != kill* ]] || is "$code" 130
    is "$(pgrep -f "$scratch/slow-qemu|sleep 601.25")" ""
    [ "$end" = "duet rm -f long" ] || duet rm long
  done
}

@test "an image without a shell says what is missing, in time" {
  mkdir -p "$scratch/empty/etc"
  tar -C "$scratch/empty" -cf "$scratch/empty.tar" .
  duet image import --name empty "$scratch/empty.tar"
  run timeout 120 "$DUET" run --rm --vm empty /bin/sh
  is "$status" 127
  [[ $output == *"/bin/sh"* ]]
}

@test "a worker that dies ends its VM, and says so" {
  duet run -d --vm --name orphaned busybox sleep 300
  local monitor pid worker
  monitor=$(duet inspect orphaned | jq '.[0].monitor_pid')
  pid=$(duet inspect orphaned | jq '.[0].pid')
  worker=$(pgrep -P "$monitor" -x duet-monitor)
  kill -KILL "$worker"
  wait_for 10 has_state orphaned exited
  run kill -0 "$pid"
  [ "$status" != 0 ]
  [[ $(duet inspect orphaned | jq -r '.[0].error') == *"worker died"* ]]
  is "$(duet wait orphaned)" 125
  duet rm orphaned
}

@test "a root directory that only root may enter is no obstacle" {
  local closed=$scratch/closed
  mkdir -m 0700 "$closed"
  duet --root "$closed" image import --name busybox "$scratch/busybox.tar" >/dev/null
  is "$(duet --root "$closed" run --rm --vm busybox echo in 2>/dev/null)" in
}

# bats test_tags=host
@test "a VM starts where systemd has mounted /dev/hugepages, and puts nothing there" {
  needs_root "to mount it"
  in_hugetlbfs() {
    mount -t tmpfs none /dev/shm && mkdir /dev/shm/pages && mount -t hugetlbfs none /dev/shm/pages
    "$DUET" run --rm --vm busybox echo hello 2>&1 && ls -A /dev/shm/pages
  }
  export -f in_hugetlbfs
  run --separate-stderr unshare -m bash -c in_hugetlbfs
  is "$(tail -n 1 <<<"$output")" hello
}

@test "a time-out before the start is told as one" {
  run duet run --rm --vm --timeout 0.3 busybox true
  is "$status" 137
  [[ $output == *"timed out: it had not started after 0.3 s"* ]]
}

@test "a kernel of the caller's folder is found from another, and a name that is no text is told" {
  cd "$scratch"
  duet create --vm --kernel ./none --name far busybox true
  cd /
  run duet start far
  [[ $output == *"'$scratch/none'"* ]]
  duet rm far
  run duet run --rm --vm --kernel $'/srv/\xff' busybox true
  is "$status" 125
  [[ $output == *kernel* && $output != *"worker died"* ]]
}

@test "what the host mounts later below a folder is not in the VM, and nobody there becomes root by a file of it" {
  needs_root "to mount it"
  local folder=$scratch/shared
  mkdir -p "$folder"
  mount -t tmpfs shared "$folder"
  mount --make-shared "$folder"
  mkdir "$folder/later"
  chmod 0755 "$folder"
  duet run -d --vm --name folder -v "$folder:/f:ro" busybox sleep 300 2>/dev/null
  mount -t tmpfs later "$folder/later"
  touch "$folder/later/seen"
  run duet exec folder ls /f/later
  umount "$folder/later" "$folder"
  is "$status" 0
  is "$output" ""
  duet exec folder grep ' /f virtiofs ' /proc/mounts | grep nosuid | grep -q nodev
  duet rm -f folder
}

@test "what serves a folder has no power over the host, and goes with its VM" {
  local pid served=() id
  mkdir -p "$scratch/shared"
  id=$(duet run -d --vm --name folder -v "$scratch/shared:/f" -v "$scratch/shared:/g:ro" busybox sleep 300 2>/dev/null)
  for pid in $(pgrep -f "^[^ ]*virtiofsd .*/$id/vol/"); do
    [ "$(readlink "/proc/$pid/ns/user")" != "$(readlink /proc/1/ns/user)" ]
    # neither of mounts nor of the system as a whole
    is $((0x$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status") & (1 << 21))) 0
    served+=("$pid")
  done
  is ${#served[@]} 4
  [ "$(id -u)" != 0 ] || expect 1 duet exec folder mknod /f/device b 7 0
  duet rm -f folder
  for pid in "${served[@]}"; do [ ! -e "/proc/$pid" ]; done
}

@test "a VM whose folder is served no more ends with the reason, and its policy takes that for a failure" {
  local client code=0 why="the folder '$scratch/shared' can no longer be served: virtiofsd was killed by signal 9; "
  # The first of both: the other one is its child.
  server() { pgrep -o -f "^[^ ]*virtiofsd .*/$(field served id)/vol/"; }
  reads() { duet exec served cat /f/file; }
  mkdir -p "$scratch/shared"
  echo there >"$scratch/shared/file"
  "$DUET" run --vm --name served --restart on-failure:1 -v "$scratch/shared:/f" busybox sleep 300 2>"$scratch/said" 3>&- &
  client=$!
  wait_for 60 reads
  kill -9 "$(server)"
  wait_for 30 eval '[ "$(field served restarts)" = 1 ]'
  wait_for 60 reads
  [[ $(duet events --no-stream --format json -f name=served -f event=died | jq -r .attributes.error) == "$why"* ]]
  kill -9 "$(server)"
  wait $client || code=$?
  is $code 125
  [[ $(cat "$scratch/said") == *"$why"* ]]
  [[ $(field served error) == "$why"* ]]
  is "$(state_of served) $(field served exit_code)" "exited 125"
  duet rm served
}

@test "a VM whose host has no room left is told so, and does not stop in silence" {
  needs_root "to mount it"
  local small=$scratch/small code=0
  mkdir "$small"
  mount -t tmpfs -o size=40m,mode=0711 small "$small"
  DUET_ROOT=$small duet image import --name busybox "$scratch/busybox.tar" >/dev/null
  DUET_ROOT=$small duet run --rm --vm --timeout 100 busybox dd if=/dev/zero of=/big bs=1M count=100 conv=fsync \
    >"$scratch/full" 2>&1 || code=$?
  umount -l "$small"
  cat "$scratch/full"
  [ "$code" != 0 ]
  [ "$code" != 137 ]
  grep -q '^dd: .*/big' "$scratch/full"
}
