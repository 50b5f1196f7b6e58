/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Debian's cloud kernel, fetched with apt and unpacked beside the system: nothing is installed,
 * no maintainer script runs, /boot and /lib/modules stay as they are.
 */
#include "kernel.h"
#include "vmm/cache.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define META_PACKAGE "linux-image-cloud-amd64"

/* The meta package names the real one, "linux-image-<version>". */
static char *package_of(const char *depends)
{
    g_auto(GStrv) lines = g_strsplit(depends, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *name = g_strstrip(*line);
        if (!g_str_has_prefix(name, "Depends: "))
            continue;
        name += strlen("Depends: ");
        if (g_str_has_prefix(name, "linux-image-"))
            return g_strdup(name);
    }
    return NULL;
}

static char *only_match(const char *folder, const char *prefix, const char *suffix, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (g_str_has_prefix(name, prefix) && g_str_has_suffix(name, suffix))
            return g_build_filename(folder, name, NULL);
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_NOT_FOUND, "no '%s*%s' in '%s'", prefix, suffix, folder);
    return NULL;
}

static char *deb_download(const char *work, GError **error)
{
    const char *const depends[] = { "apt-cache", "depends", META_PACKAGE, NULL };
    g_autofree char *text = duet_capture(depends, error);
    g_autofree char *package = text ? package_of(text) : NULL;
    if (text && !package)
        g_set_error(
            error, DUET_ERROR, DUET_ERROR_NOT_FOUND, "apt knows no package '%s'", META_PACKAGE);
    if (!package)
        return NULL;
    /* apt's own download user may not write to our folder. */
    const char *const download[] = { "sh", "-c",
        "cd \"$1\" && exec apt-get -q -o APT::Sandbox::User=root download \"$2\"", "sh", work,
        package, NULL };
    g_autofree char *out = duet_capture(download, error);
    return out ? only_match(work, "linux-image-", ".deb", error) : NULL;
}

/* Turns the package's tree into <stage>/{vmlinuz,lib/modules/<version>}. Returns: the version. */
static char *stage_fill(const char *tree, const char *stage, GError **error)
{
    g_autofree char *boot = g_build_filename(tree, "boot", NULL);
    g_autofree char *image = only_match(boot, "vmlinuz-", "", error);
    if (!image)
        return NULL;
    g_autofree char *version = g_strdup(strstr(image, "vmlinuz-") + strlen("vmlinuz-"));
    g_autofree char *lib = g_build_filename(stage, "lib", NULL);
    g_autofree char *to_modules = g_build_filename(lib, "modules", NULL);
    g_autofree char *to_image = g_build_filename(stage, "vmlinuz", NULL);
    if (!duet_mkdir_p(lib, 0755, error))
        return NULL;
    g_autofree char *modules = g_build_filename(tree, "lib/modules", NULL);
    g_autofree char *usr_modules = g_build_filename(tree, "usr/lib/modules", NULL);
    if ((rename(modules, to_modules) < 0 && rename(usr_modules, to_modules) < 0) ||
        rename(image, to_image) < 0) {
        duet_error_set_errno(error, errno, "cannot move the unpacked kernel to '%s'", stage);
        return NULL;
    }
    return g_steal_pointer(&version);
}

static char *fetch_into(const char *work, GError **error)
{
    g_autofree char *deb = deb_download(work, error);
    if (!deb)
        return NULL;
    g_autofree char *tree = g_build_filename(work, "tree", NULL);
    g_autofree char *stage = g_build_filename(work, "stage", NULL);
    const char *const unpack[] = { "dpkg-deb", "-x", deb, tree, NULL };
    g_autofree char *out = duet_capture(unpack, error);
    g_autofree char *version = out ? stage_fill(tree, stage, error) : NULL;
    if (!version)
        return NULL;
    g_autofree char *place = duet_vm_cache_path("kernel", version, NULL);
    /* We hold the lock and found no kernel: what is there is what is left of one. */
    if (!duet_remove_tree(AT_FDCWD, place, error))
        return NULL;
    if (rename(stage, place) < 0) {
        duet_error_set_errno(error, errno, "cannot put the kernel at '%s'", place);
        return NULL;
    }
    return g_build_filename(place, "vmlinuz", NULL);
}

char *duet_guest_kernel_fetch(GError **error)
{
    DUET_AUTO_FD lock = duet_vm_cache_lock("kernel", error);
    if (lock < 0)
        return NULL;
    /* Whoever held the lock may have fetched it. */
    char *path = duet_guest_kernel_locate(NULL, NULL);
    if (path)
        return path;
    g_autofree char *work = duet_vm_cache_path("kernel", ".fetch", NULL);
    if (!duet_remove_tree(AT_FDCWD, work, error) || !duet_mkdir_p(work, 0755, error))
        return NULL;
    path = fetch_into(work, error);
    duet_remove_tree(AT_FDCWD, work, NULL);
    if (!path)
        g_prefix_error(error,
            "no guest kernel here, and Debian's '%s' cannot be fetched (is the network up, did "
            "'apt-get update' run? --kernel FILE names another): ",
            META_PACKAGE);
    return path;
}
