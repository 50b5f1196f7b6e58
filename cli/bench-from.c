/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench boot --from`. */
#include "cli/bench-cli.h"

#include <duet/error.h>

/* Returns: FALSE if @text is no list of the two, each at most once. */
static gboolean read_words(const char *text, gboolean *out_saved, gboolean *out_cold)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);

    *out_saved = *out_cold = FALSE;
    for (char **word = words; *word; word++) {
        gboolean *named = g_str_equal(*word, "saved") ? out_saved
            : g_str_equal(*word, "cold")              ? out_cold
                                                      : NULL;
        if (!named || *named)
            return FALSE;
        *named = TRUE;
    }
    return *out_saved || *out_cold;
}

static gboolean has_vm(const DuetBenchCli *options)
{
    g_auto(GStrv) kinds = g_strsplit(options->kinds, ",", -1);

    for (char **kind = kinds; *kind; kind++)
        if (g_str_equal(g_strstrip(*kind), "vm"))
            return TRUE;
    return FALSE;
}

/* What a restored payload says of itself: it goes on, and does not begin. */
static gboolean tells_of_restored(const char *ready)
{
    return g_str_equal(ready, "exec") || g_str_has_prefix(ready, "cmd:") ||
        g_str_has_prefix(ready, "tcp:");
}

static const char *find_fault(const DuetBenchCli *options)
{
    if (!has_vm(options))
        return "--from saved is for VMs, and --arms has no vm: containers have no saved state";
    if (duet_bench_cli_load(options))
        return "--parallel and --rate start VMs cold; leave --from out";
    if (options->peers || options->peer_files)
        return "--from saved is not for runs with foreign engines, which are timed as whole "
               "commands; leave --peers out";
    if (options->ready && !tells_of_restored(options->ready))
        return "with --from saved --ready must be exec, cmd:COMMAND or tcp:PORT: a restored "
               "payload goes on, and does not write again what it wrote when it began";
    return NULL;
}

gboolean duet_bench_cli_check_from(DuetBenchCli *options, GError **error)
{
    gboolean saved, cold;

    if (!options->from)
        return TRUE;
    if (!read_words(options->from, &saved, &cold)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--from '%s': use saved, cold (the default), or saved,cold for both beside each other",
            options->from);
        return FALSE;
    }
    g_clear_pointer(&options->from, g_free);
    if (!saved)
        return TRUE;
    const char *what = find_fault(options);
    if (what) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "bench boot: %s; try `duet bench boot --help`", what);
        return FALSE;
    }
    options->from = g_strdup(cold ? DUET_BENCH_FROM_BOTH : DUET_BENCH_FROM_SAVED);
    if (!options->ready)
        options->ready = g_strdup("exec");
    /* What ends by itself has no state that could be saved. */
    options->idle = TRUE;
    return TRUE;
}
