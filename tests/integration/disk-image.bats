#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Disk images in the store: what comes in and out, what is refused, and that nothing is left of a failure.

# shellcheck disable=SC2154 # scratch is lib's
load lib

setup_file() {
  root_up
  # A boot sector with a partition from 1 MiB to its end, and what can't be packed.
  head -c 24M /dev/urandom >"$scratch/a.raw"
  head -c 1M /dev/zero | dd of="$scratch/a.raw" conv=notrunc status=none
  printf '\x83\x00\x00\x00\x00\x08\x00\x00\x00\xb8\x00\x00' | dd of="$scratch/a.raw" bs=1 seek=450 conv=notrunc status=none
  printf '\x55\xaa' | dd of="$scratch/a.raw" bs=1 seek=510 conv=notrunc status=none
  qemu-img convert -f raw -O qcow2 "$scratch/a.raw" "$scratch/a.qcow2"
  duet image import --name deb "$scratch/a.qcow2"
}
teardown_file() { root_down; }

# files: all that the store has.
files() { find "$DUET_ROOT/images" -type f -printf '%P %s %n\n' | sort; }
# refused TEXT COMMAND...: with one line that has TEXT; the store is as it was.
refused() {
  local text=$1 before after
  shift
  before=$(files)
  expect 125 "$@"
  [[ $output == *"$text"* ]]
  [[ $output != *$'\n'* ]]
  after=$(files)
  is "$after" "$before"
}
# layout DIRECTORY FILE: an OCI layout of a disk image with FILE as its disk.
layout() {
  local blobs=$1/blobs/sha256 disk config manifest
  mkdir -p "$blobs"
  blob() { sha256sum "$1" | cut -d' ' -f1; }
  put() { cp "$1" "$blobs/$(blob "$1")"; }
  disk=$(blob "$2")
  put "$2"
  printf '{"architecture":"amd64"}' >"$1/c"
  config=$(blob "$1/c")
  put "$1/c"
  jq -nc --arg c "sha256:$config" --arg d "sha256:$disk" --argjson n "$(stat -c %s "$2")" '{schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json", artifactType: "application/vnd.duet.disk.config.v1+json",
    config: {mediaType: "application/vnd.duet.disk.config.v1+json", digest: $c, size: 24},
    layers: [{mediaType: "application/vnd.duet.disk.qcow2", digest: $d, size: $n}]}' >"$1/m"
  manifest=$(blob "$1/m")
  put "$1/m"
  jq -nc --arg m "sha256:$manifest" --argjson n "$(stat -c %s "$1/m")" '{schemaVersion: 2, manifests: [{
    mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $m, size: $n,
    annotations: {"org.opencontainers.image.ref.name": "foreign"}}]}' >"$1/index.json"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
}

@test "ls and inspect tell a disk from files" {
  [[ $(duet image ls) == *"deb:latest "*" disk "* ]]
  is "$(duet image ls --format json | jq -r '.[0].type')" disk
  is "$(duet image inspect deb | jq -r '.[0].store | .virtual_size_bytes, .firmware')" $'25165824\nnull'
  is "$(duet image inspect deb | jq -r '.[0].config.format')" qcow2
  qemu-img compare -q -f qcow2 -F raw "$(duet image inspect deb | jq -r '.[0].store.disk')" "$scratch/a.raw"
}

@test "what goes out is what came in, as qcow2, raw and OCI archive" {
  duet image export --format raw -o "$scratch/out.raw" deb
  cmp "$scratch/out.raw" "$scratch/a.raw"
  duet image export --format qcow2 deb >"$scratch/out.qcow2"
  qemu-img compare -q -f qcow2 -F raw "$scratch/out.qcow2" "$scratch/a.raw"
  duet image export -o "$scratch/out.tar" deb
  duet --root "$scratch/other" image import "$scratch/out.tar"
  is "$(duet --root "$scratch/other" image ls -q)" "$(duet image ls -q)"
  refused "export it as qcow2" duet image export --format docker-archive -o "$scratch/no" deb
  refused "only to a file" bash -c "'$DUET' image export --format raw deb | cat; exit \${PIPESTATUS[0]}"
  refused "exists already" duet image export --format raw -o "$scratch/out.raw" deb
  [ ! -e "$scratch/no" ]
}

@test "skopeo copies it, and the copy is imported" {
  skopeo copy -q "oci:$DUET_ROOT/images:deb:latest" "oci:$scratch/skopeo:copied"
  duet image import "$scratch/skopeo"
  is "$(duet image inspect copied | jq -r '.[0].digest')" "$(duet image inspect deb | jq -r '.[0].digest')"
  duet image rm copied
}

@test "a disk is no container, and is compared with none" {
  refused "'deb' is a disk: it runs as a VM only; give --vm" duet run --rm deb
  refused "it runs as a VM only" duet create --as container deb sh
  refused "nothing to compare it with" duet compare deb
  refused "nothing to compare it with" duet bench boot -n 10 deb
  refused "nothing to compare it with" duet bench claims deb
}

@test "a layout's disk that names a file of the host is refused, and what another tool wrote too" {
  qemu-img create -q -f qcow2 -F raw -b /etc/shadow "$scratch/evil.qcow2" 8M
  layout "$scratch/evil" "$scratch/evil.qcow2"
  refused "it has a backing file" duet image import "$scratch/evil"
  # Past the import: it is in the index, but can't be used.
  skopeo copy -q "oci:$scratch/evil:foreign" "oci:$DUET_ROOT/images:foreign"
  expect 125 duet run --vm foreign
  [[ $output == *"it has a backing file"* ]]
  [ "$(find "$DUET_ROOT/images/vmroot" -type f | wc -l)" = 1 ]
  duet image rm foreign
  # The same way, but a good one.
  layout "$scratch/good" "$scratch/a.qcow2"
  duet image import "$scratch/good"
  duet image rm foreign
}

@test "what is derived may be deleted" {
  rm -r "$DUET_ROOT/images/vmroot" "$DUET_ROOT/images/records"
  is "$(duet image ls --format json | jq -r '.[0].type')" disk
  [ -s "$(duet image inspect deb | jq -r '.[0].store.disk')" ]
}

@test "without qemu-img the package is named" {
  refused "install the package qemu-utils" env PATH=/nowhere "$DUET" image import "$scratch/a.qcow2"
}

@test "a disk that is full leaves nothing" {
  needs_root "to mount a small file system"
  mkdir "$scratch/small"
  mount -t tmpfs -o size=12m tmpfs "$scratch/small"
  expect 125 duet --root "$scratch/small" image import "$scratch/a.raw"
  is "$(find "$scratch/small/images" -type f ! -name lock)" ''
  [[ $output == *"No space left on device"* ]]
  [[ $output != *$'\n'* ]]
  expect 125 duet image export -o "$scratch/small/out" deb
  is "$output" "duet: cannot write '$scratch/small/out': No space left on device"
  expect 125 duet image export --format qcow2 -o "$scratch/small/out" deb
  is "$output" "duet: cannot write '$scratch/small/out': No space left on device"
  [ ! -e "$scratch/small/out" ]
  umount "$scratch/small"
}

@test "a kill at any moment of an import leaves nothing" {
  local before moment pid
  before=$(files)
  for moment in 0.02 0.08 0.2; do
    duet image import --name killed "$scratch/a.raw" 3>&- &
    pid=$!
    sleep "$moment"
    kill -9 $pid 2>/dev/null || true
    wait $pid || true
    # In time it was done, or by the next writer all is gone.
    duet image rm killed 2>/dev/null || duet image rm none 2>/dev/null || true
    is "$(files)" "$before"
    wait_for 10 no_converter
  done
}
no_converter() { ! pgrep -x qemu-img >/dev/null; }

# bats test_tags=full
@test "a qemu-img that hangs is killed" {
  mkdir "$scratch/bin"
  printf '#!/bin/sh\nexec sleep 1000\n' >"$scratch/bin/qemu-img"
  chmod +x "$scratch/bin/qemu-img"
  refused "did nothing for 20 s" env PATH="$scratch/bin:$PATH" "$DUET" image import "$scratch/a.qcow2"
}

@test "rm removes the disk and its second name" {
  duet image rm deb
  is "$(find "$DUET_ROOT/images/blobs" "$DUET_ROOT/images/vmroot" -type f)" ''
}
