/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What runs in the instance, for `top`, by a child of the agent: the image need not have a program
 * that could tell. It is written as the kernel has it; whoever reads it trusts none of it, for the
 * payload may be root here and may have put anything in the place of /proc.
 */

#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PROC "/proc"
#define PASSWD "/etc/passwd"
#define PASSWD_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define ARGS_MAX_BYTES 4096
#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD of the kernel's flags */

struct lister {
    int out, proc;
    bool broken; /* nobody reads on */
    struct agent_file passwd;
    bool uid_known;
    uint32_t uid;
    struct agent_span name; /* of @uid */
    size_t used;
    char bytes[8192];
};

static void flush(struct lister *lister)
{
    for (size_t done = 0; done < lister->used && !lister->broken;) {
        ssize_t n = write(lister->out, lister->bytes + done, lister->used - done);

        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            lister->broken = true;
    }
    lister->used = 0;
}

static void put(struct lister *lister, const char *bytes, size_t length)
{
    while (length > 0) {
        size_t room = sizeof(lister->bytes) - lister->used;
        size_t some = length < room ? length : room;

        memcpy(lister->bytes + lister->used, bytes, some);
        lister->used += some;
        bytes += some;
        length -= some;
        if (lister->used == sizeof(lister->bytes))
            flush(lister);
    }
}

static void put_number(struct lister *lister, uint64_t number, const char *end, size_t length)
{
    struct agent_text text = { 0 };

    agent_text_add_number(&text, number);
    put(lister, text.bytes, text.length);
    put(lister, end, length);
}

/* Returns: the bytes read, NUL-terminated and cut, or -1. */
static ssize_t read_file(
    const struct lister *lister, const char *pid, const char *name, char *buffer, size_t size)
{
    struct agent_text path = { 0 };
    ssize_t length = 0, n = -1;
    int fd;

    agent_text_add(&path, pid, "/", name, NULL);
    fd = openat(lister->proc, path.bytes, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    while (fd >= 0 && (size_t)length < size - 1 &&
        (n = read(fd, buffer + length, size - 1 - (size_t)length)) > 0)
        length += n;
    if (fd >= 0)
        close(fd);
    buffer[length] = '\0';
    return n < 0 && length == 0 ? -1 : length;
}

/* Field numbers of stat, as proc(5) has them, from the one after the name on. */
enum {
    STAT_STATE = 3,
    STAT_PPID = 4,
    STAT_TTY = 7,
    STAT_FLAGS = 9,
    STAT_UTIME = 14,
    STAT_STIME = 15,
    STAT_NICE = 19,
    STAT_START = 22,
    STAT_VSIZE = 23,
    STAT_RSS = 24,
    STAT_FIELDS,
};

static bool cut_stat(char *stat, size_t length, struct agent_span *out_name, struct agent_span *out)
{
    char *open = memchr(stat, '(', length), *close = open ? memrchr(stat, ')', length) : NULL;
    const char *cursor, *end = stat + length;

    if (!close || close < open || end - close < 2)
        return false;
    *out_name = (struct agent_span){ open + 1, (size_t)(close - open - 1) };
    cursor = close + 2;
    for (int i = STAT_STATE; i < STAT_FIELDS; i++)
        if (!agent_span_next(&cursor, end, ' ', &out[i]) || out[i].length == 0)
            return false;
    return true;
}

/* The effective one: the line is "Uid:", then the real one, then that. */
static bool find_uid(const char *status, uint32_t *out_uid)
{
    const char *line = strstr(status, "\nUid:\t"), *end;
    struct agent_span uid;

    if (!line)
        return false;
    line += strlen("\nUid:\t");
    end = line + strcspn(line, "\n");
    return agent_span_next(&line, end, '\t', &uid) && agent_span_next(&line, end, '\t', &uid) &&
        agent_number(uid.at, uid.length, UINT32_MAX, out_uid);
}

static struct agent_span user_name(struct lister *lister, uint32_t uid)
{
    if (!lister->uid_known || lister->uid != uid) {
        lister->uid_known = true;
        lister->uid = uid;
        if (!agent_user_name(&lister->passwd, uid, &lister->name))
            lister->name = (struct agent_span){ "", 0 };
    }
    return lister->name;
}

/* The arguments with blanks between. A NUL in it would end the record's part. */
static void put_args(struct lister *lister, const char *pid)
{
    char args[ARGS_MAX_BYTES + 1];
    ssize_t length = read_file(lister, pid, "cmdline", args, sizeof(args));

    while (length > 0 && args[length - 1] == '\0')
        length--;
    for (ssize_t i = 0; i < length; i++)
        if (args[i] == '\0')
            args[i] = ' ';
    put(lister, args, length > 0 ? (size_t)length : 0);
    put(lister, "", 1);
}

/* One that ended meanwhile, or may not be seen, is not there. */
static void list_one(struct lister *lister, const char *pid)
{
    static const int fields[] = { STAT_STATE, STAT_PPID, STAT_TTY, STAT_UTIME, STAT_STIME,
        STAT_NICE, STAT_START, STAT_VSIZE, STAT_RSS };
    char stat[1024], status[2048];
    struct agent_span name, span[STAT_FIELDS], user;
    uint32_t uid, flags;
    ssize_t length = read_file(lister, pid, "stat", stat, sizeof(stat));

    if (length <= 0 || !cut_stat(stat, (size_t)length, &name, span) ||
        read_file(lister, pid, "status", status, sizeof(status)) <= 0 || !find_uid(status, &uid))
        return;
    if (agent_number(span[STAT_FLAGS].at, span[STAT_FLAGS].length, UINT32_MAX, &flags) &&
        flags & KERNEL_THREAD)
        return;
    put(lister, pid, strlen(pid));
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        put(lister, " ", 1);
        put(lister, span[fields[i]].at, span[fields[i]].length);
    }
    put(lister, " ", 1);
    put_number(lister, uid, "", 1);
    user = user_name(lister, uid);
    put(lister, user.at, user.length);
    put(lister, "", 1);
    put(lister, name.at, name.length);
    put(lister, "", 1);
    put_args(lister, pid);
}

/* The kernel's struct linux_dirent64. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

static int list_all(struct lister *lister)
{
    union {
        struct entry align;
        char bytes[4096];
    } buffer;
    uint32_t pid, own = (uint32_t)getpid();
    long n;

    while ((n = syscall(SYS_getdents64, lister->proc, buffer.bytes, sizeof(buffer.bytes))) > 0)
        for (long at = 0; at < n && !lister->broken;) {
            const struct entry *entry = (const struct entry *)(buffer.bytes + at);

            at += entry->length;
            if (agent_number(entry->name, strlen(entry->name), INT32_MAX, &pid) && pid != own)
                list_one(lister, entry->name);
        }
    return n < 0 ? errno : 0;
}

int agent_processes_write(int fd)
{
    struct lister lister = { .out = fd };
    int error;

    lister.proc = open(PROC, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lister.proc < 0)
        return errno;
    /* Without it, or with one that is none, users are numbers. */
    agent_file_map(PASSWD, PASSWD_MAX_BYTES, &lister.passwd);
    put_number(&lister, agent_now(CLOCK_BOOTTIME), " ", 1);
    put_number(&lister, getauxval(AT_CLKTCK), " ", 1);
    put_number(&lister, getauxval(AT_PAGESZ), "", 1);
    error = list_all(&lister);
    flush(&lister);
    agent_file_unmap(&lister.passwd);
    close(lister.proc);
    return lister.broken ? EPIPE : error;
}
