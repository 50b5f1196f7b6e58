/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** duet_module_in_build: Returns: whether the executable runs from its build tree. */
gboolean duet_module_in_build(void);

/**
 * duet_module_open: loads a module, to be unloaded by dlclose(), and looks up @symbol.
 * @module: see duet_module_symbol()
 *
 * Returns: (transfer full): NULL with %DUET_ERROR_NOT_FOUND.
 */
gpointer duet_module_open(
    const char *module, const char *symbol, gpointer *out_address, GError **error);

/**
 * duet_module_symbol:
 * @module: "duet-vm", "duet-images", ...: looked for in $DUET_MODULE_DIR, in the build tree when
 *     the executable runs from there, else in the installed module directory
 *
 * Loads the module (once) and looks up @symbol. Never unloads: libvirt can't be.
 *
 * Returns: (transfer none): the symbol's address, or NULL with %DUET_ERROR_NOT_FOUND.
 */
gconstpointer duet_module_symbol(const char *module, const char *symbol, GError **error);

G_END_DECLS
