/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/cgroup/cgroup.h"

G_BEGIN_DECLS

/* What a running instance is made of: cgroups and processes, to read figures of. */

/**
 * DuetParts:
 * @cgroup: the instance's own
 * @elsewhere: (nullable): another manager's, in which the payload is
 * @payload: (transfer none): the one of the two that has the payload
 */
typedef struct {
    DuetInfo *info;
    DuetCgroup *cgroup;
    DuetCgroup *elsewhere;
    DuetCgroup *payload;
} DuetParts;

/** duet_parts_open: an instance that does not run is %DUET_ERROR_STATE. */
gboolean duet_parts_open(DuetInstance *instance, DuetParts *out_parts, GError **error);
void duet_parts_clear(DuetParts *parts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetParts, duet_parts_clear)

/** duet_parts_managing_pids: Returns: (transfer full) (element-type gint): monitor and worker. */
GArray *duet_parts_managing_pids(const DuetParts *parts);
/** duet_parts_payload_pids: Returns: (transfer full) (element-type gint): a VM's QEMU and its
 * helpers, a container's processes; none of @managing_pids. */
GArray *duet_parts_payload_pids(const DuetParts *parts, const GArray *managing_pids);

/** duet_pids_below: appends @pid and all below it, but for @except and what is below that. */
void duet_pids_below(GArray *pids, int pid, int except);

/**
 * DuetPss: what a process has of memory. Shared pages count by their share, so that a sum over
 * processes is what the host would get back.
 */
typedef struct {
    guint64 pss_bytes, anon_bytes, file_bytes, shmem_bytes;
} DuetPss;

/** duet_process_pss: of a process that ended meanwhile, or must not be read, all is 0. */
DuetPss duet_process_pss(int pid);

/** duet_kib_field: Returns: in bytes, the number of kB after @key, which begins a line of @text
 * (nullable) that is not the first, and ends in a colon; else 0. */
guint64 duet_kib_field(const char *text, const char *key);

G_END_DECLS
