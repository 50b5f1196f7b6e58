/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/vm.h"
#include "vmm/data-disk.h"
#include "vmm/folders.h"
#include "vmm/root.h"
#include "vmm/virt-error.h"
#include "vmm/xml-patch.h"
#include "core/attributes.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Where the host is itself emulated, an emulated guest has been seen to need more than 120 s. */
#define TCG_BOOT_TIMEOUT_S 600

static GPtrArray *disks_make(DuetVm *vm, GError **error)
{
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(vm->spec->disks, error);
    for (guint i = 0; disks && i < disks->len; i++) {
        DuetDataDisk *disk = disks->pdata[i];
        DUET_AUTO_FD fd = duet_data_disk_open(disk, error);
        char *shown =
            fd >= 0 ? vm->libvirt->show_disk(vm, disk, (guint)disk->index, fd, error) : NULL;
        if (!shown)
            return NULL;
        g_free(disk->path);
        disk->path = shown;
    }
    return g_steal_pointer(&disks);
}

static char *patched(const DuetVm *vm, char *xml, GError **error)
{
    if (!vm->spec->xml_patch)
        return xml;
    char *merged = duet_vm_xml_patch_apply(xml, vm->spec->xml_patch, error);
    g_free(xml);
    return merged;
}

static char *xml_make(DuetVm *vm, GError **error)
{
    char *(*show)(DuetVm *, const char *, const char *, GError **) = vm->libvirt->show_file;
    g_autofree char *rw_source = g_build_filename(vm->place->instance_dir, "rw.img", NULL);
    g_autofree char *kernel = show(vm, "kernel", vm->kernel->boot_path, error);
    g_autofree char *initramfs = kernel ? show(vm, "initramfs", vm->initramfs->path, error) : NULL;
    /* ".img": AppArmor lets libvirt's helper look into such a file, and logs a denial of others. */
    g_autofree char *root = initramfs ? show(vm, "root.img", vm->spec->root_disk, error) : NULL;
    g_autofree char *rw = root ? show(vm, "rw.img", rw_source, error) : NULL;
    g_autoptr(GPtrArray) folders = rw ? duet_vm_folders_make(vm, error) : NULL;
    g_autoptr(GPtrArray) disks = folders ? disks_make(vm, error) : NULL;
    if (!disks)
        return NULL;
    g_autofree char *cmdline = duet_vm_cmdline(vm);
    DuetVmPlan plan = {
        .kvm = vm->kvm,
        .emulator = vm->emulator,
        .kernel = kernel,
        .initramfs = initramfs,
        .cmdline = cmdline,
        .root_disk = root,
        .rw_disk = rw,
        .agent_socket = vm->agent_socket,
        .console_log = vm->console_log,
        .virtiofsd = duet_vm_virtiofsd_find(),
        .folders = folders,
        .disks = disks,
        .for_daemon = vm->spec->connect != NULL,
        .label = vm->label,
        .domain_id = vm->domain_id,
    };
    return patched(vm, duet_vm_domain_xml(vm->spec, &plan), error);
}

gboolean duet_vm_qemu_find_pid(DuetVm *vm, const char *pid_file, GError **error)
{
    g_autofree char *text = duet_file_read(AT_FDCWD, pid_file, 64, NULL, error);
    if (!text)
        return FALSE;
    vm->pid = (pid_t)g_ascii_strtoll(text, NULL, 10);
    vm->pidfd = vm->pid > 1 ? (int)syscall(SYS_pidfd_open, vm->pid, 0) : -1;
    /* Only a QEMU that was alive afterwards proves that the number was still its own. */
    if (vm->pidfd >= 0 && virDomainIsActive(vm->domain) == 1)
        return TRUE;
    duet_fd_clear(&vm->pidfd);
    vm->pid = 0;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "QEMU of '%s' ended right after its start",
        vm->spec->name);
    return FALSE;
}

static int agent_connect(const DuetVm *vm, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_strlcpy(address.sun_path, vm->agent_socket, sizeof address.sun_path);
    DUET_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return duet_fd_steal(&fd);
    duet_error_set_errno(error, errno, "cannot connect to the agent's port '%s'", vm->agent_socket);
    return -1;
}

/* The longest path of a socket below it is, in a root of ours, that of QEMU's monitor. */
gboolean duet_vm_run_dir_make(const DuetVm *vm, GError **error)
{
    const char *dir = vm->place->run_dir;
    gsize longest =
        strlen(vm->spec->connect ? "/agent.sock" : "/lib/qemu/domain-1-0123456789ab/monitor.sock");
    if (strlen(dir) + longest < sizeof((struct sockaddr_un *)NULL)->sun_path)
        return duet_mkdir_p(dir, 0711, error);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is too long for the sockets of a VM; set XDG_RUNTIME_DIR to a shorter one", dir);
    return FALSE;
}

static gboolean bring_up(DuetVm *vm, DuetMarks *marks, int *out_agent_fd, GError **error)
{
    if (!duet_vm_run_dir_make(vm, error) || !duet_vm_prepare(vm, error) ||
        !vm->libvirt->open(vm, error) || !duet_vm_saved_check(vm, error))
        return FALSE;
    vm->domain_xml = xml_make(vm, error);
    if (!vm->domain_xml || !vm->libvirt->create(vm, error))
        return FALSE;
    duet_marks_set(marks, DUET_MARK_SPAWNED);
    duet_vm_end_watch(vm);
    DUET_AUTO_FD agent_fd = agent_connect(vm, error);
    if (agent_fd < 0)
        return FALSE;
    if (!duet_attributes_apply(vm->spec, vm->pid, error))
        return FALSE;
    if (!duet_vm_saved_run(vm, error))
        return FALSE;
    duet_marks_set(marks, DUET_MARK_RUNNING);
    duet_vm_hold(vm);
    duet_vm_console_watch(vm);
    *out_agent_fd = duet_fd_steal(&agent_fd);
    return TRUE;
}

gboolean duet_vm_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    DUET_AUTO_FD agent_fd = -1;
    DUET_AUTO_FD pidfd = -1;
    gboolean ok = bring_up(vm, marks, &agent_fd, error);
    if (ok) {
        pidfd = fcntl(vm->pidfd, F_DUPFD_CLOEXEC, 3);
        ok = pidfd >= 0 || duet_error_set_errno(error, errno, "cannot copy a descriptor");
    }
    if (!ok) {
        duet_vm_end(vm, NULL);
        return FALSE;
    }
    out_started->facts = duet_vm_facts(vm);
    out_started->notice = vm->notice->len ? g_strdup(vm->notice->str) : NULL;
    out_started->cgroup = g_strdup(vm->cgroup);
    out_started->pid = vm->pid;
    if (!vm->kvm)
        out_started->boot_timeout_s = TCG_BOOT_TIMEOUT_S;
    out_started->pidfd = duet_fd_steal(&pidfd);
    out_started->agent_fd = duet_fd_steal(&agent_fd);
    return TRUE;
}
