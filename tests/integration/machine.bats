#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck disable=SC2016 # scripts for shells inside
# The hardware of a VM: what was asked for is what the guest sees, and what can't be had is refused.

load lib
KIND=vm

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }
teardown() { duet rm -f --all >/dev/null; }

# refused WORD OPTION...: `create` says WORD, in one line, and makes nothing.
refused() {
  local word=$1
  shift
  expect 125 duet create --vm "$@" busybox true
  [[ $output == *"$word"* ]] || { echo "not '$word': $output"; return 1; }
  is "$(wc -l <<<"$output")" 1
  none_listed
}

# qcow2 FILE: an empty image of 1 MiB, in version 2 of the format.
qcow2() {
  python3 - "$1" <<'PYTHON'
import struct, sys
cluster = 65536
header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 1 << 20, 0, 1, 3 * cluster, cluster, 1, 0, 0)
table = struct.pack(">Q", 2 * cluster)
counts = struct.pack(">4H", 1, 1, 1, 1)
with open(sys.argv[1], "wb") as image:
    for part in (header, table, counts, b""):
        image.write(part.ljust(cluster, b"\0"))
PYTHON
}

# bats test_tags=host
@test "machine type, CPU model, topology and virtio-rng are the guest's" {
  run run_as --machine pc --cpu-model Nehalem --vcpus 2,sockets=1,cores=2,threads=1 --cpus 1 --rng busybox sh -c '
    cat /sys/class/dmi/id/product_name
    grep -m 1 "model name" /proc/cpuinfo
    nproc
    cat /sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id | sort -u | wc -l
    cat /sys/devices/system/cpu/cpu[0-9]*/topology/core_id | sort -u | wc -l
    cat /sys/class/misc/hw_random/rng_available
    head -c 8 /dev/hwrng | wc -c'
  is "$status" 0
  [[ ${lines[0]} == *i440FX* ]]
  [[ ${lines[1]} == *Nehalem* ]]
  is "${lines[*]:2:3}" "2 1 2"
  [[ ${lines[5]} == *virtio_rng* ]]
  is "${lines[6]}" 8
}

@test "by default there is none of it" {
  run run_as busybox sh -c 'cat /sys/class/dmi/id/product_name; nproc; ls /sys/block; cat /sys/class/misc/hw_random/rng_available'
  [[ ${lines[0]} == *Q35* ]]
  is "${lines[1]}" 1
  [[ $output != *vdc* ]]
  [[ $output != *virtio_rng* ]]
}

# bats test_tags=host
@test "disks: content, format, read-only, and the file stays its owner's" {
  local disk=$scratch/with,comma
  truncate -s 1M "$disk"
  printf 'from the host' | dd of="$disk" conv=notrunc status=none
  chmod 600 "$disk"
  qcow2 "$scratch/image.qcow2"
  local before
  before=$(stat -c '%u %g %a' "$disk")
  run run_as --disk "${disk/,/,,}" --disk "$scratch/image.qcow2,format=qcow2,readonly=on" busybox sh -c '
    head -c 13 /dev/vdc; echo
    cat /sys/block/vdc/size /sys/block/vdc/ro /sys/block/vdd/size /sys/block/vdd/ro
    printf "from the guest" | dd of=/dev/vdc conv=notrunc,fsync 2>/dev/null
    echo x 2>/dev/null >/dev/vdd || echo kept'
  is "$status" 0
  is "${lines[*]}" "from the host 2048 0 2048 1 kept"
  is "$(head -c 14 "$disk")" "from the guest"
  is "$(stat -c '%u %g %a' "$disk")" "$before"
}

@test "C43 an odd size keeps its tail, raw bytes are not obeyed, and a folder of root's alone is no obstacle" {
  mkdir -m 0700 "$scratch/nobodys"
  local odd=$scratch/nobodys/odd raw=$scratch/nobodys/raw
  head -c 1000001 /dev/zero | tr '\0' x >"$odd"
  qcow2 "$raw"
  # the header names a file of the host
  printf '\0\0\0\0\0\1\0\0\0\0\0\13/etc/shadow' | dd of="$raw" bs=1 seek=8 conv=notrunc status=none
  run run_as --disk "$odd" --disk "$raw,format=raw" busybox sh -c '
    cat /sys/block/vdc/size; tail -c 448 /dev/vdc | tr -d "\0"; echo; head -c 4 /dev/vdd | od -An -tx1'
  is "$status" 0
  is "${lines[*]}" "1954 x  51 46 49 fb"
  is "$(stat -c %s "$odd")" 1000001
}

@test "C43 what can be no disk is refused, one error each" {
  refused "No such file" --disk "$scratch/nosuch"
  refused directory --disk "$scratch"
  refused "no file" --disk /dev/null
  : >"$scratch/empty"
  refused empty --disk "$scratch/empty"
  qcow2 "$scratch/plain.qcow2"
  refused "format=qcow2" --disk "$scratch/plain.qcow2"
  head -c 4096 /dev/zero >"$scratch/zeros"
  refused "no qcow2" --disk "$scratch/zeros,format=qcow2"
  # The offset of the name of its backing file.
  cp "$scratch/plain.qcow2" "$scratch/backed.qcow2"
  printf '\1' | dd of="$scratch/backed.qcow2" bs=1 seek=14 conv=notrunc status=none
  refused "backing file" --disk "$scratch/backed.qcow2,format=qcow2"
  refused twice --disk "$scratch/zeros" --disk "$scratch/zeros,readonly=on"
  refused virtio --disk "$scratch/zeros,bus=scsi"
  refused "io=native" --disk "$scratch/zeros,io=native"
  refused "use PATH" --disk "$scratch/zeros,size=5"
}

@test "C43 an overlay has the base that it is given, and no other" {
  local base=$scratch/dir/base,raw typed=$scratch/dir/base,,raw over=$scratch/over.qcow2 sum
  local at="backing_store=$typed"
  mkdir -m 0700 "$scratch/dir"
  { echo of the base; head -c 1000000 /dev/zero; } >"$base"
  sum=$(sha256sum <"$base")
  qemu-img create -q -f qcow2 -b "$base" -F raw "$over"
  refused "the backing file '$base'" --disk "$over,format=qcow2"
  # As if it came from somebody else.
  qemu-img rebase -u -f qcow2 -b /etc/shadow -F raw "$over"
  run run_as --name over --disk "$over,format=qcow2,$at" busybox sh -c 'head -n 1 /dev/vdc; echo of the overlay >/dev/vdc; sync'
  is "$output" "of the base"
  is "$(sha256sum <"$base")" "$sum"
  duet run -d --vm --name over --disk "$over,format=qcow2,$at" busybox sleep 300 >/dev/null 2>&1
  is "$(duet exec over head -n 1 /dev/vdc)" "of the overlay"
  is "$(duet inspect over | jq -r '.[0].disks[0] | .backing_file, .backing_format' | xargs)" "$base raw"
  # It is another's to read, and nobody's to write.
  expect 125 duet run --rm --vm --disk "$typed" busybox true
  [[ $output == *"another VM has it"* ]] || { echo "$output"; return 1; }
  duet disk detach over vdc >/dev/null
  duet disk attach over "$over,format=qcow2,$at" >/dev/null
  is "$(duet exec over head -n 1 /dev/vdc)" "of the overlay"
  duet rm -f over >/dev/null
  refused twice --disk "$typed" --disk "$over,format=qcow2,$at"
  rm "$base"
  refused "'$base' as a disk: No such file" --disk "$over,format=qcow2,$at"
}

@test "C43 a disk that another VM has is refused, and free again when that one is killed" {
  truncate -s 1M "$scratch/taken"
  local before monitor
  before=$(stat -c '%u %g %a' "$scratch/taken")
  duet run -d --vm --name first --disk "$scratch/taken" busybox sleep 300 >/dev/null
  local way
  for way in "" ,readonly=on; do
    expect 125 duet run --rm --vm --disk "$scratch/taken$way" busybox true
    [[ $output == *"another VM has it"* ]] || { echo "$output"; return 1; }
  done
  monitor=$(duet inspect first | jq '.[0].monitor_pid')
  kill -9 "$monitor"
  gone() { ! grep -qF "$scratch/taken" /proc/[0-9]*/mountinfo 2>/dev/null; }
  for _ in {1..50}; do gone && break || sleep 0.2; done
  gone
  is "$(stat -c '%u %g %a' "$scratch/taken")" "$before"
  run run_as --disk "$scratch/taken" busybox cat /sys/block/vdc/size
  is "$output" 2048
}

@test "a guest that puts a link in its disk's place gets no other file of the host" {
  mkdir "$scratch/shared"
  truncate -s 1M "$scratch/shared/disk" "$scratch/secret"
  ln -s shared/disk "$scratch/link"
  duet create --vm --name swap -v "$scratch/shared:/shared" --disk "$scratch/link" busybox sh -c 'ln -sf ../secret /shared/disk'
  expect 0 duet start -a swap
  expect 125 duet start -a swap
  [[ $output == *"symbolic link"* ]]
}

@test "machines, CPU models and vCPUs that are not here are refused before anything is made" {
  refused "there are: microvm, pc" --machine nosuch
  refused "needs KVM" --machine microvm --accel tcg
  refused "q35 or pc" --machine isapc
  refused "knows no 'Z80'" --cpu-model Z80
  refused "needs KVM" --cpu-model host --accel tcg
  refused "sockets times cores" --vcpus 4,sockets=3
  refused "from 1 to 255" --vcpus 0
  refused "from 1 to 255" --vcpus 256
}

# bats test_tags=host
@test "a microvm under KVM has what others have, but for what comes and goes; without KVM it is refused" {
  if ! duet check 2>/dev/null | grep -E '^ok +kvm ' >/dev/null; then
    refused "needs KVM" --machine microvm
    return
  fi
  refused "can't get more vCPUs" --machine microvm --vcpus 1,maxvcpus=2
  refused "room for 4" --machine microvm --rng -v /tmp:/a -v /tmp:/b -v /tmp:/c -v /tmp:/d
  mkdir "$scratch/folder"
  echo shared >"$scratch/folder/file"
  truncate -s 3M "$scratch/disk" "$scratch/late"
  duet run -d --vm --name micro --machine microvm --rng -v "$scratch/folder:/folder:ro" --disk "$scratch/disk" busybox \
    sh -c 'echo began; while [ ! -e /over ]; do sleep 0.1; done; exit 7' 2>/dev/null
  is "$(field micro driver.machine)" microvm
  is "$(duet exec micro cat /folder/file /sys/block/vdc/size)" $'shared\n6144'
  is "$(duet exec micro sh -c 'ls /sys/bus/pci/devices 2>/dev/null; head -c 4 /dev/hwrng | wc -c')" 4
  expect 125 duet disk attach micro "$scratch/late"
  [[ $output == *"stop it first"* ]] || { echo "$output"; return 1; }
  duet pause micro
  duet unpause micro
  duet exec micro touch /over
  is "$(duet wait micro) $(duet logs micro)" "7 began"
  expect 0 duet run --rm --vm --machine microvm busybox poweroff -f
}

@test "for containers all of it is refused" {
  local words
  for words in "--machine q35" "--cpu-model max" "--vcpus 1" "--disk /nosuch" --rng "--xml-patch /nosuch"; do
    # shellcheck disable=SC2086
    expect 125 duet run --rm $words busybox true
    [[ $output == *"is for VMs only"* ]]
  done
  none_listed
}

@test "a patch of the domain is merged, and later starts have it too" {
  cat >"$scratch/patch.xml" <<'XML'
<domain>
  <description>one of a test</description>
  <devices><watchdog model="i6300esb" action="none"/></devices>
</domain>
XML
  duet create --vm --name patched --xml-patch "$scratch/patch.xml" busybox sh -c 'cat /sys/bus/pci/devices/*/device'
  rm "$scratch/patch.xml"
  run duet start -a patched
  is "$status" 0
  [[ $output == *0x25ab* ]]
  duet inspect patched | jq -er '.[0].driver.domain_xml | contains("<description>one of a test") and contains("i6300esb")'
}

@test "broken and hostile patches are refused" {
  local patch=$scratch/broken.xml
  refused_patch() {
    printf '%s' "$2" >"$patch"
    refused "$1" --xml-patch "$patch"
  }
  refused nosuch --xml-patch "$scratch/nosuch.xml"
  refused_patch "well-formed" '<domain>'
  refused_patch "must be <domain>" '<network/>'
  refused_patch DOCTYPE '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><domain><title>&x;</title></domain>'
  refused_patch "<name>" '<domain><name>mine</name></domain>'
  refused_patch "'type'" '<domain type="kvm"/>'
  refused_patch "without a namespace" '<domain xmlns="other"><devices/></domain>'
  refused_patch "<source> in <channel>" '<domain><devices><channel type="unix"><source mode="bind" path="/nosuch"/></channel></devices></domain>'
  refused_patch "-v" '<domain><devices><filesystem/></devices></domain>'
  { echo '<domain>'; head -c 70000 /dev/zero | tr '\0' ' '; echo '</domain>'; } >"$patch"
  refused "--xml-patch" --xml-patch "$patch"
  printf '<domain>\0</domain>' >"$patch"
  refused "no text" --xml-patch "$patch"
}

@test "what a patch names QEMU opens, without privileges" {
  echo "not for all" >"$scratch/private"
  truncate -s 1M "$scratch/private"
  chmod 600 "$scratch/private"
  [ "$(id -u)" = 0 ] || skip "without root QEMU is the caller"
  cat >"$scratch/private.xml" <<XML
<domain><devices><disk type="file" device="disk"><driver name="qemu" type="raw"/><source file="$scratch/private"/><target dev="vdz" bus="virtio"/></disk></devices></domain>
XML
  expect 125 duet run --rm --vm --xml-patch "$scratch/private.xml" busybox true
  [[ $output == *"Permission denied"* ]]
  is "$(stat -c '%u %a' "$scratch/private")" "0 600"
  none_listed
}

@test "what libvirt has no device of is refused by its own words" {
  printf '<domain><devices><nonsense/></devices></domain>' >"$scratch/unknown.xml"
  expect 125 duet run --rm --vm --xml-patch "$scratch/unknown.xml" busybox true
  [[ $output == *libvirt* ]]
  none_listed
}
