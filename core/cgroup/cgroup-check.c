/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-private.h"
#include "core/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/util.h"

#define REASON_MAX_BYTES 4096

static gboolean try_once(const DuetLimits *limits, GError **error)
{
    g_autofree char *id = g_strdup_printf("%08x%04x", g_random_int(), g_random_int() & 0xffff);
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_plan(id, "check", limits, error);
    return cgroup != NULL && duet_cgroup_make(cgroup, error) && duet_cgroup_remove(cgroup, error);
}

/*
 * Returns: (transfer full): why not, or NULL. In a child, as a scope takes the process that asks
 * for it along, and a user's can't come back.
 */
static char *try_limits(const DuetLimits *limits)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return g_strdup(g_strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        g_autoptr(GError) error = NULL;
        if (!try_once(limits, &error))
            duet_write_all(ends[1], error->message, strlen(error->message));
        _exit(error != NULL);
    }
    close(ends[1]);
    char reason[REASON_MAX_BYTES];
    gsize length = 0;
    gssize bytes;
    while (length < sizeof reason - 1 &&
        (bytes = read(ends[0], reason + length, sizeof reason - 1 - length)) > 0)
        length += (gsize)bytes;
    close(ends[0]);
    reason[length] = '\0';
    int status = -1;
    if (pid > 0)
        waitpid(pid, &status, 0);
    if (status == 0)
        return NULL;
    return g_strdup(length > 0 ? reason : "the process that tried it died");
}

/* Who makes an instance's cgroup. */
static DuetCheck *check_manager(const DuetCgroup *cgroup, const GPtrArray *layout)
{
    static const char name[] = "cgroup-manager";
    if (!duet_scope_booted())
        return duet_check_new(
            name, DUET_CHECK_OK, "own directories: systemd is not the init here", NULL);
    if (cgroup->manager == NULL) {
        g_autofree char *detail =
            g_strconcat("own directories, beside systemd's: ", cgroup->no_scope, NULL);
        return duet_check_new(name, DUET_CHECK_WARN, detail,
            "two that write to one cgroup tree may undo each other's work; let duet reach systemd");
    }
    const DuetHierarchy *v2 = duet_cgroup_layout_v2(layout);
    g_autofree char *names =
        duet_controllers_to_string(duet_cgroup_scope_controllers(cgroup->manager, v2));
    const char *slice = duet_scope_manager_slice(cgroup->manager);
    g_autofree char *detail = names[0] != '\0'
        ? g_strdup_printf("systemd scope in /%s, with the controllers %s", slice, names)
        : g_strdup_printf("systemd scope in /%s, and own directories for v1's controllers", slice);
    return duet_check_new(name, DUET_CHECK_OK, detail, NULL);
}

static DuetCheck *check_layout(const GPtrArray *layout)
{
    GString *v1 = g_string_new(NULL);
    const DuetHierarchy *v2 = duet_cgroup_layout_v2(layout);
    for (guint i = 0; i < layout->len; i++) {
        const DuetHierarchy *hierarchy = layout->pdata[i];
        if (hierarchy->version == DUET_CGROUP_V1)
            g_string_append_printf(v1, "%s%s", v1->len > 0 ? " " : "", hierarchy->name);
    }
    g_autofree char *v1_text = g_string_free(v1, FALSE);
    g_autofree char *detail = NULL;
    if (v2 != NULL && v1_text[0] != '\0')
        detail = g_strdup_printf("v1 (%s) and v2 at %s", v1_text, v2->mount_point);
    else if (v2 != NULL)
        detail = g_strdup_printf("v2 at %s", v2->mount_point);
    else
        detail = g_strdup_printf("v1 (%s)", v1_text);
    if (layout->len == 0 && duet_is_rootless())
        return duet_check_new("cgroup", DUET_CHECK_WARN,
            "none was delegated to you: no limits, no pause, figures of memory by PSS alone",
            "log in to a systemd session with cgroup v2, or run duet as root");
    if (layout->len == 0)
        return duet_check_new("cgroup", DUET_CHECK_NO, "no hierarchy is mounted",
            "mount -t cgroup2 none /sys/fs/cgroup");
    return duet_check_new("cgroup", DUET_CHECK_OK, detail, NULL);
}

GPtrArray *duet_cgroup_check(void)
{
    static const struct {
        const char *name;
        DuetLimits limits;
    } tries[] = {
        { "limit-memory", { .memory_bytes = 1 << 30 } },
        { "limit-cpus", { .cpus = 1 } },
        { "limit-pids", { .pids = 1000 } },
        { "limit-cpuset", { .cpuset_mems = "0" } },
        { "limit-blkio-weight", { .blkio_weight = 100 } },
    };
    GPtrArray *checks = g_ptr_array_new_with_free_func((GDestroyNotify)duet_check_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_read(&error);
    if (layout == NULL) {
        g_ptr_array_add(
            checks, duet_check_new("cgroup", DUET_CHECK_NO, error->message, "mount /proc"));
        return checks;
    }
    g_autoptr(DuetCgroup) cgroup = g_new0(DuetCgroup, 1);
    duet_cgroup_scope_choose(cgroup, layout);
    g_ptr_array_add(checks, check_layout(layout));
    if (layout->len > 0 || duet_scope_booted())
        g_ptr_array_add(checks, check_manager(cgroup, layout));
    for (gsize i = 0; i < G_N_ELEMENTS(tries) && layout->len > 0; i++) {
        g_autofree char *reason = try_limits(&tries[i].limits);
        gboolean ok = reason == NULL;
        g_ptr_array_add(checks,
            duet_check_new(tries[i].name, ok ? DUET_CHECK_OK : DUET_CHECK_NO,
                ok ? "tried with a cgroup of its own" : reason,
                ok || duet_scope_booted() ? NULL
                                          : "run duet as root, outside of other containers"));
    }
    return checks;
}
