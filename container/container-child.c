/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * The child is born into new user, mount, pid, uts and (with v2) cgroup places, with all
 * capabilities in its own user namespace and none outside of it. It closes one door after another
 * and then executes the agent:
 *
 *   socket     its copy of the monitor's end is closed, so that a killed monitor is noticed
 *   cgroup     so that what it allocates is charged to the payload
 *   net, cgroup namespace, clocks    need no ids: made while the monitor writes the maps; the
 * cgroup namespace comes after joining, so that the container's cgroup is its root ids        uid
 * and gid 0 of the namespace. Changing ids forgets PDEATHSIG, so that is set after it: from then on
 * the child can't outlive the monitor. One that was killed before may have left all its messages in
 * the socket: then the agent is executed, and ends at once, since nobody holds the other end of its
 * own ipc        after the ids, for its mqueue belongs to who makes it mounts container-rootfs.c,
 * in two steps limits, keyring, AppArmor, capabilities, no_new_privs descriptors   0, 1, 2 are
 * /dev/null, 3 is the agent's socket, all others close with exec seccomp    as the last: a filter
 * need not allow what comes before it
 *
 * Nothing of the image is executed before all of that, and nothing but raw system calls is used:
 * see container-clone.c. A failure is sent to the monitor as a step and an errno; success is the
 * end of the socket.
 */

#include "container-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "raw.h"

void duet_child_fail(const DuetChild *child, DuetStep step, long result, int volume)
{
    DuetReport report = { .step = (gint32)step, .err = (gint32)-result, .volume = volume };
    raw(SYS_write, child->sync_fd, &report, sizeof report);
    for (;;)
        raw(SYS_exit_group, 125);
}

void duet_child_check(const DuetChild *child, DuetStep step, long result)
{
    if (result < 0)
        duet_child_fail(child, step, result, 0);
}

void duet_child_begin(const DuetChild *child)
{
    /* With its own copy open it would wait for itself once the monitor was killed. */
    raw(SYS_close, child->monitor_fd);
    for (guint i = 0; i < child->cgroup_fds_count; i++)
        duet_child_check(child, DUET_STEP_CGROUP, raw(SYS_write, child->cgroup_fds[i], "0", 1));
}

void duet_child_receive(DuetChild *child, char wanted)
{
    char byte = 0;
    struct iovec part = { .iov_base = &byte, .iov_len = 1 };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * DUET_CHILD_FDS_MAX)];
    } control;
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    long bytes = raw(SYS_recvmsg, child->sync_fd, &message, MSG_CMSG_CLOEXEC);
    /* the end of the socket: the monitor died or gave up */
    if (bytes != 1 || byte != wanted || (message.msg_flags & MSG_CTRUNC) != 0)
        duet_child_fail(child, DUET_STEP_MONITOR, bytes < 0 ? bytes : -EPIPE, 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL)
        return;
    int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count && i < DUET_CHILD_FDS_MAX; i++)
        __builtin_memcpy(&child->fds[i], CMSG_DATA(header) + i * (int)sizeof(int), sizeof(int));
    child->fds_count = count;
}

static long loopback_up(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    long fd = raw(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    long result = raw(SYS_ioctl, fd, SIOCSIFFLAGS, &request);
    raw(SYS_close, fd);
    return result;
}

static long open_to_write(const char *path)
{
    return raw(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
}

/* Closes @fd, which may be an error. */
static long write_text(long fd, const char *text)
{
    gsize length = 0;
    while (text[length] != '\0')
        length++;
    if (fd < 0)
        return fd;
    long result = raw(SYS_write, fd, text, length);
    raw(SYS_close, fd);
    return result;
}

/* The agent is in the new namespace from its execution on. Another id would have no right to this
 * file of a process that is not dumpable. */
static long move_clocks(const char *offsets)
{
    long result = raw(SYS_unshare, CLONE_NEWTIME);
    return result < 0 ? result : write_text(open_to_write("/proc/self/timens_offsets"), offsets);
}

/* Takes effect with the execution of the agent. */
static long change_profile(const char *command)
{
    long fd = open_to_write("/proc/self/attr/apparmor/exec");
    /* before Linux 5.8 there was one place for all such modules */
    return write_text(fd == -ENOENT ? open_to_write("/proc/self/attr/exec") : fd, command);
}

static long become_root(gboolean rootless)
{
    long result = raw(SYS_setgroups, 0, NULL);
    /* with one id mapped nobody may change groups: rootless.c */
    if (result == -EPERM && rootless)
        result = 0;
    if (result >= 0)
        result = raw(SYS_setresgid, 0, 0, 0);
    if (result >= 0)
        result = raw(SYS_setresuid, 0, 0, 0);
    if (result >= 0)
        result = raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return result;
}

static long limit(int resource, rlim64_t soft, rlim64_t hard)
{
    struct rlimit64 now;
    long result = raw(SYS_prlimit64, 0, resource, NULL, &now);
    if (result < 0)
        return result;
    /* lower only: without CAP_SYS_RESOURCE the kernel allows no more */
    struct rlimit64 wanted = { .rlim_max = MIN(hard, now.rlim_max) };
    wanted.rlim_cur = MIN(soft, wanted.rlim_max);
    return raw(SYS_prlimit64, 0, resource, &wanted, NULL);
}

/* What a payload may do should depend on its spec, not on the shell that duet was called from. */
static long lower_limits(const DuetChild *child)
{
    static const struct {
        int resource;
        rlim64_t soft, hard;
    } limits[] = {
        { RLIMIT_NOFILE, 1024, 1024 * 1024 },
        { RLIMIT_CORE, 0, RLIM64_INFINITY },
        { RLIMIT_STACK, 8 * 1024 * 1024, RLIM64_INFINITY },
    };
    long result = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(limits) && result >= 0; i++)
        if ((child->limits_asked >> limits[i].resource & 1) == 0)
            result = limit(limits[i].resource, limits[i].soft, limits[i].hard);
    return result;
}

void duet_child_execute(const DuetChild *child)
{
    long null_fd = raw(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
    duet_child_check(child, DUET_STEP_DESCRIPTORS, null_fd);
    for (int fd = 0; fd <= 2; fd++)
        if (null_fd != fd)
            duet_child_check(child, DUET_STEP_DESCRIPTORS, raw(SYS_dup3, null_fd, fd, 0));
    if (child->agent_fd == 3)
        duet_child_check(child, DUET_STEP_DESCRIPTORS, raw(SYS_fcntl, 3, F_SETFD, 0));
    else
        duet_child_check(child, DUET_STEP_DESCRIPTORS, raw(SYS_dup3, child->agent_fd, 3, 0));
    duet_child_check(
        child, DUET_STEP_DESCRIPTORS, raw(SYS_close_range, 4, ~0u, CLOSE_RANGE_CLOEXEC));
    /* Not before: whoever runs a thousand instances has more files open than a payload may. */
    duet_child_check(child, DUET_STEP_LIMITS, lower_limits(child));
    guint64 none = 0;
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
    if (child->filter.len > 0)
        duet_child_check(
            child, DUET_STEP_SECCOMP, raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &child->filter));
    char *const environment[] = { NULL };
    long result = raw(SYS_execveat, child->exec_fd, "", child->argv, environment, AT_EMPTY_PATH);
    duet_child_fail(child, DUET_STEP_EXEC, result, 0);
}

void duet_child_run(void *data)
{
    DuetChild *child = data;
    duet_child_begin(child);
    duet_child_check(child, DUET_STEP_NETWORK, raw(SYS_unshare, CLONE_NEWNET | CLONE_NEWCGROUP));
    duet_child_check(child, DUET_STEP_LOOPBACK, loopback_up());
    if (child->clocks != NULL)
        duet_child_check(child, DUET_STEP_CLOCKS, move_clocks(child->clocks));
    duet_child_check(
        child, DUET_STEP_HOSTNAME, raw(SYS_sethostname, child->hostname, child->hostname_length));
    raw(SYS_setsid);
    raw(SYS_umask, 022);

    duet_child_receive(child, DUET_GO_MAPPED);
    child->dev_fd = child->fds_count > 0 ? child->fds[0] : -1;
    duet_child_check(child, DUET_STEP_IDS, become_root(child->rootless));
    duet_child_check(child, DUET_STEP_IPC, raw(SYS_unshare, CLONE_NEWIPC));
    duet_rootfs_prepare(child);

    duet_child_receive(child, DUET_GO_MOUNTS);
    duet_rootfs_enter(child);

    /* a keyring of its own, not the caller's; a kernel without keys has none to leak */
    long key = raw(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
    if (key != -ENOSYS)
        duet_child_check(child, DUET_STEP_KEYRING, key);
    if (child->apparmor != NULL)
        duet_child_check(child, DUET_STEP_APPARMOR, change_profile(child->apparmor));
    duet_child_check(child, DUET_STEP_CAPABILITIES, duet_caps_drop(child->capabilities));
    duet_child_check(
        child, DUET_STEP_CAPABILITIES, raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    duet_child_execute(child);
}
