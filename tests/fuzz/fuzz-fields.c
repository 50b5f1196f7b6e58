/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The fields of SPAWN: the walk over them, and the agent's command line made of them. */

#include "vmm/guest/agent.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const uint8_t *data, size_t size)
{
    size_t cursor = 0, before = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;

    while (duet_field_next(data, size, &cursor, &tag, &bytes, &length) > 0) {
        if (cursor <= before || cursor > size || bytes < data || bytes + length > data + size)
            abort();
        before = cursor;
    }
}

static void parse(const uint8_t *data, size_t size)
{
    struct duet_frame frame = {
        .type = DUET_FRAME_SPAWN,
        .length = (uint32_t)size,
        .payload = data,
    };
    struct agent_spawn spawn = { 0 };
    struct agent_text error = { 0 };
    size_t total = 0;

    if (!agent_spawn_parse(&frame, &spawn, &error)) {
        if (error.length == 0 || spawn.arena)
            abort();
        return;
    }
    for (size_t i = 0; i < spawn.argc; i++)
        total += strlen(spawn.argv[i]) + 1;
    for (size_t i = 0; i < spawn.envc; i++)
        total += strlen(spawn.envp[i]) + 1;
    for (size_t i = 0; spawn.groups[i]; i++)
        total += strlen(spawn.groups[i]) + 1;
    if (total > size || spawn.argv[spawn.argc] || spawn.envp[spawn.envc])
        abort();
    for (size_t i = 0; i <= AGENT_ENV_SPARE; i++)
        spawn.envp[spawn.envc + i] = NULL; /* ASan: the room that was promised */
    agent_spawn_clear(&spawn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > DUET_FRAME_MAX_SPAWN_BYTES)
        return 0;
    walk(data, size);
    parse(data, size);
    return 0;
}
