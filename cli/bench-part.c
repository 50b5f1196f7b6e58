/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `bench all` and `bench quick` are made of, and how each is made to fit its share of a
 * budget. */
#include "cli/bench-part.h"

#include <stdio.h>

static int left_out(const char *name, const char *why)
{
    fprintf(stderr, "duet: %s: left out: %s\n", name, why);
    return 1;
}

/* Empty, whatever the image or the user would run. */
static int own_payload(DuetCli *cli, DuetBenchCli *options)
{
    static char *none[] = { NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    int code = 0;

    options->run.entrypoint = (char *)DUET_BENCH_CLI_EMPTY;
    options->command = none;
    DuetBenchCli once = *options;
    once.n = 1;
    once.output = NULL;
    if (!duet_bench_cli_measure(cli, &once, DUET_BENCH_COST, &text, &code, &error))
        return left_out("cost", error->message);
    return code != 1
        ? code
        : left_out("cost", "the image has no command `" DUET_BENCH_CLI_EMPTY "` that ends well");
}

/* Its tools are in an image of their own, and the user's command is none of them. */
static int own_image(DuetCli *cli, DuetBenchCli *options)
{
    g_autoptr(GError) error = NULL;

    options->image = (char *)DUET_BENCH_CLI_OVERHEAD_IMAGE;
    options->command = NULL;
    options->run.entrypoint = NULL;
    return duet_bench_cli_overhead_image(cli, options->image, &error)
        ? 0
        : left_out("overhead", error->message);
}

static double fit_boot(double block_s, double share_s, DuetBenchCli *options)
{
    /* One more: the warm-up. */
    options->n = (gint)CLAMP(share_s / block_s - 1, DUET_BENCH_N_MIN, DUET_BENCH_N_DEFAULT);
    return (options->n + 1) * block_s;
}

static double fit_cost(double block_s, double share_s, DuetBenchCli *options)
{
    /* A sample, with the rest after it. */
    const double sample_s = 0.1;

    (void)block_s;
    options->n = (gint)CLAMP(share_s / sample_s - 1, DUET_BENCH_N_MIN, DUET_BENCH_N_DEFAULT * 2);
    return (options->n + 1) * sample_s;
}

static double fit_memory(double block_s, double share_s, DuetBenchCli *options)
{
    /* From what `bench memory` does unasked down to the fewest points, without those of no
     * instance, that a line with an interval needs: DUET_STATS_INTERVAL_MIN. */
    static const struct {
        const char *counts;
        int cells, instances, rounds;
        double age_s;
    } plans[] = {
        { "0,1,2,4,8,16", 6, 31, 3, 10 },
        { "0,1,2,4,8", 5, 15, 3, 10 },
        { "0,1,2,4,8", 5, 15, 2, 5 },
        { "0,1,2,4", 4, 7, 2, 5 },
        { "0,1,2", 3, 3, 3, 1 },
    };
    double takes_s = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(plans); i++) {
        /* Two arms; a second to settle before each reading. */
        takes_s = plans[i].rounds *
            (2 * plans[i].cells * (plans[i].age_s + 1) + plans[i].instances * block_s);
        options->counts = (char *)plans[i].counts;
        options->counts_unasked = TRUE;
        options->n = plans[i].rounds;
        options->age_s = plans[i].age_s;
        if (takes_s <= share_s)
            break;
    }
    options->idle = TRUE;
    return takes_s;
}

static double fit_density(double block_s, double share_s, DuetBenchCli *options)
{
    /* Two arms; what was started must be ended, too. */
    options->time_limit_s = MAX(share_s / 2 * 0.7, 2 * block_s);
    options->age_s = DUET_BENCH_DENSITY_AGE_DEFAULT_MS / 1000.0;
    options->idle = TRUE;
    return 2 * options->time_limit_s / 0.7;
}

static double fit_overhead(double block_s, double share_s, DuetBenchCli *options)
{
    /* Each begins with those before it: first what a lecture shows. memory-stream is not among
     * them: it takes longer than a second. */
    static const char *const tests[] = {
        "cpu,process,disk,syscall,memory-read,memory-write,network,switch",
        "cpu,process,disk,syscall,memory-read,memory-write",
        "cpu,process,disk-read,syscall,memory-read",
        "cpu,process,disk-read",
        "cpu,process",
        "cpu",
    };
    static const int counts[] = { 10, 7, 5, 3, 2, 1 };
    double takes_s = 0;

    /* Of ten pairs, p could not get below 0.05 among so many comparisons. */
    options->n = 12;
    options->duration_s = 1;
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++) {
        options->tests = (char *)tests[i];
        /* Three arms; one sample more: the warm-up. */
        takes_s = counts[i] * (options->n + 1) * (block_s + 3 * options->duration_s);
        if (takes_s <= share_s)
            break;
    }
    return takes_s;
}

const DuetBenchPart duet_bench_parts[] = {
    { "cost", DUET_BENCH_COST, "native", 0.02, 0.02, TRUE, own_payload, fit_cost },
    { "boot", DUET_BENCH_BOOT, DUET_BENCH_CLI_ARMS, 0.35, 0.25, FALSE, NULL, fit_boot },
    { "memory", DUET_BENCH_MEMORY, "vm,container", 0.2, 0.35, FALSE, NULL, fit_memory },
    { "density", DUET_BENCH_DENSITY, "vm,container", 0.15, 0, FALSE, NULL, fit_density },
    { "overhead", DUET_BENCH_OVERHEAD, DUET_BENCH_CLI_ARMS, 0.2, 0, FALSE, own_image,
        fit_overhead },
    { 0 },
};
