/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `snapshot` and `clone`: copies of the files of instances that do not run. */
#include "cli/cli.h"
#include "cli/describe.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/snapshot.h>

#include <stdio.h>

/* The verb as it was typed below `snapshot`. Returns: the exit code of a wrong use, or -1. */
static int parse(const char *verb, const GOptionEntry *entries, int *argc, char ***argv,
    const char *wanted, int least, int most)
{
    g_autofree char *full = g_strconcat("snapshot ", verb, NULL);
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(full, entries, argc, argv, &error))
        return duet_cli_fail(error);
    if (*argc - 1 < least)
        return duet_cli_usage(full, "give %s", wanted);
    if (most && *argc - 1 > most)
        return duet_cli_usage(full, "'%s' is one argument too many", (*argv)[most + 1]);
    return -1;
}

static DuetInstance *open_instance(DuetCli *cli, const char *name, GError **error)
{
    return duet_cli_context(cli, error) ? duet_instance_open(cli->context, name, error) : NULL;
}

static int snapshot_create(DuetCli *cli, int argc, char **argv)
{
    gboolean stateful = FALSE;
    const GOptionEntry entries[] = {
        { "stateful", 0, 0, G_OPTION_ARG_NONE, &stateful,
            "with the memory of a VM that runs, which goes on", NULL },
        G_OPTION_ENTRY_NULL,
    };
    int code = parse(argv[0], entries, &argc, &argv, "an instance and, if wanted, a name", 1, 2);
    g_autoptr(GError) error = NULL;
    if (code >= 0)
        return code;
    g_autoptr(DuetInstance) instance = open_instance(cli, argv[1], &error);
    const char *wanted = argc > 2 ? argv[2] : NULL;
    g_autofree char *name = !instance ? NULL
        : stateful                    ? duet_snapshot_create_stateful(instance, wanted, &error)
                                      : duet_snapshot_create(instance, wanted, &error);
    if (!name)
        return duet_cli_fail(error);
    printf("%s\n", name);
    return 0;
}

static void print_table(GPtrArray *list)
{
    static const char *const titles[] = { "NAME", "CREATED", "SIZE", "STATEFUL", NULL };
    DuetTable *table = duet_table_new(titles);
    for (guint i = 0; i < list->len; i++) {
        const DuetSnapshot *snapshot = list->pdata[i];
        char **cells = g_new0(char *, 5);
        cells[0] = g_strdup(snapshot->name);
        cells[1] = duet_describe_time(snapshot->created_us);
        cells[2] = duet_format_bytes(snapshot->size_bytes);
        cells[3] = g_strdup(snapshot->stateful ? "yes" : "no");
        duet_table_add(table, cells);
    }
    duet_table_print(table);
}

static int snapshot_ls(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL;
    gboolean quiet = FALSE, json;
    const GOptionEntry entries[] = {
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "json or table", "FORMAT" },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "names only", NULL },
        G_OPTION_ENTRY_NULL,
    };
    int code = parse(argv[0], entries, &argc, &argv, "one instance", 1, 1);
    g_autoptr(GError) error = NULL;
    if (code >= 0)
        return code;
    if (!duet_cli_format_is_json(format, &json, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = open_instance(cli, argv[1], &error);
    if (!instance)
        return duet_cli_fail(error);
    const char *id = duet_instance_spec(instance)->id;
    g_autoptr(GPtrArray) list = duet_snapshot_list(cli->context, id);
    if (json)
        return duet_cli_print_json(duet_describe_snapshots(cli->context, id), &error)
            ? 0
            : duet_cli_fail(error);
    if (!quiet)
        print_table(list);
    for (guint i = 0; quiet && i < list->len; i++)
        printf("%s\n", ((const DuetSnapshot *)list->pdata[i])->name);
    return 0;
}

static int snapshot_restore(DuetCli *cli, int argc, char **argv)
{
    int code = parse(argv[0], NULL, &argc, &argv, "an instance and a snapshot", 2, 2);
    g_autoptr(GError) error = NULL;
    if (code >= 0)
        return code;
    g_autoptr(DuetInstance) instance = open_instance(cli, argv[1], &error);
    if (!instance || !duet_snapshot_restore(instance, argv[2], &error))
        return duet_cli_fail(error);
    printf("%s\n", argv[2]);
    return 0;
}

static int snapshot_rm(DuetCli *cli, int argc, char **argv)
{
    int code = parse(argv[0], NULL, &argc, &argv, "an instance and snapshots", 2, 0);
    g_autoptr(GError) error = NULL;
    if (code >= 0)
        return code;
    g_autoptr(DuetInstance) instance = open_instance(cli, argv[1], &error);
    if (!instance)
        return duet_cli_fail(error);
    code = 0;
    for (int i = 2; i < argc; i++) {
        g_autoptr(GError) failure = NULL;
        if (duet_snapshot_remove(instance, argv[i], &failure))
            printf("%s\n", argv[i]);
        else
            code = duet_cli_fail(failure);
    }
    return code;
}

const DuetCommand duet_snapshot_commands[] = {
    { "create", "[--stateful] INSTANCE [NAME]",
        "keep the files of an instance that does not run as they are", snapshot_create },
    { "ls", "[--format FORMAT] [-q] INSTANCE", "list snapshots of an instance", snapshot_ls },
    { "list", "[--format FORMAT] [-q] INSTANCE", "do the same as ls", snapshot_ls },
    { "restore", "INSTANCE NAME", "put the files of an instance back as they were",
        snapshot_restore },
    { "rm", "INSTANCE NAME...", "remove snapshots", snapshot_rm },
    { NULL, NULL, NULL, NULL },
};

int duet_cmd_clone(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *name = NULL;
    g_autofree char *snapshot = NULL;
    const GOptionEntry entries[] = {
        { "name", 0, 0, G_OPTION_ARG_FILENAME, &name, "name of the new instance", "NAME" },
        { "snapshot", 0, 0, G_OPTION_ARG_FILENAME, &snapshot,
            "its files as they are in that snapshot, not as they are now", "NAME" },
        G_OPTION_ENTRY_NULL,
    };
    const char *words[3];
    g_autoptr(GError) error = NULL;
    int found = duet_cli_words(argv[0], entries, argc, argv, words, 3, &error);
    if (found < 0)
        return duet_cli_fail(error);
    if (found < 1 || found > 2)
        return duet_cli_usage("clone", found < 1 ? "no instance given" : "too many words");
    if (found == 2 && name)
        return duet_cli_usage("clone", "--name and the name '%s' contradict each other", words[1]);
    g_autoptr(DuetInstance) instance = open_instance(cli, words[0], &error);
    g_autoptr(DuetInstance) clone = instance
        ? duet_instance_clone(instance, snapshot, found == 2 ? words[1] : name, &error)
        : NULL;
    if (!clone)
        return duet_cli_fail(error);
    printf("%s\n", duet_instance_spec(clone)->id);
    return 0;
}
