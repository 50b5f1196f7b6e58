/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cgroup-private.h"

#include <math.h>
#include <errno.h>

#include <duet/error.h>

#include "core/rootless.h"

/* The kernel's default period; its smallest quota is 1 ms. */
#define PERIOD_US 100000
#define QUOTA_MIN_US 1000

typedef enum {
    TEXT_NONE,
    TEXT_MEMORY,
    TEXT_ZERO,
    TEXT_PERIOD,
    TEXT_QUOTA,
    TEXT_QUOTA_PERIOD,
    TEXT_PIDS,
} LimitText;

/*
 * The one table of limits. Rows are written in order: v1 wants memory.limit before memsw.limit.
 * An optional file may be missing (a kernel without swap accounting); the limit itself is kept
 * then. Memory means memory: with a limit there is no swap beyond it, as a VM's RAM has none.
 */
typedef struct {
    const char *option;
    DuetController controller;
    struct {
        const char *file;
        LimitText text;
    } of[2];
    gboolean optional;
} LimitRow;

static const LimitRow limit_rows[] = {
    { "--memory", DUET_CONTROLLER_MEMORY,
        { [DUET_CGROUP_V1] = { "memory.limit_in_bytes", TEXT_MEMORY },
            [DUET_CGROUP_V2] = { "memory.max", TEXT_MEMORY } },
        FALSE },
    { NULL, DUET_CONTROLLER_MEMORY,
        { [DUET_CGROUP_V1] = { "memory.memsw.limit_in_bytes", TEXT_MEMORY },
            [DUET_CGROUP_V2] = { "memory.swap.max", TEXT_ZERO } },
        TRUE },
    { "--cpus", DUET_CONTROLLER_CPU,
        { [DUET_CGROUP_V1] = { "cpu.cfs_quota_us", TEXT_QUOTA },
            [DUET_CGROUP_V2] = { "cpu.max", TEXT_QUOTA_PERIOD } },
        FALSE },
    { NULL, DUET_CONTROLLER_CPU,
        { [DUET_CGROUP_V1] = { "cpu.cfs_period_us", TEXT_PERIOD }, [DUET_CGROUP_V2] = { NULL } },
        FALSE },
    { "--pids-limit", DUET_CONTROLLER_PIDS,
        { [DUET_CGROUP_V1] = { "pids.max", TEXT_PIDS },
            [DUET_CGROUP_V2] = { "pids.max", TEXT_PIDS } },
        FALSE },
};

guint duet_limits_controllers(const DuetLimits *limits)
{
    return (limits->memory_bytes > 0 ? DUET_CONTROLLER_MEMORY : 0u) |
        (limits->cpus > 0 ? DUET_CONTROLLER_CPU : 0u) |
        (limits->pids > 0 ? DUET_CONTROLLER_PIDS : 0u);
}

guint duet_limits_required(const DuetLimits *limits)
{
    guint required = duet_limits_controllers(limits);
    if (!duet_is_rootless())
        return required;
    if (limits->memory_is_guard)
        required &= ~(guint)DUET_CONTROLLER_MEMORY;
    if (limits->cpus_is_guard)
        required &= ~(guint)DUET_CONTROLLER_CPU;
    return required;
}

gboolean duet_limits_validate(const DuetLimits *limits, GError **error)
{
    double cpus = limits->cpus;
    if (!isfinite(cpus) || cpus < 0 || cpus > 1e6) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "'%g' is no number of CPUs", cpus);
        return FALSE;
    }
    if (cpus > 0 && cpus * PERIOD_US < QUOTA_MIN_US) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--cpus '%g' is too small: the kernel's smallest share of a CPU is %g", cpus,
            (double)QUOTA_MIN_US / PERIOD_US);
        return FALSE;
    }
    if (limits->memory_bytes > G_MAXINT64 || limits->pids > G_MAXINT32) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "%s is larger than the kernel allows",
            limits->pids > G_MAXINT32 ? "--pids-limit" : "--memory");
        return FALSE;
    }
    return TRUE;
}

char *duet_limits_options(const DuetLimits *limits, guint controllers)
{
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(limit_rows); i++) {
        const LimitRow *row = &limit_rows[i];
        if (row->option != NULL &&
            (row->controller & controllers & duet_limits_controllers(limits)) != 0)
            g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", row->option);
    }
    return g_string_free(text, FALSE);
}

static void limit_text(const DuetLimits *limits, LimitText kind, char *out, gsize size)
{
    gint64 quota = (gint64)(limits->cpus * PERIOD_US + 0.5);
    switch (kind) {
    case TEXT_MEMORY:
        g_snprintf(out, size, "%" G_GUINT64_FORMAT, limits->memory_bytes);
        return;
    case TEXT_PERIOD:
        g_snprintf(out, size, "%d", PERIOD_US);
        return;
    case TEXT_QUOTA:
        g_snprintf(out, size, "%" G_GINT64_FORMAT, quota);
        return;
    case TEXT_QUOTA_PERIOD:
        g_snprintf(out, size, "%" G_GINT64_FORMAT " %d", quota, PERIOD_US);
        return;
    case TEXT_PIDS:
        g_snprintf(out, size, "%" G_GUINT64_FORMAT, limits->pids);
        return;
    case TEXT_ZERO:
    case TEXT_NONE:
        g_strlcpy(out, "0", size);
        return;
    }
}

gboolean duet_limits_apply(const DuetLimits *limits, DuetCgroupVersion version, guint controllers,
    int dir_fd, GError **error)
{
    const char *option = NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(limit_rows); i++) {
        const LimitRow *row = &limit_rows[i];
        if (row->option != NULL)
            option = row->option;
        if ((row->controller & controllers & duet_limits_controllers(limits)) == 0 ||
            row->of[version].file == NULL)
            continue;
        char text[64];
        limit_text(limits, row->of[version].text, text, sizeof text);
        int err = duet_cgroup_file_write(dir_fd, row->of[version].file, text);
        if (err == 0 || (row->optional && (err == ENOENT || err == EOPNOTSUPP)))
            continue;
        return duet_error_set_errno(error, err, "cannot set %s: writing '%s' to '%s' failed",
            option, text, row->of[version].file);
    }
    return TRUE;
}
