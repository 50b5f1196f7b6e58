/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a reader came for: VM against container, and what is said of both. */
#include "part.h"

#include <math.h>

#include "bench/benchmark.h"
#include "bench/claims/claim.h"
#include "bench/text.h"
#include "bench/words.h"

static const struct {
    const char *claim, *label;
} rows[] = {
    { "start", N_("start") },
    { "stop", N_("stop") },
    { "cpu", N_("CPU time") },
    { "memory", N_("memory") },
    { "density", N_("density") },
};

/* One row of the figure: a claim about VM and container in one set of results. */
typedef struct {
    gsize row;
    char *label;
    DuetFinding finding;
} Headline;

static void headline_clear(gpointer data)
{
    Headline *headline = data;

    g_free(headline->label);
    duet_finding_clear(&headline->finding);
}

/* Result number @nth of a benchmark, borrowed; NULL: there are not so many. */
static DuetRun *nth_of(const GPtrArray *runs, const DuetBenchmark *benchmark, guint nth)
{
    for (guint i = 0; i < runs->len; i++) {
        DuetRun *run = runs->pdata[i];
        if (run->benchmark == benchmark && nth-- == 0)
            return run;
    }
    return NULL;
}

static DuetClaimTrial trial_of(const GPtrArray *runs, guint nth)
{
    static const char why[] = "no result here tells this";
    static const DuetClaimsRequest nothing_runs = { .no_container = why, .no_vm = why };

    return (DuetClaimTrial){
        .request = &nothing_runs,
        .boot = nth_of(runs, &duet_benchmark_boot, nth),
        .memory = nth_of(runs, &duet_benchmark_memory, nth),
        .density = nth_of(runs, &duet_benchmark_density, nth),
        .no_boot = (char *)why,
        .no_memory = (char *)why,
        .no_density = (char *)why,
    };
}

static const DuetClaim *claim_of(const char *id)
{
    const DuetClaim *claim = duet_claims_rows();

    while (!g_str_equal(claim->id, id))
        claim++;
    return claim;
}

/* Returns: (transfer full): "17.2 (16.8 to 17.9)". */
static char *value_text(const DuetFinding *finding)
{
    g_autofree char *value = duet_text_ratio(finding->value);

    if (!isfinite(finding->low) || !isfinite(finding->high))
        return g_steal_pointer(&value);
    g_autofree char *interval = duet_text_ratio_interval(finding->low, finding->high);
    return g_strdup_printf("%s (%s)", value, interval);
}

/* Returns: (transfer full): a row of the figure in words. */
static char *sentence(gsize row, const DuetFinding *finding)
{
    const char *claim = rows[row].claim;
    g_autofree char *value = value_text(finding);
    const char *format = g_str_equal(claim, "start") ? _("A VM takes %s times as long to start.")
        : g_str_equal(claim, "stop")                 ? _("A VM takes %s times as long to stop.")
        : g_str_equal(claim, "cpu")                  ? _("A VM costs %s times as much CPU time.")
        : g_str_equal(claim, "memory") ? _("One more VM takes %s times as much memory.")
                                       : _("%s times as many containers fit.");

    if (finding->verdict == DUET_FINDING_HOLDS)
        return g_strdup_printf(format, value);
    if (finding->is_bound) {
        g_autofree char *told = g_strdup_printf(format, value);
        return g_strdup_printf(_("%s At most: there was no KVM."), told);
    }
    return g_strdup_printf(
        "%s, %s: %s", value, _(duet_finding_verdict_to_string(finding->verdict)), finding->why);
}

static void add_figure(DuetReport *report, const GArray *headlines)
{
    g_autoptr(GPtrArray) labels = g_ptr_array_new();
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    DuetChart *chart = duet_chart_new("ratio", "headline");
    GString *data = duet_chart_data(chart, "rows");
    DuetReportFigure *figure = duet_report_figure(report, chart,
        _("A VM against a container of the same image"),
        _("Right of 1 the container needs less, or more of them fit. A hollow dot is an upper "
          "bound, or no difference that could be shown."),
        _("Ratios of medians with bootstrap intervals (95 %): of the time from request to the "
          "first output, from there until all is released, and of CPU time; of memory the ratio of "
          "what one more instance takes, of density the ratio of the numbers reached."));

    for (guint i = 0; i < headlines->len; i++) {
        const Headline *headline = &g_array_index(headlines, Headline, i);
        const DuetFinding *f = &headline->finding;
        char *text = value_text(f);
        g_ptr_array_add(labels, headline->label);
        g_ptr_array_add(texts, text);
        DUET_CHART_ROW(
            data, labels->len, f->value, f->low, f->high, f->verdict == DUET_FINDING_UNDECIDED);
        duet_report_bar(figure, headline->label, text, f->value);
    }
    duet_chart_set_texts(chart, "label", labels);
    duet_chart_set_texts(chart, "value_text", texts);
    duet_chart_set_text(
        chart, "xlabel", _("VM over container; of density, containers over VMs (ratio)"));
}

/* Those that there is a figure for. @name: (nullable): what tells this set from others. */
static void add_set(GArray *headlines, const DuetClaimTrial *trial, const char *name)
{
    DuetFinding findings[G_N_ELEMENTS(rows)];
    DuetClaimTrial tried = *trial;

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        duet_finding_init(&findings[i]);
        duet_claim_apply(claim_of(rows[i].claim), &tried, &findings[i]);
    }
    duet_claims_judge(findings, G_N_ELEMENTS(rows));
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        Headline headline = { .row = i, .finding = findings[i] };
        if (!isfinite(findings[i].value) || findings[i].value <= 0) {
            duet_finding_clear(&findings[i]);
            continue;
        }
        headline.label =
            name ? g_strdup_printf("%s, %s", _(rows[i].label), name) : g_strdup(_(rows[i].label));
        g_array_append_val(headlines, headline);
    }
}

void duet_report_headline(DuetReport *report, const GPtrArray *runs, char *const *paths)
{
    g_autoptr(GArray) headlines = g_array_new(FALSE, FALSE, sizeof(Headline));
    gboolean several = FALSE;

    g_array_set_clear_func(headlines, headline_clear);
    for (guint i = 1; i < runs->len; i++)
        several |= duet_report_nth(runs, i) > 0;
    for (guint nth = 0; nth < runs->len; nth++) {
        DuetClaimTrial trial = trial_of(runs, nth);
        g_autofree char *name = NULL;
        /* one name for the set: that of its first file */
        for (guint i = runs->len; several && i > 0; i--) {
            if (duet_report_nth(runs, i - 1) != nth)
                continue;
            g_free(name);
            name = g_path_get_basename(paths[i - 1]);
        }
        if (trial.boot || trial.memory || trial.density)
            add_set(headlines, &trial, name);
    }
    if (headlines->len == 0)
        return;
    duet_report_section(report, "result", _("The result"));
    GPtrArray *items = duet_report_list(report);
    for (guint i = 0; i < headlines->len; i++) {
        const Headline *headline = &g_array_index(headlines, Headline, i);
        g_autofree char *words = sentence(headline->row, &headline->finding);
        gboolean named = several ||
            !(headline->finding.verdict == DUET_FINDING_HOLDS || headline->finding.is_bound);
        g_ptr_array_add(
            items, named ? g_strdup_printf("%s: %s", headline->label, words) : g_strdup(words));
    }
    add_figure(report, headlines);
}

static gboolean any_tried(const GArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        if (g_array_index(findings, DuetFinding, i).verdict != DUET_FINDING_NOT_RUN)
            return TRUE;
    }
    return FALSE;
}

void duet_report_claims(DuetReport *report, const GPtrArray *runs)
{
    DuetClaimTrial trial = trial_of(runs, 0);
    g_autoptr(GArray) findings = g_array_new(FALSE, TRUE, sizeof(DuetFinding));

    if (!trial.boot && !trial.memory && !trial.density)
        return;
    g_array_set_clear_func(findings, (GDestroyNotify)duet_finding_clear);
    for (const DuetClaim *claim = duet_claims_rows(); claim->id; claim++) {
        DuetFinding finding;
        duet_finding_init(&finding);
        duet_claim_apply(claim, &trial, &finding);
        g_array_append_val(findings, finding);
    }
    duet_claims_judge((DuetFinding *)(gpointer)findings->data, findings->len);
    if (!any_tried(findings))
        return;
    duet_report_section(report, "claims", _("What is said of VMs and containers"));
    DuetReportTable *table =
        duet_report_table(report, _("Each claim, as far as these results tell"), "llrl");
    duet_report_row(table, _("claim"), _("verdict"), _("figure (95 %)"), _("what was seen"));
    g_autoptr(GString) untold = g_string_new(_("Not told by these results:"));
    for (guint i = 0; i < findings->len; i++) {
        const DuetFinding *finding = &g_array_index(findings, DuetFinding, i);
        const char *claim = _(duet_claims_rows()[i].sentence);
        g_autofree char *value = isnan(finding->value) ? g_strdup("") : value_text(finding);
        if (finding->verdict == DUET_FINDING_NOT_RUN)
            g_string_append_printf(untold, " %s", claim);
        else
            duet_report_row(table, claim, _(duet_finding_verdict_to_string(finding->verdict)),
                value, finding->why ? finding->why : "");
    }
    duet_report_text(report, untold->str);
    duet_report_text(report,
        _("Claims that no result tells are tried by `duet bench claims IMAGE`, with instances."));
}
