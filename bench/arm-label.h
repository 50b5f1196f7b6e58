/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * duet_arm_label:
 * Returns: (transfer full): an arm's name, printable, or a letter where names of arms, cut as a
 *     table cuts them, would be the same.
 */
char *duet_arm_label(const DuetRun *run, guint arm);

/** duet_arm_label_legend: appends what letters stand for, if there are any. */
void duet_arm_label_legend(GString *out, const DuetRun *run);

/**
 * duet_arm_label_fit: cuts two labels so that they take @width columns together; the room that
 *     a short one leaves is the other's.
 * @a, @b: (inout) (transfer full)
 */
void duet_arm_label_fit(char **a, char **b, gsize width);

G_END_DECLS
