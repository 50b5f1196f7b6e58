/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/fields.h"

#include <duet/protocol.h>

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
