/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/module.h"

#include <duet/error.h>

#include <dlfcn.h>

gboolean duet_module_in_build(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    return self && g_str_has_prefix(self, DUET_BUILD_DIR "/");
}

/* Where a module lies: beside the sources' folders in a build tree, else where it was installed. */
static char *module_path(const char *module)
{
    g_autofree char *file = g_strconcat(module, ".so", NULL);
    const char *override = g_getenv("DUET_MODULE_DIR");
    if (override && g_path_is_absolute(override))
        return g_build_filename(override, file, NULL);
    if (duet_module_in_build()) {
        static const char *const folders[] = { "vmm", "images", "cli", "container", "core" };
        for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
            g_autofree char *path = g_build_filename(DUET_BUILD_DIR, folders[i], file, NULL);
            if (g_file_test(path, G_FILE_TEST_EXISTS))
                return g_steal_pointer(&path);
        }
    }
    return g_build_filename(DUET_MODULE_DIR, file, NULL);
}

/* dlopen(3) itself: one library fewer for every command to load than with GModule. */
gpointer duet_module_open(
    const char *module, const char *symbol, gpointer *out_address, GError **error)
{
    g_autofree char *path = module_path(module);
    void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    *out_address = handle ? dlsym(handle, symbol) : NULL;
    if (*out_address)
        return handle;
    g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
        "cannot load the module '%s': %s; is this part of duet installed?", path, dlerror());
    if (handle)
        dlclose(handle);
    return NULL;
}

gconstpointer duet_module_symbol(const char *module, const char *symbol, GError **error)
{
    gpointer address = NULL;
    duet_module_open(module, symbol, &address, error);
    return address;
}
