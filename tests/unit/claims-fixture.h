/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/density/density-outcome.h"
#include "bench/result/run.h"

#define MIB ((guint64)1 << 20)

/* Made-up results that claims, and published figures, are held against. */

/* A run of VMs (2 s, KVM) and containers of @container_ms, whose ends and CPU time are like that.
 */
DuetRun *claims_boot_run(gint64 container_ms, guint n);

typedef struct {
    guint64 vm, container; /* of each instance */
    gint64 host_vm, host_container; /* the host's view of one, where it is another */
    const char *accel;
    guint rounds;
} ClaimsUse;

DuetRun *claims_memory_run(const ClaimsUse *use);

/* How many instances of an arm ran, how many answered, and what ended it. */
typedef struct {
    guint reached, answered;
    DuetDensityBound bound;
} ClaimsReached;

/* A run of `bench density` within 1 GiB. */
DuetRun *claims_density_run(const char *accel, ClaimsReached vm, ClaimsReached container);

/* Results as files: boot runs whose containers are faster and slower than VMs, and one of memory.
 */
typedef struct {
    char *folder;
    char *fast, *slow, *memory;
} ClaimsFiles;

void claims_files_up(ClaimsFiles *files);
void claims_files_clear(ClaimsFiles *files);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ClaimsFiles, claims_files_clear)
