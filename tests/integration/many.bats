#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Five hundred containers at a time, and sixteen VMs.

load lib
export KIND=container

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

# latency N: the median, in ns, of how long N of them take from request to exec; they stay.
latency() {
  local i ids=()
  for ((i = 0; i < $1; i++)); do ids+=("$(duet run -d busybox sleep 10000)"); done
  duet inspect "${ids[@]}" | jq '[.[].marks | .exec - .request] | sort | .[length / 2 | floor]'
}

# The mean PSS in KiB of the processes whose command line begins so; each counts for what it adds.
pss_of() {
  python3 - "$1" <<'END'
import glob, re, sys
found = []
for place in glob.glob('/proc/[0-9]*'):
    try:
        if open(place + '/cmdline').read().startswith(sys.argv[1]):
            found.append(int(re.search(r'^Pss:\s+(\d+)', open(place + '/smaps_rollup').read(), re.M)[1]))
    except (OSError, TypeError):
        continue
print(len(found), round(sum(found) / max(len(found), 1)))
END
}

# Memory cgroups that the kernel has, removed ones that it cannot let go of among them.
memory_cgroups() {
  awk '$1 == "memory" { print $3 }' /proc/cgroups
}

@test "the 500th container starts within 1.3 times the first one's time, and each holds little" {
  needs_root "for cgroups"
  local first last monitors agents sitting before directories
  before=$(memory_cgroups)
  directories=$(our_directories)
  # A neighbour can spoil a sitting; what grows with the number of them spoils all.
  for sitting in 1 2 3 4 5; do
    duet rm -f --all >/dev/null
    first=$(latency 25)
    latency 450 >/dev/null
    last=$(latency 25)
    echo "# first $first ns, last $last ns"
    ((last * 10 > first * 13)) || break
  done
  is "$(duet ps -q | wc -l)" 500
  monitors=$(pss_of 'duet-monitor busybox-')
  agents=$(pss_of duet-agent)
  echo "# monitors and agents, number and mean PSS in KiB: $monitors, $agents"
  ((${monitors% *} >= 500 && ${agents% *} >= 500))
  ((${monitors#* } + ${agents#* } <= 1536))
  ((last * 10 <= first * 13))
  duet rm -f --all >/dev/null
  none_listed
  is "$(left_behind)" ""
  # the directory of each is gone from every hierarchy
  is "$(comm -13 <(echo "$directories") <(our_directories))" ""
  # Each that stays costs every later start a little: of 1500 there are at most as many as others make meanwhile.
  wait_for 10 fewer_cgroups $((before + 150))
}
our_directories() { find /sys/fs/cgroup -type d -name 'duet-*' | sort; }
fewer_cgroups() { (($(memory_cgroups) < $1)); }

@test "16 VMs live at once, each is its own, and all go in one command" {
  local i began=$SECONDS
  for i in {1..16}; do duet run -d --vm --name "vm$i" -m 96m busybox sh -c "echo $i >/number; sync; sleep 10000" 2>/dev/null & done
  wait
  echo "# 16 VMs took $((SECONDS - began)) s"
  is "$(duet ps -q | wc -l)" 16
  for i in {1..16}; do is "$(duet exec "vm$i" cat /number)" "$i"; done
  is "$(for i in {1..16}; do field "vm$i" pid; done | sort -u | wc -l)" 16
  began=$SECONDS
  duet rm -f --all >/dev/null
  echo "# gone in $((SECONDS - began)) s"
  none_listed
  is "$(left_behind)" ""
}
