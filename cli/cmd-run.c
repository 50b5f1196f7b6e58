/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `run` and `create`: the same options; create stops before the start. */
#include "cli/cli.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The monitor's timer counts milliseconds in 32 bits. */
#define TIMEOUT_MIN_S 0.001
#define TIMEOUT_MAX_S 4e6

typedef struct {
    DuetRunOptions options;
    DuetLabelOptions labels;
    DuetMachineOptions machine;
    DuetDiskOptions disk;
    DuetTerminalOptions terminal;
    DuetSuperviseOptions supervise;
    char *as;
    char *name;
    char *id_file;
    gboolean vm, detach, remove, interactive, init, replace;
    double timeout_s;
} RunArguments;

static void run_arguments_clear(RunArguments *arguments)
{
    duet_cli_run_options_clear(&arguments->options);
    duet_cli_label_options_clear(&arguments->labels);
    duet_cli_machine_options_clear(&arguments->machine);
    duet_cli_disk_options_clear(&arguments->disk);
    duet_cli_terminal_clear(&arguments->terminal);
    duet_cli_supervise_options_clear(&arguments->supervise);
    g_free(arguments->as);
    g_free(arguments->name);
    g_free(arguments->id_file);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunArguments, run_arguments_clear)

static gboolean parse(
    const char *verb, RunArguments *arguments, int *argc, char ***argv, GError **error)
{
    const GOptionEntry rows[] = {
        { "as", 0, 0, G_OPTION_ARG_FILENAME, &arguments->as,
            "vm or container (the default; $DUET_AS overrides)", "KIND" },
        { "vm", 0, 0, G_OPTION_ARG_NONE, &arguments->vm, "short for --as vm", NULL },
        { "name", 0, 0, G_OPTION_ARG_FILENAME, &arguments->name, "name of the instance", "NAME" },
        { "replace", 0, 0, G_OPTION_ARG_NONE, &arguments->replace,
            "remove the instance that has the name now", NULL },
        { "cidfile", 0, 0, G_OPTION_ARG_FILENAME, &arguments->id_file, "write its id to a new file",
            "FILE" },
        { "rm", 0, 0, G_OPTION_ARG_NONE, &arguments->remove, "remove it when it ends", NULL },
        { "interactive", 'i', 0, G_OPTION_ARG_NONE, &arguments->interactive,
            "pass standard input on", NULL },
        { "timeout", 0, 0, G_OPTION_ARG_DOUBLE, &arguments->timeout_s, "kill it after that time",
            "SECONDS" },
        { "init", 0, 0, G_OPTION_ARG_NONE, &arguments->init,
            "accepted and without effect: there always is an init", NULL },
    };
    const GOptionEntry detach = { "detach", 'd', 0, G_OPTION_ARG_NONE, &arguments->detach,
        "leave it in the background and print its id", NULL };
    g_autoptr(GArray) entries = duet_cli_run_options(&arguments->options);
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
    duet_cli_label_options(entries, &arguments->labels);
    duet_cli_machine_options(&arguments->machine, entries);
    duet_cli_disk_options(&arguments->disk, entries);
    duet_cli_supervise_options(&arguments->supervise, entries);
    gboolean runs = g_str_equal(verb, "run");
    duet_cli_terminal_rows(&arguments->terminal,
        runs ? DUET_TERMINAL_TTY | DUET_TERMINAL_KEYS | DUET_TERMINAL_PROXY : DUET_TERMINAL_TTY,
        entries);
    if (runs)
        g_array_append_val(entries, detach);
    return duet_cli_options_first(verb, (GOptionEntry *)entries->data, argc, argv, error) &&
        duet_cli_terminal_apply(&arguments->terminal, error);
}

/* `image rm` keeps the layers of instances that it sees. Who was made too late for that finds that
 * the image is gone. */
static gboolean check_image(DuetCli *cli, DuetInstance *instance, GError **error)
{
    const char *digest = duet_instance_spec(instance)->image_digest;
    g_autoptr(DuetImage) image = duet_cli_image(cli, digest, error);
    if (!image)
        duet_instance_remove(instance, FALSE, NULL);
    return image != NULL;
}

/* Last of all, when the new one is known to be possible. */
static gboolean make_room(DuetCli *cli, const char *name, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(DuetInstance) old = duet_instance_open(cli->context, name, &failure);
    if (old)
        return duet_instance_remove(old, TRUE, error);
    if (g_error_matches(failure, DUET_ERROR, DUET_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static DuetInstance *create_instance(
    DuetCli *cli, const RunArguments *arguments, DuetSpec *spec, GError **error)
{
    g_autoptr(DuetSpec) owned = spec;
    if (arguments->replace && !make_room(cli, spec->name, error))
        return NULL;
    g_autoptr(DuetInstance) instance =
        duet_instance_create(cli->context, g_steal_pointer(&owned), error);
    return instance && check_image(cli, instance, error) ? g_steal_pointer(&instance) : NULL;
}

/* The file that tells of it must be a new one, and is only there if the instance is. */
static DuetInstance *create_with_file(
    DuetCli *cli, const RunArguments *arguments, DuetSpec *spec, GError **error)
{
    const char *path = arguments->id_file;
    g_autofree char *id = g_strdup(spec->id);
    g_autoptr(DuetSpec) owned = spec;
    DUET_AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        duet_error_set_errno(error, errno, "cannot make the file of --cidfile '%s'", path);
        return NULL;
    }
    DuetInstance *instance = duet_write_all(fd, id, strlen(id))
        ? create_instance(cli, arguments, g_steal_pointer(&owned), error)
        : NULL;
    if (owned)
        duet_error_set_errno(error, errno, "cannot write the file of --cidfile '%s'", path);
    if (!instance)
        unlink(path);
    return instance;
}

static DuetInstance *make(DuetCli *cli, const RunArguments *arguments, char **words, GError **error)
{
    DuetKind kind;
    if (!duet_cli_kind(arguments->as, arguments->vm, &kind, error))
        return NULL;
    double timeout_s = arguments->timeout_s;
    if (timeout_s != 0 && !(timeout_s >= TIMEOUT_MIN_S && timeout_s <= TIMEOUT_MAX_S)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--timeout %g: give %g to %g seconds, or 0 for none", timeout_s, TIMEOUT_MIN_S,
            TIMEOUT_MAX_S);
        return NULL;
    }
    g_autoptr(DuetSpec) spec =
        duet_cli_spec(cli, &arguments->options, kind, words[0], words + 1, error);
    if (!spec || !duet_cli_apply_labels(spec, &arguments->labels, error) ||
        !duet_cli_apply_disk(spec, &arguments->disk, &arguments->options, error) ||
        !duet_cli_apply_machine(spec, &arguments->machine, error))
        return NULL;
    if (!spec->argv[0] && !spec->disk_image) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "the image '%s' names no command; give one after it", words[0]);
        return NULL;
    }
    if (arguments->replace && !arguments->name) {
        g_set_error_literal(
            error, DUET_ERROR, DUET_ERROR_INVALID, "--replace needs the name: add --name");
        return NULL;
    }
    spec->name = g_strdup(arguments->name);
    spec->remove_at_exit = arguments->remove;
    spec->open_stdin |= arguments->interactive;
    spec->tty |= arguments->terminal.tty;
    spec->timeout_ms = (gint64)(timeout_s * 1000);
    if (!duet_cli_apply_supervise(spec, &arguments->supervise, error))
        return NULL;
    return (arguments->id_file ? create_with_file : create_instance)(
        cli, arguments, g_steal_pointer(&spec), error);
}

static int run_detached(DuetInstance *instance)
{
    g_autoptr(GError) error = NULL;
    if (!duet_instance_start(instance, &error))
        return duet_cli_fail(error);
    printf("%s\n", duet_instance_spec(instance)->id);
    return 0;
}

static int run_or_create(DuetCli *cli, int argc, char **argv, gboolean start)
{
    g_auto(RunArguments) arguments = { 0 };
    g_autoptr(GError) error = NULL;
    const char *verb = argv[0];
    if (!parse(verb, &arguments, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc < 2)
        return duet_cli_usage(verb, "no image given");
    g_autoptr(DuetInstance) instance = make(cli, &arguments, argv + 1, &error);
    if (!instance)
        return duet_cli_fail(error);
    if (!start) {
        printf("%s\n", duet_instance_spec(instance)->id);
        return 0;
    }
    return arguments.detach
        ? run_detached(instance)
        : duet_cli_run_attached(instance, &arguments.terminal, arguments.interactive);
}

int duet_cmd_run(DuetCli *cli, int argc, char **argv)
{
    return run_or_create(cli, argc, argv, TRUE);
}

int duet_cmd_create(DuetCli *cli, int argc, char **argv)
{
    return run_or_create(cli, argc, argv, FALSE);
}
