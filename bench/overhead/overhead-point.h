/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/json.h"

G_BEGIN_DECLS

#define DUET_OVERHEAD_VALUES_MAX 4

typedef struct _DuetOverheadTest DuetOverheadTest;

/**
 * DuetOverheadPoint: what one sample of `bench overhead` holds.
 * @test: what was done
 * @tool: (nullable): what measured, with its version ("fio-3.33")
 * @mode: (nullable): how, where the tool had a choice ("direct=1")
 * @values: as the test's; NAN: not known
 */
typedef struct {
    const DuetOverheadTest *test;
    char *tool;
    char *mode;
    double values[DUET_OVERHEAD_VALUES_MAX];
} DuetOverheadPoint;

DuetOverheadPoint *duet_overhead_point_new(const DuetOverheadTest *test);
void duet_overhead_point_free(DuetOverheadPoint *point);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetOverheadPoint, duet_overhead_point_free)

/** duet_overhead_point_to_json: Returns: (transfer full). */
JsonObject *duet_overhead_point_to_json(const DuetOverheadPoint *point);
/** duet_overhead_point_from_json: Returns: (transfer full) (nullable): see #DuetJsonReader. */
DuetOverheadPoint *duet_overhead_point_from_json(DuetJsonReader *reader, JsonObject *object);

G_END_DECLS
