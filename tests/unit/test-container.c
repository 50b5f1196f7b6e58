/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "container-box.h"

#include "container/container-private.h"
#include "container/container.h"

#include <duet/error.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cgroup/cgroup.h"
#include "core/rootless.h"
#include "core/util.h"

static void test_identity(void)
{
    Box *box = box_new(&duet_container_driver);
    box_write(box->spec->layers[0], "etc/hosts", "", 0644);
    box_write(box->spec->layers[0], "etc/hostname", "of-the-image", 0644);
    box_started(box);
    box_expect(box, "busybox id -u; busybox id -g; busybox hostname", "0\n0\nbox-host\n");
    /* docker's default set, nothing inheritable or ambient */
    box_expect(box, "busybox grep -E '^(Cap|NoNewPrivs)' /proc/self/status",
        "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
        "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
    box_expect(box, "set -- $(busybox cat /proc/self/uid_map /proc/self/gid_map); echo $*",
        "0 1879048192 65536 0 1879048192 65536\n");
    box_expect(
        box, "busybox ip -4 -o addr show up | busybox awk '{print $2, $4}'", "lo 127.0.0.1/8\n");
    box_expect(box, "busybox ls /sys/class/net", "lo\n");
    /* pid 1 is the agent; nobody else is there */
    box_expect(box, "busybox readlink /proc/1/exe || echo hidden; test $$ -lt 100 && echo low",
        "hidden\nlow\n");
    box_expect(box,
        "busybox grep -c . /proc/self/cgroup >/dev/null; busybox cut -d: -f3 "
        "/proc/self/cgroup | busybox grep -c duet || true",
        "0\n");
    /* one tty-less session and limits that don't come from our caller */
    box_expect(box, "ulimit -n; ulimit -c", "1024\n0\n");
    box_expect(box, "busybox cat /etc/hosts /etc/hostname",
        "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\tbox-host\nof-the-image");
    box_free(box);
}

static void test_mounts(void)
{
    Box *box = box_new(&duet_container_driver);
    box_started(box);
    g_autofree char *mounts = box_sh(box, "busybox cat /proc/self/mountinfo", NULL);
    g_test_message("%s", mounts);
    g_assert_null(strstr(mounts, box->root));
    g_assert_null(strstr(mounts, "/var"));
    /* masked files are binds of /dev/null; which there are depends on the kernel */
    box_expect(box,
        "busybox awk '$6 ~ /^rw/ && $4 != \"/null\" {print $5}' /proc/self/mountinfo | busybox "
        "sort",
        "/\n/dev\n/dev/mqueue\n/dev/pts\n/dev/shm\n/proc\n");
    box_expect(box,
        "for p in /proc/sys/kernel/domainname /proc/sysrq-trigger /proc/irq/x /sys/x /proc/sys/net/"
        "ipv4/ip_forward; do (: >>$p) 2>/dev/null && echo $p; done; echo done",
        "done\n");
    box_expect(box,
        "busybox cat /proc/kcore 2>/dev/null | busybox wc -c; busybox ls /sys/firmware | busybox "
        "wc -l",
        "0\n0\n");
    /* what the kernel would allow to root elsewhere */
    box_expect(box,
        "busybox mount -t tmpfs x /mnt 2>/dev/null && echo mounted;"
        "busybox umount /proc/sys 2>/dev/null && echo unmounted;"
        "busybox mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; echo done",
        "done\n");
    box_expect(box,
        "busybox stat -c '%a %u %g' / /dev /dev/null /dev/pts /dev/mqueue; test ! -e /tmp",
        "755 0 0\n755 0 0\n666 0 0\n755 0 0\n1777 0 0\n");
    box_free(box);
}

static void test_devices(void)
{
    Box *box = box_new(&duet_container_driver);
    struct stat root;
    g_assert_cmpint(stat(box->root, &root), ==, 0);
    g_autofree char *node = g_build_filename(box->spec->layers[0], "disk", NULL);
    g_assert_cmpint(mknod(node, S_IFBLK | 0666, root.st_dev), ==, 0);
    g_autofree char *null = g_build_filename(box->spec->layers[0], "null", NULL);
    g_assert_cmpint(mknod(null, S_IFCHR | 0666, makedev(1, 3)), ==, 0);
    g_assert_cmpint(chmod(null, 0666), ==, 0);
    box_started(box);
    box_expect(box, "busybox ls -1 /dev",
        "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero"
        "\n");
    box_expect(box, "busybox head -c 3 /dev/zero | busybox wc -c; echo x >/dev/null && echo ok",
        "3\nok\n");
    box_expect(box,
        "for f in /disk /null; do (: <$f) 2>/dev/null && echo opened $f; done; echo done",
        "done\n");
    box_expect(box,
        "busybox mknod /dev/x c 1 3 2>/dev/null; busybox mknod /x b 8 0 2>/dev/null; "
        "busybox ls /x /dev/x 2>/dev/null; echo done",
        "done\n");
    box_expect(box, "(echo hi >/dev/shm/x) && busybox cat /dev/shm/x", "hi\n");
    box_free(box);
}

/* subuid(5) and subgid(5) need not agree. */
static void test_own_ids(void)
{
    const DuetIdRange many = { 0, 100000, 80000 }, few = { 0, 100000, 65536 };
    const guint32 high = 70000;
    g_autoptr(GArray) enough = g_array_new(FALSE, FALSE, sizeof many);
    g_autoptr(GArray) short_of = g_array_new(FALSE, FALSE, sizeof few);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof high);

    g_array_append_val(enough, many);
    g_array_append_val(short_of, few);
    g_assert_true(duet_idmap_check(short_of, short_of, NULL, NULL));
    g_assert_true(duet_idmap_check(short_of, short_of, ids, NULL));
    g_array_append_val(ids, high);
    g_assert_true(duet_idmap_check(enough, enough, ids, NULL));
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(duet_idmap_check(i ? enough : short_of, i ? short_of : enough, ids, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, "70000, which is more"));
        g_assert_nonnull(strstr(error->message, i ? "more groups" : "more users"));
    }
}

static void test_high_ids(void)
{
    Box *box = box_new(&duet_container_driver);
    static const guint32 ids[] = { 70000, 70001, 3000000000u };
    g_array_append_vals(box->spec->high_ids, ids, G_N_ELEMENTS(ids));
    box_write(box->spec->layers[0], "far", "far", 0644);
    box_write(box->spec->layers[0], "near", "near", 0644);
    g_autofree char *far = g_build_filename(box->spec->layers[0], "far", NULL);
    g_autofree char *near = g_build_filename(box->spec->layers[0], "near", NULL);
    g_assert_cmpint(chown(far, 3000000000u, 70001), ==, 0);
    g_assert_cmpint(chown(near, 1000, 70000), ==, 0);
    box_started(box);
    box_expect(box, "busybox stat -c '%u %g' /far /near", "3000000000 70001\n1000 70000\n");
    /* copied up and made anew: on disk, owners are the container's */
    box_expect(box,
        "echo more >>/far; echo new >/new; busybox chown 3000000000:5 /new; "
        "busybox stat -c '%u %g' /far /new",
        "3000000000 70001\n3000000000 5\n");
    struct stat info;
    g_autofree char *upper = g_build_filename(box->instance_dir, "upper/new", NULL);
    g_assert_cmpint(stat(upper, &info), ==, 0);
    g_assert_cmpuint(info.st_uid, ==, 3000000000u);
    g_assert_cmpuint(info.st_gid, ==, 5);
    box_free(box);
}

static void test_idmap_text(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    for (guint32 id = 70000; ids->len < 3; id++)
        g_array_append_val(ids, id);
    guint32 lone = 4294967294u;
    g_array_append_val(ids, lone);
    g_autofree char *text = duet_idmap_text(1000000, ids, NULL);
    g_assert_cmpstr(text, ==, "0 1000000 65536\n70000 1065536 3\n4294967294 1065539 1\n");
    g_array_set_size(ids, 0);
    for (guint32 id = 0; id < 301; id++) {
        guint32 value = 100000 + id;
        g_array_append_val(ids, value);
    }
    g_assert_null(duet_idmap_text(1000000, ids, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "301"));
    g_clear_error(&error);
    /* all apart and long: fewer than 300, and still more than the kernel takes */
    g_array_set_size(ids, 0);
    for (guint32 id = 0; id < 290; id++) {
        guint32 value = 3000000000u + id * 2;
        g_array_append_val(ids, value);
    }
    g_assert_null(duet_idmap_text(1000000, ids, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
}

/* Writes, deletes and replaces; the layer must stay as it was, and the rest must come back. */
static void test_writable_layer(void)
{
    Box *box = box_new(&duet_container_driver);
    g_autofree char *top = box_layer(box);
    box_write(box->spec->layers[0], "low", "low", 0644);
    box_write(top, "dir/file", "file", 0640);
    g_assert_cmpint(chmod(top, 01777), ==, 0);
    /* As a start that was killed left it. */
    g_autofree char *half_made = g_build_filename(box->instance_dir, "upper.new", NULL);
    g_assert_cmpint(mkdir(half_made, 0700), ==, 0);
    box_started(box);
    box_expect(box, "busybox stat -c %a /", "1777\n");
    box_expect(
        box, "echo x >/low; busybox rm /dir/file; busybox mv /dir /dir2; echo kept >/kept", "");
    box_stop(box);
    g_autofree char *low = NULL;
    g_autofree char *low_path = g_build_filename(box->spec->layers[0], "low", NULL);
    g_assert_true(g_file_get_contents(low_path, &low, NULL, NULL));
    g_assert_cmpstr(low, ==, "low");
    g_autofree char *file_path = g_build_filename(top, "dir/file", NULL);
    g_assert_true(g_file_test(file_path, G_FILE_TEST_EXISTS));
    box_started(box);
    box_expect(box, "busybox cat /low /kept; busybox ls / /dir2",
        "x\nkept\n/:\nbin\ndev\ndir2\nkept\nlow\nproc\nsys\n\n/dir2:\n");
    box_free(box);
}

/* @flags: the personality of the monitor, which may take its caller's mount namespace. */
static void run_layers(const DuetDriverOps *driver, guint count, unsigned long flags)
{
    Box *box = box_new(driver);
    while (g_strv_length(box->spec->layers) < count) {
        g_autofree char *layer = box_layer(box);
        g_autofree char *name = g_strdup_printf("f%u", g_strv_length(box->spec->layers));
        box_write(layer, name, "x", 0644);
        box_write(layer, "all", name, 0644);
    }
    pid_t pid = fork();
    if (pid == 0) {
        g_autofree char *expected = g_strdup_printf("%u\nf%u", count - 1, count);
        g_assert_cmpint(personality(flags), !=, -1);
        box_started(box);
        box_expect(box, "busybox ls -d /f* | busybox wc -l; busybox cat /all", expected);
        box_stop(box);
        _exit(0);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    box_free(box);
}

static void test_layers_20(void)
{
    run_layers(&duet_container_driver, 20, 0);
}

static void test_layers_120(void)
{
    run_layers(&duet_container_driver, 120, 0);
}

/* A kernel that says it is an old one: more than one string of fsconfig() holds. */
static void test_layers_old_kernel(void)
{
    run_layers(&duet_container_driver, 120, UNAME26);
}

static void add_volume(Box *box, const char *source, const char *target, gboolean readonly)
{
    g_autofree char *path = g_build_filename(box->root, source, NULL);
    g_ptr_array_add(box->spec->mounts, duet_mount_new(path, target, readonly));
}

static void test_volumes(void)
{
    Box *box = box_new(&duet_container_driver);
    box_write(box->root, "shared/in", "in", 0600);
    box_write(box->root, "fixed/in", "fixed", 0644);
    box_write(box->root, "one-file", "one", 0644);
    g_autofree char *escape = g_build_filename(box->spec->layers[0], "escape", NULL);
    g_assert_cmpint(symlink("/../../../../inside", escape), ==, 0);
    add_volume(box, "fixed", "/data/shared/fixed", TRUE); /* before its parent */
    add_volume(box, "shared", "/data/shared", FALSE);
    add_volume(box, "one-file", "/etc/one", FALSE);
    box_started(box);
    /* root is root on the volume, as in a VM */
    box_expect(box, "busybox stat -c '%u %a' /data/shared/in; busybox cat /data/shared/in /etc/one",
        "0 600\ninone");
    box_expect(box, "echo out >/data/shared/out; busybox chown 7 /data/shared/out", "");
    box_expect(box,
        "(echo x >/data/shared/fixed/in) 2>/dev/null || echo refused; "
        "busybox cat /data/shared/fixed/in",
        "refused\nfixed");
    struct stat info;
    g_autofree char *out = g_build_filename(box->root, "shared/out", NULL);
    g_assert_cmpint(stat(out, &info), ==, 0);
    g_assert_cmpuint(info.st_uid, ==, 7);
    box_free(box);
}

/* A symlink of the image leads to a place of the image, whatever it says. */
static void test_volume_symlinks(void)
{
    Box *box = box_new(&duet_container_driver);
    box_write(box->root, "shared/in", "in", 0644);
    g_autofree char *link = g_build_filename(box->spec->layers[0], "link", NULL);
    g_assert_cmpint(symlink("/../../../bin", link), ==, 0);
    add_volume(box, "shared", "/link/sub", FALSE);
    box_started(box);
    box_expect(box, "busybox cat /bin/sub/in", "in");
    g_assert_false(g_file_test("/bin/sub", G_FILE_TEST_EXISTS));
    box_free(box);
}

static void expect_failure(Box *box, DuetError code, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(box_start(box, &error));
    g_assert_error(error, DUET_ERROR, (int)code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, text));
}

static void test_failures(void)
{
    Box *box = box_new(&duet_container_driver);
    add_volume(box, "missing", "/x", FALSE);
    expect_failure(box, DUET_ERROR_NOT_FOUND, "missing'");
    g_ptr_array_set_size(box->spec->mounts, 0);
    box_write(box->root, "shared/in", "in", 0644);
    add_volume(box, "shared", "/proc/1", FALSE);
    expect_failure(box, DUET_ERROR_PERMISSION, "'/proc/1'");
    g_ptr_array_set_size(box->spec->mounts, 0);
    add_volume(box, "shared", "/", FALSE);
    expect_failure(box, DUET_ERROR_INVALID, "'/'");
    g_ptr_array_set_size(box->spec->mounts, 0);
    add_volume(box, "shared", "/bin/sh/x", FALSE);
    expect_failure(box, DUET_ERROR_FAILED, "'/bin/sh/x'");
    g_ptr_array_set_size(box->spec->mounts, 0);
    box->spec->memory_bytes = 1 << 20;
    expect_failure(box, DUET_ERROR_INVALID, "6m");
    box->spec->memory_bytes = 0;
    g_free(box->spec->hostname);
    box->spec->hostname = g_strnfill(70, 'h');
    /* Often: now and then it ends before it reads what it is told meanwhile. */
    for (int i = 0; i < 40; i++)
        expect_failure(box, DUET_ERROR_FAILED, "64");
    g_free(box->spec->hostname);
    box->spec->hostname = g_strdup("h");
    g_free(box->spec->layers[0]);
    box->spec->layers[0] = g_strdup("/var/tmp/no/such/layer");
    expect_failure(box, DUET_ERROR_NOT_FOUND, "/no/such/layer'");
    box_free(box);
}

static void put_word(char ***list, const char *word)
{
    const char *words[] = { word, NULL };
    g_strfreev(*list);
    *list = word ? g_strdupv((char **)words) : NULL;
}

/* Of all that a spec may give a payload: nothing is left of a start that can't give it. */
static void test_attribute_failures(void)
{
    Box *box = box_new(&duet_container_driver);
    put_word(&box->spec->sysctls, "net.ipv4.no_such=1");
    expect_failure(box, DUET_ERROR_NOT_FOUND, "the sysctl 'net.ipv4.no_such'");
    put_word(&box->spec->sysctls, NULL);
    /* Where AppArmor is, it knows no such profile; elsewhere there is nothing to write to. */
    box->spec->apparmor = g_strdup("duet-no-such");
    g_autoptr(GError) error = NULL;
    g_assert_false(box_start(box, &error));
    g_assert_nonnull(
        strstr(error->message, "could not change to AppArmor's profile 'duet-no-such'"));
    g_clear_pointer(&box->spec->apparmor, g_free);
    box->spec->boottime_s = -G_GINT64_CONSTANT(4000000000);
    expect_failure(box, DUET_ERROR_FAILED, "--boottime");
    box->spec->boottime_s = 0;
    put_word(&box->spec->devices, "/dev/no/such");
    expect_failure(box, DUET_ERROR_NOT_FOUND, "'/dev/no/such'");
    put_word(&box->spec->devices, NULL);
    /* The first step down is a file. */
    put_word(&box->spec->devices, "/dev/null:/dev/zero/x");
    expect_failure(box, DUET_ERROR_FAILED, "'/dev/zero/x'");
    put_word(&box->spec->devices, NULL);
    box_started(box);
    box_free(box);
}

/* An image that tries to have the host's places mounted over. */
static void test_hostile_image(void)
{
    static const char *const names[] = { "proc", "sys", "dev" };
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        Box *box = box_new(&duet_container_driver);
        g_autofree char *link = g_build_filename(box->spec->layers[0], names[i], NULL);
        g_assert_cmpint(symlink("/etc", link), ==, 0);
        expect_failure(box, DUET_ERROR_FAILED, names[i]);
        box_free(box);
    }
}

static void test_empty_image(void)
{
    Box *box = box_new(&duet_container_driver);
    g_free(box->spec->layers[0]);
    box->spec->layers[0] = NULL;
    box_started(box);
    int code = 0;
    g_autofree char *text = box_sh(box, "true", &code);
    g_assert_nonnull(strstr(text, "/bin/sh"));
    g_assert_cmpint(code, ==, 127);
    box_free(box);
}

static void test_memory_limit(void)
{
    Box *box = box_new(&duet_container_driver);
    box->spec->memory_bytes = 32 << 20;
    box_started(box);
    int code = 0;
    g_autofree char *text =
        box_sh(box, "busybox dd if=/dev/zero of=/dev/null bs=80M count=1", &code);
    g_assert_cmpstr(text, ==, "");
    g_assert_cmpint(code, ==, 137);
    DuetCgroupUsage usage;
    duet_cgroup_usage(box->cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_ALL, &usage);
    g_assert_cmpuint(usage.oom_kills, ==, 1);
    g_assert_cmpuint(usage.memory_peak_bytes, <=, 32 << 20);
    /* the container outlives its process */
    box_expect(box, "echo alive", "alive\n");
    box_free(box);
}

static void test_pids_limit(void)
{
    Box *box = box_new(&duet_container_driver);
    box->spec->pids_limit = 8;
    box_started(box);
    int code = 0;
    g_autofree char *text =
        box_sh(box, "for i in 1 2 3 4 5 6 7 8 9; do busybox sleep 9 & done; echo all", &code);
    g_assert_cmpint(code, !=, 0);
    g_assert_nonnull(strstr(text, "fork"));
    box_free(box);
}

static void test_cpu_limit(void)
{
    Box *box = box_new(&duet_container_driver);
    box->spec->cpus = 0.2;
    box_started(box);
    DuetCgroupUsage before, after;
    box_expect(box, "true", "");
    duet_cgroup_usage(box->cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_ALL, &before);
    gint64 start_ns = duet_now_ns();
    int code = 0;
    g_autofree char *text = box_sh(box, "exec busybox timeout 1 busybox yes >/dev/null", &code);
    gint64 wall_ns = duet_now_ns() - start_ns;
    g_assert_cmpstr(text, ==, "");
    g_assert_cmpint(code, ==, 128 + SIGTERM);
    duet_cgroup_usage(box->cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_ALL, &after);
    double share = (double)(after.cpu_ns - before.cpu_ns) / (double)wall_ns;
    g_test_message("share of a CPU: %.2f", share);
    g_assert_cmpfloat(share, <, 0.35);
    g_assert_cmpfloat(share, >, 0.05);
    box_free(box);
}

static void test_pause(void)
{
    Box *box = box_new(&duet_container_driver);
    g_autoptr(GError) error = NULL;
    box_started(box);
    box_expect(box, "busybox yes >/dev/null & echo", "\n");
    DuetCgroupUsage before, after;
    g_assert_true(box->runtime->ops->pause(box->runtime, &error));
    duet_cgroup_usage(box->cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_ALL, &before);
    g_usleep(100000);
    duet_cgroup_usage(box->cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_ALL, &after);
    g_assert_cmpuint(after.cpu_ns - before.cpu_ns, <, 10000000);
    g_assert_true(box->runtime->ops->resume(box->runtime, &error));
    g_assert_no_error(error);
    box_expect(box, "echo alive", "alive\n");
    /* a paused one can be killed */
    g_assert_true(box->runtime->ops->pause(box->runtime, &error));
    box_free(box);
}

static char *host_sh(const char *script)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    g_autoptr(GError) error = NULL;
    char *text = duet_capture(argv, &error);
    g_assert_no_error(error);
    return text;
}

/* Pid 1 holds its channel and what it opened itself, and nothing of the monitor's or its caller's.
 */
static void test_descriptors(void)
{
    Box *box = box_new(&duet_container_driver);
    int leak = open("/etc/passwd", O_RDONLY); /* without O_CLOEXEC, as a careless caller has it */
    box_started(box);
    box_expect(box, "true", "");
    g_autofree char *script = g_strdup_printf(
        "for f in /proc/%d/fd/*; do readlink $f; done | sed 's/:.*//' | sort -u | tr '\\n' ' '",
        (int)box->started.pid);
    g_autofree char *text = host_sh(script);
    g_test_message("pid 1 has: %s", text);
    g_assert_null(strstr(text, "/"));
    g_assert_nonnull(strstr(text, "socket"));
    /* the payload: three pipes and nothing else */
    box_expect(box,
        "cd /proc/self/fd; for f in [3-9] [1-9][0-9]*; do busybox readlink $f || true; done", "");
    close(leak);
    box_free(box);
}

/* Who gets out of the container's root directory, as a process that enters the namespace does, is
 * at the root of the mount namespace: that must be the image again. */
static void test_namespace_root(void)
{
    Box *box = box_new(&duet_container_driver);
    box_write(box->spec->layers[0], "of-the-image", "", 0644);
    box->spec->seccomp = g_strdup(DUET_SECCOMP_UNCONFINED);
    box_started(box);
    pid_t pid = fork();
    if (pid == 0) {
        g_autofree char *path = g_strdup_printf("/proc/%d/ns/mnt", (int)box->started.pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, CLONE_NEWNS) != 0)
            _exit(1);
        _exit(access("/of-the-image", F_OK) == 0 && access("/../../of-the-image", F_OK) == 0 &&
                    access("/var/tmp", F_OK) != 0
                ? 0
                : 2);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    /* and the payload counts as not chrooted: it may make user namespaces, which see no more */
    box_expect(box,
        "busybox unshare -r -m busybox sh -c 'busybox umount /proc/sys; busybox umount /proc; "
        "busybox mount -t proc x /proc; busybox ls /; busybox grep -c duet /proc/self/mountinfo' "
        "2>/dev/null",
        "bin\ndev\nof-the-image\nproc\nsys\n1\n");
    box_free(box);
}

static guint count_descriptors(void)
{
    guint count = 0;
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    while (g_dir_read_name(dir) != NULL)
        count++;
    return count;
}

/* A monitor lives as long as its instance: a start may leave nothing open but what it returns. */
static void test_no_leak(void)
{
    Box *box = box_new(&duet_container_driver);
    box->spec->remove_at_exit = TRUE;
    box_write(box->root, "shared/in", "in", 0644);
    add_volume(box, "shared", "/data", FALSE);
    guint before = count_descriptors();
    box_started(box);
    box_expect(box, "busybox cat /data/in", "in");
    box_stop(box);
    g_assert_cmpuint(count_descriptors(), ==, before);
    box_write(box->spec->layers[0], "proc", "a file", 0644);
    g_autoptr(GError) error = NULL;
    g_assert_false(box_start(box, &error));
    g_assert_cmpuint(count_descriptors(), ==, before);
    box_free(box);
}

/* Returns: the pid of a payload that runs. */
static pid_t begin_payload(Box *box)
{
    box_started(box);
    box_expect(box, "busybox sleep 1000 & echo", "\n");
    return box->started.pid;
}

/* Returns: the pid of a child that waits for its monitor's first word. */
static pid_t begin_child(Box *box)
{
    DuetLimits limits = { 0 };
    GError *error = NULL;
    DuetClone clone;
    int sync[2];

    box->cgroup = duet_cgroup_new(box->spec->id, &limits, &error);
    g_assert_no_error(error);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync), ==, 0);
    DuetChild *child = g_new0(DuetChild, 1);
    child->sync_fd = sync[1];
    child->monitor_fd = sync[0];
    child->cgroup_fds_count =
        duet_cgroup_born_fds(box->cgroup, DUET_CGROUP_PAYLOAD, child->cgroup_fds);
    child->hostname = "box";
    child->hostname_length = 3;
    g_assert_true(duet_clone(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS,
        duet_cgroup_clone_fd(box->cgroup, DUET_CGROUP_PAYLOAD), duet_child_run, child, &clone));
    close(sync[1]);
    /* It waits now, or sees at its first look that nobody is there. */
    g_usleep(100000);
    return clone.pid;
}

/* A monitor that is killed takes its container along and leaves no mount; the cgroup is found. */
static void run_monitor_killed(const DuetDriverOps *driver, pid_t (*begin)(Box *box))
{
    Box *box = box_new(driver);
    int ready[2];
    g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
    struct {
        pid_t pid;
        char cgroup[256];
    } told = { 0 };
    pid_t monitor = fork();
    if (monitor == 0) {
        told.pid = begin(box);
        g_strlcpy(told.cgroup, duet_cgroup_path(box->cgroup), sizeof told.cgroup);
        duet_write_all(ready[1], &told, sizeof told);
        for (;;)
            pause();
    }
    close(ready[1]);
    g_assert_cmpint(read(ready[0], &told, sizeof told), ==, sizeof told);
    close(ready[0]);
    int pidfd = (int)syscall(SYS_pidfd_open, told.pid, 0);
    g_assert_cmpint(pidfd, >=, 0);
    g_assert_cmpint(kill(monitor, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(monitor, NULL, 0), ==, monitor);
    struct pollfd wait = { .fd = pidfd, .events = POLLIN };
    g_assert_cmpint(poll(&wait, 1, 10000), ==, 1);
    close(pidfd);
    g_autoptr(GError) error = NULL;
    box->cgroup = duet_cgroup_open(told.cgroup, box->spec->id, &error);
    g_assert_no_error(error);
    g_assert_true(duet_cgroup_kill(box->cgroup, DUET_CGROUP_PAYLOAD, 5000, &error));
    g_assert_no_error(error);
    g_assert_true(duet_cgroup_remove(box->cgroup, &error));
    g_assert_no_error(error);
    g_clear_pointer(&box->cgroup, duet_cgroup_free);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    g_autofree char *mounts = NULL;
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL));
    g_assert_null(strstr(mounts, box->root));
    box_free(box);
}

static void test_monitor_killed(void)
{
    run_monitor_killed(&duet_container_driver, begin_payload);
}

static void test_monitor_killed_early(void)
{
    run_monitor_killed(&duet_container_driver, begin_child);
}

static void test_native(void)
{
    Box *box = box_new(&duet_native_driver);
    box_write(box->root, "shared/in", "in", 0644);
    box_write(box->spec->layers[0], "low", "low", 0644);
    add_volume(box, "shared", "/data/in/it", FALSE);
    pid_t pid = fork();
    if (pid == 0) { /* it takes its caller's mount namespace */
        box_started(box);
        box_expect(
            box, "busybox cat /low /data/in/it/in; echo x >/low; busybox cat /low", "lowinx\n");
        box_expect(box, "test -c /dev/null && test -d /proc/1 && echo there", "there\n");
        box_expect(box, "busybox sleep 1000 & echo", "\n");
        box_stop(box);
        _exit(0);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    box_free(box);
}

static void test_native_layers(void)
{
    run_layers(&duet_native_driver, 120, 0);
}

static void test_native_layers_old_kernel(void)
{
    run_layers(&duet_native_driver, 120, UNAME26);
}

static void test_native_monitor_killed(void)
{
    run_monitor_killed(&duet_native_driver, begin_payload);
}

static void test_check(void)
{
    g_autoptr(GPtrArray) checks = duet_container_driver.check();
    for (guint i = 0; i < checks->len; i++) {
        const DuetCheck *check = checks->pdata[i];
        g_test_message("%s: %d %s", check->name, check->status, check->detail);
        g_assert_cmpint(check->status, ==, DUET_CHECK_OK);
    }
    g_assert_cmpuint(checks->len, ==, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (getuid() != 0) {
        g_print("1..0 # SKIP containers need root\n");
        return 0;
    }
    g_test_add_func("/container/idmap-text", test_idmap_text);
    g_test_add_func("/container/identity", test_identity);
    g_test_add_func("/container/mounts", test_mounts);
    g_test_add_func("/container/devices", test_devices);
    g_test_add_func("/container/descriptors", test_descriptors);
    g_test_add_func("/container/namespace-root", test_namespace_root);
    g_test_add_func("/container/no-leak", test_no_leak);
    g_test_add_func("/container/own-ids", test_own_ids);
    g_test_add_func("/container/high-ids", test_high_ids);
    g_test_add_func("/container/writable-layer", test_writable_layer);
    g_test_add_func("/container/layers/20", test_layers_20);
    g_test_add_func("/container/layers/120", test_layers_120);
    g_test_add_func("/container/layers/old-kernel", test_layers_old_kernel);
    g_test_add_func("/container/volumes", test_volumes);
    g_test_add_func("/container/volumes/symlinks", test_volume_symlinks);
    g_test_add_func("/container/failures", test_failures);
    g_test_add_func("/container/attribute-failures", test_attribute_failures);
    g_test_add_func("/container/hostile-image", test_hostile_image);
    g_test_add_func("/container/empty-image", test_empty_image);
    g_test_add_func("/container/limits/memory", test_memory_limit);
    g_test_add_func("/container/limits/pids", test_pids_limit);
    g_test_add_func("/container/limits/cpus", test_cpu_limit);
    g_test_add_func("/container/pause", test_pause);
    g_test_add_func("/container/monitor-killed", test_monitor_killed);
    g_test_add_func("/container/monitor-killed/early", test_monitor_killed_early);
    g_test_add_func("/container/check", test_check);
    g_test_add_func("/native/run", test_native);
    g_test_add_func("/native/layers/120", test_native_layers);
    g_test_add_func("/native/layers/old-kernel", test_native_layers_old_kernel);
    g_test_add_func("/native/monitor-killed", test_native_monitor_killed);
    return g_test_run();
}
