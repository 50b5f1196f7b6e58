/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/disk-list.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <string.h>

#define TARGET_FIRST 'c'

int duet_data_disk_index(const char *target)
{
    gboolean is = strlen(target) == 3 && g_str_has_prefix(target, "vd") &&
        target[2] >= TARGET_FIRST && target[2] < TARGET_FIRST + DUET_VM_DISKS_MAX;
    return is ? target[2] - TARGET_FIRST : -1;
}

char *duet_data_disk_target(int index)
{
    return g_strdup_printf("vd%c", TARGET_FIRST + index);
}

static int first_free(const gboolean *taken)
{
    int index = 0;
    while (index < DUET_VM_DISKS_MAX && taken[index])
        index++;
    return index < DUET_VM_DISKS_MAX ? index : -1;
}

static gboolean give_indexes(GPtrArray *disks, GError **error)
{
    gboolean taken[DUET_VM_DISKS_MAX] = { FALSE };
    for (guint i = 0; i < disks->len; i++) {
        const DuetDataDisk *disk = disks->pdata[i];
        if (disk->index >= 0 && taken[disk->index]) {
            g_autofree char *target = duet_data_disk_target(disk->index);
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "the disk '%s': another has the target %s", disk->path, target);
            return FALSE;
        }
        if (disk->index >= 0)
            taken[disk->index] = TRUE;
    }
    for (guint i = 0; i < disks->len; i++) {
        DuetDataDisk *disk = disks->pdata[i];
        if (disk->index < 0)
            disk->index = first_free(taken);
        if (disk->index < 0) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "%u disks are too many for a VM: at most %d", disks->len, DUET_VM_DISKS_MAX);
            return FALSE;
        }
        taken[disk->index] = TRUE;
    }
    return TRUE;
}

static gint by_index(gconstpointer a, gconstpointer b)
{
    const DuetDataDisk *const *left = a, *const *right = b;
    return (*left)->index - (*right)->index;
}

GPtrArray *duet_disk_list_parse(char *const *texts, GError **error)
{
    g_autoptr(GPtrArray) disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)duet_data_disk_free);
    for (; texts && *texts; texts++) {
        DuetDataDisk *disk = duet_data_disk_parse(*texts, error);
        if (!disk)
            return NULL;
        g_ptr_array_add(disks, disk);
    }
    if (!give_indexes(disks, error))
        return NULL;
    g_ptr_array_sort(disks, by_index);
    return g_steal_pointer(&disks);
}

const DuetDataDisk *duet_disk_list_find(const GPtrArray *disks, const char *word)
{
    int index = duet_data_disk_index(word);
    for (guint i = 0; i < disks->len; i++) {
        const DuetDataDisk *disk = disks->pdata[i];
        if (index >= 0 ? disk->index == index : g_str_equal(disk->path, word))
            return disk;
    }
    return NULL;
}

/* With its targets: what comes and goes later changes none. */
static char **to_texts(const GPtrArray *disks, const DuetDataDisk *but)
{
    g_autoptr(GStrvBuilder) texts = g_strv_builder_new();
    for (guint i = 0; i < disks->len; i++) {
        g_autofree char *text = duet_data_disk_to_text(disks->pdata[i]);
        if (disks->pdata[i] != but)
            g_strv_builder_add(texts, text);
    }
    return g_strv_builder_end(texts);
}

static void replace(DuetSpec *spec, char **texts)
{
    g_strfreev(spec->disks);
    spec->disks = texts;
}

gboolean duet_disk_list_attach(DuetSpec *spec, const char *text, GError **error)
{
    g_autoptr(DuetDataDisk) disk = duet_data_disk_parse(text, error);
    g_autoptr(GPtrArray) old = disk ? duet_disk_list_parse(spec->disks, error) : NULL;
    if (!old)
        return FALSE;
    if (duet_disk_list_find(old, disk->path)) {
        g_set_error(
            error, DUET_ERROR, DUET_ERROR_EXISTS, "it has the disk '%s' already", disk->path);
        return FALSE;
    }
    g_auto(GStrv) more = to_texts(old, NULL);
    guint n = g_strv_length(more);
    more = g_renew(char *, more, n + 2);
    more[n] = g_strdup(text);
    more[n + 1] = NULL;
    g_autoptr(GPtrArray) all = duet_disk_list_parse(more, error);
    if (!all)
        return FALSE;
    replace(spec, to_texts(all, NULL));
    return TRUE;
}

gboolean duet_disk_list_detach(DuetSpec *spec, const char *word, GError **error)
{
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(spec->disks, error);
    const DuetDataDisk *disk = disks ? duet_disk_list_find(disks, word) : NULL;
    if (!disk && disks)
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "it has no disk '%s'; `duet disk ls` shows those that it has", word);
    if (!disk)
        return FALSE;
    replace(spec, to_texts(disks, disk));
    return TRUE;
}

char **duet_disk_list_missing(const DuetSpec *has, const DuetSpec *of)
{
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(has->disks, NULL);
    g_autoptr(GPtrArray) others = duet_disk_list_parse(of->disks, NULL);
    g_autoptr(GStrvBuilder) texts = g_strv_builder_new();
    for (guint i = 0; disks && others && i < disks->len; i++) {
        const DuetDataDisk *disk = disks->pdata[i];
        g_autofree char *text = duet_data_disk_to_text(disk);
        if (!duet_disk_list_find(others, disk->path))
            g_strv_builder_add(texts, text);
    }
    return g_strv_builder_end(texts);
}
