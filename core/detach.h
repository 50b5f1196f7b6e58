/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/**
 * DuetDetach: looks for the detach keys in what is typed. Zero-initialise.
 * @keys: (nullable): none: nothing is looked for
 * @matched: how many of them were typed last, and are held back
 */
typedef struct {
    const DuetKeys *keys;
    guint matched;
} DuetDetach;

/**
 * duet_detach_filter: keeps back what may be the beginning of the keys.
 * @out: gets what is to be passed on
 * Returns: %TRUE when all keys were typed: what follows them is not looked at
 */
gboolean duet_detach_filter(DuetDetach *detach, const guint8 *typed, gsize length, GByteArray *out);
/** duet_detach_flush: nothing more will be typed: adds what was held back to @out. */
void duet_detach_flush(DuetDetach *detach, GByteArray *out);

G_END_DECLS
