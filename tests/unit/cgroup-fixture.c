/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-fixture.h"

#include <fcntl.h>
#include <unistd.h>

pid_t cgroup_child_in(DuetCgroup *cgroup)
{
    int ready[2];
    g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        int err = duet_cgroup_join(cgroup, DUET_CGROUP_PAYLOAD);
        if (write(ready[1], &err, sizeof err) != sizeof err || err != 0)
            _exit(1);
        for (;;)
            pause();
    }
    int err = -1;
    g_assert_cmpint(read(ready[0], &err, sizeof err), ==, sizeof err);
    g_assert_cmpint(err, ==, 0);
    close(ready[0]);
    close(ready[1]);
    return pid;
}
