/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The benchmark's baseline: the same payload, agent, layers, writable layer and limits, with no
 * namespace and no id map. Not a sandbox: the payload is the host's root. The monitor's own mount
 * namespace holds the overlay and the host's /proc, /sys and /dev below it, so nothing of it shows
 * on the host, and all of it goes with the monitor.
 *
 * An ordinary user's baseline is root of that user's namespace. Where no cgroup tells of its
 * processes it gets a pid namespace, which takes them along with the agent, whatever killed that.
 */

#include "container-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "container.h"
#include "core/agent.h"
#include "core/attributes.h"
#include "core/cgroup/cgroup.h"
#include "core/util.h"
#include "raw.h"

#ifndef MOVE_MOUNT_T_EMPTY_PATH
#define MOVE_MOUNT_T_EMPTY_PATH 0x00000040
#endif

typedef struct {
    DuetRuntime base;
    const DuetSpec *spec;
    const DuetPlace *place;
    char *root; /* where the overlay is attached in our mount namespace */
    gboolean attached;
    DuetOverlay overlay;
    int pidfd;
} Native;

static char *const native_argv[] = { (char *)"duet-agent", (char *)"native", NULL };

static void native_run(void *data)
{
    DuetChild *child = data;
    duet_child_begin(child);
    long result = raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    duet_child_receive(child, DUET_GO_MOUNTS);
    raw(SYS_setsid);
    raw(SYS_umask, 022);
    if (result >= 0)
        result = raw(SYS_fchdir, child->fds[DUET_CHILD_FD_ROOT]);
    if (result >= 0)
        result = raw(SYS_chroot, ".");
    if (result < 0)
        duet_child_fail(child, DUET_STEP_ROOT, result, 0);
    duet_child_execute(child);
}

/* Opens @path in the image, making it if it is missing; symlinks stay inside. */
static int open_in_root(int root_fd, const char *path, gboolean is_dir)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC | (is_dir ? O_DIRECTORY : 0u),
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    g_auto(GStrv) steps = g_strsplit(path, "/", -1);
    DUET_AUTO_FD at = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GString) so_far = g_string_new("");
    for (char **step = steps; *step != NULL && at >= 0; step++) {
        if (**step == '\0')
            continue;
        gboolean last = step[1] == NULL;
        if (last && !is_dir) {
            int made = openat(at, *step, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
            duet_fd_clear(&made);
        } else if (mkdirat(at, *step, 0755) != 0 && errno != EEXIST) {
            return -1;
        }
        g_string_append_printf(so_far, "/%s", *step);
        if (last)
            break;
        duet_fd_clear(&at);
        how.flags = O_PATH | O_CLOEXEC | O_DIRECTORY;
        at = (int)syscall(SYS_openat2, root_fd, so_far->str, &how, sizeof how);
    }
    how.flags = O_PATH | O_CLOEXEC | (is_dir ? O_DIRECTORY : 0u);
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
}

static gboolean attach_at(
    const Native *native, int mount_fd, const char *target, gboolean is_dir, GError **error)
{
    DUET_AUTO_FD fd = open_in_root(native->overlay.root_fd, target, is_dir);
    if (fd >= 0 &&
        move_mount(mount_fd, "", fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0)
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot mount on '%s' in the image", target);
}

static gboolean attach_host_dir(const Native *native, const char *path, GError **error)
{
    DUET_AUTO_FD fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot share the host's '%s'", path);
    return attach_at(native, fd, path, TRUE, error);
}

static gboolean attach_volume(
    const Native *native, const DuetVolume *volume, char **out_notice, GError **error)
{
    gboolean is_dir = TRUE;
    DUET_AUTO_FD tree_fd =
        volume->mount != NULL ? duet_volume_open(volume->mount, &is_dir, error) : -1;
    if (volume->mount != NULL && tree_fd < 0)
        return FALSE;
    DUET_AUTO_FD fd = volume->mount != NULL
        ? duet_volume_mount(volume->mount, tree_fd, -1, out_notice, error)
        : duet_tmpfs_mount(volume->tmpfs, 0, error);
    return fd >= 0 && attach_at(native, fd, volume->target, is_dir, error);
}

/* What the child needs to execute the agent. */
static gboolean make_root(Native *native, GError **error)
{
    const DuetSpec *spec = native->spec;
    if (!duet_overlay_private_ns(&native->overlay, error) ||
        !duet_overlay_make(&native->overlay, spec->layers, native->place->instance_dir, -1, 0,
            spec->remove_at_exit, error))
        return FALSE;
    if (move_mount(native->overlay.root_fd, "", AT_FDCWD, native->root, MOVE_MOUNT_F_EMPTY_PATH) !=
        0)
        return duet_error_set_errno(error, errno, "cannot mount on '%s'", native->root);
    native->attached = TRUE;
    return attach_host_dir(native, "/dev", error);
}

/* What only a payload looks for. */
static gboolean attach_rest(Native *native, char **out_notice, GError **error)
{
    const DuetSpec *spec = native->spec;
    if (!attach_host_dir(native, "/proc", error) || !attach_host_dir(native, "/sys", error))
        return FALSE;
    g_autoptr(GArray) volumes = duet_spec_volumes(spec);
    for (guint i = 0; i < volumes->len; i++)
        if (!attach_volume(native, &g_array_index(volumes, DuetVolume, i), out_notice, error))
            return FALSE;
    struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
    if (spec->readonly && mount_setattr(AT_FDCWD, native->root, 0, &readonly, sizeof readonly) != 0)
        return duet_error_set_errno(error, errno, "cannot make '%s' read-only", native->root);
    return TRUE;
}

static void drop_root(Native *native)
{
    if (native->attached)
        umount2(native->root, MNT_DETACH | UMOUNT_NOFOLLOW);
    native->attached = FALSE;
    duet_overlay_clear(&native->overlay);
}

/* It is not made before its root is there: one that sleeps must be woken, which costs more than it
 * can do meanwhile. It executes the agent while we do what that does not wait for. */
static gboolean run_child(Native *native, DuetChild *child, int sync_fd, DuetClone *clone,
    DuetMarks *marks, char **out_notice, GError **error)
{
    int cgroup_fd = duet_cgroup_clone_fd(native->place->cgroup, DUET_CGROUP_PAYLOAD);
    gboolean tracked = duet_cgroup_tracks(native->place->cgroup, DUET_CGROUP_PAYLOAD);
    gboolean ok = duet_clone(tracked ? 0 : CLONE_NEWPID, cgroup_fd, native_run, child, clone);
    int err = errno;
    /* The child shares this memory until its exec: close our copies, but leave it the numbers. */
    close(child->sync_fd);
    close(child->agent_fd);
    if (!ok)
        return duet_error_set_errno(error, err, "cannot make a process");
    duet_marks_set(marks, DUET_MARK_SPAWNED);
    gboolean gone;
    if (!duet_go_send(sync_fd, DUET_GO_MOUNTS, NULL, 0, &gone, error) ||
        !attach_rest(native, out_notice, error) || !duet_place_meanwhile(native->place, error))
        return FALSE;
    DuetReport report;
    if (duet_report_receive(sync_fd, &report))
        return duet_report_to_error(&report, native->spec, error);
    return duet_attributes_apply(native->spec, clone->pid, error);
}

static gboolean native_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error)
{
    Native *native = (Native *)runtime;
    int sync[2] = { -1, -1 }, agent[2] = { -1, -1 };
    g_autofree char *notice = NULL;
    g_autofree DuetChild *child = g_new0(DuetChild, 1);
    DUET_AUTO_FD exec_fd = -1;
    DuetClone clone = { .pidfd = -1, .pid = -1 };
    DUET_AUTO_FD memfd = duet_agent_memfd(error);
    gboolean ok = memfd >= 0 && make_root(native, error);
    if (ok &&
        (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) != 0 ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent) != 0 ||
            (exec_fd = fcntl(memfd, F_DUPFD_CLOEXEC, DUET_FD_MIN)) < 0 ||
            (child->sync_fd = fcntl(sync[1], F_DUPFD_CLOEXEC, DUET_FD_MIN)) < 0))
        ok = duet_error_set_errno(
            error, errno, "cannot make the sockets of '%s'", native->spec->name);
    duet_fd_clear(&sync[1]);
    if (ok) {
        child->monitor_fd = sync[0];
        child->exec_fd = exec_fd;
        child->agent_fd = duet_fd_steal(&agent[1]);
        child->cgroup_fds_count =
            duet_cgroup_born_fds(native->place->cgroup, DUET_CGROUP_PAYLOAD, child->cgroup_fds);
        child->argv = native_argv;
        child->fds[DUET_CHILD_FD_ROOT] = native->overlay.root_fd;
        child->limits_asked = duet_ulimits_named(native->spec->ulimits);
        ok = run_child(native, child, sync[0], &clone, marks, &notice, error);
    }
    duet_fd_clear(&sync[0]);
    if (!ok) {
        duet_clone_abort(&clone);
        duet_fd_clear(&agent[0]);
        duet_fd_clear(&agent[1]);
        drop_root(native);
        return FALSE;
    }
    duet_clone_settled(&clone);
    native->pidfd = fcntl(clone.pidfd, F_DUPFD_CLOEXEC, 0);
    *out_started = (DuetStarted){
        .agent_fd = agent[0],
        .pidfd = clone.pidfd,
        .pid = clone.pid,
        .notice = g_steal_pointer(&notice),
    };
    return TRUE;
}

/* No pid namespace takes the agent's children along: the cgroup has to. */
static gboolean native_kill(DuetRuntime *runtime, GError **error)
{
    return duet_cgroup_kill(
        ((Native *)runtime)->place->cgroup, DUET_CGROUP_PAYLOAD, DUET_KILL_TIMEOUT_MS, error);
}

static gboolean native_release(DuetRuntime *runtime, GError **error)
{
    gboolean ok = native_kill(runtime, error);
    drop_root((Native *)runtime);
    return ok;
}

static gboolean native_pause(DuetRuntime *runtime, GError **error)
{
    return duet_cgroup_freeze(((Native *)runtime)->place->cgroup, TRUE, error);
}

static gboolean native_resume(DuetRuntime *runtime, GError **error)
{
    return duet_cgroup_freeze(((Native *)runtime)->place->cgroup, FALSE, error);
}

static void native_free(DuetRuntime *runtime)
{
    Native *native = (Native *)runtime;
    drop_root(native);
    duet_fd_clear(&native->pidfd);
    g_free(native->root);
    g_free(native);
}

static const DuetRuntimeOps native_ops = {
    .start = native_start,
    .kill = native_kill,
    .release = native_release,
    .pause = native_pause,
    .resume = native_resume,
    .free = native_free,
};

static DuetRuntime *native_create(const DuetSpec *spec, const DuetPlace *place, GError **error)
{
    if (!duet_userns_require(error))
        return NULL;
    Native *native = g_new0(Native, 1);
    native->base = (DuetRuntime){ .ops = &native_ops, .driver_name = "native" };
    native->spec = spec;
    native->place = place;
    /* Nobody else looks into that one. */
    native->root = g_build_filename(place->instance_dir, "work", NULL);
    native->overlay.root_fd = -1;
    native->pidfd = -1;
    return &native->base;
}

const DuetDriverOps duet_native_driver = {
    .name = "native",
    .kind = DUET_KIND_NATIVE,
    .create = native_create,
};
