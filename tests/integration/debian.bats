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

@test "uname -r is the host's in a container and another in a VM" {
  is "$(duet run --rm --as container debian uname -r)" "$(uname -r)"
  [ "$(duet run --rm --as vm debian uname -r 2>/dev/null)" != "$(uname -r)" ]
}

@test "owners and modes are the same both ways" {
  local list='find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /etc/hosts -o -path /etc/hostname \) -prune -o -printf "%p %M %U %G %l\n" | sort'
  duet run --rm --as container debian sh -c "$list" >"$scratch/container"
  duet run --rm --as vm debian sh -c "$list" >"$scratch/vm" 2>/dev/null
  [ "$(wc -l <"$scratch/container")" -gt 5000 ]
  diff "$scratch/container" "$scratch/vm"
}
