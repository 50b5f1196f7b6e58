/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ksm.h"

/* What a sample's file may say of pages and scans. */
#define COUNT_MAX (G_GINT64_CONSTANT(1) << 40)

static JsonObject *count_to_json(const DuetKsmCount *count)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "monotonic_ns", count->at_ns);
    json_object_set_int_member(object, "full_scans", count->full_scans);
    json_object_set_int_member(object, "pages_sharing", count->sharing_pages);
    json_object_set_int_member(object, "pages_shared", count->shared_pages);
    json_object_set_int_member(object, "pages_not_merged", count->other_pages);
    if (count->cpu_ns >= 0)
        json_object_set_int_member(object, "ksmd_cpu_ns", count->cpu_ns);
    else
        json_object_set_null_member(object, "ksmd_cpu_ns");
    return object;
}

static DuetKsmCount count_from_json(DuetJsonReader *reader, JsonObject *object)
{
    return (DuetKsmCount){
        .at_ns = duet_json_get_int(reader, object, "monotonic_ns", 0, G_MAXINT64, 0),
        .full_scans = duet_json_get_int(reader, object, "full_scans", 0, COUNT_MAX, 0),
        .sharing_pages = duet_json_get_int(reader, object, "pages_sharing", 0, COUNT_MAX, 0),
        .shared_pages = duet_json_get_int(reader, object, "pages_shared", 0, COUNT_MAX, 0),
        .other_pages = duet_json_get_int(reader, object, "pages_not_merged", 0, COUNT_MAX, 0),
        .cpu_ns = duet_json_get_int(reader, object, "ksmd_cpu_ns", 0, G_MAXINT64, -1),
    };
}

JsonObject *duet_ksm_outcome_to_json(const DuetKsmOutcome *outcome)
{
    JsonObject *object = json_object_new();

    json_object_set_object_member(object, "before", count_to_json(&outcome->before));
    json_object_set_object_member(object, "after", count_to_json(&outcome->after));
    json_object_set_int_member(object, "waited_ns", outcome->waited_ns);
    json_object_set_boolean_member(object, "settled", outcome->settled);
    json_object_set_int_member(object, "page_bytes", outcome->page_bytes);
    return object;
}

DuetKsmOutcome duet_ksm_outcome_from_json(DuetJsonReader *reader, JsonObject *object)
{
    return (DuetKsmOutcome){
        .before = count_from_json(reader, duet_json_get_object(reader, object, "before")),
        .after = count_from_json(reader, duet_json_get_object(reader, object, "after")),
        .waited_ns = duet_json_get_int(reader, object, "waited_ns", 0, G_MAXINT64, 0),
        .settled = duet_json_get_boolean(reader, object, "settled"),
        .page_bytes = duet_json_get_int(reader, object, "page_bytes", 0, 1 << 20, 0),
    };
}
