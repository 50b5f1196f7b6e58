# shellcheck shell=bash disable=SC2154 # scratch is lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# An sshd on the loopback device, beside the daemon of daemon.bash, with keys and a configuration of its own: neither
# the host's nor the caller's are looked at.

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
  printf '%s\n' "Port $(sshd_port)" 'ListenAddress 127.0.0.1' "HostKey $dir/host" "AuthorizedKeysFile $dir/key.pub" \
    "PidFile $dir/pid" 'StrictModes no' 'PasswordAuthentication no' 'KbdInteractiveAuthentication no' \
    'PermitRootLogin yes' 'UsePAM no' >"$dir/config"
  # Without PAM a locked account is refused.
  [[ $(getent shadow root) != root:!* ]] || sed -i 's/UsePAM no/UsePAM yes/' "$dir/config"
}

# sshd_up [COMMAND...]: it is executed by that command, in mounts of its own. $far is the daemon's URI by way of it.
sshd_up() {
  sshd_down
  [ -d "$scratch/ssh" ] || sshd_keys
  # Of Debian's sshd, which insists on it.
  [ -d /run/sshd ] || { mkdir /run/sshd && touch "$scratch/ssh/made"; }
  in_ns unshare -m "$@" /usr/sbin/sshd -f "$scratch/ssh/config" -E "$scratch/ssh/log" 3>&-
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
  [ ! -e "$scratch/ssh/made" ] || { rm "$scratch/ssh/made" && rmdir /run/sshd; }
}
