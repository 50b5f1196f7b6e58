/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/events.h"
#include "core/owned.h"
#include "core/places.h"
#include "core/recover.h"
#include "core/rootless.h"
#include "core/saved.h"
#include "core/state.h"
#include "core/stray.h"
#include "core/update.h"
#include "core/util.h"

#include <duet/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The second line of a marker: what the instance is used for, if not to run. */
typedef enum { USE_RUN, USE_BORROWED, USE_LAYER, USE_COUNT } Use;

static const char *const uses[] = {
    [USE_RUN] = "",
    [USE_BORROWED] = "\ncp",
    [USE_LAYER] = "\nlayer",
};

#define KILLED "its monitor was killed; what was left of it was cleaned up"

/* 0711: root's QEMU, an ordinary user, must reach its disk in here. A user's own runs as that user,
 * and the set-user-id programs in that user's instances are no business of others. */
static int folder_mode(DuetContext *context)
{
    return context->rootless ? 0700 : 0711;
}

static gboolean make_folders(DuetContext *context, GError **error)
{
    static const char *const folders[] = { "instances", "names", "live", "trash" };
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
        if (mkdirat(context->root_fd, folders[i], folder_mode(context)) < 0 && errno != EEXIST)
            return duet_error_set_errno(error, errno,
                "cannot make '%s' in '%s': choose another place with --root", folders[i],
                context->root);
    return TRUE;
}

/*
 * A store is of the one who made it: a user's layers belong to that user's ids and have other marks
 * than root's, and who can write to a store can have its reader run anything.
 */
static gboolean check_owner(DuetContext *context, uid_t owner, GError **error)
{
    if (owner == geteuid())
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
        "the root directory '%s' was made by another user: choose one of your own with --root "
        "(or unset DUET_ROOT)",
        context->root);
    return FALSE;
}

static gboolean open_root(DuetContext *context, GError **error)
{
    struct stat st;
    context->root_fd = open(context->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (context->root_fd < 0) {
        if (!duet_mkdir_p(context->root, folder_mode(context), error)) {
            g_prefix_error(error, "no root directory (choose one with --root): ");
            return FALSE;
        }
        context->root_fd = open(context->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (context->root_fd < 0)
            return duet_error_set_errno(error, errno, "cannot open '%s'", context->root);
    }
    if (fstatat(context->root_fd, "live", &st, AT_SYMLINK_NOFOLLOW) == 0)
        return check_owner(context, st.st_uid, error);
    return make_folders(context, error);
}

DuetContext *duet_context_new(
    const char *root, const struct _DuetDriverEntry *drivers, GError **error)
{
    g_autofree char *wanted = root ? g_strdup(root) : duet_place_root();
    g_autoptr(DuetContext) context = g_new0(DuetContext, 1);
    context->root_fd = -1;
    context->drivers = drivers;
    context->root = g_canonicalize_filename(wanted, NULL);
    context->store_dir = g_build_filename(context->root, "images", NULL);
    context->rootless = duet_is_rootless();
    context->run_base = duet_place_run(error);
    if (!context->run_base || !open_root(context, error))
        return NULL;
    return g_steal_pointer(&context);
}

void duet_context_free(DuetContext *context)
{
    if (!context)
        return;
    duet_fd_clear(&context->root_fd);
    g_free(context->root);
    g_free(context->store_dir);
    g_free(context->run_base);
    g_free(context);
}

const char *duet_context_store_dir(DuetContext *context)
{
    return context->store_dir;
}

const struct _DuetDriverEntry *duet_context_drivers(DuetContext *context)
{
    return context->drivers;
}

char *duet_instance_path(DuetContext *context, const char *id)
{
    return g_build_filename(context->root, "instances", id, NULL);
}

char *duet_run_path(DuetContext *context, const char *id)
{
    return g_build_filename(context->run_base, id, NULL);
}

void duet_socket_address(int dir_fd, struct sockaddr_un *out_address)
{
    *out_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    g_snprintf(out_address->sun_path, sizeof out_address->sun_path, "/proc/self/fd/%d/" DUET_SOCKET,
        dir_fd);
}

int duet_lock_take(int dir_fd, int flags)
{
    DUET_AUTO_FD fd = openat(dir_fd, "lock", O_RDWR | O_CLOEXEC | flags, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -1;
    return duet_fd_steal(&fd);
}

/* Mostly it ends there: that is cheaper to see than to do again. */
static gboolean cut_after(int fd, off_t length)
{
    return lseek(fd, 0, SEEK_END) <= length || ftruncate(fd, length) == 0;
}

gboolean duet_live_mark(
    DuetContext *context, const char *id, const char *cgroup, gboolean borrowed, GError **error)
{
    g_autofree char *path = g_strconcat("live/", id, NULL);
    g_autofree char *both = borrowed ? g_strconcat(cgroup, uses[USE_BORROWED], NULL) : NULL;
    const char *text = both ? both : cgroup;
    size_t length = text ? strlen(text) : 0;
    /* Not O_TRUNC: ext4 writes such a file out when it is closed, and this one soon goes. */
    DUET_AUTO_FD fd = openat(context->root_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 &&
        (length == 0 || (duet_write_all(fd, text, length) && cut_after(fd, (off_t)length))))
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot write '%s/%s'", context->root, path);
}

gboolean duet_live_mark_layer(DuetContext *context, const char *id, GError **error)
{
    /* Made elsewhere: an empty one, if we were killed here, is that of an instance that ran, and
     * one to be removed at its end would be. Of one name: the next is made of what is left. */
    g_autofree char *made = g_strconcat("instances/", id, "/mark", NULL);
    g_autofree char *path = g_strconcat("live/", id, NULL);
    const char *text = uses[USE_LAYER];
    DUET_AUTO_FD fd =
        openat(context->root_fd, made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && duet_write_all(fd, text, strlen(text)) &&
        renameat(context->root_fd, made, context->root_fd, path) == 0)
        return TRUE;
    int err = errno;
    unlinkat(context->root_fd, made, 0);
    return duet_error_set_errno(error, err, "cannot write '%s/%s'", context->root, path);
}

/* Returns: (transfer full): the path of the cgroup, or NULL. */
static char *read_mark(DuetContext *context, const char *id, Use *out_use)
{
    g_autofree char *marker = g_strconcat("live/", id, NULL);
    char *text = duet_file_read(context->root_fd, marker, 4096, NULL, NULL);
    *out_use = USE_RUN;
    for (Use use = USE_BORROWED; text && use < USE_COUNT; use++)
        if (g_str_has_suffix(text, uses[use])) {
            text[strlen(text) - strlen(uses[use])] = '\0';
            *out_use = use;
        }
    return text;
}

static Use use_of(DuetContext *context, const char *id)
{
    Use use;
    g_free(read_mark(context, id, &use));
    return use;
}

gboolean duet_live_is_borrowed(DuetContext *context, const char *id)
{
    return use_of(context, id) == USE_BORROWED;
}

gboolean duet_live_is_layer(DuetContext *context, const char *id)
{
    return use_of(context, id) == USE_LAYER;
}

void duet_live_unmark(DuetContext *context, const char *id)
{
    g_autofree char *path = g_strconcat("live/", id, NULL);
    unlinkat(context->root_fd, path, 0);
}

gboolean duet_live_is_marked(DuetContext *context, const char *id)
{
    g_autofree char *path = g_strconcat("live/", id, NULL);
    return faccessat(context->root_fd, path, F_OK, 0) == 0;
}

static void free_name(DuetContext *context, const DuetSpec *spec)
{
    char target[64];
    g_autofree char *link = g_strconcat("names/", spec->name, NULL);
    ssize_t n = readlinkat(context->root_fd, link, target, sizeof target - 1);
    if (n < 0)
        return;
    target[n] = '\0';
    if (g_str_equal(target, spec->id))
        unlinkat(context->root_fd, link, 0);
}

gboolean duet_instance_discard(DuetContext *context, const DuetSpec *spec, GError **error)
{
    free_name(context, spec);
    g_autofree char *from = g_strconcat("instances/", spec->id, NULL);
    g_autofree char *to = g_strconcat("trash/", spec->id, NULL);
    if (renameat(context->root_fd, from, context->root_fd, to) < 0 && errno != ENOENT)
        return duet_error_set_errno(error, errno, "cannot remove '%s/%s'", context->root, from);
    duet_owned_unmark(context, spec);
    return TRUE;
}

/* Calls @each with the name of every entry of one of the root's folders. */
static void for_each_entry(DuetContext *context, const char *folder,
    void (*each)(DuetContext *context, int dir_fd, const char *name, gpointer data), gpointer data)
{
    int fd = openat(context->root_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            each(context, fd, entry->d_name, data);
    closedir(dir);
}

static void remove_entry(DuetContext *context, int dir_fd, const char *name, gpointer data)
{
    (void)context;
    (void)data;
    duet_remove_tree(dir_fd, name, NULL);
}

void duet_trash_empty(DuetContext *context)
{
    for_each_entry(context, "trash", remove_entry, NULL);
}

/* What a process that died left of a half-made instance: no name leads to it yet. */
static gboolean is_half_made(DuetContext *context, int dir_fd, DuetSpec **out_spec)
{
    char target[64];
    g_autoptr(GVariant) variant = duet_variant_read(dir_fd, "spec", NULL);
    *out_spec = variant ? duet_spec_from_variant(variant, NULL) : NULL;
    if (!*out_spec || !(*out_spec)->name)
        return TRUE;
    g_autofree char *link = g_strconcat("names/", (*out_spec)->name, NULL);
    ssize_t n = readlinkat(context->root_fd, link, target, sizeof target);
    return n < 0 || (size_t)n != strlen((*out_spec)->id) ||
        memcmp(target, (*out_spec)->id, (size_t)n) != 0;
}

gboolean duet_live_clean_up(DuetContext *context, const char *id)
{
    Use use;
    g_autofree char *path = read_mark(context, id, &use);
    g_autoptr(DuetCgroup) cgroup = path && *path ? duet_cgroup_open(path, id, NULL) : NULL;
    g_autofree char *run_path = duet_run_path(context, id);
    duet_stray_kill_holder(run_path);
    gboolean gone = TRUE;
    if (cgroup) {
        duet_cgroup_kill(cgroup, DUET_CGROUP_PAYLOAD, 5000, NULL);
        duet_cgroup_kill(cgroup, DUET_CGROUP_MONITOR, 5000, NULL);
        duet_cgroup_drop_cache(cgroup, DUET_CGROUP_MONITOR);
        gone = duet_cgroup_remove(cgroup, NULL);
    }
    duet_remove_tree(AT_FDCWD, run_path, NULL);
    g_autofree char *socket_path = g_strconcat("instances/", id, "/" DUET_SOCKET, NULL);
    unlinkat(context->root_fd, socket_path, 0);
    return gone;
}

static void record_death(int dir_fd, DuetInfo *info, const char *why)
{
    info->pid = info->monitor_pid = 0;
    if (info->state != DUET_STATE_EXITED || info->exit_code < 0) {
        info->exit_code = 137;
        info->exit_signal = 9;
        info->exited_us = g_get_real_time();
    }
    info->state = DUET_STATE_EXITED;
    g_free(info->error);
    info->error = g_strdup(why);
    g_autofree char *fresh = duet_info_to_text(info);
    duet_file_replace_private(dir_fd, "state", fresh, strlen(fresh), NULL);
}

/* Its creator may be between two of its first steps: making the marker, the directory, the lock. */
static gboolean is_young(int live_fd, const char *id)
{
    struct stat st;
    return fstatat(live_fd, id, &st, 0) < 0 || time(NULL) - st.st_mtime <= 5;
}

/* Ends what its driver left elsewhere and writes down how it ended. Returns: whether all is gone.
 */
static gboolean settle(DuetContext *context, int dir_fd, const DuetSpec *spec, Use use)
{
    /* It is as it was before: what was killed is no run of it. */
    if (use == USE_LAYER)
        return duet_saved_tidy(dir_fd) && duet_remove_tree(dir_fd, DUET_COPY_DIR, NULL);
    if (use == USE_BORROWED)
        return duet_driver_recover(context->drivers, spec, 0, NULL);
    /* A save was done, or a restore had not begun to run: no run of it ended. A daemon may have it
     * all the same. */
    gboolean tidy = duet_saved_tidy(dir_fd);
    if (duet_saved_is_there(dir_fd))
        return duet_driver_recover(context->drivers, spec, 0, NULL) && tidy;
    g_autofree char *text = duet_file_read(dir_fd, "state", 1 << 20, NULL, NULL);
    g_autoptr(DuetInfo) info = duet_info_from_text(text ? text : "{}", spec);
    g_autoptr(GError) left = NULL;
    if (info->state == DUET_STATE_CREATED)
        return TRUE;
    gboolean told = info->state == DUET_STATE_EXITED && info->error;
    g_autofree char *since = told ? g_strconcat(info->error, "; cleaned up since", NULL) : NULL;
    if (!duet_driver_recover(context->drivers, spec, (pid_t)info->pid, &left)) {
        if (!told)
            record_death(dir_fd, info, left->message);
    } else if (info->state != DUET_STATE_EXITED)
        record_death(dir_fd, info, KILLED);
    else if (spec->connect && told)
        record_death(dir_fd, info, since);
    return tidy && left == NULL;
}

void duet_live_tell_death(DuetContext *context, int dir_fd, const DuetSpec *spec)
{
    Use use;
    DuetEventType last;
    g_autofree char *cgroup = read_mark(context, spec->id, &use);
    g_autofree char *text = duet_file_read(dir_fd, "state", 1 << 20, NULL, NULL);
    g_autoptr(DuetInfo) info = duet_info_from_text(text ? text : "{}", spec);
    /* No monitor was at work on it. */
    if (use != USE_RUN || !cgroup || !*cgroup || info->state == DUET_STATE_CREATED ||
        duet_saved_is_there(dir_fd))
        return;
    if (duet_event_last(context, spec->id, &last) &&
        (last == DUET_EVENT_DIED || last == DUET_EVENT_REMOVE))
        return;
    if (info->exit_code < 0) {
        info->exit_code = 137;
        info->exit_signal = 9;
    }
    if (!info->error)
        info->error = g_strdup(KILLED);
    g_autoptr(GString) died = g_string_new(NULL);
    duet_event_add_died(died, spec, info);
    duet_event_write(context, died);
}

static void recover(DuetContext *context, int live_fd, const char *id)
{
    g_autofree char *path = g_strconcat("instances/", id, NULL);
    DUET_AUTO_FD dir_fd =
        openat(context->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0) {
        /* Gone but for its marker: a monitor that was killed right at its end, or a creator that
         * was killed right at its start. */
        if (!is_young(live_fd, id) && duet_live_clean_up(context, id))
            duet_live_unmark(context, id);
        return;
    }
    /* Without a spec its creator may not have the lock yet, and must not find it taken. */
    if (faccessat(dir_fd, "spec", F_OK, 0) < 0 && is_young(live_fd, id))
        return;
    DUET_AUTO_FD lock_fd = duet_lock_take(dir_fd, O_CREAT);
    /* Without the marker it was made whole, or removed, since the list was read. */
    if (lock_fd < 0 || !duet_live_is_marked(context, id))
        return;
    g_autoptr(DuetSpec) spec = NULL;
    Use use = use_of(context, id);
    /* What was copied was whole before: without its spec, or name, it is not ours to remove. */
    gboolean half_made = is_half_made(context, dir_fd, &spec) && use == USE_RUN;
    if (!half_made && spec)
        duet_name_settle(context, dir_fd, spec);
    gboolean gone = duet_live_clean_up(context, id);
    /* Else its marker stays: the next command tries again. */
    if ((spec && !settle(context, dir_fd, spec, use)) || !gone)
        return;
    if (!half_made && spec)
        duet_live_tell_death(context, dir_fd, spec);
    if (half_made ||
        (use == USE_RUN && (spec->remove_at_exit || duet_owner_is_gone(spec->owner_pid)))) {
        if (spec ? !duet_instance_discard(context, spec, NULL)
                 : !duet_remove_tree(context->root_fd, path, NULL))
            return;
        if (!half_made)
            duet_event_emit(context, DUET_EVENT_REMOVE, spec, NULL);
    }
    duet_live_unmark(context, id);
}

static void add_name(DuetContext *context, int dir_fd, const char *name, gpointer names)
{
    (void)context;
    (void)dir_fd;
    g_ptr_array_add(names, g_strdup(name));
}

void duet_context_sweep(DuetContext *context, guint at_most)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    DUET_AUTO_FD live_fd = openat(context->root_fd, "live", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for_each_entry(context, "live", add_name, names);
    guint n = at_most > 0 ? MIN(at_most, names->len) : names->len;
    /* Another part each time. */
    guint first = n < names->len ? (guint)((guint64)duet_now_ns() / 1000 % names->len) : 0;
    for (guint i = 0; i < n; i++)
        recover(context, live_fd, names->pdata[(first + i) % names->len]);
    duet_owned_sweep(context);
    duet_trash_empty(context);
}

void duet_live_recover(DuetContext *context, const char *id)
{
    if (!duet_live_is_marked(context, id))
        return;
    DUET_AUTO_FD live_fd = openat(context->root_fd, "live", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    recover(context, live_fd, id);
}
