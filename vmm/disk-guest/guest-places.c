/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-places.h"
#include "guest-json.h"

#define PLACE_MAX_BYTES 200
/* A guest that lets none be removed must not make the command endless. */
#define LEFT_MAX 16

/*
 * A directory on a disk, where programs may run. Left-overs are those of a run that was killed in
 * the middle of an errand, and those that are named.
 */
static const char place_script[] = "rm -rf \"$@\"\n"
                                   "for d in /var/tmp /root /var/lib; do\n"
                                   "  for old in \"$d\"/duet-errand.*; do\n"
                                   "    case $old in *.\"$0\".*) ;; *) rm -rf \"$old\" ;; esac\n"
                                   "  done\n"
                                   "  place=$(mktemp -d \"$d/duet-errand.$0.XXXXXX\") || continue\n"
                                   "  : >\"$place/run\" && chmod 700 \"$place/run\" &&\n"
                                   "    [ -x \"$place/run\" ] && printf %s \"$place\" && exit 0\n"
                                   "  rm -rf \"$place\"\n"
                                   "done\n"
                                   "exit 1\n";

/**
 * DuetGuestPlaces:
 * @run_name: part of their names: others are left-overs of an earlier run
 * @left: (element-type utf8): those of this run that could not be removed, as the agent was away
 */
struct _DuetGuestPlaces {
    char *run_name;
    GPtrArray *left;
};

DuetGuestPlaces *duet_guest_places_new(void)
{
    DuetGuestPlaces *places = g_new0(DuetGuestPlaces, 1);
    places->run_name = g_strdup_printf("%08x", g_random_int());
    places->left = g_ptr_array_new_with_free_func(g_free);
    return places;
}

void duet_guest_places_free(DuetGuestPlaces *places)
{
    if (!places)
        return;
    g_free(places->run_name);
    g_ptr_array_unref(places->left);
    g_free(places);
}

char **duet_guest_places_command(const DuetGuestPlaces *places)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_strv_builder_add_many(words, "sh", "-c", place_script, places->run_name, NULL);
    for (guint i = 0; i < places->left->len; i++)
        g_strv_builder_add(words, places->left->pdata[i]);
    return g_strv_builder_end(words);
}

/* It is sent back to the guest alone, as a word of JSON. */
char *duet_guest_places_made(DuetGuestPlaces *places, const GByteArray *said)
{
    g_autofree char *place = duet_guest_said(said, PLACE_MAX_BYTES);
    if (*place != '/' || said->len > PLACE_MAX_BYTES || !g_utf8_validate(place, -1, NULL))
        return NULL;
    g_ptr_array_set_size(places->left, 0);
    return g_steal_pointer(&place);
}

void duet_guest_places_keep(DuetGuestPlaces *places, const char *place)
{
    if (places->left->len < LEFT_MAX)
        g_ptr_array_add(places->left, g_strdup(place));
}
