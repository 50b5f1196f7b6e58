/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-suite.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "cli/bench-part.h"

#define SUITE_FILE "suite.conf"
#define SUITE_GROUP "suite"

void duet_bench_suite_clear(DuetBenchSuite *suite)
{
    duet_bench_cli_clear(&suite->options);
    g_free(suite->folder);
    g_free(suite->budget);
    g_free(suite->cut);
    g_clear_pointer(&suite->begun, g_ptr_array_unref);
    *suite = (DuetBenchSuite){ 0 };
}

const char *duet_bench_suite_verb(gboolean quick)
{
    return quick ? "bench quick" : "bench all";
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

gboolean duet_bench_suite_parse(
    DuetBenchSuite *suite, char *const *words, gboolean quick, GError **error)
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
    return duet_bench_cli_parse(
               &suite->options, duet_bench_suite_verb(quick), entries, 0, argc, argv, error) &&
        parse_duration(suite->budget, &suite->budget_s, error);
}

char *duet_bench_suite_path(const DuetBenchSuite *suite, const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);

    return g_build_filename(suite->folder, file, NULL);
}

gboolean duet_bench_suite_has(const DuetBenchSuite *suite, const char *name, const char *suffix)
{
    g_autofree char *path = duet_bench_suite_path(suite, name, suffix);
    struct stat st;

    /* Of a run that was killed before its first sample an empty file is left. */
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

gboolean duet_bench_suite_save(const DuetBenchSuite *suite, GError **error)
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

gboolean duet_bench_suite_load(
    DuetBenchSuite *suite, gboolean quick, char ***out_words, GError **error)
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
    duet_bench_suite_clear(suite);
    if (!duet_bench_suite_parse(suite, words, quick, error))
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

static gboolean is_begun(const DuetBenchSuite *suite, const char *name)
{
    return g_ptr_array_find_with_equal_func(suite->begun, name, g_str_equal, NULL);
}

/* Figures of another run would be taken for this one's, and no claim would tell. */
static gboolean check_own(const DuetBenchSuite *suite, GError **error)
{
    static const char *const suffixes[] = { ".json", ".json.part" };

    for (const DuetBenchPart *part = duet_bench_parts; part->name; part++) {
        for (gsize i = 0; i < G_N_ELEMENTS(suffixes) && !is_begun(suite, part->name); i++) {
            if (!duet_bench_suite_has(suite, part->name, suffixes[i]))
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
static gboolean make_folder(const DuetBenchSuite *suite, GError **error)
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

gboolean duet_bench_suite_prepare(const DuetBenchSuite *suite, GError **error)
{
    if (!suite->resume && !make_folder(suite, error))
        return FALSE;
    return check_own(suite, error) && (suite->resume || duet_bench_suite_save(suite, error));
}

gboolean duet_bench_suite_begin(DuetBenchSuite *suite, const char *name, GError **error)
{
    if (is_begun(suite, name))
        return TRUE;
    g_ptr_array_add(suite->begun, g_strdup(name));
    return duet_bench_suite_save(suite, error);
}

void duet_bench_suite_forget(const DuetBenchSuite *suite)
{
    g_autofree char *known = g_build_filename(suite->folder, SUITE_FILE, NULL);

    unlink(known);
    for (guint i = 0; i < suite->begun->len; i++) {
        g_autofree char *path = duet_bench_suite_path(suite, suite->begun->pdata[i], ".json");
        unlink(path);
    }
    rmdir(suite->folder); /* unless there is something of the user's in it */
}
