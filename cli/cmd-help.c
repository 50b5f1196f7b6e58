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
    /* Of a command's own command, too: `duet help image ls`. */
    gboolean below = argc > 2 && command->run == duet_command_below;
    char help[] = "--help";
    char *words[] = { argv[1], below ? argv[2] : help, below ? help : NULL, NULL };
    return command->run(cli, below ? 3 : 2, words);
}
