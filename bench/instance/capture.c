/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

/* A process that inherited the write end may outlive the writer: then the end never comes, but
 * all that was written was read long before. */
#define PATIENCE_MS 1000

/* Shared with the child. The digest is set last, when all was read. */
typedef struct {
    guint64 total;
    char sha256[65];
    char kept[DUET_CAPTURE_KEPT_BYTES];
} Shared;

struct _DuetCapture {
    Shared *shared;
    int write_fd;
    pid_t pid;
};

void duet_captured_free(DuetCaptured *captured)
{
    if (!captured)
        return;
    g_bytes_unref(captured->kept);
    g_free(captured->sha256);
    g_free(captured);
}

static void publish_digest(Shared *shared, const GChecksum *checksum)
{
    g_autoptr(GChecksum) copy = g_checksum_copy(checksum);

    memcpy(shared->sha256, g_checksum_get_string(copy), sizeof shared->sha256);
}

/* In the child: it was forked from a process without threads, so GLib may be used. */
static void drain(int fd, Shared *shared)
{
    static const gsize chunk_bytes = 256 * 1024;
    g_autofree guchar *chunk = g_malloc(chunk_bytes);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);

    publish_digest(shared, checksum);
    for (;;) {
        ssize_t n = read(fd, chunk, chunk_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        if (shared->total < DUET_CAPTURE_KEPT_BYTES)
            memcpy(shared->kept + shared->total, chunk,
                MIN((guint64)n, DUET_CAPTURE_KEPT_BYTES - shared->total));
        g_checksum_update(checksum, chunk, n);
        publish_digest(shared, checksum);
        shared->total += n;
    }
}

DuetCapture *duet_capture_new(GError **error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        duet_error_set_errno(error, errno, "cannot make a pipe for the output");
        return NULL;
    }
    DUET_AUTO_FD read_fd = ends[0];
    DUET_AUTO_FD write_fd = ends[1];
    Shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        duet_error_set_errno(error, errno, "cannot map memory for the output");
        return NULL;
    }
    pid_t pid = fork();
    if (pid < 0) {
        duet_error_set_errno(error, errno, "cannot fork to collect the output");
        munmap(shared, sizeof *shared);
        return NULL;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* What the terminal sends is for the payload; this one ends with its input. */
        signal(SIGINT, SIG_IGN);
        /* Nothing that was inherited may stay open, another capture's write end least of all. */
        dup2(read_fd, STDIN_FILENO);
        close_range(STDERR_FILENO + 1, ~0u, 0);
        drain(STDIN_FILENO, shared);
        _exit(0);
    }

    DuetCapture *capture = g_new0(DuetCapture, 1);
    capture->shared = shared;
    capture->write_fd = duet_fd_steal(&write_fd);
    capture->pid = pid;
    return capture;
}

int duet_capture_fd(DuetCapture *capture)
{
    return capture->write_fd;
}

static void end_child(pid_t pid)
{
    DUET_AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd wait = { .fd = pidfd, .events = POLLIN };
    int ready;

    do
        ready = pidfd < 0 ? 0 : poll(&wait, 1, PATIENCE_MS);
    while (ready < 0 && errno == EINTR);
    if (ready != 1)
        kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

DuetCaptured *duet_capture_finish(DuetCapture *capture)
{
    DuetCaptured *captured = g_new0(DuetCaptured, 1);
    const Shared *shared = capture->shared;

    duet_fd_clear(&capture->write_fd);
    end_child(capture->pid);
    captured->total = shared->total;
    captured->kept =
        g_bytes_new(shared->kept, MIN(shared->total, (guint64)DUET_CAPTURE_KEPT_BYTES));
    captured->sha256 = g_strndup(shared->sha256, 64);
    munmap(capture->shared, sizeof *capture->shared);
    g_free(capture);
    return captured;
}
