/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "group.h"

#include <errno.h>

#include <duet/error.h>

#include "core/util.h"
#include "instance-sampler.h"
#include "leftover.h"

/* So often it is looked whether the host still has memory while instances grow. */
#define WATCH_NS G_GINT64_CONSTANT(1000000000)

typedef struct {
    DuetInstance *instance;
    DuetInfo *info;
    char *id;
} DuetGroupMember;

static void member_free(gpointer data)
{
    DuetGroupMember *member = data;

    duet_instance_free(member->instance);
    duet_info_free(member->info);
    g_free(member->id);
    g_free(member);
}

void duet_hold_signals(sigset_t *out_old)
{
    sigset_t set;

    duet_signals_ending(&set);
    sigprocmask(SIG_BLOCK, &set, out_old);
}

gboolean duet_release_signals(const sigset_t *old)
{
    static const struct timespec at_once = { 0 };
    gboolean came = FALSE;
    sigset_t set;

    duet_signals_ending(&set);
    while (sigtimedwait(&set, NULL, &at_once) > 0)
        came = TRUE;
    sigprocmask(SIG_SETMASK, old, NULL);
    return came;
}

gboolean duet_signal_waits(void)
{
    sigset_t pending, set;

    duet_signals_ending(&set);
    sigpending(&pending);
    sigandset(&pending, &pending, &set);
    return !sigisemptyset(&pending);
}

void duet_group_init(DuetGroup *group, DuetContext *context, const DuetSpec *spec)
{
    *group = (DuetGroup){
        .context = context,
        .spec = spec,
        .members = g_ptr_array_new_with_free_func(member_free),
        .read_host = duet_host_memory_read,
    };
    duet_hold_signals(&group->old_signals);
}

/* Sleeps. Returns: FALSE with @error as soon as the user wants an end. */
static gboolean sleep_for(DuetGroup *group, gint64 ns, GError **error)
{
    sigset_t set;
    gint64 end = duet_now_ns() + ns;

    duet_signals_ending(&set);
    while (!group->interrupted) {
        gint64 left = MAX(end - duet_now_ns(), 0);
        struct timespec wait = { .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
        if (sigtimedwait(&set, NULL, &wait) > 0)
            group->interrupted = TRUE;
        else if (errno != EINTR)
            return TRUE;
    }
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, "the user interrupted");
    return FALSE;
}

static gboolean host_has_room(DuetGroup *group, GError **error)
{
    DuetHostMemory host;

    if (!group->read_host(&host, error))
        return FALSE;
    group->no_room = !duet_host_memory_check(&host, group->option, error);
    return !group->no_room;
}

gboolean duet_group_start(DuetGroup *group, GError **error)
{
    if (!sleep_for(group, 0, error) || !host_has_room(group, error))
        return FALSE;
    DuetSpec *spec = duet_bench_spec_copy(group->spec, error);
    if (!spec)
        return FALSE;
    /* Its end is ours to see; an instance that removes itself could not be asked why it ended. */
    spec->remove_at_exit = FALSE;
    spec->idle |= group->idle;
    spec->timeout_ms = 0;
    g_autofree char *id = g_strdup(spec->id);
    DuetInstance *instance = duet_instance_create(group->context, spec, error);
    if (!instance)
        return FALSE;
    DuetGroupMember *member = g_new0(DuetGroupMember, 1);
    member->instance = instance;
    member->id = g_steal_pointer(&id);
    /* From here on it is to be removed, whether it started or not. */
    g_ptr_array_add(group->members, member);
    if (!duet_instance_start_quietly(instance, error))
        return FALSE;
    member->info = duet_instance_info(instance, error);
    if (!member->info)
        return FALSE;
    duet_marks_set(&member->info->marks, DUET_MARK_EXEC);
    return TRUE;
}

const DuetInfo *duet_group_info(const DuetGroup *group, guint index)
{
    const DuetGroupMember *member = group->members->pdata[index];

    return member->info;
}

DuetInstance *duet_group_instance(DuetGroup *group, guint index)
{
    DuetGroupMember *member = group->members->pdata[index];

    return member->instance;
}

GVariant *duet_group_facts(DuetGroup *group)
{
    const DuetGroupMember *first = group->members->len > 0 ? group->members->pdata[0] : NULL;

    return first && first->info && first->info->facts ? g_variant_ref(first->info->facts) : NULL;
}

static gint64 born_ns(const DuetGroupMember *member)
{
    return member->info->marks.ns[DUET_MARK_EXEC];
}

static gboolean wait_until(DuetGroup *group, gint64 until, GError **error)
{
    for (gint64 left; (left = until - duet_now_ns()) > 0;)
        if (!sleep_for(group, MIN(left, WATCH_NS), error) || !host_has_room(group, error))
            return FALSE;
    return sleep_for(group, 0, error);
}

gboolean duet_group_pause(DuetGroup *group, guint ms, GError **error)
{
    return wait_until(group, duet_now_ns() + ms * G_GINT64_CONSTANT(1000000), error);
}

gboolean duet_group_wait(DuetGroup *group, guint age_ms, GError **error)
{
    gint64 youngest = group->members->len > 0 ? 0 : duet_now_ns();

    for (guint i = 0; i < group->members->len; i++)
        youngest = MAX(youngest, born_ns(group->members->pdata[i]));
    return wait_until(group, youngest + age_ms * G_GINT64_CONSTANT(1000000), error);
}

gboolean duet_group_read(
    DuetGroup *group, guint index, DuetMemory *out_memory, gint64 *out_age_ns, GError **error)
{
    DuetGroupMember *member = group->members->pdata[index];
    g_autoptr(DuetInfo) now = duet_instance_info(member->instance, error);

    if (!now)
        return FALSE;
    if (now->state != DUET_STATE_RUNNING) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "an instance ended with code %d before it was measured", now->exit_code);
        return FALSE;
    }
    if (!duet_instance_memory(member->instance, out_memory, error))
        return FALSE;
    *out_age_ns = duet_now_ns() - born_ns(member);
    return TRUE;
}

/* Each is told to end before the first is checked: the checks wait for monitors. */
static void end_from(DuetGroup *group, guint from, GPtrArray *warnings)
{
    for (guint i = from; i < group->members->len; i++) {
        DuetGroupMember *member = group->members->pdata[i];
        g_autoptr(GError) error = NULL;
        if (!duet_instance_remove(member->instance, TRUE, &error))
            g_ptr_array_add(warnings, g_strdup(error->message));
    }
}

static void check_from(DuetGroup *group, guint from, GPtrArray *warnings)
{
    for (guint i = from; i < group->members->len; i++) {
        DuetGroupMember *member = group->members->pdata[i];
        g_autoptr(DuetSample) finds = duet_sample_new(0, 0, 0);
        duet_leftover_check(group->context, member->id, member->info, finds);
        for (guint w = 0; w < finds->warnings->len; w++)
            g_ptr_array_add(warnings, g_strdup(g_ptr_array_index(finds->warnings, w)));
    }
}

void duet_group_drop_last(DuetGroup *group, guint keep, gboolean *out_oom, GPtrArray *warnings)
{
    *out_oom = FALSE;
    if (group->members->len <= keep)
        return;
    for (guint i = keep; i < group->members->len; i++) {
        DuetGroupMember *member = group->members->pdata[i];
        if (!member->info)
            member->info = duet_instance_info(member->instance, NULL);
        *out_oom |= member->info && member->info->oom;
    }
    end_from(group, keep, warnings);
    check_from(group, keep, warnings);
    g_ptr_array_set_size(group->members, (int)keep);
}

void duet_group_clear(DuetGroup *group, GPtrArray *warnings)
{
    end_from(group, 0, warnings);
    check_from(group, 0, warnings);
    g_clear_pointer(&group->members, g_ptr_array_unref);
    /* A signal that came meanwhile is the user's wish as well, and must not kill us now. */
    group->interrupted |= duet_release_signals(&group->old_signals);
}
