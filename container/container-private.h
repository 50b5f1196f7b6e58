/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of the container driver share.
 *
 *   container.c          the driver's ops; the order of a start, as the monitor sees it
 *   container-steps.c    errors of the child, in words
 *   container-clone.c    a child that shares the monitor's memory
 *   container-child.c    what the child does, up to the execution of the agent
 *   container-rootfs.c   its mounts, as the child sees them
 *   container-caps.c     what it may keep of root's powers
 *   container-facts.c    what the driver tells of it
 *   container-filter.c   which system calls it may make; the profiles are in seccomp/
 *   container-idmap.c    the user namespace's maps
 *   container-layers.c   layers and writable layer, through idmapped mounts
 *   container-overlay.c  the root file system, put together from them
 *   container-dev.c      /dev
 *   container-devices.c  further devices of the host
 *   container-mounts.c   volumes, made by the monitor and moved in by the child
 *   container-sysctl.c   kernel parameters of its namespaces
 *   container-check.c    lines of `duet check`
 *   native.c             the same payload without a container, for the benchmark
 */

#include <duet/driver.h>
#include <linux/filter.h>
#include <signal.h>

#include "core/cgroup/cgroup.h"

G_BEGIN_DECLS

#define DUET_KILL_TIMEOUT_MS 5000
/* Descriptors that the child needs until it executes must not be in the way of 0 to 3. */
#define DUET_FD_MIN 10

/* ---- container-clone.c ---- */

/**
 * duet_clone:
 * @flags: CLONE_NEW* and CLONE_INTO_CGROUP; CLONE_PIDFD is added
 * @cgroup_fd: for CLONE_INTO_CGROUP
 * @run: never returns; all its signals are blocked
 * @out: its pidfd is the caller's to close after duet_clone_settled(); duet_clone_abort() does both
 *
 * The child has copies of the descriptors; @data and all memory stay shared until it executes
 * something (see raw.h): the caller keeps @data until then.
 *
 * Returns: %FALSE with errno, and nothing to clear in @out.
 */
typedef void (*DuetCloneFunc)(void *data);
typedef struct {
    void *memory;
    gsize bytes;
    int pidfd;
    pid_t pid;
} DuetClone;
gboolean duet_clone(guint64 flags, int cgroup_fd, DuetCloneFunc run, void *data, DuetClone *out);
/** duet_clone_settled: the child has executed something or is gone: frees its stack. */
void duet_clone_settled(DuetClone *clone);
/** duet_clone_abort: kills the child, reaps it, and forgets it. */
void duet_clone_abort(DuetClone *clone);

/* ---- the child's report ---- */

/** Steps of the child; each has a row in container-steps.c. */
typedef enum {
    DUET_STEP_NONE,
    DUET_STEP_CGROUP,
    DUET_STEP_NETWORK,
    DUET_STEP_LOOPBACK,
    DUET_STEP_HOSTNAME,
    DUET_STEP_MONITOR,
    DUET_STEP_IDS,
    DUET_STEP_IPC,
    DUET_STEP_BASE,
    DUET_STEP_PROC,
    DUET_STEP_SYS,
    DUET_STEP_DEV,
    DUET_STEP_DEVICE,
    DUET_STEP_CLOCKS,
    DUET_STEP_APPARMOR,
    DUET_STEP_MASK,
    DUET_STEP_ROOT,
    DUET_STEP_VOLUME,
    DUET_STEP_HIDE,
    DUET_STEP_READONLY,
    DUET_STEP_LIMITS,
    DUET_STEP_KEYRING,
    DUET_STEP_CAPABILITIES,
    DUET_STEP_DESCRIPTORS,
    DUET_STEP_SECCOMP,
    DUET_STEP_EXEC,
    DUET_STEP_COUNT,
} DuetStep;

/**
 * DuetReport: what the child sends when it fails; nothing comes when it succeeds, for the socket
 * closes with the execution of the agent.
 * @volume: which one, in a report of %DUET_STEP_VOLUME, %DUET_STEP_DEVICE or %DUET_STEP_HIDE
 */
typedef struct {
    gint32 step;
    gint32 err;
    gint32 volume;
} DuetReport;

/**
 * duet_go_send: tells the child to go on
 * @byte: %DUET_GO_MAPPED or %DUET_GO_MOUNTS
 * @fds: (array length=count): for it to have
 * @out_gone: that it is gone, so that its report is waiting
 *
 * Returns: %FALSE with @error when it can't be told, and would wait for ever.
 */
gboolean duet_go_send(
    int sync_fd, char byte, const int *fds, int count, gboolean *out_gone, GError **error);

/**
 * duet_report_receive: waits until the child executed the agent, or reported, or ended.
 * Returns: whether there is a report.
 */
gboolean duet_report_receive(int sync_fd, DuetReport *out_report);

/** duet_report_to_error: always sets @error. Returns: %FALSE. */
gboolean duet_report_to_error(const DuetReport *report, const DuetSpec *spec, GError **error);

/* ---- container-child.c ---- */

/**
 * DuetChildVolume:
 * @target: absolute path in the container, writable for the child's own use
 * @is_dir: what to make where there is no target
 */
typedef struct {
    char *target;
    gboolean is_dir;
} DuetChildVolume;

/**
 * DuetDeviceNode: one device that the container was given
 * @source: on the host
 * @target: below the container's /dev
 * @number, @mode: of mknod(2)
 * @is_owned: it belongs to the container's root, else to the host's
 */
typedef struct {
    char *source;
    char *target;
    dev_t number;
    mode_t mode;
    gboolean is_owned;
} DuetDeviceNode;

/* Of volumes and tmpfs together. */
#define DUET_VOLUMES_MAX 200
/* Descriptors that come with %DUET_GO_MOUNTS: root, volumes. */
enum { DUET_CHILD_FD_ROOT, DUET_CHILD_FD_VOLUMES };
#define DUET_CHILD_FDS_MAX (DUET_CHILD_FD_VOLUMES + DUET_VOLUMES_MAX)

/**
 * DuetChild: all that the child needs; filled by the monitor before the clone, since memory is not
 * shared everywhere (raw.h), and not touched by it afterwards. Read-only for the child but for
 * @dev_fd, @fds and the volumes' targets.
 * @sync_fd: the child's end of the socket to the monitor; 10 or above, like @exec_fd
 * @monitor_fd: the monitor's end, of which the child has a copy
 * @agent_fd: becomes descriptor 3 of the agent
 * @exec_fd: the agent's program
 * @cgroup_fds: to write "0" to, of duet_cgroup_born_fds()
 * @argv: of the agent
 * @rootless: an ordinary user's: with the host's devices, and groups that may have to stay
 * @dev_fd: the container's /dev; came with %DUET_GO_MAPPED, or -1: to be made from the host's
 * @cgroup2: also mount the cgroup2 file system
 * @readonly: nothing of the image may be written to
 * @capabilities: all that is kept
 * @filter: for seccomp; of length 0: none
 * @limits_asked: resource limits that stay the caller's until the agent sets them, a bit for each
 * @shm_options: of the tmpfs on /dev/shm
 * @tty: the payload has a terminal
 * @devices: that it was given; made by the monitor, but for an ordinary user's
 * @clocks: (nullable): text of timens_offsets: there is to be a time namespace
 * @apparmor: (nullable): what makes the agent's execution change to a profile
 * @unmasked: default masks that are not wanted, a bit for each of duet_rootfs_unmasked()
 * @masks: (nullable): paths that are hidden beside the default ones
 */
typedef struct {
    int sync_fd;
    int monitor_fd;
    int agent_fd;
    int exec_fd;
    int cgroup_fds[DUET_CGROUP_MEMBERS_MAX];
    guint cgroup_fds_count;
    char *const *argv;
    const char *hostname;
    gsize hostname_length;
    const char *hosts;
    gsize hosts_length;
    gboolean cgroup2;
    gboolean rootless;
    gboolean readonly;
    guint64 capabilities;
    struct sock_fprog filter;
    guint32 limits_asked;
    const char *shm_options;
    gboolean tty;
    const DuetDeviceNode *devices;
    guint devices_count;
    const char *clocks;
    const char *apparmor;
    guint32 unmasked;
    char *const *masks;
    int dev_fd;
    int fds[DUET_CHILD_FDS_MAX];
    int fds_count;
    DuetChildVolume volumes[DUET_VOLUMES_MAX];
    int volumes_count;
} DuetChild;

/* Bytes that the monitor sends to the child. */
#define DUET_GO_MAPPED 'm'
#define DUET_GO_MOUNTS 'r'

/** duet_child_run: a #DuetCloneFunc with a #DuetChild. */
void duet_child_run(void *data);
/** duet_child_begin: the first that any child does: sees from now on when the monitor is gone, and
 * is charged to the payload. */
void duet_child_begin(const DuetChild *child);
/** duet_child_fail: reports and ends the child. */
G_NORETURN void duet_child_fail(const DuetChild *child, DuetStep step, long result, int volume);
/** duet_child_check: does that for a negative @result. */
void duet_child_check(const DuetChild *child, DuetStep step, long result);
/** duet_child_execute: descriptors, resource limits that do not depend on who called duet, signal
 * mask, then the agent. Never returns. */
G_NORETURN void duet_child_execute(const DuetChild *child);
/** duet_child_receive: waits for a byte of the monitor and takes its descriptors. */
void duet_child_receive(DuetChild *child, char wanted);

/* ---- container-rootfs.c (child) ---- */

/** duet_rootfs_unmasked: (monitor) Returns: which of the masks and read-only paths that every
 * container has are on a list of patterns; "ALL" is all. @unmasks: (nullable) */
guint32 duet_rootfs_unmasked(char *const *unmasks);

/** duet_rootfs_prepare: leaves the host's tree for one that holds /dev, /proc and /sys alone. */
void duet_rootfs_prepare(DuetChild *child);
/** duet_rootfs_enter: makes the image the root, with volumes. */
void duet_rootfs_enter(DuetChild *child);

/* ---- container-facts.c ---- */

/** duet_container_facts: Returns: (transfer full): #DuetStarted facts of the container whose agent
 * is
 * @pid. */
GVariant *duet_container_facts(const DuetSpec *spec, pid_t pid);

/* ---- container-caps.c (child) ---- */

/** duet_caps_drop: all but @kept, a bit for each. Returns: 0 or -errno. */
long duet_caps_drop(guint64 kept);

/* ---- container-idmap.c ---- */

/**
 * duet_idmap_text: the text of uid_map and gid_map.
 * Returns: (transfer full): the text, or NULL with %DUET_ERROR_UNSUPPORTED when the image has more
 *     high ids than the kernel can map.
 */
char *duet_idmap_text(guint32 id_base, const GArray *high_ids, GError **error);
/** duet_userns_require: %FALSE for an ordinary user who may have no user namespace. */
gboolean duet_userns_require(GError **error);
/**
 * duet_idmap_check: whether an ordinary user still has the ids that an image was imported with. An
 * image does not tell users from groups, so each must be both.
 * @users, @groups: (element-type DuetIdRange): what the user has
 * Returns: %FALSE with %DUET_ERROR_UNSUPPORTED and the command that gives the user more.
 */
gboolean duet_idmap_check(
    const GArray *users, const GArray *groups, const GArray *high_ids, GError **error);
/** DuetIdmap: the texts of uid_map and gid_map. */
typedef struct {
    char *users;
    char *groups;
} DuetIdmap;
/** duet_idmap_make: duet_idmap_text() for both, or for an ordinary user the ids of their namespace.
 */
gboolean duet_idmap_make(
    DuetIdmap *out_map, guint32 id_base, const GArray *high_ids, GError **error);
void duet_idmap_clear(DuetIdmap *map);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetIdmap, duet_idmap_clear)
/** duet_idmap_write: gives @pid's user namespace its maps. */
gboolean duet_idmap_write(pid_t pid, const DuetIdmap *map, GError **error);
/** duet_idmap_open: Returns: @pid's user namespace, or -1 with @error. */
int duet_idmap_open(pid_t pid, GError **error);

/* ---- container-overlay.c ---- */

/**
 * DuetOverlay: the root file system of one run.
 * @root_fd: the detached or moved mount; holding it keeps the overlay's last reference, whose
 *     dropping syncs a disk, out of the container's exit
 * @attached: where help mounts are in our mount namespace, or NULL
 * @is_private: this process has a mount namespace of its own
 */
typedef struct {
    int root_fd;
    char *attached;
    guint attached_count;
    gboolean is_private;
} DuetOverlay;

/**
 * duet_overlay_make:
 * @overlay: zeroed but for a @root_fd of -1, or cleared
 * @layers: lowest first
 * @userns_fd: the id map, or -1 for none
 * @id_base: the container's root on the host
 * @is_volatile: no sync is needed, ever: the writable layer goes with this run
 */
gboolean duet_overlay_make(DuetOverlay *overlay, char *const *layers, const char *instance_dir,
    int userns_fd, guint32 id_base, gboolean is_volatile, GError **error);
void duet_overlay_clear(DuetOverlay *overlay);
/** duet_overlay_private_ns: gives the calling process a mount namespace of its own, once. */
gboolean duet_overlay_private_ns(DuetOverlay *overlay, GError **error);

/* ---- container-dev.c ---- */

/** duet_dev_make: (monitor) Returns: a detached tmpfs with a container's devices, and those of
 * @devices (nullable) (element-type DuetDeviceNode), or -1 with @error. */
int duet_dev_make(guint32 id_base, const GArray *devices, GError **error);
/**
 * duet_dev_bind: (child) mounts such a tmpfs with the host's devices in it on the directory "dev"
 * of
 * @base_fd, before the host's tree is left. Returns: 0 or -errno
 */
long duet_dev_bind(const DuetChild *child, int base_fd);
/** duet_dev_usual: Returns: the device that every container has by that name below /dev, or 0. */
dev_t duet_dev_usual(const char *name);
/** duet_dev_fill: (child) mounts what /dev needs beside devices. Returns: 0 or -errno */
long duet_dev_fill(const DuetChild *child);

/* ---- container-devices.c ---- */

/** duet_devices_find: what a spec's devices are on this host, now.
 * @out_nodes: (out) (nullable) (element-type DuetDeviceNode): NULL: none were asked for */
gboolean duet_devices_find(const DuetSpec *spec, GArray **out_nodes, GError **error);
/** duet_devices_make: puts them into a container's /dev that nobody sees yet. */
gboolean duet_devices_make(int dev_fd, const GArray *nodes, guint32 id_base, GError **error);
/** duet_devices_bind: (child) mounts the host's in the current directory, while they can be seen.
 */
void duet_devices_bind(const DuetChild *child);

/* ---- container-mounts.c ---- */

/** duet_volume_open: Returns: a detached copy of the source's mounts, or -1 with @error. */
int duet_volume_open(const DuetMount *mount, gboolean *out_is_dir, GError **error);
/**
 * duet_volume_mount:
 * @tree_fd: of duet_volume_open()
 * @userns_fd: the id map, or -1 for none
 * @out_notice: (inout) (nullable): gets what has to be said, after what is there already
 * Returns: the detached mount to attach, or -1 with @error.
 */
int duet_volume_mount(
    const DuetMount *mount, int tree_fd, int userns_fd, char **out_notice, GError **error);
/** duet_tmpfs_make: Returns: a detached tmpfs whose root is @id_base's, or -1 with errno. @options:
 * (nullable): its own, each with a value. @attributes: MOUNT_ATTR_*. */
int duet_tmpfs_make(const char *source, const char *options, guint32 id_base, unsigned attributes);
/** duet_tmpfs_mount: Returns: such a detached mount, owned by @id_base, or -1 with @error. */
int duet_tmpfs_mount(const DuetTmpfs *tmpfs, guint32 id_base, GError **error);

/* ---- container-filter.c ---- */

/**
 * duet_filter_make:
 * @out_bytes: (nullable): what @out_filter's program lies in; NULL: it is there for ever
 * @out_filter: of length 0: there is to be none
 */
gboolean duet_filter_make(
    const DuetSpec *spec, GBytes **out_bytes, struct sock_fprog *out_filter, GError **error);

/* ---- container-sysctl.c ---- */

/** duet_sysctls_write: in the namespaces of @pidfd's process, which has executed the agent.
 * @id_base: its root on the host */
gboolean duet_sysctls_write(int pidfd, guint32 id_base, char *const *sysctls, GError **error);

/* ---- container-check.c ---- */

GPtrArray *duet_container_check(void);

G_END_DECLS
