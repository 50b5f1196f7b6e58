/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/mark.h>
#include <duet/spec.h>

#include <signal.h>

G_BEGIN_DECLS

/*
 * What a driver is to core. A driver is seen only by the monitor of an instance (and by `duet
 * check`): it brings one instance to life and takes it away again. All that an instance *does*
 * while it lives (streams, exec, signals, exit codes) goes over the agent's channel and is core's
 * work, the same for every kind.
 */

/**
 * DuetCheck: one line of `duet check`.
 * @name: short, stable, lower case ("kvm", "overlayfs")
 * @advice: (nullable): what to do about a no
 */
typedef enum { DUET_CHECK_OK, DUET_CHECK_WARN, DUET_CHECK_NO } DuetCheckStatus;
typedef struct {
    char *name;
    DuetCheckStatus status;
    char *detail;
    char *advice;
} DuetCheck;

DuetCheck *duet_check_new(
    const char *name, DuetCheckStatus status, const char *detail, const char *advice);
void duet_check_free(DuetCheck *check);

/**
 * DuetPlace: where an instance lives. All are owned by core and outlive the runtime.
 * @instance_dir: absolute, root's, 0711 for a VM and 0700 else: the driver may keep files here;
 * they survive stop and start, and go with the instance
 * @run_dir: "/run/duet/<id>", for sockets and what may not survive: a driver that wants it makes it
 *     (0711); core removes it, and what is in it, at the end
 * @cgroup: the instance's cgroup, already made; duet_cgroup_join() and duet_cgroup_clone_fd() enter
 * it
 * @id_base: first of the 131072 host ids that belong to this instance alone while it runs:
 *     65536 for the ids 0-65535, then one for each high id. QEMU runs under @id_base itself.
 *     An ordinary user's instances, and the baseline, have no range of their own: 0.
 * @wait: waits at most @timeout_ms until @fd is readable; 1, 0 when it took too long,
 * -1 with errno. Who keeps the monitor waiting waits with it: the monitor reaps meanwhile (libvirt
 *     waits 20 s for each orphan of its that nobody reaps), and answers clients during start()
 * @meanwhile: (nullable): what the monitor has to do that no new process waits for. A driver may
 *     call it in start(), when its process is at work and it has nothing else to do; else core does
 * @saved: (nullable): what save() told of the state in @saved_dir, whose file `memory` start() goes
 *     on from: it renames @saved_dir to @used_dir right before the first instruction
 * @save_path: the file that save() writes
 * @private_fds: the monitor's own descriptors (lock, sockets), which a forked worker closes
 */
typedef struct {
    const char *instance_dir;
    const char *run_dir;
    struct _DuetCgroup *cgroup;
    guint32 id_base;
    int (*wait)(int fd, int timeout_ms, gpointer data);
    gboolean (*meanwhile)(gpointer data, GError **error);
    gpointer data; /* of both */
    GVariant *saved;
    const char *saved_dir;
    const char *used_dir;
    const char *save_path;
    const int *private_fds;
    guint n_private_fds;
} DuetPlace;

/** duet_place_meanwhile: calls @meanwhile, if there is one. */
gboolean duet_place_meanwhile(const DuetPlace *place, GError **error);

/* A guest under emulation on a loaded host has been seen to need 20 s. */
#define DUET_BOOT_TIMEOUT_S 120

/**
 * DuetStarted: what start() hands to the monitor. The monitor owns both descriptors then.
 * @agent_fd: stream socket to the agent, non-blocking not required
 * @pidfd: becomes readable when the instance is over (container init, QEMU)
 * @pid: the same process, for people to read
 * @facts: (nullable) (transfer full): a{sv} of what is worth recording: "accel", "qemu_version",
 *     "libvirt_version", "machine", "kernel", "kernel_sha256", "cpu_model", ...; not floating
 * @notice: (nullable) (transfer full): one line for the user ("no usable KVM: ...")
 * @cgroup: (nullable) (transfer full): where the process lives if that is not place->cgroup, as
 *     duet_cgroup_open_foreign() reads it
 * @boot_timeout_s: given up if there is no HELLO by then; 0: %DUET_BOOT_TIMEOUT_S
 */
typedef struct {
    int agent_fd;
    int pidfd;
    pid_t pid;
    GVariant *facts;
    char *notice;
    char *cgroup;
    guint boot_timeout_s;
} DuetStarted;

typedef struct _DuetRuntime DuetRuntime;

/**
 * DuetEnd: what the instance's machine did of its own accord
 * @DUET_END_UNKNOWN: nothing that is known of: it was killed
 * @DUET_END_REBOOT: its guest had it begin anew
 * @DUET_END_RESET: somebody outside of it did, by another tool than duet
 */
typedef enum {
    DUET_END_UNKNOWN,
    DUET_END_POWER_OFF,
    DUET_END_REBOOT,
    DUET_END_RESET,
    DUET_END_PANIC
} DuetEnd;

/** The keys of an update: bytes (t) of RAM that the guest keeps, */
#define DUET_UPDATE_MEMORY "memory"
/** CPUs (u) that it has at least, */
#define DUET_UPDATE_VCPUS "vcpus"
/** a disk (ay), of duet_data_disk_to_text() with its target, that comes, */
#define DUET_UPDATE_ATTACH "attach"
/** one that goes, */
#define DUET_UPDATE_DETACH "detach"
/** and, where the payload's cgroup is another manager's, what that is to keep (tdb): bytes of
 * memory, CPU time in CPUs, 0 for no limit, and whether its vCPUs can't take more. */
#define DUET_UPDATE_LIMITS "limits"

/** Sent to the monitor by its driver's worker: it is to ask is_paused(), */
#define DUET_LOOK_SIGNAL SIGUSR1
/** and somebody has it end its payload, and begin another run. */
#define DUET_AGAIN_SIGNAL SIGUSR2

/**
 * DuetRuntimeOps: one living instance. Optional members may be NULL: the dispatch then answers
 * %DUET_ERROR_UNSUPPORTED, naming the driver.
 */
typedef struct {
    /**
     * start: (mandatory): brings the instance up to the point where its agent will say HELLO.
     * Sets %DUET_MARK_SPAWNED and, for a VM, %DUET_MARK_RUNNING in @marks. May block for as long as
     * the management takes, never for the guest. On error nothing is left behind.
     */
    gboolean (*start)(
        DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error);
    /** kill: (mandatory): ends it at once, whatever state it is in; no error if already gone. */
    gboolean (*kill)(DuetRuntime *runtime, GError **error);
    /**
     * release: (mandatory): called once, after the pidfd became readable, or after a start that
     * failed: mounts, sockets, libvirt objects go. The writable layer in instance_dir stays.
     */
    gboolean (*release)(DuetRuntime *runtime, GError **error);
    /**
     * console_tail: (optional): Returns: (transfer full) (nullable): last lines of the boot
     * console, and what the emulator said.
     */
    char *(*console_tail)(DuetRuntime *runtime);
    /**
     * how_ended: (optional): asked between the end of its process and release(). @error is set if
     * the driver ended it itself, for want of something that it can't go on without.
     */
    DuetEnd (*how_ended)(DuetRuntime *runtime, GError **error);
    gboolean (*pause)(DuetRuntime *runtime, GError **error); /* optional */
    gboolean (*resume)(DuetRuntime *runtime, GError **error); /* optional */
    /**
     * is_paused: (optional): whether it is, whoever paused it. A driver that hears of somebody else
     * who does sends the monitor %DUET_LOOK_SIGNAL.
     */
    gboolean (*is_paused)(DuetRuntime *runtime, gboolean *out_paused, GError **error);
    /**
     * update: (optional): changes what runs.
     * @changes: a{sv} of one of the DUET_UPDATE_ keys
     * @out_left: 0: it is done. Else the guest is at work on it, and this gets less; to be asked
     *     again
     */
    gboolean (*update)(DuetRuntime *runtime, GVariant *changes, guint64 *out_left, GError **error);
    /**
     * save: (optional): writes memory and devices to place->save_path, and ends the instance. On
     * error it goes on as before. @out_facts: (transfer full): a{sv} that start() goes by later
     */
    gboolean (*save)(DuetRuntime *runtime, GVariant **out_facts, GError **error);
    void (*free)(DuetRuntime *runtime); /* mandatory */
} DuetRuntimeOps;

/**
 * DuetRuntime: embed as the first member.
 * @helper_pid: a child of the monitor without which the instance can't be managed; 0: none
 */
struct _DuetRuntime {
    const DuetRuntimeOps *ops;
    const char *driver_name;
    pid_t helper_pid;
};

/**
 * DuetDriverOps:
 * @name: "container", "vm", "native"
 * @kind: what it runs
 * @check: (optional): Returns: (transfer full) (element-type DuetCheck): its part of `duet check`
 * @create: (mandatory): Returns: a runtime that has brought nothing to life yet. @spec and @place
 *     outlive it. In a worker the last that is done with an ordinary user's powers over their own
 *     namespace.
 * @recover: (optional): takes away what outlived a runtime that was killed and lies outside of the
 *     instance's cgroup and directories: the domain in a libvirt daemon. @pid: what the state says
 *     of the payload's process, 0: nothing. No error if nothing is left.
 */
typedef struct {
    const char *name;
    DuetKind kind;
    GPtrArray *(*check)(void);
    DuetRuntime *(*create)(const DuetSpec *spec, const DuetPlace *place, GError **error);
    gboolean (*recover)(const DuetSpec *spec, pid_t pid, GError **error);
} DuetDriverOps;

/**
 * DuetDriverEntry: a row of the one table that names the drivers (cli/drivers.c).
 * @ops: a driver that is linked in, or
 * @module: the module that exports the ops as `const DuetDriverOps <symbol>`. Such a driver runs in
 *     a worker process below the monitor, so that what it links never burdens the monitor.
 */
typedef struct _DuetDriverEntry {
    DuetKind kind;
    const DuetDriverOps *ops;
    const char *module;
    const char *symbol;
} DuetDriverEntry;

/** duet_driver_find: Returns: (nullable): the row of that kind. */
const DuetDriverEntry *duet_driver_find(const DuetDriverEntry *drivers, DuetKind kind);

/* Thin dispatch (core/driver.c): the only callers of ops->. */
const DuetDriverOps *duet_driver_load(const DuetDriverEntry *entry, GError **error);
DuetRuntime *duet_runtime_new(
    const DuetDriverEntry *entry, const DuetSpec *spec, const DuetPlace *place, GError **error);
gboolean duet_runtime_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error);
gboolean duet_runtime_kill(DuetRuntime *runtime, GError **error);
gboolean duet_runtime_release(DuetRuntime *runtime, GError **error);
char *duet_runtime_console_tail(DuetRuntime *runtime);
DuetEnd duet_runtime_how_ended(DuetRuntime *runtime, GError **error);
gboolean duet_runtime_pause(DuetRuntime *runtime, GError **error);
gboolean duet_runtime_resume(DuetRuntime *runtime, GError **error);
gboolean duet_runtime_is_paused(DuetRuntime *runtime, gboolean *out_paused, GError **error);
gboolean duet_runtime_update(
    DuetRuntime *runtime, GVariant *changes, guint64 *out_left, GError **error);
gboolean duet_runtime_save(DuetRuntime *runtime, GVariant **out_facts, GError **error);
void duet_runtime_free(DuetRuntime *runtime);

G_END_DECLS
