/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "environment.h"

#include <string.h>

#include "record.h"
#include "words.h"

/* A hypervisor below took more than this share of the CPU time that was wanted. */
#define STEAL_LIMIT 0.01

/* In the file they are English; N_() marks those that a report can show in another language. */
static void warn(GPtrArray *warnings, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void warn(GPtrArray *warnings, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(warnings, g_strdup_vprintf(format, args));
    va_end(args);
}

gboolean duet_environment_under_tcg(JsonObject *host)
{
    return g_strcmp0(duet_record_string(host, "cpu.hypervisor"), "tcg") == 0;
}

static void warn_of_cpu(GPtrArray *warnings, JsonObject *host)
{
    const char *governor = duet_record_string(host, "cpu.governor");
    double load = 0, online = 1;

    duet_record_number(host, "load_1min", &load);
    duet_record_number(host, "cpu.online", &online);
    if (load > online / 2)
        warn(warnings, "the host was busy before the run: load %.2f on %.0f CPUs%s", load, online,
            json_object_has_member(host, DUET_ENVIRONMENT_LOAD_OWN)
                ? " (an average of a minute, with what the same command measured in it)"
                : "");
    if (governor && strcmp(governor, "performance") != 0)
        warn(warnings, "CPU frequency governor is '%s', not 'performance'", governor);
}

static void warn_of_memory(GPtrArray *warnings, JsonObject *host)
{
    const char *damon = duet_record_string(host, "memory.damon_reclaim");
    double ksm = 0, swap = 0, swap_free = 0;

    duet_record_number(host, "memory.ksm_run", &ksm);
    if (ksm == 1)
        warn(warnings, N_("KSM runs: it merges pages and takes CPU time"));
    if (duet_record_number(host, "memory.swap_bytes", &swap) &&
        duet_record_number(host, "memory.swap_free_bytes", &swap_free) && swap > swap_free)
        warn(warnings, "%.0f MiB of swap are in use", (swap - swap_free) / (1 << 20));
    if (damon && strcmp(damon, "Y") == 0)
        warn(warnings, N_("DAMON reclaims memory that is idle: what was warm cools by itself"));
}

GPtrArray *duet_environment_warnings(JsonObject *host, JsonObject *tool)
{
    GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
    const char *flags = duet_record_string(tool, "build_flags");

    if (duet_environment_under_tcg(host))
        warn(warnings,
            N_("nested under TCG: this host's own CPUs are emulated; publish none of this"));
    warn_of_cpu(warnings, host);
    warn_of_memory(warnings, host);
    if (flags && g_str_has_prefix(flags, "sanitize"))
        warn(warnings, N_("this duet was built with sanitizers: it is slow"));
    return warnings;
}

GPtrArray *duet_environment_warnings_after(JsonObject *host)
{
    GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
    double steal = 0, swapped = 0;

    duet_record_number(host, "during_run.steal", &steal);
    duet_record_number(host, "during_run.swapped_in_bytes", &swapped);
    if (steal > STEAL_LIMIT)
        warn(warnings, "a hypervisor below took %.1f %% of this host's CPU time during the run",
            100 * steal);
    if (swapped > 0)
        warn(warnings, "%.1f MiB were swapped in during the run", swapped / (1 << 20));
    return warnings;
}

/* The bits of lru_gen/enabled: "0x0007". */
void duet_environment_memory_warnings(JsonObject *host, GPtrArray *warnings)
{
    const char *zswap = duet_record_string(host, "memory.zswap");
    const char *mglru = duet_record_string(host, "memory.mglru");

    if (zswap && *zswap && !strchr("N0", *zswap))
        warn(warnings, N_("zswap is on: what it compresses is in no PSS"));
    if (mglru && g_ascii_strtoull(mglru, NULL, 0) != 0)
        warn(warnings, N_("MGLRU is on: it may age pages, and take them, without pressure"));
}
