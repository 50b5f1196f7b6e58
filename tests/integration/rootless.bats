#!/usr/bin/env bats
# shellcheck disable=SC2154 # source_dir and tests_dir are lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# duet as an ordinary user. Run by root, it makes a user with a range of ids, and removes it; run by a
# user, it uses that one. Nothing of the user's own store is touched.

load lib

# The user may not be able to reach the source tree: what it runs is copied.
setup_file() {
  place=$(mktemp -d /tmp/duet-user.XXXXXX)
  export place
  chmod 0755 "$place"
  mkdir -p "$place/build/cli" "$place/images" "$place/archives"
  cp "$source_dir"/build/cli/duet "$source_dir"/build/*/*.so "$place/build/cli"
  cp -r "$source_dir/tests" "$place/tests"
  cp -r "$source_dir/images/recipes" "$place/images/recipes"
  "$source_dir/images/recipes/busybox" "$place/archives/busybox.tar" >/dev/null
  MKIMAGE_BASE=$place/archives/busybox.tar "$tests_dir/mkimage.py" "$place/archives" owned high-70000
  chmod -R a+rX "$place"
  if [ "$(id -u)" = 0 ]; then
    export user=duet-test-$$ home=$place/home run=$place/run
    useradd -m -d "$home" -s /bin/sh "$user"
    install -d -o "$user" -m 0700 "$run"
    uid=$(id -u "$user")
  else
    export user='' home=$place/home run=${XDG_RUNTIME_DIR:-$place/run}
    mkdir -p "$home"
    [ -d "$run" ] || install -d -m 0700 "$run"
    uid=$(id -u)
  fi
  export uid
  duet image import --name busybox "$place/archives/busybox.tar" >/dev/null
}

# A device of the host's; where test directories are, devices may not work.
node=/dev/duet-test-$$
teardown() {
  duet rm -f --all >/dev/null
  [ -z "$user" ] || rm -f "$node"
}
teardown_file() {
  local left
  left=$(left)
  [ -z "$user" ] || userdel -r "$user" 2>/dev/null || true
  # A user's own files are of other ids: only that user's duet may remove them.
  [ "$(id -u)" = 0 ] || unshare --map-auto --map-root-user rm -rf "$home/.local/share"
  rm -rf --one-file-system "$place"
  [ -z "$left" ] || { echo "left behind: $left"; return 1; }
}

# as COMMAND...: as the user, in an environment of theirs.
as() {
  local become=()
  [ -z "$user" ] || become=(runuser -u "$user" --)
  "${become[@]}" env -u DUET_ROOT -u XDG_DATA_HOME -u XDG_CACHE_HOME "HOME=$home" "XDG_RUNTIME_DIR=$run" \
    "DUET=$place/build/cli/duet" "DUET_MODULE_DIR=$place/build/cli" "$@"
}
duet() { as "$place/build/cli/duet" "$@"; }
store() { echo "$home/.local/share/duet"; }

# What is left of instances: files, sockets, mounts, and the user's processes (of a user that is real,
# those of duet alone).
left() {
  local pid status folder deadline=$((SECONDS + 3 * slow)) found
  while :; do
    found=
    for folder in live names instances trash; do
      found+=$(find "$(store)/$folder" -mindepth 1 -maxdepth 1 2>/dev/null)
    done
    found+=$(find "$run/duet" -mindepth 1 -maxdepth 1 -type d 2>/dev/null)
    for pid in /proc/[0-9]*; do
      status=$(cat "$pid/status" 2>/dev/null) || continue
      grep -qP "^Uid:\t$uid\t" <<<"$status" || continue
      ! grep -q '^State:.*Z' <<<"$status" || continue
      [ -n "$user" ] || grep -qE '^Name:\s(duet|qemu)' <<<"$status" || continue
      found+="process ${pid#/proc/} $(tr '\0' ' ' <"$pid/cmdline") "
    done
    if [ -z "$found" ] || [ $SECONDS -ge $deadline ]; then break; fi
    sleep 0.1
  done
  echo "$found"
}

# After a kill: what the next command that finds it so leaves.
swept() {
  duet ps -aq >/dev/null
  [ -z "$(left)" ] || { duet ps -aq >/dev/null; is "$(left)" ''; }
}

# suite FILE PATTERN [VARIABLE=VALUE...]: the cases of another suite that match, as the user.
suite() {
  local output status=0
  output=$(as "${@:3}" timeout 900 bats --tap -f "$2" "$place/tests/integration/$1.bats" 2>&1) || status=$?
  if [ "$status" != 0 ] || ! grep -q '^ok ' <<<"$output"; then
    grep -A20 '^not ok' <<<"$output" || echo "$output"
    return 1
  fi
}

# bats test_tags=host
@test "both kinds run, with all files in the user's own places" {
  is "$(duet run --rm busybox id -u)" 0
  is "$(duet run --rm --vm busybox id -u 2>/dev/null)" 0
  [ -e "$(store)/images/index.json" ]
  [ -d "$home/.cache/duet/boot" ]
  is "$(stat -c '%a' "$(store)")" 700
  local id
  id=$(duet run -d busybox sleep 100)
  is "$(stat -c '%a %u' "$run/duet")" "700 $uid"
  is "$(stat -c '%a %u' "$(store)/instances/$id/sock")" "600 $uid"
  [ ! -e "/run/duet/$id" ]
}

# bats test_tags=host
@test "a container's suite passes" { suite kind . KIND=container; }
# bats test_tags=host
@test "a VM that changed while it ran is saved, and goes on" { suite save 'changed of a VM'; }
# bats test_tags=host
@test "a VM's suite passes" {
  # What a user's VM has otherwise than root's.
  local cases='run prints|volumes|limits|start again'
  [ -z "${DUET_TEST_FULL:-}" ] || cases+='|exec|pause|killed client|marks'
  suite kind "$cases" KIND=vm
}
@test "what runs is seen" { suite views 'boxes|stats|by whom'; }
@test "terminals are there for a user too" { suite terminal 'container|ends|without a terminal|caller'; }
@test "the store's suite passes" { suite image 'whiteout|take each other|hard links|docker-save|hostile|imports at once|in use'; }

@test "a user's volumes are filled, shared and kept" { suite volumes 'run makes a volume|has in its place|in use stays'; }

# bats test_tags=full
@test "what hostile callers try does no harm" {
  suite hostile 'stalls|closed|without end|ten runs|fifty|ignores|odd places|moment of the end|many commands|deeper'
}
# bats test_tags=full
@test "what monitors do by themselves they do for users" {
  suite supervise 'as often as|between two runs|bounded|too long|unhealthy instance'
}
@test "a VM's hardware is a user's choice too" { suite machine "file stays|another VM has|is merged|hostile patches"; }
# bats test_tags=host,full
@test "what is killed leaves nothing" { suite faults "containers leave|container's|VM's monitor|of QEMU|creation"; }

# bats test_tags=host
@test "owners are the image's, in both kinds, and the user's range on disk" {
  duet image import --name owned "$place/archives/owned.tar" >/dev/null
  local script='stat -c "%n %u %g %a" /own /own/a /own/suid; su -s /bin/sh nobody -c "id -u"'
  is "$(duet run --rm owned sh -c "$script")" $'/own 1000 100 750\n/own/a 65534 33 640\n/own/suid 5 0 4755\n65534'
  is "$(duet run --rm --vm owned sh -c "$script" 2>/dev/null)" "$(duet run --rm owned sh -c "$script")"
  is "$(duet run --rm --user 1000:100 owned id -u)" 1000
  [ "$(id -u)" != 0 ] ||
    is "$(stat -c %u "$(store)"/images/layers/*/own)" $(($(grep "^$user:" /etc/subuid | cut -d: -f2) + 999))
  # An image's devices are left out, and nothing shows in their place.
  is "$(duet run --rm owned sh -c 'ls /own/null /hidden 2>/dev/null; ls /dev/null')" /dev/null
  [[ $(duet image inspect owned) == *"device nodes are left out"* ]]
  duet image rm owned
}

@test "an owner that the user does not have is refused by its number" {
  expect 125 duet image import "$place/archives/high-70000.tar"
  [[ $output == *"'x' belongs to the user 70000"*"usermod --add-subuids"* ]]
}

@test "kill -9 of a container's monitor leaves nothing" {
  local id monitor
  id=$(duet run -d --rm busybox sh -c 'sleep 1000 & sleep 1000')
  monitor=$(field "$id" monitor_pid)
  as kill -9 "$monitor"
  swept
}

# bats test_tags=host
@test "kill -9 of a VM's monitor and worker leaves nothing, though the guest hangs" {
  local id monitor qemu
  id=$(duet run -d --rm --vm busybox sleep 1000 2>/dev/null)
  monitor=$(field "$id" monitor_pid)
  qemu=$(field "$id" pid)
  as kill -STOP "$qemu"
  # shellcheck disable=SC2046
  as kill -9 "$monitor" $(tr ' ' '\n' <"/proc/$monitor/task/$monitor/children" | grep -vx "$qemu")
  swept
}

# The benchmark's baseline has no namespace to hold its processes but where no cgroup does.
@test "kill -9 of the baseline's monitor leaves nothing" {
  local client
  duet bench boot -n 1 --arms native busybox -- sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 3>&- &
  wait_for 10 pgrep -u "$uid" -f '^duet-agent native'
  client=$(pgrep -u "$uid" -f 'duet bench boot' | tr '\n' ' ')
  # shellcheck disable=SC2086
  as kill -9 $client
  swept
}

@test "a worker that dies ends its VM" {
  local id worker
  id=$(duet run -d --vm busybox sleep 1000 2>/dev/null)
  worker=$(tr ' ' '\n' <"/proc/$(field "$id" monitor_pid)/task/$(field "$id" monitor_pid)/children" |
    grep -vx "$(field "$id" pid)" | head -1)
  as kill -9 "$worker"
  duet wait "$id"
  [[ $(field "$id" error) == *"worker died"* ]]
  duet rm "$id"
  is "$(left)" ''
}

@test "rm -f takes away what a container wrote as other users" {
  local id
  id=$(duet run -d busybox sh -c 'mkdir /home/d; echo x >/home/d/f; chown -R 1000:1000 /home/d; chmod 0 /home/d; echo made; sleep 100')
  wait_for 10 wrote "$id" made
  duet rm -f "$id"
  is "$(left)" ''
}

# With a PATH that has all but the two programs.
one_id() {
  mkdir -p "$place/bin"
  ln -sf /usr/bin/* /usr/sbin/* "$place/bin"
  rm -f "$place/bin/newuidmap" "$place/bin/newgidmap"
  as env "PATH=$place/bin" "XDG_DATA_HOME=$home/one" "$place/build/cli/duet" "$@"
}

# bats test_tags=host
@test "without a range of ids an image that is all root's runs, and no other" {
  one_id image import --name busybox "$place/archives/busybox.tar"
  is "$(one_id run --rm busybox sh -c 'id -u; tr -s " " </proc/self/uid_map')" $'0\n 0 0 1'
  is "$(one_id run --rm --vm busybox id -u 2>/dev/null)" 0
  is "$(one_id run --rm -t busybox sh -c 'stat -c "%u %t" $(tty); echo x >/dev/tty' | xargs)" $'0 88\r x\r'
  expect 125 one_id run --rm --user 5 busybox true
  [[ $output == *"has not enough ids"* ]]
  expect 125 one_id run --rm --group-add 5 busybox true
  [[ $output == *"has not enough ids"* ]]
  expect 125 one_id image import "$place/archives/owned.tar"
  [[ $output == *"belongs to the user 1000"*"usermod --add-subuids"* ]]
  [[ $(one_id check) == *"only those whose files are all root's run"* ]]
  rm -rf "$home/one"
}

# In a place where no user namespace can be made, which itself has to be one.
forbidden() {
  # shellcheck disable=SC2016
  as env "XDG_DATA_HOME=$home/flat" unshare --map-current-user --keep-caps sh -c \
    'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --ambient-caps=-all --inh-caps=-all "$@"' sh \
    "$place/build/cli/duet" "$@"
}

# bats test_tags=host
@test "without user namespaces VMs run, and containers are refused with what to do" {
  forbidden image import --name busybox "$place/archives/busybox.tar"
  expect 125 forbidden run --rm busybox true
  [[ $output == *"no container without a user namespace"*"sysctl user.max_user_namespaces"*"VMs (--vm) need none"* ]]
  is "$(forbidden run --rm --vm busybox stat -c '%u %g' / /bin /bin/busybox 2>/dev/null)" $'0 0\n0 0\n0 0'
  expect 125 forbidden image import "$place/archives/owned.tar"
  [[ $(forbidden check --format json | jq -r '.[] | select(.name == "user-namespace").status') == no ]]
  rm -rf "$home/flat"
}

@test "a store of somebody else's is refused" {
  local other
  other=$(mktemp -d "$place/other.XXXXXX")
  chmod 0755 "$other"
  if [ -n "$user" ]; then
    "$DUET" --root "$other" ps
    chmod -R a+rX "$other"
    expect 125 duet --root "$other" ps
    [[ $output == *"was made by another user"* ]]
    # Nor is root fooled by a user's.
    expect 125 "$DUET" --root "$(store)" ps
    [[ $output == *"was made by another user"* ]]
  else
    expect 125 duet --root /proc/self ps
  fi
}

# bats test_tags=host
@test "sockets go where only the user may look, or nowhere" {
  expect 125 as env XDG_RUNTIME_DIR=/run "$place/build/cli/duet" ps
  [[ $output == *"no private directory of yours"* ]]
  local long
  long=$place/run-$(printf 'x%.0s' {1..90})
  as true
  install -d -o "$uid" -m 0700 "$long"
  expect 125 as env XDG_RUNTIME_DIR="$long" "$place/build/cli/duet" run --rm --vm busybox true
  [[ $output == *"too long for the sockets of a VM; set XDG_RUNTIME_DIR to a shorter one"* ]]
  # A container has its socket among its files, however long their path is.
  is "$(as env XDG_RUNTIME_DIR="$long" "$place/build/cli/duet" run --rm busybox echo hi)" hi
  # No session at all.
  if [ -n "$user" ]; then
    is "$(as env -u XDG_RUNTIME_DIR "$place/build/cli/duet" run --rm busybox echo hi)" hi
    is "$(stat -c '%a %u' "/tmp/duet-run-$uid")" "700 $uid"
    rm -rf "/tmp/duet-run-$uid"
    mkdir "/tmp/duet-run-$uid" # another user was faster
    expect 125 as env -u XDG_RUNTIME_DIR "$place/build/cli/duet" ps
    rmdir "/tmp/duet-run-$uid"
    [[ $output == *"is no private directory of yours"* ]]
  fi
}

# bats test_tags=host,full
@test "what is measured is measured for a user too" {
  expect 0 duet bench boot -n 1 -o "$home/result.json" busybox
  is "$(jq '[.samples[] | select(.error == null)] | length' "$home/result.json")" 6
  expect 0 duet compare busybox
  [[ $output =~ "payload's side, PSS"\ +[0-9.]+\ [KM]iB\ +[0-9.]+\ [KM]iB ]]
  [[ $output != *"left behind"* ]]
  # Without a cgroup two estimators are left, and the third is n/a, not 0.
  expect 0 duet bench memory --arms container --counts 1,2 --rounds 1 --age 1 -o "$home/memory.json" busybox
  is "$(jq -r '.samples[] | select(.status != "ok"), .warnings[]' "$home/memory.json")" ""
  emulated "$home/memory.json" || jq -e '
    all(.summary[].estimators; .pss.slope_bytes > 0 and .host.slope_bytes != null)' "$home/memory.json"
  jq -e 'all(.samples[].memory.instances[]; .cgroup_bytes > 0) or
    all(.summary[].estimators; .cgroup.slope_bytes == null)' "$home/memory.json"
  is "$(left)" ''
}

# bats test_tags=host
@test "check tells a user of ids, namespaces and cgroups" {
  local names
  names=$(duet check --format json | jq -r '.[].name')
  for name in user-namespace newuidmap user-ids cgroup overlayfs kvm qemu; do
    grep -qx "$name" <<<"$names"
  done
}

# bats test_tags=host
@test "cp: an ordinary user's files go in and come out as the user's own" {
  local kind
  as mkdir -p "$home/tree/sub"
  as sh -c "echo mine >'$home/tree/sub/file'; chmod 0 '$home/tree/sub/file'; ln -s sub/file '$home/tree/link'"
  duet create --name container --user 7:8 busybox true
  duet create --vm --name vm busybox true
  for kind in container vm; do
    duet cp "$home/tree" "$kind:/tmp"
    duet cp "$kind:/tmp/tree" "$home/of-$kind"
    is "$(find "$home/of-$kind" ! -uid "$uid")" ''
    is "$(stat -c %a "$home/of-$kind/sub/file")" 0
    is "$(readlink "$home/of-$kind/link")" sub/file
    as rm -rf "$home/of-$kind"
  done
  is "$(duet cp container:/tmp/tree - | tar --numeric-owner -tvf - | awk '{ print $2 }' | sort -u)" 7/8
  expect 125 duet cp vm:/etc/passwd /etc/passwd
  [[ $output == *"cannot create 'passwd': Permission denied"* || $output == *"cannot replace 'passwd': Permission denied"* ]]
  duet rm container vm
  as rm -rf "$home/tree"
}

@test "snapshots and clones keep owners, modes and what was deleted" {
  local seen=$'1000 33 4755\ngone'
  duet run --name box busybox sh -c 'if [ -e /own ]; then stat -c "%u %g %a" /own; [ -e /etc/group ] || echo gone; rm /own
    else rm /etc/group; echo one >/own; chown 1000:33 /own; chmod 4755 /own; fi'
  duet snapshot create box one
  duet clone box other
  duet start box && duet wait box
  is "$(duet logs box)" "$seen"
  duet snapshot restore box one
  duet start box && duet wait box
  is "$(duet logs box)" "$seen"
  duet start other && duet wait other
  is "$(duet logs other)" "$seen"
}

# bats test_tags=host
@test "what a payload is given: limits, groups, parameters, devices and clocks" {
  local script='ulimit -n; ulimit -Hn; id -G; cat /proc/self/oom_score_adj
    cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/domainname
    awk "\$2 == \"/dev/shm\" { print \$4 }" /proc/mounts | grep -o size=1024k; expr $(cut -d. -f1 /proc/uptime) / 100000000
    readlink /proc/self/ns/time >/dev/null; echo x 2>&1 >/dev/some/full | cut -d: -f3'
  is "$(duet run --rm --ulimit nofile=99:100 --sysctl net.ipv4.ip_forward=1 --sysctl kernel.domainname=of.test \
    --group-add 7 --group-add users --shm-size 1m --oom-score-adj 1000 --monotonic 1000 --boottime 100000000 \
    --device /dev/full:/dev/some/full busybox sh -c "$script" | xargs)" \
    "99 100 0 7 100 1000 1 of.test size=1024k 1 No space left on device"
  expect 125 duet run --rm --oom-score-adj -999 busybox true
  [[ $output == *"cannot set the OOM score to -999"*CAP_SYS_RESOURCE* ]]
  expect 125 duet run --rm --device /dev/full:r busybox true
  [[ $output == *"'/dev/full' can't be given for reading or writing alone by an ordinary user"* ]]
  # not every kernel gives IPC's to the container's root
  run duet run --rm --sysctl kernel.msgmax=4096 busybox cat /proc/sys/kernel/msgmax
  [[ $output == 4096 || $output == *"cannot set the sysctl 'kernel.msgmax'"*"nobody but the host's root"* ]]
  if [ -n "$user" ]; then
    mknod -m 600 "$node" c 1 3
    expect 125 duet run --rm --device "$node:/dev/node" busybox true
    [[ $output == *"could not be given device '$node' (an ordinary user's has only"* ]]
    chown "$user" "$node"
    is "$(duet run --rm --device "$node:/dev/node" busybox sh -c 'echo x >/dev/node; cat /dev/node; stat -c %U /dev/node')" root
  fi
  is "$(left)" ''
}

@test "a disk boots as the user's own QEMU, with a screen for that user, and its image stays as it is" {
  local disk before screen
  "$tests_dir/disk-guest/tiny" "$place/tiny"
  chmod a+r "$place/tiny"
  duet image import --disk-format raw --name tiny "$place/tiny" >/dev/null
  disk=$(duet image inspect tiny | jq -r '.[0].store.disk')
  before=$(sha256sum <"$disk")
  duet run -d --vm --name t --graphics unix --wait 'console:boot [0-9]' tiny >/dev/null 2>&1
  is "$(stat -c %u "/proc/$(field t pid)")" "$uid"
  screen=$(duet view --print t)
  is "$(stat -c '%u %a' "$(dirname "${screen#vnc+unix://}")")" "$uid 700"
  is "$(as python3 "$place/tests/integration/vnc-look.py" "$screen" | head -n 1)" 'ways 1'
  duet save t >/dev/null
  duet restore t >/dev/null 2>&1
  is "$(stat -c %u "/proc/$(field t pid)")" "$uid"
  duet stop t >/dev/null
  is "$(field t exit_code)" 0
  [[ $(duet logs t) == *button* ]]
  duet start t >/dev/null 2>&1
  [[ $(duet logs t) == *"boot 2"* ]]
  is "$(sha256sum <"$disk")" "$before"
}
