/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What `duet cp` carries: a tree of files as a stream of bytes. The agent inside an instance and
 * the command on the host pack and unpack with the same code, which is plain C for that reason: no
 * GLib, no stdio. Who unpacks takes every byte for hostile.
 *
 * A stream is records: a header of DUET_COPY_HEADER_BYTES, a name, a link, and `size` bytes of
 * contents. Numbers are little-endian. Names are relative to what is copied, "" is that itself, and
 * no part of one is empty, "." or "..". TOP is first, END is last, and a directory comes before
 * what is in it: its ATTRIBUTES come after.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DUET_COPY_HEADER_BYTES 44
/* Of a name, with the NUL that it gets; as much again of what a link leads to. */
#define DUET_COPY_NAME_BYTES 16384
#define DUET_COPY_BUFFER_BYTES 65536
/* Each holds a descriptor while it is read. */
#define DUET_COPY_DEPTH_MAX 900

enum duet_copy_type {
    DUET_COPY_TOP = 1, /* what is copied: @flags of duet_copy_top; no name: its own is not asked */
    DUET_COPY_FILE = 2, /* @size bytes of contents follow */
    DUET_COPY_DIRECTORY = 3,
    DUET_COPY_ATTRIBUTES = 4, /* of the directory @name, in which all is now */
    DUET_COPY_SYMLINK = 5,
    DUET_COPY_LINK = 6, /* one more name of the file @link, a name as @name is */
    DUET_COPY_FIFO = 7,
    DUET_COPY_END = 8,
    DUET_COPY_XATTR = 9, /* of the FILE or ATTRIBUTES before it: @name, and @size bytes of value */
};

enum duet_copy_top {
    DUET_COPY_TOP_DIRECTORY = 1,
};

/* How a copy is made: field DUET_FIELD_COPY of SPAWN. */
enum duet_copy_options {
    DUET_COPY_OVERWRITE = 1, /* what is no directory may take a directory's place, and vice versa */
    DUET_COPY_KEEP_OWNERS = 2, /* those of the source; else all become one user's */
    DUET_COPY_FOLLOW = 4, /* links to directories at the target are followed: not on the host */
    DUET_COPY_ARCHIVE = 8, /* the source is a tar archive: the target must be a directory */
    DUET_COPY_SYNC = 16, /* what was written is on the disk at the end */
    DUET_COPY_CONTENTS = 32, /* into a directory that is there goes what is in the source */
};

/** duet_copy_entry: a record; the strings are NUL-terminated and live until the next is read. */
struct duet_copy_entry {
    uint8_t type, flags;
    uint32_t mode, uid, gid, mtime_ns;
    int64_t mtime_s;
    uint64_t size;
    const char *name, *link;
    size_t name_length, link_length;
};

/**
 * duet_copy: one end of a copy. Zero-initialise, then set what is above the line.
 * @fd: the stream
 * @options: of duet_copy_options
 * @uid, @gid: whose the files become
 * @warn: (nullable): tells what is left out, and why
 * @what, @path, @error: of the failure: "cannot open", "etc/shadow", EACCES; @error may be 0
 * @cut: the stream ended too early: its sender knows why
 */
struct duet_copy {
    int fd;
    uint32_t options;
    uid_t uid;
    gid_t gid;
    void (*warn)(struct duet_copy *copy, const char *what, const char *path);
    void *data;
    /* ---- */
    const char *what;
    char path[1024];
    int error;
    bool cut;
    size_t start, end;
    uint8_t buffer[DUET_COPY_BUFFER_BYTES];
    char name[DUET_COPY_NAME_BYTES], link[DUET_COPY_NAME_BYTES];
};

/** duet_copy_fail: notes the first failure. Returns: false. */
bool duet_copy_fail(struct duet_copy *copy, const char *what, const char *path, int error);

/* The stream. */
bool duet_copy_write(struct duet_copy *copy, const struct duet_copy_entry *entry);
/** duet_copy_write_bytes: contents, after a header that told how many there are. */
bool duet_copy_write_bytes(struct duet_copy *copy, const void *bytes, size_t length);
bool duet_copy_flush(struct duet_copy *copy);
/** duet_copy_read: Returns: false with a failure, or for a record that nobody may send. */
bool duet_copy_read(struct duet_copy *copy, struct duet_copy_entry *out_entry);
/**
 * duet_copy_read_bytes: contents.
 * Returns: how many came, up to @length; 0 with a failure if the stream ended
 */
size_t duet_copy_read_bytes(struct duet_copy *copy, void *bytes, size_t length);

/** duet_copy_name_is_good: whether it is one that a record may have. */
bool duet_copy_name_is_good(const char *name, size_t length);

/** duet_copy_pack: writes a file, or a tree, as a stream. */
bool duet_copy_pack(struct duet_copy *copy, const char *path);

/**
 * duet_copy_unpack: makes what a stream tells at @target, by the rules of podman and docker: into a
 * directory that is there, else under that very name, whose parent must be there.
 * @name: (nullable): what it is called in a directory that is there. Never asked of the stream: who
 *     sends that would choose which of the reader's files it takes the place of
 *
 * Nothing is written through a link that the stream brought, or (without DUET_COPY_FOLLOW) that was
 * there before, but for @target itself. The caller's umask must be 0.
 */
bool duet_copy_unpack(struct duet_copy *copy, const char *target, const char *name);
