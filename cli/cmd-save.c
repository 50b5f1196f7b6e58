/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `save` and `restore`: the memory of VMs, kept in a file. */
#include "cli/cli.h"

#include <duet/save.h>

static gboolean act_save(DuetInstance *instance, gconstpointer data, GError **error)
{
    (void)data;
    return duet_instance_save(instance, error);
}

static gboolean act_restore(DuetInstance *instance, gconstpointer data, GError **error)
{
    (void)data;
    return duet_instance_restore(instance, error);
}

static int each(DuetCli *cli, int argc, char **argv, DuetCliAct act)
{
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], NULL, &argc, &argv, &error))
        return duet_cli_fail(error);
    return duet_cli_each(cli, argc, argv, act, NULL, DUET_EACH_NAMES);
}

int duet_cmd_save(DuetCli *cli, int argc, char **argv)
{
    return each(cli, argc, argv, act_save);
}

int duet_cmd_restore(DuetCli *cli, int argc, char **argv)
{
    return each(cli, argc, argv, act_restore);
}
