/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <duet/error.h>

#define FREEZE_TIMEOUT_MS 5000

int duet_cgroup_dir_join(const char *dir, const char *join_file)
{
    int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return errno;
    int err = 0;
    int fd = openat(dir_fd, join_file, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        err = errno;
    if (fd >= 0)
        close(fd);
    close(dir_fd);
    return err;
}

/* No GLib and no allocation: a child calls this between clone and exec. */
int duet_cgroup_member_leave(const DuetCgroupMember *member)
{
    int err = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(member->homes) && member->homes[i] != NULL; i++) {
        err = duet_cgroup_dir_join(member->homes[i], member->backend->join_file);
        if (err == 0)
            return 0;
    }
    return err;
}

int duet_cgroup_join(DuetCgroup *cgroup, DuetCgroupPart part)
{
    /* Each join may cost v2 a wait for all CPUs. */
    if (cgroup->joined && cgroup->was_in_payload == (part == DUET_CGROUP_PAYLOAD))
        return 0;
    for (guint i = 0; i < cgroup->members_count; i++) {
        const DuetCgroupMember *member = &cgroup->members[i];
        if (member->join_fds[part] >= 0) {
            if (write(member->join_fds[part], "0", 1) != 1)
                return errno;
        } else if (part == DUET_CGROUP_MONITOR && cgroup->was_in_payload) {
            int err = duet_cgroup_member_leave(member);
            if (err != 0)
                return err;
        }
    }
    cgroup->joined = TRUE;
    cgroup->was_in_payload = part == DUET_CGROUP_PAYLOAD;
    return 0;
}

int duet_cgroup_clone_fd(DuetCgroup *cgroup, DuetCgroupPart part)
{
    const DuetCgroupMember *member = cgroup->tracking[part];
    if (member == NULL || member->version != DUET_CGROUP_V2)
        return -1;
    return part == DUET_CGROUP_PAYLOAD && member->box_fd >= 0 ? member->box_fd
                                                              : member->part_fds[part];
}

guint duet_cgroup_born_fds(const DuetCgroup *cgroup, DuetCgroupPart part, int *out_fds)
{
    guint count = 0;
    for (guint i = 0; i < cgroup->members_count; i++) {
        const DuetCgroupMember *member = &cgroup->members[i];
        if (member->join_fds[part] >= 0 &&
            (member != cgroup->tracking[part] || member->version != DUET_CGROUP_V2))
            out_fds[count++] = member->join_fds[part];
    }
    return count;
}

gboolean duet_cgroup_is_pure_v2(DuetCgroup *cgroup)
{
    return cgroup->members_count == 1 && cgroup->members[0].version == DUET_CGROUP_V2;
}

gboolean duet_cgroup_tracks(DuetCgroup *cgroup, DuetCgroupPart part)
{
    return cgroup->tracking[part] != NULL;
}

GArray *duet_cgroup_pids(DuetCgroup *cgroup, DuetCgroupPart part)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(gint));
    const DuetCgroupMember *member = cgroup->tracking[part];
    if (member != NULL && member->part_fds[part] >= 0)
        duet_cgroup_dir_pids(member->part_fds[part], pids);
    if (member != NULL && part == DUET_CGROUP_PAYLOAD && member->box_fd >= 0)
        duet_cgroup_dir_pids(member->box_fd, pids);
    return pids;
}

static DuetCgroupMember *freezer_member(DuetCgroup *cgroup)
{
    DuetCgroupMember *tracking = cgroup->tracking[DUET_CGROUP_PAYLOAD];
    if (tracking != NULL && tracking->version == DUET_CGROUP_V2)
        return tracking;
    for (guint i = 0; i < cgroup->members_count; i++)
        if ((cgroup->members[i].controllers & DUET_CONTROLLER_FREEZER) != 0)
            return &cgroup->members[i];
    return NULL;
}

gboolean duet_cgroup_kill(DuetCgroup *cgroup, DuetCgroupPart part, guint timeout_ms, GError **error)
{
    const DuetCgroupMember *member = cgroup->tracking[part];
    if (member == NULL || member->part_fds[part] < 0)
        return TRUE;
    /* Most often all have ended, and v2 says so of the whole tree at the price of a read. */
    if (member->version == DUET_CGROUP_V2 && member->backend->wait_empty(member->part_fds[part], 0))
        return TRUE;
    g_autoptr(GArray) pids = duet_cgroup_pids(cgroup, part);
    for (guint i = 0; i < pids->len; i++) {
        if (g_array_index(pids, gint, i) == getpid()) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
                "cannot kill the %s part of cgroup '%s': the caller is in it",
                duet_cgroup_part_names[part], cgroup->path);
            return FALSE;
        }
    }
    int part_fd = member->part_fds[part];
    int box_fd = part == DUET_CGROUP_PAYLOAD ? member->box_fd : -1;
    if ((!member->backend->kill(part_fd) || (box_fd >= 0 && !member->backend->kill(box_fd))) &&
        errno != ENODEV)
        return duet_error_set_errno(
            error, errno, "cannot kill the processes in cgroup '%s'", cgroup->path);
    /* v1 delivers no signal to what is frozen; v2's kill does */
    const DuetCgroupMember *freezer = freezer_member(cgroup);
    if (freezer != NULL && freezer->version == DUET_CGROUP_V1 && freezer->part_fds[part] >= 0)
        freezer->backend->freeze(freezer->part_fds[part], FALSE, timeout_ms);
    if (member->backend->wait_empty(part_fd, timeout_ms))
        return TRUE;
    g_array_unref(g_steal_pointer(&pids));
    pids = duet_cgroup_pids(cgroup, part);
    if (pids->len == 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_TIMEOUT,
        "process %d in cgroup '%s' did not end within %u ms of SIGKILL",
        g_array_index(pids, gint, 0), cgroup->path, timeout_ms);
    return FALSE;
}

gboolean duet_cgroup_freeze(DuetCgroup *cgroup, gboolean frozen, GError **error)
{
    const DuetCgroupMember *member = freezer_member(cgroup);
    const char *verb = frozen ? "pause" : "resume";
    if (member == NULL) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, "cannot %s: %s", verb,
            cgroup->members_count == 0
                ? "it has no cgroup, for none was delegated to you; see `duet check`"
                : "neither cgroup v2 nor v1's freezer is mounted");
        return FALSE;
    }
    int part_fd = member->part_fds[DUET_CGROUP_PAYLOAD];
    int err = part_fd >= 0 ? member->backend->freeze(part_fd, frozen, FREEZE_TIMEOUT_MS) : ENOENT;
    if (err == 0)
        return TRUE;
    if (frozen && part_fd >= 0)
        member->backend->freeze(part_fd, FALSE, 0);
    return duet_error_set_errno(error, err, "cannot %s cgroup '%s'", verb, cgroup->path);
}

void duet_cgroup_drop_cache(DuetCgroup *cgroup, DuetCgroupPart part)
{
    for (guint i = 0; i < cgroup->members_count; i++) {
        const DuetCgroupMember *member = &cgroup->members[i];
        if ((member->controllers & DUET_CONTROLLER_MEMORY) != 0 && member->part_fds[part] >= 0)
            member->backend->drop_cache(member->part_fds[part]);
    }
}

/* Of all that is below a directory of v1, and @part is. */
static void take_away(DuetCgroupUsage *usage, const DuetCgroupUsage *part)
{
    const struct {
        guint64 *from, what;
    } rows[] = {
        { &usage->memory_bytes, part->memory_bytes },
        { &usage->kernel_bytes, part->kernel_bytes },
        { &usage->anon_bytes, part->anon_bytes },
        { &usage->shmem_bytes, part->shmem_bytes },
        { &usage->file_bytes, part->file_bytes },
        { &usage->inactive_file_bytes, part->inactive_file_bytes },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        *rows[i].from -= MIN(*rows[i].from, rows[i].what);
}

/* Without memory.use_hierarchy, which kernels before 5.11 have a choice of, a directory counts for
 * itself alone. */
static void usage_of_monitor(const DuetCgroupMember *member, DuetCgroupUsage *usage)
{
    int fd = member->part_fds[DUET_CGROUP_PAYLOAD];
    DuetCgroupUsage payload = { 0 };
    if (member->version != DUET_CGROUP_V1 || fd < 0 ||
        duet_cgroup_file_number(fd, "memory.use_hierarchy") == 0)
        return;
    member->backend->usage(fd, member->controllers, DUET_CGROUP_WANT_MEMORY, &payload);
    take_away(usage, &payload);
}

void duet_cgroup_usage(
    DuetCgroup *cgroup, DuetCgroupPart part, guint want, DuetCgroupUsage *out_usage)
{
    *out_usage = (DuetCgroupUsage){ 0 };
    for (guint i = 0; i < cgroup->members_count; i++) {
        const DuetCgroupMember *member = &cgroup->members[i];
        if (member->part_fds[part] >= 0)
            member->backend->usage(member->part_fds[part], member->controllers, want, out_usage);
        if (part == DUET_CGROUP_MONITOR && (want & DUET_CGROUP_WANT_MEMORY) != 0)
            usage_of_monitor(member, out_usage);
    }
}
