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

/* A MOUNT field and where it goes. */
typedef struct {
    guint depth;
    char *bytes;
    gsize length;
} MountField;

static void mount_field_clear(gpointer data)
{
    g_free(((MountField *)data)->bytes);
}

static void collect(GArray *mounts, const char *tag, const char *target, const char *options)
{
    GString *text = g_string_new(NULL);
    g_string_append_len(text, tag, (gssize)strlen(tag) + 1);
    g_string_append_len(text, target, (gssize)strlen(target) + 1);
    g_string_append(text, options);
    MountField field = { .depth = duet_path_depth(target), .length = text->len };
    field.bytes = g_string_free(text, FALSE);
    guint at = mounts->len;
    while (at > 0 && g_array_index(mounts, MountField, at - 1).depth > field.depth)
        at--;
    g_array_insert_val(mounts, at, field);
}

/* Parents come before what lies below them. */
static void add_mounts(GByteArray *fields, const DuetSpec *spec)
{
    g_autoptr(GArray) mounts = g_array_new(FALSE, FALSE, sizeof(MountField));
    g_array_set_clear_func(mounts, mount_field_clear);
    for (guint i = 0; i < spec->mounts->len; i++) {
        const DuetMount *mount = spec->mounts->pdata[i];
        g_autofree char *tag = duet_vm_mount_tag(i);
        collect(mounts, tag, mount->target, duet_vm_mount_options(mount));
    }
    for (guint i = 0; i < spec->tmpfs->len; i++) {
        const DuetTmpfs *tmpfs = spec->tmpfs->pdata[i];
        g_autofree char *options = g_strdup_printf("tmpfs%s%s%s%s", tmpfs->readonly ? ",ro" : "",
            tmpfs->exec ? "" : ",noexec", tmpfs->options ? "," : "",
            tmpfs->options ? tmpfs->options : "");
        collect(mounts, "tmpfs", tmpfs->target, options);
    }
    for (guint i = 0; i < mounts->len; i++) {
        const MountField *field = &g_array_index(mounts, MountField, i);
        duet_fields_add(fields, DUET_FIELD_MOUNT, field->bytes, field->length);
    }
}

static void add_number(GByteArray *fields, guint8 tag, guint64 value)
{
    guint8 number[8];
    duet_put_u64(number, value);
    duet_fields_add(fields, tag, number, sizeof number);
}

/* Whether the agent has capabilities that a payload must not have. */
static gboolean agent_has_more(const DuetSpec *spec)
{
    if (spec->kind == DUET_KIND_VM)
        return spec->capabilities != DUET_CAPABILITIES_OF_KIND;
    return spec->kind == DUET_KIND_CONTAINER &&
        (DUET_CAPABILITIES_AGENT & ~duet_spec_capabilities(spec)) != 0;
}

GByteArray *duet_config_fields(const DuetSpec *spec)
{
    GByteArray *fields = g_byte_array_new();
    duet_fields_add_text(fields, DUET_FIELD_HOSTNAME, spec->hostname);
    if (agent_has_more(spec))
        add_number(fields, DUET_FIELD_CAPABILITIES, duet_spec_capabilities(spec));
    if (spec->kind != DUET_KIND_VM)
        return fields;
    if (spec->pids_limit)
        add_number(fields, DUET_FIELD_PIDS_LIMIT, spec->pids_limit);
    add_mounts(fields, spec);
    if (spec->readonly)
        duet_fields_add(fields, DUET_FIELD_READONLY, NULL, 0);
    return fields;
}

GByteArray *duet_payload_fields(const DuetSpec *spec)
{
    static const char *const no_words[] = { NULL };
    const char *const *argv = spec->idle ? no_words : (const char *const *)spec->argv;
    return duet_spawn_fields(argv, (const char *const *)spec->env, spec->cwd, spec->user,
        (spec->open_stdin ? DUET_SPAWN_STDIN : 0u) | (spec->idle ? DUET_SPAWN_IDLE : 0u));
}
