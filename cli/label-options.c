/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `--label` and `--label-file` of `run` and `create`. */
#include "cli/cli.h"

#include <duet/error.h>

#include <string.h>

/* They are a part of the spec, which every command reads. */
#define LABELS_MAX_BYTES (256u << 10)

void duet_cli_label_options(GArray *entries, DuetLabelOptions *options)
{
    const GOptionEntry rows[] = {
        { "label", 'l', 0, G_OPTION_ARG_FILENAME_ARRAY, &options->labels,
            "a word to find it by, with `ps --filter`; replaces the image's of the same key",
            "KEY[=VALUE]" },
        { "label-file", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->files,
            "labels from a file, one in a line; lines that begin with # are none", "FILE" },
    };
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
}

void duet_cli_label_options_clear(DuetLabelOptions *options)
{
    g_strfreev(options->labels);
    g_strfreev(options->files);
}

/* Of a key that comes twice the last value counts. */
gboolean duet_cli_set_label(char ***labels, const char *text, GError **error)
{
    const char *equals = strchr(text, '=');
    g_autofree char *key = equals ? g_strndup(text, (gsize)(equals - text)) : g_strdup(text);
    if (!*key)
        return duet_cli_invalid(error, "is no label: use KEY or KEY=VALUE", text);
    *labels = g_environ_setenv(*labels, key, equals ? equals + 1 : "", TRUE);
    return TRUE;
}

static gboolean read_labels(DuetSpec *spec, const char *path, GError **error)
{
    g_auto(GStrv) lines = duet_cli_lines("--label-file", path, LABELS_MAX_BYTES, error);
    for (char **line = lines; line && *line; line++)
        if (!duet_cli_set_label(&spec->labels, *line, error)) {
            g_prefix_error(error, "--label-file %s: ", path);
            return FALSE;
        }
    return lines != NULL;
}

gboolean duet_cli_apply_labels(DuetSpec *spec, const DuetLabelOptions *options, GError **error)
{
    gsize bytes = 0;
    for (char **file = options->files; file && *file; file++)
        if (!read_labels(spec, *file, error))
            return FALSE;
    for (char **label = options->labels; label && *label; label++)
        if (!duet_cli_set_label(&spec->labels, *label, error))
            return FALSE;
    for (char **label = spec->labels; label && *label; label++)
        bytes += strlen(*label);
    if (bytes > LABELS_MAX_BYTES)
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "the labels, those of the image '%s' among them, have %" G_GSIZE_FORMAT
            " bytes; at most %u can be kept",
            spec->image_ref, bytes, LABELS_MAX_BYTES);
    return bytes <= LABELS_MAX_BYTES;
}
