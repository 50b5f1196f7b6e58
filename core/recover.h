/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>

G_BEGIN_DECLS

/**
 * duet_driver_recover: has the driver of @spec take away what it left with others (#DuetDriverOps
 * recover). Does nothing for an instance that has nothing there. Blocks for 30 s at most.
 * @drivers: the table
 */
gboolean duet_driver_recover(
    const DuetDriverEntry *drivers, const DuetSpec *spec, pid_t pid, GError **error);

G_END_DECLS
