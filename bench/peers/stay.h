/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "peer-run.h"

G_BEGIN_DECLS

/* Instances of foreign engines that stay, by `start`, `ready`, `exec` and `stop` of their files. */

/** duet_peer_stay_can: Returns: whether its file says how; %FALSE with @error. */
gboolean duet_peer_stay_can(const DuetPeerArm *arm, GError **error);

/**
 * duet_peer_stay_start: starts {name} and waits until it is ready.
 * @out_ns: what `start` took, from its fork to its end; `ready` is not in it, which takes as long
 *     as a process of the engine's takes
 */
gboolean duet_peer_stay_start(DuetPeerArm *arm, gint64 *out_ns, GError **error);

/** duet_peer_stay_ask: whether {name} runs `true` or, where its engine runs nothing in it, says
 * that it is ready. */
gboolean duet_peer_stay_ask(DuetPeerArm *arm, GError **error);

/**
 * duet_peer_stay_try: the whole life of one: started, asked, stopped, removed, nothing left.
 * Returns: %FALSE with @error; what is left then is to be removed.
 */
gboolean duet_peer_stay_try(DuetPeerArm *arm, GError **error);

G_END_DECLS
