/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "container-layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

#define PATH_BYTES_MAX 4096

void duet_layer_plan_clear(DuetLayerPlan *plan)
{
    for (guint i = 0; i < plan->count; i++) {
        duet_fd_clear(&plan->sources[i].fd);
        g_free(plan->sources[i].path);
    }
    g_free(plan->sources);
    for (guint i = 0; i < plan->trees->len; i++)
        close(g_array_index(plan->trees, int, i));
    g_array_unref(plan->trees);
    duet_fd_clear(&plan->upper_fd);
    duet_fd_clear(&plan->work_fd);
}
static gboolean source_open(
    DuetLayerSource *source, const char *path, gboolean locate, GError **error)
{
    source->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (source->fd < 0)
        return duet_error_set_errno(error, errno, "cannot open directory '%s'", path);
    if (!locate)
        return TRUE;
    struct statx info;
    char link[32], real[PATH_BYTES_MAX];
    g_snprintf(link, sizeof link, "/proc/self/fd/%d", source->fd);
    gssize length = readlink(link, real, sizeof real - 1);
    if (length <= 0 || statx(source->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0)
        return duet_error_set_errno(error, errno, "cannot find the mount of '%s'", path);
    real[length] = '\0';
    source->path = g_strdup(real);
    source->mount_id = info.stx_mnt_id;
    return TRUE;
}

/* How long the common parent directory of @a and @b is, as a prefix of @a; 0 is "/". */
static gsize common_parent(const char *a, gsize a_length, const char *b)
{
    gsize same = 0, i = 0;
    for (; i < a_length && b[i] != '\0' && a[i] == b[i]; i++)
        if (a[i] == '/')
            same = i;
    gboolean a_ends = i == a_length && (b[i] == '\0' || b[i] == '/');
    gboolean b_ends = b[i] == '\0' && i < a_length && a[i] == '/';
    return a_ends || b_ends ? i : same;
}

static gboolean tree_error(GError **error, int err, const char *dir)
{
    if (err == EINVAL || err == EOPNOTSUPP || err == ENOSYS)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "the file system of '%s' has no idmapped mounts (%s); keep --root on ext4, xfs, btrfs "
            "or, since Linux 6.3, tmpfs",
            dir, g_strerror(err));
    else
        duet_error_set_errno(error, err, "cannot make an idmapped mount of '%s'", dir);
    return FALSE;
}

/* Reopens all sources of the mount of @first through a new idmapped mount. */
static gboolean map_group(DuetLayerPlan *plan, guint first, int userns_fd, GError **error)
{
    DuetLayerSource *sources = plan->sources;
    guint64 mount_id = sources[first].mount_id;
    gsize length = strlen(sources[first].path);
    for (guint i = first + 1; i < plan->count; i++)
        if (sources[i].path != NULL && sources[i].mount_id == mount_id)
            length = common_parent(sources[first].path, length, sources[i].path);
    g_autofree char *dir = length > 0 ? g_strndup(sources[first].path, length) : g_strdup("/");
    int tree_fd = open_tree(AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree_fd < 0)
        return tree_error(error, errno, dir);
    g_array_append_val(plan->trees, tree_fd);
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_IDMAP,
        .propagation = MS_PRIVATE,
        .userns_fd = (guint64)userns_fd,
    };
    if (mount_setattr(tree_fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
        return tree_error(error, errno, dir);
    for (guint i = first; i < plan->count; i++) {
        if (sources[i].path == NULL || sources[i].mount_id != mount_id)
            continue;
        const char *rest = sources[i].path + length;
        while (*rest == '/')
            rest++;
        duet_fd_clear(&sources[i].fd);
        sources[i].fd = openat(
            tree_fd, *rest != '\0' ? rest : ".", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (sources[i].fd < 0)
            return duet_error_set_errno(error, errno, "cannot open '%s'", sources[i].path);
        g_clear_pointer(&sources[i].path, g_free);
    }
    return TRUE;
}

static gboolean is_plain(const struct stat *info)
{
    return info->st_uid == 0 && info->st_gid == 0 && (info->st_mode & 07777) == 0755;
}

/* The container's "/" takes owner and mode from the writable layer: they must be the image's. */
static gboolean make_upper(
    int instance_fd, const DuetLayerSource *top, const char *dir, GError **error)
{
    struct stat info;
    if (mkdirat(instance_fd, "work", 0700) != 0 && errno != EEXIST)
        return duet_error_set_errno(error, errno, "cannot make '%s/work'", dir);
    if (faccessat(instance_fd, "upper", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return TRUE;
    if (fstat(top->fd, &info) != 0)
        return duet_error_set_errno(error, errno, "cannot read the image's root directory");
    /* The monitor's umask takes nothing from what most images have; the directory above it may. */
    if (is_plain(&info)) {
        struct stat made;
        if (mkdirat(instance_fd, "upper", 0755) != 0 ||
            fstatat(instance_fd, "upper", &made, AT_SYMLINK_NOFOLLOW) != 0)
            return duet_error_set_errno(error, errno, "cannot make '%s/upper'", dir);
        if (is_plain(&made))
            return TRUE;
        unlinkat(instance_fd, "upper", AT_REMOVEDIR);
    }
    /* By that name only when it is complete: who starts it again takes it as it is. */
    if (mkdirat(instance_fd, "upper.new", 0700) != 0 && errno != EEXIST)
        return duet_error_set_errno(error, errno, "cannot make '%s/upper'", dir);
    if ((fchownat(instance_fd, "upper.new", info.st_uid, info.st_gid, 0) != 0 &&
            (info.st_uid != 0 || info.st_gid != 0)) ||
        fchmodat(instance_fd, "upper.new", info.st_mode & 07777, 0) != 0 ||
        renameat(instance_fd, "upper.new", instance_fd, "upper") != 0)
        return duet_error_set_errno(error, errno, "cannot set up '%s/upper'", dir);
    return TRUE;
}

gboolean duet_layer_plan_make(DuetLayerPlan *plan, char *const *layers, const char *instance_dir,
    int userns_fd, GError **error)
{
    guint layer_count = g_strv_length((char **)layers);
    plan->count = MAX(layer_count, 1) + 1;
    plan->sources = g_new(DuetLayerSource, plan->count);
    for (guint i = 0; i < plan->count; i++)
        plan->sources[i] = (DuetLayerSource){ .fd = -1 };
    DuetLayerSource *instance = &plan->sources[plan->count - 1];
    if (!source_open(instance, instance_dir, userns_fd >= 0, error))
        return FALSE;
    g_autofree char *empty = NULL;
    if (layer_count == 0) { /* an image "from scratch": overlayfs wants one layer */
        empty = g_build_filename(instance_dir, "empty", NULL);
        if (mkdir(empty, 0755) != 0 && errno != EEXIST)
            return duet_error_set_errno(error, errno, "cannot make '%s'", empty);
    }
    for (guint i = 0; i + 1 < plan->count; i++)
        if (!source_open(
                &plan->sources[i], empty != NULL ? empty : layers[i], userns_fd >= 0, error))
            return FALSE;
    if (!make_upper(instance->fd, &plan->sources[plan->count - 2], instance_dir, error))
        return FALSE;
    for (guint i = 0; i < plan->count && userns_fd >= 0; i++)
        if (plan->sources[i].path != NULL && !map_group(plan, i, userns_fd, error))
            return FALSE;
    plan->upper_fd = openat(instance->fd, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    plan->work_fd = openat(instance->fd, "work", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (plan->upper_fd < 0 || plan->work_fd < 0)
        return duet_error_set_errno(
            error, errno, "cannot open the writable layer in '%s'", instance_dir);
    return TRUE;
}
