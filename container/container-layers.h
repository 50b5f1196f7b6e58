/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "container-private.h"

G_BEGIN_DECLS

/* One directory: of the layers, lowest first, and last the instance's. */
typedef struct {
    int fd; /* as the host sees it, then through the idmapped mount */
    guint64 mount_id;
    char *path;
} DuetLayerSource;

typedef struct {
    DuetLayerSource *sources;
    guint count;
    int upper_fd, work_fd;
    GArray *trees; /* of int: idmapped mounts */
    guint32 id_base;
    gboolean is_volatile;
    gboolean in_userns;
    const char *attach_point;
} DuetLayerPlan;

/**
 * duet_layer_plan_make: opens all directories, through idmapped mounts if there is a @userns_fd,
 * and makes the writable layer where there is none yet.
 */
gboolean duet_layer_plan_make(DuetLayerPlan *plan, char *const *layers, const char *instance_dir,
    int userns_fd, GError **error);
void duet_layer_plan_clear(DuetLayerPlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetLayerPlan, duet_layer_plan_clear)

G_END_DECLS
