/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cgroup/cgroup-private.h"
#include "cgroup-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

static const char *const hybrid_mounts =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 31 0:31 / /sys/fs/cgroup/my\\040pids rw - cgroup cgroup rw,pids\n"
    "35 31 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    "37 31 0:33 / /elsewhere rw - cgroup2 cgroup2 rw\n";

static const DuetHierarchy *find(const GPtrArray *layout, const char *name)
{
    for (guint i = 0; i < layout->len; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        if (strcmp(hierarchy->name, name) == 0)
            return hierarchy;
    }
    return NULL;
}

static void test_layout_hybrid(void)
{
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_parse(hybrid_mounts,
        "5:name=systemd:/a\n4:pids:/b\n3:memory:/c/d\n2:cpu,cpuacct:/\n0::/user.slice/x.scope\n");
    g_assert_cmpuint(layout->len, ==, 5);
    const DuetHierarchy *cpu = find(layout, "cpu,cpuacct");
    g_assert_cmpuint(cpu->controllers, ==, DUET_CONTROLLER_CPU | DUET_CONTROLLER_CPUACCT);
    g_assert_cmpstr(cpu->own, ==, "");
    g_assert_cmpstr(find(layout, "memory")->own, ==, "c/d");
    g_assert_cmpstr(find(layout, "pids")->mount_point, ==, "/sys/fs/cgroup/my pids");
    g_assert_cmpuint(find(layout, "name=systemd")->controllers, ==, 0);
    const DuetHierarchy *v2 = find(layout, "v2");
    g_assert_cmpint(v2->version, ==, DUET_CGROUP_V2);
    g_assert_cmpstr(v2->own, ==, "user.slice/x.scope");
    g_assert_cmpstr(v2->mount_point, ==, "/sys/fs/cgroup/unified");
}

/* A mount that shows only a part of a hierarchy, and a cgroup outside of our namespace. */
static void test_layout_parts(void)
{
    g_autoptr(GPtrArray) inside = duet_cgroup_layout_parse(
        "40 1 0:9 /docker/ab /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "0::/docker/ab/cd\n");
    g_assert_cmpuint(inside->len, ==, 1);
    g_assert_cmpstr(((DuetHierarchy *)inside->pdata[0])->own, ==, "cd");
    g_autoptr(GPtrArray) sibling = duet_cgroup_layout_parse(
        "40 1 0:9 /docker/ab /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "0::/docker/abc\n");
    g_assert_cmpuint(sibling->len, ==, 0);
    g_autoptr(GPtrArray) outside = duet_cgroup_layout_parse(
        "40 1 0:9 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "0::/../other\n");
    g_assert_cmpuint(outside->len, ==, 0);
    g_autoptr(GPtrArray) broken = duet_cgroup_layout_parse(
        "1 2 3 - cgroup cgroup\n4 - cgroup2\n\n - cgroup", "0:\n:::\n0::x\n");
    g_assert_cmpuint(broken->len, ==, 0);
}

/* What is where it is by custom is found without mountinfo, and it is the same. */
static void test_layout_guess(void)
{
    static const char *const unknown[] = { "", "0\n", "0::/../other\n", "7:nothing:/\n0::/\n",
        "7:name=../unified:/\n" };
    g_autofree char *mountinfo = NULL, *own = NULL;
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &mountinfo, NULL, NULL));
    g_assert_true(g_file_get_contents("/proc/self/cgroup", &own, NULL, NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(unknown); i++)
        g_assert_null(duet_cgroup_layout_guess(unknown[i]));
    g_autoptr(GPtrArray) guess = duet_cgroup_layout_guess(own);
    g_autoptr(GPtrArray) told = duet_cgroup_layout_parse(mountinfo, own);
    if (guess == NULL) {
        g_test_skip("cgroups are elsewhere here");
        return;
    }
    g_assert_cmpuint(guess->len, ==, told->len);
    for (guint i = 0; i < guess->len; i++) {
        const DuetHierarchy *here = guess->pdata[i], *there = find(told, here->name);
        g_assert_nonnull(there);
        g_assert_cmpstr(here->mount_point, ==, there->mount_point);
        g_assert_cmpstr(here->own, ==, there->own);
        g_assert_cmpuint(here->controllers, ==, there->controllers);
        g_assert_true(here->backend == there->backend && here->version == there->version);
    }
}

typedef struct {
    char *path;
    int fd;
} Dir;

static Dir dir_new(const char *const *files)
{
    Dir dir = { .path = g_dir_make_tmp("duet-cgroup-XXXXXX", NULL) };
    dir.fd = open(dir.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (; *files != NULL; files++)
        close(openat(dir.fd, *files, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    return dir;
}

static void dir_clear(Dir *dir)
{
    close(dir->fd);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir->path, NULL));
    g_free(dir->path);
}

static void assert_file(const Dir *dir, const char *file, const char *text)
{
    char have[64];
    g_assert_cmpint(duet_cgroup_file_read(dir->fd, file, have, sizeof have), >=, 0);
    g_assert_cmpstr(have, ==, text);
}

static const DuetLimits some_limits = { .memory_bytes = 64 << 20, .cpus = 1.5, .pids = 77 };
#define ALL_LIMITS (DUET_CONTROLLER_MEMORY | DUET_CONTROLLER_CPU | DUET_CONTROLLER_PIDS)

static void test_limits_v2(void)
{
    Dir dir = dir_new(
        (const char *const[]){ "memory.max", "memory.swap.max", "cpu.max", "pids.max", NULL });
    g_assert_true(duet_limits_apply(&some_limits, DUET_CGROUP_V2, ALL_LIMITS, dir.fd, NULL));
    assert_file(&dir, "memory.max", "67108864");
    assert_file(&dir, "memory.swap.max", "0");
    assert_file(&dir, "cpu.max", "150000 100000");
    assert_file(&dir, "pids.max", "77");
    dir_clear(&dir);
}

static void test_limits_v1(void)
{
    Dir dir = dir_new((const char *const[]){ "memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
        "cpu.cfs_quota_us", "cpu.cfs_period_us", "pids.max", NULL });
    g_assert_true(duet_limits_apply(&some_limits, DUET_CGROUP_V1, ALL_LIMITS, dir.fd, NULL));
    assert_file(&dir, "memory.limit_in_bytes", "67108864");
    assert_file(&dir, "memory.memsw.limit_in_bytes", "67108864");
    assert_file(&dir, "cpu.cfs_quota_us", "150000");
    assert_file(&dir, "cpu.cfs_period_us", "100000");
    assert_file(&dir, "pids.max", "77");
    dir_clear(&dir);
}

/* Swap accounting may be missing; the file of the limit itself may not. */
static void test_limits_missing_file(void)
{
    g_autoptr(GError) error = NULL;
    Dir dir = dir_new((const char *const[]){ "memory.max", NULL });
    g_assert_true(
        duet_limits_apply(&some_limits, DUET_CGROUP_V2, DUET_CONTROLLER_MEMORY, dir.fd, &error));
    g_assert_false(duet_limits_apply(&some_limits, DUET_CGROUP_V2, ALL_LIMITS, dir.fd, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "--cpus"));
    g_assert_nonnull(strstr(error->message, "cpu.max"));
    dir_clear(&dir);
}

static void test_limits_invalid(void)
{
    static const DuetLimits bad[] = { { .cpus = 0.001 }, { .cpus = -1 }, { .cpus = 1e9 },
        { .pids = G_MAXUINT64 }, { .memory_bytes = G_MAXUINT64 } };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(duet_cgroup_new("0123456789ab", &bad[i], &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    }
}

static void test_controllers_file(void)
{
    Dir dir =
        dir_new((const char *const[]){ "cgroup.controllers", "cgroup.subtree_control", NULL });
    g_assert_cmpint(
        duet_cgroup_file_write(dir.fd, "cgroup.controllers", "cpuset cpu io memory pids\n"), ==, 0);
    g_assert_cmpuint(duet_cgroup_v2_controllers(dir.fd), ==,
        ALL_LIMITS | DUET_CONTROLLER_CPUSET | DUET_CONTROLLER_IO);
    g_assert_cmpint(duet_cgroup_v2_enable(dir.fd, DUET_CONTROLLER_PIDS), ==, 0);
    assert_file(&dir, "cgroup.subtree_control", "+pids");
    dir_clear(&dir);
}

static char *new_id(void)
{
    return g_strdup_printf("%08x%04x", g_random_int(), g_random_int() & 0xffff);
}

static char *cgroups_of(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cgroup", (int)pid);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void assert_gone(DuetCgroup *cgroup)
{
    for (guint i = 0; i < cgroup->members_count; i++) {
        g_autofree char *path = g_strdup_printf(
            "%s/%s/duet-%s", cgroup->members[i].mount_point, cgroup->members[i].base, cgroup->id);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
}

static void run_life(const GPtrArray *layout)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = new_id();
    DuetLimits none = { 0 };
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_new_in(layout, id, &none, &error);
    g_assert_no_error(error);
    g_assert_null(duet_cgroup_new_in(layout, id, &none, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_EXISTS);
    g_clear_error(&error);

    pid_t pid = cgroup_child_in(cgroup);
    g_autofree char *where = cgroups_of(pid);
    g_autofree char *payload = g_strdup_printf("duet-%s/payload\n", id);
    guint found = 0;
    for (const char *at = where; (at = strstr(at, payload)) != NULL; at++)
        found++;
    g_assert_cmpuint(found, ==, cgroup->members_count);

    g_autoptr(DuetCgroup) again = duet_cgroup_open(duet_cgroup_path(cgroup), id, &error);
    g_assert_no_error(error);
    g_autoptr(GArray) pids = duet_cgroup_pids(again, DUET_CGROUP_PAYLOAD);
    g_assert_cmpuint(pids->len, ==, 1);
    g_assert_cmpint(g_array_index(pids, gint, 0), ==, pid);

    g_assert_true(duet_cgroup_freeze(again, TRUE, &error));
    g_assert_no_error(error);
    /* a frozen process can be killed without a thaw before it */
    g_assert_true(duet_cgroup_kill(again, DUET_CGROUP_PAYLOAD, 5000, &error));
    g_assert_no_error(error);
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    g_assert_true(duet_cgroup_remove(again, &error));
    g_assert_no_error(error);
    assert_gone(cgroup);
    g_assert_true(duet_cgroup_remove(cgroup, &error));
    g_autoptr(DuetCgroup) gone = duet_cgroup_open(duet_cgroup_path(cgroup), id, &error);
    g_assert_no_error(error);
    g_assert_true(duet_cgroup_kill(gone, DUET_CGROUP_PAYLOAD, 10, &error));
    g_assert_true(duet_cgroup_remove(gone, &error));
}

static GPtrArray *layout_of(DuetCgroupVersion version)
{
    GPtrArray *layout = duet_cgroup_layout_read(NULL);
    for (guint i = 0; i < layout->len;)
        if (((DuetHierarchy *)layout->pdata[i])->version != version)
            g_ptr_array_remove_index(layout, i);
        else
            i++;
    return layout;
}

static void test_life(void)
{
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_read(NULL);
    run_life(layout);
}

static void test_life_v1(void)
{
    g_autoptr(GPtrArray) layout = layout_of(DUET_CGROUP_V1);
    if (layout->len == 0)
        g_test_skip("no v1 hierarchy is mounted");
    else
        run_life(layout);
}

static void test_life_v2(void)
{
    g_autoptr(GPtrArray) layout = layout_of(DUET_CGROUP_V2);
    if (layout->len == 0)
        g_test_skip("no v2 hierarchy is mounted");
    else
        run_life(layout);
}

/* Returns: (nullable) (transfer full): the directory of the pool where memory is counted. */
static char *pool_path(const DuetCgroup *cgroup)
{
    for (guint i = 0; i < cgroup->members_count; i++)
        if ((cgroup->members[i].controllers & DUET_CONTROLLER_MEMORY) != 0)
            return g_build_filename(cgroup->members[i].mount_point, cgroup->members[i].base, NULL);
    return NULL;
}

/* Two of a pool lie in one cgroup with the pool's limit; the last takes it along, also one that
 * knows of it from a path alone. */
static void test_pool(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = new_id();
    g_autofree char *other = g_strdup(id);
    DuetLimits limits = { .pool = id, .pool_memory_bytes = 64 << 20 };
    other[0] = other[0] == 'a' ? 'b' : 'a';
    g_autoptr(DuetCgroup) first = duet_cgroup_new(id, &limits, &error);
    if (g_error_matches(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED)) {
        g_test_skip(error->message);
        return;
    }
    g_assert_no_error(error);
    g_autoptr(DuetCgroup) second = duet_cgroup_new(other, &limits, &error);
    g_assert_no_error(error);
    g_autofree char *path = pool_path(first);
    g_autofree char *name = g_strconcat("/duet-pool-", id, NULL);
    g_assert_true(g_str_has_suffix(path, name));
    g_autofree char *same = pool_path(second);
    g_assert_cmpstr(path, ==, same);
    DUET_AUTO_FD dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    guint64 limit = MAX(duet_cgroup_file_number(dir, "memory.limit_in_bytes"),
        duet_cgroup_file_number(dir, "memory.max"));
    g_assert_cmpuint(limit, ==, 64 << 20);

    g_assert_true(duet_cgroup_remove(first, &error));
    g_assert_true(g_file_test(path, G_FILE_TEST_IS_DIR));
    g_autoptr(DuetCgroup) found = duet_cgroup_open(duet_cgroup_path(second), other, &error);
    g_assert_no_error(error);
    g_assert_true(duet_cgroup_remove(found, &error));
    g_assert_no_error(error);
    for (guint i = 0; i < second->members_count; i++) {
        g_autofree char *base =
            g_build_filename(second->members[i].mount_point, second->members[i].base, NULL);
        g_assert_true(g_str_has_suffix(base, name));
        g_assert_false(g_file_test(base, G_FILE_TEST_EXISTS));
    }
}

/* Without a memory controller nobody would keep the limit: refused, never ignored. */
static void test_pool_unsupported(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_read(NULL);
    DuetLimits limits = { .pool = "x", .pool_memory_bytes = 64 << 20 };
    for (guint i = layout->len; i > 0; i--) {
        const DuetHierarchy *hierarchy = layout->pdata[i - 1];
        if ((hierarchy->controllers & DUET_CONTROLLER_MEMORY) != 0)
            g_ptr_array_remove_index(layout, i - 1);
    }
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 || layout->len == 0) {
        g_test_skip("cgroup v2 has all controllers here");
        return;
    }
    g_assert_null(duet_cgroup_new_in(layout, "0123456789ab", &limits, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
}

/* A pause really stops a process, a resume lets it go on. */
static void test_freeze(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = new_id();
    DuetLimits none = { 0 };
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_new(id, &none, &error);
    g_assert_no_error(error);
    volatile guint64 *counter =
        mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (duet_cgroup_join(cgroup, DUET_CGROUP_PAYLOAD) != 0)
            _exit(1);
        for (;;) {
            ++*counter;
            usleep(500);
        }
    }
    while (*counter == 0)
        usleep(1000);
    g_assert_true(duet_cgroup_freeze(cgroup, TRUE, &error));
    guint64 before = *counter;
    usleep(50000);
    g_assert_cmpuint(*counter, ==, before);
    g_assert_true(duet_cgroup_freeze(cgroup, FALSE, &error));
    g_assert_no_error(error);
    for (guint i = 0; i < 1000 && *counter == before; i++)
        usleep(1000);
    g_assert_cmpuint(*counter, >, before);
    g_assert_true(duet_cgroup_kill(cgroup, DUET_CGROUP_PAYLOAD, 5000, NULL));
    waitpid(pid, NULL, 0);
    munmap((void *)counter, sizeof *counter);
    g_assert_true(duet_cgroup_remove(cgroup, NULL));
}

static void test_memory(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = new_id();
    DuetLimits limits = { .memory_bytes = 16 << 20 };
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_new(id, &limits, &error);
    if (g_error_matches(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED)) {
        g_test_skip(error->message);
        return;
    }
    g_assert_no_error(error);
    pid_t pid = fork();
    if (pid == 0) {
        gsize size = 64 << 20;
        if (duet_cgroup_join(cgroup, DUET_CGROUP_PAYLOAD) != 0)
            _exit(1);
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (gsize i = 0; i < size; i += 4096)
            memory[i] = 1;
        _exit(0);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    DuetCgroupUsage usage;
    duet_cgroup_usage(cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_ALL, &usage);
    g_assert_cmpuint(usage.oom_kills, ==, 1);
    g_assert_cmpuint(usage.memory_peak_bytes, >, 8 << 20);
    g_assert_cmpuint(usage.memory_peak_bytes, <=, 16 << 20);
    g_assert_cmpuint(usage.cpu_ns, >, 0);
    /* What is not asked for is not read. */
    duet_cgroup_usage(cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_CPU, &usage);
    g_assert_cmpuint(usage.cpu_ns, >, 0);
    g_assert_cmpuint(usage.oom_kills + usage.memory_peak_bytes + usage.kernel_bytes, ==, 0);
    duet_cgroup_usage(cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_PEAK, &usage);
    g_assert_cmpuint(usage.oom_kills, ==, 1);
    g_assert_cmpuint(usage.memory_peak_bytes, >, 8 << 20);
    g_assert_cmpuint(usage.cpu_ns + usage.kernel_bytes, ==, 0);
    g_assert_true(duet_cgroup_remove(cgroup, NULL));
}

/* A child in @part that holds @size bytes until it is killed. */
static pid_t holder(DuetCgroup *cgroup, DuetCgroupPart part, gsize size)
{
    int ends[2];
    char byte;
    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (duet_cgroup_join(cgroup, part) != 0)
            _exit(1);
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(memory, 1, size);
        if (write(ends[1], "m", 1) == 1)
            pause();
        _exit(1);
    }
    close(ends[1]);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
    close(ends[0]);
    return pid;
}

/* Of v1 the one part is below the other. */
static void test_memory_of_parts(void)
{
    g_autofree char *id = new_id();
    DuetLimits none = { 0 };
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_new(id, &none, NULL);
    g_assert_nonnull(cgroup);
    const pid_t pids[] = {
        holder(cgroup, DUET_CGROUP_MONITOR, 4 << 20),
        holder(cgroup, DUET_CGROUP_PAYLOAD, 32 << 20),
    };
    g_autoptr(DuetCgroup) again = duet_cgroup_open(duet_cgroup_path(cgroup), id, NULL);
    for (guint i = 0; i < 2; i++) {
        DuetCgroupUsage monitor, payload;
        DuetCgroup *seen = i == 0 ? cgroup : again;
        duet_cgroup_usage(seen, DUET_CGROUP_MONITOR, DUET_CGROUP_WANT_MEMORY, &monitor);
        duet_cgroup_usage(seen, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_MEMORY, &payload);
        g_autoptr(GArray) monitors = duet_cgroup_pids(seen, DUET_CGROUP_MONITOR);
        g_assert_cmpuint(monitors->len, ==, 1);
        g_assert_cmpint(g_array_index(monitors, gint, 0), ==, pids[0]);
        if ((payload.known & DUET_CGROUP_WANT_MEMORY) == 0)
            continue; /* no memory controller here */
        g_assert_cmpuint(monitor.anon_bytes, >=, 3 << 20);
        g_assert_cmpuint(monitor.anon_bytes, <, 8 << 20);
        g_assert_cmpuint(monitor.memory_bytes, <, 16 << 20);
        g_assert_cmpuint(payload.anon_bytes, >=, 30 << 20);
        g_assert_cmpuint(payload.memory_bytes, <, 48 << 20);
    }
    for (guint i = 0; i < 2; i++)
        g_assert_cmpint(kill(pids[i], SIGKILL) + waitpid(pids[i], NULL, 0), ==, pids[i]);
    g_assert_true(duet_cgroup_remove(cgroup, NULL));
    assert_gone(cgroup);
}

static void test_pids(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = new_id();
    DuetLimits limits = { .pids = 1 };
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_new(id, &limits, &error);
    if (g_error_matches(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED)) {
        g_test_skip(error->message);
        return;
    }
    g_assert_no_error(error);
    pid_t pid = fork();
    if (pid == 0) {
        if (duet_cgroup_join(cgroup, DUET_CGROUP_PAYLOAD) != 0)
            _exit(1);
        _exit(fork() < 0 && errno == EAGAIN ? 42 : 1);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(WEXITSTATUS(status), ==, 42);
    g_assert_true(duet_cgroup_remove(cgroup, NULL));
}

/* A worker joins the payload to start QEMU there, and goes back: in every hierarchy. */
static void test_there_and_back(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = new_id();
    DuetLimits limits = { .cpus = 1 };
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_new(id, &limits, &error);
    if (g_error_matches(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED)) {
        g_test_skip(error->message);
        return;
    }
    g_assert_no_error(error);
    pid_t pid = fork();
    if (pid == 0) {
        if (duet_cgroup_join(cgroup, DUET_CGROUP_MONITOR) != 0 ||
            duet_cgroup_join(cgroup, DUET_CGROUP_PAYLOAD) != 0 ||
            duet_cgroup_join(cgroup, DUET_CGROUP_MONITOR) != 0)
            _exit(1);
        g_autofree char *where = cgroups_of(getpid());
        const DuetCgroupMember *tracking = cgroup->tracking[DUET_CGROUP_MONITOR];
        g_autofree char *monitor = g_strdup_printf(
            "/duet-%s%s\n", id, tracking->version == DUET_CGROUP_V1 ? "" : "/monitor");
        if (strstr(where, "payload") != NULL || strstr(where, monitor) == NULL)
            _exit(2);
        /* the monitor removes the cgroup that it is in */
        _exit(duet_cgroup_remove(cgroup, NULL) ? 0 : 3);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    assert_gone(cgroup);
}

static void test_kill_spares_caller(void)
{
    g_autofree char *id = new_id();
    DuetLimits none = { 0 };
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_new(id, &none, NULL);
    g_assert_nonnull(cgroup);
    pid_t pid = fork();
    if (pid == 0) {
        g_autoptr(GError) error = NULL;
        duet_cgroup_join(cgroup, DUET_CGROUP_MONITOR);
        gboolean refused = !duet_cgroup_kill(cgroup, DUET_CGROUP_MONITOR, 100, &error) &&
            g_error_matches(error, DUET_ERROR, DUET_ERROR_STATE);
        _exit(refused && duet_cgroup_remove(cgroup, NULL) ? 0 : 1);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
}

static void test_unsupported(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = new_id();
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_read(NULL);
    for (guint i = 0; i < layout->len;)
        if ((((DuetHierarchy *)layout->pdata[i])->controllers & DUET_CONTROLLER_MEMORY) != 0)
            g_ptr_array_remove_index(layout, i);
        else
            i++;
    const DuetHierarchy *v2 = duet_cgroup_layout_v2(layout);
    if (v2 != NULL) {
        DUET_AUTO_FD fd = open(v2->mount_point, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if ((duet_cgroup_v2_controllers(fd) & DUET_CONTROLLER_MEMORY) != 0) {
            g_test_skip("v2 has the memory controller");
            return;
        }
    }
    DuetLimits limits = { .memory_bytes = 64 << 20 };
    g_assert_null(duet_cgroup_new_in(layout, id, &limits, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "--memory"));
    for (guint i = 0; i < layout->len; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        g_autofree char *path =
            g_strdup_printf("%s/%s/duet-%s", hierarchy->mount_point, hierarchy->own, id);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
}

static void test_open_hostile(void)
{
    static const char *const bad[] = {
        "",
        " ",
        "memory:/",
        "memory:/duet",
        "memory:/duet/0123456789ab",
        "memory:duet-0123456789ab",
        "memory:/duet-0123456789ab/payload",
        "memory:/duet-0123456789abc",
        "memory:/duet-0123456789AB",
        "memory:/system.slice/0123456789ab",
        "memory:/xduet-0123456789ab",
        "memory:/../duet-0123456789ab",
        "memory:/a/../../duet-0123456789ab",
        "memory:/a/%2e%2e/duet-0123456789ab",
        "memory:/a//duet-0123456789ab",
        "memory:/a%00b/duet-0123456789ab",
        ":/duet-0123456789ab",
        "memory:/duet-0123456789ab  pids:/duet-0123456789ab",
        "memory:/duet-0123456789ab pids:/duet-0123456789ac",
        "/duet-0123456789ab",
        "memory:/duet-ba9876543210",
        "memory:/duet-pool-x",
        "memory:/duet-0123456789ab.monitor",
        "v2:/machine.slice/duet-ba9876543210.scope",
        "v2:/machine.slice/duet-0123456789ab.scope/payload",
        "v2:/machine.slice/duet-0123456789ab.service",
        "v2:/machine.slice/xduet-0123456789ab.scope",
        "v2:/machine.slice/../duet-0123456789ab.scope",
        "v2:/machine.slice//duet-0123456789ab.scope",
        "v2://duet-0123456789ab.scope",
        "v2:machine.slice/duet-0123456789ab.scope",
        ":/machine.slice/duet-0123456789ab.scope",
        "v2:/machine.slice/duet-0123456789ab.scope v2:/duet-ba9876543210",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("path '%s'", bad[i]);
        g_assert_null(duet_cgroup_open(bad[i], "0123456789ab", &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetCgroup) stale =
        duet_cgroup_open("gone:/duet-0123456789ab memory:/no/such/duet-0123456789ab "
                         "v2:/no.slice/duet-0123456789ab.scope",
            "0123456789ab", &error);
    g_assert_no_error(error);
    g_assert_true(duet_cgroup_kill(stale, DUET_CGROUP_PAYLOAD, 10, &error));
    g_assert_true(duet_cgroup_remove(stale, &error));
}

/* Several make and remove the pool that they share at the same time. */
static void test_pool_race(void)
{
    g_autofree char *pool = new_id();
    DuetLimits limits = { .pool = pool, .pool_memory_bytes = 64 << 20 };
    g_autoptr(GError) refused = NULL;
    g_autoptr(DuetCgroup) first = duet_cgroup_new(pool, &limits, &refused);
    if (first == NULL) {
        g_assert_error(refused, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
        g_test_skip(refused->message);
        return;
    }
    g_assert_true(duet_cgroup_remove(first, NULL));
    pid_t pids[3];
    for (gsize i = 0; i < G_N_ELEMENTS(pids); i++) {
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        for (guint round = 0; round < 100; round++) {
            g_autoptr(GError) error = NULL;
            g_autofree char *id = g_strdup_printf("%06x%06x", (guint)getpid() & 0xffffff, round);
            g_autoptr(DuetCgroup) cgroup = duet_cgroup_new(id, &limits, &error);
            if (cgroup == NULL || !duet_cgroup_remove(cgroup, &error)) {
                g_printerr("# %s\n", error->message);
                _exit(1);
            }
        }
        _exit(0);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(pids); i++) {
        int status = 0;
        g_assert_cmpint(waitpid(pids[i], &status, 0), ==, pids[i]);
        g_assert_cmpint(status, ==, 0);
    }
}

/* The payload may have made cgroups below its own. */
static void test_remove_nested(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = new_id();
    DuetLimits none = { 0 };
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_new(id, &none, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < cgroup->members_count; i++) {
        int fd = cgroup->members[i].part_fds[DUET_CGROUP_PAYLOAD];
        g_assert_cmpint(mkdirat(fd, "a", 0755), ==, 0);
        g_assert_cmpint(mkdirat(fd, "a/b", 0755), ==, 0);
    }
    g_assert_true(duet_cgroup_remove(cgroup, &error));
    g_assert_no_error(error);
    assert_gone(cgroup);
}

static void test_check(void)
{
    g_autoptr(GPtrArray) checks = duet_cgroup_check();
    g_assert_cmpuint(checks->len, >=, 1);
    for (guint i = 0; i < checks->len; i++) {
        const DuetCheck *check = checks->pdata[i];
        g_test_message("%s: %d %s", check->name, check->status, check->detail);
        g_assert_true((check->status == DUET_CHECK_OK) == (check->advice == NULL));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cgroup/layout/hybrid", test_layout_hybrid);
    g_test_add_func("/cgroup/layout/parts", test_layout_parts);
    g_test_add_func("/cgroup/layout/guess", test_layout_guess);
    g_test_add_func("/cgroup/limits/v1", test_limits_v1);
    g_test_add_func("/cgroup/limits/v2", test_limits_v2);
    g_test_add_func("/cgroup/limits/missing-file", test_limits_missing_file);
    g_test_add_func("/cgroup/limits/invalid", test_limits_invalid);
    g_test_add_func("/cgroup/limits/unsupported", test_unsupported);
    g_test_add_func("/cgroup/controllers-file", test_controllers_file);
    g_test_add_func("/cgroup/open/hostile", test_open_hostile);
    g_test_add_func("/cgroup/life", test_life);
    g_test_add_func("/cgroup/life/v1", test_life_v1);
    g_test_add_func("/cgroup/life/v2", test_life_v2);
    g_test_add_func("/cgroup/pool/life", test_pool);
    g_test_add_func("/cgroup/pool/unsupported", test_pool_unsupported);
    g_test_add_func("/cgroup/freeze", test_freeze);
    g_test_add_func("/cgroup/memory", test_memory);
    g_test_add_func("/cgroup/memory/parts", test_memory_of_parts);
    g_test_add_func("/cgroup/pids", test_pids);
    g_test_add_func("/cgroup/there-and-back", test_there_and_back);
    g_test_add_func("/cgroup/kill/spares-caller", test_kill_spares_caller);
    g_test_add_func("/cgroup/pool-race", test_pool_race);
    g_test_add_func("/cgroup/remove/nested", test_remove_nested);
    g_test_add_func("/cgroup/check", test_check);
    return g_test_run();
}
