# shellcheck shell=bash
# shellcheck disable=SC2119,SC2120 # functions with optional arguments
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the integration tests share. Each file gets a root directory of its own with the stock image
# busybox in it, uses the real binary, and checks at its end that nothing is left behind.

bats_require_minimum_version 1.5.0
tests_dir=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/..
source_dir=$(realpath "$tests_dir/..")
export DUET=${DUET:-$source_dir/build/cli/duet}
duet() { "$DUET" "$@"; }

# How many times slower than a usual machine this one is: the laboratory's guest is emulated.
slow=${DUET_TEST_SLOW:-1}

# The kind under test, of suites that try both.
export KIND=${KIND:-container}

root_up() {
  DUET_ROOT=$(mktemp -d /tmp/duet-test.XXXXXX)
  export DUET_ROOT
  chmod 0711 "$DUET_ROOT"
  scratch=$(mktemp -d /tmp/duet-scratch.XXXXXX)
  export scratch
  processes_before=$(ours | sort)
  export processes_before
}

stock_image() {
  local archive=$scratch/$1.tar
  "$source_dir/images/recipes/$1" "$archive" >/dev/null
  duet image import --name "$1" "$archive" >/dev/null
}

root_down() {
  [ -n "${DUET_ROOT:-}" ] || return 0
  duet rm -f --all >/dev/null
  local left
  left=$(left_behind)
  # Images need not go instance by instance: the whole root does.
  rm -rf --one-file-system "$DUET_ROOT" "$scratch"
  [ -z "$left" ] || { echo "left behind: $left"; return 1; }
}

# Processes of duet: monitors, workers, agents, QEMU; zombies that pid 1 has not reaped are nobody's.
ours() {
  local pid stat
  for pid in /proc/[0-9]*; do
    # Not by cat: a process for each of a busy host's takes seconds.
    { read -r stat <"$pid/stat"; } 2>/dev/null || continue
    case $stat in
    *") Z "*) continue ;;
    *"(duet"* | *"(qemu-system-x86"* | *"(virtiofsd"*) ;;
    *) is_agent "$pid" || continue ;;
    esac
    echo "${pid#/proc/}"
  done
}
# is_agent DIRECTORY: of a process. An agent is executed from a memfd: what its name is depends on the kernel.
is_agent() {
  local word=''
  { read -r -d '' word <"$1/cmdline"; } 2>/dev/null
  [ "$word" = duet-agent ]
}
# monitors NAME: of the instance, and its worker. Other tests, beside this one, have instances of that name, too.
monitors() {
  local pid
  for pid in $(pgrep -f "^duet-monitor $1\$"); do
    ! grep -qzxF "DUET_ROOT=$DUET_ROOT" "/proc/$pid/environ" 2>/dev/null || echo "$pid"
  done
}
# killed_in VERB NAME VICTIM: `duet VERB NAME`, of which the client, monitor, worker or QEMU is killed somewhere in
# the middle; then the VM NAME runs, is saved, or ended.
killed_in() {
  local id name=$2
  # Not while it is at work: it would answer late.
  id=$(field "$name" id)
  "$DUET" "$1" "$name" >/dev/null 2>&1 &
  sleep "0.$((RANDOM % 9))"
  case $3 in
  client) kill -9 $! || true ;;
  monitor) kill -9 "$(monitors "$name" | head -n 1)" || true ;;
  worker) kill -9 "$(monitors "$name" | tail -n 1)" || true ;;
  qemu) kill -9 "$(pgrep -f "guest=$id" | head -n 1)" || true ;;
  esac
  wait $! || true
  # A monitor whose client was killed goes on with what it does.
  wait_for 20 eval "[[ \$(state_of $name) =~ ^(running|saved|exited)\$ ]]"
  [ "$3" != client ] || sleep 3
}

# Whether a process of ours is one that this test left; other tests may run beside this one. A monitor has our
# environment, QEMU has files of our root open or as arguments.
is_left() {
  grep -qzF "DUET_ROOT=$DUET_ROOT" "/proc/$1/environ" 2>/dev/null ||
    grep -qzF -e "$DUET_ROOT/" -e "$scratch/" "/proc/$1/cmdline" 2>/dev/null ||
    find "/proc/$1/fd" -lname "$DUET_ROOT/*" 2>/dev/null | grep -q . || is_orphan "$1"
}
# Nothing tells whose an agent is, or a virtiofsd of a VM that is in no daemon; but it lives below its monitor.
is_orphan() {
  local stat parent above
  is_agent "/proc/$1" || grep -qzF "source=$(run_base)/" "/proc/$1/cmdline" 2>/dev/null || return
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return
  read -r _ parent _ <<<"${stat##*) }"
  { read -r above <"/proc/$parent/comm"; } 2>/dev/null || return
  # One that idles lies below another, of the name of its memfd.
  [[ $above != duet* && $above != memfd:duet* && $above != virtiofsd ]] || return
  # One whose monitor another test has just killed is about to go.
  sleep 0.3
  is_agent "/proc/$1" || grep -qzF "source=$(run_base)/" "/proc/$1/cmdline" 2>/dev/null
}

# What this test's instances left: named by their ids, which are directories of this root.
left_behind() {
  local left deadline=$((SECONDS + 3 * slow))
  while [ $SECONDS -lt $deadline ]; do
    left=$(left_now "$@")
    [ -n "$left" ] || return 0
    sleep 0.1
  done
  echo "$left"
}
left_now() {
  local folder
  for folder in live names instances owned trash; do
    find "$DUET_ROOT/$folder" -mindepth 1 -maxdepth 1 2>/dev/null
  done
  grep -F "$DUET_ROOT/" /proc/self/mountinfo
  for pid in $(comm -13 <(echo "$processes_before") <(ours | sort)); do
    ! is_left "$pid" || echo "process $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
  done
  for id in "$@"; do
    find /sys/fs/cgroup -type d '(' -name "duet-$id" -o -name "duet-$id.scope" ')' 2>/dev/null
    ! systemd_runs || our_systemctl list-units --all --no-legend "duet-$id.scope"
    [ ! -e "$(run_base)/$id" ] || echo "$(run_base)/$id"
    [ ! -e "$DUET_ROOT/instances/$id/sock" ] || echo "$DUET_ROOT/instances/$id/sock"
  done
}

# Whether instances are scopes of systemd here, and its manager of ours.
systemd_runs() { [ -d /run/systemd/system ]; }
our_systemctl() { if [ "$(id -u)" = 0 ]; then systemctl "$@"; else systemctl --user "$@"; fi; }

# run_as [OPTION...] IMAGE COMMAND...: one run of the kind under test that removes itself.
run_as() {
  local code=0 errors=$scratch/stderr.$BASHPID
  duet run --rm --as "$KIND" "$@" 2>"$errors" || code=$?
  grep -av 'no usable KVM' "$errors" >&2 || true
  rm -f "$errors"
  return "$code"
}

# The same, stderr as it is: byte for byte, the notice with it.
run_plain() { duet run --rm --as "$KIND" "$@"; }

# expect CODE COMMAND...: the command exits with that code; its output, both streams, is in $output.
expect() {
  local code=$1
  shift
  status=0
  output=$("$@" 2>&1) || status=$?
  [ "$status" = "$code" ] || {
    echo "exit code $status, not $code, of: $*"
    echo "$output"
    return 1
  }
}

# emulated FILE: the host's own CPUs are emulated (the laboratory), so all figures are withheld.
emulated() { jq -e '.host.cpu.hypervisor == "tcg"' "$1" >/dev/null; }

# Under emulated KVM a guest is lost now and then before its first word: it hangs, or resets itself. The test, of which
# bats asks this, is tried up to twice more then. Not where QEMU was killed: somebody did that. All is told, and what the
# kernel said last.
if [ "$slow" != 1 ]; then
  bats_should_retry_test() {
    local lost
    lost=$(printf '%s\n' "${output:-}" "${stderr:-}" | cat "$BATS_OUT" - |
      grep -m 1 -E 'it did not come up within|ended before its payload could be started') || return 1
    echo "# a guest was lost: $BATS_TEST_DESCRIPTION: $lost" >&3
    dmesg 2>/dev/null | tail -n 8 | sed 's/^/# /' >&3
    [[ $BATS_TEST_TRY_NUMBER -lt 3 && $lost != *"killed by signal"* && $lost != *"out of memory"* ]] || return 1
    duet ps -a --format json | jq -r '.[] | select(.state == "exited") | .id' | xargs -r "$DUET" rm
  }
fi

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local end=$((SECONDS + $1 * slow))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "in vain waited for: $*"; return 1; }
    sleep 0.05
  done
}

is() {
  [ "$1" = "$2" ] || {
    printf 'got:      %s\nexpected: %s\n' "$1" "$2"
    return 1
  }
}

# Whether limits can be kept: root's can, an ordinary user's where a cgroup was delegated.
limited() { duet check --format json | jq -e 'any(.[]; .name == "limit-memory" and .status == "ok")' >/dev/null; }
# What a test of root's, or of limits, says to users without either; rootless.bats is theirs.
needs_root() { [ "$(id -u)" = 0 ] || skip "needs root $1"; }
needs_limits() { limited || skip "no cgroup was delegated"; }
# Where what a running VM needs is.
run_base() {
  if [ "$(id -u)" = 0 ]; then echo /run/duet; elif [ -n "${XDG_RUNTIME_DIR:-}" ]; then
    echo "$XDG_RUNTIME_DIR/duet"
  else echo "/tmp/duet-run-$(id -u)"; fi
}

wrote() { duet logs "$1" | grep -qx "$2"; }
has_state() { [ "$(state_of "$1")" = "$2" ]; }
# Its second run, and no further.
runs_again() { [ "$(field "$1" restarts) $(state_of "$1")" = "1 running" ]; }
# field INSTANCE NAME: of what `duet inspect` tells.
field() { duet inspect "$1" | jq -r ".[0].$2"; }
state_of() { field "$1" state; }
# none_listed, none_runs: no instance is, and `duet ps` itself did not fail.
none_listed() {
  local out
  out=$(duet ps -aq) && is "$out" ""
}
none_runs() {
  local out
  out=$(duet ps -q) && is "$out" ""
}

# crun refuses the hybrid layout while no v1 hierarchy holds the controller that v2 has.
cgroups_for_crun() {
  [ -d /sys/fs/cgroup/unified ] && ! mountpoint -q /sys/fs/cgroup/hugetlb || return 0
  mkdir -p /sys/fs/cgroup/hugetlb
  mount -t cgroup -o hugetlb cgroup /sys/fs/cgroup/hugetlb || true
}

# types NAME TEXT: at a disk's console, which is left when it has come back.
types() { { printf %s "$2"; wait_for 10 shows "$1" "$2"; printf '\020\021'; } | duet console "$1" 2>/dev/null >/dev/null && shows "$1" "$2"; }
shows() { [[ $(duet logs "$1") == *"$2"* ]]; }

# valid_result FILE: against the schema that is installed.
valid_result() {
  # Debian's Python, which has Debian's modules.
  /usr/bin/python3 - "$source_dir/docs/result-1.schema.json" "$1" <<'PYTHON'
import json, sys
from jsonschema import Draft202012Validator, FormatChecker
schema, result = (json.load(open(name)) for name in sys.argv[1:])
Draft202012Validator.check_schema(schema)
errors = list(Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(result))
for error in errors[:5]:
    print(list(error.absolute_path), error.message[:200])
sys.exit(bool(errors))
PYTHON
}

# debian_changes NAME: a Debian with a guest agent, 1 GiB and maxvcpus=2 that runs gets other memory, vCPUs and disks, and
# its system sees them.
debian_changes() {
  local full less disk=$DUET_ROOT/more.img
  total_kib() { duet exec "$1" grep MemTotal /proc/meminfo | tr -dc 0-9; }
  full=$(total_kib "$1")
  duet update -m 640m "$1" >/dev/null
  less=$(total_kib "$1")
  echo "$full KiB, then $less"
  [ $((full - less)) -gt 380000 ] && [ $((full - less)) -lt 400000 ]
  expect 125 duet update -m 80m "$1"
  [[ $output == *"not in use"* ]] || { echo "$output"; return 1; }
  is "$(field "$1" memory_limit_bytes)" $((640 << 20))
  is "$(duet exec "$1" nproc)" 1
  if [ "$(nproc)" -gt 1 ]; then
    # Nothing beside the name: its agent has switched them on.
    is "$(duet update --cpus 2 "$1" 2>&1)" "$1"
    is "$(duet exec "$1" cat /sys/devices/system/cpu/online)" 0-1
  fi
  truncate -s 2M "$disk"
  chmod 666 "$disk"
  duet disk attach "$1" "$disk" >/dev/null
  wait_for 20 duet exec "$1" sh -c 'grep -qx duet-disk-0 /sys/block/*/serial'
  duet disk detach "$1" vdc >/dev/null
  wait_for 20 duet exec "$1" sh -c '! grep -qx duet-disk-0 /sys/block/*/serial'
  duet update -m 0 "$1" >/dev/null
  is "$(total_kib "$1")" "$full"
}
