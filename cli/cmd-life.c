/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs that do one thing to each instance named: start, stop, restart, kill, pause, unpause, rm,
 * wait. */
#include "cli/cli.h"
#include "core/events.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/save.h>

#include <signal.h>
#include <stdio.h>

/**
 * Choice: which instances, where no names say so
 * @resting: those that do not run as well
 */
typedef struct {
    char **filters;
    gboolean all;
    gboolean resting;
    DuetEachFlags flags;
} Choice;

static void choice_clear(Choice *choice)
{
    g_strfreev(choice->filters);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Choice, choice_clear)

#define ALL_ROW(letter, choice, what)                                                              \
    {                                                                                              \
        "all", letter, 0, G_OPTION_ARG_NONE, &(choice)->all, what, NULL                            \
    }

/* What `--all` of a verb means where those that it can do nothing to are left out. */
static void choose_states(Choice *choice, const char *const *states)
{
    if (!choice->all || choice->filters)
        return;
    choice->filters = g_strdupv((char **)states);
}

/* None that was chosen is no failure. */
static int for_chosen(
    DuetCli *cli, int argc, char **argv, const Choice *choice, DuetCliAct act, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    if (!choice->all && !choice->filters)
        return duet_cli_each(cli, argc, argv, act, data, choice->flags | DUET_EACH_NAMES);
    if (choice->all && argc > 1)
        return duet_cli_usage(argv[0], "--all and the name '%s' contradict each other", argv[1]);
    g_auto(GStrv) words =
        duet_cli_select_words(cli, argv, choice->filters, choice->resting, &error);
    if (!words)
        return duet_cli_fail(error);
    DuetEachFlags flags = choice->flags | DUET_EACH_NAMES;
    return words[1] ? duet_cli_each(cli, (int)g_strv_length(words), words, act, data, flags) : 0;
}

/* What --force-boot says, as of virsh. */
static gboolean make_bootable(DuetInstance *instance, gboolean force_boot, GError **error)
{
    return !force_boot || duet_instance_forget_saved(instance, error);
}

static gboolean act_start(DuetInstance *instance, gconstpointer data, GError **error)
{
    return make_bootable(instance, *(const gboolean *)data, error) &&
        duet_instance_start(instance, error);
}

/* One alone: there is one terminal. */
static int start_attached(DuetCli *cli, const char *name, const DuetTerminalOptions *options,
    gboolean interactive, gboolean force_boot)
{
    g_autoptr(GError) error = NULL;
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, name, &error);
    if (!instance)
        return duet_cli_fail(error);
    if (interactive && !duet_instance_spec(instance)->open_stdin)
        return duet_cli_usage(
            "start", "'%s' was made without -i: it has no standard input to be passed on", name);
    if (!make_bootable(instance, force_boot, &error))
        return duet_cli_fail(error);
    return duet_cli_run_attached(instance, options, interactive);
}

int duet_cmd_start(DuetCli *cli, int argc, char **argv)
{
    static const char *const startable[] = { "status=created", "status=exited", "status=saved",
        NULL };
    gboolean attach = FALSE, interactive = FALSE, force_boot = FALSE;
    g_auto(Choice) choice = { .resting = TRUE };
    g_auto(DuetTerminalOptions) options = { 0 };
    const GOptionEntry rows[] = {
        DUET_FILTER_ROW('f', &choice.filters),
        ALL_ROW(0, &choice, "start all instances"),
        { "attach", 'a', 0, G_OPTION_ARG_NONE, &attach, "stay, and show what it writes", NULL },
        { "interactive", 'i', 0, G_OPTION_ARG_NONE, &interactive,
            "the same, and pass standard input on", NULL },
        { "force-boot", 0, 0, G_OPTION_ARG_NONE, &force_boot,
            "boot a saved VM: its saved memory is dropped", NULL },
    };
    g_autoptr(GArray) entries = g_array_new(TRUE, FALSE, sizeof(GOptionEntry));
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
    duet_cli_terminal_rows(&options, DUET_TERMINAL_KEYS | DUET_TERMINAL_PROXY, entries);
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], (GOptionEntry *)entries->data, &argc, &argv, &error) ||
        !duet_cli_terminal_apply(&options, &error))
        return duet_cli_fail(error);
    if (!attach && !interactive) {
        choose_states(&choice, startable);
        return for_chosen(cli, argc, argv, &choice, act_start, &force_boot);
    }
    if (argc != 2 || choice.filters || choice.all)
        return duet_cli_usage("start", "give one instance to be attached to");
    return start_attached(cli, argv[1], &options, interactive, force_boot);
}

/* @seconds: -1: what the instance was made with */
static guint grace_ms(DuetInstance *instance, const int *seconds)
{
    return (guint)(*seconds < 0 ? duet_instance_spec(instance)->stop_timeout_s : *seconds) * 1000;
}

static gboolean act_stop(DuetInstance *instance, gconstpointer data, GError **error)
{
    g_autoptr(GError) failure = NULL;
    if (duet_instance_stop(instance, grace_ms(instance, data), &failure))
        return TRUE;
    /* Stopping what does not run is no failure, but worth a word. */
    if (g_error_matches(failure, DUET_ERROR, DUET_ERROR_STATE)) {
        fprintf(
            stderr, "duet: the instance '%s' is not running\n", duet_instance_spec(instance)->name);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static int with_grace(DuetCli *cli, int argc, char **argv, gboolean resting, DuetCliAct act)
{
    g_auto(Choice) choice = { .resting = resting };
    int seconds = G_MININT;
    const GOptionEntry entries[] = {
        DUET_FILTER_ROW('f', &choice.filters),
        ALL_ROW('a', &choice, resting ? "all instances" : "all that run"),
        { "time", 't', 0, G_OPTION_ARG_INT, &seconds,
            "grace before the kill (that of --stop-timeout, 10)", "SECONDS" },
        G_OPTION_ENTRY_NULL,
    };
    const char *verb = argv[0];
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(verb, entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (seconds == G_MININT)
        seconds = -1;
    else if (seconds < 0 || seconds > 86400)
        return duet_cli_usage(verb, "--time takes 0 to 86400 seconds");
    return for_chosen(cli, argc, argv, &choice, act, &seconds);
}

int duet_cmd_stop(DuetCli *cli, int argc, char **argv)
{
    return with_grace(cli, argc, argv, FALSE, act_stop);
}

/* One that does not run is started, as by podman. */
static gboolean act_restart(DuetInstance *instance, gconstpointer data, GError **error)
{
    const DuetSpec *spec = duet_instance_spec(instance);
    g_autoptr(GError) failure = NULL;
    if (spec->remove_at_exit) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the instance '%s' goes when it ends (--rm): make it anew", spec->name);
        return FALSE;
    }
    if (!duet_instance_stop(instance, grace_ms(instance, data), &failure) &&
        !g_error_matches(failure, DUET_ERROR, DUET_ERROR_STATE)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    duet_event_emit_restart(instance);
    return duet_instance_start(instance, error);
}

int duet_cmd_restart(DuetCli *cli, int argc, char **argv)
{
    return with_grace(cli, argc, argv, TRUE, act_restart);
}

static gboolean act_kill(DuetInstance *instance, gconstpointer data, GError **error)
{
    return duet_instance_signal(instance, *(const int *)data, error);
}

int duet_cmd_kill(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *name = NULL;
    g_auto(Choice) choice = { 0 };
    const GOptionEntry entries[] = {
        ALL_ROW('a', &choice, "all that run"),
        { "signal", 's', 0, G_OPTION_ARG_FILENAME, &name, "which signal (KILL)", "SIGNAL" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    int number = name ? duet_signal_from_string(name) : SIGKILL;
    if (!number)
        return duet_cli_usage("kill", "'%s' is no signal", name);
    return for_chosen(cli, argc, argv, &choice, act_kill, &number);
}

static gboolean act_pause(DuetInstance *instance, gconstpointer data, GError **error)
{
    return *(const gboolean *)data ? duet_instance_pause(instance, error)
                                   : duet_instance_resume(instance, error);
}

static int pause_or_unpause(DuetCli *cli, int argc, char **argv, gboolean pause)
{
    static const char *const pausable[] = { "status=running", NULL };
    static const char *const unpausable[] = { "status=paused", NULL };
    g_auto(Choice) choice = { 0 };
    const GOptionEntry entries[] = { DUET_FILTER_ROW('f', &choice.filters),
        ALL_ROW('a', &choice, pause ? "all that run" : "all that are paused"),
        G_OPTION_ENTRY_NULL };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    choose_states(&choice, pause ? pausable : unpausable);
    return for_chosen(cli, argc, argv, &choice, act_pause, &pause);
}

int duet_cmd_pause(DuetCli *cli, int argc, char **argv)
{
    return pause_or_unpause(cli, argc, argv, TRUE);
}

int duet_cmd_unpause(DuetCli *cli, int argc, char **argv)
{
    return pause_or_unpause(cli, argc, argv, FALSE);
}

static gboolean act_remove(DuetInstance *instance, gconstpointer data, GError **error)
{
    return duet_instance_remove(instance, *(const gboolean *)data, error);
}

/* Those whose state can't be read as well. */
static int remove_all(DuetCli *cli, gboolean force)
{
    g_autoptr(GError) error = NULL;
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(GPtrArray) instances = duet_instance_list(cli->context, &error);
    if (!instances)
        return duet_cli_fail(error);
    int code = 0;
    for (guint i = 0; i < instances->len; i++) {
        g_autoptr(GError) failure = NULL;
        DuetInstance *instance = instances->pdata[i];
        if (!duet_instance_remove(instance, force, &failure))
            code = duet_cli_fail(failure);
        else
            printf("%s\n", duet_instance_spec(instance)->name);
    }
    return code;
}

int duet_cmd_rm(DuetCli *cli, int argc, char **argv)
{
    g_auto(Choice) choice = { .resting = TRUE };
    gboolean force = FALSE;
    const GOptionEntry entries[] = {
        /* -f is --force. */
        DUET_FILTER_ROW(0, &choice.filters),
        { "force", 'f', 0, G_OPTION_ARG_NONE, &force,
            "end those that run; one that is not there is no failure", NULL },
        ALL_ROW('a', &choice, "remove all instances"),
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    choice.flags = force ? DUET_EACH_MISSING_OK : 0;
    if (choice.all && argc == 1 && !choice.filters)
        return remove_all(cli, force);
    return for_chosen(cli, argc, argv, &choice, act_remove, &force);
}

static gboolean act_wait(DuetInstance *instance, gconstpointer data, GError **error)
{
    (void)data;
    int code = duet_instance_wait(instance, error);
    if (code >= 0)
        printf("%d\n", code);
    return code >= 0;
}

int duet_cmd_wait(DuetCli *cli, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], NULL, &argc, &argv, &error))
        return duet_cli_fail(error);
    return duet_cli_each(cli, argc, argv, act_wait, NULL, 0);
}
