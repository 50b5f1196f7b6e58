/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/unpack-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/image.h>

#include "core/util.h"

#define LAST_PLAIN_ID 65535
/* The kernel takes the last one for "leave it as it is". */
#define MAX_ID (G_MAXUINT32 - 1)
/* They are kept in memory. */
#define MAX_ACL_BYTES (64u << 20)

DuetFacts *duet_facts_new(void)
{
    DuetFacts *facts = g_new0(DuetFacts, 1);
    facts->high_ids = g_hash_table_new(NULL, NULL);
    facts->warnings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return facts;
}

void duet_facts_free(DuetFacts *facts)
{
    if (!facts)
        return;
    g_hash_table_unref(facts->high_ids);
    g_hash_table_unref(facts->warnings);
    g_free(facts);
}

void duet_facts_warn(DuetFacts *facts, const char *warning)
{
    if (!g_hash_table_contains(facts->warnings, warning))
        g_hash_table_add(facts->warnings, g_strdup(warning));
}

gboolean duet_facts_add_id(DuetFacts *facts, guint32 id, const char *what, GError **error)
{
    if (id <= LAST_PLAIN_ID)
        return TRUE;
    g_hash_table_add(facts->high_ids, GUINT_TO_POINTER(id));
    if (g_hash_table_size(facts->high_ids) <= DUET_IMAGE_HIGH_IDS_MAX)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "'%s' is refused: its files have more than %d different owners and groups above %d, "
        "which is more than a user namespace can map",
        what, DUET_IMAGE_HIGH_IDS_MAX, LAST_PLAIN_ID);
    return FALSE;
}

gboolean duet_entry_ids(DuetUnpack *unpack, struct archive_entry *entry, GError **error)
{
    const gint64 ids[2] = { archive_entry_uid(entry), archive_entry_gid(entry) };
    for (int i = 0; i < 2; i++) {
        if (ids[i] < 0 || ids[i] > MAX_ID) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
                "'%s' is refused: its member '%s' belongs to the id %" G_GINT64_FORMAT
                ", which can't be",
                unpack->what, archive_entry_pathname(entry), ids[i]);
            return FALSE;
        }
        if (!duet_facts_add_id(unpack->facts, (guint32)ids[i], unpack->what, error) ||
            !duet_owner_check(unpack, i == 0 ? DUET_ID_USER : DUET_ID_GROUP, (guint32)ids[i],
                archive_entry_pathname(entry), error))
            return FALSE;
    }
    return TRUE;
}

/* What a file of an image may bring along. Labels of a security module and overlayfs' own marks
 * belong to the host that made them. */
static gboolean keeps_xattr(DuetUnpack *unpack, const char *name)
{
    if (g_str_has_prefix(name, "system.posix_acl_")) {
        duet_facts_warn(unpack->facts, DUET_WARN_ACL);
        return TRUE;
    }
    if (g_str_equal(name, "security.capability"))
        return TRUE;
    if (g_str_has_prefix(name, "user."))
        return !g_str_has_prefix(name, DUET_XATTR_USER_MARKS);
    if (!g_str_has_prefix(name, "security."))
        duet_facts_warn(unpack->facts,
            "extended attributes that are neither 'user.*' nor 'security.capability' are left out");
    return FALSE;
}

static gboolean xattr_error(DuetUnpack *unpack, int fd, int err, const char *name,
    const char *attribute, gsize length, GError **error)
{
    struct statvfs fs;
    gboolean room = fstatvfs(fd, &fs) == 0 && fs.f_bavail * fs.f_frsize > length + (1u << 20);
    /* ext4 says ENOSPC for an attribute that is longer than it can hold. */
    if (err == E2BIG || err == ERANGE || (err == ENOSPC && room)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "'%s' is refused: attribute '%s' of '%s' is longer than the store's file system keeps",
            unpack->what, attribute, name);
        return FALSE;
    }
    return duet_error_set_errno(
        error, err, "cannot set attribute '%s' of '%s' of '%s'", attribute, name, unpack->what);
}

static gboolean set_xattr(DuetUnpack *unpack, int fd, const char *name, const char *attribute,
    const void *value, gsize length, GError **error)
{
    if (fsetxattr(fd, attribute, value, length, 0) == 0)
        return TRUE;
    if (errno == ENOTSUP) {
        duet_facts_warn(unpack->facts, "the store's file system keeps no extended attributes");
        return TRUE;
    }
    if (errno == EPERM && unpack->rootless) {
        duet_facts_warn(unpack->facts, "file capabilities are left out: only root may set them");
        return TRUE;
    }
    if (errno == EINVAL) {
        duet_facts_warn(unpack->facts, "damaged capabilities or ACLs are left out");
        return TRUE;
    }
    return xattr_error(unpack, fd, errno, name, attribute, length, error);
}

gboolean duet_unpack_keep_default_acl(
    DuetUnpack *unpack, const char *real, const void *value, gsize length, GError **error)
{
    unpack->acl_bytes += length;
    if (unpack->acl_bytes > MAX_ACL_BYTES) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "'%s' is refused: the default ACLs of its directories are longer than %u MiB",
            unpack->what, MAX_ACL_BYTES >> 20);
        return FALSE;
    }
    g_hash_table_replace(unpack->default_acls, g_strdup(real), g_bytes_new(value, length));
    return TRUE;
}

gboolean duet_unpack_set_default_acls(DuetUnpack *unpack, GError **error)
{
    GHashTableIter iter;
    gpointer real, acl;
    g_hash_table_iter_init(&iter, unpack->default_acls);
    while (g_hash_table_iter_next(&iter, &real, &acl)) {
        gsize length = 0;
        const void *value = g_bytes_get_data(acl, &length);
        DUET_AUTO_FD fd = duet_open_beneath(unpack->root, real);
        if (fd >= 0 && !set_xattr(unpack, fd, real, DUET_XATTR_DEFAULT_ACL, value, length, error))
            return FALSE;
    }
    return TRUE;
}

/* Sets it, or keeps it for the end; what is not a directory has no default ACL. */
static gboolean add_xattr(DuetUnpack *unpack, int fd, const char *name, const char *real,
    const char *attribute, const void *value, gsize length, GError **error)
{
    if (!g_str_equal(attribute, DUET_XATTR_DEFAULT_ACL))
        return set_xattr(unpack, fd, name, attribute, value, length, error);
    return !real || duet_unpack_keep_default_acl(unpack, real, value, length, error);
}

static gboolean set_xattrs(DuetUnpack *unpack, int fd, const char *name, const char *real,
    struct archive_entry *entry, GError **error)
{
    const char *attribute = NULL;
    const void *value = NULL;
    gsize length = 0;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &attribute, &value, &length) == ARCHIVE_OK) {
        if (attribute && keeps_xattr(unpack, attribute) &&
            !add_xattr(unpack, fd, name, real, attribute, value, length, error))
            return FALSE;
    }
    return TRUE;
}

/* The kernel's form of an ACL (linux/posix_acl_xattr.h). */
typedef struct {
    guint16 tag, perm;
    guint32 id;
} AclEntry;

static guint16 acl_tag(int tag)
{
    switch (tag) {
    case ARCHIVE_ENTRY_ACL_USER_OBJ:
        return 0x01;
    case ARCHIVE_ENTRY_ACL_USER:
        return 0x02;
    case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
        return 0x04;
    case ARCHIVE_ENTRY_ACL_GROUP:
        return 0x08;
    case ARCHIVE_ENTRY_ACL_MASK:
        return 0x10;
    case ARCHIVE_ENTRY_ACL_OTHER:
        return 0x20;
    default:
        return 0;
    }
}

static int compare_acl(gconstpointer a, gconstpointer b)
{
    const AclEntry *x = a, *y = b;
    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static GArray *acl_entries(struct archive_entry *entry, int kind)
{
    GArray *entries = g_array_new(FALSE, FALSE, sizeof(AclEntry));
    int type, perm, tag, id;
    const char *name;
    archive_entry_acl_reset(entry, kind);
    while (archive_entry_acl_next(entry, kind, &type, &perm, &tag, &id, &name) == ARCHIVE_OK) {
        gboolean has_id = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;
        AclEntry row = {
            .tag = GUINT16_TO_LE(acl_tag(tag)),
            .perm = GUINT16_TO_LE((guint16)(perm & 7)),
            .id = GUINT32_TO_LE(has_id ? (guint32)id : G_MAXUINT32),
        };
        /* An archive that gives names alone means another machine's users. */
        if (row.tag && !(has_id && id < 0))
            g_array_append_val(entries, row);
    }
    g_array_sort(entries, compare_acl);
    return entries;
}

static gboolean set_acl(DuetUnpack *unpack, int fd, const char *name, const char *real,
    struct archive_entry *entry, int kind, const char *attribute, GError **error)
{
    if (!(archive_entry_acl_types(entry) & kind))
        return TRUE;
    duet_facts_warn(unpack->facts, DUET_WARN_ACL);
    g_autoptr(GArray) entries = acl_entries(entry, kind);
    if (entries->len == 0)
        return TRUE;
    g_autoptr(GByteArray) value = g_byte_array_new();
    const guint32 version = GUINT32_TO_LE(2);
    g_byte_array_append(value, (const guint8 *)&version, sizeof version);
    g_byte_array_append(
        value, (const guint8 *)entries->data, entries->len * (guint)sizeof(AclEntry));
    return add_xattr(unpack, fd, name, real, attribute, value->data, value->len, error);
}

static mode_t mode_of(DuetUnpack *unpack, struct archive_entry *entry)
{
    mode_t mode = archive_entry_perm(entry) & 07777;
    mode_t needed = archive_entry_filetype(entry) == AE_IFDIR ? S_IRWXU : S_IRUSR;
    /* No power of root's: what the owner may not do, the user can't. */
    if (!duet_is_flat() || (mode & needed) == needed)
        return mode;
    duet_facts_warn(unpack->facts, DUET_WARN_MODE);
    return mode | needed;
}

gboolean duet_entry_attributes(DuetUnpack *unpack, int fd, const char *name, const char *real,
    struct archive_entry *entry, GError **error)
{
    /* chown(2) takes set-user-id bits and capabilities away: it comes first. */
    if (fchown(fd, duet_owner_to_disk(archive_entry_uid(entry)),
            duet_owner_to_disk(archive_entry_gid(entry))) < 0)
        return duet_error_set_errno(
            error, errno, "cannot give '%s' of '%s' its owner", name, unpack->what);
    if (fchmod(fd, mode_of(unpack, entry)) < 0)
        return duet_error_set_errno(
            error, errno, "cannot set the mode of '%s' of '%s'", name, unpack->what);
    return set_xattrs(unpack, fd, name, real, entry, error) &&
        set_acl(unpack, fd, name, real, entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS,
            "system.posix_acl_access", error) &&
        set_acl(unpack, fd, name, real, entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT,
            DUET_XATTR_DEFAULT_ACL, error);
}
