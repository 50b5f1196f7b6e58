/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "part.h"

#include <string.h>

#include "bench/benchmark.h"
#include "bench/peers/peer.h"
#include "bench/result/record.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"

/* What of the host and of the tool a reader may want to know. */
static const struct {
    const char *label, *path;
    gboolean of_tool, in_bytes, of_the_moment;
} facts[] = {
    { N_("CPU"), "cpu.model" },
    { N_("CPUs online"), "cpu.online" },
    { N_("memory"), "memory.ram_bytes", .in_bytes = TRUE },
    { N_("hypervisor below"), "cpu.hypervisor" },
    { N_("governor"), "cpu.governor" },
    { N_("system"), "os" },
    { N_("kernel"), "kernel.release" },
    { N_("cgroups"), "cgroup_version" },
    { N_("file system of the images"), "file_system" },
    { N_("load before the run"), "load_1min", .of_the_moment = TRUE },
    { N_("huge pages"), "memory.transparent_hugepages" },
    { N_("host"), "machine_hash" },
    { "duet", "version", .of_tool = TRUE },
    { N_("commit"), "commit", .of_tool = TRUE },
};

static void row(DuetReportTable *table, const char *name, const char *text)
{
    if (text && *text)
        duet_report_row(table, name, text);
}

/* Whether --peer gives the file of the peer of that name. */
static gboolean has_file(const DuetRun *run, const char *name)
{
    for (char *const *option = run->plan->options; option && option[0];
         option += duet_plan_option_words(option[0])) {
        if (!g_str_equal(option[0], "--peer"))
            continue;
        g_autofree char *base = g_path_get_basename(option[1]);
        if (g_str_has_prefix(base, name) && g_str_equal(base + strlen(name), DUET_PEER_ENDING))
            return TRUE;
    }
    return FALSE;
}

/* The kinds of the arms of ours, each once, and peers as such. */
static void append_arms(GString *command, const DuetRun *run)
{
    g_autoptr(GPtrArray) ours = g_ptr_array_new(), peers = g_ptr_array_new();

    for (guint i = 0; i < run->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(run, i);
        GPtrArray *names = duet_run_arm_is_peer(arm) ? peers : ours;
        const char *name = duet_run_arm_is_peer(arm) ? arm->name : arm->kind;
        if (names == peers && has_file(run, name))
            continue;
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

static void append_bench(GString *command, const DuetRun *run)
{
    const DuetBenchmark *benchmark = run->benchmark;

    g_string_append_printf(command, "duet bench %s",
        benchmark == &duet_benchmark_load ? duet_benchmark_boot.name : benchmark->name);
    /* It has one, which nobody chooses. */
    if (benchmark != &duet_benchmark_cost)
        append_arms(command, run);
    duet_report_part(run)->options(command, run);
    append_limits(command, run);
    g_string_append_printf(command, " --seed %" G_GUINT64_FORMAT, run->plan->seed);
    if (run->plan->floor > 0)
        g_string_append_printf(command, " --floor %g", 100 * run->plan->floor);
}

/* Of one sample each there is no order, and no seed of it. */
static void append_compare(GString *command, const DuetRun *run)
{
    g_string_append_printf(command, "duet compare --timeout %g", run->plan->timeout_ms / 1000.0);
    append_limits(command, run);
}

/* Returns: (transfer full): what measures the same again, as one would type it. */
static char *repeat(const DuetRun *run)
{
    const DuetRunArm *first = duet_run_arm(run, 0);
    gboolean overhead = run->benchmark == &duet_benchmark_overhead;
    GString *command = g_string_new(NULL);

    if (run->compared)
        append_compare(command, run);
    else
        append_bench(command, run);
    if (run->plan->options && run->plan->options[0]) {
        g_autofree char *options = duet_text_command(run->plan->options);
        g_string_append_printf(command, " %s", options);
    }
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

/* Returns: (transfer full) (nullable): what a run says of number @i of the facts. */
static char *fact(const DuetRun *run, gsize i)
{
    JsonObject *record = facts[i].of_tool ? run->tool : run->host;
    double number;

    if (duet_record_number(record, facts[i].path, &number))
        /* a load has more digits than meaning */
        return facts[i].in_bytes ? duet_text_bytes(number) : g_strdup_printf("%.4g", number);
    g_autofree char *text = duet_record_text(record, facts[i].path);
    return g_str_equal(text, "unknown") ? NULL : g_steal_pointer(&text);
}

/* The same fact of all runs. Returns: (transfer full) (nullable): NULL: they don't differ in it. */
static GPtrArray *fact_cells(const GPtrArray *runs, gsize i)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    gboolean differs = FALSE;

    g_ptr_array_add(cells, g_strdup(_(facts[i].label)));
    for (guint k = 0; k < runs->len; k++) {
        char *text = fact(runs->pdata[k], i);
        g_ptr_array_add(cells, text ? text : g_strdup("n/a"));
        differs |= k > 0 && !g_str_equal(cells->pdata[k + 1], cells->pdata[k]);
    }
    return differs ? g_steal_pointer(&cells) : NULL;
}

static DuetReportTable *hosts_table(DuetReport *report, guint n, char *const *paths)
{
    GPtrArray *head = g_ptr_array_new();

    g_ptr_array_add(head, g_strdup(_("what")));
    for (guint k = 0; k < n; k++)
        g_ptr_array_add(head, g_path_get_basename(paths[k]));
    return duet_report_table_with(
        report, _("In what the results' hosts and tools differ"), "l", 'l', head);
}

void duet_report_hosts(DuetReport *report, const GPtrArray *runs, char *const *paths)
{
    DuetReportTable *table = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(facts); i++) {
        GPtrArray *cells = facts[i].of_the_moment ? NULL : fact_cells(runs, i);
        if (cells && !table)
            table = hosts_table(report, runs->len, paths);
        if (cells)
            duet_report_cells(table, cells);
    }
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
        g_autofree char *text = fact(run, i);
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
