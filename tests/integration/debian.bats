#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# A whole distribution, the same image both ways.

load lib

setup_file() {
  root_up
  stock_image debian
}
teardown_file() { root_down; }

@test "dpkg -l says the same in a container and in a VM, byte for byte" {
  duet run --rm --as container debian dpkg -l >"$scratch/container"
  duet run --rm --as vm debian dpkg -l >"$scratch/vm" 2>/dev/null
  [ "$(wc -l <"$scratch/container")" -gt 50 ]
  cmp "$scratch/container" "$scratch/vm"
}

@test "a container has the host's kernel, a VM has another, which booted by itself" {
  local kernel='uname -r; cat /proc/sys/kernel/random/boot_id' host vm
  host=$(sh -c "$kernel")
  is "$(duet run --rm --as container debian sh -c "$kernel")" "$host"
  vm=$(duet run --rm --as vm debian sh -c "$kernel" 2>/dev/null)
  is "$(wc -l <<<"$vm")" 2
  [ "$vm" != "$host" ]
}

@test "owners and modes are the same both ways" {
  local list='find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /etc/hosts -o -path /etc/hostname \) -prune -o -printf "%p %M %U %G %l\n" | sort'
  duet run --rm --as container debian sh -c "$list" >"$scratch/container"
  duet run --rm --as vm debian sh -c "$list" >"$scratch/vm" 2>/dev/null
  [ "$(wc -l <"$scratch/container")" -gt 5000 ]
  diff "$scratch/container" "$scratch/vm"
}
