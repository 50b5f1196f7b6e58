/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/vm.h"
#include "vmm/data-disk.h"
#include "vmm/disk-guest/disk-guest.h"
#include "vmm/folders.h"
#include "vmm/graphics.h"
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
/* A whole system, of which its user waits for a sign of life. */
#define DISK_BOOT_TIMEOUT_S 300
#define DISK_TCG_BOOT_TIMEOUT_S 1800

static GPtrArray *disks_make(DuetVm *vm, GError **error)
{
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(vm->spec->disks, error);
    for (guint i = 0; disks && i < disks->len; i++) {
        if (!duet_vm_disk_show(vm, disks->pdata[i], error))
            return NULL;
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

/* What QEMU opens of a VM's own: @kept owns the paths. */
static const char *show(
    DuetVm *vm, GPtrArray *kept, const char *name, const char *source, GError **error)
{
    char *shown = vm->libvirt->show_file(vm, name, source, error);
    if (shown)
        g_ptr_array_add(kept, shown);
    return shown;
}

static const char *show_own(DuetVm *vm, GPtrArray *kept, const char *name, GError **error)
{
    g_autofree char *source = g_build_filename(vm->place->instance_dir, name, NULL);
    return show(vm, kept, name, source, error);
}

/* ".img": AppArmor lets libvirt's helper look into such a file, and logs a denial of others. */
static gboolean plan_image(DuetVm *vm, DuetVmPlan *plan, GPtrArray *kept, GError **error)
{
    return (plan->kernel = show(vm, kept, "kernel", vm->kernel->boot_path, error)) &&
        (plan->initramfs = show(vm, kept, "initramfs", vm->initramfs->path, error)) &&
        (plan->root_disk = show(vm, kept, "root.img", vm->spec->root_disk, error)) &&
        (plan->rw_disk = show_own(vm, kept, "rw.img", error));
}

static gboolean plan_disk(DuetVm *vm, DuetVmPlan *plan, GPtrArray *kept, GError **error)
{
    plan->loader = duet_disk_guest_loader(vm->spec);
    return (plan->disk_base = show(vm, kept, "base.qcow2", vm->spec->disk_image, error)) &&
        (plan->disk = show_own(vm, kept, DUET_DISK_OVERLAY, error)) &&
        (plan->seed = show_own(vm, kept, DUET_DISK_SEED, error)) &&
        (!plan->loader || (plan->nvram = show_own(vm, kept, DUET_DISK_VARS, error)));
}

static char *xml_make(DuetVm *vm, GError **error)
{
    g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
    DuetVmPlan plan = { 0 };
    gboolean is_disk = vm->spec->disk_image != NULL;
    if (is_disk ? !plan_disk(vm, &plan, kept, error) : !plan_image(vm, &plan, kept, error))
        return NULL;
    g_autoptr(GPtrArray) folders = duet_vm_folders_make(vm, error);
    g_autoptr(GPtrArray) disks = folders ? disks_make(vm, error) : NULL;
    if (!disks)
        return NULL;
    g_autofree char *cmdline = is_disk ? NULL : duet_vm_cmdline(vm);
    plan.kvm = vm->kvm;
    plan.emulator = vm->emulator;
    plan.cmdline = cmdline;
    plan.agent_socket = vm->agent_socket;
    plan.console_socket = vm->console_socket;
    plan.vnc_socket = vm->vnc_socket;
    plan.vnc_password = vm->vnc_password;
    plan.console_log = vm->console_log;
    plan.virtiofsd = duet_vm_virtiofsd_find();
    plan.folders = folders;
    plan.disks = disks;
    plan.for_daemon = vm->spec->connect != NULL;
    plan.label = vm->label;
    plan.domain_id = vm->domain_id;
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

static int port_connect(const char *path, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    DUET_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return duet_fd_steal(&fd);
    duet_error_set_errno(error, errno, "cannot connect to the VM's port '%s'", path);
    return -1;
}

static int agent_connect(DuetVm *vm, GError **error)
{
    if (!vm->spec->disk_image)
        return port_connect(vm->agent_socket, error);
    int console_fd = port_connect(vm->console_socket, error);
    return console_fd < 0 ? -1 : duet_disk_guest_link(vm, console_fd, error);
}

/* The longest path of a socket below it is, in a root of ours, that of QEMU's monitor. */
gboolean duet_vm_run_dir_make(const DuetVm *vm, GError **error)
{
    const char *dir = vm->place->run_dir;
    gsize longest = strlen(
        vm->spec->connect ? "/console.sock" : "/lib/qemu/domain-1-0123456789ab/monitor.sock");
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
    if (vm->spec->disk_image)
        vm->console_socket = g_build_filename(vm->place->run_dir, "console.sock", NULL);
    if (!duet_vm_graphics_prepare(vm, error))
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
    if (vm->spec->disk_image)
        out_started->boot_timeout_s = vm->kvm ? DISK_BOOT_TIMEOUT_S : DISK_TCG_BOOT_TIMEOUT_S;
    else if (!vm->kvm)
        out_started->boot_timeout_s = TCG_BOOT_TIMEOUT_S;
    out_started->pidfd = duet_fd_steal(&pidfd);
    out_started->agent_fd = duet_fd_steal(&agent_fd);
    return TRUE;
}
