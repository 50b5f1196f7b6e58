/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read of a cgroup's memory, from the files that kernels of either version have. */
#include "core/cgroup/cgroup-private.h"

#include <fcntl.h>

#include "core/util.h"

typedef struct {
    const char *name, *text;
} File;

static DuetCgroupUsage usage_of(const DuetCgroupBackend *backend, const File *files)
{
    DuetCgroupUsage usage = { 0 };
    g_autofree char *dir = g_dir_make_tmp("duet-usage-XXXXXX", NULL);
    for (const File *file = files; file->name != NULL; file++) {
        g_autofree char *path = g_build_filename(dir, file->name, NULL);
        g_assert_true(g_file_set_contents(path, file->text, -1, NULL));
    }
    DUET_AUTO_FD fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    backend->usage(fd, DUET_CONTROLLER_MEMORY, DUET_CGROUP_WANT_MEMORY, &usage);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
    return usage;
}

static void test_v2(void)
{
    static const File files[] = {
        { "memory.current", "10000\n" },
        { "memory.stat",
            "anon 1000\nfile 2000\nkernel 3000\nkernel_stack 500\npagetables 600\n"
            "percpu 700\nsock 4000\nshmem 300\nslab 1200\n" },
        { NULL, NULL },
    };
    DuetCgroupUsage usage = usage_of(&duet_cgroup_backend_v2, files);
    g_assert_cmpuint(usage.kernel_bytes, ==, 3000 + 4000);
    g_assert_cmpuint(usage.memory_bytes, ==, 10000);
    g_assert_cmpuint(usage.file_bytes, ==, 2000 - 300);
    /* the parts are the whole, and nothing is counted twice */
    g_assert_cmpuint(usage.anon_bytes + usage.file_bytes + usage.shmem_bytes + usage.kernel_bytes,
        ==, usage.memory_bytes);
}

static void test_v2_without_kernel(void)
{
    static const File files[] = {
        { "memory.current", "10000\n" },
        { "memory.stat",
            "anon 1000\nfile 0\nkernel_stack 500\npagetables 600\npercpu 700\n"
            "sock 4000\nshmem 0\nslab_reclaimable 800\nslab 1200\n" },
        { NULL, NULL },
    };
    DuetCgroupUsage usage = usage_of(&duet_cgroup_backend_v2, files);
    g_assert_cmpuint(usage.kernel_bytes, ==, 500 + 600 + 700 + 1200 + 4000);
}

static const File v1_files[] = {
    { "memory.usage_in_bytes", "6000\n" },
    { "memory.stat",
        "cache 1\nrss 1\ntotal_cache 2000\ntotal_rss 1000\ntotal_shmem 300\n"
        "total_inactive_file 100\n" },
    { "memory.kmem.usage_in_bytes", "3000\n" },
    { "memory.kmem.tcp.usage_in_bytes", "4000\n" },
    { NULL, NULL },
};

static void test_v1(void)
{
    DuetCgroupUsage usage = usage_of(&duet_cgroup_backend_v1, v1_files);
    g_assert_cmpuint(usage.kernel_bytes, ==, 3000 + 4000);
    g_assert_cmpuint(usage.memory_bytes, ==, 6000 + 4000);
    g_assert_cmpuint(usage.anon_bytes + usage.file_bytes + usage.shmem_bytes + usage.kernel_bytes,
        ==, usage.memory_bytes);
}

/* A kernel without CONFIG_INET. */
static void test_v1_without_tcp(void)
{
    File files[G_N_ELEMENTS(v1_files) - 1] = { 0 };
    for (gsize i = 0; i + 1 < G_N_ELEMENTS(files); i++)
        files[i] = v1_files[i];
    DuetCgroupUsage usage = usage_of(&duet_cgroup_backend_v1, files);
    g_assert_cmpuint(usage.kernel_bytes, ==, 3000);
    g_assert_cmpuint(usage.memory_bytes, ==, 6000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cgroup-usage/v2", test_v2);
    g_test_add_func("/cgroup-usage/v2-without-kernel", test_v2_without_kernel);
    g_test_add_func("/cgroup-usage/v1", test_v1);
    g_test_add_func("/cgroup-usage/v1-without-tcp", test_v1_without_tcp);
    return g_test_run();
}
