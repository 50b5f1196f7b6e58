/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-private.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/util.h"

/* /proc files of a machine with thousands of mounts stay below this. */
#define PROC_MAX_BYTES (16u * 1024 * 1024)
/* Where hosts have the hierarchies. */
#define CUSTOM_PLACE "/sys/fs/cgroup"

static const struct {
    const char *name;
    DuetController bit;
} controller_names[] = {
    { "memory", DUET_CONTROLLER_MEMORY },
    { "cpu", DUET_CONTROLLER_CPU },
    { "cpuacct", DUET_CONTROLLER_CPUACCT },
    { "pids", DUET_CONTROLLER_PIDS },
    { "freezer", DUET_CONTROLLER_FREEZER },
    { "cpuset", DUET_CONTROLLER_CPUSET },
    { "io", DUET_CONTROLLER_IO },
    { "blkio", DUET_CONTROLLER_IO },
    { "hugetlb", DUET_CONTROLLER_HUGETLB },
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
    for (gsize i = 0; i < G_N_ELEMENTS(controller_names); i++) {
        if ((controllers & controller_names[i].bit) == 0)
            continue;
        g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", controller_names[i].name);
        controllers &= ~(guint)controller_names[i].bit; /* one of its names is enough */
    }
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

static gboolean list_has(const char *list, const char *word, gsize length)
{
    for (;;) {
        gsize item = strcspn(list, ",");
        if (item == length && memcmp(list, word, length) == 0)
            return TRUE;
        if (list[item] == '\0')
            return FALSE;
        list += item + 1;
    }
}

/* Whether a v1 mount with super block options @super is the hierarchy that is called @name. */
static gboolean super_matches(const char *super, const char *name)
{
    for (;;) {
        gsize length = strcspn(name, ",");
        if (!list_has(super, name, length))
            return FALSE;
        if (name[length] == '\0')
            return TRUE;
        name += length + 1;
    }
}

/* A line of /proc/self/cgroup: the hierarchy's name, which is empty in v2, and where we are in it.
 */
typedef struct {
    const char *name, *path;
} Own;

/* Cuts @text up. Returns: (transfer full) (element-type Own): its parts are in @text. */
static GArray *parse_own(char *text)
{
    GArray *lines = g_array_new(FALSE, FALSE, sizeof(Own));
    char *line;
    while ((line = strsep(&text, "\n")) != NULL) {
        Own own;
        strsep(&line, ":");
        own.name = strsep(&line, ":");
        own.path = line;
        if (own.path != NULL)
            g_array_append_val(lines, own);
    }
    return lines;
}

/* What a line of mountinfo tells of a mount. */
typedef struct {
    char *root, *point, *type, *super;
} Mount;

/* Cuts @line up. */
static gboolean parse_mount(char *line, Mount *out_mount)
{
    /* Any number of optional fields is before the dash. */
    char *rest = strstr(line, " - ");
    if (rest == NULL)
        return FALSE;
    *rest = '\0';
    rest += strlen(" - ");
    for (guint skipped = 0; skipped < 3; skipped++)
        strsep(&line, " ");
    out_mount->root = strsep(&line, " ");
    out_mount->point = strsep(&line, " ");
    out_mount->type = strsep(&rest, " ");
    strsep(&rest, " ");
    out_mount->super = rest;
    return out_mount->point != NULL && out_mount->super != NULL;
}

/* Takes @own_path. Of the hierarchy that /proc/self/cgroup calls @name, "" being v2. */
static DuetHierarchy *hierarchy_new(const char *name, const char *mount_point, char *own_path)
{
    gboolean v2 = name[0] == '\0';
    DuetHierarchy *hierarchy = g_new0(DuetHierarchy, 1);
    hierarchy->version = v2 ? DUET_CGROUP_V2 : DUET_CGROUP_V1;
    hierarchy->backend = v2 ? &duet_cgroup_backend_v2 : &duet_cgroup_backend_v1;
    hierarchy->name = g_strdup(v2 ? "v2" : name);
    hierarchy->mount_point = g_strdup(mount_point);
    hierarchy->own = own_path;
    hierarchy->controllers = duet_controllers_parse(name, ",");
    return hierarchy;
}

static DuetHierarchy *hierarchy_from_mount(const Mount *mount, const GArray *owns)
{
    gboolean v2 = strcmp(mount->type, "cgroup2") == 0;
    if (!v2 && strcmp(mount->type, "cgroup") != 0)
        return NULL;
    unescape_octal(mount->root);
    unescape_octal(mount->point);
    for (guint i = 0; i < owns->len; i++) {
        const Own *line = &g_array_index(owns, Own, i);
        if ((line->name[0] == '\0') != v2 || (!v2 && !super_matches(mount->super, line->name)))
            continue;
        char *own = own_below_mount(line->path, mount->root);
        return own != NULL ? hierarchy_new(line->name, mount->point, own) : NULL;
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

/* Each instance's start reads these files: few allocations. */
GPtrArray *duet_cgroup_layout_parse(const char *mountinfo, const char *self_cgroup)
{
    GPtrArray *layout = g_ptr_array_new_with_free_func((GDestroyNotify)duet_hierarchy_free);
    g_autofree char *own_text = g_strdup(self_cgroup);
    g_autoptr(GArray) owns = parse_own(own_text);
    g_autofree char *mounts = g_strdup(mountinfo);
    char *rest = mounts, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        Mount mount;
        /* cheap test first: a host may have thousands of other mounts */
        if (strstr(line, " - cgroup") == NULL || !parse_mount(line, &mount))
            continue;
        DuetHierarchy *hierarchy = hierarchy_from_mount(&mount, owns);
        if (hierarchy != NULL && layout_has(layout, hierarchy->name))
            g_clear_pointer(&hierarchy, duet_hierarchy_free);
        if (hierarchy != NULL)
            g_ptr_array_add(layout, hierarchy);
    }
    return layout;
}

/* A mount that shows a hierarchy from its root on has the kernel's root of it, inode 1. */
static gboolean shows_hierarchy(const char *point, gboolean v2)
{
    struct statfs fs;
    struct stat st;
    return statfs(point, &fs) == 0 &&
        fs.f_type == (v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC) && stat(point, &st) == 0 &&
        st.st_ino == 1;
}

/* Returns: (transfer full) (nullable): the hierarchy of @line, where hosts have it by custom. */
static DuetHierarchy *hierarchy_at_custom_place(const Own *line)
{
    gboolean v2 = line->name[0] == '\0';
    const char *name = g_str_has_prefix(line->name, "name=") ? line->name + 5 : line->name;
    g_autofree char *below = g_strconcat(CUSTOM_PLACE "/", v2 ? "unified" : name, NULL);
    const char *point = v2 && shows_hierarchy(CUSTOM_PLACE, TRUE) ? CUSTOM_PLACE : below;
    if (point == below && !shows_hierarchy(below, v2))
        return NULL;
    char *own = own_below_mount(line->path, "/");
    return own != NULL ? hierarchy_new(line->name, point, own) : NULL;
}

GPtrArray *duet_cgroup_layout_guess(const char *self_cgroup)
{
    g_autoptr(GPtrArray) layout =
        g_ptr_array_new_with_free_func((GDestroyNotify)duet_hierarchy_free);
    g_autofree char *own_text = g_strdup(self_cgroup);
    g_autoptr(GArray) owns = parse_own(own_text);
    for (guint i = 0; i < owns->len; i++) {
        DuetHierarchy *hierarchy = hierarchy_at_custom_place(&g_array_index(owns, Own, i));
        if (hierarchy == NULL)
            return NULL;
        g_ptr_array_add(layout, hierarchy);
    }
    return layout->len > 0 ? g_steal_pointer(&layout) : NULL;
}

GPtrArray *duet_cgroup_layout_read(GError **error)
{
    g_autofree char *self_cgroup =
        duet_file_read(AT_FDCWD, "/proc/self/cgroup", PROC_MAX_BYTES, NULL, error);
    GPtrArray *layout = self_cgroup != NULL ? duet_cgroup_layout_guess(self_cgroup) : NULL;
    if (self_cgroup == NULL || layout != NULL)
        return layout;
    g_autofree char *mountinfo =
        duet_file_read(AT_FDCWD, "/proc/self/mountinfo", PROC_MAX_BYTES, NULL, error);
    return mountinfo != NULL ? duet_cgroup_layout_parse(mountinfo, self_cgroup) : NULL;
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

gboolean duet_cgroup_layout_has_monitor(const GPtrArray *layout, const DuetHierarchy *hierarchy)
{
    return hierarchy == duet_cgroup_layout_tracking(layout, DUET_CGROUP_MONITOR) ||
        (hierarchy->controllers & DUET_CONTROLLER_MEMORY) != 0;
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
