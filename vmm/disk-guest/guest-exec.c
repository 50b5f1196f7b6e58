/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-exec.h"
#include "guest-errand.h"
#include "guest-run.h"
#include "guest-spawn.h"

#include <string.h>

struct _DuetGuestExecs {
    DuetLink *monitor;
    DuetGuestAgent *agent;
    gboolean agent_is_there;
    GHashTable *sessions;
    DuetGuestPlaces *places;
};

/**
 * Session: one program, or one errand.
 * @wants_input: a program's, until EOF: it is not asked for before
 * @out: of @status: stdout and stderr; @sent of it, @credit for more
 */
typedef struct {
    DuetGuestExecs *execs;
    guint16 number;
    DuetGuestSpawn spawn;
    gboolean wants_input;
    GByteArray *input;
    DuetGuestRun *run;
    DuetGuestErrand *errand;
    DuetGuestStatus status;
    guint sent[2];
    guint64 credit[2];
} Session;

static void session_free(gpointer data)
{
    Session *session = data;
    duet_guest_run_free(session->run);
    duet_guest_errand_free(session->errand);
    duet_guest_spawn_clear(&session->spawn);
    g_byte_array_unref(session->input);
    duet_guest_status_clear(&session->status);
    g_free(session);
}

static Session *session_of(DuetGuestExecs *execs, guint16 number)
{
    return g_hash_table_lookup(execs->sessions, GUINT_TO_POINTER(number));
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

static void tell_started(Session *session, gint64 number)
{
    guint8 pid[4];
    duet_put_u32(pid, (guint32)number);
    duet_link_send(
        session->execs->monitor, DUET_FRAME_STARTED, 0, session->number, pid, sizeof pid);
}

static void on_started(gpointer data, gint64 pid)
{
    tell_started(data, pid);
}

static void on_ended(gpointer data, DuetGuestStatus *status)
{
    Session *session = data;
    session->status = *status;
    *status = (DuetGuestStatus){ 0 };
    tell_truncated(session);
    send_end(session);
}

/* As a shell has it; the agent tells of it in words only. */
static guint32 code_of(const char *message)
{
    if (strstr(message, "No such file or directory"))
        return 127;
    return strstr(message, "Permission denied") ? 126 : 125;
}

static void on_failed(gpointer data, const GError *error, gboolean began)
{
    fail(data, began ? 125 : code_of(error->message), error->message);
}

/* ---- errands ---- */

static void on_taken(gpointer data, guint32 bytes)
{
    Session *session = data;
    duet_link_send_u32(
        session->execs->monitor, DUET_FRAME_CREDIT, DUET_CHANNEL_STDIN, session->number, bytes);
}

static void send_piece(Session *session)
{
    if (!send_output(session, 0))
        return;
    g_clear_pointer(&session->status.out[0], g_byte_array_unref);
    session->sent[0] = 0;
    duet_guest_errand_go_on(session->errand);
}

static void on_given(gpointer data, GByteArray *piece)
{
    Session *session = data;
    session->status.out[0] = g_byte_array_ref(piece);
    send_piece(session);
}

static void on_over(gpointer data, DuetGuestStatus *status, const char *failure)
{
    Session *session = data;
    if (failure)
        fail(session, 125, failure);
    else
        on_ended(session, status);
}

static void begin_errand(Session *session)
{
    static const DuetGuestErrandEvents events = { on_taken, on_given, on_over };
    const DuetGuestSpawn *spawn = &session->spawn;
    g_autofree char *options = g_strdup_printf("%u", spawn->copy_options);
    const char *path = spawn->argv[0], *name = path ? spawn->argv[1] : NULL;
    const char *const unpack[] = { "unpack", options, path, name, NULL };
    const char *const pack[] = { "pack", path, NULL };
    const char *const processes[] = { "processes", NULL };
    gboolean takes = spawn->flags & DUET_SPAWN_UNPACK;
    session->errand = duet_guest_errand_new(session->execs->agent,
        takes ? DUET_GUEST_ERRAND_TAKES : DUET_GUEST_ERRAND_GIVES,
        takes                                ? unpack
            : spawn->flags & DUET_SPAWN_PACK ? pack
                                             : processes,
        session->execs->places, &events, session);
    tell_started(session, 0);
}

static void on_errand_input(Session *session, const struct duet_frame *frame)
{
    if (frame->length > DUET_CREDIT_INITIAL_BYTES -
            MIN(duet_guest_errand_waiting(session->errand), DUET_CREDIT_INITIAL_BYTES))
        fail(session, 125, "more of the files came than could be taken");
    else
        duet_guest_errand_put(session->errand, frame->payload, frame->length);
}

/* ---- the beginning ---- */

static void execute(Session *session)
{
    static const DuetGuestRunEvents events = { on_started, on_ended, on_failed };
    const DuetGuestSpawn *spawn = &session->spawn;
    g_autoptr(GError) error = NULL;
    g_autofree char *request =
        duet_guest_exec_request((const char *const *)spawn->argv, (const char *const *)spawn->env,
            spawn->cwd, spawn->flags & DUET_SPAWN_STDIN ? session->input : NULL, &error);
    if (!request)
        fail(session, 125, error->message);
    else
        session->run = duet_guest_run_new(session->execs->agent, request, &events, session);
}

static void on_spawn(DuetGuestExecs *execs, const struct duet_frame *frame)
{
    if (session_of(execs, frame->session))
        return;
    Session *session = g_new0(Session, 1);
    session->execs = execs;
    session->number = frame->session;
    session->input = g_byte_array_new();
    session->credit[0] = session->credit[1] = DUET_CREDIT_INITIAL_BYTES;
    g_hash_table_insert(execs->sessions, GUINT_TO_POINTER(frame->session), session);
    duet_guest_spawn_read(&session->spawn, frame);
    g_autofree char *refusal = duet_guest_spawn_refusal(&session->spawn, execs->agent_is_there);
    gboolean is_errand = session->spawn.flags & DUET_GUEST_SPAWN_ERRANDS;
    session->wants_input = session->spawn.flags & DUET_SPAWN_STDIN && !is_errand;
    if (refusal)
        fail(session, 125, refusal);
    else if (is_errand)
        begin_errand(session);
    else if (!session->wants_input)
        execute(session);
}

static void on_input(Session *session, const struct duet_frame *frame)
{
    if (frame->channel == DUET_CHANNEL_STDIN && session->errand) {
        on_errand_input(session, frame);
        return;
    }
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
    if (session->errand)
        duet_guest_errand_put_end(session->errand);
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
    else if (session->errand && session->status.out[0])
        send_piece(session);
}

/* Nobody waits for a program that did not begin. */
static void on_signal(Session *session, const struct duet_frame *frame)
{
    guint number = frame->length == 4 ? duet_get_u32(frame->payload) : 0;
    if (session->wants_input) {
        fail(session, 125, "it was ended before all of its standard input had come");
        return;
    }
    if (session->errand)
        duet_guest_errand_cancel(session->errand);
    else if (session->run)
        duet_guest_run_signal(session->run, number);
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

gboolean duet_guest_execs_has_errand(const DuetGuestExecs *execs)
{
    GHashTableIter iter;
    gpointer session;
    g_hash_table_iter_init(&iter, execs->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &session))
        if (((Session *)session)->errand)
            return TRUE;
    return FALSE;
}

void duet_guest_execs_set_agent(DuetGuestExecs *execs, gboolean is_there)
{
    execs->agent_is_there = is_there;
}

DuetGuestExecs *duet_guest_execs_new(
    DuetLink *monitor, DuetGuestAgent *agent, DuetGuestPlaces *places)
{
    DuetGuestExecs *execs = g_new0(DuetGuestExecs, 1);
    execs->monitor = monitor;
    execs->agent = agent;
    execs->places = places;
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
