/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"

int duet_cgroup_file_write(int dir_fd, const char *file, const char *text)
{
    DUET_AUTO_FD fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno;
    gssize length = (gssize)strlen(text);
    gssize done = write(fd, text, (gsize)length);
    if (done < 0)
        return errno;
    return done == length ? 0 : EIO;
}

gssize duet_cgroup_file_read(int dir_fd, const char *file, char *buffer, gsize size)
{
    DUET_AUTO_FD fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    gsize used = 0;
    while (used < size - 1) {
        gssize bytes = read(fd, buffer + used, size - 1 - used);
        if (bytes < 0)
            return -1;
        if (bytes == 0)
            break;
        used += (gsize)bytes;
    }
    buffer[used] = '\0';
    return (gssize)used;
}

guint64 duet_cgroup_file_number(int dir_fd, const char *file)
{
    char text[64];
    if (duet_cgroup_file_read(dir_fd, file, text, sizeof text) <= 0)
        return 0;
    return g_ascii_strtoull(text, NULL, 10);
}

gboolean duet_cgroup_file_number_or(int dir_fd, const char *file, guint64 *out_number)
{
    char text[64];
    if (duet_cgroup_file_read(dir_fd, file, text, sizeof text) <= 0)
        return FALSE;
    *out_number = g_str_has_prefix(text, "max") ? G_MAXUINT64 : g_ascii_strtoull(text, NULL, 10);
    return TRUE;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 ...", and other words for other controllers. */
void duet_cgroup_io_parse(const char *text, DuetCgroupUsage *usage)
{
    g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
    for (char **word = words; *word != NULL; word++) {
        if (g_str_has_prefix(*word, "rbytes="))
            usage->read_bytes += g_ascii_strtoull(*word + strlen("rbytes="), NULL, 10);
        else if (g_str_has_prefix(*word, "wbytes="))
            usage->write_bytes += g_ascii_strtoull(*word + strlen("wbytes="), NULL, 10);
    }
}

guint64 duet_cgroup_text_number(const char *text, const char *key)
{
    gsize length = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            return g_ascii_strtoull(line + length + 1, NULL, 10);
    }
    return 0;
}

/*
 * Read piece by piece: the file grows with the number of processes. A 0 is a process that our pid
 * namespace can't see.
 */
void duet_cgroup_dir_pids(int dir_fd, GArray *pids)
{
    DUET_AUTO_FD fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    char buffer[4096];
    gint pid = 0;
    for (;;) {
        gssize bytes = read(fd, buffer, sizeof buffer);
        if (bytes <= 0)
            return;
        for (gssize i = 0; i < bytes; i++) {
            if (buffer[i] >= '0' && buffer[i] <= '9') {
                pid = pid * 10 + (buffer[i] - '0');
                continue;
            }
            if (pid > 0)
                g_array_append_val(pids, pid);
            pid = 0;
        }
    }
}

gboolean duet_cgroup_dir_kill(int dir_fd)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(gint));
    duet_cgroup_dir_pids(dir_fd, pids);
    for (guint i = 0; i < pids->len; i++) {
        gint pid = g_array_index(pids, gint, i);
        if (pid != getpid() && kill(pid, SIGKILL) != 0 && errno != ESRCH)
            return FALSE;
    }
    return TRUE;
}

gboolean duet_pids_contain(const GArray *pids, gint pid)
{
    for (guint i = 0; i < pids->len; i++)
        if (g_array_index(pids, gint, i) == pid)
            return TRUE;
    return FALSE;
}
