/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

#include "bench/host/host-memory.h"
#include "bench/result/json.h"
#include "ksm.h"

G_BEGIN_DECLS

/** DuetMemoryField: one number of a #DuetMemory. @json: its name in result files. */
typedef struct {
    const char *json;
    gsize offset;
} DuetMemoryField;

/** duet_memory_fields: Returns: all of them, ended by a NULL name. */
const DuetMemoryField *duet_memory_fields(void);
/** duet_memory_set_members: adds all fields of @memory to @object. */
void duet_memory_set_members(JsonObject *object, const DuetMemory *memory);

/**
 * DuetInstanceMemory: one of the instances of a point.
 * @age_ns: since its `exec`
 * @shrink_ns: of a point's @shrunk: how long it took until the instance had let go
 * @guest: by the kernel inside, read after all else; at_ns of 0: not a VM, or it did not tell
 */
typedef struct {
    gint64 age_ns;
    gint64 shrink_ns;
    DuetMemory memory;
    DuetHostMemory guest;
} DuetInstanceMemory;

/**
 * DuetMemoryPoint: what one sample of `bench memory` holds.
 * @count: how many instances there were to be
 * @started: how many did start
 * @no_room: the host had none for one more: as many are not tried again in this arm
 * @before: the host with none of them, just before
 * @host: the host when all were read; not set (at_ns of 0) in a sample that failed
 * @instances: (element-type DuetInstanceMemory)
 * @ksm: what KSM did of them, where it was switched on for the run
 * @shrunk: (nullable): `--balloon`: the same, read again after each was given less memory; NULL:
 * not asked for, or not all took it
 */
typedef struct DuetMemoryPoint {
    guint count;
    guint started;
    gboolean no_room;
    DuetHostMemory before;
    DuetHostMemory host;
    GArray *instances;
    DuetKsmOutcome ksm;
    struct DuetMemoryPoint *shrunk;
} DuetMemoryPoint;

DuetMemoryPoint *duet_memory_point_new(guint count);
void duet_memory_point_free(DuetMemoryPoint *point);

/** duet_memory_point_to_json: Returns: (transfer full). */
JsonObject *duet_memory_point_to_json(const DuetMemoryPoint *point);
/** duet_memory_point_from_json: Returns: (transfer full): never NULL; see #DuetJsonReader. */
DuetMemoryPoint *duet_memory_point_from_json(DuetJsonReader *reader, JsonObject *object);

JsonObject *duet_host_memory_to_json(const DuetHostMemory *memory);
DuetHostMemory duet_host_memory_from_json(DuetJsonReader *reader, JsonObject *object);

G_END_DECLS
