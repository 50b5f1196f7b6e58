/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cgroup-private.h"

static gboolean try_limits(const GPtrArray *layout, const DuetLimits *limits, char **out_reason)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = g_strdup_printf("%08x%04x", g_random_int(), g_random_int() & 0xffff);
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_new_in(layout, id, limits, &error);
    if (cgroup == NULL || !duet_cgroup_remove(cgroup, &error)) {
        *out_reason = g_strdup(error->message);
        return FALSE;
    }
    return TRUE;
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
    };
    GPtrArray *checks = g_ptr_array_new_with_free_func((GDestroyNotify)duet_check_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_read(&error);
    if (layout == NULL) {
        g_ptr_array_add(
            checks, duet_check_new("cgroup", DUET_CHECK_NO, error->message, "mount /proc"));
        return checks;
    }
    g_ptr_array_add(checks, check_layout(layout));
    for (gsize i = 0; i < G_N_ELEMENTS(tries) && layout->len > 0; i++) {
        g_autofree char *reason = NULL;
        gboolean ok = try_limits(layout, &tries[i].limits, &reason);
        g_ptr_array_add(checks,
            duet_check_new(tries[i].name, ok ? DUET_CHECK_OK : DUET_CHECK_NO,
                ok ? "tried with a cgroup of its own" : reason,
                ok ? NULL : "run duet as root, outside of other containers"));
    }
    return checks;
}
