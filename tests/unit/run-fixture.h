/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/benchmark.h"
#include "bench/random.h"
#include "bench/result/run.h"

#define MS G_GINT64_CONSTANT(1000000)

/* Made-up runs, for tests of what is done with results. */

/* A run without any weakness: arms vm (2 s, KVM) and container, @n samples of each. */
DuetRun *run_fixture_new(guint64 seed, gint64 container_ms, guint n);
void run_fixture_add_arm(DuetRun *run, const char *name, const char *kind, const char *accel);
/* A sample that took about @ms (within 2 %). */
void run_fixture_add_sample(DuetRun *run, DuetRandom *random, guint arm, guint block, gint64 ms);

JsonObject *run_fixture_object(const char *json);
/* Returns: (transfer full): what `bench show --format` prints of a run. */
char *run_fixture_shown(const DuetRun *run, const char *format);
void run_fixture_assert_fits(const char *table);
gboolean run_fixture_has_note(GPtrArray *notes, const char *code);
/* A result file is refused in which the first @damage[i][0] became @damage[i][1]. */
void run_fixture_assert_refused(const char *json, const char *const damage[][2], gsize n);

/* Each makes one thing of a run another. */
void run_fixture_other_host(DuetRun *run);
void run_fixture_unknown_host(DuetRun *run);
void run_fixture_other_cpu(DuetRun *run);
void run_fixture_from_saved(DuetRun *run);
void run_fixture_other_mode(DuetRun *run);
void run_fixture_other_accel(DuetRun *run);
void run_fixture_other_image(DuetRun *run);
void run_fixture_other_command(DuetRun *run);
void run_fixture_other_kind(DuetRun *run);
