/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/** duet_describe: Returns: (transfer floating): all of an instance, as `inspect` shows it. */
GVariant *duet_describe(DuetContext *context, const DuetInfo *info);
/** duet_describe_snapshots: Returns: (transfer floating): those of the instance @id. */
GVariant *duet_describe_snapshots(DuetContext *context, const char *id);
/** duet_describe_disks: Returns: (transfer floating): the further disks of @spec. */
GVariant *duet_describe_disks(const DuetSpec *spec);
/** duet_describe_status: Returns: (transfer full): "Exited (3) 2 minutes ago", as podman has it. */
char *duet_describe_status(const DuetInfo *info);
/** duet_describe_time: Returns: (transfer full): RFC 3339, or NULL for 0. */
char *duet_describe_time(gint64 us);
/** duet_describe_labels: Returns: (transfer floating): an a{sv}. @labels: (nullable) */
GVariant *duet_describe_labels(char *const *labels);
/** duet_describe_words: Returns: (transfer full): a command line for people. */
char *duet_describe_words(char *const *words);

/** duet_describe_disk: adds what a disk guest has to what duet_describe() tells. */
void duet_describe_disk(GVariantDict *dict, DuetContext *context, const DuetInfo *info);

G_END_DECLS
