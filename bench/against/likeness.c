/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "against.h"

#include <string.h>

#include "bench/benchmark.h"
#include "bench/result/record.h"
#include "bench/text.h"

int duet_run_find_arm(const DuetRun *run, const char *name)
{
    for (guint i = 0; i < run->arms->len; i++) {
        if (g_str_equal(duet_run_arm(run, i)->name, name))
            return i;
    }
    return -1;
}

/* What the texts quote is of a file, and may be shown on a terminal as an error: on one line. */
static void differ(GPtrArray *out, const char *what, const char *first, const char *second)
{
    g_autofree char *text = g_strdup_printf(
        "%s: '%s' and '%s'", what, first ? first : "unknown", second ? second : "unknown");

    if (g_strcmp0(first, second) != 0)
        g_ptr_array_add(out, duet_text_line(text));
}

static void records_differ(
    GPtrArray *out, const char *prefix, JsonObject *first, JsonObject *second, const char *path)
{
    g_autofree char *a = duet_record_text(first, path), *b = duet_record_text(second, path);
    g_autofree char *what = g_strconcat(prefix, path, NULL);

    differ(out, what, a, b);
}

static const char *const sizes[] = { "cpu.online", "memory.ram_bytes", NULL };

static const char *machine_hash(const DuetRun *run)
{
    return duet_record_string(run->host, "machine_hash");
}

static gboolean by_size(const DuetRun *first, const DuetRun *second)
{
    return !machine_hash(first) && !machine_hash(second);
}

/* The hash is of /etc/machine-id, which clones share and containers lack: so the CPU's model must
 * be the same in any case, and without a hash the size of the machine, too. */
static void hosts(const DuetRun *first, const DuetRun *second, GPtrArray *mismatches)
{
    differ(mismatches, "host", machine_hash(first), machine_hash(second));
    records_differ(mismatches, "host ", first->host, second->host, "cpu.model");
    for (gsize i = 0; by_size(first, second) && sizes[i]; i++)
        records_differ(mismatches, "host ", first->host, second->host, sizes[i]);
}

static void host_changes(const DuetRun *first, const DuetRun *second, GPtrArray *changes)
{
    static const char *const host[] = { "os", "kernel.release", "kernel.version",
        "kernel.command_line", "kernel.lsm", "kernel.seccomp_of_duet", "cpu.microcode",
        "cpu.online", "cpu.smt", "cpu.governor", "cpu.turbo", "cpu.hypervisor", "cpu.clocksource",
        "memory.ram_bytes", "memory.swap_bytes", "memory.swappiness",
        "memory.transparent_hugepages", "memory.ksm_run", "memory.zswap", "memory.mglru",
        "memory.damon_reclaim", "cgroup_version", "file_system" };
    static const char *const tool[] = { "version", "commit", "compiler", "build_flags" };

    for (gsize i = 0; i < G_N_ELEMENTS(host); i++)
        /* The machine's size is a mismatch by then. */
        if (!by_size(first, second) || !g_strv_contains(sizes, host[i]))
            records_differ(changes, "host ", first->host, second->host, host[i]);
    for (gsize i = 0; i < G_N_ELEMENTS(tool); i++)
        records_differ(changes, "duet ", first->tool, second->tool, tool[i]);
}

static gboolean tells(const DuetRunArm *arm, const char *fact)
{
    return arm->driver && json_object_has_member(arm->driver, fact);
}

/* Files of an older duet don't tell: that is no reason to refuse them. */
static void walls(
    const DuetRunArm *a, const DuetRunArm *b, GPtrArray *mismatches, GPtrArray *changes)
{
    g_autofree char *prefix = g_strdup_printf("%s ", a->name);

    for (const char *const *wall = duet_run_arm_walls; *wall; wall++) {
        gboolean both = tells(a, *wall) && tells(b, *wall);
        records_differ(both ? mismatches : changes, prefix, a->driver, b->driver, *wall);
    }
}

static void arms(
    const DuetRunArm *a, const DuetRunArm *b, GPtrArray *mismatches, GPtrArray *changes)
{
    g_autofree char *prefix = g_strdup_printf("%s ", a->name);
    g_autofree char *command_a = duet_text_command(a->argv),
                    *command_b = duet_text_command(b->argv);
    g_autofree char *limits_a =
        g_strdup_printf("%" G_GUINT64_FORMAT " bytes, %g CPUs, %" G_GUINT64_FORMAT " pids",
            a->memory_bytes, a->cpus, a->pids_limit);
    g_autofree char *limits_b =
        g_strdup_printf("%" G_GUINT64_FORMAT " bytes, %g CPUs, %" G_GUINT64_FORMAT " pids",
            b->memory_bytes, b->cpus, b->pids_limit);
    const struct {
        const char *what, *first, *second;
        GPtrArray *out;
    } rows[] = {
        { "kind", a->kind, b->kind, mismatches },
        { "accelerator", duet_run_arm_accel(a), duet_run_arm_accel(b), mismatches },
        { "image", a->image_digest, b->image_digest, mismatches },
        { "command", command_a, command_b, mismatches },
        { "limits", limits_a, limits_b, changes },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *what = g_strconcat(prefix, rows[i].what, NULL);
        differ(rows[i].out, what, rows[i].first, rows[i].second);
    }
    for (const char *const *fact = duet_run_arm_facts; *fact; fact++)
        records_differ(changes, prefix, a->driver, b->driver, *fact);
    walls(a, b, mismatches, changes);
}

/* What a figure depends on. How many samples there are, and of what, is no reason. */
static void plans(
    const DuetRun *first, const DuetRun *second, GPtrArray *mismatches, GPtrArray *changes)
{
    static const char *const facts[] = { "age_ms", "equal_memory_bytes", "duration_s", "starts",
        "density.max_latency_ns", "density.time_limit_ns", "density.budget_bytes" };
    g_autoptr(JsonObject) a = json_object_new(), b = json_object_new();

    first->benchmark->write_plan(first->plan, a);
    second->benchmark->write_plan(second->plan, b);
    for (gsize i = 0; i < G_N_ELEMENTS(facts); i++)
        records_differ(mismatches, "plan ", a, b, facts[i]);
    /* What is done when all was read. */
    records_differ(changes, "plan ", a, b, "balloon_bytes");
}

void duet_likeness(
    const DuetRun *first, const DuetRun *second, GPtrArray *out_mismatches, GPtrArray *out_changes)
{
    hosts(first, second, out_mismatches);
    differ(out_mismatches, "cache mode", first->plan->mode, second->plan->mode);
    plans(first, second, out_mismatches, out_changes);
    differ(out_mismatches, "end of a sample", first->plan->ready ? first->plan->ready : "its own",
        second->plan->ready ? second->plan->ready : "its own");
    differ(out_mismatches, "start of VMs", first->plan->from ? first->plan->from : "cold",
        second->plan->from ? second->plan->from : "cold");
    differ(out_changes, "KSM", first->plan->ksm ? first->plan->ksm : "as it was",
        second->plan->ksm ? second->plan->ksm : "as it was");
    if (first->plan->options && second->plan->options) {
        g_autofree char *options_a = duet_text_command(first->plan->options),
                        *options_b = duet_text_command(second->plan->options);
        differ(out_changes, "options", *options_a ? options_a : "none",
            *options_b ? options_b : "none");
    }
    host_changes(first, second, out_changes);
    for (guint i = 0; i < first->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(first, i);
        int other = duet_run_find_arm(second, arm->name);
        if (other >= 0)
            arms(arm, duet_run_arm(second, other), out_mismatches, out_changes);
    }
}
