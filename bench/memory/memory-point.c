/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-point.h"

#define INSTANCES_MAX 10000

#define FIELD(member)                                                                              \
    {                                                                                              \
#member, G_STRUCT_OFFSET(DuetMemory, member)                                               \
    }
static const DuetMemoryField fields[] = {
    FIELD(payload_pss_bytes),
    FIELD(managing_pss_bytes),
    FIELD(guest_ram_pss_bytes),
    FIELD(anon_pss_bytes),
    FIELD(file_pss_bytes),
    FIELD(shmem_pss_bytes),
    FIELD(helpers_pss_bytes),
    FIELD(managing_file_pss_bytes),
    FIELD(page_table_bytes),
    FIELD(cgroup_bytes),
    FIELD(cgroup_anon_bytes),
    FIELD(cgroup_file_bytes),
    FIELD(cgroup_kernel_bytes),
    FIELD(cgroup_shmem_bytes),
    FIELD(managing_cgroup_bytes),
    FIELD(managing_cgroup_anon_bytes),
    FIELD(managing_cgroup_file_bytes),
    FIELD(managing_cgroup_kernel_bytes),
    FIELD(managing_cgroup_shmem_bytes),
    { NULL, 0 },
};
#undef FIELD

const DuetMemoryField *duet_memory_fields(void)
{
    return fields;
}

void duet_memory_set_members(JsonObject *object, const DuetMemory *memory)
{
    for (const DuetMemoryField *field = fields; field->json; field++)
        json_object_set_int_member(
            object, field->json, G_STRUCT_MEMBER(guint64, memory, field->offset));
    json_object_set_boolean_member(object, "guest_ram_shared", memory->guest_ram_shared);
}

DuetMemoryPoint *duet_memory_point_new(guint count)
{
    DuetMemoryPoint *point = g_new0(DuetMemoryPoint, 1);

    point->count = count;
    point->instances = g_array_new(FALSE, FALSE, sizeof(DuetInstanceMemory));
    return point;
}

void duet_memory_point_free(DuetMemoryPoint *point)
{
    if (!point)
        return;
    duet_memory_point_free(point->shrunk);
    g_array_unref(point->instances);
    g_free(point);
}

JsonObject *duet_host_memory_to_json(const DuetHostMemory *memory)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "monotonic_ns", memory->at_ns);
    for (const DuetHostField *field = duet_host_fields(); field->json; field++)
        json_object_set_int_member(
            object, field->json, G_STRUCT_MEMBER(guint64, memory, field->offset));
    return object;
}

DuetHostMemory duet_host_memory_from_json(DuetJsonReader *reader, JsonObject *object)
{
    DuetHostMemory memory = {
        .at_ns = duet_json_get_int(reader, object, "monotonic_ns", 0, G_MAXINT64, 0),
    };

    for (const DuetHostField *field = duet_host_fields(); field->json; field++)
        G_STRUCT_MEMBER(guint64, &memory, field->offset) =
            duet_json_get_int(reader, object, field->json, 0, G_MAXINT64, 0);
    return memory;
}

/* What was read at one time: of the host, and of each instance. */
static void set_reading(JsonObject *object, const DuetMemoryPoint *point)
{
    JsonArray *instances = json_array_new();

    json_object_set_object_member(object, "host", duet_host_memory_to_json(&point->host));
    for (guint i = 0; i < point->instances->len; i++) {
        const DuetInstanceMemory *one = &g_array_index(point->instances, DuetInstanceMemory, i);
        JsonObject *instance = json_object_new();
        json_object_set_int_member(instance, "age_ns", one->age_ns);
        if (one->shrink_ns > 0)
            json_object_set_int_member(instance, "shrink_ns", one->shrink_ns);
        duet_memory_set_members(instance, &one->memory);
        if (one->guest.at_ns > 0)
            json_object_set_object_member(instance, "guest", duet_host_memory_to_json(&one->guest));
        json_array_add_object_element(instances, instance);
    }
    json_object_set_array_member(object, "instances", instances);
}

JsonObject *duet_memory_point_to_json(const DuetMemoryPoint *point)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "count", point->count);
    json_object_set_int_member(object, "started", point->started);
    if (point->no_room)
        json_object_set_boolean_member(object, "no_room", TRUE);
    json_object_set_object_member(object, "host_before", duet_host_memory_to_json(&point->before));
    set_reading(object, point);
    if (point->shrunk) {
        JsonObject *shrunk = json_object_new();
        set_reading(shrunk, point->shrunk);
        json_object_set_object_member(object, "shrunk", shrunk);
    }
    if (point->ksm.after.at_ns > 0)
        json_object_set_object_member(object, "ksm", duet_ksm_outcome_to_json(&point->ksm));
    return object;
}

static DuetInstanceMemory read_instance(DuetJsonReader *reader, JsonNode *node)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    DuetInstanceMemory one = {
        .age_ns = duet_json_get_int(reader, object, "age_ns", 0, G_MAXINT64, 0),
        .shrink_ns = duet_json_get_int(reader, object, "shrink_ns", 0, G_MAXINT64, 0),
    };

    if (!object)
        duet_json_complain(reader, "'instances' holds something that is not an object");
    for (const DuetMemoryField *field = fields; field->json; field++)
        G_STRUCT_MEMBER(guint64, &one.memory, field->offset) =
            duet_json_get_int(reader, object, field->json, 0, G_MAXINT64, 0);
    if (object && duet_json_member(object, "guest"))
        one.guest =
            duet_host_memory_from_json(reader, duet_json_get_object(reader, object, "guest"));
    one.memory.guest_ram_shared = duet_json_get_boolean(reader, object, "guest_ram_shared");
    return one;
}

static void read_reading(DuetJsonReader *reader, JsonObject *object, DuetMemoryPoint *point)
{
    JsonArray *instances = duet_json_get_array(reader, object, "instances", INSTANCES_MAX);

    point->host = duet_host_memory_from_json(reader, duet_json_get_object(reader, object, "host"));
    for (guint i = 0; instances && i < json_array_get_length(instances); i++) {
        DuetInstanceMemory one = read_instance(reader, json_array_get_element(instances, i));
        g_array_append_val(point->instances, one);
    }
}

DuetMemoryPoint *duet_memory_point_from_json(DuetJsonReader *reader, JsonObject *object)
{
    DuetMemoryPoint *point =
        duet_memory_point_new(duet_json_get_int(reader, object, "count", 0, INSTANCES_MAX, 0));

    point->started = duet_json_get_int(reader, object, "started", 0, INSTANCES_MAX, 0);
    point->no_room = duet_json_get_boolean(reader, object, "no_room");
    point->before =
        duet_host_memory_from_json(reader, duet_json_get_object(reader, object, "host_before"));
    read_reading(reader, object, point);
    if (object && duet_json_member(object, "shrunk")) {
        point->shrunk = duet_memory_point_new(point->count);
        point->shrunk->before = point->before;
        read_reading(reader, duet_json_get_object(reader, object, "shrunk"), point->shrunk);
    }
    if (object && duet_json_member(object, "ksm"))
        point->ksm =
            duet_ksm_outcome_from_json(reader, duet_json_get_object(reader, object, "ksm"));
    return point;
}
