/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/json.h"
#include "ksm-guard.h"

G_BEGIN_DECLS

/* Forward: run.h and group.h include this file. */
struct DuetGroup;
struct DuetSample;

#define DUET_KSM_FOLDER "/sys/kernel/mm/ksm"

/**
 * DuetKsmCount: what the kernel's KSM says at one instant.
 * @at_ns: CLOCK_MONOTONIC
 * @sharing_pages: mappings that were saved: what the host has more of because of KSM
 * @shared_pages: those that others map instead
 * @other_pages: what is offered to it and not merged
 * @cpu_ns: CPU time of ksmd since the boot; -1: it is not to be seen from here
 */
typedef struct {
    gint64 at_ns;
    gint64 full_scans, sharing_pages, shared_pages, other_pages;
    gint64 cpu_ns;
} DuetKsmCount;

/**
 * DuetKsmOutcome: what KSM did in one sample.
 * @before: with none of its instances
 * @after: just before memory was read; at_ns of 0: KSM was not switched on
 * @waited_ns: for it to settle
 * @settled: it did
 * @page_bytes: the host's page size
 */
typedef struct {
    DuetKsmCount before, after;
    gint64 waited_ns;
    gboolean settled;
    gint64 page_bytes;
} DuetKsmOutcome;

/** duet_ksm_saved_bytes: what the host has more of; below 0 by what others lost meanwhile. */
gint64 duet_ksm_saved_bytes(const DuetKsmOutcome *outcome);
/** duet_ksm_cpu_ns: of ksmd, from before to after; -1: not known. */
gint64 duet_ksm_cpu_ns(const DuetKsmOutcome *outcome);

JsonObject *duet_ksm_outcome_to_json(const DuetKsmOutcome *outcome);
DuetKsmOutcome duet_ksm_outcome_from_json(DuetJsonReader *reader, JsonObject *object);

/**
 * DuetKsm: the switch of the kernel's KSM, and the wait for what it does.
 * @folder: DUET_KSM_FOLDER, but for tests
 * @wait: samples are to wait for it
 * @limit_ms: how long one does at most
 * @guard: (nullable): restores the switch; NULL: it was as wanted
 */
typedef struct {
    const char *folder;
    gboolean wait;
    guint limit_ms;
    DuetKsmGuard *guard;
} DuetKsm;

/**
 * duet_ksm_check: whether duet_ksm_switch() can do what @wish ("on", "off", NULL) says.
 * Returns: %FALSE with %DUET_ERROR_INVALID, %DUET_ERROR_UNSUPPORTED (the kernel has no KSM) or
 *     %DUET_ERROR_PERMISSION (this user can't switch it).
 */
gboolean duet_ksm_check(const char *folder, const char *wish, GError **error);

/** duet_ksm_switch: does so until duet_ksm_clear(), or until this process ends. */
gboolean duet_ksm_switch(
    DuetKsm *ksm, const char *folder, const char *wish, guint limit_ms, GError **error);
/** duet_ksm_clear: @warnings: (nullable): gets a line if the switch could not be restored. */
void duet_ksm_clear(DuetKsm *ksm, GPtrArray *warnings);

/** duet_ksm_begin: the count before a sample's first instance. @ksm: (nullable): nothing, then. */
gboolean duet_ksm_begin(const DuetKsm *ksm, DuetKsmOutcome *outcome, GError **error);

/**
 * duet_ksm_is_settled: the rule of duet_ksm_settle().
 * @first, @last, @now: counts at the wait's begin, a second ago, and now
 */
gboolean duet_ksm_is_settled(
    const DuetKsmCount *first, const DuetKsmCount *last, const DuetKsmCount *now);

/**
 * duet_ksm_settle: waits until ksmd went twice over all that is offered to it and merges no more,
 * or until the limit, which is a warning of @sample. Where nothing is offered ksmd rests, and
 * there is nothing to wait for.
 * Returns: %FALSE with @error when the user wants an end or the host runs out of memory.
 */
gboolean duet_ksm_settle(
    const DuetKsm *ksm, struct DuetGroup *group, struct DuetSample *sample, GError **error);

G_END_DECLS
