#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Where systemd is the init an instance is a scope of it; elsewhere, and where it can't be reached,
# directories of our own. Each case runs for real on both: tests/lab has the systemd.

load lib
KIND=container

setup_file() {
  root_up
  stock_image busybox
}
teardown_file() { root_down; }

id_of() { duet inspect "$1" | jq -r '.[0].id'; }
monitor_of() { duet inspect "$1" | jq -r '.[0].monitor_pid'; }
cgroup_of() { duet inspect "$1" | jq -r '.[0].cgroup'; }
units() { our_systemctl list-units --all --no-legend 'duet-*.scope'; }
# With the v2 directory of a part of an instance.
part_dir() {
  local path
  path=$(cgroup_of "$1" | tr ' ' '\n' | sed -n 's/^v2://p')
  echo "$(findmnt -n -o TARGET -t cgroup2 | head -1)$path/$2"
}
# nothing_of ID...: neither unit nor cgroup, now, without waiting. Another suite's agent may be an orphan for a moment.
nothing_of() {
  local left
  left=$(
    is_orphan() { false; }
    left_now "$@"
  )
  [ -z "$left" ] || { echo "left behind: $left"; return 1; }
}
# without_systemd COMMAND...: as if libsystemd were not installed.
without_systemd() {
  local modules=$scratch/modules
  mkdir -p "$modules"
  find "$(dirname "$DUET")/.." \( -name duet-tools.so -o -name duet-images.so -o -name duet-vm.so \) \
    -exec ln -sf {} "$modules/" \;
  DUET_MODULE_DIR=$modules "$@"
}
check_line() { duet check | grep -A1 ' cgroup-manager '; }

@test "check says who makes the cgroups" {
  run check_line
  if ! systemd_runs; then
    [[ $output == ok*"own directories: systemd is not the init here"* ]]
  elif [ "$(id -u)" = 0 ]; then
    [[ $output == ok*"systemd scope in /machine.slice, "*controllers* ]]
  else
    [[ $output == ok*"systemd scope in /user.slice/"*"/user@$(id -u).service/app.slice, with"* ]]
  fi
}

@test "an instance is a delegated scope, or a directory" {
  local id path
  duet run -d --name box busybox sleep 300
  id=$(id_of box)
  path=$(cgroup_of box)
  if systemd_runs; then
    [[ " $path" == *" v2:/"*".slice/duet-$id.scope" ]]
    is "$(our_systemctl show -p Description --value "duet-$id.scope")" "duet instance box"
    is "$(our_systemctl show -p Delegate --value "duet-$id.scope")" yes
    is "$(our_systemctl show -p TasksMax --value "duet-$id.scope")" infinity
    is "$(cat "$(part_dir box ..)/cgroup.procs")" ""
    grep -q "^0:.*/duet-$id.scope/monitor$" "/proc/$(monitor_of box)/cgroup"
    # On a hybrid host the memory controller is v1's.
    [ ! -d /sys/fs/cgroup/memory ] || grep -q ":memory:.*/duet-$id$" "/proc/$(monitor_of box)/cgroup"
  else
    [[ $path == *"/duet-$id"* ]]
    [[ $path != *.scope* ]]
  fi
  # What it executes later is in the payload's part, too.
  duet exec box sleep 123 &
  wait_for 10 pgrep -x -f 'sleep 123'
  grep -Eq "/duet-$id(.scope)?/payload(/box)?$" "/proc/$(pgrep -n -x -f 'sleep 123')/cgroup"
  duet rm -f box
  wait $! || true
  nothing_of "$id"
}

@test "limits are in force" {
  local id dir
  duet run -d --name limits -m 64m --pids-limit 50 --cpus 0.5 busybox sleep 300
  id=$(id_of limits)
  dir=$(part_dir limits payload)
  if [ -e "$dir/memory.max" ]; then
    is "$(cat "$dir/memory.max")" $((64 << 20))
    is "$(cat "$dir/memory.swap.max")" 0
    is "$(cat "$dir/pids.max")" 50
    is "$(cat "$dir/cpu.max")" "50000 100000"
  fi
  duet rm -f limits
  nothing_of "$id"
  expect 137 duet run --rm -m 32m busybox sh -c 'tail /dev/zero'
}

@test "pause, exec and stop leave nothing, at once" {
  local id
  duet run -d --name life busybox sleep 300
  id=$(id_of life)
  duet pause life
  duet unpause life
  is "$(duet exec life echo there)" there
  duet stop -t 1 life
  is "$(find /sys/fs/cgroup -name "*$id*")" ""
  ! systemd_runs || is "$(units)" ""
  duet rm life
  nothing_of "$id"
}

@test "20 starts leave neither unit nor cgroup, each at once" {
  local id
  for ((i = 0; i < 20; i++)); do
    duet run --name often busybox true
    id=$(id_of often)
    duet rm often
    nothing_of "$id"
    ! systemd_runs || is "$(units)" ""
  done
}

@test "kill -9 of the monitor at random moments leaves nothing after the next command" {
  local client pid id hits=0
  for ((n = 0; n < 12; n++)); do
    "$DUET" run --rm busybox sleep 2 >/dev/null 2>&1 3>&- &
    client=$!
    # A user's client has other children before.
    wait_for 10 pgrep -P "$client" -x duet-monitor
    pid=$(pgrep -P "$client" -x duet-monitor)
    # It may have its spec already or be just about to write it; the sweep takes either for whole.
    wait_for 10 test -n "$(find "$DUET_ROOT/instances" -mindepth 1 -name spec)"
    id=$(find "$DUET_ROOT/instances" -mindepth 1 -maxdepth 1 -printf '%f')
    sleep "$(awk -v r="$RANDOM" -v n=$n 'BEGIN { printf "%.3f", r / 32768 * (n % 2 ? 0.1 : 0.5) }')"
    ! kill -KILL "$pid" || hits=$((hits + 1))
    wait "$client" || true
    duet ps >/dev/null
    is "$(left_behind "$id")" ""
    ! systemd_runs || is "$(units)" ""
  done
  [ "$hits" -gt 0 ]
}

@test "a scope that is empty from its birth is ended by the sweep" {
  systemd_runs || { none_runs; return; }
  # As if the monitor had been killed while systemd put it there: its path is written down, nobody
  # holds its lock, and the unit has no process that could end.
  local id slice
  duet create --name born busybox true >/dev/null
  id=$(ls "$DUET_ROOT/instances")
  our_systemctl start machine.slice app.slice 2>/dev/null || true
  python3 - "$id" <<'END'
import dbus, os, sys, signal, time
bus = dbus.SystemBus() if os.getuid() == 0 else dbus.SessionBus()
manager = dbus.Interface(bus.get_object("org.freedesktop.systemd1", "/org/freedesktop/systemd1"),
                         "org.freedesktop.systemd1.Manager")
pid = os.fork()
if pid == 0:
    os._exit(0)
time.sleep(0.2)  # a zombie by now
manager.StartTransientUnit(f"duet-{sys.argv[1]}.scope", "fail", dbus.Array([
    ("PIDs", dbus.Array([dbus.UInt32(pid)], signature="u")),
    ("Slice", "machine.slice" if os.getuid() == 0 else "app.slice"), ("Delegate", True),
    ("CollectMode", "inactive-or-failed")], signature="(sv)"), dbus.Array([], signature="(sa(sv))"))
time.sleep(1)
os.waitpid(pid, 0)
END
  units
  slice=$(duet check | sed -n 's/.*systemd scope in \([^,]*\),.*/\1/p')
  echo -n "v2:$slice/duet-$id.scope" >"$DUET_ROOT/live/$id"
  touch -d '1 minute ago' "$DUET_ROOT/live/$id"
  duet ps >/dev/null
  is "$(units)" ""
  duet rm born
  nothing_of "$id"
}

@test "systemctl stop, as a host that goes down, lets the payload end well" {
  systemd_runs || skip "systemd is not the init here"
  local id kind kinds='container vm'
  # A user's systemd may not signal KVM's kernel thread that is in QEMU's cgroup, waits for nobody then, and kills.
  [ "$(id -u)" = 0 ] || kinds=container
  for kind in $kinds; do
    duet run -d --as $kind --name stopped busybox \
      sh -c 'trap "echo well; exit 3" TERM; echo ready; while :; do sleep 0.2; done'
    id=$(id_of stopped)
    wait_for 20 wrote stopped ready
    our_systemctl stop "duet-$id.scope"
    wait_for 20 has_state stopped exited
    is "$(duet logs stopped)" $'ready\nwell'
    is "$(duet inspect stopped | jq -c '.[0] | [.exit_code, .error]')" '[3,null]'
    duet rm stopped
    is "$(units)" ""
    nothing_of "$id"
  done
}

@test "without libsystemd, or without a bus: own directories, said, with the same limits" {
  local id
  [ "$(id -u)" = 0 ] || skip "a user may make none beside systemd's"
  if systemd_runs; then
    run without_systemd check_line
    [[ $output == warning*"own directories, beside systemd's: cannot load the module"*"->"* ]]
    DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent run check_line
    [[ $output == warning*"own directories, beside systemd's: cannot reach systemd over its bus"* ]]
  fi
  without_systemd duet run -d --name own -m 64m --pids-limit 50 busybox sleep 300
  id=$(id_of own)
  [[ $(cgroup_of own) == *"/duet-$id"* ]]
  [[ $(cgroup_of own) != *.scope* ]]
  is "$(find /sys/fs/cgroup -path "*/duet-$id/payload/*" -name pids.max -exec cat {} +)" 50
  # Who ends it need not be without it.
  duet rm -f own
  nothing_of "$id"
}

@test "a bus that does not answer is given up after 5 s" {
  systemd_runs || skip "systemd is not the init here"
  needs_root "to whom the system's bus is the one that is asked"
  python3 - "$scratch/mute" <<'END' &
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
time.sleep(60)
END
  local mute=$! start=$SECONDS
  wait_for 10 test -S "$scratch/mute"
  DBUS_SYSTEM_BUS_ADDRESS=unix:path=$scratch/mute duet run --rm busybox true
  [ $((SECONDS - start)) -ge 4 ]
  [ $((SECONDS - start)) -le $((10 * slow)) ]
  kill "$mute"
}

@test "a user to whom the CPUs are not delegated is told what to do" {
  systemd_runs || skip "systemd is not the init here"
  needs_root "to change what is delegated"
  local uid=65534 drop_in=/run/systemd/system/user@65534.service.d
  mkdir -p "$drop_in"
  printf '[Service]\nDelegate=\nDelegate=memory pids\n' >"$drop_in/delegate.conf"
  systemctl daemon-reload
  systemctl restart "user@$uid"
  wait_for 20 test -S "/run/user/$uid/bus"
  mkdir "$scratch/nobody"
  chown "$uid" "$scratch" "$scratch/nobody"
  run setpriv --reuid "$uid" --regid "$uid" --clear-groups \
    env -u XDG_RUNTIME_DIR HOME="$scratch/nobody" DUET_ROOT="$scratch/nobody" "$DUET" check
  systemctl stop "user@$uid"
  rm -r "$drop_in"
  systemctl daemon-reload
  echo "$output"
  is "$status" 0
  [[ $output == *"systemd scope in /user.slice/user-$uid.slice/user@$uid.service/app.slice, "* ]]
  [[ $output == *"no       limit-cpus"*"cannot keep --cpus"* ]]
  if [ -d /sys/fs/cgroup/memory ]; then
    [[ $output == *"no       limit-cpus"*"systemd.unified_cgroup_hierarchy=1"* ]]
  else
    [[ $output == *"no       limit-cpus"*"Delegate=cpu cpuset io memory pids"* ]]
    [[ $output == *"ok       limit-memory"* ]]
  fi
}
