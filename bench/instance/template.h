/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "probe.h"
#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * DuetTemplate: a VM that was saved with its memory when it was ready: `bench boot --from saved`
 * makes each sample's instance by cloning it. It ends with this process, as all of a benchmark's.
 * @instance: (nullable): NULL: not made yet
 */
typedef struct {
    DuetInstance *instance;
} DuetTemplate;

/** duet_template_check: Returns: %FALSE with @error if what @spec makes can't be saved.
 * @name: of the arm, for the error */
gboolean duet_template_check(const DuetSpec *spec, const char *name, GError **error);

/**
 * duet_template_make: starts one, waits until it is ready and saves it; between
 * duet_hold_signals() and release.
 * @out_interrupted: set if the user wants an end, which is an error, too
 */
gboolean duet_template_make(DuetTemplate *template, DuetContext *context, const DuetSpec *spec,
    const DuetProbe *probe, gint64 timeout_ms, gboolean *out_interrupted, GError **error);

/**
 * duet_template_clone: makes an instance whose start goes on from the saved state.
 * @mode: the plan's cache mode; the saved memory is cooled as it says
 * @facts: (nullable): of the driver, for that
 * @sample: how long the making took goes into it
 *
 * Returns: (transfer full): or NULL with @error.
 */
DuetInstance *duet_template_clone(const DuetTemplate *template, DuetContext *context,
    const char *mode, JsonObject *facts, DuetSample *sample, GError **error);

/** duet_template_clear: removes it. @warnings: get what was left behind of it */
void duet_template_clear(DuetTemplate *template, GPtrArray *warnings);

G_END_DECLS
