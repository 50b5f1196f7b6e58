/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/fields.h"
#include "core/attributes.h"

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

void duet_fields_add_window(GByteArray *fields, guint32 window)
{
    guint8 word[4];
    duet_put_u32(word, window);
    if (window)
        duet_fields_add(fields, DUET_FIELD_WINDOW, word, sizeof word);
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

static void add_mount(GByteArray *fields, const char *tag, const char *target, const char *options)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_len(text, tag, (gssize)strlen(tag) + 1);
    g_string_append_len(text, target, (gssize)strlen(target) + 1);
    g_string_append(text, options);
    duet_fields_add(fields, DUET_FIELD_MOUNT, text->str, text->len);
}

static void add_tmpfs(GByteArray *fields, const DuetTmpfs *tmpfs)
{
    g_autofree char *options =
        g_strdup_printf("tmpfs%s%s%s%s", tmpfs->readonly ? ",ro" : "", tmpfs->exec ? "" : ",noexec",
            tmpfs->options ? "," : "", tmpfs->options ? tmpfs->options : "");
    add_mount(fields, "tmpfs", tmpfs->target, options);
}

static void add_mounts(GByteArray *fields, const DuetSpec *spec)
{
    g_autoptr(GArray) volumes = duet_spec_volumes(spec);
    for (guint i = 0; i < volumes->len; i++) {
        const DuetVolume *volume = &g_array_index(volumes, DuetVolume, i);
        if (volume->tmpfs) {
            add_tmpfs(fields, volume->tmpfs);
            continue;
        }
        g_autofree char *tag = duet_vm_mount_tag(volume->index);
        add_mount(fields, tag, volume->target, duet_vm_mount_options(volume->mount));
    }
}

static void add_number(GByteArray *fields, guint8 tag, guint64 value)
{
    guint8 number[8];
    duet_put_u64(number, value);
    duet_fields_add(fields, tag, number, sizeof number);
}

void duet_fields_add_groups(GByteArray *fields, char *const *groups)
{
    for (; groups && *groups; groups++)
        duet_fields_add_text(fields, DUET_FIELD_GROUP, *groups);
}

static void add_ulimits(GByteArray *fields, const DuetSpec *spec)
{
    for (char **text = spec->ulimits; text && *text; text++) {
        guint8 bytes[20];
        DuetUlimit limit;
        if (!duet_ulimit_parse(*text, &limit, NULL))
            continue; /* "host": what the agent has inherited */
        duet_put_u32(bytes, (guint32)limit.resource);
        duet_put_u64(bytes + 4, limit.soft);
        duet_put_u64(bytes + 12, limit.hard);
        duet_fields_add(fields, DUET_FIELD_ULIMIT, bytes, sizeof bytes);
    }
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
    add_ulimits(fields, spec);
    if (spec->kind != DUET_KIND_VM)
        return fields;
    if (spec->pids_limit)
        add_number(fields, DUET_FIELD_PIDS_LIMIT, spec->pids_limit);
    if (spec->shm_bytes)
        add_number(fields, DUET_FIELD_SHM_BYTES, spec->shm_bytes);
    for (char **sysctl = spec->sysctls; sysctl && *sysctl; sysctl++)
        duet_fields_add_text(fields, DUET_FIELD_SYSCTL, *sysctl);
    add_mounts(fields, spec);
    if (spec->readonly)
        duet_fields_add(fields, DUET_FIELD_READONLY, NULL, 0);
    return fields;
}

gboolean duet_spawn_is_copy(const guint8 *payload, gsize length)
{
    const guint8 *bytes;
    guint32 bytes_length, flags = 0;
    gsize cursor = 0;
    guint8 tag;
    while (duet_field_next(payload, length, &cursor, &tag, &bytes, &bytes_length) > 0)
        if (tag == DUET_FIELD_FLAGS && bytes_length == 4)
            flags = duet_get_u32(bytes);
    return flags & (DUET_SPAWN_PACK | DUET_SPAWN_UNPACK);
}

GByteArray *duet_payload_fields(const DuetSpec *spec)
{
    static const char *const no_words[] = { NULL };
    const char *const *argv = spec->idle ? no_words : (const char *const *)spec->argv;
    GByteArray *fields =
        duet_spawn_fields(argv, (const char *const *)spec->env, spec->cwd, spec->user,
            (spec->open_stdin ? DUET_SPAWN_STDIN : 0u) | (spec->idle ? DUET_SPAWN_IDLE : 0u) |
                (spec->tty ? DUET_SPAWN_TTY : 0u));
    duet_fields_add_groups(fields, spec->groups);
    return fields;
}
