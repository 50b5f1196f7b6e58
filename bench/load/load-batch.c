/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load-batch.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <duet/error.h>

#include "bench/instance/group.h"
#include "bench/random.h"
#include "bench/result/run.h"
#include "core/util.h"

/* Between the gate's opening and the first start: all are awake by then. */
#define LEAD_NS G_GINT64_CONSTANT(2000000)

/* Whose turn it is to say what becomes of a start: exactly one of the two takes it from WAITING. */
enum { WAITING, BEGUN, DONE, CALLED_OFF };

typedef struct {
    atomic_int phase;
    DuetLoadStart start;
} Slot;

/* Shared by all processes of a batch. */
typedef struct {
    gint64 began_ns;
    Slot slots[];
} Shared;

typedef struct {
    const DuetLoadBatch *batch;
    Shared *shared;
    gsize shared_bytes;
    int gate[2], at_gate[2], over[2];
    pid_t parent;
    pid_t *pids;
    struct pollfd *polls;
    guint forked, alive;
    gint64 kill_ns;
    DuetLoadEnd *end;
} Work;

void duet_load_end_clear(DuetLoadEnd *end)
{
    g_clear_pointer(&end->bound, g_free);
    g_clear_pointer(&end->killed, g_array_unref);
}

void duet_load_schedule(guint level, gboolean rate, guint n, guint64 seed, gint64 *out_offsets_ns)
{
    DuetRandom random;
    double at_s = 0;

    duet_random_init(&random, seed);
    for (guint i = 0; i < n; i++) {
        double uniform = (duet_random_next(&random) >> 11) * 0x1p-53;
        at_s += rate ? -log1p(-uniform) / (level / 1000.0) : 0;
        out_offsets_ns[i] = (gint64)(at_s * 1e9);
    }
}

static void sleep_until(gint64 at_ns)
{
    struct timespec at = { .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

/* One start's process. What it starts ends with it, and it ends with us. */
G_NORETURN static void work(Work *w, guint i)
{
    Slot *slot = &w->shared->slots[i];
    int waiting = WAITING;
    char byte = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != w->parent)
        _exit(1);
    duet_fd_clear(&w->gate[1]);
    if (write(w->at_gate[1], &byte, 1) != 1)
        _exit(1);
    /* Not open any longer: of one that dies before it writes, the pipe's end tells. */
    duet_fd_clear(&w->at_gate[1]);
    while (read(w->gate[0], &byte, 1) < 0 && errno == EINTR)
        ;
    slot->start.intended_ns = w->shared->began_ns + w->batch->offsets_ns[i];
    sleep_until(slot->start.intended_ns);
    if (!atomic_compare_exchange_strong(&slot->phase, &waiting, BEGUN))
        _exit(0);
    w->batch->start(i, &slot->start, w->batch->data);
    atomic_store(&slot->phase, DONE);
    duet_fd_clear(&w->over[1]);
    while (read(w->over[0], &byte, 1) < 0 && errno == EINTR)
        ;
    if (w->batch->look)
        w->batch->look(i, &slot->start, w->batch->data);
    _exit(0);
}

static gboolean fork_one(Work *w, guint i, GError **error)
{
    pid_t pid = fork();

    if (pid == 0)
        work(w, i);
    if (pid < 0)
        return duet_error_set_errno(error, errno,
            "cannot make process %u of %u, each of which makes one start; take a lower level",
            i + 1, w->batch->n);
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        duet_error_set_errno(
            error, errno, "cannot watch process %u of %u; take a lower level", i + 1, w->batch->n);
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return FALSE;
    }
    w->pids[i] = pid;
    w->polls[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
    w->forked++;
    w->alive++;
    return TRUE;
}

/* Until each is at the gate, or has died before. */
static gboolean wait_at_gate(Work *w)
{
    char bytes[256];

    duet_fd_clear(&w->at_gate[1]);
    duet_fd_clear(&w->over[1]);
    for (guint seen = 0; seen < w->forked;) {
        ssize_t n = read(w->at_gate[0], bytes, MIN(sizeof bytes, w->forked - seen));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
        seen += (guint)n;
    }
    return TRUE;
}

/* Those that have not begun never will; the others are asked to end. */
static void call_off(Work *w)
{
    for (guint i = 0; i < w->forked; i++) {
        int waiting = WAITING;
        if (w->pids[i] == 0)
            continue;
        gboolean was_waiting =
            atomic_compare_exchange_strong(&w->shared->slots[i].phase, &waiting, CALLED_OFF);
        kill(w->pids[i], was_waiting ? SIGKILL : SIGTERM);
    }
    w->kill_ns = duet_now_ns() + w->batch->grace_ms * G_GINT64_CONSTANT(1000000);
}

static void kill_begun(Work *w)
{
    for (guint i = 0; i < w->forked; i++) {
        if (w->pids[i] == 0 || atomic_load(&w->shared->slots[i].phase) != BEGUN)
            continue;
        kill(w->pids[i], SIGKILL);
    }
    w->kill_ns = 0;
}

static void reap(Work *w, guint i)
{
    int phase, status = 0;

    while (waitpid(w->pids[i], &status, 0) < 0 && errno == EINTR)
        ;
    duet_fd_clear(&w->polls[i].fd);
    phase = atomic_load(&w->shared->slots[i].phase);
    if (phase == BEGUN)
        g_array_append_val(w->end->killed, w->pids[i]);
    w->pids[i] = 0;
    w->alive--;
}

/* Until all have ended. */
static void watch(Work *w)
{
    gboolean called_off = FALSE;
    gint64 look_ns = 0;

    while (w->alive > 0) {
        gint64 now_ns = duet_now_ns();
        if (!called_off && now_ns >= look_ns && w->batch->watch) {
            w->end->bound = w->batch->watch(w->batch->data);
            look_ns = now_ns + w->batch->watch_ms * G_GINT64_CONSTANT(1000000);
        }
        w->end->interrupted |= duet_signal_waits();
        if (!called_off && (w->end->bound || w->end->interrupted)) {
            call_off(w);
            called_off = TRUE;
        }
        if (w->kill_ns != 0 && now_ns >= w->kill_ns)
            kill_begun(w);
        if (poll(w->polls, w->forked, (int)w->batch->watch_ms) <= 0)
            continue;
        for (guint i = 0; i < w->forked; i++) {
            if (w->polls[i].fd >= 0 && w->polls[i].revents)
                reap(w, i);
        }
    }
}

static const char *why_not(const Work *w, int phase)
{
    if (phase == DONE)
        return NULL;
    if (w->end->bound)
        return phase == BEGUN ? "ended to keep the host alive"
                              : "not tried, to keep the host alive";
    if (w->end->interrupted)
        return "the user interrupted";
    return "the process that was to start it died";
}

static void take_starts(const Work *w, DuetLoadPoint *point)
{
    point->began_ns = w->shared->began_ns;
    point->bound = g_strdup(w->end->bound);
    for (guint i = 0; i < w->batch->n; i++) {
        Slot *slot = &w->shared->slots[i];
        DuetLoadStart start = slot->start;
        const char *why = why_not(w, atomic_load(&slot->phase));
        start.intended_ns = point->began_ns + w->batch->offsets_ns[i];
        if (why) {
            start.status = DUET_SAMPLE_FAILED;
            start.exit_code = -1;
            g_strlcpy(start.error, why, sizeof start.error);
        }
        g_array_append_val(point->starts, start);
    }
}

static gboolean prepare(Work *w, GError **error)
{
    w->shared_bytes = sizeof(Shared) + w->batch->n * sizeof(Slot);
    w->shared =
        mmap(NULL, w->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w->shared == MAP_FAILED) {
        w->shared = NULL;
        return duet_error_set_errno(
            error, errno, "cannot share memory with %u processes", w->batch->n);
    }
    if (pipe2(w->gate, O_CLOEXEC) < 0 || pipe2(w->at_gate, O_CLOEXEC) < 0 ||
        pipe2(w->over, O_CLOEXEC) < 0)
        return duet_error_set_errno(error, errno, "cannot make a pipe");
    for (guint i = 0; i < w->batch->n; i++) {
        if (!fork_one(w, i, error))
            return FALSE;
    }
    return TRUE;
}

static void clear(Work *w)
{
    if (w->alive > 0) {
        call_off(w);
        watch(w);
    }
    for (int i = 0; i < 2; i++) {
        duet_fd_clear(&w->gate[i]);
        duet_fd_clear(&w->at_gate[i]);
        duet_fd_clear(&w->over[i]);
    }
    if (w->shared)
        munmap(w->shared, w->shared_bytes);
    g_free(w->pids);
    g_free(w->polls);
}

gboolean duet_load_batch_run(
    const DuetLoadBatch *batch, DuetLoadPoint *point, DuetLoadEnd *out_end, GError **error)
{
    Work w = {
        .batch = batch,
        .gate = { -1, -1 },
        .at_gate = { -1, -1 },
        .over = { -1, -1 },
        .parent = getpid(),
        .pids = g_new0(pid_t, batch->n + 1),
        .polls = g_new0(struct pollfd, batch->n + 1),
        .end = out_end,
    };

    *out_end = (DuetLoadEnd){ .killed = g_array_new(FALSE, FALSE, sizeof(pid_t)) };
    gboolean ready = prepare(&w, error) && wait_at_gate(&w);
    if (ready) {
        w.shared->began_ns = duet_now_ns() + LEAD_NS;
        duet_fd_clear(&w.gate[1]);
        watch(&w);
        take_starts(&w, point);
    } else if (error && !*error) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE,
            "a process that was to start an instance died before it could");
    }
    clear(&w);
    return ready;
}
