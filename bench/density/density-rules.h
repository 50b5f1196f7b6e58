/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "density-host.h"

G_BEGIN_DECLS

/* So many starts that fail one after the other end an arm. */
#define DUET_DENSITY_FAILURES 3
/* A start's p95 is that of the last so many, so that it tells of the host as it is now. */
#define DUET_DENSITY_LATENCY_WINDOW 20
/* Pressure has to last so long. */
#define DUET_DENSITY_PRESSURE_NS G_GINT64_CONSTANT(10000000000)
/* All tasks that wait for memory this share of the time. */
#define DUET_DENSITY_PRESSURE_SHARE 0.05
/* Where the kernel does not tell: refaults per second that take about as much, 100 us each, which
 * is an SSD's read. */
#define DUET_DENSITY_REFAULTS_PER_S 500
/* Of a table of the kernel's, this much may be used. */
#define DUET_DENSITY_TABLE_SHARE 0.95

/**
 * DuetDensityBound: what ended the starting of more instances.
 * @DUET_DENSITY_BOUND_ENDED: one that had started ended by itself, so they don't all run any more
 */
typedef enum {
    DUET_DENSITY_BOUND_NONE,
    DUET_DENSITY_BOUND_MAX,
    DUET_DENSITY_BOUND_BUDGET,
    DUET_DENSITY_BOUND_HOST_MEMORY,
    DUET_DENSITY_BOUND_SWAP_IN,
    DUET_DENSITY_BOUND_PRESSURE,
    DUET_DENSITY_BOUND_REFAULTS,
    DUET_DENSITY_BOUND_LATENCY,
    DUET_DENSITY_BOUND_FAILURES,
    DUET_DENSITY_BOUND_TASKS,
    DUET_DENSITY_BOUND_FILES,
    DUET_DENSITY_BOUND_TIME,
    DUET_DENSITY_BOUND_ENDED,
    DUET_DENSITY_BOUND_INTERRUPTED,
} DuetDensityBound;

/** Its name in the result file ("host-memory"), and back. */
const char *duet_density_bound_to_string(DuetDensityBound bound);
gboolean duet_density_bound_from_string(const char *text, DuetDensityBound *out_bound);
/**
 * duet_density_bound_is_limit: Returns: whether it is a limit of the host or of the budget: one
 * more did not fit. Else a wish of the user ended it, or what may have another cause: starts that
 * failed for want of memory, as far as the kernel tells, are bound by that and not by `failures`.
 */
gboolean duet_density_bound_is_limit(DuetDensityBound bound);

/**
 * DuetDensityWatch: looks before each start whether there may be one more.
 * @first: the host before the arm's first start
 * @readings: (element-type DuetDensityHost): those that pressure is judged by
 * @latencies_ns: (element-type double): of the starts
 * @running: how many have started
 * @failures: how many starts failed since the last that did not
 */
typedef struct {
    DuetDensityLimits limits;
    DuetDensityHost first;
    GArray *readings;
    GArray *latencies_ns;
    guint running;
    guint failures;
} DuetDensityWatch;

void duet_density_watch_init(
    DuetDensityWatch *watch, const DuetDensityLimits *limits, const DuetDensityHost *first);
void duet_density_watch_clear(DuetDensityWatch *watch);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetDensityWatch, duet_density_watch_clear)

void duet_density_watch_started(DuetDensityWatch *watch, gint64 latency_ns);
void duet_density_watch_failed(DuetDensityWatch *watch);

/**
 * duet_density_watch_check:
 * @now: the host now
 * @used_bytes: what all instances of the arm use together, if there is a budget
 * @out_detail: (transfer full): the reading and the limit, for people, if there is a bound
 *
 * Returns: what forbids one more, the first in the order of the enumeration; or NONE.
 */
DuetDensityBound duet_density_watch_check(
    DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes, char **out_detail);

G_END_DECLS
