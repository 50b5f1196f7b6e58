/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `run`, `create`, `start`, `attach` and `exec` can be asked about terminals, and what comes
 * of a client that is attached. */
#include "cli/cli.h"

#include <duet/error.h>

#include <string.h>
#include <unistd.h>

#define DEFAULT_KEYS "ctrl-p,ctrl-q"

void duet_cli_terminal_rows(DuetTerminalOptions *options, DuetTerminalRows which, GArray *entries)
{
    const GOptionEntry tty = { "tty", 't', 0, G_OPTION_ARG_NONE, &options->tty,
        "give it a terminal; with -i, the caller's is passed on", NULL };
    const GOptionEntry keys = { "detach-keys", 0, 0, G_OPTION_ARG_FILENAME, &options->keys_text,
        "with a terminal: what is typed to leave it running (" DEFAULT_KEYS "); '': nothing",
        "KEYS" };
    const GOptionEntry proxy = { "sig-proxy", 0, 0, G_OPTION_ARG_FILENAME, &options->proxy_text,
        "pass signals on to it (true), or be ended by them", "true|false" };
    if (which & DUET_TERMINAL_TTY)
        g_array_append_val(entries, tty);
    if (which & DUET_TERMINAL_KEYS)
        g_array_append_val(entries, keys);
    if (which & DUET_TERMINAL_PROXY)
        g_array_append_val(entries, proxy);
}

void duet_cli_terminal_clear(DuetTerminalOptions *options)
{
    g_free(options->keys_text);
    g_free(options->proxy_text);
}

gboolean duet_cli_terminal_apply(DuetTerminalOptions *options, GError **error)
{
    const char *proxy = options->proxy_text ? options->proxy_text : "true";
    options->proxy_signals = g_str_equal(proxy, "true");
    if (!options->proxy_signals && !g_str_equal(proxy, "false"))
        return duet_cli_invalid(error, "is no value of --sig-proxy: use true or false", proxy);
    return duet_keys_from_string(
        options->keys_text ? options->keys_text : DEFAULT_KEYS, &options->keys, error);
}

DuetIo duet_cli_terminal_io(const DuetTerminalOptions *options, gboolean tty, gboolean with_stdin)
{
    /* As podman: said, and done all the same. */
    if (tty && with_stdin && !isatty(STDIN_FILENO))
        duet_cli_say("standard input is no terminal: of the caller's there is no size and no keys "
                     "to pass on");
    return (DuetIo){
        .stdin_fd = with_stdin ? STDIN_FILENO : -1,
        .stdout_fd = STDOUT_FILENO,
        .stderr_fd = STDERR_FILENO,
        .tty = tty,
        .detach_keys = &options->keys,
    };
}

static int tell_end(const DuetInfo *info, const GError *error)
{
    if (!info)
        return duet_cli_fail(error);
    if (info->detached)
        return 0;
    if (info->oom)
        duet_cli_say("the kernel killed a process for lack of memory (--memory)");
    if (info->error)
        duet_cli_say(info->error);
    return info->exit_code;
}

int duet_cli_run_attached(
    DuetInstance *instance, const DuetTerminalOptions *options, gboolean with_stdin)
{
    g_autoptr(GError) error = NULL;
    DuetIo io = duet_cli_terminal_io(options, duet_instance_spec(instance)->tty, with_stdin);
    g_autoptr(DuetInfo) info = duet_instance_run(
        instance, &io, options->proxy_signals ? DUET_PROXY_ALL : DUET_PROXY_NONE, &error);
    return tell_end(info, error);
}

int duet_cli_attach(DuetInstance *instance, const DuetTerminalOptions *options, gboolean with_stdin)
{
    g_autoptr(GError) error = NULL;
    DuetIo io = duet_cli_terminal_io(options, duet_instance_spec(instance)->tty, with_stdin);
    g_autoptr(DuetInfo) info = duet_instance_attach(instance, &io, options->proxy_signals, &error);
    return tell_end(info, error);
}
