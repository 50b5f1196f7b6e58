#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Known ways out of containers, each tried against ours.

load lib
KIND=container

setup_file() {
  root_up
  stock_image busybox
  mkdir "$scratch/tree"
  tar -C "$scratch/tree" -xf "$scratch/busybox.tar"
  # What nobody inside may see or change: a mark on the host, next to what duet itself has open.
  export mark=$scratch/mark-of-the-host
  echo untouched >"$mark"
}
teardown_file() { root_down; }
teardown() { is "$(cat "$mark")" untouched; }

# image NAME: of what is in $scratch/tree now.
image() {
  tar -C "$scratch/tree" -cf "$scratch/$1.tar" .
  duet image import --name "$1" "$scratch/$1.tar" >/dev/null
}

@test "CVE-2019-5736: the runtime can't be overwritten through /proc/self/exe" {
  local before
  before=$(sha256sum "$DUET")
  # an entrypoint that is the runtime itself, and an exec into it
  printf '#!/proc/self/exe\n' >"$scratch/tree/evil"
  chmod +x "$scratch/tree/evil"
  image evil
  run run_as evil /evil
  [ "$status" != 0 ]
  duet run -d --name victim evil sleep 100
  run duet exec victim /evil
  [ "$status" != 0 ]
  # process 1 is no file, not to be opened, and in memory that is sealed
  expect 1 duet exec victim sh -c 'cat /proc/1/exe >/dev/null'
  expect 1 duet exec victim sh -c 'exec 3>/proc/1/exe'
  expect 1 duet exec victim sh -c 'cat /proc/1/maps'
  duet rm -f victim
  is "$(sha256sum "$DUET")" "$before"
  rm "$scratch/tree/evil"
}

@test "CVE-2024-21626: no descriptor of the runtime's is a working directory" {
  local fd
  duet run -d --name open busybox sleep 100
  for fd in {3..40}; do
    run run_as -w "/proc/self/fd/$fd" busybox sh -c 'pwd; ls; cat ../../../../../../../..'"$mark"
    [[ $status != 0 && $output != *untouched* && $output != *instances* ]] || { echo "fd $fd: $output"; return 1; }
    run duet exec -w "/proc/self/fd/$fd" open sh -c 'ls; cat ../../../../../../../..'"$mark"
    [[ $status != 0 && $output != *untouched* ]] || { echo "exec, fd $fd: $output"; return 1; }
  done
  duet rm -f open
}

@test "paths with dots lead nowhere but into the container" {
  is "$(run_as -w /../../../../../etc busybox pwd)" /etc
  # what is not there is made in there
  is "$(run_as -w "/../../../../..$scratch" busybox sh -c 'pwd; ls -A')" "$scratch"
  duet run -d --name dots busybox sleep 100
  is "$(duet exec -w /tmp/../../../../bin dots pwd)" /bin
  expect 127 duet exec dots "../../../../../../../..$DUET"
  # the user's files are the container's
  echo "evil:x:0:0::/:/bin/sh" >>"$scratch/tree/etc/passwd"
  is "$(duet exec dots sh -c 'cat /../../../../../etc/passwd' | grep -c evil || true)" 0
  duet rm -f dots
}

@test "CVE-2021-30465, CVE-2019-19921: links of the image lead no mount out of it" {
  local target
  rm -rf "$scratch/tree/outside"
  ln -s "../../../../../../../..$scratch" "$scratch/tree/outside"
  ln -s / "$scratch/tree/to-root"
  image links
  mkdir -p "$scratch/volume"
  run run_as -v "$scratch/volume:/outside/mark-of-the-host/x" links true
  run run_as -v "$scratch/volume:/outside/made" --tmpfs /outside/tmpfs links sh -c 'ls -d /outside/made'
  [ ! -e "$scratch/made" ] && [ ! -e "$scratch/tmpfs" ]
  # /proc, /sys and /dev are not to be redirected
  for target in proc sys dev; do
    mv "$scratch/tree/$target" "$scratch/kept" 2>/dev/null || mkdir "$scratch/kept"
    ln -s /tmp "$scratch/tree/$target"
    image "link-$target"
    expect 125 run_as "link-$target" true
    [[ $output == *"mount /$target"* ]]
    rm "$scratch/tree/$target"
    mv "$scratch/kept" "$scratch/tree/$target"
  done
  # one that swaps a directory for a link all the time, below another's mount
  mkdir -p "$scratch/shared/dir" "$scratch/payload"
  duet run -d --name swapper -v "$scratch/shared:/s" busybox sh -c \
    'ln -s / /s/link; while :; do mv /s/dir /s/aside; mv /s/link /s/dir; mv /s/dir /s/link; mv /s/aside /s/dir; done' 2>/dev/null
  local i
  for i in {1..40}; do
    run run_as -v "$scratch/shared:/s" -v "$scratch/payload:/s/dir/etc" busybox sh -c 'cat /proc/self/mountinfo'
    [ "$(findmnt -rn -o TARGET | grep -c "$scratch/payload" || true)" = 0 ]
  done
  duet rm -f swapper
  [ -z "$(ls -A "$scratch/payload")" ]
}

@test "CVE-2022-0492: no cgroup's release_agent is there to be written" {
  local try='mkdir -p /c; for type in cgroup cgroup2; do for o in memory pids rdma cpu; do
    mount -t $type -o $o none /c 2>/dev/null && echo mounted $type $o && echo /evil >/c/release_agent && echo written; done; done
    for f in /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do echo /evil >$f && echo written $f; done; true'
  run run_as busybox sh -c "$try" 2>/dev/null
  [[ $output != *written* && $output != *mounted* ]]
  # nor by who may mount
  run run_as --cap-add SYS_ADMIN --security-opt seccomp=unconfined busybox sh -c "$try"
  [[ $output != *written* ]]
}

@test "the kernel's settings are not the container's, whatever it may do inside" {
  local options
  for options in "" "--cap-add ALL --security-opt seccomp=unconfined"; do
    # shellcheck disable=SC2086
    run run_as $options busybox sh -c 'for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger \
      /proc/sys/vm/drop_caches /sys/kernel/uevent_helper /proc/self/attr/current /sys/kernel/mm/ksm/run; do
      [ ! -e $f ] || { echo x >$f; } 2>/dev/null && [ -e $f ] && echo written $f; done; true'
    [[ $output != *written* ]] || { echo "$output"; return 1; }
  done
}

@test "no device of the host's can be made, opened or found in an image" {
  local name=vda options
  name=$(basename "$(ls -d /sys/block/* | grep -v loop | head -1)")
  local number
  number=$(tr : ' ' <"/sys/block/$name/dev")
  for options in "" "--cap-add ALL --security-opt seccomp=unconfined"; do
    # shellcheck disable=SC2086
    run run_as $options busybox sh -c "mknod /disk b $number && head -c 1 /disk && echo read"
    [[ $output != *read* ]]
    # shellcheck disable=SC2086
    run run_as $options busybox sh -c "mknod /dev/mem2 c 1 1 && head -c 1 /dev/mem2 && echo read"
    [[ $output != *read* ]]
  done
  # a node that the host's root left in a folder that is shared
  needs_root "to make a device"
  mkdir -p "$scratch/nodes"
  # shellcheck disable=SC2086
  mknod "$scratch/nodes/disk" b $number
  chmod 666 "$scratch/nodes/disk"
  run run_as -v "$scratch/nodes:/n" busybox sh -c 'head -c 1 /n/disk && echo read'
  [[ $status != 0 && $output != *read* ]]
  rm "$scratch/nodes/disk"
}

@test "the monitor and the host's processes are out of sight and out of reach" {
  local id monitor
  id=$(duet run -d busybox sleep 100)
  monitor=$(field "$id" monitor_pid)
  expect 1 duet exec "$id" kill -0 "$monitor"
  expect 1 duet exec "$id" cat "/proc/$monitor/status"
  is "$(duet exec "$id" sh -c 'ls /proc | grep -c "^[0-9]*$"')" 5
  # nor may process 1, which talks to the monitor, be traced or read by root in there
  expect 1 duet exec "$id" sh -c 'head -c 1 /proc/1/mem'
  expect 1 duet exec "$id" sh -c 'head -c 1 /proc/1/environ'
  expect 1 duet exec "$id" sh -c 'readlink /proc/1/fd/3'
  duet rm -f "$id"
  # not even by who may trace, unless all of it is one user's
  id=$(duet run -d --cap-add SYS_PTRACE busybox sleep 100)
  expect 1 duet exec "$id" sh -c 'echo x >/proc/1/exe'
  expect 1 duet exec "$id" kill -0 "$(field "$id" monitor_pid)"
  [ "$(id -u)" != 0 ] || expect 1 duet exec "$id" sh -c 'cat /proc/1/environ'
  # as it may its own: one that is executed already
  is "$(duet exec "$id" sh -c 'tr "\0" " " </proc/$(pidof sleep)/environ | grep -c PATH')" 1
  duet rm -f "$id"
}

@test "what the caller has open stays the caller's" {
  local secret=$scratch/secret
  echo secret >"$secret"
  run run_as busybox sh -c 'for f in /proc/self/fd/*; do readlink $f; done; cat <&7 && echo read' 7<"$secret"
  [[ $output != *secret* && $output != *read* ]]
  duet run -d --name held busybox sleep 100 8<"$secret"
  run duet exec held sh -c 'cat <&9 && echo read' 9<"$secret"
  [[ $output != *secret* && $output != *read* ]]
  duet rm -f held
}

@test "TIOCSTI: the caller's terminal takes no letter from a payload" {
  # on a terminal of its own, as a user has one
  python3 - "$DUET" "$scratch/push" <<'PYTHON'
import os, pty, sys, time
duet, push = sys.argv[1:]
pid, master = pty.fork()
if pid == 0:
    os.execv(duet, [duet, "run", "--rm", "-i", "busybox", "sh", "-c",
        "tty; echo > /dev/tty && echo has a terminal; echo done"])
text = b""
while b"done" not in text:
    text += os.read(master, 4096)
os.waitpid(pid, 0)
assert b"not a tty" in text and b"has a terminal" not in text, text
PYTHON
}

@test "set-user-id programs and file capabilities of an image raise nobody" {
  # not busybox, which gives up by itself what it got
  mkdir "$scratch/tree/raised"
  echo '#include <unistd.h>
    int main(void) { return geteuid() == 0 ? 7 : geteuid() == 1000 ? 8 : 9; }' |
    gcc -x c -static -o "$scratch/tree/raised/who" -
  chmod 4755 "$scratch/tree/raised/who"
  image raised
  # the host would do it
  if [ "$(id -u)" = 0 ]; then run setpriv --reuid 1000 --clear-groups "$scratch/tree/raised/who"; else status=7; fi
  is "$status" 7
  expect 7 run_as raised /raised/who
  expect 8 run_as --user 1000 raised /raised/who
  expect 8 run_as --user 1000 --cap-add ALL --security-opt seccomp=unconfined raised /raised/who
  rm -r "$scratch/tree/raised"
}

@test "no namespace of the payload's own shows what is masked, or mounts what was not given" {
  local try='unshare -r -m sh -c "echo in a namespace; umount /proc/kcore; umount /proc/sys; umount -l /proc; mount -t proc none /proc; mount -t sysfs none /sys;
    mount -t tmpfs none /sys/firmware; head -c 4 /proc/kcore | grep -c ELF; echo x >/proc/sys/kernel/core_pattern && echo written"'
  run run_as --security-opt seccomp=unconfined busybox sh -c "$try"
  [[ $output == *"in a namespace"* && $output != *written* && $output != *$'\n1' ]]
  run run_as --cap-add ALL --security-opt seccomp=unconfined busybox sh -c "$try"
  [[ $output != *written* && $output != *$'\n1' ]]
  # a file system of the host's by its block device
  run run_as --cap-add ALL --security-opt seccomp=unconfined busybox sh -c 'mount -t ext4 /dev/vda /mnt && echo mounted'
  [[ $output != *mounted* ]]
}
