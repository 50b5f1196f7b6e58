/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib-unix.h>

G_BEGIN_DECLS

/*
 * Sources of the thread's own main context, which is GLib's default one unless another was pushed:
 * a monitor that forks a worker while it serves clients has its sources elsewhere, for the worker
 * inherits the default context, and libvirt uses that.
 */

/** duet_loop_add_fd: like g_unix_fd_add_full(). Returns: an id for duet_loop_remove(). */
guint duet_loop_add_fd(
    int fd, GIOCondition condition, int priority, GUnixFDSourceFunc function, gpointer data);
guint duet_loop_add_timeout(guint ms, GSourceFunc function, gpointer data);
guint duet_loop_add_idle(GSourceFunc function, gpointer data);
/** duet_loop_remove: removes the source *@id, if it is one, and sets it to 0. */
void duet_loop_remove(guint *id);
/** duet_loop_step: waits for something to happen, and deals with it. */
void duet_loop_step(void);

G_END_DECLS
