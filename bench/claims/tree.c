/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

typedef gboolean (*Visit)(const FTSENT *entry, gpointer data, GError **error);

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* What vanishes meanwhile is another's business where @may_vanish. */
static gboolean visit(
    const FTSENT *entry, gboolean may_vanish, Visit each, gpointer data, GError **error)
{
    gboolean bad =
        entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS;

    if (bad && may_vanish && entry->fts_errno == ENOENT)
        return TRUE;
    if (bad)
        return duet_error_set_errno(error, entry->fts_errno, "cannot read '%s'", entry->fts_path);
    return entry->fts_info == FTS_DP || each(entry, data, error);
}

static gboolean walk(
    char *const *paths, gboolean may_vanish, Visit each, gpointer data, GError **error)
{
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, by_name);
    gboolean good = TRUE;

    if (!tree)
        return duet_error_set_errno(error, errno, "cannot read '%s'", paths[0]);
    for (FTSENT *entry; good && (entry = fts_read(tree));)
        good = visit(entry, may_vanish, each, data, error);
    fts_close(tree);
    return good;
}

static gboolean digest_content(const char *path, GChecksum *checksum, GError **error)
{
    g_autofree guchar *chunk = g_malloc(1 << 16);
    DUET_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0 && (n = read(fd, chunk, 1 << 16)) > 0)
        g_checksum_update(checksum, chunk, n);
    return n == 0 || duet_error_set_errno(error, errno, "cannot read '%s'", path);
}

static gboolean digest_link(const char *path, GChecksum *checksum, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *target = g_file_read_link(path, &failure);

    if (!target) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, failure->message);
        return FALSE;
    }
    g_checksum_update(checksum, (const guchar *)target, strlen(target) + 1);
    return TRUE;
}

static gboolean digest_entry(const FTSENT *entry, gpointer data, GError **error)
{
    const struct stat *st = entry->fts_statp;
    GChecksum *checksum = data;
    g_autofree char *head = g_strdup_printf("%s %o %u %u %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
                                            ".%09ld %" G_GUINT64_FORMAT,
        entry->fts_path, st->st_mode, st->st_uid, st->st_gid,
        S_ISDIR(st->st_mode) ? 0 : (gint64)st->st_size, (gint64)st->st_mtim.tv_sec,
        st->st_mtim.tv_nsec, (guint64)st->st_rdev);

    g_checksum_update(checksum, (const guchar *)head, strlen(head) + 1);
    if (S_ISLNK(st->st_mode))
        return digest_link(entry->fts_accpath, checksum, error);
    return !S_ISREG(st->st_mode) || digest_content(entry->fts_accpath, checksum, error);
}

char *duet_tree_digest(char *const *paths, GError **error)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);

    if (!walk(paths, FALSE, digest_entry, checksum, error))
        return NULL;
    return g_strdup(g_checksum_get_string(checksum));
}

typedef struct {
    GHashTable *seen; /* "dev:ino" of files with several names */
    guint64 bytes;
} Use;

static gboolean count_entry(const FTSENT *entry, gpointer data, GError **error)
{
    const struct stat *st = entry->fts_statp;
    Use *use = data;

    (void)error;
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 &&
        !g_hash_table_add(use->seen,
            g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64)st->st_dev,
                (guint64)st->st_ino)))
        return TRUE;
    use->bytes += (guint64)st->st_blocks * 512;
    return TRUE;
}

gboolean duet_tree_disk_use(char *const *paths, guint64 *out_bytes, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Use use = { seen, 0 };

    if (!walk(paths, TRUE, count_entry, &use, error))
        return FALSE;
    *out_bytes = use.bytes;
    return TRUE;
}
