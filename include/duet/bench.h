/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/* Below this many samples an arm is measured all the same, with a warning. */
#define DUET_BENCH_N_DEFAULT 30
#define DUET_BENCH_N_MIN 10
/* Every JSON reader keeps integers up to 2^53 whole, so no seed is larger. */
#define DUET_BENCH_SEED_MAX ((G_GUINT64_CONSTANT(1) << 53) - 1)
#define DUET_BENCH_TIMEOUT_DEFAULT_MS 60000
/* A relative effect below this is never called a difference. */
#define DUET_BENCH_FLOOR_DEFAULT 0.02

/* `bench memory`: how many counts, how large, how many rounds. */
#define DUET_BENCH_COUNTS_MAX 32
#define DUET_BENCH_COUNT_MAX 10000
#define DUET_BENCH_ROUNDS_MAX 100
#define DUET_BENCH_ROUNDS_DEFAULT 3
#define DUET_BENCH_AGE_DEFAULT_MS 10000
#define DUET_BENCH_KSM_LIMIT_DEFAULT_S 300

/* `bench overhead`: a sample is a tool's own figure of seconds of work, so half as many as starts
 * need do; all tests together make so many comparisons that ten would be too few for any. */
#define DUET_BENCH_OVERHEAD_N_DEFAULT 15
/* How long the tool of a sample works: the tools take whole seconds. */
#define DUET_BENCH_DURATION_DEFAULT_S 3
#define DUET_BENCH_DURATION_MAX_S 3600

/* `bench boot --from`: a saved state; one, and a boot beside it. */
#define DUET_BENCH_FROM_SAVED "saved"
#define DUET_BENCH_FROM_BOTH "saved,cold"
/* The arm of the first; the cold one is called by its kind. */
#define DUET_BENCH_ARM_SAVED "vm-saved"

/* `bench boot --parallel` and `--rate`: each start of a batch has a process of its own. */
#define DUET_BENCH_LEVEL_MAX 1000
#define DUET_BENCH_RATE_MAX 1000
#define DUET_BENCH_STARTS_DEFAULT 20

/* `bench density`: nobody waits longer for an arm, and an overload shows within that. */
#define DUET_BENCH_TIME_LIMIT_DEFAULT_S 600
#define DUET_BENCH_DENSITY_AGE_DEFAULT_MS 2000

/**
 * DuetDensityLimits: what ends the starts of an arm of `bench density`, beside what keeps the host
 * alive. 0: not at all.
 * @max: so many instances at the same time
 * @max_latency_ns: of a start's p95
 * @time_limit_ns: for the starts of an arm
 * @budget_bytes: memory of all instances of an arm together
 */
typedef struct {
    guint max;
    gint64 max_latency_ns;
    gint64 time_limit_ns;
    guint64 budget_bytes;
} DuetDensityLimits;

/**
 * DuetBenchArm: one thing to compare.
 * @name: as shown and as in the result file ("vm")
 * @spec: what each sample is made from, image resolved; every sample gets a copy with an id of its
 *     own, so id and name are not used
 * @saved: `bench boot`: each sample goes on from the saved state of one VM of @spec
 * @command: (nullable): the same as a whole `duet run` that removes what it ran; wanted with peers,
 *     but for `native`, which `run` does not have
 * @command_name: which word of it is the instance's name, to be replaced by a new one each time
 */
typedef struct {
    const char *name;
    const DuetSpec *spec;
    gboolean saved;
    char *const *command;
    guint command_name;
} DuetBenchArm;

/**
 * DuetBenchRequest: what `bench` and `compare` were asked.
 * @arms: all with the same image, payload and limits
 * @n: samples per arm, beside one that is discarded; `compare` takes one; `bench memory`: rounds,
 *     each with one sample of each arm and count
 * @seed: of the order of the arms and of all resampling
 * @floor: the smallest relative effect that may be called a difference
 * @cache_mode: (nullable): `bench boot`: what is done to the page cache before each sample: "warm"
 *     (NULL: nothing), "cold-guest" or "cold-host"
 * @ready: (nullable): `bench boot`: stop each instance when it is ready, by this probe: "exec",
 *     "output", "log:REGEX", "cmd:COMMAND" or "tcp:PORT"
 * @from: (nullable): `bench boot`: what its VMs start from: DUET_BENCH_FROM_SAVED, or
 *     DUET_BENCH_FROM_BOTH with an arm more; NULL: they boot
 * @counts: `bench memory`: how many instances at a time: @n_counts numbers, each once; `load`: how
 *     many starts at once, or starts per 1,000 s
 * @counts_unasked: nobody asked for @counts: those for which the host has no RAM are left out
 * @load_starts: `load`: 0: @counts are of the first kind; else so many starts make a batch
 * @age_ms: `bench memory`, `bench density`: how old the youngest is when memory is read
 * @equal_memory_bytes: `bench memory`: give each arm's payload so much to use: a VM gets the RAM
 *     that leaves it, all else this limit; 0: as the arms' specs have it
 * @balloon_bytes: `bench memory`: give each instance only so much when it was measured, and measure
 *     it again; 0: don't
 * @ksm: (nullable): `bench memory`: "on" or "off": switch the kernel's KSM for the run, and wait
 *     for it; NULL: leave it as it is
 * @ksm_limit_ms: how long one sample waits for it at most
 * @density: `bench density`
 * @tests: (nullable): `bench overhead`: names of tests, with commas; NULL: all
 * @duration_s: `bench overhead`: how long the tool of a sample works
 * @ratio_with_failures: compare arms although samples of theirs failed
 * @peers: (nullable): `bench boot`: comma-separated names of foreign engines to measure in the same
 *     run, or "all"
 * @peer_files: (nullable): and those that these key files describe
 * @options: (nullable): what else was asked of all instances, as words of a command line, for who
 *     measures the same again
 * @output_path: (nullable): where the result file goes; while the run goes on, the samples are in
 *     a file of that name with ".part" behind it
 * @resume: go on with the run that was cut short before it wrote @output_path
 * @after_own: the same command measured something just before, which is in the host's load
 * @seed_given: the user named @seed; else a run that is resumed keeps its own
 * @json: answer with the result file's text in place of the table
 * @color: terminal colours in the table
 * @notice: (nullable): called with what the user should know before the run's end
 * @progress: (nullable): called with one line before each sample, and with NULL at the end
 */
typedef struct {
    DuetContext *context;
    const DuetBenchArm *arms;
    gsize n_arms;
    guint n;
    guint64 seed;
    double floor;
    const char *cache_mode;
    const char *ready;
    const char *from;
    const guint *counts;
    guint n_counts;
    gboolean counts_unasked;
    guint load_starts;
    guint age_ms;
    guint64 equal_memory_bytes;
    guint64 balloon_bytes;
    const char *ksm;
    guint ksm_limit_ms;
    DuetDensityLimits density;
    const char *tests;
    guint duration_s;
    gboolean ratio_with_failures;
    const char *peers;
    char *const *peer_files;
    char *const *options;
    const char *output_path;
    gboolean resume;
    gboolean after_own;
    gboolean seed_given;
    gboolean json;
    gboolean color;
    void (*notice)(const char *line);
    void (*progress)(const char *line, gpointer data);
    gpointer progress_data;
} DuetBenchRequest;

/* The exit code of what the user interrupted. */
#define DUET_BENCH_EXIT_INTERRUPTED 130
/* Of what was measured and shown, and could not be saved. */
#define DUET_BENCH_EXIT_UNSAVED 125

/**
 * DuetBenchOps: the measuring half of duet (json-glib), in the module "duet-tools" under the
 * symbol "duet_bench". It sees instances as any client does and never a driver: it can't favour a
 * kind.
 */
typedef struct {
    /**
     * boot:
     * @out_text: (out) (transfer full): the table or the JSON, for standard output
     * @out_exit_code: 0; 1 when all samples of an arm failed; 130 when the user interrupted (what
     *     was measured until then is in the table and the file); 125 when the file could not be
     *     written, and the user was told
     *
     * Returns: %FALSE when nothing could be measured.
     */
    gboolean (*boot)(
        const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
    /**
     * cost: the same of one arm, `native`, with a bare spawn of its payload after each sample: what
     * duet itself costs is the difference. Root's alone.
     */
    gboolean (*cost)(
        const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
    /**
     * load: the same with many starts at once, or arriving at a rate. @out_exit_code as of boot;
     * 1 when all starts of an arm at a level failed.
     */
    gboolean (*load)(
        const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
    /**
     * compare: one round of the same, with the payload's output, a waterfall of the marks and
     * the memory of an idle instance of each kind. @out_exit_code is 0 if the payload ran in all.
     */
    gboolean (*compare)(
        const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
    /**
     * memory: the memory of so many instances at the same time, by three estimators, and the line
     * through them. @out_exit_code as of boot.
     */
    gboolean (*memory)(
        const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
    /**
     * density: how many instances run at the same time until a rule forbids one more.
     * @out_exit_code as of boot; also 1 when some did not answer at the end.
     */
    gboolean (*density)(
        const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
    /**
     * overhead: how fast work is in each arm, by tools in the image; the arms' own commands are
     * not used. @out_exit_code as of boot.
     */
    gboolean (*overhead)(
        const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
} DuetBenchOps;

extern const DuetBenchOps duet_bench;

G_END_DECLS
