#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is a container's alone: its namespaces, its start-up cost.

load lib
KIND=container

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

@test "every namespace is the container's own" {
  local all=(user mnt pid net uts ipc cgroup) ns
  run run_as busybox sh -c 'cd /proc/self/ns; for ns; do readlink "$ns"; done' s "${all[@]}"
  is "$status" 0
  is "$(cut -d: -f1 <<<"$output" | xargs)" "${all[*]}"
  for ns in "${all[@]}"; do
    [[ $output != *"$(readlink "/proc/self/ns/$ns")"* ]]
  done
}

@test "the id map holds 0-65535 above the host's own ids" {
  needs_root "for a map of its own: rootless.bats has a user's"
  run run_as busybox cat /proc/self/uid_map
  read -r inside outside count <<<"$output"
  is "$inside $count" "0 65536"
  [ "$outside" -ge 524288 ]
}

@test "capabilities are dropped and no_new_privs is set" {
  run run_as busybox cat /proc/self/status
  [[ $output == *$'NoNewPrivs:\t1'* ]]
  # docker's default set: nothing of SYS_ADMIN, SYS_PTRACE, NET_ADMIN, SYS_MODULE
  is "$(grep CapBnd <<<"$output" | cut -f2)" 00000000a80425fb
  is "$(grep ^Seccomp: <<<"$output" | cut -f2)" 2
}

# capabilities OPTION...: of a payload: those it may have, those it has, its bounding set.
capabilities() {
  run_as "$@" busybox awk '/^Cap(Prm|Eff|Bnd)/ { printf "%s%s", n++ ? " " : "", substr($2, 6) }' /proc/self/status
}

@test "capabilities are added and dropped, in exec as well" {
  is "$(capabilities)" "000a80425fb 000a80425fb 000a80425fb"
  is "$(capabilities --user 1000)" "00000000000 00000000000 000a80425fb"
  is "$(capabilities --cap-drop CAP_CHOWN,kill)" "000a80425da 000a80425da 000a80425da"
  is "$(capabilities --cap-add SYS_ADMIN)" "000a82425fb 000a82425fb 000a82425fb"
  # what the agent needs to become another user it does not leave to that one
  is "$(capabilities --cap-drop ALL)" "00000000000 00000000000 00000000000"
  is "$(capabilities --cap-drop all --user 1000)" "00000000000 00000000000 00000000000"
  is "$(capabilities --cap-drop ALL --cap-add net_raw)" "00000002000 00000002000 00000002000"
  run capabilities --cap-add all --cap-drop sys_module
  is "${output%% *}" "$(printf %011x $(((1 << ($(cat /proc/sys/kernel/cap_last_cap) + 1)) - 1 - (1 << 16))))"
  # the working directory is another user's, as docker has it
  is "$(run_as --cap-drop ALL --user 1000 busybox sh -c 'id -u; awk "/^CapBnd/ { print \$2 }" /proc/self/status' | xargs)" "1000 0000000000000000"
  mkdir -p "$scratch/home" && chmod 700 "$scratch/home"
  if [ "$(id -u)" = 0 ]; then
    chown 1000:1000 "$scratch/home"
    is "$(run_as --cap-drop ALL --user 1000 -w /home/app -v "$scratch/home:/home/app" busybox pwd)" /home/app
  fi
  duet run -d --name bare --cap-drop ALL --user 1000 busybox sleep 100
  is "$(duet exec --user 0 bare awk '/^Cap(Bnd|Eff)/ { print $2 }' /proc/self/status | xargs)" "0000000000000000 0000000000000000"
  duet stop bare
  duet start bare
  is "$(duet exec bare awk '/^CapBnd/ { print $2 }' /proc/self/status)" 0000000000000000
  is "$(duet inspect bare | jq -c '.[0] | [.capabilities, .seccomp, .no_new_privileges]')" '[[],"builtin",true]'
  duet rm -f bare
  expect 125 run_as --cap-add CAP_TO_FLY busybox true
  [[ $output == *"'CAP_TO_FLY' is no capability"* ]]
  expect 125 run_as --cap-add chown --cap-drop CHOWN busybox true
  [[ $output == *"both added and dropped"* ]]
}

@test "system calls are filtered: by a profile of duet's, of the user's, or not at all" {
  expect 1 run_as busybox unshare -U true
  [[ $output == *"Operation not permitted"* ]]
  run_as --security-opt seccomp=unconfined busybox unshare -U true
  is "$(run_as --security-opt seccomp=unconfined busybox awk '/^Seccomp:/ { print $2 }' /proc/self/status)" 0
  # a capability brings its calls along
  expect 1 run_as busybox mount -t tmpfs none /mnt
  is "$(run_as --cap-add SYS_ADMIN busybox sh -c 'mount -t tmpfs none /mnt && grep -c " /mnt " /proc/self/mountinfo')" 1
  cat >"$scratch/profile.json" <<'PROFILE'
{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
  {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
  {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_NET_ADMIN"]}}]}
PROFILE
  duet run -d --name filtered --security-opt "seccomp=$scratch/profile.json" busybox sleep 100
  expect 1 duet exec filtered mkdir /x
  [[ $output == *"No space left on device"* ]]
  expect 1 duet exec filtered chmod 700 /tmp
  is "$(duet inspect filtered | jq -r '.[0].seccomp')" profile
  # it is the instance's from then on
  rm "$scratch/profile.json"
  duet stop filtered
  duet start filtered
  expect 1 duet exec filtered mkdir /x
  duet rm -f filtered
  echo '{"defaultAction": "SCMP_ACT_HOPE"}' >"$scratch/bad.json"
  expect 125 duet run --name bad --security-opt "seccomp=$scratch/bad.json" busybox true
  [[ $output == *"'defaultAction' is 'SCMP_ACT_HOPE', which is no action"* ]]
  expect 125 duet run --name bad --security-opt "seccomp=$scratch/none.json" busybox true
  [[ $output == *"--security-opt seccomp: "*"none.json"* ]]
  expect 125 duet run --name bad --security-opt hope=1 busybox true
  [[ $output == *"is no security option"* ]]
  expect 125 duet run --vm --security-opt seccomp=unconfined busybox true
  [[ $output == *"for containers only"* ]]
  none_listed
  run_as --security-opt no-new-privileges busybox true
}

@test "loopback is up and alone" {
  is "$(run_as busybox sh -c 'ls /sys/class/net')" lo
  run run_as busybox ping -c 1 -W 2 127.0.0.1
  is "$status" 0
}

@test "proc, sys and dev are done right" {
  expect 1 run_as busybox sh -c 'echo 1 > /proc/sys/kernel/hostname'
  expect 1 run_as busybox sh -c 'echo b > /proc/sysrq-trigger'
  expect 1 run_as busybox mknod /tmp/sda b 8 0
  is "$(run_as busybox sh -c 'ls /dev | tr "\n" " "')" "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
  is "$(run_as -t busybox sh -c 'echo seen >/dev/console' </dev/null | tr -d '\r')" seen
  is "$(run_as busybox sh -c 'head -c 5 /dev/zero | wc -c')" 5
  is "$(run_as busybox sh -c 'cat /proc/kcore 2>/dev/null | wc -c')" 0
}

@test "no host mount and no descriptor is seen inside" {
  run run_as busybox cat /proc/self/mountinfo
  is "$status" 0
  [[ $output != *"$DUET_ROOT"*" - ext4"* ]]
  is "$(run_as busybox sh -c 'ls /proc/self/fd | wc -l')" 4
}

@test "a tmpfs that can't be is refused, and a root without a place for one told of" {
  expect 125 run_as --tmpfs data busybox true
  [[ $output == *"'data' is no place for a tmpfs"* ]]
  expect 125 run_as --tmpfs / busybox true
  expect 125 run_as --tmpfs /data:size=lots busybox true
  [[ $output == *"--tmpfs /data:size=lots"* ]]
  expect 125 run_as --tmpfs /data:mode=9 busybox true
  expect 125 run_as --tmpfs /data:uid=7 busybox true
  [[ $output == *"an option that a tmpfs has not"* ]]
  expect 125 run_as --tmpfs /bin/sh busybox true
  [[ $output == *"could not mount volume tmpfs at '/bin/sh'"* ]]
  none_listed
  # what is mounted by the user is not hidden by what is made for it
  mkdir -p "$scratch/cache"
  echo kept >"$scratch/cache/tmp"
  is "$(run_as --read-only -v "$scratch/cache:/var/tmp/" busybox cat /var/tmp/tmp)" kept
  is "$(run_as --read-only --tmpfs /tmp/:size=64k busybox sh -c 'grep -c "/tmp tmpfs.*size=64k" /proc/mounts')" 1
  echo unconfined >"$scratch/word"; truncate -s -1 "$scratch/word"
  expect 125 run_as --security-opt "seccomp=$scratch/word" busybox true
  # volumes are written to, whatever the root is
  is "$(run_as --read-only -v "$scratch:/mnt" -v "$scratch:/tmp/mnt" busybox sh -c 'echo x >/mnt/by-volume && cat /tmp/mnt/by-volume')" x
  duet run --name again --read-only --tmpfs /data busybox sh -c 'ls -A /data; touch /data/x; touch /x' >"$scratch/out" 2>&1 || true
  is "$(duet inspect again | jq -c '.[0] | [.readonly, (.tmpfs | map(.target))]')" '[true,["/data","/tmp","/run","/var/tmp"]]'
  duet start again
  duet wait again >/dev/null
  # a run begins with an empty one
  is "$(duet logs again 2>&1)" "touch: /x: Read-only file system"
  duet rm again
}

@test "restart ends what runs, and starts it" {
  duet create --name again busybox sh -c 'echo x >>/count; wc -l </count; exec sleep 300'
  local begun
  duet restart again
  begun=$(field again started)
  wait_for 5 wrote again 1
  sleep 1
  is "$(duet restart -t 0 again)" again
  wait_for 5 wrote again 2
  [ "$(field again started)" != "$begun" ]
  duet rm -f again
  duet run -d --rm --name gone busybox sleep 300
  expect 125 duet restart gone
  [[ $output == *"goes when it ends (--rm)"* ]]
  is "$(state_of gone)" running
  duet rm -f gone
  expect 125 duet restart nobody
}

@test "the memory limit kills, and is reported" {
  needs_limits
  run --separate-stderr run_as -m 32m busybox sh -c 'tail /dev/zero'
  is "$status" 137
  [[ $stderr == *memory* ]]
  is "$(duet run --rm -m 32m busybox sh -c 'tail /dev/zero; echo rc=$?; exit 5' 2>/dev/null)" rc=137
}

@test "a container can't lift its own limits" {
  needs_limits
  [ -x /usr/bin/unshare ]
  # A user's container owns its cgroup: it may make one below, and be the root of a cgroup namespace there.
  local try='mount -t cgroup2 none /mnt && cat /proc/self/cgroup && mkdir /mnt/x && echo $$ >/mnt/x/cgroup.procs &&
    echo moved; unshare -C sh -c "echo max >/mnt/memory.max; cat /mnt/memory.max"'
  local debian=(-m 64m -v /usr:/usr:ro -v /usr/lib:/lib:ro -v /usr/lib64:/lib64:ro busybox)
  expect 1 duet run --rm "${debian[@]}" /usr/bin/unshare -UrmC /usr/bin/sh -c "$try"
  [[ $output == *"Operation not permitted"* ]]
  # nor where no filter keeps it from trying
  run duet run --rm --security-opt seccomp=unconfined "${debian[@]}" /usr/bin/unshare -UrmC /usr/bin/sh -c "$try"
  [[ $output == *0::/* && $output != *$'\nmax' ]]
  [ "$(id -u)" = 0 ] || [[ $output == *moved* ]]
}

@test "the cpu quota holds" {
  needs_limits
  # Half a CPU: 1 s of work takes about 2 s.
  local spent
  duet run --name quota --cpus 0.5 busybox timeout 3 sh -c 'while :; do :; done' || true
  spent=$(duet inspect quota | jq '.[0].payload_cpu_ns / 1e9')
  duet rm quota
  awk -v s="$spent" 'BEGIN { exit !(s > 1.2 && s < 1.8) }'
}

@test "layers are never written to" {
  local before
  before=$(find "$DUET_ROOT/images" -type f -exec sha256sum {} + | sort | sha256sum)
  run_as busybox sh -c 'rm -rf /bin/ls /etc; echo x > /new; chmod 600 /bin/busybox' || true
  is "$(find "$DUET_ROOT/images" -type f -exec sha256sum {} + | sort | sha256sum)" "$before"
}

@test "the executable links light libraries only, and a run loads no module" {
  # LeakSanitizer can't be traced: this is about the ordinary build.
  DUET=$source_dir/build/cli/duet
  run ldd "$DUET"
  [[ $output != *libvirt* && $output != *libxml2* && $output != *libarchive* && $output != *json-glib* ]]
  [ "$(ldd "$DUET" | wc -l)" -le 8 ]
  needs_root "to trace what runs newuidmap"
  strace -f -o "$scratch/trace" -e trace=openat "$DUET" run --rm busybox true
  ! grep -q 'duet-vm.so\|duet-images.so\|duet-tools.so' "$scratch/trace"
}

@test "a start needs few system calls" {
  needs_root "to trace what runs newuidmap"
  DUET=$source_dir/build/cli/duet
  strace -f -c -o "$scratch/count" "$DUET" run --rm busybox true
  local calls
  calls=$(awk '$NF == "total" { print $4 }' "$scratch/count")
  echo "system calls: $calls"
  [ "$calls" -gt 100 ]
  # About 300 of them are the conversation with systemd, where there is one.
  [ "$calls" -le $(systemd_runs && echo 1200 || echo 900) ]
}

@test "a caller with more open files than a payload may have is no obstacle" {
  needs_root "to have so many files open"
  run python3 - <<'PYTHON'
import os, resource, subprocess
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
for _ in range(1500):
    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
run = [os.environ["DUET"], "run", "--rm", "busybox", "sh", "-c", "ulimit -n; ls /proc/self/fd"]
print(subprocess.run(run, close_fds=False, capture_output=True, text=True, check=True).stdout)
PYTHON
  is "$(xargs <<<"$output")" "1024 0 1 2 3"
}

@test "an exec that outlives its client keeps its number" {
  duet run -d --name box busybox sleep 1000
  "$DUET" exec box sh -c 'trap "" HUP; echo on; exec sleep 1000' >"$scratch/on" 2>/dev/null 3>&- &
  local client=$!
  wait_for 10 grep -q on "$scratch/on"
  kill -9 $client
  wait $client || true
  # More than there are numbers: the one of the process that stayed must not be given away.
  for _ in $(seq 270); do duet exec box true; done
  is "$(state_of box)" running
  duet rm -f box
}

@test "what an instance was told is nobody else's to read" {
  duet run -d --name box -e PASSWORD=swordfish busybox sleep 300
  local id monitor
  id=$(field box id)
  monitor=$(field box monitor_pid)
  is "$(stat -c %a "$DUET_ROOT/instances/$id/spec" "$DUET_ROOT/instances/$id/state" | xargs)" "600 600"
  is "$(tr '\0' ' ' <"/proc/$monitor/cmdline" | xargs)" "duet-monitor box"
  duet rm -f box
}

@test "an instance keeps nothing open of who started it" {
  mkdir "$scratch/away"
  (cd "$scratch/away" && exec 9>"$scratch/lock" && flock 9 && "$DUET" run -d --name box busybox sleep 300 3>&-)
  flock -n "$scratch/lock" true
  is "$(readlink "/proc/$(field box monitor_pid)/cwd")" /
  duet rm -f box
}

@test "more instances than a caller may have files open" {
  for i in $(seq 30); do duet create --name "many$i" busybox true >/dev/null; done
  is "$(ulimit -Sn 20 && duet ps -aq | wc -l)" 30
  # Where that can't be helped, it is said: an empty list would be a lie.
  run bash -c 'ulimit -n 20 && "$DUET" ps -aq'
  is "$status" 125
  [[ $output == *"cannot be opened"*"Too many open files"* ]]
  duet rm -f --all >/dev/null
}

@test "a reader that is slow and never stands still costs no memory" {
  run python3 - <<'PYTHON'
import os, resource, subprocess, time
run = subprocess.Popen([os.environ["DUET"], "run", "--rm", "busybox", "dd", "if=/dev/zero", "bs=64k", "count=3000"],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
total = 0
while chunk := os.read(run.stdout.fileno(), 65536):
    total += len(chunk)
    time.sleep(0.0002)
assert run.wait() == 0
print(total, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 64 * 1024)
PYTHON
  is "$output" "$((3000 * 65536)) True"
}

@test "^C at once ends what was started, and leaves nothing" {
  local delay client code
  for delay in 0 0.002 0.004 0.006 0.008 0.01 0.015 0.02; do
    # A shell has what is in the background ignore it.
    setsid env --default-signal=INT "$DUET" run --rm busybox sleep 300 2>"$scratch/said" 3>&- &
    client=$! code=0
    # before that it would still be ignored
    wait_for 5 eval '[ "$(cat /proc/$client/comm)" = duet ]'
    sleep $delay
    kill -INT -- -$client
    wait $client || code=$?
    is $code 130
    is "$(cat "$scratch/said")" ""
    none_listed
  done
}

@test "who insists is let go of by an exec that does not end" {
  local client code signal
  duet run -d --name box busybox sleep 300
  for signal in INT TERM; do
    code=0
    rm -f "$scratch/up"
    env --default-signal=INT "$DUET" exec box sh -c 'trap "echo caught" INT TERM; trap "echo >/hung-up; exit" HUP
      echo up; while :; do sleep 0.1; done' >"$scratch/up" 3>&- &
    client=$!
    wait_for 10 grep -q up "$scratch/up"
    kill -$signal $client
    # the first is the program's
    wait_for 10 grep -q caught "$scratch/up"
    kill -$signal $client
    wait $client || code=$?
    is $code $((128 + $(kill -l $signal)))
    wait_for 10 duet exec box rm /hung-up
  done
  # an agent that does not answer
  kill -STOP "$(field box pid)"
  env --default-signal=INT "$DUET" exec box true 3>&- &
  client=$! code=0
  # once it holds SIGINT up
  wait_for 10 grep -q 'SigBlk:.*[2367abef]$' /proc/$client/status
  kill -INT $client
  wait $client || code=$?
  kill -CONT "$(field box pid)"
  is $code 130
  duet rm -f box
}

@test "one that was made to be removed at its end is there until then" {
  duet create --rm --name once busybox echo there
  is "$(state_of once)" created
  is "$(duet inspect once | jq -r '.[0].error')" null
  duet start once
  wait_for 10 none_listed
}

@test "the root is the image's below a directory with a group of its own" {
  needs_root "to give a directory to another group"
  local store=$scratch/group
  mkdir -p -m 0711 "$store/instances"
  chgrp 1234 "$store/instances" && chmod g+s "$store/instances"
  duet --root "$store" image import --name busybox "$scratch/busybox.tar" >/dev/null
  is "$(duet --root "$store" run --rm busybox stat -c '%u:%g %a' /)" "0:0 755"
}
