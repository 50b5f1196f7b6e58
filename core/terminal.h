/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <termios.h>

G_BEGIN_DECLS

/**
 * DuetTerminal: the caller's own terminal, while it shows what another one is sent.
 * @fd: -1: it is none, or as it was
 * @keys: and what is typed there is the other's
 */
typedef struct {
    int fd;
    gboolean keys;
    struct termios before;
} DuetTerminal;

/**
 * duet_terminal_raw: shows what comes as it comes. If @input_fd is a terminal, each key is passed
 * on as well, ^C among them; else @output_fd may be one, on which ^C is what it was.
 */
void duet_terminal_raw(DuetTerminal *terminal, int input_fd, int output_fd);
/** duet_terminal_raw_again: after somebody else, such as a shell that stopped us, changed it. */
void duet_terminal_raw_again(const DuetTerminal *terminal);
/** duet_terminal_restore: as it was before; also from the background. */
void duet_terminal_restore(DuetTerminal *terminal);

/**
 * duet_terminal_window: Returns: the size of the first of two descriptors that is a terminal: rows,
 *     and columns in the upper half; 0: neither is.
 */
guint32 duet_terminal_window(int first_fd, int second_fd);

G_END_DECLS
