/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/instance/group.h"
#include "claim.h"

G_BEGIN_DECLS

/* So long an instance of a claim sleeps: longer than any claim takes. */
#define DUET_LIVE_SECONDS "300"

/**
 * DuetLive: the instances of one claim. From begin to end signals that end a process are held back.
 */
typedef struct {
    DuetClaimTrial *trial;
    DuetGroup group;
} DuetLive;

/** duet_live_begin: @context: the trial's, or that of another root. */
void duet_live_begin(DuetLive *live, DuetClaimTrial *trial, DuetContext *context);

/**
 * duet_live_start: starts an instance of @base, as its root user.
 * @script: (nullable): what its shell runs in place of sleeping
 * @marker: (nullable): a word of its command line
 * @out_index: (optional): for the functions below
 */
gboolean duet_live_start(DuetLive *live, const DuetSpec *base, const char *script,
    const char *marker, guint *out_index, GError **error);

/**
 * duet_live_ask: has a shell in an instance run @script.
 * Returns: (transfer full): what it printed, with blanks for NUL bytes; NULL with @error if it
 *     exited with another code than 0.
 */
char *duet_live_ask(DuetLive *live, guint index, const char *script, GError **error);

/** duet_live_info: Returns: (transfer full). */
DuetInfo *duet_live_info(DuetLive *live, guint index, GError **error);

/**
 * duet_live_end: ends and removes all.
 * Returns: %FALSE with @error (unless there is one, and never over a wish of the user): something
 *     is left behind.
 */
gboolean duet_live_end(DuetLive *live, GError **error);

/** duet_live_progress: says what is being done. */
void duet_live_progress(const DuetClaimTrial *trial, const char *line);

/** duet_live_marker: Returns: (transfer full): a word that no other process has. */
char *duet_live_marker(void);

G_END_DECLS
