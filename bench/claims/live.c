/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live.h"

#include <string.h>

#include <duet/error.h>

#include "bench/instance/capture.h"
#include "bench/instance/instance-sampler.h"
#include "bench/text.h"

void duet_live_begin(DuetLive *live, DuetClaimTrial *trial, DuetContext *context)
{
    live->trial = trial;
    duet_group_init(&live->group, context, NULL);
}

gboolean duet_live_start(DuetLive *live, const DuetSpec *base, const char *script,
    const char *marker, guint *out_index, GError **error)
{
    const char *argv[] = { "sh", "-c",
        script ? script : "sleep " DUET_LIVE_SECONDS "; :", marker ? marker : "duet-claim", NULL };
    g_autoptr(DuetSpec) spec = duet_bench_spec_copy(base, error);

    if (!spec)
        return FALSE;
    g_strfreev(spec->argv);
    spec->argv = g_strdupv((char **)argv);
    g_clear_pointer(&spec->user, g_free);
    spec->idle = FALSE;
    spec->open_stdin = FALSE;
    live->group.spec = spec;
    guint index = live->group.members->len;
    gboolean started = duet_group_start(&live->group, error);
    live->group.spec = NULL;
    if (started && out_index)
        *out_index = index;
    return started;
}

static char *text_of(const DuetCaptured *captured)
{
    gsize length;
    const char *bytes = g_bytes_get_data(captured->kept, &length);
    char *text = g_strndup("", length);

    for (gsize i = 0; i < length; i++)
        text[i] = bytes[i] ? bytes[i] : ' ';
    return text;
}

char *duet_live_ask(DuetLive *live, guint index, const char *script, GError **error)
{
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
    DuetExec exec = { .argv = argv, .user = "0" };
    DuetCapture *out = duet_capture_new(error);
    DuetCapture *err = out ? duet_capture_new(error) : NULL;

    if (!err) {
        if (out)
            duet_captured_free(duet_capture_finish(out));
        return NULL;
    }
    DuetIo io = { -1, duet_capture_fd(out), duet_capture_fd(err), TRUE };
    int code = duet_instance_exec(duet_group_instance(&live->group, index), &exec, &io, error);
    DuetCaptured *captured_out = duet_capture_finish(out), *captured_err = duet_capture_finish(err);
    g_autofree char *text = text_of(captured_out), *complaint = text_of(captured_err);
    duet_captured_free(captured_out);
    duet_captured_free(captured_err);
    if (code == 0)
        return g_steal_pointer(&text);
    if (code > 0) {
        g_autofree char *line = duet_text_line(g_strstrip(complaint));
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "a shell in the instance ended with code %d: %s", code, line);
    }
    return NULL;
}

DuetInfo *duet_live_info(DuetLive *live, guint index, GError **error)
{
    return duet_instance_info(duet_group_instance(&live->group, index), error);
}

gboolean duet_live_end(DuetLive *live, GError **error)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);

    duet_group_clear(&live->group, warnings);
    live->trial->interrupted |= live->group.interrupted;
    if (warnings->len == 0)
        return TRUE;
    if (error && !*error)
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, g_ptr_array_index(warnings, 0));
    return FALSE;
}

void duet_live_progress(const DuetClaimTrial *trial, const char *line)
{
    if (trial->request->progress)
        trial->request->progress(line, trial->request->progress_data);
}

char *duet_live_marker(void)
{
    return g_strdup_printf("duet-claim-%08x%08x", g_random_int(), g_random_int());
}
