/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which instances a verb is about, when it names none: `--filter`. */
#include "cli/cli.h"
#include "core/filter.h"

#include <duet/error.h>

#include <stdio.h>

/* An image that is gone, or never was, is told by its text alone. */
static char *digest_of(const char *ref, gpointer data)
{
    g_autoptr(DuetImage) image = duet_cli_image(data, ref, NULL);
    return image ? g_strdup(image->digest) : NULL;
}

gboolean duet_info_is_live(const DuetInfo *info)
{
    return info->state != DUET_STATE_CREATED && info->state != DUET_STATE_EXITED &&
        info->state != DUET_STATE_SAVED;
}

void duet_selection_clear(DuetSelection *selection)
{
    g_clear_pointer(&selection->instances, g_ptr_array_unref);
    g_clear_pointer(&selection->infos, g_ptr_array_unref);
}

gboolean duet_cli_select(
    DuetCli *cli, char *const *filters, gboolean all, DuetSelection *out_selection, GError **error)
{
    if (!duet_cli_context(cli, error))
        return FALSE;
    g_autoptr(DuetFilter) filter = duet_filter_new(filters, digest_of, cli, error);
    g_autoptr(GPtrArray) list = filter ? duet_instance_list(cli->context, error) : NULL;
    if (!list || !duet_filter_bind(filter, cli->context, list, error))
        return FALSE;
    g_auto(DuetSelection)
        selection = { g_ptr_array_new_with_free_func((GDestroyNotify)duet_instance_free),
            g_ptr_array_new_with_free_func((GDestroyNotify)duet_info_free) };
    all = all || duet_filter_wants_all(filter);
    for (guint i = 0; i < list->len; i++) {
        g_autoptr(DuetInfo) info = duet_instance_info(list->pdata[i], NULL);
        if (!info || (!all && !duet_info_is_live(info)) || !duet_filter_match(filter, info, i))
            continue;
        g_ptr_array_add(selection.infos, g_steal_pointer(&info));
        g_ptr_array_add(selection.instances, g_steal_pointer(&list->pdata[i]));
    }
    *out_selection = selection;
    selection = (DuetSelection){ NULL, NULL };
    return TRUE;
}

char **duet_cli_select_words(
    DuetCli *cli, char **words, char *const *filters, gboolean all, GError **error)
{
    g_auto(DuetSelection) selection = { NULL, NULL };
    if (words[1]) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "%s: --filter and the name '%s' contradict each other", words[0], words[1]);
        return NULL;
    }
    if (!duet_cli_select(cli, filters, all, &selection, error))
        return NULL;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_strv_builder_add(builder, words[0]);
    for (guint i = 0; i < selection.infos->len; i++) {
        const DuetInfo *info = selection.infos->pdata[i];
        g_strv_builder_add(builder, info->spec->name);
    }
    return g_strv_builder_end(builder);
}

int duet_cli_each(
    DuetCli *cli, int argc, char **argv, DuetCliAct act, gconstpointer data, DuetEachFlags flags)
{
    g_autoptr(GError) error = NULL;
    if (argc < 2)
        return duet_cli_usage(argv[0], "no instance given");
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    int code = 0;
    for (int i = 1; i < argc; i++) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, argv[i], &failure);
        if (!instance && (flags & DUET_EACH_MISSING_OK) &&
            g_error_matches(failure, DUET_ERROR, DUET_ERROR_NOT_FOUND))
            continue;
        if (!instance || !act(instance, data, &failure))
            code = duet_cli_fail(failure);
        else if (flags & DUET_EACH_NAMES)
            printf("%s\n", argv[i]);
    }
    return code;
}
