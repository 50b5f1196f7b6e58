/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an instance may use: the options of `run`, `create`, `update`, `compare` and `bench`. */
#include "cli/cli.h"
#include "core/spec-limits.h"
#include "core/util.h"

#include <duet/error.h>

#include <math.h>
#include <string.h>
#include <unistd.h>

/* cpu.cfs_quota_us takes no less than 1 ms in each 100 ms. */
#define CPUS_MIN 0.01
#define QUOTA_MIN_US 1000
#define PERIOD_DEFAULT_US 100000

/* The one list of them: rows for GOption, words for a command line, and what is to be freed. */
static const struct {
    const char *name;
    char letter;
    gboolean is_list;
    gsize offset;
    const char *help;
    const char *argument;
} limit_options[] = {
    { "memory", 'm', FALSE, G_STRUCT_OFFSET(DuetLimitOptions, memory),
        "memory limit, or a VM's RAM (default 256m, 80m at least); such as 512m, 2g", "SIZE" },
    { "memory-swap", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, memory_swap),
        "container: memory and swap together; -1: any swap (default: no swap beyond --memory)",
        "SIZE" },
    { "memory-reservation", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, memory_reservation),
        "what it keeps when the host's memory runs short", "SIZE" },
    { "cpus", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, cpus), "CPU time in CPUs, such as 0.5, 2",
        "N" },
    { "cpu-shares", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, cpu_shares),
        "its part of busy CPUs, beside others with 1024 (default)", "N" },
    { "cpu-quota", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, cpu_quota),
        "CPU time in each --cpu-period, in place of --cpus; -1: no limit", "US" },
    { "cpu-period", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, cpu_period),
        "1000 to 1000000 microseconds (default 100000)", "US" },
    { "cpuset-cpus", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, cpuset_cpus),
        "the only CPUs it runs on, such as 0-3,7", "LIST" },
    { "cpuset-mems", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, cpuset_mems),
        "the only NUMA nodes that its memory is on, such as 0,1", "LIST" },
    { "pids-limit", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, pids_limit),
        "how many processes; -1: no limit", "N" },
    { "blkio-weight", 0, FALSE, G_STRUCT_OFFSET(DuetLimitOptions, blkio_weight),
        "its part of busy disks, 10 to 1000", "N" },
    { "device-read-bps", 0, TRUE, G_STRUCT_OFFSET(DuetLimitOptions, devices[DUET_IO_READ_BPS]),
        "bytes that it may read from a disk in a second, such as /dev/sda:1m", "DEVICE:SIZE" },
    { "device-write-bps", 0, TRUE, G_STRUCT_OFFSET(DuetLimitOptions, devices[DUET_IO_WRITE_BPS]),
        "bytes that it may write", "DEVICE:SIZE" },
    { "device-read-iops", 0, TRUE, G_STRUCT_OFFSET(DuetLimitOptions, devices[DUET_IO_READ_IOPS]),
        "how often it may read from a disk in a second", "DEVICE:N" },
    { "device-write-iops", 0, TRUE, G_STRUCT_OFFSET(DuetLimitOptions, devices[DUET_IO_WRITE_IOPS]),
        "how often it may write", "DEVICE:N" },
    { "hugetlb", 0, TRUE, G_STRUCT_OFFSET(DuetLimitOptions, hugetlb),
        "container: huge pages of a size that it may have, such as 2MB:64m; -1: no limit",
        "SIZE:AMOUNT" },
};

void duet_cli_limit_options(DuetLimitOptions *options, GArray *entries)
{
    for (gsize i = 0; i < G_N_ELEMENTS(limit_options); i++) {
        GOptionEntry row = { limit_options[i].name, limit_options[i].letter, 0,
            limit_options[i].is_list ? G_OPTION_ARG_FILENAME_ARRAY : G_OPTION_ARG_FILENAME,
            G_STRUCT_MEMBER_P(options, limit_options[i].offset), limit_options[i].help,
            limit_options[i].argument };
        g_array_append_val(entries, row);
    }
}

void duet_cli_limit_options_clear(DuetLimitOptions *options)
{
    for (gsize i = 0; i < G_N_ELEMENTS(limit_options); i++) {
        gpointer *at = G_STRUCT_MEMBER_P(options, limit_options[i].offset);
        if (limit_options[i].is_list)
            g_strfreev(*at);
        else
            g_free(*at);
        *at = NULL;
    }
}

void duet_cli_limit_words(const DuetLimitOptions *options, GStrvBuilder *words)
{
    for (gsize i = 0; i < G_N_ELEMENTS(limit_options); i++) {
        const gpointer *at = G_STRUCT_MEMBER_P(options, limit_options[i].offset);
        char *one[] = { *at, NULL };
        g_autofree char *option = g_strconcat("--", limit_options[i].name, NULL);
        for (char **value = limit_options[i].is_list ? *at : one; value && *value; value++) {
            g_strv_builder_add(words, option);
            g_strv_builder_add(words, *value);
        }
    }
}

gboolean duet_cli_limit_options_given(const DuetLimitOptions *options)
{
    for (gsize i = 0; i < G_N_ELEMENTS(limit_options); i++)
        if (G_STRUCT_MEMBER(gpointer, options, limit_options[i].offset))
            return TRUE;
    return FALSE;
}

/* Of an option that was not given nothing is read. */
static gboolean read_bytes(const char *option, const char *text, guint64 *out_bytes, GError **error)
{
    if (!text || duet_parse_bytes(text, out_bytes, error))
        return TRUE;
    g_prefix_error(error, "%s: ", option);
    return FALSE;
}

static gboolean read_number(
    const char *option, const char *text, gint64 least, gint64 *out_number, GError **error)
{
    gint64 number;
    if (!text)
        return TRUE;
    if (!g_ascii_string_to_signed(text, 10, least, G_MAXINT64, &number, NULL)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "%s '%s': give a whole number, %" G_GINT64_FORMAT " or more", option, text, least);
        return FALSE;
    }
    *out_number = number;
    return TRUE;
}

static gboolean check_cpus(const char *option, double cpus, GError **error)
{
    double most = (double)sysconf(_SC_NPROCESSORS_CONF);
    if (cpus == 0 || (cpus >= CPUS_MIN && cpus <= most))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "%s %g: this host can give %g to %g", option,
        cpus, CPUS_MIN, most);
    return FALSE;
}

static gboolean apply_cpus(DuetSpec *spec, const char *text, GError **error)
{
    char *end;
    double cpus = g_ascii_strtod(text, &end);
    if (!*text || *end)
        return duet_cli_invalid(error, "is no number of CPUs: use 0.5, 2 or the like", text);
    if (!check_cpus("--cpus", cpus, error))
        return FALSE;
    spec->cpus = cpus;
    spec->cpu_period_us = 0;
    return TRUE;
}

/* A quota is kept as CPUs; one that was there stays what it is in microseconds. */
static gboolean apply_quota(DuetSpec *spec, const DuetLimitOptions *options, GError **error)
{
    gint64 period = spec->cpu_period_us ? (gint64)spec->cpu_period_us : PERIOD_DEFAULT_US;
    gint64 quota = (gint64)(spec->cpus * (double)period + 0.5);
    if (!read_number("--cpu-period", options->cpu_period, 0, &period, error) ||
        !read_number("--cpu-quota", options->cpu_quota, -1, &quota, error))
        return FALSE;
    if (quota > 0 && quota < QUOTA_MIN_US) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--cpu-quota '%s': give %d microseconds or more, or -1 for no limit",
            options->cpu_quota ? options->cpu_quota : "", QUOTA_MIN_US);
        return FALSE;
    }
    double cpus = spec->cpus;
    spec->cpu_period_us = period == PERIOD_DEFAULT_US ? 0 : (guint64)period;
    period = period ? period : PERIOD_DEFAULT_US;
    spec->cpus = quota > 0 ? (double)quota / (double)period : 0;
    /* A result's command has both. */
    if (options->cpus && fabs(cpus - spec->cpus) > 0.001) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--cpus says what --cpu-quota and --cpu-period do, and they differ: leave either out");
        return FALSE;
    }
    return check_cpus("--cpu-quota in --cpu-period, in CPUs:", spec->cpus, error);
}

/* Puts @text in place of the one in @list that begins in the same way, or takes that out. */
static void replace_one(char ***list, const char *begin, const char *text)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (char **old = *list; old && *old; old++)
        if (!g_str_has_prefix(*old, begin))
            g_strv_builder_add(builder, *old);
    if (text)
        g_strv_builder_add(builder, text);
    g_strfreev(*list);
    *list = g_strv_builder_end(builder);
}

static gboolean apply_device(DuetSpec *spec, DuetIoKind kind, const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *option = g_strconcat("--device-", duet_io_kind_to_string(kind), NULL);
    gboolean in_bytes = kind == DUET_IO_READ_BPS || kind == DUET_IO_WRITE_BPS;
    guint64 bytes = 0;
    gint64 number = 0;
    if (!colon || colon == text)
        return duet_cli_invalid(error,
            in_bytes ? "is no limit of a disk: use DEVICE:SIZE, as in /dev/sda:1m"
                     : "is no limit of a disk: use DEVICE:N, as in /dev/sda:100",
            text);
    if (in_bytes ? !read_bytes(option, colon + 1, &bytes, error)
                 : !read_number(option, colon + 1, 0, &number, error))
        return FALSE;
    guint64 rate = in_bytes ? bytes : (guint64)number;
    g_autofree char *given = g_strndup(text, (gsize)(colon - text));
    /* It may be started from another folder. */
    g_autofree char *path = g_canonicalize_filename(given, NULL);
    g_autofree char *begin = g_strdup_printf("%s:%s:", duet_io_kind_to_string(kind), path);
    g_autofree char *limit = rate ? duet_io_limit_to_text(kind, path, rate) : NULL;
    replace_one(&spec->io_limits, begin, limit);
    return TRUE;
}

static gboolean apply_hugetlb(DuetSpec *spec, const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    g_autofree char *given = colon ? g_strndup(text, (gsize)(colon - text)) : NULL;
    char size[16];
    guint64 page_bytes, bytes = 0;
    if (!colon || !duet_parse_bytes(given, &page_bytes, NULL))
        return duet_cli_invalid(
            error, "is no limit of huge pages: use SIZE:AMOUNT, as in 2MB:64m", text);
    if (!duet_hugetlb_size(page_bytes, size, sizeof size))
        return duet_cli_invalid(error,
            "has a size of huge pages that this host has not: see /sys/kernel/mm/hugepages", text);
    gboolean lift = g_str_equal(colon + 1, "-1");
    if (!lift && !read_bytes("--hugetlb", colon + 1, &bytes, error))
        return FALSE;
    g_autofree char *begin = g_strconcat(size, ":", NULL);
    g_autofree char *limit = g_strdup_printf("%s%" G_GUINT64_FORMAT, begin, bytes);
    replace_one(&spec->hugetlb, begin, lift ? NULL : limit);
    return TRUE;
}

static gboolean apply_memory(DuetSpec *spec, const DuetLimitOptions *options, GError **error)
{
    guint64 swap = (guint64)spec->memory_swap_bytes;
    gboolean any_swap = g_strcmp0(options->memory_swap, "-1") == 0;
    if (!read_bytes("--memory", options->memory, &spec->memory_bytes, error) ||
        !read_bytes("--memory-reservation", options->memory_reservation,
            &spec->memory_reservation_bytes, error) ||
        (!any_swap && !read_bytes("--memory-swap", options->memory_swap, &swap, error)))
        return FALSE;
    spec->memory_swap_bytes = any_swap ? -1 : (gint64)swap;
    return TRUE;
}

static void apply_set(char **place, const char *text)
{
    if (!text)
        return;
    g_free(*place);
    *place = g_strdup(text);
}

gboolean duet_cli_apply_limits(DuetSpec *spec, const DuetLimitOptions *options, GError **error)
{
    gint64 pids = spec->pids_limit ? (gint64)spec->pids_limit : -1;
    gint64 shares = (gint64)spec->cpu_shares, weight = (gint64)spec->blkio_weight;
    if (!apply_memory(spec, options, error) ||
        (options->cpus && !apply_cpus(spec, options->cpus, error)) ||
        ((options->cpu_quota || options->cpu_period) && !apply_quota(spec, options, error)) ||
        /* podman: -1 is no limit. */
        !read_number("--pids-limit", options->pids_limit, -1, &pids, error) ||
        !read_number("--cpu-shares", options->cpu_shares, 0, &shares, error) ||
        !read_number("--blkio-weight", options->blkio_weight, 0, &weight, error))
        return FALSE;
    spec->pids_limit = pids > 0 ? (guint64)pids : 0;
    spec->cpu_shares = (guint64)shares;
    spec->blkio_weight = (guint64)weight;
    apply_set(&spec->cpuset_cpus, options->cpuset_cpus);
    apply_set(&spec->cpuset_mems, options->cpuset_mems);
    for (guint kind = 0; kind < DUET_IO_KINDS; kind++)
        for (char **text = options->devices[kind]; text && *text; text++)
            if (!apply_device(spec, (DuetIoKind)kind, *text, error))
                return FALSE;
    for (char **text = options->hugetlb; text && *text; text++)
        if (!apply_hugetlb(spec, *text, error))
            return FALSE;
    return duet_spec_check_limits(spec, error);
}
