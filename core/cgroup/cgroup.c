/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-private.h"

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

const char *duet_cgroup_part_dir(const DuetCgroupMember *member, DuetCgroupPart part)
{
    return member->version == DUET_CGROUP_V1 && part == DUET_CGROUP_MONITOR
        ? "."
        : duet_cgroup_part_names[part];
}

DuetCgroupMember *duet_cgroup_add(
    DuetCgroup *cgroup, const DuetHierarchy *hierarchy, const char *base, gboolean in_scope)
{
    DuetCgroupMember *member = &cgroup->members[cgroup->members_count++];
    *member = (DuetCgroupMember){
        .backend = hierarchy->backend,
        .version = hierarchy->version,
        .controllers = hierarchy->controllers,
        .name = g_strdup(hierarchy->name),
        .mount_point = g_strdup(hierarchy->mount_point),
        .base = g_strdup(base),
        .dir =
            in_scope ? duet_cgroup_scope_unit(cgroup->id) : g_strconcat("duet-", cgroup->id, NULL),
        .in_scope = in_scope,
        .base_fd = -1,
        .part_fds = { -1, -1 },
        .join_fds = { -1, -1 },
        .box_fd = -1,
    };
    return member;
}

void duet_cgroup_member_clear(DuetCgroupMember *member)
{
    g_free(member->name);
    g_free(member->mount_point);
    g_free(member->homes[0]);
    g_free(member->homes[1]);
    g_free(member->base);
    g_free(member->dir);
    duet_fd_clear(&member->base_fd);
    for (gsize i = 0; i < G_N_ELEMENTS(member->part_fds); i++) {
        duet_fd_clear(&member->part_fds[i]);
        duet_fd_clear(&member->join_fds[i]);
    }
    duet_fd_clear(&member->box_fd);
}

void duet_cgroup_free(DuetCgroup *cgroup)
{
    if (cgroup == NULL)
        return;
    for (guint i = 0; i < cgroup->members_count; i++)
        duet_cgroup_member_clear(&cgroup->members[i]);
    duet_scope_manager_close(cgroup->manager);
    g_free(cgroup->id);
    g_free(cgroup->name);
    g_free(cgroup->path);
    g_free(cgroup->unit);
    g_free(cgroup->no_scope);
    g_strfreev(cgroup->v1_homes);
    g_free(cgroup);
}

const char *duet_cgroup_path(DuetCgroup *cgroup)
{
    return cgroup->path;
}

/* "memory:/user/duet-0123456789ab v2:/machine.slice/duet-0123456789ab.scope" */
char *duet_cgroup_path_text(const DuetCgroup *cgroup)
{
    GString *text = g_string_new(cgroup->members_count == 0 ? DUET_CGROUP_NONE : NULL);
    for (guint i = 0; i < cgroup->members_count; i++) {
        const DuetCgroupMember *member = &cgroup->members[i];
        g_autofree char *base = g_uri_escape_string(member->base, "/\\=,@:", TRUE);
        g_string_append_printf(text, "%s%s:/%s%s%s", i > 0 ? " " : "", member->name, base,
            base[0] != '\0' ? "/" : "", member->dir);
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

static gboolean base_is_valid(const char *base)
{
    if (base[0] == '\0')
        return FALSE;
    g_auto(GStrv) steps = g_strsplit(base, "/", -1);
    for (char **step = steps; *step != NULL; step++)
        if (**step == '\0' || strcmp(*step, ".") == 0 || strcmp(*step, "..") == 0)
            return FALSE;
    return TRUE;
}

/*
 * Splits "memory:/a/duet-<id>", or "v2:/a/duet-<id>.scope", into name and base ("a"). Returns FALSE
 * for anything that duet_cgroup_path_text() can't have made of this instance: what is opened here
 * may be killed and removed.
 */
static gboolean parse_entry(
    const char *entry, const char *id, char **out_name, char **out_base, gboolean *out_in_scope)
{
    g_autofree char *own = g_strconcat("/duet-", id, NULL);
    g_autofree char *unit = duet_cgroup_scope_unit(id);
    g_autofree char *scope = g_strconcat("/", unit, NULL);
    *out_in_scope = g_str_has_suffix(entry, scope);
    const char *colon = strstr(entry, ":/");
    if (colon == NULL || colon == entry || (!*out_in_scope && !g_str_has_suffix(entry, own)))
        return FALSE;
    gsize suffix = strlen(*out_in_scope ? scope : own);
    const char *tail = entry + strlen(entry) - suffix;
    if (tail <= colon)
        return FALSE;
    g_autofree char *escaped =
        tail > colon + 2 ? g_strndup(colon + 2, (gsize)(tail - colon - 2)) : g_strdup("");
    g_autofree char *base = g_uri_unescape_string(escaped, NULL);
    if (base == NULL || (tail > colon + 1 && !base_is_valid(base)))
        return FALSE;
    *out_name = g_strndup(entry, (gsize)(colon - entry));
    *out_base = g_steal_pointer(&base);
    return TRUE;
}

static void member_open(DuetCgroupMember *member)
{
    DUET_AUTO_FD mount_fd = open(member->mount_point, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (mount_fd < 0)
        return;
    member->base_fd = open_beneath(mount_fd, member->base);
    for (guint part = 0; part < G_N_ELEMENTS(duet_cgroup_part_names) && member->base_fd >= 0;
         part++) {
        if (part == DUET_CGROUP_MONITOR && !member->both_parts)
            continue;
        g_autofree char *path =
            g_build_filename(member->dir, duet_cgroup_part_dir(member, (DuetCgroupPart)part), NULL);
        int fd = openat(member->base_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        member->part_fds[part] = fd;
        if (fd >= 0)
            member->join_fds[part] = openat(fd, member->backend->join_file, O_WRONLY | O_CLOEXEC);
    }
    int payload_fd = member->part_fds[DUET_CGROUP_PAYLOAD];
    if (member->version != DUET_CGROUP_V2 || payload_fd < 0)
        return;
    member->controllers = duet_cgroup_v2_controllers(payload_fd);
    member->box_fd =
        openat(payload_fd, DUET_CGROUP_BOX, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* A hierarchy that is no longer mounted is no error: nothing of ours can be left in it. */
static gboolean open_entry(
    DuetCgroup *cgroup, const GPtrArray *layout, const char *entry, GError **error)
{
    g_autofree char *name = NULL, *base = NULL;
    gboolean in_scope;
    if (!parse_entry(entry, cgroup->id, &name, &base, &in_scope) ||
        cgroup->members_count >= DUET_CGROUP_MEMBERS_MAX) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is not the cgroup of the instance %s", entry, cgroup->id);
        return FALSE;
    }
    if (in_scope && cgroup->unit == NULL)
        cgroup->unit = duet_cgroup_scope_unit(cgroup->id);
    for (guint i = 0; i < layout->len; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        if (strcmp(hierarchy->name, name) != 0)
            continue;
        DuetCgroupMember *member = duet_cgroup_add(cgroup, hierarchy, base, in_scope);
        /* Of v2 the directory tells. */
        member->both_parts = hierarchy->version == DUET_CGROUP_V2 ||
            duet_cgroup_layout_has_monitor(layout, hierarchy);
        member_open(member);
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
    if (path[0] == '\0' || !duet_cgroup_id_is_valid(id)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is not the cgroup of an instance",
            path[0] != '\0' ? id : path);
        return NULL;
    }
    g_autoptr(DuetCgroup) cgroup = g_new0(DuetCgroup, 1);
    cgroup->id = g_strdup(id);
    g_auto(GStrv) entries = g_strsplit(path, " ", -1);
    for (char **entry = entries; *entry != NULL && strcmp(path, DUET_CGROUP_NONE) != 0; entry++)
        if (!open_entry(cgroup, layout, *entry, error))
            return NULL;
    /* the hierarchy that tracked may be another one than this host would choose today */
    for (guint i = 0; i < cgroup->members_count; i++)
        for (guint part = 0; part < G_N_ELEMENTS(cgroup->tracking); part++)
            if (cgroup->tracking[part] == NULL && cgroup->members[i].part_fds[part] >= 0)
                cgroup->tracking[part] = &cgroup->members[i];
    cgroup->path = g_strdup(path);
    return g_steal_pointer(&cgroup);
}
