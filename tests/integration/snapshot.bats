#!/usr/bin/env bats
# shellcheck disable=SC2154 # scratch is lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# `duet snapshot` and `duet clone`: what an instance wrote comes back as it was, of both kinds; nothing is half made,
# however it ends.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown() { duet rm -f --all >/dev/null; }
teardown_file() { root_down; }

layer_of() { echo "$DUET_ROOT/instances/$(field "$1" id)/upper"; }
# facts DIRECTORY: all that a file system knows of a tree, one line each.
facts() {
  python3 - "$1" <<'PYTHON'
import hashlib, os, stat, sys
root = os.fsencode(sys.argv[1])
first = {}
def tell(path):
    st = os.lstat(path)
    name = os.path.relpath(path, root)
    marks = {key: os.getxattr(path, key, follow_symlinks=False) for key in sorted(os.listxattr(path, follow_symlinks=False))}
    content = ''
    if stat.S_ISREG(st.st_mode):
        content = hashlib.sha256(open(path, 'rb').read()).hexdigest()
    elif stat.S_ISLNK(st.st_mode):
        content = os.readlink(path)
    same = first.setdefault(st.st_ino, name) if not stat.S_ISDIR(st.st_mode) else ''
    size = 0 if stat.S_ISDIR(st.st_mode) else st.st_size
    print(name, oct(st.st_mode), st.st_uid, st.st_gid, size, st.st_rdev, st.st_mtime_ns, same, content, marks)
for folder, folders, files in os.walk(root):
    folders.sort()
    tell(folder)
    for name in sorted(files + [f for f in folders if os.path.islink(os.path.join(folder, f))]):
        tell(os.path.join(folder, name))
PYTHON
}
# nothing_half INSTANCE: no rest of a copy, no mark.
nothing_half() {
  local id
  id=$(field "$1" id)
  [ ! -e "$DUET_ROOT/instances/$id/copy.new" ] && [ ! -e "$DUET_ROOT/live/$id" ] && [ -z "$(ls -A "$DUET_ROOT/trash")" ]
}

# What a payload does to its files: whiteouts, an opaque directory, links, owners, modes, holes, a pipe, a socket.
changes='rm /etc/group && rm -rf /var && mkdir -p /var/new && echo new >/var/new/file
  echo more:x:77:77::/:/bin/sh >>/etc/passwd && mkdir /data && cd /data && echo one >file && ln file hard && ln -s file link
  chown 1234:4321 file && chmod 4751 file && mkdir -m 1777 sticky && mkfifo -m 600 pipe
  dd if=/dev/zero of=holes bs=1 count=1 seek=50000000 2>/dev/null && echo "$0" >which && touch -d 2001-02-03 link sticky'

@test "a snapshot brings back what was deleted, changed and added in a container" {
  local upper before
  duet run --name box busybox sh -c "$changes" first
  upper=$(layer_of box)
  # where the file system has them; overlayfs' own marks are there anyway
  python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.duet", b"a\0b")' "$upper/data/file" 2>/dev/null || true
  before=$(facts "$upper")
  [[ $before == *overlay.opaque* ]]
  is "$(duet snapshot create box)" snap0
  is "$(facts "$upper")" "$before"
  is "$(facts "$DUET_ROOT/instances/$(field box id)/snapshots/snap0/upper")" "$before"
  [ "$(du -k "$DUET_ROOT/instances/$(field box id)/snapshots/snap0/upper/data/holes" | cut -f1)" -lt 1000 ]
  rm -rf "$upper/data" "$upper/etc" "$upper/var"
  mkdir "$upper/added"
  chmod 0700 "$upper"
  duet snapshot restore box snap0
  is "$(facts "$upper")" "$before"
  nothing_half box
  # as its payload sees it
  duet clone box seen >/dev/null
  is "$(facts "$(layer_of seen)")" "$before"
  duet rm box
  duet create --name look busybox sh -c 'ls /var /etc; stat -c "%n %u %g %a %h" /data/file; tail -n 1 /etc/passwd; [ ! -e /added ]' >/dev/null
  local look
  look=$(layer_of look)
  mv "$(layer_of seen)" "$look"
  output=$(duet start -a look)
  [[ $output == *$'new\n'* && $output != *group* && $output == *"/data/file 1234 4321 4751 2"* && $output == *more* ]]
}

@test "a container restored and started goes on from there, more than once" {
  local digest
  digest=$(duet image inspect busybox | sha256sum)
  duet run --name box busybox sh -c 'echo "$((1 + $(cat /count 2>/dev/null || echo 0)))" >/count; cat /count'
  duet snapshot create box one
  for i in 1 2; do
    duet start box
    duet wait box
    is "$(duet logs box)" 2
    duet snapshot restore box one
  done
  duet start box
  duet wait box
  is "$(duet logs box)" 2
  is "$(duet image inspect busybox | sha256sum)" "$digest"
}

@test "an instance that never ran has an empty snapshot" {
  duet create --name box busybox sh -c 'ls /new 2>/dev/null; echo x >/new' >/dev/null
  duet snapshot create box empty
  duet start box
  duet wait box
  [ -e "$(layer_of box)/new" ]
  duet snapshot restore box empty
  [ ! -e "$(layer_of box)" ]
  nothing_half box
  duet start box
  duet wait box
  is "$(duet logs box)" ""
  duet clone --snapshot empty box other >/dev/null
  [ ! -e "$(layer_of other)" ]
}

@test "snapshots are listed, counted and removed" {
  duet create --name box busybox true >/dev/null
  is "$(duet snapshot ls -q box)" ""
  is "$(field box snapshots)" "[]"
  is "$(duet snapshot create box)" snap0
  is "$(duet snapshot create box snap7)" snap7
  is "$(duet snapshot create box my.own)" my.own
  is "$(duet snapshot create box)" snap8
  is "$(duet snapshot ls -q box | tr '\n' ' ')" "snap0 snap7 my.own snap8 "
  is "$(duet snapshot list box | awk 'NR == 1 { print $1, $2, $3 }')" "NAME CREATED SIZE"
  is "$(duet snapshot ls --format json box | jq -r '.[2] | .name + (.created | test("^20.*Z$") | tostring) + (.size_bytes | type)')" my.owntruenumber
  is "$(field box 'snapshots | length')" 4
  is "$(duet ps -a --format json | jq '.[0].snapshots | length')" 4
  is "$(duet snapshot rm box snap0 snap8)" $'snap0\nsnap8'
  expect 125 duet snapshot rm box snap7 none my.own
  [[ $output == *"has no snapshot 'none'"* ]]
  is "$(duet snapshot ls -q box)" ""
  nothing_half box
}

@test "clones are instances of their own" {
  duet run --name box --label a=b --memory 64m -e X=y busybox sh -c 'echo box >>/who; cat /who; hostname'
  local id
  id=$(duet clone box other)
  is "$(field other id)" "$id"
  is "$(field other state)" created
  is "$(field other 'labels.a')$(field other memory_limit_bytes)$(field other hostname)" "b67108864$id"
  duet start other
  duet wait other
  is "$(duet logs other)" $'box\nbox\n'"$id"
  is "$(cat "$(layer_of box)/who")" box
  # of a clone, of a snapshot, with names of duet's own
  duet clone --name third other >/dev/null
  is "$(wc -l <"$(layer_of third)/who")" 2
  duet snapshot create box early
  duet start box
  duet wait box
  duet clone --snapshot early box fourth >/dev/null
  is "$(cat "$(layer_of fourth)/who")" box
  is "$(field "$(duet clone box)" name) $(field "$(duet clone box)" name)" "box-clone box-clone1"
  is "$(field other snapshots)" "[]"
  duet rm box
  duet start fourth
  duet wait fourth
  is "$(duet logs fourth | head -n 2)" $'box\nbox'
}

@test "what can't be is refused, and changes nothing" {
  duet run -d --name up busybox sleep 1000
  duet create --name box busybox true >/dev/null
  duet snapshot create box one
  expect 125 duet snapshot create up
  is "$output" "duet: the instance 'up' is running; stop it first with \`duet stop up\`"
  expect 125 duet clone up other
  [[ $output == *"is running; stop it first"* ]]
  expect 125 duet snapshot restore up one
  [[ $output == *"is running; stop it first"* ]]
  duet pause up
  expect 125 duet snapshot create up
  [[ $output == *"is paused; stop it first"* ]]
  duet unpause up
  expect 125 duet snapshot create box one
  [[ $output == *"has a snapshot 'one' already"* ]]
  expect 125 duet snapshot restore box two
  [[ $output == *"has no snapshot 'two'"* ]]
  expect 125 duet clone --snapshot two box other
  [[ $output == *"has no snapshot 'two'"* ]]
  expect 125 duet clone box up
  [[ $output == *"the name 'up' is in use"* ]]
  local bad
  for bad in ../x . .. a/b '' '-' 'a b'; do
    expect 125 duet snapshot create box -- "$bad"
    expect 125 duet snapshot restore box -- "$bad"
    expect 125 duet snapshot rm box -- "$bad"
    expect 125 duet clone box -- "$bad"
  done
  expect 125 duet snapshot create nosuch
  expect 125 duet snapshot create
  expect 125 duet snapshot ls box more
  expect 125 duet clone box a b
  expect 125 duet clone --name a box b
  is "$(duet snapshot ls -q box)" one
  is "$(duet ps -aq | wc -l)" 2
  nothing_half box
}

# many INSTANCE TEXT: so many files that copying them takes a while.
many() { duet run --name "$1" busybox sh -c 'mkdir /many; for i in $(seq 1500); do echo "$0" >/many/$i; done' "$2"; }

@test "while it is copied an instance is busy, and seen" {
  many box first
  # cp waits at its first look, as it would on a slow disk
  mkdir "$scratch/slow"
  printf '#!/bin/sh\nsleep 3\nexec /bin/cp "$@"\n' >"$scratch/slow/cp"
  chmod +x "$scratch/slow/cp"
  PATH=$scratch/slow:$PATH duet snapshot create box >"$scratch/out" 3>&- &
  local maker=$!
  wait_for 3 grep -q layer "$DUET_ROOT/live/$(field box id)"
  local start=$SECONDS
  is "$(state_of box)" exited
  expect 125 duet start box
  [[ $output == *"is busy: \`duet snapshot\` or \`duet clone\` copies its files"* ]]
  expect 125 duet clone box other
  [[ $output == *"is busy"* ]]
  expect 125 duet rm box
  [ $((SECONDS - start)) -le $((3 * slow)) ]
  wait "$maker"
  is "$(cat "$scratch/out")" snap0
  duet start box
  duet wait box
}

@test "kill -9 at random moments leaves the old files or the new ones, and no rest" {
  local upper old new now names
  many box first
  upper=$(layer_of box)
  old=$(facts "$upper" | sha256sum)
  duet snapshot create box old
  echo second | tee "$upper/many/"{1,100,1500} >/dev/null
  new=$(facts "$upper" | sha256sum)
  duet snapshot create box new
  local times=4
  [ -z "${DUET_TEST_FULL:-}" ] || times=20
  for ((i = 0; i < times; i++)); do
    for request in 'snapshot restore box old' 'snapshot restore box new' "snapshot create box t$i" "clone box c$i"; do
      # shellcheck disable=SC2086 # words
      timeout -s KILL "0.$((RANDOM % 60 + 1))" "$DUET" $request >/dev/null 2>&1 || true
      # A cp that was just killed may be on its way yet.
      wait_for 5 eval 'duet ps -aq >/dev/null; nothing_half box'
      now=$(facts "$upper" | sha256sum)
      [ "$now" = "$old" ] || [ "$now" = "$new" ] || { echo "$request: neither"; return 1; }
    done
  done
  for name in $(duet snapshot ls -q box | grep ^t) $(duet ps -a --format json | jq -r '.[].name' | grep ^c); do
    names+=" $name"
    case $name in
    t*) now=$(facts "$DUET_ROOT/instances/$(field box id)/snapshots/$name/upper" | sha256sum) ;;
    c*) now=$(facts "$(layer_of "$name")" | sha256sum) ;;
    esac
    [ "$now" = "$old" ] || [ "$now" = "$new" ] || { echo "$name: neither"; return 1; }
  done
  echo "whole:$names"
  duet rm -f --all >/dev/null
  is "$(left_behind)" ""
}

@test "a signal ends it, and leaves nothing" {
  many box first
  for request in 'snapshot create box' 'clone box other'; do
    # shellcheck disable=SC2086 # words
    expect 143 strace -qq -o /dev/null -e trace=mkdirat -e inject=mkdirat:signal=TERM:when=1 "$DUET" $request
    nothing_half box
  done
  is "$(duet snapshot ls -q box)" ""
  is "$(duet ps -aq | wc -l)" 1
}

@test "a full disk is one clear error and leaves nothing" {
  needs_root "to mount a file system"
  local small=$scratch/small left facts_before facts_after
  mkdir "$small"
  mkfs.ext4 -q -m 0 "$scratch/small.ext4" 64M
  mount -o loop "$scratch/small.ext4" "$small"
  chmod 0711 "$small"
  duet --root "$small" image import --name busybox "$scratch/busybox.tar"
  duet --root "$small" run --name box busybox sh -c 'head -c 8000000 /dev/urandom >/big; mkdir /d; for i in $(seq 50); do echo x >/d/$i; done'
  duet --root "$small" snapshot create box one
  cat /dev/zero >"$small/fill" 2>/dev/null || true
  truncate -s -3000000 "$small/fill"
  facts_before=$(facts "$small"/instances/*/upper)
  for request in 'snapshot create box two' 'clone box other' 'snapshot restore box one'; do
    # shellcheck disable=SC2086 # words
    run duet --root "$small" $request
    echo "$request: $output"
    [ "$status" = 125 ] && [[ $output == *"No space left"* ]] && [ "$(wc -l <<<"$output")" = 1 ] || break
  done
  facts_after=$(facts "$small"/instances/*/upper)
  left=$(ls -A "$small/live" "$small/trash" | grep -v : || true)$(ls -d "$small"/instances/*/copy.new 2>/dev/null || true)
  is "$(duet --root "$small" snapshot ls -q box)" one || left+=" snapshots"
  is "$(ls "$small/instances" | wc -l)" 1 || left+=" instances"
  duet --root "$small" rm box
  umount "$small"
  is "$status" 125
  [[ $request == *restore* && $output == *"No space left"* ]]
  is "$(wc -l <<<"$output")" 1
  is "$left" ""
  is "$facts_after" "$facts_before"
}

@test "a snapshot and a clone of a VM" {
  local disk
  duet run --vm --disk-size 64m --name box busybox sh -c "$changes" first 2>/dev/null
  disk=$DUET_ROOT/instances/$(field box id)/rw.img
  duet snapshot create box one
  cmp "$disk" "$DUET_ROOT/instances/$(field box id)/snapshots/one/rw.img"
  # most of it is a hole
  [ "$(du -m "$DUET_ROOT/instances/$(field box id)/snapshots/one" | cut -f1)" -lt 32 ]
  is "$(stat -c '%u %a' "$DUET_ROOT/instances/$(field box id)/snapshots/one/rw.img")" "$(id -u) 600"
  # as the guest sees it, after other changes
  duet clone box other >/dev/null
  duet cp "$scratch/busybox.tar" other:/data/file 2>/dev/null
  cmp -s "$disk" "$DUET_ROOT/instances/$(field other id)/rw.img" && return 1
  cmp "$disk" "$DUET_ROOT/instances/$(field box id)/snapshots/one/rw.img"
  duet cp "$scratch/busybox.tar" box:/data/file 2>/dev/null
  cmp -s "$disk" "$DUET_ROOT/instances/$(field box id)/snapshots/one/rw.img" && return 1
  duet snapshot restore box one
  duet cp box:/data "$scratch/back" 2>/dev/null
  is "$(cat "$scratch/back/file" "$scratch/back/which")" $'one\nfirst'
  is "$(stat -c %h "$scratch/back/file")" 2
  expect 125 duet cp box:/etc/group "$scratch/back" 2>/dev/null
  nothing_half box
}

@test "a VM that runs is refused" {
  duet run -d --vm --name box busybox sleep 1000 2>/dev/null
  expect 125 duet snapshot create box
  [[ $output == *"is running; stop it first"* ]]
  expect 125 duet clone box other
  [[ $output == *"is running; stop it first"* ]]
}
