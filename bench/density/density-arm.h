/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "density-sampler.h"

G_BEGIN_DECLS

/**
 * duet_density_arm_warm_up: one start that is in no figure, so that the first that counts finds
 * warm caches.
 * @arm: its number in the run
 * Returns: %FALSE with @error when each start of the arm would fail.
 */
gboolean duet_density_arm_warm_up(DuetDensitySampler *sampler, guint arm, GError **error);

/**
 * duet_density_arm_measure: starts instances until a rule forbids one more, asks all and ends them.
 * Returns: %FALSE with @error when it could not be brought to an end: the outcome's bound is NONE.
 */
gboolean duet_density_arm_measure(DuetDensitySampler *sampler, guint arm, GError **error);

G_END_DECLS
