/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `disk`: the further disks of a VM, running or not. */
#include "cli/cli.h"
#include "cli/describe.h"
#include "core/disk-list.h"

#include <duet/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Opens the instance that is the first of 1 + @more words. Returns: an exit code, or -1. */
static int open_first(DuetCli *cli, const GOptionEntry *entries, int *argc, char ***argv, int more,
    DuetInstance **out_instance)
{
    g_autofree char *verb = g_strconcat("disk ", (*argv)[0], NULL);
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(verb, entries, argc, argv, &error))
        return duet_cli_fail(error);
    if (*argc != 2 + more)
        return duet_cli_usage(verb, more ? "give an instance and one disk" : "give one instance");
    *out_instance =
        duet_cli_context(cli, &error) ? duet_instance_open(cli->context, (*argv)[1], &error) : NULL;
    return *out_instance ? -1 : duet_cli_fail(error);
}

static int disk_attach(DuetCli *cli, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetInstance) instance = NULL;
    int code = open_first(cli, NULL, &argc, &argv, 1, &instance);
    if (code >= 0)
        return code;
    g_autofree char *text = duet_cli_check_disk(duet_instance_spec(instance), argv[2], &error);
    if (!text || !duet_instance_attach_disk(instance, text, &error))
        return duet_cli_fail(error);
    printf("%s\n", argv[1]);
    return 0;
}

/* Returns: (nullable): a file's whole path, as it was resolved when the disk came. */
static char *resolved(const char *word)
{
    if (duet_data_disk_index(word) >= 0)
        return NULL;
    char *path = realpath(word, NULL);
    return path ? path : g_canonicalize_filename(word, NULL);
}

static int disk_detach(DuetCli *cli, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetInstance) instance = NULL;
    int code = open_first(cli, NULL, &argc, &argv, 1, &instance);
    if (code >= 0)
        return code;
    g_autofree char *path = resolved(argv[2]);
    if (!duet_instance_detach_disk(instance, path ? path : argv[2], &error))
        return duet_cli_fail(error);
    printf("%s\n", argv[1]);
    return 0;
}

static int print_table(const GPtrArray *disks)
{
    static const char *const titles[] = { "TARGET", "FORMAT", "ACCESS", "FILE", NULL };
    DuetTable *table = duet_table_new(titles);
    for (guint i = 0; i < disks->len; i++) {
        const DuetDataDisk *disk = disks->pdata[i];
        char **cells = g_new0(char *, 5);
        cells[0] = duet_data_disk_target(disk->index);
        cells[1] = g_strdup(disk->is_qcow2 ? "qcow2" : "raw");
        cells[2] = g_strdup(disk->readonly ? "ro" : "rw");
        cells[3] = g_strdup(disk->path);
        duet_table_add(table, cells);
    }
    duet_table_print(table);
    return 0;
}

static int disk_ls(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL;
    gboolean json;
    const GOptionEntry entries[] = {
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "json or table", "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetInstance) instance = NULL;
    int code = open_first(cli, entries, &argc, &argv, 0, &instance);
    if (code >= 0)
        return code;
    if (!duet_cli_format_is_json(format, &json, &error))
        return duet_cli_fail(error);
    const DuetSpec *spec = duet_instance_spec(instance);
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(spec->disks, &error);
    if (!disks)
        return duet_cli_fail(error);
    if (!json)
        return print_table(disks);
    return duet_cli_print_json(duet_describe_disks(spec), &error) ? 0 : duet_cli_fail(error);
}

const DuetCommand duet_disk_commands[] = {
    { "attach", "INSTANCE FILE[,KEY=VALUE...]", "give a VM a further disk", disk_attach },
    { "detach", "INSTANCE TARGET|FILE", "take a disk from a VM", disk_detach },
    { "ls", "[--format FORMAT] INSTANCE", "list the further disks of a VM", disk_ls },
    { NULL, NULL, NULL, NULL },
};
