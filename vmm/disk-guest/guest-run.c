/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-run.h"

/* How soon a program is asked for again: a short one is not waited for, a long one costs little. */
#define POLL_FIRST_MS 20
#define POLL_LAST_MS 1000

/* Counted: an answer may be on its way when it is freed. @pid: in the guest; 0: not yet */
struct _DuetGuestRun {
    DuetGuestAgent *agent;
    const DuetGuestRunEvents *events;
    gpointer data;
    gint64 pid;
    guint signal_number;
    guint poll_ms;
    guint poll_source;
    gboolean gone;
};

static void ask(DuetGuestRun *run, const char *request, DuetGuestAnswer answer)
{
    duet_guest_agent_call(
        run->agent, request, answer, g_atomic_rc_box_acquire(run), g_atomic_rc_box_release);
}

static void on_status(gpointer data, const char *reply, const GError *error);

static gboolean on_poll(gpointer data)
{
    DuetGuestRun *run = data;
    g_autofree char *request = duet_guest_status_request(run->pid);
    run->poll_source = 0;
    ask(run, request, on_status);
    return G_SOURCE_REMOVE;
}

static void on_status(gpointer data, const char *reply, const GError *error)
{
    DuetGuestRun *run = data;
    DuetGuestStatus status = { 0 };
    g_autoptr(GError) failure = error ? g_error_copy(error) : NULL;
    if (run->gone)
        return;
    if (!reply || !duet_guest_status_read(reply, &status, &failure)) {
        run->events->failed(run->data, failure, TRUE);
    } else if (status.exited) {
        run->events->ended(run->data, &status);
    } else {
        run->poll_source = g_timeout_add(run->poll_ms, on_poll, run);
        run->poll_ms = MIN(run->poll_ms * 2, POLL_LAST_MS);
    }
    duet_guest_status_clear(&status);
}

static void send_signal(const DuetGuestRun *run)
{
    g_autofree char *request = duet_guest_kill_request(run->pid, run->signal_number);
    duet_guest_agent_call(run->agent, request, NULL, NULL, NULL);
}

static void on_executed(gpointer data, const char *reply, const GError *error)
{
    DuetGuestRun *run = data;
    g_autoptr(GError) failure = error ? g_error_copy(error) : NULL;
    if (run->gone)
        return;
    if (!reply || !duet_guest_exec_pid(reply, &run->pid, &failure)) {
        run->events->failed(run->data, failure, FALSE);
        return;
    }
    if (run->events->started)
        run->events->started(run->data, run->pid);
    if (run->gone)
        return;
    if (run->signal_number)
        send_signal(run);
    on_poll(run);
}

DuetGuestRun *duet_guest_run_new(
    DuetGuestAgent *agent, const char *request, const DuetGuestRunEvents *events, gpointer data)
{
    DuetGuestRun *run = g_atomic_rc_box_new0(DuetGuestRun);
    run->agent = agent;
    run->events = events;
    run->data = data;
    run->poll_ms = POLL_FIRST_MS;
    ask(run, request, on_executed);
    return run;
}

void duet_guest_run_free(DuetGuestRun *run)
{
    if (!run)
        return;
    run->gone = TRUE;
    if (run->poll_source)
        g_source_remove(run->poll_source);
    run->poll_source = 0;
    g_atomic_rc_box_release(run);
}

void duet_guest_run_signal(DuetGuestRun *run, guint signal_number)
{
    run->signal_number = signal_number;
    if (signal_number && run->pid)
        send_signal(run);
}
