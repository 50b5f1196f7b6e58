/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetKind:
 * @DUET_KIND_CONTAINER: namespaces and cgroups on the host's kernel
 * @DUET_KIND_VM: a guest kernel under QEMU, managed through libvirt
 * @DUET_KIND_NATIVE: a plain process chrooted into the same layers; exists for the benchmark alone
 */
typedef enum {
    DUET_KIND_CONTAINER,
    DUET_KIND_VM,
    DUET_KIND_NATIVE,
} DuetKind;

const char *duet_kind_to_string(DuetKind kind);
gboolean duet_kind_from_string(const char *text, DuetKind *out_kind);

/**
 * DuetMount: one `-v HOST:GUEST[:ro]` or `-v NAME:GUEST[:ro]`
 * @source: absolute path on the host
 * @target: absolute path in the instance
 * @readonly: the payload may not write
 * @volume: (nullable): the name of the volume whose files are at @source
 */
typedef struct {
    char *source;
    char *target;
    gboolean readonly;
    char *volume;
} DuetMount;

DuetMount *duet_mount_new(const char *source, const char *target, gboolean readonly);
void duet_mount_free(DuetMount *mount);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetMount, duet_mount_free)

/**
 * DuetTmpfs: one `--tmpfs TARGET[:OPTIONS]`: an empty file system in memory that goes with each run
 * @target: absolute path in the instance
 * @options: (nullable): the file system's own, for mount(2): "size=65536k,mode=700"
 * @readonly: the payload may not write
 * @exec: programs may be executed from it
 */
typedef struct {
    char *target;
    char *options;
    gboolean readonly;
    gboolean exec;
} DuetTmpfs;

DuetTmpfs *duet_tmpfs_new(
    const char *target, const char *options, gboolean readonly, gboolean exec);
void duet_tmpfs_free(DuetTmpfs *tmpfs);

/** duet_path_depth: Returns: how many names @path has. */
guint duet_path_depth(const char *path);

/**
 * DuetAccel: which accelerator a VM may use
 * @DUET_ACCEL_AUTO: KVM where /dev/kvm works, else TCG, and said so
 */
typedef enum {
    DUET_ACCEL_AUTO,
    DUET_ACCEL_KVM,
    DUET_ACCEL_TCG,
} DuetAccel;

/**
 * DuetRestart: what the monitor does when the payload ended by itself
 * @DUET_RESTART_NO: nothing
 * @DUET_RESTART_ON_FAILURE: starts it again if its exit code is not 0
 * @DUET_RESTART_ALWAYS: starts it again
 */
typedef enum {
    DUET_RESTART_NO,
    DUET_RESTART_ON_FAILURE,
    DUET_RESTART_ALWAYS,
} DuetRestart;

const char *duet_restart_to_string(DuetRestart restart);

/**
 * DuetHealthAction: what follows when the instance became unhealthy; as the payload's own end, a
 * kill is followed by what @restart says
 */
typedef enum {
    DUET_HEALTH_NOTHING,
    DUET_HEALTH_KILL,
    DUET_HEALTH_RESTART,
    DUET_HEALTH_STOP,
} DuetHealthAction;

const char *duet_health_action_to_string(DuetHealthAction action);
gboolean duet_health_action_from_string(const char *text, DuetHealthAction *out_action);

/**
 * DuetHealthCheck: a command in the instance that tells whether its payload is well.
 * @test: (nullable): it; exit code 0: it is; NULL: there is no check
 * @interval_us: between two checks; 0: only when somebody asks
 * @timeout_us: what takes longer has failed, and is killed
 * @start_period_us: failures do not count so long, until the first success
 * @start_interval_us: the interval meanwhile; 0: the same
 * @retries: how many failures in a row make it unhealthy
 */
typedef struct {
    char **test;
    gint64 interval_us;
    gint64 timeout_us;
    gint64 start_period_us;
    gint64 start_interval_us;
    int retries;
    DuetHealthAction on_failure;
} DuetHealthCheck;

/* In place of a CPU model: the host's own, which needs KVM, and all that the accelerator has. */
#define DUET_CPU_HOST "host"
#define DUET_CPU_MAX "max"

/**
 * DuetTopology: the vCPUs of a VM
 * @vcpus: how many; 0: as many as the CPU time that it may use
 * @sockets, @cores, @threads: @max, or without one @vcpus, is their product; all 0: libvirt's
 * choice
 * @max: how many it may get while it runs; 0: no more
 */
typedef struct {
    int vcpus;
    int sockets;
    int cores;
    int threads;
    int max;
} DuetTopology;

const char *duet_accel_to_string(DuetAccel accel);
gboolean duet_accel_from_string(const char *text, DuetAccel *out_accel);

/* Capabilities, a bit for each (capabilities(7)): those that docker gives, all that there are, and
 * what the agent itself needs to start and end processes of any user. */
#define DUET_CAPABILITIES_DEFAULT G_GUINT64_CONSTANT(0xa80425fb)
#define DUET_CAPABILITIES_ALL ((G_GUINT64_CONSTANT(1) << 63) - 1)
#define DUET_CAPABILITIES_AGENT G_GUINT64_CONSTANT(0x1e3)
/* The kind's own: docker's of a container, all of a VM, whose kernel is nobody else's. */
#define DUET_CAPABILITIES_OF_KIND G_MAXUINT64
/* In place of a profile: no filter. */
#define DUET_SECCOMP_UNCONFINED "unconfined"
/* In the place of a limit: the caller's. */
#define DUET_ULIMIT_HOST "host"
#define DUET_OOM_SCORE_ADJ_OF_CALLER G_MININT
#define DUET_STOP_TIMEOUT_S 10
#define DUET_SHM_DEFAULT_BYTES (G_GUINT64_CONSTANT(64) << 20)

/**
 * DuetSpec: all that a user asked of an instance, with the image already resolved.
 * @id: 12 lower-case hex digits, unique on the machine; given by duet_spec_new()
 * @name: unique below one root directory
 * @image_ref: what the user called the image
 * @image_digest: "sha256:<hex>" of the image's manifest
 * @layers: absolute paths of the unpacked layers, lowest first
 * @root_disk: path of the shared read-only root disk; NULL unless @kind is VM
 * @high_ids: (element-type guint32) ids above 65535 that the image's files use, ascending
 * @argv: the payload: entrypoint and command merged; ignored when @idle
 * @env: "NAME=value" strings, image's and user's merged, never NULL
 * @cwd: absolute working directory in the instance
 * @user: "user[:group]" names or numbers, resolved inside the instance; NULL is root
 * @hostname: never NULL
 * @stop_signal: what `stop` sends first
 * @open_stdin: the caller's standard input is passed on (`-i`)
 * @remove_at_exit: `--rm`
 * @idle: the payload is the agent's own sleeping child (to measure memory with any image)
 * @timeout_ms: the instance is killed when it ran this long; 0: never
 * @memory_bytes: limit of the payload's memory; a VM's RAM; 0: no limit, a VM's default
 * @cpus: CPU time as a share of one CPU; 0: no limit, a VM's default
 * @pids_limit: how many processes; 0: no limit
 * @capabilities: what root in the instance may do, or %DUET_CAPABILITIES_OF_KIND
 * @seccomp: container: a profile in Docker's format; NULL: the default one;
 *     %DUET_SECCOMP_UNCONFINED: none
 * @readonly: the payload may write to no file of the image, only to @mounts and @tmpfs
 * @mounts: (element-type DuetMount) bind mounts or shared folders
 * @tmpfs: (element-type DuetTmpfs)
 * @accel: VM: which accelerator
 * @qemu_path: VM: the QEMU binary, or NULL for libvirt's choice
 * @kernel_path: VM: the guest kernel, or NULL for the rule in docs
 * @disk_bytes: VM: size of the writable layer's disk; 0: the default, 10 GiB
 * @connect: VM: URI of the libvirt daemon that runs it, or NULL for a libvirt inside of duet
 * @owner_pid: it ends and is removed when this process, which starts it, is gone; 0: it outlives
 *     its client
 * @pool: (nullable): a word; instances of the same pool are held to @pool_memory_bytes together,
 *     their monitors with them, where duet_pool_check() says so
 * @labels: (nullable): "KEY=VALUE" strings, the image's and the user's merged
 * @memory_swap_bytes: memory and swap together; 0: no swap beyond @memory_bytes; -1: any swap
 * @memory_reservation_bytes: what of its memory is the last to be taken for others; 0: nothing
 * @cpu_shares: its part of the CPUs where they do not suffice, 1024 being the usual one; 0: that
 * @cpu_period_us: what @cpus is counted over; 0: the kernel's 100 ms
 * @cpuset_cpus, @cpuset_mems: (nullable): the only CPUs and NUMA nodes it uses, as "0-3,7"
 * @blkio_weight: its part of the disks where they do not suffice, 10 to 1000; 0: the usual one
 * @io_limits: (nullable): of block devices, see #DuetIoLimit
 * @hugetlb: (nullable): of huge pages, see #DuetHugetlbLimit
 * @tty: the payload has a terminal (`-t`), in place of the three streams
 * @ulimits: (nullable): of duet_ulimit_parse(), for the payload and each `exec`; %DUET_ULIMIT_HOST:
 *     those that are not named are the caller's
 * @groups: (nullable): further groups of @user, names or numbers, resolved inside the instance
 * @sysctls: (nullable): of duet_sysctl_normal()
 * @shm_bytes: size of /dev/shm; 0: the default, 64 MiB
 * @oom_score_adj: how soon the host's kernel takes the instance when memory runs out, or
 *     %DUET_OOM_SCORE_ADJ_OF_CALLER
 * @stop_timeout_s: what `stop` waits by default between the stop signal and the kill
 * @devices: (nullable): container: of duet_device_parse()
 * @apparmor: (nullable): container: the AppArmor profile of all that runs in it
 * @masks: (nullable): container: further paths that are hidden
 * @unmasks: (nullable): container: paths that are hidden or read-only by default and stay as they
 *     are; "ALL": every one
 * @monotonic_s: container: how far CLOCK_MONOTONIC is ahead of the host's
 * @boottime_s: container: the same of CLOCK_BOOTTIME
 * @restart: what follows when the payload ended; `stop`, a kill and the like end it for good
 * @restart_retries: with %DUET_RESTART_ON_FAILURE: how often at most; 0: no limit
 * @no_log: what it writes is not kept
 * @log_max_bytes: how long one file of its log may get; 0: without bound
 * @log_max_files: how many of these there may be; 0 and 1: one
 * @health: its check, if there is one
 * @machine: (nullable): VM: QEMU's machine type; NULL: q35
 * @cpu_model: (nullable): VM: "host", "max" or a model of libvirt's; NULL: the accelerator's
 * @topology: VM: its vCPUs, if they are not what @cpus says
 * @disks: (nullable): VM: further disks, of duet_data_disk_to_text()
 * @rng: VM: it has a virtio-rng
 * @xml_patch: (nullable): VM: the text of a domain XML that is merged into ours
 * @disk_image: (nullable): VM: path of the qcow2 that it boots from with its own boot loader, which
 *     is never written to: a disk guest. It has no @layers, no @root_disk and no payload but
 * itself; its serial console stands for the payload's terminal
 * @firmware: (nullable): disk guest: %DUET_FIRMWARE_UEFI or %DUET_FIRMWARE_BIOS, the default
 * @user_data: (nullable): disk guest: what cloud-init is told
 * @network_config: (nullable): disk guest: how cloud-init sets up its network
 * @ssh_keys: (nullable): disk guest: lines of public keys for the user that the disk's cloud-init
 *     makes
 * @wait: (nullable): disk guest: it counts as started when its guest agent answers
 *     (%DUET_WAIT_AGENT) or tells of an address (%DUET_WAIT_IP), or its console has a match of what
 *     follows %DUET_WAIT_CONSOLE; NULL: as soon as it runs. Its @mounts are there in any case
 * @graphics: (nullable): disk guest: it has a screen, shown by VNC at %DUET_GRAPHICS_UNIX or
 *     %DUET_GRAPHICS_LOOPBACK
 *
 * One struct for every kind: kind-specific wishes are optional members, never extra verbs.
 */
typedef struct {
    char *id;
    char *name;
    DuetKind kind;
    char *image_ref;
    char *image_digest;
    char **layers;
    char *root_disk;
    GArray *high_ids;
    char **argv;
    char **env;
    char *cwd;
    char *user;
    char *hostname;
    int stop_signal;
    gboolean open_stdin;
    gboolean remove_at_exit;
    gboolean idle;
    gint64 timeout_ms;
    guint64 memory_bytes;
    double cpus;
    guint64 pids_limit;
    guint64 capabilities;
    char *seccomp;
    gboolean readonly;
    GPtrArray *mounts;
    GPtrArray *tmpfs;
    DuetAccel accel;
    char *qemu_path;
    char *kernel_path;
    guint64 disk_bytes;
    char *connect;
    gint64 owner_pid;
    char *pool;
    guint64 pool_memory_bytes;
    char **labels;
    gint64 memory_swap_bytes;
    guint64 memory_reservation_bytes;
    guint64 cpu_shares;
    guint64 cpu_period_us;
    char *cpuset_cpus;
    char *cpuset_mems;
    guint64 blkio_weight;
    char **io_limits;
    char **hugetlb;
    gboolean tty;
    char **ulimits;
    char **groups;
    char **sysctls;
    guint64 shm_bytes;
    int oom_score_adj;
    int stop_timeout_s;
    char **devices;
    char *apparmor;
    char **masks;
    char **unmasks;
    gint64 monotonic_s;
    gint64 boottime_s;
    DuetRestart restart;
    int restart_retries;
    gboolean no_log;
    guint64 log_max_bytes;
    int log_max_files;
    DuetHealthCheck health;
    char *machine;
    char *cpu_model;
    DuetTopology topology;
    char **disks;
    gboolean rng;
    char *xml_patch;
    char *disk_image;
    char *firmware;
    char *user_data;
    char *network_config;
    char **ssh_keys;
    char *wait;
    char *graphics;
} DuetSpec;

#define DUET_FIRMWARE_BIOS "bios"
#define DUET_FIRMWARE_UEFI "uefi"
#define DUET_GRAPHICS_UNIX "unix"
#define DUET_GRAPHICS_LOOPBACK "loopback"
#define DUET_WAIT_AGENT "agent"
#define DUET_WAIT_IP "ip"
#define DUET_WAIT_CONSOLE "console:"
/* How long a disk guest may take to shut down; DUET_STOP_TIMEOUT_S is a process's. */
#define DUET_DISK_STOP_TIMEOUT_S 60

/* Less would be all headers. */
#define DUET_LOG_MIN_BYTES 1024u

/**
 * duet_spec_new:
 *
 * Returns: (transfer full): a spec with a fresh id, empty lists and SIGTERM as stop signal.
 */
DuetSpec *duet_spec_new(void);
void duet_spec_free(DuetSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetSpec, duet_spec_free)

/** duet_spec_capabilities: Returns: those that root in the instance has, of its kind or as asked.
 */
guint64 duet_spec_capabilities(const DuetSpec *spec);

/**
 * DuetIoLimit: one of a spec's @io_limits, "read-bps:/dev/sda:1048576" there
 * @kind: which of the four
 * @path: of the block device on the host; may have colons in it
 * @rate: bytes, or operations, in a second
 */
typedef enum {
    DUET_IO_READ_BPS,
    DUET_IO_WRITE_BPS,
    DUET_IO_READ_IOPS,
    DUET_IO_WRITE_IOPS,
} DuetIoKind;
#define DUET_IO_KINDS 4

typedef struct {
    DuetIoKind kind;
    char *path;
    guint64 rate;
} DuetIoLimit;

/** duet_io_kind_to_string: Returns: "read-bps", ... */
const char *duet_io_kind_to_string(DuetIoKind kind);
/** duet_io_limit_to_text: Returns: (transfer full): as it is in a spec. */
char *duet_io_limit_to_text(DuetIoKind kind, const char *path, guint64 rate);
/** duet_io_limit_parse: Returns: whether @text is one; out_limit->path is the caller's then. */
gboolean duet_io_limit_parse(const char *text, DuetIoLimit *out_limit);

/**
 * DuetHugetlbLimit: one of a spec's @hugetlb, "2MB:67108864" there
 * @size: of a page, as the kernel names it
 */
typedef struct {
    char size[16];
    guint64 bytes;
} DuetHugetlbLimit;

gboolean duet_hugetlb_limit_parse(const char *text, DuetHugetlbLimit *out_limit);

/**
 * DuetVolume: one of a spec's mounts, or of its tmpfs: of the two, one is NULL
 * @index: in its list
 */
typedef struct {
    const char *target;
    const DuetMount *mount;
    const DuetTmpfs *tmpfs;
    guint index;
} DuetVolume;

/**
 * duet_spec_volumes:
 *
 * Returns: (transfer full) (element-type DuetVolume): all mounts and tmpfs, in the order in which
 *     they are to be mounted: parents before what lies below them, else as the user had them.
 */
GArray *duet_spec_volumes(const DuetSpec *spec);

/**
 * duet_spec_to_variant:
 *
 * Returns: (transfer floating): an a{sv}; byte strings where the value need not be UTF-8.
 */
GVariant *duet_spec_to_variant(const DuetSpec *spec);

/**
 * duet_spec_from_variant:
 *
 * Returns: (transfer full): the spec, or NULL with %DUET_ERROR_BROKEN.
 */
DuetSpec *duet_spec_from_variant(GVariant *variant, GError **error);

/** duet_spec_copy: Returns: (transfer full) */
DuetSpec *duet_spec_copy(const DuetSpec *spec);

/**
 * duet_spec_change: sets the member that duet_spec_to_variant() calls @key.
 *
 * Returns: %FALSE if there is no such member, or @value is of another type.
 */
gboolean duet_spec_change(DuetSpec *spec, const char *key, GVariant *value);

G_END_DECLS
