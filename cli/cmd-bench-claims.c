/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench claims` and `bench reproduce`. */
#include "cli/bench-cli.h"

#include <string.h>
#include <unistd.h>

#include <duet/claims.h>
#include <duet/error.h>

#include "core/module.h"

/**
 * Words of the command line: `--results FILE FILE` is what people type, and what a shell makes of
 * a pattern; GOption wants the option before each of them.
 * @argv: (transfer full) (element-type utf8)
 */
static char **spread_results(int argc, char **argv, int *out_argc)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    gboolean files = FALSE, fresh = FALSE;

    for (int i = 0; i < argc; i++) {
        if (g_str_equal(argv[i], "--")) {
            g_strv_builder_addv(words, (const char **)argv + i);
            break;
        }
        if (argv[i][0] == '-')
            files = fresh = g_str_equal(argv[i], "--results");
        else if (files && !fresh)
            g_strv_builder_add(words, "--results");
        else
            fresh = FALSE;
        g_strv_builder_add(words, argv[i]);
    }
    char **spread = g_strv_builder_end(words);
    *out_argc = g_strv_length(spread);
    return spread;
}

static gboolean is_option(const char *word, const char *name)
{
    gsize length = strlen(name);

    return strncmp(word, name, length) == 0 && (word[length] == '\0' || word[length] == '=');
}

/* What repeats it: all but what --only, --format and --lang choose. */
static char **without_choice(int argc, char **argv)
{
    static const char *const choices[] = { "--only", "--format", "--lang", NULL };
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();

    g_strv_builder_add_many(words, "duet", "bench", NULL);
    for (int i = 0; i < argc; i++) {
        const char *const *choice = choices;
        while (*choice && !is_option(argv[i], *choice))
            choice++;
        if (!*choice)
            g_strv_builder_add(words, argv[i]);
        else if (g_str_equal(argv[i], *choice))
            i++;
    }
    return g_strv_builder_end(words);
}

/* Returns: %FALSE with @error for two arguments. */
static gboolean parse(const char *verb, const GOptionEntry *entries, int argc, char **argv,
    char **out_argument, GError **error)
{
    const char *words[2] = { NULL };
    int found = duet_cli_words(verb, entries, argc, argv, words, G_N_ELEMENTS(words), error);

    if (found > 1)
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "%s: '%s' is one argument too many; result files follow --results; try `duet %s "
            "--help`",
            verb, words[1], verb);
    if (found < 0 || found > 1)
        return FALSE;
    *out_argument = g_strdup(words[0]);
    return TRUE;
}

static const DuetClaimsOps *claims_ops(GError **error)
{
    return duet_module_symbol("duet-tools", "duet_claims", error);
}

typedef struct {
    DuetRunOptions run;
    char **results;
    char *only, *format, *language, *seed, *kinds, *image;
} Claims;

static void claims_clear(Claims *options)
{
    duet_cli_run_options_clear(&options->run);
    g_strfreev(options->results);
    g_free(options->only);
    g_free(options->format);
    g_free(options->language);
    g_free(options->seed);
    g_free(options->kinds);
    g_free(options->image);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Claims, claims_clear)

static gboolean check_kinds(const Claims *options, GError **error)
{
    g_auto(GStrv) names = g_strsplit(options->kinds ? options->kinds : "", ",", -1);
    DuetKind kind;

    for (char **name = names; *name; name++)
        if (!duet_kind_from_string(g_strstrip(*name), &kind))
            return duet_cli_invalid(
                error, "is no kind for --arms: choose from vm and container", *name);
    return TRUE;
}

static gboolean is_wanted(const Claims *options, DuetKind kind, GError **error)
{
    const char *name = duet_kind_to_string(kind);
    g_autofree char *both = options->kinds ? duet_bench_cli_common(options->kinds, name) : NULL;

    if (!both || *both)
        return TRUE;
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "--arms %s leaves %s out", options->kinds, name);
    return FALSE;
}

/* Of `bench boot`'s arms: short, and it prints a byte. What claims try with instances has commands
 * of its own. */
static DuetSpec *make_spec(DuetCli *cli, const Claims *options, DuetKind kind, GError **error)
{
    char *echo[] = { (char *)"echo", NULL };
    DuetRunOptions run = options->run;

    if (!is_wanted(options, kind, error))
        return NULL;
    if (kind != DUET_KIND_VM)
        run.accel = run.qemu = run.kernel = run.disk_size = run.connect = NULL;
    DuetSpec *spec = duet_cli_spec(cli, &run, kind, options->image, echo, error);
    /* An image's check would be measured as well. */
    if (spec)
        g_clear_pointer(&spec->health.test, g_strfreev);
    if (!spec)
        return NULL;
    spec->timeout_ms = DUET_BENCH_TIMEOUT_DEFAULT_MS;
    if (!run.hostname) {
        g_free(spec->hostname);
        spec->hostname = g_strdup("duet");
    }
    return spec;
}

/* A kind that can't be had here is why its claims are not run, and no error. */
static int try_with_image(DuetCli *cli, const Claims *options, DuetClaimsRequest *request,
    char **out_text, GError **error)
{
    g_autoptr(GError) no_container = NULL, no_vm = NULL;
    const DuetClaimsOps *ops = claims_ops(error);
    g_autoptr(DuetImage) image = ops ? duet_cli_image_of_files(cli, options->image, error) : NULL;
    int code = -1;

    if (!image)
        return -1;
    g_autoptr(DuetSpec) container = make_spec(cli, options, DUET_KIND_CONTAINER, &no_container);
    g_autoptr(DuetSpec) vm = make_spec(cli, options, DUET_KIND_VM, &no_vm);
    request->context = cli->context;
    request->container = container;
    request->vm = vm;
    request->no_container = no_container ? no_container->message : NULL;
    request->no_vm = no_vm ? no_vm->message : NULL;
    return ops->claims(request, out_text, &code, error) ? code : -1;
}

static int try_claims(DuetCli *cli, const Claims *options, DuetClaimsRequest *request,
    char **out_text, GError **error)
{
    int code = -1;

    request->results = options->results;
    request->only = options->only;
    request->format = options->format;
    request->language = options->language;
    request->progress = isatty(STDERR_FILENO) ? duet_bench_cli_progress : NULL;
    if (!duet_bench_cli_seed(options->seed, &request->seed, error) || !check_kinds(options, error))
        return -1;
    if (options->image)
        return try_with_image(cli, options, request, out_text, error);
    if (!options->results) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
            "bench claims: give an image to try them with (`duet image ls`), or --results FILE; "
            "try `duet bench claims --help`");
        return -1;
    }
    const DuetClaimsOps *ops = claims_ops(error);
    return ops && ops->claims(request, out_text, &code, error) ? code : -1;
}

int duet_bench_claims(DuetCli *cli, int argc, char **argv)
{
    g_auto(Claims) options = { 0 };
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) words = spread_results(argc, argv, &argc);
    g_auto(GStrv) command = without_choice(argc, words);
    g_autofree char **view = g_memdup2(words, sizeof *words * (argc + 1));
    DuetClaimsRequest request = { .command = command };
    g_autoptr(GArray) rows = duet_cli_run_options(&options.run);
    const GOptionEntry entries[] = {
        { "results", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.results,
            "take figures from these, in place of measuring some at once", "FILE..." },
        { "only", 0, 0, G_OPTION_ARG_FILENAME, &options.only, "try these alone", "ID,..." },
        { "arms", 0, 0, G_OPTION_ARG_FILENAME, &options.kinds,
            "try no others with the image (default: vm,container)", "KIND,..." },
        { "seed", 0, 0, G_OPTION_ARG_FILENAME, &options.seed, "seed of what is measured at once",
            "NUMBER" },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &options.format, "table (default), json or md",
            "FORMAT" },
        { "lang", 0, 0, G_OPTION_ARG_FILENAME, &options.language,
            "language of table and md: en or ko (default: yours)", "LANGUAGE" },
    };

    g_array_prepend_vals(rows, entries, G_N_ELEMENTS(entries));
    if (!parse("bench claims", (const GOptionEntry *)(void *)rows->data, argc, view, &options.image,
            &error))
        return duet_cli_fail(error);
    int code = try_claims(cli, &options, &request, &text, &error);
    return code < 0 ? duet_cli_fail(error) : duet_cli_print(text, code);
}

int duet_bench_reproduce(DuetCli *cli, int argc, char **argv)
{
    g_auto(Claims) options = { 0 };
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) words = spread_results(argc, argv, &argc);
    g_autofree char **view = g_memdup2(words, sizeof *words * (argc + 1));
    const GOptionEntry entries[] = {
        { "results", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.results,
            "results of ours to set beside it", "FILE..." },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &options.format, "table (default), json or md",
            "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };

    (void)cli;
    if (!parse("bench reproduce", entries, argc, view, &options.image, &error))
        return duet_cli_fail(error);
    const DuetClaimsOps *ops = claims_ops(&error);
    if (!ops || !ops->reproduce(options.image, options.results, options.format, &text, &error))
        return duet_cli_fail(error);
    return duet_cli_print(text, 0);
}
