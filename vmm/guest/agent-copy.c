/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation: `duet cp`, inside of the instance. A child of the agent packs or unpacks
 * there what the host's half unpacks or packs here. It is in the instance's own namespaces, with
 * its root directory and its payload's capabilities, and loads nothing of its files: whatever links
 * a payload puts in its way, or changes meanwhile, lead to files of the instance. What a payload
 * could gain is what root may do in there anyway.
 */

#include "agent.h"

#include <duet/copy-stream.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a kind that may come without end. */
#define WARNINGS_MAX 8

static void tell(const char *kind, const char *what, const char *path, int error)
{
    struct agent_text text = { 0 };

    agent_text_add(&text, kind, NULL);
    agent_text_fail(&text, what, path, error);
    /* With its NUL. Nobody may be there to hear it. */
    if (write(STDERR_FILENO, text.bytes, text.length + 1) < 0)
        return;
}

static void on_warning(struct duet_copy *copy, const char *what, const char *path)
{
    unsigned *count = copy->data;

    if (*count < WARNINGS_MAX)
        tell("w", what, path, 0);
    else if (*count == WARNINGS_MAX)
        tell("w", "more is left out of", "it", 0);
    ++*count;
}

void agent_copy(const struct agent_spawn *spawn, const struct agent_user *user)
{
    unsigned warnings = 0;
    bool pack = spawn->flags & DUET_SPAWN_PACK, ok;
    struct duet_copy copy;

    memset(&copy, 0, offsetof(struct duet_copy, buffer));
    copy.fd = pack ? STDOUT_FILENO : STDIN_FILENO;
    copy.options = spawn->copy_options;
    copy.uid = user->uid;
    copy.gid = user->gid;
    copy.warn = on_warning;
    copy.data = &warnings;
    umask(0);
    ok = pack ? duet_copy_pack(&copy, spawn->argv[0])
              : duet_copy_unpack(&copy, spawn->argv[0], spawn->argv[1]);
    if (!ok && !copy.cut)
        tell("e", copy.what, copy.path, copy.error);
    _exit(ok ? 0 : copy.cut ? 2 : 1);
}
