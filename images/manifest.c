/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/manifest.h"

#include <signal.h>
#include <string.h>

#include <duet/error.h>

#include "core/util.h"

static gboolean set_broken(GError **error, const char *what, const char *why)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is damaged: %s", what, why);
    return FALSE;
}

void duet_manifest_free(DuetManifest *manifest)
{
    if (!manifest)
        return;
    duet_descriptor_free(manifest->self);
    g_free(manifest->manifest);
    duet_descriptor_free(manifest->config_descriptor);
    g_free(manifest->config);
    g_clear_pointer(&manifest->layers, g_ptr_array_unref);
    g_strfreev(manifest->diff_ids);
    g_free(manifest->platform);
    g_free(manifest);
}

static gboolean is_disk(const char *config_type)
{
    return g_strcmp0(config_type, DUET_MEDIA_DISK_CONFIG) == 0;
}

static gboolean is_layer_type(const char *type, const char *config_type)
{
    if (is_disk(config_type))
        return g_strcmp0(type, DUET_MEDIA_DISK) == 0;
    return !type || g_str_has_prefix(type, "application/vnd.oci.image.layer.v1.tar") ||
        g_str_has_prefix(type, "application/vnd.oci.image.layer.nondistributable.v1.tar") ||
        g_str_has_prefix(type, "application/vnd.docker.image.rootfs.");
}

static gboolean parse_layers(
    DuetManifest *manifest, JsonArray *array, const char *what, GError **error)
{
    const char *config_type = manifest->config_descriptor->media_type;
    guint n = array ? json_array_get_length(array) : 0;
    if (n == 0 || n > DUET_MAX_LAYERS)
        return set_broken(error, what, n ? "it has too many layers" : "it has no layers");
    for (guint i = 0; i < n; i++) {
        JsonObject *element = duet_json_element(array, i);
        DuetDescriptor *layer = duet_descriptor_parse(element, what, error);
        if (!layer)
            return FALSE;
        g_ptr_array_add(manifest->layers, layer);
        if (!is_layer_type(layer->media_type, config_type) ||
            (layer->media_type && strstr(layer->media_type, "encrypted"))) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
                "'%s' has a layer of the type '%s', which is not a layer of files", what,
                layer->media_type);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean find_disk(DuetManifest *manifest, const char *what, GError **error)
{
    if (!is_disk(manifest->config_descriptor->media_type))
        return TRUE;
    if (manifest->layers->len != 1)
        return set_broken(error, what, "it is a disk image, but of more than one disk");
    manifest->disk = manifest->layers->pdata[0];
    manifest->diff_ids = g_new0(char *, 1);
    return TRUE;
}

static gboolean parse_manifest(DuetManifest *manifest, const char *what, GError **error)
{
    g_autoptr(JsonNode) root = duet_json_parse(
        manifest->manifest, manifest->manifest_length, JSON_NODE_OBJECT, what, error);
    if (!root)
        return FALSE;
    JsonObject *object = json_node_get_object(root);
    /* Two readers could see two images in it: CVE-2021-41190. */
    if (json_object_has_member(object, "manifests"))
        return set_broken(error, what, "its manifest is an index too");
    JsonObject *config = duet_json_object(object, "config");
    if (!config)
        return set_broken(error, what, "its manifest has no config");
    manifest->config_descriptor = duet_descriptor_parse(config, what, error);
    return manifest->config_descriptor &&
        parse_layers(manifest, duet_json_array(object, "layers"), what, error) &&
        find_disk(manifest, what, error);
}

static gboolean parse_diff_ids(
    DuetManifest *manifest, JsonObject *config, const char *what, GError **error)
{
    JsonObject *rootfs = duet_json_object(config, "rootfs");
    if (!duet_json_strv(rootfs, "diff_ids", what, &manifest->diff_ids, error))
        return FALSE;
    guint n = manifest->diff_ids ? g_strv_length(manifest->diff_ids) : 0;
    if (n != manifest->layers->len)
        return set_broken(error, what, "its config and its manifest differ on the layers");
    for (guint i = 0; i < n; i++) {
        char *id = manifest->diff_ids[i];
        if (!g_str_has_prefix(id, "sha256:") || !duet_is_sha256_hex(id + 7))
            return set_broken(error, what, "a diff id in its config is not a sha256 digest");
        memmove(id, id + 7, strlen(id + 7) + 1);
    }
    return TRUE;
}

static JsonNode *parse_config_json(const DuetManifest *manifest, const char *what, GError **error)
{
    return duet_json_parse(
        manifest->config, manifest->config_length, JSON_NODE_OBJECT, what, error);
}

static gboolean parse_config(DuetManifest *manifest, const char *what, GError **error)
{
    g_autoptr(JsonNode) root = parse_config_json(manifest, what, error);
    if (!root)
        return FALSE;
    JsonObject *object = json_node_get_object(root);
    /* What system is on a disk nobody knows; it is made for a machine. */
    const char *os = manifest->disk ? "linux" : duet_json_string(object, "os");
    const char *arch = duet_json_string(object, "architecture");
    if (os && *os && arch && *arch)
        manifest->platform = g_strconcat(os, "/", arch, NULL);
    return manifest->disk || parse_diff_ids(manifest, object, what, error);
}

DuetManifest *duet_manifest_load(
    DuetSource *source, const DuetDescriptor *descriptor, GError **error)
{
    const char *what = duet_source_what(source);
    g_autoptr(DuetManifest) manifest = g_new0(DuetManifest, 1);
    manifest->layers = g_ptr_array_new_with_free_func((GDestroyNotify)duet_descriptor_free);
    manifest->self = duet_descriptor_copy(descriptor);
    manifest->manifest =
        duet_source_read_blob(source, descriptor, &manifest->manifest_length, error);
    if (!manifest->manifest || !parse_manifest(manifest, what, error))
        return NULL;
    manifest->config =
        duet_source_read_blob(source, manifest->config_descriptor, &manifest->config_length, error);
    if (!manifest->config || !parse_config(manifest, what, error))
        return NULL;
    return g_steal_pointer(&manifest);
}

static DuetDescriptor *descriptor_of(const char *media_type, const char *bytes, gsize length)
{
    DuetDescriptor *descriptor = g_new0(DuetDescriptor, 1);
    descriptor->media_type = g_strdup(media_type);
    descriptor->hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, length);
    descriptor->size_bytes = (gint64)length;
    return descriptor;
}

static char *manifest_json(const DuetDescriptor *config, GPtrArray *layers)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "schemaVersion");
    json_builder_add_int_value(builder, 2);
    json_builder_set_member_name(builder, "mediaType");
    json_builder_add_string_value(builder, DUET_MEDIA_MANIFEST);
    if (is_disk(config->media_type)) {
        json_builder_set_member_name(builder, "artifactType");
        json_builder_add_string_value(builder, config->media_type);
    }
    json_builder_set_member_name(builder, "config");
    duet_descriptor_build(builder, config->media_type, config->hex, config->size_bytes);
    json_builder_set_member_name(builder, "layers");
    json_builder_begin_array(builder);
    for (guint i = 0; i < layers->len; i++) {
        const DuetDescriptor *layer = layers->pdata[i];
        duet_descriptor_build(builder, layer->media_type, layer->hex, layer->size_bytes);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return duet_json_text(root, FALSE);
}

DuetManifest *duet_manifest_build(const char *config_type, const char *config, gsize config_length,
    GPtrArray *layers, const char *what, GError **error)
{
    g_autoptr(DuetManifest) manifest = g_new0(DuetManifest, 1);
    manifest->layers = layers;
    manifest->config = g_memdup2(config, config_length + 1);
    manifest->config_length = config_length;
    manifest->config_descriptor = descriptor_of(config_type, config, config_length);
    manifest->manifest = manifest_json(manifest->config_descriptor, layers);
    manifest->manifest_length = strlen(manifest->manifest);
    manifest->self =
        descriptor_of(DUET_MEDIA_MANIFEST, manifest->manifest, manifest->manifest_length);
    if (layers->len == 0 || layers->len > DUET_MAX_LAYERS) {
        set_broken(error, what, layers->len ? "it has too many layers" : "it has no layers");
        return NULL;
    }
    return find_disk(manifest, what, error) && parse_config(manifest, what, error)
        ? g_steal_pointer(&manifest)
        : NULL;
}

gboolean duet_manifest_check_platform(DuetManifest *manifest, const char *what, GError **error)
{
    g_autofree char *host = duet_host_platform();
    if (!manifest->platform || g_str_equal(manifest->platform, host))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_PLATFORM,
        "'%s' has no image for this host: wanted '%s', offered '%s'", what, host,
        manifest->platform);
    return FALSE;
}

char **duet_manifest_chains(const DuetManifest *manifest)
{
    guint n = manifest->disk ? 0 : manifest->layers->len;
    char **chains = g_new0(char *, n + 1);
    for (guint i = 0; i < n; i++) {
        if (i == 0) {
            chains[0] = g_strdup(manifest->diff_ids[0]);
            continue;
        }
        /* image-spec, "Layer ChainID" */
        g_autofree char *text =
            g_strdup_printf("sha256:%s sha256:%s", chains[i - 1], manifest->diff_ids[i]);
        chains[i] = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    }
    return chains;
}

/* The sum of the sizes of the layers' blobs. */
static guint64 layer_bytes(const DuetManifest *manifest)
{
    guint64 sum = 0;
    for (guint i = 0; i < manifest->layers->len; i++) {
        const DuetDescriptor *layer = manifest->layers->pdata[i];
        sum += (guint64)layer->size_bytes;
    }
    return sum;
}

static char **only_assignments(char **env)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (char **at = env; at && *at; at++) {
        if (**at != '=' && strchr(*at, '='))
            g_strv_builder_add(builder, *at);
    }
    return g_strv_builder_end(builder);
}

static char *absolute_dir(const char *dir)
{
    if (!dir || !*dir)
        return g_strdup("/");
    return g_canonicalize_filename(dir, "/");
}

static const char *non_empty(const char *text)
{
    return text && *text ? text : NULL;
}

static void set_stop_signal(DuetImage *image, const char *text, GStrvBuilder *warnings)
{
    image->stop_signal = text && *text ? duet_signal_from_string(text) : SIGTERM;
    if (image->stop_signal > 0)
        return;
    g_autofree char *warning =
        g_strdup_printf("the stop signal '%s' is not known here: SIGTERM is used", text);
    g_strv_builder_add(warnings, warning);
    image->stop_signal = SIGTERM;
}

/* Nanoseconds, as Go has them; what is none counts as not given. */
static gint64 duration_us(JsonObject *object, const char *member)
{
    return MAX(0, duet_json_int(object, member) / 1000);
}

/* Docker's addition to the config: archives of docker's have it, OCI's format knows none. */
static gboolean set_health(
    DuetImage *image, JsonObject *config, const char *what, GStrvBuilder *warnings, GError **error)
{
    JsonObject *health = duet_json_object(config, "Healthcheck");
    g_auto(GStrv) test = NULL;
    if (!health)
        return TRUE;
    if (!duet_json_strv(health, "Test", what, &test, error))
        return FALSE;
    const char *form = test && test[0] ? test[0] : "NONE";
    gboolean is_words = g_str_equal(form, "CMD") && test[1];
    gboolean is_line = g_str_equal(form, "CMD-SHELL") && test[1] && !test[2];
    if (!is_words && !is_line && !g_str_equal(form, "NONE"))
        g_strv_builder_add(warnings, "its health check is in no form known here: it is not used");
    if (!is_words && !is_line)
        return TRUE;
    image->health_test = g_steal_pointer(&test);
    image->health_interval_us = duration_us(health, "Interval");
    image->health_timeout_us = duration_us(health, "Timeout");
    image->health_start_period_us = duration_us(health, "StartPeriod");
    image->health_start_interval_us = duration_us(health, "StartInterval");
    image->health_retries = CLAMP(duet_json_int(health, "Retries"), 0, G_MAXINT);
    return TRUE;
}

DuetImage *duet_manifest_image(const DuetManifest *manifest, const char *what, GError **error)
{
    g_autoptr(JsonNode) root = parse_config_json(manifest, what, error);
    if (!root)
        return NULL;
    JsonObject *object = json_node_get_object(root);
    JsonObject *config = duet_json_object(object, "config");
    g_autoptr(DuetImage) image = g_new0(DuetImage, 1);
    g_autoptr(GStrvBuilder) warnings = g_strv_builder_new();
    g_auto(GStrv) env = NULL;
    if (!duet_json_strv(config, "Entrypoint", what, &image->entrypoint, error) ||
        !duet_json_strv(config, "Cmd", what, &image->cmd, error) ||
        !duet_json_strv(config, "Env", what, &env, error) ||
        !duet_json_pairs(config, "Labels", what, &image->labels, error))
        return NULL;
    image->env = only_assignments(env);
    image->working_dir = absolute_dir(duet_json_string(config, "WorkingDir"));
    image->user = g_strdup(non_empty(duet_json_string(config, "User")));
    set_stop_signal(image, duet_json_string(config, "StopSignal"), warnings);
    if (!set_health(image, config, what, warnings, error))
        return NULL;
    image->created = g_strdup(non_empty(duet_json_string(object, "created")));
    image->digest = g_strconcat("sha256:", manifest->self->hex, NULL);
    image->config_digest = g_strconcat("sha256:", manifest->config_descriptor->hex, NULL);
    image->size_bytes = layer_bytes(manifest);
    image->high_ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    image->layer_dirs = g_new0(char *, 1);
    image->warnings = g_strv_builder_end(warnings);
    return g_steal_pointer(&image);
}
