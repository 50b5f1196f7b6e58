/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/*
 * What `--filter KEY=VALUE` asks for, as podman has it: several values of one key mean any of them,
 * several keys mean all of them; of labels all must be there.
 */
typedef struct _DuetFilter DuetFilter;

/** DuetFilterImage: Returns: (transfer full) (nullable): the digest of the image that @ref names.
 */
typedef char *(*DuetFilterImage)(const char *ref, gpointer data);

/**
 * duet_filter_new:
 * @texts: (nullable): "KEY=VALUE"; none matches all
 * @image: (nullable): asked for each `ancestor`; one that it does not know is told by its text
 *
 * Returns: (transfer full): NULL with %DUET_ERROR_INVALID: an unknown key, or no value of its key
 */
DuetFilter *duet_filter_new(
    char *const *texts, DuetFilterImage image, gpointer data, GError **error);
void duet_filter_free(DuetFilter *filter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetFilter, duet_filter_free)

/** duet_filter_wants_all: Returns: whether it asks for a state, so that those that do not run are
 * meant, too. */
gboolean duet_filter_wants_all(const DuetFilter *filter);

/**
 * duet_filter_bind: finds the instances that `before` and `since` name.
 * @instances: (element-type DuetInstance): all there are, by age
 */
gboolean duet_filter_bind(
    DuetFilter *filter, DuetContext *context, const GPtrArray *instances, GError **error);

/**
 * duet_filter_match:
 * @order: where the instance is among those of duet_filter_bind()
 */
gboolean duet_filter_match(const DuetFilter *filter, const DuetInfo *info, guint order);

/** duet_label_value: Returns: (nullable): the value of label @key, of "KEY=VALUE" strings. */
const char *duet_label_value(char *const *labels, const char *key, gsize key_length);

G_END_DECLS
