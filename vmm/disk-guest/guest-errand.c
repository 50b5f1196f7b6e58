/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steps: a directory is made; the program is written into it; its input is; it runs; its output is
 * read; the directory is removed. One question is under way at a time, and what it is answered
 * leads to the next step. A failure leads to the last one.
 */
#include "guest-errand.h"
#include "guest-run.h"
#include "core/agent.h"

#include <signal.h>
#include <string.h>

/* What is more than a few times 64 KiB gets stuck between QEMU's port and a guest that is slow. */
#define PUT_BYTES (48u << 10)
#define GET_BYTES (256u << 10)

static const char *const scripts[] = {
    [DUET_GUEST_ERRAND_PLAIN] = "exec \"$0/run\" \"$@\"",
    [DUET_GUEST_ERRAND_TAKES] = "exec \"$0/run\" \"$@\" <\"$0/data\"",
    [DUET_GUEST_ERRAND_GIVES] = "exec \"$0/run\" \"$@\" >\"$0/data\"",
};

typedef void (*Step)(DuetGuestErrand *errand, const char *reply);

/**
 * DuetGuestErrand: counted: an answer may be on its way when it is freed.
 * @asking: a question is under way: @then takes its answer
 * @open: @handle is of a file
 * @pushed: of the program
 * @taking: the file for the input is open, @input_ended: and no more will come
 * @executing: the program runs
 * @given: a piece waits to be taken, @last: and was the last one
 */
struct _DuetGuestErrand {
    DuetGuestAgent *agent;
    DuetGuestErrandKind kind;
    char **words;
    DuetGuestPlaces *places;
    const DuetGuestErrandEvents *events;
    gpointer data;
    gboolean gone, asking, open, taking, input_ended, executing, given, last;
    Step then;
    DuetGuestRun *run;
    char *place;
    gint64 handle;
    gsize pushed;
    GByteArray *input;
    guint writing;
    DuetGuestStatus status;
    char *failure;
};

static void errand_clear(gpointer data)
{
    DuetGuestErrand *errand = data;
    g_strfreev(errand->words);
    g_free(errand->place);
    g_free(errand->failure);
    g_byte_array_unref(errand->input);
    duet_guest_status_clear(&errand->status);
}

static void errand_release(gpointer data)
{
    g_atomic_rc_box_release_full(data, errand_clear);
}

/* ---- the end ---- */

static void tell_over(DuetGuestErrand *errand)
{
    errand->events->over(errand->data, errand->failure ? NULL : &errand->status, errand->failure);
}

static void on_removed(gpointer data, DuetGuestStatus *status)
{
    (void)status;
    tell_over(data);
}

/* By the next errand, then. */
static void on_not_removed(gpointer data, const GError *error, gboolean began)
{
    DuetGuestErrand *errand = data;
    (void)error;
    (void)began;
    duet_guest_places_keep(errand->places, errand->place);
    tell_over(errand);
}

static const DuetGuestRunEvents removal = { NULL, on_removed, on_not_removed };

static void run(DuetGuestErrand *errand, const char *const *argv, const DuetGuestRunEvents *events);

static void finish(DuetGuestErrand *errand)
{
    const char *const argv[] = { "rm", "-rf", errand->place, NULL };
    errand->taking = errand->given = errand->executing = FALSE;
    if (errand->open) {
        g_autofree char *request = duet_guest_file_close_request(errand->handle);
        duet_guest_agent_call(errand->agent, request, NULL, NULL, NULL);
        errand->open = FALSE;
    }
    if (errand->place)
        run(errand, argv, &removal);
    else
        tell_over(errand);
}

static void fail(DuetGuestErrand *errand, const char *text)
{
    if (!errand->failure)
        errand->failure = g_strdup(text);
    finish(errand);
}

/* ---- programs and questions ---- */

static void run(DuetGuestErrand *errand, const char *const *argv, const DuetGuestRunEvents *events)
{
    static const char *const no_env[] = { NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *request = duet_guest_exec_request(argv, no_env, NULL, NULL, &error);
    g_clear_pointer(&errand->run, duet_guest_run_free);
    if (request)
        errand->run = duet_guest_run_new(errand->agent, request, events, errand);
    else
        fail(errand, error->message);
}

static void on_run_failed(gpointer data, const GError *error, gboolean began)
{
    (void)began;
    fail(data, error->message);
}

static void on_answer(gpointer data, const char *reply, const GError *error)
{
    DuetGuestErrand *errand = data;
    if (errand->gone)
        return;
    errand->asking = FALSE;
    if (errand->failure) {
        /* It was cancelled: what was opened meanwhile is to be closed. */
        errand->open |= reply && duet_guest_file_opened(reply, &errand->handle, NULL);
        finish(errand);
    } else if (error) {
        fail(errand, error->message);
    } else {
        errand->then(errand, reply);
    }
}

/* @request: taken over */
static void ask(DuetGuestErrand *errand, char *request, Step then)
{
    errand->asking = TRUE;
    errand->then = then;
    duet_guest_agent_call(
        errand->agent, request, on_answer, g_atomic_rc_box_acquire(errand), errand_release);
    g_free(request);
}

static void open_file(DuetGuestErrand *errand, const char *name, const char *mode, Step then)
{
    g_autofree char *path = g_build_filename(errand->place, name, NULL);
    ask(errand, duet_guest_file_open_request(path, mode), then);
}

static gboolean take_handle(DuetGuestErrand *errand, const char *reply)
{
    g_autoptr(GError) error = NULL;
    errand->open = duet_guest_file_opened(reply, &errand->handle, &error);
    if (!errand->open)
        fail(errand, error->message);
    return errand->open;
}

/* What it wrote late may fail here: a disk that is full. */
static void close_file(DuetGuestErrand *errand, Step then)
{
    errand->open = FALSE;
    ask(errand, duet_guest_file_close_request(errand->handle), then);
}

static gboolean is_written(DuetGuestErrand *errand, const char *reply, gsize length)
{
    g_autoptr(GError) error = NULL;
    if (duet_guest_file_written(reply, length, &error))
        return TRUE;
    fail(errand, error->message);
    return FALSE;
}

/* ---- output ---- */

static void on_output_closed(DuetGuestErrand *errand, const char *reply)
{
    (void)reply;
    finish(errand);
}

static void on_output(DuetGuestErrand *errand, const char *reply)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) piece = duet_guest_file_bytes(reply, GET_BYTES, &errand->last, &error);
    if (!piece) {
        fail(errand, error->message);
    } else if (piece->len > 0) {
        errand->given = TRUE;
        errand->events->given(errand->data, piece);
    } else {
        close_file(errand, on_output_closed);
    }
}

static void read_output(DuetGuestErrand *errand)
{
    if (errand->last)
        close_file(errand, on_output_closed);
    else
        ask(errand, duet_guest_file_read_request(errand->handle, GET_BYTES), on_output);
}

static void on_output_opened(DuetGuestErrand *errand, const char *reply)
{
    if (take_handle(errand, reply))
        read_output(errand);
}

void duet_guest_errand_go_on(DuetGuestErrand *errand)
{
    if (!errand->given)
        return;
    errand->given = FALSE;
    read_output(errand);
}

/* ---- the program ---- */

/* @what: an agent's or a shell's words of a failure; their lines become one. */
static void fail_by(DuetGuestErrand *errand, const char *what, const GByteArray *said)
{
    g_autofree char *raw = duet_guest_said(said, 500);
    g_autofree char *text = g_utf8_make_valid(g_strdelimit(g_strstrip(raw), "\r\n", ' '), -1);
    g_autofree char *failure = g_strconcat(what, *text ? ": " : "", text, NULL);
    fail(errand, failure);
}

static void on_ended(gpointer data, DuetGuestStatus *status)
{
    DuetGuestErrand *errand = data;
    errand->executing = FALSE;
    if (errand->failure) {
        finish(errand);
    } else if (status->exit_code == 126 || status->exit_code == 127) {
        fail_by(errand, "the guest does not run the program that duet gave it", status->out[1]);
    } else {
        errand->status = *status;
        *status = (DuetGuestStatus){ 0 };
        if (errand->kind == DUET_GUEST_ERRAND_GIVES && errand->status.exit_code == 0)
            open_file(errand, "data", "r", on_output_opened);
        else
            finish(errand);
    }
}

static void execute(DuetGuestErrand *errand)
{
    static const DuetGuestRunEvents events = { NULL, on_ended, on_run_failed };
    g_autoptr(GStrvBuilder) argv = g_strv_builder_new();
    g_strv_builder_add_many(argv, "sh", "-c", scripts[errand->kind], errand->place, "errand", NULL);
    g_strv_builder_addv(argv, (const char **)errand->words);
    g_auto(GStrv) words = g_strv_builder_end(argv);
    errand->executing = TRUE;
    run(errand, (const char *const *)words, &events);
}

/* ---- input ---- */

static void on_input_closed(DuetGuestErrand *errand, const char *reply)
{
    (void)reply;
    execute(errand);
}

static void write_input(DuetGuestErrand *errand);

static void on_input_written(DuetGuestErrand *errand, const char *reply)
{
    guint length = errand->writing;
    if (!is_written(errand, reply, length))
        return;
    g_byte_array_remove_range(errand->input, 0, length);
    errand->events->taken(errand->data, length);
    write_input(errand);
}

static void write_input(DuetGuestErrand *errand)
{
    guint length = MIN(errand->input->len, PUT_BYTES);
    if (!errand->taking || errand->asking || (length < PUT_BYTES && !errand->input_ended))
        return;
    if (length == 0) {
        errand->taking = FALSE;
        close_file(errand, on_input_closed);
        return;
    }
    errand->writing = length;
    ask(errand, duet_guest_file_write_request(errand->handle, errand->input->data, length),
        on_input_written);
}

static void on_input_opened(DuetGuestErrand *errand, const char *reply)
{
    errand->taking = take_handle(errand, reply);
    if (errand->taking)
        write_input(errand);
}

void duet_guest_errand_put(DuetGuestErrand *errand, const guint8 *bytes, guint length)
{
    g_byte_array_append(errand->input, bytes, length);
    write_input(errand);
}

guint duet_guest_errand_waiting(const DuetGuestErrand *errand)
{
    return errand->input->len;
}

void duet_guest_errand_put_end(DuetGuestErrand *errand)
{
    errand->input_ended = TRUE;
    write_input(errand);
}

/* ---- the beginning ---- */

static void on_program_closed(DuetGuestErrand *errand, const char *reply)
{
    (void)reply;
    if (errand->kind == DUET_GUEST_ERRAND_TAKES)
        open_file(errand, "data", "w", on_input_opened);
    else
        execute(errand);
}

static gsize piece_of_program(const DuetGuestErrand *errand)
{
    return MIN((gsize)(duet_agent_end - duet_agent_start) - errand->pushed, PUT_BYTES);
}

static void on_program_written(DuetGuestErrand *errand, const char *reply);

static void write_program(DuetGuestErrand *errand)
{
    gsize length = piece_of_program(errand);
    if (length == 0)
        close_file(errand, on_program_closed);
    else
        ask(errand,
            duet_guest_file_write_request(
                errand->handle, duet_agent_start + errand->pushed, length),
            on_program_written);
}

static void on_program_written(DuetGuestErrand *errand, const char *reply)
{
    gsize length = piece_of_program(errand);
    if (!is_written(errand, reply, length))
        return;
    errand->pushed += length;
    write_program(errand);
}

static void on_program_opened(DuetGuestErrand *errand, const char *reply)
{
    if (take_handle(errand, reply))
        write_program(errand);
}

static void on_place(gpointer data, DuetGuestStatus *status)
{
    DuetGuestErrand *errand = data;
    if (status->exit_code == 0)
        errand->place = duet_guest_places_made(errand->places, status->out[0]);
    if (errand->failure)
        finish(errand);
    else if (errand->place)
        open_file(errand, "run", "w", on_program_opened);
    else
        fail_by(errand,
            "the guest has no place for a program of duet's: none of /var/tmp, /root and /var/lib "
            "can be written to, and lets programs run",
            status->out[1]);
}

DuetGuestErrand *duet_guest_errand_new(DuetGuestAgent *agent, DuetGuestErrandKind kind,
    const char *const *words, DuetGuestPlaces *places, const DuetGuestErrandEvents *events,
    gpointer data)
{
    static const DuetGuestRunEvents place_events = { NULL, on_place, on_run_failed };
    g_auto(GStrv) argv = duet_guest_places_command(places);
    DuetGuestErrand *errand = g_atomic_rc_box_new0(DuetGuestErrand);
    errand->agent = agent;
    errand->kind = kind;
    errand->words = g_strdupv((char **)words);
    errand->places = places;
    errand->events = events;
    errand->data = data;
    errand->input = g_byte_array_new();
    run(errand, (const char *const *)argv, &place_events);
    return errand;
}

void duet_guest_errand_free(DuetGuestErrand *errand)
{
    if (!errand)
        return;
    errand->gone = TRUE;
    g_clear_pointer(&errand->run, duet_guest_run_free);
    errand_release(errand);
}

void duet_guest_errand_cancel(DuetGuestErrand *errand)
{
    gboolean waits = errand->given || (errand->taking && !errand->asking);
    if (errand->failure)
        return;
    errand->failure = g_strdup("it was ended");
    if (waits)
        finish(errand);
    else if (errand->executing)
        duet_guest_run_signal(errand->run, SIGKILL);
}
