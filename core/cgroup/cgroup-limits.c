/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How limits get into files. What an instance has is a set of lines (file and text), as the table
 * gives them, so a change of limits is the difference of two sets.
 */
#include "cgroup-rows.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/rootless.h"

static gboolean is_asked(const DuetLimitRow *row, const DuetLimits *limits)
{
    DuetLimitLine line;
    return duet_limit_row_line(row, limits, DUET_CGROUP_V1, 0, &line) ||
        duet_limit_row_line(row, limits, DUET_CGROUP_V2, 0, &line);
}

guint duet_limits_controllers(const DuetLimits *limits)
{
    guint controllers = 0;
    for (gsize i = 0; i < duet_limit_rows_count; i++)
        if ((controllers & duet_limit_rows[i].controller) == 0 &&
            is_asked(&duet_limit_rows[i], limits))
            controllers |= duet_limit_rows[i].controller;
    return controllers;
}

guint duet_limits_required(const DuetLimits *limits)
{
    DuetLimits asked = *limits;
    if (limits->memory_is_guard && duet_is_rootless())
        asked.memory_bytes = 0;
    if (limits->cpus_is_guard && duet_is_rootless())
        asked.cpus = 0;
    return duet_limits_controllers(&asked);
}

char *duet_limits_options(const DuetLimits *limits, guint controllers)
{
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < duet_limit_rows_count; i++)
        if (duet_limit_rows[i].option != NULL &&
            (duet_limit_rows[i].controller & controllers) != 0 &&
            is_asked(&duet_limit_rows[i], limits))
            g_string_append_printf(
                text, "%s%s", text->len > 0 ? ", " : "", duet_limit_rows[i].option);
    return g_string_free(text, FALSE);
}

char *duet_limits_names(const DuetLimits *limits)
{
    return duet_limits_options(limits, duet_limits_controllers(limits));
}

/* One thing to do, and what it was before. */
typedef struct {
    const DuetLimitRow *row;
    const char *option;
    DuetCgroupVersion version;
    int dir_fd;
    DuetLimitLine line;
    char before[256];
    gboolean done;
} Write;

/* Appends what a row asks for, with the state of a new cgroup before it. */
static void add_row(GArray *writes, const DuetLimits *limits, Write write)
{
    for (guint n = 0; duet_limit_row_line(write.row, limits, write.version, n, &write.line); n++) {
        g_strlcpy(write.before, write.line.none, sizeof write.before);
        g_array_append_val(writes, write);
        if (!write.row->is_share)
            continue;
        g_autofree char *above = g_strconcat("../", write.line.file, NULL);
        g_strlcpy(write.line.file, above, sizeof write.line.file);
        g_array_append_val(writes, write);
    }
}

/* Appends what @limits say of @controllers. */
static void add_lines(GArray *writes, const DuetLimits *limits, DuetCgroupVersion version,
    guint controllers, int dir_fd)
{
    const char *option = NULL;
    gboolean is_there = FALSE;
    for (guint i = 0; i < duet_limit_rows_count; i++) {
        const DuetLimitRow *row = &duet_limit_rows[i];
        gboolean skip = is_there || (row->controller & controllers) == 0;
        is_there = FALSE;
        option = row->option != NULL ? row->option : option;
        if (!skip && row->missing == DUET_MISSING_IS_NEXT && is_asked(row, limits)) {
            is_there = faccessat(dir_fd, row->files[version], F_OK, 0) == 0;
            skip = !is_there;
        }
        if (!skip)
            add_row(writes, limits, (Write){ row, option, version, dir_fd });
    }
}

/* Returns: 0 or an errno value. v1 has no word for "what the one above has", and v2 takes it (an
 * empty line) only where no process is. */
static int write_text(const Write *write, const char *text)
{
    const char *file = write->line.file;
    char above[4096];
    if (text[0] != '\0')
        return duet_cgroup_file_write(write->dir_fd, file, text);
    gboolean is_v2 = write->version == DUET_CGROUP_V2;
    int err = is_v2 ? duet_cgroup_file_write(write->dir_fd, file, "\n") : ENOSPC;
    if (err != ENOSPC)
        return err;
    g_autofree char *path = g_strconcat("../", file, is_v2 ? ".effective" : "", NULL);
    if (duet_cgroup_file_read(write->dir_fd, path, above, sizeof above) < 0)
        return errno;
    return duet_cgroup_file_write(write->dir_fd, file, above);
}

static gboolean is_kept_without(const Write *write, const char *text, int err)
{
    if (write->row->missing == DUET_MISSING_IS_KEPT && (err == ENOENT || err == EOPNOTSUPP))
        return TRUE;
    /* A disk that is gone needs no limit lifted. */
    return write->row->is_list && g_str_equal(text, write->line.none) && err == ENODEV;
}

static gboolean write_failed(const Write *write, int err, GError **error)
{
    if (write->row->hint != NULL && (err == ENOENT || err == EOPNOTSUPP)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, "cannot keep %s: %s", write->option,
            write->row->hint);
        return FALSE;
    }
    if (err == EBUSY && g_strcmp0(write->row->option, "--memory") == 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "cannot set --memory to %s: more than that is in use", write->line.text);
        return FALSE;
    }
    return duet_error_set_errno(error, err, "cannot set %s: writing '%s' to '%s' failed",
        write->option, write->line.text, write->line.file);
}

/*
 * Some are taken only after others: v1's memory and memory with swap, for one, in an order that
 * depends on whether they grow or shrink. So what is refused is tried again as long as any other
 * was taken.
 */
static gboolean write_all(GArray *writes, GError **error)
{
    for (;;) {
        const Write *refused = NULL;
        gboolean progress = FALSE;
        for (guint i = 0; i < writes->len; i++) {
            Write *write = &g_array_index(writes, Write, i);
            int err = write->done ? 0 : write_text(write, write->line.text);
            if (write->done)
                continue;
            if (err == 0 || is_kept_without(write, write->line.text, err))
                write->done = progress = TRUE;
            else if (err != EINVAL)
                return write_failed(write, err, error);
            else if (refused == NULL)
                refused = write;
        }
        if (refused == NULL)
            return TRUE;
        if (!progress)
            return write_failed(refused, EINVAL, error);
    }
}

gboolean duet_limits_apply(const DuetLimits *limits, DuetCgroupVersion version, guint controllers,
    int dir_fd, GError **error)
{
    g_autoptr(GArray) writes = g_array_new(FALSE, FALSE, sizeof(Write));
    add_lines(writes, limits, version, controllers, dir_fd);
    return write_all(writes, error);
}

/* Returns: (nullable): what @writes have to say of the same. */
static const Write *same_place(const GArray *writes, const Write *like)
{
    for (guint i = 0; i < writes->len; i++) {
        const Write *write = &g_array_index(writes, Write, i);
        if (write->dir_fd == like->dir_fd && g_str_equal(write->line.file, like->line.file) &&
            g_str_equal(write->line.none, like->line.none))
            return write;
    }
    return NULL;
}

/* Returns: (transfer full) (element-type Write): what makes @new of @old. */
static GArray *difference(const GArray *old, const GArray *new)
{
    GArray *writes = g_array_new(FALSE, FALSE, sizeof(Write));
    for (guint i = 0; i < new->len; i++) {
        Write write = g_array_index(new, Write, i);
        const Write *was = same_place(old, &write);
        if (was != NULL && g_str_equal(was->line.text, write.line.text))
            continue;
        if (was != NULL)
            g_strlcpy(write.before, was->line.text, sizeof write.before);
        g_array_append_val(writes, write);
    }
    for (guint i = 0; i < old->len; i++) {
        Write write = g_array_index(old, Write, i);
        if (same_place(new, &write) != NULL)
            continue;
        g_strlcpy(write.before, write.line.text, sizeof write.before);
        g_strlcpy(write.line.text, write.line.none, sizeof write.line.text);
        g_array_append_val(writes, write);
    }
    return writes;
}

static void put_back(GArray *writes)
{
    g_autoptr(GArray) back = g_array_new(FALSE, FALSE, sizeof(Write));
    for (guint i = writes->len; i-- > 0;) {
        Write write = g_array_index(writes, Write, i);
        if (!write.done)
            continue;
        write.done = FALSE;
        g_strlcpy(write.line.text, write.before, sizeof write.line.text);
        g_array_append_val(back, write);
    }
    write_all(back, NULL);
}

gboolean duet_limits_change(const DuetLimits *from, const DuetLimits *to,
    const DuetCgroupMember *members, guint n_members, GError **error)
{
    g_autoptr(GArray) old = g_array_new(FALSE, FALSE, sizeof(Write));
    g_autoptr(GArray) new = g_array_new(FALSE, FALSE, sizeof(Write));
    for (guint i = 0; i < n_members; i++) {
        int dir_fd = members[i].part_fds[DUET_CGROUP_PAYLOAD];
        if (dir_fd < 0)
            continue;
        add_lines(old, from, members[i].version, members[i].controllers, dir_fd);
        add_lines(new, to, members[i].version, members[i].controllers, dir_fd);
    }
    g_autoptr(GArray) writes = difference(old, new);
    if (write_all(writes, error))
        return TRUE;
    put_back(writes);
    return FALSE;
}

int duet_cpuset_inherit(int dir_fd)
{
    static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        char own[256];
        Write write = { .version = DUET_CGROUP_V1, .dir_fd = dir_fd };
        g_strlcpy(write.line.file, files[i], sizeof write.line.file);
        /* With cgroup.clone_children, or in a pool, it has them already. */
        if (duet_cgroup_file_read(dir_fd, files[i], own, sizeof own) > 1)
            continue;
        int err = write_text(&write, "");
        if (err != 0)
            return err;
    }
    return 0;
}
