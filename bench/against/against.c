/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "against.h"

#include <string.h>

#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/notes.h"
#include "bench/random.h"
#include "bench/result/record.h"
#include "bench/words.h"

static void find_unmatched(
    const DuetRun *run, const DuetRun *other, const char *path, GPtrArray *out)
{
    for (guint i = 0; i < run->arms->len; i++) {
        const char *name = duet_run_arm(run, i)->name;
        if (duet_run_find_arm(other, name) < 0)
            g_ptr_array_add(out, g_strdup_printf("'%s' is in '%s' only", name, path));
    }
}

static GArray *parse_metrics(const char *text, const DuetMatch *match, GError **error)
{
    const DuetMeasure *measure = match->measure;
    g_auto(GStrv) words = g_strsplit(text ? text : "", ",", -1);
    g_autoptr(GArray) metrics = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GString) known = g_string_new(NULL);

    for (char **word = words; *word; word++) {
        guint metric = 0;
        g_string_truncate(known, 0);
        for (; metric < measure->n_metrics; metric++) {
            g_autofree char *id = measure->id(match, metric);
            if (id && g_str_equal(g_strstrip(*word), id))
                break;
            if (id)
                g_string_append_printf(known, "%s%s", known->len > 0 ? ", " : "", id);
        }
        if (metric == measure->n_metrics) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "'%s' is no metric of these runs: choose from %s", *word, known->str);
            return NULL;
        }
        for (guint i = 0; i < metrics->len && metric < measure->n_metrics; i++) {
            if (g_array_index(metrics, guint, i) == metric)
                metric = measure->n_metrics;
        }
        if (metric < measure->n_metrics)
            g_array_append_val(metrics, metric);
    }
    gboolean any = metrics->len > 0;
    for (guint metric = 0; !any && metric < measure->n_default; metric++) {
        g_autofree char *id = measure->id(match, metric);
        if (id)
            g_array_append_val(metrics, metric);
    }
    return g_steal_pointer(&metrics);
}

static void note_weakness(GPtrArray *notes, const DuetRun *run, const char *which)
{
    g_autoptr(GPtrArray) weak = run->benchmark->check(run);
    g_autoptr(GString) codes = g_string_new(NULL);

    for (guint i = 0; i < weak->len; i++) {
        const DuetNote *note = g_ptr_array_index(weak, i);
        if (!strstr(codes->str, note->code))
            g_string_append_printf(codes, "%s%s", codes->len > 0 ? ", " : "", note->code);
    }
    if (weak->len > 0)
        duet_notes_add(notes, "weak-run", TRUE,
            "the %s run is weak (%s): `duet bench check` tells why", which, codes->str);
}

static gboolean knows_image(const DuetRun *run)
{
    for (guint i = 0; i < run->arms->len; i++)
        if (duet_run_arm(run, i)->image_digest)
            return TRUE;
    return FALSE;
}

static gboolean knows_host(const DuetRun *run)
{
    return duet_record_string(run->host, "machine_hash") ||
        duet_record_string(run->host, "cpu.model");
}

/* Where one of the runs tells it, they were found to differ. */
static void note_unknown(GPtrArray *notes, const DuetRun *first, const DuetRun *second)
{
    if (!knows_host(first) && !knows_host(second))
        duet_notes_add(notes, "unknown-host", TRUE,
            "neither run tells on what host it was taken: it may not be the same");
    if (!knows_image(first) && !knows_image(second))
        duet_notes_add(notes, "unknown-image", TRUE,
            "neither run tells what image it ran: it may not be the same");
}

static void add_notes(DuetAgainst *against, const DuetRun *first, const DuetRun *second)
{
    if (*first->run_id && g_str_equal(first->run_id, second->run_id))
        duet_notes_add(against->notes, "same-run", TRUE, "both files hold the same run");
    note_unknown(against->notes, first, second);
    note_weakness(against->notes, first, _("first"));
    note_weakness(against->notes, second, _("second"));
    duet_notes_add(against->notes, "apart", FALSE,
        "the runs were taken one after the other, not interleaved: whatever changed on the host "
        "meanwhile is in these ratios");
}

static void add_pair(DuetAgainst *against, guint a, guint b, guint metric)
{
    const DuetMeasure *measure = against->match.measure;

    if (!measure->pair || measure->pair(&against->match, a, b, &metric))
        duet_match_add(against->comparisons, a, b, metric);
}

static gboolean fill(DuetAgainst *against, const DuetRun *first, const DuetRun *second,
    const DuetAgainstOptions *options, GError **error)
{
    g_autoptr(GArray) metrics = parse_metrics(options->metrics, &against->match, error);

    if (!metrics)
        return FALSE;
    duet_likeness(first, second, against->mismatches, against->changes);
    if (against->mismatches->len > 0 && !options->force) {
        g_ptr_array_add(against->mismatches, NULL);
        g_autofree char *all = g_strjoinv("; ", (char **)against->mismatches->pdata);
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot compare '%s' with '%s', they differ in %s; --force compares all the same",
            against->first_path, against->second_path, all);
        return FALSE;
    }
    for (guint m = 0; m < metrics->len; m++) {
        for (guint i = 0; i < first->arms->len; i++) {
            int other = duet_run_find_arm(second, duet_run_arm(first, i)->name);
            if (other >= 0)
                add_pair(against, other, i, g_array_index(metrics, guint, m));
        }
    }
    if (against->comparisons->len == 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot compare '%s' with '%s': they have no arm, or nothing of it, in common",
            against->first_path, against->second_path);
        return FALSE;
    }
    duet_match_judge(&against->match, against->comparisons);
    for (guint i = 0; against->match.measure->tell && i < first->arms->len; i++) {
        int other = duet_run_find_arm(second, duet_run_arm(first, i)->name);
        if (other >= 0)
            against->match.measure->tell(&against->match, other, i, against->notes);
    }
    add_notes(against, first, second);
    return TRUE;
}

DuetAgainst *duet_against_new(const DuetRun *first, const char *first_path, const DuetRun *second,
    const char *second_path, const DuetAgainstOptions *options, GError **error)
{
    g_autoptr(DuetAgainst) against = g_new0(DuetAgainst, 1);
    const DuetMeasure *measure = first->benchmark->measure;
    gboolean to_exec = measure->headline &&
        (measure->headline(first) == DUET_MARK_EXEC || measure->headline(second) == DUET_MARK_EXEC);

    against->first_path = g_strdup(first_path);
    against->second_path = g_strdup(second_path);
    against->match = (DuetMatch){
        .measure = measure,
        .a = second,
        .b = first,
        .headline_to = to_exec ? DUET_MARK_EXEC : DUET_MARK_OUTPUT,
        .ratio_with_failures = options->ratio_with_failures,
        .seed = duet_random_derive(first->plan->seed, second->plan->seed),
        .floor =
            options->floor >= 0 ? options->floor : MAX(first->plan->floor, second->plan->floor),
    };
    against->mismatches = g_ptr_array_new_with_free_func(g_free);
    against->changes = g_ptr_array_new_with_free_func(g_free);
    against->unmatched = g_ptr_array_new_with_free_func(g_free);
    against->tcg = duet_run_tcg(first) || duet_run_tcg(second);
    against->comparisons = g_array_new(FALSE, FALSE, sizeof(DuetComparison));
    against->notes = duet_notes_empty();
    find_unmatched(first, second, first_path, against->unmatched);
    find_unmatched(second, first, second_path, against->unmatched);
    return fill(against, first, second, options, error) ? g_steal_pointer(&against) : NULL;
}

void duet_against_free(DuetAgainst *against)
{
    if (!against)
        return;
    g_free(against->first_path);
    g_free(against->second_path);
    g_ptr_array_unref(against->mismatches);
    g_ptr_array_unref(against->changes);
    g_ptr_array_unref(against->unmatched);
    g_array_unref(against->comparisons);
    g_ptr_array_unref(against->notes);
    g_free(against);
}
