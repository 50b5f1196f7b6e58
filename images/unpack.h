/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "images/stream.h"

G_BEGIN_DECLS

/**
 * DuetFacts: what unpacking or scanning found, collected over the layers of an image.
 * @high_ids: (element-type guint32): a set of the ids above 65535
 * @warnings: a set of texts
 */
typedef struct {
    GHashTable *high_ids;
    GHashTable *warnings;
} DuetFacts;
DuetFacts *duet_facts_new(void);
void duet_facts_free(DuetFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetFacts, duet_facts_free)

/** duet_facts_add_id: %DUET_ERROR_UNSUPPORTED if that is one too many. */
gboolean duet_facts_add_id(DuetFacts *facts, guint32 id, const char *what, GError **error);
void duet_facts_warn(DuetFacts *facts, const char *warning);

#define DUET_WARN_MODE                                                                             \
    "without user namespaces the owner may read every file and write in every directory"
#define DUET_WARN_ACL "POSIX ACLs are not in a VM's root disk"

/**
 * duet_layer_unpack:
 * @stream: the layer's tar; left at the tar's end
 * @root_fd: an empty directory: gets the files in the form of an overlayfs layer
 * @lowers: the unpacked layers below, nearest first
 */
gboolean duet_layer_unpack(DuetStream *stream, int root_fd, const int *lowers, gsize n_lowers,
    DuetFacts *facts, GError **error);

/** duet_layer_scan: collects the facts of an unpacked layer. */
gboolean duet_layer_scan(int root_fd, const char *what, DuetFacts *facts, GError **error);

G_END_DECLS
