/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Pid 1 of a virtual machine, until the payload can start. HELLO is to go out as early as can be,
 * so the order is: device and system file systems, the modules that the port needs, the port,
 * HELLO; only then the other modules, the disks, and the root.
 *
 * The root is the image's read-only disk (serial "duet-root", squashfs, shared by many VMs) with
 * the writable layer (serial "duet-rw", ext4, this instance's own) over it by overlayfs. Both
 * and the initramfs are out of the payload's sight then; what is left of the initramfs in memory is
 * freed.
 */

#include "agent-guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MODULE_ORDER "/modules/order"
#define PORT_NAME "org.duet.agent.0"
#define PORT_WAIT_MS 60000u
#define DISK_WAIT_MS 5000u

/* The kernel's, repeated here so that the agent compiles without kernel headers. */
#define NETLINK_KOBJECT_UEVENT 15
#ifndef FIFREEZE
#define FIFREEZE _IOWR('X', 119, int)
#endif
struct netlink_address {
    sa_family_t family;
    unsigned short pad;
    uint32_t pid, groups;
};

void agent_guest_say(struct agent *agent, const char *text)
{
    struct agent_text line = { 0 };
    int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    (void)agent;
    if (fd < 0)
        return;
    agent_text_add(&line, "duet-agent: ", text, "\n", NULL);
    if (write(fd, line.bytes, line.length) < 0)
        line.length = 0; /* the console is a courtesy */
    close(fd);
}

/* Waiting ------------------------------------------------------------------------------------- */

/* Device events of the kernel: what we wait for shows up there first. -1 is no loss: we look anew
 * now and then. */
static int open_uevents(void)
{
    struct netlink_address address = { .family = AF_NETLINK, .groups = 1 };
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void wait_uevent(int fd)
{
    struct pollfd poller = { .fd = fd, .events = POLLIN };
    char event[4096];

    poll(&poller, 1, 50);
    while (fd >= 0 && recv(fd, event, sizeof(event), 0) > 0)
        ;
}

/* Calls @look until it gives something else than -1. */
static int wait_for(int (*look)(const char *name, struct agent_text *path), const char *name,
    struct agent_text *path, int uevents, unsigned wait_ms)
{
    uint64_t end = agent_now(CLOCK_MONOTONIC) + (uint64_t)wait_ms * 1000000;
    int found;

    while ((found = look(name, path)) < 0 && agent_now(CLOCK_MONOTONIC) < end)
        wait_uevent(uevents);
    return found;
}

/* Reads a small attribute without its newline. Returns: false if there is none. */
static bool read_attribute(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;

    if (fd >= 0) {
        got = read(fd, out, size - 1);
        close(fd);
    }
    if (got < 0)
        return false;
    while (got > 0 && out[got - 1] == '\n')
        got--;
    out[got] = '\0';
    return true;
}

/* Finds the device below @class_dir whose attribute reads @wanted; *path becomes "/dev/<it>". */
static int find_device(
    const char *class_dir, const char *attribute, const char *wanted, struct agent_text *path)
{
    DIR *dir = opendir(class_dir);
    struct dirent *entry;
    char value[64];
    int found = -1;

    while (dir && found < 0 && (entry = readdir(dir))) {
        struct agent_text file = { 0 };

        if (entry->d_name[0] == '.')
            continue;
        agent_text_add(&file, class_dir, "/", entry->d_name, "/", attribute, NULL);
        if (!read_attribute(file.bytes, value, sizeof(value)) || strcmp(value, wanted) != 0)
            continue;
        *path = (struct agent_text){ 0 };
        agent_text_add(path, "/dev/", entry->d_name, NULL);
        found = 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

static int look_for_port(const char *name, struct agent_text *path)
{
    if (find_device("/sys/class/virtio-ports", "name", name, path) < 0)
        return -1;
    return open(path->bytes, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int look_for_disk(const char *serial, struct agent_text *path)
{
    return find_device("/sys/block", "serial", serial, path);
}

/* Modules ------------------------------------------------------------------------------------- */

static bool load_module(const char *path, struct agent_text *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), failure = errno;
    long done = -1;

    if (fd >= 0) {
        done = syscall(SYS_finit_module, fd, "", 0);
        failure = errno;
        close(fd);
    }
    if (done == 0 || failure == EEXIST)
        return true;
    agent_text_fail(error, "cannot load kernel module", path, failure);
    return false;
}

/* Loads what the order lists, from *cursor up to an empty line or the end. */
static bool load_modules(
    const struct agent_file *order, const char **cursor, struct agent_text *error)
{
    const char *end = order->bytes + order->length;
    struct agent_span line;

    while (agent_span_next(cursor, end, '\n', &line)) {
        char path[256];

        if (line.length == 0)
            break;
        if (line.at[0] == '#')
            continue;
        if (line.length >= sizeof(path)) {
            agent_text_add(error, "a line of '" MODULE_ORDER "' is too long", NULL);
            return false;
        }
        memcpy(path, line.at, line.length);
        path[line.length] = '\0';
        if (!load_module(path, error))
            return false;
    }
    return true;
}

/* Those above the empty line; a kernel with all built in needs no list. */
static bool load_first_modules(struct agent_guest *guest, struct agent_text *error)
{
    int failure = agent_file_map(MODULE_ORDER, 65536, &guest->order);

    if (failure && failure != ENOENT) {
        agent_text_fail(error, "cannot read", MODULE_ORDER, failure);
        return false;
    }
    guest->next_module = guest->order.bytes;
    return !guest->order.bytes || load_modules(&guest->order, &guest->next_module, error);
}

/* The port ------------------------------------------------------------------------------------ */

/* Until the host's side is there, the port reads as hung up, and what is written would wait. */
static bool wait_connected(int port, unsigned wait_ms)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
    uint64_t end = agent_now(CLOCK_MONOTONIC) + (uint64_t)wait_ms * 1000000;
    int waiter = epoll_create1(EPOLL_CLOEXEC);
    struct pollfd poller = { .fd = port, .events = POLLOUT };
    bool connected = false;

    /* Edge-triggered: a hang-up that lasts must not spin. */
    if (waiter >= 0)
        epoll_ctl(waiter, EPOLL_CTL_ADD, port, &event);
    while (!connected && agent_now(CLOCK_MONOTONIC) < end) {
        connected = poll(&poller, 1, 0) > 0 && !(poller.revents & (POLLHUP | POLLERR)) &&
            poller.revents & POLLOUT;
        if (!connected)
            epoll_wait(waiter, &event, 1, 1000);
    }
    if (waiter >= 0)
        close(waiter);
    return connected;
}

bool agent_guest_open(struct agent *agent, struct agent_text *error)
{
    struct agent_guest *guest = calloc(1, sizeof(*guest));

    if (!guest) {
        agent_text_add(error, "out of memory", NULL);
        return false;
    }
    agent->guest = guest;
    guest->rw_fd = guest->balloon_fd = guest->panic_fds[0] = guest->panic_fds[1] = -1;
    reboot(RB_DISABLE_CAD);
    syscall(SYS_close_range, 0U, ~0U, 0U); /* the kernel's console */
    if (!agent_mount_early(error))
        return false;
    guest->acpi = access("/sys/firmware/acpi", F_OK) == 0;
    guest->uevents = open_uevents();
    if (!load_first_modules(guest, error))
        return false;
    agent->port =
        wait_for(look_for_port, PORT_NAME, &guest->port_path, guest->uevents, PORT_WAIT_MS);
    if (agent->port < 0 || !wait_connected(agent->port, PORT_WAIT_MS)) {
        agent_text_add(error, "no host at the virtio-serial port '" PORT_NAME "'", NULL);
        return false;
    }
    return true;
}

/* The root ------------------------------------------------------------------------------------ */

static bool mount_disk(struct agent_guest *guest, const char *serial, const char *target,
    const char *type, unsigned long flags, const char *options, struct agent_text *error)
{
    struct agent_text path = { 0 };

    if (wait_for(look_for_disk, serial, &path, guest->uevents, DISK_WAIT_MS) < 0) {
        agent_text_add(error, "no disk with serial number '", serial, "'", NULL);
        return false;
    }
    if (mount(path.bytes, target, type, flags, options) == 0)
        return true;
    agent_text_add(error, "cannot mount disk '", serial, "' (", path.bytes, ") as ", type, ": ",
        strerror(errno), NULL);
    return false;
}

/* A new upper directory looks like the image's root directory: overlayfs shows the upper one's
 * mode. */
static bool make_upper(struct agent_text *error)
{
    struct stat st;

    if (mkdir(AGENT_RW "/work", 0700) < 0 && errno != EEXIST) {
        agent_text_fail(error, "cannot make directory in the writable layer", "work", errno);
        return false;
    }
    if (mkdir(AGENT_RW "/upper", 0755) < 0) {
        if (errno == EEXIST)
            return true;
        agent_text_fail(error, "cannot make directory in the writable layer", "upper", errno);
        return false;
    }
    if (stat(AGENT_LOWER, &st) < 0 || chown(AGENT_RW "/upper", st.st_uid, st.st_gid) < 0 ||
        chmod(AGENT_RW "/upper", st.st_mode & 07777) < 0) {
        agent_text_fail(error, "cannot set up directory in the writable layer", "upper", errno);
        return false;
    }
    return true;
}

static bool mount_root(struct agent *agent, struct agent_text *error)
{
    struct agent_guest *guest = agent->guest;

    if (!mount_disk(guest, "duet-root", AGENT_LOWER, "squashfs", MS_RDONLY, NULL, error) ||
        /* No background thread that zeroes inode tables beside the payload. */
        !mount_disk(guest, "duet-rw", AGENT_RW, "ext4", 0, "noinit_itable", error) ||
        !make_upper(error))
        return false;
    guest->rw_fd = open(AGENT_RW, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Features of the layer's format are spelled out: it must be the same for another kernel. */
    if (mount("overlay", AGENT_ROOT, "overlay", 0,
            "lowerdir=" AGENT_LOWER ",upperdir=" AGENT_RW "/upper,workdir=" AGENT_RW "/work,"
            "index=off,metacopy=off,redirect_dir=off") < 0) {
        agent_text_fail(error, "cannot mount overlay at", AGENT_ROOT, errno);
        return false;
    }
    /* The overlay holds on to both; their own mounts would only be in the payload's way. */
    umount2(AGENT_RW, MNT_DETACH);
    umount2(AGENT_LOWER, MNT_DETACH);
    return true;
}

bool agent_guest_root(struct agent *agent, struct agent_text *error)
{
    struct agent_guest *guest = agent->guest;

    if (guest->order.bytes && !load_modules(&guest->order, &guest->next_module, error))
        return false;
    agent_file_unmap(&guest->order);
    agent_modules_keep(guest);
    if (!mount_root(agent, error) || !agent_mount_switch(error) || !agent_mount_payload(error))
        return false;
    if (guest->uevents >= 0)
        close(guest->uevents);
    guest->uevents = -1;
    /* It can be opened once only, and that is done: the name is of no use to anybody. */
    unlink(guest->port_path.bytes);
    return agent_mount_loopback(error);
}

void agent_guest_power_off(struct agent *agent)
{
    /* Freezing writes all out and leaves the journal empty, even while files are open. */
    if (agent->guest && agent->guest->rw_fd >= 0 && ioctl(agent->guest->rw_fd, FIFREEZE, 0) < 0)
        sync();
    /* Without ACPI there is no power switch: the VMM takes a reset for the end (-no-reboot). */
    reboot(agent->guest && agent->guest->acpi ? RB_POWER_OFF : RB_AUTOBOOT);
    for (;;)
        pause();
}
