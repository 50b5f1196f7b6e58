/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peers-private.h"

#include <duet/error.h>

#include "bench/instance/group.h"
#include "bench/result/json.h"
#include "stay.h"

/* One that no other run has, here or elsewhere, in what any engine takes for a name. */
char *duet_peers_name(DuetPeers *peers)
{
    const char *run = g_hash_table_lookup(peers->supply.shared, "run");

    return g_strdup_printf("%s-%06u", run, peers->n_names++);
}

/* An arm is known by its name alone, in the result file as well. */
static gboolean check_name(const GPtrArray *list, const DuetPeer *peer, GError **error)
{
    DuetKind kind;

    if (duet_kind_from_string(peer->name, &kind)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "the peer of '%s' would be named '%s', as an arm of duet's own; give its file another "
            "name",
            peer->origin, peer->name);
        return FALSE;
    }
    for (guint i = 0; i < list->len; i++) {
        const DuetPeer *other = g_ptr_array_index(list, i);
        if (!g_str_equal(other->name, peer->name))
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "the peer '%s' is named twice: '%s' and '%s'", peer->name, other->origin, peer->origin);
        return FALSE;
    }
    return TRUE;
}

/* @peer: (transfer full) (nullable): it could not be read */
static gboolean add_peer(GPtrArray *list, DuetPeer *peer, GError **error)
{
    if (!peer)
        return FALSE;
    if (!check_name(list, peer, error)) {
        duet_peer_free(peer);
        return FALSE;
    }
    g_ptr_array_add(list, peer);
    return TRUE;
}

static GPtrArray *read_files(const DuetBenchRequest *request, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)duet_peer_free);
    g_auto(GStrv) names = request->peers && g_str_equal(request->peers, "all")
        ? duet_peer_names()
        : g_strsplit(request->peers ? request->peers : "", ",", -1);

    for (char **name = names; *name; name++) {
        if (!add_peer(list, duet_peer_find(g_strstrip(*name), error), error))
            return NULL;
    }
    for (char *const *file = request->peer_files; file && *file; file++) {
        if (!add_peer(list, duet_peer_load(*file, error), error))
            return NULL;
    }
    return g_steal_pointer(&list);
}

static void undo_prepare(DuetPeerArm *arm, GPtrArray *warnings)
{
    g_autoptr(GError) failure = NULL;

    if (!duet_peer_arm_do(arm, DUET_PEER_CLEANUP, NULL, &failure) && warnings)
        g_ptr_array_add(warnings,
            g_strdup_printf(
                "the peer '%s' was not cleaned up: %s", arm->peer->name, failure->message));
}

/* Undoes all that was done for them. @warnings: (nullable) */
static void undo_all(DuetPeers *peers, GPtrArray *warnings)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < peers->arms->len; i++) {
        DuetPeerArm *arm = g_ptr_array_index(peers->arms, i);
        /* Whatever it is of: none may stay. */
        arm->many = FALSE;
        duet_peer_arm_remove(arm);
        undo_prepare(arm, warnings);
    }
    if (!duet_peer_supply_clear(&peers->supply, &error) && warnings)
        g_ptr_array_add(warnings,
            g_strdup_printf("not all that peers were given is removed: %s", error->message));
}

/* ---- what the guard does after we died ---- */

static void guard_remove(gint who, const char *name, gpointer data)
{
    DuetPeers *peers = data;

    if (who < 0) {
        duet_peers_remove_ours(peers, name);
        return;
    }
    DuetPeerArm *arm = duet_peers_arm(peers, (guint)who);
    if (!duet_peer_arm_name(arm, name, NULL))
        return;
    duet_peer_arm_remove(arm);
    /* Waits until its processes are gone. */
    g_free(duet_peer_arm_left(arm));
}

static void guard_undo(gpointer data)
{
    DuetPeers *peers = data;

    duet_peer_pool_free(peers->pool);
    undo_all(peers, NULL);
}

static const DuetPeerGuardOps guard_ops = {
    .remove = guard_remove,
    .undo = guard_undo,
};

void duet_peers_tell(DuetPeers *peers, const DuetPeerArm *arm, const char *name, gboolean is_there)
{
    guint who;

    duet_peer_guard_tell(peers->guard,
        arm && g_ptr_array_find(peers->arms, arm, &who) ? (gint)who : -1, name, is_there);
}

gboolean duet_peers_use_pool(DuetPeers *peers, DuetPeerPool *pool, GError **error)
{
    if (pool == peers->pool)
        return TRUE;
    peers->pool = pool;
    if (duet_peer_guard_renew(peers->guard, error))
        return TRUE;
    peers->pool = NULL;
    return FALSE;
}

/* ---- who takes part ---- */

static gboolean try_command(DuetPeers *peers, DuetPeerArm *arm, GError **error)
{
    g_auto(DuetLap) lap = { 0 };

    if (!duet_peer_arm_run(arm, peers->request->arms[0].spec->timeout_ms, &lap, error))
        return FALSE;
    g_autofree char *complaint = duet_lap_complaint(&lap);
    duet_peers_wants_end(peers);
    if (complaint)
        g_set_error(
            error, DUET_ERROR, DUET_ERROR_FAILED, "it can't run the command here: %s", complaint);
    return complaint == NULL;
}

/* Given the image, it shows that it can run the payload. */
static gboolean try_peer(DuetPeers *peers, DuetPeerArm *arm, GError **error)
{
    g_autofree char *name = duet_peers_name(peers);

    if (!duet_peer_arm_name(arm, name, error) ||
        !duet_peer_arm_do(arm, DUET_PEER_PREPARE, NULL, error))
        return FALSE;
    duet_peers_tell(peers, arm, name, TRUE);
    gboolean good = peers->use == DUET_PEERS_INSTANCES ? duet_peer_stay_try(arm, error)
                                                       : try_command(peers, arm, error);
    if (!good)
        duet_peer_arm_remove(arm);
    duet_peers_tell(peers, arm, name, FALSE);
    return good;
}

static void skip(DuetPeers *peers, const DuetPeer *peer, const GError *why)
{
    char *line = g_strdup_printf("the peer '%s' is left out: %s", peer->name, why->message);

    g_ptr_array_add(peers->skipped, line);
    if (peers->request->notice)
        peers->request->notice(line);
}

/* A budget that neither the kernel can keep nor we can measure would be none. */
static gboolean check_budget(DuetPeers *peers, DuetPeerArm *arm, GError **error)
{
    guint64 budget_bytes = peers->request->density.budget_bytes;
    g_autoptr(GError) why = NULL;

    if (budget_bytes == 0 || duet_peer_has_members(arm->peer))
        return TRUE;
    g_autoptr(DuetPeerPool) pool =
        duet_peer_pool_new(arm, peers->request->arms[0].spec, budget_bytes, &why);
    if (!pool)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "of a memory budget nothing would tell what it uses: {name} is in none of the keys "
            "'pid-file', 'cgroup' and 'process' of its file, and %s",
            why->message);
    return pool != NULL;
}

static gboolean check_use(DuetPeers *peers, DuetPeerArm *arm, GError **error)
{
    return peers->use != DUET_PEERS_INSTANCES ||
        (duet_peer_stay_can(arm, error) && check_budget(peers, arm, error));
}

/* Makes what its file asks for; the guard knows of it before the engine does. */
static gboolean supply(DuetPeers *peers, DuetPeerArm *arm, GError **error)
{
    GHashTable *values = duet_peer_supply_values(&peers->supply, arm->peer, error);

    if (!values)
        return FALSE;
    g_hash_table_unref(arm->values);
    arm->values = values;
    return duet_peer_guard_renew(peers->guard, error);
}

/* @peer: (transfer full). Returns: (transfer none): an arm of @peers. */
static DuetPeerArm *add_arm(DuetPeers *peers, DuetPeer *peer)
{
    DuetPeerArm *arm = g_new0(DuetPeerArm, 1);

    arm->peer = peer;
    arm->argv = peers->request->arms[0].spec->argv;
    arm->session = duet_peer_guard_session(peers->guard);
    arm->many = peers->use == DUET_PEERS_INSTANCES;
    arm->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    duet_peer_arm_begin(arm);
    g_ptr_array_add(peers->arms, arm);
    return arm;
}

/* @peer: (transfer full). Left out if it can't. */
static void admit(DuetPeers *peers, DuetPeer *peer)
{
    DuetPeerArm *arm = add_arm(peers, peer);
    g_autoptr(GError) why = NULL;

    if (peers->request->progress) {
        g_autofree char *line = g_strdup_printf("preparing the peer %s", peer->name);
        peers->request->progress(line, peers->request->progress_data);
    }
    if (duet_peer_arm_needs(arm, &why) && check_use(peers, arm, &why) && supply(peers, arm, &why)) {
        if (try_peer(peers, arm, &why))
            return;
        duet_peer_arm_do(arm, DUET_PEER_CLEANUP, NULL, NULL);
    }
    if (!duet_peers_wants_end(peers))
        skip(peers, peer, why);
    g_ptr_array_remove(peers->arms, arm);
}

static gboolean has_more_limits(const DuetSpec *spec)
{
    return spec->memory_swap_bytes != 0 || spec->memory_reservation_bytes != 0 ||
        spec->cpu_shares != 0 || spec->cpu_period_us != 0 || spec->cpuset_cpus ||
        spec->cpuset_mems || spec->blkio_weight != 0 || spec->io_limits || spec->hugetlb;
}

static gboolean has_attributes(const DuetSpec *spec)
{
    return spec->ulimits || spec->groups || spec->sysctls || spec->shm_bytes != 0 ||
        spec->oom_score_adj != DUET_OOM_SCORE_ADJ_OF_CALLER || spec->devices || spec->apparmor ||
        spec->masks || spec->unmasks || spec->monotonic_s != 0 || spec->boottime_s != 0;
}

static gboolean check_spec(const DuetSpec *spec, GError **error)
{
    if (spec->mounts->len == 0 && spec->tmpfs->len == 0 && !spec->readonly && !spec->seccomp &&
        spec->capabilities == DUET_CAPABILITIES_OF_KIND && !has_more_limits(spec) &&
        !has_attributes(spec) && spec->argv[0])
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "peers can't be given -v, --tmpfs, --read-only, capabilities, a seccomp profile, or limits "
        "and attributes beside --memory, --cpus and --pids-limit: leave either out");
    return FALSE;
}

DuetPeers *duet_peers_open(const DuetBenchRequest *request, DuetPeersUse use, GError **error)
{
    const DuetSpec *spec = request->arms[0].spec;
    g_autoptr(GPtrArray) list = check_spec(spec, error) ? read_files(request, error) : NULL;

    if (!list)
        return NULL;
    DuetPeers *peers = g_new0(DuetPeers, 1);
    peers->request = request;
    peers->use = use;
    peers->arms = g_ptr_array_new_with_free_func((GDestroyNotify)duet_peer_arm_free);
    peers->skipped = g_ptr_array_new_with_free_func(g_free);
    duet_hold_signals(&peers->old_signals);
    if (duet_peer_supply_init(&peers->supply, request->context, spec, error))
        peers->guard = duet_peer_guard_new(&guard_ops, peers, error);
    while (peers->guard && list->len > 0 && !duet_peers_wants_end(peers))
        admit(peers, g_ptr_array_steal_index(list, 0));
    if (request->progress)
        request->progress(NULL, request->progress_data);
    if (peers->guard && !peers->interrupted)
        return peers;
    if (peers->guard)
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, "interrupted");
    duet_peers_close(peers, NULL);
    return NULL;
}

DuetPeerArm *duet_peers_arm(DuetPeers *peers, guint i)
{
    return g_ptr_array_index(peers->arms, i);
}

guint duet_peers_count(const DuetPeers *peers)
{
    return peers ? peers->arms->len : 0;
}

/* Of guests whose size the file takes from us, whatever the arm's limits say of it. */
static void tell_guest(JsonObject *driver, const DuetPeerArm *arm)
{
    static const struct {
        const char *placeholder, *fact;
        guint shift;
    } sizes[] = {
        { "memory-mib", DUET_RUN_PEER_GUEST_MEMORY, 20 },
        { "cpus", DUET_RUN_PEER_GUEST_CPUS, 0 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const char *text = g_hash_table_lookup(arm->values, sizes[i].placeholder);
        if (text && duet_peer_uses(arm->peer, sizes[i].placeholder))
            json_object_set_int_member(driver, sizes[i].fact,
                (gint64)(g_ascii_strtoull(text, NULL, 10) << sizes[i].shift));
    }
}

static void join_arm(DuetRun *run, const DuetPeerArm *arm, DuetPeersUse use, const DuetRunArm *like)
{
    DuetRunArm *to = duet_run_arm_new(arm->peer->name, DUET_RUN_ARM_PEER);

    to->image_ref = g_strdup(like->image_ref);
    to->image_digest = g_strdup(like->image_digest);
    to->argv = g_strdupv((char **)arm->argv);
    to->memory_bytes = like->memory_bytes;
    to->cpus = like->cpus;
    to->pids_limit = like->pids_limit;
    to->driver = json_object_new();
    if (duet_peer_uses_guest(arm->peer)) {
        const char *accel = g_hash_table_lookup(arm->values, "accel");
        duet_json_set_string(to->driver, "accel", accel);
    }
    duet_json_set_string(to->driver, "peer_kind", arm->peer->kind);
    if (g_str_equal(arm->peer->kind, "vm"))
        tell_guest(to->driver, arm);
    duet_json_set_string(to->driver, "peer_version", arm->version);
    duet_json_set_string(to->driver, "peer_file", arm->peer->origin);
    DuetPeerVerb verb = use == DUET_PEERS_INSTANCES ? DUET_PEER_START : DUET_PEER_RUN;
    g_autofree char *key = g_strdup_printf("peer_%s", duet_peer_verb_to_string(verb));
    char **words = g_ptr_array_index(arm->peer->commands[verb], 0);
    duet_json_set_strings(to->driver, key, words, g_strv_length(words));
    g_ptr_array_add(run->arms, to);
}

void duet_peers_join(DuetPeers *peers, DuetRun *run)
{
    for (guint i = 0; i < peers->arms->len; i++)
        join_arm(run, g_ptr_array_index(peers->arms, i), peers->use, duet_run_arm(run, 0));
    for (guint i = 0; i < peers->skipped->len; i++)
        g_ptr_array_add(run->skipped, g_strdup(g_ptr_array_index(peers->skipped, i)));
}

void duet_peers_close(DuetPeers *peers, GPtrArray *warnings)
{
    if (!peers)
        return;
    undo_all(peers, warnings);
    duet_peer_guard_free(peers->guard);
    duet_release_signals(&peers->old_signals);
    g_ptr_array_unref(peers->arms);
    g_ptr_array_unref(peers->skipped);
    g_free(peers);
}

void duet_peers_free(DuetPeers *peers)
{
    duet_peers_close(peers, NULL);
}
