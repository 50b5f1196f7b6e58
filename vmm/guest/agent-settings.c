/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Settings of a guest that CONFIG asks for, beside its mounts. */

#include "agent-guest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

bool agent_set_shm_bytes(uint64_t size_bytes, struct agent_text *error)
{
    struct agent_text options = { 0 };

    agent_text_add(&options, "mode=1777,size=", NULL);
    agent_text_add_number(&options, size_bytes);
    if (mount(NULL, "/dev/shm", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC,
            options.bytes) == 0)
        return true;
    agent_text_fail(error, "cannot change the size of", "/dev/shm", errno);
    return false;
}

/* "NAME=VALUE": a dot of the name is a slash of the path, and the reverse. Names were looked
 * through by the monitor. */
bool agent_set_sysctl(const char *bytes, size_t length, struct agent_text *error)
{
    static const char base[] = "/proc/sys/";
    const char *equals = memchr(bytes, '=', length);
    size_t name_length = equals ? (size_t)(equals - bytes) : length;
    char path[512], name[512];
    ssize_t wrote;
    int fd, failure = 0;

    if (!equals || sizeof(base) + name_length > sizeof(path)) {
        agent_text_add(error, "a sysctl of the configuration is malformed", NULL);
        return false;
    }
    memcpy(name, bytes, name_length);
    name[name_length] = '\0';
    memcpy(path, base, sizeof(base) - 1);
    for (size_t i = 0; i <= name_length; i++)
        path[sizeof(base) - 1 + i] = name[i] == '.' ? '/' : name[i] == '/' ? '.' : name[i];
    length -= name_length + 1;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        failure = errno;
    else if ((wrote = write(fd, equals + 1, length)) != (ssize_t)length)
        failure = wrote < 0 ? errno : EIO;
    if (fd >= 0)
        close(fd);
    if (failure == 0)
        return true;
    agent_text_fail(error, "cannot set the sysctl", name, failure);
    if (failure == ENOENT)
        agent_text_add(error, "; the guest's kernel has none of that name", NULL);
    return false;
}
