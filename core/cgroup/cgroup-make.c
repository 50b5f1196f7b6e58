/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/rootless.h"
#include "core/util.h"

/*
 * Which hierarchies are used. For each part one of them tracks, that is, says which processes there
 * are. The payload is tracked by v2 where it is mounted (cgroup.kill, cgroup.freeze, CPU time
 * without a controller), even if v1 keeps the controllers; else by v1's freezer. The monitor joins
 * and leaves by itself, which costs v2 a wait for all CPUs (8 ms where a v1 join takes 10 us), so a
 * v1 memory controller tracks it if there is one. The memory controller is always used, with both
 * parts, for memory is what duet compares. A controller that a limit needs is used for the payload
 * alone. Every further directory would cost some 100 us per start, so v1's monitor has none of its
 * own, see duet_cgroup_part_dir(). A scope takes the place of the
 * directories in v2, see cgroup-scope.c.
 *
 * An ordinary user owns the files of the payload's limits, and so does the root of a container of
 * that user. The kernel keeps the root of a cgroup namespace from writing to those of its own
 * cgroup, but not those of a further namespace below it. So the processes are in a box within: what
 * its namespace shows has no limits.
 */

/* Another duet may remove an empty pool between two of our steps. */
#define MAKE_TRIES 100

/*
 * The nearest cgroup, from our own upwards, whose children may have @controllers. Our own one
 * can't if it is not the root, for v2 wants no processes beside children with controllers.
 */
static char *v2_base(const DuetHierarchy *hierarchy, guint controllers)
{
    g_autofree char *path = g_strdup(hierarchy->own);
    for (;;) {
        g_autofree char *dir = g_build_filename(hierarchy->mount_point, path, NULL);
        DUET_AUTO_FD fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && (duet_cgroup_v2_controllers(fd) & controllers) == controllers &&
            duet_cgroup_v2_enable(fd, controllers) == 0)
            return g_steal_pointer(&path);
        if (path[0] == '\0')
            return NULL;
        char *slash = strrchr(path, '/');
        *(slash != NULL ? slash : path) = '\0';
    }
}

static gboolean refuse_limits(
    const GPtrArray *layout, const DuetLimits *limits, guint missing, GError **error)
{
    guint have = 0;
    for (guint i = 0; i < layout->len; i++)
        have |= ((const DuetHierarchy *)layout->pdata[i])->controllers;
    g_autofree char *options = duet_limits_options(limits, missing);
    g_autofree char *names = duet_controllers_to_string(missing);
    g_autofree char *v1 = duet_controllers_to_string(have);
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "cannot keep %s: no usable cgroup controller '%s' (v1 has: %s; v2 has none to give); "
        "enable "
        "it on the kernel command line or start duet in a cgroup that delegates it",
        options, names, v1[0] != '\0' ? v1 : "none");
    return FALSE;
}

/* Back to where we came from; the root takes everyone, should that be gone. */
DuetCgroupMember *duet_cgroup_add_own(
    DuetCgroup *cgroup, const DuetHierarchy *hierarchy, const char *base)
{
    g_autofree char *in_pool = duet_cgroup_pool_base(base, cgroup->limits.pool);
    DuetCgroupMember *member = duet_cgroup_add(cgroup, hierarchy, in_pool, FALSE);
    member->homes[0] = g_build_filename(hierarchy->mount_point, hierarchy->own, NULL);
    member->homes[1] = g_strdup(hierarchy->mount_point);
    return member;
}

static gboolean refuse_user_limits(const DuetLimits *limits, GError **error)
{
    guint asked = duet_limits_required(limits);
    if (asked == 0)
        return TRUE;
    g_autofree char *options = duet_limits_options(limits, asked);
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "cannot keep %s: no cgroup was delegated to you; log in to a systemd session with cgroup "
        "v2 (loginctl enable-linger keeps one), or run duet as root",
        options);
    return FALSE;
}

static gboolean choose_v2(DuetCgroup *cgroup, const GPtrArray *layout, const DuetLimits *limits,
    guint unmet, GError **error)
{
    const DuetHierarchy *v2 = duet_cgroup_layout_v2(layout);
    guint required = unmet & duet_limits_required(limits);
    if (cgroup->manager != NULL)
        return duet_cgroup_scope_add(cgroup, v2, unmet, required, error);
    if (v2 == NULL)
        return required == 0 || refuse_limits(layout, limits, required, error);
    g_autofree char *base = NULL;
    guint granted = unmet;
    if (unmet != 0)
        base = v2_base(v2, granted);
    if (base == NULL && unmet != required && required != 0)
        base = v2_base(v2, granted = required);
    if (base == NULL && required != 0)
        return refuse_limits(layout, limits, required, error);
    DuetCgroupMember *member = duet_cgroup_add_own(cgroup, v2, base != NULL ? base : v2->own);
    member->controllers = base != NULL ? granted : 0;
    member->both_parts =
        member->controllers != 0 || v2 == duet_cgroup_layout_tracking(layout, DUET_CGROUP_MONITOR);
    return TRUE;
}

static gboolean choose_members(
    DuetCgroup *cgroup, const GPtrArray *layout, const DuetLimits *limits, GError **error)
{
    const DuetHierarchy *tracking[] = {
        [DUET_CGROUP_MONITOR] = duet_cgroup_layout_tracking(layout, DUET_CGROUP_MONITOR),
        [DUET_CGROUP_PAYLOAD] = duet_cgroup_layout_tracking(layout, DUET_CGROUP_PAYLOAD),
    };
    /* An ordinary user to whom nothing was delegated: see duet_cgroup_plan(). */
    if (layout->len == 0 && duet_is_rootless())
        return refuse_user_limits(limits, error);
    if (layout->len == 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "no cgroup hierarchy is mounted where duet can use it; mount one: mount -t cgroup2 "
            "none "
            "/sys/fs/cgroup");
        return FALSE;
    }
    guint wanted = DUET_CONTROLLER_MEMORY | duet_limits_controllers(limits);
    guint unmet = wanted;
    if (tracking[DUET_CGROUP_PAYLOAD]->version == DUET_CGROUP_V1)
        wanted |= DUET_CONTROLLER_CPUACCT | DUET_CONTROLLER_FREEZER;
    for (guint i = 0; i < layout->len && cgroup->members_count < DUET_CGROUP_MEMBERS_MAX - 1; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        if (hierarchy->version != DUET_CGROUP_V1 ||
            ((hierarchy->controllers & wanted) == 0 && hierarchy != tracking[0] &&
                hierarchy != tracking[1]))
            continue;
        DuetCgroupMember *member = duet_cgroup_add_own(cgroup, hierarchy, hierarchy->own);
        member->both_parts = duet_cgroup_layout_has_monitor(layout, hierarchy);
        unmet &= ~hierarchy->controllers;
    }
    if (!choose_v2(cgroup, layout, limits, unmet, error))
        return FALSE;
    for (guint i = 0; i < cgroup->members_count; i++)
        for (guint part = 0; part < G_N_ELEMENTS(tracking); part++)
            if (strcmp(cgroup->members[i].name, tracking[part]->name) == 0)
                cgroup->tracking[part] = &cgroup->members[i];
    return TRUE;
}

/* Returns: the directory that the processes of @part_fd are to be in, or -1 with errno. */
static int make_box(DuetCgroupMember *member, int part_fd)
{
    if (member->version != DUET_CGROUP_V2 || member->controllers == 0 || !duet_is_rootless())
        return part_fd;
    if (mkdirat(part_fd, DUET_CGROUP_BOX, 0755) != 0)
        return -1;
    return member->box_fd = openat(part_fd, DUET_CGROUP_BOX, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Returns 0 or an errno value. */
static int inherit(const DuetCgroupMember *member, int dir_fd)
{
    gboolean is_cpuset =
        member->version == DUET_CGROUP_V1 && (member->controllers & DUET_CONTROLLER_CPUSET) != 0;
    return is_cpuset ? duet_cpuset_inherit(dir_fd) : 0;
}

/* Makes and opens the directories of the parts. Returns 0 or an errno value. */
static int make_parts(DuetCgroupMember *member, int dir_fd)
{
    for (guint part = 0; part < G_N_ELEMENTS(duet_cgroup_part_names); part++) {
        if (part == DUET_CGROUP_MONITOR && !member->both_parts)
            continue;
        const char *name = duet_cgroup_part_dir(member, (DuetCgroupPart)part);
        if (strcmp(name, ".") != 0 && mkdirat(dir_fd, name, 0755) != 0)
            return errno;
        int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return errno;
        member->part_fds[part] = fd;
        int err = inherit(member, fd);
        if (err != 0)
            return err;
        if (part == DUET_CGROUP_PAYLOAD)
            fd = make_box(member, fd);
        if (fd >= 0)
            fd = openat(fd, member->backend->join_file, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            return errno;
        member->join_fds[part] = fd;
    }
    return 0;
}

/* Returns 0 or an errno value; ENOENT and ENODEV before @out_made: the pool went away meanwhile. */
static int make_own(DuetCgroupMember *member, gboolean *out_made)
{
    guint enable = member->version == DUET_CGROUP_V2 ? member->controllers : 0;
    *out_made = mkdirat(member->base_fd, member->dir, 0755) == 0;
    if (!*out_made)
        return errno;
    DUET_AUTO_FD dir_fd = openat(member->base_fd, member->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return errno;
    int err = enable != 0 ? duet_cgroup_v2_enable(dir_fd, enable) : inherit(member, dir_fd);
    return err != 0 ? err : make_parts(member, dir_fd);
}

/*
 * Below a scope that systemd just put us into. We have to be in a leaf before its children can have
 * controllers. Joining that costs nothing: the kernel's wait was systemd's, a moment ago.
 */
static int make_in_scope(DuetCgroupMember *member)
{
    DUET_AUTO_FD dir_fd = openat(member->base_fd, member->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int err = dir_fd < 0 ? errno : make_parts(member, dir_fd);
    if (err == 0 && write(member->join_fds[DUET_CGROUP_MONITOR], "0", 1) != 1)
        err = errno;
    return err != 0 ? err : duet_cgroup_v2_enable(dir_fd, member->controllers);
}

/* Returns 0 or an errno value. */
static int open_base(DuetCgroupMember *member, const char *base)
{
    member->base_fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return member->base_fd < 0 ? errno : 0;
}

/* The same, of a pool that may have to be made anew. */
static int open_pool(DuetCgroupMember *member, const char *base)
{
    duet_fd_clear(&member->base_fd);
    if (mkdir(base, 0755) != 0 && errno != EEXIST)
        return errno;
    int err = open_base(member, base);
    if (err != 0)
        return err;
    return member->version == DUET_CGROUP_V2
        ? duet_cgroup_v2_enable(member->base_fd, member->controllers)
        : inherit(member, member->base_fd);
}

/* Until it is made or can't be: a pool with a directory of ours in it does not go any more. Returns
 * 0 or an errno value. */
static int make_in_pool(DuetCgroupMember *member, const char *base, gboolean *out_made)
{
    int err = ENOENT;
    for (guint tries = 0; (err == ENOENT || err == ENODEV) && tries < MAKE_TRIES; tries++) {
        err = open_pool(member, base);
        if (err == 0)
            err = make_own(member, out_made);
        if (*out_made)
            return err;
    }
    if (member->base_fd >= 0)
        duet_cgroup_pool_leave(member);
    return err;
}

gboolean duet_cgroup_member_make(
    DuetCgroupMember *member, const DuetLimits *limits, gboolean *out_made, GError **error)
{
    g_autofree char *base = g_build_filename(member->mount_point, member->base, NULL);
    int err;
    /* systemd made the scope, and only that can take it away */
    *out_made = member->in_scope;
    if (limits->pool != NULL && !member->in_scope) {
        err = make_in_pool(member, base, out_made);
    } else {
        err = open_base(member, base);
        if (err == 0)
            err = member->in_scope ? make_in_scope(member) : make_own(member, out_made);
    }
    if (err == EEXIST) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
            "cgroup '%s/%s' exists already: an instance with this id runs or was left behind", base,
            member->dir);
        return FALSE;
    }
    if (err != 0)
        return duet_error_set_errno(error, err, "cannot make cgroup '%s/%s'", base, member->dir);
    return duet_cgroup_pool_limit(member, limits, error) &&
        duet_limits_apply(limits, member->version, member->controllers,
            member->part_fds[DUET_CGROUP_PAYLOAD], error);
}

/* Takes @cgroup, which knows its manager if it has one. */
static DuetCgroup *plan(DuetCgroup *planned, const GPtrArray *layout, const char *id,
    const DuetLimits *limits, GError **error)
{
    g_autoptr(DuetCgroup) cgroup = planned;
    if (!duet_cgroup_id_is_valid(id)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' is no instance id", id);
        return NULL;
    }
    if (!duet_limits_validate(limits, error))
        return NULL;
    cgroup->id = g_strdup(id);
    cgroup->limits = *limits;
    if (!choose_members(cgroup, layout, limits, error) ||
        (limits->pool != NULL && !duet_cgroup_pool_is_kept(cgroup, error)))
        return NULL;
    cgroup->path = duet_cgroup_path_text(cgroup);
    return g_steal_pointer(&cgroup);
}

DuetCgroup *duet_cgroup_plan(
    const char *id, const char *name, const DuetLimits *limits, GError **error)
{
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_read(error);
    if (layout == NULL)
        return NULL;
    DuetCgroup *cgroup = g_new0(DuetCgroup, 1);
    cgroup->name = g_strdup(name);
    duet_cgroup_scope_choose(cgroup, layout);
    return plan(cgroup, layout, id, limits, error);
}

static void undo(DuetCgroup *cgroup)
{
    duet_cgroup_remove(cgroup, NULL);
    g_clear_pointer(&cgroup->unit, g_free);
    for (guint i = 0; i < cgroup->members_count; i++)
        duet_fd_clear(&cgroup->members[i].base_fd);
}

gboolean duet_cgroup_make(DuetCgroup *cgroup, GError **error)
{
    gboolean ok = cgroup->unit == NULL || duet_cgroup_scope_start(cgroup, error);
    for (guint i = 0; i < cgroup->members_count && ok; i++) {
        DuetCgroupMember *member = &cgroup->members[i];
        gboolean made = FALSE;
        ok = duet_cgroup_member_make(member, &cgroup->limits, &made, error);
        if (!made) /* what is there is another's */
            duet_fd_clear(&member->base_fd);
        /* a hybrid host: all of the monitor part, not the scope alone */
        int fd = member->join_fds[DUET_CGROUP_MONITOR];
        if (ok && cgroup->joined && !member->in_scope && fd >= 0 && write(fd, "0", 1) != 1)
            ok = duet_error_set_errno(error, errno, "cannot join the cgroup '%s'", cgroup->path);
    }
    if (ok)
        return TRUE;
    if (cgroup->no_scope != NULL)
        g_prefix_error(error, "%s; and without a scope of systemd: ", cgroup->no_scope);
    undo(cgroup);
    return FALSE;
}

DuetCgroup *duet_cgroup_new_in(
    const GPtrArray *layout, const char *id, const DuetLimits *limits, GError **error)
{
    g_autoptr(DuetCgroup) cgroup = plan(g_new0(DuetCgroup, 1), layout, id, limits, error);
    return cgroup != NULL && duet_cgroup_make(cgroup, error) ? g_steal_pointer(&cgroup) : NULL;
}

DuetCgroup *duet_cgroup_new(const char *id, const DuetLimits *limits, GError **error)
{
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_read(error);
    return layout != NULL ? duet_cgroup_new_in(layout, id, limits, error) : NULL;
}
