/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "share.h"

#include "bench/random.h"
#include "bench/text.h"

/* Returns: (transfer full) (element-type double) */
static GArray *shares(const DuetRun *run, guint arm, DuetMark to)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(double));

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        const gint64 *ns = sample->marks.ns;
        if (sample->arm != arm || sample->discarded || sample->status != DUET_SAMPLE_OK ||
            ns[DUET_MARK_RUNNING] == 0 || ns[to] <= ns[DUET_MARK_REQUEST])
            continue;
        double share = (double)(ns[DUET_MARK_RUNNING] - ns[DUET_MARK_REQUEST]) /
            (double)(ns[to] - ns[DUET_MARK_REQUEST]);
        g_array_append_val(out, share);
    }
    return out;
}

char *duet_share_line(const DuetRun *run, const DuetAnalysis *analysis)
{
    g_autoptr(GString) out = g_string_new(NULL);

    /* Where the host is emulated as well, so is what manages. */
    for (guint arm = 0; !analysis->nested && arm < analysis->n_arms; arm++) {
        g_autoptr(GArray) values = shares(run, arm, analysis->headline_to);
        guint64 seed = duet_random_derive(run->plan->seed, 2000 * (arm + 1));
        DuetSummary s;
        if (values->len == 0 ||
            !duet_stats_summary(duet_stats_doubles(values), values->len, seed, &s, NULL))
            continue;
        g_autofree char *name = duet_text_line(duet_run_arm(run, arm)->name);
        g_string_append_printf(
            out, "%s%s: %.1f %%", out->len > 0 ? "; " : "", name, 100 * s.median);
        if (s.n >= DUET_STATS_INTERVAL_MIN)
            g_string_append_printf(out, " (%.1f to %.1f)", 100 * s.low, 100 * s.high);
        g_string_append_printf(out,
            " of request -> %s is until the virtual CPUs run (libvirt, QEMU, duet), the rest is "
            "the guest's",
            duet_mark_to_string(analysis->headline_to));
    }
    return out->len > 0 ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}
