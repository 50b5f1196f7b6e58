/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The directories in a disk guest that duet's errands there have, of one run of its VM. */
typedef struct _DuetGuestPlaces DuetGuestPlaces;

DuetGuestPlaces *duet_guest_places_new(void);
void duet_guest_places_free(DuetGuestPlaces *places);

/**
 * duet_guest_places_command: Returns: (transfer full): a command that removes what was left there,
 * makes a directory and says its name.
 */
char **duet_guest_places_command(const DuetGuestPlaces *places);
/** duet_guest_places_made: Returns: (transfer full) (nullable): the name, of what it @said. */
char *duet_guest_places_made(DuetGuestPlaces *places, const GByteArray *said);
/** duet_guest_places_keep: @place could not be removed: the next command does. */
void duet_guest_places_keep(DuetGuestPlaces *places, const char *place);

G_END_DECLS
