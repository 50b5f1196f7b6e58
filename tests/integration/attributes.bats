#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a payload is given beside its image and its limits on both kinds: users and groups, resource limits, kernel
# parameters, shared memory, how it is stopped; and of containers alone: devices, clocks, masks, AppArmor.

load lib

setup_file() {
  root_up
  stock_image busybox
  who_image users
}
# who_image NAME: one of mkimage.py's, on top of busybox.
who_image() {
  MKIMAGE_BASE=$scratch/busybox.tar "$tests_dir/mkimage.py" "$scratch/archives" "$1"
  duet image import --name "$1" "$scratch/archives/$1.tar" >/dev/null
}
teardown() { duet rm -f --all >/dev/null; }
teardown_file() { root_down; }

who='id; echo $HOME'
app=$'uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n/home/app'

# refused TEXT OPTION...: an instance of the kind under test does not start, says so in one line, and is not there.
refused() {
  local text=$1
  shift
  expect 125 run_as --name refused "$@"
  [[ $output == *"$text"* && $output != *$'\n'* ]] || { echo "not '$text': $output"; return 1; }
  none_listed
}

@test "C33 users, groups and HOME are the image's, in containers" {
  local user=app
  KIND=container
  local -A right=([app]=$app [1000]=$app
    [1000:1000]=$'uid=1000(app) gid=1000(app) groups=1000(app)\n/home/app'
    [app:extra]=$'uid=1000(app) gid=2000(extra) groups=2000(extra)\n/home/app'
    [4242]=$'uid=4242 gid=0(root) groups=0(root)\n/')
  for user in "${!right[@]}"; do
    is "$(run_as -u "$user" users sh -c "$who")" "${right[$user]}"
    # as the image's user
    [ "$user" = app ] || who_image "user-${user/:/-}"
    [ "$user" = app ] || is "$(run_as "user-${user/:/-}" sh -c "$who")" "${right[$user]}"
  done
  who_image user-ghost
  who_image users-none
  is "$(run_as users sh -c "$who")" "$app"
  is "$(run_as -u root users sh -c "$who")" $'uid=0(root) gid=0(root) groups=0(root)\n/root'
  is "$(run_as -u 5:6 users-none sh -c "$who")" $'uid=5 gid=6 groups=6\n/'
  is "$(run_as users-none sh -c "$who")" $'uid=0 gid=0 groups=0\n/'
  refused "no user 'ghost' in the image's '/etc/passwd'" -u ghost users true
  refused "no user 'ghost' in the image's '/etc/passwd'" user-ghost true
  # the host has one
  refused "no user 'daemon' in the image's '/etc/passwd'" -u daemon users true
  refused "no group 'ghost' in the image's '/etc/group'" -u app:ghost users true
}

@test "C33 users, groups and HOME are the image's: VMs, and exec in both" {
  for KIND in container vm; do
    duet run -d --as "$KIND" --name who --group-add more --group-add 4000 users sh -c "$who; exec sleep 300"
    wait_for 20 wrote who /home/app
    is "$(duet logs who)" "${app/2000(extra)/2000(extra),3000(more),4000}"
    is "$(duet exec who sh -c "$who")" "${app/2000(extra)/2000(extra),3000(more),4000}"
    # as podman has it: the groups are the instance's user's
    is "$(duet exec -u app who sh -c "$who")" "$app"
    is "$(duet exec -u 1000 who sh -c "$who")" "$app"
    is "$(duet exec -u 1000:1000 who sh -c "$who")" $'uid=1000(app) gid=1000(app) groups=1000(app)\n/home/app'
    is "$(duet exec -u app:extra who sh -c "$who")" $'uid=1000(app) gid=2000(extra) groups=2000(extra)\n/home/app'
    is "$(duet exec -u 4242 who sh -c "$who")" $'uid=4242 gid=0(root) groups=0(root)\n/'
    is "$(duet exec -u 0 who sh -c "$who")" $'uid=0(root) gid=0(root) groups=0(root)\n/root'
    expect 125 duet exec -u ghost who true
    [[ $output == *"no user 'ghost' in the image's '/etc/passwd'"* ]]
    is "$(field who group_add | jq -c)" '["more","4000"]'
    duet rm -f who
  done
  who_image users-none
  is "$(KIND=vm run_as -u 5:6 users-none sh -c "$who")" $'uid=5 gid=6 groups=6\n/'
  KIND=vm refused "no user 'ghost' in the image's '/etc/passwd'" -u ghost users true
}

@test "group-add: names of the image and numbers, on top of whatever user" {
  is "$(run_as --group-add extra -u 4242 users id)" "uid=4242 gid=0(root) groups=0(root),2000(extra)"
  is "$(run_as --group-add 2000 --group-add app -u app users id)" "${app%$'\n'*}"
  is "$(run_as --group-add more -u app:extra users id -G)" "2000 3000"
  is "$(run_as --group-add 7 busybox id -G)" "0 7"
  refused "no group 'ghost' in the image's '/etc/group'" --group-add ghost users true
  refused "--group-add keep-groups: no instance keeps the caller's groups" --group-add keep-groups users true
  refused "'' is no group" --group-add '' users true
  refused "no group '4294967295'" --group-add 4294967295 users true
}

# limits NAME: soft and hard limit of a process, by /proc/self/limits.
limits() { awk -v name="Max $1 " 'index($0, name) == 1 { sub(name, ""); print $1, $2 }'; }

# bats test_tags=host
@test "what a payload is given, in both kinds: limits, parameters, shared memory, OOM score" {
  local all signal='echo $(ulimit -Sn) $(ulimit -Hn) $(ulimit -Sc) $(ulimit -Su)'
  for KIND in container vm; do
    duet run -d --as "$KIND" --name given --ulimit nofile=100:200 --ulimit core=4096 --ulimit nproc=77 \
      --ulimit core=8192:unlimited --sysctl kernel.msgmax=4096 --sysctl net/ipv4/ip_forward=1 \
      --sysctl fs.mqueue.msg_max=20 --sysctl 'kernel.sem=1 2 3 4' --sysctl kernel.domainname=of.test \
      --shm-size 2m --oom-score-adj 300 --stop-signal USR1 --stop-timeout 77 users sh -c \
      "$signal; trap 'echo stopped; exit 3' USR1; while :; do sleep 0.1; done"
    wait_for 20 wrote given '100 200 16 77'
    # of every process, whoever it is
    is "$(duet exec given sh -c "$signal")" "100 200 16 77"
    is "$(duet exec -u 0 given sh -c "$signal")" "100 200 16 77"
    all=$(duet exec given cat /proc/self/limits)
    is "$(limits 'core file size' <<<"$all")" "8192 unlimited"
    is "$(duet exec given sh -c 'cd /proc/sys; cat kernel/msgmax net/ipv4/ip_forward fs/mqueue/msg_max kernel/sem \
      kernel/domainname' | xargs)" "4096 1 20 1 2 3 4 of.test"
    is "$(duet exec given awk '$2 == "/dev/shm" { print $3, $4 }' /proc/mounts |
      sed 's/,uid.*\|,inode64//')" "tmpfs rw,nosuid,nodev,noexec,relatime,size=2048k"
    is "$(duet exec given stat -c %a /dev/shm)" 1777
    # of QEMU, or of all processes of the container
    is "$(cat "/proc/$(field given pid)/oom_score_adj")" 300
    [ "$KIND" = vm ] || is "$(duet exec given cat /proc/self/oom_score_adj)" 300
    is "$(duet inspect given | jq -c '.[0] | [.ulimits, .sysctls[1], .shm_size_bytes, .oom_score_adj, .stop_signal,
      .stop_timeout_s]')" \
      '[["nofile=100:200","core=4096","nproc=77","core=8192:unlimited"],"net.ipv4.ip_forward=1",2097152,300,10,77]'
    duet stop given
    is "$(duet logs given | tail -1)" stopped
    is "$(field given exit_code)" 3
    duet rm given
  done
  # nothing of it is the host's
  [ "$(cat /proc/sys/kernel/msgmax)" != 4096 ]
  [ "$(cat /proc/self/oom_score_adj)" != 300 ]
}

@test "limits that nobody named are a container's own, or with host the caller's" {
  is "$(ulimit -Sn 300 && run_as busybox sh -c 'ulimit -Sn; ulimit -Sc; ulimit -Ss' | xargs)" "1024 0 8192"
  ulimit -Sc 50 # kB here, of 512 bytes in there
  is "$(ulimit -Ss 4000 && run_as --ulimit host busybox sh -c 'ulimit -Sc; ulimit -Ss; ulimit -Hn' | xargs)" \
    "100 4000 $(ulimit -Hn)"
  is "$(run_as --ulimit host --ulimit core=7:7 busybox awk '/core/ { print $5, $6 }' /proc/self/limits)" "7 7"
  # a payload may have few descriptors; the agent, which starts it, does as always
  duet run -d --name few --ulimit nofile=3 --ulimit fsize=0 busybox sleep 100
  is "$(duet exec few sh -c 'ulimit -n; ulimit -f' | xargs)" "3 0"
  duet rm -f few
}

# bats test_tags=host
@test "a limit above the caller's is refused, and names itself" {
  ulimit -n 5000
  is "$(run_as --ulimit nofile=5000 busybox sh -c 'ulimit -n')" 5000
  if [ "$(id -u)" = 0 ] && capsh --has-p=cap_sys_resource 2>/dev/null; then
    is "$(run_as --ulimit nofile=6000 busybox sh -c 'ulimit -n')" 6000
    is "$(run_as --ulimit memlock=-1 busybox sh -c 'ulimit -l')" unlimited
    return
  fi
  refused "cannot raise the limit 'nofile' above 5000" --ulimit nofile=5001 busybox true
  refused "cannot raise the limit 'nofile' above 5000" --ulimit nofile=1:-1 busybox true
  refused "cannot set the OOM score to -500" --oom-score-adj -500 busybox true
}

@test "what is no limit, group, parameter or size is refused in one line" {
  local text
  for KIND in container vm; do
    for text in nofile nofile= =5 nofiles=5 nofile=x nofile=5:x nofile=-2 nofile=5:4 nofile=1:2:3 nofile=1m \
      'nofile= 5' nofile=99999999999999999999; do
      refused "--ulimit: '$text'" --ulimit "$text" busybox true
    done
    for text in x=1 kernel.x kernel..x=1 .kernel.x=1 ../x=1 kernel/../../x=1 net.ipv4.conf.//.x=1 net.x=; do
      refused "--sysctl: '$text' is no sysctl" --sysctl "$text" busybox true
    done
    refused "--sysctl: names and values are longer" --sysctl "net.x=$(printf %017000d 1)" busybox true
    refused "--shm-size" --shm-size 0 busybox true
    refused "--shm-size: " --shm-size lots busybox true
    refused "--oom-score-adj takes -1000 to 1000, not '1001'" --oom-score-adj 1001 busybox true
    refused "--stop-timeout takes 0 to 86400, not '-1'" --stop-timeout -1 busybox true
    refused "'WAVE' is no signal" --stop-signal WAVE busybox true
  done
  KIND=vm
  refused "--ulimit host: the processes of a VM are none of the host's" --ulimit host busybox true
  refused "cannot set the sysctl 'kernel.no/such': No such file or directory" --sysctl kernel.no/such=1 busybox true
  KIND=container
  refused "the sysctl 'kernel.panic' is the whole host's" --sysctl kernel.panic=5 busybox true
  refused "the sysctl 'vm.swappiness' is the whole host's" --sysctl vm/swappiness=5 busybox true
  refused "the sysctl 'kernel.hostname' is what --hostname sets" --sysctl kernel.hostname=x busybox true
  refused "cannot set the sysctl 'net.ipv4.nosuch' (the kernel has none" --sysctl net.ipv4.nosuch=1 busybox true
  refused "cannot set the sysctl 'net.ipv4.ip_forward' (its value" --sysctl net.ipv4.ip_forward=x busybox true
  refused "cannot set the sysctl 'net.ipv4'" --sysctl net.ipv4=1 busybox true
}

@test "an OOM score of 0 is one, and not the caller's" {
  duet create --name zero --oom-score-adj 0 busybox true
  is "$(field zero oom_score_adj)" 0
  duet rename zero nought
  is "$(field nought oom_score_adj)" 0
  duet rm nought
}

@test "stop waits as long as the instance was made for" {
  duet run -d --name deaf --stop-timeout 0 busybox sh -c 'trap "" TERM; while :; do sleep 1; done'
  local start=$SECONDS
  duet stop deaf
  [ $((SECONDS - start)) -lt $((5 * slow)) ]
  is "$(field deaf exit_code)" 137
  duet start deaf
  duet restart deaf
  duet rm -f deaf
  [ $((SECONDS - start)) -lt $((9 * slow)) ]
}

@test "env-file: variables of files, which -e goes over" {
  printf '%s\n' 'A=of file' '# no=comment' '' '  B=x y' 'C="kept"' 'CALLERS' 'NOBODYS' 'E=file' $'CR=1\r' >"$scratch/one"
  printf 'A=second' >"$scratch/two"
  is "$(CALLERS=mine run_as --env-file "$scratch/one" --env-file "$scratch/two" -e E=line busybox \
    sh -c 'echo "$A|$B|$C|$CALLERS|$E|$CR|${NOBODYS-unset}"')" 'second|x y|"kept"|mine|line|1|unset'
  echo 'A B=1' >"$scratch/bad"
  refused "'A B=1' is no variable of --env-file" --env-file "$scratch/bad" busybox true
  refused "--env-file: " --env-file "$scratch/none" busybox true
  head -c 100 /dev/zero >"$scratch/zeros"
  refused "has a NUL byte" --env-file "$scratch/zeros" busybox true
}

@test "devices: nodes of the host's, for reading, for writing, or both, and directories of them" {
  needs_root "to make nodes: rootless.bats has a user's"
  KIND=container
  mkdir -p "$scratch/nodes/below"
  mknod -m 640 "$scratch/nodes/full" c 1 7
  mknod -m 600 "$scratch/nodes/below/zero" c 1 5
  ln -s full "$scratch/nodes/link"
  echo x >"$scratch/nodes/file"
  # the host's mode, the container's owner; the link is the user's to name, and only that
  is "$(run_as --device "$scratch/nodes/full:/dev/a/b" --device "$scratch/nodes/link:/dev/full" --device /dev/null \
    busybox sh -c 'stat -c "%a %u %g %t,%T" /dev/a/b; stat -c "%a %u" /dev/a; ls -A /dev | xargs')" \
    $'640 0 0 1,7\n755 0\na fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'
  is "$(run_as --device "$scratch/nodes:/dev/all" busybox find /dev/all -type c | sort | xargs)" \
    "/dev/all/below/zero /dev/all/full"
  # what was not given nobody in there can take
  run run_as --device "$scratch/nodes/below/zero:/dev/r:r" --device "$scratch/nodes/full:/dev/w:w" --cap-add all busybox sh -c '
    head -c 2 /dev/r | wc -c; echo x 2>&1 >/dev/w; exec 2>&1
    echo x >/dev/r; head -c 2 /dev/w; chmod 666 /dev/r /dev/w; chown 0 /dev/r; mknod /dev/other c 1 5; mknod /tmp/other b 7 0'
  is "$(sed 's/^sh: //; s/can.t create //; s/can.t open //; s/.*: *\([^:]*\)$/\1/' <<<"$output" | sort | uniq -c | xargs)" \
    "1 2 1 No space left on device 5 Operation not permitted 2 Permission denied"
  # an exec has them, too, a later start as well
  duet run -d --name given --device "$scratch/nodes/full:/dev/x" busybox sleep 100
  duet exec given test -c /dev/x
  duet stop -t 0 given
  duet start given
  duet exec given test -c /dev/x
  is "$(duet inspect given | jq -c '.[0].devices')" "[\"$scratch/nodes/full:/dev/x\"]"
  duet stop -t 0 given
  rm "$scratch/nodes/full"
  expect 125 duet start given
  [[ $output == *"cannot find '$scratch/nodes/full'"* ]]
}

@test "a device that can't be given is refused in one line" {
  KIND=container
  local text
  for text in null '' /dev/null:null /dev/null:/dev/x:y /dev/null:/dev/x:rr /dev/null:/dev/x: /dev/null:/dev/x:rw:r \
    /dev/null:/x /dev/null:/dev /dev/null:/dev/../x /dev/null:/dev//x vendor.com/device=gpu; do
    refused "--device: '$text'" --device "$text" busybox true
  done
  refused "asks for 'm', which nobody can have" --device /dev/null:rwm busybox true
  refused "'/dev/pts/9' is a place that the container has for itself" --device /dev/null:/dev/pts/9 busybox true
  refused "'/dev/null' is a place that the container has for itself" --device /dev/zero:/dev/null busybox true
  refused "--device: cannot find '/dev/no/such'" --device /dev/no/such busybox true
  refused "'/etc/passwd' is neither a device nor a directory" --device /etc/passwd:/dev/x busybox true
  mkdir -p "$scratch/none"
  refused "has no devices in it" --device "$scratch/none:/dev/x" busybox true
  KIND=vm
  refused "--device: only a container can be given devices of the host" --device /dev/null busybox true
  refused "--monotonic: only a container has a time namespace" --monotonic 5 busybox true
  refused "'mask=/etc' is for containers only" --security-opt mask=/etc busybox true
}

@test "clocks: a time namespace where one was asked for" {
  KIND=container
  local host script='cut -d. -f1 /proc/uptime; awk "{ print \$2 }" /proc/self/timens_offsets; readlink /proc/self/ns/time'
  host=$(cut -d. -f1 /proc/uptime)
  read -r uptime monotonic boottime namespace < <(run_as --monotonic 1000 --boottime 3000000 busybox sh -c "$script" | xargs)
  [ $((uptime - host)) -ge 3000000 ] && [ $((uptime - host)) -lt 3000600 ]
  is "$monotonic $boottime" "1000 3000000"
  [ "$namespace" != "$(readlink /proc/self/ns/time)" ]
  duet run -d --name early --boottime $((10 - host)) busybox sleep 100
  [ "$(duet exec early cut -d. -f1 /proc/uptime)" -lt $((100 * slow)) ]
  is "$(duet inspect early | jq -c '.[0] | [.monotonic_offset_s, .boottime_offset_s]')" "[0,$((10 - host))]"
  duet rm -f early
  # none else has a namespace of its own
  is "$(run_as busybox readlink /proc/self/ns/time)" "$(readlink /proc/self/ns/time)"
  refused "could not move its clocks (a clock would be before its beginning" --boottime -4000000000 busybox true
  refused "--monotonic takes whole seconds" --monotonic 1.5 busybox true
  refused "--boottime takes whole seconds" --boottime 99999999999 busybox true
}

@test "what is hidden of /proc and /sys can be more, or less" {
  KIND=container
  run run_as --security-opt mask=/var:/bin/nosuch:/proc/version --security-opt mask=/etc/shadow busybox sh -c '
    ls -A /var; cat /proc/version; wc -c </etc/shadow; echo x >/var/x; echo x >/proc/sys/kernel/msgmax; cat /proc/interrupts'
  is "$(sed 's/.*: //' <<<"$output" | xargs -d '\n')" "0 Read-only file system Read-only file system"
  run_as --security-opt unmask=ALL busybox sh -c '! grep -E " /proc/| /sys/firmware" /proc/self/mountinfo'
  is "$(run_as --security-opt unmask=/proc/interrupts:/proc/s* busybox sh -c 'grep -c . /proc/interrupts >/dev/null && echo seen
    awk "\$5 ~ \"^/proc/\" { print \$5 }" /proc/self/mountinfo' | grep -E 'seen|interrupts|scsi|sys$|bus' | xargs)" \
    "seen /proc/bus"
  duet run -d --name less --security-opt unmask=/proc/sys --security-opt mask=/opt busybox sleep 100
  is "$(duet inspect less | jq -c '.[0] | [.masked_paths, .unmasked_paths]')" '[["/opt"],["/proc/sys"]]'
  duet rm -f less
  local text
  for text in mask= mask=etc mask=/ mask=/etc: mask=ALL unmask= unmask=x unmask=/proc/sys:; do
    refused "is no list of paths" --security-opt "$text" busybox true
  done
}

# bats test_tags=host
@test "AppArmor: the profile that was asked for, or none, and SELinux's labels are not there" {
  KIND=container
  run_as --security-opt label=disable --security-opt apparmor=unconfined busybox true
  refused "--security-opt label=type:x: duet gives no SELinux labels" --security-opt label=type:x busybox true
  if ! grep -q Y /sys/module/apparmor/parameters/enabled 2>/dev/null; then
    refused "AppArmor is not in use on this host" --security-opt apparmor=docker-default busybox true
    duet run -d --name plain busybox sleep 100
    is "$(field plain apparmor_profile)" null
    return
  fi
  refused "could not change to AppArmor's profile 'duet-no-such' (no profile of that name is loaded" \
    --security-opt apparmor=duet-no-such busybox true
  needs_root "to load a profile"
  local profile=duet-test-$$
  printf 'profile "%s" flags=(attach_disconnected,mediate_deleted) {\n%s\n}\n' "$profile" \
    'file, network, capability, signal, unix, umount, deny /etc/shadow r,' | apparmor_parser -a
  duet run -d --name confined --security-opt "apparmor=$profile" busybox sleep 100
  is "$(field confined apparmor_profile)" "$profile (enforce)"
  is "$(duet exec confined cat /proc/self/attr/current)" "$profile (enforce)"
  expect 1 duet exec confined cat /etc/shadow
  duet exec confined cat /etc/group
  duet rm -f confined
  is "$(run_as --security-opt "apparmor=$profile" --security-opt apparmor=unconfined busybox cat /proc/self/attr/current)" unconfined
  echo "profile \"$profile\" {}" | apparmor_parser -R
}
