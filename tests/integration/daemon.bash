# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A libvirt daemon to test with: the host's own where it runs, else one in a mount namespace of its
# own, with empty directories where libvirt keeps things, so that nothing outside is touched.

libvirt_dirs=(/etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /run/libvirt)

# Everything that speaks with the daemon, or is one, runs in here.
in_ns() {
  if [ -n "${libvirt_ns:-}" ]; then nsenter -t "$libvirt_ns" -m --wd="$PWD" -- "$@"; else "$@"; fi
}
virsh_() { in_ns virsh -q -c qemu:///system "$@"; }
duet() { in_ns "$DUET" "$@"; }

# A /dev without a KVM that does not work: libvirt would try it again at every start, for minutes.
hide_kvm() {
  local dev=/run/libvirt/dev entry target
  mkdir "$dev" && mount -t tmpfs -o mode=0755 tmpfs "$dev"
  for entry in /dev/*; do
    target=$dev/${entry##*/}
    if [ -L "$entry" ]; then
      cp -a "$entry" "$target"
    elif [ -d "$entry" ]; then
      mkdir "$target" && mount --rbind "$entry" "$target"
    elif [ "$entry" != /dev/kvm ]; then
      touch "$target" && mount --bind "$entry" "$target"
    fi
  done
  mount --move "$dev" /dev && rmdir "$dev"
}

private_dirs() {
  local dir
  for dir in "${libvirt_dirs[@]}"; do
    mkdir -p "$dir"
    mount -t tmpfs -o mode=0755 tmpfs "$dir"
  done
  printf '%s\n' 'auth_unix_rw = "none"' 'unix_sock_rw_perms = "0770"' >/etc/libvirt/libvirtd.conf
  touch /etc/libvirt/virtlogd.conf
  [ -z "$1" ] || hide_kvm
}

daemon_start() {
  if [ -z "${libvirt_ns:-}" ]; then
    systemctl start libvirtd.socket libvirtd.service && return
    journalctl -b --no-pager -n 40 -u libvirtd.service -u libvirtd.socket
    return 1
  fi
  in_ns test -e /run/libvirt/virtlogd.pid || in_ns virtlogd --daemon -p /run/libvirt/virtlogd.pid 3>&-
  in_ns libvirtd --daemon -p /run/libvirt/libvirtd.pid 3>&-
}

# daemon_stop SIGNAL: the daemon ends; its QEMUs go on.
daemon_stop() {
  if [ -z "${libvirt_ns:-}" ]; then
    systemctl kill --signal="$1" --kill-who=main libvirtd.service
    # Else systemd starts one that was killed again, and its sockets with it.
    systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket 2>/dev/null
    wait_for 10 sh -c '! systemctl is-active -q libvirtd.service'
    return
  fi
  local pid
  pid=$(in_ns cat /run/libvirt/libvirtd.pid)
  kill -"$1" "$pid"
  wait_for 10 sh -c "! kill -0 $pid"
}

daemon_up() {
  local broken=
  libvirt_ns=
  apparmor_before=$(echo /etc/apparmor.d/libvirt/libvirt-*)
  export apparmor_before
  ! virsh -q -c qemu:///system uri >/dev/null 2>&1 || return 0
  "$DUET" check 2>/dev/null | grep -E '^ok +kvm ' >/dev/null || broken=1
  unshare -m sleep infinity 3>&- &
  libvirt_ns=$!
  export libvirt_ns
  wait_for 5 sh -c "[ \$(readlink /proc/$libvirt_ns/ns/mnt) != \$(readlink /proc/self/ns/mnt) ]"
  in_ns bash -c "$(declare -p libvirt_dirs); $(declare -f hide_kvm private_dirs); set -e; private_dirs '$broken'"
  daemon_start
  # The first words cost a probe of each QEMU there is; not part of what is tested here.
  wait_for 10 virsh_ uri
  virsh_ capabilities >/dev/null
}

daemon_down() {
  local file group
  [ -n "${libvirt_ns:-}" ] || return 0
  for file in /run/libvirt/libvirtd.pid /run/libvirt/virtlogd.pid; do
    in_ns test ! -e "$file" || kill "$(in_ns cat "$file")" 2>/dev/null || true
  done
  kill "$libvirt_ns"
  # What libvirt makes for all of its domains, and leaves; and for those that ended without it.
  for group in /sys/fs/cgroup/*/machine /sys/fs/cgroup/machine; do
    find "$group" -depth -type d -path '*/machine/qemu-*-duet-t-*' -exec rmdir {} + 2>/dev/null || true
    rmdir "$group" 2>/dev/null || true
  done
}

# What libvirt still knows of instances by these names, and its files of them.
libvirt_left() {
  local name profile
  for profile in /etc/apparmor.d/libvirt/libvirt-*; do
    [ ! -e "$profile" ] || [[ ${apparmor_before:-} == *$profile* ]] || echo "$profile"
  done
  for name in "$@"; do
    virsh_ list --all --name | grep -x "duet-$name"
    in_ns find /var/log/libvirt /var/lib/libvirt /run/libvirt /etc/libvirt -name "*duet-$name*"
  done
}
