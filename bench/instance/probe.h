/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/**
 * DuetProbe: how it is seen that a payload is ready: "exec" (it was executed), "output" (its first
 * byte came), "log:REGEX" (a line that it wrote matches), "cmd:COMMAND" (that succeeds inside), or
 * "tcp:PORT" (something accepts there, on the instance's loopback).
 */
typedef struct _DuetProbe DuetProbe;

/**
 * duet_probe_new:
 * Returns: (transfer full): or NULL with %DUET_ERROR_INVALID
 */
DuetProbe *duet_probe_new(const char *text, GError **error);
void duet_probe_free(DuetProbe *probe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetProbe, duet_probe_free)

/**
 * duet_probe_mark: Returns: the mark that says it, of exec and output; `request` if none does, and
 *     duet_probe_wait() is to be believed.
 */
DuetMark duet_probe_mark(const DuetProbe *probe);

/**
 * duet_probe_wait: of an instance that was started; between duet_hold_signals() and release.
 * @until_ns: on the host's CLOCK_MONOTONIC
 * @out_interrupted: set if the user wants an end, which is an error, too
 *
 * Returns: %FALSE with %DUET_ERROR_TIMEOUT, with %DUET_ERROR_STATE when the payload ended before,
 *     or with the errors of duet_instance_exec().
 */
gboolean duet_probe_wait(const DuetProbe *probe, DuetInstance *instance, gint64 until_ns,
    gint64 *out_ready_ns, gboolean *out_interrupted, GError **error);

G_END_DECLS
