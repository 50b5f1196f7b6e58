/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cgroup-private.h"

G_BEGIN_DECLS

/* The one table of limits (cgroup-rows.c), for those who write them to files (cgroup-limits.c). */

/*
 * What is written to which file. @none lifts it again; of what one file has many (a disk's rates)
 * it also tells which one this is. An empty text stands for what the cgroup above has.
 */
typedef struct {
    char file[64];
    char text[256];
    char none[64];
} DuetLimitLine;

/* What becomes of a limit whose file is not there. */
typedef enum {
    DUET_MISSING_FAILS,
    /* The kernel can't do what would break it (no swap accounting): it is kept all the same. */
    DUET_MISSING_IS_KEPT,
    /* Another kernel calls it as the next row does. */
    DUET_MISSING_IS_NEXT,
} DuetLimitMissing;

/* Sets @line's text, and what else is not the row's. Returns: whether there is a line @index. */
typedef gboolean (*DuetLimitLineFunc)(
    const DuetLimits *limits, DuetCgroupVersion version, guint index, DuetLimitLine *line);

/*
 * @option: NULL: of the row before
 * @is_list: there may be more than one line
 * @is_share: what it has among others: it counts where those are its neighbours, in the instance's
 *     own directory, and so is written there as well
 * @hint: why a file may be missing, and what to try
 */
typedef struct {
    const char *option;
    DuetController controller;
    const char *files[2];
    const char *none[2];
    DuetLimitLineFunc line;
    gboolean is_list, is_share;
    DuetLimitMissing missing;
    const char *hint;
} DuetLimitRow;

extern const DuetLimitRow duet_limit_rows[];
extern const guint duet_limit_rows_count;

/** duet_limit_row_line: Returns: whether @limits ask for a line @index of @row; then it is @line.
 */
gboolean duet_limit_row_line(const DuetLimitRow *row, const DuetLimits *limits,
    DuetCgroupVersion version, guint index, DuetLimitLine *line);

G_END_DECLS
