/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetConfineOps: what of a container's walls needs libraries: the module "duet-confine", for who
 * asks for anything but the default.
 * @seccomp: makes the kernel's filter of a profile in Docker's format; @profile NULL is the default
 *     one. @capabilities: what root in the container may do, a bit for each.
 *     Returns: (transfer full): an array of struct sock_filter, or NULL with %DUET_ERROR_INVALID
 * @capability: @name: "CAP_SYS_ADMIN" or "sys_admin". Returns: its bit's number, or -1
 * @capability_name: Returns: (transfer full) (nullable): "CAP_SYS_ADMIN"
 */
typedef struct {
    GBytes *(*seccomp)(const char *profile, guint64 capabilities, GError **error);
    int (*capability)(const char *name);
    char *(*capability_name)(int number);
} DuetConfineOps;

extern const DuetConfineOps duet_confine;

G_END_DECLS
