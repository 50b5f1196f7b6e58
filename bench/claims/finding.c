/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding.h"

#include <math.h>

#include "bench/stats.h"
#include "bench/text.h"
#include "bench/words.h"

const char *duet_finding_verdict_to_string(DuetFindingVerdict verdict)
{
    static const char *const names[] = { N_("holds"), N_("does not hold"), N_("undecided"),
        N_("not run") };

    g_return_val_if_fail((gsize)verdict < G_N_ELEMENTS(names), "not run");
    return names[verdict];
}

void duet_finding_init(DuetFinding *finding)
{
    *finding = (DuetFinding){
        .verdict = DUET_FINDING_NOT_RUN,
        .value = NAN,
        .low = NAN,
        .high = NAN,
        .contrast.p = NAN,
    };
}

void duet_finding_clear(DuetFinding *finding)
{
    g_clear_pointer(&finding->why, g_free);
    g_clear_pointer(&finding->seen, g_free);
}

void duet_finding_set(DuetFinding *finding, DuetFindingVerdict verdict, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_free(finding->why);
    finding->why = g_strdup_vprintf(_(format), args);
    va_end(args);
    finding->verdict = verdict;
}

void duet_finding_figure(
    DuetFinding *finding, const char *unit, double value, double low, double high)
{
    finding->unit = unit;
    finding->value = value;
    finding->low = low;
    finding->high = high;
}

void duet_finding_direction(
    DuetFinding *finding, double low, double high, gboolean tcg, const char *seen)
{
    if (isnan(low) || isnan(high))
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "too few samples for an interval");
    else if (high < 1)
        duet_finding_set(finding, DUET_FINDING_FAILS, "%s", seen);
    else if (low <= 1)
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "the interval includes 1");
    else if (tcg) {
        duet_finding_set(finding, DUET_FINDING_UNDECIDED,
            "no KVM: emulation favours this direction, so it proves nothing");
        finding->is_bound = TRUE;
    } else
        duet_finding_set(finding, DUET_FINDING_HOLDS, "%s", seen);
}

void duet_finding_judge(DuetFinding *finding, double p_holm)
{
    const DuetContrast *contrast = &finding->contrast;

    if (!finding->contrasted)
        return;
    finding->contrast.p_holm = p_holm;
    if (!(p_holm < DUET_STATS_SIGNIFICANT))
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "no difference shown (p %.3f)", p_holm);
    else if (!(duet_contrast_effect(contrast) > finding->floor))
        duet_finding_set(finding, DUET_FINDING_UNDECIDED,
            "the difference is below the floor of %g %%", 100 * finding->floor);
    else {
        g_autofree char *p = duet_text_p(p_holm);
        g_autofree char *seen = g_strdup_printf(
            "%s%sp %s", finding->seen ? finding->seen : "", finding->seen ? "; " : "", p);
        duet_finding_direction(
            finding, contrast->ratio_low, contrast->ratio_high, finding->tcg, seen);
    }
}
