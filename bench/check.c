/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/result/json.h"
#include "check.h"

#include <math.h>
#include <string.h>

#include <duet/bench.h>

#include "benchmark.h"
#include "bench/host/environment.h"
#include "notes.h"
#include "bench/result/record.h"
#include "bench/result/result.h"
#include "table.h"
#include "text.h"
#include "words.h"

/* A few outliers are normal: of 30 normally distributed values one in five series has one. */
#define OUTLIER_LIMIT 0.1
/* Half the 95 % interval of a median, over the median. */
#define PRECISION_LIMIT 0.05
#define QUANTUM_LIMIT_NS 1000000

/* Times that are all multiples of a millisecond or more: somebody polled, or the clock is coarse.
 */
static void check_quantum(GPtrArray *notes, const char *name, const DuetSeries *times)
{
    guint64 quantum = 0;

    for (gsize i = 0; i < times->n; i++) {
        guint64 rest = fabs(times->values[i]);
        while (rest != 0) {
            guint64 next = quantum % rest;
            quantum = rest;
            rest = next;
        }
    }
    if (times->n > 2 && quantum >= QUANTUM_LIMIT_NS)
        duet_notes_add(notes, "quantised", TRUE,
            "%s: all times are multiples of %.3g ms: a poll loop or a coarse clock is in them",
            name, quantum / 1e6);
}

void duet_bench_check_series(GPtrArray *notes, const char *name, guint planned,
    const DuetSummary *s, const DuetSeries *times)
{
    double precision = s->n > 0 ? (s->high - s->low) / 2 / s->median : NAN;

    if (s->n < DUET_BENCH_N_MIN && planned >= DUET_BENCH_N_MIN)
        duet_notes_add(notes, "few-samples", TRUE,
            "%s: %zu good samples are too few to rest on: take %d or more", name, s->n,
            DUET_BENCH_N_MIN);
    if (s->outliers > OUTLIER_LIMIT * s->n)
        duet_notes_add(notes, "outliers", TRUE,
            "%s: %zu of %zu samples are outliers: something else was at work on the host", name,
            s->outliers, s->n);
    if (s->n > 0 && s->autocorrelation > 2 / sqrt((double)s->n) && !duet_notes_drifts(s))
        duet_notes_add(notes, "autocorrelated", TRUE,
            "%s: neighbouring samples are alike (lag 1: %.2f): intervals are too narrow", name,
            s->autocorrelation);
    if (precision > PRECISION_LIMIT)
        duet_notes_add(notes, "imprecise", TRUE,
            "%s: its median is known to +-%.0f %% only: take more samples, or quieten the host",
            name, 100 * precision);
    if (times)
        check_quantum(notes, name, times);
}

static void check_arm(GPtrArray *notes, const DuetRun *run, guint arm, const DuetAnalysis *analysis)
{
    DuetMetric metric = duet_metric_main(run, arm);
    g_auto(DuetColumn) column = { 0 };

    duet_run_values(run, arm, metric, analysis->headline_to, &column);
    DuetSeries times = duet_column_series(&column);
    duet_bench_check_series(notes, duet_run_arm(run, arm)->name, run->plan->n,
        &analysis->arms[arm].summary[metric], &times);
}

static gboolean goes_back(const DuetSample *sample)
{
    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        if (sample->marks.ns[mark] != 0 &&
            sample->marks.ns[mark] < sample->marks.ns[DUET_MARK_REQUEST])
            return TRUE;
    }
    return FALSE;
}

void duet_bench_check_clock(GPtrArray *notes, const DuetRun *run)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (!goes_back(sample))
            continue;
        duet_notes_add(notes, "clock", TRUE,
            "sample %u has a mark before its request: these are not the times of one clock",
            sample->seq);
        return;
    }
    for (guint i = 1; i < run->samples->len; i++) {
        const DuetSample *before = duet_run_sample(run, i - 1), *sample = duet_run_sample(run, i);
        gint64 end = MAX(before->marks.ns[DUET_MARK_REQUEST], before->marks.ns[DUET_MARK_RELEASED]);
        gint64 request = sample->marks.ns[DUET_MARK_REQUEST];
        if (request == 0 || request >= end)
            continue;
        duet_notes_add(notes, "clock", TRUE,
            "sample %u began before the one before it ended: these are not the times of one clock, "
            "or not one run",
            sample->seq);
        return;
    }
}

/* Adds what arms should have in common and have not. @alike: (nullable): as of
 * duet_bench_check_mixed(). */
static void check_common(GPtrArray *notes, const DuetRun *run, const char *what,
    char *(*of)(const DuetRunArm *, const char *),
    gboolean (*alike)(const DuetRunArm *, const DuetRunArm *))
{
    for (guint i = 1; i < run->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(run, i);
        g_autofree char *text = of(arm, what);
        for (guint before = 0; text && before < i; before++) {
            const DuetRunArm *other = duet_run_arm(run, before);
            g_autofree char *first = !alike || alike(other, arm) ? of(other, what) : NULL;
            if (!first || g_str_equal(first, text))
                continue;
            duet_notes_add(
                notes, "mixed", TRUE, "arms differ in %s: '%s' and '%s'", what, first, text);
            return;
        }
    }
}

static char *driver_fact(const DuetRunArm *arm, const char *what)
{
    return g_strdup(duet_record_string(arm->driver, what));
}

static char *digest(const DuetRunArm *arm, const char *what)
{
    (void)what;
    return g_strdup(arm->image_digest);
}

static char *command(const DuetRunArm *arm, const char *what)
{
    (void)what;
    return duet_text_command(arm->argv);
}

void duet_bench_check_mixed(GPtrArray *notes, const DuetRun *run,
    gboolean (*same_work)(const DuetRunArm *, const DuetRunArm *))
{
    static const char *const facts[] = { "accel", "qemu_version", "libvirt_version", "machine",
        "kernel_version" };

    check_common(notes, run, "image", digest, NULL);
    check_common(notes, run, "command", command, same_work);
    for (gsize i = 0; i < G_N_ELEMENTS(facts); i++)
        check_common(notes, run, facts[i], driver_fact, NULL);
}

static void check_kernels(GPtrArray *notes, const DuetRun *run)
{
    const char *host = duet_record_string(run->host, "kernel.release");

    for (guint i = 0; i < run->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(run, i);
        const char *guest = duet_run_arm_kernel(run, arm);
        if (guest && host && strcmp(guest, host) != 0)
            duet_notes_add(notes, "mixed", TRUE, "%s: its kernel is %s, the host's is %s",
                arm->name, guest, host);
    }
}

/* The run warned of what it saw itself; a file of an older duet, or edited, may have no word. */
void duet_bench_check_host(GPtrArray *notes, const DuetRun *run)
{
    g_autoptr(GPtrArray) warnings = duet_environment_warnings(run->host, run->tool);
    const char *hypervisor = duet_record_string(run->host, "cpu.hypervisor");
    const char *commit = duet_record_string(run->tool, "commit");

    g_ptr_array_extend_and_steal(warnings, duet_environment_warnings_after(run->host));
    g_autoptr(GPtrArray) shown = duet_environment_translate(run->host, run->tool, warnings);
    for (guint i = 0; i < warnings->len; i++) {
        if (!g_ptr_array_find_with_equal_func(run->warnings, warnings->pdata[i], g_str_equal, NULL))
            duet_notes_add(notes, "host", TRUE, "%s", (const char *)shown->pdata[i]);
    }
    if (duet_run_tcg(run))
        duet_notes_add(notes, "tcg", TRUE,
            "no hardware virtualization: QEMU's TCG emulated a guest's CPU, its figures are upper "
            "bounds");
    if (hypervisor && *hypervisor && !duet_environment_under_tcg(run->host))
        duet_notes_add(notes, "virtual-host", TRUE,
            "the host is itself a guest (%s): who else its CPUs and disks serve is not known",
            hypervisor);
    if (!commit || g_str_equal(commit, "unknown") || g_str_has_suffix(commit, "-dirty"))
        duet_notes_add(notes, "build", TRUE,
            "duet was built from sources that no commit names (%s): nobody can build it again",
            commit ? commit : "unknown");
}

/* Samples that were left out, taken again or taken in another order than chance gave. */
void duet_bench_check_plan(GPtrArray *notes, const DuetRun *run)
{
    const DuetPlan *plan = run->plan;
    guint planned = plan->n * duet_plan_cells(plan), taken = 0;

    if (g_str_equal(plan->mode, DUET_PLAN_IMPORTED))
        return;
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->discarded)
            continue;
        if (duet_benchmark_planned(run, sample, taken)) {
            taken++;
            continue;
        }
        duet_notes_add(notes, "plan", TRUE,
            "sample %u is not the one that the plan has there: some were left out, repeated or "
            "moved",
            sample->seq);
        return;
    }
    if (taken < planned && !run->interrupted)
        duet_notes_add(notes, "plan", TRUE,
            "%u of %u planned samples are there, and nothing says that the run was interrupted",
            taken, planned);
}

void duet_bench_check_record(GPtrArray *notes, const DuetRun *run)
{
    duet_bench_check_mixed(notes, run, NULL);
    check_kernels(notes, run);
    duet_bench_check_host(notes, run);
}

GPtrArray *duet_bench_check_new(const DuetRun *run, const DuetAnalysis *analysis)
{
    GPtrArray *notes = duet_notes_new(run, analysis);

    duet_notes_drop_known(notes);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        check_arm(notes, run, arm, analysis);
    duet_bench_check_clock(notes, run);
    duet_bench_check_plan(notes, run);
    duet_bench_check_record(notes, run);
    return notes;
}

char *duet_bench_check_text(const DuetRun *run, GPtrArray *notes)
{
    GString *out = g_string_new(NULL);
    g_autofree char *plan = run->benchmark->plan_text(run);

    duet_bench_table_banner(out, duet_environment_under_tcg(run->host), duet_run_tcg(run));
    duet_text_append_wrapped(out, "run      ", "         ", run->run_id);
    duet_text_append_wrapped(out, "plan     ", "         ", plan);
    g_string_append_c(out, '\n');
    for (guint i = 0; i < notes->len; i++) {
        const DuetNote *note = g_ptr_array_index(notes, i);
        g_autofree char *first = g_strdup_printf("! %-16s ", note->code);
        duet_text_append_wrapped(out, first, "                   ", note->text);
    }
    if (notes->len == 0)
        g_string_append(out, "Nothing weak was found.\n");
    return g_string_free(out, FALSE);
}

JsonArray *duet_bench_check_notes_json(GPtrArray *notes)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < notes->len; i++) {
        const DuetNote *note = g_ptr_array_index(notes, i);
        JsonObject *object = json_object_new();
        json_object_set_string_member(object, "code", note->code);
        json_object_set_string_member(object, "text", note->text);
        json_array_add_object_element(array, object);
    }
    return array;
}

char *duet_bench_check_json(const DuetRun *run, GPtrArray *notes)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *root = json_object_new();

    json_object_set_string_member(root, "run_id", run->run_id);
    json_object_set_boolean_member(root, "weak", notes->len > 0);
    json_object_set_array_member(root, "findings", duet_bench_check_notes_json(notes));
    json_node_take_object(node, root);
    return duet_json_print(node, TRUE);
}
