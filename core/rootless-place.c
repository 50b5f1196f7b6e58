/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where an ordinary user's sockets are, and what `duet check` says of ordinary users. */
#include "core/rootless.h"
#include "core/util.h"

#include <duet/driver.h>
#include <duet/error.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static gboolean is_mine(const char *path, gboolean *out_private)
{
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return FALSE;
    *out_private = (st.st_mode & 077) == 0;
    return TRUE;
}

/* Our part of a directory that is the user's alone; that it is there already is no error. */
static char *part_of(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "duet", NULL);
    (void)!mkdir(path, 0700);
    return g_steal_pointer(&path);
}

char *duet_rootless_run_base(GError **error)
{
    gboolean is_private;
    uid_t uid = duet_rootless_uid();
    const char *wanted = g_getenv("XDG_RUNTIME_DIR");
    if (wanted && *wanted) {
        /* su(1) keeps the variable of the user that it was called by. */
        if (g_path_is_absolute(wanted) && is_mine(wanted, &is_private) && is_private)
            return part_of(wanted);
        g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
            "XDG_RUNTIME_DIR is '%s', which is no private directory of yours (mode 0700): log in "
            "anew (not by su), name such a directory, or unset it to use one in /tmp",
            wanted);
        return NULL;
    }
    g_autofree char *session = g_strdup_printf("/run/user/%u", uid);
    if (is_mine(session, &is_private) && is_private)
        return part_of(session);
    /* No session: a private one, whose name others may have taken. */
    g_autofree char *own = g_strdup_printf("/tmp/duet-run-%u", uid);
    if (mkdir(own, 0700) < 0 && errno != EEXIST) {
        duet_error_set_errno(error, errno, "cannot make '%s'; set XDG_RUNTIME_DIR", own);
        return NULL;
    }
    if (is_mine(own, &is_private) && is_private)
        return g_steal_pointer(&own);
    g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
        "'%s' is there and is no private directory of yours: remove it, or set XDG_RUNTIME_DIR to "
        "a directory that only you may enter",
        own);
    return NULL;
}

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
