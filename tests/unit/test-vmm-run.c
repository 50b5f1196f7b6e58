/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM driver, really: this process plays the monitor (subreaper, reaps at once), core's worker
 * runs the driver, and Debian's kernel boots as far as the agent's first frame.
 */
#include "core/cgroup/cgroup.h"
#include "core/util.h"
#include "core/monitor/worker.h"
#include "vmm/kvm-probe.h"
#include "vmm/vm.h"

#include <duet/error.h>
#include <duet/protocol.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELLO_TIMEOUT_MS 120000
#define TEST_UID 0x2ffe0000u

extern const DuetDriverOps duet_vm_driver;

typedef struct {
    DuetSpec *spec;
    DuetCgroup *cgroup;
    char *dir;
    char *run_dir;
    DuetPlace place;
    DuetRuntime *runtime;
    DuetMarks marks;
    DuetStarted started;
} Fixture;

static int wait_readable(int fd, int timeout_ms, gpointer data)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    int polled;
    (void)data;
    /* The end of a child is none of the wait. */
    while ((polled = poll(&ready, 1, timeout_ms)) < 0 && errno == EINTR)
        ;
    return polled;
}

static void on_child(int signal_number)
{
    int err = errno;
    (void)signal_number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = err;
}

static void reap(gboolean on)
{
    struct sigaction action = { .sa_flags = SA_RESTART };
    action.sa_handler = on ? on_child : SIG_DFL;
    sigaction(SIGCHLD, &action, NULL);
}

/* A root disk with nothing on it: the agent says HELLO before it looks. */
static char *root_disk_make(const char *dir)
{
    g_autofree char *empty = g_build_filename(dir, "empty", NULL);
    g_autofree char *disk = g_build_filename(dir, "root.sqfs", NULL);
    g_assert_true(duet_mkdir_p(empty, 0755, NULL));
    const char *const argv[] = { "gensquashfs", "-q", "-D", empty, disk, NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *out = duet_capture(argv, &error);
    g_assert_nonnull(out);
    g_assert_no_error(error);
    return g_steal_pointer(&disk);
}

static void set_up(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    fixture->started = (DuetStarted){ .agent_fd = -1, .pidfd = -1 };
    /* 0700, as mktemp -d makes them: QEMU's uid cannot pass here by itself. */
    fixture->dir = g_dir_make_tmp("duet-run-XXXXXX", NULL);
    fixture->spec = duet_spec_new();
    fixture->spec->kind = DUET_KIND_VM;
    fixture->spec->name = g_strdup("test");
    fixture->spec->image_ref = g_strdup("empty");
    fixture->spec->root_disk = root_disk_make(fixture->dir);
    fixture->spec->memory_bytes = G_GUINT64_CONSTANT(128) << 20;
    DuetLimits limits = { .memory_bytes = duet_vm_memory_bytes(fixture->spec) +
            duet_vm_memory_allowance_bytes(fixture->spec) };
    fixture->cgroup = duet_cgroup_new(fixture->spec->id, &limits, &error);
    g_assert_no_error(error);
    fixture->run_dir = g_build_filename("/run/duet", fixture->spec->id, NULL);
    g_assert_true(duet_mkdir_p(fixture->run_dir, 0711, NULL));
    fixture->place = (DuetPlace){ .instance_dir = fixture->dir,
        .run_dir = fixture->run_dir,
        .cgroup = fixture->cgroup,
        .id_base = TEST_UID,
        .wait = wait_readable };
    const DuetDriverEntry entry = {
        .kind = DUET_KIND_VM, .ops = &duet_vm_driver, .module = "duet-vm"
    };
    fixture->runtime = duet_worker_new(&entry, fixture->spec, &fixture->place, &error);
    g_assert_no_error(error);
    reap(TRUE); /* after the fork: the worker must not reap what libvirt waits for */
}

static gboolean dir_is_empty(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = dir ? g_dir_read_name(dir) : NULL;
    if (name)
        g_test_message("left in '%s': %s", path, name);
    return dir && !name;
}

static void wait_empty(DuetCgroup *cgroup, DuetCgroupPart part)
{
    for (int i = 0; i < 500; i++) {
        g_autoptr(GArray) pids = duet_cgroup_pids(cgroup, part);
        if (pids->len == 0)
            return;
        g_usleep(10000);
    }
    g_assert_not_reached();
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_runtime_release(fixture->runtime, &error));
    g_assert_no_error(error);
    g_assert_true(dir_is_empty(fixture->run_dir));
    duet_runtime_free(fixture->runtime);
    duet_fd_clear(&fixture->started.agent_fd);
    duet_fd_clear(&fixture->started.pidfd);
    g_clear_pointer(&fixture->started.facts, g_variant_unref);
    g_free(fixture->started.notice);
    wait_empty(fixture->cgroup, DUET_CGROUP_PAYLOAD);
    wait_empty(fixture->cgroup, DUET_CGROUP_MONITOR);
    reap(FALSE);
    duet_cgroup_remove(fixture->cgroup, &error);
    g_assert_no_error(error);
    duet_cgroup_free(fixture->cgroup);
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->run_dir, NULL));
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->dir, NULL));
    duet_spec_free(fixture->spec);
    g_free(fixture->run_dir);
    g_free(fixture->dir);
}

static void start(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    duet_marks_set(&fixture->marks, DUET_MARK_REQUEST);
    duet_runtime_start(fixture->runtime, &fixture->marks, &fixture->started, &error);
    g_assert_no_error(error);
}

static void wait_hello(const Fixture *fixture)
{
    struct duet_frame_reader reader = { 0 };
    struct duet_frame frame;
    int found;
    while ((found = duet_frame_reader_next(&reader, &frame)) == 0) {
        struct pollfd ready = { .fd = fixture->started.agent_fd, .events = POLLIN };
        g_assert_cmpint(poll(&ready, 1, HELLO_TIMEOUT_MS), ==, 1);
        size_t room;
        uint8_t *at = duet_frame_reader_space(&reader, &room);
        ssize_t n = read(fixture->started.agent_fd, at, room);
        if (n <= 0) {
            g_autofree char *tail = duet_runtime_console_tail(fixture->runtime);
            g_error("the guest did not come up: %s", tail);
        }
        duet_frame_reader_fed(&reader, (size_t)n);
    }
    g_assert_cmpint(found, ==, 1);
    g_assert_cmpint(frame.type, ==, DUET_FRAME_HELLO);
    g_assert_cmpuint(duet_get_u32(frame.payload), ==, DUET_PROTOCOL_VERSION);
    duet_frame_reader_clear(&reader);
}

static void wait_exit(const Fixture *fixture)
{
    struct pollfd over = { .fd = fixture->started.pidfd, .events = POLLIN };
    int ready;
    while ((ready = poll(&over, 1, 30000)) < 0 && errno == EINTR)
        ;
    g_assert_cmpint(ready, ==, 1);
}

static char *proc_read(pid_t pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
    g_autoptr(GError) error = NULL;
    char *text = duet_file_read(AT_FDCWD, path, 1 << 20, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static void assert_ids(pid_t pid)
{
    g_autofree char *status = proc_read(pid, "status");
    g_autofree char *uids =
        g_strdup_printf("\nUid:\t%u\t%u\t%u\t%u\n", TEST_UID, TEST_UID, TEST_UID, TEST_UID);
    g_assert_nonnull(strstr(status, uids));
    g_assert_nonnull(strstr(status, "\nCapEff:\t0000000000000000\n"));
}

/* In the payload's part, in every hierarchy in which this process has one at all. */
static void assert_cgroup(const Fixture *fixture)
{
    g_autoptr(GArray) pids = duet_cgroup_pids(fixture->cgroup, DUET_CGROUP_PAYLOAD);
    gboolean found = FALSE;
    for (guint i = 0; i < pids->len; i++)
        found = found || g_array_index(pids, int, i) == fixture->started.pid;
    g_assert_true(found);
    g_autofree char *text = proc_read(fixture->started.pid, "cgroup");
    g_autofree char *payload = g_strdup_printf("/duet-%s/payload\n", fixture->spec->id);
    g_assert_nonnull(strstr(text, payload));
    g_assert_null(strstr(text, "machine.slice"));
    g_autofree char *own = g_strdup_printf("/duet-%s\n", fixture->spec->id);
    g_assert_null(strstr(text, "/monitor\n"));
    g_assert_null(strstr(text, own));
}

static void assert_fact(const Fixture *fixture, const char *key, const char *expected)
{
    const char *value = NULL;
    g_assert_true(g_variant_lookup(fixture->started.facts, key, "&s", &value));
    if (expected)
        g_assert_cmpstr(value, ==, expected);
    else
        g_assert_cmpuint(strlen(value), >, 0);
}

/* What QEMU's uid could write of what other VMs read: nothing, and not even pass to the cache. */
static void assert_nothing_shared_is_writable(const Fixture *fixture)
{
    static const char *const keys[] = { "kernel_booted", "initramfs" };
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *path = NULL;
        struct stat st;
        g_assert_true(g_variant_lookup(fixture->started.facts, keys[i], "&s", &path));
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_uid, ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0644);
    }
    struct stat st;
    g_assert_cmpint(stat(fixture->spec->root_disk, &st), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, 0);
    g_assert_cmpuint(st.st_mode & 022, ==, 0);
    g_autofree char *cache = g_build_filename(fixture->run_dir, "cache", NULL);
    g_assert_cmpint(stat(cache, &st), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0700);
    g_autofree char *disk = g_build_filename(fixture->dir, "rw.img", NULL);
    g_assert_cmpint(stat(disk, &st), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, TEST_UID);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
}

static void test_boot(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(DuetKvm) kvm = duet_kvm_probe(DUET_VM_KVM_DEVICE);
    gboolean usable = kvm->stage == DUET_KVM_USABLE;
    start(fixture);
    wait_hello(fixture);
    gint64 hello_ns = duet_now_ns();
    const gint64 *ns = fixture->marks.ns;
    g_assert_cmpint(ns[DUET_MARK_REQUEST], <, ns[DUET_MARK_SPAWNED]);
    g_assert_cmpint(ns[DUET_MARK_SPAWNED], <, ns[DUET_MARK_RUNNING]);
    g_assert_cmpint(ns[DUET_MARK_RUNNING], <, hello_ns);
    assert_ids(fixture->started.pid);
    assert_cgroup(fixture);
    assert_nothing_shared_is_writable(fixture);
    assert_fact(fixture, "accel", usable ? "kvm" : "tcg");
    assert_fact(fixture, "cpu_model", usable ? "host-passthrough" : "maximum");
    assert_fact(fixture, "qemu_version", NULL);
    assert_fact(fixture, "domain_xml", NULL);
    assert_fact(fixture, "kernel_sha256", NULL);
    /* Said once, and only where there is something to say. */
    g_assert_cmpint(fixture->started.notice != NULL, ==, !usable);
    if (!usable)
        g_assert_nonnull(strstr(fixture->started.notice, "TCG"));
    /* The agent powers off when the host's end of its channel closes. */
    duet_fd_clear(&fixture->started.agent_fd);
    wait_exit(fixture);
}

static void test_kill(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    start(fixture);
    gint64 start_ns = duet_now_ns();
    g_assert_true(duet_runtime_kill(fixture->runtime, &error));
    wait_exit(fixture);
    g_assert_true(duet_runtime_kill(fixture->runtime, &error)); /* already gone: no error */
    g_assert_true(duet_runtime_release(fixture->runtime, &error));
    const char *slow = g_getenv("DUET_TEST_SLOW");
    gint64 limit_ns = 5 * G_GINT64_CONSTANT(1000000000) * (slow ? atoi(slow) : 1);
    g_assert_cmpint(duet_now_ns() - start_ns, <, limit_ns);
}

static void test_pause(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    start(fixture);
    g_assert_true(duet_runtime_pause(fixture->runtime, &error));
    struct pollfd quiet = { .fd = fixture->started.agent_fd, .events = POLLIN };
    g_assert_cmpint(poll(&quiet, 1, 3000), ==, 0);
    g_assert_true(duet_runtime_resume(fixture->runtime, &error));
    wait_hello(fixture);
    g_assert_true(duet_runtime_kill(fixture->runtime, &error));
    wait_exit(fixture);
}

static void assert_refused(Fixture *fixture, int code, const char *word)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(
        duet_runtime_start(fixture->runtime, &fixture->marks, &fixture->started, &error));
    g_assert_error(error, DUET_ERROR, code);
    g_assert_nonnull(strstr(error->message, word));
    g_assert_cmpint(fixture->marks.ns[DUET_MARK_SPAWNED], ==, 0);
}

/* The worker has its own copy of the spec: wishes must be there before it is forked. */
static void test_refusals(Fixture *fixture, gconstpointer data)
{
    (void)data;
    const struct {
        guint64 memory_bytes;
        double cpus;
        const char *qemu_path;
        const char *kernel_path;
        int code;
        const char *word;
    } rows[] = {
        { 32 << 20, 0, NULL, NULL, DUET_ERROR_INVALID, "80.0 MiB" },
        { 0, 1000, NULL, NULL, DUET_ERROR_INVALID, "255" },
        { 0, 0, "/nonexistent/qemu", NULL, DUET_ERROR_NOT_FOUND, "'/nonexistent/qemu'" },
        { 0, 0, NULL, "/nonexistent/kernel", DUET_ERROR_NOT_FOUND, "'/nonexistent/kernel'" },
        { 0, 0, NULL, "/etc/passwd", DUET_ERROR_INVALID, "'/etc/passwd'" },
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        DuetSpec spec = *fixture->spec;
        spec.memory_bytes = rows[i].memory_bytes;
        spec.cpus = rows[i].cpus;
        spec.qemu_path = (char *)rows[i].qemu_path;
        spec.kernel_path = (char *)rows[i].kernel_path;
        /* Refusals come before anything changes the process, so no worker is needed. */
        DuetRuntime *runtime = duet_vm_driver.create(&spec, &fixture->place, NULL);
        DuetRuntime *worker = fixture->runtime;
        fixture->runtime = runtime;
        assert_refused(fixture, rows[i].code, rows[i].word);
        runtime->ops->free(runtime);
        fixture->runtime = worker;
    }
}

static void test_kvm_demanded(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(DuetKvm) kvm = duet_kvm_probe(DUET_VM_KVM_DEVICE);
    if (kvm->stage == DUET_KVM_USABLE) {
        g_test_skip("this host has a usable KVM");
        return;
    }
    DuetSpec spec = *fixture->spec;
    spec.accel = DUET_ACCEL_KVM;
    DuetRuntime *worker = fixture->runtime;
    fixture->runtime = duet_vm_driver.create(&spec, &fixture->place, NULL);
    assert_refused(fixture, DUET_ERROR_UNSUPPORTED, kvm->reason);
    fixture->runtime->ops->free(fixture->runtime);
    fixture->runtime = worker;
}

static void test_console(Fixture *fixture, gconstpointer data)
{
    (void)data;
    static const char noise[] = "\033c\033[?7lSeaBIOS\r\n[ 1.0] first\r\n\xff\xfe\n\n";
    g_autofree char *path = g_build_filename(fixture->dir, "console.log", NULL);
    g_assert_null(duet_runtime_console_tail(fixture->runtime));
    g_assert_true(g_file_set_contents(path, noise, sizeof noise - 1, NULL));
    g_autofree char *clean = duet_runtime_console_tail(fixture->runtime);
    g_assert_true(g_str_has_prefix(clean, "SeaBIOS\n[ 1.0] first\n"));
    g_assert_true(g_utf8_validate(clean, -1, NULL));
    g_autoptr(GString) panic = g_string_new("before\n[ 2.0] Kernel panic - why\n");
    for (int i = 0; i < 100; i++)
        g_string_append_printf(panic, "frame %d\n", i);
    g_assert_true(g_file_set_contents(path, panic->str, -1, NULL));
    g_autofree char *tail = duet_runtime_console_tail(fixture->runtime);
    g_assert_true(g_str_has_prefix(tail, "[ 2.0] Kernel panic - why\nframe 0\n"));
    g_assert_null(strstr(tail, "frame 50"));
}

/* Of a guest that died before its first word, QEMU may know why; how it was started is no news. */
static void test_emulator_log(Fixture *fixture, gconstpointer data)
{
    (void)data;
    static const char log[] = "-device virtio-rng-pci \\\n-msg timestamp=on\n"
                              "2026-11-26 03:45:39.259+0000: Domain id=1 is tainted: custom-argv\n"
                              "qemu-system-x86_64: cannot set up guest memory\n";
    g_autofree char *dir = g_build_filename(fixture->run_dir, "log", "qemu", NULL);
    g_autofree char *path = g_strdup_printf("%s/%s.log", dir, fixture->spec->id);
    g_assert_true(duet_mkdir_p(dir, 0700, NULL));
    g_assert_true(g_file_set_contents(path, log, -1, NULL));
    g_autofree char *tail = duet_runtime_console_tail(fixture->runtime);
    g_assert_cmpstr(
        tail, ==, "(none)\nQEMU's log:\nqemu-system-x86_64: cannot set up guest memory");
    g_autofree char *parent = g_build_filename(fixture->run_dir, "log", NULL);
    g_assert_true(duet_remove_tree(AT_FDCWD, parent, NULL));
}

/* A guest that writes to its console for ever must not fill the host's disk. */
static void test_console_trim(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *path = g_build_filename(fixture->dir, "console.log", NULL);
    g_autofree char *noise = g_strnfill(16 << 20, 'x');
    g_autofree char *text = g_strconcat(noise, "\nthe end", NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    DuetRuntime *runtime = duet_vm_driver.create(fixture->spec, &fixture->place, NULL);
    duet_vm_console_trim((DuetVm *)runtime);
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint((gsize)st.st_size, ==, strlen(text));
    g_assert_cmpint(st.st_blocks * 512, <, 1 << 20);
    g_autofree char *tail = duet_vm_console_tail(runtime);
    g_assert_true(g_str_has_suffix(tail, "\nthe end"));
    runtime->ops->free(runtime);
}

static void test_check(void)
{
    static const char *const names[] = { "kvm", "kvm-nested", "libvirt", "qemu", "libvirt-user",
        "virtiofsd", "guest-kernel" };
    g_autoptr(GPtrArray) checks = duet_vm_driver.check();
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        gboolean found = FALSE;
        for (guint j = 0; j < checks->len; j++) {
            const DuetCheck *check = checks->pdata[j];
            g_assert_nonnull(check->detail);
            g_assert_true(check->status == DUET_CHECK_OK || check->advice);
            found = found || strcmp(check->name, names[i]) == 0;
        }
        g_assert_true(found);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *fixture, gconstpointer data);
    } cases[] = {
        { "/vmm-run/boot", test_boot },
        { "/vmm-run/kill", test_kill },
        { "/vmm-run/pause", test_pause },
        { "/vmm-run/refusals", test_refusals },
        { "/vmm-run/kvm-demanded", test_kvm_demanded },
        { "/vmm-run/console", test_console },
        { "/vmm-run/emulator-log", test_emulator_log },
        { "/vmm-run/console-trim", test_console_trim },
    };
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add(cases[i].path, Fixture, NULL, set_up, cases[i].run, tear_down);
    g_test_add_func("/vmm-run/check", test_check);
    return g_test_run();
}
