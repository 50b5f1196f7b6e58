/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>

#include <duet/bench.h>

#include "bench/host/host-memory.h"
#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * DuetGroup: instances of one arm that run at the same time, so that their memory can be read.
 * While there is one, signals that end a process are blocked: nobody else would end the instances.
 * @members: (element-type DuetGroupMember)
 * @idle: they do nothing, whatever @spec says
 * @option: (nullable): what the user may make smaller where the host has too little memory
 * @interrupted: the user wanted an end
 * @no_room: the host's memory was about to be used up
 * @read_host: duet_host_memory_read(), but for tests
 */
typedef struct DuetGroup {
    DuetContext *context;
    const DuetSpec *spec;
    GPtrArray *members;
    gboolean idle;
    const char *option;
    gboolean interrupted;
    gboolean no_room;
    gboolean (*read_host)(DuetHostMemory *out_memory, GError **error);
    sigset_t old_signals;
} DuetGroup;

/**
 * duet_hold_signals: blocks the signals that end a process, so that what runs between two groups,
 * or what was measured, is not lost by one either.
 */
void duet_hold_signals(sigset_t *out_old);
/** duet_release_signals: restores them. Returns: whether one came meanwhile, which is dropped. */
gboolean duet_release_signals(const sigset_t *old);

/** duet_signal_waits: whether one of those that are held came; it stays held. */
gboolean duet_signal_waits(void);

void duet_group_init(DuetGroup *group, DuetContext *context, const DuetSpec *spec);

/**
 * duet_group_start: starts one more.
 * Returns: %FALSE with @error: it did not start, the user interrupted, or the host's memory would
 *     be used up (%DUET_ERROR_STATE; both of these also end duet_group_wait()).
 */
gboolean duet_group_start(DuetGroup *group, GError **error);

/** duet_group_info: Returns: (transfer none): what was known of a member when it had started. */
const DuetInfo *duet_group_info(const DuetGroup *group, guint member);
/** duet_group_instance: Returns: (transfer none). */
DuetInstance *duet_group_instance(DuetGroup *group, guint member);

/**
 * duet_group_drop_last: ends and removes what there is beyond @keep members: that of a start that
 * failed.
 * @out_oom: whether the kernel ended something of it for want of memory
 */
void duet_group_drop_last(DuetGroup *group, guint keep, gboolean *out_oom, GPtrArray *warnings);

/** duet_group_facts: Returns: (transfer full) (nullable): a{sv} of the first member's driver. */
GVariant *duet_group_facts(DuetGroup *group);

/** duet_group_wait: until the youngest executed its payload @age_ms ago. */
gboolean duet_group_wait(DuetGroup *group, guint age_ms, GError **error);

/** duet_group_pause: so long from now, watching the host's memory meanwhile. */
gboolean duet_group_pause(DuetGroup *group, guint ms, GError **error);

/** duet_group_read: the memory and the age of one; one that has ended is an error. */
gboolean duet_group_read(
    DuetGroup *group, guint member, DuetMemory *out_memory, gint64 *out_age_ns, GError **error);

/**
 * duet_group_clear: ends and removes all, checks that nothing is left and restores the signals.
 * @warnings: (element-type utf8): gets what could not be removed
 */
void duet_group_clear(DuetGroup *group, GPtrArray *warnings);

G_END_DECLS
