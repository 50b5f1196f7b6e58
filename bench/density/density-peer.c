/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instances of a foreign engine, as a crowd. */
#include <fcntl.h>
#include <string.h>

#include <duet/error.h>
#include <duet/vm-limits.h>

#include "bench/peers/stay.h"
#include "core/memory.h"
#include "core/util.h"
#include "density-crowd.h"

#define STAT_MAX_BYTES 4096

/* @members: (element-type gint): when it had started; what came later is below them. */
typedef struct {
    char *name;
    GArray *members;
    gint64 born_ns;
} Instance;

/* @instances: (element-type Instance): the one whose start failed is not in it. */
typedef struct {
    DuetDensityCrowd crowd;
    DuetPeers *peers;
    DuetPeerArm *arm;
    DuetPeerPool *pool;
    GPtrArray *instances;
    char *starting;
} Foreign;

static void instance_free(gpointer data)
{
    Instance *instance = data;

    g_free(instance->name);
    g_array_unref(instance->members);
    g_free(instance);
}

static Instance *instance_at(DuetDensityCrowd *crowd, guint i)
{
    return g_ptr_array_index(((Foreign *)crowd)->instances, i);
}

static void take_members(Foreign *foreign)
{
    Instance *instance = g_new0(Instance, 1);

    instance->name = g_steal_pointer(&foreign->starting);
    instance->members = duet_peer_arm_members(foreign->arm);
    instance->born_ns = duet_now_ns();
    g_ptr_array_add(foreign->instances, instance);
    foreign->crowd.count++;
}

static gboolean start(
    DuetDensityCrowd *crowd, DuetRun *run, DuetSample *sample, gint64 *out_ns, GError **error)
{
    Foreign *foreign = (Foreign *)crowd;

    (void)run;
    if (!duet_group_wait(&crowd->group, 0, error))
        return FALSE;
    foreign->starting = duet_peers_name(foreign->peers);
    if (!duet_peer_arm_name(foreign->arm, foreign->starting, error))
        return FALSE;
    duet_peers_tell(foreign->peers, foreign->arm, foreign->starting, TRUE);
    if (!duet_peer_stay_start(foreign->arm, out_ns, error)) {
        /* Where it was the user's signal that ended it, it is taken here. */
        duet_group_wait(&crowd->group, 0, NULL);
        return FALSE;
    }
    sample->command_exit_ns = *out_ns;
    take_members(foreign);
    return TRUE;
}

/* Returns: (transfer full) (nullable): what could not be removed of an instance. */
static char *remove_one(Foreign *foreign, const char *name)
{
    g_autoptr(GError) error = NULL;

    if (!duet_peer_arm_name(foreign->arm, name, &error))
        return g_strdup(error->message);
    duet_peer_arm_remove(foreign->arm);
    char *left = duet_peer_arm_left(foreign->arm);
    if (!left)
        duet_peers_tell(foreign->peers, foreign->arm, name, FALSE);
    return left;
}

static void drop_failed(DuetDensityCrowd *crowd, DuetSample *sample)
{
    Foreign *foreign = (Foreign *)crowd;

    if (!foreign->starting)
        return;
    g_autofree char *left = remove_one(foreign, foreign->starting);
    if (left)
        duet_sample_warn(sample, "left behind by '%s': %s", foreign->arm->peer->name, left);
    g_clear_pointer(&foreign->starting, g_free);
}

/* One that nobody has reaped yet has ended as well. */
static gboolean has_ended(gint pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, STAT_MAX_BYTES, NULL, NULL);
    const char *state = text ? strrchr(text, ')') : NULL;

    return !state || state[1] != ' ' || state[2] == 'Z' || state[2] == 'X';
}

/* Of an engine that names no process of an instance nothing is seen before it is asked. */
static gboolean is_gone(const Instance *instance)
{
    for (guint i = 0; i < instance->members->len; i++) {
        if (has_ended(g_array_index(instance->members, gint, i)))
            return TRUE;
    }
    return FALSE;
}

static char *find_ended(DuetDensityCrowd *crowd, gboolean *out_oom)
{
    *out_oom = FALSE;
    for (guint i = 0; i < crowd->count; i++) {
        if (is_gone(instance_at(crowd, i)))
            return g_strdup_printf("a process of number %u ended", i + 1);
    }
    return NULL;
}

static guint64 used_bytes(DuetDensityCrowd *crowd)
{
    const Foreign *foreign = (Foreign *)crowd;
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(gint));

    if (foreign->pool)
        return duet_peer_pool_used(foreign->pool);
    for (guint i = 0; i < crowd->count; i++) {
        const GArray *members = instance_at(crowd, i)->members;
        g_array_append_vals(all, members->data, members->len);
    }
    return duet_processes_pss(all);
}

/* Which of its processes manage and which are the payload's, its file does not say. */
static void read_memory(DuetDensityCrowd *crowd, DuetMemoryPoint *point)
{
    for (guint i = 0; i < crowd->count; i++) {
        const Instance *instance = instance_at(crowd, i);
        DuetInstanceMemory one = {
            .age_ns = duet_now_ns() - instance->born_ns,
            .memory = { .payload_pss_bytes = duet_processes_pss(instance->members) },
        };
        if (!is_gone(instance) && one.memory.payload_pss_bytes > 0)
            g_array_append_val(point->instances, one);
    }
}

static DuetDensityAnswer ask_one(Foreign *foreign, const Instance *instance)
{
    g_autoptr(GError) error = NULL;

    /* Of one that has ended an engine may still say that it is ready. */
    if (is_gone(instance))
        return DUET_DENSITY_ENDED;
    if (!duet_peer_arm_name(foreign->arm, instance->name, NULL))
        return DUET_DENSITY_SILENT;
    if (duet_peer_stay_ask(foreign->arm, &error) ||
        g_error_matches(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND))
        return DUET_DENSITY_ANSWERED;
    return is_gone(instance) ? DUET_DENSITY_ENDED : DUET_DENSITY_SILENT;
}

static void ask(DuetDensityCrowd *crowd, guint timeout_ms, DuetDensityAnswer *out_answers)
{
    (void)timeout_ms;
    for (guint i = 0; i < crowd->count; i++)
        out_answers[i] = DUET_DENSITY_SILENT;
    for (guint i = 0; i < crowd->count && duet_group_wait(&crowd->group, 0, NULL); i++)
        out_answers[i] = ask_one((Foreign *)crowd, instance_at(crowd, i));
}

static void clear(DuetDensityCrowd *crowd, GPtrArray *warnings)
{
    Foreign *foreign = (Foreign *)crowd;

    for (guint i = 0; i < crowd->count; i++) {
        g_autofree char *left = remove_one(foreign, instance_at(crowd, i)->name);
        if (left)
            g_ptr_array_add(warnings, g_strdup_printf("left behind: %s", left));
    }
    duet_group_clear(&crowd->group, warnings);
    duet_peer_pool_free(foreign->pool);
    duet_peers_use_pool(foreign->peers, NULL, NULL);
    g_ptr_array_unref(foreign->instances);
    g_free(foreign->starting);
}

static const DuetDensityCrowdOps ops = {
    .start = start,
    .drop_failed = drop_failed,
    .find_ended = find_ended,
    .used_bytes = used_bytes,
    .read_memory = read_memory,
    .ask = ask,
    .clear = clear,
};

static guint64 reserved_of(const DuetPeer *peer, const DuetSpec *spec)
{
    if (!g_str_equal(peer->kind, "vm"))
        return spec->memory_bytes;
    return spec->memory_bytes ? spec->memory_bytes : DUET_VM_MEMORY_DEFAULT_BYTES;
}

DuetDensityCrowd *duet_density_peer_new(const DuetBenchRequest *request, DuetPeers *peers,
    guint peer, guint64 limit_bytes, GError **error)
{
    const DuetSpec *spec = request->arms[0].spec;
    DuetPeerArm *arm = duet_peers_arm(peers, peer);
    g_autoptr(GError) why = NULL;
    g_autoptr(DuetPeerPool) pool =
        limit_bytes > 0 ? duet_peer_pool_new(arm, spec, limit_bytes, &why) : NULL;

    if (!duet_peers_use_pool(peers, pool, error))
        return NULL;
    Foreign *foreign = g_new0(Foreign, 1);
    *foreign = (Foreign){ .crowd = { .ops = &ops }, .peers = peers, .arm = arm };
    foreign->instances = g_ptr_array_new_with_free_func(instance_free);
    foreign->pool = g_steal_pointer(&pool);
    foreign->crowd.pool_bytes = foreign->pool ? limit_bytes : 0;
    foreign->crowd.no_pool = why ? g_strdup(why->message) : NULL;
    foreign->crowd.reserved_bytes = reserved_of(arm->peer, spec);
    duet_group_init(&foreign->crowd.group, request->context, spec);
    return &foreign->crowd;
}
