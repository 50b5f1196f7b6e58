/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest-agent.h"
#include "guest-json.h"

G_BEGIN_DECLS

/* One program in a disk guest, from the request of its start to its end. */
typedef struct _DuetGuestRun DuetGuestRun;

/**
 * DuetGuestRunEvents: may free the run.
 * @started: (nullable)
 * @ended: what @status has may be taken from it
 * @failed: @began: it was started, but what became of it is not known
 */
typedef struct {
    void (*started)(gpointer data, gint64 pid);
    void (*ended)(gpointer data, DuetGuestStatus *status);
    void (*failed)(gpointer data, const GError *error, gboolean began);
} DuetGuestRunEvents;

/**
 * duet_guest_run_new:
 * @request: of duet_guest_exec_request()
 */
DuetGuestRun *duet_guest_run_new(
    DuetGuestAgent *agent, const char *request, const DuetGuestRunEvents *events, gpointer data);
/** duet_guest_run_free: nobody asks for it any more; it runs on. */
void duet_guest_run_free(DuetGuestRun *run);

/** duet_guest_run_signal: by the guest's kill, once it is known by whom it runs. */
void duet_guest_run_signal(DuetGuestRun *run, guint signal_number);

G_END_DECLS
