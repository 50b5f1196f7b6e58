/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest-agent.h"
#include "guest-places.h"
#include "core/monitor/link.h"

G_BEGIN_DECLS

/*
 * `exec` in a disk guest: the sessions of the monitor's protocol, carried out by QEMU's guest
 * agent. That takes all input with the request and gives all output with the program's end; it has
 * no terminals. Copies and lists of processes are errands: guest-errand.h.
 */
typedef struct _DuetGuestExecs DuetGuestExecs;

/**
 * duet_guest_execs_new:
 * @monitor: where frames go
 * @places: (transfer none)
 */
DuetGuestExecs *duet_guest_execs_new(
    DuetLink *monitor, DuetGuestAgent *agent, DuetGuestPlaces *places);
void duet_guest_execs_free(DuetGuestExecs *execs);

/** duet_guest_execs_set_agent: whether the guest's agent is there; no exec begins without. */
void duet_guest_execs_set_agent(DuetGuestExecs *execs, gboolean is_there);

/** duet_guest_execs_has_errand: Returns: whether one is under way, which leaves files in the guest
 * until its end. */
gboolean duet_guest_execs_has_errand(const DuetGuestExecs *execs);

/** duet_guest_execs_frame: takes a frame of a session other than 0. */
void duet_guest_execs_frame(DuetGuestExecs *execs, const struct duet_frame *frame);

G_END_DECLS
