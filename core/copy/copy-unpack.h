/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What copy-unpack.c (records become files), copy-way.c (the way to their names) and copy-target.c
 * (where it begins) share; nobody else includes this. Plain C, as they are. */

#include <duet/copy-stream.h>

#include <limits.h>
#include <sys/stat.h>

#define DUET_UNPACK_PATH_BYTES (DUET_COPY_NAME_BYTES + NAME_MAX + 2)

struct duet_unpack {
    struct duet_copy *copy;
    int root; /* in here, all is made */
    char top[NAME_MAX + 1]; /* the name of what is copied, or "": it is the root itself */
    bool is_directory;
    /* The directory of the last entry, as the next one is often in there too. */
    int parent;
    char parent_path[DUET_UNPACK_PATH_BYTES];
    int last; /* the last file, or directory: what follows may be an attribute of it */
    char path[DUET_UNPACK_PATH_BYTES], other[DUET_UNPACK_PATH_BYTES];
    char bytes[DUET_COPY_BUFFER_BYTES];
};

/** duet_unpack_fail: of the entry at hand. Returns: false. */
bool duet_unpack_fail(struct duet_unpack *unpack, const char *what, int error);

/* copy-way.c */

/**
 * duet_unpack_follows: whether links in an open directory are followed: only in an instance, and
 * only those that nobody but its root can have made. What is copied is root's doing, and another
 * user's link must not choose where.
 */
bool duet_unpack_follows(const struct duet_unpack *unpack, int dir);
/** duet_unpack_join: a record's name, seen from the root. */
void duet_unpack_join(const struct duet_unpack *unpack, const char *name, char *out_path);
/**
 * duet_unpack_open_parent: goes down @path from the root.
 * Returns: the directory of its last part, which *out_base becomes; -1 with a failure
 */
int duet_unpack_open_parent(struct duet_unpack *unpack, const char *path, const char **out_base);
/** duet_unpack_enter: the same for the entry at hand; the descriptor is kept for the next one. */
int duet_unpack_enter(struct duet_unpack *unpack, const char **out_base);
/**
 * duet_unpack_clear_way: makes room for what is no directory.
 * @out_in_place: it is a file that can't go, and may be written where it is
 * Returns: false with a failure
 */
bool duet_unpack_clear_way(
    struct duet_unpack *unpack, int dir, const char *base, bool *out_in_place);

/* copy-target.c */

/** duet_unpack_open_target: finds root and top, by the rules of podman and docker. */
bool duet_unpack_open_target(struct duet_unpack *unpack, const char *target, const char *name);
