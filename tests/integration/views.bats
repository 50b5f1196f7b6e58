#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Seeing what runs: labels, ps and its filters, stats, top; for both kinds.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

# labels INSTANCE
labels() { duet inspect "$1" | jq -cS '.[0].labels'; }
# names OPTION...: of what ps lists, in its order.
names() { duet ps --noheading "$@" | awk '{ print $NF }' | xargs; }

@test "labels: of options, of files, of the image below them" {
  printf '# none\n\n  from-file\n file=1\nboth=file\n' >"$scratch/labels"
  printf 'second=2' >"$scratch/more"
  duet create --name labelled -l a=1 --label b --label a=2 --label 'c=x=y' --label both=option \
    --label-file "$scratch/labels" --label-file "$scratch/more" busybox true
  is "$(labels labelled)" '{"a":"2","b":"","both":"option","c":"x=y","file":"1","from-file":"","second":"2"}'
  is "$(duet ps -a --format json | jq -c '.[] | select(.name == "labelled") | .labels.c')" '"x=y"'
  duet create --name bare busybox true
  is "$(labels bare)" '{}'
  duet start labelled
  duet wait labelled
  is "$(labels labelled | jq -r .second)" 2
  duet rm labelled bare
  "$tests_dir/mkimage.py" "$scratch" config labels-broken
  duet image import --name config "$scratch/config.tar"
  duet create --name image-labelled -l tier=db -l mine config true
  is "$(labels image-labelled)" '{"mine":"","odd key":"a=b","tier":"db"}'
  duet rm image-labelled
  expect 125 duet image import "$scratch/labels-broken.tar"
  [[ $output == *"'Labels' is not an object of strings"* ]]
}

@test "labels that are none" {
  expect 125 duet create --name bad -l =x busybox true
  [[ $output == *"'=x' is no label"* ]]
  expect 125 duet create --name bad --label-file "$scratch/nosuch" busybox true
  [[ $output == *"--label-file"*"nosuch"* ]]
  printf 'a\0b\n' >"$scratch/binary"
  expect 125 duet create --name bad --label-file "$scratch/binary" busybox true
  printf 'good=1\n=x\n' >"$scratch/binary"
  expect 125 duet create --name bad --label-file "$scratch/binary" busybox true
  [[ $output == *"--label-file $scratch/binary: '=x' is no label"* ]]
  head -c 300000 /dev/zero | tr '\0' x >"$scratch/binary"
  expect 125 duet create --name bad --label-file "$scratch/binary" busybox true
  none_listed
}

@test "a store of before there were labels" {
  # its records have another form: they are made anew
  local record=$DUET_ROOT/images/records/$(duet image inspect busybox | jq -r '.[0].digest | sub("sha256:"; "")')
  [ -s "$record" ]
  head -c 200 "$record" >"$scratch/record"
  cp "$scratch/record" "$record"
  duet run --rm busybox true
}

@test "ps: filters, order, and what of it is shown" {
  duet create --name one -l tier=web -l x -v "$scratch:/data" busybox sh -c 'exit 3'
  duet run -d --name two -l tier=web busybox sleep 1000
  duet create --name three --vm -l tier=db busybox true
  duet run --name four busybox sh -c 'exit 3' || true
  is "$(names)" two
  is "$(names -a)" "one two three four"
  is "$(names -a -f label=tier)" "one two three"
  is "$(names -f label=tier)" two
  is "$(names -a -f label=tier=web -f label=x)" one
  is "$(names -a -f 'label!=tier')" four
  is "$(names -a -f 'name=^t')" "two three"
  is "$(names -a -f name=one -f name=our)" "one four"
  is "$(names -a -f name=o -f kind=vm)" ""
  is "$(names -a --filter kind=vm)" three
  is "$(names -f status=created)" "one three"
  is "$(names -f status=exited)" four
  is "$(names -f exited=3)" four
  is "$(names -f exited=0)" ""
  is "$(names -a -f before=two)" one
  is "$(names -a -f since=two)" "three four"
  is "$(names -a -f since="$(field one id)" -f before=four)" "two three"
  is "$(names -a -f volume=/data)" one
  is "$(names -a -f volume="$scratch")" one
  is "$(names -a -f ancestor=busybox -f kind=container)" "one two four"
  is "$(names -a -f "ancestor=$(duet image inspect busybox | jq -r '.[0].config_digest')" -f kind=vm)" three
  is "$(names -a -f ancestor=nosuch)" ""
  is "$(duet ps -aq -f "id=$(field three id)")" "$(field three id)"
  is "$(names -n 2)" "three four"
  is "$(names -l)" four
  is "$(names --last 0)" ""
  is "$(names -n 3 --sort names)" "four three two"
  is "$(names -a --sort names)" "four one three two"
  is "$(names -a --sort status)" "one three four two"
  is "$(names -a --sort created)" "one two three four"
  is "$(duet ps -a --sort id -q | sort -c && echo sorted)" sorted
  is "$(duet ps --noheading | wc -l)" 1
  is "$(duet ps | wc -l)" 2
  duet create --name long busybox echo 0123456789 0123456789 end
  [[ $(duet ps -l) == *"echo 0123456789 01234..."* ]]
  [[ $(duet ps -l --no-trunc) == *"echo 0123456789 0123456789 end"* ]]
  duet ps -a --format json -f kind=vm | jq -e 'length == 1 and .[0].name == "three"'
}

@test "ps refuses what it does not know" {
  local bad
  for bad in nosuch=1 name 'name=(' status=lost exited=x kind=pod name= before=nosuch; do
    expect 125 duet ps -f "$bad"
    is "$(wc -l <<<"$output")" 1
    [[ $output == *"--filter '$bad'"* ]]
  done
  [[ $output == *"no such instance: 'nosuch'"* ]]
  expect 125 duet ps -f nosuch=1
  [[ $output == *"one of the keys id, name, label,"* ]]
  expect 125 duet ps -l -n 2
  expect 125 duet ps --sort size
  [[ $output == *"use created, id, image, names or status"* ]]
}

@test "verbs take filters" {
  is "$(duet stop -t 0 --filter label=tier)" two
  is "$(duet stop --filter label=tier)" ""
  is "$(duet start -f name=two)" two
  if limited; then
    is "$(duet pause -f label=tier)" two
    is "$(duet unpause -f status=paused)" two
  fi
  is "$(duet restart -t 0 -f name=two)" two
  expect 125 duet stop -f name=two two
  [[ $output == *"contradict each other"* ]]
  expect 125 duet rm --filter name=two
  [[ $output == *"is running"* ]]
  is "$(duet rm -f --filter kind=container | sort | xargs)" "four long one two"
  is "$(names -a)" three
  duet rm three
  none_listed
}

# What follows has one instance of each kind, box-vm and box-container, until the last case of this file.
@test "boxes of both kinds start" {
  local kind
  for kind in container vm; do
    duet run -d --as "$kind" --name "box-$kind" --user 0 busybox sh -c 'echo user:x:1234:5678::/:/bin/sh >>/etc/passwd; exec sleep 100000'
  done
}

# stat_of INSTANCE NAME: of what `duet stats` tells.
stat_of() { duet stats --no-stream --format json "$1" | jq ".[0].$2"; }
# within LOW VALUE HIGH
within() {
  [ "$2" -ge "$1" ] && [ "$2" -le "$3" ] || {
    echo "$2 is not within $1 and $3"
    return 1
  }
}
# cpu_ns_of INSTANCE: as its cgroup has it.
cpu_ns_of() {
  local entry place
  for entry in $(field "$1" cgroup); do
    place=${entry#*:}/payload
    case $entry in
    v2:*) cat /sys/fs/cgroup{/unified,}"$place/cpu.stat" 2>/dev/null | awk '/^usage_usec/ { printf "%.0f\n", $2 * 1000 }' && return ;;
    cpuacct:* | cpu,cpuacct:*) cat "/sys/fs/cgroup/${entry%%:*}$place/cpuacct.usage" && return ;;
    esac
  done
}

@test "stats: CPU time is the cgroup's, and what a busy loop uses" {
  needs_limits
  local kind low high busy waiter
  for kind in container vm; do
    low=$(cpu_ns_of "box-$kind")
    busy=$(stat_of "box-$kind" cpu_ns)
    high=$(cpu_ns_of "box-$kind")
    [ "$low" -gt 0 ]
    within "$low" "$busy" "$high"
    duet exec "box-$kind" sh -c 'while [ ! -e /enough ]; do :; done' 3>&- &
    waiter=$!
    sleep 0.5
    timeout -s INT --preserve-status $((3 * slow)) "$DUET" stats -i 1 --format json "box-$kind" >"$scratch/stats"
    jq -s -e 'length >= 2' "$scratch/stats"
    # the machine may be busy: but the loop is seen, and it is one CPU's (an emulated one has helpers)
    jq -s -e '.[1:] | all(.[]; .[0].cpu_percent > 10 and .[0].cpu_percent < 220)' "$scratch/stats"
    jq -s -e '(.[-1][0].cpu_ns - .[0][0].cpu_ns) as $ns | (.[1:] | map(.[0].cpu_percent) | add * 1e7) as $told
      | $told > $ns * 0.7 and $told < $ns * 1.3' "$scratch/stats"
    duet exec "box-$kind" touch /enough
    wait "$waiter"
  done
}

# Without a cgroup there are the processes, and what they have been.
@test "stats of processes alone" {
  ! limited || skip "there is a cgroup"
  local before
  duet run -d --name holder busybox sh -c 'echo here; head -c 52428800 /dev/zero | tail -c 52428800 >/dev/null
    exec 3>&1; (head -c 52428800 /dev/zero; echo held >&3; exec sleep 100000) | tail -c 52428800 >/dev/null'
  wait_for 20 wrote holder held
  duet stats --no-stream --format json holder >"$scratch/stats"
  within 52428800 "$(jq '.[0].memory_bytes' "$scratch/stats")" 60000000
  within 52428800 "$(jq '.[0].anonymous_bytes' "$scratch/stats")" 60000000
  jq -e '.[0] | .kernel_bytes == null and .pids == 4 and .cpu_ns > 0 and .cpu_ns % 10000000 == 0' "$scratch/stats"
  before=$(stat_of holder cpu_ns)
  # of a process that has ended, too
  duet exec holder sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done'
  [ $(($(stat_of holder cpu_ns) - before)) -gt 50000000 ]
  duet rm -f holder
}

tells_a_guest() {
  jq -e '.[0] | .memory_limit_bytes > 268435456 and .memory_bytes > 60000000 and .memory_bytes < .memory_limit_bytes
    and .anonymous_bytes + .shmem_bytes > .memory_bytes * 0.8' <(duet stats --no-stream --format json "$1")
}

@test "stats: memory by its parts" {
  needs_limits
  # 50 MB of each, in one payload
  duet run -d --name holder busybox sh -c '
    dd if=/dev/zero of=/dev/shm/held bs=1M count=50 2>/dev/null
    dd if=/dev/zero of=/held bs=1M count=50 2>/dev/null
    exec 3>&1
    (head -c 52428800 /dev/zero; echo held >&3; exec sleep 100000) | tail -c 52428800 >/dev/null'
  wait_for 20 wrote holder held
  sleep 0.5
  duet stats --no-stream --format json holder >"$scratch/stats"
  local part
  for part in anonymous file shmem; do
    within 50000000 "$(jq ".[0].${part}_bytes" "$scratch/stats")" 60000000
  done
  within 100000 "$(jq '.[0].kernel_bytes' "$scratch/stats")" 20000000
  jq -e '.[0] | (.anonymous_bytes + .file_bytes + .shmem_bytes + .kernel_bytes) as $parts
    | .memory_bytes > $parts * 0.95 and .memory_bytes < $parts * 1.1' "$scratch/stats"
  # no limit: the host's
  jq -e --argjson ram "$(($(awk '/^MemTotal/ { print $2 }' /proc/meminfo) * 1024))" \
    '.[0] | .memory_limit_bytes == $ram and (.memory_percent - .memory_bytes / $ram * 100 | fabs) < 0.01' "$scratch/stats"
  duet rm -f holder
  duet run -d --name limited -m 64m busybox sleep 1000
  is "$(stat_of limited memory_limit_bytes)" $((64 << 20))
  duet rm -f limited
  # QEMU's on the host: the guest's RAM as far as it was touched, and what else QEMU may have. v2 tells parts up to 2 s late.
  wait_for 10 tells_a_guest box-vm
}

@test "stats: io, of processes that have ended, too" {
  local kind before
  # nobody may look into the agent of an ordinary user's container
  [ "$(id -u)" = 0 ] || is "$(stat_of box-container write_bytes)" null
  for kind in container vm; do
    [ "$(stat_of "box-$kind" write_bytes)" != null ] || continue
    before=$(stat_of "box-$kind" write_bytes)
    # the writer's parent ends first: the agent waits for it
    duet exec "box-$kind" sh -c '(dd if=/dev/zero of=/written bs=1M count=20 conv=fsync 2>/dev/null; echo done >/flag) &
      while [ ! -e /flag ]; do sleep 0.1; done; rm /flag'
    # a guest's file system has more to write than the file
    within $((20 << 20)) $(($(stat_of "box-$kind" write_bytes) - before)) $((40 << 20))
    before=$(stat_of "box-$kind" read_bytes)
    duet exec "box-$kind" dd if=/written of=/dev/null bs=1M iflag=direct 2>/dev/null || continue
    [ "$kind" = vm ] || within $((20 << 20)) $(($(stat_of "box-$kind" read_bytes) - before)) $((30 << 20))
  done
}

@test "stats: threads, with a controller that counts them and without" {
  local before sleepers
  before=$(stat_of box-container pids)
  sleepers=$(duet exec box-container sh -c 'for i in 1 2 3; do sleep 1234 & echo $!; done')
  is "$(stat_of box-container pids)" $((before + 3))
  # shellcheck disable=SC2086 # several numbers
  duet exec box-container kill $sleepers
  [ "$(stat_of box-vm pids)" -ge 2 ]
  if limited; then
    duet run -d --name counted --pids-limit 40 busybox sh -c 'sleep 1000 & sleep 1000 & wait'
    wait_for 5 eval '[ "$(stat_of counted pids)" = 4 ]'
    duet rm -f counted
  fi
}

@test "stats: who is listed, and how it ends" {
  local code=0
  duet create --name idle busybox true
  is "$(duet stats --no-stream | awk '{ print $2 }' | xargs)" "NAME box-container box-vm"
  is "$(duet stats --no-stream box-vm | wc -l)" 2
  duet stats -a --no-stream --format json | jq -e 'length == 3
    and (.[] | select(.name == "idle") | .state == "created" and .cpu_ns == 0 and .memory_bytes == 0 and .pids == 0)
    and (.[] | select(.name == "box-vm") | .kind == "vm" and .state == "running")'
  [[ $(duet stats --no-stream box-container) == *"iB / "*" n/a "* ]]
  if limited; then
    duet pause box-container
    is "$(stat_of box-container state)" '"paused"'
    duet unpause box-container
  fi
  expect 125 duet stats --no-stream idle
  [[ $output == *"the instance 'idle' is not running"* ]]
  duet stats -a --no-stream idle
  expect 125 duet stats nosuch
  is "$(wc -l <<<"$output")" 1
  expect 125 duet stats -i 0
  expect 125 duet stats -i nan
  # the stream ends with a clean 0, by the terminal's signal
  timeout -s INT --preserve-status "$slow" "$DUET" stats -i 100 >"$scratch/stats" || code=$?
  is "$code" 0
  grep -q box-vm "$scratch/stats"
  # one that ends leaves the list; where it was all that was asked for, so does stats
  duet run -d --name brief busybox sleep $((slow * 3 / 2)).5
  timeout $((20 * slow)) "$DUET" stats -i 0.5 brief >"$scratch/stats"
  [ "$(grep -c brief "$scratch/stats")" -ge 1 ]
  is "$(tail -1 "$scratch/stats" | grep -c brief)" 0
  # a reader that goes away
  timeout $((20 * slow)) "$DUET" stats -i 0.1 2>"$scratch/errors" | head -1
  is "$(cat "$scratch/errors")" ""
  # a terminal's screen is cleared first
  timeout -s INT --preserve-status "$slow" script -qefc "$DUET stats -i 100" /dev/null </dev/null | head -c 7 | od -An -c | xargs >"$scratch/screen" || true
  is "$(cat "$scratch/screen")" '033 [ 2 J 033 [ H'
  duet rm idle brief
}

# top_of INSTANCE DESCRIPTOR...: without the titles, blanks squeezed.
top_of() { duet top "$@" | awk 'NR > 1 { $1 = $1; print }'; }

@test "top: what was started, by whom, in both kinds" {
  local kind expected
  for kind in container vm; do
    duet exec "box-$kind" sh -c 'sleep 4321 & sleep 4321 & true'
    duet exec --user 1234 "box-$kind" sh -c 'sleep 4322 & renice -n 7 $! >/dev/null'
    duet exec --user 4242 "box-$kind" sh -c 'sleep 4323 & true'
    expected=$(printf '%s\n' "4242 sleep 4323" "root sleep 100000" "root sleep 4321" "root sleep 4321" "user sleep 4322")
    is "$(top_of "box-$kind" user,args | grep ' sleep ' | sort)" "$expected"
    # all there are: these, and process 1
    is "$(top_of "box-$kind" pid | wc -l)" 6
    is "$(top_of "box-$kind" pid ppid | head -1)" "1 0"
    is "$(top_of "box-$kind" pid | sort -n)" "$(duet exec "box-$kind" sh -c 'cd /proc; for p in [0-9]*; do
      [ -n "$(tr "\0" " " <$p/cmdline 2>/dev/null)" ] && [ $p != $$ ] && echo $p; done' | sort -n | head -6)"
    is "$(top_of "box-$kind" comm,nice,state,uid | grep ' 7 ')" "sleep 7 S 1234"
    is "$(duet top "box-$kind" | head -1 | xargs)" "USER PID PPID %CPU ELAPSED TTY TIME COMMAND"
    is "$(duet top "box-$kind" state nice rss vsz uid | head -1 | xargs)" "STATE NI RSS VSZ UID"
    # an orphan is process 1's
    is "$(top_of "box-$kind" ppid args | grep -c '^1 sleep 432')" 4
    [ "$(top_of "box-$kind" vsz args | awk '/sleep 100000/ { print $1 }')" -gt 100 ]
  done
}

@test "top: times and CPU of a busy loop" {
  local kind waiter
  for kind in container vm; do
    duet exec "box-$kind" rm -f /enough
    duet exec "box-$kind" sh -c 'while [ ! -e /enough ]; do :; done' 3>&- &
    waiter=$!
    sleep $((slow * 2)).5
    top_of "box-$kind" etime time pcpu args | grep enough >"$scratch/top"
    cat "$scratch/top"
    # "2.5s 1.9s 76.000 sh -c ...": it used what it was given, and says so
    awk '{ sub(/s$/, "", $1); sub(/s$/, "", $2) }
      !($1 > 0.5 && $1 < 59 && $2 > 0.1 && $2 <= $1 + 0.1 && $3 > 5 && $3 < 110 && ($2 / $1 * 100 - $3) ^ 2 < 25) { exit 1 }' "$scratch/top"
    is "$(wc -l <"$scratch/top")" 1
    duet exec "box-$kind" touch /enough
    wait "$waiter"
  done
}

@test "top: names and arguments that are no names" {
  # control characters, escapes and line ends are shown, not obeyed, and each is on one line
  duet exec box-container sh -c 'name=$(printf "/tmp/a\033[2J\nb) S 1 ("); printf "#!/bin/sh\nsleep 4325\n:\n" >"$name"
    chmod +x "$name"; "$name" "$(printf "\033]0;owned\007\nroot 1")" & true'
  wait_for 5 eval 'top_of box-container args | grep -q "sleep 4325"'
  duet top box-container user,args,comm >"$scratch/top"
  cat -v "$scratch/top"
  is "$(grep -c $'\033' "$scratch/top" || true)" 0
  is "$(wc -l <"$scratch/top")" 9
  grep -qF "/bin/sh /tmp/a^[[2J^Jb) S 1 ( ^[]0;owned^G^Jroot 1  a^[[2J^Jb) S 1 (" "$scratch/top"
  # a user's name is the image's to choose
  duet exec box-container sh -c 'printf "e\033vil:x:4242:0::/:/bin/sh\n" >>/etc/passwd'
  is "$(top_of box-container user,args | grep 4323)" "e^[vil sleep 4323"
  # a passwd that is none
  duet exec box-container sh -c 'mv /etc/passwd /etc/kept; mkfifo /etc/passwd'
  is "$(top_of box-container user,args | grep 4322)" "1234 sleep 4322"
  duet exec --user 0 box-container mv /etc/kept /etc/passwd || true
}

@test "top of what is not there" {
  expect 125 duet top
  expect 125 duet top nosuch
  expect 125 duet top box-container pid,hpid
  [[ $output == *"'hpid' is nothing that can be shown of a process: use user, pid,"* ]]
  expect 125 duet top box-container ''
  duet create --name idle busybox true
  expect 125 duet top idle
  [[ $output == *"'idle' is not running"* ]]
  duet rm idle
  limited || return 0
  duet pause box-container
  expect 125 duet top box-container
  [[ $output == *"it is paused"* ]]
  duet unpause box-container
}

@test "top of a VM whose /proc is gone" {
  duet exec box-vm sh -c 'mount -t tmpfs none /proc'
  is "$(duet top box-vm | wc -l)" 1
  duet exec box-vm sh -c 'mkdir /proc/1 && mkfifo /proc/1/stat && echo x >/proc/1/status'
  is "$(duet top box-vm | wc -l)" 1
  duet exec box-vm sh -c 'rm /proc/1/stat && printf "1 (x) S nonsense\n" >/proc/1/stat'
  is "$(duet top box-vm | wc -l)" 1
  duet exec box-vm sh -c 'printf "1 (x) S a b c d e f g h i j k l m n o p q r s t u v w x y z\n" >/proc/1/stat; printf "x\nUid:\t0\t0\n" >/proc/1/status'
  expect 125 duet top box-vm
  [[ $output == *"what its agent says is no list of processes"* ]]
  # however long the list is, no more is taken than fits
  duet exec box-vm sh -c 'cd /proc && rm -r 1 && mkdir $(seq 10 4400) && big=$(printf %04000d 0)
    for p in *; do
      echo "$p (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0 0" >$p/stat
      printf "x\nUid:\t0\t0\n" >$p/status
      echo "$big" >$p/cmdline
    done'
  expect 125 duet top box-vm
  [[ $output == *"has a longer list of processes than 16 MiB"* ]]
  duet exec box-vm sh -c 'cd /proc && rm -r 40* 41* 42* 43*'
  [ "$(duet top box-vm | wc -l)" -gt 3900 ]
  duet exec box-vm umount /proc
  [ "$(duet top box-vm | wc -l)" -gt 1 ]
}

@test "the boxes end" {
  duet rm -f box-vm box-container
  is "$(duet stats --no-stream)" "ID  NAME  KIND  CPU %  MEM USAGE / LIMIT  MEM %  NET IO  BLOCK IO  PIDS"
  none_listed
}
