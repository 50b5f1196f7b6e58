/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/log.h"
#include "core/util.h"

#include <duet/protocol.h>

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#define RECORD_HEADER_BYTES 16

gboolean duet_log_append(int fd, guint channel, const void *bytes, guint32 length)
{
    guint8 header[RECORD_HEADER_BYTES];
    duet_put_u32(header, length);
    duet_put_u32(header + 4, channel);
    duet_put_u64(header + 8, (guint64)g_get_real_time());
    struct iovec parts[] = { { header, sizeof header }, { (void *)bytes, length } };
    ssize_t n = writev(fd, parts, 2);
    if (n == (ssize_t)(sizeof header + length))
        return TRUE;
    int err = n < 0 ? errno : ENOSPC;
    off_t end = n > 0 ? lseek(fd, 0, SEEK_END) : -1;
    if (end >= n && ftruncate(fd, end - n) == 0)
        lseek(fd, 0, SEEK_END);
    errno = err;
    return FALSE;
}

gboolean duet_log_copy(int fd, goffset *offset, int stdout_fd, int stderr_fd)
{
    g_autofree guint8 *buffer = g_malloc(DUET_FRAME_MAX_BYTES);
    guint8 header[RECORD_HEADER_BYTES];
    while (pread(fd, header, sizeof header, *offset) == (ssize_t)sizeof header) {
        guint32 length = duet_get_u32(header);
        int out = duet_get_u32(header + 4) == DUET_CHANNEL_STDERR ? stderr_fd : stdout_fd;
        if (length > DUET_FRAME_MAX_BYTES ||
            pread(fd, buffer, length, *offset + RECORD_HEADER_BYTES) != (ssize_t)length)
            break;
        if (out >= 0 && !duet_write_all(out, buffer, length))
            return FALSE;
        *offset += RECORD_HEADER_BYTES + length;
    }
    return TRUE;
}
