#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a payload is given beside its image and its limits on both kinds: users and groups, resource limits, kernel
# parameters, shared memory, how it is stopped.

load lib

setup_file() {
  root_up
  stock_image busybox
  local name
  MKIMAGE_BASE=$scratch/busybox.tar "$tests_dir/mkimage.py" "$scratch/archives" users users-pair users-none
  for name in users users-pair users-none; do
    duet image import --name "$name" "$scratch/archives/$name.tar" >/dev/null
  done
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
  local user
  KIND=container
  is "$(run_as users sh -c "$who")" "$app"
  for user in app 1000; do
    is "$(run_as -u "$user" users sh -c "$who")" "$app"
  done
  is "$(run_as -u 1000:1000 users sh -c "$who")" $'uid=1000(app) gid=1000(app) groups=1000(app)\n/home/app'
  is "$(run_as -u app:extra users sh -c "$who")" $'uid=1000(app) gid=2000(extra) groups=2000(extra)\n/home/app'
  is "$(run_as users-pair sh -c "$who")" $'uid=1000(app) gid=2000(extra) groups=2000(extra)\n/home/app'
  is "$(run_as -u 4242 users sh -c "$who")" $'uid=4242 gid=0(root) groups=0(root)\n/'
  is "$(run_as -u root users sh -c "$who")" $'uid=0(root) gid=0(root) groups=0(root)\n/root'
  is "$(run_as -u 5:6 users-none sh -c "$who")" $'uid=5 gid=6 groups=6\n/'
  is "$(run_as users-none sh -c "$who")" $'uid=0 gid=0 groups=0\n/'
  refused "no user 'ghost' in the image's '/etc/passwd'" -u ghost users true
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
  is "$(KIND=vm run_as -u 5:6 users-none sh -c "$who")" $'uid=5 gid=6 groups=6\n/'
}

@test "group-add: names of the image and numbers, on top of whatever user" {
  is "$(run_as --group-add extra -u 4242 users id)" "uid=4242 gid=0(root) groups=0(root),2000(extra)"
  is "$(run_as --group-add 2000 --group-add app -u app users id)" "${app%$'\n'*}"
  is "$(run_as --group-add more -u app:extra users id -G)" "2000 3000"
  is "$(run_as --group-add 7 users-none id -G)" "0 7"
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
