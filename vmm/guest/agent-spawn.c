/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Takes a SPAWN frame apart: counts first, then copies all strings into one piece of memory. */

#include "agent.h"

#include <stdlib.h>
#include <string.h>

/* Where a field of four bytes belongs; NULL: it is none. */
static uint32_t *spawn_number(struct agent_spawn *spawn, uint8_t tag)
{
    return tag == DUET_FIELD_FLAGS ? &spawn->flags
        : tag == DUET_FIELD_COPY   ? &spawn->copy_options
        : tag == DUET_FIELD_WINDOW ? &spawn->window
                                   : NULL;
}

struct spawn_counts {
    size_t args, env, groups;
};

/* Refuses what can't be a C string, counts arguments, variables and groups. */
static bool spawn_count(const struct duet_frame *frame, struct agent_spawn *spawn,
    struct spawn_counts *counts, struct agent_text *error)
{
    size_t cursor = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;
    int more;

    while ((more = duet_field_next(frame->payload, frame->length, &cursor, &tag, &bytes, &length)) >
        0) {
        bool text = tag == DUET_FIELD_ARG || tag == DUET_FIELD_ENV || tag == DUET_FIELD_CWD ||
            tag == DUET_FIELD_USER || tag == DUET_FIELD_GROUP;

        if (text && memchr(bytes, '\0', length)) {
            agent_text_add(error, "an argument or variable has a NUL byte in it", NULL);
            return false;
        }
        counts->args += tag == DUET_FIELD_ARG;
        counts->env += tag == DUET_FIELD_ENV;
        counts->groups += tag == DUET_FIELD_GROUP;
        if (spawn_number(spawn, tag) && length != 4)
            more = -1;
        if (more < 0)
            break;
    }
    if (more < 0)
        agent_text_add(error, "the request to start a program is malformed", NULL);
    return more == 0;
}

bool agent_spawn_parse(
    const struct duet_frame *frame, struct agent_spawn *out_spawn, struct agent_text *error)
{
    size_t pointers, cursor = 0, groups = 0;
    struct spawn_counts counts = { 0 };
    struct agent_spawn spawn = { 0 };
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;
    char *at;

    if (!spawn_count(frame, &spawn, &counts, error))
        return false;
    pointers = counts.args + 1 + counts.env + AGENT_ENV_SPARE + 1 + counts.groups + 1;
    /* A field's header is longer than the NUL that its string gets. */
    spawn.arena = malloc(pointers * sizeof(char *) + frame->length + 1);
    if (!spawn.arena) {
        agent_text_add(error, "out of memory for the command line", NULL);
        return false;
    }
    spawn.argv = spawn.arena;
    spawn.envp = spawn.argv + counts.args + 1;
    spawn.groups = spawn.envp + counts.env + AGENT_ENV_SPARE + 1;
    at = (char *)(spawn.argv + pointers);
    while (duet_field_next(frame->payload, frame->length, &cursor, &tag, &bytes, &length) > 0) {
        if (spawn_number(&spawn, tag)) {
            *spawn_number(&spawn, tag) = duet_get_u32(bytes);
            continue;
        }
        if (tag == DUET_FIELD_ARG)
            spawn.argv[spawn.argc++] = at;
        else if (tag == DUET_FIELD_ENV)
            spawn.envp[spawn.envc++] = at;
        else if (tag == DUET_FIELD_CWD)
            spawn.cwd = at;
        else if (tag == DUET_FIELD_USER)
            spawn.user = at;
        else if (tag == DUET_FIELD_GROUP)
            spawn.groups[groups++] = at;
        else
            continue;
        memcpy(at, bytes, length);
        at[length] = '\0';
        at += length + 1;
    }
    spawn.argv[counts.args] = NULL;
    spawn.envp[counts.env] = NULL;
    spawn.groups[groups] = NULL;
    *out_spawn = spawn;
    if (counts.args > 0 ||
        spawn.flags & (DUET_SPAWN_IDLE | DUET_SPAWN_MEMINFO | DUET_SPAWN_PROCESSES))
        return true;
    agent_spawn_clear(out_spawn);
    agent_text_add(error, "no command was given", NULL);
    return false;
}

void agent_spawn_clear(struct agent_spawn *spawn)
{
    free(spawn->arena);
    *spawn = (struct agent_spawn){ 0 };
}
