/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/analysis.h"
#include "bench/result/json.h"
#include "bench/runner.h"
#include "bare.h"

G_BEGIN_DECLS

/**
 * DuetCostSampler: another sampler, of `native`, which takes a bare spawn of the same payload after
 * each sample. The difference of both is what duet itself costs.
 * @take, @interrupted, @data: the other's
 */
typedef struct {
    DuetSampleFunc take;
    gboolean (*interrupted)(const DuetSample *sample, gpointer data);
    gpointer data;
    DuetBare bare;
} DuetCostSampler;

/**
 * duet_cost_sampler_init: wraps what @runner has.
 * @native: what it samples
 * Returns: %FALSE with @error where a bare spawn is not possible: see duet_bare_start().
 */
gboolean duet_cost_sampler_init(
    DuetCostSampler *sampler, DuetRunner *runner, const DuetSpec *native, GError **error);
void duet_cost_sampler_clear(DuetCostSampler *sampler);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetCostSampler, duet_cost_sampler_clear)

/** duet_cost_line: Returns: (transfer full): what duet itself costs, in words: `native` from
 * request to released less a bare spawn, medians; or NULL if the run does not tell. */
char *duet_cost_line(const DuetAnalysis *analysis);

/* Its member of result files. */
void duet_cost_sample_write(const DuetSample *sample, JsonObject *object);
void duet_cost_sample_read(DuetJsonReader *reader, JsonObject *object, DuetSample *sample);

G_END_DECLS
