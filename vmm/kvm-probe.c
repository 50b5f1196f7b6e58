/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/kvm-probe.h"
#include "vmm/kvm-guest.h"
#include "core/rootless.h"
#include "core/util.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <fcntl.h>
#include <unistd.h>

/* The guest gets 0.3 s; a child that the kernel does not let go is killed after this. */
#define CHILD_LIMIT_MS 2000

void duet_kvm_free(DuetKvm *kvm)
{
    if (!kvm)
        return;
    g_free(kvm->reason);
    g_free(kvm);
}

static char *reason_of(const char *device, DuetKvmStage stage, int err)
{
    const char *why = err ? g_strerror(err) : "no error was given";
    switch (stage) {
    case DUET_KVM_ABSENT:
        return g_strdup_printf("there is no '%s'", device);
    case DUET_KVM_FORBIDDEN:
        return g_strdup_printf("cannot open '%s': %s", device, why);
    case DUET_KVM_NO_DEVICE:
        return g_strdup_printf("'%s' is not a KVM device: %s", device, why);
    case DUET_KVM_NO_VM:
        return g_strdup_printf("'%s' makes no virtual machine: %s", device, why);
    case DUET_KVM_NO_VCPU:
        return g_strdup_printf("'%s' is present but vCPUs do not run: %s", device,
            err == ETIMEDOUT ? "a short loop did not end in 0.5 s" : why);
    case DUET_KVM_RUNS:
        return g_strdup_printf("QEMU's group 'kvm' may not open '%s': %s", device, why);
    case DUET_KVM_USABLE:
        return g_strdup("usable");
    }
    g_assert_not_reached();
}

static DuetKvm *kvm_new(const char *device, DuetKvmStage stage, int err)
{
    DuetKvm *kvm = g_new0(DuetKvm, 1);
    kvm->stage = stage;
    kvm->reason = reason_of(device, stage, err);
    kvm->err = err;
    return kvm;
}

/* The child: system calls alone, for the process that forked it may have threads. */
G_NORETURN static void child_run(const char *device, gid_t group, int pipe_fd)
{
    struct duet_kvm_answer answer = { .stage = DUET_KVM_ABSENT, .err = 0 };
    duet_kvm_guest_run(device, group, &answer);
    ssize_t n = write(pipe_fd, &answer, sizeof answer);
    _exit(n == sizeof answer ? 0 : 1);
}

DuetKvm *duet_kvm_probe(const char *device)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return kvm_new(device, DUET_KVM_FORBIDDEN, errno);
    DUET_AUTO_FD reader = ends[0];
    DUET_AUTO_FD writer = ends[1];
    struct group *group = getgrnam("kvm");
    gid_t gid = group ? group->gr_gid : (gid_t)-1;
    pid_t pid = fork();
    if (pid == 0)
        child_run(device, gid, writer);
    if (pid < 0)
        return kvm_new(device, DUET_KVM_FORBIDDEN, errno);
    duet_fd_clear(&writer);
    struct duet_kvm_answer answer = { .stage = DUET_KVM_NO_VCPU, .err = ETIMEDOUT };
    struct pollfd readable = { .fd = reader, .events = POLLIN };
    int ready;
    do {
        ready = poll(&readable, 1, CHILD_LIMIT_MS);
    } while (ready < 0 && errno == EINTR);
    if (ready > 0 && read(reader, &answer, sizeof answer) != sizeof answer)
        answer = (struct duet_kvm_answer){ .stage = DUET_KVM_NO_VCPU, .err = EIO };
    kill(pid, SIGKILL);
    /* ECHILD: whoever loaded us ignores SIGCHLD, and the child is reaped already. */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return kvm_new(device, answer.stage, answer.err);
}

/* Who else may open the node; 0 without an access control list. */
static guint acl_hash(const char *device)
{
    char acl[1024];
    ssize_t n = getxattr(device, "system.posix_acl_access", acl, sizeof acl);
    g_autoptr(GBytes) bytes = g_bytes_new_static(acl, n > 0 ? (gsize)n : 0);
    return n > 0 ? g_bytes_hash(bytes) : 0;
}

/*
 * What the verdict depends on: this boot, this kernel, this node with these permissions, and
 * whether they admit the caller, whose groups may be others after the next login. Not the node's
 * times: udev sets them anew for each VM that anybody makes, the probe's own too.
 */
static char *verdict_key(const char *device)
{
    g_autofree char *boot =
        duet_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 128, NULL, NULL);
    struct utsname uts;
    if (uname(&uts) < 0)
        uts.release[0] = '\0';
    struct stat st = { 0 };
    int err = stat(device, &st) < 0 || faccessat(AT_FDCWD, device, R_OK | W_OK, AT_EACCESS) < 0
        ? errno
        : 0;
    return g_strdup_printf("6 %s %s %s %d %o %u %u %" G_GUINT64_FORMAT " %x %u",
        boot ? g_strstrip(boot) : "-", uts.release, device, err, (guint)st.st_mode, st.st_uid,
        st.st_gid, (guint64)st.st_rdev, err ? 0 : acl_hash(device),
        duet_is_rootless() ? duet_rootless_uid() : 0);
}

static DuetKvm *verdict_read(const char *path, const char *key)
{
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 4096, NULL, NULL);
    if (!text)
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", 3);
    if (g_strv_length(lines) < 3 || strcmp(lines[0], key) != 0)
        return NULL;
    int stage = atoi(lines[1]);
    if (stage < DUET_KVM_ABSENT || stage > DUET_KVM_USABLE)
        return NULL;
    DuetKvm *kvm = g_new0(DuetKvm, 1);
    kvm->stage = (DuetKvmStage)stage;
    kvm->reason = g_strdup(g_strchomp(lines[2]));
    return kvm;
}

/* What the host lacks just now, and may have in a moment: no verdict for the whole boot. */
static gboolean is_passing(int err)
{
    return err == EAGAIN || err == ENOMEM || err == EMFILE || err == ENFILE || err == EBUSY ||
        err == EIO;
}

DuetKvm *duet_kvm_probe_cached(const char *device, const char *cache_dir)
{
    g_autofree char *path = g_build_filename(cache_dir, "kvm-verdict", NULL);
    g_autofree char *key = verdict_key(device);
    DuetKvm *kvm = verdict_read(path, key);
    if (kvm)
        return kvm;
    kvm = duet_kvm_probe(device);
    /* On a busy host a guest may be late once. */
    if (kvm->err == ETIMEDOUT) {
        duet_kvm_free(kvm);
        kvm = duet_kvm_probe(device);
    }
    if (is_passing(kvm->err))
        return kvm;
    g_autofree char *text = g_strdup_printf("%s\n%d\n%s\n", key, kvm->stage, kvm->reason);
    if (duet_mkdir_p(cache_dir, 0711, NULL))
        duet_file_replace(AT_FDCWD, path, text, strlen(text), NULL);
    return kvm;
}
