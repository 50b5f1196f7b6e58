/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/*
 * What happened to the instances below a root directory: one file, `events`, that all of duet's
 * processes append to, and `events.1`, what it was before it was full. It is for people and
 * programs that look on: nothing of duet's own depends on it, and what can't be written is lost.
 */

#define DUET_EVENTS "events"
#define DUET_EVENTS_OLD "events.1"
#define DUET_EVENTS_MAX_BYTES (4u << 20)

/** DuetEventType: podman's, as far as there is the same; in the order of a life.
 * @DUET_EVENT_START: the payload was executed, of a VM that is after its boot
 * @DUET_EVENT_READY: it answers, once a run: it is healthy for the first time, where it has a
 * check; else a disk guest is what `--wait` waited for, or without that has a guest agent; else
 * with the start
 * @DUET_EVENT_OOM: the kernel killed one of its processes: told when the run is over
 * @DUET_EVENT_PANIC: a guest's kernel did
 * @DUET_EVENT_DIED: a run is over, also one whose payload could not be started
 * @DUET_EVENT_SAVE: its memory was saved: the run goes on at
 * @DUET_EVENT_RESTORE: the agent has answered
 * @DUET_EVENT_RESTART: another run begins, by its monitor or `duet restart`
 */
typedef enum {
    DUET_EVENT_CREATE,
    DUET_EVENT_START,
    DUET_EVENT_READY,
    DUET_EVENT_PAUSE,
    DUET_EVENT_UNPAUSE,
    DUET_EVENT_HEALTH_STATUS,
    DUET_EVENT_UPDATE,
    DUET_EVENT_RENAME,
    DUET_EVENT_OOM,
    DUET_EVENT_PANIC,
    DUET_EVENT_DIED,
    DUET_EVENT_SAVE,
    DUET_EVENT_RESTORE,
    DUET_EVENT_RESTART,
    DUET_EVENT_REMOVE,
    DUET_EVENT_COUNT,
} DuetEventType;

const char *duet_event_to_string(DuetEventType type);
gboolean duet_event_from_string(const char *text, DuetEventType *out_type);

/** duet_event_text: Returns: (transfer full): the beginning of a text, as an attribute has it. */
char *duet_event_text(const char *text, gsize length);

/**
 * duet_event_add: appends a record to @text.
 * @attributes: (transfer floating) (nullable): a{sv} of numbers, booleans and strings; keys as
 *     those of `duet inspect`
 */
void duet_event_add(GString *text, DuetEventType type, const DuetSpec *spec, GVariant *attributes);
/** duet_event_add_died: the end of a run, and that it ran out of memory if it did. */
void duet_event_add_died(GString *text, const DuetSpec *spec, const DuetInfo *info);

/**
 * duet_event_write: writes records of duet_event_add(). There is no error: who tells of a thing
 * that happened must not fail for it. It neither waits for others nor for the disk.
 */
void duet_event_write(DuetContext *context, const GString *text);
/** duet_event_store: the same, for a root directory and a bound of one's own. */
void duet_event_store(int root_fd, const GString *text, guint64 max_bytes);
/** duet_event_emit: both for one event. */
void duet_event_emit(
    DuetContext *context, DuetEventType type, const DuetSpec *spec, GVariant *attributes);
/** duet_event_emit_changes: that @from became @to: RENAME and UPDATE. */
void duet_event_emit_changes(DuetContext *context, const DuetSpec *from, const DuetSpec *to);
/** duet_event_emit_restart: that @instance is about to be started again. */
void duet_event_emit_restart(DuetInstance *instance);

/**
 * DuetEvent: one that was read.
 * @spec: id, name, kind, image_ref and labels of then; nothing more of it is known
 * @attributes: a{sv}
 */
typedef struct {
    gint64 time_ns; /* wall clock */
    DuetEventType type;
    DuetSpec *spec;
    GVariant *attributes;
} DuetEvent;

void duet_event_free(DuetEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetEvent, duet_event_free)

/**
 * duet_event_parse: @line without its "\n". What a writer that was killed, or had no room, left
 * before a record is passed over.
 * Returns: (transfer full) (nullable): NULL: it is none
 */
DuetEvent *duet_event_parse(const char *line, gsize length);

/** DuetEventFunc: Returns: %FALSE: to read no more. */
typedef gboolean (*DuetEventFunc)(const DuetEvent *event, gpointer data);

/** DuetEventReader: goes from file to file, each record once. One that is slower than writers who
 * fill a whole file misses that. */
typedef struct {
    int root_fd; /* not owned */
    int fd;
    GByteArray *held;
} DuetEventReader;

/** duet_event_reader_open: @from_start: of all that is kept; else of what comes. */
void duet_event_reader_open(DuetEventReader *reader, int root_fd, gboolean from_start);
void duet_event_reader_close(DuetEventReader *reader);
/** duet_event_reader_read: all that is there. Returns: %FALSE: @func wanted no more. */
gboolean duet_event_reader_read(DuetEventReader *reader, DuetEventFunc func, gpointer data);

/** duet_event_last: Returns: whether there is an event of the instance @id; *out_type gets the last
 * of CREATE, START, RESTART, DIED, SAVE, RESTORE and REMOVE. */
gboolean duet_event_last(DuetContext *context, const char *id, DuetEventType *out_type);

/** DuetEventFilter: `--filter KEY=VALUE` of events, see filter.h. */
typedef struct _DuetEventFilter DuetEventFilter;
/** duet_event_filter_new: Returns: (transfer full): NULL with %DUET_ERROR_INVALID. */
DuetEventFilter *duet_event_filter_new(char *const *texts, GError **error);
void duet_event_filter_free(DuetEventFilter *filter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetEventFilter, duet_event_filter_free)
gboolean duet_event_filter_match(const DuetEventFilter *filter, const DuetEvent *event);

/**
 * duet_event_follow: hands on what there is, and what comes.
 * @root_fd, @from_start: as of duet_event_reader_open()
 * @until_us: wall clock: when it ends; 0: only by @func, @stop_fd, or @output_fd
 * @stop_fd: readable: it ends
 * @output_fd: it ends when nobody reads that any more
 * Returns: %FALSE with @error if it can't be followed.
 */
gboolean duet_event_follow(DuetContext *context, gboolean from_start, gint64 until_us, int stop_fd,
    int output_fd, DuetEventFunc func, gpointer data, GError **error);
/** duet_event_history: what there is. */
void duet_event_history(DuetContext *context, DuetEventFunc func, gpointer data);

G_END_DECLS
