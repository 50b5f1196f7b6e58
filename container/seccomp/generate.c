/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * generate PROFILE FILTER-HEADER PROFILE-HEADER: what is known of the default profile when duet is
 * built: its text, and the kernel's filter of it for the default capabilities. To make that at each
 * start would cost as much as the whole rest of it.
 */
#include <duet/spec.h>

#include <stdio.h>
#include <stdlib.h>

#include "compile.h"

static void write_bytes(const char *path, const char *name, gconstpointer bytes, gsize length)
{
    g_autoptr(GString) text = g_string_new("/* Made by container/seccomp/generate.c. */\n");
    g_autoptr(GError) error = NULL;

    g_string_append_printf(
        text, "static const unsigned char %s[] __attribute__((aligned(8))) = {", name);
    for (gsize i = 0; i < length; i++)
        g_string_append_printf(text, "%s%u,", i % 20 == 0 ? "\n" : "", ((const guchar *)bytes)[i]);
    g_string_append(text, "\n};\n");
    if (!g_file_set_contents(path, text->str, (gssize)text->len, &error)) {
        fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    g_autofree char *profile = NULL;
    g_autoptr(GError) error = NULL;
    gsize length = 0;

    if (argc != 4 || !g_file_get_contents(argv[1], &profile, &length, &error)) {
        fprintf(stderr, "%s\n", error ? error->message : "usage: generate PROFILE HEADER HEADER");
        return 1;
    }
    g_autoptr(GBytes) filter =
        duet_seccomp_compile(profile, length, DUET_CAPABILITIES_DEFAULT, &error);
    if (!filter) {
        fprintf(stderr, "%s: %s\n", argv[1], error->message);
        return 1;
    }
    gsize size = 0;
    gconstpointer bytes = g_bytes_get_data(filter, &size);
    write_bytes(argv[2], "duet_seccomp_default_filter", bytes, size);
    write_bytes(argv[3], "duet_seccomp_default_profile", profile, length);
    return 0;
}
