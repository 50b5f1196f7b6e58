/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

int duet_cmd_help(DuetCli *cli, int argc, char **argv)
{
    if (argc < 2) {
        duet_cli_help();
        return 0;
    }
    const DuetCommand *command = duet_command_find(duet_commands, "duet command", argv[1]);
    if (!command)
        return 125;
    if (command->run == duet_cmd_help) {
        duet_cli_help();
        return 0;
    }
    char help[] = "--help";
    char *words[] = { argv[1], help, NULL };
    return command->run(cli, 2, words);
}
