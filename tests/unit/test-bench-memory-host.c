/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `bench memory` asks of the host, and that the host survives. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/driver.h>
#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/host/environment.h"
#include "bench/memory/equal-memory.h"
#include "bench/memory/memory-counts.h"
#include "bench/memory/reread.h"
#include "core/memory.h"
#include "core/util.h"
#include "memory-fixture.h"

static void test_equal_memory(void)
{
    /* Near enough; too little, too much; whole MiB; the least; nonsense from a guest. */
    g_assert_cmpuint(duet_equal_memory_next(128 * MIB, 190 * MIB, 129 * MIB, 80 * MIB), ==, 0);
    g_assert_cmpuint(
        duet_equal_memory_next(128 * MIB, 190 * MIB, 120 * MIB, 80 * MIB), ==, 198 * MIB);
    g_assert_cmpuint(
        duet_equal_memory_next(128 * MIB, 190 * MIB, 131 * MIB - 1, 80 * MIB), ==, 187 * MIB);
    g_assert_cmpuint(duet_equal_memory_next(16 * MIB, 80 * MIB, 25 * MIB, 80 * MIB), ==, 80 * MIB);
    g_assert_cmpuint(
        duet_equal_memory_next(128 * MIB, 190 * MIB, G_GUINT64_CONSTANT(1) << 50, 80 * MIB), ==,
        80 * MIB);
    g_assert_cmpuint(duet_equal_memory_next(1024 * MIB, 1090 * MIB, 1034 * MIB, 80 * MIB), ==, 0);
}

static guint resident_pages(int fd, gsize size)
{
    gsize page = sysconf(_SC_PAGESIZE);
    unsigned char in_core[64];
    guint resident = 0;
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

    g_assert_true(map != MAP_FAILED && size / page <= sizeof in_core);
    g_assert_cmpint(mincore(map, size, in_core), ==, 0);
    for (gsize i = 0; i < size / page; i++)
        resident += in_core[i] & 1;
    munmap(map, size);
    return resident;
}

static void test_reread(void)
{
    gsize size = 32 * sysconf(_SC_PAGESIZE);
    g_autofree char *data = g_malloc0(size), *folder = g_strdup("reread-XXXXXX");
    /* In the current directory: on tmpfs nothing can be evicted. */
    g_assert_nonnull(g_mkdtemp(folder));
    g_autofree char *below = g_build_filename(folder, "sub", NULL);
    g_autofree char *file = g_build_filename(below, "file", NULL);
    g_autofree char *link = g_build_filename(folder, "link", NULL);
    g_assert_cmpint(mkdir(below, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, data, size, NULL));
    g_assert_cmpint(symlink("/proc/kmsg", link), ==, 0);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fdatasync(fd), ==, 0);
    g_assert_cmpint(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), ==, 0);
    if (resident_pages(fd, size) > 0)
        g_test_message("this file system keeps its pages: they are not seen to come back");

    DuetReread reread = { 0 };
    duet_reread_path(folder, &reread);
    g_assert_cmpuint(reread.bytes, ==, size);
    g_assert_cmpuint(reread.files, ==, 1);
    g_assert_cmpuint(reread.failed, ==, 0);
    g_assert_cmpuint(resident_pages(fd, size), ==, 32);
    duet_reread_path("/nonexistent", &reread);
    g_assert_cmpuint(reread.failed, ==, 1);
    close(fd);
    g_assert_true(duet_remove_tree(AT_FDCWD, folder, NULL));
}

static gboolean poor_host(DuetHostMemory *out_memory, GError **error)
{
    (void)error;
    *out_memory = (DuetHostMemory){
        .at_ns = 1, .total_bytes = 64 * 1024 * MIB, .available_bytes = 6 * 1024 * MIB
    };
    return TRUE;
}

static void test_host_is_protected(void)
{
    g_autoptr(GError) error = NULL, refused = NULL;
    DuetHostMemory host;

    g_assert_true(duet_host_memory_read(&host, &error));
    g_assert_no_error(error);
    for (const DuetHostField *field = duet_host_fields(); field->json; field++)
        if (!g_str_has_prefix(field->json, "swap") && !g_str_equal(field->json, "shmem_bytes"))
            g_assert_cmpuint(G_STRUCT_MEMBER(guint64, &host, field->offset), >, 0);

    /* 10 % of 64 GiB are more than 6; of 8 GiB, 2 GiB are the floor. */
    poor_host(&host, NULL);
    g_assert_false(duet_host_memory_check(&host, NULL, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
    g_assert_true(g_str_has_suffix(error->message, "end what else runs"));
    g_clear_error(&error);
    g_assert_false(duet_host_memory_check(&host, "--max", &error));
    g_assert_true(g_str_has_suffix(error->message, "or take a smaller --max"));
    host.total_bytes = 8 * 1024 * MIB;
    g_assert_true(duet_host_memory_check(&host, NULL, NULL));
    host.available_bytes = 2047 * MIB;
    g_assert_false(duet_host_memory_check(&host, NULL, NULL));

    /* Refused at the start; in a sample, told and not tried again with as many or more. */
    g_autofree char *folder = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    static const DuetDriverEntry no_drivers[] = { { 0 } };
    g_autoptr(DuetContext) context = duet_context_new(folder, no_drivers, NULL);
    g_autoptr(DuetSpec) spec = duet_spec_new();
    DuetBenchArm arm = { "container", spec };
    DuetBenchRequest request = { .context = context, .arms = &arm, .n_arms = 1 };
    static const guint some[] = { 1, 2 };
    g_autoptr(DuetRun) run =
        duet_run_new(&duet_benchmark_memory, duet_plan_new_memory(1, some, 2, 1, 1, 1, 0.02));
    g_ptr_array_add(run->arms, duet_run_arm_new("container", "container"));
    g_auto(DuetMemorySampler) sampler = { 0 };
    duet_memory_sampler_init(&sampler, &request, run);
    sampler.read_host = poor_host;
    g_assert_false(duet_memory_sampler_begin(&sampler, &refused));
    g_assert_error(refused, DUET_ERROR, DUET_ERROR_STATE);
    g_assert_nonnull(strstr(refused->message, "--counts"));
    for (guint count = 1; count <= 2; count++) {
        g_autoptr(DuetSample) sample = duet_sample_new(0, 0, 0);
        sample->memory = duet_memory_point_new(count);
        g_assert_true(duet_memory_sampler_take(sample, &sampler, NULL));
        g_assert_cmpint(sample->status, ==, DUET_SAMPLE_FAILED);
        g_assert_cmpuint(sample->memory->started, ==, 0);
        g_assert_nonnull(strstr(sample->error, count == 1 ? "must keep" : "not tried"));
        g_assert_cmpint(sample->memory->no_room, ==, count == 1);
        if (count == 1)
            g_ptr_array_add(run->samples, g_steal_pointer(&sample));
    }
    g_assert_false(sampler.interrupted);

    /* What goes on with that run knows it. */
    g_auto(DuetMemorySampler) resumed = { 0 };
    duet_memory_sampler_init(&resumed, &request, run);
    g_assert_cmpuint(resumed.too_many[0], ==, 1);
    g_assert_true(duet_remove_tree(AT_FDCWD, folder, NULL));
}

static void test_guest_ram(void)
{
    static const char smaps[] =
        "7f69b4000000-7f69b52b3000 rw-p 00000000 00:00 0 \n"
        "Size:              19148 kB\nPss:                7496 kB\nVmFlags: rd wr\n"
        "7f69c3e00000-7f69d3e00000 rw-p 00000000 00:00 0 \n"
        "Size:             262144 kB\nRss: 90000 kB\nPss:               88064 kB\n"
        "7f69d4000000-7f69d7fff000 rw-s 00000000 00:01 4711   /memfd:ram (deleted)\n"
        "Size:              65532 kB\nPss:               53248 kB\n";
    gboolean shared = TRUE;

    g_assert_cmpuint(duet_smaps_guest_ram(smaps, 256 * MIB, &shared), ==, 86 * MIB);
    g_assert_false(shared);
    g_assert_cmpuint(duet_smaps_guest_ram(smaps, 65532 * 1024, &shared), ==, 52 * MIB);
    g_assert_true(shared);
    g_assert_cmpuint(duet_smaps_guest_ram(smaps, 128 * MIB, &shared), ==, 0);
    g_assert_cmpuint(duet_smaps_guest_ram(NULL, 128 * MIB, &shared), ==, 0);
}

static void test_warnings(void)
{
    g_autoptr(JsonObject) host = json_object_new();
    JsonObject *memory = json_object_new();
    g_autoptr(GPtrArray) few = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) many = g_ptr_array_new_with_free_func(g_free);

    json_object_set_object_member(host, "memory", memory);
    json_object_set_string_member(memory, "damon_reclaim", "N");
    json_object_set_string_member(memory, "zswap", "N");
    json_object_set_null_member(memory, "mglru");
    duet_environment_memory_warnings(host, few);
    g_assert_cmpuint(few->len, ==, 0);
    json_object_set_string_member(memory, "mglru", "0x0000");
    duet_environment_memory_warnings(host, few);
    g_assert_cmpuint(few->len, ==, 0);
    json_object_set_string_member(memory, "damon_reclaim", "Y");
    json_object_set_string_member(memory, "zswap", "Y");
    json_object_set_string_member(memory, "mglru", "0x0007");
    duet_environment_memory_warnings(host, many);
    g_assert_cmpuint(many->len, ==, 2);
}

/* The host that has 6 GiB above its floor. */
static char *counts_for(DuetKind kind, guint64 ram_bytes, gboolean unasked, char **out_note)
{
    static const guint counts[] = { 0, 1, 2, 4, 8, 16 };
    g_autoptr(DuetSpec) spec = duet_spec_new();
    DuetBenchArm arm = { "arm", spec };
    DuetBenchRequest request = { .arms = &arm,
        .n_arms = 1,
        .counts = counts,
        .n_counts = G_N_ELEMENTS(counts),
        .counts_unasked = unasked };
    DuetHostMemory host = { .total_bytes = 16 * 1024 * MIB, .available_bytes = 8 * 1024 * MIB };
    GString *text = g_string_new(NULL);

    spec->kind = kind;
    spec->memory_bytes = ram_bytes;
    g_autoptr(GArray) fit = duet_memory_counts(&request, &host, out_note);
    for (guint i = 0; i < fit->len; i++)
        g_string_append_printf(text, "%s%u", i > 0 ? "," : "", g_array_index(fit, guint, i));
    return g_string_free(text, FALSE);
}

static void test_counts(void)
{
    static const struct {
        DuetKind kind;
        guint64 ram_mib;
        gboolean unasked;
        const char *counts, *note;
    } rows[] = {
        { DUET_KIND_VM, 0, TRUE, "0,1,2,4,8,16", NULL },
        { DUET_KIND_VM, 384, TRUE, "0,1,2,4,8,16", NULL },
        { DUET_KIND_VM, 385, TRUE, "0,1,2,4,8", "up to 8 at the same time, not 16" },
        { DUET_KIND_VM, 1024, TRUE, "0,1,2,4", "may use 16.0 GiB, and the host has 6.0 GiB" },
        { DUET_KIND_VM, 8192, TRUE, "0,1", "up to 1 " },
        { DUET_KIND_VM, 8192, FALSE, "0,1,2,4,8,16", NULL },
        { DUET_KIND_CONTAINER, 8192, TRUE, "0,1,2,4,8,16", NULL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *note = NULL;
        g_autofree char *counts =
            counts_for(rows[i].kind, rows[i].ram_mib * MIB, rows[i].unasked, &note);
        g_assert_cmpstr(counts, ==, rows[i].counts);
        if (rows[i].note)
            g_assert_nonnull(strstr(note, rows[i].note));
        else
            g_assert_null(note);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/equal-memory", test_equal_memory);
    g_test_add_func("/memory/reread", test_reread);
    g_test_add_func("/memory/host-is-protected", test_host_is_protected);
    g_test_add_func("/memory/counts", test_counts);
    g_test_add_func("/memory/guest-ram", test_guest_ram);
    g_test_add_func("/memory/warnings", test_warnings);
    return g_test_run();
}
