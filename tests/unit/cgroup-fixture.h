/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "core/cgroup/cgroup.h"

/** cgroup_child_in: a child that is in the payload part and then does nothing; its pid is in the
 * part on return. */
pid_t cgroup_child_in(DuetCgroup *cgroup);
