/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_heap_prepare: at the very start of a program that is going to fork monitors, before its
 * first allocation.
 */
void duet_heap_prepare(void);

/** duet_heap_before_fork: in the parent, right before it forks a monitor. */
void duet_heap_before_fork(void);

/** duet_heap_after_fork: in the monitor, before its first allocation. */
void duet_heap_after_fork(void);

G_END_DECLS
