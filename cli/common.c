/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "core/module.h"
#include "core/rootless.h"
#include "core/text.h"
#include "core/util.h"

#include <duet/error.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

DuetContext *duet_cli_context(DuetCli *cli, GError **error)
{
    if (!cli->context) {
        /* Before there is a thread, a lock or an open file. */
        if (!duet_rootless_enter(error))
            return NULL;
        cli->context = duet_context_new(cli->root, duet_drivers, error);
        if (cli->context)
            duet_context_sweep(cli->context, DUET_SWEEP_PART);
    }
    return cli->context;
}

void duet_cli_say(const char *text)
{
    g_autofree char *printable = duet_text_printable(text, -1);
    fprintf(stderr, "duet: %s\n", printable);
}

int duet_cli_fail(const GError *error)
{
    duet_cli_say(error->message);
    return duet_error_exit_code(error);
}

int duet_cli_print(const char *text, int code)
{
    g_autoptr(GError) error = NULL;
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return code;
    duet_error_set_errno(&error, errno, "cannot write to standard output");
    return duet_cli_fail(error);
}

int duet_cli_usage(const char *verb, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "duet: %s: %s\nTry `duet %s --help`.\n", verb, text, verb);
    return 125;
}

/* Returns: the letter of --help: that of --hostname where there is one, as in podman. */
static char help_letter(const GOptionEntry *entries)
{
    for (; entries && entries->long_name; entries++)
        if (entries->short_name == 'h')
            return 0;
    return 'h';
}

/* @first: options stand before all words. */
static gboolean parse(const char *verb, const GOptionEntry *entries, gboolean first, int *argc,
    char ***argv, GError **error)
{
    const DuetCommand *command = duet_command_row(verb);
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_strict_posix(context, first);
    g_option_context_set_help_enabled(context, FALSE);
    gboolean help = FALSE;
    GOptionEntry help_entry[] = {
        { "help", help_letter(entries), 0, G_OPTION_ARG_NONE, &help, "show this help", NULL },
        G_OPTION_ENTRY_NULL,
    };
    if (entries)
        g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_add_main_entries(context, help_entry, NULL);
    g_autoptr(GError) failure = NULL;
    if (!g_option_context_parse(context, argc, argv, &failure)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "%s: %s; try `duet %s --help`", verb,
            failure->message, verb);
        return FALSE;
    }
    if (help) {
        g_autofree char *text = g_option_context_get_help(context, TRUE, NULL);
        /* Its own usage line ends in an empty one. */
        const char *rest = strstr(text, "\n\n");
        g_autofree char *options = duet_help_wrap(rest ? rest + 1 : "\n");
        printf(
            "Usage: duet %s %s\n\nTo %s.\n%s", verb, command->arguments, command->summary, options);
        exit(0);
    }
    /* What follows a "--" is never an option of ours. Behind a word it may be the command's. */
    for (int i = 1; i < (first ? MIN(*argc, 2) : *argc); i++) {
        if (!g_str_equal((*argv)[i], "--"))
            continue;
        memmove(*argv + i, *argv + i + 1, (gsize)(*argc - i) * sizeof **argv);
        (*argc)--;
        break;
    }
    return TRUE;
}

gboolean duet_cli_options(
    const char *verb, const GOptionEntry *entries, int *argc, char ***argv, GError **error)
{
    return parse(verb, entries, FALSE, argc, argv, error);
}

gboolean duet_cli_options_of(const char *group, const char *verb, const GOptionEntry *entries,
    int *argc, char ***argv, GError **error)
{
    g_autofree char *full = g_strconcat(group, " ", verb, NULL);
    return duet_cli_options(full, entries, argc, argv, error);
}

gboolean duet_cli_options_first(
    const char *verb, const GOptionEntry *entries, int *argc, char ***argv, GError **error)
{
    return parse(verb, entries, TRUE, argc, argv, error);
}

int duet_cli_words(const char *verb, const GOptionEntry *entries, int argc, char **argv,
    const char **out_words, int room, GError **error)
{
    if (!duet_cli_options(verb, entries, &argc, &argv, error))
        return -1;
    int found = MIN(argc - 1, room);
    memcpy(out_words, argv + 1, (gsize)found * sizeof *out_words);
    return found;
}

const DuetImagesOps *duet_cli_images(GError **error)
{
    return duet_module_symbol("duet-images", "duet_images", error);
}

const DuetConfineOps *duet_cli_confine(GError **error)
{
    return duet_module_symbol("duet-confine", "duet_confine", error);
}

DuetImage *duet_cli_image(DuetCli *cli, const char *ref, GError **error)
{
    DuetContext *context = duet_cli_context(cli, error);
    if (!context)
        return NULL;
    const char *store = duet_context_store_dir(context);
    g_autoptr(GError) failure = NULL;
    DuetImage *image = duet_image_lookup(store, ref, &failure);
    if (!image && g_error_matches(failure, DUET_ERROR, DUET_ERROR_STALE)) {
        const DuetImagesOps *images = duet_cli_images(error);
        if (!images || !images->refresh(store, error))
            return NULL;
        g_clear_error(&failure);
        image = duet_image_lookup(store, ref, &failure);
    }
    if (!image)
        g_propagate_error(error, g_steal_pointer(&failure));
    return image;
}

DuetImage *duet_cli_image_of_files(DuetCli *cli, const char *ref, GError **error)
{
    g_autoptr(DuetImage) image = duet_cli_image(cli, ref, error);
    if (image && image->disk) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is a disk, which runs as a VM only: there is nothing to compare it with", ref);
        return NULL;
    }
    return g_steal_pointer(&image);
}

gboolean duet_cli_kind(const char *wanted, gboolean vm, DuetKind *out_kind, GError **error)
{
    const char *text = vm ? "vm" : wanted ? wanted : g_getenv("DUET_AS");
    if (vm && wanted && !g_str_equal(wanted, "vm")) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "--vm contradicts --as %s", wanted);
        return FALSE;
    }
    *out_kind = DUET_KIND_CONTAINER;
    if (!text || !*text)
        return TRUE;
    if (duet_kind_from_string(text, out_kind) && *out_kind != DUET_KIND_NATIVE)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no kind of instance: use --as vm or --as container", text);
    return FALSE;
}

/* json-glib is linked by the module duet-tools, so that the start of an instance need not load it.
 */
gboolean duet_cli_print_json(GVariant *value, GError **error)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(value);
    char *(*const *serialise)(GVariant *) = duet_module_symbol("duet-tools", "duet_json", error);
    if (!serialise)
        return FALSE;
    g_autofree char *text = (*serialise)(owned);
    printf("%s\n", text);
    return TRUE;
}

gboolean duet_cli_format_is_json(const char *format, gboolean *out_json, GError **error)
{
    *out_json = g_strcmp0(format, "json") == 0;
    if (!format || *out_json || g_str_equal(format, "table"))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no format: use --format json (jq picks out of that) or --format table", format);
    return FALSE;
}

char **duet_cli_lines(const char *option, const char *path, gsize most_bytes, GError **error)
{
    gsize length = 0;
    g_autofree char *text = duet_file_read(AT_FDCWD, path, most_bytes, &length, error);
    if (text && strlen(text) != length) {
        duet_cli_invalid(error, "is no text: it has a NUL byte in it", path);
        g_clear_pointer(&text, g_free);
    }
    if (!text) {
        g_prefix_error(error, "%s: ", option);
        return NULL;
    }
    g_autoptr(GStrvBuilder) kept = g_strv_builder_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (g_str_has_suffix(*line, "\r"))
            (*line)[strlen(*line) - 1] = '\0';
        const char *begin = *line + strspn(*line, " \t");
        if (*begin && *begin != '#')
            g_strv_builder_add(kept, begin);
    }
    return g_strv_builder_end(kept);
}
