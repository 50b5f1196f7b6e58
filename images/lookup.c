/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The light half of the store. It stands in the start path of every container, so it reads two
 * small files and makes one access(2) per layer; whatever needs more is refresh()'s work.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/record.h"

#define MIN_PREFIX 4
#define HEX_LENGTH 64

void duet_image_free(DuetImage *image)
{
    if (!image)
        return;
    g_free(image->ref);
    g_free(image->digest);
    g_free(image->config_digest);
    g_strfreev(image->layer_dirs);
    g_strfreev(image->entrypoint);
    g_strfreev(image->cmd);
    g_strfreev(image->env);
    g_free(image->working_dir);
    g_free(image->user);
    g_clear_pointer(&image->high_ids, g_array_unref);
    g_free(image->created);
    g_strfreev(image->warnings);
    g_strfreev(image->labels);
    g_strfreev(image->health_test);
    g_free(image->disk);
    g_free(image->disk_firmware);
    g_free(image);
}

static gboolean set_stale(GError **error, const char *store_dir, const char *why)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_STALE,
        "the records of store '%s' are out of date: %s", store_dir, why);
    return FALSE;
}

/* One file of the records, as a checked variant; NULL without an error when it is not there. */
static GVariant *load_variant(const char *path, const char *type)
{
    gsize length = 0;
    char *bytes = duet_file_read(AT_FDCWD, path, DUET_RECORD_MAX_BYTES, &length, NULL);
    if (!bytes)
        return NULL;
    GVariant *variant = g_variant_ref_sink(
        g_variant_new_from_data(G_VARIANT_TYPE(type), bytes, length, FALSE, g_free, bytes));
    if (!g_variant_is_normal_form(variant))
        g_clear_pointer(&variant, g_variant_unref);
    return variant;
}

GVariant *duet_record_refs(const char *store_dir, GError **error)
{
    g_autofree char *index = g_build_filename(store_dir, "index.json", NULL);
    struct stat st;
    if (stat(index, &st) < 0) {
        if (errno == ENOENT)
            g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
                "there are no images in store '%s'; add one with 'duet image import'", store_dir);
        else
            duet_error_set_errno(error, errno, "cannot read '%s'", index);
        return NULL;
    }
    g_autofree char *path = g_build_filename(store_dir, DUET_RECORD_REFS, NULL);
    g_autoptr(GVariant) refs = load_variant(path, DUET_REFS_TYPE);
    if (!refs) {
        set_stale(error, store_dir, "there is no table of names");
        return NULL;
    }
    const char *magic = NULL;
    guint64 mtime_ns = 0, size = 0, inode = 0;
    g_variant_get(refs, "(&sttt@a(sssis))", &magic, &mtime_ns, &size, &inode, NULL);
    guint64 now_ns = (guint64)st.st_mtim.tv_sec * 1000000000u + (guint64)st.st_mtim.tv_nsec;
    if (!g_str_equal(magic, DUET_REFS_MAGIC) || mtime_ns != now_ns || size != (guint64)st.st_size ||
        inode != (guint64)st.st_ino) {
        set_stale(error, store_dir, "index.json was changed by another tool");
        return NULL;
    }
    return g_steal_pointer(&refs);
}

char *duet_disk_path(const char *store_dir, const char *hex)
{
    g_autofree char *name = g_strconcat(hex, DUET_DISK_SUFFIX, NULL);
    return g_build_filename(store_dir, "vmroot", name, NULL);
}

static char **take_strv(GVariant *tuple, gsize n)
{
    g_autoptr(GVariant) child = g_variant_get_child_value(tuple, n);
    return g_variant_dup_strv(child, NULL);
}

/* A "mas" member: NULL for none. */
static char **take_maybe_strv(GVariant *tuple, gsize n)
{
    g_autoptr(GVariant) maybe = g_variant_get_child_value(tuple, n);
    g_autoptr(GVariant) child = g_variant_get_maybe(maybe);
    return child ? g_variant_dup_strv(child, NULL) : NULL;
}

static char *take_maybe_string(GVariant *tuple, gsize n)
{
    g_autoptr(GVariant) maybe = g_variant_get_child_value(tuple, n);
    g_autoptr(GVariant) child = g_variant_get_maybe(maybe);
    return child ? g_variant_dup_string(child, NULL) : NULL;
}

static GArray *take_ids(GVariant *tuple, gsize n)
{
    g_autoptr(GVariant) child = g_variant_get_child_value(tuple, n);
    gsize count = 0;
    const guint32 *ids = g_variant_get_fixed_array(child, &count, sizeof *ids);
    GArray *array = g_array_new(FALSE, FALSE, sizeof *ids);
    if (count > 0)
        g_array_append_vals(array, ids, (guint)count);
    return array;
}

static gboolean check_derived(const char *store_dir, const DuetImage *image, GError **error)
{
    for (char **dir = image->layer_dirs; *dir; dir++) {
        if (access(*dir, F_OK) < 0)
            return set_stale(error, store_dir, "an unpacked layer is missing");
    }
    if (image->disk && access(image->disk, F_OK) < 0)
        return set_stale(error, store_dir, "a disk is missing");
    return TRUE;
}

/* The order of the members is DUET_IMAGE_TYPE's. */
static DuetImage *image_from_record(GVariant *record, const char *root)
{
    DuetImage *image = g_new0(DuetImage, 1);
    g_variant_get_child(record, 1, "s", &image->config_digest);
    g_autofree char **names = take_strv(record, 2);
    image->layer_dirs = g_new0(char *, g_strv_length(names) + 1);
    for (guint i = 0; names[i]; i++) {
        image->layer_dirs[i] = g_build_filename(root, "layers", names[i], NULL);
        g_free(names[i]);
    }
    image->entrypoint = take_maybe_strv(record, 3);
    image->cmd = take_maybe_strv(record, 4);
    image->env = take_strv(record, 5);
    g_variant_get_child(record, 6, "s", &image->working_dir);
    image->user = take_maybe_string(record, 7);
    g_variant_get_child(record, 8, "i", &image->stop_signal);
    image->high_ids = take_ids(record, 9);
    g_variant_get_child(record, 10, "t", &image->size_bytes);
    image->created = take_maybe_string(record, 11);
    image->warnings = take_strv(record, 12);
    image->labels = take_strv(record, 13);
    image->health_test = take_maybe_strv(record, 14);
    g_variant_get_child(record, 15, "x", &image->health_interval_us);
    g_variant_get_child(record, 16, "x", &image->health_timeout_us);
    g_variant_get_child(record, 17, "x", &image->health_start_period_us);
    g_variant_get_child(record, 18, "x", &image->health_start_interval_us);
    g_variant_get_child(record, 19, "x", &image->health_retries);
    g_autofree char *disk = take_maybe_string(record, 20);
    image->disk = disk ? duet_disk_path(root, disk) : NULL;
    g_variant_get_child(record, 21, "t", &image->disk_virtual_bytes);
    image->disk_firmware = take_maybe_string(record, 22);
    return image;
}

DuetImage *duet_record_image(
    const char *store_dir, const char *manifest_hex, const char *ref, GError **error)
{
    g_autofree char *root = g_canonicalize_filename(store_dir, NULL);
    g_autofree char *path = g_build_filename(root, DUET_RECORD_DIR, manifest_hex, NULL);
    g_autoptr(GVariant) record = load_variant(path, DUET_IMAGE_TYPE);
    if (!record) {
        set_stale(error, store_dir, "the record of an image is missing");
        return NULL;
    }
    g_autofree char *magic = NULL;
    g_variant_get_child(record, 0, "s", &magic);
    if (!g_str_equal(magic, DUET_IMAGE_MAGIC)) {
        set_stale(error, store_dir, "the record of an image has another format");
        return NULL;
    }
    g_autoptr(DuetImage) image = image_from_record(record, root);
    image->ref = g_strdup(ref);
    image->digest = g_strconcat("sha256:", manifest_hex, NULL);
    if (!check_derived(store_dir, image, error))
        return NULL;
    return g_steal_pointer(&image);
}

char *duet_image_name(const char *name)
{
    if (g_str_has_prefix(name, "docker.io/library/"))
        name += strlen("docker.io/library/");
    const char *slash = strrchr(name, '/');
    gboolean tagged = strchr(slash ? slash : name, ':') != NULL;
    return g_strconcat(name, tagged ? NULL : ":latest", NULL);
}

static gboolean is_hex(const char *text)
{
    return text[strspn(text, "0123456789abcdef")] == '\0';
}

static gssize find_name(GVariant *rows, const char *name)
{
    gsize n = g_variant_n_children(rows);
    for (gsize i = 0; i < n; i++) {
        const char *row_name = NULL;
        g_variant_get_child(rows, i, "(&s&s&si&s)", &row_name, NULL, NULL, NULL, NULL);
        if (g_str_equal(row_name, name))
            return (gssize)i;
    }
    return -1;
}

/* Rows of one manifest are one image; so are those of one config, which differ in how their layers
 * are packed. The first stands for all. */
static gssize find_hex(GVariant *rows, const char *hex, gboolean *out_ambiguous)
{
    gssize found = -1;
    const char *found_manifest = NULL, *found_config = NULL;
    gsize n = g_variant_n_children(rows);
    *out_ambiguous = FALSE;
    for (gsize i = 0; i < n; i++) {
        const char *manifest = NULL, *config = NULL;
        g_variant_get_child(rows, i, "(&s&s&si&s)", NULL, &manifest, &config, NULL, NULL);
        if (!g_str_has_prefix(manifest, hex) && !g_str_has_prefix(config, hex))
            continue;
        if (found < 0) {
            found = (gssize)i;
            found_manifest = manifest;
            found_config = config;
        } else if (!g_str_equal(manifest, found_manifest) &&
            (!*config || !g_str_equal(config, found_config))) {
            *out_ambiguous = TRUE;
        }
    }
    return found;
}

static gssize find_any_name(GVariant *rows, const char *ref)
{
    g_autofree char *name = duet_image_name(ref);
    gssize row = find_name(rows, name);
    /* podman writes the names of images that it built as "localhost/...". */
    if (row < 0 && !strchr(name, '/')) {
        g_autofree char *local = g_strconcat("localhost/", name, NULL);
        row = find_name(rows, local);
    }
    return row;
}

gssize duet_record_find(
    const char *store_dir, GVariant *refs, const char *ref, gboolean *out_by_digest, GError **error)
{
    g_autoptr(GVariant) rows = g_variant_get_child_value(refs, 4);
    const char *at = strstr(ref, "@sha256:");
    const char *digest = at ? at + 1 : ref;
    gboolean by_digest = g_str_has_prefix(digest, "sha256:");
    const char *hex = by_digest ? digest + strlen("sha256:") : ref;
    gssize row = by_digest || !*ref ? -1 : find_any_name(rows, ref);
    if (row < 0 && strlen(hex) >= MIN_PREFIX && strlen(hex) <= HEX_LENGTH && is_hex(hex)) {
        gboolean ambiguous = FALSE;
        row = find_hex(rows, hex, &ambiguous);
        by_digest = TRUE;
        if (ambiguous) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "more than one image in store '%s' has a digest that begins with '%s'; give more "
                "of it",
                store_dir, hex);
            return -1;
        }
    }
    if (row < 0)
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "there is no image '%s' in store '%s'; see 'duet image ls', or add it with "
            "'duet image import'",
            ref, store_dir);
    if (row >= 0 && out_by_digest)
        *out_by_digest = by_digest;
    return row;
}

DuetImage *duet_image_lookup(const char *store_dir, const char *ref, GError **error)
{
    g_return_val_if_fail(store_dir && ref, NULL);

    g_autoptr(GVariant) refs = duet_record_refs(store_dir, error);
    if (!refs)
        return NULL;
    gssize row = duet_record_find(store_dir, refs, ref, NULL, error);
    if (row < 0)
        return NULL;
    g_autoptr(GVariant) rows = g_variant_get_child_value(refs, 4);
    const char *name = NULL, *manifest = NULL, *message = NULL;
    int code = -1;
    g_variant_get_child(rows, (gsize)row, "(&s&s&si&s)", &name, &manifest, NULL, &code, &message);
    if (code >= 0) {
        g_set_error(error, DUET_ERROR, code, "image '%s' cannot be used: %s", ref, message);
        return NULL;
    }
    return duet_record_image(store_dir, manifest, *name ? name : NULL, error);
}
