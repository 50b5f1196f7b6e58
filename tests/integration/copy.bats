#!/usr/bin/env bats
# shellcheck disable=SC2154 # tests_dir and scratch are lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# `duet cp`: both directions, both kinds, running and stopped.

load lib

setup_file() {
  needs_root "for volumes of VMs; rootless.bats copies as an ordinary user"
  root_up
  stock_image busybox
  # A secret of the host, where a link that led out of an instance would find it.
  export secret=$scratch/secret
  echo untouched >"$secret"
  # The working directory is there, and nothing writes the log.
  duet run -d --name container -w /srv -v "$scratch:/volume:ro" --tmpfs /small:size=1m busybox sleep 1000
  duet run -d --vm --name vm -w /srv -v "$scratch:/volume:ro" --tmpfs /small:size=1m busybox sleep 1000 2>/dev/null
}
teardown_file() { root_down; }
teardown() {
  is "$(cat "$secret")" untouched
  # No process, and no half of a copy, outlives its command.
  [ -z "$(pgrep -f "$DUET cp" || true)" ]
}

# tree DIRECTORY: makes one of all that there is.
tree() {
  local long
  long=$(printf 'x%.0s' {1..180})
  mkdir -p "$1/sub/empty" "$1/$long/$long/$long"
  echo hello >"$1/file"
  ln "$1/file" "$1/sub/hard"
  ln -s file "$1/link"
  ln -s /nowhere/at/all "$1/dangling"
  ln -s sub "$1/link-to-sub"
  printf deep >"$1/$long/$long/$long/file"
  printf x >"$1/new
line"
  printf x >"$1/"$'not\xffutf8'
  printf x >"$1/-r"
  mkfifo "$1/fifo"
  : >"$1/sub/nothing"
  head -c 3000000 /dev/urandom >"$1/big"
  chmod 4755 "$1/sub/nothing"
  chmod 2750 "$1/sub"
  chmod 1777 "$1/$long"
  touch -d '2001-02-03 04:05:06.123456789' "$1/big" "$1/sub"
  touch -h -d '2002-03-04 05:06:07' "$1/link"
  chmod 0 "$1/-r" "$1/sub/empty"
  # where the file system has them
  python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.duet", b"a\0b")' "$1/file" 2>/dev/null || true
}
# facts DIRECTORY: all that a copy keeps.
facts() {
  (
    cd "$1" || exit
    find . -printf '%P|%y|%m|%U:%G|%n|%l|%T@\0' | sort -z | tr '\0' '\n'
    find . -type f -print0 | sort -z | xargs -0 sha256sum
    python3 -c 'import os; print(os.listxattr("file"))'
  )
}
equal() { diff <(facts "$1") <(facts "$2"); }

@test "a tree goes in and comes back as it was, through both kinds" {
  local kind
  tree "$scratch/tree"
  for kind in container vm; do
    duet cp "$scratch/tree" "$kind:/root"
    duet cp "$kind:/root/tree" "$scratch/back-$kind"
    equal "$scratch/tree" "$scratch/back-$kind"
    # from one instance to another, and to the same
    duet cp "$kind:/root/tree" "$kind:/root/again"
    duet cp "$kind:/root/again/." "$scratch/again-$kind"
    equal "$scratch/tree" "$scratch/again-$kind"
    duet exec "$kind" rm -rf /root/again
  done
  duet cp vm:/root/tree container:/root/of-vm
  duet cp container:/root/of-vm "$scratch/of-vm"
  equal "$scratch/tree" "$scratch/of-vm"
  is "$(duet exec container cat /root/of-vm/link-to-sub/hard)" hello
}

@test "where things go: podman's rules" {
  local kind dir=$scratch/rules
  mkdir -p "$dir/dir/sub" "$dir/dir."
  echo 1 >"$dir/dir/sub/one"
  echo 2 >"$dir/two"
  echo 3 >"$dir/dir./three."
  ln -s two "$dir/link"
  cd "$dir"
  for kind in container vm; do
    duet exec "$kind" mkdir -p /srv/sub
    while read -r source target result; do
      duet cp "$source" "$kind:$target"
      duet exec "$kind" test -f "$result" || { echo "$kind: $source to $target is not $result"; return 1; }
    done <<'TABLE'
two / /two
two /anew.txt /anew.txt
two /tmp /tmp/two
two /tmp/ /tmp/two
two /tmp/. /tmp/two
two . /srv/two
./two ./ /srv/two
two anew /srv/anew
two sub /srv/sub/two
link /opt-link /opt-link
link /srv/sub /srv/sub/link
dir./three. /tmp /tmp/three.
dir / /dir/sub/one
dir/ /tmp /tmp/dir/sub/one
dir/. /usr/ /usr/sub/one
dir. / /dir./three.
dir/sub/. sub/. /srv/sub/one
dir /new1 /new1/sub/one
dir/ /new2 /new2/sub/one
dir/. /new3 /new3/sub/one
TABLE
    # out again
    mkdir -p "out-$kind/there"
    while read -r source target result; do
      duet cp "$kind:$source" "out-$kind/$target"
      [ -f "out-$kind/$result" ] || { echo "$kind: $source to $target is not $result"; return 1; }
    done <<'TABLE'
/two . two
two copy copy
sub/one there there/one
/dir there there/dir/sub/one
/dir/. there there/sub/one
/dir new new/sub/one
/dir/. new3 new3/sub/one
../two up up
TABLE
  done
  # A link as the source is what it leads to; its name stays.
  is "$(duet exec container stat -c %F /opt-link)" 'regular file'
  # A link as the target is written through: it is the caller's own.
  ln -s beyond there-link
  duet cp container:/two there-link
  is "$(readlink there-link)" beyond
  is "$(cat beyond)" 2
  # A directory that is there keeps its mode, what is in it gets that of the source.
  mkdir -m 0700 kept
  duet cp container:/dir/. kept
  is "$(stat -c %a kept kept/sub | tr '\n' ' ')" '700 755 '
}

@test "what cannot be copied is said in one line, with exit code 125" {
  local kind
  cd "$scratch"
  echo 1 >plain
  mkdir -p full/plain
  for kind in container vm; do
    while IFS='|' read -r source target message; do
      expect 125 duet cp "${source//K:/$kind:}" "${target//K:/$kind:}"
      [[ $output == "duet: "*"${message//K/$kind}"* ]] || { echo "$source to $target: $output"; return 1; }
      is "$(wc -l <<<"$output")" 1
    done <<'TABLE'
K:/none|x|in the instance 'K': cannot find '/none': No such file or directory
none|K:/|cannot find 'none'
plain|K:/none/x|in the instance 'K': cannot open the directory '/none'
plain|K:/none/|cannot find '/none/'
K:/etc/passwd|none/|cannot find 'none/'
K:/etc/passwd|none/x|cannot open the directory 'none'
full|K:/etc/passwd|a directory can be copied to a directory only, which is not '/etc/passwd'
K:/etc|plain|a directory can be copied to a directory only, which is not 'plain'
K:/etc/passwd/.|x|cannot find '/etc/passwd/.': Not a directory
K:/dev/null|x|neither file nor directory: '/dev/null'
plain|K:/dev/null|the target is neither directory nor file
K:/etc/passwd|/dev/null|the target is neither directory nor file
K:/etc/..|x|has no name at its end
K:|x|names no path
nosuch:/x|y|no such instance: 'nosuch'
TABLE
  done
  expect 125 duet cp plain full
  expect 125 duet cp container:/x
  expect 125 duet cp -a=maybe plain container:/
  # Names with a colon are the host's behind a "/" or ".".
  echo colon >a:b
  duet cp ./a:b container:/tmp
  is "$(duet exec container cat /tmp/a:b)" colon
  # What is no directory takes no directory's place, unless that is asked for.
  duet cp full container:/tmp
  echo file >full-file
  mkdir -p other
  echo 1 >other/plain
  expect 125 duet cp other/. container:/tmp/full
  [[ $output == *"there is a directory"*--overwrite* ]]
  duet cp --overwrite other/. container:/tmp/full
  is "$(duet exec container cat /tmp/full/plain)" 1
  expect 125 duet cp full/. container:/tmp/full
  [[ $output == *"there is no directory"*--overwrite* ]]
  duet cp --overwrite full/. container:/tmp/full
  duet exec container test -d /tmp/full/plain
}

@test "owners: the instance's user, the caller, or with --archive=false those of the source" {
  local kind
  cd "$scratch"
  mkdir -p mine/sub
  echo 1 >mine/file
  chown -R 1234:2345 mine
  duet create --name other-user --user 1000:1001 busybox true
  duet create --name dropped --user 1000:1001 --cap-drop all busybox true
  duet cp mine other-user:/tmp
  duet cp mine other-user:/tmp/new
  duet cp mine dropped:/tmp
  expect 125 duet cp mine dropped:/etc
  [[ $output == *"Permission denied"* ]]
  for kind in other-user dropped; do
    duet cp "$kind:/tmp/mine" - | tar -tvf - --numeric-owner >list
    is "$(awk '{ print $2 }' list | sort -u)" 1000/1001
  done
  duet cp -a other-user:/tmp/mine back
  is "$(find back -printf '%U:%G\n' | sort -u)" 0:0
  duet cp --archive=false mine other-user:/tmp/kept
  duet cp -a=false other-user:/tmp/kept kept
  is "$(find kept -printf '%U:%G\n' | sort -u)" 1234:2345
  duet rm other-user dropped
}

@test "tar archives in and out, compressed or not, as GNU tar has them" {
  local kind
  cd "$scratch"
  [ -d tree ] || tree tree
  for kind in container vm; do
    duet exec "$kind" mkdir -p /opt
    tar --format=pax -cf - tree | duet cp - "$kind:/opt/"
    mkdir "untar-$kind"
    duet cp "$kind:/opt/tree" - | tar -C "untar-$kind" -xpf -
    diff <(facts tree | grep -av '^\[') <(facts "untar-$kind/tree" | grep -av '^\[')
    tar --format=pax -C tree -czf - . | duet cp - "$kind:/opt/tree"
    duet cp "$kind:/opt/tree/." - | tar -tf - >list
    grep -qx sub/hard list
    duet cp "$kind:/etc/passwd" - | tar -xOf - passwd | cmp - <(duet exec "$kind" cat /etc/passwd)
    expect 125 duet cp - "$kind:/opt" </dev/null
    echo no archive >none.tar
    expect 125 duet cp - "$kind:/opt" <none.tar
    [[ $output == *"cannot read the tar archive"* ]]
    tar -cf - tree >all.tar
    head -c 200000 all.tar >cut.tar
    expect 125 duet cp - "$kind:/opt" <cut.tar
    [[ $output == *"cannot read the tar archive"* ]]
    expect 125 duet cp - "$kind:/etc/passwd" <all.tar
    [[ $output == *"needs a directory"* ]]
    expect 125 duet cp - "$kind:/nosuch" <all.tar
  done
  # a device, and a socket, are left out with a word
  mkdir odd
  mknod odd/device c 1 3
  duet cp odd container:/tmp 2>warning
  grep -q "left out, it is a device: 'device'" warning
  is "$(duet cp -q odd container:/tmp 2>&1)" ''
}

# evil ARCHIVE PYTHON: writes a tar archive member by member.
evil() {
  /usr/bin/python3 - "$1" "$scratch" <<PYTHON
import io, sys, tarfile
archive = tarfile.open(sys.argv[1], "w")
def add(name, **what):
    data = what.pop("data", None)
    info = tarfile.TarInfo(name)
    for key, value in what.items():
        setattr(info, key, value)
    if data is not None:
        info.size = len(data)
    archive.addfile(info, io.BytesIO(data) if data is not None else None)
secret, scratch = sys.argv[2] + "/secret", sys.argv[2]
$2
archive.close()
PYTHON
}

@test "links inside of an instance lead nowhere on the host, in both directions" {
  local kind
  cd "$scratch"
  echo evil >payload
  for kind in container vm; do
    duet exec "$kind" sh -c "mkdir -p /h/dir; ln -sfn $scratch /h/out; ln -sfn $secret /h/file; ln -sfn / /h/dir/root
      ln -sfn ../../../../../../../../$secret /h/up"
    # Not in there, so not found.
    expect 125 duet cp "$kind:/h/file" got
    expect 125 duet cp "$kind:/h/up" got
    expect 125 duet cp "$kind:/h/out/secret" got
    expect 125 duet cp payload "$kind:/h/out/secret"
    # Made inside, where it leads to.
    duet exec "$kind" mkdir -p "$scratch"
    duet cp payload "$kind:/h/file"
    duet cp payload "$kind:/h/out"
    is "$(duet exec "$kind" cat "$secret")" evil
    # Links are copied as links.
    rm -rf h
    duet cp "$kind:/h" .
    is "$(readlink h/out)" "$scratch"
    # And not followed here when they are met again, even if the instance has a directory there now.
    duet exec "$kind" sh -c 'rm /h/out; mkdir /h/out; echo evil >/h/out/secret; rm /h/file; echo evil >/h/file'
    expect 125 duet cp "$kind:/h" .
    is "$(cat "$secret")" untouched
    rm -rf h
    ln -s "$scratch" out
    mkdir -p h2
    mv out h2/
    expect 125 duet cp "$kind:/h/." h2
    is "$(cat "$secret")" untouched
    rm -rf h2
  done
}

@test "a copy goes through no link that a user of the instance planted" {
  local kind
  cd "$scratch"
  mkdir -p planted
  echo new >planted/f
  echo evil >config
  for kind in container vm; do
    duet exec "$kind" sh -c 'mkdir -m 1777 /shared; mkdir -m 755 /safe; echo safe >/safe/config; ln -s /safe /way'
    duet exec --user 1000 "$kind" sh -c 'ln -s /safe /shared/planted; ln -s /safe/config /shared/config'
    expect 125 duet cp planted "$kind:/shared/"
    expect 125 duet cp config "$kind:/shared/config"
    [[ $output == *"others beside root can change"* ]]
    expect 125 sh -c "tar -cf - planted/f | $DUET cp - $kind:/shared"
    is "$(duet exec "$kind" sh -c 'cat /safe/config; ls /safe; stat -c %u:%a /safe' | xargs)" "safe config 0:755"
    # root's own are ways as any other
    duet cp planted/f "$kind:/way/f"
    is "$(duet exec "$kind" cat /safe/f)" new
  done
}

@test "a hostile archive writes nothing beside its place" {
  local kind name
  cd "$scratch"
  evil dots.tar 'add("../../secret", data=b"evil")'
  evil link.tar 'add("l", type=tarfile.SYMTYPE, linkname=scratch); add("l/secret", data=b"evil")'
  evil hard.tar 'add("h", type=tarfile.LNKTYPE, linkname="../../" + secret); add("h", data=b"evil")'
  evil absolute.tar 'add("/abs/file", data=b"good")'
  evil parents.tar 'add("not/named/before", data=b"good")'
  for kind in container vm; do
    duet exec "$kind" mkdir -p /e
    for name in dots hard; do
      expect 125 duet cp - "$kind:/e" <"$name.tar"
      [[ $output == *"leads out of its place"* ]]
    done
    # Inside, what a link leads to is the instance's; the host's is not.
    duet cp - "$kind:/e" <link.tar || true
    duet cp - "$kind:/e" <absolute.tar
    is "$(duet exec "$kind" cat /e/abs/file)" good
    duet cp - "$kind:/e" <parents.tar
    is "$(duet exec "$kind" cat /e/not/named/before)" good
  done
}

@test "links to directories of an image are followed inside" {
  cd "$scratch"
  mkdir -p over/lnk
  echo there >over/lnk/file
  duet exec container sh -c 'mkdir -p /img/real; ln -s real /img/lnk'
  duet cp over/. container:/img
  is "$(duet exec container cat /img/real/file)" there
  duet exec container test -L /img/lnk
}

@test "volumes and tmpfs are as the payload sees them; a full or read-only target is said" {
  local kind
  cd "$scratch"
  head -c 3000000 /dev/zero >large
  for kind in container vm; do
    duet cp "$kind:/volume/secret" seen
    is "$(cat seen)" untouched
    expect 125 duet cp large "$kind:/volume/new"
    [[ $output == *"in the instance '$kind': cannot create 'new': Read-only file system"* ]]
    expect 125 duet cp large "$kind:/small/"
    [[ $output == *"in the instance '$kind': cannot write 'large': No space left on device"* ]]
    duet exec "$kind" sh -c 'rm -f /small/*'
  done
  mkdir -p tiny
  mount -t tmpfs -o size=1m tmpfs tiny
  duet cp large container:/tmp
  expect 125 duet cp container:/tmp/large tiny/
  umount tiny
  [[ $output == "duet: cannot write 'large': No space left on device" ]]
  is "$("$DUET" cp container:/tmp/large - 2>&1 >/dev/full || echo $?)" \
    "$(printf "duet: cannot write the archive to 'standard output': No space left on device\n125")"
}

@test "a large file arrives whole" {
  cd "$scratch"
  head -c 100000000 /dev/urandom >huge
  duet cp huge container:/tmp/huge
  duet cp container:/tmp/huge huge-back
  cmp huge huge-back
  duet cp huge vm:/tmp/huge
  is "$(duet exec vm sha256sum /tmp/huge | cut -c-64)" "$(sha256sum huge | cut -c-64)"
  rm huge huge-back
  duet exec container rm /tmp/huge
}

@test "a paused instance is not copied" {
  duet pause container
  expect 125 duet cp container:/etc/passwd "$scratch/x"
  [[ $output == *paused*unpause* ]]
  duet unpause container
}

# told INSTANCE: all that is known of it.
told() {
  duet inspect "$1"
  duet logs "$1"
}

@test "a stopped instance is copied from and to, and stays as it was" {
  local kind before id
  cd "$scratch"
  echo new >new
  for kind in container vm; do
    # with a code and a log of its own; the payload does not run again
    duet run --as "$kind" --name "still-$kind" busybox sh -c 'echo ran >>/count; echo said; exit 7' 2>/dev/null || true
    id=$(field "still-$kind" id)
    before=$(told "still-$kind")
    duet cp new "still-$kind:/etc/new"
    duet cp "still-$kind:/etc/new" "new-$kind"
    cmp new "new-$kind"
    is "$(told "still-$kind")" "$before"
    is "$(find /sys/fs/cgroup "$DUET_ROOT/live" "$(run_base)" -name "*$id*" 2>/dev/null)" ''
    duet cp "still-$kind:/count" count
    is "$(cat count)" ran
    # It is still one that starts.
    duet start "still-$kind" 2>/dev/null
    duet wait "still-$kind"
    duet rm "still-$kind"
  done
  duet create --name made busybox true
  duet cp new made:/
  is "$(state_of made)" created
  duet cp made:/new made:/newer
  duet cp made:/newer container:/tmp
  is "$(duet exec container cat /tmp/newer)" new
  duet rm made
}

# borrowed INSTANCE: whether a copy has it.
borrowed() { [ -S "$DUET_ROOT/instances/$(field "$1" id)/sock" ]; }

@test "who starts an instance that is being copied hears so; others see it as it was" {
  local copier
  cd "$scratch"
  duet create --name busy busybox true
  [ -p hold ] || mkfifo hold
  exec {held}<>hold
  "$DUET" cp - busy:/tmp <hold &
  copier=$!
  wait_for 5 borrowed busy
  expect 125 duet start busy
  [[ $output == *"is busy: \`duet cp\`"* ]]
  expect 125 duet rm busy
  expect 125 duet cp busy:/etc/passwd x
  [[ $output == *"is busy"* ]]
  expect 125 duet exec busy true
  expect 125 duet kill busy
  expect 125 duet pause busy
  is "$(state_of busy)" created
  # ^C ends both halves, and gives it back first
  kill -TERM $copier
  wait $copier && return 1
  is "$(borrowed busy && echo borrowed)" ''
  exec {held}<&-
  duet start busy
  duet wait busy
  duet rm busy
}

@test "kill -9 of the client or the monitor in the middle changes nothing" {
  local kind before copier monitor
  cd "$scratch"
  [ -p hold ] || mkfifo hold
  exec {held}<>hold
  duet create --rm --name gone-rm busybox true
  duet run --name gone-container busybox sh -c 'exit 3' || true
  duet run --vm --name gone-vm busybox sh -c 'exit 3' 2>/dev/null || true
  for kind in gone-container gone-rm gone-vm; do
    before=$(told $kind)
    for victim in client monitor both; do
      [ $kind$victim != gone-vmboth ] || continue
      "$DUET" cp - "$kind:/tmp" <hold 2>/dev/null &
      copier=$!
      wait_for 10 borrowed $kind
      monitor=$(monitors "$kind" | head -n 1)
      [ $victim = monitor ] || kill -9 $copier
      [ $victim = client ] || kill -9 "$monitor"
      wait $copier && return 1
      wait_for 10 eval "[ ! -e /proc/$monitor/exe ]"
      is "$(told $kind)" "$before"
      is "$(borrowed $kind && echo borrowed)" ''
    done
    is "$(state_of $kind)" "$([ $kind = gone-rm ] && echo created || echo exited)"
    duet rm $kind
  done
  # of a running one: it stays
  "$DUET" cp - container:/tmp <hold &
  copier=$!
  sleep 0.3
  kill -9 $copier
  wait $copier && return 1
  duet exec container true
  exec {held}<&-
}
