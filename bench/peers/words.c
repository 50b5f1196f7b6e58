/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "words.h"

#include <string.h>

#include <duet/error.h>

#define MANY "argv..."

/* All there are; docs/peers.md says what they stand for. */
static const char *const known[] = { "name", "run", "dir", "image", "image-name", "docker-archive",
    "rootfs", "bundle", "accel", "qemu-accel", "domain-type", "qemu", "kernel", "kernel-cmdline",
    "initramfs", "root-disk", "agent-frames", "hostname", "memory-limit", "cpus-limit",
    "pids-limit", "memory-mib", "cpus", "command", "pool", MANY, NULL };

/* A placeholder is '{', lower-case letters, '-' and '.', '}': other braces are only braces, as in
 * "{{.Version}}". Returns: (transfer full) (nullable): the name of the one at @at. */
static char *placeholder_at(const char *at, gsize *out_length)
{
    gsize length = at[0] == '{' ? strspn(at + 1, "abcdefghijklmnopqrstuvwxyz-.") : 0;

    if (length == 0 || !g_ascii_islower(at[1]) || at[1 + length] != '}')
        return NULL;
    *out_length = length + 2;
    return g_strndup(at + 1, length);
}

gboolean duet_peer_words_check(const char *text, gboolean is_word, GError **error)
{
    for (const char *at = text; *at; at++) {
        gsize length;
        g_autofree char *name = placeholder_at(at, &length);
        if (!name)
            continue;
        gboolean many = g_str_equal(name, MANY);
        if (!g_strv_contains(known, name)) {
            g_autofree char *list = g_strjoinv("}, {", (char **)known);
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "'{%s}' is no placeholder; there are {%s}", name, list);
            return FALSE;
        }
        if (many && !(is_word && g_str_equal(text, "{" MANY "}"))) {
            g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
                "'{" MANY "}' must be a word of its own; use {command} for one text");
            return FALSE;
        }
    }
    return TRUE;
}

gboolean duet_peer_words_use(const char *text, const char *name)
{
    g_autofree char *braced = g_strdup_printf("{%s}", name);

    return strstr(text, braced) != NULL;
}

char *duet_peer_words_text(const char *text, const DuetPeerValues *values)
{
    GString *out = g_string_new(NULL);

    while (*text) {
        gsize length = 1;
        g_autofree char *name = placeholder_at(text, &length);
        const char *value = name ? g_hash_table_lookup(values->texts, name) : NULL;
        if (name)
            g_string_append(out, value ? value : "");
        else
            g_string_append_c(out, *text);
        text += length;
    }
    return g_string_free(out, FALSE);
}

/* "--memory={memory-limit}" without a limit is no word at all. */
static gboolean has_values(const char *word, const DuetPeerValues *values)
{
    for (; *word; word++) {
        gsize length;
        g_autofree char *name = placeholder_at(word, &length);
        if (name && !g_hash_table_contains(values->texts, name))
            return FALSE;
    }
    return TRUE;
}

char **duet_peer_words(char *const *command, const DuetPeerValues *values)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();

    for (; *command; command++) {
        if (g_str_equal(*command, "{" MANY "}")) {
            g_strv_builder_addv(words, (const char **)values->argv);
            continue;
        }
        if (!has_values(*command, values))
            continue;
        g_autofree char *word = duet_peer_words_text(*command, values);
        g_strv_builder_add(words, word);
    }
    return g_strv_builder_end(words);
}
