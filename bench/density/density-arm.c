/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-arm.h"

#include <math.h>

#include <duet/error.h>

#include "bench/instance/instance-sampler.h"
#include "bench/text.h"

/* What the instances before had comes back to the host with a delay. */
#define SETTLE_MS 1000
/* A guest that shares a core with many others answers late, and is alive. */
#define PROBE_TIMEOUT_MS 30000

/* One arm under way. */
typedef struct {
    DuetDensitySampler *sampler;
    guint arm;
    DuetDensityCrowd *crowd;
    DuetDensityWatch watch;
    DuetDensityOutcome *outcome;
} Arm;

static void warn_all(DuetRun *run, const char *name, GPtrArray *warnings)
{
    for (guint i = 0; i < warnings->len; i++)
        g_ptr_array_add(run->warnings,
            g_strdup_printf("%s: %s", name, (const char *)g_ptr_array_index(warnings, i)));
}

static DuetSample *add_sample(DuetRun *run, guint arm)
{
    DuetSample *sample = duet_sample_new(arm, 0, run->samples->len);

    sample->density = g_new0(DuetDensityStart, 1);
    g_ptr_array_add(run->samples, sample);
    return sample;
}

static const char *arm_name(const DuetDensitySampler *sampler, guint arm)
{
    return duet_run_arm(sampler->run, arm)->name;
}

/* @line: (transfer full) */
static void say(const DuetDensitySampler *sampler, char *line)
{
    g_autofree char *text = line;

    if (sampler->request->progress)
        sampler->request->progress(text, sampler->request->progress_data);
}

/* A line that could not be written whole must be the last: without a journal a kill costs more, and
 * what is measured is the same. */
static void record(DuetDensitySampler *sampler,
    gboolean (*add)(const DuetRun *run, gpointer journal, GError **error))
{
    g_autoptr(GError) failure = NULL;

    if (add(sampler->run, sampler->journal, &failure))
        return;
    sampler->journal = NULL;
    g_ptr_array_add(sampler->run->warnings, g_strdup(failure->message));
}

/* Returns: whether it did; @sample tells, and @error if it did not. */
static gboolean start_into(DuetDensitySampler *sampler, DuetDensityCrowd *crowd, DuetSample *sample,
    gint64 *out_ns, GError **error)
{
    if (!crowd->ops->start(crowd, sampler->run, sample, out_ns, error))
        return FALSE;
    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    return TRUE;
}

gboolean duet_density_arm_warm_up(DuetDensitySampler *sampler, guint arm, GError **error)
{
    DuetDensityCrowd *crowd = sampler->new_crowd(sampler, arm, 0, error);

    if (!crowd)
        return FALSE;
    DuetSample *sample = add_sample(sampler->run, arm);
    g_autoptr(GError) failure = NULL;
    gint64 ns;
    say(sampler, g_strdup_printf("warm-up: %s", arm_name(sampler, arm)));
    sample->discarded = TRUE;
    if (!sampler->read_host(&sample->density->host, &failure) ||
        !start_into(sampler, crowd, sample, &ns, &failure)) {
        sample->error = g_strdup(failure->message);
        crowd->ops->drop_failed(crowd, sample);
    } else {
        sample->density->running = 1;
    }
    gboolean interrupted = duet_density_crowd_free(crowd, sample->warnings);
    sampler->run->interrupted |= interrupted;
    record(sampler, duet_journal_add);
    if (interrupted || !failure || !duet_bench_is_hopeless(failure))
        return TRUE;
    g_propagate_prefixed_error(
        error, g_steal_pointer(&failure), "cannot measure '%s': ", arm_name(sampler, arm));
    return FALSE;
}

static guint64 used_bytes(Arm *arm)
{
    return arm->watch.limits.budget_bytes > 0 ? arm->crowd->ops->used_bytes(arm->crowd) : 0;
}

/* How long the starts go on: as those so far tell where --max ends them, else until the limit. */
static void append_left(GString *line, const DuetDensityWatch *watch, double gone_s)
{
    const DuetDensityLimits *limits = &watch->limits;
    double most_s = limits->time_limit_ns > 0 ? limits->time_limit_ns / 1e9 - gone_s : INFINITY;
    double about_s = limits->max > 0 && watch->running > 0
        ? gone_s / watch->running * (limits->max - watch->running)
        : INFINITY;

    if (about_s < most_s)
        g_string_append_printf(line, ", about %.0f s left", about_s);
    else if (isfinite(most_s))
        g_string_append_printf(line, ", at most %.0f s left", MAX(most_s, 0));
}

static void tell(Arm *arm, guint64 used)
{
    const DuetDensityWatch *watch = &arm->watch;
    double gone_s = (duet_now_ns() - watch->first.memory.at_ns) / 1e9;
    GString *line = g_string_new(NULL);

    g_string_printf(line, "%s: %u running", arm_name(arm->sampler, arm->arm), watch->running);
    if (used > 0) {
        g_autofree char *text = duet_text_bytes(used);
        g_autofree char *budget = duet_text_bytes(watch->limits.budget_bytes);
        g_string_append_printf(line, ", %s of %s", text, budget);
    }
    g_string_append_printf(line, ", %.0f s gone", gone_s);
    append_left(line, watch, gone_s);
    say(arm->sampler, g_string_free(line, FALSE));
}

/* The kernel ended something for want of memory. Returns: whose, or @other: of an instance that has
 * a limit of its own, or a guest, that may have been it. */
static DuetDensityBound oom_bound(const Arm *arm, DuetDensityBound other)
{
    if (arm->crowd->pool_bytes == 0)
        return other;
    if (arm->watch.limits.budget_bytes > 0)
        return DUET_DENSITY_BOUND_BUDGET;
    return arm->crowd->reserved_bytes == 0 ? DUET_DENSITY_BOUND_HOST_MEMORY : other;
}

/* A start that failed. Returns: what that is a sign of, or NONE. */
static DuetDensityBound failed_start(Arm *arm, DuetSample *sample, const GError *failure)
{
    gboolean timeout = g_error_matches(failure, DUET_ERROR, DUET_ERROR_TIMEOUT);

    sample->status = timeout ? DUET_SAMPLE_TIMEOUT : DUET_SAMPLE_FAILED;
    sample->exit_code = duet_error_exit_code(failure);
    sample->error = g_strdup(failure->message);
    arm->crowd->ops->drop_failed(arm->crowd, sample);
    duet_density_watch_failed(&arm->watch);
    if (arm->crowd->group.no_room)
        return DUET_DENSITY_BOUND_HOST_MEMORY;
    return sample->oom ? oom_bound(arm, DUET_DENSITY_BOUND_NONE) : DUET_DENSITY_BOUND_NONE;
}

/* A start that the user ended is none. */
static void drop_interrupted(Arm *arm)
{
    GPtrArray *samples = arm->sampler->run->samples;

    arm->crowd->ops->drop_failed(arm->crowd, duet_run_sample(arm->sampler->run, samples->len - 1));
    g_ptr_array_set_size(samples, (int)samples->len - 1);
}

static DuetDensityBound start_one(Arm *arm, const DuetDensityHost *host, guint64 used)
{
    g_autoptr(GError) failure = NULL;
    DuetSample *sample = add_sample(arm->sampler->run, arm->arm);
    gint64 ns = 0;

    sample->density->host = *host;
    sample->density->used_bytes = used;
    gboolean started = start_into(arm->sampler, arm->crowd, sample, &ns, &failure);
    sample->density->running = arm->watch.running + started;
    if (!started && arm->crowd->group.interrupted) {
        drop_interrupted(arm);
        return DUET_DENSITY_BOUND_INTERRUPTED;
    }
    if (!started) {
        DuetDensityBound bound = failed_start(arm, sample, failure);
        if (bound != DUET_DENSITY_BOUND_NONE)
            arm->outcome->detail = g_strdup(failure->message);
        return bound;
    }
    duet_density_watch_started(&arm->watch, ns);
    return DUET_DENSITY_BOUND_NONE;
}

static DuetDensityBound look_for_ended(Arm *arm)
{
    gboolean oom = FALSE;
    char *how = arm->crowd->ops->find_ended(arm->crowd, &oom);

    if (!how)
        return DUET_DENSITY_BOUND_NONE;
    arm->outcome->detail = how;
    return oom ? oom_bound(arm, DUET_DENSITY_BOUND_ENDED) : DUET_DENSITY_BOUND_ENDED;
}

static gboolean start_all(Arm *arm, GError **error)
{
    DuetDensityOutcome *outcome = arm->outcome;

    while (outcome->bound == DUET_DENSITY_BOUND_NONE) {
        DuetDensityHost now;
        if (!arm->sampler->read_host(&now, error))
            return FALSE;
        outcome->bound = look_for_ended(arm);
        if (outcome->bound != DUET_DENSITY_BOUND_NONE)
            break;
        outcome->used_bytes = used_bytes(arm);
        tell(arm, outcome->used_bytes);
        outcome->bound =
            duet_density_watch_check(&arm->watch, &now, outcome->used_bytes, &outcome->detail);
        if (outcome->bound != DUET_DENSITY_BOUND_NONE)
            break;
        outcome->bound = start_one(arm, &now, outcome->used_bytes);
        if (outcome->bound != DUET_DENSITY_BOUND_INTERRUPTED)
            record(arm->sampler, duet_journal_add);
    }
    outcome->reached = arm->watch.running;
    return TRUE;
}

/* The host first: to read the instances takes memory, too. */
static void read_memory(Arm *arm)
{
    DuetMemoryPoint *point = arm->outcome->memory;
    DuetHostMemory host;

    if (!arm->crowd->group.read_host(&host, NULL))
        return;
    arm->crowd->ops->read_memory(arm->crowd, point);
    point->count = point->started = point->instances->len;
    point->before = arm->watch.first.memory;
    point->host = host;
}

/* Where the user ended it, nothing is known of those that were not asked. */
static void ask_all(Arm *arm)
{
    guint n = arm->crowd->count;
    g_autofree DuetDensityAnswer *answers = g_new0(DuetDensityAnswer, n + 1);

    arm->crowd->ops->ask(arm->crowd, PROBE_TIMEOUT_MS, answers);
    duet_group_pause(&arm->crowd->group, 0, NULL);
    for (guint i = 0; i < n && !arm->crowd->group.interrupted; i++) {
        arm->outcome->answered += answers[i] == DUET_DENSITY_ANSWERED;
        arm->outcome->ended += answers[i] == DUET_DENSITY_ENDED;
        arm->outcome->silent += answers[i] == DUET_DENSITY_SILENT;
    }
}

/* Returns: FALSE with @error when the host can't be read; where there is no room from the
 * beginning, or the user ends it, the outcome has a bound. */
static gboolean settle(Arm *arm, GError **error)
{
    DuetGroup *group = &arm->crowd->group;
    g_autoptr(GError) why = NULL;

    if (duet_group_wait(group, SETTLE_MS, &why))
        return TRUE;
    if (!group->interrupted && !group->no_room) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    arm->outcome->bound =
        group->interrupted ? DUET_DENSITY_BOUND_INTERRUPTED : DUET_DENSITY_BOUND_HOST_MEMORY;
    arm->outcome->detail = group->interrupted ? NULL : g_strdup(why->message);
    return TRUE;
}

static gboolean measure(Arm *arm, GError **error)
{
    DuetGroup *group = &arm->crowd->group;
    DuetDensityHost first;

    if (!settle(arm, error))
        return FALSE;
    if (arm->outcome->bound != DUET_DENSITY_BOUND_NONE)
        return TRUE;
    if (!arm->sampler->read_host(&first, error))
        return FALSE;
    duet_density_watch_init(&arm->watch, arm->sampler->run->plan->density, &first);
    /* Of an arm that is cut short later. */
    arm->outcome->memory->before = first.memory;
    record(arm->sampler, duet_journal_add_root);
    gboolean done = start_all(arm, error);
    /* Also when the host has become too full to wait: those that run are asked all the same. */
    if (done && !group->interrupted)
        duet_group_wait(group, arm->sampler->run->plan->age_ms, NULL);
    if (done && !group->interrupted) {
        arm->outcome->used_bytes = used_bytes(arm);
        read_memory(arm);
        ask_all(arm);
    }
    duet_density_watch_clear(&arm->watch);
    return done;
}

/* What all of an arm may have together, so that the host survives them. */
static gboolean limit_bytes(const DuetDensitySampler *sampler, guint64 *out_bytes, GError **error)
{
    guint64 budget = sampler->run->plan->density->budget_bytes;
    DuetDensityHost now;

    if (budget == 0 && !sampler->read_host(&now, error))
        return FALSE;
    *out_bytes = budget > 0 ? budget : duet_density_host_spare(&now);
    return TRUE;
}

gboolean duet_density_arm_measure(DuetDensitySampler *sampler, guint index, GError **error)
{
    DuetRun *run = sampler->run;
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    Arm arm = { .sampler = sampler, .arm = index, .outcome = run->density->pdata[index] };
    guint64 limit = 0;

    if (!limit_bytes(sampler, &limit, error))
        return FALSE;
    arm.crowd = sampler->new_crowd(sampler, index, limit, error);
    if (!arm.crowd)
        return FALSE;
    arm.outcome->pool_bytes = arm.crowd->pool_bytes;
    arm.outcome->reserved_bytes = arm.crowd->reserved_bytes;
    arm.outcome->no_pool = g_strdup(arm.crowd->no_pool);
    gboolean done = measure(&arm, error);
    if (done && !arm.crowd->group.interrupted)
        record(sampler, duet_journal_add_root);
    if (duet_density_crowd_free(arm.crowd, warnings)) {
        run->interrupted = TRUE;
        arm.outcome->bound = DUET_DENSITY_BOUND_INTERRUPTED;
        g_clear_pointer(&arm.outcome->detail, g_free);
    }
    warn_all(run, arm_name(sampler, index), warnings);
    return done;
}
