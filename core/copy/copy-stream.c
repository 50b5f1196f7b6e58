/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The records of a copy's stream. Plain C: the agent, a static program, has this file too. */
#include <duet/copy-stream.h>
#include <duet/protocol.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SYMLINK_MAX_BYTES 4095

bool duet_copy_fail(struct duet_copy *copy, const char *what, const char *path, int error)
{
    size_t length = strlen(path);

    if (copy->what)
        return false;
    if (length >= sizeof(copy->path))
        length = sizeof(copy->path) - 1;
    memcpy(copy->path, path, length);
    copy->path[length] = '\0';
    copy->what = what;
    copy->error = error;
    return false;
}

/* Writing ------------------------------------------------------------------------------------- */

static bool write_all(struct duet_copy *copy, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t put = write(copy->fd, bytes, length);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return duet_copy_fail(copy, "cannot pass on", "the files", errno);
        bytes += put;
        length -= (size_t)put;
    }
    return true;
}

bool duet_copy_flush(struct duet_copy *copy)
{
    size_t length = copy->end;

    copy->end = 0;
    return write_all(copy, copy->buffer, length);
}

bool duet_copy_write_bytes(struct duet_copy *copy, const void *bytes, size_t length)
{
    if (length == 0)
        return true;
    if (copy->end + length > sizeof(copy->buffer) && !duet_copy_flush(copy))
        return false;
    if (length > sizeof(copy->buffer) / 2)
        return duet_copy_flush(copy) && write_all(copy, bytes, length);
    memcpy(copy->buffer + copy->end, bytes, length);
    copy->end += length;
    return true;
}

bool duet_copy_write(struct duet_copy *copy, const struct duet_copy_entry *entry)
{
    uint8_t header[DUET_COPY_HEADER_BYTES] = { entry->type, entry->flags };
    size_t name_length = entry->name ? strlen(entry->name) : 0,
           link_length = entry->link ? strlen(entry->link) : 0;

    duet_put_u32(header + 4, entry->mode);
    duet_put_u32(header + 8, entry->uid);
    duet_put_u32(header + 12, entry->gid);
    duet_put_u32(header + 16, entry->mtime_ns);
    duet_put_u64(header + 20, (uint64_t)entry->mtime_s);
    duet_put_u64(header + 28, entry->size);
    duet_put_u32(header + 36, (uint32_t)name_length);
    duet_put_u32(header + 40, (uint32_t)link_length);
    return duet_copy_write_bytes(copy, header, sizeof(header)) &&
        duet_copy_write_bytes(copy, entry->name, name_length) &&
        duet_copy_write_bytes(copy, entry->link, link_length);
}

/* Reading ------------------------------------------------------------------------------------- */

static bool broken(struct duet_copy *copy)
{
    return duet_copy_fail(copy, "what came is no stream of", "files", 0);
}

/* Returns: false with a failure when nothing came. */
static bool fill(struct duet_copy *copy, void *bytes, size_t length, size_t *out_got)
{
    ssize_t got;

    do
        got = read(copy->fd, bytes, length);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        *out_got = (size_t)got;
        return true;
    }
    copy->cut = !copy->what && got == 0;
    return duet_copy_fail(
        copy, got < 0 ? "cannot read" : "there is no end of", "the files", got < 0 ? errno : 0);
}

size_t duet_copy_read_bytes(struct duet_copy *copy, void *bytes, size_t length)
{
    size_t got = copy->end - copy->start;

    if (length == 0)
        return 0;
    if (got == 0 && length >= sizeof(copy->buffer))
        return fill(copy, bytes, length, &got) ? got : 0;
    if (got == 0) {
        copy->start = copy->end = 0;
        if (!fill(copy, copy->buffer, sizeof(copy->buffer), &got))
            return 0;
        copy->end = got;
    }
    if (got > length)
        got = length;
    memcpy(bytes, copy->buffer + copy->start, got);
    copy->start += got;
    return got;
}

static bool read_whole(struct duet_copy *copy, void *bytes, size_t length)
{
    for (size_t done = 0, got; done < length; done += got)
        if ((got = duet_copy_read_bytes(copy, (uint8_t *)bytes + done, length - done)) == 0)
            return false;
    return true;
}

bool duet_copy_name_is_good(const char *name, size_t length)
{
    const char *end = name + length;

    if (length == 0)
        return true;
    if (memchr(name, '\0', length))
        return false;
    for (const char *part = name;; part++) {
        const char *slash = memchr(part, '/', (size_t)(end - part));
        size_t bytes = (size_t)((slash ? slash : end) - part);

        if (bytes == 0 || (bytes <= 2 && memcmp(part, "..", bytes) == 0))
            return false;
        if (!slash)
            return true;
        part = slash;
    }
}

static bool read_string(struct duet_copy *copy, char *text, size_t length)
{
    if (length >= DUET_COPY_NAME_BYTES)
        return broken(copy);
    text[length] = '\0';
    return read_whole(copy, text, length);
}

/* An attribute's name is no path; what a symbolic link leads to may be anything. */
static bool entry_is_good(const struct duet_copy_entry *entry)
{
    bool has_link = entry->type == DUET_COPY_SYMLINK || entry->type == DUET_COPY_LINK,
         has_size = entry->type == DUET_COPY_FILE || entry->type == DUET_COPY_XATTR;

    if (entry->type < DUET_COPY_TOP || entry->type > DUET_COPY_XATTR ||
        entry->mtime_ns > 999999999 || (entry->size > 0 && !has_size) ||
        entry->size > (uint64_t)INT64_MAX || (entry->link_length > 0) != has_link)
        return false;
    if (entry->type == DUET_COPY_SYMLINK && memchr(entry->link, '\0', entry->link_length))
        return false;
    if (entry->type == DUET_COPY_SYMLINK && entry->link_length > SYMLINK_MAX_BYTES)
        return false;
    if (entry->type == DUET_COPY_XATTR)
        return entry->name_length > 0 && !memchr(entry->name, '\0', entry->name_length);
    return duet_copy_name_is_good(entry->name, entry->name_length) &&
        (entry->type != DUET_COPY_LINK || duet_copy_name_is_good(entry->link, entry->link_length));
}

bool duet_copy_read(struct duet_copy *copy, struct duet_copy_entry *out_entry)
{
    uint8_t header[DUET_COPY_HEADER_BYTES];
    struct duet_copy_entry entry = { .name = copy->name, .link = copy->link };

    if (!read_whole(copy, header, sizeof(header)))
        return false;
    entry.type = header[0];
    entry.flags = header[1];
    entry.mode = duet_get_u32(header + 4);
    entry.uid = duet_get_u32(header + 8);
    entry.gid = duet_get_u32(header + 12);
    entry.mtime_ns = duet_get_u32(header + 16);
    entry.mtime_s = (int64_t)duet_get_u64(header + 20);
    entry.size = duet_get_u64(header + 28);
    entry.name_length = duet_get_u32(header + 36);
    entry.link_length = duet_get_u32(header + 40);
    if (!read_string(copy, copy->name, entry.name_length) ||
        !read_string(copy, copy->link, entry.link_length))
        return false;
    if (!entry_is_good(&entry))
        return broken(copy);
    *out_entry = entry;
    return true;
}
