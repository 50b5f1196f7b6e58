/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "run-fixture.h"

G_BEGIN_DECLS

/* A lab of made-up instances: no process is started, and its clock is its own. */
typedef struct {
    const char *name;
    const char *kind;
    const char *accel;
    gint64 output_ns;
    guint fail_every; /* each so-many-th good sample exits with 3; 0: none */
    guint timeout_every; /* the same, timed out */
    guint taken;
} LabArm;

typedef struct {
    LabArm *arms;
    const char *hypervisor; /* below the made-up host; NULL: it is bare metal */
    DuetRandom random;
    gint64 clock_ns;
    guint hopeless_after; /* from this sample on nothing can be run; 0: never */
    guint interrupt_at; /* the user stops the run in this sample; 0: never */
    guint taken;
} Lab;

/**
 * lab_run: a run of the lab's first @n_arms arms, by the true runner, after one discarded sample
 * of each.
 * Returns: (transfer full): or %NULL, @error set
 */
DuetRun *lab_run(Lab *lab, guint n_arms, guint n, GError **error);

/** lab_vm_tcg, lab_container, lab_native: Returns: an arm of usual times. */
LabArm lab_vm_tcg(void);
LabArm lab_container(void);
LabArm lab_native(void);

G_END_DECLS
