/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which ids an ordinary user has: now, and by subuid(5) and subgid(5). */
#include "core/rootless.h"
#include "core/util.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A kernel takes 340 extents. */
#define RANGES_MAX 300
#define SUBID_MAX_BYTES (1u << 20)
/* Where useradd(8) begins, and where ids end that all programs can handle. */
#define FIRST_SUBID 100000u
#define ID_LIMIT 0x7fffffffu

static GArray *ranges_new(guint32 inside, guint32 outside, guint32 count)
{
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(DuetIdRange));
    DuetIdRange first = { inside, outside, count };
    if (count > 0)
        g_array_append_val(ranges, first);
    return ranges;
}

GArray *duet_ids_own(DuetIdType type)
{
    if (duet_is_flat())
        return ranges_new(0, type == DUET_ID_USER ? geteuid() : getegid(), 1);
    GArray *ranges = ranges_new(0, 0, 0);
    const char *path = type == DUET_ID_USER ? "/proc/self/uid_map" : "/proc/self/gid_map";
    g_autofree char *text = duet_file_read(AT_FDCWD, path, SUBID_MAX_BYTES, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        DuetIdRange range;
        if (sscanf(*line, "%u %u %u", &range.inside, &range.outside, &range.count) == 3)
            g_array_append_val(ranges, range);
    }
    return ranges;
}

gboolean duet_ids_contain(const GArray *ranges, guint32 inside)
{
    for (guint i = 0; i < ranges->len; i++) {
        const DuetIdRange *range = &g_array_index(ranges, DuetIdRange, i);
        if (inside >= range->inside && inside - range->inside < range->count)
            return TRUE;
    }
    return FALSE;
}

/* Reads "user:first:count"; ids that do not fit behind @next are left out. */
static gboolean parse_grant(
    const char *line, const char *user, uid_t uid, guint32 next, DuetIdRange *out_range)
{
    g_auto(GStrv) fields = g_strsplit(line, ":", 4);
    guint64 first, count;
    g_autofree char *number = g_strdup_printf("%u", uid);
    if (g_strv_length(fields) != 3 ||
        (g_strcmp0(fields[0], user) != 0 && !g_str_equal(fields[0], number)) ||
        !g_ascii_string_to_unsigned(fields[1], 10, 1, G_MAXUINT32 - 1, &first, NULL) ||
        !g_ascii_string_to_unsigned(g_strchomp(fields[2]), 10, 1, G_MAXUINT32 - 1, &count, NULL))
        return FALSE;
    *out_range = (DuetIdRange){ next, (guint32)first, (guint32)MIN(count, G_MAXUINT32 - 1 - next) };
    return out_range->count > 0;
}

GArray *duet_ids_parse(const char *text, const char *user, uid_t uid, guint32 id)
{
    GArray *ranges = ranges_new(0, id, 1);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint32 next = 1;
    for (char **line = lines; *line && ranges->len < RANGES_MAX; line++) {
        DuetIdRange range;
        if (!parse_grant(*line, user, uid, next, &range))
            continue;
        g_array_append_val(ranges, range);
        next += range.count;
    }
    return ranges;
}

GArray *duet_ids_granted(DuetIdType type, const char *user, uid_t uid, guint32 id)
{
    const char *path = type == DUET_ID_USER ? "/etc/subuid" : "/etc/subgid";
    g_autofree char *text = duet_file_read(AT_FDCWD, path, SUBID_MAX_BYTES, NULL, NULL);
    return duet_ids_parse(text ? text : "", user, uid, id);
}

GArray *duet_ids_of_users(void)
{
    static const char *const paths[] = { "/etc/subuid", "/etc/subgid" };
    GArray *ranges = ranges_new(0, 0, 0);
    for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *text = duet_file_read(AT_FDCWD, paths[i], SUBID_MAX_BYTES, NULL, NULL);
        g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
        for (char **line = lines; *line; line++) {
            unsigned long long first, count;
            if (sscanf(*line, "%*[^:]:%llu:%llu", &first, &count) != 2 || first > G_MAXUINT32)
                continue;
            guint32 fits = (guint32)MIN(count, G_MAXUINT32 - first);
            DuetIdRange range = { 0, (guint32)first, fits };
            g_array_append_val(ranges, range);
        }
    }
    return ranges;
}

gboolean duet_ids_overlap(const GArray *ranges, guint32 first, guint32 count)
{
    for (guint i = 0; i < ranges->len; i++) {
        const DuetIdRange *range = &g_array_index(ranges, DuetIdRange, i);
        guint64 end = (guint64)range->outside + range->count;
        if (range->outside < (guint64)first + count && first < end)
            return TRUE;
    }
    return FALSE;
}

/* The first id behind all ranges that either file gives to anybody. */
static guint64 first_free(void)
{
    guint64 free_id = FIRST_SUBID;
    g_autoptr(GArray) ranges = duet_ids_of_users();
    for (guint i = 0; i < ranges->len; i++) {
        const DuetIdRange *range = &g_array_index(ranges, DuetIdRange, i);
        guint64 end = (guint64)range->outside + range->count;
        if (end <= ID_LIMIT)
            free_id = MAX(free_id, end);
    }
    return free_id;
}

char *duet_ids_advice(guint32 wanted)
{
    const struct passwd *entry = getpwuid(duet_rootless_uid());
    guint64 first = first_free();
    guint64 last = first + MAX((wanted | 0xffffu), 0xffffu);
    if (last >= ID_LIMIT)
        return g_strdup(
            "no user can have that many: rebuild the image with lower ids, or run duet as "
            "root");
    return g_strdup_printf(
        "have the package uidmap installed and get more ids: usermod --add-subuids "
        "%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT " --add-subgids %" G_GUINT64_FORMAT
        "-%" G_GUINT64_FORMAT " %s (as root)",
        first, last, first, last, entry ? entry->pw_name : "USER");
}
