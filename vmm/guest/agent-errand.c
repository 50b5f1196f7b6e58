/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation: in a disk guest another system is pid 1, and QEMU's guest agent runs
 * programs as root. This one is put there for a moment to do what the agent does in an image's
 * guest: see guest-errand.h. It has standard streams and words, and no port:
 *
 *  - "pack PATH" and "unpack OPTIONS TARGET NAME" are DUET_SPAWN_PACK and DUET_SPAWN_UNPACK,
 *  - "processes" is DUET_SPAWN_PROCESSES,
 *  - "mount TAG TARGET OPTIONS ..." are fields DUET_FIELD_MOUNT. One that is there already, as the
 *    guest's agent began anew and the guest did not, is left alone,
 *  - "go-on" takes over what GO_ON brings a guest that was saved, whose fields are its input.
 *
 * What it may do, and who can do the same, is decided by whoever started it.
 */

#include "agent-guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define FUSE_MAGIC 0x65735546

/* The guest's agent may have a view of its own of /tmp and others: what counts is the system's. */
static void enter_system(void)
{
    int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        /* Where it may not, its view is all there is. */
        (void)!setns(fd, CLONE_NEWNS);
        close(fd);
    }
}

static int say_failure(const struct agent_text *error)
{
    (void)!write(STDERR_FILENO, error->bytes, error->length);
    return 1;
}

/* Whether a file system of our kind begins at @target. */
static bool is_mounted(const char *target)
{
    char above[4096];
    const char *slash = strrchr(target, '/');
    size_t length = slash ? (size_t)(slash - target) : 0;
    struct stat here, there;
    struct statfs fs;

    if (!slash || length >= sizeof(above))
        return false;
    memcpy(above, target, length);
    above[length] = '\0';
    return stat(target, &here) == 0 && stat(length ? above : "/", &there) == 0 &&
        here.st_dev != there.st_dev && statfs(target, &fs) == 0 && fs.f_type == FUSE_MAGIC;
}

static int mount_all(int argc, char **argv)
{
    struct agent_text error = { 0 };

    for (int i = 0; i + 3 <= argc; i += 3) {
        struct agent_span options = { argv[i + 2], strlen(argv[i + 2]) };

        if (!is_mounted(argv[i + 1]) && !agent_mount_share(argv[i], argv[i + 1], options, &error))
            return say_failure(&error);
    }
    return 0;
}

static int take_over(void)
{
    struct agent_text error = { 0 };
    uint8_t fields[1024];
    size_t length = 0;
    ssize_t n;

    while ((n = read(STDIN_FILENO, fields + length, sizeof(fields) - length)) > 0)
        length += (size_t)n;
    agent_take_over(fields, length, &error);
    return error.length ? say_failure(&error) : 0;
}

static int list_processes(void)
{
    struct agent_text error = { 0 };
    int failure = agent_processes_write(STDOUT_FILENO);

    if (failure == 0)
        return 0;
    agent_text_fail(&error, "cannot list", "/proc", failure);
    return say_failure(&error);
}

static void copy(uint32_t flags, const char *options, char **words)
{
    struct agent_spawn spawn = { .argv = words, .flags = flags };
    struct agent_user root = { 0 };

    if (agent_number(options, strlen(options), UINT32_MAX, &spawn.copy_options))
        agent_copy(&spawn, &root);
}

int agent_errand(int argc, char **argv)
{
    enter_system();
    if (chdir("/") < 0)
        return 125;
    umask(022);
    if (argc == 2 && strcmp(argv[0], "pack") == 0)
        copy(DUET_SPAWN_PACK, "0", argv + 1);
    else if (argc == 4 && strcmp(argv[0], "unpack") == 0)
        copy(DUET_SPAWN_UNPACK, argv[1], argv + 2);
    else if (argc == 1 && strcmp(argv[0], "processes") == 0)
        return list_processes();
    else if (argc > 1 && argc % 3 == 1 && strcmp(argv[0], "mount") == 0)
        return mount_all(argc - 1, argv + 1);
    else if (argc == 1 && strcmp(argv[0], "go-on") == 0)
        return take_over();
    return 125;
}
