/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages, numbers, and files of a tree that is not trusted. Nothing here uses the heap or stdio:
 * children that share our memory call it. */

#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void text_append(struct agent_text *text, const char *piece, size_t length)
{
    size_t room = sizeof(text->bytes) - 1 - text->length;

    if (length > room)
        length = room;
    memcpy(text->bytes + text->length, piece, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void agent_text_add(struct agent_text *text, ...)
{
    va_list pieces;
    const char *piece;

    va_start(pieces, text);
    while ((piece = va_arg(pieces, const char *)))
        text_append(text, piece, strlen(piece));
    va_end(pieces);
}

void agent_text_add_number(struct agent_text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    text_append(text, digits + at, sizeof(digits) - at);
}

void agent_text_fail(struct agent_text *text, const char *what, const char *object, int error)
{
    agent_text_add(text, what, " '", object, "'", NULL);
    if (error)
        agent_text_add(text, ": ", strerror(error), NULL);
}

bool agent_number(const char *text, size_t length, uint32_t max, uint32_t *out_number)
{
    uint64_t number = 0;

    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text[i] - '0');
        if (number > max)
            return false;
    }
    *out_number = (uint32_t)number;
    return true;
}

bool agent_span_next(const char **cursor, const char *end, char separator, struct agent_span *out)
{
    const char *stop;

    if (*cursor > end)
        return false;
    stop = memchr(*cursor, separator, (size_t)(end - *cursor));
    if (!stop)
        stop = end;
    *out = (struct agent_span){ *cursor, (size_t)(stop - *cursor) };
    *cursor = stop + 1;
    return true;
}

bool agent_span_equal(struct agent_span span, const char *text, size_t length)
{
    return span.length == length && memcmp(span.at, text, length) == 0;
}

static int read_whole(int fd, char *bytes, size_t size, size_t *out_length)
{
    size_t length = 0;

    while (length < size) {
        ssize_t got = read(fd, bytes + length, size - length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    *out_length = length;
    return 0;
}

/* The file's size bounds what is read, whatever happens to the file meanwhile. */
static int map_open_file(int fd, size_t max_bytes, struct agent_file *out_file)
{
    struct agent_file file;
    struct stat st;
    int error;

    if (fstat(fd, &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return EINVAL;
    if (st.st_size < 0 || (uint64_t)st.st_size > max_bytes)
        return EFBIG;
    file.mapped = (size_t)st.st_size + 1;
    file.bytes =
        mmap(NULL, file.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (file.bytes == MAP_FAILED)
        return ENOMEM;
    error = read_whole(fd, file.bytes, file.mapped - 1, &file.length);
    if (error) {
        agent_file_unmap(&file);
        return error;
    }
    *out_file = file;
    return 0;
}

int agent_file_map(const char *path, size_t max_bytes, struct agent_file *out_file)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), error;

    *out_file = (struct agent_file){ 0 };
    if (fd < 0)
        return errno;
    error = map_open_file(fd, max_bytes, out_file);
    close(fd);
    return error;
}

void agent_file_unmap(struct agent_file *file)
{
    if (file->bytes)
        munmap(file->bytes, file->mapped);
    *file = (struct agent_file){ 0 };
}

int agent_make_directories(const char *path, size_t length)
{
    char copy[4096];

    if (length >= sizeof(copy))
        return ENAMETOOLONG;
    memcpy(copy, path, length);
    copy[length] = '\0';
    for (size_t i = 1; i <= length; i++) {
        if (copy[i] != '/' && copy[i] != '\0')
            continue;
        copy[i] = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return errno;
        if (i < length)
            copy[i] = '/';
    }
    return 0;
}
