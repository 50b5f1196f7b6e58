/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/descriptor.h"

#include <string.h>
#include <sys/utsname.h>

#include <duet/error.h>

#include "images/record.h"

#define HEX_LENGTH 64

gboolean duet_is_sha256_hex(const char *text)
{
    return strlen(text) == HEX_LENGTH && strspn(text, "0123456789abcdef") == HEX_LENGTH;
}

char *duet_blob_path(const char *hex)
{
    return g_strconcat("blobs/sha256/", hex, NULL);
}

static char *platform_text(JsonObject *platform)
{
    const char *os = duet_json_string(platform, "os");
    const char *arch = duet_json_string(platform, "architecture");
    const char *variant = duet_json_string(platform, "variant");
    if (!os || !*os || !arch || !*arch)
        return NULL;
    return g_strconcat(os, "/", arch, variant && *variant ? "/" : NULL, variant, NULL);
}

static char *name_of(JsonObject *annotations)
{
    const char *name = duet_json_string(annotations, DUET_ANNOTATION_CONTAINERD_NAME);
    if (!name || !*name)
        name = duet_json_string(annotations, DUET_ANNOTATION_NAME);
    return name && *name ? duet_image_name(name) : NULL;
}

DuetDescriptor *duet_descriptor_parse(JsonObject *object, const char *what, GError **error)
{
    const char *digest = duet_json_string(object, "digest");
    if (!digest || (g_str_has_prefix(digest, "sha256:") && !duet_is_sha256_hex(digest + 7))) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is damaged: a descriptor has no valid digest", what);
        return NULL;
    }
    if (!g_str_has_prefix(digest, "sha256:")) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "'%s' names the blob '%s': only sha256 digests can be read", what, digest);
        return NULL;
    }
    DuetDescriptor *descriptor = g_new0(DuetDescriptor, 1);
    descriptor->hex = g_strdup(digest + 7);
    descriptor->media_type = g_strdup(duet_json_string(object, "mediaType"));
    descriptor->size_bytes = duet_json_int(object, "size");
    JsonObject *annotations = duet_json_object(object, "annotations");
    descriptor->name = name_of(annotations);
    descriptor->platform = platform_text(duet_json_object(object, "platform"));
    descriptor->attestation = duet_json_string(annotations, "vnd.docker.reference.type") ||
        g_strcmp0(descriptor->platform, "unknown/unknown") == 0;
    return descriptor;
}

DuetDescriptor *duet_descriptor_copy(const DuetDescriptor *descriptor)
{
    DuetDescriptor *copy = g_memdup2(descriptor, sizeof *descriptor);
    copy->media_type = g_strdup(descriptor->media_type);
    copy->hex = g_strdup(descriptor->hex);
    copy->name = g_strdup(descriptor->name);
    copy->platform = g_strdup(descriptor->platform);
    return copy;
}

void duet_descriptor_free(DuetDescriptor *descriptor)
{
    if (!descriptor)
        return;
    g_free(descriptor->media_type);
    g_free(descriptor->hex);
    g_free(descriptor->name);
    g_free(descriptor->platform);
    g_free(descriptor);
}

void duet_descriptor_build(
    JsonBuilder *builder, const char *media_type, const char *hex, gint64 size_bytes)
{
    g_autofree char *digest = g_strconcat("sha256:", hex, NULL);
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "mediaType");
    json_builder_add_string_value(builder, media_type);
    json_builder_set_member_name(builder, "digest");
    json_builder_add_string_value(builder, digest);
    json_builder_set_member_name(builder, "size");
    json_builder_add_int_value(builder, size_bytes);
    json_builder_end_object(builder);
}

char *duet_host_platform(void)
{
    static const struct {
        const char *machine, *arch;
    } names[] = {
        { "x86_64", "amd64" },
        { "aarch64", "arm64" },
        { "armv7l", "arm" },
        { "armv6l", "arm" },
        { "i686", "386" },
        { "i586", "386" },
        { "ppc64le", "ppc64le" },
        { "loongarch64", "loong64" },
    };
    struct utsname host;
    uname(&host);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(host.machine, names[i].machine))
            return g_strconcat("linux/", names[i].arch, NULL);
    }
    /* riscv64 and s390x have one name everywhere. */
    return g_strconcat("linux/", host.machine, NULL);
}
