#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a start costs beside others, as a ratio of medians over interleaved runs in one sitting.

load lib

# at_most LIMIT COMMAND...: the last line of its output, a ratio. A neighbour on a shared host can spoil
# one sitting; a regression spoils all three. Neighbours come and go in seconds, so the
# sittings are apart.
at_most() {
  local limit=$1 sitting
  shift
  for sitting in 1 2 3; do
    [ $sitting = 1 ] || sleep 10
    run "$@"
    echo "$output"
    is "$status" 0
    awk -v r="$(tail -1 <<<"$output")" -v l="$limit" 'BEGIN { exit !(r > 0 && r <= l) }' && return 0
  done
  return 1
}

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

# as_debian SCRIPT [ARG...]: a sitting in a mount namespace with file systems as Debian makes them, the same for all: /run on
# tmpfs, all else on an ext4 with a journal. Without a journal ext4 steps over every inode deleted in the last minutes
# before it hands one out (recently_deleted() in fs/ext4/ialloc.c): each run would cost more than the one before
# it, and the figure would tell what ran earlier.
# shellcheck disable=SC2016 # the inner shell expands it
as_debian() {
  unshare -m bash -e -c '
    mount -t tmpfs run /run
    mkdir -p "$scratch/disk"
    rm -f "$scratch/disk.ext4"
    mkfs.ext4 -q "$scratch/disk.ext4" 1G 2>&1
    mount -o loop "$scratch/disk.ext4" "$scratch/disk"
    cd "$scratch/disk"
    export DUET_ROOT=$PWD/duet
    "$DUET" image import --name busybox "$scratch/busybox.tar" >/dev/null
    eval "$0"' "$@"
}

# shellcheck disable=SC2016 # as_debian's shell expands it
container_ratio() {
  as_debian '
    mkdir rootfs
    tar -C rootfs -xf "$scratch/busybox.tar"
    crun spec
    jq ".process.terminal = false | .process.args = [\"true\"] | del(.process.rlimits)
      | .root.readonly = false | del(.linux.resources)" config.json >new.json
    mv new.json config.json
    python3 "$1" 40 "$DUET run --rm --as container busybox true" "crun --root $PWD/crun run duet-speed"
  ' "$tests_dir/integration/interleave.py"
}

@test "a container's whole run takes at most as long as crun's" {
  cgroups_for_crun
  at_most 1.0 container_ratio
}

# crun with walls as ours: a user namespace, docker's capabilities, no_new_privs, and a filter of system calls, which is podman's.
# shellcheck disable=SC2016 # as_debian's shell expands it
walls_ratio() {
  as_debian '
    podman="podman --root $PWD/store --runroot $PWD/state --cgroup-manager cgroupfs"
    $podman import -q "$scratch/busybox.tar" localhost/busybox >/dev/null
    id=$($podman create --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 localhost/busybox true)
    $podman init "$id" >/dev/null
    cp "$(find store -name config.json)" podman.json
    $podman rm -f "$id" >/dev/null
    mkdir rootfs
    tar -C rootfs -xf "$scratch/busybox.tar"
    chown -R 1000000:1000000 rootfs
    crun spec
    jq --slurpfile podman podman.json ".process.terminal = false | .process.args = [\"true\"] | del(.process.rlimits)
      | .root.readonly = false | del(.linux.resources) | .linux.seccomp = \$podman[0].linux.seccomp | .process.noNewPrivileges = true
      | .process.capabilities = \$podman[0].process.capabilities | .linux.namespaces += [{type: \"user\"}, {type: \"cgroup\"}]
      | .linux.namespaces |= unique_by(.type) | .linux.uidMappings = [{containerID: 0, hostID: 1000000, size: 65536}]
      | .linux.gidMappings = .linux.uidMappings" config.json >new.json
    mv new.json config.json
    python3 "$1" 40 "$DUET run --rm --as container busybox true" "crun --root $PWD/crun run duet-speed"
  ' "$tests_dir/integration/interleave.py"
}

@test "a container's whole run takes at most half as long as crun's with the same walls" {
  cgroups_for_crun
  at_most 0.5 walls_ratio
}

vm_ratio() {
  local ours=() theirs=()
  for ((i = 0; i < 10; i++)); do
    duet run --vm --name one busybox true 2>/dev/null
    ours+=("$(duet inspect one | jq '.[0].marks | .init - .request')")
    duet rm one
    theirs+=("$(python3 "$tests_dir/integration/plain-qemu.py" "$@")")
  done
  python3 -c 'import statistics, sys
half = len(sys.argv) // 2
ours, theirs = ([int(x) for x in part] for part in (sys.argv[1:half + 1], sys.argv[half + 1:]))
print("ours", statistics.median(ours) / 1e9, "theirs", statistics.median(theirs) / 1e9)
print(statistics.median(ours) / statistics.median(theirs))' "${ours[@]}" "${theirs[@]}"
}

@test "a VM's request to init takes at most 1.3 times a hand-written QEMU's" {
  local facts
  duet run --vm --name facts busybox true 2>/dev/null
  facts=$(duet inspect facts | jq '.[0]')
  duet rm facts
  fact() { jq -r "$1" <<<"$facts"; }
  at_most 1.3 vm_ratio "$(fact .driver.qemu)" "$(($(fact .driver.memory_bytes) / 1048576))" \
    "$(fact .driver.kernel_booted)" "$(fact .driver.initramfs)" "$(fact .driver.kernel_cmdline)" "$(fact .root_disk)"
}

@test "a VM's CPUs run within 0.35 s of the request, and all is gone within 0.3 s of its end" {
  duet bench boot --arms vm -n 10 -o "$scratch/vm.json" busybox -- true >/dev/null 2>&1
  jq -c 'def median: sort | .[length / 2 | floor]; [.samples[] | select(.discarded | not) | .marks_ns]
    | [(map(.running - .request) | median), (map(.released - .exited) | median)]' "$scratch/vm.json" | tee /dev/stderr |
    jq -e '.[0] < 350e6 and .[1] < 300e6'
}

# shellcheck disable=SC2016 # as_debian's shell expands it
native_ratio() {
  as_debian '"$DUET" bench cost -n 30 -o "$scratch/native.json" busybox >/dev/null 2>&1'
  jq -r 'def median: sort | .[length / 2 | floor]; [.samples[] | select(.discarded | not)]
    | (map(.marks_ns.released - .marks_ns.request) | median) as $native | (map(.bare_spawn_ns) | median) as $bare
    | "native \($native) ns, bare \($bare) ns", ($native - $bare) / $bare' "$scratch/native.json"
}

# Each process of a kernel costs much or little by where it runs, ours and the payload alike: a ratio. Beside the
# payload there are two processes of ours, the forked monitor and the executed agent. It is 4.5 on a good day of this
# kind of host, and 5.9 on one when a fork takes 1.5 ms, which a bare spawn does not need; a wait for all CPUs is ten more.
@test "what duet itself costs under native is at most as much as seven bare spawns" {
  needs_root "to spawn bare"
  at_most 7 native_ratio
}

# Within 3 %, or the interval does not rule that out. On a busy host it is wide; one that would not notice a half says
# nothing.
agrees() { awk '{ exit !($3 - $2 <= 0.5 && $2 <= 1.03 && $3 >= 1 / 1.03) }' <<<"$1"; }

@test "duet's stopwatch and hyperfine tell the same of the same command" {
  needs_root "for cgroups"
  agrees '1.0000 0.9500 1.0500'
  run ! agrees '1.0800 1.0400 1.1200'
  run ! agrees '1.0000 0.7000 1.3000'
  local sitting
  for sitting in 1 2 3; do
    run python3 "$tests_dir/integration/crosscheck.py" 8 4 container busybox true
    echo "$output"
    is "$status" 0
    ! agrees "$(tail -1 <<<"$output")" || return 0
  done
  return 1
}
