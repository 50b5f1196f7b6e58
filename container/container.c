/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The order of a start. Two processors work at the same time:
 *
 *   monitor                                   child
 *   sockets, the agent's program
 *   clone3 -> `spawned`                       cgroup, network, host name
 *   id maps, /dev; say "mapped"               ids, ipc namespace
 *   idmapped layers, overlay, volumes         /proc, /sys, /dev, masks; drops the host's tree
 *   send them, say "mounts"                   into the image, volumes, capabilities
 *   wait for the end of the socket            execute the agent
 */

#include "container-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "container.h"
#include "core/agent.h"
#include "core/attributes.h"
#include "core/cgroup/cgroup.h"
#include "core/rootless.h"
#include "core/util.h"

/* Below this the container would be killed while it is being made; the same is docker's minimum. */
#define MEMORY_MIN_BYTES (6u * 1024 * 1024)

typedef struct {
    DuetRuntime base;
    const DuetSpec *spec;
    const DuetPlace *place;
    DuetIdmap idmap;
    DuetOverlay overlay;
    gboolean rootless;
    int pidfd;
} Container;

/* What lives only during start(). */
typedef struct {
    int sync[2];
    int agent[2];
    DuetChild *child;
    DuetClone clone;
    int fds[DUET_CHILD_FDS_MAX]; /* ours; the child, in the same memory, has its own numbers */
    int fds_count;
    GArray *volumes; /* of duet_spec_volumes() */
    int tree_fds[DUET_VOLUMES_MAX]; /* in the same order; -1 of a tmpfs */
    int trees_count;
    char *hosts;
    char *shm_options;
    char *notice;
    GBytes *filter;
    GArray *devices; /* or NULL */
    char *clocks;
    char *apparmor;
} Start;

static char *const agent_argv[] = { (char *)"duet-agent", NULL };

static void start_clear(Start *start)
{
    for (int i = 0; i < 2; i++) {
        duet_fd_clear(&start->sync[i]);
        duet_fd_clear(&start->agent[i]);
    }
    for (int i = DUET_CHILD_FD_VOLUMES; i < start->fds_count; i++) /* the root is the overlay's */
        duet_fd_clear(&start->fds[i]);
    for (int i = 0; i < start->trees_count; i++)
        duet_fd_clear(&start->tree_fds[i]);
    if (start->child != NULL) {
        duet_fd_clear(&start->child->exec_fd);
        for (int i = 0; i < start->child->volumes_count; i++)
            g_free(start->child->volumes[i].target);
        g_free(start->child);
    }
    g_free(start->hosts);
    g_free(start->shm_options);
    g_free(start->notice);
    g_clear_pointer(&start->volumes, g_array_unref);
    g_clear_pointer(&start->filter, g_bytes_unref);
    g_clear_pointer(&start->devices, g_array_unref);
    g_free(start->clocks);
    g_free(start->apparmor);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Start, start_clear)

static gboolean raise_fd(int *fd)
{
    int raised = fcntl(*fd, F_DUPFD_CLOEXEC, DUET_FD_MIN);
    if (raised < 0)
        return FALSE;
    close(*fd);
    *fd = raised;
    return TRUE;
}

static gboolean open_volumes(Start *start, const DuetSpec *spec, GError **error)
{
    DuetChild *child = start->child;
    start->volumes = duet_spec_volumes(spec);
    for (guint i = 0; i < start->volumes->len; i++) {
        const DuetVolume *volume = &g_array_index(start->volumes, DuetVolume, i);
        gboolean is_dir = TRUE;
        int fd = -1;
        if (volume->mount != NULL && (fd = duet_volume_open(volume->mount, &is_dir, error)) < 0)
            return FALSE;
        start->tree_fds[start->trees_count++] = fd;
        child->volumes[child->volumes_count++] =
            (DuetChildVolume){ .target = g_strdup(volume->target), .is_dir = is_dir };
    }
    return TRUE;
}

/* All that a user may ask for and mostly does not. */
static gboolean prepare_attributes(Start *start, const DuetSpec *spec, GError **error)
{
    DuetChild *child = start->child;
    child->limits_asked = duet_ulimits_named(spec->ulimits);
    if (spec->shm_bytes > 0)
        start->shm_options = g_strdup_printf("mode=1777,size=%" G_GUINT64_FORMAT, spec->shm_bytes);
    child->tty = spec->tty;
    child->shm_options = spec->shm_bytes > 0 ? start->shm_options : "mode=1777,size=65536k";
    if (spec->monotonic_s != 0 || spec->boottime_s != 0)
        start->clocks =
            g_strdup_printf("monotonic %" G_GINT64_FORMAT " 0\nboottime %" G_GINT64_FORMAT " 0\n",
                spec->monotonic_s, spec->boottime_s);
    child->clocks = start->clocks;
    if (spec->apparmor != NULL)
        start->apparmor = g_strconcat("exec ", spec->apparmor, NULL);
    child->apparmor = start->apparmor;
    child->unmasked = duet_rootfs_unmasked(spec->unmasks);
    child->masks = spec->masks;
    if (!duet_devices_find(spec, &start->devices, error))
        return FALSE;
    if (start->devices != NULL) {
        child->devices = (const DuetDeviceNode *)(gpointer)start->devices->data;
        child->devices_count = start->devices->len;
    }
    return TRUE;
}

static gboolean start_prepare(Start *start, const Container *container, GError **error)
{
    const DuetSpec *spec = container->spec;
    DuetChild *child = start->child = g_new0(DuetChild, 1);
    child->exec_fd = duet_agent_memfd(error);
    if (child->exec_fd < 0)
        return FALSE;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, start->sync) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, start->agent) != 0 ||
        !raise_fd(&start->sync[1]) || !raise_fd(&child->exec_fd))
        return duet_error_set_errno(
            error, errno, "cannot make the sockets of container '%s'", spec->name);
    start->hosts =
        g_strdup_printf("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t%s\n", spec->hostname);
    child->sync_fd = start->sync[1];
    child->monitor_fd = start->sync[0];
    child->agent_fd = start->agent[1];
    child->cgroup_fds_count =
        duet_cgroup_born_fds(container->place->cgroup, DUET_CGROUP_PAYLOAD, child->cgroup_fds);
    child->argv = agent_argv;
    child->hostname = spec->hostname;
    child->hostname_length = strlen(spec->hostname);
    child->hosts = start->hosts;
    child->hosts_length = strlen(start->hosts);
    child->rootless = container->rootless;
    child->cgroup2 = duet_cgroup_is_pure_v2(container->place->cgroup);
    child->readonly = spec->readonly;
    child->capabilities = duet_spec_capabilities(spec) | DUET_CAPABILITIES_AGENT;
    return prepare_attributes(start, spec, error) &&
        duet_filter_make(spec, &start->filter, &child->filter, error) &&
        open_volumes(start, spec, error);
}

static gboolean clone_error(GError **error, int err, const char *name)
{
    const char *advice = NULL;
    if (err == ENOSPC || err == EUSERS)
        advice = "raise /proc/sys/user/max_user_namespaces";
    else if (err == EINVAL || err == ENOSYS)
        advice =
            "the kernel needs user, mount, pid and uts namespaces (CONFIG_USER_NS) and clone3, "
            "Linux 5.19 or later";
    else if (err == EPERM)
        advice =
            "user namespaces are switched off: see kernel.unprivileged_userns_clone, AppArmor, "
            "or run duet as root on the host";
    if (err == EAGAIN)
        advice = "the limit of processes is reached: see ulimit -u and pids.max";
    if (advice == NULL)
        return duet_error_set_errno(
            error, err, "cannot make the namespaces of container '%s'", name);
    g_set_error(error, DUET_ERROR, err == EPERM ? DUET_ERROR_PERMISSION : DUET_ERROR_UNSUPPORTED,
        "cannot make the namespaces of container '%s': %s; %s", name, g_strerror(err), advice);
    return FALSE;
}

static gboolean mount_volumes(
    Start *start, const Container *container, int userns_fd, GError **error)
{
    for (guint i = 0; i < start->volumes->len; i++) {
        const DuetVolume *volume = &g_array_index(start->volumes, DuetVolume, i);
        int fd = volume->mount != NULL
            ? duet_volume_mount(volume->mount, start->tree_fds[i], userns_fd, &start->notice, error)
            : duet_tmpfs_mount(volume->tmpfs, container->place->id_base, error);
        if (fd < 0)
            return FALSE;
        start->fds[start->fds_count++] = fd;
    }
    return TRUE;
}

static gboolean make_mounts(Container *container, Start *start, GError **error)
{
    const DuetSpec *spec = container->spec;
    DUET_AUTO_FD userns_fd = container->rootless ? -1 : duet_idmap_open(start->clone.pid, error);
    if ((userns_fd < 0 && !container->rootless) ||
        !duet_overlay_make(&container->overlay, spec->layers, container->place->instance_dir,
            userns_fd, container->place->id_base, spec->remove_at_exit, error))
        return FALSE;
    start->fds[DUET_CHILD_FD_ROOT] = container->overlay.root_fd;
    start->fds_count = DUET_CHILD_FD_VOLUMES;
    return mount_volumes(start, container, userns_fd, error);
}

/* Waits until the agent is executed; anything but the plain end of the socket is a failure. */
static gboolean wait_child(const Container *container, Start *start, GError **error)
{
    const DuetSpec *spec = container->spec;
    DuetReport report;
    if (duet_report_receive(start->sync[0], &report))
        return duet_report_to_error(&report, spec, error);
    siginfo_t info = { 0 };
    if (waitid(P_PIDFD, (id_t)start->clone.pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid != 0 && info.si_code != CLD_EXITED) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "container '%s' was killed by signal %d while it was being made%s", spec->name,
            info.si_status, spec->memory_bytes > 0 ? "; a larger --memory may help" : "");
        return FALSE;
    }
    return TRUE;
}

static gboolean start_child(Container *container, Start *start, DuetMarks *marks, GError **error)
{
    guint64 flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS;
    int cgroup_fd = duet_cgroup_clone_fd(container->place->cgroup, DUET_CGROUP_PAYLOAD);
    if (!duet_clone(flags, cgroup_fd, duet_child_run, start->child, &start->clone))
        return clone_error(error, errno, container->spec->name);
    duet_marks_set(marks, DUET_MARK_SPAWNED);
    duet_fd_clear(&start->sync[1]);
    duet_fd_clear(&start->agent[1]);
    if (!duet_idmap_write(start->clone.pid, &container->idmap, error))
        return FALSE;
    DUET_AUTO_FD dev_fd =
        container->rootless ? -1 : duet_dev_make(container->place->id_base, start->devices, error);
    if (dev_fd < 0 && !container->rootless)
        return FALSE;
    gboolean gone = FALSE;
    if (!duet_go_send(start->sync[0], DUET_GO_MAPPED, &dev_fd, dev_fd >= 0 ? 1 : 0, &gone, error))
        return FALSE;
    if (!gone &&
        (!make_mounts(container, start, error) ||
            !duet_go_send(
                start->sync[0], DUET_GO_MOUNTS, start->fds, start->fds_count, &gone, error)))
        return FALSE;
    /* From here on the child has its own memory, and runs nothing but the agent until that is told
     * to. */
    return duet_place_meanwhile(container->place, error) && wait_child(container, start, error) &&
        duet_attributes_apply(container->spec, start->clone.pid, error) &&
        duet_sysctls_write(
            start->clone.pidfd, container->place->id_base, container->spec->sysctls, error);
}

static gboolean container_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error)
{
    Container *container = (Container *)runtime;
    g_auto(Start) start = {
        .sync = { -1, -1 },
        .agent = { -1, -1 },
        .clone = { .pidfd = -1, .pid = -1 },
    };
    if (!start_prepare(&start, container, error))
        return FALSE;
    if (!start_child(container, &start, marks, error)) {
        duet_clone_abort(&start.clone);
        duet_overlay_clear(&container->overlay);
        return FALSE;
    }
    duet_clone_settled(&start.clone);
    container->pidfd = fcntl(start.clone.pidfd, F_DUPFD_CLOEXEC, 0);
    *out_started = (DuetStarted){
        .agent_fd = duet_fd_steal(&start.agent[0]),
        .pidfd = start.clone.pidfd,
        .pid = start.clone.pid,
        .facts = duet_container_facts(container->spec, start.clone.pid),
        .notice = g_steal_pointer(&start.notice),
    };
    return TRUE;
}

/* The namespace's init takes all of them along; what is left after that would be a kernel's fault.
 */
static gboolean container_kill(DuetRuntime *runtime, GError **error)
{
    const Container *container = (const Container *)runtime;
    if (container->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, container->pidfd, SIGKILL, NULL, 0);
    return duet_cgroup_kill(
        container->place->cgroup, DUET_CGROUP_PAYLOAD, DUET_KILL_TIMEOUT_MS, error);
}

static gboolean container_release(DuetRuntime *runtime, GError **error)
{
    (void)error;
    Container *container = (Container *)runtime;
    duet_overlay_clear(&container->overlay);
    return TRUE;
}

static gboolean container_pause(DuetRuntime *runtime, GError **error)
{
    return duet_cgroup_freeze(((Container *)runtime)->place->cgroup, TRUE, error);
}

static gboolean container_resume(DuetRuntime *runtime, GError **error)
{
    return duet_cgroup_freeze(((Container *)runtime)->place->cgroup, FALSE, error);
}

static void container_free(DuetRuntime *runtime)
{
    Container *container = (Container *)runtime;
    duet_overlay_clear(&container->overlay);
    duet_fd_clear(&container->pidfd);
    duet_idmap_clear(&container->idmap);
    g_free(container);
}

static const DuetRuntimeOps container_ops = {
    .start = container_start,
    .kill = container_kill,
    .release = container_release,
    .pause = container_pause,
    .resume = container_resume,
    .free = container_free,
};

static gboolean validate_target(const char *target, GError **error)
{
    if (target[0] == '/' && duet_path_depth(target) > 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' can't be a volume's target; use an absolute path below '/'", target);
    return FALSE;
}

static gboolean validate(const DuetSpec *spec, GError **error)
{
    if (spec->memory_bytes > 0 && spec->memory_bytes < MEMORY_MIN_BYTES) {
        g_autofree char *asked = duet_format_bytes(spec->memory_bytes);
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--memory '%s' is too little for a container; give it at least 6m", asked);
        return FALSE;
    }
    if (spec->mounts->len + spec->tmpfs->len > DUET_VOLUMES_MAX) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "%u volumes and tmpfs are more than the %d that a container can have",
            spec->mounts->len + spec->tmpfs->len, DUET_VOLUMES_MAX);
        return FALSE;
    }
    for (guint i = 0; i < spec->mounts->len; i++)
        if (!validate_target(((const DuetMount *)spec->mounts->pdata[i])->target, error))
            return FALSE;
    for (guint i = 0; i < spec->tmpfs->len; i++)
        if (!validate_target(((const DuetTmpfs *)spec->tmpfs->pdata[i])->target, error))
            return FALSE;
    return TRUE;
}

static DuetRuntime *container_create(const DuetSpec *spec, const DuetPlace *place, GError **error)
{
    if (!validate(spec, error))
        return NULL;
    DuetIdmap idmap;
    if (!duet_idmap_make(&idmap, place->id_base, spec->high_ids, error))
        return NULL;
    Container *container = g_new0(Container, 1);
    container->base = (DuetRuntime){ .ops = &container_ops, .driver_name = "container" };
    container->spec = spec;
    container->place = place;
    container->idmap = idmap;
    container->rootless = duet_is_rootless();
    container->overlay.root_fd = -1;
    container->pidfd = -1;
    return &container->base;
}

const DuetDriverOps duet_container_driver = {
    .name = "container",
    .kind = DUET_KIND_CONTAINER,
    .check = duet_container_check,
    .create = container_create,
};
