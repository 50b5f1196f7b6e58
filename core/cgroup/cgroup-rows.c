/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one table of limits. A row says of each version which file it is and what lifts the limit; a
 * function says what is written.
 */
#include "cgroup-rows.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The kernel's default period. */
#define PERIOD_US 100000

static gboolean number(DuetLimitLine *line, guint64 value)
{
    g_snprintf(line->text, sizeof line->text, "%" G_GUINT64_FORMAT, value);
    return value != 0;
}

static gboolean word(DuetLimitLine *line, const char *text)
{
    return text != NULL && text[0] != '\0' &&
        g_strlcpy(line->text, text, sizeof line->text) < sizeof line->text;
}

static gboolean memory(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)version;
    (void)index;
    return number(line, limits->memory_bytes);
}

/* Memory means memory: with a limit there is no swap beyond it, as a VM's RAM has none. */
static gboolean no_swap(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)index;
    number(line, version == DUET_CGROUP_V1 ? limits->memory_bytes : 0);
    return limits->memory_bytes != 0 && limits->memory_swap_bytes == 0;
}

/* v1 limits memory and swap together, v2 swap alone. */
static gboolean swap(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)index;
    guint64 both = (guint64)limits->memory_swap_bytes;
    if (limits->memory_swap_bytes < 0)
        return word(line, version == DUET_CGROUP_V1 ? "-1" : "max");
    number(line, version == DUET_CGROUP_V1 ? both : both - limits->memory_bytes);
    return both != 0;
}

static gboolean reservation(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)version;
    (void)index;
    return number(line, limits->memory_reservation_bytes);
}

static gint64 period_us(const DuetLimits *limits)
{
    return limits->cpu_period_us != 0 ? (gint64)limits->cpu_period_us : PERIOD_US;
}

static gint64 quota_us(const DuetLimits *limits)
{
    return (gint64)(limits->cpus * (double)period_us(limits) + 0.5);
}

static gboolean quota(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)index;
    if (version == DUET_CGROUP_V1)
        return number(line, (guint64)quota_us(limits));
    if (limits->cpus > 0)
        g_snprintf(line->text, sizeof line->text, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT,
            quota_us(limits), period_us(limits));
    else
        g_snprintf(line->text, sizeof line->text, "max %" G_GINT64_FORMAT, period_us(limits));
    return limits->cpus > 0 || limits->cpu_period_us != 0;
}

static gboolean period(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)version;
    (void)index;
    number(line, (guint64)period_us(limits));
    return limits->cpus > 0 || limits->cpu_period_us != 0;
}

/* Through the least, the usual and the most that either has: 2, 1024 and 262144 shares are weights
 * of 1, 100 and 10000. The formula is runc's (opencontainers/cgroups) and crun's. */
guint duet_cpu_weight(guint64 shares)
{
    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    double bits = log2((double)shares);
    return (guint)ceil(pow(10, (bits * bits + 125 * bits) / 612.0 - 7.0 / 34.0));
}

static gboolean shares(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)index;
    number(
        line, version == DUET_CGROUP_V1 ? limits->cpu_shares : duet_cpu_weight(limits->cpu_shares));
    return limits->cpu_shares != 0;
}

static gboolean cpus(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)version;
    (void)index;
    return word(line, limits->cpuset_cpus);
}

static gboolean mems(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)version;
    (void)index;
    return word(line, limits->cpuset_mems);
}

static gboolean pids(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)version;
    (void)index;
    return number(line, limits->pids);
}

/* bfq's is the same in both versions. */
static gboolean bfq_weight(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)version;
    (void)index;
    return number(line, limits->blkio_weight);
}

/* 10 to 1000 become 1 to 10000, as runc and crun have it. */
guint duet_io_weight(guint64 weight)
{
    return 1 + (guint)((MAX(weight, 10) - 10) * 9999 / 990);
}

static gboolean io_weight(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    (void)index;
    number(line,
        version == DUET_CGROUP_V1 ? limits->blkio_weight : duet_io_weight(limits->blkio_weight));
    return limits->blkio_weight != 0;
}

/* A device that is gone is 0:0, which the kernel refuses. */
static gboolean io_limit(const DuetLimits *limits, DuetCgroupVersion version, guint index,
    DuetIoKind kind, DuetLimitLine *line)
{
    static const char *const keys[] = { "rbps", "wbps", "riops", "wiops" };
    for (char *const *text = limits->io_limits; text != NULL && *text != NULL; text++) {
        DuetIoLimit limit;
        if (!duet_io_limit_parse(*text, &limit))
            continue;
        g_autofree char *path = limit.path;
        if (limit.kind != kind || index-- > 0)
            continue;
        struct stat st = { 0 };
        if (stat(path, &st) != 0 || !S_ISBLK(st.st_mode))
            st.st_rdev = 0;
        gboolean v1 = version == DUET_CGROUP_V1;
        g_snprintf(line->text, sizeof line->text, "%u:%u %s%s%" G_GUINT64_FORMAT, major(st.st_rdev),
            minor(st.st_rdev), v1 ? "" : keys[kind], v1 ? "" : "=", limit.rate);
        g_snprintf(line->none, sizeof line->none, "%u:%u %s%s", major(st.st_rdev),
            minor(st.st_rdev), v1 ? "0" : keys[kind], v1 ? "" : "=max");
        return TRUE;
    }
    return FALSE;
}

static gboolean read_bps(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    return io_limit(limits, version, index, DUET_IO_READ_BPS, line);
}

static gboolean write_bps(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    return io_limit(limits, version, index, DUET_IO_WRITE_BPS, line);
}

static gboolean read_iops(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    return io_limit(limits, version, index, DUET_IO_READ_IOPS, line);
}

static gboolean write_iops(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    return io_limit(limits, version, index, DUET_IO_WRITE_IOPS, line);
}

/* Each size of pages has files of its own. */
static gboolean hugetlb(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    DuetHugetlbLimit limit;
    char *const *texts = limits->hugetlb;
    for (guint i = 0; texts != NULL && texts[i] != NULL; i++) {
        if (i < index)
            continue;
        if (!duet_hugetlb_limit_parse(texts[i], &limit))
            return FALSE;
        g_snprintf(line->file, sizeof line->file, "hugetlb.%s.%s", limit.size,
            version == DUET_CGROUP_V1 ? "limit_in_bytes" : "max");
        g_snprintf(line->text, sizeof line->text, "%" G_GUINT64_FORMAT, limit.bytes);
        return TRUE;
    }
    return FALSE;
}

/* Those that are promised already: without it a program that asks for too many is killed later. */
static gboolean hugetlb_reserved(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    if (!hugetlb(limits, version, index, line))
        return FALSE;
    const char *last = strrchr(line->file, '.') + 1;
    char file[sizeof line->file];
    g_snprintf(file, sizeof file, "%.*srsvd.%s", (int)(last - line->file), line->file, last);
    g_strlcpy(line->file, file, sizeof line->file);
    return TRUE;
}

/* Lines are written in this order, but for what the kernel takes only after a later one. */
const DuetLimitRow duet_limit_rows[] = {
    /* Before the memory: in v2, where that shrinks, what does not fit any more needs a place to go.
     */
    { "--memory-swap", DUET_CONTROLLER_MEMORY, { "memory.memsw.limit_in_bytes", "memory.swap.max" },
        { "-1", "max" }, swap,
        .hint = "the kernel does not account swap; boot it with swapaccount=1" },
    { "--memory", DUET_CONTROLLER_MEMORY, { "memory.limit_in_bytes", "memory.max" },
        { "-1", "max" }, memory },
    { NULL, DUET_CONTROLLER_MEMORY, { "memory.memsw.limit_in_bytes", "memory.swap.max" },
        { "-1", "max" }, no_swap, .missing = DUET_MISSING_IS_KEPT },
    { "--memory-reservation", DUET_CONTROLLER_MEMORY,
        { "memory.soft_limit_in_bytes", "memory.low" }, { "-1", "0" }, reservation,
        .is_share = TRUE },
    { "--cpus", DUET_CONTROLLER_CPU, { "cpu.cfs_quota_us", "cpu.max" }, { "-1", "max 100000" },
        quota },
    { NULL, DUET_CONTROLLER_CPU, { "cpu.cfs_period_us", NULL }, { "100000", NULL }, period },
    { "--cpu-shares", DUET_CONTROLLER_CPU, { "cpu.shares", "cpu.weight" }, { "1024", "100" },
        shares, .is_share = TRUE },
    { "--cpuset-cpus", DUET_CONTROLLER_CPUSET, { "cpuset.cpus", "cpuset.cpus" }, { "", "" }, cpus },
    { "--cpuset-mems", DUET_CONTROLLER_CPUSET, { "cpuset.mems", "cpuset.mems" }, { "", "" }, mems },
    { "--pids-limit", DUET_CONTROLLER_PIDS, { "pids.max", "pids.max" }, { "max", "max" }, pids },
    { "--blkio-weight", DUET_CONTROLLER_IO, { "blkio.bfq.weight", "io.bfq.weight" },
        { "100", "100" }, bfq_weight, .is_share = TRUE, .missing = DUET_MISSING_IS_NEXT },
    { NULL, DUET_CONTROLLER_IO, { "blkio.weight", "io.weight" }, { "500", "100" }, io_weight,
        .is_share = TRUE, .hint = "the kernel has no weights of disks; its I/O scheduler bfq has" },
    { "--device-read-bps", DUET_CONTROLLER_IO, { "blkio.throttle.read_bps_device", "io.max" },
        { "", "" }, read_bps, .is_list = TRUE },
    { "--device-write-bps", DUET_CONTROLLER_IO, { "blkio.throttle.write_bps_device", "io.max" },
        { "", "" }, write_bps, .is_list = TRUE },
    { "--device-read-iops", DUET_CONTROLLER_IO, { "blkio.throttle.read_iops_device", "io.max" },
        { "", "" }, read_iops, .is_list = TRUE },
    { "--device-write-iops", DUET_CONTROLLER_IO, { "blkio.throttle.write_iops_device", "io.max" },
        { "", "" }, write_iops, .is_list = TRUE },
    { "--hugetlb", DUET_CONTROLLER_HUGETLB, { "", "" }, { "-1", "max" }, hugetlb, .is_list = TRUE,
        .hint = "the kernel has no huge pages of that size" },
    { NULL, DUET_CONTROLLER_HUGETLB, { "", "" }, { "-1", "max" }, hugetlb_reserved, .is_list = TRUE,
        .missing = DUET_MISSING_IS_KEPT },
};
const guint duet_limit_rows_count = G_N_ELEMENTS(duet_limit_rows);

gboolean duet_limit_row_line(const DuetLimitRow *row, const DuetLimits *limits,
    DuetCgroupVersion version, guint index, DuetLimitLine *line)
{
    if (row->files[version] == NULL || (index > 0 && !row->is_list))
        return FALSE;
    *line = (DuetLimitLine){ .text = "" };
    g_strlcpy(line->file, row->files[version], sizeof line->file);
    g_strlcpy(line->none, row->none[version], sizeof line->none);
    return row->line(limits, version, index, line);
}
