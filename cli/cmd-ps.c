/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `ps` and `inspect`. */
#include "cli/cli.h"
#include "cli/describe.h"
#include "cli/ps-template.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    gboolean all, quiet, latest, no_trunc, no_heading;
    gint64 last;
    gboolean json;
    char *format, *sort;
    char **filters;
    DuetPsTemplate *template;
} PsOptions;

static void ps_options_clear(PsOptions *options)
{
    g_free(options->format);
    g_free(options->sort);
    g_strfreev(options->filters);
    duet_ps_template_free(options->template);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PsOptions, ps_options_clear)

static int by_id(const DuetInfo *a, const DuetInfo *b)
{
    return strcmp(a->spec->id, b->spec->id);
}

static int by_image(const DuetInfo *a, const DuetInfo *b)
{
    return g_strcmp0(a->spec->image_ref, b->spec->image_ref);
}

static int by_name(const DuetInfo *a, const DuetInfo *b)
{
    return g_strcmp0(a->spec->name, b->spec->name);
}

static int by_status(const DuetInfo *a, const DuetInfo *b)
{
    return strcmp(duet_state_to_string(a->state), duet_state_to_string(b->state));
}

/* Among equals, and for "created", the order stays that of their age. */
static const struct {
    const char *key;
    int (*compare)(const DuetInfo *a, const DuetInfo *b);
} orders[] = {
    { "created", NULL },
    { "id", by_id },
    { "image", by_image },
    { "names", by_name },
    { "status", by_status },
};

static int compare(gconstpointer a, gconstpointer b, gpointer order)
{
    const DuetInfo *const *first = a, *const *second = b;
    return orders[GPOINTER_TO_UINT(order)].compare(*first, *second);
}

static gboolean sort_infos(GPtrArray *infos, const char *key, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(orders); i++) {
        if (!g_str_equal(key, orders[i].key))
            continue;
        if (orders[i].compare)
            g_ptr_array_sort_with_data(infos, compare, GUINT_TO_POINTER(i));
        return TRUE;
    }
    return duet_cli_invalid(
        error, "is nothing to sort by: use created, id, image, names or status", key);
}

/* Returns: (transfer full): what is to be shown. */
static GPtrArray *collect(DuetCli *cli, const PsOptions *options, GError **error)
{
    g_auto(DuetSelection) selection = { NULL, NULL };
    gint64 last = options->latest ? 1 : options->last;
    if (!duet_cli_select(cli, options->filters, options->all || last >= 0, &selection, error))
        return NULL;
    g_autoptr(GPtrArray) infos = g_steal_pointer(&selection.infos);
    if (last >= 0 && last < infos->len)
        g_ptr_array_remove_range(infos, 0, infos->len - (guint)last);
    if (options->sort && !sort_infos(infos, options->sort, error))
        return NULL;
    return g_steal_pointer(&infos);
}

static void print_table(GPtrArray *infos, const PsOptions *options)
{
    static const char *const titles[] = { "ID", "KIND", "IMAGE", "COMMAND", "STATUS", "NAME",
        NULL };
    DuetTable *table = duet_table_new(titles);
    if (options->no_heading)
        duet_table_hide_titles(table);
    for (guint i = 0; i < infos->len; i++) {
        const DuetInfo *info = infos->pdata[i];
        char **cells = g_new0(char *, 7);
        cells[0] = g_strdup(info->spec->id);
        cells[1] = g_strdup(duet_kind_to_string(info->spec->kind));
        cells[2] = g_strdup(info->spec->image_ref);
        cells[3] = duet_ps_command(info, options->no_trunc);
        cells[4] = duet_describe_status(info);
        cells[5] = g_strdup(info->spec->name);
        duet_table_add(table, cells);
    }
    duet_table_print(table);
}

static void print_lines(DuetContext *context, GPtrArray *infos, const PsOptions *options)
{
    for (guint i = 0; i < infos->len; i++) {
        const DuetInfo *info = infos->pdata[i];
        g_autofree char *line = options->template
            ? duet_ps_template_line(options->template, context, info, options->no_trunc)
            : g_strdup(info->spec->id);
        printf("%s\n", line);
    }
}

static int print_infos(DuetContext *context, GPtrArray *infos)
{
    g_autoptr(GError) error = NULL;
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < infos->len; i++)
        g_variant_builder_add_value(&list, duet_describe(context, infos->pdata[i]));
    if (!duet_cli_print_json(g_variant_builder_end(&list), &error))
        return duet_cli_fail(error);
    return 0;
}

static gboolean take_format(PsOptions *options, GError **error)
{
    if (!duet_ps_template_is(options->format))
        return duet_cli_format_is_json(options->format, &options->json, error);
    options->template = duet_ps_template_new(options->format, error);
    return options->template != NULL;
}

static gboolean parse_ps(PsOptions *options, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        { "all", 'a', 0, G_OPTION_ARG_NONE, &options->all, "those that do not run, too", NULL },
        DUET_FILTER_ROW('f', &options->filters),
        { "last", 'n', 0, G_OPTION_ARG_INT64, &options->last,
            "the last N that were created, whatever their state", "N" },
        { "latest", 'l', 0, G_OPTION_ARG_NONE, &options->latest, "the last one", NULL },
        { "no-trunc", 0, 0, G_OPTION_ARG_NONE, &options->no_trunc, "whole commands", NULL },
        { "noheading", 0, 0, G_OPTION_ARG_NONE, &options->no_heading, "no line of titles", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &options->quiet, "ids only", NULL },
        { "sort", 0, 0, G_OPTION_ARG_FILENAME, &options->sort,
            "by created (the default), id, image, names or status", "KEY" },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &options->format,
            "json, table, or a line for each: {{.ID}} {{.Names}}", "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };
    if (!duet_cli_options((*argv)[0], entries, argc, argv, error) || !take_format(options, error))
        return FALSE;
    if (options->latest && options->last >= 0)
        return duet_cli_invalid(error, "contradicts --last", "--latest");
    return TRUE;
}

int duet_cmd_ps(DuetCli *cli, int argc, char **argv)
{
    g_auto(PsOptions) options = { .last = -1 };
    g_autoptr(GError) error = NULL;
    if (!parse_ps(&options, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc > 1)
        return duet_cli_usage("ps", "'%s' is one argument too many", argv[1]);
    g_autoptr(GPtrArray) infos = collect(cli, &options, &error);
    if (!infos)
        return duet_cli_fail(error);
    if (options.json)
        return print_infos(cli->context, infos);
    if (options.template || options.quiet)
        print_lines(cli->context, infos, &options);
    else
        print_table(infos, &options);
    return 0;
}

int duet_cmd_inspect(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL;
    const GOptionEntry entries[] = {
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "json, the only one", "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (format && !g_str_equal(format, "json"))
        return duet_cli_usage(
            "inspect", "'%s': json is the only format; jq picks out of that", format);
    if (argc < 2)
        return duet_cli_usage("inspect", "no instance given");
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    int code = 0;
    g_autoptr(GPtrArray) infos = g_ptr_array_new_with_free_func((GDestroyNotify)duet_info_free);
    for (int i = 1; i < argc; i++) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, argv[i], &failure);
        DuetInfo *info = instance ? duet_instance_info(instance, &failure) : NULL;
        if (info)
            g_ptr_array_add(infos, info);
        else
            code = duet_cli_fail(failure);
    }
    int printed = infos->len ? print_infos(cli->context, infos) : 0;
    return printed ? printed : code;
}
