/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers as they lie on a disk, wherever they lie. */
#pragma once

#include <glib.h>
#include <string.h>

static inline guint32 duet_be32(const guint8 *at)
{
    guint32 value;
    memcpy(&value, at, sizeof value);
    return GUINT32_FROM_BE(value);
}

static inline guint64 duet_be64(const guint8 *at)
{
    return (guint64)duet_be32(at) << 32 | duet_be32(at + 4);
}

static inline guint32 duet_le32(const guint8 *at)
{
    guint32 value;
    memcpy(&value, at, sizeof value);
    return GUINT32_FROM_LE(value);
}

static inline guint64 duet_le64(const guint8 *at)
{
    return (guint64)duet_le32(at + 4) << 32 | duet_le32(at);
}
