/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "images/transaction.h"

G_BEGIN_DECLS

/**
 * @blobs, @layers, @records: hex -> name of the staged file in the work directory
 * @disks: (element-type utf8): hex of the blobs that are disks
 * @moved: paths below the store that commit() has made, to undo
 * @synced: what was staged is on disk
 */
struct _DuetTransaction {
    DuetStore *store;
    GHashTable *blobs;
    GHashTable *layers;
    GHashTable *records;
    GPtrArray *disks;
    GPtrArray *moved;
    gboolean synced;
};

/** duet_transaction_undo: takes away what commit() has moved into place. */
void duet_transaction_undo(DuetTransaction *transaction);

G_END_DECLS
