/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetLap: one whole command, timed from outside as who typed it would: from just before the fork.
 * @output_ns: from then to the first byte on its standard output; 0: it wrote none
 * @exit_ns: from then to its end
 * @exit_code: 128 + signal for one that a signal ended, 127 if it could not be executed
 * @exit_signal: which signal, or 0
 * @timed_out: it was killed when its time was over
 * @interrupted: the user wanted an end: it was killed, or not even started
 * @words: (nullable): the last line that it wrote to standard error
 */
typedef struct {
    gint64 output_ns;
    gint64 exit_ns;
    int exit_code;
    int exit_signal;
    gboolean timed_out;
    gboolean interrupted;
    char *words;
} DuetLap;

void duet_lap_clear(DuetLap *lap);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetLap, duet_lap_clear)

/**
 * duet_lap_take: runs @argv in a session of its own, standard input empty, and waits for its end.
 * The caller blocks SIGINT, SIGTERM and SIGHUP (duet_hold_signals()): one of them ends the command
 * and stays pending for the caller to take.
 * @deaf: go on to its end whatever the user wants: it removes what must not stay
 * @session: (nullable): where the number of that session is while the command runs, 0 before and
 *     after; for duet_lap_end() by who shares it
 * @timeout_ms: 0: none
 * @out_text: (nullable) (out) (transfer full): what it wrote to standard output, 64 KiB at most
 *
 * Returns: %FALSE with @error if it could not be started; how it ended is in @out_lap.
 */
gboolean duet_lap_take(char *const *argv, gboolean deaf, gint *session, gint64 timeout_ms,
    DuetLap *out_lap, char **out_text, GError **error);

/** duet_lap_end: ends the command of that session and all that it started there: asked first, as
 * engines then clean up. */
void duet_lap_end(gint session);

G_END_DECLS
