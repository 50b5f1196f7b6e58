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

/* One row of the figure: a claim about VM and container in one set of results. @finding: borrowed.
 */
typedef struct {
    gsize row;
    char *label;
    const DuetFinding *finding;
} Headline;

static void headline_clear(gpointer data)
{
    g_free(((Headline *)data)->label);
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

/* Returns: (transfer full) (element-type DuetFinding): one for each claim, all judged together;
 * what wants instances is not run. */
static GArray *try_all(const GPtrArray *runs, guint nth)
{
    DuetClaimTrial trial = trial_of(runs, nth);
    GArray *findings = g_array_new(FALSE, TRUE, sizeof(DuetFinding));

    g_array_set_clear_func(findings, (GDestroyNotify)duet_finding_clear);
    for (const DuetClaim *claim = duet_claims_rows(); claim->id; claim++) {
        DuetFinding finding;
        duet_finding_init(&finding);
        duet_claim_apply(claim, &trial, &finding);
        g_array_append_val(findings, finding);
    }
    duet_claims_judge((DuetFinding *)(gpointer)findings->data, findings->len);
    return findings;
}

static const DuetFinding *finding_of(const GArray *findings, const char *claim)
{
    guint i = 0;

    while (!g_str_equal(duet_claims_rows()[i].id, claim))
        i++;
    return &g_array_index(findings, DuetFinding, i);
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
        const DuetFinding *f = headline->finding;
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
static void add_set(GArray *headlines, const GArray *findings, const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *label = _(rows[i].label);
        Headline headline = { .row = i, .finding = finding_of(findings, rows[i].claim) };
        if (!isfinite(headline.finding->value) || headline.finding->value <= 0)
            continue;
        headline.label = name ? g_strdup_printf("%s, %s", label, name) : g_strdup(label);
        g_array_append_val(headlines, headline);
    }
}

static void add_result(DuetReport *report, const GArray *headlines, gboolean several)
{
    duet_report_section(report, "result", _("The result"));
    GPtrArray *items = duet_report_list(report);
    for (guint i = 0; i < headlines->len; i++) {
        const Headline *headline = &g_array_index(headlines, Headline, i);
        const DuetFinding *finding = headline->finding;
        g_autofree char *words = sentence(headline->row, finding);
        gboolean named = several || !(finding->verdict == DUET_FINDING_HOLDS || finding->is_bound);
        g_ptr_array_add(
            items, named ? g_strdup_printf("%s: %s", headline->label, words) : g_strdup(words));
    }
    add_figure(report, headlines);
}

/* Returns: (transfer full) (nullable): what a set of results goes by: its first file's name. */
static char *name_of_set(const GPtrArray *runs, char *const *paths, guint nth)
{
    for (guint i = 0; i < runs->len; i++) {
        if (duet_report_nth(runs, i) == nth)
            return g_path_get_basename(paths[i]);
    }
    return NULL;
}

static gboolean any_tried(const GArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        if (g_array_index(findings, DuetFinding, i).verdict != DUET_FINDING_NOT_RUN)
            return TRUE;
    }
    return FALSE;
}

static void add_claims(DuetReport *report, const GArray *findings)
{
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

void duet_report_verdicts(DuetReport *report, const GPtrArray *runs, char *const *paths)
{
    g_autoptr(GPtrArray) sets = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    g_autoptr(GArray) headlines = g_array_new(FALSE, FALSE, sizeof(Headline));
    guint n_sets = 0;

    g_array_set_clear_func(headlines, headline_clear);
    for (guint i = 0; i < runs->len; i++)
        n_sets = MAX(n_sets, duet_report_nth(runs, i) + 1);
    for (guint nth = 0; nth < n_sets; nth++) {
        g_autofree char *name = n_sets > 1 ? name_of_set(runs, paths, nth) : NULL;
        g_ptr_array_add(sets, try_all(runs, nth));
        add_set(headlines, sets->pdata[nth], name);
    }
    if (headlines->len > 0)
        add_result(report, headlines, n_sets > 1);
    if (any_tried(sets->pdata[0]))
        add_claims(report, sets->pdata[0]);
}
