/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

G_BEGIN_DECLS

/**
 * DuetEqualMemory: a request whose arms all leave their payload the same memory.
 * @request: the asked one, with specs of its own if memory was to be made equal
 */
typedef struct {
    DuetBenchRequest request;
    GArray *arms;
    GPtrArray *specs;
} DuetEqualMemory;

/**
 * duet_equal_memory_new: a container's limit is what its payload may use. A guest's kernel keeps a
 * part of the RAM for itself: idle guests are started, with more or less RAM each time, until one
 * has as much available at rest as was asked for, give or take 1 % or 1 MiB. A run that is resumed
 * keeps the RAM that was found then.
 * @asked: without equal_memory_bytes nothing is done
 *
 * Returns: (transfer full): or NULL with @error: %DUET_ERROR_INVALID: the smallest VM leaves more.
 */
DuetEqualMemory *duet_equal_memory_new(const DuetBenchRequest *asked, GError **error);
void duet_equal_memory_free(DuetEqualMemory *equal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetEqualMemory, duet_equal_memory_free)

/**
 * duet_equal_memory_next: which RAM to try after one that did not fit.
 * @ram: that one, @available: what it left
 * Returns: 0: it fits: no further one; whole MiB, never below @least.
 */
guint64 duet_equal_memory_next(guint64 wanted, guint64 ram, guint64 available, guint64 least);

G_END_DECLS
