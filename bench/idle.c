/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "idle.h"

#include <errno.h>
#include <signal.h>

#include <duet/error.h>

#include "instance-sampler.h"
#include "leftover.h"

void duet_idle_clear(DuetIdle *idle)
{
    g_clear_pointer(&idle->error, g_free);
}

static void ending_signals(sigset_t *out_set)
{
    sigemptyset(out_set);
    sigaddset(out_set, SIGINT);
    sigaddset(out_set, SIGTERM);
    sigaddset(out_set, SIGHUP);
}

/* Sleeps. Returns: TRUE as soon as the user wants an end; the signals are blocked. */
static gboolean interrupted_within(gint64 ns)
{
    sigset_t set;
    gint64 end = duet_now_ns() + ns;

    ending_signals(&set);
    for (;;) {
        gint64 left = MAX(end - duet_now_ns(), 0);
        struct timespec wait = { .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
        if (sigtimedwait(&set, NULL, &wait) > 0)
            return TRUE;
        if (errno != EINTR)
            return FALSE;
    }
}

static gboolean read_memory(DuetInstance *instance, guint age_ms, DuetIdle *idle, GError **error)
{
    g_autoptr(DuetInfo) info = duet_instance_info(instance, error);
    if (!info)
        return FALSE;
    gint64 born = info->marks.ns[DUET_MARK_EXEC] ? info->marks.ns[DUET_MARK_EXEC] : duet_now_ns();
    gint64 left_ns = born + age_ms * G_GINT64_CONSTANT(1000000) - duet_now_ns();
    if (interrupted_within(left_ns)) {
        idle->interrupted = TRUE;
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, "the user interrupted");
        return FALSE;
    }
    if (!duet_instance_memory(instance, &idle->memory, error))
        return FALSE;
    idle->age_ns = duet_now_ns() - born;
    return TRUE;
}

static void check_gone(DuetContext *context, const char *id, const DuetInfo *info, DuetRun *run)
{
    g_autoptr(DuetSample) finds = duet_sample_new(0, 0, 0);

    duet_leftover_check(context, id, info, finds);
    for (guint i = 0; i < finds->warnings->len; i++)
        g_ptr_array_add(run->warnings, g_strdup(g_ptr_array_index(finds->warnings, i)));
}

static gboolean measure(DuetContext *context, const DuetBenchArm *arm, guint age_ms, DuetRun *run,
    DuetIdle *idle, GError **error)
{
    DuetSpec *spec = duet_bench_spec_copy(arm->spec, error);
    if (!spec)
        return FALSE;
    spec->idle = TRUE;
    spec->remove_at_exit = FALSE;
    g_autofree char *id = g_strdup(spec->id);
    g_autoptr(DuetInstance) instance = duet_instance_create(context, spec, error);
    if (!instance)
        return FALSE;
    gboolean read =
        duet_instance_start(instance, error) && read_memory(instance, age_ms, idle, error);
    g_autoptr(DuetInfo) info = duet_instance_info(instance, NULL);
    GError *failure = NULL;
    if (!duet_instance_remove(instance, TRUE, &failure)) {
        g_ptr_array_add(run->warnings, g_strdup(failure->message));
        g_error_free(failure);
    }
    check_gone(context, id, info, run);
    return read;
}

void duet_idle_measure(
    DuetContext *context, const DuetBenchArm *arm, guint age_ms, DuetRun *run, DuetIdle *out_idle)
{
    g_autoptr(GError) error = NULL;
    DuetIdle idle = { 0 };
    sigset_t set, old;

    /* The instance is on its own: if a signal ended us now, nobody would end it. */
    ending_signals(&set);
    sigprocmask(SIG_BLOCK, &set, &old);
    idle.measured = measure(context, arm, age_ms, run, &idle, &error);
    if (!idle.measured)
        idle.error = g_strdup(error->message);
    run->interrupted |= idle.interrupted || interrupted_within(0);
    sigprocmask(SIG_SETMASK, &old, NULL);
    *out_idle = idle;
}
