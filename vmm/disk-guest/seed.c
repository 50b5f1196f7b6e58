/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seed.h"
#include "vmm/disk.h"
#include "core/util.h"

#include <duet/error.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

/* Without user-data there would be no data source. */
#define NO_USER_DATA "#cloud-config\n{}\n"

char *duet_seed_meta_data(const DuetSpec *spec)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "instance-id");
    json_builder_add_string_value(builder, spec->id);
    json_builder_set_member_name(builder, "local-hostname");
    json_builder_add_string_value(builder, spec->hostname);
    json_builder_set_member_name(builder, "public-keys");
    json_builder_begin_array(builder);
    for (char **key = spec->ssh_keys; key && *key; key++)
        json_builder_add_string_value(builder, *key);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return json_to_string(root, TRUE);
}

static gboolean add_file(struct archive *iso, const char *name, const char *text)
{
    struct archive_entry *entry = archive_entry_new();
    size_t length = strlen(text);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_size(entry, (la_int64_t)length);
    gboolean ok = archive_write_header(iso, entry) == ARCHIVE_OK &&
        archive_write_data(iso, text, length) == (la_ssize_t)length;
    archive_entry_free(entry);
    return ok;
}

static gboolean write_iso(const DuetSpec *spec, int fd, GError **error)
{
    g_autofree char *meta_data = duet_seed_meta_data(spec);
    struct archive *iso = archive_write_new();
    gboolean ok = archive_write_set_format_iso9660(iso) == ARCHIVE_OK &&
        archive_write_set_options(iso, "iso9660:volume-id=" DUET_SEED_LABEL) == ARCHIVE_OK &&
        archive_write_open_fd(iso, fd) == ARCHIVE_OK && add_file(iso, "meta-data", meta_data) &&
        add_file(iso, "user-data", spec->user_data ? spec->user_data : NO_USER_DATA) &&
        (!spec->network_config || add_file(iso, "network-config", spec->network_config)) &&
        archive_write_close(iso) == ARCHIVE_OK;
    if (!ok)
        g_set_error(error, DUET_ERROR,
            archive_errno(iso) == ENOSPC ? DUET_ERROR_SPACE : DUET_ERROR_FAILED,
            "cannot write the data for cloud-init of '%s': %s", spec->name,
            archive_error_string(iso));
    archive_write_free(iso);
    return ok;
}

gboolean duet_seed_make(const DuetSpec *spec, const char *path, guint32 uid, GError **error)
{
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);
    unlink(fresh); /* of a start that was killed in the middle */
    DUET_AUTO_FD fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot create '%s'", fresh);
    if (write_iso(spec, fd, error))
        return duet_disk_put(fresh, path, error) && duet_disk_give(path, uid, error);
    unlink(fresh);
    return FALSE;
}
