/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "images/manifest.h"
#include "images/store.h"
#include "images/unpack.h"

G_BEGIN_DECLS

/**
 * DuetTransaction: all that a writer adds to the store. Blobs and layers are staged in the work
 * directory and moved into place by commit(), after everything else has been done that can fail;
 * index.json is replaced last, which is the moment when the images are there.
 *
 * A writer stamps index.json before it reads index and rows, changes them, and calls commit(). If
 * that finds that another tool has changed the file meanwhile, the writer begins again with the
 * stamp. So whatever takes long is done before.
 */
typedef struct _DuetTransaction DuetTransaction;

/** duet_transaction_new: @store: (transfer none) opened to write */
DuetTransaction *duet_transaction_new(DuetStore *store);
/** duet_transaction_free: what was not committed is gone, with the work directory at the latest. */
void duet_transaction_free(DuetTransaction *transaction);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetTransaction, duet_transaction_free)

/** duet_transaction_blob: stages the bytes of a manifest or config. */
gboolean duet_transaction_blob(
    DuetTransaction *transaction, const char *hex, const char *bytes, gsize length, GError **error);

/**
 * duet_transaction_layer_blobs: stages the blobs of a manifest's layers, digests and sizes checked,
 * or only checks them where the store has good ones.
 * @source: (nullable): NULL: the store must have them all
 */
gboolean duet_transaction_layer_blobs(
    DuetTransaction *transaction, DuetSource *source, const DuetManifest *manifest, GError **error);

/**
 * duet_transaction_copy_blob: stages a member of @source, whatever it is.
 * @out_hex: (out) (transfer full)
 */
gboolean duet_transaction_copy_blob(DuetTransaction *transaction, DuetSource *source,
    const char *member, char **out_hex, guint64 *out_bytes, GError **error);

/** duet_transaction_stream_blob: stages what @stream holds, decompressed. */
gboolean duet_transaction_stream_blob(
    DuetTransaction *transaction, DuetStream *stream, GError **error);

/**
 * duet_transaction_file_blob: stages a file that the caller has made in the work directory.
 * @out_hex: (out) (transfer full)
 */
gboolean duet_transaction_file_blob(DuetTransaction *transaction, const char *name, char **out_hex,
    guint64 *out_bytes, GError **error);

/** duet_transaction_open_blob: Returns: a staged or stored blob, or -1. */
int duet_transaction_open_blob(DuetTransaction *transaction, const char *hex, GError **error);

/**
 * duet_transaction_layers: unpacks the layers that the store has not got, and checks the diff id
 * of each blob. The blobs must be staged or stored.
 * @image: gets the layer directories, high ids and warnings
 */
gboolean duet_transaction_layers(
    DuetTransaction *transaction, const DuetManifest *manifest, DuetImage *image, GError **error);

/** duet_transaction_contents: what makes @image usable: the layers, or the disk. */
gboolean duet_transaction_contents(
    DuetTransaction *transaction, const DuetManifest *manifest, DuetImage *image, GError **error);

/** duet_transaction_record: stages the record of an image. */
gboolean duet_transaction_record(
    DuetTransaction *transaction, const DuetImage *image, char **chains, GError **error);

/** DuetRow: one row of the table of names. @manifest_hex and @config_hex may be "". */
typedef struct {
    char *name;
    char *manifest_hex;
    char *config_hex;
    int code;
    char *message;
} DuetRow;
void duet_row_free(DuetRow *row);

/**
 * duet_transaction_commit:
 * @read: the index.json that @index and @rows were made from
 * @index: (nullable): the new index.json; NULL leaves it as it is
 * @rows: (element-type DuetRow): the table of names that belongs to it
 *
 * Returns: FALSE with %DUET_ERROR_STALE when index.json is another one than @read and a new one was
 *     to take its place; it may be called again then.
 */
gboolean duet_transaction_commit(DuetTransaction *transaction, const DuetIndexStamp *read,
    JsonNode *index, GPtrArray *rows, GError **error);

/**
 * duet_transaction_try: calls @attempt anew, 16 times at most, while it fails with
 * %DUET_ERROR_STALE.
 * @attempt: reads index.json, changes it and commits
 */
gboolean duet_transaction_try(
    gboolean (*attempt)(gpointer data, GError **error), gpointer data, GError **error);

G_END_DECLS
