/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/cache.h"
#include "core/places.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

char *duet_vm_cache_path(const char *first, ...)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(parts, duet_place_cache());
    va_list args;
    va_start(args, first);
    for (const char *part = first; part; part = va_arg(args, const char *))
        g_ptr_array_add(parts, g_strdup(part));
    va_end(args);
    g_ptr_array_add(parts, NULL);
    return g_build_filenamev((char **)parts->pdata);
}

int duet_vm_cache_lock(const char *name, GError **error)
{
    g_autofree char *dir = duet_vm_cache_path("lock", NULL);
    if (!duet_mkdir_p(dir, 0755, error))
        return -1;
    g_autofree char *path = g_build_filename(dir, name, NULL);
    DUET_AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        duet_error_set_errno(error, errno, "cannot open the lock '%s'", path);
        return -1;
    }
    while (flock(fd, LOCK_EX) < 0) {
        if (errno == EINTR)
            continue;
        duet_error_set_errno(error, errno, "cannot take the lock '%s'", path);
        return -1;
    }
    return duet_fd_steal(&fd);
}

char *duet_vm_cache_begin(const char *path, int *out_lock_fd, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *lock = g_path_get_basename(dir);
    g_autofree char *work = g_build_filename(dir, ".new", NULL);
    g_autofree char *name = g_path_get_basename(path);
    *out_lock_fd = duet_vm_cache_lock(lock, error);
    if (*out_lock_fd < 0 || !duet_mkdir_p(dir, 0755, error) ||
        !duet_remove_tree(AT_FDCWD, work, error) || !duet_mkdir_p(work, 0700, error))
        return NULL;
    return g_build_filename(work, name, NULL);
}

gboolean duet_vm_cache_abandon(const char *fresh)
{
    g_autofree char *work = g_path_get_dirname(fresh);
    duet_remove_tree(AT_FDCWD, work, NULL);
    return FALSE;
}

/* Who finds a file there trusts it: after a loss of power, too, it must be whole or absent. */
static gboolean put(const char *fresh, const char *path)
{
    DUET_AUTO_FD fd = open(fresh, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fchmod(fd, 0644) == 0 && fsync(fd) == 0 && rename(fresh, path) == 0;
}

gboolean duet_vm_cache_commit(const char *fresh, const char *path, GError **error)
{
    gboolean ok =
        put(fresh, path) || duet_error_set_errno(error, errno, "cannot put '%s' in place", path);
    duet_vm_cache_abandon(fresh);
    return ok;
}

char *duet_vm_file_identity(const char *path, const struct stat *st)
{
    g_autofree char *text =
        g_strdup_printf("%s\n%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT
                        " %" G_GINT64_FORMAT ".%09ld %" G_GINT64_FORMAT ".%09ld",
            path, (guint64)st->st_dev, (guint64)st->st_ino, (gint64)st->st_size,
            (gint64)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (gint64)st->st_ctim.tv_sec,
            st->st_ctim.tv_nsec);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

char *duet_vm_file_sha256(const char *path, GError **error)
{
    DUET_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        duet_error_set_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guint8 *chunk = g_malloc(1 << 18);
    ssize_t n;
    while ((n = read(fd, chunk, 1 << 18)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            duet_error_set_errno(error, errno, "cannot read '%s'", path);
            return NULL;
        }
        g_checksum_update(sum, chunk, n);
    }
    return g_strdup(g_checksum_get_string(sum));
}
