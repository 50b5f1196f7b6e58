/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>
#include <duet/instance.h>

G_BEGIN_DECLS

/* The hierarchies that a cgroup has a directory in are at most so many. */
#define DUET_CGROUP_MEMBERS_MAX 10

/*
 * An instance's cgroup has two parts, `monitor` and `payload`. Where systemd is the init it is a
 * transient scope, `duet-<id>.scope`, for systemd wants to be the only one who makes cgroups but
 * below what it delegates; else, or where its bus can't be reached, it is `<ours>/duet-<id>` in
 * each hierarchy that is used, where <ours> is the cgroup that duet itself runs in. One table maps
 * a limit to its v2 file and its v1 controller and file; two small back ends use it.
 */
typedef struct _DuetCgroup DuetCgroup;

typedef enum {
    DUET_CGROUP_MONITOR,
    DUET_CGROUP_PAYLOAD,
} DuetCgroupPart;

/**
 * DuetLimits: 0: none.
 * @memory_is_guard, @cpus_is_guard: something else keeps what was asked for (QEMU gives a guest its
 * RAM and CPUs and no more), so that an ordinary user without a cgroup can do without
 * @pool: (nullable): see #DuetSpec; must live until duet_cgroup_make()
 * @pool_memory_bytes: what all of @pool have together
 * All that follows is as in #DuetSpec, and must live as long as @pool.
 */
typedef struct {
    guint64 memory_bytes;
    double cpus;
    guint64 pids;
    gboolean memory_is_guard;
    gboolean cpus_is_guard;
    const char *pool;
    guint64 pool_memory_bytes;
    gint64 memory_swap_bytes;
    guint64 memory_reservation_bytes;
    guint64 cpu_shares;
    guint64 cpu_period_us;
    const char *cpuset_cpus;
    const char *cpuset_mems;
    guint64 blkio_weight;
    char *const *io_limits;
    char *const *hugetlb;
} DuetLimits;

/**
 * duet_cgroup_plan: chooses the hierarchies for @id and @limits; makes nothing yet, so that
 * duet_cgroup_path() can be written down before there is anything to find again.
 * @name: the instance's, for people who look at systemd's units
 *
 * A limit that no usable controller can keep is %DUET_ERROR_UNSUPPORTED, never ignored.
 *
 * An ordinary user to whom no cgroup was delegated, and who asks for no limit, gets one without
 * directories, %DUET_CGROUP_NONE: all that follows works on it, knows nothing and ends nobody.
 */
DuetCgroup *duet_cgroup_plan(
    const char *id, const char *name, const DuetLimits *limits, GError **error);
/**
 * duet_cgroup_make: makes the directories and sets the limits on the payload part. A scope can't be
 * empty: the caller is in its monitor part then. On error nothing is left behind and
 * duet_cgroup_remove() does nothing.
 */
gboolean duet_cgroup_make(DuetCgroup *cgroup, GError **error);
/** duet_cgroup_new: plans and makes directories of our own. */
DuetCgroup *duet_cgroup_new(const char *id, const DuetLimits *limits, GError **error);
/**
 * duet_cgroup_open: the same cgroup as seen later, to read or to end it; directories that are gone
 * are no error.
 * @path: what duet_cgroup_path() gave, from a state file that may be stale or hostile
 * @id: whose it must be: nobody else's processes are ever touched
 */
DuetCgroup *duet_cgroup_open(const char *path, const char *id, GError **error);
/**
 * duet_cgroup_open_foreign: a cgroup that another manager made for the payload, to read its
 * figures and processes as those of the payload part, and for nothing else.
 * @path: "memory:/machine/x v2:/machine.slice/x", whole paths as in /proc/PID/cgroup
 *
 * Returns: (transfer full) (nullable): NULL: nothing of it can be read here
 */
DuetCgroup *duet_cgroup_open_foreign(const char *path);
/** duet_cgroup_free: closes descriptors; the directories stay. */
void duet_cgroup_free(DuetCgroup *cgroup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetCgroup, duet_cgroup_free)

#define DUET_CGROUP_NONE "none"
/** duet_cgroup_tracks: Returns: whether the kernel tells which processes are in @part. */
gboolean duet_cgroup_tracks(DuetCgroup *cgroup, DuetCgroupPart part);

/** duet_cgroup_path: a text that finds it again and that people can read. */
const char *duet_cgroup_path(DuetCgroup *cgroup);

/**
 * duet_cgroup_join: puts the calling thread (v1) or process (v2) into a part, in every hierarchy.
 * Async-signal-safe. Returns: 0 or an errno value.
 */
int duet_cgroup_join(DuetCgroup *cgroup, DuetCgroupPart part);

/**
 * duet_cgroup_clone_fd: Returns: the directory of a part for clone3's CLONE_INTO_CGROUP, which
 * costs no wait for other CPUs as a v2 join can; -1 where v2 is not mounted. Belongs to @cgroup.
 */
int duet_cgroup_clone_fd(DuetCgroup *cgroup, DuetCgroupPart part);
/**
 * duet_cgroup_born_fds: what a child that was born by CLONE_INTO_CGROUP with
 * duet_cgroup_clone_fd(), if there was one, still has to write "0" to, to be in the part.
 * @out_fds: of %DUET_CGROUP_MEMBERS_MAX; they belong to @cgroup
 * Returns: how many.
 */
guint duet_cgroup_born_fds(const DuetCgroup *cgroup, DuetCgroupPart part, int *out_fds);
/** duet_cgroup_is_pure_v2: Returns: whether v2 is all that is used. */
gboolean duet_cgroup_is_pure_v2(DuetCgroup *cgroup);

/** duet_cgroup_pids: Returns: (transfer full) (element-type gint): the processes of a part. */
GArray *duet_cgroup_pids(DuetCgroup *cgroup, DuetCgroupPart part);
/** duet_pids_contain: @pids: (element-type gint): of duet_cgroup_pids(), or the like. */
gboolean duet_pids_contain(const GArray *pids, gint pid);

/** duet_cgroup_kill: SIGKILL for all in a part, until none is left or @timeout_ms passed. */
gboolean duet_cgroup_kill(
    DuetCgroup *cgroup, DuetCgroupPart part, guint timeout_ms, GError **error);

/** duet_cgroup_freeze: stops or thaws the payload part and waits until it is so. */
gboolean duet_cgroup_freeze(DuetCgroup *cgroup, gboolean frozen, GError **error);

/**
 * duet_cgroup_change_plan: makes out what limits of @to need beside what @cgroup has, so that
 * duet_cgroup_path(), which may be another then, can be written down before it is made. What can't
 * be had while it runs is %DUET_ERROR_UNSUPPORTED.
 */
gboolean duet_cgroup_change_plan(DuetCgroup *cgroup, const DuetLimits *to, GError **error);
/**
 * duet_cgroup_change: changes the limits of the payload part from @from, which it has, to @to. On
 * error it has those of @from, and duet_cgroup_path() is what it was before the plan.
 */
gboolean duet_cgroup_change(
    DuetCgroup *cgroup, const DuetLimits *from, const DuetLimits *to, GError **error);
/** duet_cgroup_change_cancel: what was planned is not made. */
void duet_cgroup_change_cancel(DuetCgroup *cgroup);

/**
 * duet_cgroup_remove: removes the directories; the parts must be empty, but for the calling
 * process itself, which moves back to the cgroup that duet started in (<ours>), or where it may not
 * (a user's session), to the one of its user's manager.
 */
gboolean duet_cgroup_remove(DuetCgroup *cgroup, GError **error);

/** DuetCgroupWant: what of a usage is asked for; each file that is read stands in an end's way. */
typedef enum {
    DUET_CGROUP_WANT_CPU = 1 << 0,
    DUET_CGROUP_WANT_PEAK = 1 << 1, /* memory_peak_bytes, oom_kills */
    DUET_CGROUP_WANT_MEMORY = 1 << 2, /* all else of memory */
    DUET_CGROUP_WANT_ALL = (1 << 3) - 1, /* all that is of an end or of memory */
    DUET_CGROUP_WANT_LIMIT = 1 << 3, /* limit_bytes */
    DUET_CGROUP_WANT_IO = 1 << 4,
    DUET_CGROUP_WANT_TASKS = 1 << 5,
} DuetCgroupWant;

/**
 * DuetCgroupUsage: of one part; 0 where it can't be known, or was not asked for.
 * @known: what of it could be read, of DuetCgroupWant
 * @limit_bytes: of memory; more than any machine has: none
 * @read_bytes, @write_bytes: of block devices
 * @tasks: threads, counted by the controller of a limit of processes
 */
typedef struct {
    guint known;
    guint64 cpu_ns;
    guint64 memory_bytes, memory_peak_bytes;
    guint64 anon_bytes, file_bytes, kernel_bytes, shmem_bytes;
    guint64 inactive_file_bytes;
    guint64 oom_kills;
    guint64 limit_bytes;
    guint64 read_bytes, write_bytes;
    guint64 tasks;
} DuetCgroupUsage;
void duet_cgroup_usage(
    DuetCgroup *cgroup, DuetCgroupPart part, guint want, DuetCgroupUsage *out_usage);

/**
 * duet_cgroup_drop_cache: gives back the file pages that are charged to @part. A memory cgroup that
 * was removed stays in the kernel for as long as one is, with some 100 KiB where there are many
 * file systems: blocks of directories that the monitor made outlive the directories in the cache.
 * It takes some milliseconds.
 */
void duet_cgroup_drop_cache(DuetCgroup *cgroup, DuetCgroupPart part);

/** duet_cgroup_pool_usage: Returns: %FALSE if @cgroup is in no pool. */
gboolean duet_cgroup_pool_usage(const DuetCgroup *cgroup, DuetPool *out_pool);
/**
 * duet_cgroup_pool_path: Returns: (transfer full) (nullable): the pool that @cgroup is in, as its
 *     whole path in the hierarchy that keeps memory ("/user/duet-pool-x")
 */
char *duet_cgroup_pool_path(const DuetCgroup *cgroup);

/** duet_cgroup_check: Returns: (transfer full) (element-type DuetCheck): lines of `duet check`. */
GPtrArray *duet_cgroup_check(void);

G_END_DECLS
