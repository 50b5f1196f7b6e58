# shellcheck shell=bash disable=SC2034,SC2154 # $far is for who loads this, $scratch is lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# An SSH server on the loopback device, beside the daemon of daemon.bash, with keys and a home of its own: neither the
# host's nor the caller's are looked at. Dropbear's, for OpenSSH's package starts one of the host's own.

sshd_port() { cat "$scratch/ssh/port"; }

sshd_keys() {
  local dir=$scratch/ssh key
  mkdir -m 0700 "$dir"
  for key in host key other; do ssh-keygen -q -t ed25519 -N '' -f "$dir/$key"; done
  printf '#!/bin/sh\nexec ssh -F /dev/null -o UserKnownHostsFile=%s -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes "$@"\n' \
    "$dir/known" >"$dir/ssh"
  chmod +x "$dir/ssh"
  /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' >"$dir/port"
  echo "[127.0.0.1]:$(sshd_port) $(cut -d ' ' -f 1,2 "$dir/host.pub")" >"$dir/known"
  dropbearconvert openssh dropbear "$dir/host" "$dir/host.dropbear" 2>/dev/null
}

# sshd_up [COMMAND...]: it is executed by that command, in mounts of its own. $far is the daemon's URI by way of it.
sshd_up() {
  sshd_down
  [ -d "$scratch/ssh" ] || sshd_keys
  # shellcheck disable=SC2016 # for the shell in there
  in_ns unshare -m "$@" sh -c 'mount -t tmpfs -o mode=700 tmpfs /root && mkdir -m 700 /root/.ssh &&
    cp "$1/key.pub" /root/.ssh/authorized_keys && exec dropbear -E -s -r "$1/host.dropbear" -p "127.0.0.1:$2" -P "$1/pid"' \
    sh "$scratch/ssh" "$(sshd_port)" >"$scratch/ssh/log" 2>&1 3>&-
  wait_for 5 [ -s "$scratch/ssh/pid" ]
  far="qemu+ssh://root@127.0.0.1:$(sshd_port)/system?command=$scratch/ssh/ssh&keyfile=$scratch/ssh/key"
}

sshd_down() {
  local pid
  [ -s "${scratch:-/nonexistent}/ssh/pid" ] || return 0
  pid=$(cat "$scratch/ssh/pid")
  kill "$pid" 2>/dev/null || true
  wait_for 5 sh -c "! kill -0 $pid"
  rm -f "$scratch/ssh/pid"
}
