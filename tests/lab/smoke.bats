#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Inside the laboratory: what a host with KVM, cgroup v2, systemd and AppArmor changes. tests/run
# has it run there as the suite `lab`.

load ../integration/lib

setup_file() {
  root_up
  stock_image busybox
  duet run -d --name box -m 64m --cpus 0.5 --pids-limit 50 busybox sleep 3000
}
# Every test looks at one container and one VM that keep running. The VM is the first test's to start: if the
# emulator loses it, bats can try that again, which it can't with setup_file.
setup() {
  duet inspect vm >/dev/null 2>&1 || duet run -d --vm --name vm -m 96m --cpus 1 busybox sleep 3000
}
teardown_file() {
  local ids
  ids=$(duet inspect vm box 2>/dev/null | jq -r '.[].id')
  root_down
  # shellcheck disable=SC2086
  is "$(left_behind $ids)" ""
}

id_of() { duet inspect "$1" | jq -r '.[0].id'; }
pid_of() { duet inspect "$1" | jq '.[0].pid'; }
# The directory of a part (monitor, payload) of an instance's cgroup.
cgroup_of() { find /sys/fs/cgroup -type d -path "*$(id_of "$1")*/$2"; }
limit() { cat "$(dirname "$(cgroup_of "$1" payload)")/$2" "$(cgroup_of "$1" payload)/$2" 2>/dev/null | grep -v '^max' | head -n 1; }

# How many VMs AppArmor has a profile for; Debian 13's has a child for passt.
confined() { grep -c '^libvirt-[^/]* (' /sys/kernel/security/apparmor/profiles; }

@test "this is the host that it claims to be" {
  is "$(stat -f -c %T /sys/fs/cgroup)" cgroup2fs
  is "$(cat /proc/1/comm)" systemd
  grep -q svm /proc/cpuinfo
  [ -c /dev/kvm ]
  aa-enabled
}

@test "check finds nothing missing" {
  run duet check
  echo "$output"
  is "$status" 0
  grep -q '^ok  *kvm ' <<<"$output"
  grep -q '^ok  *cgroup  *v2 ' <<<"$output"
  is "$(grep '^no ' <<<"$output")" ""
}

@test "a VM runs under KVM with the host's CPU and its clock" {
  is "$(duet inspect vm | jq -r '.[0].driver | .accel, .cpu_model' | xargs)" "kvm host-passthrough"
  is "$(duet exec vm cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" kvm-clock
  is "$(duet exec vm sed -n '/^model name/{p;q}' /proc/cpuinfo)" "$(sed -n '/^model name/{p;q}' /proc/cpuinfo)"
  run --separate-stderr duet run --rm --vm --accel kvm busybox echo hello
  is "$output" hello
  is "$stderr" ""
}

@test "QEMU stays in its instance's cgroup beside systemd and machined" {
  systemctl start systemd-machined
  grep -q "$(id_of vm).*/payload$" "/proc/$(pid_of vm)/cgroup"
  is "$(machinectl list --no-legend)" ""
  ls -l "/proc/$(pid_of vm)/fd" | grep -q 'anon_inode:kvm-vcpu'
}

@test "limits are in force" {
  is "$(limit box memory.max)" $((64 << 20))
  is "$(limit box memory.swap.max)" 0
  is "$(limit box cpu.max)" "50000 100000"
  [ "$(limit vm memory.max)" -gt $((96 << 20)) ]
  is "$(limit vm cpu.max)" "100000 100000"
  expect 137 duet run --rm -m 32m busybox dd if=/dev/zero of=/dev/null bs=100M count=1
  expect 0 duet run --rm -m 32m busybox dd if=/dev/zero of=/dev/null bs=1M count=1
  # 50 processes at once are one too many beside the shell.
  run duet exec box sh -c 'for i in $(seq 60); do sleep 20 & done'
  [[ $output == *"can't fork"* ]]
}

@test "AppArmor confines QEMU, and forgets the VM at its end" {
  duet run -d --vm --name confined busybox sleep 300
  [[ $(cat "/proc/$(pid_of confined)/attr/current") == "libvirt-"*"(enforce)" ]]
  local id profiles=/etc/apparmor.d/libvirt
  id=$(id_of confined)
  is "$(grep -l "/run/duet/$id/" $profiles/*.files | wc -l)" 1
  is "$(journalctl -k --no-pager | grep -c "apparmor=\"DENIED\".*/run/duet/$id")" 0
  duet rm -f confined
  run grep -l "/run/duet/$id/" $profiles/*.files
  is "$output" ""
  is "$(find $profiles -name 'libvirt-*' | wc -l)" 2 # of the VM that all tests share
  is "$(confined)" 1
}

@test "what a killed monitor leaves goes with the next start" {
  duet run -d --vm --name doomed busybox sleep 300
  local id
  id=$(id_of doomed)
  kill -KILL "$(duet inspect doomed | jq '.[0].monitor_pid')"
  wait_for 20 has_state doomed exited
  duet start doomed
  is "$(state_of doomed)" running
  duet rm -f doomed
  is "$(find /sys/fs/cgroup /run/duet -name "*$id*")" ""
  is "$(confined)" 1
}

@test "folders of the host are in both kinds" {
  mkdir -p "$scratch/folder"
  echo content >"$scratch/folder/file"
  is "$(duet run --rm -v "$scratch/folder:/data:ro" busybox cat /data/file)" content
  is "$(duet run --rm --vm -v "$scratch/folder:/data:ro" busybox cat /data/file)" content
}
