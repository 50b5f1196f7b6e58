/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/state.h"

G_BEGIN_DECLS

/** duet_instance_connect: Returns: a connection to its monitor, or -1: there is none. */
int duet_instance_connect(DuetInstance *instance);

G_END_DECLS
