/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/**
 * duet_bench_check_new: all that makes a run weak, from its samples, its plan and its record of
 * host, tool and drivers. Returns: (transfer full) (element-type DuetNote): empty if there is
 * nothing.
 */
GPtrArray *duet_bench_check_new(const DuetRun *run, const DuetAnalysis *analysis);

/**
 * duet_bench_check_series: adds what makes a series of one value, in the order of measuring, weak,
 * beside what duet_notes_series() tells in any report: too few values, outliers, neighbours that
 * are alike, an imprecise median, a coarse clock.
 * @name: whose it is, for people
 * @planned: how many values there should be
 * @times: (nullable): times in ns that it was made of; NULL: it is of something else
 */
void duet_bench_check_series(GPtrArray *notes, const char *name, guint planned,
    const DuetSummary *series, const DuetSeries *times);

/** duet_bench_check_record: adds what a run's record of host, tool and drivers tells against it. */
void duet_bench_check_record(GPtrArray *notes, const DuetRun *run);

/** duet_bench_check_plan: adds whether the samples are those that were planned, in that order; of
 * plans with one sample for each entry of their order. */
void duet_bench_check_plan(GPtrArray *notes, const DuetRun *run);

/**
 * duet_bench_check_mixed: adds what of it is of the arms: in what they should be alike and are not.
 * @same_work: (nullable): whether two arms do the same, and so have one command; NULL: all do
 */
void duet_bench_check_mixed(GPtrArray *notes, const DuetRun *run,
    gboolean (*same_work)(const DuetRunArm *, const DuetRunArm *));

/** duet_bench_check_clock: adds whether the marks of samples, which are taken one after the other,
 * go back: the host's CLOCK_MONOTONIC does not. */
void duet_bench_check_clock(GPtrArray *notes, const DuetRun *run);

/** duet_bench_check_host: adds what of it is of host, accelerator and build. */
void duet_bench_check_host(GPtrArray *notes, const DuetRun *run);

/** duet_bench_check_text: Returns: (transfer full): @notes for a terminal, within 80 columns. */
char *duet_bench_check_text(const DuetRun *run, GPtrArray *notes);

/** duet_bench_check_json: Returns: (transfer full): @notes for programs. */
char *duet_bench_check_json(const DuetRun *run, GPtrArray *notes);

/** duet_bench_check_notes_json: Returns: (transfer full): an array of objects of "code" and "text".
 */
JsonArray *duet_bench_check_notes_json(GPtrArray *notes);

G_END_DECLS
