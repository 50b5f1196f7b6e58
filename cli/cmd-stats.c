/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `stats`: what instances use, once or again and again. */
#include "cli/cli.h"
#include "core/util.h"

#include <duet/error.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* podman's. */
#define INTERVAL_S 5.0
#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 86400.0
#define NOT_KNOWN "n/a"

typedef struct {
    gboolean all, once, json;
    double interval_s;
} StatsOptions;

/* One line. @cpu_percent: of one CPU; NAN: not known */
typedef struct {
    DuetInfo *info;
    DuetStats stats;
    double cpu_percent;
} Sample;

static void sample_free(Sample *sample)
{
    duet_info_free(sample->info);
    g_free(sample);
}

/* Since the last sample, or, if this is the first of this run, since its start. */
static double cpu_percent(const DuetStats *last, const DuetStats *now)
{
    gboolean same_run = last && last->started_ns == now->started_ns;
    gint64 since_ns = same_run ? last->at_ns : now->started_ns;
    guint64 before = same_run ? MIN(last->cpu_ns, now->cpu_ns) : 0;
    return since_ns > 0 && now->at_ns > since_ns
        ? 100.0 * (double)(now->cpu_ns - before) / (double)(now->at_ns - since_ns)
        : NAN;
}

/*
 * @info: (transfer full) (nullable): what was known a moment ago
 * @before: (element-type utf8 DuetStats): by id; gets this one
 * Returns: %FALSE with an error; one that does not run is left out, or shown as using nothing
 */
static gboolean add_sample(GPtrArray *samples, GHashTable *before, DuetInstance *instance,
    DuetInfo *info, gboolean all, GError **error)
{
    g_autoptr(DuetInfo) known = info;
    g_autoptr(GError) failure = NULL;
    DuetStats stats = { 0 };
    gboolean runs = duet_instance_stats(instance, &stats, &failure);
    if (!runs && !g_error_matches(failure, DUET_ERROR, DUET_ERROR_STATE)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (!runs && !all)
        return TRUE;
    if (!known || !runs) {
        g_clear_pointer(&known, duet_info_free);
        known = duet_instance_info(instance, NULL);
    }
    if (!known)
        return TRUE;
    const DuetStats *last = g_hash_table_lookup(before, known->spec->id);
    Sample *sample = g_new0(Sample, 1);
    sample->stats = stats;
    sample->cpu_percent = runs ? cpu_percent(last, &stats) : 0;
    if (runs)
        g_hash_table_replace(before, g_strdup(known->spec->id), g_memdup2(&stats, sizeof stats));
    sample->info = g_steal_pointer(&known);
    g_ptr_array_add(samples, sample);
    return TRUE;
}

/* One that was there when it began, and went, is no failure. */
static gboolean add_named(DuetCli *cli, GPtrArray *samples, GHashTable *before, const char *name,
    gboolean all, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, name, &failure);
    if (instance)
        return add_sample(samples, before, instance, NULL, all, error);
    if (g_error_matches(failure, DUET_ERROR, DUET_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* @names: those; if it is empty, all that run */
static GPtrArray *sample_all(
    DuetCli *cli, const StatsOptions *options, char **names, GHashTable *before, GError **error)
{
    g_autoptr(GPtrArray) samples = g_ptr_array_new_with_free_func((GDestroyNotify)sample_free);
    g_auto(DuetSelection) selection = { NULL, NULL };
    if (!*names && !duet_cli_select(cli, NULL, options->all, &selection, error))
        return NULL;
    for (guint i = 0; selection.instances && i < selection.instances->len; i++)
        if (!add_sample(samples, before, selection.instances->pdata[i],
                g_steal_pointer(&selection.infos->pdata[i]), options->all, error))
            return NULL;
    for (; *names; names++)
        if (!add_named(cli, samples, before, *names, options->all, error))
            return NULL;
    return g_steal_pointer(&samples);
}

static char *bytes_text(guint64 bytes)
{
    return bytes == DUET_UNKNOWN ? g_strdup(NOT_KNOWN) : duet_format_bytes(bytes);
}

static char *pair_text(guint64 first, guint64 second)
{
    g_autofree char *one = bytes_text(first);
    g_autofree char *other = bytes_text(second);
    return g_strconcat(one, " / ", other, NULL);
}

static double memory_percent(const DuetStats *stats)
{
    guint64 limit = stats->memory_limit_bytes;
    return limit ? 100.0 * (double)stats->memory_bytes / (double)limit : 0;
}

static char *percent_text(double percent)
{
    return isnan(percent) ? g_strdup(NOT_KNOWN) : g_strdup_printf("%.2f%%", percent);
}

static void print_table(const GPtrArray *samples)
{
    static const char *const titles[] = { "ID", "NAME", "KIND", "CPU %", "MEM USAGE / LIMIT",
        "MEM %", "NET IO", "BLOCK IO", "PIDS", NULL };
    DuetTable *table = duet_table_new(titles);
    for (guint i = 0; i < samples->len; i++) {
        const Sample *sample = samples->pdata[i];
        const DuetStats *stats = &sample->stats;
        char **cells = g_new0(char *, G_N_ELEMENTS(titles));
        cells[0] = g_strdup(sample->info->spec->id);
        cells[1] = g_strdup(sample->info->spec->name);
        cells[2] = g_strdup(duet_kind_to_string(sample->info->spec->kind));
        cells[3] = percent_text(sample->cpu_percent);
        cells[4] = pair_text(stats->memory_bytes, stats->memory_limit_bytes);
        cells[5] = percent_text(memory_percent(stats));
        cells[6] = g_strdup(NOT_KNOWN);
        cells[7] = pair_text(stats->read_bytes, stats->write_bytes);
        cells[8] = g_strdup_printf("%" G_GUINT64_FORMAT, stats->threads);
        duet_table_add(table, cells);
    }
    duet_table_print(table);
}

static GVariant *describe(const Sample *sample)
{
    const DuetStats *stats = &sample->stats;
    const struct {
        const char *key;
        guint64 value;
    } numbers[] = {
        { "cpu_ns", stats->cpu_ns },
        { "memory_bytes", stats->memory_bytes },
        { "memory_limit_bytes", stats->memory_limit_bytes },
        { "anonymous_bytes", stats->anonymous_bytes },
        { "file_bytes", stats->file_bytes },
        { "kernel_bytes", stats->kernel_bytes },
        { "shmem_bytes", stats->shmem_bytes },
        { "read_bytes", stats->read_bytes },
        { "write_bytes", stats->write_bytes },
        { "pids", stats->threads },
    };
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_variant_dict_insert(&dict, "id", "s", sample->info->spec->id);
    g_variant_dict_insert(&dict, "name", "s", sample->info->spec->name);
    g_variant_dict_insert(&dict, "kind", "s", duet_kind_to_string(sample->info->spec->kind));
    g_variant_dict_insert(&dict, "state", "s", duet_state_to_string(sample->info->state));
    g_variant_dict_insert(
        &dict, "cpu_percent", "md", !isnan(sample->cpu_percent), sample->cpu_percent);
    g_variant_dict_insert(&dict, "memory_percent", "d", memory_percent(stats));
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
        g_variant_dict_insert(&dict, numbers[i].key, "mx", numbers[i].value != DUET_UNKNOWN,
            (gint64)numbers[i].value);
    return g_variant_dict_end(&dict);
}

static gboolean print_samples(const GPtrArray *samples, const StatsOptions *options, GError **error)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    /* As podman: the screen is cleared, and the cursor at its beginning. */
    if (!options->json && !options->once && isatty(STDOUT_FILENO))
        printf("\033[2J\033[H");
    if (!options->json) {
        print_table(samples);
        return TRUE;
    }
    for (guint i = 0; i < samples->len; i++)
        g_variant_builder_add_value(&list, describe(samples->pdata[i]));
    return duet_cli_print_json(g_variant_builder_end(&list), error);
}

/* Returns: whether the user wants an end. */
static gboolean wait_or_interrupted(double seconds)
{
    sigset_t set;
    struct timespec left = { .tv_sec = (time_t)seconds,
        .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    return sigtimedwait(&set, NULL, &left) == SIGINT;
}

/* A name that is none, or does not run, is an error when it begins; later it has just ended. */
static gboolean check_names(DuetCli *cli, const StatsOptions *options, char **names, GError **error)
{
    if (!duet_cli_context(cli, error))
        return FALSE;
    for (; *names; names++) {
        DuetStats stats;
        g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, *names, error);
        if (!instance || (!options->all && !duet_instance_stats(instance, &stats, error)))
            return FALSE;
    }
    return TRUE;
}

static int show(DuetCli *cli, const StatsOptions *options, char **names)
{
    g_autoptr(GHashTable) before = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GError) error = NULL;
    sigset_t interrupt;
    if (!check_names(cli, options, names, &error))
        return duet_cli_fail(error);
    /* It is looked for between two samples, so that no line is cut. */
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    if (!options->once)
        sigprocmask(SIG_BLOCK, &interrupt, NULL);
    do {
        g_autoptr(GPtrArray) samples = sample_all(cli, options, names, before, &error);
        if (!samples || !print_samples(samples, options, &error))
            return duet_cli_fail(error);
        /* Nobody reads on, or nobody is left of those that were asked for. */
        if (fflush(stdout) != 0 || (*names && samples->len == 0))
            break;
    } while (!options->once && !wait_or_interrupted(options->interval_s));
    return 0;
}

int duet_cmd_stats(DuetCli *cli, int argc, char **argv)
{
    StatsOptions options = { .interval_s = INTERVAL_S };
    g_autofree char *format = NULL;
    const GOptionEntry entries[] = {
        { "all", 'a', 0, G_OPTION_ARG_NONE, &options.all, "those that do not run, too", NULL },
        { "no-stream", 0, 0, G_OPTION_ARG_NONE, &options.once, "once, not again and again", NULL },
        { "interval", 'i', 0, G_OPTION_ARG_DOUBLE, &options.interval_s,
            "how long between two samples (5)", "SECONDS" },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "json or table", "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error) ||
        !duet_cli_format_is_json(format, &options.json, &error))
        return duet_cli_fail(error);
    if (!(options.interval_s >= INTERVAL_MIN_S && options.interval_s <= INTERVAL_MAX_S))
        return duet_cli_usage(
            "stats", "--interval takes %g to %g seconds", INTERVAL_MIN_S, INTERVAL_MAX_S);
    return show(cli, &options, argv + 1);
}
