/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetStack: one directory of the view that overlayfs would show: the same path in each layer that
 * shows it, highest first.
 */
typedef struct {
    int *fds;
    guint n;
} DuetStack;

void duet_stack_clear(DuetStack *stack);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetStack, duet_stack_clear)

/** duet_stack_open: the root. @layer_dirs: absolute paths, lowest first; @out_stack: empty */
gboolean duet_stack_open(char *const *layer_dirs, DuetStack *out_stack, GError **error);
/**
 * duet_stack_enter: the directory @name of the layers from @from on, down to what hides the rest.
 * @out_stack: empty, and stays so if the first that has the name has no directory there
 */
gboolean duet_stack_enter(
    const DuetStack *above, guint from, const char *name, DuetStack *out_stack, GError **error);
/** duet_stack_names: Returns: (transfer full): name -> index of the layer that shows it; whiteouts
 * too, so that they hide lower ones. */
GHashTable *duet_stack_names(const DuetStack *stack, GError **error);

G_END_DECLS
