/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/mark.h>

#include "bench/result/json.h"

G_BEGIN_DECLS

#define DUET_LOAD_ERROR_BYTES 240

/**
 * DuetLoadStart: one start of a batch. It lies in memory that is shared with the process that makes
 * it, so it holds no pointers.
 * @status: a #DuetSampleStatus
 * @intended_ns: when it was to be, on the clock of the marks
 * @marks: none: it was not even tried
 * @error, @warning: "": none
 */
typedef struct {
    guint status;
    int exit_code;
    int exit_signal;
    gboolean oom;
    gint64 intended_ns;
    DuetMarks marks;
    gint64 managing_cpu_ns, payload_cpu_ns;
    char error[DUET_LOAD_ERROR_BYTES];
    char warning[DUET_LOAD_ERROR_BYTES];
} DuetLoadStart;

/**
 * DuetLoadPoint: what a sample of `bench boot --parallel` or `--rate` holds: a batch of starts.
 * @level: how many at once; with a rate: starts per 1,000 s
 * @rate: which of the two
 * @began_ns: what its starts' intended times count from
 * @bound: (nullable): what ended the batch early to keep the host alive
 * @starts: (element-type DuetLoadStart): all that were to be; none in a warm-up
 */
typedef struct {
    guint level;
    gboolean rate;
    gint64 began_ns;
    char *bound;
    GArray *starts;
} DuetLoadPoint;

DuetLoadPoint *duet_load_point_new(guint level, gboolean rate);
void duet_load_point_free(DuetLoadPoint *point);

const DuetLoadStart *duet_load_point_start(const DuetLoadPoint *point, guint i);

/** duet_load_level_text: Returns: (transfer full): "x4", or "0.5/s". */
char *duet_load_level_text(guint level, gboolean rate);
/** duet_load_level_to_json: Returns: (transfer full): 4, or 0.5. */
JsonNode *duet_load_level_to_json(guint level, gboolean rate);
/** duet_load_level_from_json: Returns: 0 and a complaint if @node is none. */
guint duet_load_level_from_json(DuetJsonReader *reader, JsonNode *node, gboolean rate);

/** duet_load_point_to_json: Returns: (transfer full). */
JsonObject *duet_load_point_to_json(const DuetLoadPoint *point);
/** duet_load_point_from_json: Returns: (transfer full): never NULL; see #DuetJsonReader. */
DuetLoadPoint *duet_load_point_from_json(DuetJsonReader *reader, JsonObject *object, gboolean rate);

G_END_DECLS
