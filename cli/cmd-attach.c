/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include <duet/error.h>

/* Others have a payload with streams of its own; what their kernels say is in a log. */
static gboolean check_console(DuetInstance *instance, GError **error)
{
    const DuetSpec *spec = duet_instance_spec(instance);
    if (spec->disk_image)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "'%s' has no serial console to type at, as it runs no disk: `duet attach %s` joins its "
        "payload, `duet exec -it %s sh` starts a shell beside it",
        spec->name, spec->name, spec->name);
    return FALSE;
}

/* `attach` and `console`: the second is for disks, whose console is what there is to be joined. */
static int attach(DuetCli *cli, int argc, char **argv, gboolean console)
{
    const char *verb = argv[0];
    gboolean no_stdin = FALSE;
    g_auto(DuetTerminalOptions) options = { 0 };
    const GOptionEntry row = { "no-stdin", 0, 0, G_OPTION_ARG_NONE, &no_stdin,
        "do not pass standard input on", NULL };
    g_autoptr(GArray) entries = g_array_new(TRUE, FALSE, sizeof(GOptionEntry));
    g_array_append_val(entries, row);
    duet_cli_terminal_rows(&options, DUET_TERMINAL_KEYS | DUET_TERMINAL_PROXY, entries);
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], (GOptionEntry *)entries->data, &argc, &argv, &error) ||
        !duet_cli_terminal_apply(&options, &error))
        return duet_cli_fail(error);
    if (argc != 2)
        return duet_cli_usage(verb, "give one instance");
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, argv[1], &error);
    if (!instance || (console && !check_console(instance, &error)))
        return duet_cli_fail(error);
    return duet_cli_attach(
        instance, &options, duet_instance_spec(instance)->open_stdin && !no_stdin);
}

int duet_cmd_attach(DuetCli *cli, int argc, char **argv)
{
    return attach(cli, argc, argv, FALSE);
}

int duet_cmd_console(DuetCli *cli, int argc, char **argv)
{
    return attach(cli, argc, argv, TRUE);
}
