/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define DUET_CAPTURE_KEPT_BYTES (64 * 1024)

/**
 * DuetCaptured: what was written to a capture.
 * @total: all of it, in bytes
 * @kept: the first DUET_CAPTURE_KEPT_BYTES at most
 * @sha256: of all of it, hexadecimal
 */
typedef struct {
    guint64 total;
    GBytes *kept;
    char *sha256;
} DuetCaptured;

void duet_captured_free(DuetCaptured *captured);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetCaptured, duet_captured_free)

/**
 * DuetCapture: one stream being captured by a small child process that drains a pipe: output of
 * any length costs no memory and never stalls the writer. A process and not a thread, as an
 * instance's monitor is forked while this runs.
 */
typedef struct _DuetCapture DuetCapture;

/** duet_capture_new: Returns: (transfer full): a running capture, or NULL with @error. */
DuetCapture *duet_capture_new(GError **error);
/** duet_capture_fd: the end to write to; stays the capture's. */
int duet_capture_fd(DuetCapture *capture);
/** duet_capture_finish: (transfer full) @capture. Returns: (transfer full): what came. */
DuetCaptured *duet_capture_finish(DuetCapture *capture);

G_END_DECLS
