/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include <unistd.h>

int duet_cmd_logs(DuetCli *cli, int argc, char **argv)
{
    gboolean follow = FALSE;
    const GOptionEntry entries[] = {
        { "follow", 'f', 0, G_OPTION_ARG_NONE, &follow, "go on until it ends", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc != 2)
        return duet_cli_usage("logs", "give one instance");
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, argv[1], &error);
    if (!instance || !duet_instance_logs(instance, STDOUT_FILENO, STDERR_FILENO, follow, &error))
        return duet_cli_fail(error);
    return 0;
}
