/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/mark.h>
#include <duet/spec.h>

G_BEGIN_DECLS

struct _DuetDriverEntry;

/**
 * DuetState:
 * @DUET_STATE_CREATED: files only, never started
 * @DUET_STATE_STARTING: its monitor lives; the payload has not been executed yet
 * @DUET_STATE_RUNNING: the payload runs and exec works
 * @DUET_STATE_EXITED: only files again
 * @DUET_STATE_RESTARTING: a run is over, its monitor waits to begin the next (`--restart`)
 * @DUET_STATE_SAVED: only files, with its memory among them: see save.h
 */
typedef enum {
    DUET_STATE_CREATED,
    DUET_STATE_STARTING,
    DUET_STATE_RUNNING,
    DUET_STATE_PAUSED,
    DUET_STATE_STOPPING,
    DUET_STATE_EXITED,
    DUET_STATE_RESTARTING,
    DUET_STATE_SAVED,
} DuetState;

const char *duet_state_to_string(DuetState state);

typedef enum {
    DUET_HEALTH_STARTING,
    DUET_HEALTH_HEALTHY,
    DUET_HEALTH_UNHEALTHY,
} DuetHealthStatus;

const char *duet_health_to_string(DuetHealthStatus status);

/**
 * DuetHealthResult: of one check.
 * @exit_code: 0: it passed; %DUET_HEALTH_LATE: it was killed, it took too long
 * @output: the beginning of what it wrote
 */
typedef struct {
    gint64 began_us;
    gint64 ended_us;
    int exit_code;
    char *output;
} DuetHealthResult;

#define DUET_HEALTH_LATE (-1)

/**
 * DuetHealth:
 * @failing_streak: how many checks failed since the last that passed
 * @log: (element-type DuetHealthResult): the last few, the oldest first
 */
typedef struct {
    DuetHealthStatus status;
    int failing_streak;
    GPtrArray *log;
} DuetHealth;

void duet_health_free(DuetHealth *health);

/**
 * DuetInfo: what is known of an instance now.
 * @spec: as it was created
 * @exit_code: of the last run; -1 while there is none
 * @error: (nullable): why the last run failed for duet (boot failure, killed monitor)
 * @asked_to_end: by duet_instance_run() alone: it passed on a SIGINT, SIGTERM or SIGHUP
 * @detached: by duet_instance_run() and duet_instance_attach() alone: they returned while it runs;
 *     nothing else is known then
 * @marks: of the current or last run
 * @guest_agent_ns: how long the agent had run, by its own clock, when it said HELLO
 * @guest_kernel_ns: how long the guest's kernel had run then, by the guest's clock; VM only
 * @managing_cpu_ns: CPU time of monitor, worker and client-side helpers
 * @payload_cpu_ns: CPU time charged to the payload's cgroup
 * @peak_memory_bytes: the payload cgroup's high-water mark; 0 where the kernel has none
 * @facts: (nullable): a{sv} the driver's facts (accel, versions, kernel hash)
 * @cgroup: the instance's cgroup, relative to each hierarchy, for people to read
 * @payload_cgroup: (nullable): where the payload's process lives if that is not in @cgroup
 * @restarts: how often its monitor started it again
 * @health: (nullable): of the current or last run, if it has a check
 */
typedef struct {
    DuetSpec *spec;
    DuetState state;
    gint64 pid;
    gint64 monitor_pid;
    int exit_code;
    int exit_signal;
    gboolean oom;
    gboolean asked_to_end;
    char *error;
    DuetMarks marks;
    gint64 created_us;
    gint64 started_us;
    gint64 exited_us;
    gint64 guest_agent_ns;
    gint64 guest_kernel_ns;
    gint64 managing_cpu_ns;
    gint64 payload_cpu_ns;
    guint64 peak_memory_bytes;
    GVariant *facts;
    char *cgroup;
    char *payload_cgroup;
    gboolean detached;
    gint64 restarts;
    DuetHealth *health;
} DuetInfo;

void duet_info_free(DuetInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetInfo, duet_info_free)

/**
 * DuetContext: one root directory (store and instances) and the drivers there are.
 * What a killed monitor left behind is found by its free lock, killed by cgroup and removed: see
 * duet_context_sweep().
 */
typedef struct _DuetContext DuetContext;

/**
 * duet_context_new:
 * @root: (nullable): the directory; NULL: $DUET_ROOT, else /var/lib/duet (as a user:
 *     $XDG_DATA_HOME/duet). Made if missing.
 * @drivers: table that ends with a row whose ops and module are NULL; not copied
 */
DuetContext *duet_context_new(
    const char *root, const struct _DuetDriverEntry *drivers, GError **error);
void duet_context_free(DuetContext *context);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetContext, duet_context_free)
const char *duet_context_store_dir(DuetContext *context);
const struct _DuetDriverEntry *duet_context_drivers(DuetContext *context);
/**
 * duet_context_sweep: recovers what dead monitors left. Called by every verb.
 * @at_most: looks at so many instances that run, at others each time, so that a start takes no
 *     longer the more there are; 0: at all. One that is named, or whose name is wanted, is looked
 *     at anyway, and to list them sweeps all.
 */
#define DUET_SWEEP_PART 32
void duet_context_sweep(DuetContext *context, guint at_most);

/** DuetKeys: what is typed to leave an instance running; none with a @length of 0. */
typedef struct {
    guint8 bytes[16];
    guint length;
} DuetKeys;

/**
 * duet_keys_from_string:
 * @text: as docker has it: characters, or "ctrl-" and one of a-z @ [ \ ] ^ _, with commas between
 *     them; an empty one gives no keys
 */
gboolean duet_keys_from_string(const char *text, DuetKeys *out_keys, GError **error);

/**
 * DuetIo: the caller's ends of a session's streams; -1: nothing to read, discard what is written.
 * The caller keeps ownership. Output to a descriptor whose reader went away closes the payload's
 * pipe, as a shell pipeline would.
 * @quiet: the driver's notice ("no usable KVM, ...") is not printed: for a caller that starts many
 * @tty: the session has a terminal. If @stdin_fd is one, it is raw from the start of the program to
 *     its end, and as before on every way back; its size, or that of @stdout_fd, is passed on
 * @detach_keys: (nullable): with @tty: typed at @stdin_fd, they leave the session running
 */
typedef struct {
    int stdin_fd;
    int stdout_fd;
    int stderr_fd;
    gboolean quiet;
    gboolean tty;
    const DuetKeys *detach_keys;
} DuetIo;

/**
 * DuetExecCopy: no program at all: the agent packs files to standard output, or unpacks them from
 * standard input, as a stream of copy-stream.h. The instance may be a borrowed one.
 * @path: in the instance; relative to its working directory
 * @name: (nullable): to unpack: what it is called in a directory
 * @options: of duet_copy_options
 */
typedef struct {
    gboolean unpack;
    const char *path;
    const char *name;
    guint32 options;
} DuetExecCopy;

/**
 * DuetExec: one `exec`.
 * @meminfo: no program at all: the agent writes what /proc/meminfo says inside, whatever the image
 *     has; the other members are not used. A container's is the host's.
 * @processes: the same with what runs inside: see duet_instance_processes()
 * @port: (0: none): no program either: the agent connects to this TCP port of the instance's own
 *     loopback, which is the host's for `native`; the exit code is 0, or 1 if nothing accepts there
 * @tty: it has a terminal
 * @detach: returns when the program was executed; nobody gets what it writes
 */
typedef struct {
    char **argv;
    char **env;
    const char *cwd; /* (nullable): the instance's */
    const char *user; /* (nullable): the instance's */
    gboolean open_stdin;
    gboolean meminfo;
    gboolean processes;
    const DuetExecCopy *copy; /* (nullable) */
    guint16 port;
    gboolean tty;
    gboolean detach;
} DuetExec;

/** DuetInstance: the client's handle on one instance; holds no lock. */
typedef struct _DuetInstance DuetInstance;

/**
 * duet_instance_create:
 * @spec: (transfer full): image resolved; a NULL name gets one
 * Returns: (transfer full): the instance, or NULL with %DUET_ERROR_EXISTS when the name is taken.
 */
DuetInstance *duet_instance_create(DuetContext *context, DuetSpec *spec, GError **error);
/** duet_instance_open: by name, id, or a unique beginning of an id. */
DuetInstance *duet_instance_open(DuetContext *context, const char *name_or_id, GError **error);
void duet_instance_free(DuetInstance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetInstance, duet_instance_free)
const DuetSpec *duet_instance_spec(DuetInstance *instance);

/** duet_instance_list: Returns: (transfer full) (element-type DuetInstance): sorted by age. */
GPtrArray *duet_instance_list(DuetContext *context, GError **error);

/** duet_instance_info: Returns: (transfer full): the truth as of now; never from a stale file. */
DuetInfo *duet_instance_info(DuetInstance *instance, GError **error);

/**
 * DuetProxy: which signals that reach the caller are passed on to the payload.
 * @DUET_PROXY_ALL: those that end a process, and SIGQUIT, SIGUSR1 and SIGUSR2
 * @DUET_PROXY_ENDING: SIGINT, SIGTERM and SIGHUP; the others are the caller's own
 */
typedef enum {
    DUET_PROXY_NONE,
    DUET_PROXY_ALL,
    DUET_PROXY_ENDING,
} DuetProxy;

/**
 * duet_instance_run:
 * @io: the payload's streams
 * @proxy: what of the signals that come while it waits
 *
 * Starts the instance (the `request` mark is taken here) and stays until everything of it was
 * released.
 *
 * Returns: (transfer full): the final state, with exit code and marks; NULL if it could not be
 *     started (a command that is not there is %DUET_ERROR_COMMAND_NOT_FOUND). Once the driver was
 *     called nothing is left behind either way.
 */
DuetInfo *duet_instance_run(
    DuetInstance *instance, const DuetIo *io, DuetProxy proxy, GError **error);
/**
 * duet_instance_attach: joins the payload's streams, beside others who have, until all of the
 * instance was released, or the caller leaves: by detach keys, or since nobody reads @io's output.
 * What was written before is in the log only.
 * @proxy_signals: all, as of duet_instance_run(); but its payload alone gets them, however often
 *
 * Returns: (transfer full): the final state, or that it was left; %DUET_ERROR_STATE when it does
 *     not run
 */
DuetInfo *duet_instance_attach(
    DuetInstance *instance, const DuetIo *io, gboolean proxy_signals, GError **error);
/** duet_instance_start: starts it and returns when the payload was executed. */
gboolean duet_instance_start(DuetInstance *instance, GError **error);
/**
 * duet_instance_start_quietly: without the driver's notice ("no usable KVM, ..."): see #DuetIo. The
 * caller holds SIGINT, SIGTERM and SIGHUP back; one that comes ends a start that is still at work,
 * and is pending afterwards.
 */
gboolean duet_instance_start_quietly(DuetInstance *instance, GError **error);
/**
 * duet_instance_borrow: starts a stopped instance without its payload, to copy files. What is known
 * of it, its log and its state, stays as it is: it is not running for others, but can't be started.
 * It ends when the descriptor is closed, by whatever end of its holder.
 * The caller holds SIGINT, SIGTERM and SIGHUP back, as with duet_instance_start_quietly().
 * Returns: a descriptor for duet_instance_give_back(), or -1 with @error.
 */
int duet_instance_borrow(DuetInstance *instance, GError **error);
/** duet_instance_give_back: ends it; returns after all of it was released. Sets *fd to -1. */
void duet_instance_give_back(int *fd);
/** duet_instance_exec: Returns: the exit code, 0 once detached, or -1 with @error. */
int duet_instance_exec(
    DuetInstance *instance, const DuetExec *exec, const DuetIo *io, GError **error);
/** duet_instance_stop: stop signal, then kill after @grace_ms; returns after `released`. */
gboolean duet_instance_stop(DuetInstance *instance, guint grace_ms, GError **error);
gboolean duet_instance_signal(DuetInstance *instance, int signal_number, GError **error);
gboolean duet_instance_pause(DuetInstance *instance, GError **error);
gboolean duet_instance_resume(DuetInstance *instance, GError **error);
/**
 * duet_instance_update: changes limits, or the name, now and for later runs: all of @changes or
 * none.
 * @changes: (transfer floating): a{sv} of duet_spec_to_variant()'s members, see duet_spec_changes()
 * @out_notice: (optional) (nullable) (transfer full): what its user should know of it
 *
 * Returns: %FALSE with %DUET_ERROR_EXISTS for a name that is in use, with %DUET_ERROR_UNSUPPORTED
 *     for what this kind, this host, or one that runs can't change.
 */
gboolean duet_instance_update(
    DuetInstance *instance, GVariant *changes, char **out_notice, GError **error);
/**
 * duet_instance_attach_disk: gives a VM a further disk, now and for later runs.
 * @text: of duet_data_disk_to_text(); it has the first target that is free if it names none
 */
gboolean duet_instance_attach_disk(DuetInstance *instance, const char *text, GError **error);
/**
 * duet_instance_detach_disk: takes one away; returns when a guest that runs has let go of it.
 * @word: its target, or its file
 */
gboolean duet_instance_detach_disk(DuetInstance *instance, const char *word, GError **error);
/** duet_spec_changes: Returns: (transfer floating): what duet_instance_update() makes @to of @from
 * with. */
GVariant *duet_spec_changes(const DuetSpec *from, const DuetSpec *to);
/**
 * duet_instance_check_health: has the health checked now.
 * Returns: %FALSE with %DUET_ERROR_STATE or %DUET_ERROR_UNSUPPORTED if there is nothing to check.
 */
gboolean duet_instance_check_health(DuetInstance *instance, gboolean *out_healthy, GError **error);
/** duet_instance_wait: Returns: the exit code, or -1 with @error. */
int duet_instance_wait(DuetInstance *instance, GError **error);
/** duet_instance_remove: @force ends a running one first. */
gboolean duet_instance_remove(DuetInstance *instance, gboolean force, GError **error);
/**
 * DuetLogQuery: what of the log is wanted.
 * @follow: also what is still to come, until it ends
 * @timestamps: each line begins with when it was written
 * @tail: how many of the last lines; -1: all
 * @since_us, @until_us: wall clock, of the lines; 0: no bound
 */
typedef struct {
    gboolean follow;
    gboolean timestamps;
    gint64 tail;
    gint64 since_us;
    gint64 until_us;
} DuetLogQuery;

/** duet_instance_logs_query: Returns: %FALSE with %DUET_ERROR_UNSUPPORTED if no log is kept. */
gboolean duet_instance_logs_query(DuetInstance *instance, int stdout_fd, int stderr_fd,
    const DuetLogQuery *query, GError **error);
/** duet_instance_logs: writes the payload's output so far; @follow: until it ends. */
gboolean duet_instance_logs(
    DuetInstance *instance, int stdout_fd, int stderr_fd, gboolean follow, GError **error);

/**
 * DuetMemory: an instance's memory, now. What can't be known here is 0.
 * @payload_pss_bytes: sum of PSS over the payload's processes (a VM: QEMU and its helpers). But for
 *     rounding it is the sum of @guest_ram_pss_bytes, the three after it and @helpers_pss_bytes
 * @managing_pss_bytes: the same for monitor and worker
 * @guest_ram_pss_bytes: VM: what is resident of the guest's RAM
 * @guest_ram_shared: VM: that RAM is shared memory (virtiofs wants it so), not anonymous
 * @anon_pss_bytes, @file_pss_bytes, @shmem_pss_bytes: VM: of QEMU but for the guest's RAM; a
 *     container: of all its processes
 * @helpers_pss_bytes: VM: of the processes beside QEMU (virtiofsd)
 * @managing_file_pss_bytes: what of @managing_pss_bytes is mapped from files
 * @page_table_bytes: of the payload's processes; in no PSS
 * @cgroup_bytes: what the payload's cgroup is charged with; 0 where there is no memory controller
 * @cgroup_anon_bytes, @cgroup_file_bytes, @cgroup_kernel_bytes, @cgroup_shmem_bytes: its parts
 * @managing_cgroup_bytes: the cgroup of monitor and worker, and its parts
 */
typedef struct {
    guint64 payload_pss_bytes;
    guint64 managing_pss_bytes;
    guint64 guest_ram_pss_bytes;
    guint64 anon_pss_bytes;
    guint64 file_pss_bytes;
    guint64 shmem_pss_bytes;
    guint64 helpers_pss_bytes;
    guint64 managing_file_pss_bytes;
    guint64 page_table_bytes;
    guint64 cgroup_bytes;
    guint64 cgroup_anon_bytes;
    guint64 cgroup_file_bytes;
    guint64 cgroup_kernel_bytes;
    guint64 cgroup_shmem_bytes;
    guint64 managing_cgroup_bytes;
    guint64 managing_cgroup_anon_bytes;
    guint64 managing_cgroup_file_bytes;
    guint64 managing_cgroup_kernel_bytes;
    guint64 managing_cgroup_shmem_bytes;
    gboolean guest_ram_shared;
} DuetMemory;

gboolean duet_instance_memory(DuetInstance *instance, DuetMemory *out_memory, GError **error);

/** DUET_UNKNOWN: in place of a figure of #DuetStats that can't be known here. */
#define DUET_UNKNOWN G_MAXUINT64

/**
 * DuetStats: what an instance uses, now; of a VM on the host: QEMU and its helpers.
 * @started_ns: when its first process was there, of the host's CLOCK_MONOTONIC
 * @at_ns: when this was read, by the same clock
 * @cpu_ns: CPU time since then
 * @memory_bytes: what its cgroup is charged with: about @anonymous_bytes and the three after it. An
 *     ordinary user's instance without a cgroup: the PSS of its processes, of those that must not
 *     be read their resident set
 * @memory_limit_bytes: its limit (of a VM: RAM and what else QEMU may use), or the host's RAM
 * @read_bytes, @write_bytes: of block devices: by io.stat of its cgroup (v2) if it has one, else by
 *     /proc/PID/io: of its processes and those of that they have waited for, written is what was
 *     made dirty in the page cache
 * @threads: of all its processes
 */
typedef struct {
    gint64 started_ns;
    gint64 at_ns;
    guint64 cpu_ns;
    guint64 memory_bytes;
    guint64 memory_limit_bytes;
    guint64 anonymous_bytes;
    guint64 file_bytes;
    guint64 kernel_bytes;
    guint64 shmem_bytes;
    guint64 read_bytes;
    guint64 write_bytes;
    guint64 threads;
} DuetStats;

/** duet_instance_stats: reads no more than small files; one that does not run, or ends meanwhile,
 * is %DUET_ERROR_STATE. */
gboolean duet_instance_stats(DuetInstance *instance, DuetStats *out_stats, GError **error);

/**
 * DuetProcess: one process, as it is seen inside of its instance. The texts may hold any byte but
 * NUL: the payload may have made all of it up.
 * @uid: the effective one
 * @tty: major and minor number as the kernel puts them together; 0: none
 * @state: a letter, as ps has it
 * @user: what the instance calls it; empty: nothing
 * @name: of the program, cut by the kernel
 * @args: separated by blanks, cut; empty: it has none, or is a zombie
 */
typedef struct {
    guint32 pid;
    guint32 ppid;
    guint32 uid;
    guint32 tty;
    char state;
    int nice;
    guint64 cpu_ns;
    guint64 elapsed_ns;
    guint64 virtual_bytes;
    guint64 resident_bytes;
    char *user;
    char *name;
    char *args;
} DuetProcess;
void duet_process_free(DuetProcess *process);

/**
 * duet_instance_processes: what runs inside, of any image, but for a VM's kernel threads.
 * Returns: (transfer full) (element-type DuetProcess): in the order of /proc
 */
GPtrArray *duet_instance_processes(DuetInstance *instance, GError **error);

/**
 * DuetPool: the memory of all instances of a pool, now.
 * @limit_bytes: what they have together
 * @charged_bytes: what the kernel charges them with: @reclaimable_bytes of it are pages of files
 *     that it would give back without a wait
 */
typedef struct {
    guint64 limit_bytes;
    guint64 charged_bytes;
    guint64 reclaimable_bytes;
} DuetPool;

/**
 * duet_pool_check: whether instances like @spec can be held to an amount of memory together.
 * Returns: %FALSE with %DUET_ERROR_UNSUPPORTED, which says why.
 */
gboolean duet_pool_check(const DuetSpec *spec, GError **error);

/** duet_instance_pool: the pool that a running instance is in; none is %DUET_ERROR_STATE. */
gboolean duet_instance_pool(DuetInstance *instance, DuetPool *out_pool, GError **error);

G_END_DECLS
