/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "container-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/places.h"
#include "core/rootless.h"
#include "core/util.h"
#include "raw.h"

/* Any range: it is only in use for a moment, and for no file that stays. */
#define CHECK_ID_BASE (1u << 20)

/* The whole root file system is tried, in a directory of its own where instances will live. */

/* Sleeps in new namespaces until it is killed. */
static void hold_namespaces(void *data)
{
    (void)data;
    raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;)
        raw(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

/* Returns: a user namespace like a container's, or -1 with @error. */
static int open_userns(GError **error)
{
    DuetClone clone;
    g_auto(DuetIdmap) map = { NULL, NULL };
    if (!duet_idmap_make(&map, CHECK_ID_BASE, NULL, error))
        return -1;
    guint64 flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC |
        CLONE_NEWNET | CLONE_NEWCGROUP;
    if (!duet_clone(flags, -1, hold_namespaces, NULL, &clone)) {
        duet_error_set_errno(error, errno, "cannot make a container's namespaces");
        return -1;
    }
    int fd = duet_idmap_write(clone.pid, &map, error) ? duet_idmap_open(clone.pid, error) : -1;
    duet_clone_abort(&clone);
    return fd;
}

static void check_overlay(GPtrArray *checks, int userns_fd)
{
    g_autoptr(GError) error = NULL;
    gboolean rootless = duet_is_rootless();
    const char *advice =
        "keep --root on ext4, xfs, btrfs or tmpfs; Linux 5.19 or later; modprobe overlay";
    g_autofree char *root = duet_place_root();
    g_autofree char *dir = NULL;
    if (duet_mkdir_p(root, 0711, &error)) {
        dir = g_build_filename(root, ".check-XXXXXX", NULL);
        if (g_mkdtemp(dir) == NULL)
            duet_error_set_errno(&error, errno, "cannot make a directory in '%s'", root);
    }
    if (error == NULL) {
        DuetOverlay overlay = { .root_fd = -1 };
        char *const layers[] = { NULL };
        gboolean ok = duet_overlay_make(
            &overlay, layers, dir, rootless ? -1 : userns_fd, CHECK_ID_BASE, TRUE, &error);
        if (ok)
            duet_overlay_clear(&overlay);
        duet_remove_tree(AT_FDCWD, dir, NULL);
    }
    g_autofree char *detail = error != NULL
        ? g_strdup(error->message)
        : g_strdup_printf("overlay %s works in '%s'",
              rootless ? "in a user namespace" : "over idmapped mounts", root);
    g_ptr_array_add(checks,
        duet_check_new("overlayfs", error == NULL ? DUET_CHECK_OK : DUET_CHECK_NO, detail,
            error == NULL ? NULL : advice));
}

static void check_kernel(GPtrArray *checks)
{
    DUET_AUTO_FD fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
    gboolean ok = fd >= 0;
    g_ptr_array_add(checks,
        duet_check_new("mount-api", ok ? DUET_CHECK_OK : DUET_CHECK_NO,
            ok ? "fsopen works" : g_strerror(errno),
            ok ? NULL : "run duet as root, on Linux 5.19 or later"));
}

GPtrArray *duet_container_check(void)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *checks = g_ptr_array_new_with_free_func((GDestroyNotify)duet_check_free);
    if (duet_is_flat()) /* the line on user namespaces says it all */
        return checks;
    check_kernel(checks);
    DUET_AUTO_FD userns_fd = open_userns(&error);
    gboolean ok = userns_fd >= 0;
    g_ptr_array_add(checks,
        duet_check_new("namespaces", ok ? DUET_CHECK_OK : DUET_CHECK_NO,
            ok ? "user, mnt, pid, net, uts, ipc and cgroup namespaces work" : error->message,
            ok ? NULL : "raise /proc/sys/user/max_user_namespaces; run duet as root on the host"));
    if (ok)
        check_overlay(checks, userns_fd);
    return checks;
}
