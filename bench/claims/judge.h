/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "finding.h"

G_BEGIN_DECLS

/* What was seen, and what follows from it: apart, so that each verdict can be tested. */

/** DuetKernelSeen: the kernel that somebody sees. @boot_id: made anew by each start of a kernel. */
typedef struct {
    char *release, *version, *boot_id;
} DuetKernelSeen;

/** duet_kernel_seen_parse: @text: version, boot id and release, a line each. */
gboolean duet_kernel_seen_parse(const char *text, DuetKernelSeen *out_seen, GError **error);
void duet_kernel_seen_clear(DuetKernelSeen *seen);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetKernelSeen, duet_kernel_seen_clear)

void duet_judge_kernel_shared(
    const DuetKernelSeen *host, const DuetKernelSeen *container, DuetFinding *finding);
void duet_judge_kernel_own(
    const DuetKernelSeen *host, const DuetKernelSeen *vm, DuetFinding *finding);

/**
 * DuetProcessesSeen: what two instances and the host find in their /proc.
 * @own: each its own process: that the search works at all
 * @other, @host: each the other's, and one of the host's
 * @by_host: the host that of each
 */
typedef struct {
    gboolean own[2], other[2], host[2], by_host[2];
} DuetProcessesSeen;

void duet_judge_processes(const DuetProcessesSeen *seen, DuetFinding *finding);

/**
 * DuetThrottleSeen: a busy loop under a limit.
 * @share: CPU time over wall time, in CPUs
 * @limit: what it was told
 * @idle: CPUs of the host that nobody used meanwhile
 */
typedef struct {
    double share, limit, idle;
} DuetThrottleSeen;

void duet_judge_throttle(const DuetThrottleSeen *seen, DuetFinding *finding);

/**
 * DuetDiskSeen: what instances take on disk.
 * @copy_bytes: the image's layers, once
 * @containers, @vms: how many were started
 * @root_bytes: by how much the whole root directory grew with the containers
 * @store_bytes: by how much the store grew with all of them
 */
typedef struct {
    double copy_bytes;
    guint containers, vms;
    double root_bytes, store_bytes;
} DuetDiskSeen;

void duet_judge_layers(const DuetDiskSeen *seen, DuetFinding *finding);

/**
 * DuetPanicSeen: what a guest's panic did.
 * @panicked: the guest ended, and its console tells of a panic
 * @end: (nullable): how it ended
 * @host, @container, @vm: still answer
 */
typedef struct {
    gboolean panicked;
    const char *end;
    gboolean host, container, vm;
} DuetPanicSeen;

void duet_judge_panic(const DuetPanicSeen *seen, DuetFinding *finding);

G_END_DECLS
