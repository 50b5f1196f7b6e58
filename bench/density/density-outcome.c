/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-outcome.h"

#include <duet/bench.h>

DuetDensityOutcome *duet_density_outcome_new(void)
{
    DuetDensityOutcome *outcome = g_new0(DuetDensityOutcome, 1);

    outcome->memory = duet_memory_point_new(0);
    return outcome;
}

void duet_density_outcome_free(DuetDensityOutcome *outcome)
{
    if (!outcome)
        return;
    g_free(outcome->detail);
    g_free(outcome->no_pool);
    duet_memory_point_free(outcome->memory);
    g_free(outcome);
}

gboolean duet_density_is_over(const DuetDensityOutcome *outcome)
{
    return outcome->bound != DUET_DENSITY_BOUND_NONE &&
        outcome->bound != DUET_DENSITY_BOUND_INTERRUPTED;
}

gboolean duet_density_was_asked(const DuetDensityOutcome *outcome)
{
    return outcome->bound != DUET_DENSITY_BOUND_INTERRUPTED ||
        outcome->answered + outcome->ended + outcome->silent > 0;
}

JsonObject *duet_density_outcome_to_json(const DuetDensityOutcome *outcome)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "reached", outcome->reached);
    json_object_set_string_member(object, "bound", duet_density_bound_to_string(outcome->bound));
    duet_json_set_string(object, "detail", outcome->detail);
    json_object_set_int_member(object, "pool_limit_bytes", outcome->pool_bytes);
    duet_json_set_string(object, "no_pool", outcome->no_pool);
    json_object_set_int_member(object, "used_bytes", outcome->used_bytes);
    json_object_set_int_member(object, "answered", outcome->answered);
    json_object_set_int_member(object, "ended", outcome->ended);
    json_object_set_int_member(object, "silent", outcome->silent);
    json_object_set_int_member(object, "reserved_bytes", outcome->reserved_bytes);
    json_object_set_object_member(object, "memory", duet_memory_point_to_json(outcome->memory));
    return object;
}

DuetDensityOutcome *duet_density_outcome_from_json(DuetJsonReader *reader, JsonObject *object)
{
    DuetDensityOutcome *outcome = g_new0(DuetDensityOutcome, 1);
    guint max = DUET_BENCH_COUNT_MAX;

    if (!duet_density_bound_from_string(
            duet_json_get_string(reader, object, "bound"), &outcome->bound))
        duet_json_complain(reader, "an arm's 'bound' is none that is known");
    outcome->reached = duet_json_get_int(reader, object, "reached", 0, max, 0);
    outcome->detail = g_strdup(duet_json_get_string(reader, object, "detail"));
    outcome->pool_bytes = duet_json_get_int(reader, object, "pool_limit_bytes", 0, G_MAXINT64, 0);
    outcome->no_pool = g_strdup(duet_json_get_string(reader, object, "no_pool"));
    outcome->used_bytes = duet_json_get_int(reader, object, "used_bytes", 0, G_MAXINT64, 0);
    outcome->answered = duet_json_get_int(reader, object, "answered", 0, max, 0);
    outcome->ended = duet_json_get_int(reader, object, "ended", 0, max, 0);
    outcome->silent = duet_json_get_int(reader, object, "silent", 0, max, 0);
    outcome->reserved_bytes = duet_json_get_int(reader, object, "reserved_bytes", 0, G_MAXINT64, 0);
    outcome->memory =
        duet_memory_point_from_json(reader, duet_json_get_object(reader, object, "memory"));
    return outcome;
}

JsonObject *duet_density_start_to_json(const DuetDensityStart *start)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "running", start->running);
    json_object_set_int_member(object, "used_bytes", start->used_bytes);
    json_object_set_object_member(object, "host", duet_density_host_to_json(&start->host));
    return object;
}

DuetDensityStart *duet_density_start_from_json(DuetJsonReader *reader, JsonObject *object)
{
    DuetDensityStart *start = g_new0(DuetDensityStart, 1);

    start->running = duet_json_get_int(reader, object, "running", 0, DUET_BENCH_COUNT_MAX, 0);
    start->used_bytes = duet_json_get_int(reader, object, "used_bytes", 0, G_MAXINT64, 0);
    start->host = duet_density_host_from_json(reader, duet_json_get_object(reader, object, "host"));
    return start;
}

void duet_density_limits_to_json(const DuetDensityLimits *limits, JsonObject *object)
{
    json_object_set_int_member(object, "max", limits->max);
    json_object_set_int_member(object, "max_latency_ns", limits->max_latency_ns);
    json_object_set_int_member(object, "time_limit_ns", limits->time_limit_ns);
    json_object_set_int_member(object, "budget_bytes", limits->budget_bytes);
}

DuetDensityLimits duet_density_limits_from_json(DuetJsonReader *reader, JsonObject *object)
{
    return (DuetDensityLimits){
        .max = duet_json_get_int(reader, object, "max", 0, DUET_BENCH_COUNT_MAX, 0),
        .max_latency_ns = duet_json_get_int(reader, object, "max_latency_ns", 0, G_MAXINT64, 0),
        .time_limit_ns = duet_json_get_int(reader, object, "time_limit_ns", 0, G_MAXINT64, 0),
        .budget_bytes = duet_json_get_int(reader, object, "budget_bytes", 0, G_MAXINT64, 0),
    };
}
