/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench boot --parallel` and `--rate`. */
#include "cli/bench-cli.h"

#include <stdlib.h>

#include <duet/error.h>

/* Rates are kept in thousandths. */
#define RATE_MIN 0.001
#define BATCH_MAX_S 86400.0

gboolean duet_bench_cli_load(const DuetBenchCli *options)
{
    return options->parallel || options->rate;
}

gboolean duet_bench_cli_check_load(const DuetBenchCli *options, GError **error)
{
    const char *what = options->parallel && options->rate
        ? "--parallel and --rate are two measurements; give one of them"
        : options->starts != 0 && !options->rate ? "--starts is for --rate"
        : options->starts < 0 || options->starts > DUET_BENCH_LEVEL_MAX
        ? "--starts must be from 1 to 1000"
        : !duet_bench_cli_load(options) ? NULL
        : options->peers || options->peer_files
        ? "--parallel and --rate are not for runs with foreign engines; leave --peers out"
        : options->ready      ? "--parallel and --rate run payloads to their end; leave --ready out"
        : options->cache_mode ? "--parallel and --rate measure with a warm cache; leave --cache out"
        : options->n > DUET_BENCH_ROUNDS_MAX
        ? "with --parallel or --rate -n must be from 1 to 100: each is a batch of starts"
        : NULL;

    if (what)
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "bench boot: %s; try `duet bench boot --help`", what);
    return !what;
}

static gboolean read_level(const char *word, guint *out_level)
{
    guint64 number;

    if (!g_ascii_string_to_unsigned(word, 10, 1, DUET_BENCH_LEVEL_MAX, &number, NULL))
        return FALSE;
    *out_level = (guint)number;
    return TRUE;
}

static gboolean read_rate(const char *word, guint *out_rate)
{
    char *end = NULL;
    double number = g_ascii_strtod(word, &end);

    if (!g_ascii_isdigit(*word) || *end || !(number >= RATE_MIN && number <= DUET_BENCH_RATE_MAX))
        return FALSE;
    *out_rate = (guint)(number * 1000 + 0.5);
    return TRUE;
}

static gboolean read_words(const char *text, gboolean rate, GArray *levels)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);

    for (char **word = words; *word; word++) {
        guint level;
        if (levels->len == DUET_BENCH_COUNTS_MAX ||
            !(rate ? read_rate(*word, &level) : read_level(*word, &level)))
            return FALSE;
        for (guint i = 0; i < levels->len; i++) {
            if (g_array_index(levels, guint, i) == level)
                return FALSE;
        }
        g_array_append_val(levels, level);
    }
    return levels->len > 0;
}

GArray *duet_bench_cli_levels(const DuetBenchCli *options, guint *out_starts, GError **error)
{
    g_autoptr(GArray) levels = g_array_new(FALSE, FALSE, sizeof(guint));
    gboolean rate = options->rate != NULL;
    guint starts = options->starts > 0 ? (guint)options->starts : DUET_BENCH_STARTS_DEFAULT;

    if (!read_words(rate ? options->rate : options->parallel, rate, levels)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "%s '%s': give up to %d different %s, with commas", rate ? "--rate" : "--parallel",
            rate ? options->rate : options->parallel, DUET_BENCH_COUNTS_MAX,
            rate ? "numbers of starts per second from 0.001 to 1000"
                 : "whole numbers of starts from 1 to 1000");
        return NULL;
    }
    for (guint i = 0; rate && i < levels->len; i++) {
        double per_s = g_array_index(levels, guint, i) / 1000.0;
        if (starts / per_s <= BATCH_MAX_S)
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--rate %.7g: a batch of %u starts would take longer than a day; give a higher rate or "
            "fewer --starts",
            per_s, starts);
        return NULL;
    }
    *out_starts = rate ? starts : 0;
    return g_steal_pointer(&levels);
}
