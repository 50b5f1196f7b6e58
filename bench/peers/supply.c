/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "supply.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/image.h>
#include <duet/vm-limits.h>

#include "core/module.h"
#include "core/util.h"

#define PREFIX "peers-"
#define MOUNTINFO_MAX_BYTES (16u * 1024 * 1024)

/* Engines mount in their own places; one that was killed leaves that behind. */
static void unmount_below(const char *dir)
{
    g_autofree char *info =
        duet_file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX_BYTES, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(info ? info : "", "\n", -1);
    g_autofree char *below = g_strconcat(dir, "/", NULL);

    /* The last is mounted over what came before. */
    for (guint i = g_strv_length(lines); i > 0; i--) {
        g_auto(GStrv) words = g_strsplit(lines[i - 1], " ", 6);
        if (g_strv_length(words) >= 5 && g_str_has_prefix(words[4], below))
            umount2(words[4], MNT_DETACH | UMOUNT_NOFOLLOW);
    }
}

static gboolean remove_dir(const char *dir, GError **error)
{
    unmount_below(dir);
    return duet_remove_tree(AT_FDCWD, dir, error);
}

/* Those whose run is dead. */
static void sweep(const char *root)
{
    g_autoptr(GDir) dir = g_dir_open(root, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(root, name, NULL);
        DUET_AUTO_FD fd = g_str_has_prefix(name, PREFIX)
            ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            : -1;
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            remove_dir(path, NULL);
    }
}

static void set(GHashTable *values, const char *name, char *text)
{
    g_hash_table_insert(values, g_strdup(name), text);
}

static char *shell_command(char *const *argv)
{
    g_autoptr(GString) out = g_string_new(NULL);

    for (; *argv; argv++) {
        g_autofree char *quoted = g_shell_quote(*argv);
        g_string_append_printf(out, "%s%s", out->len > 0 ? " " : "", quoted);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static void set_plain(GHashTable *values, const DuetSpec *spec)
{
    guint64 ram = spec->memory_bytes ? spec->memory_bytes : DUET_VM_MEMORY_DEFAULT_BYTES;
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    g_autofree char *run = g_strdup_printf("duet-%08x", g_random_int());
    /* None of the user's: a daemon's store is his as well, and there is one image of a name. */
    set(values, "image-name", g_strdup_printf("%s:peer", run));
    set(values, "run", g_steal_pointer(&run));
    set(values, "hostname", g_strdup(spec->hostname));
    set(values, "command", shell_command(spec->argv));
    set(values, "memory-mib", g_strdup_printf("%" G_GUINT64_FORMAT, ram >> 20));
    set(values, "cpus", g_strdup_printf("%d", spec->cpus > 1 ? (int)(spec->cpus + 0.999) : 1));
    if (spec->memory_bytes)
        set(values, "memory-limit", g_strdup_printf("%" G_GUINT64_FORMAT, spec->memory_bytes));
    if (spec->pids_limit)
        set(values, "pids-limit", g_strdup_printf("%" G_GUINT64_FORMAT, spec->pids_limit));
    if (spec->cpus > 0)
        set(values, "cpus-limit",
            g_strdup(g_ascii_formatd(number, sizeof number, "%.6g", spec->cpus)));
}

gboolean duet_peer_supply_init(
    DuetPeerSupply *supply, DuetContext *context, const DuetSpec *spec, GError **error)
{
    g_autofree char *root = g_path_get_dirname(duet_context_store_dir(context));
    g_autofree char *template = g_build_filename(root, PREFIX "XXXXXX", NULL);

    sweep(root);
    *supply = (DuetPeerSupply){ .context = context, .spec = spec, .lock_fd = -1 };
    supply->shared = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (!g_mkdtemp(template))
        return duet_error_set_errno(
            error, errno, "cannot make a directory for peers in '%s'", root);
    supply->dir = g_steal_pointer(&template);
    supply->lock_fd = open(supply->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    flock(supply->lock_fd, LOCK_EX | LOCK_NB);
    /* Engines may run as users of their own. */
    chmod(supply->dir, 0711);
    set_plain(supply->shared, spec);
    return TRUE;
}

gboolean duet_peer_supply_clear(DuetPeerSupply *supply, GError **error)
{
    gboolean removed = !supply->dir || remove_dir(supply->dir, error);

    g_clear_pointer(&supply->dir, g_free);
    g_clear_pointer(&supply->shared, g_hash_table_unref);
    duet_fd_clear(&supply->lock_fd);
    return removed;
}

/* The image as an archive, once for all peers, under the run's name for it. */
static gboolean make_archive(
    DuetPeerSupply *supply, const char *name, DuetArchive format, GError **error)
{
    if (g_hash_table_contains(supply->shared, name))
        return TRUE;
    const DuetImagesOps *images = duet_module_symbol("duet-images", "duet_images", error);
    g_autofree char *path = g_strdup_printf("%s/%s.tar", supply->dir, name);
    if (!images ||
        !images->export(duet_context_store_dir(supply->context), supply->spec->image_digest,
            g_hash_table_lookup(supply->shared, "image-name"), format, path, error))
        return FALSE;
    set(supply->shared, name, g_steal_pointer(&path));
    return TRUE;
}

/* A copy of the files, whole: overlayfs puts the layers together in a mount namespace that ends
 * with the copying. */
static gboolean copy_layers(char *const *layers, const char *to, GError **error)
{
    static const char script[] = "mount -t overlay -o \"ro,lowerdir=$1\" duet \"$2\" && "
                                 "cp -a --reflink=auto -- \"$2/.\" \"$3\"";
    g_autoptr(GString) lower = g_string_new(NULL);
    g_autofree char *from = g_strconcat(to, ".overlay", NULL);

    if (!layers[0])
        return TRUE;
    if (!layers[1]) {
        g_autofree char *all = g_build_filename(layers[0], ".", NULL);
        const char *copy[] = { "cp", "-a", "--reflink=auto", "--", all, to, NULL };
        g_autofree char *said = duet_capture(copy, error);
        return said != NULL;
    }
    for (guint i = g_strv_length((char **)layers); i > 0; i--)
        g_string_append_printf(lower, "%s%s", lower->len > 0 ? ":" : "", layers[i - 1]);
    if (!duet_mkdir_p(from, 0700, error))
        return FALSE;
    const char *argv[] = { "unshare", "-m", "sh", "-c", script, "sh", lower->str, from, to, NULL };
    g_autofree char *said = duet_capture(argv, error);
    return said && duet_remove_tree(AT_FDCWD, from, error);
}

static gboolean make_rootfs(
    DuetPeerSupply *supply, GHashTable *values, const char *dir, GError **error)
{
    g_autofree char *rootfs = g_build_filename(dir, "rootfs", NULL);

    if (supply->spec->user && !g_str_equal(supply->spec->user, "root") &&
        !g_str_equal(supply->spec->user, "0")) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "the image's user is '%s', and what is given a root directory would run it as root",
            supply->spec->user);
        return FALSE;
    }
    if (!duet_mkdir_p(rootfs, 0755, error) || !copy_layers(supply->spec->layers, rootfs, error))
        return FALSE;
    set(values, "rootfs", g_steal_pointer(&rootfs));
    return TRUE;
}

GHashTable *duet_peer_supply_values(DuetPeerSupply *supply, const DuetPeer *peer, GError **error)
{
    g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *dir = g_build_filename(supply->dir, peer->name, NULL);
    gboolean bundle = duet_peer_uses(peer, "bundle");
    GHashTableIter iter;
    gpointer name, text;

    if (mkdir(dir, 0711) < 0) {
        duet_error_set_errno(error, errno, "cannot make '%s'", dir);
        return NULL;
    }
    if (duet_peer_uses_guest(peer) && !duet_peer_supply_guest(supply, error))
        return NULL;
    if (duet_peer_uses(peer, "image") && !make_archive(supply, "image", DUET_ARCHIVE_OCI, error))
        return NULL;
    if (duet_peer_uses(peer, "docker-archive") &&
        !make_archive(supply, "docker-archive", DUET_ARCHIVE_DOCKER, error))
        return NULL;
    if ((bundle || duet_peer_uses(peer, "rootfs")) && !make_rootfs(supply, values, dir, error))
        return NULL;
    if (bundle && !duet_peer_bundle_write(dir, supply->spec, error))
        return NULL;
    if (bundle)
        set(values, "bundle", g_strdup(dir));
    g_hash_table_iter_init(&iter, supply->shared);
    while (g_hash_table_iter_next(&iter, &name, &text))
        set(values, name, g_strdup(text));
    set(values, "dir", g_steal_pointer(&dir));
    return g_steal_pointer(&values);
}
