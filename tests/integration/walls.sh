#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Run inside of a container: one row for each wall, its name, a tab, and what is seen from there. Wants Debian's bash, python3, systemd
# and util-linux:
#   duet run --rm -i IMAGE bash <tests/integration/walls.sh
row() { printf '%s\t%s\n' "$1" "$2"; }
status() { awk -v k="$1:" '$1 == k { print $2 }' /proc/self/status; }
row 'uid_map' "$(xargs </proc/self/uid_map)"
for field in CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters; do row $field "$(status $field)"; done
# The OCI runtime specification's lists.
open='' writable=''
for path in /proc/{acpi,asound,kcore,keys,latency_stats,timer_list,timer_stats,sched_debug,scsi} /sys/{firmware,devices/virtual/powercap}; do
  if [ -d "$path" ]; then seen=$(ls -A "$path" 2>/dev/null); else seen=$(head -c 1 "$path" 2>/dev/null | wc -c); fi
  [[ -z $seen || $seen = 0 ]] || open+=" $path"
done
row 'not masked' "${open:-none}"
for path in /proc/{bus,fs,irq,sys,sysrq-trigger}; do
  [ ! -e "$path" ] || grep -q " $path ro" /proc/self/mountinfo || writable+=" $path"
done
row 'not read-only' "${writable:-none}"
row '/sys' "$(awk '$5 == "/sys" { split($6, a, ","); print a[1] }' /proc/self/mountinfo)"
row devices "$(cd /dev && echo *)"
row 'systemd-detect-virt' "$(systemd-detect-virt)"
row 'systemd-detect-virt --container' "$(systemd-detect-virt --container)"
row 'files, processes, core' "$(ulimit -Sn) $(ulimit -Hn) $(ulimit -u) $(ulimit -c)"
row oom_score_adj "$(cat /proc/self/oom_score_adj)"
row 'pid 1' "$(tr '\0' ' ' </proc/1/cmdline)"
cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id
row 'set-user-id program of root' "$(setpriv --reuid 1000 --regid 1000 --clear-groups /tmp/id -u)"
python3 - <<'END'
import ctypes, os, errno
libc = ctypes.CDLL(None, use_errno=True)
calls = {
    'keyctl': (250, 0, 0),
    'add_key': (248, 0, 0),
    'bpf': (321, 0, 0, 0),
    'kexec_load': (246, 0, 0, 0, 0),
    'mount': (165, 0, 0, 0, 0, 0),
    'unshare user': (272, 0x10000000),
    'setns': (308, -1, 0),
    'perf_event_open': (298, 0, 0, 0, 0, 0),
    'userfaultfd': (323, 0),
    'io_uring_setup': (425, 1, 0),
    'open_by_handle_at': (304, 0, 0, 0),
    'ptrace': (101, 0, 0, 0),
    'clone3': (435, 0, 0),
    'personality': (135, 0xffffffff),
    'iopl': (172, 3),
    'init_module': (175, 0, 0, 0),
    'settimeofday': (164, 0, 0),
    'swapon': (167, 0, 0),
    'vmsplice': (278, -1, 0, 0, 0),
    'process_vm_readv': (310, os.getpid(), 0, 0, 0, 0, 0),
    'pivot_root': (155, 0, 0),
    'move_mount': (429, -1, 0, -1, 0, 0),
    'quotactl': (179, 0, 0, 0, 0),
    'acct': (163, 0),
    'fanotify_init': (300, 0, 0),
    'mbind': (237, 0, 0, 0, 0, 0, 0),
    'kcmp': (312, 1, 1, 9, 0, 0),
    'syslog': (103, 10, 0, 0),
}
for name, a in sorted(calls.items()):
    pid = os.fork()
    if pid == 0:
        r = libc.syscall(*[ctypes.c_long(x) for x in a])
        os._exit(0 if r >= 0 else ctypes.get_errno())
    st = os.waitpid(pid, 0)[1]
    print(f"call {name}\t{'ok' if st == 0 else errno.errorcode.get(st >> 8, st)}")
END
for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper; do row "write $f" "$( { echo x >$f; } 2>&1 | sed 's/.*: //')"; done
