/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>

/*
 * A monitor reduced to what tests of the container and native drivers need: a root directory with
 * one busybox layer, a cgroup, the driver's ops in their order, and shell scripts run by the agent.
 */
typedef struct {
    const DuetDriverOps *driver;
    char *root; /* below /var/tmp: /tmp may be a file system without idmapped mounts */
    char *instance_dir, *run_dir;
    DuetSpec *spec;
    DuetPlace place;
    DuetMarks marks;
    DuetRuntime *runtime;
    DuetStarted started;
    struct _DuetCgroup *cgroup;
    guint sessions;
    gboolean idle; /* session 0 sleeps, scripts are execs */
} Box;

#define BOX_ID_BASE 1879048192u

Box *box_new(const DuetDriverOps *driver);
/** box_layer: adds a layer on top. Returns: (transfer full): its directory. */
char *box_layer(Box *box);
/** box_write: makes a file with parents. */
void box_write(const char *dir, const char *path, const char *text, int mode);
/** box_start: Returns: %FALSE with @error, and checks that nothing was left then. */
gboolean box_start(Box *box, GError **error);
/** box_started: the same; must succeed. */
void box_started(Box *box);
/** box_sh: runs @script as root. Returns: (transfer full): its output; @out_code may be NULL. */
char *box_sh(Box *box, const char *script, int *out_code);
/** box_expect: the script must print @output and end well. */
void box_expect(Box *box, const char *script, const char *output);
/** box_stop: ends it and checks that nothing but the writable layer is left. */
void box_stop(Box *box);
void box_free(Box *box);
