/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Where duet keeps what is not said otherwise: root's places, and an ordinary user's own.
 */

/** duet_place_root: Returns: (transfer full): store and instances: $DUET_ROOT, /var/lib/duet, or
 * $XDG_DATA_HOME/duet. */
char *duet_place_root(void);
/** duet_place_cache: Returns: (transfer full): what can be made anew: $DUET_CACHE_DIR,
 * /var/cache/duet, or $XDG_CACHE_HOME/duet. */
char *duet_place_cache(void);
/**
 * duet_place_run: what may not survive a boot: /run/duet, or a user's directory, made if need be:
 * in $XDG_RUNTIME_DIR, /run/user/<uid>, or else a private one in /tmp.
 * Returns: (transfer full): its path, or NULL with @error for one that others could write to.
 */
char *duet_place_run(GError **error);

G_END_DECLS
