/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest-agent.h"
#include "guest-proxy.h"
#include "core/monitor/link.h"

#include <duet/protocol.h>

G_BEGIN_DECLS

/*
 * A disk guest's part in a change of what it has: what it can spare its balloon tells, whose driver
 * most systems have; CPUs that were plugged in are switched on by its guest agent, if it has one.
 */
typedef struct _DuetGuestChange DuetGuestChange;

/**
 * duet_guest_change_new:
 * @monitor: where the answers go; outlives it
 * @agent: is freed before it
 * @host: of the proxy, with @host_data
 */
DuetGuestChange *duet_guest_change_new(
    DuetLink *monitor, DuetGuestAgent *agent, const DuetGuestHost *host, gpointer host_data);
void duet_guest_change_free(DuetGuestChange *change);

void duet_guest_change_set_agent(DuetGuestChange *change, gboolean is_there);
/** duet_guest_change_frame: takes CHANGE, and will answer it. */
void duet_guest_change_frame(DuetGuestChange *change, const struct duet_frame *frame);

G_END_DECLS
