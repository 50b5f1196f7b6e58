/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation: devices of the host that a container was given.
 *
 * Root's monitor makes a node of its own for each, on the container's /dev, before the container
 * sees that. Who may open it is said by the node's mode: with reading and writing allowed it is the
 * host's, and the node belongs to the container's root. With only one of the two, the node stays
 * the host's root's, whom the container does not know: all that is left to anybody in there are the
 * bits for others, and nobody can change them.
 *
 * An ordinary user can make no node: the child mounts the host's over an empty file. Its owner and
 * mode are then the host's, so only what is open to that user without the help of a group works,
 * and reading alone can't be told from writing.
 *
 * No cgroup guards devices: what has no node in there can't be opened, and nobody in a user
 * namespace can make one.
 */

#include "container-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/attributes.h"
#include "core/rootless.h"
#include "core/util.h"
#include "raw.h"

#define NODES_MAX 256
#define DEPTH_MAX 8
#define OWN_PLACE "is a place that the container has for itself"

/* What lies there is the container's own. */
static const char *const own_names[] = { "pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr",
    "ptmx" };

static void node_clear(gpointer data)
{
    DuetDeviceNode *node = data;
    g_free(node->source);
    g_free(node->target);
}

static gboolean refuse(GError **error, const char *path, const char *why)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "--device: '%s' %s", path, why);
    return FALSE;
}

static gboolean is_device(const struct stat *info)
{
    return S_ISCHR(info->st_mode) || S_ISBLK(info->st_mode);
}

static gboolean add_node(GArray *nodes, const DuetDevice *device, const char *source,
    const char *target, const struct stat *info, GError **error)
{
    gboolean whole = device->read && device->write;
    dev_t usual = duet_dev_usual(target + strlen("/dev/"));
    /* The agent relies on them, too. */
    if (usual != 0)
        return (usual == info->st_rdev && whole) || refuse(error, target, OWN_PLACE);
    DuetDeviceNode node = {
        .source = g_strdup(source),
        .target = g_strdup(target + strlen("/dev/")),
        .number = info->st_rdev,
        .mode = whole ? info->st_mode : (info->st_mode & S_IFMT) | (device->read ? 0444u : 0222u),
        .is_owned = whole,
    };
    g_array_append_val(nodes, node);
    return nodes->len <= NODES_MAX || refuse(error, device->source, "has more devices than 256");
}

/* All devices below a directory, as podman has it; links and what else lies there is passed over.
 */
static gboolean add_directory(GArray *nodes, const DuetDevice *device, const char *source,
    const char *target, int depth, GError **error)
{
    DIR *dir = opendir(source);
    struct dirent *entry;
    gboolean ok = TRUE;
    if (dir == NULL)
        return duet_error_set_errno(error, errno, "--device: cannot read '%s'", source);
    while (ok && (entry = readdir(dir)) != NULL) {
        struct stat info;
        if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..") ||
            fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        g_autofree char *from = g_build_filename(source, entry->d_name, NULL);
        g_autofree char *to = g_build_filename(target, entry->d_name, NULL);
        if (is_device(&info))
            ok = add_node(nodes, device, from, to, &info, error);
        else if (S_ISDIR(info.st_mode) && depth < DEPTH_MAX)
            ok = add_directory(nodes, device, from, to, depth + 1, error);
    }
    closedir(dir);
    return ok;
}

static gboolean check_target(const char *target, GError **error)
{
    const char *name = target + strlen("/dev/");
    for (gsize i = 0; i < G_N_ELEMENTS(own_names); i++) {
        gsize length = strlen(own_names[i]);
        if (strncmp(name, own_names[i], length) == 0 &&
            (name[length] == '\0' || name[length] == '/'))
            return refuse(error, target, OWN_PLACE);
    }
    return TRUE;
}

static gboolean add_device(GArray *nodes, const DuetDevice *device, GError **error)
{
    struct stat info;
    g_autofree char *source = realpath(device->source, NULL);
    if (source == NULL || stat(source, &info) != 0)
        return duet_error_set_errno(error, errno, "--device: cannot find '%s'", device->source);
    if (!check_target(device->target, error))
        return FALSE;
    if (duet_is_rootless() && !(device->read && device->write)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "--device: '%s' can't be given for reading or writing alone by an ordinary user, who "
            "can only show the host's own node; use rw",
            device->source);
        return FALSE;
    }
    if (is_device(&info))
        return add_node(nodes, device, source, device->target, &info, error);
    if (!S_ISDIR(info.st_mode))
        return refuse(error, device->source, "is neither a device nor a directory of some");
    guint before = nodes->len;
    return add_directory(nodes, device, source, device->target, 0, error) &&
        (nodes->len > before || refuse(error, device->source, "has no devices in it"));
}

gboolean duet_devices_find(const DuetSpec *spec, GArray **out_nodes, GError **error)
{
    *out_nodes = NULL;
    if (spec->devices == NULL)
        return TRUE;
    g_autoptr(GArray) nodes = g_array_new(FALSE, FALSE, sizeof(DuetDeviceNode));
    g_array_set_clear_func(nodes, node_clear);
    for (char **text = spec->devices; *text != NULL; text++) {
        g_auto(DuetDevice) device = { 0 };
        if (!duet_device_parse(*text, &device, error) || !add_device(nodes, &device, error))
            return FALSE;
    }
    *out_nodes = g_steal_pointer(&nodes);
    return TRUE;
}

/* ---- nodes of the monitor's ---- */

static int make_parents(int dev_fd, const char *target, guint32 id_base)
{
    for (const char *slash = strchr(target, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        g_autofree char *parent = g_strndup(target, (gsize)(slash - target));
        if (mkdirat(dev_fd, parent, 0755) == 0) {
            if (fchownat(dev_fd, parent, id_base, id_base, AT_SYMLINK_NOFOLLOW) != 0)
                return errno;
        } else if (errno != EEXIST) {
            return errno;
        }
    }
    return 0;
}

/* Nobody else sees @dev_fd yet. */
static int make_node(int dev_fd, const DuetDeviceNode *node, guint32 id_base)
{
    int err = make_parents(dev_fd, node->target, id_base);
    if (err != 0)
        return err;
    /* The last one of a name counts. */
    if (unlinkat(dev_fd, node->target, 0) != 0 && errno != ENOENT)
        return errno;
    if (mknodat(dev_fd, node->target, node->mode, node->number) != 0)
        return errno;
    return node->is_owned &&
            fchownat(dev_fd, node->target, id_base, id_base, AT_SYMLINK_NOFOLLOW) != 0
        ? errno
        : 0;
}

gboolean duet_devices_make(int dev_fd, const GArray *nodes, guint32 id_base, GError **error)
{
    int err = 0;
    guint i = 0;
    mode_t mask = umask(0);
    while (err == 0 && i < nodes->len)
        err = make_node(dev_fd, &g_array_index(nodes, DuetDeviceNode, i++), id_base);
    umask(mask);
    return err == 0 ||
        duet_error_set_errno(error, err, "cannot make the device '/dev/%s' of the container",
            g_array_index(nodes, DuetDeviceNode, i - 1).target);
}

/* ---- the host's, in an ordinary user's container ---- */

/* Makes the directories of @path, which is as it was afterwards. */
static long make_directories(char *path)
{
    long result = 0;
    for (char *at = path; *at != '\0' && result >= 0; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        result = raw(SYS_mkdirat, AT_FDCWD, path, 0755);
        *at = '/';
        if (result == -EEXIST)
            result = 0;
    }
    return result;
}

static long bind_node(const DuetDeviceNode *node)
{
    /* By what the container's root is: it has left the user's groups already. */
    long result = raw(SYS_faccessat, AT_FDCWD, node->source, R_OK | W_OK);
    if (result >= 0)
        result = make_directories(node->target);
    if (result >= 0)
        result = raw(SYS_mknodat, AT_FDCWD, node->target, S_IFREG | 0666, 0);
    if (result >= 0 || result == -EEXIST)
        result = raw(SYS_mount, node->source, node->target, NULL, MS_BIND, NULL);
    return result;
}

void duet_devices_bind(const DuetChild *child)
{
    for (guint i = 0; i < child->devices_count; i++) {
        long result = bind_node(&child->devices[i]);
        if (result < 0)
            duet_child_fail(child, DUET_STEP_DEVICE, result, (int)i);
    }
}
