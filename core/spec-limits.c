/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits as a spec has them, and which of them can be. */
#include "core/spec-limits.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* cpu.cfs_period_us and cpu.cfs_quota_us take no less, and the former no more. */
#define PERIOD_DEFAULT_US 100000
#define PERIOD_MIN_US 1000
#define PERIOD_MAX_US 1000000
#define QUOTA_MIN_US 1000
#define SHARES_MIN 2
#define SHARES_MAX 262144
#define WEIGHT_MIN 10
#define WEIGHT_MAX 1000
/* Each is a write to the kernel, or some. */
#define LIST_MAX 64
/* More than lists that people type, and room in a line of limits. */
#define SET_MAX_BYTES 255
#define SET_MAX_NUMBER 8191

static const char *const io_kinds[DUET_IO_KINDS] = {
    [DUET_IO_READ_BPS] = "read-bps",
    [DUET_IO_WRITE_BPS] = "write-bps",
    [DUET_IO_READ_IOPS] = "read-iops",
    [DUET_IO_WRITE_IOPS] = "write-iops",
};

const char *duet_io_kind_to_string(DuetIoKind kind)
{
    return io_kinds[kind];
}

char *duet_io_limit_to_text(DuetIoKind kind, const char *path, guint64 rate)
{
    return g_strdup_printf("%s:%s:%" G_GUINT64_FORMAT, io_kinds[kind], path, rate);
}

gboolean duet_io_limit_parse(const char *text, DuetIoLimit *out_limit)
{
    const char *first = strchr(text, ':'), *last = strrchr(text, ':');
    guint64 rate;
    if (first == NULL || first == last ||
        !g_ascii_string_to_unsigned(last + 1, 10, 1, G_MAXINT64, &rate, NULL))
        return FALSE;
    for (guint kind = 0; kind < G_N_ELEMENTS(io_kinds); kind++) {
        if (strlen(io_kinds[kind]) != (gsize)(first - text) ||
            strncmp(text, io_kinds[kind], (gsize)(first - text)) != 0)
            continue;
        out_limit->kind = (DuetIoKind)kind;
        out_limit->path = g_strndup(first + 1, (gsize)(last - first - 1));
        out_limit->rate = rate;
        return TRUE;
    }
    return FALSE;
}

gboolean duet_hugetlb_limit_parse(const char *text, DuetHugetlbLimit *out_limit)
{
    gsize length = strspn(text, "0123456789KMGB");
    return length > 0 && length < sizeof out_limit->size && text[length] == ':' &&
        g_strlcpy(out_limit->size, text, length + 1) > 0 &&
        g_ascii_string_to_unsigned(text + length + 1, 10, 0, G_MAXINT64, &out_limit->bytes, NULL);
}

gboolean duet_hugetlb_size(guint64 bytes, char *out_size, gsize room)
{
    g_autofree char *folder =
        g_strdup_printf("/sys/kernel/mm/hugepages/hugepages-%" G_GUINT64_FORMAT "kB", bytes >> 10);
    static const char units[] = "KMG";
    guint unit = 0;
    guint64 in_units = bytes >> 10;
    for (; in_units >= 1024 && unit < 2; in_units >>= 10)
        unit++;
    g_snprintf(out_size, room, "%" G_GUINT64_FORMAT "%cB", in_units, units[unit]);
    return access(folder, F_OK) == 0;
}

DuetLimits duet_spec_limits(const DuetSpec *spec)
{
    if (spec->connect)
        return (DuetLimits){ 0 };
    DuetLimits limits = {
        .memory_bytes = spec->memory_bytes,
        .cpus = spec->cpus,
        .pids = spec->pids_limit,
        .pool = spec->pool,
        .pool_memory_bytes = spec->pool_memory_bytes,
        .memory_swap_bytes = spec->memory_swap_bytes,
        .memory_reservation_bytes = spec->memory_reservation_bytes,
        .cpu_shares = spec->cpu_shares,
        .cpu_period_us = spec->cpu_period_us,
        .cpuset_cpus = spec->cpuset_cpus,
        .cpuset_mems = spec->cpuset_mems,
        .blkio_weight = spec->blkio_weight,
        .io_limits = spec->io_limits,
        .hugetlb = spec->hugetlb,
    };
    if (spec->kind == DUET_KIND_VM) {
        limits.memory_bytes = duet_vm_memory_bytes(spec) + duet_vm_memory_allowance_bytes(spec);
        limits.pids = 0;
        limits.memory_is_guard = TRUE;
        limits.cpus_is_guard = spec->cpus == (double)duet_vm_vcpus(spec);
    }
    return limits;
}

static gboolean invalid(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean invalid(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID, text);
    return FALSE;
}

static gboolean check_cpu(const DuetLimits *limits, GError **error)
{
    double cpus = limits->cpus;
    guint64 period = limits->cpu_period_us != 0 ? limits->cpu_period_us : PERIOD_DEFAULT_US;
    if (!isfinite(cpus) || cpus < 0 || cpus > 1e6)
        return invalid(error, "'%g' is no number of CPUs", cpus);
    if (period < PERIOD_MIN_US || period > PERIOD_MAX_US)
        return invalid(error,
            "--cpu-period '%" G_GUINT64_FORMAT "': give from %d to %d microseconds", period,
            PERIOD_MIN_US, PERIOD_MAX_US);
    if (cpus > 0 && cpus * (double)period < QUOTA_MIN_US - 0.5)
        return invalid(error,
            "--cpus '%g' is too small: the kernel's smallest share of a CPU is %g", cpus,
            QUOTA_MIN_US / (double)period);
    if (limits->cpu_shares != 0 &&
        (limits->cpu_shares < SHARES_MIN || limits->cpu_shares > SHARES_MAX))
        return invalid(error, "--cpu-shares '%" G_GUINT64_FORMAT "': give from %d to %d",
            limits->cpu_shares, SHARES_MIN, SHARES_MAX);
    return TRUE;
}

static gboolean check_memory(const DuetLimits *limits, GError **error)
{
    if (limits->memory_bytes > G_MAXINT64 || limits->pids > G_MAXINT32 ||
        limits->memory_reservation_bytes > G_MAXINT64)
        return invalid(error, "%s is larger than the kernel allows",
            limits->pids > G_MAXINT32               ? "--pids-limit"
                : limits->memory_bytes > G_MAXINT64 ? "--memory"
                                                    : "--memory-reservation");
    if (limits->memory_swap_bytes < -1)
        return invalid(error, "--memory-swap: give an amount, or -1 for any");
    if (limits->memory_swap_bytes != 0 && limits->memory_bytes == 0)
        return invalid(error, "--memory-swap needs --memory, which it counts in");
    if (limits->memory_swap_bytes > 0 && (guint64)limits->memory_swap_bytes < limits->memory_bytes)
        return invalid(
            error, "--memory-swap is memory and swap together: it can't be less than --memory");
    if (limits->memory_bytes != 0 && limits->memory_reservation_bytes > limits->memory_bytes)
        return invalid(error, "--memory-reservation can't be more than --memory");
    return TRUE;
}

/* Marks the numbers of a list such as "0-3,7". Returns: whether it is one. */
static gboolean read_set(const char *text, guint8 set[SET_MAX_NUMBER + 1])
{
    const char *at = text;
    do {
        char *end;
        if (!g_ascii_isdigit(*at))
            return FALSE;
        guint64 first = g_ascii_strtoull(at, &end, 10), last = first;
        if (*end == '-' && g_ascii_isdigit(end[1]))
            last = g_ascii_strtoull(end + 1, &end, 10);
        if (last < first || last > SET_MAX_NUMBER || (*end != ',' && *end != '\0'))
            return FALSE;
        memset(set + first, 1, last - first + 1);
        at = end;
    } while (*at++ == ',');
    return TRUE;
}

static gboolean check_set(const char *option, const char *text, const char *all, GError **error)
{
    if (text == NULL || text[0] == '\0')
        return TRUE;
    guint8 wanted[SET_MAX_NUMBER + 1] = { 0 }, there[SET_MAX_NUMBER + 1] = { 0 };
    if (strlen(text) > SET_MAX_BYTES || !read_set(text, wanted))
        return invalid(
            error, "%s '%s': give numbers and ranges with commas, as in 0-3,7", option, text);
    g_autofree char *online = duet_file_read(AT_FDCWD, all, 4096, NULL, NULL);
    /* A kernel without NUMA has no such file: there is node 0. */
    if (!read_set(online != NULL ? g_strchomp(online) : "0", there))
        return TRUE;
    for (guint i = 0; i <= SET_MAX_NUMBER; i++)
        if (wanted[i] && !there[i])
            return invalid(error, "%s '%s': there is no %u; this host has %s", option, text, i,
                online != NULL ? online : "0");
    return TRUE;
}

static gboolean check_device(const DuetIoLimit *limit, GError **error)
{
    struct stat st;
    const char *option = io_kinds[limit->kind];
    if (stat(limit->path, &st) != 0)
        return duet_error_set_errno(error, errno, "--device-%s '%s'", option, limit->path);
    if (!S_ISBLK(st.st_mode))
        return invalid(error, "--device-%s '%s': it is no block device", option, limit->path);
    g_autofree char *partition =
        g_strdup_printf("/sys/dev/block/%u:%u/partition", major(st.st_rdev), minor(st.st_rdev));
    if (access(partition, F_OK) == 0)
        return invalid(error,
            "--device-%s '%s': it is a partition; the kernel limits whole disks only", option,
            limit->path);
    return TRUE;
}

static gboolean check_io(const DuetLimits *limits, GError **error)
{
    guint64 weight = limits->blkio_weight;
    if (weight != 0 && (weight < WEIGHT_MIN || weight > WEIGHT_MAX))
        return invalid(error, "--blkio-weight '%" G_GUINT64_FORMAT "': give from %d to %d", weight,
            WEIGHT_MIN, WEIGHT_MAX);
    if (limits->io_limits != NULL && g_strv_length((char **)limits->io_limits) > LIST_MAX)
        return invalid(error, "there are more than %d limits of devices", LIST_MAX);
    for (char *const *text = limits->io_limits; text != NULL && *text != NULL; text++) {
        DuetIoLimit limit;
        if (!duet_io_limit_parse(*text, &limit))
            return invalid(error, "'%s' is no limit of a device", *text);
        gboolean ok = check_device(&limit, error);
        g_free(limit.path);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

static gboolean check_hugetlb(const DuetLimits *limits, GError **error)
{
    if (limits->hugetlb != NULL && g_strv_length((char **)limits->hugetlb) > LIST_MAX)
        return invalid(error, "there are more than %d limits of huge pages", LIST_MAX);
    for (char *const *text = limits->hugetlb; text != NULL && *text != NULL; text++) {
        DuetHugetlbLimit limit;
        guint64 bytes;
        char size[sizeof limit.size];
        if (!duet_hugetlb_limit_parse(*text, &limit) ||
            !duet_parse_bytes(limit.size, &bytes, NULL) ||
            !duet_hugetlb_size(bytes, size, sizeof size) || !g_str_equal(size, limit.size))
            return invalid(
                error, "--hugetlb '%s': this host has no huge pages of that size", *text);
    }
    return TRUE;
}

gboolean duet_limits_validate(const DuetLimits *limits, GError **error)
{
    return check_cpu(limits, error) && check_memory(limits, error) &&
        check_set("--cpuset-cpus", limits->cpuset_cpus, "/sys/devices/system/cpu/online", error) &&
        check_set("--cpuset-mems", limits->cpuset_mems, "/sys/devices/system/node/online", error) &&
        check_io(limits, error) && check_hugetlb(limits, error);
}

static gboolean is_list(char *const *list)
{
    return list != NULL && list[0] != NULL;
}

/* What a VM hasn't, or what a daemon that runs it would not be told of. */
static gboolean check_kind(const DuetSpec *spec, GError **error)
{
    if (spec->kind != DUET_KIND_VM)
        return TRUE;
    const char *never = spec->memory_swap_bytes != 0 ? "--memory-swap"
        : is_list(spec->hugetlb)                     ? "--hugetlb"
                                                     : NULL;
    if (never != NULL) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "%s is for containers only: a VM's RAM is what --memory says, and what it does with it "
            "is its kernel's affair",
            never);
        return FALSE;
    }
    if (spec->disk_image != NULL && spec->pids_limit != 0) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "--pids-limit is nothing for a disk's own system, which counts its processes itself");
        return FALSE;
    }
    if (spec->connect == NULL)
        return TRUE;
    const DuetLimits limits = {
        .memory_reservation_bytes = spec->memory_reservation_bytes,
        .cpu_shares = spec->cpu_shares,
        .cpu_period_us = spec->cpu_period_us,
        .cpuset_cpus = spec->cpuset_cpus,
        .cpuset_mems = spec->cpuset_mems,
        .blkio_weight = spec->blkio_weight,
        .io_limits = spec->io_limits,
    };
    g_autofree char *options = duet_limits_names(&limits);
    if (options[0] == '\0')
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "cannot keep %s with --connect: the cgroup is the libvirt daemon's; set it by virsh",
        options);
    return FALSE;
}

gboolean duet_spec_check_limits(const DuetSpec *spec, GError **error)
{
    DuetLimits limits = duet_spec_limits(spec);
    if (spec->kind == DUET_KIND_VM && spec->memory_bytes != 0 &&
        spec->memory_bytes < DUET_VM_MEMORY_MIN_BYTES) {
        g_autofree char *asked = duet_format_bytes(spec->memory_bytes);
        g_autofree char *least = duet_format_bytes(DUET_VM_MEMORY_MIN_BYTES);
        return invalid(error, "--memory %s: a VM needs at least %s of RAM to boot", asked, least);
    }
    return check_kind(spec, error) && duet_limits_validate(&limits, error);
}
