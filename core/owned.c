/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/owned.h"
#include "core/events.h"
#include "core/stats.h"
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

/**
 * Owner: what tells a process from a later one of its number, and from one in a container
 * @began: since the host's boot, in ticks; 0: not known, or it is gone
 * @space: its PID namespace's inode; 0: not known
 */
typedef struct {
    gint64 pid;
    guint64 began, space;
} Owner;

static guint64 began_at(gint64 pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/stat", pid);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 1 << 16, NULL, NULL);
    DuetProcessTimes times;
    return text && duet_stat_parse(text, &times) ? times.began : 0;
}

static guint64 pid_space(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* Of another PID namespace nothing is known here: who is there goes on. */
static gboolean is_gone(const Owner *owner)
{
    if (owner->pid <= 0 || (owner->space != 0 && owner->space != pid_space()))
        return FALSE;
    guint64 began = began_at(owner->pid);
    return duet_owner_is_gone(owner->pid) ||
        (began != 0 && owner->began != 0 && began != owner->began);
}

gboolean duet_owned_mark(DuetContext *context, const DuetSpec *spec, GError **error)
{
    g_autofree char *path = g_strconcat(FOLDER "/", spec->id, NULL);
    gboolean done = !is_kept(spec);
    g_autofree char *owner = done
        ? NULL
        : g_strdup_printf("%" G_GINT64_FORMAT ":%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
              spec->owner_pid, began_at(spec->owner_pid), pid_space());

    for (int tries = 0; !done && tries < TRIES; tries++) {
        if (mkdirat(context->root_fd, FOLDER, 0700) < 0 && errno != EEXIST)
            break;
        done = symlinkat(owner, context->root_fd, path) == 0;
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

/* Returns: FALSE if it is not marked. */
static gboolean owner_of(int folder_fd, const char *id, Owner *out_owner)
{
    char target[80], *rest;
    ssize_t n = readlinkat(folder_fd, id, target, sizeof target - 1);
    if (n <= 0)
        return FALSE;
    target[n] = '\0';
    *out_owner = (Owner){ .pid = g_ascii_strtoll(target, &rest, 10) };
    if (*rest == ':')
        out_owner->began = g_ascii_strtoull(rest + 1, &rest, 10);
    if (*rest == ':')
        out_owner->space = g_ascii_strtoull(rest + 1, NULL, 10);
    return TRUE;
}

static void remove_lost(DuetContext *context, int folder_fd, const char *id)
{
    Owner owner;
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
    if (lock_fd < 0 || duet_live_is_marked(context, id) || !owner_of(folder_fd, id, &owner))
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
    Owner owner;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && owner_of(fd, entry->d_name, &owner) && is_gone(&owner))
            remove_lost(context, fd, entry->d_name);
    if (dir)
        closedir(dir);
}
