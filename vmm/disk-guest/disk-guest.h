/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/vm.h"

G_BEGIN_DECLS

/*
 * What a disk guest has in its instance's directory: an overlay of the image's disk, which holds
 * all that it writes; the data for cloud-init; with UEFI, its firmware's variables.
 */
#define DUET_DISK_OVERLAY "rw.qcow2"
#define DUET_DISK_SEED "seed.img"
#define DUET_DISK_VARS "vars.fd"

/** duet_disk_guest_check: whether this host has what @spec, a disk guest's, needs. */
gboolean duet_disk_guest_check(const DuetSpec *spec, GError **error);

/** duet_disk_guest_loader: Returns: (nullable) (transfer none): the code of its UEFI; NULL: it has
 * none. */
const char *duet_disk_guest_loader(const DuetSpec *spec);

/** duet_disk_guest_make: makes what is missing of these files; they belong to @uid alone. */
gboolean duet_disk_guest_make(const DuetVm *vm, guint32 uid, GError **error);

/** duet_disk_guest_keep_seed: its seed goes beside the memory that is about to be saved. */
gboolean duet_disk_guest_keep_seed(const DuetVm *vm, GError **error);

/** Of what a save says: b: whether the guest's agent was there. */
#define DUET_SAVED_AGENT "guest-agent"

/**
 * duet_disk_guest_link: plays the agent of a domain that is there and paused.
 * @console_fd: connection to its serial console; taken over
 * Returns: the monitor's end of the channel, or -1 with @error.
 */
int duet_disk_guest_link(DuetVm *vm, int console_fd, GError **error);
/** duet_disk_guest_unlink: ends QEMU if it lives, and the play. */
void duet_disk_guest_unlink(DuetVm *vm);
/** duet_disk_guest_listen: to what libvirt tells of the guest, from this connection on. */
gboolean duet_disk_guest_listen(DuetVm *vm, GError **error);
/** duet_disk_guest_deafen: before the connection is closed. */
void duet_disk_guest_deafen(DuetVm *vm);
/** duet_disk_guest_catch_up: what was not heard while there was no connection. */
void duet_disk_guest_catch_up(DuetVm *vm);

G_END_DECLS
