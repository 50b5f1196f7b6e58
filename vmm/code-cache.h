/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libvirt/libvirt.h>

#include <glib.h>

G_BEGIN_DECLS

/*
 * QEMU's TCG keeps what it translated in a cache of equal regions. Each vCPU takes one at first and
 * a further one when it has filled it; when all are taken and full, all are emptied. A vCPU that
 * comes while all are taken ends QEMU: tcg_region_initial_alloc() in its tcg/region.c asserts that
 * one is left.
 */

/**
 * duet_code_cache_has_room: whether @more vCPUs can come, beside one that fills half a region
 * until they do.
 * @info: what QEMU's `info jit` says
 * @vcpus: how many there are
 * @vcpus_max: QEMU's `maxcpus`
 *
 * The number of regions is that of tcg_n_regions() in the same file: of 2 MiB each, at most eight
 * for each vCPU that there can be, and at least one.
 *
 * Returns: %TRUE also where @info tells of no such cache, as under KVM.
 */
gboolean duet_code_cache_has_room(const char *info, guint vcpus, guint vcpus_max, guint more);

/** duet_code_cache_check: refuses @more vCPUs for @domain, which has @vcpus, if QEMU would end. */
gboolean duet_code_cache_check(virDomainPtr domain, guint vcpus, guint more, GError **error);

G_END_DECLS
