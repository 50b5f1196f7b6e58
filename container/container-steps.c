/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "container-private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <duet/error.h>

/* What the child was doing, and what helps where that failed with @err (0: whatever it was). */
static const struct {
    const char *what;
    int err;
    const char *advice;
} steps[DUET_STEP_COUNT] = {
    [DUET_STEP_NONE] = { "start the container", 0, NULL },
    [DUET_STEP_CGROUP] = { "join the payload's cgroup", 0, NULL },
    [DUET_STEP_NETWORK] = { "make a network namespace", ENOSPC,
        "raise /proc/sys/user/max_net_namespaces" },
    [DUET_STEP_LOOPBACK] = { "bring up the loopback interface", 0, NULL },
    [DUET_STEP_HOSTNAME] = { "set the host name", EINVAL, "use one of at most 64 bytes" },
    [DUET_STEP_MONITOR] = { "hear from its monitor", 0, NULL },
    [DUET_STEP_IDS] = { "become root of its user namespace", 0, NULL },
    [DUET_STEP_IPC] = { "make an ipc namespace", ENOSPC,
        "raise /proc/sys/user/max_ipc_namespaces" },
    [DUET_STEP_BASE] = { "leave the host's file systems", 0, NULL },
    [DUET_STEP_ROOT] = { "make the image its root", 0, NULL },
    [DUET_STEP_PROC] = { "mount /proc (a directory, not a symlink, in the image)", EPERM,
        "duet runs inside a container that masks parts of /proc; run it on the host" },
    [DUET_STEP_SYS] = { "mount /sys (a directory, not a symlink, in the image)", EPERM,
        "duet runs inside a container that masks parts of /sys; run it on the host" },
    [DUET_STEP_DEV] = { "mount /dev (a directory, not a symlink, in the image)", 0, NULL },
    [DUET_STEP_VOLUME] = { "mount volume", EPERM, "a volume can't be mounted inside /proc" },
    [DUET_STEP_DEVICE] = { "be given device", EACCES,
        "an ordinary user's has only those that are open to that user without the help of a "
        "group" },
    [DUET_STEP_CLOCKS] = { "move its clocks", ERANGE,
        "a clock would be before its beginning, or too far ahead: see --monotonic and --boottime" },
    [DUET_STEP_APPARMOR] = { "change to AppArmor's profile", ENOENT,
        "no profile of that name is loaded: see aa-status" },
    [DUET_STEP_HIDE] = { "hide", 0, NULL },
    [DUET_STEP_MASK] = { "hide parts of /proc and /sys", 0, NULL },
    [DUET_STEP_READONLY] = { "make its root read-only", 0, NULL },
    [DUET_STEP_LIMITS] = { "set its resource limits", 0, NULL },
    [DUET_STEP_KEYRING] = { "make a keyring of its own", EDQUOT, "raise kernel.keys.maxkeys" },
    [DUET_STEP_CAPABILITIES] = { "drop its capabilities", 0, NULL },
    [DUET_STEP_DESCRIPTORS] = { "set up its descriptors", 0, NULL },
    [DUET_STEP_SECCOMP] = { "filter its system calls", EINVAL,
        "the kernel has no CONFIG_SECCOMP_FILTER; --security-opt seccomp=unconfined goes without" },
    [DUET_STEP_EXEC] = { "execute the agent", ENOEXEC, "duet was built for another machine" },
};

gboolean duet_go_send(
    int sync_fd, char byte, const int *fds, int count, gboolean *out_gone, GError **error)
{
    struct iovec part = { .iov_base = &byte, .iov_len = 1 };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * DUET_CHILD_FDS_MAX)];
    } control;
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (count > 0) {
        gsize bytes = sizeof(int) * (gsize)count;
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(bytes);
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET,
            .cmsg_type = SCM_RIGHTS,
            .cmsg_len = CMSG_LEN(bytes),
        };
        memcpy(CMSG_DATA(&control.header), fds, bytes);
    }
    gssize sent;
    do
        sent = sendmsg(sync_fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    *out_gone = sent < 0 && (errno == EPIPE || errno == ECONNRESET);
    return sent == 1 || *out_gone ||
        duet_error_set_errno(error, errno, "cannot tell the new process to go on");
}

gboolean duet_report_receive(int sync_fd, DuetReport *out_report)
{
    gssize bytes;

    /* A child that ended before it read all that it was told resets the socket: such an error
     * comes once, and before what the child had written. */
    do
        bytes = recv(sync_fd, out_report, sizeof *out_report, 0);
    while (bytes < 0 && (errno == EINTR || errno == ECONNRESET));
    return bytes == sizeof *out_report;
}

/* Of a list that has so many. */
static gboolean is_one_of(gint32 index, guint count)
{
    return index >= 0 && (guint)index < count;
}

static char *volume_name(const DuetSpec *spec, gint32 index)
{
    g_autoptr(GArray) volumes = duet_spec_volumes(spec);
    if (!is_one_of(index, volumes->len))
        return NULL;
    const DuetVolume *of = &g_array_index(volumes, DuetVolume, index);
    return of->mount != NULL ? g_strdup_printf(" '%s' at '%s'", of->mount->source, of->target)
                             : g_strdup_printf(" tmpfs at '%s'", of->target);
}

static char *device_name(const DuetSpec *spec, gint32 index)
{
    g_autoptr(GArray) nodes = NULL;
    if (!duet_devices_find(spec, &nodes, NULL) || nodes == NULL || !is_one_of(index, nodes->len))
        return NULL;
    return g_strdup_printf(" '%s'", g_array_index(nodes, DuetDeviceNode, index).source);
}

/* Returns: (transfer full) (nullable): what a step was at, with a blank before it. */
static char *object_name(gint32 step, gint32 index, const DuetSpec *spec)
{
    switch (step) {
    case DUET_STEP_VOLUME:
        return volume_name(spec, index);
    case DUET_STEP_DEVICE:
        return device_name(spec, index);
    case DUET_STEP_APPARMOR:
        return g_strdup_printf(" '%s'", spec->apparmor);
    case DUET_STEP_HIDE:
        return spec->masks != NULL && is_one_of(index, g_strv_length(spec->masks))
            ? g_strdup_printf(" '%s'", spec->masks[index])
            : NULL;
    default:
        return NULL;
    }
}

gboolean duet_report_to_error(const DuetReport *report, const DuetSpec *spec, GError **error)
{
    gint32 step =
        report->step > DUET_STEP_NONE && report->step < DUET_STEP_COUNT ? report->step : 0;
    g_autofree char *object = object_name(step, report->volume, spec);
    const char *advice =
        steps[step].err == 0 || steps[step].err == report->err ? steps[step].advice : NULL;
    duet_error_set_errno(error, report->err, "container '%s' could not %s%s%s%s%s", spec->name,
        steps[step].what, object != NULL ? object : "", advice != NULL ? " (" : "",
        advice != NULL ? advice : "", advice != NULL ? ")" : "");
    return FALSE;
}
