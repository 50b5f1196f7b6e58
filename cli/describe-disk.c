/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of a disk guest beside what all instances have. */
#include "cli/describe.h"
#include "core/state.h"

#include <duet/vm-limits.h>

#include <unistd.h>

/* While it runs, the driver says it by a file. */
static gboolean has_agent(DuetContext *context, const DuetInfo *info)
{
    g_autofree char *dir = duet_instance_path(context, info->spec->id);
    g_autofree char *mark = g_build_filename(dir, DUET_GUEST_AGENT_MARK, NULL);
    return info->pid > 0 && access(mark, F_OK) == 0;
}

void duet_describe_disk(GVariantDict *dict, DuetContext *context, const DuetInfo *info)
{
    g_auto(GVariantDict) inner = G_VARIANT_DICT_INIT(NULL);
    const DuetSpec *spec = info->spec;
    g_autofree char *wait = g_utf8_make_valid(spec->wait ? spec->wait : "none", -1);
    g_autofree char *image = g_utf8_make_valid(spec->disk_image, -1);
    g_variant_dict_insert(&inner, "image", "s", image);
    g_variant_dict_insert(&inner, "size_bytes", "x", (gint64)spec->disk_bytes);
    g_variant_dict_insert(
        &inner, "firmware", "s", spec->firmware ? spec->firmware : DUET_FIRMWARE_BIOS);
    g_variant_dict_insert(&inner, "wait", "s", wait);
    g_variant_dict_insert(
        &inner, "ssh_keys", "x", (gint64)(spec->ssh_keys ? g_strv_length(spec->ssh_keys) : 0));
    /* It may hold secrets. */
    g_variant_dict_insert(&inner, "has_user_data", "b", spec->user_data != NULL);
    g_variant_dict_insert(&inner, "has_network_config", "b", spec->network_config != NULL);
    g_variant_dict_insert_value(dict, "disk", g_variant_dict_end(&inner));
    g_variant_dict_insert(dict, "guest_agent", "b", has_agent(context, info));
}
