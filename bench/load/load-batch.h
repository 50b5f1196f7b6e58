/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "load-point.h"

G_BEGIN_DECLS

/**
 * DuetLoadBatch: starts that are made at times fixed before, each by a process of its own.
 * Theory of operation: all processes are forked, and wait at a gate, before the first start is due.
 * Each then sleeps until its own time. So nothing that a start does, however long it takes, delays
 * another one's begin (no coordinated omission), and there is nobody who could come late in serving
 * them but the kernel's scheduler, whose lateness is in the figures. Those that are over wait for
 * each other: each closes its end of a pipe and reads, which returns when the last has closed its
 * own or died. So what one does after its start delays no other start.
 * @n: how many
 * @offsets_ns: when each is due, counted from the gate's opening, ascending
 * @start: makes number @i in a process of its own and fills in @out_start; intended_ns is set
 * @look: (nullable): called in the same process when all starts are over; it may add
 *     to what @start filled in
 * @watch: (nullable): asked every @watch_ms. Returns: (transfer full) (nullable): why the batch
 *     must end now
 * @grace_ms: what a start that must end has for that
 */
typedef struct {
    guint n;
    const gint64 *offsets_ns;
    void (*start)(guint i, DuetLoadStart *out_start, gpointer data);
    void (*look)(guint i, DuetLoadStart *out_start, gpointer data);
    char *(*watch)(gpointer data);
    gpointer data;
    guint watch_ms;
    guint grace_ms;
} DuetLoadBatch;

/**
 * DuetLoadEnd: how a batch ended.
 * @bound: (nullable) (transfer full): what @watch said
 * @interrupted: a signal that ends a process waits: the user wants an end
 * @killed: (element-type pid_t): processes that did not end by themselves: what they had started
 *     ends with them
 */
typedef struct {
    char *bound;
    gboolean interrupted;
    GArray *killed;
} DuetLoadEnd;

void duet_load_end_clear(DuetLoadEnd *end);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetLoadEnd, duet_load_end_clear)

/**
 * duet_load_batch_run: runs it to its end; no process of it is left. Called with signals held
 * (duet_hold_signals()).
 * @point: gets began_ns, bound and one start for each
 */
gboolean duet_load_batch_run(
    const DuetLoadBatch *batch, DuetLoadPoint *point, DuetLoadEnd *out_end, GError **error);

/**
 * duet_load_schedule: fills @out_offsets_ns for a level: all 0; for a rate: a Poisson process of
 * that rate, made from @seed alone: gaps of -ln(1 - u) / rate.
 */
void duet_load_schedule(guint level, gboolean rate, guint n, guint64 seed, gint64 *out_offsets_ns);

G_END_DECLS
