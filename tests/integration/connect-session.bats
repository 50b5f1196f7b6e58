#!/usr/bin/env bats
# shellcheck disable=SC2154 # source_dir is lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# An ordinary user's VMs in that user's own libvirt daemon. Run by root, which makes a user for it.

load lib

# The user may not be able to reach the source tree: what it runs is copied.
setup_file() {
  [ "$(id -u)" = 0 ] || skip "only root can make a user to test with"
  place=$(mktemp -d /tmp/duet-user.XXXXXX)
  export place user=duet-session-$$ home=$place/home run=$place/run
  mkdir "$place/cli"
  cp "$source_dir"/build/cli/duet "$source_dir"/build/*/*.so "$place/cli"
  "$source_dir/images/recipes/busybox" "$place/busybox.tar" >/dev/null
  chmod -R a+rX "$place"
  useradd -m -d "$home" -s /bin/sh "$user"
  # As a host's own users are, where there is KVM.
  ! getent group kvm >/dev/null || usermod -aG kvm "$user"
  install -d -o "$user" -m 0700 "$run"
  duet image import --name busybox "$place/busybox.tar" >/dev/null
}
teardown_file() {
  [ -n "${place:-}" ] || return 0
  local left pid
  left=$(find "$home/.local/share/duet/instances" "$run/duet" -mindepth 1 -maxdepth 1 -type d)
  left+=$(pgrep -u "$user" qemu || true)
  for pid in $(pgrep -u "$user"); do kill "$pid"; done
  wait_for 10 sh -c "! pgrep -u $user"
  userdel -r "$user" 2>/dev/null || true
  rm -rf --one-file-system "$place"
  is "$left" ""
}

as() { runuser -u "$user" -- env -u DUET_ROOT "HOME=$home" "XDG_RUNTIME_DIR=$run" "DUET_MODULE_DIR=$place/cli" "$@"; }
duet() { as "$place/cli/duet" "$@"; }
session() { as virsh -q -c qemu:///session "$@"; }

@test "a user's daemon is the user's to start" {
  expect 125 duet run --rm --vm --connect qemu:///session busybox true
  [[ $output == *"start it: virsh -c qemu:///session uri"* ]]
  [ -z "$(pgrep -u "$user" libvirtd)" ]
}

@test "a VM lives in the user's daemon, and ends in it" {
  local pid
  session uri
  is "$(duet run --rm --vm --connect qemu:///session busybox echo hi)" hi
  duet run -d --vm --connect qemu:///session --name box busybox sleep 300
  mkdir -p "$place/folder"
  echo mine >"$place/folder/file"
  is "$(duet run --rm --vm --connect qemu:///session -v "$place/folder:/f:ro" busybox cat /f/file)" mine
  is "$(session domstate duet-box)" running
  is "$(duet exec box echo lives)" lives
  expect 125 duet update --cpus 0.5 box
  [[ $output == *"has no cgroups"* ]]
  duet update --cpus 1 -m 128m box
  [ "$(duet exec box awk '/^MemTotal/ { print $2 }' /proc/meminfo)" -lt 131072 ]
  session suspend duet-box
  wait_for 5 has_state box paused
  session resume duet-box
  wait_for 5 has_state box running
  session reboot duet-box
  wait_for $((30 * slow)) runs_again box
  pid=$(field box pid)
  is "$(stat -c %U "/proc/$pid")" "$user"
  # No cgroup is this VM's alone: what is not known is not made up.
  is "$(field box payload_cgroup)" null
  [[ $(field box driver.usage_note) == *"not known"* ]]
  kill -KILL "$(field box monitor_pid)"
  duet ps >/dev/null
  run ! kill -0 "$pid"
  is "$(session list --all --name | tr -d '\n')" ""
  duet start box
  duet stop -t 1 box
  is "$(session list --all --name | tr -d '\n')" ""
  is "$(find "$home" "$run" -name '*duet-box*')" ""
  duet rm box
}

# bats test_tags=full
@test "a VM of the user's daemon is saved, and goes on" {
  session uri
  duet run -d --vm --connect qemu:///session --name box busybox sleep 300
  duet exec box sh -c 'echo remembered >/dev/shm/memory'
  duet save box
  is "$(state_of box) $(session list --all --name | tr -d '\n')" "saved "
  duet restore box
  is "$(duet exec box cat /dev/shm/memory)" remembered
  duet rm -f box
  is "$(session list --all --name | tr -d '\n')" ""
}

# bats test_tags=full
@test "a disk is a VM of the user's daemon" {
  "$tests_dir/disk-guest/tiny" "$place/tiny"
  chmod a+r "$place/tiny"
  session uri
  duet image import --disk-format raw --name tiny "$place/tiny"
  duet run -d --vm --connect qemu:///session --graphics unix --wait 'console:boot [0-9]' --name disk tiny
  is "$(session domstate duet-disk)" running
  types disk hello
  duet stop disk
  is "$(field disk exit_code)" 0
  is "$(session list --all --name | tr -d '\n')" ""
  duet rm disk
}

@test "what a user's daemon can't keep is refused" {
  expect 125 duet run --rm --vm --connect qemu:///session --cpus 0.5 busybox true
  [[ $output == *"no cgroups"* ]]
}

@test "the system's daemon of a user without the group libvirt is one clear error" {
  load daemon
  daemon_up
  status=0
  output=$(in_ns runuser -u "$user" -- env -u DUET_ROOT "HOME=$home" "XDG_RUNTIME_DIR=$run" \
    "DUET_MODULE_DIR=$place/cli" "$place/cli/duet" run --rm --vm --connect qemu:///system busybox true 2>&1) || status=$?
  daemon_down
  is "$status" 125
  [[ $output == *"cannot connect to 'qemu:///system'"*"group libvirt"* ]]
}
