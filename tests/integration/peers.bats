#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Foreign engines in the same run: every arm as a whole command, by one stopwatch.

# shellcheck disable=SC2154 # scratch and tests_dir are lib's
load lib
load bench

setup_file() {
  root_up
  stock_image busybox
  cgroups_for_crun
}
teardown_file() { root_down; }
setup() { benchmark=(density --arms container) result=$scratch/density.json; }
# Of a case that failed.
teardown() { end_bench; pkill -KILL -xf 'sleep 98765' || true; }

# peer NAME LINE...: a key file of that name, for --peer; prints its path.
peer() {
  local file=$scratch/$1.peer
  shift
  printf '%s\n' '[peer]' 'kind=container' "$@" >"$file"
  echo "$file"
}

# What engines and duet may leave of peers.
peers_left() {
  find "$DUET_ROOT" -maxdepth 1 -name 'peers-*'
  grep -F "$DUET_ROOT/peers-" /proc/self/mountinfo
  grep -lzF "$DUET_ROOT/peers-" /proc/[0-9]*/cmdline 2>/dev/null
}
nothing_left() { is "$(peers_left)" ""; none_listed; }

# has_lines FILE N: a journal, which has a line for each sample.
has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }

@test "the peers that Debian has run beside ours" {
  needs_root "for most engines"
  run --separate-stderr duet bench boot --arms container \
    --peers podman,runc,crun,systemd-nspawn,lxc,bubblewrap -n 2 -o "$scratch/peers.json" \
    busybox -- echo hello
  echo "$output"
  is "$status" 0
  [[ $stderr != *"left out"* ]] || { echo "$stderr"; return 1; }
  [ "$(wc -L <<<"$output")" -le 80 ]
  for what in 'command -> output' 'command -> exit' 'container / podman'; do
    [[ $output == *"$what"* ]] || { echo "no $what"; return 1; }
  done
  jq -e '(.arms | map(.name)) == ["container", "podman", "runc", "crun", "systemd-nspawn", "lxc", "bubblewrap"]
    and (.arms[1:] | all(.kind == "peer" and (.driver.peer_version | length) > 0))
    and (.samples | length) == 21
    and (.samples | all(.status == "ok" and .warnings == [] and .command_ns.output > 0
      and .command_ns.output <= .command_ns.exit))
    and all(.comparisons[]; .a == "container" and .metric == "command_to_output")' "$scratch/peers.json"
  # Of ours the inner marks stay, and lie within the whole command.
  jq -e '[.samples[] | select(.arm == "container")] | all(.marks_ns.output > 0)' "$scratch/peers.json"
  valid_result "$scratch/peers.json"
  is "$(duet bench show "$scratch/peers.json")" "$output"
  duet bench show --format openmetrics "$scratch/peers.json" | grep -q 'metric="command_to_exit",quantile="0.5"'
  duet bench show --format csv "$scratch/peers.json" | grep -q ',podman,peer,.*,command_output,'
  duet bench show --format benchstat "$scratch/peers.json" | grep -q '^BenchmarkCommand/arm=podman 1 '
  duet bench show --format md "$scratch/peers.json" | grep -q 'Ratios of medians, command to output'
  nothing_left
}

@test "plain QEMU runs beside our VM, on the same kernel and accelerator" {
  run --separate-stderr duet bench boot --arms vm --peers qemu,qemu-microvm -n 1 -o "$scratch/qemu.json" \
    busybox -- echo hello
  echo "$output$stderr"
  is "$status" 0
  [[ $output == *"managing    vm: "*" % of request -> output"* ]]
  jq -e '(.arms | map(.name)) == ["vm", "qemu", "qemu-microvm"]
    and all(.arms[1:][]; .driver | .peer_kind == "vm" and .peer_guest_memory_bytes == 268435456 and .peer_guest_cpus == 1)
    and (.arms | map(.driver.accel) | unique | length) == 1
    and all(.samples[]; .status == "ok" and .warnings == [] and .command_ns.output > 0)' "$scratch/qemu.json"
  nothing_left
}

@test "plain QEMU has our VM's agent: it sees the same root, and its exit code and both outputs come out" {
  run --separate-stderr duet bench boot --arms container --peers qemu -n 1 busybox -- sh -c \
    'grep -q "^overlay / overlay" /proc/mounts && test $$ != 1 || exit 3; echo why >&2; exit 7'
  echo "$output$stderr"
  [[ $stderr == *"'qemu' is left out"*"it exited with 7: why"* ]]
  nothing_left
}

@test "a peer that is not there is left out with a word, an unknown one is an error" {
  file=$(peer absent 'needs=no-such-engine' 'run=no-such-engine {argv...}')
  run --separate-stderr duet bench boot --arms container -n 1 --peer "$file" -o "$scratch/absent.json" busybox
  is "$status" 0
  [[ $stderr == *"the peer 'absent' is left out: there is no program 'no-such-engine'"* ]]
  [[ $output == *"'absent' is left out"* ]]
  jq -e '.skipped_peers | length == 1' "$scratch/absent.json"
  valid_result "$scratch/absent.json"
  # One that can't run the command is left out with its own words.
  file=$(peer broken "run=sh -c 'echo something is amiss >&2\\; exit 3'")
  run --separate-stderr duet bench boot --arms container -n 1 --peer "$file" busybox
  [[ $stderr == *"it exited with 3: something is amiss"* ]]
  expect 125 duet bench boot --arms container -n 1 --peers nosuchpeer busybox
  [[ $output == *"no peer 'nosuchpeer'"*podman* ]]
  expect 125 duet bench boot --arms container -n 1 --peers podman -v /tmp:/x busybox
  [[ $output == *-v* ]]
  nothing_left
}

@test "a peer that is named as an arm of ours is refused" {
  for name in vm container native; do
    expect 125 duet bench boot --arms container -n 1 --peer "$(peer $name 'run=true')" busybox
    [[ $output == *"$scratch/$name.peer"*"'$name'"*"another name"* ]] || { echo "$output"; return 1; }
  done
  nothing_left
}

@test "what is wrong in a peer's file is told with file and key" {
  refused() {
    expect 125 duet bench boot --arms container -n 1 --peer "$1" busybox
    [[ $output == *"$1"*"${2:-}"* ]] || { echo "$output"; return 1; }
  }
  refused "$(peer key 'run=true' 'rnu=true')" "'rnu'"
  refused "$(peer placeholder 'run=true {rootfss}')" "key 'run': '{rootfss}' is no placeholder"
  refused "$(peer quote "run=sh -c 'oh")" "key 'run'"
  refused "$(peer none 'start=true')" "key 'run'"
  refused "$(peer many 'run=sh {name}{argv...}')" "key 'run'"
  refused "$(peer kind 'run=true' 'kind=other')" "key 'kind'"
  refused "$(peer vague 'run=true' 'process=no-such-engine-of-duet')" "key 'process': would find others' processes"
  echo 'no key file' >"$scratch/text.peer"
  refused "$scratch/text.peer" "key file"
  refused "$scratch/missing.peer"
  nothing_left
}

@test "an archive for peers names the run's own image and no other" {
  # A daemon that loads it would take over whatever tag of the user's it holds.
  file=$(peer looks "prepare=cp {docker-archive} $scratch/docker.tar;cp {image} $scratch/oci.tar;cp {dir}/names $scratch" \
    'run=true' '[files]' 'names={image-name}\n{run}:peer\n')
  duet bench boot --arms container -n 1 --peer "$file" busybox >/dev/null
  mapfile -t names <"$scratch/names"
  [[ ${names[0]} == duet-*:peer ]]
  is "${names[0]}" "${names[1]}"
  tar -xOf "$scratch/docker.tar" manifest.json | jq -e --arg name "${names[0]}" 'map(.RepoTags) == [[$name]]'
  tar -xOf "$scratch/oci.tar" index.json | jq -e --arg name "${names[0]}" \
    '.manifests | map(.annotations["org.opencontainers.image.ref.name"]) == [$name]'
  nothing_left
}

@test "a peer of the user's own is found by its name" {
  export XDG_CONFIG_HOME=$scratch/config
  mkdir -p "$XDG_CONFIG_HOME/duet/peers"
  cp "$(peer mine 'version=echo mine 7' 'run=chroot {rootfs} {argv...}')" "$XDG_CONFIG_HOME/duet/peers"
  needs_root "to chroot"
  duet bench boot --arms container -n 1 --peers mine -o "$scratch/mine.json" busybox >/dev/null
  jq -e '.arms[1] | .name == "mine" and .driver.peer_version == "mine 7"' "$scratch/mine.json"
  expect 125 duet bench boot --arms container -n 1 --peers nosuchpeer busybox
  [[ $output == *mine* ]]
}

# bats test_tags=quiet
@test "C47 the stopwatch starts before the fork and counts a delay before exec" {
  needs_root "to chroot"
  at_once=$(peer at-once "run=sh -c 'exec \"\$@\"' sh chroot {rootfs} {argv...}")
  delayed=$(peer delayed "run=sh -c 'sleep 0.1 && exec \"\$@\"' sh chroot {rootfs} {argv...}")
  duet bench boot --arms container -n 10 --peer "$at_once" --peer "$delayed" -o "$scratch/delay.json" \
    busybox -- echo hello >/dev/null
  python3 - "$scratch/delay.json" <<'PYTHON'
import json, statistics, sys
run = json.load(open(sys.argv[1]))
def median(arm, what):
    return statistics.median(s["command_ns"][what] / 1e6 for s in run["samples"]
                             if s["arm"] == arm and not s["discarded"])
for what in ("output", "exit"):
    more = median("delayed", what) - median("at-once", what)
    print(what, "+", more, "ms on", median("at-once", what))
    # On a busy host the additional process costs more, and so does the one that there always is.
    assert 100 <= more <= 110 + median("at-once", what), more
    # What a user waits is never less than what we report of the same thing.
inner = statistics.median(s["marks_ns"]["released"] / 1e6 for s in run["samples"]
                          if s["arm"] == "container" and not s["discarded"])
print("released", inner, "whole command", median("container", "exit"))
assert inner < median("container", "exit")
values = [s["command_ns"]["exit"] for s in run["samples"]]
assert any(v % 1_000_000 for v in values) and any(v % 50_000_000 > 1_000_000 for v in values)
PYTHON
}

@test "a peer that hangs is killed at the time-out, and what it left is removed" {
  hanging=$(peer hanging "run=sh -c 'if [ -e {dir}/second ]\\; then sleep 98765\\; fi\\; touch {dir}/second' {name}" \
    'process={name}' "remove=touch $scratch/removed")
  # The trial run ends, the samples hang.
  run duet bench boot --arms container -n 1 --timeout 1 --peer "$hanging" -o "$scratch/hang.json" busybox
  is "$status" 1
  jq -e '[.samples[] | select(.arm == "hanging") | .status] == ["timeout", "timeout"]' "$scratch/hang.json"
  [ -e "$scratch/removed" ]
  is "$(pgrep -f 'sleep 98765')" ""
  nothing_left
}

@test "^C ends a run with peers, and nothing is left" {
  slow_peer=$(peer slow "run=sh -c 'sleep 0.2 && echo slow'" "cleanup=touch $scratch/cleaned")
  "$DUET" bench boot --arms container -n 100 --peer "$slow_peer" -o "$scratch/cut.json" busybox >/dev/null 2>&1 3>&- &
  pid=$!
  wait_for 20 has_lines "$scratch/cut.json.part" 5
  kill -INT $pid
  status=0
  wait $pid || status=$?
  is "$status" 130
  jq -e '.interrupted' "$scratch/cut.json"
  [ -e "$scratch/cleaned" ]
  nothing_left
}

@test "what a killed run left of its peers, the next one removes" {
  slow_peer=$(peer slow "run=sh -c 'sleep 0.2 && echo slow'")
  "$DUET" bench boot --arms container -n 100 --peer "$slow_peer" -o "$scratch/struck.json" busybox >/dev/null 2>&1 3>&- &
  pid=$!
  wait_for 20 has_lines "$scratch/struck.json.part" 5
  # With its guard, which would remove it at once.
  # shellcheck disable=SC2046
  kill -KILL $(pgrep -P $pid) $pid
  wait $pid || true
  # Its instance's monitor, a child of it, holds the lock for the moment that it takes to follow.
  wait_for 5 flock -n "$(echo "$DUET_ROOT"/peers-*)" true
  duet bench boot --arms container -n 1 --peer "$slow_peer" busybox >/dev/null
  duet rm -f --all >/dev/null
  nothing_left
}

@test "kill -9 and ^\\ leave nothing of peers, and nothing of ours beside them" {
  needs_root "for podman"
  ulimit -c 0
  # killed SIGNAL ARGUMENT...: a benchmark whose payload, or that of its peer, would sleep for hours, ended while it does.
  killed() {
    local signal=$1
    shift
    # What is in the background ignores ^\ else.
    setsid env --default-signal=QUIT "$DUET" bench boot --arms container -n 1 "$@" >"$scratch/out" 2>&1 3>&- &
    bench=$!
    wait_for 60 pgrep -xf 'sleep 98765' || { cat "$scratch/out"; return 1; }
    kill "-$signal" $bench
    wait $bench || true
    wait_for 30 no_density
    none_listed
  }
  # The trial is over at once, the first sample never.
  cat >"$scratch/later" <<'SCRIPT'
#!/bin/sh
[ -e "$1" ] || exec touch "$1"
shift
exec "$@"
SCRIPT
  chmod +x "$scratch/later"
  sed -e "s|^run=|run=$scratch/later {dir}/first |" -e '/^run=/s|{argv...}|sleep 98765|' \
    "$source_dir/bench/peers/podman.peer" >"$scratch/long.peer"
  killed KILL --peer "$scratch/long.peer" busybox -- true
  # Of this one duet knows no more than the command.
  blind=$(peer blind "run=$scratch/later {dir}/first sh -c 'sleep 98765 & wait'" \
    "remove=sh -c 'echo \$1 >>$scratch/removed' sh {name}" "cleanup=touch $scratch/cleaned")
  killed QUIT --peer "$blind" busybox -- true
  grep -q '^duet-' "$scratch/removed"
  [ -e "$scratch/cleaned" ]
  # Our own arm as a whole command does not end with us by itself either.
  killed KILL --peer "$(peer quick 'run=true')" busybox -- sleep 98765
}

# ---- instances that stay: bench density ----

density() { duet bench "${benchmark[@]}" --age 0.1 -o "$result" "$@"; }
# sleeper NAME LINE...: one that needs no root: a process that sleeps, found by the file of its number.
sleeper() {
  local name=$1
  shift
  peer "$name" 'run=true' "start=sh -c 'setsid sleep 98765 >/dev/null 2>&1 & echo \$! >\"\$1\"' sh {dir}/{name}.pid" \
    "remove=sh -c 'kill -9 \$(cat \"\$1\")\\; rm -f \"\$1\"' sh {dir}/{name}.pid" \
    'pid-file={dir}/{name}.pid' "$@"
}
pools() { find /sys/fs/cgroup -type d -name 'duet-pool-*' -newer "$DUET_ROOT/images" 2>/dev/null; }
no_density() { [ -z "$(peers_left)$(pgrep -f 'sleep 98765')$(pools)" ]; }

@test "density: podman and others beside ours, each with its own start, exec and remove" {
  needs_root "for most engines"
  run --separate-stderr density --peers podman,runc,crun,lxc,bubblewrap --max 2 --memory-budget 64m busybox
  echo "$output$stderr"
  is "$status" 0
  [[ $stderr == *"'bubblewrap' is left out"*"'start'"* ]]
  [ "$(wc -L <<<"$output")" -le 80 ]
  holds '([.arms[].name] | sort) == ["container", "crun", "lxc", "podman", "runc"] and
    all(.arms[]; .command == ["sleep", "1000000"]) and
    all(.density[]; .bound == "max" and .reached == 2 and .answered == 2 and .used_bytes > 0 and
      (.memory.instances | length) == 2 and all(.memory.instances[]; .payload_pss_bytes > 100000)) and
    ([.warnings[] | select(contains("left behind"))] == [])'
  holds '[.arms[] | select(.kind == "peer") | .name] as $peers |
    [.samples[] | select(.arm as $a | $peers | index($a))] | length == 12 and
    all(.[]; .status == "ok" and .command_ns.exit > 1000000)'
  # Podman can be told a cgroup: there the kernel keeps the budget as it keeps ours. The others not.
  systemd_runs || holds '.density | map({(.arm): .no_pool}) | add | .container == null and .podman == null and
    (.crun | test("not told in which cgroup"))'
  valid_result "$scratch/density.json"
  is "$(duet bench show "$scratch/density.json")" "$output"
  nothing_left
  is "$(pools)" ""
}

@test "density: a budget ends a peer's arm by what its processes use" {
  file=$(sleeper mine)
  density --peer "$file" --memory-budget 2m busybox
  holds '.density[] | select(.arm == "mine") | .bound == "memory-budget" and .reached > 1 and
    .answered == .reached and .used_bytes <= 2400000 and (.no_pool | test("not told in which cgroup")) and
    ([.memory.instances[].payload_pss_bytes] | add) > .used_bytes / 2'
  # Its own exec tells whether it answers, and what has ended does not.
  file=$(sleeper deaf 'exec=false {argv...}')
  run --separate-stderr density --peer "$file" --max 2 busybox
  [[ $stderr == *"'deaf' is left out: exec 'false': it exited with 1"* ]]
  file=$(sleeper dying "ready=sh -c '[ ! -e {dir}/first ] || kill -9 \$(cat \"\$1\")\\; touch {dir}/first' sh {dir}/{name}.pid")
  run --separate-stderr density --peer "$file" --max 2 busybox
  is "$status" 1
  holds '.density[] | select(.arm == "dying") | .bound == "instance-ended" and .answered == 0'
  wait_for 5 no_density
}

@test "density: a peer that nothing tells the memory of is left out where there is a budget" {
  blind=$(peer blind 'run=true' 'start=true' 'remove=true')
  vague=$(peer vague 'run=true' 'start=true' 'remove=true' 'pid-file={dir}/pid' 'process={dir}')
  run --separate-stderr density --peer "$blind" --peer "$vague" --max 1 --memory-budget 64m busybox
  is "$status" 0
  for name in blind vague; do
    [[ $stderr == *"'$name' is left out: of a memory budget"*"'pid-file', 'cgroup' and 'process'"* ]] ||
      { echo "$stderr"; return 1; }
  done
  holds '[.arms[].name] == ["container"] and (.skipped_peers | length) == 2'
  density --peer "$blind" --peer "$vague" --max 1 busybox
  holds '([.arms[].name] | sort) == ["blind", "container", "vague"]'
  nothing_left
}

@test "density: a start of a peer that fails takes no other instance with it" {
  needs_root "for podman"
  # Podman's own file; of its starts, with those of the trial and of the warm-up, the fourth fails.
  cat >"$scratch/stumble" <<'SCRIPT'
#!/bin/sh
echo >>"$1"
[ "$(wc -l <"$1")" != 4 ] || exit 3
shift
exec "$@"
SCRIPT
  chmod +x "$scratch/stumble"
  file=$scratch/stumbling.peer
  sed "s|^start=|start=$scratch/stumble {dir}/starts |" "$source_dir/bench/peers/podman.peer" >"$file"
  density --peer "$file" --max 3 busybox
  holds '[.samples[] | select(.arm == "stumbling" and (.discarded | not)) | .status] == ["ok", "failed", "ok", "ok"]'
  holds '[.samples[] | select(.arm == "stumbling") | .warnings[]] == []'
  holds '.density[] | select(.arm == "stumbling") | .bound == "max" and .reached == 3 and .answered == 3'
  nothing_left
}

@test "density: ^C and kill -9 leave no instance of a peer" {
  needs_root "for podman"
  two_run() { [ "$(find "$DUET_ROOT"/peers-* -maxdepth 2 -name '*.pid' | wc -l)" = 2 ]; }
  # This seed has the peer first.
  begin --seed 2 --age 60 --peer "$(sleeper mine)" --max 2 busybox
  wait_for 60 two_run
  kill -INT $bench
  status=0
  wait $bench || status=$?
  is "$status" 130
  holds '.interrupted and .density[0].bound == "none" and
    (.density[1] | .arm == "mine" and .bound == "interrupted" and .answered == 0)'
  grep -q 'not asked' "$scratch/out"
  [[ $(<"$scratch/out") != *"0 of"* ]]
  no_density
  begin --seed 2 --age 60 --peers podman --max 2 --memory-budget 64m busybox
  wait_for 60 two_run
  kill -KILL $bench
  wait $bench || true
  # Nothing ends them but what duet left for that, which then goes as well.
  wait_for 60 no_density
  is "$(podman ps -aq 2>/dev/null)" ""
  none_listed
}
