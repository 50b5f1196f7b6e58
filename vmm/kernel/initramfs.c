/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initramfs.h"
#include "vmm/cache.h"
#include "modules.h"
#include "core/util.h"

#include <duet/error.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Part of the cache's key: raise it when the contents change for the same inputs. */
#define FORMAT "initramfs 2"

/* What the agent's channel needs, and what the root file system needs after that. */
static const char *const port_modules[] = { "virtio_pci", "virtio_console", NULL };
static const char *const mmio_port_modules[] = { "virtio_mmio", "virtio_console", NULL };
static const char *const root_modules[] = { "virtio_blk", "squashfs", "overlay", "?crc32c_generic",
    "ext4", NULL };
static const char *const folder_modules[] = { "fuse", "virtiofs", NULL };
/* There for when it is needed: the agent knows its name. */
static const char *const kept_modules[] = { "?virtio_balloon", "?pvpanic", "?pvpanic_mmio", NULL };
static const char *const rng_modules[] = { "virtio_rng", NULL };

void duet_initramfs_free(DuetInitramfs *initramfs)
{
    if (!initramfs)
        return;
    g_free(initramfs->path);
    g_free(initramfs->sha256);
    g_free(initramfs);
}

static gboolean add_entry(struct archive *cpio, struct archive_entry *entry, GBytes *bytes)
{
    gsize length = 0;
    const void *data = bytes ? g_bytes_get_data(bytes, &length) : NULL;
    archive_entry_set_size(entry, (la_int64_t)length);
    /* A fixed time: equal inputs give an equal file. */
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    gboolean ok = archive_write_header(cpio, entry) == ARCHIVE_OK &&
        (!length || archive_write_data(cpio, data, length) == (la_ssize_t)length);
    archive_entry_free(entry);
    return ok;
}

static struct archive_entry *entry_new(const char *path, mode_t mode)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, path);
    archive_entry_set_mode(entry, mode);
    return entry;
}

static gboolean add_file(struct archive *cpio, const char *path, mode_t mode, GBytes *bytes)
{
    return add_entry(cpio, entry_new(path, S_IFREG | mode), bytes);
}

static gboolean add_folders(struct archive *cpio)
{
    static const char *const folders[] = { "dev", "proc", "sys", "modules" };
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
        if (!add_entry(cpio, entry_new(folders[i], S_IFDIR | 0755), NULL))
            return FALSE;
    /* The kernel opens /dev/console for /init before anything mounts /dev. */
    struct archive_entry *console = entry_new("dev/console", S_IFCHR | 0600);
    archive_entry_set_rdevmajor(console, 5);
    archive_entry_set_rdevminor(console, 1);
    return add_entry(cpio, console, NULL);
}

/**
 * Contents: what goes into one initramfs.
 * @modules: (element-type DuetModule): in load order
 * @early: how many of them the port needs
 * @loaded: how many are loaded in each boot
 */
typedef struct {
    GBytes *agent;
    GPtrArray *modules;
    guint early, loaded;
} Contents;

static gboolean add_contents(struct archive *cpio, const Contents *contents)
{
    g_autoptr(GString) order = g_string_new(NULL);
    if (!add_folders(cpio) || !add_file(cpio, "init", 0755, contents->agent))
        return FALSE;
    for (guint i = 0; i < contents->modules->len; i++) {
        const DuetModule *module = contents->modules->pdata[i];
        g_autofree char *path = g_strdup_printf("modules/%s.ko", module->name);
        if (i == contents->early)
            g_string_append_c(order, '\n');
        if (i < contents->loaded)
            g_string_append_printf(order, "/%s\n", path);
        if (!add_file(cpio, path, 0644, module->bytes))
            return FALSE;
    }
    g_autoptr(GBytes) text = g_bytes_new(order->str, order->len);
    return add_file(cpio, "modules/order", 0644, text);
}

static gboolean cpio_write(const char *path, const Contents *contents, GError **error)
{
    struct archive *cpio = archive_write_new();
    archive_write_set_format_cpio_newc(cpio);
    gboolean ok = archive_write_open_filename(cpio, path) == ARCHIVE_OK &&
        add_contents(cpio, contents) && archive_write_close(cpio) == ARCHIVE_OK;
    if (!ok)
        duet_error_set_errno(error, archive_errno(cpio), "cannot write the initramfs '%s'", path);
    archive_write_free(cpio);
    return ok;
}

static void wanted_add(GPtrArray *wanted, const char *const *names)
{
    for (; *names; names++)
        g_ptr_array_add(wanted, (gpointer)*names);
}

static GPtrArray *resolve(const DuetGuestKernel *kernel, GPtrArray *wanted, GError **error)
{
    g_autofree const char **names = g_new0(const char *, wanted->len + 1);
    memcpy(names, wanted->pdata, wanted->len * sizeof *names);
    return duet_modules_resolve(kernel->modules_dir, names, error);
}

static gboolean build(const char *path, const DuetGuestKernel *kernel, GBytes *agent,
    DuetInitramfsContents wanted_too, GError **error)
{
    /* Resolved more than once: each part is a prefix of the whole order. */
    const char *const *port = wanted_too & DUET_INITRAMFS_MMIO ? mmio_port_modules : port_modules;
    g_autoptr(GPtrArray) early = duet_modules_resolve(kernel->modules_dir, port, error);
    if (!early)
        return FALSE;
    g_autoptr(GPtrArray) wanted = g_ptr_array_new();
    wanted_add(wanted, port);
    wanted_add(wanted, root_modules);
    if (wanted_too & DUET_INITRAMFS_FOLDERS)
        wanted_add(wanted, folder_modules);
    if (wanted_too & DUET_INITRAMFS_RNG)
        wanted_add(wanted, rng_modules);
    g_autoptr(GPtrArray) loaded = resolve(kernel, wanted, error);
    wanted_add(wanted, kept_modules);
    g_autoptr(GPtrArray) modules = loaded ? resolve(kernel, wanted, error) : NULL;
    if (!modules)
        return FALSE;
    Contents contents = { agent, modules, early->len, loaded->len };
    DUET_AUTO_FD lock_fd = -1;
    g_autofree char *fresh = duet_vm_cache_begin(path, &lock_fd, error);
    g_autofree char *sum_path = g_strconcat(path, ".sha256", NULL);
    if (!fresh)
        return FALSE;
    g_autofree char *sum =
        cpio_write(fresh, &contents, error) ? duet_vm_file_sha256(fresh, error) : NULL;
    gboolean ok = sum && duet_file_replace(AT_FDCWD, sum_path, sum, strlen(sum), error);
    return ok ? duet_vm_cache_commit(fresh, path, error) : duet_vm_cache_abandon(fresh);
}

static char *cache_key(
    const DuetGuestKernel *kernel, GBytes *agent, DuetInitramfsContents wanted_too)
{
    g_autofree char *agent_sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, agent);
    g_autofree char *text = g_strdup_printf("%s\n%s\n%s\n%s\n%d", FORMAT, kernel->sha256,
        kernel->modules_dir ? kernel->modules_dir : "", agent_sum, wanted_too);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

DuetInitramfs *duet_initramfs_get(const DuetGuestKernel *kernel, const void *agent,
    gsize agent_bytes, DuetInitramfsContents wanted_too, GError **error)
{
    g_autoptr(GBytes) init = g_bytes_new_static(agent, agent_bytes);
    g_autofree char *dir = duet_vm_cache_path("initramfs", NULL);
    g_autofree char *key = cache_key(kernel, init, wanted_too);
    g_autofree char *path = g_strdup_printf("%s/%s.cpio", dir, key);
    g_autofree char *sum_path = g_strconcat(path, ".sha256", NULL);
    if (access(path, R_OK) != 0 || access(sum_path, R_OK) != 0) {
        if (!build(path, kernel, init, wanted_too, error)) {
            g_prefix_error(error, "cannot make the initramfs: ");
            return NULL;
        }
    }
    g_autoptr(DuetInitramfs) initramfs = g_new0(DuetInitramfs, 1);
    initramfs->sha256 = duet_file_read(AT_FDCWD, sum_path, 128, NULL, error);
    if (!initramfs->sha256)
        return NULL;
    initramfs->path = g_steal_pointer(&path);
    return g_steal_pointer(&initramfs);
}
