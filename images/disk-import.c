/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * From a disk in any of the formats to a manifest. It is always written anew, as a qcow2 of only
 * what the disk holds: snapshots, bitmaps and whatever else a header can have stay behind.
 */
#include "images/import.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/disk.h"

/*
 * Nobody may write between our look at the header and qemu-img's. A lease holds writers up for most
 * of a minute and tells of those that went on. Only root and the file's owner get one, and not of
 * every file system: of whom else's files that is, is theirs to know.
 */
static gboolean hold(int fd, const char *what, gboolean *out_held, GError **error)
{
    /* SIGIO, which a writer's attempt sends, would end us. */
    if (fcntl(fd, F_SETSIG, SIGURG) < 0)
        return duet_error_set_errno(error, errno, "cannot watch '%s'", what);
    *out_held = fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
    if (*out_held || errno != EAGAIN)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "'%s' is open for writing: import it when nobody writes to it, or a copy", what);
    return FALSE;
}

static gboolean still_held(int fd, const char *what, GError **error)
{
    if (fcntl(fd, F_GETLEASE) == F_RDLCK)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "'%s' was opened for writing while it was read: import it again", what);
    return FALSE;
}

static char *created_of(const struct stat *st)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(st->st_mtim.tv_sec);
    return time ? g_date_time_format_iso8601(time) : NULL;
}

static void add_string(JsonBuilder *builder, const char *member, const char *text)
{
    json_builder_set_member_name(builder, member);
    json_builder_add_string_value(builder, text);
}

/* Made of the disk alone: the same file gives the same image id. */
static char *disk_config(
    const struct stat *st, DuetDiskFormat format, guint64 bytes, const char *hex)
{
    g_autofree char *platform = duet_host_platform();
    g_autofree char *created = created_of(st);
    g_autofree char *digest = g_strconcat("sha256:", hex, NULL);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    if (created)
        add_string(builder, "created", created);
    add_string(builder, "architecture", strchr(platform, '/') + 1);
    add_string(builder, "format", duet_disk_format_to_string(format));
    add_string(builder, "disk", digest);
    json_builder_set_member_name(builder, "virtual_size_bytes");
    json_builder_add_int_value(builder, (gint64)bytes);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return duet_json_text(root, FALSE);
}

/* Returns: the descriptor of the staged qcow2. */
static DuetDescriptor *convert(DuetImport *import, int fd, DuetDiskFormat format, guint64 bytes,
    const char *what, GError **error)
{
    DuetStore *store = import->store;
    g_autofree char *name = duet_store_fresh_name(store);
    g_autoptr(DuetDescriptor) blob = g_new0(DuetDescriptor, 1);
    guint64 length = 0;
    DUET_AUTO_FD out = openat(store->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (out < 0) {
        duet_error_set_errno(error, errno, "cannot make a file in '%s/tmp'", store->dir);
        return NULL;
    }
    if (!duet_qemu_img_check(fd, format, bytes, what, error) ||
        !duet_qemu_img_convert(fd, format, bytes, what, DUET_DISK_QCOW2, out, error) ||
        !duet_transaction_file_blob(import->transaction, name, &blob->hex, &length, error))
        return NULL;
    blob->media_type = g_strdup(DUET_MEDIA_DISK);
    blob->size_bytes = (gint64)length;
    return g_steal_pointer(&blob);
}

gboolean duet_import_disk(
    DuetImport *import, int fd, DuetDiskFormat format, const char *what, GError **error)
{
    struct stat st;
    guint64 bytes = 0;
    gboolean held = FALSE;
    if (fstat(fd, &st) < 0)
        return duet_error_set_errno(error, errno, "cannot read '%s'", what);
    if (!hold(fd, what, &held, error) || !duet_disk_check_header(fd, format, what, &bytes, error))
        return FALSE;
    g_autoptr(DuetDescriptor) blob = convert(import, fd, format, bytes, what, error);
    if (!blob || (held && !still_held(fd, what, error)))
        return FALSE;
    GPtrArray *layers = g_ptr_array_new_with_free_func((GDestroyNotify)duet_descriptor_free);
    g_autofree char *config = disk_config(&st, format, bytes, blob->hex);
    g_ptr_array_add(layers, g_steal_pointer(&blob));
    g_autoptr(DuetManifest) manifest =
        duet_manifest_build(DUET_MEDIA_DISK_CONFIG, config, strlen(config), layers, what, error);
    if (!manifest)
        return FALSE;
    duet_import_found(import, g_steal_pointer(&manifest), NULL);
    return TRUE;
}

/* Returns: the open file, or -1. *out_format: what it is */
static int open_file(const char *path, DuetDiskFormat *out_format, GError **error)
{
    struct stat st;
    /* Whoever writes into a pipe would see it opened and closed again. */
    gboolean regular = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    DUET_AUTO_FD fd = regular ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0)
        *out_format = duet_disk_sniff(fd, path);
    else if (regular || stat(path, &st) < 0)
        duet_error_set_errno(error, errno, "cannot open '%s'", path);
    else
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no regular file: a disk is read from one", path);
    return duet_fd_steal(&fd);
}

int duet_import_open_disk(const char *path, const char *format, DuetDiskFormat *out, GError **error)
{
    DuetDiskFormat found = DUET_DISK_NONE;
    DuetDiskFormat wanted = duet_disk_format_from_string(format);
    if (wanted == DUET_DISK_NONE) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no format of disks: use raw, qcow2, vmdk or vdi", format);
        return -1;
    }
    DUET_AUTO_FD fd = open_file(path, &found, error);
    if (fd < 0)
        return -1;
    *out = wanted;
    if (found == wanted || (wanted == DUET_DISK_RAW && found == DUET_DISK_NONE))
        return duet_fd_steal(&fd);
    const char *is = duet_disk_format_to_string(found);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' is %s%s, and not '%s' as told", path,
        is ? "a disk in the format " : "no disk", is ? is : "", format);
    return -1;
}

int duet_import_sniff_disk(const char *path, DuetDiskFormat *out)
{
    DUET_AUTO_FD fd = open_file(path, out, NULL);
    return fd >= 0 && *out != DUET_DISK_NONE ? duet_fd_steal(&fd) : -1;
}

gboolean duet_import_is_disk_name(const char *path)
{
    return g_regex_match_simple("\\.(img|raw|qcow2?|vmdk|vdi|vhdx?|iso)(\\.(gz|bz2|xz|zst|zip))?$",
        path, G_REGEX_CASELESS | G_REGEX_RAW, 0);
}
