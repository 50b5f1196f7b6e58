/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/disk.h"

#include <errno.h>
#include <sys/stat.h>

#include <duet/error.h>

#include "core/util.h"

typedef struct {
    int fd;
    const char *path;
} Out;

/* As DuetBytesFunc. */
static gboolean write_bytes(gpointer data, const void *bytes, gsize length, GError **error)
{
    const Out *out = data;
    return out->fd < 0 || duet_write_all(out->fd, bytes, length) ||
        duet_error_set_errno(error, errno, "cannot write '%s'", out->path);
}

/* @out_fd: -1: it is only checked */
static gboolean copy_blob(
    DuetStore *store, const DuetDescriptor *blob, int out_fd, const char *path, GError **error)
{
    Out out = { out_fd, path };
    DUET_AUTO_FD fd = duet_store_open_blob(store, blob->hex, error);
    return fd >= 0 && duet_store_feed(store, fd, blob->hex, write_bytes, &out, error);
}

/* Only what is whole is converted. */
static gboolean write_raw(DuetStore *store, const DuetDescriptor *blob, int out_fd, GError **error)
{
    struct stat st;
    guint64 bytes = 0;
    if (fstat(out_fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "a raw disk is written with holes, and so only to a file: use -o FILE");
        return FALSE;
    }
    if (!copy_blob(store, blob, -1, NULL, error))
        return FALSE;
    g_autofree char *what = g_strconcat("disk sha256:", blob->hex, NULL);
    DUET_AUTO_FD fd = duet_store_open_blob(store, blob->hex, error);
    return fd >= 0 && duet_disk_check_header(fd, DUET_DISK_QCOW2, what, &bytes, error) &&
        duet_qemu_img_convert(fd, DUET_DISK_QCOW2, bytes, what, DUET_DISK_RAW, out_fd, error);
}

gboolean duet_disk_export(DuetStore *store, const DuetDescriptor *blob, DuetArchive format,
    int out_fd, const char *path, GError **error)
{
    return format == DUET_ARCHIVE_RAW ? write_raw(store, blob, out_fd, error)
                                      : copy_blob(store, blob, out_fd, path, error);
}
