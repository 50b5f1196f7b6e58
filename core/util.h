/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <signal.h>

G_BEGIN_DECLS

/** DUET_AUTO_FD: a descriptor that closes itself; initialise it, -1 means none. */
#define DUET_AUTO_FD __attribute__((cleanup(duet_fd_clear))) int
/** duet_fd_clear: closes *fd if it is one and sets it to -1; keeps errno. */
void duet_fd_clear(int *fd);
/** duet_fd_steal: Returns: *fd, which becomes -1. */
int duet_fd_steal(int *fd);

/** duet_write_all: writes it all to a blocking descriptor. Returns: %FALSE with errno. */
gboolean duet_write_all(int fd, const void *bytes, gsize length);

/**
 * duet_file_read:
 * @dir_fd: AT_FDCWD or an open directory
 * @max_bytes: a longer file is an error
 * Returns: (transfer full): the contents, NUL-terminated beyond @out_length, or NULL with @error.
 */
char *duet_file_read(
    int dir_fd, const char *path, gsize max_bytes, gsize *out_length, GError **error);

/** duet_file_may_replace: Returns: %FALSE with %DUET_ERROR_INVALID if there is something at @path
 * that is no regular file, as a device or a link: a file renamed over it would take its place. */
gboolean duet_file_may_replace(const char *path, GError **error);

/**
 * duet_file_replace: writes a new file beside @path and renames it over: readers see the old or
 * the new contents, never a part.
 */
gboolean duet_file_replace(
    int dir_fd, const char *path, const void *bytes, gsize length, GError **error);
/** duet_file_replace_private: the same for what only its owner may read. */
gboolean duet_file_replace_private(
    int dir_fd, const char *path, const void *bytes, gsize length, GError **error);

/** duet_mkdir_p: like mkdir -p; new directories get @mode. */
gboolean duet_mkdir_p(const char *path, int mode, GError **error);

/**
 * duet_remove_tree: removes @path and all below it, never following a symlink or crossing a
 * mount point. A missing @path is no error.
 */
gboolean duet_remove_tree(int dir_fd, const char *path, GError **error);

/** duet_parse_bytes: "512m", "2G", "4096", "1.5g" as podman reads them (powers of 1024). */
gboolean duet_parse_bytes(const char *text, guint64 *out_bytes, GError **error);
/** duet_format_bytes: Returns: (transfer full): "1.5 MiB". */
char *duet_format_bytes(guint64 bytes);
/** duet_format_ns: Returns: (transfer full): "12.3 ms", "2.41 s", "870 us". */
char *duet_format_ns(gint64 ns);

/**
 * duet_signal_from_string: "9", "KILL", "SIGKILL", "RTMIN+3".
 * Returns: the number, or 0.
 */
int duet_signal_from_string(const char *text);

/** duet_signals_ending: SIGINT, SIGTERM and, unless it is ignored, SIGHUP: under nohup the terminal
 * may go away, and what was begun goes on. */
void duet_signals_ending(sigset_t *out_set);

/** duet_random_hex: Returns: (transfer full): so many random bytes, at most 16, as digits. */
char *duet_random_hex(gsize bytes);

/** duet_capture: runs @argv, waits. Returns: (transfer full): its standard output; an exit status
 * other than 0 is an error that quotes its standard error. */
char *duet_capture(const char *const *argv, GError **error);

G_END_DECLS
