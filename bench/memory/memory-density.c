/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many fit: by what one more has resident, and by what was set aside for it. */
#include <math.h>

#include "bench/result/json.h"
#include "bench/result/record.h"
#include "bench/text.h"
#include "memory-view.h"

#define GIB (1024.0 * 1024 * 1024)

double duet_memory_reserved(const DuetRunArm *arm)
{
    double bytes;

    if (duet_record_number(arm->driver, "memory_bytes", &bytes) && bytes > 0)
        return bytes;
    return arm->memory_bytes > 0 ? (double)arm->memory_bytes : NAN;
}

double duet_memory_per_gib(double bytes)
{
    return bytes > 0 ? GIB / bytes : NAN;
}

static double resident(const DuetRun *run, const DuetMemoryAnalysis *analysis, guint arm)
{
    (void)run;
    return duet_memory_per_gib(analysis->arms[arm].lines[DUET_MEMORY_PSS].slope);
}

static double reserved(const DuetRun *run, const DuetMemoryAnalysis *analysis, guint arm)
{
    (void)analysis;
    return duet_memory_per_gib(duet_memory_reserved(duet_run_arm(run, arm)));
}

static const DuetMemoryDensity rows[] = {
    { "resident, by PSS", resident },
    { "reserved, by its limit", reserved },
    { NULL, NULL },
};

const DuetMemoryDensity *duet_memory_density(void)
{
    return rows;
}

char *duet_memory_density_text(double per_gib)
{
    return isnan(per_gib) ? g_strdup("n/a") : duet_text_ratio(per_gib);
}

JsonObject *duet_memory_density_json(
    const DuetRun *run, const DuetMemoryAnalysis *analysis, guint arm)
{
    const DuetLine *line = &analysis->arms[arm].lines[DUET_MEMORY_PSS];
    JsonObject *object = json_object_new();

    duet_json_set_double(object, "resident", duet_memory_per_gib(line->slope));
    /* Less for each is more of them. */
    duet_json_set_double(object, "resident_low", duet_memory_per_gib(line->slope_high));
    duet_json_set_double(object, "resident_high", duet_memory_per_gib(line->slope_low));
    duet_json_set_double(object, "reserved", reserved(run, analysis, arm));
    return object;
}
