/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `--help` prints, within the columns of a terminal. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS 80

/* Where the description begins in "  -o, --output=FILE     description"; 0: it has none. */
static gsize description_at(const char *line)
{
    const char *gap = line[0] == ' ' ? strstr(line + strspn(line, " "), "  ") : NULL;

    return gap ? (gsize)(gap - line) + strspn(gap, " ") : 0;
}

char *duet_help_wrap(const char *text)
{
    GString *out = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        gsize column = description_at(*line);
        g_auto(GStrv) words = g_strsplit(*line + column, " ", -1);
        gsize used = column;

        g_string_append_len(out, *line, column);
        for (char **word = words; *word; word++) {
            if (word != words && used + 1 + strlen(*word) > COLUMNS) {
                g_string_append_printf(out, "\n%*s", (int)column, "");
                used = column;
            } else if (word != words) {
                g_string_append_c(out, ' ');
                used++;
            }
            g_string_append(out, *word);
            used += strlen(*word);
        }
        if (line[1])
            g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}

void duet_help_print_below(const DuetCommand *table)
{
    printf("\nCommands:\n");
    for (const DuetCommand *row = table; row->name; row++)
        printf("  %s %s\n      %s\n", row->name, row->arguments, row->summary);
}
