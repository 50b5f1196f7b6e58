/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "export.h"

#include "bench/result/record.h"

/* A name is one word; '/', '=' and '-' have meanings in it. What is not plain becomes %XX. */
void duet_benchstat_name(GString *out, const char *name)
{
    for (const char *at = name; *at; at++) {
        if (g_ascii_isalnum(*at) || *at == '_' || *at == '.')
            g_string_append_c(out, *at);
        else
            g_string_append_printf(out, "%%%02X", (guint8)*at);
    }
}

/* Configuration lines are one line each: a control character in a value would end it. */
static void config(GString *out, const char *key, const char *value)
{
    g_autofree char *valid = g_utf8_make_valid(value, -1);

    for (char *at = valid; *at; at++)
        *at = g_ascii_iscntrl(*at) ? '?' : *at;
    g_string_append_printf(out, "%s: %s\n", key, valid);
}

/* The keys are those that Go writes: benchstat takes runs whose keys differ for different things,
 * so versions and ids, which differ between runs that one wants to compare, are none. */
void duet_benchstat_head(GString *out, const DuetRun *run, gboolean nested, gboolean tcg)
{
    const char *machine = duet_record_string(run->host, "kernel.machine");
    const char *cpu = duet_record_string(run->host, "cpu.model");

    if (nested)
        g_string_append(out, "# Nested under TCG: CPUs are emulated, no figure is a result.\n");
    else if (tcg)
        g_string_append(
            out, "# No hardware virtualization (QEMU's TCG): VM figures are upper bounds.\n");
    config(out, "goos", "linux");
    if (machine)
        config(out, "goarch", g_str_equal(machine, "x86_64") ? "amd64" : machine);
    config(out, "pkg", "duet/bench");
    if (cpu)
        config(out, "cpu", cpu);
}

static void pair(GString *out, const DuetSample *sample, DuetMetric metric, DuetMark headline_to,
    const char *unit)
{
    double value;

    if (duet_metric_value(sample, metric, headline_to, &value))
        g_string_append_printf(out, " %.0f %s", value, unit);
}

static void sample_line(
    GString *out, const DuetRun *run, const DuetAnalysis *analysis, const DuetSample *sample)
{
    double headline;

    if (sample->discarded || sample->status != DUET_SAMPLE_OK ||
        !duet_metric_value(sample, DUET_METRIC_HEADLINE, analysis->headline_to, &headline))
        return;
    g_string_append(out, "BenchmarkBoot/arm=");
    duet_benchstat_name(out, duet_run_arm(run, sample->arm)->name);
    g_string_append_printf(out, " 1 %.0f ns/op", headline);
    pair(out, sample, DUET_METRIC_READY, analysis->headline_to, "ready-ns/op");
    pair(out, sample, DUET_METRIC_STOPPING, analysis->headline_to, "stopping-ns/op");
    pair(out, sample, DUET_METRIC_TOTAL, analysis->headline_to, "released-ns/op");
    pair(out, sample, DUET_METRIC_MANAGING_CPU, analysis->headline_to, "managing-cpu-ns/op");
    pair(out, sample, DUET_METRIC_PAYLOAD_CPU, analysis->headline_to, "payload-cpu-ns/op");
    if (sample->peak_memory_bytes > 0)
        g_string_append_printf(
            out, " %" G_GUINT64_FORMAT " peak-bytes/op", sample->peak_memory_bytes);
    g_string_append_c(out, '\n');
}

/* Of whole commands: what peers are compared by. */
static void command_line(
    GString *out, const DuetRun *run, const DuetSample *sample, DuetMark headline_to)
{
    if (sample->discarded || sample->status != DUET_SAMPLE_OK || sample->command_exit_ns == 0)
        return;
    g_string_append(out, "BenchmarkCommand/arm=");
    duet_benchstat_name(out, duet_run_arm(run, sample->arm)->name);
    g_string_append(out, " 1");
    pair(out, sample, DUET_METRIC_COMMAND_EXIT, headline_to, "ns/op");
    pair(out, sample, DUET_METRIC_COMMAND_OUTPUT, headline_to, "output-ns/op");
    g_string_append_c(out, '\n');
}

void duet_benchstat_failures(GString *out, const char *arm, guint ok, guint bad)
{
    if (bad == 0)
        return;
    g_string_append(out, "# ");
    duet_benchstat_name(out, arm);
    g_string_append_printf(out, ": %u of %u samples failed and are left out\n", bad, ok + bad);
}

char *duet_export_benchstat(const DuetRun *run, const DuetAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_benchstat_head(out, run, analysis->nested, analysis->tcg);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetArmAnalysis *a = &analysis->arms[arm];
        duet_benchstat_failures(out, duet_run_arm(run, arm)->name, a->ok, a->failed + a->timeouts);
    }
    for (guint i = 0; i < run->samples->len; i++)
        sample_line(out, run, analysis, duet_run_sample(run, i));
    for (guint i = 0; i < run->samples->len; i++)
        command_line(out, run, duet_run_sample(run, i), analysis->headline_to);
    return g_string_free(out, FALSE);
}
