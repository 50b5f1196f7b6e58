#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Programs that people run, from Debian's packages, under the default walls: nothing is added, nothing let off.

load lib
KIND=container

# DUET_TEST_PAYLOADS: an archive of that image that is there already: to make it takes minutes.
setup_file() {
  root_up
  [ -e "$(image_archive)" ] || make_image "$(image_archive)" >"$scratch/make.log" 2>&1 || { cat "$scratch/make.log"; return 1; }
  duet image import --name payloads "$(image_archive)" >/dev/null
}

image_archive() { echo "${DUET_TEST_PAYLOADS:-$scratch/payloads.tar}"; }

make_image() (
  # shellcheck source=images/recipes/debian-root.sh
  . "$source_dir/images/recipes/debian-root.sh"
  debian_root "$1" --variant=apt \
    --include=bash,python3,perl,gcc,libc6-dev,git,nginx-light,postgresql,redis-server,curl,libcap2-bin,systemd \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*'
)
teardown_file() { root_down; }

# inside [OPTION...] SCRIPT: its output, both streams.
inside() {
  local script=${*: -1}
  set -- "${@:1:$#-1}"
  timeout 120 "$DUET" run --rm --as container "$@" payloads bash -euc "$script" 2>&1
}

@test "bash: pipes, process substitution, jobs and traps" {
  is "$(inside 'trap "echo bye" EXIT; diff <(seq 3) <(seq 3) && sleep 0.1 & wait %1; seq 10 | tac | head -1; ulimit -n >/dev/null; echo $((6 * 7))')" $'10\n42\nbye'
}

@test "python3: threads, processes, semaphores, subprocesses, sockets" {
  run inside 'python3 - <<"END"
import asyncio, multiprocessing, os, socket, sqlite3, ssl, subprocess, tempfile, threading

def square(n):
    return n * n

if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(sum(pool.map(square, range(10))))
    thread = threading.Thread(target=lambda: print("thread"))
    thread.start()
    thread.join()
    print(subprocess.run(["uname"], capture_output=True, text=True).stdout.strip())
    a, b = socket.socketpair()
    a.send(b"word")
    print(b.recv(10).decode())
    server = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(server.getsockname()).close()
    base = sqlite3.connect(os.path.join(tempfile.mkdtemp(), "base"))
    base.execute("create table t (x)")
    base.execute("insert into t values (7)")
    base.commit()
    print(base.execute("select x from t").fetchone()[0])
    print(asyncio.run(asyncio.sleep(0.01, "slept")))
END'
  is "$output" $'285\nthread\nLinux\nword\n7\nslept'
}

@test "perl: files, forks, regular expressions" {
  is "$(inside 'perl -MPOSIX -MIO::Socket::UNIX -e '\''$p = fork; exit 3 if !$p; waitpid $p, 0; print $? >> 8, "\n"; print join(",", map { s/a/b/r } qw(a ca)), "\n"'\''')" $'3\nb,cb'
}

@test "gcc compiles a program, which runs" {
  is "$(inside 'cd /tmp; printf "#include <math.h>\n#include <pthread.h>\n#include <stdio.h>\nstatic void *f(void *p) { puts(p); return 0; }\nint main(void) { pthread_t t; pthread_create(&t, 0, f, \"compiled\"); pthread_join(t, 0); printf(\"%%.0f\\\\n\", sqrt(144)); return 0; }\n" >p.c; gcc -O2 -Wall -o p p.c -lm; ./p')" $'compiled\n12'
}

@test "git: a commit, a clone, a push, fsck" {
  run inside 'export HOME=/tmp; cd /tmp; git config --global user.email a@b; git config --global user.name a; git config --global init.defaultBranch main
    git init -q --bare far; git clone -q far near 2>/dev/null; cd near; echo line >file; git add file; git commit -qm first; git push -q origin main
    git -C ../far log --format=%s; git -C ../far fsck --full; git -C ../far gc -q; git -C ../far cat-file -p main:file'
  is "$status" 0
  is "$output" $'first\nline'
}

@test "nginx serves a request, its workers another user's" {
  run inside 'echo hello >/var/www/html/index.html; nginx; for i in $(seq 50); do curl -fs http://127.0.0.1/ && break; sleep 0.1; done
    for p in /proc/[0-9]*; do case $(tr "\0" " " <$p/cmdline) in "nginx: worker"*) stat -c %U $p; break ;; esac; done; nginx -s stop 2>/dev/null'
  is "$status" 0
  is "$output" $'hello\nwww-data'
}

@test "PostgreSQL: initdb, a server, a query, a stop" {
  run inside --user postgres 'export PATH=$(echo /usr/lib/postgresql/*/bin):$PATH PGHOST=/tmp; cd /tmp; initdb -A trust -D base >/dev/null 2>&1; pg_ctl -D base -w -o "-k /tmp" -l log start >/dev/null || { cat log; exit 1; }
    psql -qAt postgres -c "create table t as select g from generate_series(1, 1000) g" -c "select sum(g) from t"; pg_ctl -D base -w stop >/dev/null; whoami'
  is "$status" 0
  is "$output" $'500500\npostgres'
}

@test "redis-server: a key, a snapshot in a forked child" {
  run inside 'cd /tmp; redis-server --daemonize yes --dir /tmp --logfile /tmp/log >/dev/null; for i in $(seq 50); do redis-cli ping >/dev/null 2>&1 && break; sleep 0.1; done
    redis-cli set k v; redis-cli get k; redis-cli save; test -s dump.rdb; redis-cli bgsave >/dev/null; redis-cli shutdown nosave || true'
  is "$status" 0
  is "$output" $'OK\nv\nOK'
}

@test "apt-get installs a package of a local repository, with its user and its script" {
  run inside 'mkdir -p /srv/repo/tree/DEBIAN /srv/repo/tree/usr/bin; cd /srv/repo
    printf "Package: greeter\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b>\nDescription: says hello\n" >tree/DEBIAN/control
    printf "#!/bin/sh\nset -e\nadduser --system --group --quiet greeter 2>/dev/null || useradd --system greeter\nchown greeter /usr/bin/greet\n" >tree/DEBIAN/postinst
    printf "#!/bin/sh\necho greetings\n" >tree/usr/bin/greet; chmod 755 tree/DEBIAN/postinst tree/usr/bin/greet
    dpkg-deb --root-owner-group -b tree greeter.deb >/dev/null
    { cat tree/DEBIAN/control; echo "Filename: ./greeter.deb"; echo "Size: $(stat -c %s greeter.deb)"; echo "SHA256: $(sha256sum greeter.deb | cut -d" " -f1)"; } >Packages
    rm -rf /etc/apt/sources.list /etc/apt/sources.list.d; echo "deb [trusted=yes] file:/srv/repo ./" >/etc/apt/sources.list
    apt-get -q update >/dev/null 2>&1; DEBIAN_FRONTEND=noninteractive apt-get -qy install greeter >/tmp/log 2>&1 || cat /tmp/log
    greet; stat -c %U /usr/bin/greet; apt-get -qy remove greeter >/dev/null 2>&1; test ! -e /usr/bin/greet'
  echo "$output"
  is "$status" 0
  is "$output" $'greetings\ngreeter'
}

# What docs/containers.md says of the walls, and that podman's are no higher but where it says so.
@test "the walls, as seen from inside, beside podman's" {
  duet run --rm -i payloads bash <"$tests_dir/integration/walls.sh" >"$scratch/ours"
  see() { awk -F'\t' -v name="$1" '$1 == name { print $2 }' "$scratch/${2:-ours}"; }
  local call
  for call in acct add_key bpf fanotify_init init_module io_uring_setup iopl kcmp kexec_load keyctl mbind mount move_mount open_by_handle_at \
    perf_event_open pivot_root quotactl setns settimeofday swapon syslog 'unshare user' userfaultfd; do
    is "$call: $(see "call $call")" "$call: EPERM"
  done
  for call in personality process_vm_readv ptrace; do is "$call: $(see "call $call")" "$call: ok"; done
  is "$(see 'call clone3') $(see 'call vmsplice')" "ENOSYS EBADF"
  is "$(see CapPrm) $(see CapEff) $(see CapBnd)" "00000000a80425fb 00000000a80425fb 00000000a80425fb"
  is "$(see CapInh) $(see CapAmb)" "0000000000000000 0000000000000000"
  is "$(see NoNewPrivs) $(see Seccomp) $(see Seccomp_filters)" "1 2 1"
  is "$(see 'set-user-id program of root')" 1000
  is "$(see 'not masked') $(see 'not read-only') $(see /sys)" "none none ro"
  is "$(see 'write /proc/sys/kernel/core_pattern')" "Read-only file system"
  is "$(see devices)" "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
  is "$(see 'pid 1')" "duet-agent "
  is "$(see 'systemd-detect-virt --container')" none
  inside 'capsh --has-no-new-privs && capsh --print' | grep -qx 'Ambient set ='

  # The limits on files and processes are those of `runc spec`: podman's own are higher than some hosts let root go.
  local podman=(podman --root "$scratch/store" --runroot "$scratch/state" --cgroup-manager cgroupfs)
  "${podman[@]}" import -q "$(image_archive)" localhost/payloads >/dev/null
  "${podman[@]}" run --rm -i --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 localhost/payloads \
    bash <"$tests_dir/integration/walls.sh" >"$scratch/podman"
  join -t $'\t' <(sort "$scratch/ours") <(sort "$scratch/podman") | column -t -s $'\t'
  is "$(see 'call vmsplice' podman)" EPERM
  # docker's, and not podman's: NET_RAW, MKNOD, AUDIT_WRITE
  is "$((0x$(see CapBnd) & ~0x$(see CapBnd podman)))" $(((1 << 13) | (1 << 27) | (1 << 29)))
  "${podman[@]}" rmi -f localhost/payloads >/dev/null
}
