/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/spec.h>
#include <sys/types.h>

G_BEGIN_DECLS

/**
 * DuetBare: starts the payload of `native` without duet: what a start costs that nothing manages.
 * A small process in a mount namespace of its own that has the image's files as its root, with a
 * writable layer in memory, and spawns the payload each time that it is asked.
 */
typedef struct {
    pid_t pid;
    int fd;
    gint64 timeout_ms;
} DuetBare;

/**
 * duet_bare_start:
 * Returns: %FALSE with @error where it can't be: for ordinary users, and for payloads that `native`
 *     gives more than their image (other users, folders).
 */
gboolean duet_bare_start(DuetBare *bare, const DuetSpec *spec, GError **error);

/** duet_bare_take: one more. Returns: nanoseconds from just before the spawn until it was reaped;
 * 0: it failed, or took longer than the payload may, which ends it for good. */
gint64 duet_bare_take(DuetBare *bare);

void duet_bare_clear(DuetBare *bare);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetBare, duet_bare_clear)

G_END_DECLS
