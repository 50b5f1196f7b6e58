/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "supply.h"

#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "bench/result/json.h"
#include "core/util.h"
#include "duet-peers.h"

#define CPU_PERIOD_US 100000

static JsonObject *child(JsonObject *parent, const char *name)
{
    if (!json_object_has_member(parent, name))
        json_object_set_object_member(parent, name, json_object_new());
    return json_object_get_object_member(parent, name);
}

static void set_limits(JsonObject *linux_part, const DuetSpec *spec)
{
    JsonObject *resources = child(linux_part, "resources");

    if (spec->memory_bytes)
        json_object_set_int_member(child(resources, "memory"), "limit", spec->memory_bytes);
    if (spec->pids_limit)
        json_object_set_int_member(child(resources, "pids"), "limit", spec->pids_limit);
    if (spec->cpus > 0) {
        json_object_set_int_member(
            child(resources, "cpu"), "quota", (gint64)(spec->cpus * CPU_PERIOD_US));
        json_object_set_int_member(child(resources, "cpu"), "period", CPU_PERIOD_US);
    }
}

gboolean duet_peer_bundle_write(const char *dir, const DuetSpec *spec, GError **error)
{
    g_autoptr(GBytes) bytes =
        g_resource_lookup_data(duet_peers_get_resource(), "/org/duet/peers/bundle.json", 0, error);
    g_autoptr(JsonParser) parser = json_parser_new();
    gsize length = 0;
    const char *text = bytes ? g_bytes_get_data(bytes, &length) : NULL;

    if (!text || !json_parser_load_from_data(parser, text, (gssize)length, error))
        return FALSE;
    JsonNode *node = json_parser_get_root(parser);
    JsonObject *root = json_node_get_object(node), *process = child(root, "process");
    duet_json_set_strings(process, "args", spec->argv, g_strv_length(spec->argv));
    duet_json_set_strings(process, "env", spec->env, g_strv_length(spec->env));
    duet_json_set_string(process, "cwd", spec->cwd);
    duet_json_set_string(root, "hostname", spec->hostname);
    set_limits(child(root, "linux"), spec);
    g_autofree char *json = json_to_string(node, TRUE);
    g_autofree char *path = g_build_filename(dir, "config.json", NULL);
    return duet_file_replace(AT_FDCWD, path, json, strlen(json), error);
}
