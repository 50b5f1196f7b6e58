/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/spec.h>
#include <sys/types.h>

G_BEGIN_DECLS

/*
 * What a payload is given beside its image and its limits: resource limits, kernel parameters,
 * devices. The spec has them as texts, which the command line, the monitor and the drivers read by
 * the functions here.
 */

/* All sysctls of an instance: they go to a VM's agent in one frame, with other things. */
#define DUET_SYSCTLS_MAX_BYTES 16384u

/**
 * DuetUlimit: one of the limits of getrlimit(2)
 * @resource: RLIMIT_*
 * @soft, @hard: %G_MAXUINT64 is no limit
 */
typedef struct {
    int resource;
    guint64 soft;
    guint64 hard;
} DuetUlimit;

/**
 * duet_ulimit_parse: "nofile=1024:2048", "core=0", "memlock=-1" or "memlock=unlimited", with the
 * names that docker has; one number is both.
 * Returns: %FALSE with %DUET_ERROR_INVALID; %DUET_ULIMIT_HOST is none of them.
 */
gboolean duet_ulimit_parse(const char *text, DuetUlimit *out_limit, GError **error);
/** duet_ulimit_name: Returns: docker's name of RLIMIT_*, or NULL. */
const char *duet_ulimit_name(int resource);
/** duet_ulimits_named: Returns: the resources of a list, a bit for each; all of them where it has
 * %DUET_ULIMIT_HOST. @ulimits: (nullable) */
guint32 duet_ulimits_named(char *const *ulimits);

/**
 * duet_sysctl_normal: "net.ipv4.ip_forward=1"; the name may be written with slashes, as sysctl(8)
 * takes it.
 * Returns: (transfer full): "NAME=VALUE" with dots, or NULL with %DUET_ERROR_INVALID.
 */
char *duet_sysctl_normal(const char *text, GError **error);
/**
 * duet_sysctl_path: Returns: (transfer full): the file of a normal sysctl below "/proc/sys"; a
 * slash in a name stands for a dot in the name of a directory ("eth0/1").
 */
char *duet_sysctl_path(const char *normal);
/**
 * duet_sysctl_is_contained: whether a normal sysctl is one of a container's own namespaces, by the
 * list that runc has.
 * Returns: %FALSE with %DUET_ERROR_UNSUPPORTED, naming it.
 */
gboolean duet_sysctl_is_contained(const char *normal, GError **error);

/**
 * DuetDevice: `--device HOST[:CONTAINER][:PERMISSIONS]`
 * @source: absolute path on the host: a device, or a directory of some
 * @target: below "/dev" in the container
 * @read, @write: at least one is set
 */
typedef struct {
    char *source;
    char *target;
    gboolean read;
    gboolean write;
} DuetDevice;

/** duet_device_parse: Returns: %FALSE with @error, and nothing to clear. */
gboolean duet_device_parse(const char *text, DuetDevice *out_device, GError **error);
void duet_device_clear(DuetDevice *device);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetDevice, duet_device_clear)

/** duet_apparmor_is_on: Returns: whether this host's kernel confines programs by AppArmor. */
gboolean duet_apparmor_is_on(void);
/** duet_apparmor_profile: Returns: (transfer full) (nullable): what AppArmor confines a process by,
 * with its mode: "docker-default (enforce)", "unconfined"; NULL: it is not on, or @pid is not. */
char *duet_apparmor_profile(pid_t pid);

/**
 * duet_attributes_apply: sets from outside what a process can't set itself: the hard limits that
 * the spec wants higher, where this process may raise them, and its OOM score.
 * @pid: the agent, or QEMU; it shares no memory with the caller
 */
gboolean duet_attributes_apply(const DuetSpec *spec, pid_t pid, GError **error);

G_END_DECLS
