/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/attributes.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#define LABEL_MAX_BYTES 4096

static const struct {
    const char *name;
    int resource;
} ulimit_names[] = {
    { "core", RLIMIT_CORE },
    { "cpu", RLIMIT_CPU },
    { "data", RLIMIT_DATA },
    { "fsize", RLIMIT_FSIZE },
    { "locks", RLIMIT_LOCKS },
    { "lock", RLIMIT_LOCKS },
    { "memlock", RLIMIT_MEMLOCK },
    { "msgqueue", RLIMIT_MSGQUEUE },
    { "nice", RLIMIT_NICE },
    { "nofile", RLIMIT_NOFILE },
    { "nproc", RLIMIT_NPROC },
    { "rss", RLIMIT_RSS },
    { "rtprio", RLIMIT_RTPRIO },
    { "rttime", RLIMIT_RTTIME },
    { "sigpending", RLIMIT_SIGPENDING },
    { "stack", RLIMIT_STACK },
};

static gboolean invalid(GError **error, const char *text, const char *why)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' %s", text, why);
    return FALSE;
}

/* ---- ulimits ---- */

const char *duet_ulimit_name(int resource)
{
    for (gsize i = 0; i < G_N_ELEMENTS(ulimit_names); i++)
        if (ulimit_names[i].resource == resource)
            return ulimit_names[i].name;
    return NULL;
}

static gboolean parse_limit(const char *text, guint64 *out_limit)
{
    if (g_str_equal(text, "-1") || g_str_equal(text, "unlimited")) {
        *out_limit = G_MAXUINT64;
        return TRUE;
    }
    return g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, out_limit, NULL);
}

gboolean duet_ulimit_parse(const char *text, DuetUlimit *out_limit, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "=", 2);
    DuetUlimit limit = { .resource = -1 };
    if (g_strv_length(parts) != 2)
        return invalid(error, text, "is no ulimit: use NAME=SOFT[:HARD], such as nofile=1024:2048");
    for (gsize i = 0; i < G_N_ELEMENTS(ulimit_names); i++)
        if (g_str_equal(parts[0], ulimit_names[i].name))
            limit.resource = ulimit_names[i].resource;
    if (limit.resource < 0)
        return invalid(error, text,
            "is no ulimit: the names are core, cpu, data, fsize, locks, memlock, msgqueue, nice, "
            "nofile, nproc, rss, rtprio, rttime, sigpending and stack");
    g_auto(GStrv) values = g_strsplit(parts[1], ":", 2);
    const char *soft = values[0] ? values[0] : "";
    if (!parse_limit(soft, &limit.soft) ||
        !parse_limit(values[0] && values[1] ? values[1] : soft, &limit.hard))
        return invalid(
            error, text, "has a limit that is none: use a number, or -1 or unlimited for no limit");
    if (limit.soft > limit.hard)
        return invalid(error, text, "has a soft limit above its hard limit");
    *out_limit = limit;
    return TRUE;
}

guint32 duet_ulimits_named(char *const *ulimits)
{
    guint32 named = 0;
    for (; ulimits && *ulimits; ulimits++) {
        DuetUlimit limit;
        if (g_str_equal(*ulimits, DUET_ULIMIT_HOST))
            return G_MAXUINT32;
        if (duet_ulimit_parse(*ulimits, &limit, NULL))
            named |= 1u << limit.resource;
    }
    return named;
}

/* ---- sysctls ---- */

/* A slash in place of a dot, and the reverse. */
static void swap_separators(char *name)
{
    for (; *name; name++)
        *name = *name == '.' ? '/' : *name == '/' ? '.' : *name;
}

char *duet_sysctl_path(const char *normal)
{
    g_autofree char *name = g_strndup(normal, strcspn(normal, "="));
    swap_separators(name);
    return g_strconcat("/proc/sys/", name, NULL);
}

/* It can't leave /proc/sys. */
static gboolean is_sysctl_name(const char *normal)
{
    g_autofree char *path = duet_sysctl_path(normal);
    g_auto(GStrv) steps = g_strsplit(path + strlen("/proc/sys/"), "/", -1);
    for (char **step = steps; *step; step++)
        if (!**step || g_str_equal(*step, ".") || g_str_equal(*step, ".."))
            return FALSE;
    return g_strv_length(steps) > 1;
}

char *duet_sysctl_normal(const char *text, GError **error)
{
    const char *equals = strchr(text, '=');
    g_autofree char *name = g_strndup(text, equals ? (gsize)(equals - text) : 0);
    const char *separator = strpbrk(name, "./");
    if (separator && *separator == '/')
        swap_separators(name);
    if (!equals || !equals[1] || !is_sysctl_name(name)) {
        invalid(error, text, "is no sysctl: use NAME=VALUE, such as net.ipv4.ip_forward=1");
        return NULL;
    }
    return g_strconcat(name, equals, NULL);
}

gboolean duet_sysctl_is_contained(const char *normal, GError **error)
{
    static const char *const ours[] = { "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni",
        "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
        "kernel.domainname", NULL };
    g_autofree char *name = g_strndup(normal, strcspn(normal, "="));
    if (g_strv_contains(ours, name) || g_str_has_prefix(name, "fs.mqueue.") ||
        g_str_has_prefix(name, "net."))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        g_str_equal(name, "kernel.hostname")
            ? "the sysctl '%s' is what --hostname sets"
            : "the sysctl '%s' is the whole host's: no namespace of a container has one of its "
              "own; use --as vm",
        name);
    return FALSE;
}

/* ---- devices ---- */

void duet_device_clear(DuetDevice *device)
{
    g_free(device->source);
    g_free(device->target);
    *device = (DuetDevice){ 0 };
}

static gboolean parse_permissions(const char *text, DuetDevice *device)
{
    for (; *text; text++) {
        gboolean *permission = *text == 'r' ? &device->read : *text == 'w' ? &device->write : NULL;
        if (!permission || *permission)
            return FALSE;
        *permission = TRUE;
    }
    return device->read || device->write;
}

/* Below "/dev", which is the container's own file system, and the only one whose devices work. */
static gboolean is_device_target(const char *target)
{
    g_autofree char *plain = g_canonicalize_filename(target, "/");
    return g_str_has_prefix(plain, "/dev/") && g_str_equal(plain, target);
}

gboolean duet_device_parse(const char *text, DuetDevice *out_device, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    guint n = g_strv_length(parts);
    g_auto(DuetDevice) device = { 0 };
    const char *permissions = n > 1 && parts[n - 1][0] != '/' ? parts[n - 1] : NULL;
    const char *target = n > 1 && parts[1][0] == '/' ? parts[1] : parts[0];
    if (n == 0 || n > 3 || parts[0][0] != '/' || (n == 3 && (parts[1][0] != '/' || !permissions)))
        return invalid(error, text, "is no device: use HOST[:CONTAINER][:r|w|rw]");
    if (permissions && strchr(permissions, 'm') &&
        strspn(permissions, "rwm") == strlen(permissions))
        return invalid(error, text,
            "asks for 'm', which nobody can have: no container may make device nodes; use rw");
    if (!parse_permissions(permissions ? permissions : "rw", &device))
        return invalid(error, text, "has permissions that are none: use r, w or rw");
    if (!is_device_target(target))
        return invalid(error, text, "has a place that is none for a device: use one below /dev");
    device.source = g_strdup(parts[0]);
    device.target = g_strdup(target);
    *out_device = device;
    device = (DuetDevice){ 0 };
    return TRUE;
}

/* ---- what a process gets from outside ---- */

gboolean duet_apparmor_is_on(void)
{
    g_autofree char *enabled =
        duet_file_read(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", 16, NULL, NULL);
    return enabled && enabled[0] == 'Y';
}

char *duet_apparmor_profile(pid_t pid)
{
    g_autofree char *own = g_strdup_printf("/proc/%d/attr/apparmor/current", (int)pid);
    /* Before Linux 5.8 there was one place for all such modules. */
    g_autofree char *shared = g_strdup_printf("/proc/%d/attr/current", (int)pid);
    if (!duet_apparmor_is_on())
        return NULL;
    char *label = duet_file_read(AT_FDCWD, own, LABEL_MAX_BYTES, NULL, NULL);
    if (!label)
        label = duet_file_read(AT_FDCWD, shared, LABEL_MAX_BYTES, NULL, NULL);
    return label ? g_strchomp(label) : NULL;
}

/* The payload's process may lower its hard limits, never raise them. */
static gboolean raise_limit(const DuetUlimit *limit, pid_t pid, GError **error)
{
    struct rlimit now;
    const char *name = duet_ulimit_name(limit->resource);
    if (prlimit(pid, limit->resource, NULL, &now) != 0)
        return duet_error_set_errno(error, errno, "cannot read the limit '%s'", name);
    if (limit->hard <= now.rlim_max)
        return TRUE;
    struct rlimit raised = { .rlim_cur = now.rlim_cur, .rlim_max = limit->hard };
    if (prlimit(pid, limit->resource, &raised, NULL) == 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, errno == EPERM ? DUET_ERROR_PERMISSION : DUET_ERROR_FAILED,
        "cannot raise the limit '%s' above %" G_GUINT64_FORMAT
        ", the caller's hard limit: %s; ask for no more, or raise it%s for who calls duet",
        name, (guint64)now.rlim_max, g_strerror(errno),
        limit->resource == RLIMIT_NOFILE ? ", at most to fs.nr_open," : "");
    return FALSE;
}

static gboolean set_oom_score(int score, pid_t pid, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/oom_score_adj", (int)pid);
    g_autofree char *text = g_strdup_printf("%d", score);
    DUET_AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && duet_write_all(fd, text, strlen(text)))
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot set the OOM score to %d%s", score,
        errno == EACCES || errno == EPERM
            ? " (one below the caller's needs root with CAP_SYS_RESOURCE)"
            : "");
}

gboolean duet_attributes_apply(const DuetSpec *spec, pid_t pid, GError **error)
{
    for (char **text = spec->ulimits; text && *text && spec->kind != DUET_KIND_VM; text++) {
        DuetUlimit limit;
        if (g_str_equal(*text, DUET_ULIMIT_HOST))
            continue;
        if (!duet_ulimit_parse(*text, &limit, error) || !raise_limit(&limit, pid, error))
            return FALSE;
    }
    return spec->oom_score_adj == DUET_OOM_SCORE_ADJ_OF_CALLER ||
        set_oom_score(spec->oom_score_adj, pid, error);
}
