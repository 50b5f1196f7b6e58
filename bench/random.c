/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "random.h"

#include <math.h>

static guint64 splitmix(guint64 *state)
{
    guint64 z = *state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static guint64 rotate(guint64 value, int bits)
{
    return value << bits | value >> (64 - bits);
}

void duet_random_init(DuetRandom *random, guint64 seed)
{
    for (gsize i = 0; i < G_N_ELEMENTS(random->state); i++)
        random->state[i] = splitmix(&seed);
}

guint64 duet_random_next(DuetRandom *random)
{
    guint64 *s = random->state;
    guint64 result = rotate(s[1] * 5, 7) * 9;
    guint64 t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

guint32 duet_random_below(DuetRandom *random, guint32 bound)
{
    /* Lemire's multiply and reject: unbiased, and a division only in the rare second round. */
    guint64 product = (duet_random_next(random) >> 32) * bound;
    guint32 low = (guint32)product;

    if (low < bound) {
        guint32 threshold = -bound % bound;
        while (low < threshold) {
            product = (duet_random_next(random) >> 32) * bound;
            low = (guint32)product;
        }
    }
    return product >> 32;
}

void duet_random_shuffle(DuetRandom *random, guint *items, gsize n)
{
    for (gsize i = n; i > 1; i--) {
        gsize j = duet_random_below(random, i);
        guint kept = items[i - 1];
        items[i - 1] = items[j];
        items[j] = kept;
    }
}

void duet_random_normal(DuetRandom *random, double out_pair[2])
{
    /* (0, 1]: there is no logarithm of 0. */
    double first = (double)((duet_random_next(random) >> 11) + 1) * 0x1p-53;
    double angle = 2 * G_PI * (double)(duet_random_next(random) >> 11) * 0x1p-53;
    double length = sqrt(-2 * log(first));

    out_pair[0] = length * cos(angle);
    out_pair[1] = length * sin(angle);
}

guint64 duet_random_derive(guint64 seed, guint64 stream)
{
    guint64 state = seed ^ (stream * G_GUINT64_CONSTANT(0xd1342543de82ef95));

    splitmix(&state);
    return splitmix(&state);
}
