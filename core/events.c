/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * A record is a byte 0x1e, a GVariant as text, and a "\n"; neither byte is in the text. So what was
 * written in part, where a disk was full, spoils no record but its own.
 *
 * Who writes holds a shared lock on the file, and has looked that it is still the one that is
 * called `events`. Who renames a full one holds it alone. So a file that has another name gets
 * nothing more: a reader that finds it so, and then reads it to its end, has all of it. The locks
 * go with their holders. Nobody waits for them long: a writer that is stopped holds up no other.
 */
#include "core/events.h"
#include "core/state.h"
#include "core/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BEGIN '\x1e'
#define RECORD_BYTES 4096u
#define TEXT_BYTES 500u
#define TRIES 20
#define PAUSE_US 500

static const char *const names[DUET_EVENT_COUNT] = {
    [DUET_EVENT_CREATE] = "create",
    [DUET_EVENT_START] = "start",
    [DUET_EVENT_READY] = "ready",
    [DUET_EVENT_PAUSE] = "pause",
    [DUET_EVENT_UNPAUSE] = "unpause",
    [DUET_EVENT_HEALTH_STATUS] = "health_status",
    [DUET_EVENT_UPDATE] = "update",
    [DUET_EVENT_RENAME] = "rename",
    [DUET_EVENT_OOM] = "oom",
    [DUET_EVENT_PANIC] = "panic",
    [DUET_EVENT_DIED] = "died",
    [DUET_EVENT_SAVE] = "save",
    [DUET_EVENT_RESTORE] = "restore",
    [DUET_EVENT_RESTART] = "restart",
    [DUET_EVENT_REMOVE] = "remove",
};

const char *duet_event_to_string(DuetEventType type)
{
    return names[type];
}

gboolean duet_event_from_string(const char *text, DuetEventType *out_type)
{
    for (int i = 0; i < DUET_EVENT_COUNT; i++)
        if (g_str_equal(text, names[i])) {
            *out_type = (DuetEventType)i;
            return TRUE;
        }
    return FALSE;
}

/* ---- records ---- */

static gint64 wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (gint64)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void add_member(GString *text, const char *key, GVariant *value)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(value);
    g_string_append_printf(text, ", '%s': <", key);
    g_variant_print_string(owned, text, TRUE);
    g_string_append_c(text, '>');
}

static gboolean is_plain(const char *bytes)
{
    while (g_ascii_isprint(*bytes) && *bytes != '\'' && *bytes != '"' && *bytes != '\\')
        bytes++;
    return !*bytes;
}

static void add_bytes(GString *text, const char *key, const char *bytes)
{
    if (bytes && is_plain(bytes))
        g_string_append_printf(text, ", '%s': <b'%s'>", key, bytes);
    else if (bytes)
        add_member(text, key, g_variant_new_bytestring(bytes));
}

/* Mostly by hand: g_variant_print() of all of it takes several times as long, and a start waits.
 * Returns: how long the record is. */
static gsize add_record(GString *text, DuetEventType type, const DuetSpec *spec,
    gboolean with_labels, GVariant *attributes)
{
    gsize before = text->len;
    g_string_append_printf(text,
        "%c{'time-ns': <int64 %" G_GINT64_FORMAT ">, 'event': <'%s'>, 'id': <'%s'>, 'kind': <%d>",
        BEGIN, wall_ns(), names[type], spec->id, (int)spec->kind);
    add_bytes(text, "name", spec->name);
    add_bytes(text, "image-ref", spec->image_ref);
    if (with_labels && spec->labels && *spec->labels)
        add_member(
            text, "labels", g_variant_new_bytestring_array((const char *const *)spec->labels, -1));
    if (attributes)
        add_member(text, "attributes", attributes);
    g_string_append(text, "}\n");
    return text->len - before;
}

void duet_event_add(GString *text, DuetEventType type, const DuetSpec *spec, GVariant *attributes)
{
    g_autoptr(GVariant) owned = attributes ? g_variant_ref_sink(attributes) : NULL;
    gsize before = text->len;
    /* Bounded, so that thousands are kept: of one that is too long the labels are left out. */
    if (add_record(text, type, spec, TRUE, owned) <= RECORD_BYTES)
        return;
    g_string_truncate(text, before);
    if (add_record(text, type, spec, FALSE, owned) <= RECORD_BYTES)
        return;
    g_string_truncate(text, before);
    if (add_record(text, type, spec, FALSE, NULL) > RECORD_BYTES)
        g_string_truncate(text, before);
}

char *duet_event_text(const char *text, gsize length)
{
    g_autofree char *begin = g_strndup(text, MIN(length, TEXT_BYTES));
    return g_utf8_make_valid(begin, -1);
}

void duet_event_add_died(GString *text, const DuetSpec *spec, const DuetInfo *info)
{
    g_auto(GVariantBuilder) attributes = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    if (info->oom)
        duet_event_add(text, DUET_EVENT_OOM, spec, NULL);
    g_variant_builder_add(&attributes, "{sv}", "exit_code", g_variant_new_int32(info->exit_code));
    if (info->exit_signal)
        g_variant_builder_add(
            &attributes, "{sv}", "exit_signal", g_variant_new_int32(info->exit_signal));
    if (info->error) {
        g_autofree char *begin = duet_event_text(info->error, strlen(info->error));
        g_variant_builder_add(&attributes, "{sv}", "error", g_variant_new_string(begin));
    }
    duet_event_add(text, DUET_EVENT_DIED, spec, g_variant_builder_end(&attributes));
}

/* ---- the file ---- */

static gboolean is_current(int root_fd, int fd, struct stat *out_st)
{
    struct stat named;
    return fstat(fd, out_st) == 0 &&
        fstatat(root_fd, DUET_EVENTS, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        named.st_ino == out_st->st_ino && named.st_dev == out_st->st_dev;
}

/* Another may be about to do it, or to write: then it is done later. */
static gboolean rotate(int root_fd, int fd)
{
    struct stat st;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return FALSE;
    return !is_current(root_fd, fd, &st) ||
        renameat(root_fd, DUET_EVENTS, root_fd, DUET_EVENTS_OLD) == 0;
}

/* Returns: the file, locked unless the lock can't be had, or -1. */
static int open_to_write(int root_fd, guint64 max_bytes)
{
    for (int tries = 0;; tries++) {
        struct stat st;
        DUET_AUTO_FD fd = openat(root_fd, DUET_EVENTS,
            O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0 || tries == TRIES)
            return duet_fd_steal(&fd);
        if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
            g_usleep(PAUSE_US);
            continue;
        }
        if (!is_current(root_fd, fd, &st))
            continue;
        if ((guint64)st.st_size < max_bytes)
            return duet_fd_steal(&fd);
        /* The shared lock may be gone after one that failed. */
        if (!rotate(root_fd, fd) && flock(fd, LOCK_SH | LOCK_NB) == 0 &&
            is_current(root_fd, fd, &st))
            return duet_fd_steal(&fd);
    }
}

void duet_event_store(int root_fd, const GString *text, guint64 max_bytes)
{
    int saved = errno;
    DUET_AUTO_FD fd = text->len > 0 ? open_to_write(root_fd, max_bytes) : -1;
    if (fd >= 0)
        (void)!write(fd, text->str, text->len);
    errno = saved;
}

void duet_event_write(DuetContext *context, const GString *text)
{
    duet_event_store(context->root_fd, text, DUET_EVENTS_MAX_BYTES);
}

void duet_event_emit(
    DuetContext *context, DuetEventType type, const DuetSpec *spec, GVariant *attributes)
{
    g_autoptr(GString) text = g_string_sized_new(512);
    duet_event_add(text, type, spec, attributes);
    duet_event_write(context, text);
}

void duet_event_emit_changes(DuetContext *context, const DuetSpec *from, const DuetSpec *to)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GVariant) changes = g_variant_ref_sink(duet_spec_changes(from, to));
    g_autoptr(GString) changed = g_string_new(NULL);
    g_auto(GVariantDict) attributes = G_VARIANT_DICT_INIT(NULL);
    GVariantIter iter;
    const char *key;
    g_variant_iter_init(&iter, changes);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, NULL))
        if (!g_str_equal(key, "name"))
            g_string_append_printf(changed, "%s%s", changed->len ? "," : "", key);
    if (!g_str_equal(from->name, to->name)) {
        g_variant_dict_insert(&attributes, "old_name", "s", from->name);
        duet_event_add(text, DUET_EVENT_RENAME, to, g_variant_dict_end(&attributes));
    }
    if (changed->len > 0) {
        g_auto(GVariantDict) keys = G_VARIANT_DICT_INIT(NULL);
        g_variant_dict_insert(&keys, "changed", "s", changed->str);
        duet_event_add(text, DUET_EVENT_UPDATE, to, g_variant_dict_end(&keys));
    }
    duet_event_write(context, text);
}

void duet_event_emit_restart(DuetInstance *instance)
{
    duet_event_emit(instance->context, DUET_EVENT_RESTART, instance->spec, NULL);
}
