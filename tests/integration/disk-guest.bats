#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Disks as VMs. A system of one sector (tests/disk-guest/tiny.S) boots at once and does what it is typed;
# a real Debian has cloud-init and a guest agent.

load lib
KIND=vm

setup_file() {
  root_up
  stock_image busybox
  "$tests_dir/disk-guest/tiny" "$scratch/tiny"
  duet image import --disk-format raw --name tiny "$scratch/tiny" >/dev/null
  before=$(vm_disk tiny | xargs sha256sum)
  export before
}
teardown_file() {
  local after status=0
  # Nothing that a guest did reached its image.
  after=$(sha256sum "${before#*  }")
  is "$after" "$before" || status=1
  root_down && return $status
}
teardown() { duet rm -f --all >/dev/null; }

# vm_disk IMAGE: the file that its guests are overlays of.
vm_disk() { duet image inspect "$1" | jq -r '.[0].store.disk'; }
# up NAME [OPTION...]: a tiny one that has booted.
up() { duet run -d --vm --wait 'console:boot [0-9]' --name "$@" tiny 2>/dev/null >/dev/null; }
process_gone() { ! [ -s "/proc/$1/cmdline" ]; }
# typed NAME TEXT: at its console, which is left then.
typed() { { printf %s "$2"; sleep 0.5; printf '\020\021'; } | duet console "$1" 2>/dev/null; }
# refused WORD OPTION... -- IMAGE [WORD...]: `create` says WORD in one line, and makes nothing.
refused() {
  local word=$1
  shift
  expect 125 duet create --vm "$@"
  [[ $output == *"$word"* ]] || { echo "not '$word': $output"; return 1; }
  is "$(wc -l <<<"$output")" 1
  none_listed
}

@test "a disk boots, is at its console, and ends by its own power-off with 0" {
  { sleep 1; printf xyp; } | duet run -it --vm --rm --name t tiny >"$scratch/said" 2>/dev/null
  is "$(tr -d '\r' <"$scratch/said" | tr '\n' /)" 'tiny: boot 1/xy'
  none_listed
}

@test "stop presses the power button; what was written is there after a start" {
  up t
  [[ $(typed t hello) == *hello* ]]
  duet stop t >/dev/null
  is "$(field t exit_code)" 0
  [[ $(duet logs t) == *"boot 1"*hello*button* ]]
  duet start t >/dev/null 2>&1
  is "$(duet logs t | grep -c 'boot 2')" 1
  duet restart t >/dev/null 2>&1
  [[ $(duet logs t) == *"boot 3"* ]]
}

@test "a guest that ignores the button is ended when its time is over; a reset ends none" {
  up t
  [[ $(typed t r) == *"boot 2"* ]]
  typed t i >/dev/null
  duet stop -t 1 t >/dev/null
  is "$(field t exit_code) $(field t exit_signal)" "137 9"
  [[ $(duet logs t) == *button* ]]
}

@test "kill: TERM is the button, KILL the plug, others are refused" {
  up t
  expect 125 duet kill -s HUP t
  [[ $output == *"no signals but TERM"* ]]
  duet kill -s TERM t >/dev/null
  is "$(duet wait t)" 0
  duet start t >/dev/null 2>&1
  duet kill t >/dev/null
  is "$(duet wait t)" 137
}

@test "--restart starts it again after its power-off, until it is stopped" {
  up t --restart always
  typed t p >/dev/null
  wait_for 20 booted t 2
  duet stop t >/dev/null
  is "$(field t state)" exited
}
booted() { duet logs "$1" | grep -q "boot $2"; }

@test "snapshot, restore and clone of what a guest wrote" {
  up t
  duet stop t >/dev/null
  duet snapshot create t one >/dev/null
  duet start t >/dev/null 2>&1
  duet stop t >/dev/null
  duet clone --snapshot one t copy >/dev/null
  duet start copy >/dev/null 2>&1
  [[ $(duet logs copy) == *"boot 2"* ]]
  duet start t >/dev/null 2>&1
  [[ $(duet logs t) == *"boot 3"* ]]
  duet stop t copy >/dev/null
  duet snapshot restore t one >/dev/null
  duet start t >/dev/null 2>&1
  [[ $(duet logs t) == *"boot 2"* ]]
}

@test "ps, stats, events and inspect know it" {
  up t --label tier=disk -m 128m
  is "$(duet ps -q --filter label=tier=disk)" "$(field t id)"
  is "$(field t guest_agent) $(field t disk.firmware) $(field t disk.size_bytes)" "false bios 1048576"
  is "$(field t driver.memory_bytes)" $((128 << 20))
  [[ $(duet stats --no-stream t) == *" t "* ]]
  duet pause t >/dev/null
  duet unpause t >/dev/null
  [[ $(typed t ok) == *ok* ]]
  [[ $(duet events --since 1m --until 0s --filter container=t | tr '\n' ' ') == *create*start*ready*pause*unpause* ]]
}

@test "without a guest agent exec and cp say so, and what to do" {
  up t
  expect 125 duet exec t true
  [[ $output == *"no guest agent answers"*"duet console"* ]]
  expect 125 duet cp t:/etc/hosts "$scratch/"
  [[ $output == *"no guest agent answers"* ]]
  expect 125 duet top t
  [[ $output == *"no guest agent answers"* ]]
  duet stop t >/dev/null
  expect 125 duet cp t:/etc/hosts "$scratch/"
  [[ $output == *"only while it runs"*"duet start t"* ]]
  is "$(field t state)" exited
}

@test "what is nothing for a disk is refused, and nothing is made" {
  local option
  refused "a command can't be given" tiny true
  for option in --env=A --env-file=/dev/null --workdir=/ --user=root --entrypoint=x --group-add=1 --ulimit=core=0 \
    --sysctl=kernel.panic=1 --shm-size=1m --read-only --tmpfs=/t --cap-add=ALL --cap-drop=ALL \
    --mount=type=tmpfs,target=/t --stop-signal=INT --kernel=/boot/x; do
    refused "can't be given to the disk 'tiny:latest'" "$option" tiny
  done
  refused 'nothing for a disk' --pids-limit 5 tiny
  refused 'can only grow' --disk-size 512k tiny
  refused 'no firmware' --firmware efi tiny
  refused 'none of agent' --wait soon tiny
  refused 'no network card' --wait ip tiny
  for option in '' $'a\tb' $'a\xffb' 'a: b' -a; do refused 'no host name' --hostname="$option" tiny; done
  refused '--wait' --wait 'console:(' tiny
  refused 'private key' --ssh-key <(echo '-----BEGIN OPENSSH PRIVATE KEY-----') tiny
  refused 'no public key' --ssh-key <(echo 'nonsense') tiny
  refused '--user-data' --user-data "$scratch/nowhere" tiny
  refused '--network-config' --network-config "$scratch/nowhere" tiny
  refused 'is no text' --network-config <(printf 'version: \xff') tiny
  refused 'is for disks only' --network-config /dev/null busybox true
  refused 'is for disks only' --firmware uefi busybox true
  expect 125 duet console nobody
  duet create --name box busybox true >/dev/null
  expect 125 duet console box
  [[ $output == *"no serial console"* ]]
}

@test "a limit of its processes is refused at once, and other changes count" {
  truncate -s 1M "$scratch/more"
  up t
  SECONDS=0
  expect 125 duet update --pids-limit 9 t
  [[ $output == *"disk's own system"* && $(wc -l <<<"$output") = 1 && $SECONDS -lt 4 ]] || { echo "$output"; return 1; }
  duet update --cpus 0.9 t
  is "$(duet inspect t | jq -c '.[0] | [.memory_limit_bytes, .pids_limit, .cpus]')" '[0,0,0.9]'
  duet disk attach t "$scratch/more"
  [[ $(typed t hello) == *hello* ]]
  duet stop t >/dev/null
  expect 125 duet update --pids-limit 9 t
  [[ $output == *"nothing for a disk"* ]]
  duet update -m 128m t >/dev/null
  duet start t 2>/dev/null
  is "$(field t driver.memory_bytes)" $((128 << 20))
  is "$(duet disk ls t | awk '{ print $1, $4 }' | tail -n 1)" "vdc $scratch/more"
}

@test "without a driver and an agent memory stays, and vCPUs are plugged in, which is said" {
  up t --vcpus maxvcpus=2
  expect 125 duet update -m 100m --cpus 0.7 t
  [[ $output == *"no driver of the balloon"* && $(wc -l <<<"$output") = 1 ]] || { echo "$output"; return 1; }
  is "$(duet inspect t | jq -c '.[0] | [.memory_limit_bytes, .cpus]')" '[0,0]'
  if [ "$(nproc)" -gt 1 ]; then
    expect 0 duet update --cpus 2 t
    [[ $output == *"it has 2 vCPUs now"*"no guest agent answers"* && $(wc -l <<<"$output") = 2 ]] || { echo "$output"; return 1; }
    is "$(field t cpus)" 2
    is "$(duet update --cpus 1 t 2>&1)" t
  fi
  [[ $(typed t hello) == *hello* ]]
  # Its end in the middle of a change.
  "$DUET" update -m 100m t >/dev/null 2>&1 &
  sleep 0.5
  kill -9 "$(field t pid)"
  wait_for 5 has_state t exited
  wait $! || true
}

@test "compare and bench refuse a disk" {
  expect 125 duet compare tiny -- true
  [[ $output == *"is a disk"* ]]
  expect 125 duet bench boot --arms vm -n 1 tiny -- true
  [[ $output == *"is a disk"* ]]
}

@test "an image is kept while a disk's instance is there" {
  duet create --vm --name t tiny >/dev/null
  expect 125 duet image rm tiny
  [[ $output == *"in use"* || $output == *"use"* ]]
}

@test "of a monitor that was killed nothing is left, and the disk boots again" {
  local monitor qemu
  up t
  monitor=$(field t monitor_pid) qemu=$(field t pid)
  kill -9 "$monitor"
  is "$(field t state)" exited
  wait_for 5 process_gone "$qemu"
  duet start t >/dev/null 2>&1
  [[ $(duet logs t) == *"boot 2"* ]]
}

@test "a seed tells cloud-init who it is, and belongs to the VM alone" {
  echo '#cloud-config' >"$scratch/user-data"
  echo 'ssh-ed25519 AAAAC3Nza somebody' >"$scratch/key.pub"
  up t --hostname named --user-data "$scratch/user-data" --ssh-key "$scratch/key.pub"
  local seed
  seed=$DUET_ROOT/instances/$(field t id)/seed.img
  is "$(stat -c %a "$seed")" 600
  grep -qa '"local-hostname" : "named"' "$seed"
  grep -qa '"ssh-ed25519 AAAAC3Nza somebody"' "$seed"
  is "$(blkid -o value -s LABEL "$seed")" CIDATA
}

# not_there NAME: nothing of it runs, or is half made.
not_there() {
  local id
  id=$(field "$1" id)
  is "$(find "$DUET_ROOT/live" -mindepth 1 -name "$id"
    find "$(run_base)/$id" "$DUET_ROOT/instances/$id"/{sock,saved.new,saved.used,copy.new,copy.commit} -maxdepth 0 2>/dev/null || true
    pgrep -f "guest=$id" || true)" ""
}

@test "a disk without an agent is saved, and goes on where it was" {
  local qemu
  up t --restart always
  qemu=$(field t pid)
  "$DUET" attach t >/dev/null 2>&1 &
  sleep 0.5
  expect 125 duet save t
  [[ $output == *attached* ]]
  kill -9 $!
  wait $! || true
  is "$(duet save t)" t
  is "$(state_of t)" saved
  process_gone "$qemu"
  not_there t
  duet restore t 2>/dev/null
  [[ $(typed t hello) == *hello* ]]
  # Its end is followed by a start, as before; what the button does is in its memory alone.
  typed t p >/dev/null
  wait_for 20 booted t 2
  typed t i >/dev/null
  duet save t
  duet start t 2>/dev/null
  duet stop -t 1 t >/dev/null
  is "$(field t exit_code)" 137
  [[ $(duet logs t) == *"boot 2"*i*button* ]]
  # What was saved goes with a boot.
  duet start t 2>/dev/null
  duet save t
  duet start --force-boot t 2>/dev/null
  wait_for 5 booted t 4
  duet save t
  touch "$DUET_ROOT/instances/$(field t id)/rw.qcow2"
  expect 125 duet restore t
  [[ $output == *"another state of its writable disk"* ]]
  duet create --vm -v "$scratch:/s" --name v tiny >/dev/null
  expect 125 duet save v
  [[ $output == *virtiofs* ]]
}

@test "a disk's memory is in its snapshots and clones" {
  local name
  up t
  typed t i >/dev/null
  is "$(duet snapshot create --stateful t live 2>/dev/null)" live
  is "$(state_of t)" running
  is "$(duet snapshot ls --format json t | jq -c '.[0].stateful')" true
  typed t r >/dev/null
  wait_for 5 booted t 2
  duet save t
  duet clone --snapshot live t one >/dev/null
  duet clone t two >/dev/null
  duet snapshot restore t live
  is "$(state_of t) $(state_of one) $(state_of two)" "saved saved saved"
  duet restore t one two >/dev/null 2>&1
  for name in t one two; do typed "$name" "$name" >/dev/null; done
  # In the memory of two the button does what it did at its boot.
  duet stop -t 1 t one two >/dev/null
  is "$(field t exit_code) $(field one exit_code) $(field two exit_code)" "137 137 0"
  [[ $(duet logs one) == one*button* && $(duet logs two) == two*button* ]]
  grep -qa "$(field one id)" "$DUET_ROOT/instances/$(field t id)/seed.img" && return 1
  cmp "$DUET_ROOT/instances/$(field t id)/seed.img" "$DUET_ROOT/instances/$(field one id)/seed.img"
  duet start one 2>/dev/null
  grep -qa "$(field one id)" "$DUET_ROOT/instances/$(field one id)/seed.img"
}

# bats test_tags=full
@test "whatever is killed in a save or a restore, a disk runs, is saved, or ended" {
  local round what victim
  # Of more than nine boots the number is no digit.
  duet run -d --vm --wait 'console:boot .' --name t tiny >/dev/null 2>&1
  for round in {save,restore}:{client,monitor,qemu,worker}{,,,}; do
    what=${round%:*} victim=${round#*:}
    [ "$(state_of t)" = running ] || duet start t >/dev/null 2>&1
    [ "$what" = save ] || duet save t
    killed_in "$what" t "$victim"
    echo "$round: $(state_of t)"
    [ "$(state_of t)" != exited ] || [ "$victim" != client ]
    [ "$(state_of t)" = running ] || wait_for 5 not_there t
    [ "$(state_of t)" != saved ] || duet restore t >/dev/null 2>&1
    [ "$(state_of t)" = exited ] || [[ $(typed t alive) == *alive* ]]
  done
}

# debian: the image of a real Debian, made where tests/run has it made beforehand.
debian() {
  local disk=${DUET_DISK_GUEST:-$source_dir/build/disk-guest.qcow2}
  "$tests_dir/disk-guest/make" "$disk" >"$scratch/make.log" 2>&1 || { tail -n 30 "$scratch/make.log"; return 1; }
  duet image import --name deb "$disk" >/dev/null
}

# card [XML]: a patch with a network card.
card() {
  echo "<domain><devices><interface type='user'>${1-}<model type='virtio'/></interface></devices></domain>" >"$scratch/card.xml"
}

@test "a Debian: cloud-init, the guest agent, a save and a restore, and a shutdown" {
  debian
  local deb
  deb=$(vm_disk deb | xargs sha256sum)
  printf '#cloud-config\nwrite_files: [ { path: /root/told, content: by user-data } ]\n' >"$scratch/user-data"
  echo 'ssh-ed25519 AAAAC3Nza somebody' >"$scratch/key.pub"
  card "<mac address='52:54:00:00:00:01'/>"
  echo "{ version: 2, ethernets: { card: { match: { macaddress: '52:54:00:00:00:01' }, set-name: card, addresses: [ 192.0.2.7/24 ] } } }" >"$scratch/network"
  duet run -d --vm --name d --wait agent --hostname named --user-data "$scratch/user-data" --ssh-key "$scratch/key.pub" \
    --xml-patch "$scratch/card.xml" --network-config "$scratch/network" \
    --disk-size 3g --vcpus maxvcpus=2 --health-cmd 'test -e /run/marker' --health-interval 5s deb >/dev/null 2>&1
  is "$(field d guest_agent)" true
  wait_for $((120 * slow)) duet exec d test -e /run/cloud-init/result.json
  is "$(duet exec d hostname)" named
  is "$(duet exec d cat /root/told)" 'by user-data'
  is "$(duet exec d ip -4 -o addr | awk '{ print $2, $4 }')" $'lo 127.0.0.1/8\ncard 192.0.2.7/24'
  [[ $(duet exec d cat /root/.ssh/authorized_keys) == *'AAAAC3Nza somebody'* ]]
  is "$(duet exec d cat /sys/block/vda/size)" $((3 << 21))
  # Both outputs, the exit code, all of the input, variables, a folder, a signal, a program that is not there.
  expect 7 duet exec d sh -c 'echo out; echo err >&2; exit 7'
  is "$(duet exec d sh -c 'echo out; echo err >&2' 2>/dev/null)" out
  is "$(head -c 60000 /dev/zero | duet exec -i d wc -c)" 60000
  is "$(duet exec d head -c 1500000 /dev/zero | wc -c)" 1500000
  is "$(duet exec -e WORD=a -w /tmp d sh -c 'echo "$WORD $PWD"')" 'a /tmp'
  expect 137 duet exec d sh -c 'kill -9 $$'
  expect 127 duet exec d /nowhere
  expect 125 duet exec -t d true
  [[ $output == *"has no terminals"* ]]
  expect 125 duet exec -u nobody d true
  # A pause in the middle; its end is asked for within a second.
  duet exec d sh -c 'echo >/run/began; sleep 2; echo late' >"$scratch/late" &
  wait_for $((20 * slow)) duet exec d test -e /run/began
  duet pause d >/dev/null
  sleep 1.2
  duet unpause d >/dev/null
  wait $!
  is "$(cat "$scratch/late")" late
  # A shell that says nothing.
  duet exec d mount --bind /bin/true /bin/sh
  expect 125 duet top d
  [[ $output == *"no place for a program"* ]] || { echo "$output"; return 1; }
  duet exec d umount /bin/sh
  copies_and_top 1M
  debian_changes d
  [[ $(duet logs d) == *"named login:"* ]]
  saved_and_restored
  duet stop d >/dev/null
  is "$(field d exit_code) $(field d guest_agent)" "0 false"
  [[ $(duet logs d) == *"Power down"* ]]
  is "$(sha256sum "${deb#*  }")" "$deb"
}

# Of the Debian d.
saved_and_restored() {
  local was up asked told
  was=$(duet exec d sh -c 'sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/run/marker; cat /run/marker /proc/sys/kernel/random/boot_id')
  up=$(duet exec d cut -d. -f1 /proc/uptime)
  duet exec d sleep 2 &
  sleep 0.5
  expect 125 duet save d
  [[ $output == *"exec"*"under way"* ]]
  wait $!
  duet save d
  not_there d
  sleep 5
  duet restore d 2>/dev/null
  # Not later than it was asked, but for what it takes to tell it; nor ahead.
  asked=$(date +%s) told=$(duet exec d date +%s)
  [ "$told" -ge $((asked - 4)) ] && [ "$told" -le "$(($(date +%s) + 1))" ] || { echo "$asked: $told"; return 1; }
  is "$(duet exec d sh -c 'kill -0 $(cat /run/marker) && cat /run/marker /proc/sys/kernel/random/boot_id; ls /var/tmp | grep duet' 2>&1)" "$was"
  [ "$(duet exec d cut -d. -f1 /proc/uptime)" -ge "$up" ]
  wait_for 20 is_healthy d
  # It is ready when its check says so, which is after its agent answers; the check may have failed until it was saved.
  wait_for 5 ready_again d
  { printf '\nroot\n'; sleep 3; printf 'echo so $((40 + 2))\n'; wait_for 20 wrote_words d 'so 42'; printf '\020\021'; } | duet console d >/dev/null 2>&1
  wrote_words d 'so 42'
}
ready_again() {
  [[ $(duet events --since 1h --until 0s --filter container="$1" | awk '{ print $6 }' | grep -E 'restore|ready' | tail -n 2 | xargs) == "restore ready" ]]
}
is_healthy() { is "$(field "$1" health.status)" healthy; }
wrote_words() { [[ $(duet logs "$1") == *"$2"* ]]; }

# Of the Debian d: what is asked of it in one word costs one word.
folders_are_there() {
  is "$(duet exec d sh -c 'cd "/srv/a folder"; stat -c "%u:%g" file; cat file /etc/key; echo guest >back; echo >/etc/key
    echo in >/vol/it; grep -c virtiofs /proc/mounts; ls /var/tmp | grep -c duet' 2>/dev/null)" \
    $'1234:4321\nhost\nssh-ed25519 AAAAC3Nza somebody\n3\n0'
  is "$(cat "$scratch/folder/back")" guest
  is "$(cat "$scratch/key.pub")" 'ssh-ed25519 AAAAC3Nza somebody'
  is "$(duet volume ls -q)" vol
}
# copies_and_top SIZE: of a tree with a file of that size.
copies_and_top() {
  local sums='find . -type f -exec sha256sum {} + | sort; find . -printf "%P %m %T@ %l\n" | sort'
  mkdir -p "$scratch/tree/sub" "$scratch/out"
  head -c "$1" /dev/urandom >"$scratch/tree/large"
  echo x >"$scratch/tree/sub/exe" && chmod 4755 "$scratch/tree/sub/exe" && ln -sf ../large "$scratch/tree/sub/link"
  duet cp "$scratch/tree" d:/root/
  (cd "$scratch/tree" && sh -c "$sums") >"$scratch/there"
  (cd "$scratch/tree" && duet exec -w /root/tree d sh -c "$sums") >"$scratch/here"
  cmp "$scratch/there" "$scratch/here"
  duet cp d:/root/tree - | tar -x -C "$scratch/out"
  cmp "$scratch/tree/large" "$scratch/out/tree/large"
  is "$(stat -c %a "$scratch/out/tree/sub/exe") $(readlink "$scratch/out/tree/sub/link")" '4755 ../large'
  expect 125 duet cp "$scratch/tree" d:/nowhere/there
  [[ $output == *"in the instance 'd': cannot open the directory '/nowhere'"* ]]
  is "$(duet exec d sh -c 'ls /var/tmp | grep -c duet')" 0
  is "$(duet top d user,comm | grep -c -e '^root  *systemd$' -e '^root  *qemu-ga$')" 2
}

# bats test_tags=full
@test "a Debian by UEFI is what its firmware says, and reboots" {
  debian
  card
  echo 'ssh-ed25519 AAAAC3Nza somebody' >"$scratch/key.pub"
  mkdir -p "$scratch/folder" && echo host >"$scratch/folder/file" && chown 1234:4321 "$scratch/folder/file"
  duet run -d --vm --name d --firmware uefi --xml-patch "$scratch/card.xml" --wait ip \
    -v "$scratch/folder:/srv/a folder" -v "$scratch/key.pub:/etc/key:ro" -v vol:/vol deb >/dev/null 2>&1
  duet exec d test -d /sys/firmware/efi
  [[ $(duet exec d ip -4 -o addr) == *" 10.0.2."* ]]
  folders_are_there
  copies_and_top 12M
  # One whose client is killed in the middle.
  "$DUET" cp "$scratch/tree" d:/tmp/ &
  wait_for $((60 * slow)) copies d
  kill -9 $!
  wait_for $((60 * slow)) nothing_left d
  boot=$(duet exec d cat /proc/sys/kernel/random/boot_id)
  duet exec -d d reboot
  wait_for $((400 * slow)) other_boot d "$boot"
  wait_for $((60 * slow)) duet exec d grep -q 'duet-vol-0 /srv/a.040folder virtiofs' /proc/mounts
  duet stop d >/dev/null
  is "$(field d exit_code)" 0
  # More than libvirt takes; its agent is lost until it begins anew.
  duet start d >/dev/null 2>&1
  is "$(duet exec d head -c 7000000 /dev/zero | wc -c)" 7000000
  expect 125 duet exec d head -c 9000000 /dev/zero
  [[ $output == *"7 MiB"*"to a file"* ]]
  is "$(field d guest_agent)" false
}

# bats test_tags=full
@test "clones of a Debian by UEFI that go on from one memory" {
  local boot name randoms names
  debian
  duet run -d --vm --name d --firmware uefi --wait agent deb >/dev/null 2>&1
  boot=$(duet exec d cat /proc/sys/kernel/random/boot_id)
  is "$(duet snapshot create --stateful d live 2>/dev/null)" live
  is "$(duet exec d cat /proc/sys/kernel/random/boot_id)" "$boot"
  duet save d
  duet clone d one >/dev/null
  duet clone --snapshot live d two >/dev/null
  duet restore d one two >/dev/null 2>&1
  for name in d one two; do
    is "$(duet exec "$name" cat /proc/sys/kernel/random/boot_id)" "$boot"
    names+="$(duet exec "$name" uname -n) "
    randoms+="$(duet exec "$name" cat /proc/sys/kernel/random/uuid)"$'\n'
  done
  is "$names" "$(field d id) $(field one id) $(field two id) "
  is "$(printf %s "$randoms" | sort -u | wc -l)" 3
  # Its next boot is that of a machine of its own.
  duet stop d one two >/dev/null
  duet start one >/dev/null 2>&1
  wait_for $((120 * slow)) duet exec one test -e /run/cloud-init/result.json
  is "$(duet exec one hostname)" "$(field one id)"
  run ! grep -qx "$boot" <(duet exec one cat /proc/sys/kernel/random/boot_id)
}
copies() { duet exec "$1" sh -c 'ls -d /var/tmp/duet-errand.*' >/dev/null 2>&1; }
nothing_left() { duet exec "$1" sh -c '! ls -d /var/tmp/duet-errand.*' 2>/dev/null; }
other_boot() { local id; id=$(duet exec "$1" cat /proc/sys/kernel/random/boot_id) && [ "$id" != "$2" ]; }

# bats test_tags=full
@test "a Debian answers as soon as beside a QEMU that was started by hand, and virsh" {
  needs_root "for a daemon"
  load daemon
  daemon_up
  debian
  run in_ns "$tests_dir/disk-guest/beside" "$DUET" deb 3
  daemon_down
  libvirt_ns=
  # shellcheck disable=SC2001
  sed 's/^/# /' <<<"$output" >&3
  is "$status" 0
  [[ $output == *"duet / virsh"* ]]
  awk -F'duet / qemu ' '/^ratios/ { split($2, ratio, ","); exit ratio[1] > 1.3 }' <<<"$output"
}
