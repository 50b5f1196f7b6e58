/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cgroup that we did not make: read, never joined, killed or removed. */
#include "cgroup-private.h"

#include <fcntl.h>
#include <string.h>

/* Returns: the member for "memory:/machine/x", or NULL. */
static DuetCgroupMember *entry_open(DuetCgroup *cgroup, const GPtrArray *layout, const char *entry)
{
    const char *colon = strstr(entry, ":/");
    if (colon == NULL || cgroup->members_count >= DUET_CGROUP_MEMBERS_MAX)
        return NULL;
    g_autofree char *name = g_strndup(entry, (gsize)(colon - entry));
    for (guint i = 0; i < layout->len; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        if (strcmp(hierarchy->name, name) != 0)
            continue;
        g_autofree char *dir = g_build_filename(hierarchy->mount_point, colon + 1, NULL);
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            return NULL;
        DuetCgroupMember *member = duet_cgroup_add(cgroup, hierarchy, colon + 2, FALSE);
        member->part_fds[DUET_CGROUP_PAYLOAD] = fd;
        if (member->version == DUET_CGROUP_V2)
            member->controllers = duet_cgroup_v2_controllers(fd);
        return member;
    }
    return NULL;
}

DuetCgroup *duet_cgroup_open_foreign(const char *path)
{
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_read(NULL);
    g_autoptr(DuetCgroup) cgroup = g_new0(DuetCgroup, 1);
    g_auto(GStrv) entries = g_strsplit(path, " ", -1);
    for (char **entry = entries; layout != NULL && *entry != NULL; entry++) {
        DuetCgroupMember *member = entry_open(cgroup, layout, *entry);
        /* a manager may keep threads in groups below that of the cpu, but not of the memory */
        if (member != NULL && (member->controllers & DUET_CONTROLLER_MEMORY) != 0)
            cgroup->tracking[DUET_CGROUP_PAYLOAD] = member;
    }
    if (cgroup->members_count == 0)
        return NULL;
    cgroup->path = g_strdup(path);
    return g_steal_pointer(&cgroup);
}
