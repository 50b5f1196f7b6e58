/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include <duet/error.h>

int duet_cmd_exec(DuetCli *cli, int argc, char **argv)
{
    g_auto(GStrv) given = NULL, env_files = NULL;
    g_autofree char *cwd = NULL;
    g_autofree char *user = NULL;
    gboolean interactive = FALSE, detach = FALSE;
    g_auto(DuetTerminalOptions) terminal = { 0 };
    const GOptionEntry rows[] = {
        { "env", 'e', 0, G_OPTION_ARG_FILENAME_ARRAY, &given, "set a variable", "NAME[=VALUE]" },
        { "env-file", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &env_files,
            "set variables, one in each line: NAME=VALUE, or NAME alone", "FILE" },
        { "interactive", 'i', 0, G_OPTION_ARG_NONE, &interactive, "pass standard input on", NULL },
        { "workdir", 'w', 0, G_OPTION_ARG_FILENAME, &cwd, "working directory", "DIR" },
        { "user", 'u', 0, G_OPTION_ARG_FILENAME, &user, "who runs it", "USER[:GROUP]" },
        { "detach", 'd', 0, G_OPTION_ARG_NONE, &detach,
            "leave it in the background; its output is nobody's", NULL },
    };
    g_autoptr(GArray) entries = g_array_new(TRUE, FALSE, sizeof(GOptionEntry));
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
    duet_cli_terminal_rows(&terminal, DUET_TERMINAL_TTY | DUET_TERMINAL_KEYS, entries);
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_first(argv[0], (GOptionEntry *)entries->data, &argc, &argv, &error) ||
        !duet_cli_terminal_apply(&terminal, &error))
        return duet_cli_fail(error);
    if (argc < 3)
        return duet_cli_usage("exec", argc < 2 ? "no instance given" : "no command given");
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, argv[1], &error);
    if (!instance)
        return duet_cli_fail(error);
    g_auto(GStrv) env = g_new0(char *, 1);
    for (char **path = env_files; path && *path; path++)
        if (!duet_cli_env_file(&env, *path, &error))
            return duet_cli_fail(error);
    for (char **text = given; text && *text; text++)
        env = duet_cli_with_env(env, *text);
    DuetExec exec = {
        .argv = argv + 2,
        .env = env,
        .cwd = cwd,
        .user = user,
        .open_stdin = interactive && !detach,
        .tty = terminal.tty,
        .detach = detach,
    };
    DuetIo io = { -1, -1, -1 };
    if (!detach)
        io = duet_cli_terminal_io(&terminal, terminal.tty, interactive);
    int code = duet_instance_exec(instance, &exec, &io, &error);
    return code < 0 ? duet_cli_fail(error) : code;
}
