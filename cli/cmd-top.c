/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `top`: what runs in an instance. */
#include "cli/cli.h"

#include <duet/error.h>

#include <stdio.h>
#include <string.h>

#define NS_PER_S G_GUINT64_CONSTANT(1000000000)

static char *number_text(guint64 number)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT, number);
}

/* As podman writes times: "2h3m4.56s". */
static char *duration_text(guint64 ns)
{
    guint64 seconds = ns / NS_PER_S;
    guint64 hours = seconds / 3600, minutes = seconds / 60 % 60,
            hundredths = ns % NS_PER_S / 10000000;
    GString *text = g_string_new(NULL);
    if (hours)
        g_string_append_printf(text, "%" G_GUINT64_FORMAT "h", hours);
    if (hours || minutes)
        g_string_append_printf(text, "%" G_GUINT64_FORMAT "m", minutes);
    g_string_append_printf(text, "%" G_GUINT64_FORMAT, seconds % 60);
    if (hundredths)
        g_string_append_printf(text, ".%02u", (guint)hundredths);
    return g_string_free(g_string_append_c(text, 's'), FALSE);
}

/* The kernel's numbers of character devices. */
static char *tty_text(guint32 tty)
{
    guint major = tty >> 8 & 0xfff, minor = (tty & 0xff) | (tty >> 12 & 0xfff00);
    if (tty == 0)
        return g_strdup("?");
    if (major >= 136 && major <= 143)
        return g_strdup_printf("pts/%u", minor + ((major - 136) << 20));
    if (major == 4)
        return g_strdup_printf(minor < 64 ? "tty%u" : "ttyS%u", minor < 64 ? minor : minor - 64);
    if (major == 5 && minor == 1)
        return g_strdup("console");
    if (major == 229)
        return g_strdup_printf("hvc%u", minor);
    return g_strdup_printf("%u:%u", major, minor);
}

static char *user_cell(const DuetProcess *process)
{
    return *process->user ? g_strdup(process->user) : number_text(process->uid);
}

static char *uid_cell(const DuetProcess *process)
{
    return number_text(process->uid);
}

static char *pid_cell(const DuetProcess *process)
{
    return number_text(process->pid);
}

static char *ppid_cell(const DuetProcess *process)
{
    return number_text(process->ppid);
}

/* Since it began, as podman and ps have it. */
static char *pcpu_cell(const DuetProcess *process)
{
    double elapsed = (double)process->elapsed_ns;
    return g_strdup_printf("%.3f", elapsed > 0 ? 100.0 * (double)process->cpu_ns / elapsed : 0);
}

static char *etime_cell(const DuetProcess *process)
{
    return duration_text(process->elapsed_ns);
}

static char *tty_cell(const DuetProcess *process)
{
    return tty_text(process->tty);
}

static char *time_cell(const DuetProcess *process)
{
    return duration_text(process->cpu_ns);
}

static char *args_cell(const DuetProcess *process)
{
    return *process->args ? g_strdup(process->args) : g_strdup_printf("[%s]", process->name);
}

static char *comm_cell(const DuetProcess *process)
{
    return g_strdup(process->name);
}

static char *state_cell(const DuetProcess *process)
{
    return g_strdup_printf("%c", process->state);
}

static char *nice_cell(const DuetProcess *process)
{
    return g_strdup_printf("%d", process->nice);
}

static char *rss_cell(const DuetProcess *process)
{
    return number_text(process->resident_bytes >> 10);
}

static char *vsz_cell(const DuetProcess *process)
{
    return number_text(process->virtual_bytes >> 10);
}

/* podman's format descriptors, and uid. */
static const struct Column {
    const char *name;
    const char *title;
    char *(*cell)(const DuetProcess *process);
} columns[] = {
    { "user", "USER", user_cell },
    { "pid", "PID", pid_cell },
    { "ppid", "PPID", ppid_cell },
    { "pcpu", "%CPU", pcpu_cell },
    { "etime", "ELAPSED", etime_cell },
    { "tty", "TTY", tty_cell },
    { "time", "TIME", time_cell },
    { "args", "COMMAND", args_cell },
    { "comm", "COMMAND", comm_cell },
    { "state", "STATE", state_cell },
    { "nice", "NI", nice_cell },
    { "rss", "RSS", rss_cell },
    { "vsz", "VSZ", vsz_cell },
    { "uid", "UID", uid_cell },
};
#define DEFAULT_COLUMNS 8 /* the first ones */
#define COLUMNS_MAX 64

static const struct Column *column_of(const char *name, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(columns); i++)
        if (g_str_equal(columns[i].name, name))
            return &columns[i];
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < G_N_ELEMENTS(columns); i++)
        g_string_append_printf(names, "%s%s", i ? ", " : "", columns[i].name);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "top: '%s' is nothing that can be shown of a process: use %s", name, names->str);
    return NULL;
}

/* @words: each with one or more names, commas between. Returns: (transfer container) or NULL. */
static GPtrArray *chosen_columns(char **words, GError **error)
{
    g_autoptr(GPtrArray) chosen = g_ptr_array_new();
    for (guint i = 0; !*words && i < DEFAULT_COLUMNS; i++)
        g_ptr_array_add(chosen, (gpointer)&columns[i]);
    for (; *words; words++) {
        g_auto(GStrv) names = g_strsplit(*words, ",", -1);
        /* An empty word has no part. */
        if (!*names && !column_of("", error))
            return NULL;
        for (char **name = names; *name; name++) {
            const struct Column *column = column_of(*name, error);
            if (!column)
                return NULL;
            g_ptr_array_add(chosen, (gpointer)column);
        }
    }
    if (chosen->len <= COLUMNS_MAX)
        return g_steal_pointer(&chosen);
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "top: %d columns are shown at most", COLUMNS_MAX);
    return NULL;
}

static void print_processes(const GPtrArray *processes, const GPtrArray *chosen)
{
    const char *titles[COLUMNS_MAX + 1] = { NULL };
    for (guint i = 0; i < chosen->len; i++)
        titles[i] = ((const struct Column *)chosen->pdata[i])->title;
    DuetTable *table = duet_table_new(titles);
    for (guint i = 0; i < processes->len; i++) {
        char **cells = g_new0(char *, chosen->len + 1);
        for (guint k = 0; k < chosen->len; k++)
            cells[k] = ((const struct Column *)chosen->pdata[k])->cell(processes->pdata[i]);
        duet_table_add(table, cells);
    }
    duet_table_print(table);
}

int duet_cmd_top(DuetCli *cli, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], NULL, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc < 2)
        return duet_cli_usage("top", "no instance given");
    g_autoptr(GPtrArray) chosen = chosen_columns(argv + 2, &error);
    if (!chosen || !duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, argv[1], &error);
    g_autoptr(GPtrArray) processes = instance ? duet_instance_processes(instance, &error) : NULL;
    if (!processes)
        return duet_cli_fail(error);
    print_processes(processes, chosen);
    return 0;
}
