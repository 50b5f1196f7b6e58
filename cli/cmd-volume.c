/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `volume`: create, ls, inspect, rm, prune. */
#include "cli/cli.h"
#include "cli/describe.h"
#include "core/named-volume.h"
#include "core/util.h"

#include <duet/error.h>

#include <stdio.h>
#include <string.h>

static int volume_create(DuetCli *cli, int argc, char **argv)
{
    g_auto(GStrv) given = NULL;
    g_auto(GStrv) labels = NULL;
    const GOptionEntry entries[] = {
        { "label", 'l', 0, G_OPTION_ARG_FILENAME_ARRAY, &given, "a word that it keeps",
            "KEY[=VALUE]" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("volume", argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc > 2)
        return duet_cli_usage("volume create", "'%s' is one argument too many", argv[2]);
    for (char **label = given; label && *label; label++)
        if (!duet_cli_set_label(&labels, *label, &error))
            return duet_cli_fail(error);
    g_autofree char *name = argc > 1 ? g_strdup(argv[1]) : duet_random_hex(16);
    DuetContext *context = duet_cli_context(cli, &error);
    if (!context || !duet_named_volume_create(context, name, labels, &error))
        return duet_cli_fail(error);
    printf("%s\n", name);
    return 0;
}

static GVariant *describe(const DuetNamedVolume *volume, GPtrArray *users)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_autofree char *created = duet_describe_time(volume->created_us);
    g_autofree char *path = g_utf8_make_valid(volume->path, -1);
    g_variant_dict_insert(&dict, "name", "s", volume->name);
    g_variant_dict_insert(&dict, "driver", "s", "local");
    g_variant_dict_insert(&dict, "mountpoint", "s", path);
    g_variant_dict_insert(&dict, "created", "ms", created);
    g_variant_dict_insert_value(&dict, "labels", duet_describe_labels(volume->labels));
    g_auto(GVariantBuilder) names = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("as"));
    for (guint i = 0; i < users->len; i++)
        g_variant_builder_add(&names, "s", users->pdata[i]);
    g_variant_dict_insert_value(&dict, "used_by", g_variant_builder_end(&names));
    return g_variant_dict_end(&dict);
}

static void print_table(GPtrArray *volumes, GPtrArray *instances)
{
    static const char *const titles[] = { "NAME", "CREATED", "USED BY", NULL };
    DuetTable *table = duet_table_new(titles);
    for (guint i = 0; i < volumes->len; i++) {
        const DuetNamedVolume *volume = volumes->pdata[i];
        g_autoptr(GPtrArray) users = duet_named_volume_users(instances, volume->name);
        g_ptr_array_add(users, NULL);
        char **cells = g_new0(char *, 4);
        cells[0] = g_strdup(volume->name);
        cells[1] = duet_describe_time(volume->created_us);
        cells[2] = g_strjoinv(", ", (char **)users->pdata);
        duet_table_add(table, cells);
    }
    duet_table_print(table);
}

static gboolean print_json(GPtrArray *volumes, GPtrArray *instances, GError **error)
{
    g_auto(GVariantBuilder) array = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < volumes->len; i++) {
        const DuetNamedVolume *volume = volumes->pdata[i];
        g_autoptr(GPtrArray) users = duet_named_volume_users(instances, volume->name);
        g_variant_builder_add_value(&array, describe(volume, users));
    }
    return duet_cli_print_json(g_variant_builder_end(&array), error);
}

static int volume_ls(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL;
    gboolean quiet = FALSE, json;
    const GOptionEntry entries[] = {
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "json or table", "FORMAT" },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "names only", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("volume", argv[0], entries, &argc, &argv, &error) ||
        !duet_cli_format_is_json(format, &json, &error))
        return duet_cli_fail(error);
    if (argc > 1)
        return duet_cli_usage("volume ls", "'%s' is one argument too many", argv[1]);
    DuetContext *context = duet_cli_context(cli, &error);
    g_autoptr(GPtrArray) volumes = context ? duet_named_volume_list(context, &error) : NULL;
    g_autoptr(GPtrArray) instances = volumes ? duet_instance_list(context, &error) : NULL;
    if (!instances)
        return duet_cli_fail(error);
    if (json)
        return print_json(volumes, instances, &error) ? 0 : duet_cli_fail(error);
    if (!quiet)
        print_table(volumes, instances);
    for (guint i = 0; quiet && i < volumes->len; i++)
        printf("%s\n", ((const DuetNamedVolume *)volumes->pdata[i])->name);
    return 0;
}

static int volume_inspect(DuetCli *cli, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("volume", argv[0], NULL, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc < 2)
        return duet_cli_usage("volume inspect", "no volume given");
    DuetContext *context = duet_cli_context(cli, &error);
    g_autoptr(GPtrArray) instances = context ? duet_instance_list(context, &error) : NULL;
    if (!instances)
        return duet_cli_fail(error);
    g_autoptr(GPtrArray) volumes =
        g_ptr_array_new_with_free_func((GDestroyNotify)duet_named_volume_free);
    for (int i = 1; i < argc; i++) {
        DuetNamedVolume *volume = duet_named_volume_open(context, argv[i], &error);
        if (!volume)
            return duet_cli_fail(error);
        g_ptr_array_add(volumes, volume);
    }
    return print_json(volumes, instances, &error) ? 0 : duet_cli_fail(error);
}

/* One that comes meanwhile is not removed, and the volume stays. */
static gboolean remove_users(DuetContext *context, const char *name, GError **error)
{
    g_autoptr(DuetNamedVolume) volume = duet_named_volume_open(context, name, error);
    g_autoptr(GPtrArray) instances = volume ? duet_instance_list(context, error) : NULL;
    if (!instances)
        return FALSE;
    g_autoptr(GPtrArray) users = duet_named_volume_users(instances, name);
    for (guint i = 0; i < users->len; i++) {
        g_autoptr(DuetInstance) instance = duet_instance_open(context, users->pdata[i], error);
        if (!instance || !duet_instance_remove(instance, TRUE, error))
            return FALSE;
    }
    return TRUE;
}

static int volume_rm(DuetCli *cli, int argc, char **argv)
{
    gboolean force = FALSE;
    const GOptionEntry entries[] = {
        { "force", 'f', 0, G_OPTION_ARG_NONE, &force,
            "end and remove the instances that have it, too", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("volume", argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc < 2)
        return duet_cli_usage("volume rm", "no volume given");
    DuetContext *context = duet_cli_context(cli, &error);
    if (!context)
        return duet_cli_fail(error);
    int code = 0;
    for (int i = 1; i < argc; i++) {
        g_autoptr(GError) failure = NULL;
        if ((!force || remove_users(context, argv[i], &failure)) &&
            duet_named_volume_remove(context, argv[i], &failure))
            printf("%s\n", argv[i]);
        else
            code = duet_cli_fail(failure);
    }
    return code;
}

static gboolean is_sure(void)
{
    char answer[16];
    fputs("This removes all volumes that no instance has, and all that is in them.\n"
          "Are you sure? [y/N] ",
        stdout);
    fflush(stdout);
    return fgets(answer, sizeof answer, stdin) && g_ascii_tolower(answer[0]) == 'y';
}

static int volume_prune(DuetCli *cli, int argc, char **argv)
{
    gboolean force = FALSE;
    const GOptionEntry entries[] = {
        { "force", 'f', 0, G_OPTION_ARG_NONE, &force, "do not ask", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("volume", argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc > 1)
        return duet_cli_usage("volume prune", "'%s' is one argument too many", argv[1]);
    DuetContext *context = duet_cli_context(cli, &error);
    if (!context)
        return duet_cli_fail(error);
    if (!force && !is_sure())
        return 0;
    g_autoptr(GPtrArray) gone = duet_named_volume_prune(context, &error);
    if (!gone)
        return duet_cli_fail(error);
    for (guint i = 0; i < gone->len; i++)
        printf("%s\n", (const char *)gone->pdata[i]);
    return 0;
}

const DuetCommand duet_volume_commands[] = {
    { "create", "[-l KEY[=VALUE]] [NAME]", "make a volume", volume_create },
    { "ls", "[--format FORMAT] [-q]", "list volumes", volume_ls },
    { "inspect", "VOLUME...", "show all that is known of volumes, as JSON", volume_inspect },
    { "rm", "[-f] VOLUME...", "remove volumes", volume_rm },
    { "prune", "[-f]", "remove all volumes that no instance has", volume_prune },
    { NULL, NULL, NULL, NULL },
};
