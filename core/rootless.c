/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * An ordinary user may make a user namespace, and in it be root over the ids that it maps: their
 * own as 0, and behind it the range that /etc/subuid and /etc/subgid give them, which only the
 * set-user-id programs newuidmap and newgidmap may write. Every command that touches the store
 * moves into such a namespace before it opens the store; monitors, containers and all of images/
 * are below it and go on as root does, with these differences, each behind duet_is_rootless():
 *
 *   ids        a container's user namespace is a nested one that maps every id to itself, for
 *              the ids on disk are shifted already: no idmapped mount, no range per instance
 *   overlayfs  keeps its marks in user.overlay.*, as trusted.* needs the host's root
 *   devices    are the host's, mounted one by one; an image's own are left out (unpack.c)
 *   cgroup     the one that was delegated to the user, or none (cgroup-make.c)
 *   VMs        libvirt must see an ordinary user, or it wants root's things: the VM's worker goes
 *              down into one more namespace, in which it has the user's id again
 *
 * Each command makes a namespace of its own, none is root in another's. What that forbids is to
 * signal and to trace processes of subordinate ids that another command started: so nothing relies
 * on it. Requests go through the monitor's socket; a monitor that is killed takes a container along
 * as that is a pid namespace below it; cgroup.kill works by the file's owner. Files, locks and
 * sockets belong to ids of the host, whatever a namespace calls them.
 *
 * Without a range one id is mapped, which needs no helper; the kernel then wants setgroups(2)
 * switched off, so the caller's supplementary groups stay. They stay in any case until somebody
 * calls it, which is how /dev/kvm remains reachable.
 *
 * Where user namespaces are forbidden, the process stays an ordinary user: VMs run, containers
 * don't.
 *
 * unshare(2) in the process itself, in place of a second execution of duet, needs it to have a
 * single thread, and a helper that stays outside to run the two programs: they must be privileged
 * over the namespace's parent.
 */

#include "core/rootless.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The inode of the first user namespace (linux/proc_ns.h, PROC_USER_INIT_INO): it never changes. */
#define INIT_USERNS_INODE 0xEFFFFFFDu
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS)

gboolean duet_is_rootless(void)
{
    /* The host's root makes user namespaces for others only. */
    static gboolean hosts_root;
    struct stat st;
    if (geteuid() != 0)
        return TRUE;
    if (!hosts_root)
        hosts_root = stat("/proc/self/ns/user", &st) != 0 || st.st_ino == INIT_USERNS_INODE;
    return !hosts_root;
}

gboolean duet_is_flat(void)
{
    return geteuid() != 0;
}

uid_t duet_rootless_uid(void)
{
    if (geteuid() != 0)
        return geteuid();
    g_autoptr(GArray) ranges = duet_ids_own(DUET_ID_USER);
    return ranges->len > 0 ? g_array_index(ranges, DuetIdRange, 0).outside : 0;
}

static gboolean write_proc(const char *file, const char *text, GError **error)
{
    g_autofree char *path = g_build_filename("/proc/self", file, NULL);
    DUET_AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && duet_write_all(fd, text, strlen(text)))
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot map your own id: writing '%s'", path);
}

/* Maps the ids that nobody needs to grant: one's own. */
static gboolean map_self(
    guint32 inside_uid, guint32 inside_gid, uid_t uid, gid_t gid, GError **error)
{
    g_autofree char *uids = g_strdup_printf("%u %u 1\n", inside_uid, uid);
    g_autofree char *gids = g_strdup_printf("%u %u 1\n", inside_gid, gid);
    return write_proc("setgroups", "deny", error) && write_proc("uid_map", uids, error) &&
        write_proc("gid_map", gids, error);
}

/* ---- the helper ---- */

/**
 * Helper: the process that stays outside.
 * @go_fd: one byte lets it begin, the end of the pipe lets it go
 * @log_fd: what the programs said
 */
typedef struct {
    pid_t pid;
    int go_fd;
    int log_fd;
} Helper;

/* "newuidmap PID 0 1000 1 1 100000 65536" */
static GStrv map_words(const char *program, pid_t pid, const GArray *ranges)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_autofree char *target = g_strdup_printf("%d", (int)pid);
    g_strv_builder_add_many(words, program, target, NULL);
    for (guint i = 0; i < ranges->len; i++) {
        const DuetIdRange *range = &g_array_index(ranges, DuetIdRange, i);
        const guint32 numbers[] = { range->inside, range->outside, range->count };
        for (guint n = 0; n < G_N_ELEMENTS(numbers); n++) {
            g_autofree char *number = g_strdup_printf("%u", numbers[n]);
            g_strv_builder_add(words, number);
        }
    }
    return g_strv_builder_end(words);
}

static G_NORETURN void helper_main(int go_fd, int log_fd, char **uid_words, char **gid_words)
{
    char byte;
    int status = 0;
    if (read(go_fd, &byte, 1) != 1)
        _exit(0);
    dup2(log_fd, STDERR_FILENO);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(uid_words[0], uid_words);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        _exit(1);
    execvp(gid_words[0], gid_words);
    _exit(127);
}

static gboolean helper_start(Helper *helper, const GArray *uids, const GArray *gids, GError **error)
{
    int pipe_fds[2];
    g_auto(GStrv) uid_words = map_words("newuidmap", getpid(), uids);
    g_auto(GStrv) gid_words = map_words("newgidmap", getpid(), gids);
    helper->log_fd = memfd_create("map", MFD_CLOEXEC);
    if (helper->log_fd < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return duet_error_set_errno(error, errno, "cannot make a pipe");
    helper->go_fd = pipe_fds[1];
    helper->pid = fork();
    if (helper->pid == 0) {
        close(pipe_fds[1]);
        helper_main(pipe_fds[0], helper->log_fd, uid_words, gid_words);
    }
    close(pipe_fds[0]);
    return helper->pid > 0 || duet_error_set_errno(error, errno, "cannot fork");
}

/* @map: let it write the maps; else it goes. */
static gboolean helper_finish(Helper *helper, gboolean map, GError **error)
{
    int status = 0;
    char said[512];
    if (map)
        (void)!write(helper->go_fd, "m", 1);
    duet_fd_clear(&helper->go_fd);
    while (waitpid(helper->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    ssize_t length = pread(helper->log_fd, said, sizeof said - 1, 0);
    said[MAX(length, 0)] = '\0';
    duet_fd_clear(&helper->log_fd);
    if (status == 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
        "cannot map the ids that /etc/subuid and /etc/subgid give you: %s; reinstall the package "
        "uidmap (newuidmap and newgidmap must be set-user-id root), or remove your lines from both "
        "files to do with one id",
        *said ? g_strstrip(said) : "newuidmap could not be run");
    return FALSE;
}

/* ---- in and out ---- */

static gboolean has_program(const char *name)
{
    g_autofree char *path = g_find_program_in_path(name);
    return path != NULL;
}

/* Ubuntu's AppArmor lets anybody make a user namespace and then denies all power in it. */
static gboolean is_mediated(void)
{
    g_autofree char *text = duet_file_read(
        AT_FDCWD, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 16, NULL, NULL);
    return text && text[0] == '1';
}

/* Tries it in a child. Returns: 0 or an errno value. */
static int try_namespaces(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        int err = unshare(NAMESPACES) < 0 ? errno : 0;
        if (err == 0 && mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
            err = errno;
        _exit(err);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

gboolean duet_rootless_enter(GError **error)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (uid == 0 || (is_mediated() && try_namespaces() != 0))
        return TRUE;
    const struct passwd *entry = getpwuid(uid);
    const char *user = entry ? entry->pw_name : NULL;
    g_autoptr(GArray) uids = duet_ids_granted(DUET_ID_USER, user, uid, uid);
    g_autoptr(GArray) gids = duet_ids_granted(DUET_ID_GROUP, user, uid, gid);
    gboolean ranged =
        uids->len > 1 && gids->len > 1 && has_program("newuidmap") && has_program("newgidmap");
    Helper helper = { .pid = -1, .go_fd = -1, .log_fd = -1 };
    if (ranged && !helper_start(&helper, uids, gids, error))
        return FALSE;
    /* A refusal is no error: VMs need no namespace, and containers tell of it. */
    gboolean inside = unshare(NAMESPACES) == 0;
    if (ranged)
        return helper_finish(&helper, inside, error);
    return !inside || map_self(0, 0, uid, gid, error);
}

gboolean duet_rootless_leave(GError **error)
{
    if (!duet_is_rootless() || duet_is_flat())
        return TRUE;
    uid_t uid = duet_rootless_uid();
    g_autoptr(GArray) gids = duet_ids_own(DUET_ID_GROUP);
    gid_t gid = gids->len > 0 ? g_array_index(gids, DuetIdRange, 0).outside : 0;
    if (unshare(CLONE_NEWUSER) < 0)
        return duet_error_set_errno(error, errno, "cannot make a user namespace for libvirt");
    return map_self(uid, gid, 0, 0, error);
}

char *duet_rootless_obstacle(void)
{
    int err = geteuid() == 0 ? 0 : try_namespaces();
    if (err == 0)
        return NULL;
    const char *advice = "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000";
    if (is_mediated())
        advice = "AppArmor restricts them: sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
                 "or a profile for duet that allows 'userns'";
    else if (err == ENOSPC || err == EUSERS)
        advice = "raise the limit: sysctl user.max_user_namespaces=15000";
    return g_strdup_printf(
        "this user may make no user namespace (%s); as root: %s", g_strerror(err), advice);
}
