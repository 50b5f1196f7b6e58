/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stay.h"

#include <duet/error.h>
#include <duet/mark.h>

#include "bench/instance/group.h"

#define READY_TIMEOUT_NS G_GINT64_CONSTANT(30000000000)
#define READY_PAUSE_US 20000

static gboolean has(const DuetPeerArm *arm, DuetPeerVerb verb)
{
    return arm->peer->commands[verb]->len > 0;
}

static gboolean wait_ready(DuetPeerArm *arm, GError **error)
{
    gint64 until_ns = duet_now_ns() + READY_TIMEOUT_NS;

    for (;;) {
        g_autoptr(GError) failure = NULL;
        if (duet_peer_arm_do(arm, DUET_PEER_READY, NULL, &failure))
            return TRUE;
        if (duet_signal_waits() || duet_now_ns() > until_ns) {
            g_propagate_prefixed_error(error, g_steal_pointer(&failure), "it is not ready: ");
            return FALSE;
        }
        g_usleep(READY_PAUSE_US);
    }
}

gboolean duet_peer_stay_start(DuetPeerArm *arm, gint64 *out_ns, GError **error)
{
    return duet_peer_arm_timed(arm, DUET_PEER_START, NULL, out_ns, error) && wait_ready(arm, error);
}

gboolean duet_peer_stay_ask(DuetPeerArm *arm, GError **error)
{
    static const char *const argv[] = { "true", NULL };
    char *const *payload = arm->argv;

    if (!has(arm, DUET_PEER_EXEC))
        return duet_peer_arm_do(arm, DUET_PEER_READY, NULL, error);
    arm->argv = (char *const *)argv;
    gboolean answered = duet_peer_arm_do(arm, DUET_PEER_EXEC, NULL, error);
    arm->argv = payload;
    return answered;
}

gboolean duet_peer_stay_can(const DuetPeerArm *arm, GError **error)
{
    if (has(arm, DUET_PEER_START) && has(arm, DUET_PEER_REMOVE))
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "its file does not say how to start and to remove an instance that stays (keys 'start' and "
        "'remove')");
    return FALSE;
}

gboolean duet_peer_stay_try(DuetPeerArm *arm, GError **error)
{
    gint64 ns;

    if (!duet_peer_stay_start(arm, &ns, error) || !duet_peer_stay_ask(arm, error) ||
        !duet_peer_arm_do(arm, DUET_PEER_STOP, NULL, error))
        return FALSE;
    /* Of some `stop` removes as well, and there is nothing left to remove then. */
    duet_peer_arm_do(arm, DUET_PEER_REMOVE, NULL, NULL);
    g_autofree char *left = duet_peer_arm_left(arm);
    if (left)
        g_set_error(
            error, DUET_ERROR, DUET_ERROR_FAILED, "an instance that was removed left %s", left);
    return left == NULL;
}
