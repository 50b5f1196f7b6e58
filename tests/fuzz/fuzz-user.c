/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who a user is, and a further group by the same text. The input is "<wanted>\n<length of passwd,
 * one byte><passwd><group>". */

#include "vmm/guest/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_file(const uint8_t *bytes, size_t size, char *path, size_t path_size)
{
    int fd = memfd_create("table", MFD_CLOEXEC);

    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    snprintf(path, path_size, "/proc/self/fd/%d", fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = memchr(data, '\n', size), *rest;
    char wanted[64] = { 0 }, passwd_path[64], group_path[64];
    char *const more[] = { wanted, NULL };
    struct agent_text error = { 0 };
    struct agent_user user;
    size_t left, cut;
    int passwd, group;

    if (!line || (size_t)(line - data) >= sizeof(wanted) || line + 2 > data + size)
        return 0;
    memcpy(wanted, data, (size_t)(line - data));
    rest = line + 2;
    left = (size_t)(data + size - rest);
    cut = line[1] < left ? line[1] : left;
    passwd = make_file(rest, cut, passwd_path, sizeof(passwd_path));
    group = make_file(rest + cut, left - cut, group_path, sizeof(group_path));
    if (agent_user_resolve(passwd_path, group_path, wanted, NULL, &user, &error)) {
        if (user.group_count < 1 || user.group_count > AGENT_GROUPS_MAX ||
            user.groups[0] != user.gid || user.uid == (uid_t)-1 || user.home[0] != '/')
            abort();
    } else if (error.length == 0) {
        abort();
    }
    error = (struct agent_text){ 0 };
    if (agent_user_resolve(passwd_path, group_path, NULL, more, &user, &error) !=
        (error.length == 0))
        abort();
    close(passwd);
    close(group);
    return 0;
}
