/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/* What of an instance's health is kept. */
#define DUET_HEALTH_RESULTS_MAX 5
#define DUET_HEALTH_OUTPUT_MAX 500

DuetHealth *duet_health_new(void);

/**
 * duet_health_note: a check is over.
 * @ran_us: how long the payload had run when it began
 * @result: (transfer full)
 * Returns: whether the instance became unhealthy by it.
 */
gboolean duet_health_note(
    DuetHealth *health, const DuetHealthCheck *check, gint64 ran_us, DuetHealthResult *result);
/**
 * duet_health_result_new:
 * @exit_code: 0: it is healthy
 * @output: (nullable): cut to what is kept
 */
DuetHealthResult *duet_health_result_new(
    gint64 began_us, gint64 ended_us, int exit_code, const char *output, gsize length);

/** duet_health_interval: Returns: when to check again, in us; 0: never by itself. */
gint64 duet_health_interval(const DuetHealth *health, const DuetHealthCheck *check, gint64 ran_us);

/** duet_health_to_dict: @health may be NULL: then nothing is added. */
void duet_health_to_dict(const DuetHealth *health, GVariantDict *dict);
/** duet_health_from_dict: Returns: (transfer full) (nullable). */
DuetHealth *duet_health_from_dict(GVariantDict *dict);

G_END_DECLS
