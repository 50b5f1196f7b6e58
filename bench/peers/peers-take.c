/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples of a run with peers: every arm as a whole command. */
#include "peers-private.h"

#include "core/util.h"

/* Beyond the payload's own time-out: ours ends it then, and tells. */
#define GRACE_MS 10000

/* Takes the signal: what is done to remove things must not be ended by it as well. */
gboolean duet_peers_wants_end(DuetPeers *peers)
{
    static const struct timespec at_once = { 0 };
    sigset_t set;

    duet_signals_ending(&set);
    while (sigtimedwait(&set, NULL, &at_once) > 0)
        peers->interrupted = TRUE;
    return peers->interrupted;
}

void duet_peers_measure(DuetPeers *peers, DuetInstanceSampler *ours)
{
    peers->ours = ours;
}

static void take_lap(DuetSample *sample, const DuetLap *lap)
{
    g_autofree char *complaint = duet_lap_complaint(lap);

    sample->command_output_ns = lap->output_ns;
    sample->command_exit_ns = lap->exit_ns;
    if (!complaint)
        return;
    sample->status = duet_lap_status(lap);
    sample->exit_code = lap->exit_code;
    sample->exit_signal = lap->interrupted ? SIGINT : lap->exit_signal;
    g_free(sample->error);
    sample->error = g_strdup_printf("as a whole command %s", complaint);
}

static gboolean take_peer(DuetPeers *peers, DuetPeerArm *arm, DuetSample *sample, GError **error)
{
    g_autofree char *name = duet_peers_name(peers);
    g_auto(DuetLap) lap = { 0 };

    if (!duet_peer_arm_name(arm, name, error))
        return FALSE;
    duet_peers_tell(peers, arm, name, TRUE);
    if (!duet_peer_arm_run(arm, peers->ours->run->plan->timeout_ms, &lap, error))
        return FALSE;
    duet_peers_wants_end(peers);
    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    take_lap(sample, &lap);
    g_autofree char *left = duet_peer_arm_left(arm);
    if (left)
        duet_sample_warn(sample, "left behind by '%s': %s", arm->peer->name, left);
    if (left || sample->status != DUET_SAMPLE_OK)
        duet_peer_arm_remove(arm);
    duet_peers_tell(peers, arm, name, FALSE);
    return TRUE;
}

gboolean duet_peers_remove_ours(DuetPeers *peers, const char *name)
{
    g_autoptr(DuetInstance) instance = duet_instance_open(peers->request->context, name, NULL);

    if (instance)
        duet_instance_remove(instance, TRUE, NULL);
    return instance != NULL;
}

/* The command first: what ran before it is another arm's as often as for any peer. */
static gboolean take_ours(DuetPeers *peers, DuetSample *sample, GError **error)
{
    const DuetBenchArm *arm = &peers->request->arms[sample->arm];
    if (!arm->command)
        return duet_instance_sampler_take(sample, peers->ours, error);
    g_autofree char *name = duet_peers_name(peers);
    g_auto(GStrv) words = g_strdupv((char **)arm->command);
    g_auto(DuetLap) lap = { 0 };
    gint64 timeout_ms = peers->ours->run->plan->timeout_ms;

    g_free(words[arm->command_name]);
    words[arm->command_name] = g_strdup(name);
    duet_peers_tell(peers, NULL, name, TRUE);
    if (!duet_lap_take(words, FALSE, duet_peer_guard_session(peers->guard), timeout_ms + GRACE_MS,
            &lap, NULL, error))
        return FALSE;
    lap.timed_out |= lap.exit_code != 0 && lap.exit_ns >= timeout_ms * 1000000;
    duet_peers_wants_end(peers);
    gboolean taken = lap.interrupted || duet_instance_sampler_take(sample, peers->ours, error);
    take_lap(sample, &lap);
    /* `duet run` removes what it ran; one that was killed could not. */
    if (duet_peers_remove_ours(peers, name) && sample->status == DUET_SAMPLE_OK)
        duet_sample_warn(sample, "left behind: the instance '%s' is still listed", name);
    duet_peers_tell(peers, NULL, name, FALSE);
    return taken;
}

gboolean duet_peers_take(DuetSample *sample, gpointer data, GError **error)
{
    DuetPeers *peers = data;
    gsize ours = peers->request->n_arms;

    if (sample->arm < ours)
        return take_ours(peers, sample, error);
    return take_peer(peers, g_ptr_array_index(peers->arms, sample->arm - ours), sample, error);
}

gboolean duet_peers_interrupted(const DuetSample *sample, gpointer data)
{
    DuetPeers *peers = data;

    return duet_peers_wants_end(peers) || duet_instance_sampler_interrupted(sample, peers->ours);
}
