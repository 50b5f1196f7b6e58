/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/health.h"

#include <string.h>

#define LOG_TYPE "a(xxiay)"

static const char *const status_names[] = {
    [DUET_HEALTH_STARTING] = "starting",
    [DUET_HEALTH_HEALTHY] = "healthy",
    [DUET_HEALTH_UNHEALTHY] = "unhealthy",
};

const char *duet_health_to_string(DuetHealthStatus status)
{
    return status_names[status];
}

static void result_free(gpointer data)
{
    DuetHealthResult *result = data;
    g_free(result->output);
    g_free(result);
}

DuetHealth *duet_health_new(void)
{
    DuetHealth *health = g_new0(DuetHealth, 1);
    health->log = g_ptr_array_new_with_free_func(result_free);
    return health;
}

void duet_health_free(DuetHealth *health)
{
    if (!health)
        return;
    g_ptr_array_unref(health->log);
    g_free(health);
}

DuetHealthResult *duet_health_result_new(
    gint64 began_us, gint64 ended_us, int exit_code, const char *output, gsize length)
{
    DuetHealthResult *result = g_new0(DuetHealthResult, 1);
    result->began_us = began_us;
    result->ended_us = ended_us;
    result->exit_code = exit_code;
    result->output = output ? g_strndup(output, MIN(length, DUET_HEALTH_OUTPUT_MAX)) : g_strdup("");
    return result;
}

static gboolean in_start_period(
    const DuetHealth *health, const DuetHealthCheck *check, gint64 ran_us)
{
    return health->status == DUET_HEALTH_STARTING && ran_us < check->start_period_us;
}

gboolean duet_health_note(
    DuetHealth *health, const DuetHealthCheck *check, gint64 ran_us, DuetHealthResult *result)
{
    if (health->log->len == DUET_HEALTH_RESULTS_MAX)
        g_ptr_array_remove_index(health->log, 0);
    g_ptr_array_add(health->log, result);
    if (result->exit_code == 0) {
        health->failing_streak = 0;
        health->status = DUET_HEALTH_HEALTHY;
        return FALSE;
    }
    if (in_start_period(health, check, ran_us))
        return FALSE;
    health->failing_streak++;
    if (health->failing_streak < check->retries || health->status == DUET_HEALTH_UNHEALTHY)
        return FALSE;
    health->status = DUET_HEALTH_UNHEALTHY;
    return TRUE;
}

gint64 duet_health_interval(const DuetHealth *health, const DuetHealthCheck *check, gint64 ran_us)
{
    gboolean early = in_start_period(health, check, ran_us) && check->start_interval_us;
    return early && check->interval_us ? check->start_interval_us : check->interval_us;
}

void duet_health_to_dict(const DuetHealth *health, GVariantDict *dict)
{
    if (!health)
        return;
    g_variant_dict_insert(dict, "health-status", "i", (int)health->status);
    g_variant_dict_insert(dict, "health-failing", "i", health->failing_streak);
    g_auto(GVariantBuilder) log = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE(LOG_TYPE));
    for (guint i = 0; i < health->log->len; i++) {
        const DuetHealthResult *result = health->log->pdata[i];
        g_variant_builder_add(&log, "(xxi^ay)", result->began_us, result->ended_us,
            result->exit_code, result->output);
    }
    g_variant_dict_insert_value(dict, "health-log", g_variant_builder_end(&log));
}

DuetHealth *duet_health_from_dict(GVariantDict *dict)
{
    int status;
    if (!g_variant_dict_lookup(dict, "health-status", "i", &status) || status < 0 ||
        status > DUET_HEALTH_UNHEALTHY)
        return NULL;
    DuetHealth *health = duet_health_new();
    health->status = (DuetHealthStatus)status;
    g_variant_dict_lookup(dict, "health-failing", "i", &health->failing_streak);
    g_autoptr(GVariant) log =
        g_variant_dict_lookup_value(dict, "health-log", G_VARIANT_TYPE(LOG_TYPE));
    for (gsize i = 0; log && i < g_variant_n_children(log); i++) {
        gint64 began_us, ended_us;
        int exit_code;
        g_autoptr(GVariant) child = g_variant_get_child_value(log, i);
        const char *output;
        g_variant_get(child, "(xxi^&ay)", &began_us, &ended_us, &exit_code, &output);
        g_ptr_array_add(health->log,
            duet_health_result_new(began_us, ended_us, exit_code, output, strlen(output)));
    }
    return health;
}
