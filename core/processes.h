/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/**
 * duet_processes_parse: what an agent wrote for %DUET_SPAWN_PROCESSES, taken for hostile.
 * Returns: (transfer full) (element-type DuetProcess): or NULL with %DUET_ERROR_BROKEN
 */
GPtrArray *duet_processes_parse(const char *bytes, gsize length, GError **error);

G_END_DECLS
