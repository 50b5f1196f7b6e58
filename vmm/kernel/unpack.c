/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unpack.h"

#include <duet/error.h>

#include <archive.h>
#include <archive_entry.h>

static gboolean set_broken(GError **error, struct archive *reader)
{
    const char *why = archive_error_string(reader);
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "cannot decompress it: %s",
        why ? why : "the data ends early");
    return FALSE;
}

static gboolean read_all(
    struct archive *reader, GByteArray *out, gsize expected_bytes, gsize max_bytes, GError **error)
{
    g_autofree guint8 *chunk = g_malloc(1 << 18);
    while (!expected_bytes || out->len < expected_bytes) {
        gsize want = expected_bytes ? MIN(expected_bytes - out->len, 1 << 18) : 1 << 18;
        la_ssize_t n = archive_read_data(reader, chunk, want);
        if (n < 0 || (n == 0 && expected_bytes))
            return set_broken(error, reader);
        if (n == 0)
            return TRUE;
        if (out->len + (gsize)n > max_bytes) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
                "it unpacks to more than %" G_GSIZE_FORMAT " bytes", max_bytes);
            return FALSE;
        }
        g_byte_array_append(out, chunk, (guint)n);
    }
    return TRUE;
}

GBytes *duet_unpack_bytes(GBytes *packed, gsize expected_bytes, gsize max_bytes, GError **error)
{
    gsize length;
    const void *bytes = g_bytes_get_data(packed, &length);
    struct archive *reader = archive_read_new();
    archive_read_support_filter_all(reader);
    archive_read_support_format_raw(reader);
    struct archive_entry *entry;
    g_autoptr(GByteArray) out = g_byte_array_new();
    gboolean ok = archive_read_open_memory(reader, bytes, length) == ARCHIVE_OK &&
        archive_read_next_header(reader, &entry) == ARCHIVE_OK;
    if (ok)
        ok = read_all(reader, out, expected_bytes, max_bytes, error);
    else
        set_broken(error, reader);
    archive_read_free(reader);
    return ok ? g_byte_array_free_to_bytes(g_steal_pointer(&out)) : NULL;
}
