/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `duet check` says of ordinary users. */
#include "core/rootless.h"

#include <duet/driver.h>

static DuetCheck *check_ids(void)
{
    guint64 counts[2] = { 0, 0 };
    for (int type = DUET_ID_USER; type <= DUET_ID_GROUP; type++) {
        g_autoptr(GArray) ranges = duet_ids_own((DuetIdType)type);
        for (guint i = 0; i < ranges->len; i++)
            counts[type] += g_array_index(ranges, DuetIdRange, i).count;
    }
    guint64 least = MIN(counts[0], counts[1]);
    g_autofree char *detail = g_strdup_printf("%" G_GUINT64_FORMAT " users and %" G_GUINT64_FORMAT
                                              " groups can be in an image%s",
        counts[0], counts[1], least == 1 ? ": only those whose files are all root's run" : "");
    g_autofree char *advice = least < 65536 ? duet_ids_advice(0) : NULL;
    return duet_check_new(
        "user-ids", least < 65536 ? DUET_CHECK_WARN : DUET_CHECK_OK, detail, advice);
}

GPtrArray *duet_rootless_check(void)
{
    GPtrArray *checks = g_ptr_array_new_with_free_func((GDestroyNotify)duet_check_free);
    if (!duet_is_rootless())
        return checks;
    g_autofree char *obstacle = duet_rootless_obstacle();
    g_ptr_array_add(checks,
        duet_check_new("user-namespace", obstacle ? DUET_CHECK_NO : DUET_CHECK_OK,
            obstacle ? obstacle : "this user may make user namespaces",
            obstacle ? "until then VMs run, and containers do not" : NULL));
    g_autofree char *helper = g_find_program_in_path("newuidmap");
    g_ptr_array_add(checks,
        duet_check_new("newuidmap", helper ? DUET_CHECK_OK : DUET_CHECK_WARN,
            helper ? helper : "not found: one id is all that can be mapped",
            helper ? NULL : "install the package uidmap"));
    g_ptr_array_add(checks, check_ids());
    return checks;
}
