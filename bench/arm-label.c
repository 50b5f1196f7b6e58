/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arm-label.h"

#include "text.h"

/* The least that a table leaves of a name: two of them, and what is between, fit a row's head. */
#define LEAST_COLUMNS 10

static char *cut(const char *text, gsize width)
{
    GString *out = g_string_new(NULL);

    duet_text_append_padded(out, text, width);
    return g_string_free(out, FALSE);
}

static char *name_of(const DuetRun *run, guint arm)
{
    return duet_text_line(duet_run_arm(run, arm)->name);
}

/* As commands that begin alike. */
static gboolean look_alike(const DuetRun *run)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint arm = 0; arm < run->arms->len; arm++) {
        g_autofree char *name = name_of(run, arm);
        if (!g_hash_table_add(seen, cut(name, LEAST_COLUMNS)))
            return TRUE;
    }
    return FALSE;
}

/* "A" to "Z", "A1" to "Z1", ... */
static char *letter(guint arm)
{
    char number[12] = "";

    if (arm >= 26)
        g_snprintf(number, sizeof number, "%u", arm / 26);
    return g_strdup_printf("%c%s", 'A' + arm % 26, number);
}

char *duet_arm_label(const DuetRun *run, guint arm)
{
    return look_alike(run) ? letter(arm) : name_of(run, arm);
}

void duet_arm_label_legend(GString *out, const DuetRun *run)
{
    if (!look_alike(run))
        return;
    g_string_append_c(out, '\n');
    for (guint arm = 0; arm < run->arms->len; arm++) {
        g_autofree char *label = letter(arm), *name = name_of(run, arm);
        g_autofree char *first = g_strconcat(label, " = ", NULL);
        duet_text_append_wrapped(out, first, "    ", name);
    }
}

void duet_arm_label_fit(char **a, char **b, gsize width)
{
    gsize of_a = duet_text_width(*a), of_b = duet_text_width(*b);

    if (of_a + of_b <= width)
        return;
    of_a = MIN(of_a, MAX(width / 2, width - MIN(of_b, width)));
    char *shorter = cut(*a, of_a), *other = cut(*b, width - of_a);
    g_free(*a);
    g_free(*b);
    *a = shorter;
    *b = other;
}
