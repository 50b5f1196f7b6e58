/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "environment.h"

#include <string.h>

#include "bench/result/record.h"
#include "bench/words.h"

/* A hypervisor below took more than this share of the CPU time that was wanted. */
#define STEAL_LIMIT 0.01

/* In the file they are English: a report shows them in its language. */
typedef struct {
    GPtrArray *texts;
    gboolean translated;
} Warnings;

static Warnings warnings_new(gboolean translated)
{
    return (Warnings){ g_ptr_array_new_with_free_func(g_free), translated };
}

static void warn(const Warnings *warnings, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void warn(const Warnings *warnings, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(
        warnings->texts, g_strdup_vprintf(warnings->translated ? _(format) : format, args));
    va_end(args);
}

gboolean duet_environment_under_tcg(JsonObject *host)
{
    return g_strcmp0(duet_record_string(host, "cpu.hypervisor"), "tcg") == 0;
}

static void warn_of_cpu(const Warnings *warnings, JsonObject *host)
{
    const char *governor = duet_record_string(host, "cpu.governor");
    double load = 0, online = 1;

    duet_record_number(host, "load_1min", &load);
    duet_record_number(host, "cpu.online", &online);
    if (load > online / 2 && json_object_has_member(host, DUET_ENVIRONMENT_LOAD_OWN))
        warn(warnings,
            N_("the host was busy before the run: load %.2f on %.0f CPUs (an average of a minute, "
               "with what the same command measured in it)"),
            load, online);
    else if (load > online / 2)
        warn(
            warnings, N_("the host was busy before the run: load %.2f on %.0f CPUs"), load, online);
    if (governor && strcmp(governor, "performance") != 0)
        warn(warnings, N_("CPU frequency governor is '%s', not 'performance'"), governor);
}

static void warn_of_memory(const Warnings *warnings, JsonObject *host)
{
    const char *damon = duet_record_string(host, "memory.damon_reclaim");
    double ksm = 0, swap = 0, swap_free = 0;

    duet_record_number(host, "memory.ksm_run", &ksm);
    if (ksm == 1)
        warn(warnings, N_("KSM runs: it merges pages and takes CPU time"));
    if (duet_record_number(host, "memory.swap_bytes", &swap) &&
        duet_record_number(host, "memory.swap_free_bytes", &swap_free) && swap > swap_free)
        warn(warnings, N_("%.0f MiB of swap are in use"), (swap - swap_free) / (1 << 20));
    if (damon && strcmp(damon, "Y") == 0)
        warn(warnings, N_("DAMON reclaims memory that is idle: what was warm cools by itself"));
}

static void warn_before(const Warnings *warnings, JsonObject *host, JsonObject *tool)
{
    const char *flags = duet_record_string(tool, "build_flags");

    if (duet_environment_under_tcg(host))
        warn(warnings,
            N_("nested under TCG: this host's own CPUs are emulated; publish none of this"));
    warn_of_cpu(warnings, host);
    warn_of_memory(warnings, host);
    if (flags && g_str_has_prefix(flags, "sanitize"))
        warn(warnings, N_("this duet was built with sanitizers: it is slow"));
}

static void warn_after(const Warnings *warnings, JsonObject *host)
{
    double steal = 0, swapped = 0;

    duet_record_number(host, "during_run.steal", &steal);
    duet_record_number(host, "during_run.swapped_in_bytes", &swapped);
    if (steal > STEAL_LIMIT)
        warn(warnings, N_("a hypervisor below took %.1f %% of this host's CPU time during the run"),
            100 * steal);
    if (swapped > 0)
        warn(warnings, N_("%.1f MiB were swapped in during the run"), swapped / (1 << 20));
}

/* The bits of lru_gen/enabled: "0x0007". */
static void warn_of_memory_figures(const Warnings *warnings, JsonObject *host)
{
    const char *zswap = duet_record_string(host, "memory.zswap");
    const char *mglru = duet_record_string(host, "memory.mglru");

    if (zswap && *zswap && !strchr("N0", *zswap))
        warn(warnings, N_("zswap is on: what it compresses is in no PSS"));
    if (mglru && g_ascii_strtoull(mglru, NULL, 0) != 0)
        warn(warnings, N_("MGLRU is on: it may age pages, and take them, without pressure"));
}

GPtrArray *duet_environment_warnings(JsonObject *host, JsonObject *tool)
{
    Warnings warnings = warnings_new(FALSE);

    warn_before(&warnings, host, tool);
    return warnings.texts;
}

GPtrArray *duet_environment_warnings_after(JsonObject *host)
{
    Warnings warnings = warnings_new(FALSE);

    warn_after(&warnings, host);
    return warnings.texts;
}

void duet_environment_memory_warnings(JsonObject *host, GPtrArray *warnings)
{
    warn_of_memory_figures(&(Warnings){ warnings, FALSE }, host);
}

static GPtrArray *all_of(JsonObject *host, JsonObject *tool, gboolean translated)
{
    Warnings warnings = warnings_new(translated);

    warn_before(&warnings, host, tool);
    warn_after(&warnings, host);
    warn_of_memory_figures(&warnings, host);
    return warnings.texts;
}

GPtrArray *duet_environment_translate(JsonObject *host, JsonObject *tool, const GPtrArray *warnings)
{
    g_autoptr(GPtrArray) english = all_of(host, tool, FALSE);
    g_autoptr(GPtrArray) translated = all_of(host, tool, TRUE);
    GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < warnings->len; i++) {
        const char *text = warnings->pdata[i];
        guint known;
        if (g_ptr_array_find_with_equal_func(english, text, g_str_equal, &known))
            text = translated->pdata[known];
        else if (*text) /* the translation of nothing is about translations */
            text = _(text);
        g_ptr_array_add(texts, g_strdup(text));
    }
    return texts;
}
