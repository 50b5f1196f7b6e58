/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * Layers and writable layer lie on disk with the owners that the container sees. An idmapped
 * mount shifts them to the instance's own host ids, and overlayfs is put together on top of such
 * mounts: one for all directories of one host mount, made at their nearest common parent.
 *
 * Everything is a detached mount, with no place in any mount namespace: the host never sees one,
 * and a monitor that is killed leaves none. Kernels before 6.15 take no detached mount as a layer;
 * there, the monitor gets a mount namespace of its own, from which nothing spreads, and
 * attaches the idmapped mounts over the work directory, which nobody else needs to look into.
 *
 * Overlayfs keeps the credentials of who mounts it, and makes whiteouts and its work directory with
 * them. The monitor's uid 0 is not in the idmapped mounts' map, so it mounts as the container's
 * root, by fsuid, with the capabilities of the host's.
 *
 * In an ordinary user's namespace the ids on disk are shifted already: the directories themselves
 * are the layers, and overlayfs keeps its marks in user.overlay.*, the only ones that it may write
 * there.
 *
 * Directories reach overlayfs as /proc/self/fd/<n>: no name is looked up twice, no option grows
 * too long, and the container's mountinfo tells nothing of the host.
 */

#include "container-layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/rootless.h"
#include "core/util.h"

/* fsconfig() takes values of less than 256 bytes, mount(2) a page of options. */
#define FSCONFIG_VALUE_MAX 255
#define MOUNT_DATA_MAX 4095
/* A descriptor's number and a colon. */
#define LOWER_NAME_MAX 8

/* Ways to hand the layers over, from new kernels to old ones. */
typedef enum {
    WAY_DETACHED, /* 6.15: "lowerdir+", layers on detached mounts */
    WAY_ATTACHED, /* 6.7: "lowerdir+" */
    WAY_ONE_STRING, /* fsconfig "lowerdir=..." where it is short enough */
    WAY_MOUNT_SYSCALL,
    WAY_COUNT,
} OverlayWay;

gboolean duet_overlay_private_ns(DuetOverlay *overlay, GError **error)
{
    if (overlay->is_private)
        return TRUE;
    if (unshare(CLONE_NEWNS) != 0)
        return duet_error_set_errno(error, errno, "cannot make a mount namespace for the monitor");
    if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) != 0)
        return duet_error_set_errno(error, errno, "cannot keep the monitor's mounts private");
    overlay->is_private = TRUE;
    return TRUE;
}

typedef struct {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct sets[2];
} Caps;

/* Takes the file system ids of the container's root; changing them drops capabilities, so these are
 * taken back. Returns 0 or an errno value. */
static int enter_ids(guint32 id, Caps *out_before)
{
    *out_before = (Caps){ .header = { .version = _LINUX_CAPABILITY_VERSION_3 } };
    if (syscall(SYS_capget, &out_before->header, out_before->sets) != 0)
        return errno;
    setfsgid(id);
    setfsuid(id);
    return syscall(SYS_capset, &out_before->header, out_before->sets) != 0 ? errno : 0;
}

static void leave_ids(Caps *before)
{
    setfsuid(geteuid());
    setfsgid(getegid());
    syscall(SYS_capset, &before->header, before->sets);
}

static int config_fd(int fs_fd, const char *key, int fd)
{
    char value[32];
    g_snprintf(value, sizeof value, "/proc/self/fd/%d", fd);
    return fsconfig(fs_fd, FSCONFIG_SET_STRING, key, value, 0);
}

/* "12:11:10": names of descriptors, highest layer first, for a caller in /proc/self/fd. */
static char *lower_text(const DuetLayerPlan *plan)
{
    GString *text = g_string_new(NULL);
    for (guint i = plan->count - 1; i-- > 0;)
        g_string_append_printf(text, "%s%d", text->len > 0 ? ":" : "", plan->sources[i].fd);
    return g_string_free(text, FALSE);
}

/* Returns 0 or an errno value; E2BIG where the layers don't fit. */
static int config_lower(const DuetLayerPlan *plan, int fs_fd, OverlayWay way)
{
    if (way == WAY_ONE_STRING) {
        g_autofree char *text = lower_text(plan);
        if (strlen(text) > FSCONFIG_VALUE_MAX)
            return E2BIG;
        return fsconfig(fs_fd, FSCONFIG_SET_STRING, "lowerdir", text, 0) != 0 ? errno : 0;
    }
    for (guint i = plan->count - 1; i-- > 0;)
        if (config_fd(fs_fd, "lowerdir+", plan->sources[i].fd) != 0)
            return errno;
    return 0;
}

static int mount_new_api(const DuetLayerPlan *plan, OverlayWay way, int *out_fd, char **out_log)
{
    DUET_AUTO_FD fs_fd = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs_fd < 0)
        return errno;
    int err = 0;
    /* none asks for the overlay's uuid, and keeping one costs a write to the disk */
    if (way <= WAY_ATTACHED)
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "uuid", "null", 0);
    if (fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", "duet", 0) != 0 ||
        config_fd(fs_fd, "upperdir", plan->upper_fd) != 0 ||
        config_fd(fs_fd, "workdir", plan->work_fd) != 0 ||
        (plan->in_userns && fsconfig(fs_fd, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) != 0) ||
        (plan->is_volatile && fsconfig(fs_fd, FSCONFIG_SET_FLAG, "volatile", NULL, 0) != 0))
        err = errno;
    if (err == 0)
        err = config_lower(plan, fs_fd, way);
    if (err == 0 && fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        err = errno;
    if (err == 0) {
        *out_fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
        return *out_fd < 0 ? errno : 0;
    }
    char log[512];
    gssize length = read(fs_fd, log, sizeof log - 1);
    if (length > 0) {
        g_free(*out_log);
        *out_log = g_strchomp(g_strndup(log, (gsize)length));
    }
    return err;
}

static int mount_syscall(const DuetLayerPlan *plan, int *out_fd)
{
    g_autofree char *lower = lower_text(plan);
    g_autofree char *data = g_strdup_printf("lowerdir=%s,upperdir=%d,workdir=%d%s%s", lower,
        plan->upper_fd, plan->work_fd, plan->is_volatile ? ",volatile" : "",
        plan->in_userns ? ",userxattr" : "");
    if (strlen(data) > MOUNT_DATA_MAX)
        return E2BIG;
    if (mount("duet", plan->attach_point, "overlay", MS_NODEV, data) != 0)
        return errno;
    *out_fd = open_tree(AT_FDCWD, plan->attach_point, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    int err = *out_fd < 0 ? errno : 0;
    umount2(plan->attach_point, MNT_DETACH);
    return err;
}

static gboolean attach_trees(const DuetLayerPlan *plan, DuetOverlay *overlay, GError **error)
{
    if (!duet_overlay_private_ns(overlay, error))
        return FALSE;
    overlay->attached = g_strdup(plan->attach_point);
    for (guint i = 0; i < plan->trees->len; i++) {
        if (move_mount(g_array_index(plan->trees, int, i), "", AT_FDCWD, plan->attach_point,
                MOVE_MOUNT_F_EMPTY_PATH) != 0)
            return duet_error_set_errno(
                error, errno, "cannot attach a mount to '%s'", plan->attach_point);
        overlay->attached_count++;
    }
    return TRUE;
}

static OverlayWay first_way(void)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    if (uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
        (major < 6 || (major == 6 && minor < 7)))
        return WAY_ONE_STRING;
    return WAY_DETACHED;
}

static int mount_by_way(const DuetLayerPlan *plan, OverlayWay way, int *out_fd, char **out_log)
{
    if (way <= WAY_ATTACHED)
        return mount_new_api(plan, way, out_fd, out_log);
    DUET_AUTO_FD here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (chdir("/proc/self/fd") != 0)
        return errno;
    int err = way == WAY_ONE_STRING ? mount_new_api(plan, way, out_fd, out_log)
                                    : mount_syscall(plan, out_fd);
    if (here < 0 || fchdir(here) != 0)
        (void)!chdir("/");
    return err;
}

static int mount_by(const DuetLayerPlan *plan, OverlayWay way, int *out_fd, char **out_log)
{
    if (plan->trees->len == 0)
        return mount_by_way(plan, way, out_fd, out_log);
    Caps before;
    int err = enter_ids(plan->id_base, &before);
    if (err == 0)
        err = mount_by_way(plan, way, out_fd, out_log);
    leave_ids(&before);
    return err;
}

static gboolean overlay_error(GError **error, int err, const char *dir, const char *log)
{
    if (err == ENODEV)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "this kernel has no overlayfs; load it: modprobe overlay");
    else if (err == EINVAL || err == EOPNOTSUPP)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "overlayfs refuses the file system of '%s'%s%s; keep --root on ext4, xfs, btrfs or "
            "tmpfs, and on Linux 5.19 or later",
            dir, log != NULL ? ": " : "", log != NULL ? log : "");
    else
        duet_error_set_errno(error, err, "cannot mount the layers for '%s'%s%s", dir,
            log != NULL ? ": " : "", log != NULL ? log : "");
    return FALSE;
}

static gboolean plan_mount(DuetLayerPlan *plan, DuetOverlay *overlay, const char *instance_dir,
    gboolean mapped, GError **error)
{
    g_autofree char *log = NULL;
    int err = EINVAL;
    for (OverlayWay way = first_way(); way < WAY_COUNT; way++) {
        if (way == WAY_DETACHED && !mapped)
            continue; /* nothing is detached: the host's own mounts are the layers */
        if (way == WAY_MOUNT_SYSCALL && !mapped && !overlay->is_private)
            break; /* the host would see it, and the layers were short enough for one string */
        if (way != WAY_DETACHED && mapped && overlay->attached == NULL &&
            !attach_trees(plan, overlay, error))
            return FALSE;
        err = mount_by(plan, way, &overlay->root_fd, &log);
        if (err == 0)
            return TRUE;
        if (err != EINVAL && err != E2BIG && err != EOPNOTSUPP)
            break;
    }
    return overlay_error(error, err, instance_dir, log);
}

/* Whether unmapped layers may need mount(2), which wants a place to mount at. A mount namespace
 * made after they were opened would not do: overlayfs takes no layer of another one. */
static gboolean may_need_place(char *const *layers)
{
    return first_way() == WAY_ONE_STRING &&
        g_strv_length((char **)layers) * LOWER_NAME_MAX > FSCONFIG_VALUE_MAX;
}

gboolean duet_overlay_make(DuetOverlay *overlay, char *const *layers, const char *instance_dir,
    int userns_fd, guint32 id_base, gboolean is_volatile, GError **error)
{
    if (userns_fd < 0 && may_need_place(layers) && !duet_overlay_private_ns(overlay, error))
        return FALSE;
    g_autofree char *attach_point = g_build_filename(instance_dir, "work", NULL);
    g_auto(DuetLayerPlan) plan = {
        .upper_fd = -1,
        .work_fd = -1,
        .trees = g_array_new(FALSE, FALSE, sizeof(int)),
        .id_base = id_base,
        .is_volatile = is_volatile,
        .in_userns = duet_is_rootless(),
        .attach_point = attach_point,
    };
    if (duet_layer_plan_make(&plan, layers, instance_dir, userns_fd, error) &&
        plan_mount(&plan, overlay, instance_dir, userns_fd >= 0, error))
        return TRUE;
    duet_overlay_clear(overlay);
    return FALSE;
}

void duet_overlay_clear(DuetOverlay *overlay)
{
    duet_fd_clear(&overlay->root_fd);
    for (; overlay->attached_count > 0; overlay->attached_count--)
        umount2(overlay->attached, MNT_DETACH | UMOUNT_NOFOLLOW);
    g_clear_pointer(&overlay->attached, g_free);
}
