/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keys that leave an instance running: their names, and finding them in what is typed. */
#include "core/detach.h"

#include <duet/error.h>

#include <string.h>

/* Docker's names. Returns: the byte, or -1. */
static int key_byte(const char *name)
{
    if (strlen(name) == 1)
        return (guint8)name[0];
    if (g_ascii_strcasecmp(name, "del") == 0)
        return 127;
    if (!g_str_has_prefix(name, "ctrl-") || strlen(name) != strlen("ctrl-") + 1)
        return -1;
    char letter = name[strlen("ctrl-")];
    return g_ascii_islower(letter)  ? letter - 'a' + 1
        : strchr("@[\\]^_", letter) ? letter - '@'
                                    : -1;
}

gboolean duet_keys_from_string(const char *text, DuetKeys *out_keys, GError **error)
{
    DuetKeys keys = { 0 };
    g_auto(GStrv) names = g_strsplit(text, ",", -1);
    for (char **name = names; *name; name++) {
        int byte = key_byte(*name);
        if (byte < 0 || keys.length == G_N_ELEMENTS(keys.bytes)) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "'%s' are no detach keys: use letters, or ctrl- and one of a-z @ [ \\ ] ^ _, with "
                "commas between them, %u at most, such as ctrl-p,ctrl-q; '' for none",
                text, (guint)G_N_ELEMENTS(keys.bytes));
            return FALSE;
        }
        keys.bytes[keys.length++] = (guint8)byte;
    }
    *out_keys = keys;
    return TRUE;
}

/* With @matched keys typed and then @byte, which is not the next: how many are typed now. */
static guint fall_back(const DuetKeys *keys, guint matched, guint8 byte)
{
    guint8 typed[G_N_ELEMENTS(keys->bytes) + 1];
    memcpy(typed, keys->bytes, matched);
    typed[matched] = byte;
    for (guint n = matched; n > 0; n--)
        if (memcmp(typed + matched + 1 - n, keys->bytes, n) == 0)
            return n;
    return 0;
}

gboolean duet_detach_filter(DuetDetach *detach, const guint8 *typed, gsize length, GByteArray *out)
{
    const DuetKeys *keys = detach->keys;
    if (!keys || keys->length == 0) {
        g_byte_array_append(out, typed, (guint)length);
        return FALSE;
    }
    for (gsize i = 0; i < length; i++) {
        guint before = detach->matched;
        detach->matched =
            typed[i] == keys->bytes[before] ? before + 1 : fall_back(keys, before, typed[i]);
        if (detach->matched == keys->length)
            return TRUE;
        /* What is no beginning of them any more: the first of those held back, or this one. */
        guint passed = before + 1 - detach->matched;
        g_byte_array_append(out, keys->bytes, MIN(passed, before));
        if (passed > before)
            g_byte_array_append(out, typed + i, 1);
    }
    return FALSE;
}

void duet_detach_flush(DuetDetach *detach, GByteArray *out)
{
    if (detach->matched > 0)
        g_byte_array_append(out, detach->keys->bytes, detach->matched);
    detach->matched = 0;
}
