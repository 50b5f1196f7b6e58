/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>

G_BEGIN_DECLS

/**
 * duet_worker_new: forks a process that loads the entry's module, makes its runtime and runs the
 * default main loop, and returns a runtime whose ops are carried out over there. What the module
 * links (libvirt: 57 libraries and threads) never enters the monitor.
 */
DuetRuntime *duet_worker_new(
    const DuetDriverEntry *entry, const DuetSpec *spec, const DuetPlace *place, GError **error);

G_END_DECLS
