#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The screen of a disk's VM.

load lib

setup_file() {
  root_up
  stock_image busybox
  painter "$scratch/painter.raw"
  duet image import --name painter "$scratch/painter.raw" >/dev/null
}
teardown_file() { root_down; }
teardown() { duet rm -f --all >/dev/null; }

# painter FILE: a disk whose boot sector fills the screen, 80 columns of 25 lines, with white blocks.
painter() {
  python3 - "$1" <<'PYTHON'
import sys
code = bytes([0xB8, 3, 0, 0xCD, 0x10,            # mov ax, 3; int 10h: text mode
              0xB8, 0, 0xB8, 0x8E, 0xC0,         # mov es, 0xb800
              0x31, 0xFF, 0xB9, 0xD0, 7,         # xor di, di; mov cx, 2000
              0xB8, 0xDB, 0x0F, 0xF3, 0xAB,      # mov ax, 0x0fdb; rep stosw
              0xF4, 0xEB, 0xFD])                 # hlt; jmp back
with open(sys.argv[1], "wb") as disk:
    disk.write(code.ljust(510, b"\0") + b"\x55\xaa")
    disk.truncate(1 << 20)
PYTHON
}
look() { python3 "$tests_dir/integration/vnc-look.py" "$@"; }
# All that is painted is there: 80 x 25 blocks of 9 x 16 dots.
is_painted() { is "$(look "$@" | tail -n 1)" "lit 288000"; }

@test "a screen at a socket is for the one who runs the VM" {
  local uri id
  id=$(duet run -d --vm --name box --graphics unix painter 2>/dev/null)
  uri=$(duet view --print box)
  is "$uri" "vnc+unix://$(run_base)/$id/vnc/socket"
  is "$(field box driver.graphics)" "$uri"
  is "$(stat -c %a "$(run_base)/$id/vnc")" 700
  wait_for 20 is_painted "$uri"
  duet stop -t 0 box
  expect 125 duet view box
  [[ $output == *"duet start box"* ]]
  duet start box 2>/dev/null
  wait_for 20 is_painted "$uri"
  duet rm -f box
  [ ! -e "$(run_base)/$id" ]
}

@test "a screen at a port is on the loopback device alone, and wants its password" {
  local uri password
  duet run -d --vm --name box --graphics loopback painter 2>/dev/null
  { read -r uri && read -r _ password; } < <(duet view --print box)
  [[ $uri =~ ^vnc://127.0.0.1:59[0-9][0-9]$ ]]
  is ${#password} 8
  # 48 bits, as whoever is on the host may try them
  [[ $password == *[!0-9a-f]* ]]
  run look "$uri" "${password%?}-"
  is "$status $output" "2 ways 2"
  wait_for 20 is_painted "$uri" "$password"
  # another's is another, at another port
  duet run -d --vm --name other --graphics loopback painter 2>/dev/null
  [ "$(field other driver.graphics)" != "$uri" ]
  [ "$(field other driver.graphics_password)" != "$password" ]
}

@test "a screen of a VM that was saved shows the same, by another password" {
  local uri password fresh
  duet run -d --vm --name box --graphics loopback painter 2>/dev/null
  { read -r uri && read -r _ password; } < <(duet view --print box)
  wait_for 20 is_painted "$uri" "$password"
  duet save box
  duet restore box 2>/dev/null
  { read -r uri && read -r _ fresh; } < <(duet view --print box)
  run look "$uri" "$password"
  is "$status $output" "2 ways 2"
  wait_for 20 is_painted "$uri" "$fresh"
}

@test "a viewer is started where there is one and a display" {
  mkdir "$scratch/bin"
  printf '#!/bin/sh\necho "$1"; case $1 in *.vv) stat -c %%a "$1"; cat "$1"; rm "$1";; esac\n' >"$scratch/bin/remote-viewer"
  chmod +x "$scratch/bin/remote-viewer"
  view() { PATH=$scratch/bin:$PATH DISPLAY=:9 "$DUET" view "$@"; }
  duet run -d --vm --name box --graphics unix painter 2>/dev/null
  is "$(view box)" "$(duet view --print box)"
  duet run -d --vm --name port --graphics loopback painter 2>/dev/null
  run view port
  is "${lines[1]} ${lines[2]} ${lines[3]}" "600 [virt-viewer] type=vnc"
  [[ $output == *"password=$(field port driver.graphics_password)"* ]]
  run env -u DISPLAY -u WAYLAND_DISPLAY "$DUET" view box
  [[ $output == *"virt-viewer"*"vnc+unix://"* ]]
}

@test "what can have no screen says so" {
  expect 125 duet create --vm --graphics unix busybox true
  [[ $output == *"for disks only"* ]]
  expect 125 duet create --vm --graphics everywhere painter
  [[ $output == *"unix or loopback"* ]]
  duet create --vm --name box painter >/dev/null
  expect 125 duet view box
  [[ $output == *"--graphics"* ]]
}
