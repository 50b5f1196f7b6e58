/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "modules.h"
#include "unpack.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fts.h>
#include <libkmod.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MODULE_MAX_BYTES (64u << 20)

/**
 * Resolver: the state of one resolution.
 * @paths: name -> path
 * @builtin: set of names
 * @seen: set of names that are in @order, or on their way there
 */
typedef struct {
    struct kmod_ctx *kmod;
    GHashTable *paths;
    GHashTable *builtin;
    GHashTable *seen;
    GPtrArray *order;
} Resolver;

static void module_free(gpointer data)
{
    DuetModule *module = data;
    g_free(module->name);
    g_bytes_unref(module->bytes);
    g_free(module);
}

/* "kernel/fs/nls/nls-base.ko.xz" -> "nls_base"; NULL for what is no module. */
static char *module_name(const char *path)
{
    g_autofree char *base = g_path_get_basename(path);
    char *suffix = strstr(base, ".ko");
    if (!suffix || (suffix[3] != '\0' && suffix[3] != '.'))
        return NULL;
    *suffix = '\0';
    return g_strdup(g_strdelimit(base, "-", '_'));
}

static void builtin_read(Resolver *resolver, const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "modules.builtin", NULL);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 4 << 20, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        char *name = module_name(*line);
        if (name)
            g_hash_table_add(resolver->builtin, name);
    }
}

static gboolean tree_read(Resolver *resolver, const char *dir, GError **error)
{
    char *const roots[] = { (char *)dir, NULL };
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    if (!tree)
        return duet_error_set_errno(error, errno, "cannot read the modules in '%s'", dir);
    FTSENT *entry;
    while ((entry = fts_read(tree))) {
        if (entry->fts_info != FTS_F && entry->fts_info != FTS_NSOK)
            continue;
        char *name = module_name(entry->fts_path);
        if (name)
            g_hash_table_insert(resolver->paths, name, g_strdup(entry->fts_path));
    }
    fts_close(tree);
    return TRUE;
}

/* Returns: the comma-separated "depends" of a module file, never NULL on success. */
static char *depends_of(Resolver *resolver, GBytes *module, GError **error)
{
    gsize length;
    const void *bytes = g_bytes_get_data(module, &length);
    /* libkmod wants a file, and may have been built without the module's compression. */
    DUET_AUTO_FD fd = memfd_create("duet-module", MFD_CLOEXEC);
    if (fd < 0 || !duet_write_all(fd, bytes, length)) {
        duet_error_set_errno(error, errno, "cannot copy it to memory");
        return NULL;
    }
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    struct kmod_module *kmod = NULL;
    struct kmod_list *info = NULL;
    char *depends = NULL;
    int err = kmod_module_new_from_path(resolver->kmod, path, &kmod);
    if (err >= 0)
        err = kmod_module_get_info(kmod, &info);
    for (struct kmod_list *at = info; at; at = kmod_list_next(info, at))
        if (strcmp(kmod_module_info_get_key(at), "depends") == 0)
            depends = g_strdup(kmod_module_info_get_value(at));
    kmod_module_info_free_list(info);
    kmod_module_unref(kmod);
    if (err < 0)
        duet_error_set_errno(error, -err, "it is no kernel module");
    else if (!depends)
        depends = g_strdup("");
    return depends;
}

static GBytes *module_read(const char *path, GError **error)
{
    gsize length;
    g_autofree char *packed = duet_file_read(AT_FDCWD, path, MODULE_MAX_BYTES, &length, error);
    if (!packed)
        return NULL;
    if (g_str_has_suffix(path, ".ko"))
        return g_bytes_new_take(g_steal_pointer(&packed), length);
    g_autoptr(GBytes) bytes = g_bytes_new_take(g_steal_pointer(&packed), length);
    return duet_unpack_bytes(bytes, 0, MODULE_MAX_BYTES, error);
}

static gboolean resolve(Resolver *resolver, const char *wanted, GError **error);

static gboolean resolve_file(Resolver *resolver, const char *name, const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = module_read(path, error);
    g_autofree char *depends = bytes ? depends_of(resolver, bytes, error) : NULL;
    if (!depends) {
        g_prefix_error(error, "kernel module '%s': ", path);
        return FALSE;
    }
    g_auto(GStrv) names = g_strsplit(depends, ",", -1);
    for (char **at = names; *at; at++)
        if (**at && !resolve(resolver, *at, error))
            return FALSE;
    DuetModule *module = g_new0(DuetModule, 1);
    module->name = g_strdup(name);
    module->bytes = g_steal_pointer(&bytes);
    g_ptr_array_add(resolver->order, module);
    return TRUE;
}

static gboolean resolve(Resolver *resolver, const char *wanted, GError **error)
{
    gboolean optional = wanted[0] == '?';
    g_autofree char *name = g_strdelimit(g_strdup(wanted + optional), "-", '_');
    if (g_hash_table_contains(resolver->builtin, name) ||
        !g_hash_table_add(resolver->seen, g_strdup(name)))
        return TRUE;
    const char *path = g_hash_table_lookup(resolver->paths, name);
    if (path)
        return resolve_file(resolver, name, path, error);
    if (optional)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "the guest kernel has '%s' neither built in nor as a module; try another --kernel", name);
    return FALSE;
}

GPtrArray *duet_modules_resolve(const char *dir, const char *const *wanted, GError **error)
{
    g_autoptr(GHashTable) paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) builtin = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) order = g_ptr_array_new_with_free_func(module_free);
    if (!dir)
        return g_steal_pointer(&order);
    const char *no_config = NULL;
    Resolver resolver = {
        .kmod = kmod_new(dir, &no_config),
        .paths = paths,
        .builtin = builtin,
        .seen = seen,
        .order = order,
    };
    if (!resolver.kmod) {
        duet_error_set_errno(error, errno, "cannot read the modules in '%s'", dir);
        return NULL;
    }
    builtin_read(&resolver, dir);
    gboolean ok = tree_read(&resolver, dir, error);
    for (; ok && *wanted; wanted++)
        ok = resolve(&resolver, *wanted, error);
    kmod_unref(resolver.kmod);
    return ok ? g_steal_pointer(&order) : NULL;
}
