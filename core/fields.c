/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/fields.h"

#include <duet/protocol.h>
#include <duet/vm-limits.h>

#include <string.h>

void duet_fields_add(GByteArray *fields, guint8 tag, const void *bytes, gsize length)
{
    guint8 header[5] = { tag };
    duet_put_u32(header + 1, (guint32)length);
    g_byte_array_append(fields, header, sizeof header);
    g_byte_array_append(fields, bytes, (guint)length);
}

void duet_fields_add_text(GByteArray *fields, guint8 tag, const char *text)
{
    if (text)
        duet_fields_add(fields, tag, text, strlen(text));
}

GByteArray *duet_spawn_fields(const char *const *argv, const char *const *env, const char *cwd,
    const char *user, guint32 flags)
{
    GByteArray *fields = g_byte_array_new();
    for (; *argv; argv++)
        duet_fields_add_text(fields, DUET_FIELD_ARG, *argv);
    for (; *env; env++)
        duet_fields_add_text(fields, DUET_FIELD_ENV, *env);
    duet_fields_add_text(fields, DUET_FIELD_CWD, cwd);
    duet_fields_add_text(fields, DUET_FIELD_USER, user);
    guint8 word[4];
    duet_put_u32(word, flags);
    duet_fields_add(fields, DUET_FIELD_FLAGS, word, sizeof word);
    return fields;
}

static void add_mount(GByteArray *fields, const DuetMount *mount, guint index)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *tag = duet_vm_mount_tag(index);
    g_string_append_len(text, tag, (gssize)strlen(tag) + 1);
    g_string_append_len(text, mount->target, (gssize)strlen(mount->target) + 1);
    g_string_append(text, duet_vm_mount_options(mount));
    duet_fields_add(fields, DUET_FIELD_MOUNT, text->str, text->len);
}

GByteArray *duet_config_fields(const DuetSpec *spec)
{
    GByteArray *fields = g_byte_array_new();
    duet_fields_add_text(fields, DUET_FIELD_HOSTNAME, spec->hostname);
    if (spec->kind != DUET_KIND_VM)
        return fields;
    if (spec->pids_limit) {
        guint8 number[8];
        duet_put_u64(number, spec->pids_limit);
        duet_fields_add(fields, DUET_FIELD_PIDS_LIMIT, number, sizeof number);
    }
    for (guint i = 0; i < spec->mounts->len; i++)
        add_mount(fields, spec->mounts->pdata[i], i);
    return fields;
}

GByteArray *duet_payload_fields(const DuetSpec *spec)
{
    static const char *const no_words[] = { NULL };
    const char *const *argv = spec->idle ? no_words : (const char *const *)spec->argv;
    return duet_spawn_fields(argv, (const char *const *)spec->env, spec->cwd, spec->user,
        (spec->open_stdin ? DUET_SPAWN_STDIN : 0u) | (spec->idle ? DUET_SPAWN_IDLE : 0u));
}
