/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/spec.h>

G_BEGIN_DECLS

/*
 * What `--vcpus` and `--disk` say, as virt-install has them. Nothing here looks at the host.
 */

/**
 * duet_topology_parse: "4", "4,sockets=2,cores=2,threads=1", or the latter without the number.
 * What is not said of sockets, cores and threads follows from the rest: first the sockets.
 * "2,maxvcpus=4" has two and room for two more; sockets, cores and threads are those of all four.
 * @out_topology: untouched on failure
 *
 * Returns: %FALSE with %DUET_ERROR_INVALID.
 */
gboolean duet_topology_parse(const char *text, DuetTopology *out_topology, GError **error);

/**
 * DuetDataDisk: one of a spec's @disks
 * @path: absolute, of a file
 * @is_qcow2: its format, raw if not: never what the file's first bytes say
 * @format_given: whether it was said
 * @cache, @io: (nullable): libvirt's words, NULL for the usual
 * @index: 0 is vdc, or -1: not said
 * @backing: (nullable): the file that this one, a qcow2, is an overlay of: it is only read, and has
 *     no backing file itself
 */
typedef struct _DuetDataDisk {
    char *path;
    gboolean is_qcow2;
    gboolean format_given;
    gboolean readonly;
    char *cache;
    char *io;
    int index;
    struct _DuetDataDisk *backing;
} DuetDataDisk;

/** duet_data_disk_index: Returns: 0 for "vdc", up to "vdz"; -1 for anything else. */
int duet_data_disk_index(const char *target);
/** duet_data_disk_target: Returns: (transfer full): the reverse. */
char *duet_data_disk_target(int index);

/**
 * duet_data_disk_parse:
 * "PATH[,format=raw|qcow2][,readonly=on][,cache=..][,io=..][,bus=virtio][,target=vdX]
 * [,backing_store=PATH[,backing_format=raw|qcow2]]". A comma in PATH is doubled.
 *
 * Returns: (transfer full): NULL with %DUET_ERROR_INVALID, or %DUET_ERROR_UNSUPPORTED for what
 *     libvirt has and duet has not.
 */
DuetDataDisk *duet_data_disk_parse(const char *text, GError **error);

/** duet_data_disk_to_text: Returns: (transfer full): what duet_data_disk_parse() reads. */
char *duet_data_disk_to_text(const DuetDataDisk *disk);

void duet_data_disk_free(DuetDataDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetDataDisk, duet_data_disk_free)

G_END_DECLS
