/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Questions to a guest agent, which may take their time, from a main loop that has none. They are
 * asked one after the other, in a thread.
 */
typedef struct _DuetGuestAgent DuetGuestAgent;

/** DuetGuestAsk: called in the thread: Returns: (transfer full): the answer, or NULL with @error.
 */
typedef char *(*DuetGuestAsk)(gpointer data, const char *request, GError **error);
/** DuetGuestAnswer: called by the default main loop; one of @reply and @error is NULL. */
typedef void (*DuetGuestAnswer)(gpointer data, const char *reply, const GError *error);

DuetGuestAgent *duet_guest_agent_new(DuetGuestAsk ask, gpointer ask_data);
/** duet_guest_agent_free: waits for the question that is under way; nobody is told answers then. */
void duet_guest_agent_free(DuetGuestAgent *agent);

/**
 * duet_guest_agent_call:
 * @answer: (nullable): nobody wants to know
 * @destroy: (nullable): for @data, when it was answered, or will not be; in any thread
 */
void duet_guest_agent_call(DuetGuestAgent *agent, const char *request, DuetGuestAnswer answer,
    gpointer data, GDestroyNotify destroy);

G_END_DECLS
