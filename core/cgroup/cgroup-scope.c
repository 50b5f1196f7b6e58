/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Where systemd is the init it is the only one to make cgroups, but for what it delegates. It makes
 * a transient scope for the instance, with the monitor as its first process and Delegate=yes; below
 * that all is ours. The scope's path follows from the instance's id and the manager's own cgroup,
 * so it is written down before the scope is asked for. systemd removes a scope when its last
 * process is gone, and CollectMode= lets no failed unit remain: a monitor that was killed leaves
 * nothing but its instance's processes, which the sweep kills. One case is left: systemd may put a
 * monitor that is just being killed into a scope that thereby is empty from its birth. Such a scope
 * never ends by itself, so the sweep always asks to stop the unit.
 *
 * The v2 hierarchy is where systemd keeps the books, also on a hybrid host. Controllers that are
 * v1's there are used as they are without systemd: it leaves cgroups alone in v1 that it has not
 * made.
 */
#include "cgroup-private.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/mark.h>

#include "core/rootless.h"
#include "core/util.h"

/* systemd hears of an empty cgroup at once, but the kernel tells it at most every 10 ms. */
#define GONE_MS 50
#define GONE_ASKED_MS 2000
/* Where there is no event to be had. */
#define PAUSE_MIN_US 100
#define PAUSE_MAX_US 2000

char *duet_cgroup_scope_unit(const char *id)
{
    return g_strdup_printf("duet-%s.scope", id);
}

static void open_manager(DuetCgroup *cgroup, const GPtrArray *layout)
{
    g_autoptr(GError) why = NULL;
    if (duet_cgroup_layout_v2(layout) == NULL)
        cgroup->no_scope = g_strdup("no scope of systemd: cgroup v2 is not mounted");
    else if ((cgroup->manager = duet_scope_manager_open(&why)) == NULL)
        cgroup->no_scope = g_strdup(why->message);
}

static void use_manager(DuetCgroup *cgroup, GPtrArray *layout)
{
    g_autoptr(GPtrArray) homes = g_ptr_array_new();
    for (guint i = layout->len; i > 0; i--) {
        const DuetHierarchy *hierarchy = layout->pdata[i - 1];
        if (hierarchy->version != DUET_CGROUP_V1)
            continue;
        g_ptr_array_add(homes, g_build_filename(hierarchy->mount_point, hierarchy->own, NULL));
        if (duet_scope_manager_uid(cgroup->manager) != 0)
            g_ptr_array_remove_index(layout, i - 1); /* v1 can't be delegated to users */
    }
    g_ptr_array_add(homes, NULL);
    cgroup->v1_homes = (char **)g_ptr_array_free(g_steal_pointer(&homes), FALSE);
}

void duet_cgroup_scope_choose(DuetCgroup *cgroup, GPtrArray *layout)
{
    if (duet_scope_booted())
        open_manager(cgroup, layout);
    if (cgroup->manager != NULL)
        use_manager(cgroup, layout);
    else if (duet_is_rootless())
        duet_cgroup_layout_keep_delegated(layout);
}

static gboolean refuse_limits(
    const DuetCgroup *cgroup, const DuetLimits *limits, guint missing, GError **error)
{
    g_autofree char *options = duet_limits_options(limits, missing);
    g_autofree char *names = duet_controllers_to_string(missing);
    uid_t uid = duet_scope_manager_uid(cgroup->manager);
    if (uid != 0 && cgroup->v1_homes[0] != NULL)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot keep %s: the cgroup controller '%s' is one of cgroup v1, which can't be "
            "delegated to users; boot with systemd.unified_cgroup_hierarchy=1 or run duet as root",
            options, names);
    else if (uid != 0)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot keep %s: the cgroup controller '%s' is not delegated to your systemd; as root "
            "write '[Service]' and 'Delegate=cpu cpuset io memory pids' to "
            "/etc/systemd/system/user@.service.d/delegate.conf, run `systemctl daemon-reload` and "
            "`systemctl restart user@%u`",
            options, names, (guint)uid);
    else
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot keep %s: systemd has no cgroup controller '%s'; enable it on the kernel's "
            "command line",
            options, names);
    return FALSE;
}

guint duet_cgroup_scope_controllers(const DuetScopeManager *manager, const DuetHierarchy *v2)
{
    g_autofree char *dir =
        g_build_filename(v2->mount_point, duet_scope_manager_root(manager), NULL);
    DUET_AUTO_FD fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* It hands on what it knows, and of huge pages it knows nothing. */
    return fd < 0 ? 0 : duet_cgroup_v2_controllers(fd) & ~(guint)DUET_CONTROLLER_HUGETLB;
}

gboolean duet_cgroup_scope_add(
    DuetCgroup *cgroup, const DuetHierarchy *v2, guint wanted, guint required, GError **error)
{
    guint granted = wanted & duet_cgroup_scope_controllers(cgroup->manager, v2);
    if ((required & ~granted) != 0)
        return refuse_limits(cgroup, &cgroup->limits, required & ~granted, error);
    DuetCgroupMember *member =
        duet_cgroup_add(cgroup, v2, duet_scope_manager_slice(cgroup->manager), TRUE);
    member->homes[0] = g_build_filename(v2->mount_point, v2->own, NULL);
    /* A user may not return to a session's scope; the manager's own cgroup takes everyone. */
    member->homes[1] = g_build_filename(
        v2->mount_point, duet_scope_manager_root(cgroup->manager), "init.scope", NULL);
    member->controllers = granted;
    member->both_parts = TRUE;
    cgroup->unit = duet_cgroup_scope_unit(cgroup->id);
    return TRUE;
}

static const DuetCgroupMember *scope_member(const DuetCgroup *cgroup)
{
    for (guint i = 0; i < cgroup->members_count; i++)
        if (cgroup->members[i].in_scope)
            return &cgroup->members[i];
    return NULL;
}

/* Where the controller is v1's the directory is ours. */
static DuetScopeShares shares_of(const DuetCgroup *cgroup, const DuetLimits *limits)
{
    const DuetCgroupMember *member = scope_member(cgroup);
    DuetScopeShares shares = { 0 };
    if ((member->controllers & DUET_CONTROLLER_CPU) != 0 && limits->cpu_shares != 0)
        shares.cpu_weight = duet_cpu_weight(limits->cpu_shares);
    if ((member->controllers & DUET_CONTROLLER_IO) != 0 && limits->blkio_weight != 0)
        shares.io_weight = duet_io_weight(limits->blkio_weight);
    if ((member->controllers & DUET_CONTROLLER_MEMORY) != 0)
        shares.memory_low_bytes = limits->memory_reservation_bytes;
    return shares;
}

gboolean duet_cgroup_scope_share(
    const DuetCgroup *cgroup, const DuetLimits *from, const DuetLimits *to, GError **error)
{
    if (cgroup->unit == NULL)
        return TRUE;
    DuetScopeShares old = shares_of(cgroup, from), new = shares_of(cgroup, to);
    if (old.cpu_weight == new.cpu_weight &&
        old.io_weight == new.io_weight &&old.memory_low_bytes == new.memory_low_bytes)
        return TRUE;
    g_autoptr(DuetScopeManager) manager = duet_scope_manager_open(error);
    return manager != NULL && duet_scope_share(manager, cgroup->unit, &new, error);
}

gboolean duet_cgroup_scope_start(DuetCgroup *cgroup, GError **error)
{
    g_autoptr(DuetScopeManager) manager = g_steal_pointer(&cgroup->manager);
    g_autofree char *description = g_strconcat("duet instance ", cgroup->name, NULL);
    DuetScopeShares shares = shares_of(cgroup, &cgroup->limits);
    cgroup->joined = duet_scope_start(manager, cgroup->unit, description, &shares, error);
    if (!cgroup->joined) /* perhaps it was only slow, and has put us there */
        duet_cgroup_member_leave(scope_member(cgroup));
    return cgroup->joined;
}

/* Returns: what tells when something is removed beside @path, or -1: a user has few of these. */
static int watch_siblings(const char *path)
{
    g_autofree char *parent = g_path_get_dirname(path);
    DUET_AUTO_FD fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0 || inotify_add_watch(fd, parent, IN_DELETE | IN_ONLYDIR) < 0)
        return -1;
    return duet_fd_steal(&fd);
}

/* Whatever was removed: who waits looks again. */
static void await_removal(int watch_fd, gint64 left_ns)
{
    struct pollfd poll_fd = { .fd = watch_fd, .events = POLLIN };
    char events[4096];
    if (poll(&poll_fd, 1, (int)((left_ns + 999999) / 1000000)) > 0)
        while (read(watch_fd, events, sizeof events) > 0)
            ;
}

/* By an event: systemd removes a scope by rmdir(2), which the kernel tells of. */
static gboolean wait_gone(const char *path, guint timeout_ms)
{
    gint64 deadline_ns = duet_now_ns() + (gint64)timeout_ms * 1000000;
    DUET_AUTO_FD watch_fd = watch_siblings(path);
    /* Looked at only when the watch is there. */
    for (gulong pause_us = PAUSE_MIN_US; access(path, F_OK) == 0;
         pause_us = MIN(pause_us * 2, PAUSE_MAX_US)) {
        gint64 left_ns = deadline_ns - duet_now_ns();
        if (left_ns <= 0)
            return FALSE;
        if (watch_fd >= 0)
            await_removal(watch_fd, left_ns);
        else
            g_usleep(pause_us);
    }
    return TRUE;
}

gboolean duet_cgroup_scope_end(DuetCgroup *cgroup, GError **error)
{
    const DuetCgroupMember *member = scope_member(cgroup);
    if (member == NULL)
        return TRUE;
    g_autofree char *path = g_build_filename(member->mount_point, member->base, member->dir, NULL);
    if (cgroup->joined && wait_gone(path, GONE_MS))
        return TRUE;
    g_autoptr(GError) why = NULL;
    g_autoptr(DuetScopeManager) manager =
        duet_scope_booted() ? duet_scope_manager_open(&why) : NULL;
    if (manager != NULL)
        duet_scope_stop(manager, cgroup->unit, &why);
    /* Whatever became of systemd: nothing may be left. */
    if (wait_gone(path, GONE_ASKED_MS) || rmdir(path) == 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "cannot remove cgroup '%s': %s", path,
        why != NULL ? why->message : "systemd keeps it; see `systemctl status` of its unit");
    return FALSE;
}
