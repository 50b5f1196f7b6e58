/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events that were written, in their order, and those that come: see events.c. */
#include "core/events.h"
#include "core/state.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEGIN '\x1e'
#define CHUNK_BYTES (64u << 10)
/* No writer of ours lets a file become so long. */
#define FILE_MAX_BYTES (4 * (off_t)DUET_EVENTS_MAX_BYTES)
/* How often the writers may be faster between two looks. */
#define TRIES 100

void duet_event_free(DuetEvent *event)
{
    if (!event)
        return;
    duet_spec_free(event->spec);
    g_clear_pointer(&event->attributes, g_variant_unref);
    g_free(event);
}

/* Only what is written: a "nan" of somebody else's, say, has no place in JSON. */
static gboolean has_plain_values(GVariant *attributes)
{
    GVariantIter iter;
    GVariant *value;
    gboolean plain = TRUE;
    g_variant_iter_init(&iter, attributes);
    while (g_variant_iter_loop(&iter, "{&sv}", NULL, &value))
        plain = plain && strchr("bixs", (int)g_variant_classify(value));
    return plain;
}

/* Those members that are there, of the types that they must have. */
static gboolean take_members(DuetEvent *event, GVariantDict *dict)
{
    DuetSpec *spec = event->spec;
    gint32 kind;
    const char *type, *id;
    if (!g_variant_dict_lookup(dict, "time-ns", "x", &event->time_ns) ||
        !g_variant_dict_lookup(dict, "event", "&s", &type) ||
        !duet_event_from_string(type, &event->type) ||
        !g_variant_dict_lookup(dict, "id", "&s", &id) ||
        !g_variant_dict_lookup(dict, "kind", "i", &kind) || kind < 0 || kind > DUET_KIND_NATIVE)
        return FALSE;
    g_free(spec->id);
    spec->id = g_strdup(id);
    spec->kind = (DuetKind)kind;
    g_variant_dict_lookup(dict, "name", "^ay", &spec->name);
    g_variant_dict_lookup(dict, "image-ref", "^ay", &spec->image_ref);
    g_variant_dict_lookup(dict, "labels", "^aay", &spec->labels);
    event->attributes = g_variant_dict_lookup_value(dict, "attributes", G_VARIANT_TYPE_VARDICT);
    if (!spec->name)
        spec->name = g_strdup("");
    if (!event->attributes)
        event->attributes = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
    return has_plain_values(event->attributes);
}

DuetEvent *duet_event_parse(const char *line, gsize length)
{
    const char *begin = memrchr(line, BEGIN, length);
    const char *end = line + length;
    /* The parser takes for granted that it is text. */
    if (!begin || !g_utf8_validate(begin + 1, end - (begin + 1), NULL))
        return NULL;
    g_autoptr(GVariant) record =
        g_variant_parse(G_VARIANT_TYPE_VARDICT, begin + 1, end, NULL, NULL);
    if (!record)
        return NULL;
    g_autoptr(DuetEvent) event = g_new0(DuetEvent, 1);
    event->spec = duet_spec_new();
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(record);
    return take_members(event, &dict) ? g_steal_pointer(&event) : NULL;
}

/* Of one that something else made long the end alone is read. */
static int open_file(int root_fd, const char *name)
{
    struct stat st;
    int fd = openat(root_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > FILE_MAX_BYTES)
        lseek(fd, st.st_size - FILE_MAX_BYTES, SEEK_SET);
    return fd;
}

static gboolean same_file(int a, int b)
{
    struct stat first, second;
    return a >= 0 && b >= 0 && fstat(a, &first) == 0 && fstat(b, &second) == 0 &&
        first.st_ino == second.st_ino && first.st_dev == second.st_dev;
}

void duet_event_reader_open(DuetEventReader *reader, int root_fd, gboolean from_start)
{
    *reader = (DuetEventReader){ .root_fd = root_fd, .fd = -1, .held = g_byte_array_new() };
    reader->fd = open_file(root_fd, from_start ? DUET_EVENTS_OLD : DUET_EVENTS);
    if (reader->fd < 0)
        reader->fd = open_file(root_fd, from_start ? DUET_EVENTS : DUET_EVENTS_OLD);
    if (reader->fd >= 0 && !from_start)
        lseek(reader->fd, 0, SEEK_END);
}

void duet_event_reader_close(DuetEventReader *reader)
{
    duet_fd_clear(&reader->fd);
    g_clear_pointer(&reader->held, g_byte_array_unref);
}

/* @only: (nullable): lines without it are of no interest, and are not even parsed */
typedef struct {
    DuetEventFunc func;
    gpointer data;
    const char *only;
} Taker;

static gboolean take_line(const Taker *taker, const char *line, gsize length)
{
    if (taker->only && !memmem(line, length, taker->only, strlen(taker->only)))
        return TRUE;
    g_autoptr(DuetEvent) event = duet_event_parse(line, length);
    return !event || taker->func(event, taker->data);
}

/* Returns: %FALSE: no more is wanted. */
static gboolean take_lines(DuetEventReader *reader, const Taker *taker)
{
    GByteArray *held = reader->held;
    const char *at = (const char *)held->data, *end = at + held->len, *newline;
    gboolean more = TRUE;
    while (more && at < end && (newline = memchr(at, '\n', (gsize)(end - at)))) {
        more = take_line(taker, at, (gsize)(newline - at));
        at = newline + 1;
    }
    /* A beginning without an end that is longer than any record is none of ours. */
    gsize rest = (gsize)(end - at);
    g_byte_array_remove_range(held, 0, rest > CHUNK_BYTES ? held->len : held->len - (guint)rest);
    return more;
}

static gboolean read_file(DuetEventReader *reader, const Taker *taker)
{
    g_autofree guint8 *chunk = g_malloc(CHUNK_BYTES);
    ssize_t n;
    while (reader->fd >= 0 &&
        ((n = read(reader->fd, chunk, CHUNK_BYTES)) > 0 || (n < 0 && errno == EINTR))) {
        if (n < 0)
            continue;
        g_byte_array_append(reader->held, chunk, (guint)n);
        if (!take_lines(reader, taker))
            return FALSE;
    }
    return TRUE;
}

/*
 * Returns: the file after the one that is read, or -1: there is none yet. That one has another name
 * by now: if it is the old one, what follows is the current one, unless another rotation came in
 * between. If it is neither, the old one comes first.
 */
static int open_next(const DuetEventReader *reader)
{
    for (int tries = 0; tries < TRIES; tries++) {
        DUET_AUTO_FD old_fd = open_file(reader->root_fd, DUET_EVENTS_OLD);
        if (old_fd >= 0 && !same_file(old_fd, reader->fd))
            return duet_fd_steal(&old_fd);
        DUET_AUTO_FD fd = open_file(reader->root_fd, DUET_EVENTS);
        DUET_AUTO_FD again_fd = open_file(reader->root_fd, DUET_EVENTS_OLD);
        if ((old_fd < 0 && again_fd < 0) || same_file(old_fd, again_fd))
            return duet_fd_steal(&fd);
    }
    return -1;
}

static gboolean read_files(DuetEventReader *reader, const Taker *taker)
{
    for (;;) {
        DUET_AUTO_FD current_fd = open_file(reader->root_fd, DUET_EVENTS);
        gboolean is_last = same_file(current_fd, reader->fd);
        /* After that: what is not the current one gets nothing more. */
        if (!read_file(reader, taker))
            return FALSE;
        if (is_last)
            return TRUE;
        int next_fd = open_next(reader);
        if (next_fd < 0)
            return TRUE;
        duet_fd_clear(&reader->fd);
        reader->fd = next_fd;
        g_byte_array_set_size(reader->held, 0);
    }
}

gboolean duet_event_reader_read(DuetEventReader *reader, DuetEventFunc func, gpointer data)
{
    const Taker taker = { .func = func, .data = data };
    return read_files(reader, &taker);
}

typedef struct {
    const char *id;
    gboolean found;
    DuetEventType type;
} Last;

static gboolean note_last(const DuetEvent *event, gpointer data)
{
    Last *last = data;
    const guint life = 1u << DUET_EVENT_CREATE | 1u << DUET_EVENT_START | 1u << DUET_EVENT_RESTART |
        1u << DUET_EVENT_DIED | 1u << DUET_EVENT_SAVE | 1u << DUET_EVENT_RESTORE |
        1u << DUET_EVENT_REMOVE;
    if ((life >> event->type & 1) && g_str_equal(event->spec->id, last->id)) {
        last->found = TRUE;
        last->type = event->type;
    }
    return TRUE;
}

gboolean duet_event_last(DuetContext *context, const char *id, DuetEventType *out_type)
{
    Last last = { .id = id };
    const Taker taker = { .func = note_last, .data = &last, .only = id };
    DuetEventReader reader;
    duet_event_reader_open(&reader, context->root_fd, TRUE);
    read_files(&reader, &taker);
    duet_event_reader_close(&reader);
    if (last.found)
        *out_type = last.type;
    return last.found;
}

void duet_event_history(DuetContext *context, DuetEventFunc func, gpointer data)
{
    DuetEventReader reader;
    duet_event_reader_open(&reader, context->root_fd, TRUE);
    duet_event_reader_read(&reader, func, data);
    duet_event_reader_close(&reader);
}

/* In ms, for poll(); -1: for ever. */
static int patience_ms(gint64 until_us)
{
    return until_us ? (int)CLAMP((until_us - g_get_real_time()) / 1000 + 1, 0, G_MAXINT) : -1;
}

static void follow(DuetEventReader *reader, struct pollfd *fds, guint n_fds, gint64 until_us,
    DuetEventFunc func, gpointer data)
{
    while (duet_event_reader_read(reader, func, data)) {
        char changes[4096];
        int ready = poll(fds, n_fds, patience_ms(until_us));
        if (ready < 0 && errno == EINTR)
            continue;
        /* What was written until then. */
        if (ready == 0)
            duet_event_reader_read(reader, func, data);
        if (ready <= 0 || fds[1].revents || fds[2].revents)
            return;
        (void)!read(fds[0].fd, changes, sizeof changes);
    }
}

gboolean duet_event_follow(DuetContext *context, gboolean from_start, gint64 until_us, int stop_fd,
    int output_fd, DuetEventFunc func, gpointer data, GError **error)
{
    DuetEventReader reader;
    DUET_AUTO_FD watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch_fd < 0 ||
        inotify_add_watch(watch_fd, context->root, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return duet_error_set_errno(error, errno, "cannot watch '%s'", context->root);
    /* Nothing is asked of the output: poll() tells when its reader is gone. */
    struct pollfd fds[] = { { watch_fd, POLLIN, 0 }, { stop_fd, POLLIN, 0 }, { output_fd, 0, 0 } };
    duet_event_reader_open(&reader, context->root_fd, from_start);
    follow(&reader, fds, G_N_ELEMENTS(fds), until_us, func, data);
    duet_event_reader_close(&reader);
    return TRUE;
}
