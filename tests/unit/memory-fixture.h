/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs of `bench memory` on kinds that are made up. */
#pragma once

#include "bench/memory/memory-sampler.h"
#include "run-fixture.h"

#define MIB ((guint64)1 << 20)

#define MEMORY_FIXTURE_COUNTS 5
extern const guint memory_fixture_counts[MEMORY_FIXTURE_COUNTS];

/* A made-up kind: what one instance is, and what the first one brings for all. */
typedef struct {
    const char *kind;
    const char *accel;
    guint64 guest, anon, kernel, managing; /* of each */
    guint64 file; /* shared by all: each has its share of it in PSS */
    guint64 cache; /* charged to each cgroup, mapped by nobody */
    guint64 host_extra; /* of each, that nobody accounts for */
    guint fail_count; /* with so many at a time the last does not start; 0: never */
} MemoryKind;

typedef struct {
    const MemoryKind *kinds;
    guint interrupt_at;
    guint taken;
    gboolean ksm; /* merges half of each guest but one */
    guint64 freed; /* of each guest when it is shrunk, but with 8 at a time; 0: it is not */
} MemoryLab;

MemoryKind memory_fixture_vm(void);
MemoryKind memory_fixture_container(void);
DuetRun *memory_fixture_run(MemoryLab *lab, guint n_arms, guint rounds);
