/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

#include "bench/host/host-memory.h"

G_BEGIN_DECLS

/**
 * duet_guest_memory_read: the memory of the kernel that runs inside, by its own /proc/meminfo: what
 * a client with `exec` can learn. The agent reads it, so no program of the image is needed. To ask
 * takes memory inside: after all else was read.
 * @out_memory: its numbers of swapping are 0
 *
 * Returns: %FALSE with @error: also when it did not answer within 10 s.
 */
gboolean duet_guest_memory_read(DuetInstance *instance, DuetHostMemory *out_memory, GError **error);

G_END_DECLS
