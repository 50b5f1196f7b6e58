/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cgroup-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"

/* /proc files of a machine with thousands of mounts stay below this. */
#define PROC_MAX_BYTES (16u * 1024 * 1024)

static const struct {
    const char *name;
    DuetController bit;
} controller_names[] = {
    { "memory", DUET_CONTROLLER_MEMORY },
    { "cpu", DUET_CONTROLLER_CPU },
    { "cpuacct", DUET_CONTROLLER_CPUACCT },
    { "pids", DUET_CONTROLLER_PIDS },
    { "freezer", DUET_CONTROLLER_FREEZER },
};

guint duet_controllers_parse(const char *text, const char *separators)
{
    guint mask = 0;
    while (*text != '\0') {
        gsize length = strcspn(text, separators);
        for (gsize i = 0; i < G_N_ELEMENTS(controller_names); i++)
            if (strlen(controller_names[i].name) == length &&
                strncmp(controller_names[i].name, text, length) == 0)
                mask |= controller_names[i].bit;
        text += length;
        text += strspn(text, separators);
    }
    return mask;
}

char *duet_controllers_to_string(guint controllers)
{
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(controller_names); i++)
        if ((controllers & controller_names[i].bit) != 0)
            g_string_append_printf(
                text, "%s%s", text->len > 0 ? ", " : "", controller_names[i].name);
    return g_string_free(text, FALSE);
}

void duet_hierarchy_free(DuetHierarchy *hierarchy)
{
    if (hierarchy == NULL)
        return;
    g_free(hierarchy->name);
    g_free(hierarchy->mount_point);
    g_free(hierarchy->own);
    g_free(hierarchy);
}

/* mountinfo writes space, tab, newline and backslash as three octal digits. */
static void unescape_octal(char *text)
{
    char *out = text;
    for (const char *in = text; *in != '\0'; in++) {
        if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && g_ascii_isdigit(in[2]) &&
            g_ascii_isdigit(in[3])) {
            *out++ = (char)((in[1] - '0') * 64 + (in[2] - '0') * 8 + (in[3] - '0'));
            in += 3;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

/*
 * A cgroup's path in /proc/self/cgroup is relative to our cgroup namespace; a mount may show only
 * the part of the hierarchy below @root. Returns NULL when the one can't be reached by the other.
 */
static char *own_below_mount(const char *own, const char *root)
{
    if (own[0] != '/' || strstr(own, "/..") != NULL || strstr(root, "/..") != NULL)
        return NULL;
    gsize skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(own, root, skip) != 0 || (own[skip] != '\0' && own[skip] != '/'))
        return NULL;
    const char *rest = own + skip;
    while (*rest == '/')
        rest++;
    return g_strdup(rest);
}

/* Whether a v1 mount with super block options @super is the hierarchy that is called @name. */
static gboolean super_matches(const char *super, const char *name)
{
    g_auto(GStrv) have = g_strsplit(super, ",", -1);
    g_auto(GStrv) wanted = g_strsplit(name, ",", -1);
    for (char **w = wanted; *w != NULL; w++)
        if (!g_strv_contains((const char *const *)have, *w))
            return FALSE;
    return TRUE;
}

static DuetHierarchy *hierarchy_from_mount(char **fields, char **self_lines)
{
    guint dash = 6;
    while (fields[dash] != NULL && strcmp(fields[dash], "-") != 0)
        dash++;
    if (fields[dash] == NULL || g_strv_length(fields + dash) < 4)
        return NULL;
    gboolean v2 = strcmp(fields[dash + 1], "cgroup2") == 0;
    if (!v2 && strcmp(fields[dash + 1], "cgroup") != 0)
        return NULL;
    unescape_octal(fields[3]);
    unescape_octal(fields[4]);
    for (char **line = self_lines; *line != NULL; line++) {
        g_auto(GStrv) parts = g_strsplit(*line, ":", 3);
        if (g_strv_length(parts) != 3 || (parts[1][0] == '\0') != v2)
            continue;
        if (!v2 && !super_matches(fields[dash + 3], parts[1]))
            continue;
        char *own = own_below_mount(parts[2], fields[3]);
        if (own == NULL)
            return NULL;
        DuetHierarchy *hierarchy = g_new0(DuetHierarchy, 1);
        hierarchy->version = v2 ? DUET_CGROUP_V2 : DUET_CGROUP_V1;
        hierarchy->backend = v2 ? &duet_cgroup_backend_v2 : &duet_cgroup_backend_v1;
        hierarchy->name = g_strdup(v2 ? "v2" : parts[1]);
        hierarchy->mount_point = g_strdup(fields[4]);
        hierarchy->own = own;
        hierarchy->controllers = v2 ? 0 : duet_controllers_parse(parts[1], ",");
        return hierarchy;
    }
    return NULL;
}

static gboolean layout_has(const GPtrArray *layout, const char *name)
{
    for (guint i = 0; i < layout->len; i++)
        if (strcmp(((DuetHierarchy *)layout->pdata[i])->name, name) == 0)
            return TRUE;
    return FALSE;
}

GPtrArray *duet_cgroup_layout_parse(const char *mountinfo, const char *self_cgroup)
{
    GPtrArray *layout = g_ptr_array_new_with_free_func((GDestroyNotify)duet_hierarchy_free);
    g_auto(GStrv) self_lines = g_strsplit(self_cgroup, "\n", -1);
    const char *end;
    for (const char *line = mountinfo; *line != '\0'; line = *end != '\0' ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        /* cheap test first: a host may have thousands of other mounts */
        const char *type = memmem(line, (gsize)(end - line), " - cgroup", strlen(" - cgroup"));
        if (type == NULL)
            continue;
        g_autofree char *copy = g_strndup(line, (gsize)(end - line));
        g_auto(GStrv) fields = g_strsplit(copy, " ", -1);
        if (g_strv_length(fields) < 10)
            continue;
        DuetHierarchy *hierarchy = hierarchy_from_mount(fields, self_lines);
        if (hierarchy != NULL && layout_has(layout, hierarchy->name))
            g_clear_pointer(&hierarchy, duet_hierarchy_free);
        if (hierarchy != NULL)
            g_ptr_array_add(layout, hierarchy);
    }
    return layout;
}

GPtrArray *duet_cgroup_layout_read(GError **error)
{
    g_autofree char *mountinfo =
        duet_file_read(AT_FDCWD, "/proc/self/mountinfo", PROC_MAX_BYTES, NULL, error);
    if (mountinfo == NULL)
        return NULL;
    g_autofree char *self_cgroup =
        duet_file_read(AT_FDCWD, "/proc/self/cgroup", PROC_MAX_BYTES, NULL, error);
    if (self_cgroup == NULL)
        return NULL;
    return duet_cgroup_layout_parse(mountinfo, self_cgroup);
}

void duet_cgroup_layout_keep_delegated(GPtrArray *layout)
{
    for (guint i = layout->len; i-- > 0;) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        g_autofree char *dir = g_build_filename(hierarchy->mount_point, hierarchy->own, NULL);
        g_autofree char *list = g_build_filename(dir, hierarchy->backend->join_file, NULL);
        if (access(dir, W_OK) != 0 || access(list, W_OK) != 0)
            g_ptr_array_remove_index(layout, i);
    }
}

const DuetHierarchy *duet_cgroup_layout_v2(const GPtrArray *layout)
{
    for (guint i = 0; i < layout->len; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        if (hierarchy->version == DUET_CGROUP_V2)
            return hierarchy;
    }
    return NULL;
}

static const DuetHierarchy *layout_with(const GPtrArray *layout, guint controllers)
{
    for (guint i = 0; i < layout->len; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        if ((hierarchy->controllers & controllers) != 0)
            return hierarchy;
    }
    return NULL;
}

const DuetHierarchy *duet_cgroup_layout_tracking(const GPtrArray *layout, DuetCgroupPart part)
{
    const DuetHierarchy *v2 = duet_cgroup_layout_v2(layout);
    const DuetHierarchy *best = layout_with(layout,
        part == DUET_CGROUP_MONITOR && v2 != NULL ? DUET_CONTROLLER_MEMORY
                                                  : DUET_CONTROLLER_FREEZER);
    if (v2 != NULL && (part == DUET_CGROUP_PAYLOAD || best == NULL))
        best = v2;
    return best == NULL && layout->len > 0 ? layout->pdata[0] : best;
}
