/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the Phoronix Test Suite keeps in test-results/NAME/composite.xml (its result-file.xsd): each
 * arm is a system there, each metric a test. */
#include "export.h"

#include <libxml/xmlwriter.h>

#include "bench/record.h"
#include "bench/text.h"

/* Bounds of that schema, in characters. */
#define IDENTIFIER_MAX 128
#define DESCRIPTION_MAX 2048

#define TCG "No hardware virtualization (QEMU's TCG): VM figures are upper bounds. "
#define NESTED "Nested under TCG: CPUs are emulated, no figure is a result. "

static void start(xmlTextWriter *xml, const char *name)
{
    xmlTextWriterStartElement(xml, BAD_CAST name);
}

static void element(xmlTextWriter *xml, const char *name, const char *text)
{
    xmlTextWriterWriteElement(xml, BAD_CAST name, BAD_CAST text);
}

/* Text of anybody's as one line without control characters, which XML 1.0 does not know. */
static void foreign(xmlTextWriter *xml, const char *name, const char *text, glong max)
{
    g_autofree char *line = duet_text_line(text ? text : "");
    g_autofree char *cut = g_utf8_substring(line, 0, MIN(max, g_utf8_strlen(line, -1)));

    element(xml, name, cut);
}

static void timestamp(xmlTextWriter *xml, const char *name, const DuetRun *run)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(run->started, NULL);
    g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : NULL;

    element(xml, name, text ? text : "1970-01-01 00:00:00");
}

static void generated(xmlTextWriter *xml, const DuetRun *run, const DuetAnalysis *analysis)
{
    g_autofree char *description = g_strdup_printf("%sMedians of %u samples of each arm, cache %s, "
                                                   "seed %" G_GUINT64_FORMAT ", run %s",
        analysis->nested    ? NESTED
            : analysis->tcg ? TCG
                            : "",
        run->plan->n, run->plan->mode, run->plan->seed, run->run_id);
    start(xml, "Generated");
    element(xml, "Title", "duet bench boot");
    timestamp(xml, "LastModified", run);
    element(xml, "TestClient", "duet");
    foreign(xml, "Description", description, DESCRIPTION_MAX);
    xmlTextWriterEndElement(xml);
}

static char *joined(JsonObject *record, const char *const *paths)
{
    GString *out = g_string_new(NULL);

    for (; *paths; paths += 2) {
        g_autofree char *text = duet_record_text(record, paths[1]);
        g_string_append_printf(out, "%s%s: %s", out->len > 0 ? ", " : "", paths[0], text);
    }
    return g_string_free(out, FALSE);
}

static void system_of(
    xmlTextWriter *xml, const DuetRun *run, const DuetAnalysis *analysis, guint index)
{
    static const char *const hardware[] = { "Processor", "cpu.model", "RAM in bytes",
        "memory.ram_bytes", NULL };
    static const char *const software[] = { "Kernel", "kernel.release", "OS", "os", NULL };
    const DuetRunArm *arm = duet_run_arm(run, index);
    const DuetArmAnalysis *a = &analysis->arms[index];
    g_autofree char *hard = joined(run->host, hardware), *soft = joined(run->host, software);
    g_autofree char *notes = g_strdup_printf("kind %s, accelerator %s, image %s, %u ok, %u failed, "
                                             "%u timed out",
        arm->kind, duet_run_arm_accel(arm) ? duet_run_arm_accel(arm) : "none",
        arm->image_ref ? arm->image_ref : "none", a->ok, a->failed, a->timeouts);

    start(xml, "System");
    foreign(xml, "Identifier", arm->name, IDENTIFIER_MAX);
    foreign(xml, "Hardware", hard, G_MAXLONG);
    foreign(xml, "Software", soft, G_MAXLONG);
    element(xml, "User", "");
    timestamp(xml, "TimeStamp", run);
    foreign(xml, "TestClientVersion", duet_record_string(run->tool, "version"), G_MAXLONG);
    foreign(xml, "Notes", notes, G_MAXLONG);
    xmlTextWriterEndElement(xml);
}

/* All samples that the median is of, in milliseconds, as Phoronix joins them. */
static char *raw(const DuetRun *run, const DuetAnalysis *analysis, guint arm, DuetMetric metric)
{
    GString *out = g_string_new(NULL);
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    double ns;

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm == arm && !sample->discarded && sample->status == DUET_SAMPLE_OK &&
            duet_metric_value(sample, metric, analysis->headline_to, &ns))
            g_string_append_printf(out, "%s%s", out->len > 0 ? ":" : "",
                g_ascii_formatd(text, sizeof text, "%.6f", ns / 1e6));
    }
    return g_string_free(out, FALSE);
}

static void entry(xmlTextWriter *xml, const DuetRun *run, const DuetAnalysis *analysis, guint arm,
    DuetMetric metric)
{
    g_autofree char *values = raw(run, analysis, arm, metric);
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    double ms = analysis->arms[arm].summary[metric].median / 1e6;

    start(xml, "Entry");
    foreign(xml, "Identifier", duet_run_arm(run, arm)->name, IDENTIFIER_MAX);
    element(xml, "Value", g_ascii_formatd(text, sizeof text, "%.6f", ms));
    element(xml, "RawString", values);
    xmlTextWriterEndElement(xml);
}

static void result(
    xmlTextWriter *xml, const DuetRun *run, const DuetAnalysis *analysis, DuetMetric metric)
{
    g_autofree char *id = duet_metric_id(metric, analysis->headline_to);
    g_autofree char *title = g_strconcat("duet: ", id, NULL);

    start(xml, "Result");
    element(xml, "Identifier", "local/duet-boot");
    element(xml, "Title", title);
    foreign(xml, "AppVersion", duet_record_string(run->tool, "version"), G_MAXLONG);
    element(xml, "Arguments", id);
    element(xml, "Description", id);
    element(xml, "Scale", "Milliseconds");
    element(xml, "Proportion", "LIB");
    element(xml, "DisplayFormat", "BAR_GRAPH");
    start(xml, "Data");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].summary[metric].n > 0)
            entry(xml, run, analysis, arm, metric);
    }
    xmlTextWriterEndElement(xml);
    xmlTextWriterEndElement(xml);
}

static gboolean anybody_has(const DuetAnalysis *analysis, DuetMetric metric)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].summary[metric].n > 0)
            return TRUE;
    }
    return FALSE;
}

char *duet_export_phoronix(const DuetRun *run, const DuetAnalysis *analysis)
{
    xmlBuffer *buffer = xmlBufferCreate();
    xmlTextWriter *xml = xmlNewTextWriterMemory(buffer, 0);

    xmlTextWriterSetIndent(xml, 1);
    xmlTextWriterStartDocument(xml, NULL, "UTF-8", NULL);
    start(xml, "PhoronixTestSuite");
    generated(xml, run, analysis);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        system_of(xml, run, analysis, arm);
    for (guint metric = 0; metric < DUET_METRIC_COUNT; metric++) {
        if (anybody_has(analysis, metric))
            result(xml, run, analysis, metric);
    }
    xmlTextWriterEndDocument(xml);
    xmlFreeTextWriter(xml);
    char *text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}
