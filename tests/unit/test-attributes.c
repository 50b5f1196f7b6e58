/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a payload is given: the texts of the command line and of the spec, and what the agent is
 * told of them. */

#include "core/attributes.h"
#include "core/fields.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <string.h>
#include <sys/resource.h>

static void test_ulimits(void)
{
    static const struct {
        const char *text;
        int resource;
        guint64 soft, hard;
    } rows[] = {
        { "nofile=1024:2048", RLIMIT_NOFILE, 1024, 2048 },
        { "core=0", RLIMIT_CORE, 0, 0 },
        { "memlock=-1", RLIMIT_MEMLOCK, G_MAXUINT64, G_MAXUINT64 },
        { "stack=8388608:unlimited", RLIMIT_STACK, 8388608, G_MAXUINT64 },
        { "locks=1", RLIMIT_LOCKS, 1, 1 },
        { "lock=1:-1", RLIMIT_LOCKS, 1, G_MAXUINT64 },
        { "rttime=9223372036854775807", RLIMIT_RTTIME, G_MAXINT64, G_MAXINT64 },
    };
    static const char *const wrong[] = { "", "nofile", "=1",
        "nofile=", "nofile=:", "nofile=1:", "nofile=:1", "NOFILE=1", "as=1", "nofile=-2",
        "nofile=+1", "nofile= 1", "nofile=0x10", "nofile=2:1", "nofile=-1:5", "nofile=1:2:3",
        "nofile=9223372036854775808", "host" };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        DuetUlimit limit;

        g_assert_true(duet_ulimit_parse(rows[i].text, &limit, &error));
        g_assert_no_error(error);
        g_assert_cmpint(limit.resource, ==, rows[i].resource);
        g_assert_cmpuint(limit.soft, ==, rows[i].soft);
        g_assert_cmpuint(limit.hard, ==, rows[i].hard);
    }
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        DuetUlimit limit;

        g_assert_false(duet_ulimit_parse(wrong[i], &limit, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    }
    char *list[] = { (char *)"core=0", (char *)"nofile=5", NULL },
         *host[] = { (char *)"host", NULL };
    g_assert_cmpuint(duet_ulimits_named(NULL), ==, 0);
    g_assert_cmpuint(duet_ulimits_named(list), ==, 1u << RLIMIT_CORE | 1u << RLIMIT_NOFILE);
    g_assert_cmpuint(duet_ulimits_named(host), ==, G_MAXUINT32);
}

static void test_sysctls(void)
{
    static const struct {
        const char *text, *normal, *path;
        gboolean contained;
    } rows[] = {
        { "net.ipv4.ip_forward=1", "net.ipv4.ip_forward=1", "/proc/sys/net/ipv4/ip_forward", TRUE },
        { "net/ipv4/conf/eth0.1/forwarding=a=b", "net.ipv4.conf.eth0/1.forwarding=a=b",
            "/proc/sys/net/ipv4/conf/eth0.1/forwarding", TRUE },
        { "net.ipv4.conf.eth0/1.forwarding=0", "net.ipv4.conf.eth0/1.forwarding=0",
            "/proc/sys/net/ipv4/conf/eth0.1/forwarding", TRUE },
        { "kernel.sem=1 2 3", "kernel.sem=1 2 3", "/proc/sys/kernel/sem", TRUE },
        { "fs/mqueue/msg_max=5", "fs.mqueue.msg_max=5", "/proc/sys/fs/mqueue/msg_max", TRUE },
        { "kernel.domainname=x", "kernel.domainname=x", "/proc/sys/kernel/domainname", TRUE },
        { "kernel.hostname=x", "kernel.hostname=x", "/proc/sys/kernel/hostname", FALSE },
        { "kernel.shmmaxi=x", "kernel.shmmaxi=x", "/proc/sys/kernel/shmmaxi", FALSE },
        { "network.x=1", "network.x=1", "/proc/sys/network/x", FALSE },
        { "vm.swappiness=1", "vm.swappiness=1", "/proc/sys/vm/swappiness", FALSE },
    };
    static const char *const wrong[] = { "", "=", "x=1", "net.x", "net.x=", "net..x=1", ".net.x=1",
        "net.x.=1", "../x=1", "net/../x=1", "net.//.x=1", "net/./x=1", "/net/x=1" };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *normal = duet_sysctl_normal(rows[i].text, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(normal, ==, rows[i].normal);
        g_autofree char *path = duet_sysctl_path(normal);
        g_assert_cmpstr(path, ==, rows[i].path);
        g_assert_true(duet_sysctl_is_contained(normal, &error) == rows[i].contained);
        if (!rows[i].contained)
            g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
    }
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(duet_sysctl_normal(wrong[i], &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    }
}

static void test_devices(void)
{
    static const struct {
        const char *text, *source, *target;
        gboolean read, write;
    } rows[] = {
        { "/dev/fuse", "/dev/fuse", "/dev/fuse", TRUE, TRUE },
        { "/dev/fuse:r", "/dev/fuse", "/dev/fuse", TRUE, FALSE },
        { "/x/y:/dev/net/tun", "/x/y", "/dev/net/tun", TRUE, TRUE },
        { "/x/y:/dev/net/tun:wr", "/x/y", "/dev/net/tun", TRUE, TRUE },
        { "/dev/a:/dev/b:w", "/dev/a", "/dev/b", FALSE, TRUE },
    };
    static const char *const wrong[] = { "", ":", "fuse", "/dev/a:", "/dev/a:b", "/dev/a:rwx",
        "/dev/a:rwm", "/dev/a:rr", "/dev/a:/dev/b:", "/dev/a:r:/dev/b", "/dev/a:/dev/b:r:w",
        "/dev/a:/b", "/a", "/dev", "/dev/", "/dev/a/", "/dev/./a", "/dev/../a", "/dev//a",
        "/dev/a:/dev/..", "/device" };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(DuetDevice) device = { 0 };
        g_assert_true(duet_device_parse(rows[i].text, &device, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(device.source, ==, rows[i].source);
        g_assert_cmpstr(device.target, ==, rows[i].target);
        g_assert_true(device.read == rows[i].read && device.write == rows[i].write);
    }
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(DuetDevice) device = { 0 };
        g_assert_false(duet_device_parse(wrong[i], &device, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_assert_null(device.source);
    }
}

static void test_spec(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetSpec) spec = duet_spec_new();
    const char *words[] = { "one", "\xff", NULL };
    g_assert_cmpint(spec->oom_score_adj, ==, DUET_OOM_SCORE_ADJ_OF_CALLER);
    spec->ulimits = g_strdupv((char **)words);
    spec->groups = g_strdupv((char **)words);
    spec->oom_score_adj = -5;
    spec->stop_timeout_s = 0;
    spec->shm_bytes = 12345;
    g_autoptr(GVariant) variant = g_variant_ref_sink(duet_spec_to_variant(spec));
    g_autoptr(DuetSpec) copy = duet_spec_from_variant(variant, &error);
    g_assert_no_error(error);
    g_assert_cmpstrv(copy->ulimits, words);
    g_assert_cmpstrv(copy->groups, words);
    g_assert_null(copy->sysctls);
    g_assert_cmpint(copy->oom_score_adj, ==, -5);
    g_assert_cmpint(copy->stop_timeout_s, ==, 0);
    g_assert_cmpuint(copy->shm_bytes, ==, 12345);

    /* One of a time that knew none of it. */
    g_autoptr(GVariant) old = g_variant_ref_sink(g_variant_new_parsed("{'id': <b'0123456789ab'>}"));
    g_autoptr(DuetSpec) plain = duet_spec_from_variant(old, &error);
    g_assert_no_error(error);
    g_assert_null(plain->ulimits);
    g_assert_cmpint(plain->stop_timeout_s, ==, DUET_STOP_TIMEOUT_S);
    g_assert_cmpint(plain->oom_score_adj, ==, DUET_OOM_SCORE_ADJ_OF_CALLER);
}

/* Returns: how many fields of @tag there are; the last one's bytes are in @out_last. */
static guint find(const GByteArray *fields, guint8 tag, GString *out_last)
{
    size_t cursor = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t found;
    guint count = 0;
    int more;

    while (
        (more = duet_field_next(fields->data, fields->len, &cursor, &found, &bytes, &length)) > 0)
        if (found == tag) {
            count++;
            g_string_truncate(out_last, 0);
            g_string_append_len(out_last, (const char *)bytes, length);
        }
    g_assert_cmpint(more, ==, 0);
    return count;
}

static void test_fields(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(GString) last = g_string_new(NULL);
    const char *ulimits[] = { "host", "core=0", "nofile=5:-1", NULL };
    const char *sysctls[] = { "vm.swappiness=1", "kernel.panic=2", NULL };
    const char *groups[] = { "a", "77", NULL };
    spec->ulimits = g_strdupv((char **)ulimits);
    spec->sysctls = g_strdupv((char **)sysctls);
    spec->groups = g_strdupv((char **)groups);
    spec->shm_bytes = 4096;
    g_autoptr(GByteArray) container = duet_config_fields(spec);
    g_assert_cmpuint(find(container, DUET_FIELD_ULIMIT, last), ==, 2);
    g_assert_cmpuint(last->len, ==, 20);
    const guint8 *bytes = (const guint8 *)last->str;
    g_assert_cmpuint(duet_get_u32(bytes), ==, RLIMIT_NOFILE);
    g_assert_cmpuint(duet_get_u64(bytes + 4), ==, 5);
    g_assert_cmpuint(duet_get_u64(bytes + 12), ==, G_MAXUINT64);
    /* Its driver does that. */
    g_assert_cmpuint(find(container, DUET_FIELD_SYSCTL, last), ==, 0);
    g_assert_cmpuint(find(container, DUET_FIELD_SHM_BYTES, last), ==, 0);
    spec->kind = DUET_KIND_VM;
    g_autoptr(GByteArray) vm = duet_config_fields(spec);
    g_assert_cmpuint(find(vm, DUET_FIELD_SYSCTL, last), ==, 2);
    g_assert_cmpstr(last->str, ==, "kernel.panic=2");
    g_assert_cmpuint(find(vm, DUET_FIELD_SHM_BYTES, last), ==, 1);
    g_autoptr(GByteArray) spawn = duet_payload_fields(spec);
    g_assert_cmpuint(find(spawn, DUET_FIELD_GROUP, last), ==, 2);
    g_assert_cmpstr(last->str, ==, "77");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/attributes/ulimits", test_ulimits);
    g_test_add_func("/attributes/sysctls", test_sysctls);
    g_test_add_func("/attributes/devices", test_devices);
    g_test_add_func("/attributes/spec", test_spec);
    g_test_add_func("/attributes/fields", test_fields);
    return g_test_run();
}
