/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resume.h"

#include <string.h>

#include <duet/error.h>

#include "bench/against/against.h"
#include "bench/benchmark.h"
#include "journal.h"
#include "result.h"
#include "bench/text.h"

DuetRun *duet_resume_load(const char *output_path, const char *part_path, GError **error)
{
    if (duet_journal_holds(part_path))
        return duet_result_load(part_path, error);
    if (!g_file_test(output_path, G_FILE_TEST_EXISTS)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "nothing to resume: there is neither '%s' nor '%s'", part_path, output_path);
        return NULL;
    }
    g_autoptr(DuetRun) run = duet_result_load(output_path, error);
    if (!run || run->interrupted)
        return g_steal_pointer(&run);
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_STATE, "nothing to resume: '%s' is complete", output_path);
    return NULL;
}

/* What the user chose of it, without the seed. Returns: (transfer full). */
static char *plan_text(const DuetRun *run)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "benchmark", run->benchmark->name);
    json_object_set_int_member(object, "n", run->plan->n);
    json_object_set_string_member(object, "mode", run->plan->mode);
    run->benchmark->write_plan(run->plan, object);
    json_node_take_object(node, object);
    return json_to_string(node, FALSE);
}

static char *arms_text(const DuetRun *run)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < run->arms->len; i++)
        g_string_append_printf(out, "%s%s", i > 0 ? "," : "", duet_run_arm(run, i)->name);
    return g_string_free(out, FALSE);
}

static gboolean same(const char *what, const char *then, const char *now, GError **error)
{
    if (g_str_equal(then, now))
        return TRUE;
    g_autofree char *text =
        g_strdup_printf("cannot resume: %s: then '%s', now '%s'; give the same command line again",
            what, then, now);
    g_autofree char *line = duet_text_line(text);
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID, line);
    return FALSE;
}

static gboolean same_plan(
    const DuetBenchRequest *request, const DuetRun *then, const DuetRun *now, GError **error)
{
    g_autofree char *arms_then = arms_text(then), *arms_now = arms_text(now);
    g_autofree char *plan_then = plan_text(then), *plan_now = plan_text(now);
    g_autofree char *seed_then = g_strdup_printf("%" G_GUINT64_FORMAT, then->plan->seed);
    g_autofree char *seed_now = g_strdup_printf("%" G_GUINT64_FORMAT, now->plan->seed);

    return same("arms", arms_then, arms_now, error) && same("plan", plan_then, plan_now, error) &&
        (!request->seed_given || same("seed", seed_then, seed_now, error));
}

/* Not even what makes two results only doubtful to compare may change within one. */
static gboolean same_things(const DuetRun *then, DuetRun *now, GError **error)
{
    g_autoptr(GPtrArray) differ = g_ptr_array_new_with_free_func(g_free);

    /* What the driver will say is not known yet. */
    for (guint i = 0; i < now->arms->len; i++) {
        DuetRunArm *arm = duet_run_arm(now, i);
        if (!arm->driver && duet_run_arm(then, i)->driver)
            arm->driver = json_object_ref(duet_run_arm(then, i)->driver);
    }
    duet_likeness(then, now, differ, differ);
    if (differ->len == 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "cannot resume: then and now differ in %s; measure anew into another file",
        (const char *)g_ptr_array_index(differ, 0));
    return FALSE;
}

guint duet_run_taken(const DuetRun *run)
{
    guint taken = 0;

    for (guint i = 0; i < run->samples->len; i++)
        taken += !duet_run_sample(run, i)->discarded;
    return taken;
}

/* The file may come from anybody. */
static gboolean check_order(const DuetRun *run, GError **error)
{
    guint taken = 0;

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->seq != i ||
            (!run->benchmark->go_on && !sample->discarded &&
                !duet_benchmark_planned(run, sample, taken))) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
                "cannot resume: sample %u is not the next of the plan", i);
            return FALSE;
        }
        taken += !sample->discarded;
    }
    return TRUE;
}

/* Returns: (transfer full): how much of it there is. */
static char *go_on(DuetRun *run)
{
    return run->benchmark->go_on ? run->benchmark->go_on(run)
                                 : g_strdup_printf("%u of %u samples", duet_run_taken(run),
                                       run->plan->n * duet_plan_cells(run->plan));
}

gboolean duet_resume(const DuetBenchRequest *request, const char *output_path,
    const char *part_path, DuetRun **run, GError **error)
{
    g_autoptr(DuetRun) then = duet_resume_load(output_path, part_path, error);

    if (!then || !same_plan(request, then, *run, error) || !same_things(then, *run, error) ||
        !check_order(then, error))
        return FALSE;
    for (guint i = 0; i < (*run)->warnings->len; i++) {
        const char *text = g_ptr_array_index((*run)->warnings, i);
        if (!g_ptr_array_find_with_equal_func(then->warnings, text, g_str_equal, NULL))
            g_ptr_array_add(then->warnings, g_strdup(text));
    }
    g_autofree char *much = go_on(then);
    g_ptr_array_add(then->warnings, g_strdup_printf("it was cut short and resumed after %s", much));
    then->interrupted = FALSE;
    duet_run_free(*run);
    *run = g_steal_pointer(&then);
    return TRUE;
}
