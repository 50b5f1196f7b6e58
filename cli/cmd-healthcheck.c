/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include <stdio.h>

const DuetCommand duet_healthcheck_commands[] = {
    { "run", "INSTANCE", "check an instance's health now", duet_cmd_healthcheck_run },
    { NULL, NULL, NULL, NULL },
};

int duet_cmd_healthcheck_run(DuetCli *cli, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    gboolean healthy = FALSE;
    if (!duet_cli_options("healthcheck run", NULL, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc != 2)
        return duet_cli_usage("healthcheck run", "give one instance");
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, argv[1], &error);
    if (!instance || !duet_instance_check_health(instance, &healthy, &error))
        return duet_cli_fail(error);
    if (!healthy)
        printf("unhealthy\n");
    return !healthy;
}
