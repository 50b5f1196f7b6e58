/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** Where a host tells of the caches of its first CPU. */
#define DUET_OVERHEAD_CACHES "/sys/devices/system/cpu/cpu0/cache"

/**
 * duet_overhead_cache_bytes: @folder: %DUET_OVERHEAD_CACHES, or one like it.
 * Returns: the size of its largest cache; 0: it does not tell.
 */
guint64 duet_overhead_cache_bytes(const char *folder);

/**
 * duet_overhead_stream_bytes: of which cache size stress-ng is told: its three arrays have four
 * times that each.
 * @cache_bytes: the host's; 0: not known: 32 MiB are taken
 * @memory_bytes: what the smallest instance has; 0: no limit. Half of it may be arrays
 * Returns: whole KiB, at least one MiB.
 */
guint64 duet_overhead_stream_bytes(guint64 cache_bytes, guint64 memory_bytes);

G_END_DECLS
