/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/cgroup/cgroup.h"

#include <duet/spec.h>

G_BEGIN_DECLS

/** duet_spec_limits: Returns: what the kernel is told of @spec's limits; it points into @spec. A
 * VM's RAM is QEMU's: see vm-limits.h. A daemon keeps them in a cgroup of its own. */
DuetLimits duet_spec_limits(const DuetSpec *spec);

/**
 * duet_spec_check_limits: refuses what no instance like @spec can have: with %DUET_ERROR_INVALID
 * what is no such value on this host, with %DUET_ERROR_UNSUPPORTED what its kind hasn't.
 */
gboolean duet_spec_check_limits(const DuetSpec *spec, GError **error);

/** duet_limits_validate: refuses what no kernel can keep, or not this one. */
gboolean duet_limits_validate(const DuetLimits *limits, GError **error);

/** duet_limits_names: Returns: (transfer full): the options that ask for @limits, with commas. */
char *duet_limits_names(const DuetLimits *limits);

/**
 * duet_hugetlb_size: the kernel's name for huge pages of @bytes.
 * Returns: %FALSE if this host has none of that size
 */
gboolean duet_hugetlb_size(guint64 bytes, char *out_size, gsize room);

G_END_DECLS
