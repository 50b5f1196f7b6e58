/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/folders.h"
#include "vmm/mounts.h"
#include "vmm/userns.h"
#include "core/cgroup/cgroup.h"
#include "core/rootless.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What virtiofsd knows its socket as. */
#define SOCKET_FD 3

const char *duet_vm_virtiofsd_find(void)
{
    static const char *const paths[] = { "/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd",
        "/usr/lib/virtiofsd" };
    for (guint i = 0; i < G_N_ELEMENTS(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

gboolean duet_vm_folders_check(const DuetSpec *spec, GError **error)
{
    gboolean own_dev = !spec->connect && !duet_is_rootless();

    if (spec->mounts->len > DUET_VM_MOUNTS_MAX) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "%u mounts are too many for a VM: at most %d", spec->mounts->len, DUET_VM_MOUNTS_MAX);
        return FALSE;
    }
    for (guint i = 0; i < spec->mounts->len && own_dev; i++) {
        const char *source = ((const DuetMount *)spec->mounts->pdata[i])->source;
        if (!g_str_has_prefix(source, "/dev/"))
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot share '%s' with a VM: QEMU has a /dev of its own; use a folder elsewhere, or a "
            "container",
            source);
        return FALSE;
    }
    return TRUE;
}

/* An ordinary user's virtiofsd needs that user's namespace. */
static gboolean check_powers(const DuetSpec *spec, GError **error)
{
    if (!duet_is_flat())
        return TRUE;
    g_autofree char *obstacle = duet_rootless_obstacle();
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, "cannot share '%s': %s",
        ((const DuetMount *)spec->mounts->pdata[0])->source,
        obstacle ? obstacle : "virtiofsd needs a user namespace");
    return FALSE;
}

/* Returns: (nullable): the program, or NULL with @error. */
static const char *find_program(const DuetSpec *spec, guint index, GError **error)
{
    const char *program = duet_vm_virtiofsd_find();

    if (!program)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot share '%s': there is no virtiofsd; install the package that has it, "
            "qemu-system-common or virtiofsd",
            ((const DuetMount *)spec->mounts->pdata[index])->source);
    return program;
}

/* @uid: QEMU's */
static int listen_at(const char *path, guint32 uid, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    DUET_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        (duet_is_rootless() || chown(path, uid, (gid_t)-1) == 0) && listen(fd, 1) == 0)
        return duet_fd_steal(&fd);
    duet_error_set_errno(error, errno, "cannot listen at '%s' for a shared folder", path);
    return -1;
}

/**
 * Child: what its set-up needs
 * @userns_fd: of the namespace that it moves to, or -1: it is in one already
 */
typedef struct {
    DuetCgroup *cgroup;
    int userns_fd;
} Child;

/* In the child, which is charged to the payload. */
static void become_virtiofsd(gpointer data)
{
    const Child *child = data;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (duet_cgroup_join(child->cgroup, DUET_CGROUP_PAYLOAD) != 0 ||
        (child->userns_fd >= 0 && setns(child->userns_fd, CLONE_NEWUSER) < 0))
        _exit(1);
}

static gboolean spawn(DuetVm *vm, const char *program, const char *source, const char *path,
    int socket_fd, Child *child, GError **error)
{
    g_autofree char *options = g_strdup_printf("source=%s,sandbox=namespace,xattr", path);
    const char *argv[] = { program, "--fd=" G_STRINGIFY(SOCKET_FD), "--rlimit-nofile=0", "-o",
        options, NULL };
    int target = SOCKET_FD;
    GPid pid;

    if (!g_spawn_async_with_pipes_and_fds(NULL, argv, NULL,
            G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
            become_virtiofsd, child, -1, -1, -1, &socket_fd, &target, 1, &pid, NULL, NULL, NULL,
            error))
        return FALSE;
    duet_vm_server_watch(vm, pid, TRUE, source);
    return TRUE;
}

gboolean duet_vm_folder_serve(DuetVm *vm, DuetVmFolder *folder, guint index, GError **error)
{
    static const char all_ids[] = "0 0 4294967295\n";
    g_autofree char *name = g_strdup_printf("fs%u.sock", index);

    const char *program = find_program(vm->spec, index, error);
    if (!program)
        return FALSE;
    folder->socket = g_build_filename(vm->place->run_dir, name, NULL);
    DUET_AUTO_FD userns = duet_is_rootless() ? -1 : duet_vm_userns_make(all_ids, all_ids);
    if (userns < 0 && !duet_is_rootless())
        return duet_error_set_errno(
            error, errno, "cannot share '%s': no user namespace for virtiofsd", folder->path);
    DUET_AUTO_FD fd = listen_at(folder->socket, vm->place->id_base, error);
    Child child = { vm->place->cgroup, userns };
    return fd >= 0 &&
        spawn(vm, program, ((const DuetMount *)vm->spec->mounts->pdata[index])->source,
            folder->path, fd, &child, error);
}

gboolean duet_vm_folders_serve(DuetVm *vm, GError **error)
{
    const GPtrArray *mounts = vm->spec->mounts;

    if (mounts->len == 0 || !duet_is_rootless())
        return TRUE;
    if (!check_powers(vm->spec, error) || !duet_vm_run_dir_make(vm, error))
        return FALSE;
    /* For folders that are read-only, or a single file. */
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return duet_error_set_errno(error, errno, "cannot make a mount namespace for the VM");
    vm->folders = g_ptr_array_new_with_free_func((GDestroyNotify)duet_vm_folder_free);
    for (guint i = 0; i < mounts->len; i++) {
        DuetVmFolder *folder = duet_vm_mounts_folder(vm->place, mounts->pdata[i], i, error);
        if (!folder)
            return FALSE;
        g_ptr_array_add(vm->folders, folder);
        if (!duet_vm_folder_serve(vm, folder, i, error))
            return FALSE;
    }
    return TRUE;
}

GPtrArray *duet_vm_folders_make(DuetVm *vm, GError **error)
{
    const GPtrArray *mounts = vm->spec->mounts;

    if (vm->folders)
        return g_ptr_array_ref(vm->folders);
    g_autoptr(GPtrArray) folders =
        g_ptr_array_new_with_free_func((GDestroyNotify)duet_vm_folder_free);
    for (guint i = 0; i < mounts->len; i++) {
        DuetVmFolder *folder = vm->libvirt->show_folder(vm, mounts->pdata[i], i, error);
        if (!folder)
            return NULL;
        g_ptr_array_add(folders, folder);
    }
    return g_steal_pointer(&folders);
}
