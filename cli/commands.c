/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

const DuetCommand duet_commands[] = {
    { "run", "[OPTION...] IMAGE [COMMAND [ARG...]]", "run a command in a new VM or container",
        duet_cmd_run },
    { "create", "[OPTION...] IMAGE [COMMAND [ARG...]]", "make an instance without starting it",
        duet_cmd_create },
    { "start", "[OPTION...] [INSTANCE...]", "start instances that exist", duet_cmd_start },
    { "stop", "[OPTION...] [INSTANCE...]", "end instances: stop signal, then kill", duet_cmd_stop },
    { "restart", "[OPTION...] [INSTANCE...]", "end instances, and start them again",
        duet_cmd_restart },
    { "kill", "[OPTION...] INSTANCE...", "send a signal to instances", duet_cmd_kill },
    { "pause", "[OPTION...] [INSTANCE...]", "freeze instances", duet_cmd_pause },
    { "unpause", "[OPTION...] [INSTANCE...]", "let paused instances go on", duet_cmd_unpause },
    { "resume", "[OPTION...] [INSTANCE...]", "let paused instances go on, as unpause does",
        duet_cmd_unpause },
    { "save", "INSTANCE...", "keep the memory of VMs in a file, and end them", duet_cmd_save },
    { "restore", "INSTANCE...", "let saved VMs go on where they were", duet_cmd_restore },
    { "update", "[OPTION...] INSTANCE", "change the limits of an instance", duet_cmd_update },
    { "disk", "COMMAND [OPTION...] INSTANCE [DISK]", "attach disks to VMs, and detach them",
        duet_command_below },
    { "rename", "INSTANCE NAME", "give an instance another name", duet_cmd_rename },
    { "rm", "[OPTION...] [INSTANCE...]", "remove instances", duet_cmd_rm },
    { "ps", "[OPTION...]", "list instances", duet_cmd_ps },
    { "stats", "[OPTION...] [INSTANCE...]", "show what instances use of the host", duet_cmd_stats },
    { "top", "INSTANCE [FORMAT...]", "show what runs in an instance", duet_cmd_top },
    { "inspect", "INSTANCE...", "show all that is known of instances, as JSON", duet_cmd_inspect },
    { "logs", "[OPTION...] INSTANCE", "show what an instance wrote", duet_cmd_logs },
    { "events", "[OPTION...]", "show what happens to instances", duet_cmd_events },
    { "attach", "[OPTION...] INSTANCE", "join the streams, or terminal, of a running instance",
        duet_cmd_attach },
    { "console", "[OPTION...] INSTANCE", "join the serial console of a disk's VM",
        duet_cmd_console },
    { "view", "[OPTION...] INSTANCE", "show the screen of a disk's VM, or tell where it is",
        duet_cmd_view },
    { "exec", "[OPTION...] INSTANCE COMMAND [ARG...]", "run a command in a running instance",
        duet_cmd_exec },
    { "cp", "[OPTION...] [INSTANCE:]SOURCE [INSTANCE:]TARGET",
        "copy files into an instance, or out of it", duet_cmd_cp },
    { "snapshot", "COMMAND [OPTION...] INSTANCE [NAME...]",
        "keep the files of instances as they are, and put them back", duet_command_below },
    { "clone", "[OPTION...] INSTANCE [NAME]", "make a new instance with the files of another",
        duet_cmd_clone },
    { "healthcheck", "COMMAND [ARG...]", "find out whether an instance is well",
        duet_command_below },
    { "wait", "INSTANCE...", "wait until instances end and print their exit codes", duet_cmd_wait },
    { "image", "COMMAND [OPTION...] [ARG...]", "import, export, list, inspect and remove images",
        duet_command_below },
    { "volume", "COMMAND [OPTION...] [ARG...]", "create, list, inspect and remove volumes",
        duet_command_below },
    { "compare", "[OPTION...] IMAGE [-- COMMAND [ARG...]]",
        "run one command both ways and show the difference", duet_cmd_compare },
    { "bench", "COMMAND [OPTION...] ARG...", "measure VM against container, many times",
        duet_command_below },
    { "report", "[OPTION...] RESULT...", "make a page of results", duet_cmd_report },
    { "check", "[OPTION...]", "tell what this host can do", duet_cmd_check },
    { "help", "[COMMAND...]", "show this help, or a command's", duet_cmd_help },
    { NULL, NULL, NULL, NULL },
};

static const struct {
    const char *verb;
    const DuetCommand *commands;
} groups[] = {
    { "image", duet_image_commands },
    { "volume", duet_volume_commands },
    { "bench", duet_bench_commands },
    { "healthcheck", duet_healthcheck_commands },
    { "snapshot", duet_snapshot_commands },
    { "disk", duet_disk_commands },
};

/* Levenshtein distance; names are short. */
static guint distance(const char *a, const char *b)
{
    guint row[64];
    gsize n = MIN(strlen(b), G_N_ELEMENTS(row) - 1);
    for (guint j = 0; j <= n; j++)
        row[j] = j;
    for (guint i = 1; *a; a++, i++) {
        guint diagonal = row[0];
        row[0] = i;
        for (guint j = 1; j <= n; j++) {
            guint keep = diagonal + (b[j - 1] != *a);
            diagonal = row[j];
            row[j] = MIN(keep, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

const DuetCommand *duet_command_find(const DuetCommand *table, const char *what, const char *name)
{
    const DuetCommand *nearest = table;
    for (const DuetCommand *row = table; row->name; row++) {
        if (g_str_equal(row->name, name))
            return row;
        if (distance(name, row->name) < distance(name, nearest->name))
            nearest = row;
    }
    fprintf(stderr, "duet: '%s' is no %s", name, what);
    if (distance(name, nearest->name) <= 2)
        fprintf(stderr, "; did you mean '%s'?", nearest->name);
    fprintf(stderr, "\nTry `duet help`.\n");
    return NULL;
}

static const DuetCommand *row_of(const DuetCommand *table, const char *name)
{
    while (table->name && !g_str_equal(table->name, name))
        table++;
    return table->name ? table : NULL;
}

static const DuetCommand *commands_of(const char *verb)
{
    for (gsize i = 0; i < G_N_ELEMENTS(groups); i++) {
        if (g_str_equal(groups[i].verb, verb))
            return groups[i].commands;
    }
    return NULL;
}

const DuetCommand *duet_command_row(const char *words)
{
    g_auto(GStrv) parts = g_strsplit(words, " ", 2);
    const DuetCommand *table = parts[1] ? commands_of(parts[0]) : duet_commands;

    return table ? row_of(table, parts[1] ? parts[1] : parts[0]) : NULL;
}

int duet_command_below(DuetCli *cli, int argc, char **argv)
{
    const DuetCommand *table = commands_of(argv[0]);

    if (argc > 1 && argv[1][0] != '-') {
        g_autofree char *what = g_strdup_printf("command of `duet %s`", argv[0]);
        const DuetCommand *command = duet_command_find(table, what, argv[1]);
        return command ? command->run(cli, argc - 1, argv + 1) : 125;
    }
    printf("Usage: duet %s %s\n", argv[0], duet_command_row(argv[0])->arguments);
    duet_help_print_below(table);
    printf("\n`duet %s COMMAND --help` explains one.\n", argv[0]);
    return argc > 1 && (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h")) ? 0 : 125;
}

void duet_cli_help(void)
{
    printf("Usage: duet [--root DIR] COMMAND ...\n\n"
           "Runs one image as a virtual machine and as a container, and measures both.\n\n"
           "Commands:\n");
    for (const DuetCommand *row = duet_commands; row->name; row++)
        printf("  %-11s %s\n", row->name, row->summary);
    printf("\nOptions:\n"
           "  --root DIR  keep images and instances in DIR (or $DUET_ROOT; /var/lib/duet, or\n"
           "              $XDG_DATA_HOME/duet of an ordinary user)\n"
           "  --version   print the version\n"
           "  --help      print this help\n\n"
           "`duet COMMAND --help` explains one, `duet check` tells what this host can do.\n");
}
