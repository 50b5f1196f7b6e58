/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "part.h"

#include "bench/benchmark.h"
#include "bench/record.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"

/* What of the host and of the tool a reader may want to know. */
static const struct {
    const char *label, *path;
    gboolean of_tool;
} facts[] = {
    { N_("CPU"), "cpu.model", FALSE },
    { N_("CPUs online"), "cpu.online", FALSE },
    { N_("hypervisor below"), "cpu.hypervisor", FALSE },
    { N_("governor"), "cpu.governor", FALSE },
    { N_("system"), "os", FALSE },
    { N_("kernel"), "kernel.release", FALSE },
    { N_("cgroups"), "cgroup_version", FALSE },
    { N_("file system of the images"), "file_system", FALSE },
    { N_("load before the run"), "load_1min", FALSE },
    { N_("huge pages"), "memory.transparent_hugepages", FALSE },
    { N_("host"), "machine_hash", FALSE },
    { "duet", "version", TRUE },
    { N_("commit"), "commit", TRUE },
};

static void row(DuetReportTable *table, const char *name, const char *text)
{
    if (text && *text)
        duet_report_row(table, name, text);
}

/* The kinds of the arms of ours, each once, and peers as such. */
static void append_arms(GString *command, const DuetRun *run)
{
    g_autoptr(GPtrArray) ours = g_ptr_array_new(), peers = g_ptr_array_new();

    for (guint i = 0; i < run->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(run, i);
        GPtrArray *names = duet_run_arm_is_peer(arm) ? peers : ours;
        const char *name = duet_run_arm_is_peer(arm) ? arm->name : arm->kind;
        if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
            g_ptr_array_add(names, (gpointer)name);
    }
    g_ptr_array_add(ours, NULL);
    g_ptr_array_add(peers, NULL);
    g_autofree char *arms = g_strjoinv(",", (char **)ours->pdata);
    g_autofree char *others = g_strjoinv(",", (char **)peers->pdata);
    if (*arms)
        duet_report_option(command, "arms", arms);
    if (*others)
        duet_report_option(command, "peers", others);
}

static void append_limits(GString *command, const DuetRun *run)
{
    const DuetRunArm *arm = duet_run_arm(run, 0);

    /* --equal-memory gives each arm its own. */
    if (arm->memory_bytes > 0 && run->plan->equal_memory_bytes == 0)
        g_string_append_printf(command, " --memory %" G_GUINT64_FORMAT, arm->memory_bytes);
    if (arm->cpus > 0)
        g_string_append_printf(command, " --cpus %g", arm->cpus);
    if (arm->pids_limit > 0)
        g_string_append_printf(command, " --pids-limit %" G_GUINT64_FORMAT, arm->pids_limit);
}

/* Returns: (transfer full): what measures the same again, as one would type it. */
static char *repeat(const DuetRun *run)
{
    const DuetRunArm *first = duet_run_arm(run, 0);
    const DuetReportPart *part = duet_report_part(run);
    gboolean overhead = run->benchmark == &duet_benchmark_overhead;
    GString *command = g_string_new("duet bench ");

    g_string_append(
        command, run->benchmark == &duet_benchmark_load ? "boot" : run->benchmark->name);
    append_arms(command, run);
    part->options(command, run);
    append_limits(command, run);
    g_string_append_printf(command, " --seed %" G_GUINT64_FORMAT, run->plan->seed);
    if (run->plan->floor > 0)
        g_string_append_printf(command, " --floor %g", 100 * run->plan->floor);
    if (first->image_ref) {
        char *const words[] = { first->image_ref, NULL };
        g_autofree char *image = duet_text_command(words);
        g_string_append_printf(command, " %s", image);
    }
    if (!overhead && first->argv && first->argv[0]) {
        g_autofree char *argv = duet_text_command(first->argv);
        g_string_append_printf(command, " -- %s", argv);
    }
    return g_string_free(command, FALSE);
}

void duet_report_method(DuetReport *report, const DuetRun *run, const char *path)
{
    const DuetRunArm *first = duet_run_arm(run, 0);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *caption =
        g_strdup_printf(_("The run of '%s' (duet bench %s)"), base, run->benchmark->name);
    g_autofree char *argv = duet_text_command(first->argv);
    g_autofree char *plan = run->benchmark->plan_text(run);
    g_autofree char *accel = duet_bench_table_accel(run);
    DuetReportTable *table = duet_report_table(report, caption, "ll");

    duet_report_row(table, _("what"), _("as measured"));
    row(table, _("image"), first->image_ref);
    row(table, _("digest"), first->image_digest);
    if (run->benchmark != &duet_benchmark_overhead)
        row(table, _("command"), argv);
    row(table, _("plan"), plan);
    row(table, _("ran on"), accel);
    for (gsize i = 0; i < G_N_ELEMENTS(facts); i++) {
        JsonObject *record = facts[i].of_tool ? run->tool : run->host;
        double number;
        /* a load has more digits than meaning */
        g_autofree char *text = duet_record_number(record, facts[i].path, &number)
            ? g_strdup_printf("%.4g", number)
            : duet_record_text(record, facts[i].path);
        if (!g_str_equal(text, "unknown"))
            row(table, _(facts[i].label), text);
    }
    row(table, _("started"), run->started);
    row(table, _("run"), run->run_id);
    /* What others measured is not ours to repeat. */
    if (!duet_plan_is_blocked(run->plan))
        return;
    g_autofree char *command = repeat(run);
    duet_report_text(report, _("The same again:"));
    duet_report_code(report, command);
}
