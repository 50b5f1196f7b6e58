/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats-fixture.h"

double stats_noise(DuetRandom *random)
{
    double sum = 0;

    for (guint i = 0; i < 12; i++)
        sum += duet_random_below(random, 1u << 30) / (double)(1u << 30);
    return sum - 6;
}
