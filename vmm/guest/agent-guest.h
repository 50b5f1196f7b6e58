/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent.h"

/* Where the disks are mounted in the initramfs. */
#define AGENT_LOWER "/duet/lower"
#define AGENT_RW "/duet/rw"
#define AGENT_ROOT "/duet/root"
/* A place of ours inside the payload's tree, for moments only; devtmpfs is memory. */
#define AGENT_SCRATCH "/dev/.duet"

struct agent_guest {
    int uevents;
    bool acpi;
    struct agent_text port_path;
    struct agent_file order; /* /modules/order, until all are loaded */
    const char *next_module;
    int rw_fd; /* the writable layer's file system, to flush it at the end */
    int balloon_fd; /* its driver, for when it is first needed, or -1 */
    int panic_fds[2]; /* those that tell the host of a panic, for when there is time, or -1 */
};

/* agent-mount.c */

/** agent_mount_early: /dev, /sys and our mount points in the initramfs. */
bool agent_mount_early(struct agent_text *error);
/** agent_mount_switch: AGENT_ROOT becomes "/", the initramfs is emptied. */
bool agent_mount_switch(struct agent_text *error);
/** agent_mount_payload: the file systems that a payload finds, the same as in a container. */
bool agent_mount_payload(struct agent_text *error);
/** agent_mount_share: a shared folder, or a tmpfs, as DUET_FIELD_MOUNT says. */
bool agent_mount_share(
    const char *tag, const char *target, struct agent_span options, struct agent_text *error);
/** agent_mount_loopback: brings "lo" up. */
bool agent_mount_loopback(struct agent_text *error);

/* agent-change.c */

/**
 * agent_set_pids_limit: @limit: UINT64_MAX: none
 * @lives: there are other processes than the agent, and it counts for them too
 */
bool agent_set_pids_limit(uint64_t limit, bool lives, struct agent_text *error);
/** agent_modules_keep: keeps drivers at hand that are needed later, before the initramfs is
 * emptied. */
void agent_modules_keep(struct agent_guest *guest);

/* agent-settings.c */

bool agent_set_shm_bytes(uint64_t size_bytes, struct agent_text *error);
/** agent_set_sysctl: @bytes: "NAME=VALUE", @length of them. */
bool agent_set_sysctl(const char *bytes, size_t length, struct agent_text *error);
