#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# VMs in a libvirt daemon (`--connect`): what virsh sees, what it does to them, and what is left.

load lib
load daemon
load sshd
KIND=vm
system=(--vm --connect qemu:///system)

setup_file() {
  root_up
  stock_image busybox
  "$tests_dir/disk-guest/tiny" "$scratch/tiny"
  duet image import --disk-format raw --name tiny "$scratch/tiny" >/dev/null
  daemon_up
}
teardown_file() {
  local left
  sshd_down
  root_down || left=root
  left+=$(virsh_ list --all --name | grep '^duet-t-' || true)
  daemon_down
  is "$left" ""
}
teardown() { duet rm -f --all >/dev/null; }

# up NAME [OPTION...]: a VM in the background.
up() {
  local name=$1
  shift
  duet run -d "${system[@]}" --name "$name" "$@" busybox sleep 300
}
resets() { [ "$(virsh_ domstate "duet-$1")" = running ] && virsh_ reset "duet-$1" >/dev/null; }
gone() { is "$(libvirt_left "$@")" ""; }
# disk CONNECTION NAME [OPTION...]: a tiny disk's VM that has booted.
disk() { duet run -d --vm --connect "$1" --wait 'console:boot [0-9]' --name "$2" "${@:3}" tiny 2>/dev/null >/dev/null; }

# bats test_tags=host
@test "a run in the daemon gives output, exit code and nothing that stays" {
  local code=0
  echo hello | duet run --rm -i "${system[@]}" --name t-run busybox \
    sh -c 'cat /proc/sys/kernel/ostype -; exit 7' >"$scratch/out" 2>/dev/null || code=$?
  is "$code" 7
  is "$(cat "$scratch/out")" $'Linux\nhello'
  gone t-run
}

# bats test_tags=host
@test "virsh and duet tell the same" {
  up t-same --cpus 0.5
  is "$(virsh_ domstate duet-t-same)" running
  is "$(virsh_ domuuid duet-t-same)" "$(field t-same driver.domain_uuid)"
  [[ $(virsh_ desc --title duet-t-same) == *t-same*busybox* ]]
  [[ $(virsh_ metadata duet-t-same urn:duet:instance) == *"$(field t-same id)"* ]]
  is "$(field t-same connect)" qemu:///system
  is "$(duet exec t-same nproc)" 1
  [[ $(duet ps) == *t-same* ]]
  duet pause t-same
  is "$(virsh_ domstate duet-t-same)" paused
  duet unpause t-same
  is "$(state_of t-same)" running
  is "$(virsh_ domstate duet-t-same)" running
  duet exec t-same sh -c 'echo kept >/kept; sync'
  duet stop -t 1 t-same
  is "$(field t-same state)" exited
  # Only files again: what virsh lists is what runs.
  gone t-same
  duet start t-same
  is "$(duet exec t-same cat /kept)" kept
  is "$(virsh_ domstate duet-t-same)" running
  duet rm -f t-same
  gone t-same
}

@test "chosen hardware, a disk that its user may open, and a patch" {
  local disk=$DUET_ROOT/disk patch=$scratch/patch.xml
  truncate -s 1M "$disk"
  chmod 600 "$disk"
  expect 125 duet run --rm "${system[@]}" --name t-disk --disk "$disk" busybox true
  [[ $output == *"may not open"* ]]
  chmod 666 "$disk"
  echo '<domain><devices><channel type="unix"><target type="virtio" name="of.a.test"/></channel></devices></domain>' >"$patch"
  up t-disk --machine pc --vcpus 1,maxvcpus=2 --rng --disk "$disk" --xml-patch "$patch"
  is "$(duet exec t-disk sh -c 'nproc; cat /sys/block/vdc/size; head -c 4 /dev/hwrng | wc -c; cat /sys/class/virtio-ports/*/name | grep test')" \
    $'1\n2048\n4\nof.a.test'
  expect 125 duet run --rm "${system[@]}" --name t-second --disk "$disk" busybox true
  [[ $output == *"another VM has it"* ]]
  # And while it runs, one that comes and goes, and one CPU more.
  truncate -s 2M "$disk.more"
  expect 125 duet disk attach t-disk "$disk.more"
  [[ $output == *"may not open '$disk.more'"* ]]
  chmod 666 "$disk.more"
  duet disk attach t-disk "$disk.more"
  wait_for 10 duet exec t-disk grep -qx 4096 /sys/block/vdd/size
  [[ $(virsh_ domblklist duet-t-disk) == *"$disk.more"* ]]
  duet disk detach t-disk vdd
  wait_for 10 duet exec t-disk test ! -e /sys/block/vdd
  [ "$(nproc)" = 1 ] || duet update --cpus 2 t-disk
  [ "$(nproc)" = 1 ] || is "$(duet exec t-disk nproc)" 2
  duet rm -f t-disk
  gone t-disk
  is "$(stat -c '%u %a' "$disk" "$disk.more")" $'0 666\n0 666'
}

# bats test_tags=host
@test "limits are libvirt's cgroup's, figures are read there" {
  up t-limits --cpus 0.5 -m 192m
  local pid
  pid=$(field t-limits pid)
  [[ $(field t-limits payload_cgroup) == *qemu* ]]
  run ! grep -Eq "/duet-[0-9a-f]{12}(.scope)?/" "/proc/$pid/cgroup"
  [[ $(virsh_ schedinfo duet-t-limits) == *"global_quota   : 50000"* ]]
  # 192 MiB of RAM and the allowance: 128 + 64 + 3 + 16.
  is "$(virsh_ memtune duet-t-limits | awk '/^hard_limit/ { print $3 }')" "$(((192 + 211) * 1024))"
  total() { duet exec t-limits sh -c 'grep MemTotal /proc/meminfo | tr -dc 0-9'; }
  [ "$(total)" -lt 196608 ]
  duet stats --no-stream --format json t-limits >"$scratch/stats"
  jq -e '.[0] | .cpu_ns > 1e8 and .memory_limit_bytes == (192 + 211) * 1048576 and .memory_bytes > 5e7
    and .memory_bytes < .memory_limit_bytes and .pids > 1 and .read_bytes != null' "$scratch/stats"
  # All of it changes while it runs, but for the name.
  duet update -m 128m --cpus 0.7 t-limits
  [[ $(virsh_ schedinfo duet-t-limits) == *"global_quota   : 70000"* ]]
  is "$(duet stats --no-stream --format json t-limits | jq '.[0].memory_limit_bytes')" $(((128 + 210) << 20))
  [ "$(total)" -lt 131072 ]
  expect 125 duet update -m 200m --cpus 0.6 t-limits
  [[ $output == *"was started with 192.0 MiB"* ]]
  expect 125 duet rename t-limits t-other
  [[ $output == *"name from its start"* ]]
  duet update -m 192m --cpus 0 t-limits
  [ "$(total)" -gt 131072 ]
  [[ $(virsh_ schedinfo duet-t-limits) != *"global_quota   : 70000"* ]]
  is "$(virsh_ memtune duet-t-limits | awk '/^hard_limit/ { print $3 }')" "$(((192 + 211) * 1024))"
  duet stop -t 1 t-limits
  [ "$(field t-limits payload_cpu_ns)" -gt 100000000 ]
  [ "$(field t-limits peak_memory_bytes)" -gt 50000000 ]
}

# Where KVM is the group kvm's alone, as on Debian, only libvirt's own user has all that QEMU needs.
has_own_uid() {
  [ "$(field "$1" driver.accel)" = tcg ] || [ "$(stat -c %a /dev/kvm)" = 666 ]
}

# bats test_tags=host
@test "files that VMs share keep their owner, and no QEMU can write another's disk" {
  local shared before one two
  up t-one
  shared=$(duet inspect t-one | jq -r '.[0] | .root_disk, .driver.kernel_booted, .driver.initramfs')
  before=$(xargs stat -c '%u:%g %a %n' <<<"$shared")
  [[ $before == 0:0* ]]
  up t-two
  one=$(awk '/^Uid:/ { print $2 }' "/proc/$(field t-one pid)/status")
  two=$(awk '/^Uid:/ { print $2 }' "/proc/$(field t-two pid)/status")
  if has_own_uid t-one; then
    [ "$one" -ge 524288 ]
    [ "$two" -ge 524288 ]
    [ "$one" != "$two" ]
  else
    # AppArmor's profile is what keeps them apart.
    is "$(cat "/proc/$(field t-one pid)/attr/current")" "libvirt-$(field t-one driver.domain_uuid) (enforce)"
    is "$(cat "/proc/$(field t-two pid)/attr/current")" "libvirt-$(field t-two driver.domain_uuid) (enforce)"
  fi
  is "$(stat -c '%u %a' "$DUET_ROOT/instances/$(field t-one id)/rw.img")" "$one 600"
  is "$(xargs stat -c '%u:%g %a %n' <<<"$shared")" "$before"
  duet rm -f t-one
  is "$(xargs stat -c '%u:%g %a %n' <<<"$shared")" "$before"
  is "$(duet exec t-two echo lives)" lives
}

# bats test_tags=host
@test "virsh destroy ends the instance, virsh reset is another run of it, and duet knows at once" {
  up t-ended
  duet exec t-ended sh -c 'echo kept >/kept; sync'
  virsh_ reset duet-t-ended >/dev/null
  wait_for 20 runs_again t-ended
  is "$(duet exec t-ended cat /kept)" kept
  is "$(virsh_ domstate duet-t-ended)" running
  virsh_ destroy duet-t-ended >/dev/null
  wait_for 3 has_state t-ended exited
  is "$(duet wait t-ended)" 137
  gone t-ended
}

# bats test_tags=full
@test "virsh reset of a VM that boots has it boot anew" {
  duet run -d "${system[@]}" --name t-early busybox sleep 300 3>&- &
  wait_for 20 resets t-early
  wait $!
  runs_again t-early
  is "$(duet exec t-early echo lives)" lives
}

# bats test_tags=full
@test "a guest that reboots, or panics, is told as such in a daemon, too" {
  expect 137 duet run "${system[@]}" --name t-boots busybox sh -c 'reboot -f; sleep 100'
  is "$(field t-boots error)" "the guest rebooted, with which a VM ends that has no --restart"
  expect 137 duet run "${system[@]}" --name t-panics busybox sh -c 'sleep 1.5; echo c >/proc/sysrq-trigger; sleep 100'
  [[ $(field t-panics error) == "the guest's kernel panicked"* ]]
  gone
}

# bats test_tags=host,full
@test "virsh shutdown is a stop" {
  duet run -d "${system[@]}" --name t-button busybox \
    sh -c 'trap "echo asked; exit 3" TERM; echo up; while :; do sleep 0.1; done' 2>/dev/null
  wait_for 10 wrote t-button up
  virsh_ shutdown duet-t-button
  wait_for 20 has_state t-button exited
  is "$(duet wait t-button)" 3
  wrote t-button asked
  gone t-button
}

# bats test_tags=host
@test "virsh suspend and resume are a pause and its end, virsh reboot is a restart" {
  duet run -d "${system[@]}" --name t-asked busybox \
    sh -c 'trap "echo asked; exit 3" TERM; echo up; while :; do sleep 0.1; done' 2>/dev/null
  virsh_ suspend duet-t-asked
  wait_for 5 has_state t-asked paused
  expect 125 duet exec t-asked true
  [[ $output == *"it is paused"* ]]
  virsh_ resume duet-t-asked
  wait_for 5 has_state t-asked running
  # Either of them ends what the other began.
  virsh_ suspend duet-t-asked
  wait_for 5 has_state t-asked paused
  duet unpause t-asked
  is "$(virsh_ domstate duet-t-asked)" running
  duet pause t-asked
  virsh_ resume duet-t-asked
  wait_for 5 has_state t-asked running
  is "$(duet exec t-asked echo lives)" lives
  wait_for 10 wrote t-asked up
  virsh_ reboot duet-t-asked
  wait_for $((30 * slow)) runs_again t-asked
  is "$(duet exec t-asked echo lives)" lives
  is "$(virsh_ domstate duet-t-asked)" running
  wrote t-asked asked
  is "$(duet events --since 5m --until 0s --filter container=t-asked --format json | jq -r .event | tr '\n' ' ')" \
    "create start ready pause unpause pause unpause pause unpause died restart start ready "
  duet rm -f t-asked
  gone t-asked
}

# bats test_tags=full
@test "a domain that is undefined and destroyed behind our back is gone, no more" {
  up t-behind
  virsh_ undefine duet-t-behind
  is "$(duet exec t-behind echo lives)" lives
  virsh_ destroy duet-t-behind
  wait_for 3 has_state t-behind exited
  gone t-behind
  duet rm t-behind
}

# bats test_tags=host
@test "kill -9 of the monitor: the next command takes the domain away" {
  local pid
  up t-monitor
  pid=$(field t-monitor pid)
  kill -KILL "$(field t-monitor monitor_pid)"
  duet ps >/dev/null
  run ! kill -0 "$pid"
  is "$(state_of t-monitor)" exited
  gone t-monitor
  [[ $(field t-monitor error) == *"cleaned up"* ]]
}

# bats test_tags=full
@test "kill -9 of the worker ends the VM, says so, and leaves no domain" {
  local pid
  up t-worker
  pid=$(field t-worker pid)
  kill -KILL "$(pgrep -P "$(field t-worker monitor_pid)" -x duet-monitor)"
  wait_for 10 has_state t-worker exited
  run ! kill -0 "$pid"
  [[ $(field t-worker error) == *"worker died"* ]]
  gone t-worker
}

@test "a domain that does not say that it is ours is left alone" {
  up t-foreign
  virsh_ metadata duet-t-foreign urn:duet:instance --remove --live --config >/dev/null
  kill -KILL "$(field t-foreign monitor_pid)"
  [[ $(field t-foreign error) == *"left alone"* ]]
  virsh_ dominfo duet-t-foreign >/dev/null
  expect 125 duet rm -f t-foreign
  [[ $output == *"left alone"* ]]
  virsh_ undefine duet-t-foreign
  duet rm t-foreign
  gone t-foreign
}

# bats test_tags=full
@test "a name that libvirt has already is refused, and its owner keeps it" {
  virsh_ define /dev/stdin >/dev/null <<'XML'
<domain type='qemu'><name>duet-t-taken</name><memory unit='MiB'>64</memory>
<os><type arch='x86_64'>hvm</type></os></domain>
XML
  expect 125 duet run --rm "${system[@]}" --name t-taken busybox true
  [[ $output == *"has a domain 'duet-t-taken' already"* ]]
  virsh_ undefine duet-t-taken
  none_listed
}

@test "where no daemon answers, one clear error says what to do" {
  expect 125 in_ns unshare -m sh -c 'mount -t tmpfs tmpfs /run/libvirt && exec "$@"' sh \
    "$DUET" run --rm "${system[@]}" busybox true
  [[ $output == *"cannot connect to 'qemu:///system'"*"systemctl start libvirtd"*"leave out --connect"* ]]
  none_listed
}

@test "connections that duet can't use are refused before anything starts" {
  expect 125 duet run --rm --vm --connect qemu+ssh://host/system busybox true
  [[ $output == *"ssh"* ]]
  for uri in qemu+tls://host/system qemu+ssh:///system qemu+ssh://-oProxyCommand=x/system qemu+ssh://host/embed xen:///system \
    qemu+SSH://host/system 'qemu+ssh://a%20b/system' 'qemu+ssh://a;b/system' 'qemu+ssh://-oProxyCommand=x@host/system' \
    'qemu+ssh://a$(b)@host/system' qemu+ssh://host/system#session qemu+ssh://host:99999/system; do
    expect 125 duet create --vm --connect "$uri" busybox true
    [[ $output == *"no connection that duet knows"* ]]
  done
  expect 125 duet run --rm --vm --connect xen:///system busybox true
  [[ $output == *"qemu:///system"* ]]
  expect 125 duet run --rm --connect qemu:///system busybox true
  [[ $output == *"--vm"* ]]
  DUET_CONNECT=qemu:///system expect 0 duet run --rm busybox true
  is "$(DUET_CONNECT=qemu:///system duet create --vm busybox true | xargs -I@ "$DUET" inspect @ | jq -r '.[0].connect')" \
    qemu:///system
  is "$(DUET_CONNECT=qemu:///system duet create --vm --connect qemu:///embed busybox true |
    xargs -I@ "$DUET" inspect @ | jq -r '.[0].connect')" null
}

# bats test_tags=host
@test "a VM is saved, and goes on: by the daemon, under its name" {
  local pid was disk=$DUET_ROOT/disk
  up t-saved -m 160m --vcpus maxvcpus=2
  # What changed of it goes with it.
  truncate -s 3M "$disk"
  chmod 666 "$disk"
  duet disk attach t-saved "$disk"
  duet update -m 128m t-saved
  [ "$(nproc)" = 1 ] || duet update --cpus 2 t-saved
  duet update --cpus 0.9 t-saved
  look() { duet exec t-saved sh -c 'grep MemTotal /proc/meminfo; nproc; cat /sys/block/vdc/size'; virsh_ memtune duet-t-saved; }
  was=$(look)
  duet exec t-saved sh -c 'echo remembered >/dev/shm/memory; sleep 1000 >/dev/null 2>&1 &'
  pid=$(duet exec t-saved pidof sleep)
  duet save t-saved
  is "$(state_of t-saved)" saved
  # Files again, as of one that was stopped: nobody can start it without us.
  gone t-saved
  duet restore t-saved 2>/dev/null
  is "$(virsh_ domstate duet-t-saved)" running
  is "$(virsh_ dominfo duet-t-saved | awk '/^Persistent/ { print $2 }')" yes
  is "$(duet exec t-saved sh -c 'cat /dev/shm/memory; pidof sleep')" "remembered"$'\n'"$pid"
  is "$(look)" "$was"
  # And it changes again.
  duet update -m 160m t-saved
  duet disk detach t-saved vdc
  duet rm -f t-saved
  gone t-saved
}

# bats test_tags=full
@test "what the memory of a daemon's VM goes with, and what it does not" {
  local round victim
  up t-kept -m 128m
  duet exec t-kept sh -c 'echo before >/file; echo remembered >/dev/shm/memory'
  is "$(duet snapshot create --stateful t-kept live 2>/dev/null)" live
  duet exec t-kept sh -c 'echo after >/file; rm /dev/shm/memory'
  duet save t-kept
  expect 125 duet clone t-kept t-twin
  [[ $output == *"gives a saved memory to no VM of another name"* && $(wc -l <<<"$output") = 1 ]]
  expect 125 duet clone --snapshot live t-kept t-twin
  duet rename t-kept t-other
  expect 125 duet restore t-other
  [[ $output == *"another name ('t-kept' then, 't-other' now)"* ]]
  duet rename t-other t-kept
  duet update --cpus 0.5 t-kept
  expect 125 duet restore t-kept
  [[ $output == *"limit of CPU time"* ]]
  is "$(state_of t-kept)" saved
  duet update --cpus 0 t-kept
  # Another user than before runs it where another VM has the number that it had.
  up t-between
  duet restore t-kept 2>/dev/null
  is "$(duet exec t-kept cat /file)" after
  duet stop -t 0 t-kept t-between
  duet snapshot restore t-kept live
  duet start t-kept 2>/dev/null
  is "$(duet exec t-kept cat /file /dev/shm/memory)" $'before\nremembered'
  # Whatever is killed: it runs, is saved, or ended as by any such kill; the daemon has what runs.
  for round in save:monitor save:worker save:client restore:monitor restore:worker restore:client; do
    [ "$(state_of t-kept)" = running ] || duet start t-kept 2>/dev/null
    [ "${round%:*}" = save ] || duet save t-kept
    in_ns "$DUET" "${round%:*}" t-kept >/dev/null 2>&1 &
    victim=$!
    sleep 0.5
    case $round in
    *monitor) kill -9 "$(monitors t-kept | head -n 1)" || true ;;
    *worker) kill -9 "$(monitors t-kept | tail -n 1)" || true ;;
    *client) kill -9 $victim || true ;;
    esac
    wait $victim || true
    wait_for 30 eval '[[ $(state_of t-kept) =~ ^(running|saved|exited)$ ]]'
    sleep 2
    echo "$round: $(state_of t-kept)"
    [ "$(state_of t-kept)" = running ] || gone t-kept
  done
  duet rm -f --all >/dev/null
  gone t-kept t-between
}

# bats test_tags=full
@test "a daemon that finds no room for a VM's memory lets it go on" {
  local small=$DUET_ROOT/small
  # Where the daemon sees it.
  mkdir -m 0711 "$small"
  in_ns mount -t tmpfs -o size=60m,mode=0711 small "$small"
  DUET_ROOT=$small duet image import --name busybox "$scratch/busybox.tar" >/dev/null
  DUET_ROOT=$small up t-full -m 128m
  DUET_ROOT=$small duet exec t-full sh -c 'echo kept >/dev/shm/memory; head -c 41943040 /dev/urandom >/dev/shm/big'
  DUET_ROOT=$small expect 125 duet save t-full
  [[ $output == *"No space left on device"* ]]
  is "$(DUET_ROOT=$small duet exec t-full cat /dev/shm/memory)" kept
  in_ns test ! -e "$small/instances/$(DUET_ROOT=$small field t-full id)/saved.new"
  in_ns mount -o remount,size=400m "$small"
  DUET_ROOT=$small duet save t-full
  in_ns sh -c 'cat /dev/zero >"$1/fill"' sh "$small" 2>/dev/null || true
  DUET_ROOT=$small expect 125 duet restore t-full
  is "$(DUET_ROOT=$small state_of t-full)" saved
  in_ns rm "$small/fill"
  DUET_ROOT=$small duet restore t-full 2>/dev/null
  is "$(DUET_ROOT=$small duet exec t-full cat /dev/shm/memory)" kept
  DUET_ROOT=$small duet rm -f t-full
  in_ns umount "$small"
  gone t-full
}

# bats test_tags=host,full
@test "a disk is a VM of the daemon's as any" {
  local id
  disk qemu:///system t-disk --graphics unix
  id=$(field t-disk id)
  is "$(virsh_ domstate duet-t-disk)" running
  types t-disk hello
  is "$(duet view --print t-disk)" "vnc+unix:///run/duet/$id/vnc/socket"
  is "$(stat -c '%u %a' "$DUET_ROOT/instances/$id/rw.qcow2")" "$(awk '/^Uid:/ { print $2 }' "/proc/$(field t-disk pid)/status") 600"
  expect 125 duet exec t-disk true
  [[ $output == *"no guest agent answers"* ]]
  duet stop t-disk
  is "$(field t-disk exit_code)" 0
  gone t-disk
  # The overlay is there at its next start.
  duet start t-disk 2>/dev/null
  shows t-disk "boot 2"
}

# bats test_tags=host,full
@test "a disk's VM is saved, and goes on by the daemon" {
  disk qemu:///system t-disk --graphics unix
  types t-disk i
  duet save t-disk
  is "$(state_of t-disk)" saved
  gone t-disk
  expect 125 duet clone t-disk t-twin
  [[ $output == *"gives a saved memory to no VM of another name"* ]]
  duet restore t-disk 2>/dev/null
  is "$(virsh_ domstate duet-t-disk)" running
  types t-disk hello
  is "$(duet snapshot create --stateful t-disk live 2>/dev/null)" live
  types t-disk again
  # The button is ignored by what is in its memory.
  duet stop -t 1 t-disk
  is "$(field t-disk exit_code)" 137
  gone t-disk
  duet snapshot restore t-disk live
  duet start t-disk 2>/dev/null
  types t-disk back
  run ! shows t-disk "boot 2"
}

# bats test_tags=full
@test "a disk's end by virsh, a kill, and a daemon that comes back" {
  local qemu
  disk qemu:///system t-disk --graphics loopback
  duet view --print t-disk | grep -q '^vnc://127.0.0.1:59'
  virsh_ reset duet-t-disk >/dev/null
  wait_for 20 shows t-disk "boot 2"
  virsh_ destroy duet-t-disk >/dev/null
  wait_for 5 has_state t-disk exited
  is "$(duet wait t-disk)" 137
  gone t-disk
  duet start t-disk 2>/dev/null
  daemon_stop KILL
  types t-disk hello
  daemon_start
  wait_for 10 virsh_ uri
  duet pause t-disk
  duet unpause t-disk
  duet stop t-disk
  is "$(field t-disk exit_code)" 0
  duet start t-disk 2>/dev/null
  qemu=$(field t-disk pid)
  kill -9 "$(field t-disk monitor_pid)"
  is "$(state_of t-disk)" exited
  run ! kill -0 "$qemu"
  gone t-disk
}

# bats test_tags=full
@test "a Debian in the daemon: its agent answers, also to a daemon that comes back; UEFI keeps its variables" {
  local disk=${DUET_DISK_GUEST:-$source_dir/build/disk-guest.qcow2} boot vars
  "$tests_dir/disk-guest/make" "$disk" >"$scratch/make.log" 2>&1 || { tail -n 30 "$scratch/make.log"; return 1; }
  duet image import --name deb "$disk" >/dev/null
  duet run -d "${system[@]}" --name t-deb --hostname named --firmware uefi --vcpus maxvcpus=2 --wait agent deb >/dev/null 2>&1
  expect 7 duet exec t-deb sh -c 'echo out; echo err >&2; exit 7'
  wait_for $((120 * slow)) duet exec t-deb test -e /run/cloud-init/result.json
  is "$(duet exec t-deb hostname)" named
  is "$(duet exec t-deb head -c 2000000 /dev/zero | wc -c)" 2000000
  expect 125 duet exec t-deb head -c 5000000 /dev/zero
  [[ $output == *"3 MiB"*"to a file"* ]]
  is "$(duet exec t-deb echo lives)" lives
  boot=$(duet exec t-deb cat /proc/sys/kernel/random/boot_id)
  duet save t-deb
  gone t-deb
  sleep 5
  duet restore t-deb 2>/dev/null
  is "$(duet exec t-deb cat /proc/sys/kernel/random/boot_id)" "$boot"
  [ $(($(date +%s) - $(duet exec t-deb date +%s))) -le 4 ]
  daemon_stop KILL
  expect 125 duet exec t-deb true
  daemon_start
  wait_for 60 duet exec t-deb true
  is "$(field t-deb guest_agent)" true
  debian_changes t-deb
  vars=$DUET_ROOT/instances/$(field t-deb id)/vars.fd
  duet stop t-deb
  is "$(field t-deb exit_code)" 0
  [ -s "$vars" ]
  gone t-deb
  duet rm t-deb
  duet image rm deb >/dev/null
}

@test "a disk's VM in a daemon of this host that ssh reaches, and what ssh says no to is one error" {
  sshd_up
  refused() { expect 125 duet run --rm --vm --connect "$1" --name t-far tiny && [[ $output == *"$2"* && $(wc -l <<<"$output") = 1 ]] || { echo "not '$2': $output"; return 1; }; }
  disk "$far" t-far
  is "$(virsh_ domstate duet-t-far)" running
  types t-far hello
  # A tunnel that is cut is dug again.
  pkill -P "$(monitors t-far | tail -n 1)" ssh
  wait_for 10 duet pause t-far
  duet unpause t-far
  # Its button is the guest's own.
  virsh_ shutdown duet-t-far >/dev/null
  wait_for 20 has_state t-far exited
  is "$(field t-far exit_code)" 0
  duet rm t-far
  gone t-far
  refused "${far/keyfile=*/keyfile=$scratch/ssh/other}" "ssh-copy-id -p $(sshd_port) root@127.0.0.1"
  mv "$scratch/ssh/known" "$scratch/ssh/known.away"
  refused "$far" "key is not known"
  mv "$scratch/ssh/known.away" "$scratch/ssh/known"
  is "$(duet ps -aq)" ""
}

# bats test_tags=full
@test "another host, another container, no daemon, no netcat, no sshd there: one error each" {
  local option
  refused() { expect 125 timeout 60 "$DUET" run --rm --vm --connect "$1" --name t-far tiny && [[ $output == *"$2"* && $(wc -l <<<"$output") = 1 ]] || { echo "not '$2': $output"; return 1; }; none_listed; }
  sshd_up sh -c 'echo 00000000-0000-0000-0000-000000000000 >"$0" && mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"' "$scratch/boot_id"
  refused "$far" "is another host"
  [[ $output == *"ssh -p $(sshd_port) root@127.0.0.1 duet run"* ]]
  sshd_up sh -c 'mount -t tmpfs tmpfs "$0" && exec "$@"' "$DUET_ROOT"
  refused "$far" "does not see '$DUET_ROOT/"
  sshd_up sh -c 'mount -t tmpfs tmpfs /run/libvirt && exec "$@"' sh
  refused "$far" "ssh -p $(sshd_port) root@127.0.0.1 systemctl start libvirtd.socket"
  sshd_up sh -c 'mount --bind /dev/null "$0" && exec "$@"' "$(command -v virt-ssh-helper)"
  [ -x "$(command -v nc)" ] || refused "$far" "netcat-openbsd"
  sshd_up
  refused "${far/root@/nobody@}" "Permission denied"
  sshd_down
  refused "$far" "Connection refused"
  refused "${far/127.0.0.1/nowhere.invalid}" "is the name right"
  refused "${far/command=*&/command=/no/such\&}" "openssh-client"
  # Somebody listens there, and says nothing.
  python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", '"$(sshd_port)"'))
time.sleep(60)' 3>&- &
  wait_for 10 bash -c ": </dev/tcp/127.0.0.1/$(sshd_port)"
  SECONDS=0
  refused "$far" "timed out"
  [ $SECONDS -lt 30 ]
  kill $!
  gone t-far
}

# bats test_tags=full
@test "root's session is the system's daemon" {
  is "$(duet run --rm --vm --connect qemu:///session --name t-session busybox echo hi 2>/dev/null)" hi
  gone t-session
}

# bats test_tags=host
@test "a daemon that dies and comes back loses no VM" {
  up t-restart
  daemon_stop KILL
  is "$(duet exec t-restart echo lives)" lives
  expect 125 duet pause t-restart
  [[ $output == *"cannot connect"* ]]
  daemon_start
  duet pause t-restart
  is "$(virsh_ domstate duet-t-restart)" paused
  duet unpause t-restart
  daemon_stop KILL
  daemon_start
  # It is found again by itself.
  sleep 3
  virsh_ shutdown duet-t-restart
  wait_for 20 has_state t-restart exited
  gone t-restart
}

# bats test_tags=host
@test "a VM ends without its daemon, and is cleaned up when that is back" {
  local pid
  up t-alone
  pid=$(field t-alone pid)
  daemon_stop TERM
  duet stop -t 1 t-alone
  run ! kill -0 "$pid"
  is "$(state_of t-alone)" exited
  [[ $(field t-alone error) == *"cannot connect"* ]]
  expect 125 duet rm t-alone
  [[ $output == *"cannot connect"* ]]
  daemon_start
  duet ps >/dev/null
  gone t-alone
  duet rm t-alone
}

# bats test_tags=host
# bats test_tags=full
@test "a VM whose folder the daemon's virtiofsd serves no more ends with the reason" {
  local folder=$scratch/served
  mkdir -p "$folder"
  echo in >"$folder/file"
  up t-served -v "$folder:/mnt"
  is "$(duet exec t-served cat /mnt/file)" in
  kill -9 "$(pgrep -o -f "^[^ ]*virtiofsd .*source=$folder")"
  wait_for 10 has_state t-served exited
  is "$(duet wait t-served)" 125
  [[ $(field t-served error) == "the folder '$folder' can no longer be served: virtiofsd is gone"* ]]
  gone t-served
}

@test "whole folders are shared, and what can't be kept is refused" {
  mkdir -p "$scratch/folder"
  chmod 755 "$scratch"
  echo in >"$scratch/folder/file"
  is "$(duet run --rm "${system[@]}" --name t-folder -v "$scratch/folder:/mnt" busybox cat /mnt/file 2>/dev/null)" in
  gone t-folder
  expect 125 duet run --rm "${system[@]}" -v "$scratch/folder:/mnt:ro" busybox true
  [[ $output == *"not read-only"* ]]
}

# bats test_tags=host
@test "a root directory that QEMU's user can't pass is named" {
  local mode
  # Only that one is closed.
  chmod 0711 "$scratch"
  mkdir "$scratch/closed"
  duet --root "$scratch/closed" image import --name busybox "$scratch/busybox.tar" >/dev/null
  # Root's group may pass the second; that the caller is in it is not QEMU's.
  for mode in 0700 0750; do
    chmod $mode "$scratch/closed"
    expect 125 in_ns setpriv --groups 0 "$DUET" --root "$scratch/closed" run --rm "${system[@]}" busybox true
    [[ $output == *"$scratch/closed"*"passable"* ]]
  done
}

@test "a domain that virsh makes is measured beside ours, and leaves nothing" {
  run --separate-stderr duet bench boot --arms container --peers virsh -n 1 -o "$scratch/virsh.json" \
    busybox -- echo hello
  echo "$output$stderr"
  is "$status" 0
  jq -e '(.arms | map(.name)) == ["container", "virsh"] and (.arms[1].driver.peer_version | test("libvirt"))
    and all(.samples[]; .status == "ok" and .warnings == [] and .command_ns.output > 0
      and .command_ns.output <= .command_ns.exit)' "$scratch/virsh.json" || { jq -c '.samples[]' "$scratch/virsh.json" && false; }
  # What the guest said came through the domain's console.
  is "$(virsh_ list --all --name | grep '^duet-')" ""
  is "$(find "$DUET_ROOT" -maxdepth 1 -name 'peers-*')" ""
}

# bats test_tags=full
@test "a daemon that hangs keeps no VM from being killed" {
  [ -n "${libvirt_ns:-}" ] || skip "the host's own daemon is left alone"
  local daemon qemu code=0 ended=
  ended() { [[ $(cat "/proc/$1/stat" 2>/dev/null) == @(|*") Z "*) ]]; }
  up t-hung
  daemon=$(in_ns cat /run/libvirt/libvirtd.pid)
  qemu=$(field t-hung pid)
  [ -e "/proc/$qemu" ]
  kill -STOP "$daemon"
  in_ns timeout 20 "$DUET" kill t-hung || code=$?
  wait_for 10 ended "$qemu" && ended=1
  kill -CONT "$daemon"
  is "$code" 0
  is "$ended" 1
  wait_for 60 has_state t-hung exited
  gone t-hung
}
