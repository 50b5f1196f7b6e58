/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/memory/memory-point.h"
#include "density-rules.h"

G_BEGIN_DECLS

/**
 * DuetDensityStart: what a sample of `bench density`, one start, holds beside its marks.
 * @running: how many instances ran when it had succeeded, itself included; of one that failed:
 *     how many ran before it
 * @used_bytes: what they used together just before it, if there is a budget
 * @host: just before it
 */
typedef struct {
    guint running;
    guint64 used_bytes;
    DuetDensityHost host;
} DuetDensityStart;

/**
 * DuetDensityOutcome: how an arm ended.
 * @reached: so many instances were running when @bound forbade one more
 * @detail: (nullable): the reading and the limit
 * @pool_bytes: the limit of the cgroup that all were in: the budget or, without one, what the host
 *     could spare; 0: they were in none
 * @no_pool: (nullable): why they were in none. A budget was enforced by what was measured before
 *     each start then
 * @used_bytes: what all used together at the end, if there is a budget
 * @answered: of @reached at the end: ran and answered an exec
 * @ended: had ended by then
 * @silent: ran and did not answer in time
 * @reserved_bytes: what each may use: a VM's RAM, or a limit; 0: there is none
 * @memory: of those that still ran; its host.at_ns is 0 if it could not be read
 */
typedef struct {
    guint reached;
    DuetDensityBound bound;
    char *detail;
    guint64 pool_bytes;
    char *no_pool;
    guint64 used_bytes;
    guint answered, ended, silent;
    guint64 reserved_bytes;
    DuetMemoryPoint *memory;
} DuetDensityOutcome;

DuetDensityOutcome *duet_density_outcome_new(void);
void duet_density_outcome_free(DuetDensityOutcome *outcome);

/** duet_density_is_over: Returns: whether a rule ended the arm: it is not to be measured again. */
gboolean duet_density_is_over(const DuetDensityOutcome *outcome);

/** duet_density_was_asked: Returns: %FALSE if the user ended the arm before all were asked. */
gboolean duet_density_was_asked(const DuetDensityOutcome *outcome);

/** duet_density_outcome_to_json: Returns: (transfer full). */
JsonObject *duet_density_outcome_to_json(const DuetDensityOutcome *outcome);
/** duet_density_outcome_from_json: Returns: (transfer full): never NULL; see #DuetJsonReader. */
DuetDensityOutcome *duet_density_outcome_from_json(DuetJsonReader *reader, JsonObject *object);

JsonObject *duet_density_start_to_json(const DuetDensityStart *start);
DuetDensityStart *duet_density_start_from_json(DuetJsonReader *reader, JsonObject *object);

void duet_density_limits_to_json(const DuetDensityLimits *limits, JsonObject *object);
DuetDensityLimits duet_density_limits_from_json(DuetJsonReader *reader, JsonObject *object);

G_END_DECLS
