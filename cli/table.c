/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "core/text.h"

#include <stdio.h>
#include <string.h>

struct _DuetTable {
    GPtrArray *rows;
    guint columns;
    guint first;
};

DuetTable *duet_table_new(const char *const *titles)
{
    DuetTable *table = g_new0(DuetTable, 1);
    table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    table->columns = g_strv_length((char **)titles);
    duet_table_add(table, g_strdupv((char **)titles));
    return table;
}

void duet_table_hide_titles(DuetTable *table)
{
    table->first = 1;
}

void duet_table_add(DuetTable *table, char **cells)
{
    g_assert(g_strv_length(cells) == table->columns);
    for (char **cell = cells; *cell; cell++) {
        char *line = duet_text_line(*cell);
        g_free(*cell);
        *cell = line;
    }
    g_ptr_array_add(table->rows, cells);
}

void duet_table_print(DuetTable *table)
{
    g_autofree glong *widths = g_new0(glong, table->columns);
    for (guint r = table->first; r < table->rows->len; r++)
        for (guint c = 0; c < table->columns; c++) {
            char **cells = table->rows->pdata[r];
            widths[c] = MAX(widths[c], g_utf8_strlen(cells[c], -1));
        }
    for (guint r = table->first; r < table->rows->len; r++) {
        char **cells = table->rows->pdata[r];
        for (guint c = 0; c < table->columns; c++) {
            /* No blanks at the end of a line. */
            glong pad = c + 1 < table->columns ? widths[c] - g_utf8_strlen(cells[c], -1) + 2 : 0;
            printf("%s%*s", cells[c], (int)pad, "");
        }
        printf("\n");
    }
    g_ptr_array_unref(table->rows);
    g_free(table);
}
