/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "comparison.h"
#include "bench/result/json.h"
#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * DuetVariants: what a plan crosses its arms with, where it does.
 * @order: member of the file's "plan" that tells them in the order of measuring, beside "order"
 * @write: Returns: (transfer full): how a file names that variant
 * @read: Returns: the variant of that name, or -1
 */
typedef struct {
    const char *order;
    JsonNode *(*write)(const DuetPlan *plan, guint variant);
    int (*read)(const DuetPlan *plan, JsonNode *node);
} DuetVariants;

/**
 * DuetBenchmark: all that result files and reports know of a benchmark. A new one is a row of its
 * own, listed in benchmark.c. Files may come from anybody: the readers see to their bounds, and
 * complain to the #DuetJsonReader. NULL where it says nullable: it has no such thing.
 * @name: in files, and after `duet bench`
 * @variants: (nullable)
 * @new_plan: Returns: (transfer full): the plan with what is its own read from @object
 * @write_plan: adds that to @object
 * @new_sample: (nullable): makes room for what is its own. @variant: -1: an arm's warm-up
 * @describe: (nullable): Returns: (transfer full): what to say of a sample that is to be taken,
 *     beside its arm
 * @write_sample, @read_sample, @write_root, @read_root: (nullable): members of its own
 * @go_on: (nullable): makes what is left of the plan of a run that was cut short and whose samples
 *     are in order; where it is NULL, the plan says which sample is the next. Returns: (transfer
 *     full): how much there is, for people
 * @plan_text: Returns: (transfer full): the plan in a line
 * @formats: names of what `show` renders, ended by NULL; the first is the default
 * @show: @format: an index into @formats. Returns: (transfer full)
 * @check: (nullable): Returns: (transfer full) (element-type DuetNote): all that makes it weak
 * @measure: (nullable): what `compare` compares; needs @check
 */
struct DuetBenchmark {
    const char *name;
    const DuetVariants *variants;
    DuetPlan *(*new_plan)(
        DuetJsonReader *reader, JsonObject *object, guint n_arms, guint n, guint64 seed);
    void (*write_plan)(const DuetPlan *plan, JsonObject *object);
    void (*new_sample)(const DuetPlan *plan, int variant, DuetSample *sample);
    char *(*describe)(const DuetSample *sample);
    void (*write_sample)(const DuetSample *sample, JsonObject *object);
    void (*read_sample)(DuetJsonReader *reader, JsonObject *object, DuetSample *sample);
    void (*write_root)(const DuetRun *run, JsonObject *root);
    void (*read_root)(DuetJsonReader *reader, JsonObject *root, DuetRun *run);
    char *(*go_on)(DuetRun *run);
    char *(*plan_text)(const DuetRun *run);
    const char *const *formats;
    char *(*show)(const DuetRun *run, guint format, gboolean ratio_with_failures);
    GPtrArray *(*check)(const DuetRun *run);
    const DuetMeasure *measure;
};

extern const DuetBenchmark duet_benchmark_boot;
extern const DuetBenchmark duet_benchmark_cost;
extern const DuetBenchmark duet_benchmark_memory;
extern const DuetBenchmark duet_benchmark_density;
extern const DuetBenchmark duet_benchmark_overhead;
extern const DuetBenchmark duet_benchmark_load;

/** duet_benchmark_find: Returns: (nullable): the one of that name. */
const DuetBenchmark *duet_benchmark_find(const char *name);

/**
 * duet_benchmark_planned: Returns: whether @sample is what the plan of its @run has at @place: of
 * that arm, block and variant. Not for a benchmark that has @go_on.
 */
gboolean duet_benchmark_planned(const DuetRun *run, const DuetSample *sample, guint place);

G_END_DECLS
