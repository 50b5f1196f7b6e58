/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "metric.h"

DuetMetric duet_metric_of_phase(DuetMark mark)
{
    g_return_val_if_fail(mark > DUET_MARK_REQUEST && mark < DUET_MARK_COUNT, DUET_METRIC_TOTAL);
    return DUET_METRIC_PHASE_FIRST + mark - 1;
}

DuetMark duet_metric_mark(DuetMetric metric)
{
    if (metric < DUET_METRIC_PHASE_FIRST || metric > DUET_METRIC_PHASE_LAST)
        return DUET_MARK_REQUEST;
    return metric - DUET_METRIC_PHASE_FIRST + 1;
}

char *duet_metric_id(DuetMetric metric, DuetMark headline_to)
{
    switch (metric) {
    case DUET_METRIC_HEADLINE:
        return g_strdup_printf("request_to_%s", duet_mark_to_string(headline_to));
    case DUET_METRIC_TOTAL:
        return g_strdup("request_to_released");
    case DUET_METRIC_MANAGING_CPU:
        return g_strdup("cpu_managing");
    case DUET_METRIC_PAYLOAD_CPU:
        return g_strdup("cpu_payload");
    case DUET_METRIC_GUEST_KERNEL:
        return g_strdup("guest_clock_kernel");
    case DUET_METRIC_GUEST_AGENT:
        return g_strdup("guest_clock_agent");
    case DUET_METRIC_READY:
        return g_strdup("request_to_ready");
    case DUET_METRIC_STOPPING:
        return g_strdup("stop_to_released");
    case DUET_METRIC_BARE_SPAWN:
        return g_strdup("bare_spawn");
    case DUET_METRIC_CLONE:
        return g_strdup("clone");
    case DUET_METRIC_COMMAND_OUTPUT:
        return g_strdup("command_to_output");
    case DUET_METRIC_COMMAND_EXIT:
        return g_strdup("command_to_exit");
    default:
        return g_strdup_printf("phase_%s", duet_mark_to_string(duet_metric_mark(metric)));
    }
}

static gboolean span(const DuetMarks *marks, DuetMark from, DuetMark to, double *out_ns)
{
    if (marks->ns[from] == 0 || marks->ns[to] == 0)
        return FALSE;
    *out_ns = marks->ns[to] - marks->ns[from];
    return TRUE;
}

static gboolean known(gint64 ns, double *out_ns)
{
    if (ns == 0)
        return FALSE;
    *out_ns = ns;
    return TRUE;
}

static gboolean phase(const DuetMarks *marks, DuetMark to, double *out_ns)
{
    int from = to - 1;

    while (from > DUET_MARK_REQUEST && marks->ns[from] == 0)
        from--;
    return span(marks, from, to, out_ns);
}

gboolean duet_metric_value(
    const DuetSample *sample, DuetMetric metric, DuetMark headline_to, double *out_ns)
{
    const DuetMarks *marks = &sample->marks;

    switch (metric) {
    case DUET_METRIC_HEADLINE:
        return span(marks, DUET_MARK_REQUEST, headline_to, out_ns);
    case DUET_METRIC_TOTAL:
        return span(marks, DUET_MARK_REQUEST, DUET_MARK_RELEASED, out_ns);
    case DUET_METRIC_MANAGING_CPU:
        return known(sample->managing_cpu_ns, out_ns);
    case DUET_METRIC_PAYLOAD_CPU:
        return known(sample->payload_cpu_ns, out_ns);
    case DUET_METRIC_GUEST_KERNEL:
        return known(sample->guest_kernel_ns, out_ns);
    case DUET_METRIC_GUEST_AGENT:
        /* Outside a VM the agent's clock is the host's: nothing to tell apart. */
        return sample->guest_kernel_ns != 0 && known(sample->guest_agent_ns, out_ns);
    case DUET_METRIC_READY:
        return sample->ready_ns != 0 &&
            known(sample->ready_ns - marks->ns[DUET_MARK_REQUEST], out_ns);
    case DUET_METRIC_STOPPING:
        return span(marks, DUET_MARK_STOP, DUET_MARK_RELEASED, out_ns);
    case DUET_METRIC_BARE_SPAWN:
        return known(sample->bare_spawn_ns, out_ns);
    case DUET_METRIC_CLONE:
        return known(sample->clone_ns, out_ns);
    case DUET_METRIC_COMMAND_OUTPUT:
        return known(sample->command_output_ns, out_ns);
    case DUET_METRIC_COMMAND_EXIT:
        return known(sample->command_exit_ns, out_ns);
    default:
        return phase(marks, duet_metric_mark(metric), out_ns);
    }
}

DuetMark duet_metric_headline(const DuetRun *run)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (!sample->discarded && sample->status == DUET_SAMPLE_OK &&
            sample->marks.ns[DUET_MARK_OUTPUT] == 0 &&
            !duet_run_arm_is_peer(duet_run_arm(run, sample->arm)))
            return DUET_MARK_EXEC;
    }
    return DUET_MARK_OUTPUT;
}

DuetMetric duet_metric_command(const DuetRun *run, guint arm)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm == arm && !sample->discarded && sample->status == DUET_SAMPLE_OK &&
            sample->command_output_ns == 0)
            return DUET_METRIC_COMMAND_EXIT;
    }
    return DUET_METRIC_COMMAND_OUTPUT;
}

DuetMetric duet_metric_main(const DuetRun *run, guint arm)
{
    return duet_run_arm_is_peer(duet_run_arm(run, arm)) ? duet_metric_command(run, arm)
                                                        : DUET_METRIC_HEADLINE;
}
