/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The stream of `duet cp`, unpacked as on the host: nothing may be written beside the target. */

#include <duet/copy-stream.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "untouched"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char place[] = "/tmp/duet-fuzz-copy.XXXXXX";
static int before = -1; /* the working directory of whoever calls us */

static void remove_tree(int dir, const char *name)
{
    int fd;
    DIR *stream;
    struct dirent *next;

    if (unlinkat(dir, name, 0) == 0)
        return;
    fchmodat(dir, name, 0700, 0);
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    stream = fd < 0 ? NULL : fdopendir(fd);
    while (stream && (next = readdir(stream)))
        if (strcmp(next->d_name, ".") != 0 && strcmp(next->d_name, "..") != 0)
            remove_tree(fd, next->d_name);
    if (stream)
        closedir(stream);
    unlinkat(dir, name, AT_REMOVEDIR);
}

static void leave(void)
{
    if (chdir("/tmp") == 0)
        remove_tree(AT_FDCWD, place);
}

static void make_place(void)
{
    int fd;

    umask(0);
    before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (before < 0 || !mkdtemp(place) || chdir(place) < 0 || mkdir("outside", 0700) < 0)
        abort();
    fd = open("outside/secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, SECRET, strlen(SECRET)) < 0)
        abort();
    close(fd);
    atexit(leave);
}

/* The place has two entries, "outside" one, and that its contents. */
static void check(void)
{
    char bytes[sizeof(SECRET) + 1];
    struct stat st;
    int fd = open("outside/secret", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, bytes, sizeof(bytes)) != (ssize_t)strlen(SECRET) ||
        memcmp(bytes, SECRET, strlen(SECRET)) != 0 || fstat(fd, &st) < 0 ||
        (st.st_mode & 07777) != 0600)
        abort();
    close(fd);
    if (stat("outside", &st) < 0 || (st.st_mode & 07777) != 0700 || st.st_nlink > 2)
        abort();
    if (unlink("outside/secret") < 0 || rmdir("outside") < 0 || mkdir("outside", 0700) < 0)
        abort(); /* there was more in there */
    fd = open("outside/secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, SECRET, strlen(SECRET)) < 0)
        abort();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "name", NULL };

    if (strstr(place, "XXXXXX"))
        make_place();
    if (chdir(place) < 0)
        abort();
    for (uint32_t options = 0; options <= DUET_COPY_OVERWRITE; options++)
        for (size_t i = 0; i < 2; i++) {
            struct duet_copy *copy = calloc(1, sizeof(*copy));

            copy->fd = memfd_create("stream", MFD_CLOEXEC);
            copy->uid = geteuid();
            copy->gid = getegid();
            copy->options = options | (names[i] ? 0 : DUET_COPY_CONTENTS);
            if (write(copy->fd, data, size) != (ssize_t)size || lseek(copy->fd, 0, SEEK_SET) < 0 ||
                mkdir("in", 0700) < 0)
                abort();
            if (duet_copy_unpack(copy, "in", names[i]) != (copy->what == NULL))
                abort();
            close(copy->fd);
            free(copy);
            remove_tree(AT_FDCWD, "in");
            check();
        }
    return fchdir(before);
}
