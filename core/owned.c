/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/owned.h"
#include "core/events.h"
#include "core/util.h"

#include <duet/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "owned"
/* Who removes the last of them removes the folder. */
#define TRIES 100

static gboolean is_kept(const DuetSpec *spec)
{
    return spec->owner_pid != 0 && !spec->remove_at_exit;
}

gboolean duet_owner_is_gone(gint64 pid)
{
    return pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

gboolean duet_owned_mark(DuetContext *context, const DuetSpec *spec, GError **error)
{
    g_autofree char *path = g_strconcat(FOLDER "/", spec->id, NULL);
    g_autofree char *pid = g_strdup_printf("%" G_GINT64_FORMAT, spec->owner_pid);
    gboolean done = !is_kept(spec);

    for (int tries = 0; !done && tries < TRIES; tries++) {
        if (mkdirat(context->root_fd, FOLDER, 0700) < 0 && errno != EEXIST)
            break;
        done = symlinkat(pid, context->root_fd, path) == 0;
        if (!done && errno != ENOENT)
            break;
    }
    return done || duet_error_set_errno(error, errno, "cannot make '%s/%s'", context->root, path);
}

static void unmark(DuetContext *context, const char *id)
{
    g_autofree char *path = g_strconcat(FOLDER "/", id, NULL);
    unlinkat(context->root_fd, path, 0);
    unlinkat(context->root_fd, FOLDER, AT_REMOVEDIR);
}

void duet_owned_unmark(DuetContext *context, const DuetSpec *spec)
{
    if (is_kept(spec))
        unmark(context, spec->id);
}

/* Returns: 0: it is not marked. */
static gint64 owner_of(int folder_fd, const char *id)
{
    char target[32];
    ssize_t n = readlinkat(folder_fd, id, target, sizeof target - 1);
    if (n <= 0)
        return 0;
    target[n] = '\0';
    return g_ascii_strtoll(target, NULL, 10);
}

static void remove_lost(DuetContext *context, int folder_fd, const char *id)
{
    g_autofree char *path = g_strconcat("instances/", id, NULL);
    DUET_AUTO_FD dir_fd =
        openat(context->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0) {
        if (errno == ENOENT)
            unmark(context, id);
        return;
    }
    DUET_AUTO_FD lock_fd = duet_lock_take(dir_fd, O_CREAT);
    /* A monitor that lives ends it; what one left that was killed goes by its mark in live/. And
     * another command may have been faster. */
    if (lock_fd < 0 || duet_live_is_marked(context, id) || owner_of(folder_fd, id) == 0)
        return;
    g_autoptr(GVariant) variant = duet_variant_read(dir_fd, "spec", NULL);
    g_autoptr(DuetSpec) spec = variant ? duet_spec_from_variant(variant, NULL) : NULL;
    if (spec && duet_instance_discard(context, spec, NULL))
        duet_event_emit(context, DUET_EVENT_REMOVE, spec, NULL);
}

void duet_owned_sweep(DuetContext *context)
{
    int fd = openat(context->root_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && duet_owner_is_gone(owner_of(fd, entry->d_name)))
            remove_lost(context, fd, entry->d_name);
    if (dir)
        closedir(dir);
}
