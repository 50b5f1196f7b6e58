/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

void duet_fd_clear(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno;
    close(*fd);
    *fd = -1;
    errno = saved;
}

int duet_fd_steal(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

gboolean duet_write_all(int fd, const void *bytes, gsize length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t n = write(fd, at, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        at += n;
        length -= (gsize)n;
    }
    return TRUE;
}

char *duet_file_read(
    int dir_fd, const char *path, gsize max_bytes, gsize *out_length, GError **error)
{
    DUET_AUTO_FD fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        duet_error_set_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }
    /* Files of /proc and /sys have no size: grow until the end. */
    g_autoptr(GByteArray) data = g_byte_array_sized_new(4096);
    for (;;) {
        guint8 chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            duet_error_set_errno(error, errno, "cannot read '%s'", path);
            return NULL;
        }
        if (n == 0)
            break;
        if (data->len + (gsize)n > max_bytes) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
                "'%s' is longer than the %" G_GSIZE_FORMAT " bytes it may have", path, max_bytes);
            return NULL;
        }
        g_byte_array_append(data, chunk, (guint)n);
    }
    if (out_length)
        *out_length = data->len;
    g_byte_array_append(data, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&data), FALSE);
}

static gboolean replace(
    int dir_fd, const char *path, mode_t mode, const void *bytes, gsize length, GError **error)
{
    g_autofree char *fresh = g_strdup_printf("%s.new.%d", path, (int)getpid());
    DUET_AUTO_FD fd = openat(dir_fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot create '%s'", fresh);
    if (duet_write_all(fd, bytes, length) && renameat(dir_fd, fresh, dir_fd, path) == 0)
        return TRUE;
    int err = errno;
    unlinkat(dir_fd, fresh, 0);
    return duet_error_set_errno(error, err, "cannot write '%s'", path);
}

gboolean duet_file_may_replace(const char *path, GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0 || S_ISREG(st.st_mode))
        return TRUE;
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' is no regular file: name another one", path);
    return FALSE;
}

gboolean duet_file_replace(
    int dir_fd, const char *path, const void *bytes, gsize length, GError **error)
{
    return replace(dir_fd, path, 0644, bytes, length, error);
}

gboolean duet_file_replace_private(
    int dir_fd, const char *path, const void *bytes, gsize length, GError **error)
{
    return replace(dir_fd, path, 0600, bytes, length, error);
}

gboolean duet_mkdir_p(const char *path, int mode, GError **error)
{
    if (g_mkdir_with_parents(path, mode) == 0)
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot make the directory '%s'", path);
}

gboolean duet_parse_bytes(const char *text, guint64 *out_bytes, GError **error)
{
    static const char units[] = "bkmgtp";
    char *end = NULL;
    double value = g_ascii_strtod(text, &end);
    double factor = 1;
    gboolean ok = end != text && g_ascii_isdigit(text[0]);
    if (ok && *end) {
        const char *unit = strchr(units, g_ascii_tolower(*end));
        ok = unit != NULL;
        for (const char *u = units; ok && u < unit; u++)
            factor *= 1024;
        end++;
        if (factor > 1 && g_ascii_tolower(*end) == 'i')
            end++;
        if (factor > 1 && g_ascii_tolower(*end) == 'b')
            end++;
    }
    if (!ok || *end || value * factor >= 9.2e18) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no size: use a number with b, k, m, g or t behind it, as in 512m", text);
        return FALSE;
    }
    *out_bytes = (guint64)(value * factor);
    return TRUE;
}

char *duet_format_bytes(guint64 bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double value = (double)bytes;
    guint unit = 0;
    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    return g_strdup_printf(unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

char *duet_format_ns(gint64 ns)
{
    double us = (double)ns / 1000;
    if (us < 1000)
        return g_strdup_printf("%.0f us", us);
    if (us < 1000000)
        return g_strdup_printf("%.1f ms", us / 1000);
    return g_strdup_printf("%.2f s", us / 1000000);
}

int duet_signal_from_string(const char *text)
{
    char *end = NULL;
    guint64 number = g_ascii_strtoull(text, &end, 10);
    if (g_ascii_isdigit(text[0]))
        return *end == '\0' && number > 0 && number <= 64 ? (int)number : 0;
    if (g_ascii_strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    if (g_ascii_strncasecmp(text, "RTMIN+", 6) == 0) {
        number = g_ascii_strtoull(text + 6, &end, 10);
        /* As the kernel counts them: the C library keeps the first two for itself. */
        return *end == '\0' && number <= 30 ? 34 + (int)number : 0;
    }
    for (int i = 1; i < 32; i++) {
        const char *name = sigabbrev_np(i);
        if (name && g_ascii_strcasecmp(name, text) == 0)
            return i;
    }
    return 0;
}

void duet_signals_ending(sigset_t *out_set)
{
    struct sigaction hang_up;

    sigemptyset(out_set);
    sigaddset(out_set, SIGINT);
    sigaddset(out_set, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hang_up) < 0 || hang_up.sa_handler != SIG_IGN)
        sigaddset(out_set, SIGHUP);
}

char *duet_random_hex(gsize bytes)
{
    guint8 random[16];
    g_assert(bytes <= sizeof random);
    if (getrandom(random, bytes, 0) != (ssize_t)bytes)
        g_error("getrandom() failed");
    GString *digits = g_string_sized_new(2 * sizeof random + 1);
    for (gsize i = 0; i < bytes; i++)
        g_string_append_printf(digits, "%02x", random[i]);
    return g_string_free(digits, FALSE);
}

char *duet_capture(const char *const *argv, GError **error)
{
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status = 0;
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_CLOEXEC_PIPES, NULL,
            NULL, &out, &err, &status, error)) {
        g_prefix_error(error, "cannot run '%s': ", argv[0]);
        return NULL;
    }
    g_autoptr(GError) failed = NULL;
    if (!g_spawn_check_wait_status(status, &failed)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "'%s' failed: %s: %s", argv[0],
            failed->message, g_strstrip(err));
        return NULL;
    }
    return g_steal_pointer(&out);
}
