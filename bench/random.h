/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetRandom: xoshiro256**, seeded by splitmix64 (Blackman and Vigna, public domain algorithms).
 * Of our own so that a seed in a result file means the same order and the same resamples on every
 * machine and with every GLib.
 */
typedef struct {
    guint64 state[4];
} DuetRandom;

void duet_random_init(DuetRandom *random, guint64 seed);
guint64 duet_random_next(DuetRandom *random);
/** duet_random_below: Returns: a uniform number in [0, @bound); @bound is at least 1. */
guint32 duet_random_below(DuetRandom *random, guint32 bound);
/** duet_random_shuffle: puts @items into a uniformly random order. */
void duet_random_shuffle(DuetRandom *random, guint *items, gsize n);
/** duet_random_normal: Returns: two independent numbers of the standard normal distribution (Box
 * and Muller 1958, Annals of Mathematical Statistics 29, 610). */
void duet_random_normal(DuetRandom *random, double out_pair[2]);
/** duet_random_derive: Returns: a seed for the stream number @stream of @seed. */
guint64 duet_random_derive(guint64 seed, guint64 stream);

G_END_DECLS
