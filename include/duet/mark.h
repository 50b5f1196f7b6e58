/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetMark: the named instants of an instance's life, in their order. All are CLOCK_MONOTONIC of
 * the host; METHOD in docs/ says what each means.
 */
typedef enum {
    DUET_MARK_REQUEST,
    DUET_MARK_SPAWNED,
    DUET_MARK_RUNNING,
    DUET_MARK_INIT,
    DUET_MARK_EXEC,
    DUET_MARK_OUTPUT,
    DUET_MARK_STOP,
    DUET_MARK_EXITED,
    DUET_MARK_RELEASED,
    DUET_MARK_COUNT,
} DuetMark;

/**
 * DuetMarks:
 * @ns: when, in nanoseconds; 0: has not happened, or is not applicable to the kind
 */
typedef struct {
    gint64 ns[DUET_MARK_COUNT];
} DuetMarks;

const char *duet_mark_to_string(DuetMark mark);
gboolean duet_mark_from_string(const char *text, DuetMark *out_mark);

/** duet_now_ns: Returns: the host's CLOCK_MONOTONIC. */
gint64 duet_now_ns(void);

/** duet_marks_set: records the first time that @mark happens; later calls change nothing. */
void duet_marks_set(DuetMarks *marks, DuetMark mark);

G_END_DECLS
