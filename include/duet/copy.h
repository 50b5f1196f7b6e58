/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/copy-stream.h>
#include <duet/instance.h>

G_BEGIN_DECLS

/**
 * DuetTarOps: tar archives on the one side, streams of copy-stream.h on the other (libarchive, in
 * the module "duet-images" under the symbol "duet_tar"). Both fail as duet_copy_pack() does, which
 * leaves the reason in @copy.
 */
typedef struct {
    /**
     * pack: reads a tar archive, compressed or not, from @fd; its names may not lead out of the
     * place that it is unpacked in.
     */
    bool (*pack)(struct duet_copy *copy, int fd);
    /**
     * unpack: writes a tar archive to @fd.
     * @name: (nullable): what all is below in there
     */
    bool (*unpack)(struct duet_copy *copy, int fd, const char *name);
} DuetTarOps;

/**
 * DuetCopyPlace: where files come from, or go.
 * @instance: (nullable): NULL is the host
 * @path: the host's "-" is a tar archive: standard input or output
 */
typedef struct {
    DuetInstance *instance;
    const char *path;
} DuetCopyPlace;

/**
 * DuetCopyRequest: one `duet cp`. A stopped instance is borrowed for as long as it takes
 * (duet_instance_borrow()).
 * @keep_owners: numbers of users and groups stay; else what goes into an instance becomes its
 *     user's, and what comes to the host the caller's
 * @overwrite: a file may take a directory's place, and a directory a file's
 * @tar: (nullable): needed for "-"
 * @warn: (nullable): told what was left out, in words that came from an instance
 */
typedef struct {
    DuetCopyPlace from, to;
    gboolean keep_owners, overwrite;
    const DuetTarOps *tar;
    void (*warn)(const char *text);
} DuetCopyRequest;

/**
 * duet_copy_run: copies. Returns when all is over and released; a signal that ends the caller does
 * so after that. Forks: the caller has no threads.
 */
gboolean duet_copy_run(const DuetCopyRequest *request, GError **error);

G_END_DECLS
