/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/state.h"

G_BEGIN_DECLS

/*
 * The saved memory of an instance that does not run: the directory `saved` in its own, with
 * `memory`, the driver's file, `about`, an a{sv}, and, of a disk guest, its `seed`. It is there as
 * a whole or not at all, and while it is, the instance is %DUET_STATE_SAVED, whatever its state
 * file says.
 */

#define DUET_SAVED "saved"
/* Half made. */
#define DUET_SAVED_NEW "saved.new"
/* Of an instance that went on from it. */
#define DUET_SAVED_USED "saved.used"
#define DUET_SAVED_MEMORY "memory"
/* What its guest has of cloud-init's data: a clone's would be another. */
#define DUET_SAVED_SEED "seed"

/* The members of `about`: what the monitor must know of the run that was saved. */
#define DUET_SAVED_PROTOCOL "protocol" /* u: of the agent */
#define DUET_SAVED_HOSTNAME "hostname" /* ay: the guest's */
#define DUET_SAVED_SESSIONS "sessions" /* aq: exec sessions that the agent in there has */
#define DUET_SAVED_HELD "held" /* ay: frames to the agent that are still to be sent */
#define DUET_SAVED_INPUT_ENDED "input-ended" /* b */
/* u, u, t: what it had of vCPUs, and the most of them and of RAM that it can have */
#define DUET_SAVED_VCPUS "vcpus"
#define DUET_SAVED_VCPUS_MAX "vcpus-max"
#define DUET_SAVED_MEMORY_MAX "memory-max-bytes"
#define DUET_SAVED_RAN_MS "ran-ms" /* x: the payload, so far */
#define DUET_SAVED_DRIVER "driver" /* a{sv}: what save() said */

/** duet_saved_is_there: @dir_fd: the instance's directory */
gboolean duet_saved_is_there(int dir_fd);
/** duet_saved_read: Returns: (transfer full): `about`; what it lacks is no error yet. */
GVariant *duet_saved_read(int dir_fd, GError **error);

/** duet_saved_begin: makes an empty %DUET_SAVED_NEW, in which there is room for `about` however
 * full the disk gets. */
gboolean duet_saved_begin(int dir_fd, GError **error);
/** duet_saved_commit: what is in %DUET_SAVED_NEW, and @about (transfer floating), is on the disk,
 * and becomes %DUET_SAVED by one rename. */
gboolean duet_saved_commit(int dir_fd, GVariant *about, GError **error);
/** duet_saved_tidy: removes what is half made, or used. Returns: whether nothing is left of it. */
gboolean duet_saved_tidy(int dir_fd);
/** duet_saved_drop: forgets the state, by one rename. The caller has the lock. */
gboolean duet_saved_drop(DuetContext *context, int dir_fd, const char *id, GError **error);
/**
 * duet_saved_link: gives the state in @from_fd's directory to that of @to_fd; nothing if there is
 * none. What nobody writes to again is one file with two names.
 */
gboolean duet_saved_link(int from_fd, int to_fd, GError **error);

/** duet_save_check: whether the memory of such an instance can be saved at all. Returns: %FALSE
 * with %DUET_ERROR_UNSUPPORTED, which says why not. */
gboolean duet_save_check(const DuetSpec *spec, GError **error);

G_END_DECLS
