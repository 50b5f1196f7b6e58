/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Text that others wrote (images, guests, result files), for a terminal: nothing in it is obeyed.
 */

/** duet_text_printable: Returns: (transfer full): valid UTF-8, control characters as ^X. */
char *duet_text_printable(const char *text, gssize length);
/** duet_text_line: Returns: (transfer full): the same on one line: "^J" for a line's end. */
char *duet_text_line(const char *text);

G_END_DECLS
