/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/protocol.h>
#include <glib.h>

G_BEGIN_DECLS

/** What is no program of the guest's. */
#define DUET_GUEST_SPAWN_ERRANDS (DUET_SPAWN_PACK | DUET_SPAWN_UNPACK | DUET_SPAWN_PROCESSES)

/**
 * DuetGuestSpawn: what a SPAWN asks of a disk guest.
 * @argv, @env: never NULL
 * @cwd: (nullable): NULL: /, where the guest agent is
 * @flags: of duet_spawn_flags
 * @copy_options: of duet_copy_options
 * @has_user: it is to run as somebody
 */
typedef struct {
    char **argv;
    char **env;
    char *cwd;
    guint32 flags;
    guint32 copy_options;
    gboolean has_user;
} DuetGuestSpawn;

/** duet_guest_spawn_read: the caller clears it. */
void duet_guest_spawn_read(DuetGuestSpawn *out_spawn, const struct duet_frame *frame);
void duet_guest_spawn_clear(DuetGuestSpawn *spawn);

/**
 * duet_guest_spawn_refusal:
 * Returns: (nullable) (transfer full): why it can't be, and what can.
 */
char *duet_guest_spawn_refusal(const DuetGuestSpawn *spawn, gboolean agent_is_there);

G_END_DECLS
