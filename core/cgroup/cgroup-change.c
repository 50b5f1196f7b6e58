/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Limits of what lives are changed in the files of its cgroup. An instance has directories for the
 * controllers alone that its limits needed when it started: a new kind of limit needs a new one. In
 * v2 a controller is switched on in the one directory that there is. In v1 a directory is made
 * beside the others, in another hierarchy, and the payload's processes are moved into it. Whoever
 * cleans up after a killed monitor must find it, so it is planned first, and made when its path was
 * written down. What is forked while its parent is being moved is found by looking again, until
 * none is left outside. If anything fails all is as it was.
 */
#include "cgroup-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/rootless.h"
#include "core/util.h"

/* What forks faster than it is moved. */
#define MOVE_ROUNDS 100

static guint controllers_of(const DuetCgroup *cgroup)
{
    guint controllers = 0;
    for (guint i = 0; i < cgroup->members_count; i++)
        controllers |= cgroup->members[i].controllers;
    return controllers;
}

/* Returns: what of @wanted can be used in the v2 directory of @cgroup. */
static guint enable_v2(DuetCgroup *cgroup, guint wanted)
{
    for (guint i = 0; i < cgroup->members_count; i++) {
        DuetCgroupMember *member = &cgroup->members[i];
        if (member->version != DUET_CGROUP_V2 || member->part_fds[DUET_CGROUP_PAYLOAD] < 0)
            continue;
        /* An ordinary user's payload that is in no box owns what its limits would be written to. */
        if (duet_is_rootless() && member->box_fd < 0)
            return 0;
        DUET_AUTO_FD dir_fd =
            openat(member->base_fd, member->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (!member->in_scope)
            duet_cgroup_v2_enable(
                member->base_fd, wanted & duet_cgroup_v2_controllers(member->base_fd));
        guint granted = wanted & duet_cgroup_v2_controllers(dir_fd);
        if (granted == 0 || duet_cgroup_v2_enable(dir_fd, granted) != 0)
            return 0;
        member->controllers |= granted;
        return granted;
    }
    return 0;
}

/* Plans directories in v1. Returns: what of @wanted they are for. */
static guint plan_v1(DuetCgroup *cgroup, const GPtrArray *layout, guint wanted)
{
    guint planned = 0;
    /* systemd took the monitor along, so what is ours can't be told from where it is now */
    for (guint i = 0; i < layout->len && cgroup->unit == NULL; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        if (hierarchy->version != DUET_CGROUP_V1 || (hierarchy->controllers & wanted) == 0 ||
            cgroup->members_count >= DUET_CGROUP_MEMBERS_MAX)
            continue;
        duet_cgroup_add_own(cgroup, hierarchy, hierarchy->own);
        planned |= hierarchy->controllers & wanted;
    }
    return planned;
}

static void set_path(DuetCgroup *cgroup)
{
    g_free(cgroup->path);
    cgroup->path = duet_cgroup_path_text(cgroup);
}

static gboolean refuse(
    const DuetCgroup *cgroup, const DuetLimits *to, guint missing, GError **error)
{
    g_autofree char *options = duet_limits_options(to, missing);
    g_autofree char *names = duet_controllers_to_string(missing);
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        cgroup->members_count == 0
            ? "cannot keep %s: no cgroup was delegated to you, so none has the controller '%s'"
            : "cannot keep %s while it runs: it was started without the cgroup controller '%s'; "
              "stop it, then change that, and start it again",
        options, names);
    return FALSE;
}

static gboolean is_planned(const DuetCgroupMember *member)
{
    return member->base_fd < 0 && member->part_fds[DUET_CGROUP_PAYLOAD] < 0;
}

/* Moves what is in the payload part and not in @dir_fd yet. Returns: how many, or -1 with errno. */
static int move_round(DuetCgroup *cgroup, int dir_fd)
{
    g_autoptr(GArray) all = duet_cgroup_pids(cgroup, DUET_CGROUP_PAYLOAD);
    g_autoptr(GArray) there = g_array_new(FALSE, FALSE, sizeof(gint));
    int moved = 0;
    duet_cgroup_dir_pids(dir_fd, there);
    for (guint i = 0; i < all->len; i++) {
        gint pid = g_array_index(all, gint, i);
        char text[16];
        if (duet_pids_contain(there, pid))
            continue;
        g_snprintf(text, sizeof text, "%d", pid);
        int err = duet_cgroup_file_write(dir_fd, "cgroup.procs", text);
        if (err != 0 && err != ESRCH) {
            errno = err;
            return -1;
        }
        moved += err == 0;
    }
    return moved;
}

static gboolean move_payload(DuetCgroup *cgroup, const DuetCgroupMember *member, GError **error)
{
    for (guint i = 0; i < MOVE_ROUNDS; i++) {
        int moved = move_round(cgroup, member->part_fds[DUET_CGROUP_PAYLOAD]);
        if (moved < 0)
            return duet_error_set_errno(
                error, errno, "cannot move its processes to the cgroup '%s'", member->dir);
        if (moved == 0)
            return TRUE;
    }
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "its processes multiply faster than they can be moved to a cgroup with the limit");
    return FALSE;
}

/* Its processes go back to where they came from. */
static void unmake(DuetCgroupMember *member)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(gint));
    DUET_AUTO_FD home = open(member->homes[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (guint round = 0; round < MOVE_ROUNDS; round++) {
        g_array_set_size(pids, 0);
        if (member->part_fds[DUET_CGROUP_PAYLOAD] >= 0)
            duet_cgroup_dir_pids(member->part_fds[DUET_CGROUP_PAYLOAD], pids);
        if (pids->len == 0)
            break;
        for (guint i = 0; i < pids->len; i++) {
            char text[16];
            g_snprintf(text, sizeof text, "%d", g_array_index(pids, gint, i));
            duet_cgroup_file_write(home, "cgroup.procs", text);
        }
    }
    duet_cgroup_member_remove(member, NULL);
}

/* Those from @count on go, made or not. */
static void cut(DuetCgroup *cgroup, guint count)
{
    while (cgroup->members_count > count) {
        DuetCgroupMember *member = &cgroup->members[cgroup->members_count - 1];
        if (!is_planned(member))
            unmake(member);
        duet_cgroup_member_clear(member);
        cgroup->members_count--;
    }
    set_path(cgroup);
}

/* Returns: how many members there were before the plan. */
static guint count_made(const DuetCgroup *cgroup)
{
    guint count = cgroup->members_count;
    while (count > 0 && is_planned(&cgroup->members[count - 1]))
        count--;
    return count;
}

void duet_cgroup_change_cancel(DuetCgroup *cgroup)
{
    cut(cgroup, count_made(cgroup));
}

gboolean duet_cgroup_change_plan(DuetCgroup *cgroup, const DuetLimits *to, GError **error)
{
    guint missing = duet_limits_required(to) & ~controllers_of(cgroup);
    if (missing == 0)
        return TRUE;
    if (cgroup->tracking[DUET_CGROUP_PAYLOAD] == NULL)
        return refuse(cgroup, to, missing, error);
    missing &= ~enable_v2(cgroup, missing);
    g_autoptr(GPtrArray) layout = missing != 0 ? duet_cgroup_layout_read(error) : NULL;
    if (missing != 0 && layout == NULL)
        return FALSE;
    missing &= missing != 0 ? ~plan_v1(cgroup, layout, missing) : 0;
    if (missing != 0) {
        duet_cgroup_change_cancel(cgroup);
        return refuse(cgroup, to, missing, error);
    }
    set_path(cgroup);
    return TRUE;
}

gboolean duet_cgroup_change(
    DuetCgroup *cgroup, const DuetLimits *from, const DuetLimits *to, GError **error)
{
    guint count = count_made(cgroup);
    gboolean ok = TRUE;
    for (guint i = count; i < cgroup->members_count && ok; i++) {
        gboolean made = FALSE;
        ok = duet_cgroup_member_make(&cgroup->members[i], to, &made, error);
        if (!made) /* what is there is another's */
            duet_fd_clear(&cgroup->members[i].base_fd);
    }
    ok = ok && duet_cgroup_scope_share(cgroup, from, to, error) &&
        duet_limits_change(from, to, cgroup->members, count, error);
    gboolean changed = ok;
    for (guint i = count; i < cgroup->members_count && ok; i++)
        ok = move_payload(cgroup, &cgroup->members[i], error);
    if (ok)
        return TRUE;
    duet_cgroup_scope_share(cgroup, to, from, NULL);
    if (changed)
        duet_limits_change(to, from, cgroup->members, count, NULL);
    cut(cgroup, count);
    return FALSE;
}
