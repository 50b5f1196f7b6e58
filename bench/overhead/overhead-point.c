/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-point.h"

#include <math.h>

#include "overhead-test.h"

DuetOverheadPoint *duet_overhead_point_new(const DuetOverheadTest *test)
{
    DuetOverheadPoint *point = g_new0(DuetOverheadPoint, 1);

    point->test = test;
    for (guint i = 0; i < DUET_OVERHEAD_VALUES_MAX; i++)
        point->values[i] = NAN;
    return point;
}

void duet_overhead_point_free(DuetOverheadPoint *point)
{
    if (!point)
        return;
    g_free(point->tool);
    g_free(point->mode);
    g_free(point);
}

JsonObject *duet_overhead_point_to_json(const DuetOverheadPoint *point)
{
    const DuetOverheadValue *of = point->test->values;
    JsonObject *object = json_object_new(), *values = json_object_new();

    json_object_set_string_member(object, "test", point->test->name);
    duet_json_set_string(object, "tool", point->tool);
    duet_json_set_string(object, "mode", point->mode);
    for (guint i = 0; of[i].id; i++)
        duet_json_set_double(values, of[i].id, point->values[i]);
    json_object_set_object_member(object, "values", values);
    return object;
}

DuetOverheadPoint *duet_overhead_point_from_json(DuetJsonReader *reader, JsonObject *object)
{
    const char *name = duet_json_get_string(reader, object, "test");
    const DuetOverheadTest *test = name ? duet_overhead_test_find(name) : NULL;
    JsonObject *values = duet_json_get_object(reader, object, "values");

    if (!test) {
        duet_json_complain(reader, "a sample's 'test' is none that this duet knows");
        return NULL;
    }
    DuetOverheadPoint *point = duet_overhead_point_new(test);
    point->tool = g_strdup(duet_json_get_string(reader, object, "tool"));
    point->mode = g_strdup(duet_json_get_string(reader, object, "mode"));
    for (guint i = 0; test->values[i].id; i++) {
        if (!duet_json_member(values, test->values[i].id))
            continue;
        point->values[i] = duet_json_get_double(reader, values, test->values[i].id);
        /* All are rates or times: what is not above 0 was not measured. */
        if (!(point->values[i] > 0))
            duet_json_complain(reader, "'%s' of a sample is not above 0", test->values[i].id);
    }
    return point;
}
