/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/report.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/host/environment.h"
#include "bench/instance/group.h"
#include "bench/language.h"
#include "bench/result/record.h"
#include "bench/result/result.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"
#include "core/util.h"
#include "part.h"
#include "write.h"

#define PICTURE_MAX_BYTES (256u * 1024 * 1024)

static const DuetReportWriter writers[] = {
    { "text", ".txt", DUET_CHART_PAGE, duet_report_write_text },
    { "html", ".html", DUET_CHART_PAGE, duet_report_write_html },
    { "md", ".md", DUET_CHART_SVG, duet_report_write_markdown },
    { "tex", ".tex", DUET_CHART_PDF, duet_report_write_tex },
    { "svg", ".svg", DUET_CHART_SVG, NULL },
    { "pdf", ".pdf", DUET_CHART_PDF, NULL },
    { "png", ".png", DUET_CHART_PNG, NULL },
};

/* ---- what goes in ---- */

typedef struct {
    GPtrArray *runs; /* (element-type DuetRun) */
    GPtrArray *texts; /* (element-type GBytes): of their files */
    char *const *paths;
} Input;

static void input_clear(Input *input)
{
    g_clear_pointer(&input->runs, g_ptr_array_unref);
    g_clear_pointer(&input->texts, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Input, input_clear)

static gboolean load(Input *input, char *const *paths, GError **error)
{
    input->runs = g_ptr_array_new_with_free_func((GDestroyNotify)duet_run_free);
    input->texts = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    input->paths = paths;
    for (char *const *path = paths; *path; path++) {
        GBytes *text = NULL;
        DuetRun *run = duet_result_load_whole(*path, &text, error);
        if (!run)
            return FALSE;
        g_ptr_array_add(input->runs, run);
        g_ptr_array_add(input->texts, text);
    }
    return TRUE;
}

/* Whether there is another result of the benchmark of number @index. */
static gboolean is_one_of_several(const Input *input, guint index)
{
    const DuetRun *run = input->runs->pdata[index];

    for (guint i = 0; i < input->runs->len; i++) {
        if (i != index && ((const DuetRun *)input->runs->pdata[i])->benchmark == run->benchmark)
            return TRUE;
    }
    return FALSE;
}

/* ---- what it says ---- */

static void add_banners(DuetReport *report, const DuetRun *run)
{
    const char *warning =
        duet_bench_table_warning(duet_environment_under_tcg(run->host), duet_run_tcg(run));

    if (warning)
        duet_report_banner(report, warning);
}

static void add_run(DuetReport *report, const Input *input, guint i)
{
    const DuetRun *run = input->runs->pdata[i];
    const DuetReportPart *part = duet_report_part(run);
    guint before = duet_report_nth(input->runs, i);
    gboolean several = is_one_of_several(input, i);
    g_autofree char *id = before > 0 ? g_strdup_printf("%s-%u", part->benchmark, before + 1)
                                     : g_strdup(part->benchmark);
    g_autofree char *base = g_path_get_basename(input->paths[i]);
    g_autofree char *title = several
        ? g_strdup_printf("%s: %s, %s", _(part->title), base, run->started)
        : g_strdup(_(part->title));

    duet_report_section(report, id, title);
    duet_report_stamp(report, run, NULL);
    if (duet_environment_under_tcg(run->host))
        duet_report_text(report, _("Withheld: nested under TCG."));
    else
        part->add(report, run, id);
}

static void add_files(DuetReport *report, const Input *input, guint i)
{
    const DuetRun *run = input->runs->pdata[i];
    g_autofree char *base = g_path_get_basename(input->paths[i]);
    /* Two may have one name, in two folders. */
    g_autofree char *json = i > 0 && is_one_of_several(input, i)
        ? g_strdup_printf("%u-%s", i + 1, base)
        : g_strdup(base);
    g_autofree char *csv = g_strconcat(json, ".csv", NULL);

    duet_report_file(report, json, "application/json", g_bytes_ref(input->texts->pdata[i]));
    for (guint format = 0; run->benchmark->formats[format]; format++) {
        if (!g_str_equal(run->benchmark->formats[format], "csv"))
            continue;
        char *text = run->benchmark->show(run, format, FALSE);
        duet_report_file(report, csv, "text/csv", g_bytes_new_take(text, strlen(text)));
    }
}

static gboolean has_kind(const Input *input, const char *kind)
{
    for (guint i = 0; i < input->runs->len; i++) {
        const DuetRun *run = input->runs->pdata[i];
        for (guint arm = 0; arm < run->arms->len; arm++)
            if (g_str_equal(duet_run_arm(run, arm)->kind, kind))
                return TRUE;
    }
    return FALSE;
}

/* Returns: (transfer full): "busybox as a VM and as a container". */
static char *title_of(const Input *input)
{
    const DuetRun *run = input->runs->pdata[0];
    const char *image = duet_run_arm(run, 0)->image_ref;

    if (image && !(has_kind(input, "vm") && has_kind(input, "container")))
        return g_strdup_printf(_("Measured: %s"), image);
    return image ? g_strdup_printf(_("%s as a VM and as a container"), image)
                 : g_strdup(_("Imported times"));
}

/* Returns: (transfer full): where and when, for who looks at nothing else. */
static char *lead_of(const Input *input)
{
    const DuetRun *run = input->runs->pdata[0];
    const char *cpu = duet_record_string(run->host, "cpu.model");
    const char *kernel = duet_record_string(run->host, "kernel.release");
    const char *version = duet_record_string(run->tool, "version");
    g_autofree char *accel = duet_bench_table_accel(run);
    const char *const words[] = { cpu, kernel, accel, version, run->started };
    GString *out = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        if (words[i] && *words[i])
            g_string_append_printf(
                out, "%s%s%s", out->len > 0 ? " · " : "", i == 3 ? "duet " : "", words[i]);
    }
    return g_string_free(out, FALSE);
}

static DuetReport *build(const Input *input, const char *language)
{
    g_autofree char *title = title_of(input);
    DuetReport *report = duet_report_new(language, title);
    guint n = input->runs->len;

    report->lead = lead_of(input);
    duet_report_colors(report, input->runs);
    for (guint i = 0; i < n; i++)
        add_banners(report, input->runs->pdata[i]);
    for (guint i = 0; i < n && !report->stamp; i++)
        duet_report_stamp(report, input->runs->pdata[i], NULL);
    duet_report_verdicts(report, input->runs, input->paths);
    duet_report_changes(report, input->runs, input->paths);
    for (guint i = 0; i < n; i++)
        add_run(report, input, i);
    duet_report_section(report, "method", _("How it was measured"));
    duet_report_hosts(report, input->runs, input->paths);
    for (guint i = 0; i < n; i++)
        duet_report_method(report, input->runs->pdata[i], input->paths[i]);
    for (guint i = 0; i < n; i++)
        add_files(report, input, i);
    return report;
}

/* ---- where it goes ---- */

static const DuetReportWriter *find_writer(const DuetReportRequest *request, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);
    const char *output = request->output;

    for (gsize i = 0; i < G_N_ELEMENTS(writers); i++) {
        const DuetReportWriter *writer = &writers[i];
        gboolean wanted = request->format ? g_str_equal(request->format, writer->name)
            : output                      ? g_str_has_suffix(output, writer->suffix)
                                          : i == 0;
        if (wanted)
            return writer;
        g_string_append_printf(known, "%s%s", i > 0 ? ", " : "", writer->name);
    }
    if (request->format)
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no format of reports: choose from %s", request->format, known->str);
    else
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' does not tell the report's format: add --format with one of %s", output,
            known->str);
    return NULL;
}

/* Where pictures stay. Returns: (transfer full) (nullable): NULL: nowhere. */
static char *figures_dir(const DuetReportRequest *request, const DuetReportWriter *writer)
{
    gboolean apart = writer->medium != DUET_CHART_PAGE;

    if (!request->output || (!apart && !request->keep))
        return NULL;
    if (!writer->write)
        return g_strdup(request->output);
    g_autofree char *stem = g_str_has_suffix(request->output, writer->suffix)
        ? g_strndup(request->output, strlen(request->output) - strlen(writer->suffix))
        : g_strdup(request->output);
    return g_strconcat(stem, "-figures", NULL);
}

/* A script that is not as it was written may have been changed by hand, and is not lost: it becomes
 * NAME.~1~, as `cp --backup=numbered` has it. */
static gboolean set_aside(const char *target, const char *bytes, gsize length, GError **error)
{
    gsize old_length = 0;
    g_autofree char *old = g_str_has_suffix(target, ".gnuplot")
        ? duet_file_read(AT_FDCWD, target, PICTURE_MAX_BYTES, &old_length, NULL)
        : NULL;

    if (!old || (old_length == length && memcmp(old, bytes, length) == 0))
        return TRUE;
    for (guint i = 1;; i++) {
        g_autofree char *aside = g_strdup_printf("%s.~%u~", target, i);
        if (renameat2(AT_FDCWD, target, AT_FDCWD, aside, RENAME_NOREPLACE) == 0)
            return TRUE;
        if (errno != EEXIST)
            return duet_error_set_errno(error, errno, "cannot keep '%s' as '%s'", target, aside);
    }
}

static gboolean copy(const char *from, const char *to, const char *name, GError **error)
{
    g_autofree char *source = g_build_filename(from, name, NULL);
    g_autofree char *target = g_build_filename(to, name, NULL);
    gsize length = 0;
    g_autofree char *bytes = duet_file_read(AT_FDCWD, source, PICTURE_MAX_BYTES, &length, error);

    return bytes && set_aside(target, bytes, length, error) &&
        duet_file_replace(AT_FDCWD, target, bytes, length, error);
}

/* From where it was drawn to where it stays; scripts and data only for who wants to keep them. */
static gboolean put_figures(const char *work, const char *dir, const DuetReportRequest *request,
    const DuetReportWriter *writer, GError **error)
{
    g_autoptr(GDir) files = g_dir_open(work, 0, NULL);
    const char *name;

    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return duet_error_set_errno(error, errno, "cannot make the directory '%s'", dir);
    while (files && (name = g_dir_read_name(files))) {
        gboolean picture = writer->medium != DUET_CHART_PAGE &&
            g_str_has_suffix(name, duet_chart_suffix(writer->medium));
        if ((picture || request->keep) && !copy(work, dir, name, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean write_page(const DuetReport *report, const DuetReportRequest *request,
    const DuetReportWriter *writer, const char *work, char **out_text, GError **error)
{
    g_autofree char *dir = figures_dir(request, writer);
    g_autofree char *link = dir ? g_path_get_basename(dir) : NULL;
    g_autoptr(GString) text = g_string_new(NULL);

    if ((work && dir && !put_figures(work, dir, request, writer, error)) ||
        (writer->write && !writer->write(report, work, link, text, error)))
        return FALSE;
    if (writer->write && request->output &&
        !duet_file_replace(AT_FDCWD, request->output, text->str, text->len, error))
        return FALSE;
    *out_text = request->output ? g_strdup("") : g_string_free(g_steal_pointer(&text), FALSE);
    return TRUE;
}

/* In a directory that goes when the page is written. */
static gboolean write_drawn(const DuetReport *report, const DuetReportRequest *request,
    const DuetReportWriter *writer, char **out_text, GError **error)
{
    g_autoptr(GPtrArray) charts = duet_report_charts(report);
    g_autoptr(GError) failure = NULL;
    g_autofree char *work = NULL;
    sigset_t old;

    if (charts->len == 0 && !writer->write) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "there is no figure in this report: its results have none, or it is withheld");
        return FALSE;
    }
    duet_hold_signals(&old);
    work = g_dir_make_tmp("duet-report-XXXXXX", &failure);
    if (!work) {
        duet_release_signals(&old);
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, failure->message);
        return FALSE;
    }
    gboolean ok = duet_charts_draw(charts, writer->medium, work, error) &&
        write_page(report, request, writer, work, out_text, error);
    duet_remove_tree(AT_FDCWD, work, NULL);
    if (duet_release_signals(&old))
        raise(SIGINT);
    return ok;
}

static gboolean make(const DuetReportRequest *request, char **out_text, GError **error)
{
    const DuetReportWriter *writer = find_writer(request, error);
    g_autoptr(GError) no_pictures = NULL;
    g_auto(Input) input = { 0 };

    if (!writer)
        return FALSE;
    if (!writer->write && !request->output) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--format %s writes several pictures: name a directory for them with -o", writer->name);
        return FALSE;
    }
    if (writer->write && request->output && !duet_file_may_replace(request->output, error))
        return FALSE;
    /* What fails before that does so in the words of all other commands. */
    const char *language =
        load(&input, request->results, error) ? duet_language(request->language, error) : NULL;
    if (!language)
        return FALSE;
    g_autoptr(DuetReport) report = build(&input, language);
    /* Text has no pictures, nor has a page that has no place to keep them. */
    if (writer->write == duet_report_write_text ||
        (writer->medium != DUET_CHART_PAGE && !request->output))
        return write_page(report, request, writer, NULL, out_text, error);
    if (duet_charts_can(&no_pictures))
        return write_drawn(report, request, writer, out_text, error);
    if (!writer->write) {
        g_propagate_error(error, g_steal_pointer(&no_pictures));
        return FALSE;
    }
    if (request->notice)
        request->notice(no_pictures->message);
    return write_page(report, request, writer, NULL, out_text, error);
}

__attribute__((visibility("default"))) const DuetReportOps duet_report = { .report = make };
