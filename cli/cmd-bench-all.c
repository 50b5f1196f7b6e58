/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench all` and `bench quick`: the benchmarks one after the other, a result file of each in one
 * folder, and the claims at the end. What a sample takes is known from a trial; a budget then says
 * how many there are, which is fixed before each benchmark begins. */
#include "cli/bench-part.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#define SUITE_FILE "suite.conf"
#define SUITE_GROUP "suite"

/**
 * Suite: what `bench all` was told and knows.
 * @words: (transfer none): all that, as it was typed
 * @folder: where the results go
 * @budget: for all together; @budget_s: in seconds
 * @block_s: what one sample of each arm takes, from start to gone; 0: a trial is to tell
 * @begun: (element-type utf8): the benchmarks whose files in @folder are this run's
 * @cut: (nullable): the benchmark that the user interrupted: its result is there, and not complete
 */
typedef struct {
    DuetBenchCli options;
    char *const *words;
    char *folder;
    gboolean resume;
    char *budget;
    double budget_s;
    double block_s;
    GPtrArray *begun;
    char *cut;
} Suite;

static double share(const DuetBenchPart *part, gboolean quick)
{
    return quick ? part->quick : part->all;
}

/* "90", "90s", "20m" or "1.5h". */
static gboolean parse_duration(const char *text, double *out_s, GError **error)
{
    static const struct {
        const char *unit;
        double s;
    } units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 } };
    char *end = NULL;
    double number = g_ascii_strtod(text, &end);

    for (gsize i = 0; i < G_N_ELEMENTS(units) && end != text; i++) {
        if (!g_str_equal(end, units[i].unit))
            continue;
        *out_s = number * units[i].s;
        if (*out_s >= 1 && *out_s <= 7 * 86400)
            return TRUE;
    }
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--budget '%s': give a time from 1s to 168h, such as 90s, 20m or 2h", text);
    return FALSE;
}

static char *result_path(const Suite *suite, const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);

    return g_build_filename(suite->folder, file, NULL);
}

/* Of a run that was killed before its first sample an empty file is left. */
static gboolean exists(const Suite *suite, const char *name, const char *suffix)
{
    g_autofree char *path = result_path(suite, name, suffix);
    struct stat st;

    return stat(path, &st) == 0 && st.st_size > 0;
}

static void write_words(GKeyFile *file, char *const *words)
{
    g_autoptr(GPtrArray) escaped = g_ptr_array_new_with_free_func(g_free);

    /* A key file is UTF-8, a word may be anything. */
    for (; *words; words++)
        g_ptr_array_add(escaped, g_strescape(*words, NULL));
    g_key_file_set_string_list(
        file, SUITE_GROUP, "words", (const char *const *)escaped->pdata, escaped->len);
}

static char **read_words(GKeyFile *file, GError **error)
{
    char **words = g_key_file_get_string_list(file, SUITE_GROUP, "words", NULL, error);

    for (char **word = words; word && *word; word++) {
        char *plain = g_strcompress(*word);
        g_free(*word);
        *word = plain;
    }
    return words;
}

/* What the run is, and how many samples there are: one that is resumed has the same. */
static gboolean save(const Suite *suite, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = g_build_filename(suite->folder, SUITE_FILE, NULL);

    write_words(file, suite->words);
    g_key_file_set_double(file, SUITE_GROUP, "block_s", suite->block_s);
    g_key_file_set_string(file, SUITE_GROUP, "seed", suite->options.seed);
    g_key_file_set_string_list(
        file, SUITE_GROUP, "begun", (const char *const *)suite->begun->pdata, suite->begun->len);
    if (suite->cut)
        g_key_file_set_string(file, SUITE_GROUP, "interrupted", suite->cut);
    return g_key_file_save_to_file(file, path, error);
}

/* Whether @word says again what that run was told, or only that it is to go on. */
static gboolean is_of_run(const char *word, const char *folder, char *const *words)
{
    g_autofree char *brief = g_strconcat("-o", folder, NULL);
    g_autofree char *full = g_strconcat("--output=", folder, NULL);
    const char *const again[] = { "--resume", "-o", "--output", folder, brief, full, NULL };

    return g_strv_contains(again, word) || g_strv_contains((const char *const *)words, word);
}

static const char *verb(gboolean quick)
{
    return quick ? "bench quick" : "bench all";
}

static gboolean parse(Suite *suite, char *const *words, gboolean quick, GError **error);
static void clear_suite(Suite *suite);

/* @suite becomes what the run in its folder was told, and what that knew. */
static gboolean load(Suite *suite, gboolean quick, char ***out_words, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *folder = g_strdup(suite->folder);
    g_autofree char *path = g_build_filename(folder, SUITE_FILE, NULL);
    g_autoptr(GError) failure = NULL;

    char **words = g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &failure)
        ? read_words(file, &failure)
        : NULL;
    *out_words = words;
    g_autofree char *seed = g_key_file_get_string(file, SUITE_GROUP, "seed", NULL);
    double block_s = g_key_file_get_double(file, SUITE_GROUP, "block_s", NULL);
    if (!words || !seed || !(block_s >= 0)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "nothing to resume: cannot read '%s': %s", path,
            failure ? failure->message : "its figures make no sense");
        return FALSE;
    }
    for (char *const *word = suite->words; *word; word++) {
        if (is_of_run(*word, folder, words))
            continue;
        g_autofree char *typed = g_strjoinv(" ", words);
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot resume with '%s': the run in '%s' is that of `duet bench %s`, and goes on with "
            "--resume -o %s",
            *word, folder, typed, folder);
        return FALSE;
    }
    clear_suite(suite);
    if (!parse(suite, words, quick, error))
        return FALSE;
    g_free(suite->folder);
    suite->folder = g_steal_pointer(&folder);
    g_free(suite->options.seed);
    suite->options.seed = g_steal_pointer(&seed);
    suite->block_s = block_s;
    suite->cut = g_key_file_get_string(file, SUITE_GROUP, "interrupted", NULL);
    g_auto(GStrv) begun = g_key_file_get_string_list(file, SUITE_GROUP, "begun", NULL, NULL);
    for (char **name = begun; name && *name; name++)
        g_ptr_array_add(suite->begun, g_strdup(*name));
    suite->resume = TRUE;
    return TRUE;
}

static gboolean is_begun(const Suite *suite, const char *name)
{
    return g_ptr_array_find_with_equal_func(suite->begun, name, g_str_equal, NULL);
}

/* Figures of another run would be taken for this one's, and no claim would tell. */
static gboolean check_own(const Suite *suite, GError **error)
{
    static const char *const suffixes[] = { ".json", ".json.part" };

    for (const DuetBenchPart *part = duet_bench_parts; part->name; part++) {
        for (gsize i = 0; i < G_N_ELEMENTS(suffixes) && !is_begun(suite, part->name); i++) {
            if (!exists(suite, part->name, suffixes[i]))
                continue;
            g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
                "'%s/%s%s' is there already, and not of this run: move it away, or give another -o",
                suite->folder, part->name, suffixes[i]);
            return FALSE;
        }
    }
    return TRUE;
}

/* A folder is one run's: nothing is overwritten. */
static gboolean make_folder(const Suite *suite, GError **error)
{
    if (mkdir(suite->folder, 0777) < 0 && errno != EEXIST)
        return duet_error_set_errno(error, errno, "cannot make the folder '%s'", suite->folder);
    g_autofree char *path = g_build_filename(suite->folder, SUITE_FILE, NULL);
    if (access(path, F_OK) < 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
        "'%s' holds a run already: give --resume to go on with it, or another -o", suite->folder);
    return FALSE;
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
static gboolean trial(DuetCli *cli, Suite *suite, int *out_code, GError **error)
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

/* Known before there is a file: one that is killed goes on with it. */
static gboolean begin_part(Suite *suite, const char *name, GError **error)
{
    if (is_begun(suite, name))
        return TRUE;
    g_ptr_array_add(suite->begun, g_strdup(name));
    return save(suite, error);
}

/* Returns: the exit code of the benchmark, or -1 with @error. */
static int carry_out(
    DuetCli *cli, Suite *suite, const DuetBenchPart *part, double share_s, GError **error)
{
    DuetBenchCli options = suite->options;
    g_autofree char *path = result_path(suite, part->name, ".json");
    g_autofree char *kinds = duet_bench_cli_common(suite->options.kinds, part->kinds);
    g_autofree char *text = NULL;
    int code = -1;

    if (!*kinds)
        return 0;

    gboolean cut = g_strcmp0(suite->cut, part->name) == 0;
    if (!cut && exists(suite, part->name, ".json")) {
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
    options.resume = cut || (suite->resume && exists(suite, part->name, ".json.part"));
    if (takes_s > share_s)
        fprintf(stderr,
            "duet: %s: about %.0f s, more than its part of the budget: fewer samples would tell "
            "nothing\n",
            part->name, takes_s);
    else
        announce("%s: about %.0f s", part->name, takes_s);
    if (!begin_part(suite, part->name, error))
        return -1;
    if (!duet_bench_cli_measure(cli, &options, part->what, &text, &code, error))
        return -1;
    printf("\n=== %s: %s\n\n%s", part->name, path, text);
    fflush(stdout);
    if (code != DUET_BENCH_EXIT_UNSAVED && cut != (code == DUET_BENCH_EXIT_INTERRUPTED)) {
        g_free(suite->cut);
        suite->cut = cut ? NULL : g_strdup(part->name);
        if (!save(suite, error))
            return -1;
    }
    return code;
}

/* What the figures say of the claims; those that need none are tried with the kinds wanted. */
static int judge(DuetCli *cli, const Suite *suite)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_autofree char *kinds = duet_bench_cli_common("vm,container", suite->options.kinds);

    g_strv_builder_add(words, "claims");
    duet_bench_cli_add_options(words, &suite->options.run, TRUE);
    g_strv_builder_add(words, suite->options.image);
    if (!strchr(kinds, ','))
        g_strv_builder_add_many(words, "--arms", suite->options.kinds, NULL);
    for (const DuetBenchPart *part = duet_bench_parts; part->name; part++) {
        g_autofree char *path = result_path(suite, part->name, ".json");
        /* No claim rests on what has an image or a payload of its own. */
        if (!part->own && access(path, F_OK) == 0)
            g_strv_builder_add_many(words, "--results", path, NULL);
    }
    g_auto(GStrv) argv = g_strv_builder_end(words);
    announce("claims: about a minute");
    printf("\n=== claims\n\n");
    return duet_bench_claims(cli, (int)g_strv_length(argv), argv);
}

/* What does not come to a trial of its own payload is no run. */
static void forget(const Suite *suite)
{
    g_autofree char *known = g_build_filename(suite->folder, SUITE_FILE, NULL);

    unlink(known);
    for (guint i = 0; i < suite->begun->len; i++) {
        g_autofree char *path = result_path(suite, suite->begun->pdata[i], ".json");
        unlink(path);
    }
    rmdir(suite->folder); /* unless there is something of the user's in it */
}

/* Returns: 0, DUET_BENCH_EXIT_INTERRUPTED, or -1 with @error. */
static int try_out(DuetCli *cli, Suite *suite, GError **error)
{
    int code = -1;

    if (suite->block_s > 0)
        return 0;
    if (trial(cli, suite, &code, error)) {
        if (code == 0)
            return save(suite, error) ? 0 : -1;
        if (code == DUET_BENCH_EXIT_INTERRUPTED)
            return code;
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "nothing was measured: the payload failed in a trial; `duet bench boot -n 1` tells "
            "how");
    }
    if (!suite->resume)
        forget(suite);
    return -1;
}

/* Returns: the exit code, or -1 with @error. */
static int run_parts(DuetCli *cli, Suite *suite, gboolean quick, GError **error)
{
    int worst = 0;

    if (!suite->resume && !make_folder(suite, error))
        return -1;
    if (!check_own(suite, error) || (!suite->resume && !save(suite, error)))
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

static void clear_suite(Suite *suite)
{
    duet_bench_cli_clear(&suite->options);
    g_free(suite->folder);
    g_free(suite->budget);
    g_free(suite->cut);
    g_clear_pointer(&suite->begun, g_ptr_array_unref);
    *suite = (Suite){ 0 };
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Suite, clear_suite)

static gboolean parse(Suite *suite, char *const *words, gboolean quick, GError **error)
{
    static char *echo[] = { (char *)"echo", NULL };
    int argc = (int)g_strv_length((char **)words);
    /* Options are taken out of it. */
    g_autofree char **argv = g_memdup2(words, (argc + 1) * sizeof *words);

    duet_bench_cli_init(&suite->options, DUET_BENCH_CLI_ARMS, echo);
    suite->words = words;
    suite->begun = g_ptr_array_new_with_free_func(g_free);
    suite->budget = g_strdup(quick ? "3m" : "20m");
    suite->options.budget = g_strdup("4G");
    /* A run that goes on knows its image. */
    if (g_strv_contains((const char *const *)words, "--resume"))
        suite->options.default_image = "";
    const GOptionEntry end = G_OPTION_ENTRY_NULL;
    const GOptionEntry density = { "memory-budget", 0, 0, G_OPTION_ARG_FILENAME,
        &suite->options.budget, "what the instances of density may need together (default 4G)",
        "SIZE" };
    const GOptionEntry entries[] = {
        { "arms", 0, 0, G_OPTION_ARG_FILENAME, &suite->options.kinds,
            "what to compare: vm, container, native (default: all three)", "KIND,..." },
        { "budget", 0, 0, G_OPTION_ARG_FILENAME, &suite->budget,
            quick ? "how long it may take (default 3m)" : "how long it may take (default 20m)",
            "TIME" },
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &suite->folder,
            "folder of the results (default: duet-bench- and the time)", "FOLDER" },
        { "resume", 0, 0, G_OPTION_ARG_NONE, &suite->resume,
            "go on with a folder whose run was cut short, as it was told", NULL },
        { "seed", 0, 0, G_OPTION_ARG_FILENAME, &suite->options.seed,
            "seed of the orders and of all resampling", "NUMBER" },
        quick ? end : density,
        end,
    };
    return duet_bench_cli_parse(&suite->options, verb(quick), entries, 0, argc, argv, error) &&
        parse_duration(suite->budget, &suite->budget_s, error);
}

static int run_suite(DuetCli *cli, char *const *words, gboolean quick)
{
    g_auto(Suite) suite = { 0 };
    g_auto(GStrv) was = NULL;
    g_autoptr(GError) error = NULL;

    if (!parse(&suite, words, quick, &error))
        return duet_cli_fail(error);
    if (suite.resume && !suite.folder)
        return duet_cli_usage(verb(quick), "--resume needs -o FOLDER: which run is to go on?");
    if (suite.resume && !load(&suite, quick, &was, &error))
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
