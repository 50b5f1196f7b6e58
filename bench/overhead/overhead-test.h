/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "overhead-point.h"

G_BEGIN_DECLS

/**
 * DuetOverheadValue: one figure that a tool prints.
 * @id: its name in result files, with its unit at the end ("events_per_s")
 * @base_unit: that unit
 * @label, @unit: for people
 * @scale: what the figure is multiplied with for people
 */
typedef struct {
    const char *id;
    const char *base_unit;
    const char *label;
    const char *unit;
    double scale;
    gboolean higher_is_better;
} DuetOverheadValue;

/**
 * DuetOverheadTest: one kind of work, done by the field's own tool.
 * @name: one that begins with that of another and a dash is part of it: `--tests disk` is all disks
 * @summary: what is done, in a line
 * @script: for the image's `sh`, which has the duration in whole seconds as $1
 * @sized_by_cache: the script has as $2 the size of a cache in KiB, which it is to exceed, the same
 *     in all arms, and as $3, for the record, that of the host's
 * @parse: reads the tool's output; %FALSE with %DUET_ERROR_BROKEN if it is not as it should be
 * @values: the first is what the test is about; a NULL id ends them
 */
struct _DuetOverheadTest {
    const char *name;
    const char *summary;
    const char *script;
    gboolean sized_by_cache;
    gboolean (*parse)(const char *output, DuetOverheadPoint *point, GError **error);
    DuetOverheadValue values[DUET_OVERHEAD_VALUES_MAX + 1];
};

/** duet_overhead_tests: Returns: all of them, ended by a NULL name. */
const DuetOverheadTest *duet_overhead_tests(void);

/** duet_overhead_test_find: Returns: (nullable): the one of exactly this name. */
const DuetOverheadTest *duet_overhead_test_find(const char *name);

/**
 * duet_overhead_tests_choose:
 * @list: (nullable): "cpu,disk"; NULL: all
 *
 * Returns: (transfer container) (element-type DuetOverheadTest): in the order of the table; NULL
 *     with %DUET_ERROR_INVALID for a name that there is not.
 */
GPtrArray *duet_overhead_tests_choose(const char *list, GError **error);

/**
 * duet_overhead_test_argv: @stream_bytes: duet_overhead_stream_bytes(), @cache_bytes: the host's,
 * 0 if not known
 *
 * Returns: (transfer full): what to run in an instance.
 */
char **duet_overhead_test_argv(
    const DuetOverheadTest *test, guint duration_s, guint64 stream_bytes, guint64 cache_bytes);

G_END_DECLS
