/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/stack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/unpack-private.h"

void duet_stack_clear(DuetStack *stack)
{
    for (guint i = 0; i < stack->n; i++)
        close(stack->fds[i]);
    g_clear_pointer(&stack->fds, g_free);
    stack->n = 0;
}

static void push(DuetStack *stack, int fd)
{
    stack->fds = g_renew(int, stack->fds, stack->n + 1);
    stack->fds[stack->n++] = fd;
}

static gboolean read_error(const char *path, GError **error)
{
    return duet_error_set_errno(error, errno, "cannot read '%s' of an unpacked layer", path);
}

gboolean duet_stack_open(char *const *layer_dirs, DuetStack *out_stack, GError **error)
{
    for (guint i = g_strv_length((char **)layer_dirs); i-- > 0;) {
        int fd = open(layer_dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return duet_error_set_errno(error, errno, "cannot open the layer '%s'", layer_dirs[i]);
        push(out_stack, fd);
    }
    return TRUE;
}

gboolean duet_stack_enter(
    const DuetStack *above, guint from, const char *name, DuetStack *out_stack, GError **error)
{
    for (guint i = from; i < above->n; i++) {
        struct stat st;
        if (fstatat(above->fds[i], name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT)
                continue;
            return read_error(name, error);
        }
        if (!S_ISDIR(st.st_mode))
            return TRUE;
        int fd = openat(above->fds[i], name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return read_error(name, error);
        push(out_stack, fd);
        if (duet_dir_is_opaque(fd, "."))
            return TRUE;
    }
    return TRUE;
}

GHashTable *duet_stack_names(const DuetStack *stack, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < stack->n; i++) {
        int fd = openat(stack->fds[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        if (!dir) {
            duet_fd_clear(&fd);
            read_error(".", error);
            return NULL;
        }
        struct dirent *row;
        while ((row = readdir(dir))) {
            if (!g_str_equal(row->d_name, ".") && !g_str_equal(row->d_name, "..") &&
                !g_hash_table_contains(names, row->d_name))
                g_hash_table_insert(names, g_strdup(row->d_name), GUINT_TO_POINTER(i));
        }
        closedir(dir);
    }
    return g_steal_pointer(&names);
}
