/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/copy.h>

G_BEGIN_DECLS

/* What copy.c (both halves of a copy) and copy-half.c (what one does) share. */

/**
 * DuetCopyHalf: one end of a copy, in a process of its own.
 * @is_source: it writes the stream
 * @name: (nullable): what is copied is called so in a directory; NULL: what is in it is copied
 * @fd: the stream
 * @report_fd: gets messages, as DUET_SPAWN_PACK has them
 */
typedef struct {
    const DuetCopyRequest *request;
    gboolean is_source;
    const char *name;
    int fd, report_fd;
    guint32 options;
} DuetCopyHalf;

/** duet_copy_half_run: Returns: the exit code, as DUET_SPAWN_PACK has it. */
int duet_copy_half_run(const DuetCopyHalf *half);

G_END_DECLS
