/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "published.h"

#include <math.h>

#include <duet/bench.h>
#include <duet/vm-limits.h>

#include "bench/against/against.h"
#include "bench/benchmark.h"
#include "bench/host/environment.h"
#include "bench/result/record.h"
#include "bench/text.h"
#include "figures.h"

#define WITHIN 2.0

const char *duet_reproduction_verdict_to_string(DuetReproductionVerdict verdict)
{
    static const char *const names[] = { "ratio within x2", "direction holds",
        "direction does not hold", "no direction shown", "not comparable" };

    g_return_val_if_fail((gsize)verdict < G_N_ELEMENTS(names), "not comparable");
    return names[verdict];
}

void duet_reproduction_clear(DuetReproduction *reproduction)
{
    g_clear_pointer(&reproduction->why, g_free);
    g_clear_pointer(&reproduction->stands_in, g_free);
}

static const char *benchmark_of(DuetOurs ours)
{
    static const char *const names[] = { NULL, "boot", "boot", "memory", "density" };

    return names[ours];
}

static const DuetRun *run_of(const GPtrArray *runs, const char *benchmark)
{
    for (guint i = 0; i < runs->len; i++) {
        const DuetRun *run = g_ptr_array_index(runs, i);
        if (g_str_equal(run->benchmark->name, benchmark))
            return run;
    }
    return NULL;
}

typedef struct {
    const DuetRun *run;
    int first, second;
} Arms;

/* The source's own, or both of ours in their place: never one of each. */
static gboolean find_arms(const DuetPublished *published, Arms *arms, DuetReproduction *out)
{
    arms->first = duet_run_find_arm(arms->run, published->first);
    arms->second = duet_run_find_arm(arms->run, published->second);
    if (arms->first >= 0 && arms->second >= 0)
        return TRUE;
    if (published->first_kind) {
        arms->first = duet_figure_arm(arms->run, published->first_kind);
        arms->second = duet_figure_arm(arms->run, published->second_kind);
        out->stands_in = g_strdup_printf("our %s and %s stand for %s and %s", published->first_kind,
            published->second_kind, published->first, published->second);
    }
    if (arms->first >= 0 && arms->second >= 0)
        return TRUE;
    g_clear_pointer(&out->stands_in, g_free);
    out->why = published->first_kind
        ? g_strdup_printf("the run has neither %s and %s nor %s and %s", published->first,
              published->second, published->first_kind, published->second_kind)
        : g_strdup_printf("the run has not both %s and %s", published->first, published->second);
    return FALSE;
}

typedef struct {
    double ram_bytes, cpus;
} Guest;

/* Of a foreign engine's only where its file was told what to give it. */
static gboolean know_guest(const DuetRunArm *arm, Guest *out_guest)
{
    if (g_str_equal(arm->kind, DUET_RUN_ARM_PEER))
        return duet_record_number(arm->driver, DUET_RUN_PEER_GUEST_MEMORY, &out_guest->ram_bytes) &&
            duet_record_number(arm->driver, DUET_RUN_PEER_GUEST_CPUS, &out_guest->cpus);
    out_guest->ram_bytes =
        (double)(arm->memory_bytes ? arm->memory_bytes : DUET_VM_MEMORY_DEFAULT_BYTES);
    out_guest->cpus = arm->cpus > 0 ? arm->cpus : 1;
    return TRUE;
}

static char *other_guest(const DuetPublished *published, const DuetRunArm *arm)
{
    gboolean peer = g_str_equal(arm->kind, DUET_RUN_ARM_PEER);
    double ram_bytes = (double)published->ram_bytes;
    Guest guest;

    if (published->ram_bytes == 0 || (!peer && !g_str_equal(arm->kind, "vm")))
        return NULL;
    if (!know_guest(arm, &guest))
        return g_strdup_printf("nobody knows the size of the guests of %s", arm->name);
    if (guest.ram_bytes == ram_bytes && guest.cpus == published->cpus)
        return NULL;
    return g_strdup_printf("another guest size: %.15g MiB and %g CPUs, not %.15g MiB and %g",
        guest.ram_bytes / (1 << 20), guest.cpus, ram_bytes / (1 << 20), published->cpus);
}

/* Returns: (transfer full) (nullable): what of an arm forbids to compare it. */
static char *unlike(const DuetPublished *published, const DuetRun *run, guint index)
{
    const DuetRunArm *arm = duet_run_arm(run, index);

    if (duet_run_arm_tcg(arm))
        return g_strdup_printf(
            "no KVM: %s ran under TCG, which no published figure did", arm->name);
    char *why = other_guest(published, arm);
    /* Starts that fail are how a density ends. */
    return why || published->ours == DUET_OURS_DENSITY ? why : duet_figure_failed(run, index);
}

/* Returns: (transfer full) (nullable): why the two are not one thing run in two ways. */
static char *apart(const Arms *arms)
{
    const DuetRunArm *a = duet_run_arm(arms->run, arms->first);
    const DuetRunArm *b = duet_run_arm(arms->run, arms->second);
    g_autofree char *command_a = duet_text_command(a->argv);
    g_autofree char *command_b = duet_text_command(b->argv);

    if (arms->run->interrupted)
        return g_strdup("the run was interrupted");
    if (g_strcmp0(a->image_digest, b->image_digest) != 0)
        return g_strdup_printf("%s and %s ran different images", a->name, b->name);
    if (g_strcmp0(command_a, command_b) != 0)
        return g_strdup_printf("%s and %s ran different commands", a->name, b->name);
    return NULL;
}

/* A foreign engine has no marks: beside one, whole commands are compared. */
static gboolean command_output(const DuetSample *sample, DuetMark headline_to, double *out_ns)
{
    return duet_metric_value(sample, DUET_METRIC_COMMAND_OUTPUT, headline_to, out_ns);
}

static gboolean command_exit(const DuetSample *sample, DuetMark headline_to, double *out_ns)
{
    return duet_metric_value(sample, DUET_METRIC_COMMAND_EXIT, headline_to, out_ns);
}

static gboolean is_peer(const Arms *arms, int index)
{
    return g_str_equal(duet_run_arm(arms->run, index)->kind, DUET_RUN_ARM_PEER);
}

static DuetFigureFunc figure_of(const Arms *arms, DuetOurs ours)
{
    gboolean peer = is_peer(arms, arms->first) || is_peer(arms, arms->second);

    /* Nobody knows more of what others measured than that it is the figure. */
    if (g_str_equal(arms->run->plan->mode, DUET_PLAN_IMPORTED))
        return duet_figure_start;
    if (ours == DUET_OURS_START)
        return peer ? command_output : duet_figure_start;
    return peer ? command_exit : duet_figure_total;
}

static char *measure_boot(const Arms *arms, DuetFigureFunc value, DuetReproduction *out)
{
    DuetContrast contrast;
    gsize n;

    if (!duet_figure_contrast(arms->run, arms->first, arms->second, value, 1, &contrast, &n))
        return g_strdup("the run does not tell");
    out->ratio = contrast.ratio;
    out->low = contrast.ratio_low;
    out->high = contrast.ratio_high;
    if (n >= DUET_BENCH_N_MIN)
        return NULL;
    return g_strdup_printf(
        "too few samples: %" G_GSIZE_FORMAT " of an arm, and %d are wanted", n, DUET_BENCH_N_MIN);
}

/* By the host's MemAvailable, as such figures are published. */
static char *measure_memory(const Arms *arms, DuetReproduction *out)
{
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(arms->run, FALSE);
    DuetSlopes slopes = duet_figure_slopes(analysis, arms->first, arms->second, DUET_MEMORY_HOST);

    out->ratio = slopes.ratio;
    out->low = slopes.low;
    out->high = slopes.high;
    return isnan(slopes.ratio) ? g_strdup("the run has no line for each")
        : isnan(slopes.low)    ? g_strdup("too few samples for an interval")
                               : NULL;
}

static char *measure_density(const Arms *arms, DuetReproduction *out)
{
    const DuetDensityOutcome *first = g_ptr_array_index(arms->run->density, arms->first);
    const DuetDensityOutcome *second = g_ptr_array_index(arms->run->density, arms->second);
    const DuetDensityOutcome *both[] = { first, second };

    for (gsize i = 0; i < G_N_ELEMENTS(both); i++) {
        if (both[i]->reached == 0 || both[i]->answered < both[i]->reached)
            return g_strdup_printf("%u of %u instances of %s answered", both[i]->answered,
                both[i]->reached,
                duet_run_arm(arms->run, i == 0 ? arms->first : arms->second)->name);
    }
    DuetReached reached = duet_figure_reached(first, second);
    out->ratio = reached.ratio;
    for (gsize i = 0; i < G_N_ELEMENTS(both); i++) {
        if (!duet_density_bound_is_limit(both[i]->bound))
            return g_strdup_printf("%s was ended by %s, which is no limit: more might have fit",
                duet_run_arm(arms->run, i == 0 ? arms->first : arms->second)->name,
                duet_density_bound_to_string(both[i]->bound));
    }
    out->reached_low = reached.low;
    out->reached_high = reached.high;
    return NULL;
}

/* Returns: (transfer full) (nullable): why there is nothing to conclude from it. */
static char *measure(const DuetPublished *published, const Arms *arms, DuetReproduction *out)
{
    switch (published->ours) {
    case DUET_OURS_START:
    case DUET_OURS_TOTAL:
        return measure_boot(arms, figure_of(arms, published->ours), out);
    case DUET_OURS_MEMORY:
        return measure_memory(arms, out);
    case DUET_OURS_DENSITY:
        return measure_density(arms, out);
    default:
        return g_strdup("the run does not tell");
    }
}

/* @floor: the smallest effect that the run may call a difference */
static void judge(const DuetPublished *published, double floor, DuetReproduction *out)
{
    gboolean up = published->ratio > 1;
    double off = fmax(out->ratio / published->ratio, published->ratio / out->ratio);
    gboolean counted = published->ours == DUET_OURS_DENSITY;
    double low = counted ? out->reached_low : out->low;
    double high = counted ? out->reached_high : out->high;

    if ((low <= 1 && high >= 1) || fmax(out->ratio, 1 / out->ratio) <= 1 + floor)
        out->verdict = DUET_REPRODUCTION_NOT_SHOWN;
    else if ((out->ratio > 1) != up)
        out->verdict = DUET_REPRODUCTION_CONTRARY;
    else
        out->verdict = off <= WITHIN ? DUET_REPRODUCTION_WITHIN : DUET_REPRODUCTION_DIRECTION;
}

static void set_beside(const DuetPublished *published, Arms *arms, DuetReproduction *out)
{
    if (duet_environment_under_tcg(arms->run->host)) {
        out->why = g_strdup("nested under TCG: this host's CPUs are emulated");
        return;
    }
    if (!find_arms(published, arms, out))
        return;
    /* The figure is shown even where nothing follows from it. */
    g_autofree char *too_little = measure(published, arms, out);
    out->why = apart(arms);
    if (!out->why)
        out->why = unlike(published, arms->run, arms->first);
    if (!out->why)
        out->why = unlike(published, arms->run, arms->second);
    if (!out->why)
        out->why = g_steal_pointer(&too_little);
    if (!out->why)
        judge(published,
            published->ours == DUET_OURS_DENSITY ? DUET_BENCH_FLOOR_DEFAULT
                                                 : arms->run->plan->floor,
            out);
}

void duet_reproduce(
    const DuetPublished *published, const GPtrArray *runs, DuetReproduction *out_reproduction)
{
    DuetReproduction out = {
        .verdict = DUET_REPRODUCTION_NOT_COMPARABLE,
        .ratio = NAN,
        .low = NAN,
        .high = NAN,
        .reached_low = NAN,
        .reached_high = NAN,
    };
    const char *benchmark = benchmark_of(published->ours);
    Arms arms = { .run = benchmark ? run_of(runs, benchmark) : NULL };

    if (published->no_ratio)
        out.why = g_strdup(published->no_ratio);
    else if (!arms.run)
        out.why = g_strdup_printf("no result of `duet bench %s` was given", benchmark);
    else
        set_beside(published, &arms, &out);
    *out_reproduction = out;
}
