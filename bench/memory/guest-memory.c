/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-memory.h"

#include <unistd.h>

#include <duet/error.h>
#include <duet/mark.h>

#include "bench/instance/capture.h"
#include "bench/instance/child.h"

#define ANSWER_NS (10 * G_GINT64_CONSTANT(1000000000))

/* A guest that hangs must not hang us: the child can be killed. */
static pid_t ask_in_child(DuetInstance *instance, int output_fd)
{
    const DuetExec exec = { .meminfo = TRUE };
    const DuetIo io = { -1, output_fd, -1, TRUE };
    pid_t pid = fork();

    if (pid == 0)
        _exit(duet_instance_exec(instance, &exec, &io, NULL) == 0 ? 0 : 1);
    return pid;
}

gboolean duet_guest_memory_read(DuetInstance *instance, DuetHostMemory *out_memory, GError **error)
{
    DuetCapture *capture = duet_capture_new(error);

    if (!capture)
        return FALSE;
    gint64 now_ns = duet_now_ns();
    int code =
        duet_child_wait(ask_in_child(instance, duet_capture_fd(capture)), now_ns + ANSWER_NS);
    g_autoptr(DuetCaptured) captured = duet_capture_finish(capture);
    if (code == 0 && captured && captured->kept) {
        g_autofree char *text =
            g_strndup(g_bytes_get_data(captured->kept, NULL), g_bytes_get_size(captured->kept));
        DuetHostMemory memory = { .at_ns = now_ns };
        if (duet_host_memory_parse(text, &memory)) {
            *out_memory = memory;
            return TRUE;
        }
    }
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED,
        "a guest did not tell how it uses its memory within 10 s");
    return FALSE;
}
