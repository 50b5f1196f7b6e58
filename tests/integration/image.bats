#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images: what other tools write runs in both kinds, what we write they read.

# shellcheck disable=SC2154 # scratch and tests_dir are lib's
load lib

setup_file() {
  root_up
  stock_image busybox
  export MKIMAGE_BASE=$scratch/busybox.tar
  # No configuration of the host's podman may matter.
  export podman_dir=$scratch/podman
  "$tests_dir/mkimage.py" "$scratch/archives" late-marks type-changes links names-pax owners-gnu \
    docker docker-links docker-untagged docker-no-manifest nested nested-other repeat bad-dotdot owned
}
teardown_file() {
  rm -rf "$scratch/podman"
  root_down
}

podman() {
  command podman --root "$podman_dir/root" --runroot "$podman_dir/run" --storage-driver vfs \
    --events-backend none --cgroup-manager cgroupfs "$@"
}

# import NAME: one of mkimage.py's archives, under its own name.
import() { duet image import --name "$1" "$scratch/archives/$1.tar" >/dev/null; }

# both IMAGE SCRIPT: what the script prints in a container; a VM must print the same.
both() {
  local container vm
  container=$(duet run --rm --as container "$1" sh -c "$2")
  vm=$(duet run --rm --as vm "$1" sh -c "$2" 2>"$scratch/vm-stderr") || { cat "$scratch/vm-stderr"; return 1; }
  is "$vm" "$container"
  echo "$container"
}

# Owners, modes and link counts; a directory's count is the file system's own affair.
listing() {
  duet run --rm "$1" sh -c 'find / -xdev ! -type d | sort | xargs stat -c "%n %u %g %a %h %s"'
}

@test "a whiteout never hides its own layer's files, in both kinds" {
  import late-marks
  is "$(both late-marks 'find /a /c | sort; cat /c')" $'/a\n/a/b\n/a/b/foo\n/a/new\n/c\nnew'
}

@test "files and directories take each other's place, in both kinds" {
  import type-changes
  is "$(both type-changes 'cat a b/z e; readlink c; stat -c %F g; head -c 9 etc/passwd')" \
    $'A\nZ\nE\n/tmp\nfifo\nroot:x:0:'
}

@test "hard links across layers are one inode, in both kinds" {
  import links
  is "$(both links 'cat /bin/one /bin/two /lib/real; stat -c %h /bin/one /bin/two /lib/real
    [ /bin/one -ef /bin/two ] && echo same')" $'v1\nv1\nv2\n2\n2\n1\nsame'
}

@test "long names are whole, in both kinds" {
  import names-pax
  is "$(both names-pax 'cat /symlink /hardlink; readlink /symlink | tr -d "\n" | wc -c; ls / | grep -ci pax; true')" \
    $'long\nlong\n522\n0'
}

@test "owners above 2097151 are whole, in both kinds" {
  needs_root "to have so many ids"
  import owners-gnu
  is "$(both owners-gnu 'stat -c "%u %g" /big /mid')" $'3000000000 4294967294\n2097152 2097152'
}

@test "docker-save archives: tags, symlinked layers, no tag, no manifest" {
  is "$(duet image import "$scratch/archives/docker.tar")" $'t:1\nt:2'
  is "$(duet run --rm t:1 cat /hi)" hi
  is "$(duet run --rm t:2 cat /hi)" hi
  import docker-links
  is "$(duet run --rm docker-links cat /hi)" hi
  duet image rm t:1
  duet image rm t:2
  local id
  id=$(duet image import "$scratch/archives/docker-untagged.tar")
  is "$(duet run --rm "$id" cat /hi)" hi
  expect 125 duet image import "$scratch/archives/docker-no-manifest.tar"
  [[ $output == *manifest.json* ]]
}

@test "the host's platform is taken, never an attestation" {
  import nested
  is "$(duet run --rm nested cat /hi)" hi
  expect 125 duet image import "$scratch/archives/nested-other.tar"
  [[ $output == *"wanted 'linux/"*"offered 'linux/"* ]]
}

@test "a hostile archive leaves no trace" {
  local before
  before=$(cd "$DUET_ROOT/images" && find . -type f ! -path './layers/*' -exec sha256sum {} + | sort)
  expect 125 duet image import "$scratch/archives/bad-dotdot.tar"
  is "$(cd "$DUET_ROOT/images" && find . -type f ! -path './layers/*' -exec sha256sum {} + | sort)" "$before"
  [ ! -e "$DUET_ROOT/images/tmp" ]
}

@test "what never ends is no archive, and is refused at once" {
  local before
  before=$(ls "$DUET_ROOT/images/blobs/sha256")
  mkfifo "$scratch/endless"
  refuses() {
    expect 125 timeout $((20 * slow)) "$DUET" image import "$1"
    is "$output" "duet: '$1' is not an image archive: it does not begin as a tar, nor as one that was compressed with gzip, xz or zstd"
    [ ! -e "$DUET_ROOT/images/tmp" ]
  }
  refuses /dev/zero
  refuses /dev/urandom
  yes >"$scratch/endless" 3>&- &
  refuses "$scratch/endless"
  wait
  refuses /dev/stdin < <(gzip -c /dev/zero 3>&-)
  is "$(ls "$DUET_ROOT/images/blobs/sha256")" "$before"
  # A pipe is as good as a file, whatever comes in how small pieces.
  duet image import --name piped /dev/stdin < <(dd if="$MKIMAGE_BASE" bs=100 count=50 status=none; tail -c +5001 "$MKIMAGE_BASE") >/dev/null
  duet image rm piped
}

@test "an import that is killed leaves nothing that the next one keeps" {
  local delay pid code killed=0
  for delay in 0.005 0.01 0.02 0.04 0.08; do
    # Not the function: its shell would be what is killed.
    "$DUET" image import --name killed "$MKIMAGE_BASE" >/dev/null 3>&- &
    pid=$! code=0
    sleep "$delay"
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" || code=$?
    [ $code != 137 ] || killed=$((killed + 1))
  done
  [ $killed -gt 0 ]
  duet image import --name killed "$MKIMAGE_BASE" >/dev/null
  is "$(duet run --rm killed echo whole)" whole
  [ ! -e "$DUET_ROOT/images/tmp" ]
}

@test "two imports at once both succeed" {
  duet image import --name first "$scratch/archives/links.tar" >/dev/null &
  local pid=$!
  duet image import --name second "$scratch/archives/repeat.tar" >/dev/null
  wait "$pid"
  duet image inspect first >/dev/null
  is "$(duet run --rm second cat /hi)" hi
}

@test "skopeo writes into the store and reads from it" {
  needs_root "for skopeo, which gives an archive's files their owners"
  import repeat
  skopeo copy -q "oci-archive:$scratch/archives/links.tar" "oci:$DUET_ROOT/images:by-skopeo:1"
  is "$(duet run --rm by-skopeo:1 cat /lib/real)" v2
  is "$(duet run --rm repeat cat /hi)" hi
  skopeo copy -q "oci:$DUET_ROOT/images:repeat:latest" "docker-archive:$scratch/skopeo.tar:sk:2"
  duet image import "$scratch/skopeo.tar"
  is "$(duet run --rm sk:2 cat /hi)" hi
}

@test "an image with ids that the user lacks is tried again when there are more" {
  needs_root "to lack ids and to have them"
  local other=$scratch/other
  mkdir -p "$other/images"
  tar -xf "$scratch/archives/owned.tar" -C "$other/images"
  expect 125 unshare -r "$DUET" --root "$other" image inspect image
  [[ $output == *"belongs to the user 1000"*"usermod --add-subuids"* ]]
  duet --root "$other" image inspect image >/dev/null
}

@test "umoci unpacks from the store and what it made runs" {
  local rootless=
  [ "$(id -u)" = 0 ] || rootless=--rootless
  import links
  umoci unpack $rootless --image "$DUET_ROOT/images:links:latest" "$scratch/bundle" 2>/dev/null
  is "$(cat "$scratch/bundle/rootfs/bin/one" "$scratch/bundle/rootfs/lib/real")" $'v1\nv2'
  echo more >"$scratch/bundle/rootfs/more"
  umoci repack --image "$DUET_ROOT/images:by-umoci" "$scratch/bundle" 2>/dev/null
  umoci gc --layout "$DUET_ROOT/images" 2>/dev/null
  is "$(both by-umoci 'cat /more; rm /bin/one; cat /bin/two')" $'more\nv1'
  rm -rf "$scratch/bundle"
}

@test "podman loads both exports, and what it saves runs in both kinds" {
  duet image export -o "$scratch/out-oci.tar" busybox
  duet image export --format docker-archive -o "$scratch/out-docker.tar" busybox
  podman load -q -i "$scratch/out-oci.tar"
  podman rmi -a -f >/dev/null
  podman load -q -i "$scratch/out-docker.tar"
  podman save -q --format docker-archive -o "$scratch/podman-docker.tar" busybox:latest
  podman save -q --format oci-archive -o "$scratch/podman-oci.tar" busybox:latest
  podman rmi -a -f >/dev/null
  for format in docker oci; do
    duet image import --name "podman-$format" "$scratch/podman-$format.tar"
    is "$(both "podman-$format" 'cat /etc/os-release | head -n 1')" 'NAME="duet busybox"'
  done
}

@test "export and import again keep owners, links and names" {
  needs_root "to have so many ids"
  for name in owners-gnu links names-pax; do
    import "$name"
    for format in oci-archive docker-archive; do
      rm -f "$scratch/again.tar"
      duet image export --format "$format" -o "$scratch/again.tar" "$name"
      duet image import --name again "$scratch/again.tar" >/dev/null
      is "$(listing again)" "$(listing "$name")"
    done
  done
  expect 125 duet image export -o "$scratch/again.tar" links
  [[ $output == *exists* ]]
  # A pipe, and a file that the shell made.
  duet image export --format docker-archive -o "$scratch/docker.tar" links
  duet image export --format docker-archive links | cmp - "$scratch/docker.tar"
  (cd / && duet image export --format docker-archive -o - links >"$scratch/stdout.tar")
  cmp "$scratch/stdout.tar" "$scratch/docker.tar"
  duet image export --format docker-archive -o /dev/stdout links >"$scratch/stdout.tar"
  cmp "$scratch/stdout.tar" "$scratch/docker.tar"
}

@test "an image in use is not removed, one that is not takes its blobs with it" {
  import type-changes
  duet create --name user type-changes sleep 1 >/dev/null
  expect 125 duet image rm type-changes
  duet rm -f user >/dev/null
  local id
  id=$(duet image inspect type-changes | jq -r '.[0].store.layers[-1].dir')
  [ -d "$id" ]
  duet image rm type-changes
  [ ! -e "$id" ]
}

@test "an instance whose image goes while it is made is not made" {
  local other=$scratch/racing code=0 pid
  duet --root "$other" image import --name gone "$scratch/archives/repeat.tar"
  # It waits for the store to make the VM's root disk, when it has found the image.
  exec 7>"$other/images/lock"
  flock 7
  "$DUET" --root "$other" create --as vm gone true 7>&- >"$scratch/racing.out" 2>&1 &
  pid=$!
  wait_for 10 grep -q -- "-> FLOCK.* $pid " /proc/locks
  echo '{"schemaVersion": 2, "manifests": []}' >"$other/images/index.json"
  exec 7>&-
  wait "$pid" || code=$?
  is "$code $(ls "$other/instances")" "125 "
  grep "there is no image" "$scratch/racing.out"
}
