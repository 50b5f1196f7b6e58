/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/*
 * Memory and devices of a running VM, kept in a file: the instance does not run any more then
 * (%DUET_STATE_SAVED), and duet_instance_start() goes on where it was.
 */

/**
 * duet_instance_save: returns after all of it was released.
 * Returns: %FALSE with %DUET_ERROR_UNSUPPORTED for what can't be saved, %DUET_ERROR_STATE for what
 *     does not run, or is in use. It then goes on as before, but for a VM that died meanwhile.
 */
gboolean duet_instance_save(DuetInstance *instance, GError **error);

/** duet_instance_restore: as duet_instance_start(), but %DUET_ERROR_STATE for one that was not
 * saved. A state that can't be restored is kept. */
gboolean duet_instance_restore(DuetInstance *instance, GError **error);

/** duet_instance_forget_saved: its next start is a boot; none to forget is no error. One that runs
 * is %DUET_ERROR_STATE. */
gboolean duet_instance_forget_saved(DuetInstance *instance, GError **error);

G_END_DECLS
