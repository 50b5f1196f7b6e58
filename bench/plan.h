/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "density/density-rules.h"

G_BEGIN_DECLS

/**
 * DuetPlan: everything that is fixed before the first sample.
 * @n: samples per arm, one in each block
 * @mode: cache mode (cache.h): what is done before each sample; in each of them one discarded
 * sample of each arm comes first
 * @order: @n times @n_arms arm numbers: block by block, each a random order of all arms, or
 *     of all cells where each arm has several variants: arm number times @n_variants plus variant
 * @timeout_ms: after which a sample is given up and counted as censored
 * @floor: the smallest relative effect that may be called a difference
 * @ready: (nullable): `bench boot`: what tells that a payload is ready (probe.h), which is stopped
 * then
 * @from: (nullable): `bench boot`: what its VMs start from: DUET_BENCH_FROM_SAVED or
 * DUET_BENCH_FROM_BOTH; NULL: they boot
 * @n_variants: how many kinds of samples each arm has in a block; 1 unless the benchmark says so
 * @counts: `bench memory`: how many instances at a time in each variant; `bench boot --parallel`:
 * how many starts at once; `--rate`: starts per 1,000 s; NULL else
 * @load_starts: `bench boot --rate`: how many starts a batch has; 0 with `--parallel`
 * @age_ms: `bench memory`, `bench density`: how old the youngest instance is when memory is read
 * @equal_memory_bytes: `bench memory`: what each arm's payload may use; 0: not made equal
 * @balloon_bytes: `bench memory`: what each instance is given then while it runs; 0: nothing
 * @ksm: (nullable): `bench memory`: "on" or "off": what was made of the kernel's KSM; NULL: it was
 * left as it is
 * @ksm_limit_ms: how long one sample waits for it at most
 * @density: `bench density`: what ends an arm; else NULL
 * @duration_s: `bench overhead`: for how long the tool of a sample works
 * @options: (nullable): what else was asked of all instances, as words of a command line: options
 *     with what duet_plan_option_words() says; NULL: nobody knows
 */
typedef struct {
    guint64 seed;
    guint n;
    guint n_arms;
    char *mode;
    guint *order;
    gint64 timeout_ms;
    double floor;
    char *ready;
    char *from;
    guint n_variants;
    guint *counts;
    guint load_starts;
    gint64 age_ms;
    guint64 equal_memory_bytes;
    guint64 balloon_bytes;
    char *ksm;
    guint ksm_limit_ms;
    DuetDensityLimits *density;
    guint duration_s;
    char **options;
} DuetPlan;

/**
 * duet_plan_new:
 * Returns: (transfer full): a plan in mode "warm", its order made from @seed alone.
 */
DuetPlan *duet_plan_new(guint n_arms, guint n, guint64 seed, gint64 timeout_ms, double floor);

/* The mode of what others measured: nothing is known of the order. */
#define DUET_PLAN_IMPORTED "imported"

/** duet_plan_option_words: Returns: how many words of DuetPlan.options are one, from @option on. */
guint duet_plan_option_words(const char *option);

/** duet_plan_set_mode: @mode: (nullable): as it is. */
void duet_plan_set_mode(DuetPlan *plan, const char *mode);

/** duet_plan_is_blocked: Returns: whether the samples of one block belong together. */
gboolean duet_plan_is_blocked(const DuetPlan *plan);

/** duet_plan_new_memory: @n is the number of rounds: one sample of each arm and count in each. */
DuetPlan *duet_plan_new_memory(guint n_arms, const guint *counts, guint n_counts, guint n,
    guint64 seed, gint64 age_ms, double floor);

/** duet_plan_new_load: @n is the number of batches of each arm and level. */
DuetPlan *duet_plan_new_load(
    guint n_arms, const guint *levels, guint n_levels, guint n, guint64 seed, guint starts);

/** duet_plan_new_density: one block: the arms one after the other, in a random order. */
DuetPlan *duet_plan_new_density(
    guint n_arms, const DuetDensityLimits *limits, guint64 seed, gint64 age_ms);
void duet_plan_free(DuetPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPlan, duet_plan_free)

/** duet_plan_cells: Returns: samples per block. */
guint duet_plan_cells(const DuetPlan *plan);
/** duet_plan_cell: what a number of the order stands for. Returns: the arm. */
guint duet_plan_cell(const DuetPlan *plan, guint cell, guint *out_variant);

G_END_DECLS
