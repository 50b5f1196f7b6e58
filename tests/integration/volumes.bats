#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes with a name: made, filled, shared by both kinds, in use, removed.

# shellcheck disable=SC2154 # scratch and tests_dir are lib's
load lib

setup_file() {
  root_up
  stock_image busybox
}
# One that failed is no other's fault.
teardown() {
  duet rm -f --all >/dev/null
  duet volume prune -f >/dev/null
}
teardown_file() {
  is "$(ls -A "$DUET_ROOT/volumes")" ""
  root_down
}

volumes() { duet volume ls -q; }
# mount_of INSTANCE FIELD: of its first mount.
mount_of() { duet inspect "$1" | jq -r ".[0].mounts[0].$2"; }

@test "create, ls, inspect and rm" {
  is "$(duet volume create --label a=1 -l b -l a=2 first)" first
  local name
  name=$(duet volume create)
  [[ $name =~ ^[0-9a-f]{32}$ ]]
  is "$(volumes)" "$(printf '%s\n' first "$name" | sort)"
  [[ $(duet volume ls) == NAME*CREATED*"USED BY"*first* ]]
  is "$(duet volume ls --format json | jq length)" 2
  is "$(duet volume inspect first "$name" | jq -cS '[.[].labels]')" '[{"a":"2","b":""},{}]'
  is "$(duet volume inspect first | jq -r '.[0] | "\(.name) \(.driver) \(.mountpoint) \(.used_by)"')" \
    "first local $DUET_ROOT/volumes/first/_data []"
  is "$(duet volume rm first "$name")" "first"$'\n'"$name"
  is "$(volumes)" ""
}

@test "bad names, and names that are taken or that nobody has" {
  duet volume create one
  expect 125 duet volume create one
  [[ $output == *"'one' already"*"duet volume rm one"* ]]
  for name in .one -x 'a b' a/b ../one '' "$(printf 'a%.0s' {1..64})"; do
    expect 125 duet volume create -- "$name"
    [[ $output == *"is no name for a volume"* ]]
  done
  for name in .one 'a b' ''; do
    expect 125 duet run --rm -v "$name:/x" busybox true
  done
  for verb in inspect rm 'rm -f'; do
    # shellcheck disable=SC2086 # two words
    expect 125 duet volume $verb two
    [[ $output == *"no such volume: 'two'"* ]]
    # shellcheck disable=SC2086
    expect 125 duet volume $verb
  done
  expect 125 duet volume create one two
  expect 125 duet volume create -l =x three
  # The first of several is removed, whatever the second is.
  expect 125 duet volume rm one two
  is "$(volumes)" ""
}

@test "run makes a volume, which outlives it; what one kind wrote the other reads" {
  KIND=container run_as -v state:/state busybox sh -c 'echo hello >/state/file; mkdir /state/dir; chmod 750 /state/dir
    chown 33:44 /state/file'
  is "$(volumes)" state
  is "$(KIND=vm run_as -v state:/state busybox sh -c 'cat /state/file; stat -c "%a %u:%g" /state/*; echo back >/state/dir/b')" \
    $'hello\n750 0:0\n644 33:44'
  is "$(KIND=container run_as -v state:/state:ro busybox sh -c 'cat /state/dir/b; stat -c "%u" /state/dir/b
    touch /state/x 2>/dev/null || echo read-only')" $'back\n0\nread-only'
  is "$(cat "$DUET_ROOT/volumes/state/_data/file")" hello
  # A name without a slash is no folder of the host's; "." is one.
  cd "$scratch"
  mkdir here
  touch here/file
  is "$(run_as -v here:/x busybox ls /x)" ""
  is "$(run_as -v ./here:/x busybox ls /x)" file
  [[ $(run_as -v .:/x busybox ls /x) == *here* ]]
  duet volume rm state here
}

@test "a new volume is filled with what the image has in its place" {
  is "$(run_as -v etc:/etc busybox cat /etc/passwd)" "$(run_as busybox cat /etc/passwd)"
  # Once: what is removed stays away, and what is there stays.
  run_as -v etc:/etc busybox rm /etc/passwd
  expect 1 run_as -v etc:/etc busybox test -e /etc/passwd
  duet volume create own
  echo mine >"$DUET_ROOT/volumes/own/_data/mine"
  is "$(run_as -v own:/etc busybox ls /etc)" mine
  # A file of the image is no folder to copy; its place takes no folder either.
  is "$(run_as -v none:/nowhere busybox stat -c '%a %u' /nowhere)" "755 0"
  duet volume rm etc own none
}

@test "links, modes, owners, layers and whiteouts of the image are those of the volume" {
  local base=$scratch/busybox.tar
  MKIMAGE_BASE=$base "$tests_dir/mkimage.py" "$scratch/archives" type-changes links owned late-marks
  # shellcheck disable=SC2016 # it is the instance's shell that reads it
  local name path list
  list='cd "$0" && find . ! -type d | sort | xargs stat -c "%n %F %u %g %a %h %Y" && find . -type d | sort | xargs stat -c "%n %u %g %a %Y"'
  for name in type-changes:/b links:/lib owned:/own late-marks:/a; do
    path=${name#*:} name=${name%:*}
    duet image import --name "$name" "$scratch/archives/$name.tar" >/dev/null
    is "$(run_as -v "filled:$path" "$name" /bin/sh -c "$list" "$path")" "$(run_as "$name" /bin/sh -c "$list" "$path")"
    duet volume rm filled
  done
  is "$(run_as -v filled:/bin links sh -c '[ /bin/one -ef /bin/two ] && cat /bin/one')" v1
  duet volume rm filled
}

@test "inspect and ps know a volume by its name" {
  duet create --name has -v mine:/data:ro busybox true
  is "$(mount_of has type) $(mount_of has name) $(mount_of has source)" "volume mine $DUET_ROOT/volumes/mine/_data"
  is "$(duet ps -a --filter volume=mine --format json | jq -r '.[].name')" has
  is "$(duet volume inspect mine | jq -c '.[0].used_by')" '["has"]'
  duet create --name other -v /etc:/data busybox true
  is "$(mount_of other type) $(mount_of other name)" "bind null"
  duet rm has other
  is "$(volumes)" mine
  duet volume rm mine
}

@test "a volume in use stays: of a made, a running and a stopped instance" {
  duet create --name made -v busy:/x busybox true
  duet run -d --name runs -v busy:/x busybox sleep 300
  duet run --name ended -v busy:/x busybox true
  expect 125 duet volume rm busy
  [[ $output == *"in use by"* ]]
  for name in made runs ended; do [[ $output == *"'$name'"* ]]; done
  duet volume create idle
  is "$(duet volume prune -f)" idle
  is "$(volumes)" busy
  duet rm made
  duet rename ended renamed
  expect 125 duet volume rm busy
  [[ $output == *"'renamed'"* && $output != *"'made'"* ]]
  is "$(duet volume rm -f busy)" busy
  none_listed
  is "$(volumes)" ""
}

@test "prune asks" {
  duet volume create asked
  duet volume prune </dev/null
  echo n | duet volume prune
  is "$(volumes)" asked
  [[ $(echo y | duet volume prune) == *asked ]]
  is "$(volumes)" ""
}

@test "an instance that can't be made leaves no volume" {
  duet create --name taken busybox true
  expect 125 duet create --name taken -v fresh:/x busybox true
  is "$(volumes)" ""
  duet rm taken
}

@test "of many that make one name, one does" {
  local i good=0
  for i in 1 2 3 4 5 6 7 8; do duet volume create race >"$scratch/race.$i" 2>&1 & done
  wait
  for i in 1 2 3 4 5 6 7 8; do
    if [ "$(cat "$scratch/race.$i")" = race ]; then good=$((good + 1)); else grep -q "'race' already" "$scratch/race.$i"; fi
  done
  is $good 1
  duet volume rm race
}

@test "no instance has a volume that rm took away" {
  local i remover
  (for i in {1..30}; do duet volume rm raced; done >/dev/null 2>&1) 3>&- &
  remover=$!
  for i in {1..12}; do
    # It is there while the instance is: what is written into a removed one would be gone.
    duet run --name racer -v raced:/x busybox touch /x/here
    [ -e "$DUET_ROOT/volumes/raced/_data/here" ]
    duet rm racer
  done
  wait $remover || true # the last may find none
  duet volume rm raced 2>/dev/null || true
}

@test "killed at any moment, a volume is whole or not there" {
  local i pid
  for i in {1..15}; do
    duet create --name victim -v killed:/bin busybox true >/dev/null 2>&1 3>&- &
    pid=$!
    sleep "$(awk -v r="$RANDOM" -v slow="$slow" 'BEGIN { printf "%.3f", r / 32768 * 0.08 * slow }')"
    kill -9 $pid 2>/dev/null || true
    wait $pid || true
    for name in $(volumes); do
      is "$name" killed
      is "$(duet volume inspect killed | jq length)" 1
    done
    is "$(run_as -v killed:/b busybox sh -c 'ls /b | wc -l')" "$(run_as busybox sh -c 'ls /bin | wc -l')" ||
      is "$(run_as -v killed:/b busybox ls /b)" "" # never filled with /bin: made by this
    duet ps -aq | xargs -r "$DUET" rm -f >/dev/null
    duet volume rm killed
  done
  is "$(find "$DUET_ROOT/volumes" -mindepth 1)" "" || is "$(find "$DUET_ROOT/volumes" -mindepth 1 -maxdepth 1)" "$DUET_ROOT/volumes/.new"
}

@test "--mount says the same in other words" {
  mkdir -p "$scratch/a:b"
  echo here >"$scratch/a:b/file"
  is "$(run_as --mount "type=bind,src=$scratch/a:b,dst=/x:y,readonly" busybox sh -c 'cat /x:y/file; touch /x:y/no 2>/dev/null || echo kept')" \
    $'here\nkept'
  is "$(run_as --mount source=words,target=/data,ro=false busybox sh -c 'echo >/data/file; ls /data')" file
  is "$(volumes)" words
  is "$(run_as --mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700 busybox sh -c 'stat -c %a /t; df -k /t | tail -n 1 | tr -s " " | cut -d" " -f2')" \
    $'700\n1024'
  local bad
  for bad in type=bind,target=/x type=nfs,src=a,dst=/x src=a dst=relative,src=a src=a,dst=/x,ro=perhaps type=tmpfs,src=a,dst=/x \
    type=bind,src=/nosuch,dst=/x size=5,src=a,dst=/x; do
    expect 125 duet create --mount "$bad" busybox true
    is "$(wc -l <<<"$output")" 1
  done
  duet volume rm words >/dev/null
}
