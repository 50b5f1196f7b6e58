/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `ps` and `inspect`. */
#include "cli/cli.h"
#include "cli/describe.h"
#include "core/text.h"

#include <stdio.h>

static gboolean is_live(const DuetInfo *info)
{
    return info->state != DUET_STATE_CREATED && info->state != DUET_STATE_EXITED;
}

static GPtrArray *collect(DuetCli *cli, gboolean all, GError **error)
{
    if (!duet_cli_context(cli, error))
        return NULL;
    g_autoptr(GPtrArray) instances = duet_instance_list(cli->context, error);
    if (!instances)
        return NULL;
    GPtrArray *infos = g_ptr_array_new_with_free_func((GDestroyNotify)duet_info_free);
    for (guint i = 0; i < instances->len; i++) {
        DuetInfo *info = duet_instance_info(instances->pdata[i], NULL);
        if (info && (all || is_live(info)))
            g_ptr_array_add(infos, info);
        else
            duet_info_free(info);
    }
    return infos;
}

static void print_table(GPtrArray *infos)
{
    static const char *const titles[] = { "ID", "KIND", "IMAGE", "COMMAND", "STATUS", "NAME",
        NULL };
    DuetTable *table = duet_table_new(titles);
    for (guint i = 0; i < infos->len; i++) {
        const DuetInfo *info = infos->pdata[i];
        char **cells = g_new0(char *, 7);
        g_autofree char *words = duet_describe_words(info->spec->argv);
        g_autofree char *command = duet_text_line(g_strdelimit(words, "\n\t", ' '));
        g_autofree char *begin =
            g_utf8_strlen(command, -1) > 24 ? g_utf8_substring(command, 0, 21) : NULL;
        cells[0] = g_strdup(info->spec->id);
        cells[1] = g_strdup(duet_kind_to_string(info->spec->kind));
        cells[2] = g_strdup(info->spec->image_ref);
        cells[3] = begin ? g_strconcat(begin, "...", NULL) : g_strdup(command);
        cells[4] = duet_describe_status(info);
        cells[5] = g_strdup(info->spec->name);
        duet_table_add(table, cells);
    }
    duet_table_print(table);
}

static int print_infos(GPtrArray *infos)
{
    g_autoptr(GError) error = NULL;
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < infos->len; i++)
        g_variant_builder_add_value(&list, duet_describe(infos->pdata[i]));
    if (!duet_cli_print_json(g_variant_builder_end(&list), &error))
        return duet_cli_fail(error);
    return 0;
}

int duet_cmd_ps(DuetCli *cli, int argc, char **argv)
{
    gboolean all = FALSE, quiet = FALSE, json;
    g_autofree char *format = NULL;
    const GOptionEntry entries[] = {
        { "all", 'a', 0, G_OPTION_ARG_NONE, &all, "those that do not run, too", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "ids only", NULL },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "json or table", "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error) ||
        !duet_cli_format_is_json(format, &json, &error))
        return duet_cli_fail(error);
    if (argc > 1)
        return duet_cli_usage("ps", "'%s' is one argument too many", argv[1]);
    g_autoptr(GPtrArray) infos = collect(cli, all, &error);
    if (!infos)
        return duet_cli_fail(error);
    if (json)
        return print_infos(infos);
    if (!quiet)
        print_table(infos);
    for (guint i = 0; quiet && i < infos->len; i++)
        printf("%s\n", ((DuetInfo *)infos->pdata[i])->spec->id);
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
        return duet_cli_usage("inspect", "'%s': json is the only format", format);
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
    int printed = infos->len ? print_infos(infos) : 0;
    return printed ? printed : code;
}
