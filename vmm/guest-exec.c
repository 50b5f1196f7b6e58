/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/guest-exec.h"
#include "vmm/guest-json.h"
#include "vmm/guest-spawn.h"

#include <string.h>

/* How soon a program is asked for again: a short one is not waited for, a long one costs little. */
#define POLL_FIRST_MS 20
#define POLL_LAST_MS 1000

struct _DuetGuestExecs {
    DuetLink *monitor;
    DuetGuestAgent *agent;
    gboolean agent_is_there;
    GHashTable *sessions;
    guint64 serial;
};

/**
 * Session: one program.
 * @serial: no other session's, ever: a number of the monitor's comes again
 * @wants_input: until EOF, and is not asked for before
 * @pid: in the guest; 0: not yet
 * @signal_number: to be sent once it has one
 * @out: stdout and stderr; @sent of it, @credit for more
 */
typedef struct {
    DuetGuestExecs *execs;
    guint16 number;
    guint64 serial;
    DuetGuestSpawn spawn;
    gboolean wants_input;
    GByteArray *input;
    gint64 pid;
    guint signal_number;
    guint poll_ms;
    guint poll_source;
    DuetGuestStatus status;
    guint sent[2];
    guint64 credit[2];
} Session;

static void session_free(gpointer data)
{
    Session *session = data;
    if (session->poll_source)
        g_source_remove(session->poll_source);
    duet_guest_spawn_clear(&session->spawn);
    g_byte_array_unref(session->input);
    duet_guest_status_clear(&session->status);
    g_free(session);
}

static Session *session_of(DuetGuestExecs *execs, guint16 number)
{
    return g_hash_table_lookup(execs->sessions, GUINT_TO_POINTER(number));
}

/* The one of an answer, if it is still there. */
static Session *session_by_serial(DuetGuestExecs *execs, guint64 serial)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, execs->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (((Session *)value)->serial == serial)
            return value;
    return NULL;
}

static void session_end(Session *session)
{
    g_hash_table_remove(session->execs->sessions, GUINT_TO_POINTER(session->number));
}

/* @code: 125, 126 or 127 */
static void fail(Session *session, guint32 code, const char *text)
{
    duet_link_send_text(session->execs->monitor, DUET_FRAME_FAILED, session->number, code, text);
    session_end(session);
}

/* ---- the end: output, then the exit code ---- */

static gboolean send_output(Session *session, guint index)
{
    const GByteArray *bytes = session->status.out[index];
    while (session->sent[index] < bytes->len && session->credit[index] > 0) {
        guint32 n = (guint32)MIN(
            MIN(bytes->len - session->sent[index], session->credit[index]), DUET_FRAME_MAX_BYTES);
        duet_link_send(session->execs->monitor, DUET_FRAME_DATA,
            (guint8)(DUET_CHANNEL_STDOUT + index), session->number,
            bytes->data + session->sent[index], n);
        session->sent[index] += n;
        session->credit[index] -= n;
    }
    return session->sent[index] == bytes->len;
}

static void send_end(Session *session)
{
    guint8 told[8];
    gboolean all_out = send_output(session, 0), all_err = send_output(session, 1);
    if (!all_out || !all_err)
        return;
    duet_put_u32(told, session->status.exit_code);
    duet_put_u32(told + 4, session->status.signal_number);
    duet_link_send(session->execs->monitor, DUET_FRAME_EXIT, 0, session->number, told, sizeof told);
    session_end(session);
}

static void tell_truncated(Session *session)
{
    static const char text[] =
        "duet: the guest agent kept no more of the output than this; let it go to a file\n";
    if (session->status.truncated[0] || session->status.truncated[1])
        g_byte_array_append(session->status.out[1], (const guint8 *)text, (guint)strlen(text));
}

/* ---- while it runs ---- */

static void on_status(gpointer data, guint64 serial, const char *reply, const GError *error);

static gboolean on_poll(gpointer data)
{
    Session *session = data;
    g_autofree char *request = duet_guest_status_request(session->pid);
    session->poll_source = 0;
    duet_guest_agent_call(
        session->execs->agent, request, on_status, session->execs, session->serial);
    return G_SOURCE_REMOVE;
}

static void on_status(gpointer data, guint64 serial, const char *reply, const GError *error)
{
    Session *session = session_by_serial(data, serial);
    g_autoptr(GError) failure = error ? g_error_copy(error) : NULL;
    if (!session)
        return;
    if (!reply || !duet_guest_status_read(reply, &session->status, &failure)) {
        fail(session, 125, failure->message);
        return;
    }
    if (session->status.exited) {
        tell_truncated(session);
        send_end(session);
        return;
    }
    session->poll_source = g_timeout_add(session->poll_ms, on_poll, session);
    session->poll_ms = MIN(session->poll_ms * 2, POLL_LAST_MS);
}

static void send_signal(Session *session)
{
    g_autofree char *request = duet_guest_kill_request(session->pid, session->signal_number);
    duet_guest_agent_call(session->execs->agent, request, NULL, NULL, 0);
}

/* As a shell has it; the agent tells of it in words only. */
static guint32 code_of(const char *message)
{
    if (strstr(message, "No such file or directory"))
        return 127;
    return strstr(message, "Permission denied") ? 126 : 125;
}

static void on_executed(gpointer data, guint64 serial, const char *reply, const GError *error)
{
    Session *session = session_by_serial(data, serial);
    g_autoptr(GError) failure = error ? g_error_copy(error) : NULL;
    guint8 pid[4];
    if (!session)
        return;
    if (!reply || !duet_guest_exec_pid(reply, &session->pid, &failure)) {
        fail(session, code_of(failure->message), failure->message);
        return;
    }
    duet_put_u32(pid, (guint32)session->pid);
    duet_link_send(
        session->execs->monitor, DUET_FRAME_STARTED, 0, session->number, pid, sizeof pid);
    if (session->signal_number)
        send_signal(session);
    on_poll(session);
}

/* ---- the beginning ---- */

static void execute(Session *session)
{
    const DuetGuestSpawn *spawn = &session->spawn;
    g_autoptr(GError) error = NULL;
    g_autofree char *request =
        duet_guest_exec_request((const char *const *)spawn->argv, (const char *const *)spawn->env,
            spawn->cwd, spawn->flags & DUET_SPAWN_STDIN ? session->input : NULL, &error);
    if (!request)
        fail(session, 125, error->message);
    else
        duet_guest_agent_call(
            session->execs->agent, request, on_executed, session->execs, session->serial);
}

static void on_spawn(DuetGuestExecs *execs, const struct duet_frame *frame)
{
    if (session_of(execs, frame->session))
        return;
    Session *session = g_new0(Session, 1);
    session->execs = execs;
    session->number = frame->session;
    session->serial = ++execs->serial;
    session->input = g_byte_array_new();
    session->poll_ms = POLL_FIRST_MS;
    session->credit[0] = session->credit[1] = DUET_CREDIT_INITIAL_BYTES;
    g_hash_table_insert(execs->sessions, GUINT_TO_POINTER(frame->session), session);
    duet_guest_spawn_read(&session->spawn, frame);
    g_autofree char *refusal = duet_guest_spawn_refusal(&session->spawn, execs->agent_is_there);
    session->wants_input = session->spawn.flags & DUET_SPAWN_STDIN;
    if (refusal)
        fail(session, 125, refusal);
    else if (!session->wants_input)
        execute(session);
}

static void on_input(Session *session, const struct duet_frame *frame)
{
    if (frame->channel != DUET_CHANNEL_STDIN || !session->wants_input)
        return;
    if (frame->length > DUET_GUEST_INPUT_MAX_BYTES - session->input->len) {
        fail(session, 125,
            "the guest agent of a disk takes 64 KiB of standard input at most: give it in parts, "
            "or a further disk with --disk");
        return;
    }
    g_byte_array_append(session->input, frame->payload, frame->length);
    duet_link_send_u32(session->execs->monitor, DUET_FRAME_CREDIT, DUET_CHANNEL_STDIN,
        session->number, frame->length);
}

static void on_input_end(Session *session)
{
    if (!session->wants_input)
        return;
    session->wants_input = FALSE;
    execute(session);
}

static void on_credit(Session *session, const struct duet_frame *frame)
{
    guint index = frame->channel - DUET_CHANNEL_STDOUT;
    if (frame->length != 4 || index >= G_N_ELEMENTS(session->credit))
        return;
    session->credit[index] += duet_get_u32(frame->payload);
    if (session->status.exited)
        send_end(session);
}

/* Nobody waits for a program that did not begin. */
static void on_signal(Session *session, const struct duet_frame *frame)
{
    guint number = frame->length == 4 ? duet_get_u32(frame->payload) : 0;
    if (session->wants_input) {
        fail(session, 125, "it was ended before all of its standard input had come");
        return;
    }
    session->signal_number = number;
    if (number && session->pid)
        send_signal(session);
}

void duet_guest_execs_frame(DuetGuestExecs *execs, const struct duet_frame *frame)
{
    Session *session = session_of(execs, frame->session);
    if (frame->type == DUET_FRAME_SPAWN)
        on_spawn(execs, frame);
    else if (!session)
        return;
    else if (frame->type == DUET_FRAME_DATA)
        on_input(session, frame);
    else if (frame->type == DUET_FRAME_EOF && frame->channel == DUET_CHANNEL_STDIN)
        on_input_end(session);
    else if (frame->type == DUET_FRAME_CREDIT)
        on_credit(session, frame);
    else if (frame->type == DUET_FRAME_SIGNAL)
        on_signal(session, frame);
}

void duet_guest_execs_set_agent(DuetGuestExecs *execs, gboolean is_there)
{
    execs->agent_is_there = is_there;
}

DuetGuestExecs *duet_guest_execs_new(DuetLink *monitor, DuetGuestAgent *agent)
{
    DuetGuestExecs *execs = g_new0(DuetGuestExecs, 1);
    execs->monitor = monitor;
    execs->agent = agent;
    execs->sessions = g_hash_table_new_full(NULL, NULL, NULL, session_free);
    return execs;
}

void duet_guest_execs_free(DuetGuestExecs *execs)
{
    if (!execs)
        return;
    g_hash_table_unref(execs->sessions);
    g_free(execs);
}
