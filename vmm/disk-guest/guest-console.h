/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A disk guest's serial console: what it writes comes as it may be read on, and is not lost; what
 * is typed waits until the guest takes it. */
typedef struct _DuetGuestConsole DuetGuestConsole;

/**
 * DuetGuestConsoleEvents:
 * @output: with a @length of 0: QEMU closed it, and no more will come
 * @typed: so many bytes were taken
 */
typedef struct {
    void (*output)(gpointer data, const guint8 *bytes, guint32 length);
    void (*typed)(gpointer data, guint32 bytes);
} DuetGuestConsoleEvents;

/**
 * duet_guest_console_new:
 * @fd: taken over
 */
DuetGuestConsole *duet_guest_console_new(
    int fd, const DuetGuestConsoleEvents *events, gpointer data);
void duet_guest_console_free(DuetGuestConsole *console);

/** duet_guest_console_grant: so many bytes more may be read. */
void duet_guest_console_grant(DuetGuestConsole *console, guint32 bytes);
/** duet_guest_console_stop: reads all that is there now, whatever may be read, and then nothing
 * before the next grant. */
void duet_guest_console_stop(DuetGuestConsole *console);
void duet_guest_console_type(DuetGuestConsole *console, const guint8 *bytes, guint32 length);
/** duet_guest_console_past: Returns: (transfer none): some KiB of what was written last. */
const GByteArray *duet_guest_console_past(const DuetGuestConsole *console);
/** duet_guest_console_has: Returns: whether what was written last matches; it is looked at in parts
 * of some KiB that overlap. */
gboolean duet_guest_console_has(DuetGuestConsole *console, const GRegex *regex);

G_END_DECLS
