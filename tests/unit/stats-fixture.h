/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <math.h>

#include "bench/random.h"

#define assert_near(a, b) g_assert_cmpfloat_with_epsilon((a), (b), 1e-9 * (1 + fabs((double)(b))))

/** stats_noise: Returns: a value near normal, of mean 0 and deviation 1: twelve uniform ones. */
double stats_noise(DuetRandom *random);
