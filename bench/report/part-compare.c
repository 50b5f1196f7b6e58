/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `duet compare` has beside its times: what each arm printed, and what an idle one takes. */
#include "part.h"

#include "bench/result/json.h"
#include "bench/text.h"
#include "bench/words.h"

/* More of an output makes a page no clearer. */
#define OUTPUT_MAX_CHARS 4000

/* Files may come from anybody: what is not as it should be is left out. */
static JsonObject *of_arm(DuetJsonReader *reader, const DuetRun *run, const char *name, guint arm)
{
    JsonArray *array = duet_json_get_array(reader, run->compared, name, run->arms->len);

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        if (object &&
            g_strcmp0(duet_json_get_string(reader, object, "arm"), duet_run_arm(run, arm)->name) ==
                0)
            return object;
    }
    return NULL;
}

static void add_stream(DuetReport *report, DuetJsonReader *reader, JsonObject *stream,
    const char *what, const char *arm)
{
    gint64 bytes = duet_json_get_int(reader, stream, "bytes", 0, G_MAXINT64, 0);
    const char *text = duet_json_get_string(reader, stream, "text");
    const char *digest = duet_json_get_string(reader, stream, "sha256");
    g_autofree char *size = duet_text_bytes((double)bytes);

    if (bytes == 0 || !digest)
        return;
    g_autofree char *lead =
        g_strdup_printf(_("%s of %s, %s (SHA-256 %.12s):"), what, arm, size, digest);
    duet_report_text(report, lead);
    if (!text) {
        duet_report_text(report, _("It is no text."));
        return;
    }
    glong chars = g_utf8_strlen(text, -1);
    gboolean cut = chars > OUTPUT_MAX_CHARS || duet_json_get_boolean(reader, stream, "cut");
    g_autofree char *shown = g_utf8_substring(text, 0, MIN(chars, OUTPUT_MAX_CHARS));
    g_autofree char *block = g_strconcat(g_strchomp(shown), cut ? "\n…" : "", NULL);
    duet_report_output(report, block);
}

static void add_outputs(DuetReport *report, DuetJsonReader *reader, const DuetRun *run)
{
    for (guint arm = 0; arm < run->arms->len; arm++) {
        JsonObject *object = of_arm(reader, run, "outputs", arm);
        const char *name = duet_run_arm(run, arm)->name;
        if (object && duet_json_member(object, "stdout"))
            add_stream(
                report, reader, duet_json_get_object(reader, object, "stdout"), _("Output"), name);
        if (object && duet_json_member(object, "stderr"))
            add_stream(report, reader, duet_json_get_object(reader, object, "stderr"),
                _("Standard error"), name);
    }
}

static const struct {
    const char *label, *member;
} rows[] = {
    { N_("payload's side, PSS"), "payload_pss_bytes" },
    { N_("monitor and worker, PSS"), "managing_pss_bytes" },
    { N_("cgroup of the payload's side"), "cgroup_bytes" },
    { N_("of it anonymous"), "cgroup_anon_bytes" },
    { N_("of it file"), "cgroup_file_bytes" },
    { N_("of it kernel"), "cgroup_kernel_bytes" },
};

/* Returns: (transfer full): "12.3 MiB"; what is 0 can't be known. */
static char *size_text(DuetJsonReader *reader, JsonObject *idle, const char *member)
{
    gint64 bytes = duet_json_member(idle, member)
        ? duet_json_get_int(reader, idle, member, 0, G_MAXINT64, 0)
        : 0;

    return bytes > 0 ? duet_text_bytes((double)bytes) : g_strdup("n/a");
}

static void add_idle(DuetReport *report, DuetJsonReader *reader, const DuetRun *run)
{
    GPtrArray *head = g_ptr_array_new();

    g_ptr_array_add(head, g_strdup(_("part")));
    for (guint arm = 0; arm < run->arms->len; arm++)
        g_ptr_array_add(head, g_strdup(duet_run_arm(run, arm)->name));
    DuetReportTable *table = duet_report_table_with(
        report, _("Memory of an idle instance, one of each"), "l", 'r', head);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        GPtrArray *cells = g_ptr_array_new();
        g_ptr_array_add(cells, g_strdup(_(rows[i].label)));
        for (guint arm = 0; arm < run->arms->len; arm++)
            g_ptr_array_add(
                cells, size_text(reader, of_arm(reader, run, "idle_memory", arm), rows[i].member));
        duet_report_cells(table, cells);
    }
}

void duet_report_compared(DuetReport *report, const DuetRun *run)
{
    DuetJsonReader reader = { 0 };

    if (!run->compared)
        return;
    add_outputs(report, &reader, run);
    if (duet_json_member(run->compared, "idle_memory"))
        add_idle(report, &reader, run);
    g_free(reader.broken);
}
