/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/run.h"

G_BEGIN_DECLS

/** DuetOurs: what of ours is set beside a published ratio. */
typedef enum {
    DUET_OURS_NOTHING,
    DUET_OURS_START,
    DUET_OURS_TOTAL,
    DUET_OURS_MEMORY,
    DUET_OURS_DENSITY,
} DuetOurs;

/**
 * DuetPublished: a figure from elsewhere.
 * @what: which two things, and what of them
 * @value: as it was published
 * @ratio: of the first over the second; 0: there is none
 * @ours: what of a result is the same figure
 * @first, @second: the names of arms that are the source's
 * @first_kind, @second_kind: (nullable): kinds of our arms that may stand in for them
 * @ram_bytes, @cpus: of the source's guests; both 0: not told
 * @no_ratio: (nullable): why nothing can be set beside it
 */
typedef struct {
    const char *id, *source, *what, *value, *conditions;
    double ratio;
    DuetOurs ours;
    const char *first, *second;
    const char *first_kind, *second_kind;
    guint64 ram_bytes;
    double cpus;
    const char *no_ratio;
} DuetPublished;

/** duet_published_rows: Returns: the table, ended by a row without an id. */
const DuetPublished *duet_published_rows(void);

/**
 * DuetReproduction: what our results say to it.
 * @DUET_REPRODUCTION_WITHIN: the same direction, and the ratio within a factor of 2
 * @DUET_REPRODUCTION_NOT_SHOWN: ours shows no direction
 */
typedef enum {
    DUET_REPRODUCTION_WITHIN,
    DUET_REPRODUCTION_DIRECTION,
    DUET_REPRODUCTION_CONTRARY,
    DUET_REPRODUCTION_NOT_SHOWN,
    DUET_REPRODUCTION_NOT_COMPARABLE,
} DuetReproductionVerdict;

const char *duet_reproduction_verdict_to_string(DuetReproductionVerdict verdict);

/**
 * DuetReproduction:
 * @why: (nullable): why it is not comparable
 * @stands_in: (nullable): which of our arms stand for the source's
 * @ratio, @low, @high: ours, with its 95 % interval; NAN: not known
 * @reached_low, @reached_high: of a density, in place of the interval: those of #DuetReached; NAN:
 *     not known
 */
typedef struct {
    DuetReproductionVerdict verdict;
    char *why;
    char *stands_in;
    double ratio, low, high;
    double reached_low, reached_high;
} DuetReproduction;

void duet_reproduction_clear(DuetReproduction *reproduction);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetReproduction, duet_reproduction_clear)

/** duet_reproduce: @runs: (element-type DuetRun): one of each benchmark at most. */
void duet_reproduce(
    const DuetPublished *published, const GPtrArray *runs, DuetReproduction *out_reproduction);

/** Each returns: (transfer full): a page as text. @formats: table, json, md. */
char *duet_published_list(guint format);
char *duet_reproduction_show(
    const DuetPublished *published, const DuetReproduction *reproduction, guint format);

G_END_DECLS
