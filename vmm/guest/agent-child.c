/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation: the way of a child from its birth in the agent to execve().
 *
 * The payload of session 0 is born with CLONE_VM and CLONE_VFORK: nothing else runs yet, and a copy
 * of the address space would cost more than all else here. `exec` sessions are forked: their paths
 * lie in a file system that the payload may have made slow or stuck, and the agent must not wait
 * for it. So this file obeys the stricter rule: no heap, no stdio, no writes to the agent's data
 * other than the spare slots of the environment.
 *
 * What the payload gets: three standard streams, or a terminal as all three, and no other
 * descriptor, a session and process group of its own, no blocked and no ignored signal, umask 022,
 * the ids that were asked for. It is dumpable like any program, as execve() makes it so. What it
 * must not get: the port, the report pipe, or any other descriptor of the agent.
 */

#include "agent.h"

#include <duet/copy-stream.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)256 * 1024)
#define FD_FLOOR 10 /* above the standard streams, so that dup2() overwrites nothing of ours */
#define CAPABILITY_CHOWN 1u
#define CAPABILITY_VERSION_3 0x20080522 /* musl has no headers of the kernel's */
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* By RLIMIT_*, as docker calls them. */
static const char *const limit_names[AGENT_LIMITS] = {
    [RLIMIT_CPU] = "cpu",
    [RLIMIT_FSIZE] = "fsize",
    [RLIMIT_DATA] = "data",
    [RLIMIT_STACK] = "stack",
    [RLIMIT_CORE] = "core",
    [RLIMIT_RSS] = "rss",
    [RLIMIT_NPROC] = "nproc",
    [RLIMIT_NOFILE] = "nofile",
    [RLIMIT_MEMLOCK] = "memlock",
    [RLIMIT_AS] = "as",
    [RLIMIT_LOCKS] = "locks",
    [RLIMIT_SIGPENDING] = "sigpending",
    [RLIMIT_MSGQUEUE] = "msgqueue",
    [RLIMIT_NICE] = "nice",
    [RLIMIT_RTPRIO] = "rtprio",
    [RLIMIT_RTTIME] = "rttime",
};

static void child_fail(struct agent_child *child, uint32_t code, const struct agent_text *text)
{
    struct agent_report report = { .code = code };

    memcpy(report.text, text->bytes, text->length);
    /* One write of less than PIPE_BUF bytes: whole or not at all. */
    if (write(child->report_fd, &report, offsetof(struct agent_report, text) + text->length) < 0)
        code = 125;
    _exit((int)code);
}

static void child_fail_errno(
    struct agent_child *child, uint32_t code, const char *what, const char *object, int error)
{
    struct agent_text text = { 0 };

    agent_text_fail(&text, what, object, error);
    child_fail(child, code, &text);
}

/* /dev/null, or where the instance has none that deserves the name, a pipe that is at its end. */
static int open_nothing(void)
{
    int fd = open("/dev/null", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), ends[2];
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) {
        fcntl(fd, F_SETFL, 0);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    close(ends[1]);
    return ends[0];
}

static bool child_has_terminal(const struct agent_child *child)
{
    return child->spawn->flags & DUET_SPAWN_TTY;
}

static void child_terminal(struct agent_child *child)
{
    const char *what;
    int fd = agent_terminal_open(child->report_fd, child->spawn->window, &what);

    if (fd < 0)
        child_fail_errno(child, 125, what, "/dev/pts/ptmx", errno);
    for (int i = 0; i < 3; i++)
        child->fds[i] = fd;
}

static void child_streams(struct agent_child *child)
{
    int fds[3], report_fd = fcntl(child->report_fd, F_DUPFD_CLOEXEC, FD_FLOOR);

    if (report_fd < 0)
        child_fail_errno(child, 125, "cannot set up standard streams of", "payload", errno);
    child->report_fd = report_fd;
    for (int i = 0; i < 3; i++) {
        int fd = child->fds[i] >= 0 ? child->fds[i] : open_nothing();

        fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, FD_FLOOR);
        if (fds[i] < 0)
            child_fail_errno(child, 125, "cannot set up standard streams of", "payload", errno);
    }
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            child_fail_errno(child, 125, "cannot set up standard streams of", "payload", errno);
    /* All of ours are close-on-exec already. Closed now, a child that is stuck on its way to
     * execve() keeps no other session's pipe open; a kernel before 5.9 can't. */
    syscall(SYS_close_range, 3U, (unsigned)child->report_fd - 1, 0U);
    syscall(SYS_close_range, (unsigned)child->report_fd + 1, ~0U, 0U);
}

/* An ignored signal would stay ignored over execve(); the mask would stay as well. */
static void child_signals(void)
{
    struct sigaction plain = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int number = 1; number <= SIGRTMAX; number++)
        sigaction(number, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child_directory(struct agent_child *child, const struct agent_user *user)
{
    const char *cwd = child->spawn->cwd;

    if (!cwd || !cwd[0])
        cwd = "/";
    if (chdir(cwd) == 0)
        return;
    if (errno == ENOENT && child->make_cwd && cwd[0] == '/') {
        int error = agent_make_directories(cwd, strlen(cwd));

        /* The last one goes to the user, as podman has it. */
        if (error == 0 && user->uid != 0 && chown(cwd, user->uid, user->gid) < 0)
            error = errno;
        if (error)
            child_fail_errno(child, 126, "cannot create working directory", cwd, error);
        if (chdir(cwd) == 0)
            return;
    }
    child_fail_errno(child, 126, "cannot change to working directory", cwd, errno);
}

/* EINVAL is an id that the user namespace does not have: an ordinary user's may have only 0. */
static void user_failed(struct agent_child *child, const char *what, const char *name)
{
    child_fail_errno(child, 125,
        errno == EINVAL ? "this instance has not enough ids (see duet check) to become user" : what,
        name, errno);
}

/* What is not in the bounding set no execve() brings back. */
static void child_capabilities(struct agent_child *child)
{
    for (unsigned i = 0; i < 64; i++) {
        if (child->capabilities >> i & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0) {
            if (errno == EINVAL)
                break; /* the kernel's last one was before this */
            child_fail_errno(child, 125, "cannot drop capabilities of", "payload", errno);
        }
    }
}

/* The last thing that root does: with few descriptors or little data allowed, the rest would fail.
 * Whose hard limit may be raised, a guest's root or the driver before us, has done so. */
static void child_limits(struct agent_child *child)
{
    for (unsigned i = 0; i < AGENT_LIMITS; i++) {
        const uint64_t values[2] = { child->limits[i].soft, child->limits[i].hard };
        struct agent_text text = { 0 };
        int error;

        if (!child->limits[i].set || syscall(SYS_prlimit64, 0, i, values, NULL) == 0)
            continue;
        error = errno;
        agent_text_add(
            &text, "cannot set the limit '", limit_names[i], "': ", strerror(error), NULL);
        child_fail(child, 125, &text);
    }
}

/* Raw system calls: the C library's wrappers would tell threads that do not exist, in memory that
 * may be the agent's. */
static void child_user(struct agent_child *child, const struct agent_user *user)
{
    const char *name = child->spawn->user ? child->spawn->user : "root";
    struct stat st;

    /* Else "/dev/stdout" can't be opened by a user other than root. */
    for (int i = 0; i < 3 && user->uid != 0; i++)
        if (fstat(i, &st) == 0 && (S_ISFIFO(st.st_mode) || child_has_terminal(child)) &&
            fchown(i, user->uid, (gid_t)-1) < 0)
            user_failed(child, "cannot give the streams to user", name);
    /* Where one id is all there is, the kernel lets nobody change groups, and nobody else can be.
     */
    if (syscall(SYS_setgroups, user->group_count, user->groups) < 0 &&
        (errno != EPERM || user->uid != 0 || child->spawn->groups[0]))
        user_failed(child,
            errno == EPERM
                ? "this instance has not enough ids (see duet check) for the groups of user"
                : "cannot set the groups of user",
            name);
    if (syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0)
        user_failed(child, "cannot set the group of user", name);
    if (syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0)
        user_failed(child, "cannot become user", name);
}

static const char *env_find(const struct agent_spawn *spawn, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = spawn->envc; i-- > 0;)
        if (strncmp(spawn->envp[i], name, length) == 0 && spawn->envp[i][length] == '=')
            return spawn->envp[i] + length + 1;
    return NULL;
}

/* Uses the spare slots. @home, @path and @term live on the child's stack, until execve() has copied
 * them. */
static void child_environment(struct agent_spawn *spawn, char *home, char *path, char *term)
{
    size_t next = spawn->envc;

    if (!env_find(spawn, "HOME"))
        spawn->envp[next++] = home;
    if (!env_find(spawn, "PATH"))
        spawn->envp[next++] = path;
    if (spawn->flags & DUET_SPAWN_TTY && !env_find(spawn, "TERM"))
        spawn->envp[next++] = term;
    spawn->envp[next] = NULL;
    spawn->envc = next;
}

static void exec_failed(struct agent_child *child, const char *path, int error)
{
    struct agent_text text = { 0 };

    agent_text_add(&text, "exec: '", child->spawn->argv[0], "': ", NULL);
    if (error == ENOENT && !strchr(child->spawn->argv[0], '/'))
        agent_text_add(&text, "not found in $PATH", NULL);
    else if (error == ENOENT && faccessat(AT_FDCWD, path, F_OK, 0) == 0)
        agent_text_add(&text, "its interpreter or loader is not in the image", NULL);
    else if (error == ENOEXEC)
        agent_text_add(&text, "not a program for this machine, and no script with '#!'", NULL);
    else
        agent_text_add(&text, strerror(error), NULL);
    child_fail(child, error == ENOENT ? 127 : 126, &text);
}

/* execvp() by the payload's own PATH and without its shell fallback. */
static void child_exec(struct agent_child *child)
{
    struct agent_spawn *spawn = child->spawn;
    const char *name = spawn->argv[0], *path = env_find(spawn, "PATH"), *end;
    size_t name_length = strlen(name);
    struct agent_span part;
    char candidate[4096];
    int error = ENOENT;

    if (strchr(name, '/') || name_length == 0) {
        execve(name, spawn->argv, spawn->envp);
        exec_failed(child, name, errno);
    }
    end = path + strlen(path);
    while (agent_span_next(&path, end, ':', &part)) {
        if (part.length + 1 + name_length + 1 > sizeof(candidate))
            continue;
        memcpy(candidate, part.at, part.length);
        candidate[part.length] = '/';
        memcpy(candidate + part.length + 1, name, name_length + 1);
        /* An empty part is the working directory. */
        execve(part.length ? candidate : candidate + 1, spawn->argv, spawn->envp);
        if (errno == EACCES)
            error = EACCES; /* as execvp(): a later directory may have it */
        else if (errno != ENOENT && errno != ENOTDIR)
            exec_failed(child, candidate, errno);
    }
    exec_failed(child, name, error);
}

static void child_sleep(struct agent_child *child)
{
    close(child->report_fd); /* all is well: see agent_child.report_fd */
    syscall(SYS_close_range, 3U, ~0U, 0U);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody else would ever end it */
    for (;;)
        pause();
}

static void child_meminfo(struct agent_child *child)
{
    static const char path[] = "/proc/meminfo";
    char buffer[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        child_fail_errno(child, 126, "cannot open", path, errno);
    close(child->report_fd);
    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        for (ssize_t done = 0, some; done < n; done += some)
            if ((some = write(STDOUT_FILENO, buffer + done, (size_t)(n - done))) <= 0)
                _exit(1);
    _exit(n < 0);
}

static void child_processes(struct agent_child *child)
{
    int error;

    close(child->report_fd);
    error = agent_processes_write(STDOUT_FILENO);
    if (error && error != EPIPE) {
        struct agent_text text = { 0 };

        agent_text_fail(&text, "cannot read", "/proc", error);
        error = write(STDERR_FILENO, text.bytes, text.length) < 0 ? errno : error;
    }
    _exit(error != 0);
}

static void child_connect(struct agent_child *child)
{
    close(child->report_fd);
    _exit(!agent_connect(child->spawn->argv[0]));
}

/* Without an execve() what is not in the bounding set is still ours. */
static void child_lose_capabilities(struct agent_child *child)
{
    struct {
        uint32_t version;
        int pid;
    } header = { CAPABILITY_VERSION_3, 0 };
    struct {
        uint32_t effective, permitted, inheritable;
    } data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        child_fail_errno(child, 125, "cannot read capabilities of", "the copy", errno);
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(child->capabilities >> (32 * i));
        data[i].effective &= data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        child_fail_errno(child, 125, "cannot drop capabilities of", "the copy", errno);
}

/* Root of the instance, and no more than that: with the capabilities that its payload has. */
static void child_copy(struct agent_child *child)
{
    struct agent_spawn *spawn = child->spawn;
    struct agent_text error = { 0 };
    struct agent_user user = { 0 };

    if (spawn->argc != (spawn->flags & DUET_SPAWN_UNPACK ? 2 : 1)) {
        agent_text_add(&error, "the request to copy is malformed", NULL);
        child_fail(child, 125, &error);
    }
    if (spawn->flags & DUET_SPAWN_UNPACK &&
        !agent_user_resolve("/etc/passwd", "/etc/group", spawn->user, spawn->groups, &user, &error))
        child_fail(child, 125, &error);
    if (spawn->argv[0][0] != '/')
        child_directory(child, &user);
    child_capabilities(child);
    /* What can't be given to the user is made by the user. */
    if (spawn->flags & DUET_SPAWN_UNPACK && !(spawn->copy_options & DUET_COPY_KEEP_OWNERS) &&
        !(child->capabilities & CAPABILITY_CHOWN))
        child_user(child, &user);
    child_lose_capabilities(child);
    child_signals();
    close(child->report_fd);
    agent_copy(spawn, &user);
}

static int child_main(void *data)
{
    /* A copy: the original may be the agent's own memory. */
    struct agent_child copy = *(struct agent_child *)data, *child = &copy;
    struct agent_text error = { 0 };
    struct agent_user user;
    char home[sizeof("HOME=") + AGENT_HOME_BYTES] = "HOME=", path[] = DEFAULT_PATH;
    char term[] = "TERM=xterm";

    setsid();
    umask(022);
    if (child_has_terminal(child))
        child_terminal(child);
    child_streams(child);
    if (child->spawn->flags & DUET_SPAWN_IDLE) {
        child_signals();
        child_sleep(child);
    }
    if (child->spawn->flags & DUET_SPAWN_MEMINFO) {
        child_signals();
        child_meminfo(child);
    }
    if (child->spawn->flags & DUET_SPAWN_PROCESSES) {
        child_signals();
        child_processes(child);
    }
    if (child->spawn->flags & DUET_SPAWN_CONNECT) {
        child_signals();
        child_connect(child);
    }
    if (child->spawn->flags & (DUET_SPAWN_PACK | DUET_SPAWN_UNPACK))
        child_copy(child);
    if (!agent_user_resolve(
            "/etc/passwd", "/etc/group", child->spawn->user, child->spawn->groups, &user, &error))
        child_fail(child, 125, &error);
    child_directory(child, &user);
    child_capabilities(child);
    child_limits(child);
    child_user(child, &user);
    memcpy(home + strlen("HOME="), user.home, strlen(user.home) + 1);
    child_environment(child->spawn, home, path, term);
    child_signals();
    child_exec(child);
    _exit(125);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AGENT_NO_SHARED_MEMORY 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define AGENT_NO_SHARED_MEMORY 1
#endif

pid_t agent_child_start(struct agent_child *child, bool share_memory)
{
    pid_t pid;

#ifdef AGENT_NO_SHARED_MEMORY
    share_memory = false; /* the sanitizer's shadow of the stack would be shared as well */
#endif
    if (share_memory) {
        char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

        if (stack == MAP_FAILED)
            return -1;
        /* Returns when the child has called execve() or has ended. */
        pid = clone(child_main, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, child);
        munmap(stack, STACK_BYTES);
        /* Where execve() enters no time namespace that waits for us, only a fork does: before
         * Linux 6.3. */
        if (pid >= 0 || errno != EINVAL)
            return pid;
    }
    pid = fork();
    if (pid == 0)
        child_main(child);
    return pid;
}
