/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The guest's mounts: the few for ourselves in the initramfs, those that the payload finds, and the
 * ones that CONFIG asks for; and the other settings of CONFIG. */

#include "agent-guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct mount_row {
    const char *source, *target, *type;
    unsigned long flags;
    const char *options;
};

static const struct mount_row early_mounts[] = {
    { "devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755" },
    { "sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
};

static const struct mount_row payload_mounts[] = {
    { "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
    { "sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
    { "devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755" },
    { "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=0620,gid=5" },
    { "shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k" },
    { "mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
};

static const struct {
    const char *path, *target;
} payload_links[] = {
    { "/dev/fd", "/proc/self/fd" },
    { "/dev/stdin", "/proc/self/fd/0" },
    { "/dev/stdout", "/proc/self/fd/1" },
    { "/dev/stderr", "/proc/self/fd/2" },
    { "/dev/ptmx", "pts/ptmx" },
};

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static bool mount_rows(const struct mount_row *rows, size_t count, struct agent_text *error)
{
    for (size_t i = 0; i < count; i++) {
        struct stat st;

        mkdir(rows[i].target, 0755);
        /* mount() would follow a link of the image to somewhere else. */
        if (lstat(rows[i].target, &st) < 0 || !S_ISDIR(st.st_mode)) {
            agent_text_add(error, "'", rows[i].target, "' of the image is not a directory", NULL);
            return false;
        }
        if (mount(rows[i].source, rows[i].target, rows[i].type, rows[i].flags, rows[i].options) <
            0) {
            agent_text_add(error, "cannot mount ", rows[i].type, " on '", rows[i].target,
                "': ", strerror(errno), NULL);
            return false;
        }
    }
    return true;
}

bool agent_mount_early(struct agent_text *error)
{
    mkdir("/duet", 0700);
    mkdir(AGENT_LOWER, 0700);
    mkdir(AGENT_RW, 0700);
    mkdir(AGENT_ROOT, 0700);
    return mount_rows(early_mounts, ROWS(early_mounts), error);
}

/* Removes what is below @fd on the same file system, to give its memory back. */
static void remove_below(int fd, dev_t device)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    struct stat st;

    if (!dir) {
        close(fd);
        return;
    }
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != device)
            continue;
        if (S_ISDIR(st.st_mode)) {
            int below =
                openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

            if (below >= 0)
                remove_below(below, device);
        }
        unlinkat(dirfd(dir), entry->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
    }
    closedir(dir);
}

bool agent_mount_switch(struct agent_text *error)
{
    struct stat st;
    int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    umount2("/sys", MNT_DETACH);
    umount2("/dev", MNT_DETACH);
    if (chdir(AGENT_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
        chdir("/") < 0) {
        agent_text_fail(error, "cannot switch to root", AGENT_ROOT, errno);
        if (old >= 0)
            close(old);
        return false;
    }
    if (old >= 0 && fstat(old, &st) == 0)
        remove_below(old, st.st_dev);
    else if (old >= 0)
        close(old);
    return true;
}

bool agent_mount_payload(struct agent_text *error)
{
    if (!mount_rows(payload_mounts, ROWS(payload_mounts), error))
        return false;
    for (size_t i = 0; i < ROWS(payload_links); i++) {
        unlink(payload_links[i].path);
        if (symlink(payload_links[i].target, payload_links[i].path) < 0) {
            agent_text_fail(error, "cannot make link", payload_links[i].path, errno);
            return false;
        }
    }
    return true;
}

bool agent_mount_loopback(struct agent_text *error)
{
    struct ifreq request = { .ifr_name = "lo" };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;

    request.ifr_flags |= IFF_UP;
    ok = ok && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (!ok)
        agent_text_fail(error, "cannot bring up interface", "lo", errno);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* CONFIG -------------------------------------------------------------------------------------- */

/* One shared folder, or tmpfs, of CONFIG: "<tag>\0<target>\0<options>". */
struct share {
    const char *tag, *target;
    unsigned long flags;
    bool file; /* the folder holds one file, "file", and that is what is shared */
    bool tmpfs;
    struct agent_text data; /* of a tmpfs: options of its own */
};

#define AGENT_TMPFS_OPTION_BYTES 64

/* Makes the mount point, a directory or, for a single file, a file. */
static bool make_target(const struct share *share, struct agent_text *error)
{
    const char *target = share->target, *slash = strrchr(target, '/');
    int failure = EINVAL, fd;

    if (target[0] == '/')
        failure =
            agent_make_directories(target, share->file ? (size_t)(slash - target) : strlen(target));
    if (failure == 0 && share->file) {
        fd = open(target, O_RDONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
        if (fd < 0)
            failure = errno;
        else
            close(fd);
    }
    if (failure)
        agent_text_fail(error, "cannot make mount target", target, failure);
    return failure == 0;
}

static bool mount_share(const struct share *share, struct agent_text *error)
{
    const char *at = share->file ? AGENT_SCRATCH : share->target;
    bool ok;

    if (!make_target(share, error))
        return false;
    if (share->file)
        mkdir(AGENT_SCRATCH, 0700);
    if (mount(share->tag, at, share->tmpfs ? "tmpfs" : "virtiofs", share->flags,
            share->tmpfs ? share->data.bytes : NULL) < 0) {
        agent_text_add(error, share->tmpfs ? "cannot mount '" : "cannot mount shared folder '",
            share->tag, "' on '", share->target, "': ", strerror(errno), NULL);
        return false;
    }
    if (!share->file)
        return true;
    ok = mount(AGENT_SCRATCH "/file", share->target, NULL, MS_BIND, NULL) == 0 &&
        mount(NULL, share->target, NULL, MS_REMOUNT | MS_BIND | share->flags, NULL) == 0;
    if (!ok)
        agent_text_fail(error, "cannot mount shared file on", share->target, errno);
    umount2(AGENT_SCRATCH, MNT_DETACH);
    rmdir(AGENT_SCRATCH);
    return ok;
}

static bool share_options(struct share *share, struct agent_span options, struct agent_text *error)
{
    const char *cursor = options.at, *end = options.at + options.length;
    struct agent_span option;

    while (agent_span_next(&cursor, end, ',', &option)) {
        if (agent_span_equal(option, "ro", 2)) {
            share->flags |= MS_RDONLY;
        } else if (agent_span_equal(option, "file", 4)) {
            share->file = true;
        } else if (agent_span_equal(option, "tmpfs", 5)) {
            share->tmpfs = true;
        } else if (agent_span_equal(option, "noexec", 6)) {
            share->flags |= MS_NOEXEC;
        } else if (share->tmpfs && option.length < AGENT_TMPFS_OPTION_BYTES) {
            char word[AGENT_TMPFS_OPTION_BYTES];

            memcpy(word, option.at, option.length);
            word[option.length] = '\0';
            agent_text_add(&share->data, share->data.length ? "," : "", word, NULL);
        } else if (option.length && !agent_span_equal(option, "rw", 2)) {
            agent_text_add(error, "unknown option for shared folder '", share->tag, "'", NULL);
            return false;
        }
    }
    return true;
}

bool agent_mount_share(
    const char *tag, const char *target, struct agent_span options, struct agent_text *error)
{
    /* As a container's folders. */
    struct share share = { .tag = tag, .target = target, .flags = MS_NOSUID | MS_NODEV };

    return share_options(&share, options, error) && mount_share(&share, error);
}

static bool config_share(const uint8_t *bytes, uint32_t length, struct agent_text *error)
{
    struct agent_span tag, target, options;
    const char *cursor, *end;
    char *copy = malloc((size_t)length + 1);
    bool ok;

    if (!copy) {
        agent_text_add(error, "out of memory", NULL);
        return false;
    }
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    cursor = copy;
    end = copy + length;
    ok = agent_span_next(&cursor, end, '\0', &tag) &&
        agent_span_next(&cursor, end, '\0', &target) &&
        agent_span_next(&cursor, end, '\0', &options);
    if (ok)
        ok = agent_mount_share(tag.at, target.at, options, error);
    else
        agent_text_add(error, "a mount of the configuration is malformed", NULL);
    free(copy);
    return ok;
}

static bool config_field(
    uint8_t tag, const uint8_t *bytes, uint32_t length, struct agent_text *error)
{
    switch (tag) {
    case DUET_FIELD_HOSTNAME:
        if (sethostname((const char *)bytes, length) == 0)
            return true;
        agent_text_add(error, "cannot set the host name: ", strerror(errno), NULL);
        return false;
    case DUET_FIELD_PIDS_LIMIT:
        if (length == 8)
            return duet_get_u64(bytes) == 0 ||
                agent_set_pids_limit(duet_get_u64(bytes), false, error);
        agent_text_add(error, "the pids limit of the configuration is malformed", NULL);
        return false;
    case DUET_FIELD_SHM_BYTES:
        if (length == 8)
            return agent_set_shm_bytes(duet_get_u64(bytes), error);
        agent_text_add(error, "the size of /dev/shm of the configuration is malformed", NULL);
        return false;
    case DUET_FIELD_SYSCTL:
        return agent_set_sysctl((const char *)bytes, length, error);
    case DUET_FIELD_MOUNT:
        return config_share(bytes, length, error);
    case DUET_FIELD_READONLY:
        if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0)
            return true;
        agent_text_add(
            error, "cannot make the root file system read-only: ", strerror(errno), NULL);
        return false;
    default:
        return true;
    }
}

bool agent_guest_config(
    struct agent *agent, const struct duet_frame *frame, struct agent_text *error)
{
    size_t cursor = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;
    int more;

    (void)agent;
    while (
        (more = duet_field_next(frame->payload, frame->length, &cursor, &tag, &bytes, &length)) > 0)
        if (!config_field(tag, bytes, length, error))
            return false;
    if (more < 0)
        agent_text_add(error, "the configuration is malformed", NULL);
    return more == 0;
}
