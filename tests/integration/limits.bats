#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck disable=SC2016 # scripts for shells inside
# Limits of instances, `update`, and `rename`, with the kernel's own files: of cgroup v1 or v2, as the host has them.

load lib
KIND=container

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }
teardown() { duet rm -f --all >/dev/null; }

can() { duet check --format json | jq -e --arg name "$1" 'any(.[]; .name == $name and .status == "ok")' >/dev/null; }
needs() { can "$1" || skip "the host can't keep that: $1"; }

# limit_dir INSTANCE CONTROLLER: the payload's directory where that controller is v1's, else the one in v2.
limit_dir() {
  local entry v2=''
  for entry in $(field "$1" cgroup); do
    case ,${entry%%:*}, in
    *,"$2",*) echo "/sys/fs/cgroup/${entry%%:*}${entry#*:}/payload"; return ;;
    ,v2,) v2=$(findmnt -n -o TARGET -t cgroup2 | head -1)${entry#*:}/payload ;;
    esac
  done
  echo "$v2"
}
# keeps INSTANCE CONTROLLER V1-FILE V1-VALUE V2-FILE V2-VALUE: what the kernel has of a limit.
keeps() {
  local dir
  dir=$(limit_dir "$1" "$2")
  if [ -e "$dir/$3" ]; then is "$3 $(cat "$dir/$3")" "$3 $4"; else is "$5 $(cat "$dir/$5")" "$5 $6"; fi
}
disk() {
  local name
  for name in /sys/block/*; do
    [ -b "/dev/${name##*/}" ] && [ "$(cat "$name/size")" != 0 ] && { echo "/dev/${name##*/}"; return; }
  done
  return 1
}

@test "memory, swap and what is reserved" {
  needs_limits
  duet run -d --name box -m 64m --memory-swap 96m --memory-reservation 32m busybox sleep 300
  keeps box memory memory.limit_in_bytes $((64 << 20)) memory.max $((64 << 20))
  keeps box memory memory.memsw.limit_in_bytes $((96 << 20)) memory.swap.max $((32 << 20))
  keeps box memory memory.soft_limit_in_bytes $((32 << 20)) memory.low $((32 << 20))
  # it counts beside other instances
  keeps box memory ../memory.soft_limit_in_bytes $((32 << 20)) ../memory.low $((32 << 20))
  is "$(duet inspect box | jq -c '.[0] | [.memory_limit_bytes, .memory_swap_limit_bytes, .memory_reservation_bytes]')" \
    '[67108864,100663296,33554432]'
  duet rm -f box
  duet run -d --name box -m 64m --memory-swap -1 busybox sleep 300
  [[ $(cat "$(limit_dir box memory)"/memory.{memsw.limit_in_bytes,swap.max} 2>/dev/null) =~ ^(max|9223372036854[0-9]*)$ ]]
  duet rm -f box
  # without the option there is no swap
  duet run -d --name box -m 64m busybox sleep 300
  keeps box memory memory.memsw.limit_in_bytes $((64 << 20)) memory.swap.max 0
}

@test "CPU time, shares, and which CPUs" {
  needs limit-cpus
  duet run -d --name box --cpu-quota 25000 --cpu-period 50000 --cpu-shares 512 busybox sleep 300
  keeps box cpu cpu.cfs_quota_us 25000 cpu.max "25000 50000"
  keeps box cpu cpu.cfs_period_us 50000 cpu.max "25000 50000"
  keeps box cpu cpu.shares 512 cpu.weight 59
  keeps box cpu ../cpu.shares 512 ../cpu.weight 59
  is "$(duet inspect box | jq -c '.[0] | [.cpus, .cpu_period_us, .cpu_shares]')" '[0.5,50000,512]'
  duet rm -f box
  duet run -d --name box --cpus 0.5 busybox sh -c 'while :; do :; done'
  keeps box cpu cpu.cfs_quota_us 50000 cpu.max "50000 100000"
  # it is held back, not only told
  wait_for 20 grep -q '^nr_throttled [1-9]' "$(limit_dir box cpu)/cpu.stat"
  duet rm -f box
  needs limit-cpuset
  is "$(run_as --cpuset-cpus 0 --cpuset-mems 0 busybox sh -c 'nproc; grep Cpus_allowed_list /proc/self/status' | xargs)" \
    "1 Cpus_allowed_list: 0"
}

@test "disks: weight and rates" {
  needs limit-blkio-weight
  local disk numbers dir
  disk=$(disk) || skip "no disk"
  numbers=$(lsblk -dno MAJ:MIN "$disk" | xargs)
  duet run -d --name box --blkio-weight 300 --device-read-bps "$disk:1m" --device-write-iops "$disk:77" busybox sleep 300
  dir=$(limit_dir box blkio)
  if [ -e "$dir/blkio.throttle.read_bps_device" ]; then
    is "$(cat "$dir"/blkio{.bfq,}.weight 2>/dev/null)" 300
    is "$(cat "$dir/blkio.throttle.read_bps_device")" "$numbers 1048576"
    is "$(cat "$dir/blkio.throttle.write_iops_device")" "$numbers 77"
  else
    if [ -e "$dir/io.bfq.weight" ]; then is "$(cat "$dir/io.bfq.weight")" "default 300"; else
      is "$(cat "$dir/io.weight")" "default 2930"
    fi
    is "$(cat "$dir/io.max")" "$numbers rbps=1048576 wbps=max riops=max wiops=77"
  fi
  is "$(duet inspect box | jq -c --arg disk "$disk" '.[0] | [.blkio_weight, (.io_limits | map([.limit, .device == $disk, .rate]))]')" \
    '[300,[["read-bps",true,1048576],["write-iops",true,77]]]'
  # one is changed, one is lifted, one stays
  duet update --device-read-bps "$disk:2m" --device-write-iops "$disk:0" box
  dir=$(limit_dir box blkio)
  if [ -e "$dir/blkio.throttle.read_bps_device" ]; then
    is "$(cat "$dir/blkio.throttle.read_bps_device")" "$numbers 2097152"
    is "$(cat "$dir/blkio.throttle.write_iops_device")" ""
  else
    is "$(cat "$dir/io.max")" "$numbers rbps=2097152 wbps=max riops=max wiops=max"
  fi
  is "$(field box blkio_weight)" 300
}

@test "huge pages" {
  [ -d /sys/kernel/mm/hugepages/hugepages-2048kB ] || skip "the kernel has none"
  duet run -d --name box --hugetlb 2MB:64m busybox sleep 300 2>"$scratch/why" ||
    { grep -q "no usable cgroup controller 'hugetlb'\|no cgroup controller 'hugetlb'\|not delegated" "$scratch/why" && skip "no hugetlb controller"; }
  keeps box hugetlb hugetlb.2MB.limit_in_bytes $((64 << 20)) hugetlb.2MB.max $((64 << 20))
  is "$(duet inspect box | jq -c '.[0].hugetlb')" '[{"size":"2MB","limit_bytes":67108864}]'
  duet update --hugetlb 2MB:-1 box
  [[ $(cat "$(limit_dir box hugetlb)"/hugetlb.2MB.{limit_in_bytes,max} 2>/dev/null) =~ ^(max|9223372036[0-9]*)$ ]]
}

@test "what can't be is refused, and leaves nothing" {
  local disk
  disk=$(disk) || disk=/dev/null
  local bad=("-m 64m --memory-swap 32m" "--memory-swap 64m" "-m 64m --memory-reservation 65m" "--memory-swap x"
    "--cpus 1 --cpu-quota 1000" "--cpu-quota 999" "--cpu-quota 100000000" "--cpu-period 1" "--cpu-shares 1"
    "--cpu-shares 300000" "--cpuset-cpus 9999" "--cpuset-cpus 0-" "--cpuset-mems 99" "--blkio-weight 5" "--blkio-weight 1001"
    "--device-read-bps /dev/null:1m" "--device-read-bps /no/such:1m" "--device-read-bps $disk" "--device-write-iops $disk:1m"
    "--hugetlb 3MB:1m" "--hugetlb 2MB" "--pids-limit -2" "--pids-limit many" "--cpus 0.5x")
  for options in "${bad[@]}"; do
    # shellcheck disable=SC2086
    expect 125 duet run --name bad $options busybox true
    [ "$(wc -l <<<"$output")" = 1 ]
    [[ $output == "duet: "* ]]
  done
  expect 125 duet run --vm --name bad -m 128m --memory-swap -1 busybox true
  [[ $output == *"--memory-swap is for containers only"* ]]
  expect 125 duet run --vm --name bad --hugetlb 2MB:2m busybox true
  [[ $output == *"--hugetlb is for containers only"* ]]
  expect 125 duet run --vm --connect qemu:///system --name bad --cpu-shares 5 busybox true
  [[ $output == *"cannot keep --cpu-shares with --connect"* ]]
  none_listed
}

@test "update changes what runs, and what is to run" {
  needs_limits
  duet run -d --name box busybox sleep 300
  is "$(duet update -m 64m --pids-limit 50 box)" box
  keeps box memory memory.limit_in_bytes $((64 << 20)) memory.max $((64 << 20))
  keeps box memory memory.memsw.limit_in_bytes $((64 << 20)) memory.swap.max 0
  keeps box pids pids.max 50 pids.max 50
  # raised, lowered, with swap and without: each has an order that v1 takes
  duet update -m 128m box
  duet update -m 96m --memory-swap 128m box
  keeps box memory memory.limit_in_bytes $((96 << 20)) memory.max $((96 << 20))
  keeps box memory memory.memsw.limit_in_bytes $((128 << 20)) memory.swap.max $((32 << 20))
  duet update -m 32m --memory-swap 0 box
  keeps box memory memory.memsw.limit_in_bytes $((32 << 20)) memory.swap.max 0
  expect 137 duet exec box tail /dev/zero
  is "$(duet ps --format json | jq -c '.[0] | [.memory_limit_bytes, .pids_limit]')" '[33554432,50]'
  # what it had at its start is under it as well as what comes
  expect 2 duet exec box sh -c 'for i in $(seq 60); do sleep 5 & done; true'
  duet update --pids-limit -1 -m 0 box
  keeps box pids pids.max max pids.max max
  [[ $(cat "$(limit_dir box memory)"/memory.{limit_in_bytes,max} 2>/dev/null) =~ ^(max|9223372036854[0-9]*)$ ]]
  duet pause box
  duet update -m 48m box
  duet unpause box
  # it counts when it starts again
  duet stop -t 0 box
  duet update -m 40m --cpu-shares 256 box
  is "$(duet inspect box | jq -c '.[0] | [.state, .memory_limit_bytes, .cpu_shares]')" '["exited",41943040,256]'
  duet start box
  keeps box memory memory.limit_in_bytes $((40 << 20)) memory.max $((40 << 20))
  keeps box cpu cpu.shares 256 cpu.weight 35
}

@test "update of CPUs takes all processes along" {
  needs limit-cpuset
  needs limit-cpus
  duet run -d --name box busybox sh -c 'while :; do sleep 0.01; done'
  duet update --cpuset-cpus 0 --cpus 0.5 box
  is "$(duet exec box nproc)" 1
  local pid allowed
  for pid in $(cat "$(limit_dir box cpuset)/cgroup.procs" "$(limit_dir box memory)/cgroup.procs"); do
    # one that ended meanwhile says nothing
    allowed=$(awk '/^Cpus_allowed_list/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
    [ -z "$allowed" ] || is "$allowed" 0
  done
  [ "$(wc -l <"$(limit_dir box cpuset)/cgroup.procs")" -ge 2 ]
  # the agent in both; sleeps come and go
  grep -qx "$(field box pid)" "$(limit_dir box cpuset)/cgroup.procs"
  grep -qx "$(field box pid)" "$(limit_dir box cpu)/cgroup.procs"
  duet update --cpuset-cpus '' --cpus 0 box
  [ "$(duet exec box nproc)" = "$(nproc)" ]
  is "$(field box cpuset_cpus)" null
  local id
  id=$(field box id)
  duet rm -f box
  is "$(left_now "$id")" ""
}

@test "what an update made goes with a monitor that is killed" {
  needs limit-cpus
  duet run -d --name box busybox sleep 300
  local id monitor
  id=$(field box id)
  monitor=$(field box monitor_pid)
  duet update --cpus 0.5 --pids-limit 50 box
  kill -9 "$monitor"
  wait_for 10 has_state box exited
  is "$(find /sys/fs/cgroup -name "*$id*")" ""
  is "$(field box cpus)" 0.5
  duet start box
  keeps box cpu cpu.cfs_quota_us 50000 cpu.max "50000 100000"
}

@test "an update that fails changes nothing" {
  needs_limits
  duet run -d --name box -m 64m busybox sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=30 2>/dev/null; echo full; sleep 300'
  wait_for 10 wrote box full
  expect 125 duet update -m 16m --pids-limit 40 box
  [[ $output == *"cannot set --memory to 16.0 MiB: "*" in use"* ]]
  keeps box memory memory.limit_in_bytes $((64 << 20)) memory.max $((64 << 20))
  is "$(duet inspect box | jq -c '.[0] | [.memory_limit_bytes, .pids_limit]')" '[67108864,0]'
  expect 125 duet update -m 16m --memory-swap 8m box
  expect 125 duet update box
  [[ $output == *"nothing to change given"* ]]
  expect 125 duet update -m 32m nobody
  expect 125 duet update -m 32m box nobody
  is "$(field box state)" running
}

# monitor_says INSTANCE HEX-TYPE TEXT: one frame to its monitor. Prints the answer's type, and what it says.
monitor_says() {
  /usr/bin/python3 - "$DUET_ROOT/instances/$(field "$1" id)/sock" "$2" "$3" <<'PYTHON'
import socket, struct, sys
path, kind, text = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(path)
s.sendall(struct.pack("<BBHI", kind, 0, 0, len(text)) + text)
head = s.recv(8, socket.MSG_WAITALL)
kind, _, _, length = struct.unpack("<BBHI", head)
print(kind, s.recv(length, socket.MSG_WAITALL)[4:].decode(errors="replace"))
PYTHON
}

@test "a monitor changes nothing but what may change" {
  duet run -d --name box busybox sleep 300
  local text
  for text in "{'id': <b'0123456789ab'>}" "{'argv': <[b'x']>}" "{'memory-bytes': <'x'>}" "{'name': <b'../../x'>}" \
    "{'io-limits': <[b'read-bps:/etc/passwd:1']>}" "{" "" "@a{sv} {} x" "{'layers': <[b'/']>}" "{'cpus': <nan>}"; do
    run monitor_says box 39 "$text"
    is "$status" 0
    [[ $output == "65 "* ]] || { echo "$text: $output"; return 1; }
  done
  is "$(monitor_says box 39 '@a{sv} {}')" "64 "
  is "$(duet exec box echo alive)" alive
  is "$(field box name)" box
}

@test "rename: running and stopped, and no name is lost or lent" {
  duet run -d --name one busybox sleep 300
  duet create --name two busybox true
  expect 125 duet rename one two
  [[ $output == *"the name 'two' is in use by the instance $(field two id)"* ]]
  expect 125 duet rename two one
  expect 125 duet rename one ../x
  [[ $output == *"is no name"* ]]
  expect 125 duet rename one
  expect 125 duet rename nobody three
  expect 0 duet rename one three
  is "$output" ""
  duet rename two one
  is "$(duet ps -a --format json | jq -c '[.[] | .name]')" '["three","one"]'
  is "$(duet exec three echo there)" there
  [[ $(tr '\0' ' ' <"/proc/$(field three monitor_pid)/cmdline") == "duet-monitor three"* ]]
  # the host name stays
  is "$(duet exec three hostname)" "$(field three id)"
  expect 125 duet inspect two
  is "$(find "$DUET_ROOT/names" -mindepth 1 -printf '%f\n' | sort | xargs)" "one three"
  duet rename three three
  duet stop -t 0 three
  duet rename three four
  duet start four
  is "$(field four state)" running
  duet rm -f four one
  # one that goes at its end takes its new name along
  duet run -d --rm --name short busybox sleep 300
  duet rename short brief
  duet stop -t 0 brief
  none_listed
  is "$(left_now)" ""
}

@test "rename of many at once gives a name to one" {
  local i won=0
  for i in 1 2 3 4; do duet create --name "n$i" busybox true >/dev/null; done
  for i in 1 2 3 4; do duet rename "n$i" same 2>"$scratch/why$i" & done
  for i in 1 2 3 4; do wait -n && won=$((won + 1)) || true; done
  is "$won" 1
  is "$(duet ps -a --format json | jq '[.[] | select(.name == "same")] | length')" 1
  is "$(find "$DUET_ROOT/names" -mindepth 1 | wc -l)" 4
}

# killed_at SYSTEM-CALL N COMMAND...: the Nth such call is entered, and not done.
killed_at() {
  local call=$1 n=$2
  shift 2
  strace -qq -o "$scratch/trace" -e "trace=$call" -e "inject=$call:signal=KILL:when=$n" "$@"
}

@test "a start, or a removal, beside a rename or an update goes by what was last" {
  local id i
  for i in {1..15}; do
    id=$(duet create --name "q$i" busybox sleep 50)
    duet rename "q$i" "y$i" >/dev/null 2>"$scratch/why" &
    duet update --pids-limit 77 "$id" >/dev/null 2>&1 &
    duet start "$id"
    wait
    is "$(ls "$DUET_ROOT/names")" "$(field "$id" name)"
    # A start that takes long is not waited for.
    [[ $(field "$id" name) == "y$i" || $(cat "$scratch/why") == *"try again"* ]]
    duet rename "$id" "z$i" >/dev/null 2>&1 &
    duet rm -f "$id"
    wait
    is "$(ls "$DUET_ROOT/names")" ""
  done
}

@test "kill -9 of a rename, the client's or the monitor's, leaves one name" {
  needs_root "for strace's way of stopping it"
  command -v strace >/dev/null || skip "no strace"
  local step call name pid
  # the link, the spec, the old link's end, the note's end, the marker's end: each is entered, and not done
  for step in symlinkat:1 renameat:2 unlinkat:1 unlinkat:2 unlinkat:3; do
    call=${step%:*}
    duet create --name old busybox sleep 300 >/dev/null
    expect 137 killed_at "$call" "${step#*:}" "$DUET" rename old new
    name=$(duet ps -a --format json | jq -r '.[0].name')
    [[ $name == old || $name == new ]]
    is "$(find "$DUET_ROOT/names" -mindepth 1 -printf '%f\n')" "$name"
    is "$(find "$DUET_ROOT/live" -mindepth 1)" ""
    # both names can be had
    duet rename "$name" other
    duet create --name old busybox true >/dev/null
    duet create --name new busybox true >/dev/null
    duet rm other old new >/dev/null
  done
  for step in symlinkat:1 renameat:2 unlinkat:1 unlinkat:2; do
    call=${step%:*}
    duet run -d --name old busybox sleep 300
    pid=$(field old monitor_pid)
    strace -qq -p "$pid" -o "$scratch/trace" -e "trace=$call" -e "inject=$call:signal=KILL:when=${step#*:}" &
    wait_for 5 grep -q "TracerPid:.[1-9]" "/proc/$pid/status"
    expect 125 duet rename old new
    wait $! || true
    name=$(duet ps -a --format json | jq -r '.[0].name')
    [[ $name == old || $name == new ]]
    is "$(field "$name" state)" exited
    is "$(find "$DUET_ROOT/names" -mindepth 1 -printf '%f\n')" "$name"
    duet rm "$name"
  done
}

@test "limits and update of a VM" {
  needs limit-cpuset
  needs limit-cpus
  local pid
  duet run -d --vm --name vm -m 128m --cpuset-cpus 0 --cpu-shares 512 busybox sleep 300
  pid=$(field vm pid)
  is "$(awk '/^Cpus_allowed_list/ { print $2 }' "/proc/$pid/status")" 0
  keeps vm cpu cpu.shares 512 cpu.weight 59
  is "$(duet exec vm nproc)" 1
  duet update --cpus 0.5 --cpuset-cpus '' --cpu-shares 0 vm
  keeps vm cpu cpu.cfs_quota_us 50000 cpu.max "50000 100000"
  keeps vm cpu cpu.shares 1024 cpu.weight 100
  [ "$(awk '/^Cpus_allowed_list/ { print $2 }' "/proc/$pid/status")" != 0 ] || [ "$(nproc)" = 1 ]
  expect 125 duet update -m 256m vm
  [[ $output == *"was started with 128.0 MiB"* ]]
  if [ "$(nproc)" -gt 1 ]; then
    expect 125 duet update --cpus 2 vm
    [[ $output == *"runs with 1 vCPUs"* ]]
  fi
  expect 125 duet update --memory-swap -1 vm
  is "$(duet inspect vm | jq -c '.[0] | [.memory_limit_bytes, .cpus]')" '[134217728,0.5]'
  duet rename vm guest
  is "$(duet exec guest echo there)" there
  duet stop -t 1 guest
  duet update -m 96m --pids-limit 20 guest
  is "$(duet inspect guest | jq -c '.[0] | [.memory_limit_bytes, .pids_limit]')" '[100663296,20]'
  expect 125 duet update -m 40m guest
  [[ $output == *"a VM needs at least"* ]]
}

@test "C35 a payload that runs out of memory is told as such, and nothing else is" {
  needs_limits
  expect 137 duet run --name oom -m 32m busybox sh -c 'tail /dev/zero'
  is "$(duet inspect oom | jq -c '.[0] | [.oom_killed, .exit_code]')" '[true,137]'
  duet rm oom
  run duet run --name oom -m 32m busybox sh -c 'tail /dev/zero; echo rc=$?; exit 5'
  is "$status" 5
  [[ $output == *rc=137* ]]
  is "$(duet inspect oom | jq -c '.[0] | [.oom_killed, .exit_code]')" '[true,5]'
  duet rm oom
  expect 137 duet run --name oom -m 32m busybox dd if=/dev/zero of=/dev/shm/x bs=1M count=60
  is "$(field oom oom_killed)" true
  local id
  id=$(field oom id)
  duet rm oom
  # our process 1 is the agent: a payload that does not care for SIGTERM ends by it
  duet run -d --name oom -m 32m busybox sleep 100
  duet stop -t 1 oom
  is "$(duet inspect oom | jq -c '.[0] | [.oom_killed, .exit_code]')" '[false,143]'
  duet rm oom
  duet run -d --name oom -m 32m busybox sh -c 'trap "" TERM; while :; do sleep 1; done'
  duet stop -t 1 oom
  is "$(duet inspect oom | jq -c '.[0] | [.oom_killed, .exit_code]')" '[false,137]'
  is "$(left_now "$id" "$(field oom id)" | grep -v "$DUET_ROOT")" ""
}

# in_namespace SCRIPT: with mounts of its own.
in_namespace() { unshare -m --propagation private bash -ec "$1"; }

@test "C35 where no cgroup can be made the limit is refused" {
  needs_root "to mount"
  ! systemd_runs || skip "systemd makes them"
  local mounts='for m in $(findmnt -rno TARGET -t cgroup,cgroup2); do'
  expect 125 in_namespace "$mounts mount -o remount,bind,ro \$m; done; '$DUET' run --rm -m 32m busybox true"
  [[ $output == *"Read-only file system"* ]]
  if mountpoint -q /sys/fs/cgroup/memory; then
    expect 125 in_namespace "umount /sys/fs/cgroup/memory; '$DUET' run --rm -m 32m busybox true"
    [[ $output == *"cannot keep --memory: no usable cgroup controller 'memory'"* ]]
    expect 0 in_namespace "umount /sys/fs/cgroup/memory; '$DUET' run --rm --pids-limit 50 busybox true"
  fi
  none_listed
}
