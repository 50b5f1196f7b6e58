/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * Ids 0 to 65535 of the container are 65536 host ids that belong to this instance alone while it
 * runs, so no two containers, and no user of the host, share an owner. An image may have files of
 * higher ids (a home directory with a company's uid); each of these gets a host id of its own
 * behind the 65536, because an id that the map does not hold can be neither seen nor kept by the
 * container. The same map, as an idmapped mount, translates what is on disk: there, owners are the
 * container's own ids, and no file is ever chowned.
 *
 * The kernel takes 340 extents, and the whole text in one write of less than a page.
 *
 * An ordinary user is in a user namespace already, whose map is that shift. The container's is
 * nested in it and maps every id of it to itself: extent by extent, as one of ours must lie in one
 * of theirs.
 */

#include "container-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/image.h>

#include "core/rootless.h"
#include "core/util.h"

#define LOW_IDS 65536u
#define MAP_BYTES_MAX 4095u

char *duet_idmap_text(guint32 id_base, const GArray *high_ids, GError **error)
{
    guint count = high_ids != NULL ? high_ids->len : 0;
    if (count > DUET_IMAGE_HIGH_IDS_MAX) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "the image has files of %u owners above 65535, and a container can have %u; rebuild it "
            "with fewer, or run it with --as vm",
            count, DUET_IMAGE_HIGH_IDS_MAX);
        return NULL;
    }
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "0 %u %u\n", id_base, LOW_IDS);
    for (guint i = 0, run; i < count; i += run) {
        guint32 first = g_array_index(high_ids, guint32, i);
        /* neighbours are one extent */
        for (run = 1; i + run < count && g_array_index(high_ids, guint32, i + run) == first + run;)
            run++;
        g_string_append_printf(text, "%u %u %u\n", first, id_base + LOW_IDS + i, run);
    }
    if (text->len > MAP_BYTES_MAX) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "the image has files of %u owners above 65535: their map takes %" G_GSIZE_FORMAT
            " bytes and the kernel takes %u; rebuild it with fewer, or run it with --as vm",
            count, text->len, MAP_BYTES_MAX);
        g_string_free(text, TRUE);
        return NULL;
    }
    return g_string_free(text, FALSE);
}

gboolean duet_idmap_check(
    const GArray *users, const GArray *groups, const GArray *high_ids, GError **error)
{
    for (guint i = 0; high_ids != NULL && i < high_ids->len; i++) {
        guint32 id = g_array_index(high_ids, guint32, i);
        if (duet_ids_contain(users, id) && duet_ids_contain(groups, id))
            continue;
        g_autofree char *advice = duet_ids_advice(id);
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "the image has files of the owner or group %u, which is more %s than you have; %s", id,
            duet_ids_contain(users, id) ? "groups" : "users", advice);
        return FALSE;
    }
    return TRUE;
}

static char *identity_text(const GArray *own)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < own->len; i++) {
        const DuetIdRange *range = &g_array_index(own, DuetIdRange, i);
        g_string_append_printf(text, "%u %u %u\n", range->inside, range->inside, range->count);
    }
    return g_string_free(text, FALSE);
}

gboolean duet_userns_require(GError **error)
{
    if (!duet_is_flat())
        return TRUE;
    g_autofree char *obstacle = duet_rootless_obstacle();
    g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
        "no container without a user namespace: %s; VMs (--vm) need none",
        obstacle != NULL ? obstacle : "this process has none");
    return FALSE;
}

static gboolean make_nested(DuetIdmap *out_map, const GArray *high_ids, GError **error)
{
    if (!duet_userns_require(error))
        return FALSE;
    g_autoptr(GArray) users = duet_ids_own(DUET_ID_USER);
    g_autoptr(GArray) groups = duet_ids_own(DUET_ID_GROUP);
    if (!duet_idmap_check(users, groups, high_ids, error))
        return FALSE;
    *out_map = (DuetIdmap){ .users = identity_text(users), .groups = identity_text(groups) };
    return TRUE;
}

gboolean duet_idmap_make(
    DuetIdmap *out_map, guint32 id_base, const GArray *high_ids, GError **error)
{
    if (duet_is_rootless())
        return make_nested(out_map, high_ids, error);
    char *text = duet_idmap_text(id_base, high_ids, error);
    if (text == NULL)
        return FALSE;
    *out_map = (DuetIdmap){ .users = text, .groups = g_strdup(text) };
    return TRUE;
}

void duet_idmap_clear(DuetIdmap *map)
{
    g_clear_pointer(&map->users, g_free);
    g_clear_pointer(&map->groups, g_free);
}

static gboolean write_map(pid_t pid, const char *file, const char *text, GError **error)
{
    char path[64];
    g_snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    DUET_AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot open '%s'", path);
    gssize length = (gssize)strlen(text);
    if (write(fd, text, (gsize)length) != length) {
        int err = errno;
        return duet_error_set_errno(error, err,
            "cannot map the container's ids ('%.*s' to '%s'); %s", (int)strcspn(text, "\n"), text,
            path,
            duet_is_rootless() ? "the user namespace that duet runs in must have all of these ids"
                               : "duet needs root with CAP_SETUID and CAP_SETGID over all ids");
    }
    return TRUE;
}

gboolean duet_idmap_write(pid_t pid, const DuetIdmap *map, GError **error)
{
    return write_map(pid, "uid_map", map->users, error) &&
        write_map(pid, "gid_map", map->groups, error);
}

int duet_idmap_open(pid_t pid, GError **error)
{
    char path[64];
    g_snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        duet_error_set_errno(error, errno, "cannot open the user namespace '%s'", path);
    return fd;
}
