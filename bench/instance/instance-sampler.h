/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "capture.h"
#include "probe.h"
#include "bench/runner.h"
#include "template.h"

G_BEGIN_DECLS

/**
 * DuetInstanceSampler: takes samples of our own kinds: each one is an instance that is created,
 * run and gone again.
 * @run: its arms get their driver's facts from the first sample that has some
 * @capture: keep the payload's output (`compare`); else it goes to /dev/null
 * @probe: (nullable): each sample is stopped when this says that it is ready; NULL: it runs to its
 *     own end
 * @template: what the samples of the arm that starts from a saved state are clones of
 * @looks_later: duet_instance_sampler_look() is called, and looks for what a sample left; else the
 *     sample itself does, once all is released
 * @later_id, @later_info: (nullable): what for
 * @interrupted: the user wanted an end
 * @captured_stdout, @captured_stderr: (nullable): one per arm, of its latest sample
 */
typedef struct {
    const DuetBenchRequest *request;
    DuetRun *run;
    gboolean capture;
    DuetProbe *probe;
    DuetTemplate template;
    gboolean looks_later;
    char *later_id;
    DuetInfo *later_info;
    gboolean interrupted;
    DuetCaptured **captured_stdout;
    DuetCaptured **captured_stderr;
} DuetInstanceSampler;

void duet_instance_sampler_init(
    DuetInstanceSampler *sampler, const DuetBenchRequest *request, DuetRun *run, gboolean capture);
/** duet_instance_sampler_set_ready: @probe: (nullable): as in probe.h. */
gboolean duet_instance_sampler_set_ready(
    DuetInstanceSampler *sampler, const char *probe, GError **error);
/** duet_instance_sampler_end: removes what was made for more than one sample. */
void duet_instance_sampler_end(DuetInstanceSampler *sampler);
void duet_instance_sampler_clear(DuetInstanceSampler *sampler);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetInstanceSampler, duet_instance_sampler_clear)

/** duet_instance_sampler_take: a #DuetSampleFunc; @data is the sampler. */
gboolean duet_instance_sampler_take(DuetSample *sample, gpointer data, GError **error);
/** duet_instance_sampler_look: looks for what the latest sample left, if that did not. */
void duet_instance_sampler_look(DuetInstanceSampler *sampler, DuetSample *sample);

/**
 * duet_instance_sampler_interrupted: whether the user's ^C ended this sample: signals that reach
 * us while an instance runs are passed on to its payload.
 */
gboolean duet_instance_sampler_interrupted(const DuetSample *sample, gpointer data);

/**
 * duet_bench_spec_copy:
 * Returns: (transfer full): @spec with an id of its own and no name; the instance does not outlive
 *     this process.
 */
DuetSpec *duet_bench_spec_copy(const DuetSpec *spec, GError **error);

/** duet_bench_is_hopeless: whether every further sample would fail with this error. */
gboolean duet_bench_is_hopeless(const GError *error);

/** duet_bench_take_facts: keeps the driver's facts for the arm; another accelerator is a warning.
 */
void duet_bench_take_facts(DuetRun *run, guint arm, GVariant *facts, DuetSample *sample);

G_END_DECLS
