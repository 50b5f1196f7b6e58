/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "bench/result/run.h"

G_BEGIN_DECLS

/** DuetReread: what was read. @failed: files that could not be, or not to their end */
typedef struct {
    guint64 bytes;
    guint files, failed;
} DuetReread;

/** duet_reread_path: reads a file, or all regular files below a directory on its file system; no
 * symlink is followed. */
void duet_reread_path(const char *path, DuetReread *reread);

/**
 * duet_reread: reads what the arms' instances start from, the image's layers and a VM's root disk,
 * kernel and initramfs, so that it is in the host's page cache: a proactive reclaimer takes from
 * there what was idle for a while.
 * @run: its arms' facts name the last two, once the first sample was taken
 */
void duet_reread(const DuetBenchRequest *request, const DuetRun *run, DuetReread *out_reread);

G_END_DECLS
