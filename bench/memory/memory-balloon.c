/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reports say of instances that were given less memory while they ran. */
#include <math.h>

#include "bench/notes.h"
#include "bench/text.h"
#include "memory-analysis.h"
#include "memory-view.h"

static void add(GArray *values, double value)
{
    if (!isnan(value))
        g_array_append_val(values, value);
}

/* What the balloons of a sample gave back, of each instance. */
static double freed(const DuetSample *sample, DuetMemoryMetric metric)
{
    const DuetMemoryPoint *point = sample->memory;
    double before, after;

    if (!duet_memory_point_value(point, metric, &before) ||
        !duet_memory_point_value(point->shrunk, metric, &after))
        return NAN;
    return (before - after) / point->count;
}

/* A mean over the guests of a point. */
static double of_guests(const DuetMemoryPoint *point, gsize offset)
{
    double sum = 0;

    for (guint i = 0; i < point->instances->len; i++) {
        const DuetInstanceMemory *one = &g_array_index(point->instances, DuetInstanceMemory, i);
        if (one->guest.at_ns == 0)
            return NAN;
        sum += (double)G_STRUCT_MEMBER(guint64, &one->guest, offset);
    }
    return point->instances->len > 0 ? sum / point->instances->len : NAN;
}

static double took_ns(const DuetMemoryPoint *point)
{
    double sum = 0;

    for (guint i = 0; i < point->instances->len; i++)
        sum += (double)g_array_index(point->instances, DuetInstanceMemory, i).shrink_ns;
    return sum / point->instances->len;
}

static gboolean is_shrunk(const DuetSample *sample, guint arm, guint count)
{
    return sample->arm == arm && !sample->discarded && sample->status == DUET_SAMPLE_OK &&
        sample->memory && sample->memory->count == count && count > 0 && sample->memory->shrunk &&
        sample->memory->shrunk->instances->len == count;
}

static void describe_row(const DuetRun *run, guint arm, DuetMemoryRow *row)
{
    g_autoptr(GPtrArray) values =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))g_array_unref);

    for (guint i = 0; i < DUET_SHRUNK_COUNT; i++)
        g_ptr_array_add(values, g_array_new(FALSE, FALSE, sizeof(double)));
    row->n_shrunk = 0;
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (!is_shrunk(sample, arm, row->count))
            continue;
        const DuetMemoryPoint *point = sample->memory, *shrunk = point->shrunk;
        row->n_shrunk++;
        for (guint metric = 0; metric < DUET_MEMORY_ESTIMATORS; metric++)
            add(values->pdata[metric], freed(sample, metric));
        if (g_str_equal(duet_run_arm(run, arm)->kind, "vm"))
            add(values->pdata[DUET_SHRUNK_RAM], freed(sample, DUET_MEMORY_GUEST_RAM));
        add(values->pdata[DUET_SHRUNK_TOOK], took_ns(shrunk));
        add(values->pdata[DUET_SHRUNK_TOTAL_BEFORE],
            of_guests(point, G_STRUCT_OFFSET(DuetHostMemory, total_bytes)));
        add(values->pdata[DUET_SHRUNK_TOTAL],
            of_guests(shrunk, G_STRUCT_OFFSET(DuetHostMemory, total_bytes)));
        add(values->pdata[DUET_SHRUNK_AVAILABLE],
            of_guests(shrunk, G_STRUCT_OFFSET(DuetHostMemory, available_bytes)));
    }
    for (guint i = 0; i < DUET_SHRUNK_COUNT; i++)
        row->shrunk[i] = duet_stats_array_median(values->pdata[i]);
}

void duet_memory_balloon_rows(const DuetRun *run, guint arm, DuetMemoryRow *rows, guint n_rows)
{
    for (guint i = 0; i < n_rows; i++)
        describe_row(run, arm, &rows[i]);
}

static const char *const ids[] = {
    [DUET_MEMORY_PSS] = "freed_pss_bytes",
    [DUET_MEMORY_CGROUP] = "freed_cgroup_bytes",
    [DUET_MEMORY_HOST] = "freed_host_bytes",
    [DUET_SHRUNK_RAM] = "freed_guest_ram_bytes",
    [DUET_SHRUNK_TOOK] = "shrink_ns",
    [DUET_SHRUNK_TOTAL_BEFORE] = "guest_total_before_bytes",
    [DUET_SHRUNK_TOTAL] = "guest_total_bytes",
    [DUET_SHRUNK_AVAILABLE] = "guest_available_bytes",
};

void duet_memory_balloon_json(JsonObject *object, const DuetRun *run, const DuetMemoryRow *row)
{
    if (run->plan->balloon_bytes == 0 || row->count == 0)
        return;
    json_object_set_int_member(object, "shrunk", row->n_shrunk);
    for (guint i = 0; i < DUET_SHRUNK_COUNT; i++) {
        g_autofree char *name = g_strconcat("median_", ids[i], NULL);
        duet_json_set_double(object, name, row->shrunk[i]);
    }
}

/* ---- notes ---- */

void duet_memory_balloon_notes(
    GPtrArray *notes, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    if (run->plan->balloon_bytes == 0)
        return;
    g_autofree char *size = duet_text_bytes((double)run->plan->balloon_bytes);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetRunArm *one = duet_run_arm(run, arm);
        guint shrunk = 0, ok = 0;
        for (guint i = 0; i < analysis->n_rows; i++) {
            const DuetMemoryRow *row = &analysis->arms[arm].rows[i];
            shrunk += row->n_shrunk;
            ok += row->count > 0 ? row->ok : 0;
        }
        if (shrunk < ok)
            duet_notes_add(notes, "balloon", TRUE,
                "%s: in %u of %u samples an instance did not give all back that was asked of it, "
                "and they are in no figure of that",
                one->name, ok - shrunk, ok);
        if (!g_str_equal(one->kind, "vm"))
            duet_notes_add(notes, "balloon", FALSE,
                "%s: its limit is %s then: the kernel takes nothing from it that is below that, "
                "and "
                "of the rest what it can drop",
                one->name, size);
    }
}

/* ---- the table ---- */

static char *value(const DuetMemoryRow *row, guint i)
{
    return i == DUET_SHRUNK_TOOK ? duet_text_time(row->shrunk[i]) : duet_text_bytes(row->shrunk[i]);
}

static const struct {
    const char *label;
    guint value, width;
} columns[] = {
    { "freed: PSS", DUET_MEMORY_PSS, 11 },
    { "cgroup", DUET_MEMORY_CGROUP, 10 },
    { "host", DUET_MEMORY_HOST, 10 },
    { "guest RAM", DUET_SHRUNK_RAM, 10 },
    { "took", DUET_SHRUNK_TOOK, 8 },
    { "guest has", DUET_SHRUNK_TOTAL, 10 },
    { "available", DUET_SHRUNK_AVAILABLE, 10 },
};

void duet_memory_balloon_table(
    GString *out, const DuetRun *run, const DuetMemoryArm *arm, guint n_rows)
{
    if (run->plan->balloon_bytes == 0)
        return;
    g_autofree char *size = duet_text_bytes((double)run->plan->balloon_bytes);
    g_string_append_printf(out, "  each, once it is shrunk to %s\n", size);
    g_string_append_printf(out, "  %5s%4s", "N", "ok");
    for (gsize i = 0; i < G_N_ELEMENTS(columns); i++)
        duet_text_append_right(out, columns[i].label, columns[i].width);
    g_string_append_c(out, '\n');
    for (guint i = 0; i < n_rows; i++) {
        const DuetMemoryRow *row = &arm->rows[i];
        if (row->count == 0)
            continue;
        g_string_append_printf(out, "  %5u%4u", row->count, row->n_shrunk);
        for (gsize k = 0; k < G_N_ELEMENTS(columns); k++) {
            g_autofree char *text = value(row, columns[k].value);
            duet_text_append_figure(out, text, columns[k].width);
        }
        g_string_append_c(out, '\n');
    }
}

void duet_memory_balloon_markdown(
    GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    if (run->plan->balloon_bytes == 0)
        return;
    g_autofree char *size = duet_text_bytes((double)run->plan->balloon_bytes);
    g_string_append_printf(out, "\n## Each, once it is shrunk to %s\n\n| arm | N | ok |", size);
    for (gsize k = 0; k < G_N_ELEMENTS(columns); k++)
        g_string_append_printf(out, " %s |", columns[k].label);
    g_string_append(out, "\n|---|--:|--:|");
    for (gsize k = 0; k < G_N_ELEMENTS(columns); k++)
        g_string_append(out, "--:|");
    g_string_append_c(out, '\n');
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        g_autofree char *name = duet_text_markdown(duet_run_arm(run, arm)->name);
        for (guint i = 0; i < analysis->n_rows; i++) {
            const DuetMemoryRow *row = &analysis->arms[arm].rows[i];
            if (row->count == 0)
                continue;
            g_string_append_printf(out, "| %s | %u | %u |", name, row->count, row->n_shrunk);
            for (gsize k = 0; k < G_N_ELEMENTS(columns); k++) {
                g_autofree char *text = value(row, columns[k].value);
                g_string_append_printf(out, " %s |", text);
            }
            g_string_append_c(out, '\n');
        }
    }
}
