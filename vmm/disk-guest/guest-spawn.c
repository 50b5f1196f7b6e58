/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-spawn.h"

void duet_guest_spawn_read(DuetGuestSpawn *out_spawn, const struct duet_frame *frame)
{
    g_autoptr(GStrvBuilder) argv = g_strv_builder_new();
    g_autoptr(GStrvBuilder) env = g_strv_builder_new();
    size_t cursor = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;
    *out_spawn = (DuetGuestSpawn){ 0 };
    while (duet_field_next(frame->payload, frame->length, &cursor, &tag, &bytes, &length) > 0) {
        g_autofree char *text = g_strndup((const char *)bytes, length);
        if (tag == DUET_FIELD_ARG)
            g_strv_builder_add(argv, text);
        else if (tag == DUET_FIELD_ENV)
            g_strv_builder_add(env, text);
        else if (tag == DUET_FIELD_USER || tag == DUET_FIELD_GROUP)
            out_spawn->has_user = TRUE;
        else if (tag == DUET_FIELD_FLAGS && length == 4)
            out_spawn->flags = duet_get_u32(bytes);
        else if (tag == DUET_FIELD_COPY && length == 4)
            out_spawn->copy_options = duet_get_u32(bytes);
        else if (tag == DUET_FIELD_CWD && !out_spawn->cwd && !g_str_equal(text, "/"))
            out_spawn->cwd = g_steal_pointer(&text);
    }
    if (out_spawn->flags & DUET_SPAWN_MEMINFO)
        g_strv_builder_add_many(argv, "cat", "/proc/meminfo", NULL);
    out_spawn->argv = g_strv_builder_end(argv);
    out_spawn->env = g_strv_builder_end(env);
}

void duet_guest_spawn_clear(DuetGuestSpawn *spawn)
{
    g_strfreev(spawn->argv);
    g_strfreev(spawn->env);
    g_free(spawn->cwd);
}

char *duet_guest_spawn_refusal(const DuetGuestSpawn *spawn, gboolean agent_is_there)
{
    if (!agent_is_there)
        return g_strdup("no guest agent answers in it: it is not up yet, or the disk has none "
                        "(package qemu-guest-agent); `duet console` needs none");
    if (spawn->flags & DUET_SPAWN_TTY)
        return g_strdup(
            "the guest agent of a disk has no terminals: leave out -t, or use `duet console`");
    if (spawn->has_user)
        return g_strdup("the guest agent of a disk runs all as root: leave out --user, and let the "
                        "command be `runuser -u USER -- COMMAND`");
    if (spawn->flags & DUET_SPAWN_CONNECT)
        return g_strdup("the guest agent of a disk tries no ports: use a command that does");
    guint words = g_strv_length(spawn->argv);
    if ((spawn->flags & DUET_SPAWN_UNPACK && words != 2) ||
        (spawn->flags & DUET_SPAWN_PACK && words != 1))
        return g_strdup("the request to copy is malformed");
    if (!words && !(spawn->flags & DUET_SPAWN_PROCESSES))
        return g_strdup("a disk runs nothing without a command");
    return NULL;
}
