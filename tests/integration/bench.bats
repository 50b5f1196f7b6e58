#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# `compare` and `bench boot`, for real.

load lib

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

@test "compare shows both kinds, marks, memory, ratio and accelerator" {
  run --separate-stderr duet compare busybox -- uname -r
  is "$status" 0
  [[ $output == *"$(uname -r)"* ]]
  for what in container vm request init exec output ratio; do
    [[ ${output,,} == *"$what"* ]] || { echo "no $what in: $output"; return 1; }
  done
  [[ ${output,,} == *tcg* || ${output,,} == *kvm* ]]
  # and it ends with a page, of which nothing could not be drawn
  [[ ${lines[-1]} == "page: $DUET_ROOT/compare.html" ]] || { echo "${lines[-1]} $stderr"; return 1; }
  grep -q "</html>" "$DUET_ROOT/compare.html"
  none_listed
}

# bats test_tags=host
@test "bench boot writes a result that holds all samples" {
  duet bench boot --arms container,native,vm -n 3 --seed 7 -o "$scratch/run.json" busybox >"$scratch/table" 2>/dev/null
  jq -e '.schema_version == 1 and (.samples | length) >= 9 and .plan.seed == 7' "$scratch/run.json"
  for arm in container native vm; do
    jq -e --arg a "$arm" '[.samples[] | select(.arm == $a and .status == "ok")] | length >= 3' "$scratch/run.json"
    grep -q "$arm" "$scratch/table"
  done
  jq -e '.arms[] | select(.name == "vm").driver | .machine != null and .firmware == "bios" and
    (.domain_xml | contains("<loader") | not)' "$scratch/run.json"
  # one warm-up per arm is discarded, nothing else; each block has each arm once
  jq -e '([.samples[] | select(.discarded) | .arm] | sort) == ["container", "native", "vm"] and
    ([.samples[] | select(.discarded | not) | .arm] | [.[0:3], .[3:6], .[6:9]] | all(.[]; sort == ["container", "native", "vm"]))' \
    "$scratch/run.json"
  [ "$(awk '{ if (length > m) m = length } END { print m }' "$scratch/table")" -le 80 ]
}

@test "what a container is kept in by stands in the result file, as it holds" {
  # driver [OPTION...]: of a container that runs with these, and prints what the kernel says of it.
  driver() {
    duet bench boot --arms container -n 1 -o "$scratch/walls.json" "$@" >/dev/null 2>&1
    valid_result "$scratch/walls.json"
    jq -c '.arms[0].driver | [.seccomp, .capabilities, .user_namespace]' "$scratch/walls.json"
  }
  holds() { duet run --rm --as container "$@" busybox awk '/^CapBnd|^Seccomp:/ { print $2 }' /proc/self/status; }
  is "$(driver busybox)" '["builtin","00000000a80425fb",true]'
  is "$(holds)" $'00000000a80425fb\n2'
  is "$(driver --security-opt seccomp=unconfined --cap-drop ALL --cap-add CHOWN busybox)" \
    '["unconfined","0000000000000001",true]'
  is "$(holds --security-opt seccomp=unconfined --cap-drop ALL --cap-add CHOWN)" $'0000000000000001\n0'
  cp "$scratch/walls.json" "$scratch/bare.json"
  echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}' >"$scratch/profile.json"
  is "$(driver --security-opt "seccomp=$scratch/profile.json" --cap-add ALL busybox)" \
    "[\"sha256:$(sha256sum "$scratch/profile.json" | cut -d' ' -f1)\",\"$(holds --cap-add ALL | head -1)\",true]"
  local profile=off
  ! grep -qs Y /sys/module/apparmor/parameters/enabled ||
    profile=$(duet run --rm --as container busybox cat /proc/self/attr/current)
  is "$(jq -r '.arms[0].driver.apparmor' "$scratch/walls.json")" "$profile"
  expect 125 duet bench compare "$scratch/bare.json" "$scratch/walls.json"
  [[ $output == *"container seccomp: 'unconfined' and 'sha256:"*"--force"* ]]
}

@test "C52 failures are counted, not averaged" {
  mkdir -p "$scratch/count"
  echo 0 >"$scratch/count/n"
  run duet bench boot --arms container -n 9 -v "$scratch/count:/c" -o "$scratch/fail.json" busybox -- \
    sh -c 'n=$(cat /c/n); echo $((n + 1)) > /c/n; echo x; [ $((n % 3)) != 2 ]'
  is "$status" 0
  # After the one that is discarded: six good ones, and each third fails.
  jq -e '[.samples[] | select(.status == "failed") | .exit_code] == [1, 1, 1]' "$scratch/fail.json"
  jq -e '.summary[0] | .ok == 6 and .failed == 3 and .metrics.request_to_output.n == 6' "$scratch/fail.json"
  [[ $(tr -s ' ' <<<"$output") == *"container 6 3 "*"3 of 9 samples are not in its figures: exit 1 (3)"* ]]
  run duet bench boot --arms container -n 3 busybox -- sh -c 'exit 1'
  is "$status" 1
  run duet bench boot --arms container -n 2 --timeout 1 -o "$scratch/hang.json" busybox -- sleep 60
  is "$status" 1
  jq -e '[.samples[].status] | index("timeout")' "$scratch/hang.json"
  expect 125 duet bench boot nosuchimage
}

# clocks FILE: each sample took less than a minute, and more than nothing.
clocks() {
  jq -e '(.samples | length) == 8 and all(.samples[]; .status == "ok" and
    (.marks_ns | .output > 0 and .released > .output and .released < 60e9))' "$1" >/dev/null ||
    { jq -c '.samples[]' "$1"; return 1; }
}

@test "C49 figures rest neither on the wall clock nor on the host's uptime" {
  # The wall clock goes an hour forward, and back, at each look.
  cc -shared -fPIC -x c -o "$scratch/step.so" - <<'SOURCE'
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *time)
{
    static int looks;
    int result = syscall(SYS_clock_gettime, id, time);
    if (id == CLOCK_REALTIME)
        time->tv_sec += __sync_fetch_and_add(&looks, 1) % 2 * 3600;
    return result;
}
SOURCE
  LD_PRELOAD=$scratch/step.so python3 -c 'import time
first, second = time.time(), time.time()
assert second - first > 3000'
  LD_PRELOAD=$scratch/step.so duet bench boot --arms container,native -n 3 -o "$scratch/step.json" busybox >/dev/null 2>&1
  clocks "$scratch/step.json"
  needs_root "to set the host's uptime"
  [ -e /proc/self/ns/time ] || skip "this kernel has no namespaces of time"
  unshare --time --fork --monotonic 31536000 --boottime 31536000 \
    "$DUET" bench boot --arms container,native -n 3 -o "$scratch/uptime.json" busybox >/dev/null 2>&1
  clocks "$scratch/uptime.json"
}

# bats test_tags=quiet
@test "C47 C49 a QEMU that is slow to start is in the figures, a guest's clock that is years off in none" {
  cat >"$DUET_ROOT/slow-qemu" <<'SH'
#!/bin/sh
case " $* " in
*" guest="*) sleep 0.5 && exec qemu-system-x86_64 "$@" -rtc base=2001-09-09T01:46:40 ;;
esac
exec qemu-system-x86_64 "$@"
SH
  chmod +x "$DUET_ROOT/slow-qemu"
  is "$(duet run --rm --vm --qemu "$DUET_ROOT/slow-qemu" busybox date +%Y 2>/dev/null)" 2001
  local began
  began=$(date +%s%N)
  duet bench boot --arms vm -n 1 --qemu "$DUET_ROOT/slow-qemu" -o "$scratch/slow.json" busybox >/dev/null 2>&1
  # Half a second, once: beside the same without it, and within what a clock outside says of the whole command.
  jq -e --argjson outside $(($(date +%s%N) - began)) '[.samples[].marks_ns.released] | add <= $outside' "$scratch/slow.json"
  duet bench boot --arms vm -n 1 -o "$scratch/usual.json" busybox >/dev/null 2>&1
  jq -es 'map([.samples[].marks_ns.running] | min) | .[0] - .[1] | . >= 400e6 and . < 900e6' \
    "$scratch/slow.json" "$scratch/usual.json"
  jq -e '.samples | length == 2 and all(.[]; .status == "ok" and
    (.marks_ns | .running >= 500e6 and .init > .running and .output > .init and .released > .output and .released < 120e9) and
    (.guest_clock_ns | .kernel > 0 and .kernel < 120e9 and .agent > 0 and .agent < 120e9))' "$scratch/slow.json"
}

@test "arms are interleaved by the seed" {
  order() { duet bench boot --arms container,native -n 4 --seed "$1" -o "$scratch/s.json" busybox >/dev/null 2>&1 && jq -c '[.samples[].arm]' "$scratch/s.json"; }
  is "$(order 1)" "$(order 1)"
  [ "$(order 1)" != "$(order 3)" ] || [ "$(order 1)" != "$(order 4)" ]
}

# An image with 20 MB that nobody reads, so that nothing but us brings them into the page cache.
ballast_image() {
  ! duet image inspect ballast >/dev/null 2>&1 || return 0 # this test is tried again
  mkdir -p "$scratch/ballast/bin"
  cp /bin/busybox "$scratch/ballast/bin/"
  ln -sf busybox "$scratch/ballast/bin/sh"
  head -c 20000000 /dev/urandom >"$scratch/ballast/unread"
  tar -C "$scratch/ballast" -cf "$scratch/ballast.tar" .
  duet image import --name ballast "$scratch/ballast.tar" >/dev/null
  rm -r "$scratch/ballast" "$scratch/ballast.tar"
}
# in_cache FILE: the kernel tells an owner alone, and files of images belong to the user's range of ids.
in_cache() {
  local as=()
  [ "$(id -u)" = 0 ] || as=(unshare --map-root-user --map-auto)
  "${as[@]}" fincore -b -n -o RES "$1" | tr -d ' '
}

# bats test_tags=host
@test "bench boot --cache: the image is out of the page cache, or stays" {
  ballast_image
  boot() {
    "$DUET" bench boot --arms "$1" -n 1 --timeout 300 --cache "$2" -o "$scratch/cache.json" ballast -- sh -c 'echo x' \
      >"$scratch/table" 2>/dev/null
    # Another VM on this host may hold the kernel that all have.
    jq -e --arg mode "$2" --arg arm "$1" '.plan.mode == $mode and all(.samples[]; .status == "ok" and
      all(.warnings[]; $arm == "vm" and startswith("not cold")))' "$scratch/cache.json" >/dev/null || { jq -c '.samples[]' "$scratch/cache.json"; return 1; }
    grep -q "mode $2" "$scratch/table"
  }
  duet create --vm --name disk ballast >/dev/null # makes the disk
  duet rm disk >/dev/null
  local unread disk
  unread=$(find "$DUET_ROOT/" -name unread -size +19000k)
  disk=$(find "$DUET_ROOT/" -type f -size +19000k ! -name unread ! -path '*/blobs/*')
  [ -f "$unread" ]
  [ -f "$disk" ]
  cat "$unread" "$disk" >/dev/null
  [ "$(in_cache "$unread")" -ge 20000000 ]
  [ "$(in_cache "$disk")" -ge 20000000 ]
  boot container warm
  [ "$(in_cache "$unread")" -ge 20000000 ]
  [ "$(in_cache "$disk")" -ge 20000000 ]
  boot container cold-guest
  is "$(in_cache "$unread")" 0
  boot vm cold-guest
  # The guest read what it needed, and what lies near to that, but not all.
  [ "$(in_cache "$disk")" -lt 20000000 ]
  duet bench show --format json "$scratch/cache.json" | jq -e '.plan.mode == "cold-guest"' >/dev/null
}

@test "bench boot --cache refuses what it can't do" {
  expect 125 duet bench boot --arms container -n 1 --cache cold busybox
  [[ $output == *"cold-guest or cold-host"* ]]
  if [ "$(id -u)" != 0 ]; then
    expect 125 duet bench boot --arms container -n 1 --cache cold-host busybox
    [[ $output == *drop_caches* ]]
  fi
}

# bats test_tags=host,quiet
@test "bench boot --cache cold-host drops what anybody read" {
  needs_root "to drop the host's caches"
  [ -w /proc/sys/vm/drop_caches ] || skip "the host's caches are not ours to drop"
  head -c 20000000 /dev/urandom >"$scratch/anything"
  sync "$scratch/anything"
  # a host that tidies its caches by itself may have taken a page or two already
  (($(in_cache "$scratch/anything") > 15000000))
  duet bench boot --arms container -n 1 --cache cold-host -o "$scratch/cache.json" busybox >/dev/null 2>&1
  is "$(in_cache "$scratch/anything")" 0
  jq -e '.plan.mode == "cold-host" and all(.samples[]; .warnings == [])' "$scratch/cache.json" >/dev/null
}

# memory ARGUMENT...: `bench memory` of containers, quick, into $scratch/memory.json.
memory() { duet bench memory --arms container --age 1 -o "$scratch/memory.json" "$@"; }

# Holds 24 MB in a buffer that nobody reads. Beside it, what the rest of the host does to the shares
# of libraries is below 1 %, and a process that is left out is above.
holder='dd if=/dev/zero bs=24000000 count=1 2>/dev/null | sleep 100'

# bats test_tags=host,quiet
@test "bench memory: PSS is what /proc says, its figures follow from the samples" {
  python3 "$source_dir/tests/integration/pss-watch.py" >"$scratch/watched" &
  local watcher=$!
  # Instances sit there before they are read: there is something to watch. On an emulated host it takes seconds until
  # they hold what they are to hold.
  local age=4 counts=0,1,2 arms=vm,container
  [ "$slow" = 1 ] || age=9 counts=0,1
  [ -n "${DUET_TEST_FULL:-}" ] || arms=vm
  run --separate-stderr duet bench memory --arms $arms --counts $counts --rounds 1 --age $age \
    --seed 5 -o "$scratch/memory.json" busybox -- sh -c "$holder"
  kill $watcher
  is "$status" 0
  is "$stderr" ""
  [ "$(wc -L <<<"$output")" -le 80 ]
  local shown=('sum of PSS' cgroups MemAvailable MemFree 'one more')
  emulated "$scratch/memory.json" || shown+=("guest's RAM" 'page cache in the guest')
  for what in "${shown[@]}"; do
    [[ $output == *"$what"* ]] || { echo "no $what in: $output"; return 1; }
  done
  [[ ${output,,} == *tcg* || ${output,,} == *kvm* ]]
  none_listed
  jq -e '.schema_version == 1 and .benchmark == "memory" and (.samples | length) == (.arms | length) * (1 + (.plan.counts | length)) and
    all(.samples[]; .status == "ok" and .warnings == [] and
      (.memory | .count == .started and .count == (.instances | length)))' "$scratch/memory.json" ||
    { jq -c '.samples[] | [.arm, .status, .warnings]' "$scratch/memory.json"; return 1; }
  python3 - "$scratch/memory.json" "$scratch/watched" <<'PYTHON'
import itertools, json, statistics, sys

run = json.load(open(sys.argv[1]))
watched = [tuple(map(int, line.split())) for line in open(sys.argv[2]) if line.endswith("\n")]

def pss(sample):
    return sum(i["payload_pss_bytes"] + i["managing_pss_bytes"] for i in sample["memory"]["instances"])

for sample in run["samples"]:
    memory = sample["memory"]
    if not memory["count"]:
        continue
    at = memory["host"]["monotonic_ns"]
    # The last look before: after the reading they end at once.
    ns, instances, seen, in_cgroups = max(w for w in watched if w[0] <= at)
    print(sample["arm"], memory["count"], "duet", pss(sample), "seen", seen, "before", (at - ns) / 1e9)
    assert instances == memory["count"] and at - ns < 2e9, (instances, ns, at)
    assert abs(pss(sample) - seen) <= 0.01 * seen
    print("in their cgroups", in_cgroups)
    assert in_cgroups == -1 or abs(pss(sample) - in_cgroups) <= 0.01 * in_cgroups
    for i in memory["instances"]:
        whole = ("guest_ram", "anon", "file", "shmem", "helpers")
        parts = sum(i[f"{name}_pss_bytes"] for name in whole)
        assert abs(parts - i["payload_pss_bytes"]) <= 64 * 1024, i
        assert i["age_ns"] >= 4e9
        if sample["arm"] == "vm":
            assert 40 << 20 < i["guest_ram_pss_bytes"] <= 256 << 20, i
            # By the guest's own kernel, which has been given 256 MiB and keeps some.
            guest = i["guest"]
            assert 128 << 20 < guest["total_bytes"] < 256 << 20, guest
            assert guest["available_bytes"] < guest["total_bytes"] - 24000000, guest
            assert guest["cached_bytes"] > 0 and guest["free_bytes"] > 0, guest
        else:
            assert "guest" not in i, i

for summary in run["summary"]:
    if run["host"]["cpu"]["hypervisor"] == "tcg":
        assert summary["verdict"] == "withheld: nested under TCG" and "estimators" not in summary, summary
        continue
    points = [(s["memory"]["count"], pss(s)) for s in run["samples"]
              if s["arm"] == summary["arm"] and not s["discarded"] and s["memory"]["count"]]
    slope = statistics.median(
        (y - v) / (x - u) for (u, v), (x, y) in itertools.combinations(points, 2) if x != u)
    line = summary["estimators"]["pss"]
    assert line["slope_bytes"] == slope, (line, slope)
    assert line["intercept_bytes"] == statistics.median(y - slope * x for x, y in points)
PYTHON
}

# bats test_tags=quiet
@test "bench memory measures the payload, and the estimators find it" {
  memory --counts 1,3 --rounds 2 busybox -- sh -c "$holder" >"$scratch/table"
  jq -e '.summary[0].ok == 4 and .arms[0].command[0] == "sh"' "$scratch/memory.json"
  if emulated "$scratch/memory.json"; then
    jq -e '.summary[0] | .verdict == "withheld: nested under TCG" and (has("estimators") | not)' "$scratch/memory.json"
    return
  fi
  jq -e '.summary[0].estimators.pss.slope_bytes | . > 23e6 and . < 30e6' "$scratch/memory.json"
  ! limited || jq -e '.summary[0].estimators | (.cgroup.slope_bytes / .pss.slope_bytes) |
    . > 0.9 and . < 1.1' "$scratch/memory.json"
}

# bats test_tags=full
@test "bench memory counts what fails to start or does not stay" {
  expect 1 memory --counts 1,2 --rounds 1 busybox -- sh -c 'exit 3'
  [[ $(tr -s ' \n' ' ' <<<"$output") == *"2 of 2 samples are not in its figures"*"ended with code 3"* ]]
  jq -e '[.samples[] | select(.status == "failed" and (.error | contains("code 3")))] | length == 3' \
    "$scratch/memory.json"
  # Every other start fails: its points are counted, told, and in no figure.
  mkdir -p "$scratch/seen"
  expect 0 memory --counts 1 --rounds 2 -v "$scratch/seen:/seen" busybox -- \
    sh -c 'n=$(ls /seen | wc -l); touch "/seen/$n"; [ $((n % 2)) = 0 ] && sleep 100'
  jq -e '.summary[0] | .ok == 1 and .failed == 1 and .counts[0].ok == 1' "$scratch/memory.json"
  expect 127 memory --counts 1 busybox -- nosuchprogram
  none_listed
}

@test "bench memory ends at ^C with what it has, and leaves nothing" {
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench memory --arms container --counts 3 --rounds 2 \
    --age 8 -o "$scratch/memory.json" busybox >"$scratch/table" &
  local bench=$!
  three() { [ "$(duet ps -q | wc -l)" = 3 ]; }
  wait_for 60 three
  # As a terminal does: to the whole group.
  kill -INT -- -$bench
  local code=0
  wait $bench || code=$?
  is "$code" 130
  none_listed
  is "$(left_behind)" ""
  jq -e '.interrupted and (.samples | length) == 2 and .samples[1].discarded and
    .arms[0].command == []' "$scratch/memory.json"
  grep -q interrupted "$scratch/table"
}

@test "bench memory goes up to 16 instances unless told otherwise" {
  expect 0 memory --rounds 1 --age 0.1 busybox
  jq -e '.plan.counts == [0, 1, 2, 4, 8, 16] and .summary[0].ok == 6' "$scratch/memory.json"
}

@test "bench memory refuses what makes no sense" {
  expect 125 memory --counts 1,1 busybox
  expect 125 memory --counts 1,x busybox
  expect 125 memory --counts '' busybox
  expect 125 memory --rounds 0 busybox
  expect 125 memory --age 0 busybox
  expect 125 memory nosuchimage
  expect 125 duet bench memory --arms vm,vm busybox
}

# ready PROBE SCRIPT [OPTION...]: two samples of a container that are stopped when they are ready.
ready() {
  local probe=$1 script=$2
  shift 2
  duet bench boot --arms container -n 1 --ready "$probe" -o "$scratch/ready.json" "$@" busybox -- sh -c "$script"
}
# all_of FILTER: holds of each sample, with its marks in milliseconds.
all_of() {
  jq -e "all(.samples[]; (.marks_ns | map_values(. / 1e6)) as \$at | $1)" "$scratch/ready.json" >/dev/null ||
    { jq -c '.samples[]' "$scratch/ready.json"; return 1; }
}

# bats test_tags=quiet
@test "bench boot --ready: by a line, by output, by exec; then it is stopped" {
  local slow_start='sleep 0.3; echo starting; sleep 0.3; echo ready now; exec sleep 100'
  ready 'log:^ready' "$slow_start" >"$scratch/table" 2>/dev/null
  all_of '.status == "ok" and .warnings == [] and $at.ready >= $at.output + 290 and $at.output >= $at.exec + 290 and
    $at.stop >= $at.ready and $at.released > $at.stop'
  grep -q 'request -> ready' "$scratch/table"
  grep -q 'stop    -> released' "$scratch/table"
  jq -e '.plan.ready == "log:^ready" and .summary[0].metrics.request_to_ready.n == 1 and
    .summary[0].metrics.stop_to_released.n == 1' "$scratch/ready.json" >/dev/null
  # What is shown of the file is what was measured.
  is "$(duet bench show --format json "$scratch/ready.json" | jq -cS '[.samples, .plan]')" \
    "$(jq -cS '[.samples, .plan]' "$scratch/ready.json")"
  ready output "$slow_start" >/dev/null 2>&1
  all_of '.status == "ok" and $at.ready == $at.output and $at.stop < $at.ready + 290'
  ready exec "$slow_start" >/dev/null 2>&1
  all_of '.status == "ok" and $at.ready == $at.exec and $at.output == null'
  none_listed
}

@test "bench boot --ready: by a command inside" {
  ready 'cmd:test -e /up' 'sleep 0.5; touch /up; exec sleep 100' >/dev/null 2>&1
  all_of '.status == "ok" and $at.ready >= $at.exec + 490 and $at.stop >= $at.ready'
  expect 127 ready cmd:nosuchprogram 'sleep 100'
  # The agent asks: the image's own client is not needed, nor are privileges.
  ready tcp:8080 'sleep 0.5; exec httpd -f -p 127.0.0.1:8080' --user nobody >/dev/null 2>&1
  all_of '.status == "ok" and $at.ready >= $at.exec + 490 and $at.ready < $at.exec + 5000 and $at.stop >= $at.ready'
  none_listed
}

@test "bench boot --ready: what never gets ready is censored, what ends before has failed" {
  expect 1 ready 'log:^never' 'echo x; exec sleep 100' --timeout 1
  all_of '.status == "timeout" and $at.ready == null'
  expect 1 ready cmd:false 'exec sleep 100' --timeout 1
  all_of '.status == "timeout"'
  expect 1 ready tcp:8080 'exec sleep 100' --timeout 1
  all_of '.status == "timeout" and $at.ready == null'
  expect 1 ready 'log:^never' 'echo x'
  all_of '.status == "failed" and (.error | contains("before it was ready"))'
  none_listed
}

@test "bench boot --ready refuses what it can't do" {
  for port in 0 65536 -1 http 80x ''; do
    expect 125 ready "tcp:$port" true
    [[ $output == *"from 1 to 65535"* ]]
  done
  expect 125 ready 'log:(' true
  expect 125 ready log true
  expect 125 ready exec:now true
  expect 125 ready port:80 true
  [[ $output == *"cmd:COMMAND"* ]]
}

@test "bench boot --ready ends at ^C, and leaves nothing" {
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench boot --arms container -n 2 --ready 'log:^never' \
    -o "$scratch/ready.json" busybox -- sh -c 'echo x; exec sleep 100' >/dev/null 2>&1 3>&- &
  local bench=$! code=0
  one_runs() { [ "$(duet ps -q | wc -l)" = 1 ]; }
  wait_for 60 one_runs
  kill -INT -- -$bench
  wait $bench || code=$?
  is "$code" 130
  none_listed
  is "$(left_behind)" ""
}

@test "bench boot: who interrupts is told by the signal, not by the payload's exit code" {
  expect 1 duet bench boot --arms container -n 3 -o "$scratch/codes.json" busybox -- sh -c 'exit 143'
  jq -e '(.interrupted | not) and ([.samples[] | select(.discarded | not) | .exit_code] == [143, 143, 143])' "$scratch/codes.json"
  # This one takes the signal, and ends well.
  setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench boot --arms container -n 3 -o "$scratch/codes.json" busybox -- \
    sh -c 'trap "exit 0" INT; while :; do sleep 0.1; done' >/dev/null 2>&1 3>&- &
  local pid=$!
  wait_for 10 eval '[ -n "$(duet ps -q)" ]'
  sleep 0.5
  kill -INT $pid
  status=0
  wait $pid || status=$?
  is "$status" 130
  jq -e '.interrupted and (.samples | length) == 1 and .samples[0].discarded' "$scratch/codes.json"
}

@test "bench boot: under nohup the terminal's end is not the benchmark's" {
  (trap '' HUP && exec "$DUET" bench boot --arms container -n 2 -o "$scratch/hung.json" busybox -- sleep 0.5) \
    >/dev/null 2>&1 3>&- &
  local pid=$!
  wait_for 10 eval '[ -n "$(duet ps -q)" ]'
  kill -HUP $pid
  wait $pid
  jq -e '.interrupted == false and all(.samples[]; .status == "ok")' "$scratch/hung.json"
}

@test "bench boot: what would kill it does, and is no failure of its payload's" {
  ulimit -c 0
  local signal pid
  for signal in QUIT USR1; do
    # What is in the background ignores ^\ else.
    setsid env --default-signal=QUIT DUET_ROOT="$DUET_ROOT" "$DUET" bench boot --arms container -n 3 \
      -o "$scratch/quit.json" busybox -- sleep 100 >/dev/null 2>&1 3>&- &
    pid=$!
    wait_for 10 eval '[ -n "$(duet ps -q)" ]'
    sleep 0.5
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    is "$status" $((128 + $(kill -l $signal)))
    wait_for 10 none_listed
  done
  [ ! -s "$scratch/quit.json.part" ]
}

# Of 0.45 s half are the instance's and half the bare spawn's: the signal comes in both, and between.
@test "bench cost: whenever it is interrupted, there is a table and a file of what was measured" {
  needs_root "to spawn bare"
  local tenths pid
  for tenths in 0 1 2 3 4 5; do
    setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench cost -n 30 -o "$scratch/cut.json" busybox -- \
      sleep 0.2 >"$scratch/table" 2>/dev/null 3>&- &
    pid=$!
    wait_for 10 eval '[ "$(wc -l 2>/dev/null <"$scratch/cut.json.part")" -ge 3 ]'
    sleep 0.$tenths
    kill -INT -- -$pid
    status=0
    wait $pid || status=$?
    is "$status" 130
    grep -q interrupted "$scratch/table"
    jq -e .interrupted "$scratch/cut.json"
    rm "$scratch/cut.json"
  done
}

@test "bench cost: a bare spawn ends with the benchmark, and leaves nothing" {
  needs_root "to spawn bare"
  duet bench cost -n 2 -o "$scratch/bare.json" busybox >"$scratch/table" 2>/dev/null
  grep -q '^duet itself .* native takes' "$scratch/table"
  valid_result "$scratch/bare.json"
  expect 125 duet bench cost -v "$scratch:/mnt" busybox
  [[ $output == *"without folders of the host"* ]]
  jq -e 'all(.samples[]; .bare_spawn_ns > 0)' "$scratch/bare.json"
  # Ends under duet, and waits where nobody made it a /dev.
  local command=(busybox -- sh -c '[ -c /dev/null ] || exec sleep 98764')
  bare_runs() { pgrep -f '^sleep 98764' >/dev/null; }
  for signal in INT KILL; do
    "$DUET" bench cost -n 2 "${command[@]}" >/dev/null 2>&1 3>&- &
    local pid=$!
    wait_for 10 bare_runs
    kill -$signal $pid
    wait $pid || true
    wait_for 5 eval '! bare_runs'
  done
  duet bench cost -n 2 --timeout 1 -o "$scratch/bare.json" "${command[@]}" >/dev/null 2>&1
  jq -e 'all(.samples[]; .status == "ok" and (has("bare_spawn_ns") | not))' "$scratch/bare.json"
  run bare_runs
  is "$status" 1
  is "$(find "$DUET_ROOT" -maxdepth 1 -name 'bare-*')" ""
}

@test "bench boot --from saved: VMs go on from the memory of one that was saved" {
  duet bench boot --from saved --arms vm,container -n 1 --timeout 300 --ready cmd:true -o "$scratch/saved.json" busybox \
    >"$scratch/table" 2>/dev/null
  none_listed
  is "$(left_behind)" ""
  valid_result "$scratch/saved.json"
  jq -e '.plan.from == "saved" and .plan.arms == ["vm-saved", "container"] and .arms[0].command == [] and
    (.samples | length) == 4 and all(.samples[]; .status == "ok" and .warnings == [] and (.guest_clock_ns == {} or .arm == "container")) and
    all(.samples[] | select(.arm == "vm-saved"); .clone_ns > 0 and (.marks_ns | .running > 0 and .init >= .running and
      .exec >= .init and .ready > .exec and .output == null and .released > .stop))' "$scratch/saved.json" ||
    { jq -c '.samples[]' "$scratch/saved.json"; return 1; }
  # The guest did not boot.
  jq -e '.samples[] | select(.arm == "vm-saved") | .marks_ns | .exec - .running < .running' "$scratch/saved.json"
  [[ $(tr -s ' \n' ' ' <"$scratch/table") == *"VMs from a saved state, stopped when ready by cmd:true"*"clone, before request"*"no guest boots in it"* ]]
}

@test "bench boot --from refuses what can't be saved, or says nothing of it" {
  refused() { expect 125 duet bench boot -n 1 "${@:2}" busybox && [[ $output == *"$1"* && $(wc -l <<<"$output") -le 2 ]]; }
  refused 'has no vm' --from saved --arms container
  refused 'leave --from out' --from saved --parallel 2
  refused 'leave --peers out' --from saved --peers crun
  refused 'exec, cmd:COMMAND or tcp:PORT' --from saved --ready output
  refused 'saved,cold for both' --from warm
  refused 'saved,cold for both' --from saved,saved
  refused 'libvirt daemon (--connect)' --from saved --connect qemu:///system
  DUET_CONNECT=qemu:///system refused 'libvirt daemon (--connect)' --from saved
  refused "can't be saved with a VM's memory" --from saved -v "$scratch:/x"
  none_listed
}

# template: the VM that a benchmark makes clones of was saved.
template() { duet ps -a --filter status=saved --format json | jq -e 'length >= 1'; }

# bats test_tags=full
@test "bench boot --from saved: both beside each other; killed or interrupted, it leaves nothing" {
  duet bench boot --from saved,cold --arms vm,container -n 2 --timeout 300 -o "$scratch/saved.json" busybox >"$scratch/table" 2>/dev/null
  jq -e '.plan.from == "saved,cold" and ([.samples[].arm] | unique) == ["container", "vm", "vm-saved"] and
    all(.samples[]; .status == "ok" and .warnings == [])' "$scratch/saved.json"
  expect 125 duet bench boot --from saved --arms vm -n 1 busybox -- true
  [[ $output == *"its payload ended by itself"* ]]
  # It is none of the arm's time-outs, and is not tried again for each sample.
  expect 125 duet bench boot --from saved --arms vm -n 9 --timeout 2 --ready cmd:false busybox
  [[ $output == *"cannot measure 'vm-saved': cannot save the VM that all samples go on from: timed out"* ]]
  none_listed
  local signal code
  for signal in KILL INT; do
    setsid env DUET_ROOT="$DUET_ROOT" "$DUET" bench boot --from saved --arms vm -n 30 busybox >/dev/null 2>&1 3>&- &
    local bench=$!
    wait_for 120 template
    kill -$signal $bench
    code=0
    wait $bench || code=$?
    wait_for 30 none_listed
    is "$(left_behind)" ""
  done
  is "$code" 130
}

# delayed ARM PAIRS SEED DELAY_S: runs one payload twice as often, half of which wait so long before they write, in random
# order; prints the comparison of the two halves.
# shellcheck disable=SC2016 # the payload's shell expands it
delayed() {
  local deal=$scratch/deal
  mkdir -p "$deal"
  chmod 0777 "$deal"
  python3 "$tests_dir/integration/deal.py" plan "$2" "$3" "$4" >"$deal/plan"
  echo 1 >"$deal/n"
  "$DUET" bench boot --arms "$1" -n $((2 * $2)) --seed "$3" -v "$deal:/deal" -o "$scratch/dealt.json" busybox -- sh -c \
    'read -r n </deal/n; echo $((n + 1)) >/deal/n; sleep "$(sed -n "${n}p" /deal/plan)"; echo' >/dev/null 2>&1
  python3 "$tests_dir/integration/deal.py" split "$deal/plan" "$scratch/dealt.json" >"$scratch/halves.json"
  "$DUET" bench show --format json "$scratch/halves.json" | jq '.comparisons[0] +
    {plain_ns: (.summary[] | select(.arm == "plain") | .metrics.request_to_output.median_ns)}'
}

# An interval misses the truth once in twenty, so most of five are asked for, which chance takes away once in 860 runs.
# The truth is a little more than the delay, since what follows a wait runs from colder caches: seen were 20.3 ms of 20 and 100.3
# to 101.1 ms of 100, within 2 %.
# found ARM PAIRS DELAY_S [TRIALS]: that it lies in the interval, which leaves 0 out where the delay is one that such a run can tell.
found() {
  local seed hits=0 trials=${4:-5}
  for ((seed = 1; seed <= trials; seed++)); do
    delayed "$1" "$2" $seed "$3" >"$scratch/contrast.json"
    jq -e --argjson delay "$3" '($delay * 1e9) as $ns |
      .difference_low_ns <= $ns * 1.02 and $ns <= .difference_high_ns and
      ($ns / .plain_ns <= .smallest_detectable_effect or .difference_low_ns > 0)' "$scratch/contrast.json" >/dev/null && hits=$((hits + 1))
    jq -c . "$scratch/contrast.json"
  done
  ((2 * hits > trials))
}

# bats test_tags=quiet
@test "a delay that a payload was given is found, and lies in the interval" {
  for delay in 0.005 0.02 0.1; do found container 30 $delay; done
}

# bats test_tags=full
@test "a delay of a VM, twice what its run can detect, is found" {
  # Half of them wait for nothing: what can such a run detect?
  delayed vm 12 4 0.000001 >"$scratch/none.json"
  delay=$(jq '.smallest_detectable_effect * .plain_ns * 2 / 1e9' "$scratch/none.json")
  found vm 12 "$delay" 3
  jq -e '.verdict == "differs"' "$scratch/contrast.json"
}
