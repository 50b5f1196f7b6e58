/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

#include <duet/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/module.h"
#include "core/util.h"

/* One sample per arm and block: more than that is hours, and surely a slip of the finger. */
#define N_MAX 10000
/* Less is less than a container's monitor. */
#define BUDGET_MIN_BYTES (1 << 20)
/* What nobody gives: 0 would be no limit either, to the surprise of who gave it. */
#define NO_MAX G_MININT
#define NO_MAX_LATENCY_S (-G_MAXDOUBLE)
#define SIZE_MIN_BYTES (1 << 20)
#define SIZE_MAX_BYTES (G_GUINT64_CONSTANT(64) << 40)

void duet_bench_cli_init(DuetBenchCli *options, const char *kinds, char **default_argv)
{
    *options = (DuetBenchCli){
        .kinds = g_strdup(kinds),
        .n = DUET_BENCH_N_DEFAULT,
        .timeout_s = DUET_BENCH_TIMEOUT_DEFAULT_MS / 1000.0,
        .floor_percent = DUET_BENCH_FLOOR_DEFAULT * 100,
        .age_s = DUET_BENCH_AGE_DEFAULT_MS / 1000.0,
        .max = NO_MAX,
        .max_latency_s = NO_MAX_LATENCY_S,
        .time_limit_s = DUET_BENCH_TIME_LIMIT_DEFAULT_S,
        .ksm_limit_s = DUET_BENCH_KSM_LIMIT_DEFAULT_S,
        .default_argv = default_argv,
    };
}

void duet_bench_cli_clear(DuetBenchCli *options)
{
    duet_cli_run_options_clear(&options->run);
    g_clear_pointer(&options->kinds, g_free);
    g_clear_pointer(&options->seed, g_free);
    g_clear_pointer(&options->cache_mode, g_free);
    g_clear_pointer(&options->ready, g_free);
    g_clear_pointer(&options->from, g_free);
    g_clear_pointer(&options->output, g_free);
    g_clear_pointer(&options->peers, g_free);
    g_clear_pointer(&options->peer_files, g_strfreev);
    g_clear_pointer(&options->counts, g_free);
    g_clear_pointer(&options->parallel, g_free);
    g_clear_pointer(&options->rate, g_free);
    g_clear_pointer(&options->equal_memory, g_free);
    g_clear_pointer(&options->balloon, g_free);
    g_clear_pointer(&options->ksm, g_free);
    g_clear_pointer(&options->budget, g_free);
    g_clear_pointer(&options->tests, g_free);
    g_clear_pointer(&options->format, g_free);
    g_clear_pointer(&options->image, g_free);
    g_clear_pointer(&options->command, g_strfreev);
}

static gboolean check_numbers(const DuetBenchCli *options, const char *verb, GError **error)
{
    const char *what = NULL;

    if (options->n < 1 || options->n > N_MAX)
        what = options->counts ? "--rounds must be from 1 to 100"
                               : "-n must be from 1 to 10000 samples";
    else if (!(options->timeout_s >= 0.1 && options->timeout_s <= 86400))
        what = "--timeout must be from 0.1 to 86400 seconds";
    else if (!(options->floor_percent >= 0 && options->floor_percent <= 1000))
        what = "--floor must be from 0 to 1000 percent";
    else if (!(options->age_s >= 0.1 && options->age_s <= 86400))
        what = "--age must be from 0.1 to 86400 seconds";
    else if (options->counts && options->n > DUET_BENCH_ROUNDS_MAX)
        what = "--rounds must be from 1 to 100";
    else if (options->max != NO_MAX && (options->max < 1 || options->max > DUET_BENCH_COUNT_MAX))
        what = "--max must be from 1 to 10000 instances";
    else if (options->max_latency_s != NO_MAX_LATENCY_S &&
        !(options->max_latency_s >= 0.001 && options->max_latency_s <= 86400))
        what = "--max-latency must be from 0.001 to 86400 seconds";
    else if (!(options->time_limit_s >= 1 && options->time_limit_s <= 86400))
        what = "--time-limit must be from 1 to 86400 seconds";
    if (!what)
        return TRUE;
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "%s: %s; try `duet %s --help`", verb, what, verb);
    return FALSE;
}

static void prepend(GArray *rows, const GOptionEntry *entries)
{
    guint n = 0;

    while (entries[n].long_name)
        n++;
    g_array_prepend_vals(rows, entries, n);
}

static void prepend_shared(GArray *rows, DuetBenchCli *options, DuetBenchCliShared shared)
{
    const GOptionEntry result[] = {
        { "seed", 0, 0, G_OPTION_ARG_FILENAME, &options->seed,
            "seed of the order and of all resampling", "NUMBER" },
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options->output,
            "write the result, with all samples, as JSON", "FILE" },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &options->format, "table (default) or json",
            "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };
    const GOptionEntry resume[] = {
        { "resume", 0, 0, G_OPTION_ARG_NONE, &options->resume,
            "go on with the run that was killed before it wrote the FILE of -o", NULL },
        G_OPTION_ENTRY_NULL,
    };
    const GOptionEntry contrast[] = {
        { "floor", 0, 0, G_OPTION_ARG_DOUBLE, &options->floor_percent,
            "a smaller effect is never called a difference (default 2)", "PERCENT" },
        { "ratio-with-failures", 0, 0, G_OPTION_ARG_NONE, &options->ratio_with_failures,
            "compare arms although samples of theirs failed", NULL },
        G_OPTION_ENTRY_NULL,
    };

    if (shared & DUET_BENCH_CLI_CONTRAST)
        prepend(rows, contrast);
    if (shared & DUET_BENCH_CLI_RESUME)
        prepend(rows, resume);
    if (shared & DUET_BENCH_CLI_RESULT)
        prepend(rows, result);
}

gboolean duet_bench_cli_parse(DuetBenchCli *options, const char *verb, const GOptionEntry *entries,
    DuetBenchCliShared shared, int argc, char **argv, GError **error)
{
    g_autoptr(GArray) rows = duet_cli_run_options(&options->run);

    prepend_shared(rows, options, shared);
    prepend(rows, entries);
    const GOptionEntry *all = (const GOptionEntry *)(void *)rows->data;
    if (!duet_cli_options_first(verb, all, &argc, &argv, error))
        return FALSE;
    if (argc < 2 && options->default_image) {
        options->image = g_strdup(options->default_image);
        return check_numbers(options, verb, error);
    }
    if (argc < 2) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "%s: which image? Try `duet %s --help`, or `duet image ls`", verb, verb);
        return FALSE;
    }
    options->image = g_strdup(argv[1]);
    argc--;
    argv++;
    if (!duet_cli_options_first(verb, all, &argc, &argv, error))
        return FALSE;
    if (argc > 1)
        options->command = g_strdupv(argv + 1);
    return check_numbers(options, verb, error);
}

gboolean duet_bench_cli_seed(const char *text, guint64 *out_seed, GError **error)
{
    if (!text) {
        *out_seed = g_random_int();
        return TRUE;
    }
    if (g_ascii_string_to_unsigned(text, 10, 0, DUET_BENCH_SEED_MAX, out_seed, NULL))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no seed: give a whole number from 0 to %" G_GUINT64_FORMAT, text,
        DUET_BENCH_SEED_MAX);
    return FALSE;
}

/* "0,1,2": each once. */
static GArray *read_counts(const char *text, GError **error)
{
    g_autoptr(GArray) counts = g_array_new(FALSE, FALSE, sizeof(guint));
    g_auto(GStrv) words = g_strsplit(text ? text : "", ",", -1);

    gboolean good = !text || words[0];
    for (char **word = words; good && *word; word++) {
        guint64 number = 0;
        good = counts->len < DUET_BENCH_COUNTS_MAX &&
            g_ascii_string_to_unsigned(*word, 10, 0, DUET_BENCH_COUNT_MAX, &number, NULL);
        guint count = (guint)number;
        for (guint i = 0; good && i < counts->len; i++)
            good = g_array_index(counts, guint, i) != count;
        g_array_append_val(counts, count);
    }
    if (!good) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--counts '%s': give up to %d different numbers from 0 to %d, with commas", text,
            DUET_BENCH_COUNTS_MAX, DUET_BENCH_COUNT_MAX);
        return NULL;
    }
    return g_steal_pointer(&counts);
}

static void free_spec(gpointer spec)
{
    duet_spec_free(spec);
}

static gboolean add_spec(
    DuetCli *cli, const DuetBenchCli *options, const char *name, GPtrArray *specs, GError **error)
{
    DuetKind kind;

    if (!duet_kind_from_string(name, &kind)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no arm: choose from vm, container and native", name);
        return FALSE;
    }
    for (guint i = 0; i < specs->len; i++) {
        if (((DuetSpec *)g_ptr_array_index(specs, i))->kind == kind) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "the arm '%s' is named twice", name);
            return FALSE;
        }
    }
    char **command = options->command;
    gboolean idle = options->idle && !command && !options->run.entrypoint;
    g_autoptr(DuetImage) image = duet_cli_image_of_files(cli, options->image, error);
    if (!image)
        return FALSE;
    if (!command && !options->run.entrypoint && (!image->entrypoint || !image->entrypoint[0]))
        command = options->default_argv;
    DuetRunOptions run = options->run;
    /* Beside a VM these are for the VM; with no VM they are refused as in `run`. */
    if (kind != DUET_KIND_VM && strstr(options->kinds, "vm"))
        run.accel = run.qemu = run.kernel = run.disk_size = run.connect = NULL;
    if (kind != DUET_KIND_CONTAINER && strstr(options->kinds, "container"))
        run.security = NULL;
    if (strchr(options->kinds, ','))
        duet_cli_attributes_keep(&run.attributes, kind);
    /* Beside others the baseline is what has no walls. */
    if (kind == DUET_KIND_NATIVE && !g_str_equal(options->kinds, "native"))
        run.cap_add = run.cap_drop = run.security = NULL;
    DuetSpec *spec = duet_cli_spec(cli, &run, kind, options->image, command, error);
    /* An image's check would be measured as well. */
    if (spec)
        g_clear_pointer(&spec->health.test, g_strfreev);
    if (!spec)
        return FALSE;
    g_ptr_array_add(specs, spec);
    spec->idle = idle;
    if (!spec->argv[0] && !idle) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "the image '%s' names no command; give one after --", options->image);
        return FALSE;
    }
    spec->timeout_ms = (gint64)(options->timeout_s * 1000);
    spec->open_stdin = FALSE;
    /* The same name in each kind: it must not be what differs in an output. */
    if (!options->run.hostname) {
        g_free(spec->hostname);
        spec->hostname = g_strdup("duet");
    }
    return TRUE;
}

static GPtrArray *make_specs(DuetCli *cli, const DuetBenchCli *options, GError **error)
{
    g_auto(GStrv) names = g_strsplit(options->kinds, ",", -1);
    g_autoptr(GPtrArray) specs = g_ptr_array_new_with_free_func(free_spec);

    for (char **name = names; *name; name++) {
        if (!add_spec(cli, options, g_strstrip(*name), specs, error))
            return NULL;
    }
    if (specs->len == 0) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
            "no arm to measure: choose from vm, container and native");
        return NULL;
    }
    return g_steal_pointer(&specs);
}

void duet_bench_cli_progress(const char *line, gpointer data)
{
    (void)data;
    /* Back to the line's begin, and clear what was there. */
    fprintf(stderr, "\r\033[K%.78s", line ? line : "");
    fflush(stderr);
}

static void show_notice(const char *line)
{
    fprintf(stderr, "duet: %s\n", line);
}

static gboolean read_density(
    const DuetBenchCli *options, DuetDensityLimits *out_limits, GError **error)
{
    *out_limits = (DuetDensityLimits){
        .max = (guint)MAX(options->max, 0),
        .max_latency_ns = (gint64)(MAX(options->max_latency_s, 0) * 1e9),
        .time_limit_ns = (gint64)(options->time_limit_s * 1e9),
    };
    if (options->budget && !duet_parse_bytes(options->budget, &out_limits->budget_bytes, error)) {
        g_prefix_error(error, "--memory-budget: ");
        return FALSE;
    }
    if (!options->budget || out_limits->budget_bytes >= BUDGET_MIN_BYTES)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--memory-budget %s: no instance fits; give 1m or more", options->budget);
    return FALSE;
}

/* @text: (nullable): of an option called @name; NULL: 0 */
static gboolean read_size(const char *name, const char *text, guint64 *out_bytes, GError **error)
{
    if (!text)
        return TRUE;
    if (!duet_parse_bytes(text, out_bytes, error)) {
        g_prefix_error(error, "%s: ", name);
        return FALSE;
    }
    if (*out_bytes >= SIZE_MIN_BYTES && *out_bytes <= SIZE_MAX_BYTES)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "%s %s: give from 1m to 64t, as in 128m",
        name, text);
    return FALSE;
}

static gboolean read_memory(const DuetBenchCli *options, DuetBenchRequest *request, GError **error)
{
    request->ksm = options->ksm;
    request->ksm_limit_ms = (guint)(options->ksm_limit_s * 1000);
    return read_size(
               "--equal-memory", options->equal_memory, &request->equal_memory_bytes, error) &&
        read_size("--balloon", options->balloon, &request->balloon_bytes, error);
}

/* What of the request is read from text; the rest is added by measure(). */
static gboolean read_request(
    const DuetBenchCli *options, DuetBenchRequest *request, GArray **out_counts, GError **error)
{
    GArray *counts = NULL;

    if (!duet_cli_format_is_json(options->format, &request->json, error) ||
        !duet_bench_cli_seed(options->seed, &request->seed, error) ||
        !read_density(options, &request->density, error) || !read_memory(options, request, error) ||
        !(counts = duet_bench_cli_load(options)
                ? duet_bench_cli_levels(options, &request->load_starts, error)
                : read_counts(options->counts, error)))
        return FALSE;
    *out_counts = counts;
    request->counts = (const guint *)(void *)counts->data;
    request->n_counts = counts->len;
    request->counts_unasked = options->counts_unasked;
    request->n = (guint)options->n;
    request->age_ms = (guint)(options->age_s * 1000);
    request->tests = options->tests;
    request->duration_s = (guint)options->duration_s;
    request->cache_mode = options->cache_mode;
    request->ready = options->ready;
    request->from = options->from;
    request->floor = options->floor_percent / 100;
    request->ratio_with_failures = options->ratio_with_failures;
    request->output_path = options->output;
    request->resume = options->resume;
    request->after_own = options->after_own;
    request->seed_given = options->seed != NULL;
    request->peers = options->peers;
    request->peer_files = options->peer_files;
    request->notice = show_notice;
    request->color = !request->json && isatty(STDOUT_FILENO) && !g_getenv("NO_COLOR");
    request->progress = isatty(STDERR_FILENO) ? duet_bench_cli_progress : NULL;
    return TRUE;
}

static void clear_arm(gpointer data)
{
    g_strfreev((char **)((DuetBenchArm *)data)->command);
}

/* Whole commands are wanted beside peers only. A VM may be two arms: from a saved state, and cold.
 */
static GArray *make_arms(
    DuetCli *cli, const DuetBenchCli *options, const GPtrArray *specs, GError **error)
{
    g_autoptr(GArray) arms = g_array_new(FALSE, TRUE, sizeof(DuetBenchArm));

    g_array_set_clear_func(arms, clear_arm);
    for (guint i = 0; i < specs->len; i++) {
        const DuetSpec *spec = g_ptr_array_index(specs, i);
        DuetBenchArm arm = { .name = duet_kind_to_string(spec->kind), .spec = spec };
        gboolean typed = spec->kind != DUET_KIND_NATIVE; /* `run` has no such kind */
        if (spec->kind == DUET_KIND_VM && options->from) {
            DuetBenchArm saved = { .name = DUET_BENCH_ARM_SAVED, .spec = spec, .saved = TRUE };
            g_array_append_val(arms, saved);
            if (g_str_equal(options->from, DUET_BENCH_FROM_SAVED))
                continue;
        }
        if ((options->peers || options->peer_files) && typed &&
            !(arm.command = duet_bench_cli_command(cli, options, spec, &arm.command_name, error)))
            return NULL;
        g_array_append_val(arms, arm);
    }
    return g_steal_pointer(&arms);
}

gboolean duet_bench_cli_measure(DuetCli *cli, const DuetBenchCli *options, DuetBenchWhat what,
    char **out_text, int *out_exit_code, GError **error)
{
    DuetBenchRequest request = { 0 };
    g_autoptr(GArray) counts = NULL;

    if (!read_request(options, &request, &counts, error) || !duet_cli_context(cli, error))
        return FALSE;
    const DuetBenchOps *bench = duet_module_symbol("duet-tools", "duet_bench", error);
    g_autoptr(GPtrArray) specs = bench ? make_specs(cli, options, error) : NULL;
    if (!specs)
        return FALSE;
    g_autoptr(GArray) arms = make_arms(cli, options, specs, error);
    if (!arms)
        return FALSE;
    request.context = cli->context;
    request.arms = (const DuetBenchArm *)(void *)arms->data;
    request.n_arms = arms->len;
    g_auto(GStrv) words = duet_bench_cli_words(options, specs, what != DUET_BENCH_OVERHEAD);
    request.options = words;
    gboolean (*const benchmarks[])(const DuetBenchRequest *, char **, int *, GError **) = {
        [DUET_BENCH_BOOT] = bench->boot,
        [DUET_BENCH_COST] = bench->cost,
        [DUET_BENCH_LOAD] = bench->load,
        [DUET_BENCH_COMPARE] = bench->compare,
        [DUET_BENCH_MEMORY] = bench->memory,
        [DUET_BENCH_DENSITY] = bench->density,
        [DUET_BENCH_OVERHEAD] = bench->overhead,
    };
    return benchmarks[what](&request, out_text, out_exit_code, error);
}

int duet_bench_cli_run(DuetCli *cli, const DuetBenchCli *options, DuetBenchWhat what)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    int code = 0;

    if (!duet_bench_cli_measure(cli, options, what, &text, &code, &error))
        return duet_cli_fail(error);
    return duet_cli_print(text, code);
}
