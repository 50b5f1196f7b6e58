/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/disk.h"

#include <errno.h>
#include <sys/stat.h>

#include <duet/error.h>

#include "core/util.h"

static gboolean copy_blob(DuetStore *store, const DuetDescriptor *blob, int out_fd, GError **error)
{
    g_autoptr(DuetSource) source = duet_source_open_store(store->fd, store->dir);
    g_autofree char *path = duet_blob_path(blob->hex);
    g_autofree char *hex = NULL;
    if (!duet_source_copy(source, path, out_fd, G_MAXUINT64, &hex, NULL, error))
        return FALSE;
    if (g_str_equal(hex, blob->hex))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
        "blob 'sha256:%s' of store '%s' is damaged: import the image again", blob->hex, store->dir);
    return FALSE;
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
    if (!copy_blob(store, blob, -1, error))
        return FALSE;
    g_autofree char *what = g_strconcat("disk sha256:", blob->hex, NULL);
    DUET_AUTO_FD fd = duet_store_open_blob(store, blob->hex, error);
    return fd >= 0 && duet_disk_check_header(fd, DUET_DISK_QCOW2, what, &bytes, error) &&
        duet_qemu_img_convert(fd, DUET_DISK_QCOW2, bytes, what, DUET_DISK_RAW, out_fd, error);
}

gboolean duet_disk_export(
    DuetStore *store, const DuetDescriptor *blob, DuetArchive format, int out_fd, GError **error)
{
    return format == DUET_ARCHIVE_RAW ? write_raw(store, blob, out_fd, error)
                                      : copy_blob(store, blob, out_fd, error);
}
