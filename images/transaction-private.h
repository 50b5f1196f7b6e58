/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "images/transaction.h"

G_BEGIN_DECLS

/**
 * @blobs, @layers, @records: hex -> name of the staged file in the work directory
 * @moved: paths below the store that commit() has made, to undo
 */
struct _DuetTransaction {
    DuetStore *store;
    GHashTable *blobs;
    GHashTable *layers;
    GHashTable *records;
    GPtrArray *moved;
};

/** duet_transaction_open_layer: Returns: a staged or stored layer, or -1. */
int duet_transaction_open_layer(DuetTransaction *transaction, const char *chain);

G_END_DECLS
