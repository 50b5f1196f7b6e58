/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/agent.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

int duet_agent_memfd(GError **error)
{
    unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    DUET_AUTO_FD fd = memfd_create("duet-agent", flags | MFD_EXEC);
    /* Kernels before 6.3 do not know MFD_EXEC, and need not be asked. */
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("duet-agent", flags);
    if (fd < 0) {
        duet_error_set_errno(error, errno, "cannot make the agent's memfd");
        return -1;
    }
    /* What its user namespace may not read, not even a root of that with CAP_SYS_PTRACE may trace.
     */
    if (fchmod(fd, 0111) < 0) {
        duet_error_set_errno(error, errno, "cannot close the agent's memfd to readers");
        return -1;
    }
    /* Sealed: a payload that opens /proc/1/exe must not be able to change it (CVE-2019-5736). */
    if (!duet_write_all(fd, duet_agent_start, (gsize)(duet_agent_end - duet_agent_start)) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        duet_error_set_errno(error, errno, "cannot fill the agent's memfd");
        return -1;
    }
    return duet_fd_steal(&fd);
}
