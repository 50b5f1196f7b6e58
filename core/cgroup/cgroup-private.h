/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cgroup.h"
#include "core/spec-limits.h"
#include "scope.h"

G_BEGIN_DECLS

/* What cgroup.c, its parts and its unit test share. Nothing else includes this. */

/** The controllers that duet knows by name; bits of a mask. */
typedef enum {
    DUET_CONTROLLER_MEMORY = 1 << 0,
    DUET_CONTROLLER_CPU = 1 << 1,
    DUET_CONTROLLER_CPUACCT = 1 << 2,
    DUET_CONTROLLER_PIDS = 1 << 3,
    DUET_CONTROLLER_FREEZER = 1 << 4,
    DUET_CONTROLLER_CPUSET = 1 << 5,
    DUET_CONTROLLER_IO = 1 << 6, /* v1 calls it blkio */
    DUET_CONTROLLER_HUGETLB = 1 << 7,
} DuetController;

/** duet_controllers_parse: Returns: the mask of the known names in @text. */
guint duet_controllers_parse(const char *text, const char *separators);
/** duet_controllers_to_string: Returns: (transfer full): "memory, cpu". */
char *duet_controllers_to_string(guint controllers);

typedef enum {
    DUET_CGROUP_V1,
    DUET_CGROUP_V2,
} DuetCgroupVersion;

/**
 * DuetCgroupBackend: what differs between the two versions once a directory is open.
 * @join_file: where "0" puts the writer
 * @kill: one round of SIGKILL for all that is in @part_fd. Returns: %FALSE with errno
 * @wait_empty: Returns: whether nothing runs in @part_fd any more, after up to @timeout_ms
 * @freeze: stops or thaws @part_fd and waits for that. Returns: 0 or an errno value
 * @usage: fills what @controllers know of @part_fd, as far as @want (DuetCgroupWant) asks
 * @drop_cache: gives back the file pages that are charged to @part_fd
 */
typedef struct {
    const char *join_file;
    gboolean (*kill)(int part_fd);
    gboolean (*wait_empty)(int part_fd, guint timeout_ms);
    int (*freeze)(int part_fd, gboolean frozen, guint timeout_ms);
    void (*usage)(int part_fd, guint controllers, guint want, DuetCgroupUsage *out_usage);
    void (*drop_cache)(int part_fd);
} DuetCgroupBackend;

extern const DuetCgroupBackend duet_cgroup_backend_v1;
extern const DuetCgroupBackend duet_cgroup_backend_v2;

/**
 * DuetHierarchy: one mounted hierarchy.
 * @name: "v2", or field 2 of /proc/self/cgroup: "memory", "cpu,cpuacct", "name=systemd"
 * @mount_point: where it is mounted
 * @own: the cgroup of the calling process below @mount_point, without a leading slash
 * @controllers: v1: what it controls; v2: 0, see duet_cgroup_v2_controllers()
 */
typedef struct {
    DuetCgroupVersion version;
    const DuetCgroupBackend *backend;
    char *name;
    char *mount_point;
    char *own;
    guint controllers;
} DuetHierarchy;

void duet_hierarchy_free(DuetHierarchy *hierarchy);

/**
 * duet_cgroup_layout_parse:
 * @mountinfo: text of /proc/self/mountinfo
 * @self_cgroup: text of /proc/self/cgroup
 *
 * Returns: (transfer full) (element-type DuetHierarchy): the hierarchies in which the caller's
 *     own cgroup can be reached.
 */
GPtrArray *duet_cgroup_layout_parse(const char *mountinfo, const char *self_cgroup);
/**
 * duet_cgroup_layout_guess: the same without mountinfo, which the kernel takes 3 us to write for
 * each mount of the host.
 *
 * Returns: (transfer full) (nullable): NULL: not all of them are where hosts have them by custom
 */
GPtrArray *duet_cgroup_layout_guess(const char *self_cgroup);
/** duet_cgroup_layout_read: of this process. */
GPtrArray *duet_cgroup_layout_read(GError **error);
/**
 * duet_cgroup_layout_keep_delegated: drops what nobody delegated to this ordinary user: where they
 * can't write to the directory of their own cgroup and its list of processes.
 */
void duet_cgroup_layout_keep_delegated(GPtrArray *layout);

/* Below the payload's directory, where the payload must not own what its limits are written to. */
#define DUET_CGROUP_BOX "box"

/** duet_cgroup_part_names: the directory of each part. */
extern const char *const duet_cgroup_part_names[2];

/**
 * DuetCgroupMember: the instance's directory in one hierarchy.
 * @homes: directories to go to when leaving the instance's cgroup: our own one, and where that is
 *     gone or closed to us, one that always takes us; NULL after duet_cgroup_open()
 * @base: below the mount point, the cgroup that holds @dir
 * @dir: "duet-<id>", or "duet-<id>.scope"
 * @in_scope: @dir is systemd's, and only what is below it is ours
 * @base_fd: the same, open; -1 when it is gone
 * @part_fds: open directories; -1: not made here, or gone
 * @box_fd: the directory below the payload's in which its processes are; -1: in the payload's
 */
typedef struct {
    const DuetCgroupBackend *backend;
    DuetCgroupVersion version;
    guint controllers;
    gboolean both_parts;
    char *name;
    char *mount_point;
    char *homes[2];
    char *base;
    char *dir;
    gboolean in_scope;
    int base_fd;
    int part_fds[2];
    int join_fds[2];
    int box_fd;
} DuetCgroupMember;

/**
 * _DuetCgroup:
 * @unit: "duet-<id>.scope", or NULL: directories of our own
 * @manager: from plan to make: who makes the scope
 * @no_scope: why there is none though systemd runs
 * @v1_homes: hybrid host: our own directories in the v1 hierarchies, where systemd takes the
 * monitor along into the scope
 * @tracking: by part: the member that says which processes there are
 * @joined: this process joined a part
 * @was_in_payload: it was the payload's
 */
struct _DuetCgroup {
    char *id;
    char *name;
    char *path;
    char *unit;
    DuetScopeManager *manager;
    char *no_scope;
    char **v1_homes;
    DuetLimits limits;
    DuetCgroupMember *tracking[2];
    guint members_count;
    DuetCgroupMember members[DUET_CGROUP_MEMBERS_MAX];
    gboolean joined;
    gboolean was_in_payload;
};

/**
 * duet_cgroup_part_dir: Returns: where @part is, below the instance's directory. v1 lets processes
 * be beside children, so its monitor is in the instance's directory itself: a memory cgroup fewer,
 * which costs up to 170 us, more than all others of a start.
 */
const char *duet_cgroup_part_dir(const DuetCgroupMember *member, DuetCgroupPart part);
/** duet_cgroup_add: Returns: a new member of @cgroup, with no directory yet. */
DuetCgroupMember *duet_cgroup_add(
    DuetCgroup *cgroup, const DuetHierarchy *hierarchy, const char *base, gboolean in_scope);
void duet_cgroup_member_clear(DuetCgroupMember *member);
/** duet_cgroup_add_own: Returns: the same, of our own directories, in the pool if there is one. */
DuetCgroupMember *duet_cgroup_add_own(
    DuetCgroup *cgroup, const DuetHierarchy *hierarchy, const char *base);
/**
 * duet_cgroup_member_make: makes its directories, with @limits.
 * @out_made: whether there is something to be removed
 */
gboolean duet_cgroup_member_make(
    DuetCgroupMember *member, const DuetLimits *limits, gboolean *out_made, GError **error);
/** duet_cgroup_member_remove: removes the directories of @member that are ours, and its pool's if
 * it was the last. */
gboolean duet_cgroup_member_remove(DuetCgroupMember *member, GError **error);
/** duet_cgroup_member_leave: puts the caller back into its own cgroup. Async-signal-safe. Returns:
 * an errno value. */
int duet_cgroup_member_leave(const DuetCgroupMember *member);
/** duet_cgroup_dir_join: puts the caller into @dir. Async-signal-safe. Returns: an errno value. */
int duet_cgroup_dir_join(const char *dir, const char *join_file);
/** duet_cgroup_layout_v2: Returns: (nullable): the v2 hierarchy. */
const DuetHierarchy *duet_cgroup_layout_v2(const GPtrArray *layout);
/** duet_cgroup_layout_tracking: Returns: (nullable): the one that tracks @part. */
const DuetHierarchy *duet_cgroup_layout_tracking(const GPtrArray *layout, DuetCgroupPart part);
/** duet_cgroup_layout_has_monitor: Returns: whether the monitor is in @hierarchy, of v1, too. */
gboolean duet_cgroup_layout_has_monitor(const GPtrArray *layout, const DuetHierarchy *hierarchy);
gboolean duet_cgroup_id_is_valid(const char *id);
/** duet_cgroup_path_text: Returns: (transfer full): "memory:/user/duet-0123456789ab
 * v2:/duet-0123456789ab". */
char *duet_cgroup_path_text(const DuetCgroup *cgroup);

/** duet_cgroup_pool_base: Returns: (transfer full): where @pool lies in @base; no pool: @base. */
char *duet_cgroup_pool_base(const char *base, const char *pool);
/** duet_cgroup_pool_is_kept: whether a limit of memory for all of a pool can be set. */
gboolean duet_cgroup_pool_is_kept(const DuetCgroup *cgroup, GError **error);
/** duet_cgroup_pool_limit: sets the limit of the pool that @member is in, if it is in one. */
gboolean duet_cgroup_pool_limit(
    const DuetCgroupMember *member, const DuetLimits *limits, GError **error);
/** duet_cgroup_pool_leave: removes the pool's directory if @member was the last in it. */
void duet_cgroup_pool_leave(const DuetCgroupMember *member);

/** duet_cgroup_new_in: duet_cgroup_new() with the hierarchies given. */
DuetCgroup *duet_cgroup_new_in(
    const GPtrArray *layout, const char *id, const DuetLimits *limits, GError **error);

/** duet_cgroup_scope_unit: Returns: (transfer full): the scope's name. */
char *duet_cgroup_scope_unit(const char *id);
/**
 * duet_cgroup_scope_choose: connects to the manager that is to make a scope of @cgroup, or writes
 * down why there is none.
 * @layout: loses what can't be used with that
 */
void duet_cgroup_scope_choose(DuetCgroup *cgroup, GPtrArray *layout);
/** duet_cgroup_scope_controllers: Returns: the mask that the manager has to delegate. */
guint duet_cgroup_scope_controllers(const DuetScopeManager *manager, const DuetHierarchy *v2);
/**
 * duet_cgroup_scope_add: the scope in the v2 hierarchy.
 * @wanted: controllers that would be of use
 * @required: those that limits need. What the manager doesn't delegate of them is an error.
 */
gboolean duet_cgroup_scope_add(
    DuetCgroup *cgroup, const DuetHierarchy *v2, guint wanted, guint required, GError **error);
/** duet_cgroup_scope_start: makes it and puts the caller into it; the connection is closed. */
gboolean duet_cgroup_scope_start(DuetCgroup *cgroup, GError **error);
/** duet_cgroup_scope_share: of a scope: tells systemd what it has among others by @to, if by @from
 * it had something else. */
gboolean duet_cgroup_scope_share(
    const DuetCgroup *cgroup, const DuetLimits *from, const DuetLimits *to, GError **error);
/** duet_cgroup_scope_end: when nothing runs in it any more: waits until systemd removed it, or asks
 * for that. */
gboolean duet_cgroup_scope_end(DuetCgroup *cgroup, GError **error);

/** duet_cgroup_v2_controllers: Returns: the mask in @dir_fd's cgroup.controllers. */
guint duet_cgroup_v2_controllers(int dir_fd);
/**
 * duet_cgroup_v2_enable: makes @controllers usable in the children of @dir_fd.
 * Returns: 0 or an errno value
 */
int duet_cgroup_v2_enable(int dir_fd, guint controllers);

/** duet_limits_controllers: Returns: the mask that @limits need in @version. */
guint duet_limits_controllers(const DuetLimits *limits);
/** duet_limits_required: Returns: those without which an instance can't be: not an ordinary user's
 * guards. */
guint duet_limits_required(const DuetLimits *limits);
/** duet_limits_options: Returns: (transfer full): "--memory, --cpus": what @controllers are for. */
char *duet_limits_options(const DuetLimits *limits, guint controllers);
/**
 * duet_limits_apply: writes those of @limits that belong to @controllers to the files of @dir_fd,
 * in which there are none yet.
 */
gboolean duet_limits_apply(const DuetLimits *limits, DuetCgroupVersion version, guint controllers,
    int dir_fd, GError **error);
/** duet_limits_change: from those that @members have by @from to those of @to: all, or none. */
gboolean duet_limits_change(const DuetLimits *from, const DuetLimits *to,
    const DuetCgroupMember *members, guint n_members, GError **error);
/**
 * duet_cpuset_inherit: gives @dir_fd, a new cpuset of v1, the CPUs and nodes of the one above: it
 * has none, and nothing may join it, before that.
 * Returns: 0 or an errno value
 */
int duet_cpuset_inherit(int dir_fd);
/** duet_cpu_weight: Returns: v2's weight for v1's @shares, as runc and crun have it. */
guint duet_cpu_weight(guint64 shares);
/** duet_io_weight: Returns: v2's io.weight for @weight, likewise. */
guint duet_io_weight(guint64 weight);

/** duet_cgroup_file_write: Returns: 0 or an errno value. */
int duet_cgroup_file_write(int dir_fd, const char *file, const char *text);
/** duet_cgroup_file_read: Returns: the bytes read (NUL-terminated, cut to @size), or -1. */
gssize duet_cgroup_file_read(int dir_fd, const char *file, char *buffer, gsize size);
/** duet_cgroup_file_number: Returns: the number in @file, 0 when there is none. */
guint64 duet_cgroup_file_number(int dir_fd, const char *file);
/** duet_cgroup_text_number: Returns: the number beside @key in lines of "key number", else 0. */
guint64 duet_cgroup_text_number(const char *text, const char *key);
/**
 * duet_cgroup_file_number_or: the number in @file; one that is "max" is %G_MAXUINT64.
 * Returns: %FALSE if there is none
 */
gboolean duet_cgroup_file_number_or(int dir_fd, const char *file, guint64 *out_number);
/** duet_cgroup_io_parse: adds up io.stat, which has a line for each device. */
void duet_cgroup_io_parse(const char *text, DuetCgroupUsage *usage);
/** duet_cgroup_dir_pids: appends the pids of @dir_fd's cgroup.procs to @pids. */
void duet_cgroup_dir_pids(int dir_fd, GArray *pids);
/** duet_cgroup_dir_kill: SIGKILL to each of them but the caller. Returns: %FALSE with errno. */
gboolean duet_cgroup_dir_kill(int dir_fd);

G_END_DECLS
