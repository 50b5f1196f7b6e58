/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** duet_host_ram: Returns: what this host has of memory, in bytes. */
guint64 duet_host_ram(void);

/**
 * duet_smaps_guest_ram: finds a guest's RAM in /proc/PID/smaps of its QEMU. QEMU maps it in one
 * piece, between guard pages, so it is the one mapping of exactly that size.
 * @smaps: (nullable): the file's text
 * @out_shared: set if it is found: whether it is shared memory, not anonymous
 *
 * Returns: its PSS in bytes; 0 if there is none.
 */
guint64 duet_smaps_guest_ram(const char *smaps, guint64 ram_bytes, gboolean *out_shared);

/**
 * duet_processes_pss: what processes and all below them have of memory, each page shared by all
 * that map it.
 * @pids: (element-type gint): one may be below another
 *
 * Returns: the sum of their PSS in bytes.
 */
guint64 duet_processes_pss(const GArray *pids);

G_END_DECLS
