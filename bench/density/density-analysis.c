/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-analysis.h"

#include <math.h>

#include "bench/analysis.h"
#include "bench/check.h"
#include "bench/host/environment.h"
#include "bench/notes.h"
#include "bench/random.h"

#define GIB 1073741824.0
/* From fewer instances nothing is extrapolated. */
#define EXTRAPOLATE_MIN 10
/* The bootstrap of a line takes the square of its points. */
#define TREND_RESAMPLES 999
#define TREND_MAX 200

static const char *const meter_ids[] = {
    [DUET_DENSITY_BY_PSS] = "pss",
    [DUET_DENSITY_BY_CGROUP] = "cgroup",
    [DUET_DENSITY_BY_HOST] = "host",
    [DUET_DENSITY_BY_RESERVED] = "reserved",
};

const char *duet_density_meter_id(DuetDensityMeter meter)
{
    return meter_ids[meter];
}

gboolean duet_density_start_ns(const DuetSample *sample, double *out_ns)
{
    gint64 request = sample->marks.ns[DUET_MARK_REQUEST];
    gint64 exec = sample->marks.ns[DUET_MARK_EXEC];
    gboolean marked = request != 0 && exec >= request;

    *out_ns = marked ? exec - request : sample->command_exit_ns;
    return marked || sample->command_exit_ns > 0;
}

/* The starts of an arm that succeeded: how many ran then, and how long it took. */
static void collect(const DuetRun *run, guint arm, GArray *out_running, GArray *out_ns)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        double ns;
        if (sample->arm != arm || sample->discarded || sample->status != DUET_SAMPLE_OK ||
            !sample->density || !duet_density_start_ns(sample, &ns))
            continue;
        double running = sample->density->running;
        g_array_append_val(out_running, running);
        g_array_append_val(out_ns, ns);
    }
}

static void add_rows(DuetDensityArm *arm, const GArray *running, const GArray *ns)
{
    guint n = ns->len;

    arm->n_rows = MIN(n, DUET_DENSITY_ROWS);
    for (guint row = 0; row < arm->n_rows; row++) {
        guint from = row * n / arm->n_rows, to = (row + 1) * n / arm->n_rows;
        const double *values = duet_stats_doubles(ns) + from;
        g_autofree double *sorted = duet_stats_sorted(values, to - from);
        arm->rows[row] = (DuetDensityRow){
            .from = g_array_index(running, double, from),
            .to = g_array_index(running, double, to - 1),
            .n = to - from,
            .median_ns = duet_stats_percentile(sorted, to - from, 0.5),
            .max_ns = sorted[to - from - 1],
        };
    }
}

static const DuetLine no_line = { 0, NAN, NAN, NAN, NAN, NAN, NAN };

/* Of very many starts some, evenly spread: a line looks at all pairs. */
static DuetLine trend_of(const GArray *running, const GArray *ns, guint64 seed)
{
    guint n = MIN(ns->len, TREND_MAX);
    double x[TREND_MAX], y[TREND_MAX];
    DuetLine line = no_line;

    for (guint i = 0; i < n; i++) {
        guint at = (guint)((guint64)i * ns->len / n);
        x[i] = g_array_index(running, double, at);
        y[i] = g_array_index(ns, double, at);
    }
    if (n >= DUET_STATS_INTERVAL_MIN)
        duet_stats_line(x, y, n, seed, TREND_RESAMPLES, &line, NULL);
    return line;
}

static void describe_starts(const DuetRun *run, guint index, DuetDensityArm *arm)
{
    g_autoptr(GArray) running = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) ns = g_array_new(FALSE, FALSE, sizeof(double));
    guint64 seed = duet_random_derive(run->plan->seed, 1000 * (index + 1));
    double sum = 0;

    arm->trend = no_line;
    collect(run, index, running, ns);
    const double *values = duet_stats_doubles(ns);
    for (guint i = 0; i < ns->len; i++)
        sum += values[i];
    arm->starts_per_s = sum > 0 ? ns->len / (sum / 1e9) : NAN;
    if (ns->len == 0)
        return;
    duet_stats_summary(values, ns->len, seed, &arm->latency, NULL);
    arm->trend = trend_of(running, ns, seed + 1);
    add_rows(arm, running, ns);
}

static void describe_memory(DuetDensityArm *arm)
{
    const DuetMemoryPoint *point = arm->outcome->memory;
    double pss = 0, cgroup = 0;
    guint n = point->instances->len;

    for (guint i = 0; i < n; i++) {
        const DuetMemory *one = &g_array_index(point->instances, DuetInstanceMemory, i).memory;
        pss += one->payload_pss_bytes + one->managing_pss_bytes;
        cgroup += one->cgroup_bytes + one->managing_cgroup_bytes;
    }
    double host = (double)point->before.available_bytes - point->host.available_bytes;
    gboolean known = n > 0 && point->host.at_ns > 0;
    const double each[] = {
        [DUET_DENSITY_BY_PSS] = known && pss > 0 ? pss / n : NAN,
        [DUET_DENSITY_BY_CGROUP] = known && cgroup > 0 ? cgroup / n : NAN,
        [DUET_DENSITY_BY_HOST] = known && host > 0 ? host / n : NAN,
        [DUET_DENSITY_BY_RESERVED] =
            arm->outcome->reserved_bytes > 0 ? (double)arm->outcome->reserved_bytes : NAN,
    };
    for (guint meter = 0; meter < DUET_DENSITY_METERS; meter++) {
        arm->each_bytes[meter] = each[meter];
        arm->per_gib[meter] = GIB / each[meter];
    }
}

static void extrapolate(const DuetRun *run, DuetDensityArm *arm)
{
    const DuetDensityOutcome *outcome = arm->outcome;
    const DuetMemoryPoint *point = outcome->memory;
    guint64 budget = run->plan->density->budget_bytes;
    double floor = duet_host_memory_floor(&point->before);
    double room = (double)point->before.available_bytes - floor;

    arm->room_host = arm->room_budget = NAN;
    if (point->instances->len < EXTRAPOLATE_MIN)
        return;
    /* By what says most of one: a host that does more than this moves MemAvailable as well. */
    double each = fmax(arm->each_bytes[DUET_DENSITY_BY_HOST],
        fmax(arm->each_bytes[DUET_DENSITY_BY_PSS], arm->each_bytes[DUET_DENSITY_BY_CGROUP]));
    if (outcome->bound != DUET_DENSITY_BOUND_HOST_MEMORY && room > 0)
        arm->room_host = room / each;
    if (outcome->bound != DUET_DENSITY_BOUND_BUDGET && budget > 0 && outcome->used_bytes > 0)
        arm->room_budget = (double)budget / outcome->used_bytes * point->instances->len;
}

static void note_arm(GPtrArray *notes, const DuetRun *run, guint index, const DuetDensityArm *arm)
{
    const DuetDensityOutcome *outcome = arm->outcome;
    const char *name = duet_run_arm(run, index)->name;

    if (outcome->ended + outcome->silent > 0)
        duet_notes_add(notes, "lost", TRUE,
            "%s: of %u that had started, %u ended and %u did not answer: it did not hold so many",
            name, outcome->reached, outcome->ended, outcome->silent);
    for (guint i = 0; i < arm->exits->len; i++)
        duet_notes_add(notes, "failures", TRUE, "%s: a start failed: %s", name,
            (const char *)g_ptr_array_index(arm->exits, i));
    /* Without a budget no figure rests on it. */
    if (outcome->no_pool && run->plan->density->budget_bytes > 0)
        duet_notes_add(notes, "no-pool", TRUE,
            "%s: the kernel does not keep the budget, it is what was measured before each start: "
            "%s",
            name, outcome->no_pool);
    if (outcome->bound == DUET_DENSITY_BOUND_FAILURES)
        duet_notes_add(notes, "not-full", FALSE,
            "%s: starts that failed ended it, and not for a lack that is known: it is no limit of "
            "the host",
            name);
    if (outcome->bound == DUET_DENSITY_BOUND_MAX || outcome->bound == DUET_DENSITY_BOUND_TIME ||
        outcome->bound == DUET_DENSITY_BOUND_LATENCY)
        duet_notes_add(notes, "not-full", FALSE,
            "%s: a wish of the user ended it, not a lack of anything: it is no limit of the host",
            name);
}

static gboolean has_peer(const DuetRun *run)
{
    for (guint i = 0; i < run->arms->len; i++) {
        if (duet_run_arm_is_peer(duet_run_arm(run, i)))
            return TRUE;
    }
    return FALSE;
}

static GPtrArray *notes_new(const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    GPtrArray *notes = duet_notes_empty();
    gboolean pressure = TRUE;

    duet_notes_interrupted(notes, run);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        note_arm(notes, run, arm, &analysis->arms[arm]);
    for (guint i = 0; i < run->samples->len; i++)
        pressure &= duet_run_sample(run, i)->density->host.has_pressure;
    duet_notes_peers(notes, run);
    if (has_peer(run))
        duet_notes_add(notes, "peer-starts", FALSE,
            "a start of a foreign engine is its whole command; of ours it is request to exec, with "
            "no command in it: their times are no ratio");
    if (!pressure)
        duet_notes_add(notes, "no-psi", FALSE,
            "the kernel does not tell pressure (PSI is off): more than %d refaults per second for "
            "10 s were the limit instead",
            DUET_DENSITY_REFAULTS_PER_S);
    duet_notes_samples(notes, run);
    duet_notes_host(notes, run);
    return notes;
}

DuetDensityAnalysis *duet_density_analysis_new(const DuetRun *run)
{
    DuetDensityAnalysis *analysis = g_new0(DuetDensityAnalysis, 1);

    analysis->n_arms = run->arms->len;
    analysis->nested = duet_environment_under_tcg(run->host);
    analysis->tcg = duet_run_tcg(run);
    analysis->arms = g_new0(DuetDensityArm, analysis->n_arms + 1);
    for (guint i = 0; i < analysis->n_arms; i++) {
        DuetDensityArm *arm = &analysis->arms[i];
        guint timeouts = 0;
        arm->outcome = run->density->pdata[i];
        arm->exits = duet_analysis_exits(run, i, &arm->ok, &arm->failed, &timeouts);
        arm->failed += timeouts;
        describe_starts(run, i, arm);
        describe_memory(arm);
        extrapolate(run, arm);
    }
    analysis->notes = notes_new(run, analysis);
    return analysis;
}

void duet_density_analysis_free(DuetDensityAnalysis *analysis)
{
    if (!analysis)
        return;
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        g_ptr_array_unref(analysis->arms[arm].exits);
    g_free(analysis->arms);
    g_ptr_array_unref(analysis->notes);
    g_free(analysis);
}

gboolean duet_density_analysis_bad_arm(const DuetDensityAnalysis *analysis)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetDensityOutcome *outcome = analysis->arms[arm].outcome;
        if (outcome->reached == 0 || outcome->answered < outcome->reached)
            return TRUE;
    }
    return FALSE;
}

/* Each start that succeeded made one more than the one before it, up to what was reached. */
static void check_starts(GPtrArray *notes, const DuetRun *run, guint arm)
{
    const DuetDensityOutcome *outcome = run->density->pdata[arm];
    guint running = 0;
    gboolean moved = FALSE;

    /* Of an arm that could not be measured to its end nobody counted. */
    if (outcome->bound == DUET_DENSITY_BOUND_NONE)
        return;
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm == arm && !sample->discarded && sample->status == DUET_SAMPLE_OK)
            moved |= sample->density->running != ++running;
    }
    if (moved || running != outcome->reached)
        duet_notes_add(notes, "plan", TRUE,
            "%s: %u starts that succeeded are there of the %u instances that were reached: some "
            "were left out, repeated or moved",
            duet_run_arm(run, arm)->name, running, outcome->reached);
}

GPtrArray *duet_density_check(const DuetRun *run)
{
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    GPtrArray *notes = g_ptr_array_ref(analysis->notes);

    duet_notes_drop_known(notes);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        check_starts(notes, run, arm);
    duet_bench_check_record(notes, run);
    return notes;
}
