/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-sampler.h"

#include <string.h>

#include "bench/text.h"
#include "overhead-analysis.h"

/* Of what a tool that failed wrote: enough to see why. */
#define WROTE_MAX 200

static char *text_of(const DuetCaptured *captured)
{
    gsize length = 0;
    const char *bytes = captured ? g_bytes_get_data(captured->kept, &length) : NULL;

    /* A text ends at its first NUL, as it does for whoever reads it. */
    return bytes ? g_strndup(bytes, length) : g_strdup("");
}

static void warn_what_it_wrote(DuetSample *sample, const DuetCaptured *captured)
{
    g_autofree char *text = text_of(captured);

    g_strstrip(text);
    gsize length = strlen(text);
    g_autofree char *line = duet_text_line(length > WROTE_MAX ? text + length - WROTE_MAX : text);
    if (*line)
        duet_sample_warn(sample, "its tool wrote: %s", line);
}

void duet_overhead_sampler_read(DuetSample *sample, const DuetOverheadTest *test,
    const DuetCaptured *out, const DuetCaptured *err)
{
    g_autoptr(DuetOverheadPoint) point = duet_overhead_point_new(test);
    g_autofree char *output = text_of(out);
    g_autoptr(GError) error = NULL;

    if (sample->status == DUET_SAMPLE_OK && test->parse(output, point, &error)) {
        sample->overhead = g_steal_pointer(&point);
        return;
    }
    if (error) {
        sample->status = DUET_SAMPLE_FAILED;
        g_free(sample->error);
        sample->error = g_strdup(error->message);
    }
    warn_what_it_wrote(sample, err);
    warn_what_it_wrote(sample, out);
}

gboolean duet_overhead_sampler_take(DuetSample *sample, gpointer data, GError **error)
{
    DuetInstanceSampler *sampler = data;

    if (!duet_instance_sampler_take(sample, sampler, error))
        return FALSE;
    duet_overhead_sampler_read(sample,
        duet_overhead_arm_test(duet_run_arm(sampler->run, sample->arm)),
        sampler->captured_stdout[sample->arm], sampler->captured_stderr[sample->arm]);
    return TRUE;
}
