/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include <math.h>
#include <string.h>

#include <duet/bench.h>

#include "arm-label.h"
#include "cost/cost.h"
#include "cost/share.h"
#include "notes.h"
#include "bench/result/record.h"
#include "text.h"
#include "words.h"

#define NAME_COLUMNS 11
#define PAIR_COLUMNS 24
#define METRIC_COLUMNS 4
/* As many arms as fit beside each other, nine columns each. */
#define PHASE_COLUMNS 54
#define PHASE_ARMS 6

const char *duet_bench_table_warning(gboolean nested, gboolean tcg)
{
    return nested ? _("Nested under TCG: this host's CPUs are emulated, no figure is a result.")
        : tcg     ? _("No hardware virtualization (QEMU's TCG): VM figures are upper bounds.")
                  : NULL;
}

void duet_bench_table_banner(GString *out, gboolean nested, gboolean tcg)
{
    const char *warning = duet_bench_table_warning(nested, tcg);

    if (warning)
        g_string_append_printf(out, "*** %s ***\n", warning);
}

/* Returns: (transfer full) (nullable): what an arm ran on. */
static char *accel_of(const DuetRunArm *arm)
{
    const char *accel = duet_run_arm_accel(arm);
    const char *qemu = duet_record_string(arm->driver, "qemu_version");
    const char *libvirt = duet_record_string(arm->driver, "libvirt_version");
    const char *machine = duet_record_string(arm->driver, "machine");
    g_autoptr(GString) out = g_string_new(accel);

    if (!accel)
        return NULL;
    if (qemu)
        g_string_append_printf(out, ", QEMU %s", qemu);
    if (machine)
        g_string_append_printf(out, " (%s)", machine);
    if (libvirt)
        g_string_append_printf(out, ", libvirt %s", libvirt);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* Returns: how many arms before @until are of the kind of arm @index and ran on @text. */
static guint count_alike(const DuetRun *run, guint index, guint until, const char *text)
{
    guint n = 0;

    for (guint i = 0; i < until; i++) {
        g_autofree char *other = accel_of(duet_run_arm(run, i));
        n += g_strcmp0(other, text) == 0 &&
            g_str_equal(duet_run_arm(run, i)->kind, duet_run_arm(run, index)->kind);
    }
    return n;
}

char *duet_bench_table_accel(const DuetRun *run)
{
    g_autoptr(GString) out = g_string_new(NULL);

    for (guint i = 0; i < run->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(run, i);
        g_autofree char *text = accel_of(arm);
        /* Arms that are alike in this, as those of `bench overhead`, are told once. */
        if (!text || count_alike(run, i, i, text) > 0)
            continue;
        gboolean more = count_alike(run, i, run->arms->len, text) > 1;
        g_string_append_printf(
            out, "%s%s: %s", out->len > 0 ? "; " : "", more ? arm->kind : arm->name, text);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *duet_bench_table_plan(const DuetRun *run)
{
    const DuetPlan *plan = run->plan;

    if (!duet_plan_is_blocked(plan))
        return g_strdup_printf(
            _("up to %u samples per arm, imported, in an order that is not known"), plan->n);
    g_autofree char *ready =
        plan->ready ? g_strdup_printf(_(", stopped when ready by %s"), plan->ready) : g_strdup("");
    const char *from = !plan->from                       ? ""
        : g_str_equal(plan->from, DUET_BENCH_FROM_SAVED) ? _(", VMs from a saved state")
                                                         : _(", VMs from a saved state, and cold");
    g_autofree char *seed = g_strdup_printf("%" G_GUINT64_FORMAT, plan->seed);
    return g_strdup_printf(
        _("n %u per arm, mode %s (1 discarded)%s%s, seed %s, interleaved in random blocks"),
        plan->n, plan->mode, from, ready, seed);
}

char *duet_bench_table_command(const DuetRunArm *arm)
{
    return arm->argv && arm->argv[0] ? duet_text_command(arm->argv) : g_strdup("none: idle");
}

void duet_bench_table_head(GString *out, const DuetRun *run, const char *command, const char *plan)
{
    const DuetRunArm *arm = duet_run_arm(run, 0);
    g_autofree char *accel = duet_bench_table_accel(run);
    g_autofree char *image = g_strdup_printf("%s%s%.19s", arm->image_ref ? arm->image_ref : "",
        arm->image_ref ? "  " : "", arm->image_digest ? arm->image_digest : "");

    if (*image)
        duet_text_append_wrapped(out, "image    ", "         ", image);
    if (command)
        duet_text_append_wrapped(out, "command  ", "         ", command);
    duet_text_append_wrapped(out, "plan     ", "         ", plan);
    if (*accel)
        duet_text_append_wrapped(out, "ran on   ", "         ", accel);
}

static void head(GString *out, const DuetRun *run, const DuetAnalysis *analysis)
{
    /* Nothing is known of what others measured. */
    g_autofree char *command =
        duet_plan_is_blocked(run->plan) ? duet_bench_table_command(duet_run_arm(run, 0)) : NULL;
    g_autofree char *plan = duet_bench_table_plan(run);

    duet_bench_table_banner(out, analysis->nested, analysis->tcg);
    duet_bench_table_head(out, run, command, plan);
}

void duet_bench_table_arm(GString *out, const DuetRun *run, guint arm, gsize width)
{
    g_autofree char *label = duet_arm_label(run, arm);

    duet_text_append_padded(out, label, width);
}

static void arm_row(GString *out, const DuetArmAnalysis *arm, DuetMetric metric)
{
    const DuetSummary *s = &arm->summary[metric];

    g_string_append_printf(out, "%5u %6u", arm->ok, arm->failed + arm->timeouts);
    if (s->n == 0) {
        g_string_append(out, "   no good sample: no figures\n");
        return;
    }
    DuetUnit unit = duet_unit_for(s->median);
    /* One digit more than for a lone figure: the interval must not look like a point. */
    unit.digits++;
    g_autofree char *number = duet_unit_format(unit, s->median);
    g_autofree char *median = g_strconcat(number, " ", unit.name, NULL);
    g_autofree char *iqr = duet_unit_format(unit, s->q3 - s->q1);
    g_autofree char *interval = duet_text_interval(unit, s->low, s->high);
    g_autofree char *p95 = duet_unit_format(unit, s->p95);
    duet_text_append_figure(out, median, 10);
    duet_text_append_figure(out, iqr, 9);
    duet_text_append_figure(out, interval, 19);
    duet_text_append_figure(out, p95, 8);
    duet_text_append_right(out, unit.name, 4);
    g_string_append_c(out, '\n');
}

/* A peer has no marks, and `native` is no command that one could type. */
static gboolean shows(const DuetRun *run, guint arm, DuetMetric metric)
{
    const DuetRunArm *of = duet_run_arm(run, arm);

    return metric == DUET_METRIC_HEADLINE ? !duet_run_arm_is_peer(of)
                                          : !g_str_equal(of->kind, "native");
}

static void arms_by(
    GString *out, const DuetRun *run, const DuetAnalysis *analysis, DuetMetric metric)
{
    g_autofree char *title = metric == DUET_METRIC_HEADLINE
        ? g_strdup_printf("request -> %s", duet_mark_to_string(analysis->headline_to))
        : duet_bench_table_label(metric);

    g_string_append_printf(out, "\n%s\n", title);
    duet_text_append_padded(out, "arm", NAME_COLUMNS);
    g_string_append_printf(
        out, "%5s %6s%10s%9s%19s%8s\n", "ok", "failed", "median", "IQR", "95 % of median", "p95");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (!shows(run, arm, metric))
            continue;
        duet_bench_table_arm(out, run, arm, NAME_COLUMNS);
        arm_row(out, &analysis->arms[arm], metric);
    }
}

static void arms(GString *out, const DuetRun *run, const DuetAnalysis *analysis)
{
    arms_by(out, run, analysis, DUET_METRIC_HEADLINE);
    for (guint metric = DUET_METRIC_OWN_COUNT; metric < DUET_METRIC_COUNT; metric++) {
        if (duet_bench_table_has(analysis, metric))
            arms_by(out, run, analysis, metric);
    }
}

char *duet_bench_table_details(const DuetMeasure *measure, const DuetComparison *comparison)
{
    const DuetContrast *contrast = &comparison->contrast;
    g_autofree char *difference = measure->difference(comparison->metric, contrast);
    g_autofree char *p = duet_text_p(contrast->p_holm);
    g_autofree char *detectable = duet_text_percent(contrast->detectable);
    g_autofree char *delta = isnan(contrast->cliffs_delta)
        ? g_strdup("")
        : g_strdup_printf(", Cliff's delta %.2f", contrast->cliffs_delta);

    return g_strdup_printf(
        "difference %s, p %s%s, smallest detectable %s", difference, p, delta, detectable);
}

static void comparison_row(
    GString *out, const DuetMatch *match, const DuetComparison *comparison, gsize width)
{
    const DuetContrast *c = &comparison->contrast;
    g_autofree char *a = duet_arm_label(match->a, comparison->a);
    g_autofree char *b = duet_arm_label(match->b, comparison->b);

    duet_arm_label_fit(&a, &b, PAIR_COLUMNS - strlen(" / "));
    g_autofree char *pair = duet_match_pair_of(match, comparison, a, b);
    duet_text_append_padded(out, pair, width);
    if (duet_verdict_withholds(comparison->verdict)) {
        g_string_append_printf(out, "%s\n", duet_verdict_to_string(comparison->verdict));
        return;
    }
    g_autofree char *ratio = duet_text_ratio(c->ratio);
    g_autofree char *interval = duet_text_ratio_interval(c->ratio_low, c->ratio_high);
    g_autofree char *details = duet_bench_table_details(match->measure, comparison);
    duet_text_append_figure(out, ratio, 6);
    duet_text_append_figure(out, interval, 17);
    g_string_append_printf(out, "   %s\n", duet_verdict_to_string(comparison->verdict));
    duet_text_append_wrapped(out, "    ", "    ", details);
}

void duet_bench_table_comparisons(
    GString *out, const char *title, const DuetMatch *match, GArray *comparisons)
{
    gsize width = match->measure->n_default > 1 ? PAIR_COLUMNS + METRIC_COLUMNS : PAIR_COLUMNS;

    if (comparisons->len == 0)
        return;
    g_string_append_c(out, '\n');
    duet_text_append_padded(out, title, width);
    g_string_append_printf(out, "%6s%17s   %s\n", "ratio", "95 %", "verdict");
    for (guint i = 0; i < comparisons->len; i++)
        comparison_row(out, match, &g_array_index(comparisons, DuetComparison, i), width);
}

char *duet_bench_table_label(DuetMetric metric)
{
    switch (metric) {
    case DUET_METRIC_TOTAL:
        return g_strdup("request -> released");
    case DUET_METRIC_MANAGING_CPU:
        return g_strdup("CPU time, managing");
    case DUET_METRIC_PAYLOAD_CPU:
        return g_strdup("CPU time, payload");
    case DUET_METRIC_GUEST_KERNEL:
        return g_strdup("guest clock: kernel");
    case DUET_METRIC_GUEST_AGENT:
        return g_strdup("guest clock: agent");
    case DUET_METRIC_READY:
        return g_strdup("request -> ready");
    case DUET_METRIC_STOPPING:
        return g_strdup("stop    -> released");
    case DUET_METRIC_BARE_SPAWN:
        return g_strdup("bare spawn");
    case DUET_METRIC_CLONE:
        return g_strdup("clone, before request");
    case DUET_METRIC_COMMAND_OUTPUT:
        return g_strdup("command -> output");
    case DUET_METRIC_COMMAND_EXIT:
        return g_strdup("command -> exit");
    default:
        return g_strdup_printf("%s-> %s",
            metric == DUET_METRIC_PHASE_FIRST ? "request " : "        ",
            duet_mark_to_string(duet_metric_mark(metric)));
    }
}

gboolean duet_bench_table_has(const DuetAnalysis *analysis, DuetMetric metric)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].summary[metric].n > 0)
            return TRUE;
    }
    return FALSE;
}

/* @n arms side by side. */
static void phases_of(
    GString *out, const DuetRun *run, const DuetAnalysis *analysis, const guint *columns, guint n)
{
    gsize width = MIN(PHASE_COLUMNS / n, 16);

    g_string_append_c(out, '\n');
    duet_text_append_padded(out, "phases (medians)", 22);
    for (guint i = 0; i < n; i++) {
        g_autofree char *label = duet_arm_label(run, columns[i]);
        g_string_append_c(out, ' ');
        duet_text_append_right(out, label, width - 1);
    }
    g_string_append_c(out, '\n');
    for (guint metric = DUET_METRIC_PHASE_FIRST; metric < DUET_METRIC_OWN_COUNT; metric++) {
        if (!duet_bench_table_has(analysis, metric))
            continue;
        g_autofree char *label = duet_bench_table_label(metric);
        duet_text_append_padded(out, label, 22);
        for (guint i = 0; i < n; i++) {
            const DuetSummary *s = &analysis->arms[columns[i]].summary[metric];
            g_autofree char *value = s->n > 0 ? duet_text_time(s->median) : g_strdup("n/a");
            duet_text_append_figure(out, value, width);
        }
        g_string_append_c(out, '\n');
    }
}

void duet_bench_table_phases(GString *out, const DuetRun *run, const DuetAnalysis *analysis)
{
    g_autoptr(GArray) columns = g_array_new(FALSE, FALSE, sizeof(guint));

    if (!duet_bench_table_has(analysis, DUET_METRIC_TOTAL))
        return;
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (!duet_run_arm_is_peer(duet_run_arm(run, arm)))
            g_array_append_val(columns, arm);
    }
    for (guint from = 0; from < columns->len; from += PHASE_ARMS)
        phases_of(out, run, analysis, &g_array_index(columns, guint, from),
            MIN(PHASE_ARMS, columns->len - from));
}

static void comparisons(GString *out, const DuetAnalysis *analysis)
{
    for (guint metric = 0; metric < DUET_METRIC_COUNT; metric++) {
        g_autoptr(GArray) rows = duet_analysis_comparisons(analysis, metric);
        g_autofree char *title = metric == DUET_METRIC_HEADLINE ? g_strdup("ratio of medians")
                                                                : duet_bench_table_label(metric);
        duet_bench_table_comparisons(out, title, &analysis->match, rows);
    }
}

void duet_bench_table_notes(GString *out, const GPtrArray *notes)
{
    if (notes->len > 0)
        g_string_append_c(out, '\n');
    for (guint i = 0; i < notes->len; i++) {
        const DuetNote *note = g_ptr_array_index(notes, i);
        duet_text_append_wrapped(out, "! ", "  ", note->text);
    }
}

char *duet_bench_table(const DuetRun *run, const DuetAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    head(out, run, analysis);
    arms(out, run, analysis);
    duet_arm_label_legend(out, run);
    comparisons(out, analysis);
    duet_bench_table_phases(out, run, analysis);
    g_autofree char *cost = duet_cost_line(analysis);
    g_autofree char *share = duet_share_line(run, analysis);
    if (share)
        duet_text_append_wrapped(out, "\nmanaging    ", "            ", share);
    if (cost)
        duet_text_append_wrapped(out, "\nduet itself ", "            ", cost);
    duet_bench_table_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}
