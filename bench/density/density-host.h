/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/host/host-memory.h"
#include "bench/result/json.h"

G_BEGIN_DECLS

/**
 * DuetDensityHost: all of the host that a stop rule looks at, at one instant; memory.at_ns is when.
 * @has_pressure: the kernel tells how long memory kept all tasks waiting (PSI)
 * @stalled_us: PSI memory full, total since the boot
 * @refault_pages: pages that were evicted and needed again, since the boot
 * @tasks, @tasks_max: threads of the host, and how many there may be
 * @files, @files_max: open files of the host
 * @own_files, @own_files_max: open files of this process, which holds some for each instance
 */
typedef struct {
    DuetHostMemory memory;
    gboolean has_pressure;
    guint64 stalled_us;
    guint64 refault_pages;
    guint64 tasks, tasks_max;
    guint64 files, files_max;
    guint64 own_files, own_files_max;
} DuetDensityHost;

gboolean duet_density_host_read(DuetDensityHost *out_host, GError **error);

/**
 * duet_density_host_spare: what instances may have together so that the host lives: a bound that
 * the kernel keeps, and half of what the host must keep above that at which the rule host-memory
 * ends the starts, so that it is this rule that does.
 * Returns: 0 if there is nothing to spare.
 */
guint64 duet_density_host_spare(const DuetDensityHost *host);

/** duet_density_host_to_json: Returns: (transfer full). */
JsonObject *duet_density_host_to_json(const DuetDensityHost *host);
DuetDensityHost duet_density_host_from_json(DuetJsonReader *reader, JsonObject *object);

G_END_DECLS
