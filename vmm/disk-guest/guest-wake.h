/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest-agent.h"
#include "guest-places.h"

G_BEGIN_DECLS

/*
 * What a disk guest that was saved can't know by itself when it goes on: the time, which its guest
 * agent sets, and, as others may go on from the same memory, randomness and a name of its own,
 * which an errand gives it. What can't be done is left out; an agent that does not answer (an
 * error of %DUET_ERROR_TIMEOUT) is asked again until it does.
 */
typedef struct _DuetGuestWake DuetGuestWake;

/**
 * duet_guest_wake_new:
 * @fields: those of GO_ON; the time is taken anew
 * @places: (transfer none)
 * @done: called once, and frees the wake
 */
DuetGuestWake *duet_guest_wake_new(DuetGuestAgent *agent, DuetGuestPlaces *places,
    const GByteArray *fields, void (*done)(gpointer data), gpointer data);
/** duet_guest_wake_has_errand: Returns: whether @wake (nullable) has a program in the guest. */
gboolean duet_guest_wake_has_errand(const DuetGuestWake *wake);
/** duet_guest_wake_free: earlier only once @agent is gone. */
void duet_guest_wake_free(DuetGuestWake *wake);

G_END_DECLS
