/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "cli/cli.h"

G_BEGIN_DECLS

/**
 * DuetBenchCli: what `bench` and `compare` were told on the command line.
 * @kinds: comma-separated kinds, in the order of the arms
 * @peers, @peer_files: foreign engines, by name and by key file
 * @parallel, @rate, @starts: `bench boot`: many at once, or arriving at a rate
 * @from: `bench boot`: what VMs start from; once checked as #DuetBenchRequest has it
 * @counts, @age_s, @equal_memory, @balloon, @ksm, @ksm_limit_s: `bench memory`
 * @counts_unasked: as #DuetBenchRequest has it
 * @max, @max_latency_s, @time_limit_s, @budget: `bench density`
 * @tests, @duration_s: `bench overhead`
 * @idle: the instances do nothing unless the user named a command
 * @default_image: (nullable): taken when the user named none
 * @default_argv: run when the user named no command and the image has no entrypoint
 */
typedef struct {
    DuetRunOptions run;
    char *kinds;
    gint n;
    char *seed;
    char *output;
    gboolean resume;
    gboolean after_own;
    double timeout_s;
    double floor_percent;
    char *cache_mode;
    char *ready;
    char *from;
    gboolean ratio_with_failures;
    char *peers;
    char **peer_files;
    char *counts;
    gboolean counts_unasked;
    char *parallel, *rate;
    gint starts;
    char *equal_memory;
    char *balloon;
    char *ksm;
    double ksm_limit_s;
    double age_s;
    gint max;
    double max_latency_s;
    double time_limit_s;
    char *budget;
    char *tests;
    gint duration_s;
    gboolean idle;
    char *format;
    const char *default_image;
    char *image;
    char **command;
    char **default_argv;
} DuetBenchCli;

/* The empty payload. */
#define DUET_BENCH_CLI_EMPTY "true"
/* All kinds, in the order of most tables. */
#define DUET_BENCH_CLI_ARMS "vm,container,native"

void duet_bench_cli_init(DuetBenchCli *options, const char *kinds, char **default_argv);
void duet_bench_cli_clear(DuetBenchCli *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetBenchCli, duet_bench_cli_clear)

/**
 * DuetBenchCliShared: options that several commands have.
 * @DUET_BENCH_CLI_RESULT: --seed, --output, --format
 * @DUET_BENCH_CLI_RESUME: --resume
 * @DUET_BENCH_CLI_CONTRAST: --floor, --ratio-with-failures
 */
typedef enum {
    DUET_BENCH_CLI_RESULT = 1 << 0,
    DUET_BENCH_CLI_RESUME = 1 << 1,
    DUET_BENCH_CLI_CONTRAST = 1 << 2,
    DUET_BENCH_CLI_ALL = (1 << 3) - 1,
} DuetBenchCliShared;

/** duet_bench_cli_progress: a #DuetBenchRequest.progress for a terminal. */
void duet_bench_cli_progress(const char *line, gpointer data);

/**
 * duet_bench_cli_parse:
 * @entries: rows of the verb's own, ended by a row of NULL; those of @shared and of `run` are added
 * @argv: [OPTION...] IMAGE [OPTION...] [--] [COMMAND...] after argv[0]
 *
 * Options may stand on both sides of the image.
 */
gboolean duet_bench_cli_parse(DuetBenchCli *options, const char *verb, const GOptionEntry *entries,
    DuetBenchCliShared shared, int argc, char **argv, GError **error);

/** duet_bench_cli_add_options: adds @run as one would type it, but for the entrypoint; @vm: with
 * those that only a VM has. */
void duet_bench_cli_add_options(GStrvBuilder *words, const DuetRunOptions *run, gboolean vm);

/**
 * duet_bench_cli_words:
 * @specs: (element-type DuetSpec): what became of @options
 * @with_payload: the benchmark runs what @options say, and not something of its own
 *
 * Returns: (transfer full): what a result tells of @options beside limits and plan; may be empty.
 */
char **duet_bench_cli_words(
    const DuetBenchCli *options, const GPtrArray *specs, gboolean with_payload);

/**
 * duet_bench_cli_command: the same as @spec as one would type it.
 * @out_name: which word is the instance's name: empty, to be replaced
 * Returns: (transfer full): or NULL with @error.
 */
char **duet_bench_cli_command(DuetCli *cli, const DuetBenchCli *options, const DuetSpec *spec,
    guint *out_name, GError **error);

/** duet_bench_cli_common: Returns: (transfer full): those of @kinds, with commas, that are of
 * @wanted, too. */
char *duet_bench_cli_common(const char *kinds, const char *wanted);

/**
 * duet_bench_cli_seed: reads `--seed`. Without one, a seed of the day; it is saved with the result,
 * so the run can be repeated.
 */
gboolean duet_bench_cli_seed(const char *text, guint64 *out_seed, GError **error);

/** duet_bench_cli_load: Returns: whether the user asked for many starts at once, or at a rate. */
gboolean duet_bench_cli_load(const DuetBenchCli *options);
/** duet_bench_cli_check_load: refuses what doesn't go with that. */
gboolean duet_bench_cli_check_load(const DuetBenchCli *options, GError **error);
/** duet_bench_cli_check_from: refuses what doesn't go with `--from saved`, and sets what follows
 * from it. */
gboolean duet_bench_cli_check_from(DuetBenchCli *options, GError **error);
/** duet_bench_cli_levels: Returns: (transfer full) (element-type guint): see
 * #DuetBenchRequest.counts. */
GArray *duet_bench_cli_levels(const DuetBenchCli *options, guint *out_starts, GError **error);

typedef enum {
    DUET_BENCH_BOOT,
    DUET_BENCH_COST,
    DUET_BENCH_LOAD,
    DUET_BENCH_COMPARE,
    DUET_BENCH_MEMORY,
    DUET_BENCH_DENSITY,
    DUET_BENCH_OVERHEAD,
} DuetBenchWhat;

/**
 * duet_bench_cli_measure: resolves the image for each kind and measures.
 * @out_text: (transfer full): what came out
 * @out_exit_code: what it means
 */
gboolean duet_bench_cli_measure(DuetCli *cli, const DuetBenchCli *options, DuetBenchWhat what,
    char **out_text, int *out_exit_code, GError **error);

/**
 * duet_bench_cli_run: does that and prints what came out.
 *
 * Returns: the exit code.
 */
int duet_bench_cli_run(DuetCli *cli, const DuetBenchCli *options, DuetBenchWhat what);

int duet_bench_boot(DuetCli *cli, int argc, char **argv);
int duet_bench_cost(DuetCli *cli, int argc, char **argv);
int duet_bench_memory(DuetCli *cli, int argc, char **argv);
int duet_bench_density(DuetCli *cli, int argc, char **argv);
int duet_bench_overhead(DuetCli *cli, int argc, char **argv);

/* The stock image that holds the tools of `bench overhead`. */
#define DUET_BENCH_CLI_OVERHEAD_IMAGE "bench"
/** duet_bench_cli_overhead_image: Returns: whether the store has @image; else @error says how to
 * make the stock image. */
gboolean duet_bench_cli_overhead_image(DuetCli *cli, const char *image, GError **error);

/** All benchmarks in turn: cmd-bench-all.c. */
int duet_bench_all(DuetCli *cli, int argc, char **argv);
int duet_bench_quick(DuetCli *cli, int argc, char **argv);

/** The commands of `duet bench` that read result files and measure nothing. */
int duet_bench_show(DuetCli *cli, int argc, char **argv);
int duet_bench_check(DuetCli *cli, int argc, char **argv);
int duet_bench_compare(DuetCli *cli, int argc, char **argv);
int duet_bench_import(DuetCli *cli, int argc, char **argv);

/** What is said of VMs and containers, tried, and what was published, beside ours. */
int duet_bench_claims(DuetCli *cli, int argc, char **argv);
int duet_bench_reproduce(DuetCli *cli, int argc, char **argv);

G_END_DECLS
