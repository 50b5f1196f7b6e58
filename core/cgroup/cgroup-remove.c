/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/mark.h>

#include "core/util.h"

#define REMOVE_TIMEOUT_MS 2000
#define NEST_MAX 16

static int remove_dir(int parent_fd, const char *name, guint depth);

/* A payload that could make cgroups of its own may have left some. */
static void remove_children(int parent_fd, const char *name, guint depth)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        duet_fd_clear(&fd);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0)
            remove_dir(fd, entry->d_name, depth + 1);
    closedir(dir);
}

/* Returns 0 or an errno value. What just exited keeps a cgroup busy for a moment. */
static int remove_dir(int parent_fd, const char *name, guint depth)
{
    gint64 deadline_ns = duet_now_ns() + (gint64)REMOVE_TIMEOUT_MS * 1000000;
    for (gulong pause_us = 100;; pause_us = MIN(pause_us * 2, 20000)) {
        if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENODEV)
            return 0;
        int err = errno;
        if ((err != EBUSY && err != ENOTEMPTY) || duet_now_ns() >= deadline_ns)
            return err;
        if (depth < NEST_MAX)
            remove_children(parent_fd, name, depth);
        g_usleep(pause_us);
    }
}

gboolean duet_cgroup_member_remove(DuetCgroupMember *member, GError **error)
{
    if (member->base_fd < 0)
        return TRUE;
    DUET_AUTO_FD dir_fd = openat(member->base_fd, member->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = 0;
    for (guint part = 0; dir_fd >= 0 && part < G_N_ELEMENTS(duet_cgroup_part_names) && err == 0;
         part++) {
        const char *name = duet_cgroup_part_dir(member, (DuetCgroupPart)part);
        err = strcmp(name, ".") != 0 ? remove_dir(dir_fd, name, 1) : 0;
    }
    if (err == 0 && !member->in_scope) {
        err = remove_dir(member->base_fd, member->dir, 0);
        if (err == 0)
            duet_cgroup_pool_leave(member);
    }
    if (err != 0)
        return duet_error_set_errno(error, err, "cannot remove cgroup '%s/%s/%s'",
            member->mount_point, member->base, member->dir);
    return TRUE;
}

gboolean duet_cgroup_remove(DuetCgroup *cgroup, GError **error)
{
    gboolean ok = TRUE;
    for (char **home = cgroup->joined ? cgroup->v1_homes : NULL; home != NULL && *home != NULL;
         home++)
        duet_cgroup_dir_join(*home, duet_cgroup_backend_v1.join_file);
    for (guint i = 0; i < cgroup->members_count; i++) {
        DuetCgroupMember *member = &cgroup->members[i];
        if (cgroup->joined && (member->both_parts || cgroup->was_in_payload))
            duet_cgroup_member_leave(member);
        ok = duet_cgroup_member_remove(member, ok ? error : NULL) && ok;
    }
    if (cgroup->unit != NULL)
        ok = duet_cgroup_scope_end(cgroup, ok ? error : NULL) && ok;
    cgroup->joined = FALSE;
    return ok;
}
