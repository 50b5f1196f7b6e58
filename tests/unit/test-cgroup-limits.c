/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits: what can be asked, what is written for it in both versions, and how it is changed. */
#include "core/cgroup/cgroup-private.h"
#include "cgroup-fixture.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/instance.h>

#include "core/update.h"
#include "core/util.h"

/* An instance's directory, and the payload's below it, with files that a kernel would have made. */
typedef struct {
    char *path;
    DuetCgroupMember member;
} Fake;

static const char *const v2_files[] = { "memory.max", "memory.swap.max", "memory.low", "cpu.max",
    "cpu.weight", "cpuset.cpus", "cpuset.mems", "pids.max", "io.weight", "io.max",
    "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", NULL };
static const char *const v1_files[] = { "memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
    "memory.soft_limit_in_bytes", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares",
    "cpuset.cpus", "cpuset.mems", "pids.max", "blkio.bfq.weight", "blkio.weight",
    "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device",
    "hugetlb.2MB.limit_in_bytes", NULL };

static void make_files(int dir_fd, const char *const *files)
{
    for (; *files != NULL; files++)
        close(openat(dir_fd, *files, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static Fake fake_new(DuetCgroupVersion version)
{
    const char *const *files = version == DUET_CGROUP_V1 ? v1_files : v2_files;
    Fake fake = { .path = g_dir_make_tmp("duet-limits-XXXXXX", NULL),
        .member = { .version = version, .controllers = G_MAXUINT, .part_fds = { -1, -1 } } };
    DUET_AUTO_FD dir = open(fake.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(mkdirat(dir, "payload", 0700), ==, 0);
    make_files(dir, files);
    int fd = openat(dir, "payload", O_PATH | O_DIRECTORY | O_CLOEXEC);
    make_files(fd, files);
    fake.member.part_fds[DUET_CGROUP_PAYLOAD] = fd;
    return fake;
}

static int fake_fd(const Fake *fake)
{
    return fake->member.part_fds[DUET_CGROUP_PAYLOAD];
}

static void fake_clear(Fake *fake)
{
    close(fake_fd(fake));
    g_assert_true(duet_remove_tree(AT_FDCWD, fake->path, NULL));
    g_free(fake->path);
}

static gboolean fake_apply(const Fake *fake, const DuetLimits *limits, GError **error)
{
    return duet_limits_apply(limits, fake->member.version, G_MAXUINT, fake_fd(fake), error);
}

/* The file begins with @text; earlier and longer texts may stand behind it. */
static void assert_begins(const Fake *fake, const char *file, const char *text)
{
    char have[128];
    g_assert_cmpint(duet_cgroup_file_read(fake_fd(fake), file, have, sizeof have), >=, 0);
    if (!g_str_has_prefix(have, text) || (*text == '\0' && *have != '\0'))
        g_error("%s has '%s', not '%s'", file, have, text);
}

/* Returns: (nullable) (transfer full): "/dev/..." of a whole disk of this machine. */
static char *some_disk(guint *out_major, guint *out_minor)
{
    g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename("/dev", name, NULL);
        g_autofree char *file = g_build_filename("/sys/block", name, "dev", NULL);
        g_autofree char *number = NULL;
        struct stat st;
        if (stat(path, &st) != 0 || !S_ISBLK(st.st_mode) ||
            !g_file_get_contents(file, &number, NULL, NULL) ||
            sscanf(number, "%u:%u", out_major, out_minor) != 2)
            continue;
        return g_steal_pointer(&path);
    }
    return NULL;
}

static char *hugetlb[] = { (char *)"2MB:67108864", NULL };
static const DuetLimits all_limits = {
    .memory_bytes = 64 << 20,
    .cpus = 0.25,
    .pids = 77,
    .memory_swap_bytes = 96 << 20,
    .memory_reservation_bytes = 32 << 20,
    .cpu_shares = 512,
    .cpu_period_us = 200000,
    .cpuset_cpus = "0-1",
    .cpuset_mems = "0",
    .blkio_weight = 300,
    .hugetlb = hugetlb,
};

static void test_rows_v2(void)
{
    g_autoptr(GError) error = NULL;
    Fake fake = fake_new(DUET_CGROUP_V2);
    g_assert_true(fake_apply(&fake, &all_limits, &error));
    g_assert_no_error(error);
    static const char *const expected[][2] = { { "memory.max", "67108864" },
        { "memory.swap.max", "33554432" }, { "memory.low", "33554432" },
        { "../memory.low", "33554432" }, { "cpu.max", "50000 200000" }, { "cpu.weight", "59" },
        { "../cpu.weight", "59" }, { "../cpu.max", "" }, { "cpuset.cpus", "0-1" },
        { "cpuset.mems", "0" }, { "pids.max", "77" }, { "io.weight", "2930" },
        { "../io.weight", "2930" }, { "hugetlb.2MB.max", "67108864" },
        { "hugetlb.2MB.rsvd.max", "67108864" } };
    for (gsize i = 0; i < G_N_ELEMENTS(expected); i++)
        assert_begins(&fake, expected[i][0], expected[i][1]);
    fake_clear(&fake);
}

static void test_rows_v1(void)
{
    g_autoptr(GError) error = NULL;
    Fake fake = fake_new(DUET_CGROUP_V1);
    /* there is no file of reserved pages: older kernels do without */
    g_assert_true(fake_apply(&fake, &all_limits, &error));
    g_assert_no_error(error);
    static const char *const expected[][2] = { { "memory.limit_in_bytes", "67108864" },
        { "memory.memsw.limit_in_bytes", "100663296" },
        { "memory.soft_limit_in_bytes", "33554432" }, { "cpu.cfs_quota_us", "50000" },
        { "cpu.cfs_period_us", "200000" }, { "cpu.shares", "512" }, { "../cpu.shares", "512" },
        { "cpuset.cpus", "0-1" }, { "cpuset.mems", "0" }, { "pids.max", "77" },
        { "blkio.bfq.weight", "300" }, { "../blkio.bfq.weight", "300" }, { "blkio.weight", "" },
        { "hugetlb.2MB.limit_in_bytes", "67108864" } };
    for (gsize i = 0; i < G_N_ELEMENTS(expected); i++)
        assert_begins(&fake, expected[i][0], expected[i][1]);
    fake_clear(&fake);
}

static void test_disks(void)
{
    guint major, minor;
    g_autofree char *disk = some_disk(&major, &minor);
    if (disk == NULL) {
        g_test_skip("no disk");
        return;
    }
    g_autofree char *reads = duet_io_limit_to_text(DUET_IO_READ_BPS, disk, 1 << 20);
    g_autofree char *writes = duet_io_limit_to_text(DUET_IO_WRITE_IOPS, disk, 77);
    char *lists[][2] = { { reads, NULL }, { writes, NULL } };
    static const char *const keys[] = { "rbps=1048576", "wiops=77" };
    static const char *const files[] = { "blkio.throttle.read_bps_device",
        "blkio.throttle.write_iops_device" };
    for (gsize i = 0; i < G_N_ELEMENTS(lists); i++) {
        DuetLimits limits = { .io_limits = lists[i] }, none = { 0 };
        g_autofree char *v2 = g_strdup_printf("%u:%u %s", major, minor, keys[i]);
        g_autofree char *v1 = g_strdup_printf("%u:%u %s", major, minor, strchr(keys[i], '=') + 1);
        g_autofree char *lifted =
            g_strdup_printf("%u:%u %.*s=max", major, minor, (int)strcspn(keys[i], "="), keys[i]);
        Fake old = fake_new(DUET_CGROUP_V1), new = fake_new(DUET_CGROUP_V2);
        g_assert_true(duet_limits_validate(&limits, NULL));
        g_assert_cmpuint(duet_limits_controllers(&limits), ==, DUET_CONTROLLER_IO);
        g_assert_true(fake_apply(&old, &limits, NULL));
        g_assert_true(fake_apply(&new, &limits, NULL));
        assert_begins(&old, files[i], v1);
        assert_begins(&new, "io.max", v2);
        g_assert_true(duet_limits_change(&limits, &none, &new.member, 1, NULL));
        assert_begins(&new, "io.max", lifted);
        fake_clear(&old);
        fake_clear(&new);
    }
}

static void test_weights(void)
{
    static const guint pairs[][2] = { { 2, 1 }, { 1024, 100 }, { 262144, 10000 }, { 512, 59 },
        { 2048, 174 }, { 0, 1 } };
    for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++)
        g_assert_cmpuint(duet_cpu_weight(pairs[i][0]), ==, pairs[i][1]);
    g_assert_cmpuint(duet_io_weight(10), ==, 1);
    g_assert_cmpuint(duet_io_weight(500), ==, 4950);
    g_assert_cmpuint(duet_io_weight(1000), ==, 10000);
}

/* What a kernel lacks is said, unless nothing can break the limit without it. */
static void test_missing(void)
{
    static const struct {
        DuetLimits limits;
        const char *without, *says;
    } rows[] = {
        { { .memory_bytes = 1 << 20 }, "memory.swap.max", NULL },
        { { .memory_bytes = 1 << 20, .memory_swap_bytes = -1 }, "memory.swap.max",
            "cannot keep --memory-swap: the kernel does not account swap" },
        { { .blkio_weight = 100 }, "io.weight", "cannot keep --blkio-weight: the kernel has no" },
        { { .hugetlb = hugetlb }, "hugetlb.2MB.rsvd.max", NULL },
        { { .hugetlb = hugetlb }, "hugetlb.2MB.max", "cannot keep --hugetlb" },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        Fake fake = fake_new(DUET_CGROUP_V2);
        g_assert_cmpint(unlinkat(fake_fd(&fake), rows[i].without, 0), ==, 0);
        g_assert_cmpint(fake_apply(&fake, &rows[i].limits, &error), ==, rows[i].says == NULL);
        if (rows[i].says != NULL) {
            g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
            g_assert_nonnull(strstr(error->message, rows[i].says));
        }
        fake_clear(&fake);
    }
}

/* Of a change only what differs is written, and what is lifted gets what a new cgroup has. */
static void test_change(void)
{
    g_autoptr(GError) error = NULL;
    Fake fake = fake_new(DUET_CGROUP_V2);
    DuetLimits to = { .memory_bytes = 32 << 20, .pids = 77 };
    g_assert_true(fake_apply(&fake, &all_limits, &error));
    g_assert_cmpint(duet_cgroup_file_write(fake_fd(&fake), "pids.max", "untouched"), ==, 0);
    g_assert_true(duet_limits_change(&all_limits, &to, &fake.member, 1, &error));
    g_assert_no_error(error);
    static const char *const expected[][2] = { { "memory.max", "33554432" },
        { "memory.swap.max", "0" }, { "memory.low", "0" }, { "../memory.low", "0" },
        { "cpu.max", "max 100000" }, { "../cpu.weight", "100" }, { "cpuset.cpus", "\n" },
        { "pids.max", "untouched" }, { "io.weight", "100" }, { "hugetlb.2MB.max", "max" } };
    for (gsize i = 0; i < G_N_ELEMENTS(expected); i++)
        assert_begins(&fake, expected[i][0], expected[i][1]);
    fake_clear(&fake);
}

/* An empty set of v1 is what the one above has. */
static void test_change_cpuset_v1(void)
{
    g_autoptr(GError) error = NULL;
    Fake fake = fake_new(DUET_CGROUP_V1);
    DuetLimits from = { .cpuset_cpus = "1" }, to = { .cpuset_cpus = "" };
    g_assert_cmpint(duet_cgroup_file_write(fake_fd(&fake), "../cpuset.cpus", "0-7\n"), ==, 0);
    g_assert_true(fake_apply(&fake, &from, &error));
    g_assert_true(duet_limits_change(&from, &to, &fake.member, 1, &error));
    assert_begins(&fake, "cpuset.cpus", "0-7");
    fake_clear(&fake);
}

/* One of many can't be changed: all are as they were. */
static void test_change_fails(void)
{
    g_autoptr(GError) error = NULL;
    Fake fake = fake_new(DUET_CGROUP_V2);
    DuetLimits from = { .memory_bytes = 16 << 20, .cpus = 0.5 };
    DuetLimits to = { .memory_bytes = 32 << 20, .cpu_shares = 2, .pids = 5 };
    g_assert_true(fake_apply(&fake, &from, &error));
    g_assert_cmpint(unlinkat(fake_fd(&fake), "pids.max", 0), ==, 0);
    g_assert_false(duet_limits_change(&from, &to, &fake.member, 1, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "--pids-limit"));
    assert_begins(&fake, "memory.max", "16777216");
    assert_begins(&fake, "cpu.weight", "100");
    assert_begins(&fake, "../cpu.weight", "100");
    assert_begins(&fake, "cpu.max", "50000 100000");
    fake_clear(&fake);
}

static void test_invalid(void)
{
    char *no_device[] = { (char *)"read-bps:/dev/null:5", NULL };
    char *no_limit[] = { (char *)"read-bps:/dev/null", NULL };
    char *gone[] = { (char *)"write-iops:/dev/no/such:5", NULL };
    char *no_pages[] = { (char *)"3MB:5", NULL };
    char *no_size[] = { (char *)"2MB/../..:5", NULL };
    const DuetLimits bad[] = { { .cpus = 0.001 }, { .cpus = NAN }, { .cpu_period_us = 999 },
        { .cpu_period_us = 1000001 }, { .cpus = 0.5, .cpu_period_us = 1000 }, { .cpu_shares = 1 },
        { .cpu_shares = 262145 }, { .memory_swap_bytes = -1 },
        { .memory_bytes = 2 << 20, .memory_swap_bytes = 1 << 20 },
        { .memory_bytes = 2 << 20, .memory_swap_bytes = -2 },
        { .memory_bytes = 2 << 20, .memory_reservation_bytes = 3 << 20 },
        { .memory_reservation_bytes = G_MAXUINT64 }, { .blkio_weight = 9 },
        { .blkio_weight = 1001 }, { .cpuset_cpus = "x" }, { .cpuset_cpus = "0-" },
        { .cpuset_cpus = "0,,0" }, { .cpuset_cpus = "0," }, { .cpuset_cpus = "1-0" },
        { .cpuset_cpus = "0-99999999999999999999" }, { .cpuset_cpus = "8191" },
        { .cpuset_cpus = "0\n" }, { .cpuset_mems = "1023" }, { .io_limits = no_device },
        { .io_limits = no_limit }, { .hugetlb = no_pages }, { .hugetlb = no_size } };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        if (duet_limits_validate(&bad[i], &error))
            g_error("row %" G_GSIZE_FORMAT " was taken", i);
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    }
    g_autoptr(GError) error = NULL;
    DuetLimits device = { .io_limits = gone };
    g_assert_false(duet_limits_validate(&device, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
    static const DuetLimits good[] = { { .cpus = 1 }, { .cpuset_cpus = "0" },
        { .cpuset_cpus = "0-0,0" }, { .cpuset_cpus = "" },
        { .memory_bytes = 1 << 20, .memory_swap_bytes = 1 << 20 },
        { .memory_bytes = 1 << 20, .memory_swap_bytes = -1 } };
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(duet_limits_validate(&good[i], NULL));
}

static void test_parse(void)
{
    DuetIoLimit io;
    DuetHugetlbLimit pages;
    g_assert_true(duet_io_limit_parse("write-bps:/dev/disk/by-path/pci:0:12", &io));
    g_assert_cmpint(io.kind, ==, DUET_IO_WRITE_BPS);
    g_assert_cmpstr(io.path, ==, "/dev/disk/by-path/pci:0");
    g_assert_cmpuint(io.rate, ==, 12);
    g_free(io.path);
    static const char *const bad[] = { "", ":", "read-bps", "read-bps:5", "read:/dev/x:5",
        "read-bps:/dev/x:0", "read-bps:/dev/x:-1", "read-bps:/dev/x:1k",
        "read-bps:/dev/x:", "2MB:", "2MB", "2MB:x", "MB/x:1", "1234567890123456:1" };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(duet_io_limit_parse(bad[i], &io));
        g_assert_false(duet_hugetlb_limit_parse(bad[i], &pages));
    }
    g_assert_true(duet_hugetlb_limit_parse("1GB:0", &pages));
    g_assert_cmpstr(pages.size, ==, "1GB");
}

/* Changes that may come from anybody who reaches the socket. */
static void test_spec_with(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    spec->name = g_strdup("one");
    static const char *const bad[] = { "{'id': <b'0123456789ab'>}", "{'memory-bytes': <5>}",
        "{'memory-bytes': <'5'>}", "{'cpus': <-1.0>}", "{'name': <b'../x'>}", "{'name': <b''>}",
        "{'argv': <[b'sh']>}", "{'layers': <[b'/']>}", "{'memory-swap-bytes': <int64 5>}",
        "{'io-limits': <[b'read-bps:/etc/passwd:5']>}", "{'cpuset-cpus': <b'0\\n'>}",
        "{'cpu-shares': <uint64 1>}", "{'root-disk': <b'/x'>}", "{'disks': <[b'/etc/shadow']>}",
        "{'vcpus': <4>}", "{'attach-disk': <'/x'>}" };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) changes =
            g_variant_parse(G_VARIANT_TYPE_VARDICT, bad[i], NULL, NULL, &error);
        g_assert_no_error(error);
        if (duet_spec_with(spec, changes, &error) != NULL)
            g_error("%s was taken", bad[i]);
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    }
    g_autoptr(GVariant) changes = g_variant_parse(G_VARIANT_TYPE_VARDICT,
        "{'name': <b'two'>, 'memory-bytes': <uint64 67108864>, 'cpus': <0.5>}", NULL, NULL, NULL);
    g_autoptr(DuetSpec) changed = duet_spec_with(spec, changes, NULL);
    g_assert_cmpstr(changed->name, ==, "two");
    g_assert_cmpuint(changed->memory_bytes, ==, 64 << 20);
    g_autoptr(GVariant) asked = g_variant_ref_sink(duet_spec_changes(spec, changed));
    g_assert_cmpuint(g_variant_n_children(asked), ==, 3);
    g_autoptr(DuetSpec) again = duet_spec_with(spec, asked, NULL);
    g_autoptr(GVariant) nothing = g_variant_ref_sink(duet_spec_changes(again, changed));
    g_assert_cmpuint(g_variant_n_children(nothing), ==, 0);
}

/* What a VM can't have is refused, not taken for something else. */
static void test_kinds(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    spec->memory_bytes = 128 << 20;
    spec->memory_swap_bytes = -1;
    g_assert_true(duet_spec_check_limits(spec, NULL));
    spec->kind = DUET_KIND_VM;
    g_autoptr(GError) error = NULL;
    g_assert_false(duet_spec_check_limits(spec, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
    spec->memory_swap_bytes = 0;
    spec->cpu_shares = 512;
    spec->cpuset_cpus = g_strdup("0");
    g_assert_true(duet_spec_check_limits(spec, NULL));
    spec->connect = g_strdup("qemu:///system");
    g_clear_error(&error);
    g_assert_false(duet_spec_check_limits(spec, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "--cpu-shares, --cpuset-cpus"));
}

static guint64 memory_limit(const DuetCgroup *cgroup)
{
    guint64 limit = 0;
    for (guint i = 0; i < cgroup->members_count; i++) {
        int fd = cgroup->members[i].part_fds[DUET_CGROUP_PAYLOAD];
        if ((cgroup->members[i].controllers & DUET_CONTROLLER_MEMORY) != 0)
            limit = MAX(limit,
                MAX(duet_cgroup_file_number(fd, "memory.limit_in_bytes"),
                    duet_cgroup_file_number(fd, "memory.max")));
    }
    return limit;
}

static DuetCgroup *living(const DuetLimits *limits)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = g_strdup_printf("%08x%04x", g_random_int(), g_random_int() & 0xffff);
    DuetCgroup *cgroup = duet_cgroup_new(id, limits, &error);
    if (g_error_matches(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED))
        g_test_skip(error->message);
    else
        g_assert_no_error(error);
    return cgroup;
}

static void end(DuetCgroup *cgroup, pid_t pid)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_cgroup_kill(cgroup, DUET_CGROUP_PAYLOAD, 5000, &error));
    waitpid(pid, NULL, 0);
    g_assert_true(duet_cgroup_remove(cgroup, &error));
    g_assert_no_error(error);
}

static gboolean change(
    DuetCgroup *cgroup, const DuetLimits *from, const DuetLimits *to, GError **error)
{
    return duet_cgroup_change_plan(cgroup, to, error) &&
        duet_cgroup_change(cgroup, from, to, error);
}

/* The kernel takes memory, and memory with swap, in one order to raise and in another to lower. */
static void test_memory(void)
{
    g_autoptr(GError) error = NULL;
    static const DuetLimits steps[] = { { .memory_bytes = 16 << 20 }, { .memory_bytes = 64 << 20 },
        { .memory_bytes = 32 << 20 }, { .memory_bytes = 32 << 20, .memory_swap_bytes = 48 << 20 },
        { .memory_bytes = 64 << 20, .memory_swap_bytes = 64 << 20 },
        { .memory_bytes = 16 << 20, .memory_swap_bytes = -1 }, { .memory_bytes = 24 << 20 } };
    g_autoptr(DuetCgroup) cgroup = living(&steps[0]);
    if (cgroup == NULL)
        return;
    for (gsize i = 1; i < G_N_ELEMENTS(steps); i++) {
        gboolean ok = change(cgroup, &steps[i - 1], &steps[i], &error);
        if (g_error_matches(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED))
            break; /* no accounting of swap here */
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpuint(memory_limit(cgroup), ==, steps[i].memory_bytes);
    }
    end(cgroup, 0);
}

/* A controller that was not needed at the start; the processes get under it, or all stays. */
static void test_grow(void)
{
    g_autoptr(GError) error = NULL;
    DuetLimits none = { 0 }, some = { .cpus = 0.5, .pids = 50 };
    g_autoptr(DuetCgroup) cgroup = living(&none);
    if (cgroup == NULL)
        return;
    pid_t pid = cgroup_child_in(cgroup);
    if (!change(cgroup, &none, &some, &error)) {
        g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
        g_test_skip(error->message);
        end(cgroup, pid);
        return;
    }
    g_autofree char *proc = g_strdup_printf("/proc/%d/cgroup", (int)pid);
    g_autofree char *where = NULL;
    g_assert_true(g_file_get_contents(proc, &where, NULL, NULL));
    for (guint i = 0; i < cgroup->members_count; i++) {
        const DuetCgroupMember *member = &cgroup->members[i];
        g_autofree char *line = g_strdup_printf("%s:/%s%sduet-%s/payload\n",
            member->version == DUET_CGROUP_V2 ? "" : member->name, member->base,
            member->base[0] != '\0' ? "/" : "", cgroup->id);
        if (member->version == DUET_CGROUP_V1)
            g_assert_nonnull(strstr(where, line));
        g_assert_nonnull(strstr(duet_cgroup_path(cgroup), member->name));
    }
    g_assert_true(change(cgroup, &some, &none, &error));
    g_assert_no_error(error);
    /* whoever cleans up after us finds all of it by the path */
    g_autoptr(DuetCgroup) found = duet_cgroup_open(duet_cgroup_path(cgroup), cgroup->id, &error);
    g_assert_no_error(error);
    end(found, pid);
    g_autofree char *find = g_strdup_printf(
        "test -z \"$(find /sys/fs/cgroup -name 'duet-%s' 2>/dev/null)\"", cgroup->id);
    const char *const argv[] = { "sh", "-c", find, NULL };
    g_autofree char *out = duet_capture(argv, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out, ==, "");
}

/* What was made for a change that failed is gone, and its processes are where they were. */
static void test_grow_fails(void)
{
    g_autoptr(GError) error = NULL;
    DuetLimits none = { 0 }, some = { .cpus = 0.5, .cpuset_cpus = "8000" };
    g_autoptr(DuetCgroup) cgroup = living(&none);
    if (cgroup == NULL)
        return;
    pid_t pid = cgroup_child_in(cgroup);
    g_autofree char *path = g_strdup(duet_cgroup_path(cgroup));
    g_autofree char *proc = g_strdup_printf("/proc/%d/cgroup", (int)pid);
    g_autofree char *before = NULL, *after = NULL;
    g_assert_true(g_file_get_contents(proc, &before, NULL, NULL));
    guint count = cgroup->members_count;
    g_assert_false(change(cgroup, &none, &some, &error));
    g_assert_true(g_file_get_contents(proc, &after, NULL, NULL));
    g_assert_cmpstr(before, ==, after);
    g_assert_cmpstr(duet_cgroup_path(cgroup), ==, path);
    g_assert_cmpuint(cgroup->members_count, ==, count);
    end(cgroup, pid);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cgroup-limits/rows/v1", test_rows_v1);
    g_test_add_func("/cgroup-limits/rows/v2", test_rows_v2);
    g_test_add_func("/cgroup-limits/rows/disks", test_disks);
    g_test_add_func("/cgroup-limits/rows/weights", test_weights);
    g_test_add_func("/cgroup-limits/rows/missing", test_missing);
    g_test_add_func("/cgroup-limits/invalid", test_invalid);
    g_test_add_func("/cgroup-limits/parse", test_parse);
    g_test_add_func("/cgroup-limits/kinds", test_kinds);
    g_test_add_func("/cgroup-limits/spec-with", test_spec_with);
    g_test_add_func("/cgroup-limits/change/lines", test_change);
    g_test_add_func("/cgroup-limits/change/cpuset-v1", test_change_cpuset_v1);
    g_test_add_func("/cgroup-limits/change/fails", test_change_fails);
    g_test_add_func("/cgroup-limits/change/memory", test_memory);
    g_test_add_func("/cgroup-limits/change/grow", test_grow);
    g_test_add_func("/cgroup-limits/change/grow-fails", test_grow_fails);
    return g_test_run();
}
