#!/usr/bin/env bats
# shellcheck disable=SC2154 # scratch is lib.bash's
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every verb and option, tried by the same script in both kinds. What comes out is the table of docs/kinds.md;
# DUET_UPDATE_TABLE=1 writes that anew: read the diff before you commit it.

load lib

setup_file() {
  needs_root "for what only root's instances have"
  root_up
  stock_image busybox
  mkdir "$scratch/folder"
  echo shared >"$scratch/folder/file"
  echo '{"defaultAction":"SCMP_ACT_ALLOW"}' >"$scratch/seccomp.json"
  echo VARIABLE=of-a-file >"$scratch/env"
  truncate -s 1M "$scratch/disk"
}
teardown_file() { root_down; }
teardown() { duet rm -f --all >/dev/null; }

# feature WHAT COMMAND...: a row of the table: it works, or duet refuses it (exit code 125) and says why. Anything else is a
# fault.
feature() {
  local what=$1 said code=0
  shift
  said=$("$@" 2>&1) || code=$?
  # A mistake of this script's is no refusal.
  [[ $said != *"Unknown option"* ]] || code=1
  case $code in
  0) said=yes ;;
  125)
    said=$(grep -m 1 '^duet: ' <<<"$said" | sed "s/^duet: //; s/'box'/'INSTANCE'/g")
    said="no: ${said//$scratch/}"
    ;;
  *)
    echo "$what: exit code $code: $said"
    return 1
    ;;
  esac
  echo "$what|$said" >>"$rows"
}
inside() { duet exec box "$@"; }
# An option that is seen in the instance that has all of them.
seen() { is "$(inside sh -c "$1")" "$2"; }
# An option of an instance that is never started if it is refused.
one() { duet run --rm --as "$KIND" "$@"; }
gives() {
  local wanted=$1 got code=0
  shift
  got=$(one "$@") || code=$?
  [ $code != 125 ] || { one "$@" 2>&1 | grep '^duet: '; return 125; }
  is "$got" "$wanted"
}

options_of_run() {
  local all=(-e VARIABLE=given -w /usr -u 1000:1001 --hostname lab --group-add 44 --entrypoint sh --read-only --tmpfs /tmp
    --ulimit nofile=100:200 --sysctl net.ipv4.ip_forward=1 --shm-size 1m --cap-drop MKNOD --label part=first
    --stop-signal USR1 --stop-timeout 1 -m 128m --cpus 1 --pids-limit 40 --cpuset-cpus "$(cat /sys/devices/system/cpu/online)" --cpu-shares 512
    --memory-reservation 64m --oom-score-adj 500 --init -v "$scratch/folder:/folder" -v "$scratch/folder:/kept:ro"
    -v "$scratch/folder/file:/file:ro" -v made:/made --restart on-failure:1 --log-opt max-size=1m
    --health-cmd 'test -e /folder/file' --health-interval 200ms)
  [ "$KIND" = container ] ||
    all+=(--machine=q35 --cpu-model=max --accel=tcg --vcpus=2 --disk="$scratch/disk" --disk-size=1g --rng)
  feature "\`run -d\`, \`--name\`" duet run -d --as "$KIND" --name box "${all[@]}" busybox -c \
    'trap "echo stopping; exit 3" USR1; echo begun; while :; do sleep 0.1; done'
  feature "\`-e\`, \`--env-file\`" seen 'echo $VARIABLE' given
  feature "\`-w\`" seen pwd /usr
  feature "\`-u\`, \`--group-add\`" seen 'id -u; id -g; id -G' $'1000\n1001\n1001 44'
  feature "\`--hostname\`" seen hostname lab
  feature "\`--entrypoint\`, command" seen 'tr "\0" " " </proc/1/cmdline >/dev/null; ps -o args | grep -c "^sh -c [t]rap"' 1
  feature "\`--read-only\`, \`--tmpfs\`" seen 'touch /x 2>/dev/null || echo kept; touch /tmp/x && echo made' $'kept\nmade'
  feature "\`--ulimit\`" seen 'ulimit -n; ulimit -Hn' $'100\n200'
  feature "\`--sysctl\`" seen 'cat /proc/sys/net/ipv4/ip_forward' 1
  feature "\`--shm-size\`" seen 'df -k /dev/shm | tail -n 1 | tr -s " " | cut -d" " -f2' 1024
  feature "\`--cap-drop\`" seen 'echo $((0x$(sed -n "s/^CapBnd:.//p" /proc/self/status) >> 27 & 1))' 0
  feature "\`-v\` of a folder, a file, \`:ro\`" seen \
    'cat /folder/file /file; touch /kept/x 2>/dev/null || echo kept' $'shared\nshared\nkept'
  feature "\`-v\` of a named volume, \`volume\`" is "$(duet volume ls -q)" made
  feature "\`--label\`, \`ps --filter\`" is "$(duet ps -q --filter label=part=first | wc -l)" 1
  feature "\`--pids-limit\`" seen \
    '(for i in $(seq 50); do sleep 3 & done; wait) 2>&1 | grep -c fork | sed "s/^[1-9].*/some/"' some
  feature "\`-m\`, \`--cpus\`, \`--cpuset-cpus\`, \`--cpu-shares\`, \`--memory-reservation\`" \
    is "$(duet inspect box | jq -r '.[0] | .memory_limit_bytes, .cpus, .cpuset_cpus, .cpu_shares' | xargs)" "134217728 1 $(cat /sys/devices/system/cpu/online) 512"
  feature "\`--oom-score-adj\`" is "$(cat "/proc/$(field box pid)/oom_score_adj")" 500
  feature "\`--health-cmd\`, \`healthcheck\`" duet healthcheck run box
  of_vm --machine=q35 q35 field box driver.machine
  of_vm --cpu-model=max maximum field box driver.cpu_model
  of_vm --accel=tcg tcg field box driver.accel
  of_vm --vcpus=2 2 inside nproc
  of_vm --disk="$scratch/disk" 2048 inside cat /sys/block/vdc/size
  of_vm --disk-size=1g 2097152 inside cat /sys/block/vdb/size
  of_vm --rng virtio_rng.0 inside cat /sys/class/misc/hw_random/rng_current
}
# of_vm OPTION WANTED LOOK...: an option that the VM has, and that no container may have.
of_vm() {
  local option=$1
  if [ "$KIND" = container ]; then
    feature "\`${option%%=*}\`" one "$option" busybox true
  else
    feature "\`${option%%=*}\`" is "$("${@:3}")" "$2"
  fi
}

verbs() {
  feature "\`exec\`: output, exit code, standard input" \
    is "$(echo in | duet exec -i box sh -c 'cat; echo out; exit 3' || echo $?)" $'in\nout\n3'
  feature "\`exec -t\`" is "$(duet exec -t box tty </dev/null | tr -d '\r')" /dev/pts/0
  feature "\`exec -d\`" duet exec -d box sleep 1
  feature "\`logs\`" is "$(duet logs box)" begun
  feature "\`cp\` in and out, while it runs" copies
  feature "\`top\`" duet top box
  feature "\`stats\`" duet stats --no-stream box
  feature "\`inspect\`, \`ps\`" is "$(duet inspect box | jq -r '.[0].state')" running
  feature "\`pause\`, \`unpause\`, \`resume\`" pauses
  feature "\`update --cpus\`" duet update --cpus 0.5 box
  feature "\`update -m\`" duet update -m 120m box
  feature "\`update --pids-limit\`" duet update --pids-limit 60 box
  feature "\`rename\`" renames
  feature "\`kill -s\`" duet kill -s URG box
  feature "\`attach\`" is "$(timeout -s INT --preserve-status 1 "$DUET" attach --sig-proxy=false box || echo $?)" 130
  feature "\`events\`" is "$(duet events --no-stream --since 1h --filter event=start --filter "id=$(field box id)" | wc -l)" 1
  feature "\`stop\`: the stop signal" is "$(duet stop box >/dev/null; duet wait box; duet logs box | tail -n 1)" $'3\nstopping'
  feature "\`cp\` out, when it is stopped" duet cp box:/made/copy "$scratch/copy"
  feature "\`snapshot\` of a stopped one" snapshots
  feature "\`clone\` of a stopped one" duet clone box boxcopy
  feature "\`start\`, \`restart\`" restarts
  feature "\`rm -f\`" duet rm -f box
}
copies() { duet cp "$scratch/folder/file" box:/made/copy && duet cp box:/made/copy "$scratch/copy" && cmp "$scratch/folder/file" "$scratch/copy"; }
pauses() {
  duet pause box && is "$(state_of box)" paused && duet unpause box && inside true && duet pause box && duet resume box && inside true
}
renames() { duet rename box boxed && duet rename boxed box; }
snapshots() { duet snapshot create box one && duet snapshot restore box one && duet snapshot rm box one; }
restarts() { duet start box && inside true && duet restart box && inside true; }

other_options() {
  feature "\`run\`: standard input, exit code" is "$(echo in | one -i busybox sh -c 'cat; exit 4' || echo $?)" $'in\n4'
  feature "\`run -t\`" gives $'/dev/pts/0\r' -t busybox tty
  feature "\`--security-opt seccomp=FILE\`" gives yes --security-opt seccomp="$scratch/seccomp.json" busybox echo yes
  feature "\`--security-opt no-new-privileges\`" gives 1 --security-opt no-new-privileges busybox \
    sed -n 's/^NoNewPrivs:.//p' /proc/self/status
  feature "\`--device\`" gives yes --device /dev/null:/dev/other busybox sh -c '[ -c /dev/other ] && echo yes'
  feature "\`--memory-swap\`" gives yes -m 128m --memory-swap 256m busybox echo yes
  feature "\`--boottime\`, \`--monotonic\`" gives yes --boottime 1000000 busybox \
    sh -c '[ "$(cut -d. -f1 /proc/uptime)" -gt 1000000 ] && echo yes'
}

# What goes with a machine, and needs one without folders of the host.
verbs_of_machines() {
  truncate -s 1M "$scratch/later"
  duet run -d --as "$KIND" --name box busybox sh -c 'n=0; while :; do n=$((n + 1)); echo $n >/count; sleep 0.1; done' 2>/dev/null
  feature "\`disk attach\`, \`ls\`, \`detach\`" disks
  feature "\`save\`, \`restore\`" saves
  feature "\`snapshot create --stateful\`" duet snapshot create --stateful box kept
  duet rm -f box >/dev/null
}
disks() {
  duet disk attach box "$scratch/later" && inside grep -q vdc /proc/partitions &&
    duet disk ls box | grep -q vdc && duet disk detach box vdc
}
saves() {
  local before
  wait_for 10 inside cat /count
  before=$(inside cat /count)
  duet save box && is "$(state_of box)" saved && duet restore box && [ "$(inside cat /count)" -ge "$before" ]
}

rows_of() {
  export KIND=$1 rows=$BATS_FILE_TMPDIR/$1
  : >"$rows"
  options_of_run
  verbs
  verbs_of_machines
  other_options
}

@test "a container" { rows_of container; }
@test "a VM" { rows_of vm; }

@test "the documentation has what was seen" {
  [ "$(wc -l <"$BATS_FILE_TMPDIR/vm")" = "$(wc -l <"$BATS_FILE_TMPDIR/container")" ]
  local page=$source_dir/docs/kinds.md made=$BATS_FILE_TMPDIR/kinds.md
  {
    sed '/^| what | container | VM |$/,$d' "$page"
    echo '| what | container | VM |'
    echo '|---|---|---|'
    paste -d'|' "$BATS_FILE_TMPDIR"/{container,vm} | while IFS='|' read -r what container same vm; do
      is "$what" "$same" >&2 || exit 1
      echo "| $what | $container | $vm |"
    done
  } >"$made"
  [ -z "${DUET_UPDATE_TABLE:-}" ] || cp "$made" "$page"
  diff "$page" "$made"
}
