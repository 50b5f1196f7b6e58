/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/open-as.h"
#include "core/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
    const char *path;
    int mode;
    guint32 uid, gid;
    int err;
} Attempt;

static gpointer attempt_open(gpointer data)
{
    Attempt *attempt = data;
    /* The raw call: the C library's is for all threads. */
    syscall(SYS_setgroups, 0, NULL);
    setfsgid((gid_t)attempt->gid);
    setfsuid((uid_t)attempt->uid);
    DUET_AUTO_FD fd = open(attempt->path, attempt->mode | O_CLOEXEC);
    attempt->err = fd < 0 ? errno : 0;
    return NULL;
}

/* In a thread of its own: whoever takes other ids lives on when its parent dies, and the worker
 * must not. */
gboolean duet_vm_can_open(const char *path, int mode, guint32 uid, guint32 gid)
{
    Attempt attempt = { path, mode, uid, gid, 0 };
    g_thread_join(g_thread_new("can-open", attempt_open, &attempt));
    errno = attempt.err;
    return attempt.err == 0;
}
