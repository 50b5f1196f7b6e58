/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What changes of a guest while it runs, at the monitor's word: CPUs that were plugged in are
 * switched on, for there is no udev here that would; the balloon gets its driver, of which most
 * guests never need any; and the limit of processes. The rest is the hypervisor's work. What is not
 * for the first moments is loaded here, too, when there is nothing else to do.
 */

#include "agent-guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CPUS "/sys/devices/system/cpu"
#define BALLOON_DRIVER "/sys/bus/virtio/drivers/virtio_balloon"
/* What forks faster than it is moved. */
#define MOVE_ROUNDS 100
#define PROCESSES_MAX_BYTES ((size_t)256 << 10)

static bool write_file(const char *path, const char *bytes, size_t length, struct agent_text *error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, bytes, length) == (ssize_t)length;

    if (!ok)
        agent_text_fail(error, "cannot write", path, errno);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The limit of processes ---------------------------------------------------------------------- */

/* Threads of the kernel have no program, nor have the dead. */
static bool is_process(struct agent_span pid)
{
    struct agent_text path = { 0 };
    char number[16] = { 0 }, target[2];

    memcpy(number, pid.at, pid.length < sizeof(number) ? pid.length : sizeof(number) - 1);
    agent_text_add(&path, "/proc/", number, "/exe", NULL);
    return readlink(path.bytes, target, sizeof(target)) > 0;
}

/* Its size is not known before it is read. Returns: the bytes, or -1. */
static ssize_t read_all(const char *path, char *out, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 1;
    size_t length = 0;

    while (fd >= 0 && got > 0 && length < room) {
        got = read(fd, out + length, room - length);
        length += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close(fd);
    return fd < 0 || got < 0 ? -1 : (ssize_t)length;
}

/* Moves what is in the root of the cgroups to the one that @fd takes processes for. Returns: how
 * many were found there, or -1. */
static int move_processes(int fd, char *list)
{
    ssize_t length = read_all(AGENT_SCRATCH "/cgroup.procs", list, PROCESSES_MAX_BYTES);
    const char *cursor = list;
    struct agent_span pid;
    int found = 0;

    if (length < 0)
        return -1;
    while (agent_span_next(&cursor, list + length, '\n', &pid))
        if (pid.length > 0 && is_process(pid))
            found += write(fd, pid.at, pid.length) == (ssize_t)pid.length || errno != ESRCH;
    return found;
}

static bool join_all(struct agent_text *error)
{
    int found = 1, fd = open(AGENT_SCRATCH "/payload/cgroup.procs", O_WRONLY | O_CLOEXEC);
    char *list = malloc(PROCESSES_MAX_BYTES);

    for (int round = 0; fd >= 0 && list && round < MOVE_ROUNDS && found > 0; round++)
        found = move_processes(fd, list);
    free(list);
    if (fd >= 0)
        close(fd);
    if (found == 0)
        return true;
    agent_text_add(error, "cannot move all processes to the cgroup that limits them", NULL);
    return false;
}

/* @limit: UINT64_MAX: none */
static bool write_limit(uint64_t limit, struct agent_text *error)
{
    struct agent_text number = { 0 };

    if (limit == UINT64_MAX)
        agent_text_add(&number, "max", NULL);
    else
        agent_text_add_number(&number, limit);
    return write_file(AGENT_SCRATCH "/payload/pids.max", number.bytes, number.length, error);
}

/* The limit counts the agent, as it does in a container. */
bool agent_set_pids_limit(uint64_t limit, bool lives, struct agent_text *error)
{
    bool ok;

    mkdir(AGENT_SCRATCH, 0700);
    if (mount("cgroup2", AGENT_SCRATCH, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        agent_text_fail(error, "cannot mount cgroup2, so no pids limit, on", AGENT_SCRATCH, errno);
        return false;
    }
    ok = write_file(AGENT_SCRATCH "/cgroup.subtree_control", "+pids", 5, error);
    if (ok && mkdir(AGENT_SCRATCH "/payload", 0755) < 0 && errno != EEXIST) {
        agent_text_fail(error, "cannot make cgroup", "payload", errno);
        ok = false;
    }
    ok = ok && write_limit(limit, error) &&
        /* Whatever the agent starts from then on is born there. */
        (lives ? join_all(error)
               : write_file(AGENT_SCRATCH "/payload/cgroup.procs", "0", 1, error));
    umount2(AGENT_SCRATCH, MNT_DETACH);
    rmdir(AGENT_SCRATCH);
    return ok;
}

/* CPUs ---------------------------------------------------------------------------------------- */

/* Switches all on that are not. Returns: how many are. */
static uint32_t switch_on_cpus(void)
{
    DIR *dir = opendir(CPUS);
    struct dirent *entry;
    uint32_t on = 0;

    while (dir && (entry = readdir(dir))) {
        struct agent_text path = { 0 }, ignored = { 0 };
        uint32_t number;
        char state = '1';
        int fd;

        if (strncmp(entry->d_name, "cpu", 3) != 0 ||
            !agent_number(entry->d_name + 3, strlen(entry->d_name + 3), UINT16_MAX, &number))
            continue;
        agent_text_add(&path, CPUS "/", entry->d_name, "/online", NULL);
        /* The first one can't be switched off, and has no such file. */
        fd = open(path.bytes, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, &state, 1) != 1)
            state = '0';
        if (fd >= 0)
            close(fd);
        on += state == '1' || write_file(path.bytes, "1", 1, &ignored);
    }
    if (dir)
        closedir(dir);
    return on;
}

/* The balloon --------------------------------------------------------------------------------- */

/* Returns: what could be taken from the guest without harm, or 0: not known. */
static uint64_t available_bytes(void)
{
    static const char key[] = "\nMemAvailable:";
    char text[4096];
    ssize_t length = read_all("/proc/meminfo", text, sizeof(text) - 1);
    const char *at;
    uint32_t kib = 0;
    size_t digits;

    text[length > 0 ? length : 0] = '\0';
    at = strstr(text, key);
    if (!at)
        return 0;
    at += sizeof(key) - 1;
    at += strspn(at, " ");
    digits = strspn(at, "0123456789");
    return agent_number(at, digits, UINT32_MAX, &kib) ? (uint64_t)kib * 1024 : 0;
}

void agent_modules_keep(struct agent_guest *guest)
{
    guest->balloon_fd = open("/modules/virtio_balloon.ko", O_RDONLY | O_CLOEXEC);
    guest->panic_fds[0] = open("/modules/pvpanic.ko", O_RDONLY | O_CLOEXEC);
    guest->panic_fds[1] = open("/modules/pvpanic_mmio.ko", O_RDONLY | O_CLOEXEC);
}

bool agent_guest_has_idle_work(const struct agent *agent)
{
    return agent->role == AGENT_GUEST && agent->had_session && agent->guest->panic_fds[1] >= 0;
}

/* A guest without them still tells its console. */
void agent_guest_idle_work(struct agent *agent)
{
    for (int i = 0; i < 2; i++) {
        int *fd = &agent->guest->panic_fds[i];

        if (*fd >= 0)
            (void)!syscall(SYS_finit_module, *fd, "", 0);
        close(*fd);
        *fd = -1;
    }
}

static bool load_balloon(struct agent_guest *guest, struct agent_text *error)
{
    if (access(BALLOON_DRIVER, F_OK) == 0)
        return true;
    if (guest->balloon_fd < 0) {
        agent_text_add(error, "the guest's kernel has no virtio_balloon", NULL);
        return false;
    }
    if (syscall(SYS_finit_module, guest->balloon_fd, "", 0) < 0 && errno != EEXIST) {
        agent_text_fail(error, "cannot load kernel module", "virtio_balloon", errno);
        return false;
    }
    close(guest->balloon_fd);
    guest->balloon_fd = -1;
    return true;
}

/* The frame ----------------------------------------------------------------------------------- */

void agent_guest_change(struct agent *agent, const struct duet_frame *frame)
{
    struct agent_text error = { 0 };
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag, answer[DUET_CHANGE_ANSWER_BYTES + sizeof(error.bytes)];
    size_t cursor = 0;
    bool ok = true;

    while (
        ok && duet_field_next(frame->payload, frame->length, &cursor, &tag, &bytes, &length) > 0) {
        if (tag == DUET_FIELD_PIDS_LIMIT && length == 8)
            ok = agent_set_pids_limit(duet_get_u64(bytes), true, &error);
        else if (tag == DUET_FIELD_BALLOON)
            ok = load_balloon(agent->guest, &error);
    }
    duet_put_u32(answer, switch_on_cpus());
    duet_put_u64(answer + 4, available_bytes());
    memcpy(answer + DUET_CHANGE_ANSWER_BYTES, error.bytes, error.length);
    agent_send(agent, DUET_FRAME_CHANGE, frame->channel, 0, answer,
        (uint32_t)(DUET_CHANGE_ANSWER_BYTES + error.length));
}
