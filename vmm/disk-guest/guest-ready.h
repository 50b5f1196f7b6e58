/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest-agent.h"
#include "guest-console.h"
#include "guest-places.h"

#include <duet/protocol.h>
#include <duet/spec.h>

G_BEGIN_DECLS

/*
 * What has to be before a disk guest counts as started: what spec->wait says, and its folders,
 * which are mounted there by its guest agent whenever that begins anew, as the guest may have
 * booted.
 */
typedef struct _DuetGuestReady DuetGuestReady;

/**
 * DuetGuestReadyEvents:
 * @changed: it may be ready now
 * @failed: it can't be
 */
typedef struct {
    void (*changed)(gpointer data);
    void (*failed)(gpointer data, const char *text);
} DuetGuestReadyEvents;

/**
 * duet_guest_ready_new:
 * @spec, @agent: the first outlives it; the second is freed before it
 * @places: (transfer none)
 */
DuetGuestReady *duet_guest_ready_new(const DuetSpec *spec, DuetGuestAgent *agent,
    DuetGuestPlaces *places, const DuetGuestReadyEvents *events, gpointer data);
void duet_guest_ready_free(DuetGuestReady *ready);

/** duet_guest_ready_config: takes CONFIG, which has the folders. */
void duet_guest_ready_config(DuetGuestReady *ready, const struct duet_frame *frame);
void duet_guest_ready_set_agent(DuetGuestReady *ready, gboolean is_there);
gboolean duet_guest_ready_is(const DuetGuestReady *ready, DuetGuestConsole *console);

/** duet_guest_wait_check: Returns: whether @wait is one of spec->wait; %DUET_ERROR_INVALID. */
gboolean duet_guest_wait_check(const char *wait, GError **error);

G_END_DECLS
