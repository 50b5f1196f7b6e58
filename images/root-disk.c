/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The read-only root disk of an image for VMs. The unpacked layers are merged as overlayfs would
 * (merge.c) into one tar stream, which tar2sqfs makes a squashfs of; nothing is unpacked twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/catalog.h"
#include "images/merge.h"

#define STAGED "vmroot"
#define STAGED_TOO "vmroot-too"
/* tar2sqfs writes blocks of this size. */
#define PROBE_BYTES (128 * 1024)
#define MAX_JOBS 4

/**
 * Packer: a running tar2sqfs.
 * @in_fd: a socket, not a pipe: writing to one whose reader died is an error and no SIGPIPE
 * @log_fd: what it says
 */
typedef struct {
    GPid pid;
    int in_fd;
    int log_fd;
} Packer;

static gboolean packer_spawn(Packer *packer, const char *path, GError **error)
{
    g_autofree char *jobs = g_strdup_printf("%u", CLAMP(g_get_num_processors(), 1, MAX_JOBS));
    const char *argv[] = { "tar2sqfs", "--quiet", "--force", "--no-skip", "--compressor", "lz4",
        "--num-jobs", jobs, path, NULL };
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return duet_error_set_errno(error, errno, "cannot make a socket");
    packer->in_fd = sockets[0];
    g_autoptr(GError) local = NULL;
    gboolean good = g_spawn_async_with_fds(NULL, (char **)argv, NULL,
        G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, NULL, NULL, &packer->pid, sockets[1],
        packer->log_fd, packer->log_fd, &local);
    close(sockets[1]);
    if (!good)
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "cannot run 'tar2sqfs', which makes root disks for VMs: %s; install the package "
            "squashfs-tools-ng",
            local->message);
    return good;
}

static char *packer_log(Packer *packer)
{
    char text[1024];
    ssize_t n = pread(packer->log_fd, text, sizeof text - 1, 0);
    text[MAX(n, 0)] = '\0';
    return g_utf8_make_valid(g_strstrip(text), -1);
}

/* Waits for its end. @written: whether all was written to it */
static gboolean packer_finish(Packer *packer, gboolean written, GError **error)
{
    duet_fd_clear(&packer->in_fd);
    if (!written)
        kill(packer->pid, SIGKILL);
    int status = 0;
    while (waitpid(packer->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (written && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    g_autofree char *log = packer_log(packer);
    if (written)
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "'tar2sqfs' failed: %s", log);
    return FALSE;
}

/*
 * tar2sqfs says "I/O error" for a full disk and deletes what it wrote. A second name, made before,
 * keeps that, so that the disk is as full as it was then.
 */
static gboolean make_two_names(DuetStore *store, GError **error)
{
    DUET_AUTO_FD fd = openat(store->tmp_fd, STAGED, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || linkat(store->tmp_fd, STAGED, store->tmp_fd, STAGED_TOO, 0) < 0)
        return duet_error_set_errno(error, errno, "cannot make a file in '%s'", store->dir);
    return TRUE;
}

/* Makes the packer's error one of space if that is what it was. */
static void check_space(DuetStore *store, GError **error)
{
    DUET_AUTO_FD fd = openat(store->tmp_fd, "probe", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    g_autofree char *block = g_malloc0(PROBE_BYTES);
    if (fd >= 0 && duet_write_all(fd, block, PROBE_BYTES))
        return;
    int err = errno;
    if (err != ENOSPC && err != EDQUOT)
        return;
    g_clear_error(error);
    duet_error_set_errno(error, err, "cannot write to '%s'", store->dir);
}

static gboolean pack(DuetStore *store, const DuetImage *image, GError **error)
{
    g_autofree char *path = g_build_filename(store->dir, store->tmp, STAGED, NULL);
    Packer packer = { .in_fd = -1, .log_fd = memfd_create("log", MFD_CLOEXEC) };
    if (packer.log_fd < 0)
        return duet_error_set_errno(error, errno, "cannot make a memory file");
    gboolean good = make_two_names(store, error) && packer_spawn(&packer, path, error);
    if (good) {
        g_autoptr(GError) local = NULL;
        gboolean written = duet_merge_write(image->layer_dirs, packer.in_fd, &local);
        /* A broken connection means that the packer failed first: its reason is the better one. */
        gboolean hung_up = g_error_matches(local, DUET_ERROR, DUET_ERROR_STATE);
        good = packer_finish(&packer, written || hung_up, error);
        if (local && !hung_up)
            g_propagate_error(error, g_steal_pointer(&local));
    }
    duet_fd_clear(&packer.in_fd);
    duet_fd_clear(&packer.log_fd);
    if (!good)
        check_space(store, error);
    return good;
}

static gboolean put_in_place(DuetStore *store, const char *disk, GError **error)
{
    DUET_AUTO_FD fd = openat(store->tmp_fd, STAGED, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    /* QEMU runs as another user than the store's. */
    if (fd < 0 || fchmod(fd, 0644) < 0 || fsync(fd) < 0)
        return duet_error_set_errno(error, errno, "cannot finish '%s'", disk);
    return duet_store_mkdir(store, "vmroot", 0711, error) &&
        (renameat(store->tmp_fd, STAGED, AT_FDCWD, disk) == 0 ||
            duet_error_set_errno(error, errno, "cannot make '%s'", disk));
}

char *duet_root_disk_path(const char *store_dir, const char *chain)
{
    g_autofree char *name = g_strconcat(chain, DUET_ROOT_DISK_SUFFIX, NULL);
    return g_build_filename(store_dir, "vmroot", name, NULL);
}

char *duet_images_root_disk(const char *store_dir, const DuetImage *image, GError **error)
{
    DUET_RAW_NAMES;
    guint n = g_strv_length(image->layer_dirs);
    if (n == 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "image '%s' has no files of its own: it is a disk", image->digest);
        return NULL;
    }
    /* Named by the files in it, not by the manifest: images that differ in their config share it.
     */
    g_autofree char *chain = g_path_get_basename(image->layer_dirs[n - 1]);
    g_autofree char *root = g_canonicalize_filename(store_dir, NULL);
    g_autofree char *disk = duet_root_disk_path(root, chain);
    if (access(disk, R_OK) == 0)
        return g_steal_pointer(&disk);
    g_autoptr(DuetStore) store = duet_store_open_write(store_dir, error);
    if (!store)
        return NULL;
    /* Another one may have made it while we waited for the lock. */
    if (access(disk, R_OK) == 0)
        return g_steal_pointer(&disk);
    if (!pack(store, image, error) || !put_in_place(store, disk, error)) {
        g_prefix_error(error, "the root disk of image '%s': ", image->digest);
        return NULL;
    }
    return g_steal_pointer(&disk);
}
