/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cgroup-private.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

#define ID_LENGTH 12

const char *const duet_cgroup_part_names[] = {
    [DUET_CGROUP_MONITOR] = "monitor",
    [DUET_CGROUP_PAYLOAD] = "payload",
};

DuetCgroupMember *duet_cgroup_add(
    DuetCgroup *cgroup, const DuetHierarchy *hierarchy, const char *base)
{
    DuetCgroupMember *member = &cgroup->members[cgroup->members_count++];
    *member = (DuetCgroupMember){
        .backend = hierarchy->backend,
        .version = hierarchy->version,
        .controllers = hierarchy->controllers,
        .name = g_strdup(hierarchy->name),
        .mount_point = g_strdup(hierarchy->mount_point),
        .base = g_strdup(base),
        .base_fd = -1,
        .part_fds = { -1, -1 },
        .join_fds = { -1, -1 },
    };
    return member;
}

static void member_clear(DuetCgroupMember *member)
{
    g_free(member->name);
    g_free(member->mount_point);
    g_free(member->home);
    g_free(member->base);
    duet_fd_clear(&member->base_fd);
    for (gsize i = 0; i < G_N_ELEMENTS(member->part_fds); i++) {
        duet_fd_clear(&member->part_fds[i]);
        duet_fd_clear(&member->join_fds[i]);
    }
}

void duet_cgroup_free(DuetCgroup *cgroup)
{
    if (cgroup == NULL)
        return;
    for (guint i = 0; i < cgroup->members_count; i++)
        member_clear(&cgroup->members[i]);
    g_free(cgroup->id);
    g_free(cgroup->path);
    g_free(cgroup);
}

const char *duet_cgroup_path(DuetCgroup *cgroup)
{
    return cgroup->path;
}

/* "memory:/user/duet/0123456789ab v2:/duet/0123456789ab" */
char *duet_cgroup_path_text(const DuetCgroup *cgroup)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < cgroup->members_count; i++) {
        const DuetCgroupMember *member = &cgroup->members[i];
        g_autofree char *base = g_uri_escape_string(member->base, "/\\=,@:", TRUE);
        g_string_append_printf(text, "%s%s:/%s%s" DUET_CGROUP_PARENT "/%s", i > 0 ? " " : "",
            member->name, base, base[0] != '\0' ? "/" : "", cgroup->id);
    }
    return g_string_free(text, FALSE);
}

gboolean duet_cgroup_id_is_valid(const char *id)
{
    return strlen(id) == ID_LENGTH && strspn(id, "0123456789abcdef") == ID_LENGTH;
}

static int open_beneath(int dir_fd, const char *path)
{
    struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    return (int)syscall(SYS_openat2, dir_fd, path[0] != '\0' ? path : ".", &how, sizeof how);
}

/*
 * Splits "memory:/a/duet/<id>" into name, base ("a") and id. Returns FALSE for anything that
 * duet_cgroup_path_text() can't have made: what is opened here may be killed and removed.
 */
static gboolean parse_entry(const char *entry, char **out_name, char **out_base, char **out_id)
{
    const char *colon = strstr(entry, ":/");
    const char *tail = strrchr(entry, '/');
    if (colon == NULL || colon == entry || tail == NULL || !duet_cgroup_id_is_valid(tail + 1))
        return FALSE;
    gsize length = (gsize)(tail - colon - 1); /* "/a/duet" */
    gsize suffix = strlen("/" DUET_CGROUP_PARENT);
    if (length < suffix || strncmp(tail - suffix, "/" DUET_CGROUP_PARENT, suffix) != 0)
        return FALSE;
    length -= suffix;
    g_autofree char *escaped = g_strndup(colon + 2, length > 0 ? length - 1 : 0);
    g_autofree char *base = g_uri_unescape_string(escaped, NULL);
    if (base == NULL)
        return FALSE;
    g_auto(GStrv) steps = g_strsplit(base, "/", -1);
    for (char **step = steps; *step != NULL; step++)
        if (**step == '\0' || strcmp(*step, ".") == 0 || strcmp(*step, "..") == 0)
            return FALSE;
    *out_name = g_strndup(entry, (gsize)(colon - entry));
    *out_base = g_steal_pointer(&base);
    *out_id = g_strdup(tail + 1);
    return TRUE;
}

static void member_open(DuetCgroupMember *member, const char *id)
{
    DUET_AUTO_FD mount_fd = open(member->mount_point, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (mount_fd < 0)
        return;
    member->base_fd = open_beneath(mount_fd, member->base);
    for (guint part = 0; part < G_N_ELEMENTS(duet_cgroup_part_names) && member->base_fd >= 0;
         part++) {
        g_autofree char *path =
            g_strdup_printf(DUET_CGROUP_PARENT "/%s/%s", id, duet_cgroup_part_names[part]);
        int fd = openat(member->base_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        member->part_fds[part] = fd;
        if (fd >= 0)
            member->join_fds[part] = openat(fd, member->backend->join_file, O_WRONLY | O_CLOEXEC);
    }
    if (member->version == DUET_CGROUP_V2 && member->part_fds[DUET_CGROUP_PAYLOAD] >= 0)
        member->controllers = duet_cgroup_v2_controllers(member->part_fds[DUET_CGROUP_PAYLOAD]);
}

/* A hierarchy that is no longer mounted is no error: nothing of ours can be left in it. */
static gboolean open_entry(
    DuetCgroup *cgroup, const GPtrArray *layout, const char *entry, GError **error)
{
    g_autofree char *name = NULL, *base = NULL, *id = NULL;
    if (!parse_entry(entry, &name, &base, &id) ||
        cgroup->members_count >= DUET_CGROUP_MEMBERS_MAX ||
        (cgroup->id != NULL && strcmp(cgroup->id, id) != 0)) {
        g_set_error(
            error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is not the cgroup of an instance", entry);
        return FALSE;
    }
    if (cgroup->id == NULL)
        cgroup->id = g_strdup(id);
    for (guint i = 0; i < layout->len; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        if (strcmp(hierarchy->name, name) != 0)
            continue;
        DuetCgroupMember *member = duet_cgroup_add(cgroup, hierarchy, base);
        member_open(member, id);
        member->both_parts = member->part_fds[DUET_CGROUP_MONITOR] >= 0;
        for (guint part = 0; part < G_N_ELEMENTS(cgroup->tracking); part++)
            if (hierarchy == duet_cgroup_layout_tracking(layout, (DuetCgroupPart)part))
                cgroup->tracking[part] = member;
        break;
    }
    return TRUE;
}

DuetCgroup *duet_cgroup_open(const char *path, const char *id, GError **error)
{
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_read(error);
    if (layout == NULL)
        return NULL;
    g_autoptr(DuetCgroup) cgroup = g_new0(DuetCgroup, 1);
    g_auto(GStrv) entries = g_strsplit(path, " ", -1);
    if (entries[0] == NULL) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "the name of a cgroup is empty");
        return NULL;
    }
    g_autofree char *end = g_strconcat("/duet/", id, NULL);
    for (char **entry = entries; *entry != NULL; entry++) {
        if (!g_str_has_suffix(*entry, end)) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
                "'%s' is not the cgroup of the instance %s", *entry, id);
            return NULL;
        }
        if (!open_entry(cgroup, layout, *entry, error))
            return NULL;
    }
    /* the hierarchy that tracked may be another one than this host would choose today */
    for (guint i = 0; i < cgroup->members_count; i++)
        for (guint part = 0; part < G_N_ELEMENTS(cgroup->tracking); part++)
            if (cgroup->tracking[part] == NULL && cgroup->members[i].part_fds[part] >= 0)
                cgroup->tracking[part] = &cgroup->members[i];
    cgroup->path = g_strdup(path);
    return g_steal_pointer(&cgroup);
}
