/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench all` and `bench quick`: the benchmarks one after the other, a result file of each in one
 * folder, and the claims at the end. What a sample takes is known from a trial; a budget then says
 * how many there are, which is fixed before each benchmark begins. */
#include "cli/bench-part.h"
#include "cli/bench-suite.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>

static double share(const DuetBenchPart *part, gboolean quick)
{
    return quick ? part->quick : part->all;
}

/* What comes now, for who is watching. */
static G_GNUC_PRINTF(1, 2) void announce(const char *format, ...)
{
    va_list args;

    if (!isatty(STDERR_FILENO))
        return;
    va_start(args, format);
    fputs("duet: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* Two: what the first use of an image makes must not count. */
static gboolean trial(DuetCli *cli, DuetBenchSuite *suite, int *out_code, GError **error)
{
    DuetBenchCli options = suite->options;
    g_autofree char *text = NULL;

    options.n = 1;
    announce("a trial, to know what a sample takes");
    for (int i = 0; i < 2; i++) {
        gint64 began_us = g_get_monotonic_time();
        g_free(g_steal_pointer(&text));
        if (!duet_bench_cli_measure(cli, &options, DUET_BENCH_BOOT, &text, out_code, error))
            return FALSE;
        suite->block_s = (g_get_monotonic_time() - began_us) / 1e6 / 2;
        if (*out_code != 0)
            break;
    }
    return TRUE;
}

/* Returns: the exit code of the benchmark, or -1 with @error. */
static int carry_out(
    DuetCli *cli, DuetBenchSuite *suite, const DuetBenchPart *part, double share_s, GError **error)
{
    DuetBenchCli options = suite->options;
    g_autofree char *path = duet_bench_suite_path(suite, part->name, ".json");
    g_autofree char *kinds = duet_bench_cli_common(suite->options.kinds, part->kinds);
    g_autofree char *text = NULL;
    int code = -1;

    if (!*kinds)
        return 0;

    gboolean cut = g_strcmp0(suite->cut, part->name) == 0;
    if (!cut && duet_bench_suite_has(suite, part->name, ".json")) {
        fprintf(stderr, "duet: %s: '%s' is measured already\n", part->name, path);
        return 0;
    }
    options.kinds = kinds;
    options.output = path;
    options.after_own = TRUE;
    int own = part->own ? part->own(cli, &options) : 0;
    if (own != 0)
        return own == DUET_BENCH_EXIT_INTERRUPTED ? own : 0;
    double takes_s = part->fit(suite->block_s, share_s, &options);
    options.resume =
        cut || (suite->resume && duet_bench_suite_has(suite, part->name, ".json.part"));
    if (takes_s > share_s)
        fprintf(stderr,
            "duet: %s: about %.0f s, more than its part of the budget: fewer samples would tell "
            "nothing\n",
            part->name, takes_s);
    else
        announce("%s: about %.0f s", part->name, takes_s);
    if (!duet_bench_suite_begin(suite, part->name, error))
        return -1;
    if (!duet_bench_cli_measure(cli, &options, part->what, &text, &code, error))
        return -1;
    printf("\n=== %s: %s\n\n%s", part->name, path, text);
    fflush(stdout);
    if (code != DUET_BENCH_EXIT_UNSAVED && cut != (code == DUET_BENCH_EXIT_INTERRUPTED)) {
        g_free(suite->cut);
        suite->cut = cut ? NULL : g_strdup(part->name);
        if (!duet_bench_suite_save(suite, error))
            return -1;
    }
    return code;
}

/* What the figures say of the claims; those that need none are tried with the kinds wanted. */
static int judge(DuetCli *cli, const DuetBenchSuite *suite)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_autofree char *kinds = duet_bench_cli_common("vm,container", suite->options.kinds);

    g_strv_builder_add(words, "claims");
    duet_bench_cli_add_options(words, &suite->options.run, TRUE);
    g_strv_builder_add(words, suite->options.image);
    if (!strchr(kinds, ','))
        g_strv_builder_add_many(words, "--arms", suite->options.kinds, NULL);
    for (const DuetBenchPart *part = duet_bench_parts; part->name; part++) {
        g_autofree char *path = duet_bench_suite_path(suite, part->name, ".json");
        /* No claim rests on what has an image or a payload of its own. */
        if (!part->own && access(path, F_OK) == 0)
            g_strv_builder_add_many(words, "--results", path, NULL);
    }
    g_auto(GStrv) argv = g_strv_builder_end(words);
    announce("claims: about a minute");
    printf("\n=== claims\n\n");
    return duet_bench_claims(cli, (int)g_strv_length(argv), argv);
}

/* Returns: 0, DUET_BENCH_EXIT_INTERRUPTED, or -1 with @error. */
static int try_out(DuetCli *cli, DuetBenchSuite *suite, GError **error)
{
    int code = -1;

    if (suite->block_s > 0)
        return 0;
    if (trial(cli, suite, &code, error)) {
        if (code == 0)
            return duet_bench_suite_save(suite, error) ? 0 : -1;
        if (code == DUET_BENCH_EXIT_INTERRUPTED)
            return code;
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "nothing was measured: the payload failed in a trial; `duet bench boot -n 1` tells "
            "how");
    }
    if (!suite->resume)
        duet_bench_suite_forget(suite);
    return -1;
}

/* Returns: the exit code, or -1 with @error. */
static int run_parts(DuetCli *cli, DuetBenchSuite *suite, gboolean quick, GError **error)
{
    int worst = 0;

    if (!duet_bench_suite_prepare(suite, error))
        return -1;
    for (const DuetBenchPart *part = duet_bench_parts; part->name; part++) {
        double part_share = share(part, quick);
        int code = part->before_trial ? 0 : try_out(cli, suite, error);
        if (code == 0 && part_share > 0)
            code = carry_out(cli, suite, part, part_share * suite->budget_s, error);
        if (code < 0 || code == DUET_BENCH_EXIT_INTERRUPTED || code == DUET_BENCH_EXIT_UNSAVED)
            return code;
        worst = MAX(worst, code);
    }
    /* A claim that does not hold is a finding, not a failure. */
    int code = judge(cli, suite);
    return code > 1 ? code : worst;
}

static int run_suite(DuetCli *cli, char *const *words, gboolean quick)
{
    g_auto(DuetBenchSuite) suite = { 0 };
    g_auto(GStrv) was = NULL;
    g_autoptr(GError) error = NULL;

    if (!duet_bench_suite_parse(&suite, words, quick, &error))
        return duet_cli_fail(error);
    if (suite.resume && !suite.folder)
        return duet_cli_usage(
            duet_bench_suite_verb(quick), "--resume needs -o FOLDER: which run is to go on?");
    if (suite.resume && !duet_bench_suite_load(&suite, quick, &was, &error))
        return duet_cli_fail(error);
    if (!suite.folder) {
        g_autoptr(GDateTime) now = g_date_time_new_now_local();
        suite.folder = g_date_time_format(now, "duet-bench-%Y%m%d-%H%M%S");
    }
    if (!suite.options.seed)
        suite.options.seed = g_strdup_printf("%u", g_random_int());
    int code = run_parts(cli, &suite, quick, &error);
    return code < 0 ? duet_cli_fail(error) : code;
}

int duet_bench_all(DuetCli *cli, int argc, char **argv)
{
    (void)argc;
    return run_suite(cli, argv, FALSE);
}

int duet_bench_quick(DuetCli *cli, int argc, char **argv)
{
    (void)argc;
    return run_suite(cli, argv, TRUE);
}
