/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the Phoronix Test Suite keeps in test-results/NAME/composite.xml (its result-file.xsd): each
 * arm is a system there, each metric a test. */
#include "export.h"

#include <libxml/xmlwriter.h>

#include "bench/result/record.h"
#include "bench/text.h"

/* Bounds of that schema, in characters. */
#define IDENTIFIER_MAX 128
#define DESCRIPTION_MAX 2048

#define TCG "No hardware virtualization (QEMU's TCG): VM figures are upper bounds. "
#define NESTED "Nested under TCG: CPUs are emulated, no figure is a result. "

struct DuetPhoronix {
    const DuetRun *run;
    xmlBuffer *buffer;
    xmlTextWriter *xml;
};

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

DuetPhoronix *duet_phoronix_new(
    const DuetRun *run, const char *title, const char *of, gboolean nested, gboolean tcg)
{
    DuetPhoronix *file = g_new0(DuetPhoronix, 1);
    g_autofree char *description =
        g_strdup_printf("%sMedians of %u %s, cache %s, seed %" G_GUINT64_FORMAT ", run %s",
            nested    ? NESTED
                : tcg ? TCG
                      : "",
            run->plan->n, of, run->plan->mode, run->plan->seed, run->run_id);

    file->run = run;
    file->buffer = xmlBufferCreate();
    file->xml = xmlNewTextWriterMemory(file->buffer, 0);
    xmlTextWriterSetIndent(file->xml, 1);
    xmlTextWriterStartDocument(file->xml, NULL, "UTF-8", NULL);
    start(file->xml, "PhoronixTestSuite");
    start(file->xml, "Generated");
    element(file->xml, "Title", title);
    timestamp(file->xml, "LastModified", run);
    element(file->xml, "TestClient", "duet");
    foreign(file->xml, "Description", description, DESCRIPTION_MAX);
    xmlTextWriterEndElement(file->xml);
    return file;
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

void duet_phoronix_system(
    DuetPhoronix *file, const char *name, guint arm, guint ok, guint failed, guint timeouts)
{
    static const char *const hardware[] = { "Processor", "cpu.model", "RAM in bytes",
        "memory.ram_bytes", NULL };
    static const char *const software[] = { "Kernel", "kernel.release", "OS", "os", NULL };
    const DuetRun *run = file->run;
    const DuetRunArm *of = duet_run_arm(run, arm);
    g_autofree char *hard = joined(run->host, hardware), *soft = joined(run->host, software);
    g_autofree char *notes = g_strdup_printf("kind %s, accelerator %s, image %s, %u ok, %u failed, "
                                             "%u timed out",
        of->kind, duet_run_arm_accel(of) ? duet_run_arm_accel(of) : "none",
        of->image_ref ? of->image_ref : "none", ok, failed, timeouts);

    start(file->xml, "System");
    foreign(file->xml, "Identifier", name, IDENTIFIER_MAX);
    foreign(file->xml, "Hardware", hard, G_MAXLONG);
    foreign(file->xml, "Software", soft, G_MAXLONG);
    element(file->xml, "User", "");
    timestamp(file->xml, "TimeStamp", run);
    foreign(file->xml, "TestClientVersion", duet_record_string(run->tool, "version"), G_MAXLONG);
    foreign(file->xml, "Notes", notes, G_MAXLONG);
    xmlTextWriterEndElement(file->xml);
}

void duet_phoronix_result(DuetPhoronix *file, const char *test, const char *id, const char *scale,
    gboolean higher_is_better)
{
    g_autofree char *title = g_strconcat("duet: ", id, NULL);

    start(file->xml, "Result");
    element(file->xml, "Identifier", test);
    element(file->xml, "Title", title);
    foreign(file->xml, "AppVersion", duet_record_string(file->run->tool, "version"), G_MAXLONG);
    element(file->xml, "Arguments", id);
    element(file->xml, "Description", id);
    element(file->xml, "Scale", scale);
    element(file->xml, "Proportion", higher_is_better ? "HIB" : "LIB");
    element(file->xml, "DisplayFormat", "BAR_GRAPH");
    start(file->xml, "Data");
}

void duet_phoronix_entry(
    DuetPhoronix *file, const char *name, double median, const DuetSeries *series, double scale)
{
    g_autoptr(GString) raw = g_string_new(NULL);
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    for (gsize i = 0; i < series->n; i++)
        g_string_append_printf(raw, "%s%s", i > 0 ? ":" : "",
            g_ascii_formatd(text, sizeof text, "%.6f", series->values[i] * scale));
    start(file->xml, "Entry");
    foreign(file->xml, "Identifier", name, IDENTIFIER_MAX);
    element(file->xml, "Value", g_ascii_formatd(text, sizeof text, "%.6f", median * scale));
    element(file->xml, "RawString", raw->str);
    xmlTextWriterEndElement(file->xml);
}

void duet_phoronix_result_end(DuetPhoronix *file)
{
    xmlTextWriterEndElement(file->xml);
    xmlTextWriterEndElement(file->xml);
}

char *duet_phoronix_finish(DuetPhoronix *file)
{
    xmlTextWriterEndDocument(file->xml);
    xmlFreeTextWriter(file->xml);
    char *text = g_strdup((const char *)xmlBufferContent(file->buffer));
    xmlBufferFree(file->buffer);
    g_free(file);
    return text;
}

static void result(
    DuetPhoronix *file, const DuetRun *run, const DuetAnalysis *analysis, DuetMetric metric)
{
    g_autofree char *id = duet_metric_id(metric, analysis->headline_to);

    duet_phoronix_result(file, "local/duet-boot", id, "Milliseconds", FALSE);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetSummary *summary = &analysis->arms[arm].summary[metric];
        g_auto(DuetColumn) column = { 0 };
        if (summary->n == 0)
            continue;
        duet_run_values(run, arm, metric, analysis->headline_to, &column);
        DuetSeries series = duet_column_series(&column);
        duet_phoronix_entry(file, duet_run_arm(run, arm)->name, summary->median, &series, 1e-6);
    }
    duet_phoronix_result_end(file);
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
    DuetPhoronix *file = duet_phoronix_new(
        run, "duet bench boot", "samples of each arm", analysis->nested, analysis->tcg);

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetArmAnalysis *a = &analysis->arms[arm];
        duet_phoronix_system(
            file, duet_run_arm(run, arm)->name, arm, a->ok, a->failed, a->timeouts);
    }
    for (guint metric = 0; metric < DUET_METRIC_COUNT; metric++) {
        if (anybody_has(analysis, metric))
            result(file, run, analysis, metric);
    }
    return duet_phoronix_finish(file);
}
