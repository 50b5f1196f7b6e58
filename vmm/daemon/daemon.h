/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>

#include <libvirt/libvirt.h>

G_BEGIN_DECLS

/*
 * A VM in a libvirt daemon (`--connect`). The domain is defined when its instance starts and
 * undefined when it ends: what virsh lists is what runs, and nobody can start a domain that no
 * monitor waits for. Between the two the truth is QEMU's: its pidfd tells of its end, whoever
 * caused it, with or without the daemon.
 */

/**
 * duet_vm_daemon_connect: opens spec->connect; starts no daemon.
 * Returns: (transfer full): NULL with @error, which says how to start it or get access.
 */
virConnectPtr duet_vm_daemon_connect(const DuetSpec *spec, GError **error);

/** duet_vm_daemon_is_alive: asks the daemon: a dead one may not have been noticed yet. */
gboolean duet_vm_daemon_is_alive(virConnectPtr connection);

/**
 * DuetVmDaemonUser: whom the daemon runs QEMU as, by default.
 * @privileged: the daemon is root's, so there are users to choose from, and cgroups
 */
typedef struct {
    gboolean privileged;
    guint32 uid;
    guint32 gid;
} DuetVmDaemonUser;

/** duet_vm_daemon_user: asks the daemon. */
gboolean duet_vm_daemon_user(virConnectPtr connection, DuetVmDaemonUser *out_user, GError **error);

/**
 * duet_vm_daemon_text:
 * @xml: (transfer full): what libvirt told, of malloc()
 * @query: an XPath expression that is a string
 *
 * Returns: (transfer full) (nullable): what it finds; NULL: nothing
 */
char *duet_vm_daemon_text(char *xml, const char *query);

/** duet_vm_daemon_log_remove: removes what the daemon logged of the domain @name. */
void duet_vm_daemon_log_remove(gboolean privileged, const char *name);

/** duet_vm_daemon_pid_file: Returns: (transfer full): where the daemon wrote QEMU's pid. */
char *duet_vm_daemon_pid_file(gboolean privileged, const char *name);

/** duet_vm_daemon_status_file: Returns: (transfer full): where the daemon keeps what it knows of it
 * while it runs. */
char *duet_vm_daemon_status_file(gboolean privileged, const char *name);

/** duet_vm_daemon_server_pid: Returns: of the virtiofsd that the daemon started for the @index-th
 * folder of its running domain @domain_id, or 0. */
pid_t duet_vm_daemon_server_pid(gboolean privileged, guint domain_id, guint index);

/**
 * duet_vm_daemon_remove: destroys and undefines the domain of @spec, found by its uuid, if it says
 * that it is this instance's; no error if there is none.
 */
gboolean duet_vm_daemon_remove(virConnectPtr connection, const DuetSpec *spec, GError **error);

/** duet_vm_daemon_recover: #DuetDriverOps recover. */
gboolean duet_vm_daemon_recover(const DuetSpec *spec, pid_t pid, GError **error);

/**
 * duet_vm_daemon_cgroup:
 * @proc_cgroup: text of /proc/PID/cgroup of QEMU
 * @domain_id: libvirt's number of the running domain
 *
 * Returns: (transfer full) (nullable): the cgroups that libvirt made for this domain alone, for
 *     duet_cgroup_open_foreign(); NULL: there are none
 */
char *duet_vm_daemon_cgroup(const char *proc_cgroup, guint domain_id);

G_END_DECLS
