/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See daemon.h. */
#include "daemon.h"
#include "vmm/disk-guest/disk-guest.h"
#include "vmm/domain-xml.h"
#include "vmm/folders.h"
#include "vmm/open-as.h"
#include "vmm/virt-error.h"
#include "vmm/vm.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <libvirt-glib/libvirt-glib.h>
#include <unistd.h>

/* A daemon that is being restarted is back within a few seconds. */
#define REOPEN_US (5 * G_USEC_PER_SEC)
#define REOPEN_PAUSE_US (500 * 1000)

/*
 * A uid of the instance's own, so that no other VM's QEMU can touch its disk; the group is
 * libvirt's, whose directories QEMU must pass. libvirt gives a user without a name that one group:
 * where KVM is another group's, only libvirt's own user is left, and AppArmor keeps them apart.
 */
static gboolean user_choose(DuetVm *vm, GError **error)
{
    DuetVmDaemonUser user;
    if (!duet_vm_daemon_user(vm->connection, &user, error))
        return FALSE;
    if (!user.privileged) {
        /* Below a home directory libvirt's own choice is soon too long for a socket. */
        vm->agent_socket = g_build_filename(vm->place->run_dir, "agent.sock", NULL);
        return TRUE;
    }
    gboolean own =
        !vm->kvm || duet_vm_can_open(DUET_VM_KVM_DEVICE, O_RDWR, vm->place->id_base, user.gid);
    vm->qemu_uid = own ? vm->place->id_base : user.uid;
    vm->qemu_gid = user.gid;
    vm->label = g_strdup_printf("+%u:+%u", vm->qemu_uid, vm->qemu_gid);
    return own || duet_vm_disk_make(vm, vm->qemu_uid, error);
}

static gboolean daemon_open(DuetVm *vm, GError **error)
{
    gvir_event_register();
    vm->connection = duet_vm_daemon_connect(vm->spec, error);
    if (!vm->connection || !user_choose(vm, error))
        return FALSE;
    if (vm->label && geteuid() != 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "'%s' runs VMs as other users, and only root can speak with their agents; use "
            "--connect qemu:///session, or run duet as root",
            vm->spec->connect);
        return FALSE;
    }
    return TRUE;
}

static gboolean daemon_reopen(DuetVm *vm, GError **error)
{
    g_autofree char *uuid = duet_vm_uuid(vm->spec->id);
    if (duet_vm_daemon_is_alive(vm->connection))
        return TRUE;
    duet_vm_end_unwatch(vm);
    duet_vm_daemon_unlink(vm);
    duet_vm_domain_set(vm, NULL);
    g_clear_pointer(&vm->connection, virConnectClose);
    /* Not a number of tries: each may take as long as an ssh that gets no answer. */
    gint64 until_us = g_get_monotonic_time() + REOPEN_US;
    while (!vm->connection) {
        g_autoptr(GError) failure = NULL;
        vm->connection = duet_vm_daemon_connect(vm->spec, &failure);
        if (!vm->connection && g_get_monotonic_time() >= until_us) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        if (!vm->connection)
            g_usleep(REOPEN_PAUSE_US);
    }
    duet_vm_domain_set(vm, virDomainLookupByUUIDString(vm->connection, uuid));
    if (vm->domain)
        duet_vm_end_watch(vm);
    duet_vm_daemon_link(vm);
    /* What happened in between nobody told. */
    kill(getppid(), DUET_LOOK_SIGNAL);
    if (vm->domain && vm->proxy && duet_disk_guest_listen(vm, NULL))
        duet_disk_guest_catch_up(vm);
    return TRUE;
}

/* In place: the daemon's mounts are the host's, and so are QEMU's. */
static char *show_with(DuetVm *vm, const char *source, int mode, GError **error)
{
    if (!vm->label || duet_vm_can_open(source, mode, vm->qemu_uid, vm->qemu_gid))
        return g_strdup(source);
    g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
        "the VM's user may not open '%s': %s; the directories above must be passable (chmod o+x, "
        "or "
        "another --root), or leave out --connect",
        source, g_strerror(errno));
    return NULL;
}

static char *daemon_show_file(DuetVm *vm, const char *name, const char *source, GError **error)
{
    (void)name;
    return show_with(vm, source, O_RDONLY, error);
}

/* By its path, but QEMU opens it with no more rights than its own. */
static char *daemon_show_disk(
    DuetVm *vm, const DuetDataDisk *disk, guint index, int fd, GError **error)
{
    (void)index;
    (void)fd;
    return show_with(vm, disk->path, disk->readonly ? O_RDONLY : O_RDWR, error);
}

static DuetVmFolder *daemon_show_folder(
    DuetVm *vm, const DuetMount *mount, guint index, GError **error)
{
    (void)vm;
    g_autofree char *tag = duet_vm_mount_tag(index);
    /* virtiofsd can't keep either; embed has mounts of its own for that. */
    if (!mount->readonly && g_file_test(mount->source, G_FILE_TEST_IS_DIR))
        return duet_vm_folder_new(tag, mount->source);
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "cannot share '%s': with --connect only whole folders can be shared, and not read-only; "
        "leave out --connect",
        mount->source);
    return NULL;
}

static gboolean name_is_free(const DuetVm *vm, const char *name, GError **error)
{
    virDomainPtr other = virDomainLookupByName(vm->connection, name);
    if (!other)
        return TRUE;
    virDomainFree(other);
    g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
        "'%s' has a domain '%s' already; choose another --name, or remove it: virsh -c %s undefine "
        "%s",
        vm->spec->connect, name, vm->spec->connect, name);
    return FALSE;
}

/* Not in the XML: there it would also be a limit of locked memory, which not every root may raise.
 */
static gboolean limit_memory(const DuetVm *vm, guint64 bytes, GError **error)
{
    virTypedParameter hard = { .type = VIR_TYPED_PARAM_ULLONG, .value.ul = bytes / 1024 };
    g_strlcpy(hard.field, VIR_DOMAIN_MEMORY_HARD_LIMIT, sizeof hard.field);
    return virDomainSetMemoryParameters(vm->domain, &hard, 1, VIR_DOMAIN_AFFECT_LIVE) == 0 ||
        duet_virt_error_set(error, "cannot limit the memory of '%s'", vm->spec->name);
}

/* The daemon chose the path, below a directory that its security driver lets QEMU use. With a disk
 * guest's agent it speaks itself. */
static gboolean find_channel(DuetVm *vm, GError **error)
{
    if (vm->agent_socket || vm->spec->disk_image)
        return TRUE;
    char *xml = virDomainGetXMLDesc(vm->domain, 0);
    if (!xml)
        return duet_virt_error_set(error, "cannot read the domain of '%s'", vm->spec->name);
    vm->agent_socket =
        duet_vm_daemon_text(xml, "string(//channel[target/@name='org.duet.agent.0']/source/@path)");
    if (vm->agent_socket)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
        "'%s' gave the VM of '%s' no channel for its agent", vm->spec->connect, vm->spec->name);
    return FALSE;
}

static void find_cgroup(DuetVm *vm)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cgroup", (int)vm->pid);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 1 << 16, NULL, NULL);
    guint id = virDomainGetID(vm->domain);
    if (text && id != (guint)-1)
        vm->cgroup = duet_vm_daemon_cgroup(text, id);
}

/* Of a virtiofsd that dies libvirt tells nobody. */
static void watch_folders(DuetVm *vm)
{
    guint id = virDomainGetID(vm->domain);
    for (guint i = 0; i < vm->spec->mounts->len; i++) {
        const DuetMount *mount = vm->spec->mounts->pdata[i];
        pid_t pid = duet_vm_daemon_server_pid(vm->label != NULL, id, i);
        if (pid > 1)
            duet_vm_server_watch(vm, pid, FALSE, mount->source);
    }
}

/* An ordinary user's daemon has no cgroups: what can't be kept is said, or refused. */
static gboolean limits_check(const DuetVm *vm, double cpus, gboolean is_guard, GError **error)
{
    if (vm->label || cpus == 0 || is_guard)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "'%s' has no cgroups, so --cpus %g can't be kept; give whole CPUs, as many as it has, or "
        "leave out --connect",
        vm->spec->connect, cpus);
    return FALSE;
}

/* As add_quota() of domain-xml.c. A daemon may lack what it takes, and needs it then only. */
static gboolean limit_cpus(DuetVm *vm, double cpus, GError **error)
{
    virTypedParameter quota[] = {
        { .type = VIR_TYPED_PARAM_ULLONG, .value.ul = DUET_VM_QUOTA_PERIOD_US },
        { .type = VIR_TYPED_PARAM_LLONG,
            .value.l = cpus > 0 ? (long long)(cpus * DUET_VM_QUOTA_PERIOD_US + 0.5) : -1 },
    };
    if (cpus == vm->cpus)
        return TRUE;
    g_strlcpy(quota[0].field, VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD, sizeof quota[0].field);
    g_strlcpy(quota[1].field, VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA, sizeof quota[1].field);
    if (virDomainSetSchedulerParametersFlags(
            vm->domain, quota, G_N_ELEMENTS(quota), VIR_DOMAIN_AFFECT_LIVE) < 0)
        return duet_virt_error_set(error, "cannot limit the CPU time of '%s'", vm->spec->name);
    vm->cpus = cpus;
    return TRUE;
}

static gboolean daemon_limit(
    DuetVm *vm, guint64 bytes, double cpus, gboolean is_guard, GError **error)
{
    return limits_check(vm, cpus, is_guard, error) &&
        (!vm->label || (limit_memory(vm, bytes, error) && limit_cpus(vm, cpus, error)));
}

/* What it may use beyond the RAM is in vm-limits.h. A memory that was loaded may have more vCPUs
 * than a start gives it. */
static gboolean limit_start(const DuetVm *vm, GError **error)
{
    const DuetSpec *spec = vm->spec;
    int has = virDomainGetVcpusFlags(vm->domain, VIR_DOMAIN_AFFECT_LIVE);
    guint64 more = (guint64)MAX(has - (int)duet_vm_vcpus(spec), 0) * DUET_VM_VCPU_BYTES;
    guint64 allowance = duet_vm_memory_allowance_bytes(spec) + more;
    return !vm->label || limit_memory(vm, duet_vm_memory_bytes(spec) + allowance, error);
}

/* In both cases it is paused. One that was defined before a memory is loaded into it stays so. */
static gboolean domain_start(DuetVm *vm, GError **error)
{
    if (!vm->place->saved)
        return virDomainCreateWithFlags(vm->domain, VIR_DOMAIN_START_PAUSED) == 0 ||
            duet_virt_error_set(error, "cannot start '%s'", virDomainGetName(vm->domain));
    virDomainFree(vm->domain);
    vm->domain = duet_vm_saved_load(vm, error);
    return vm->domain != NULL;
}

static gboolean daemon_create(DuetVm *vm, GError **error)
{
    g_autofree char *name = duet_vm_domain_name(vm->spec);
    g_autofree char *pid_file = duet_vm_daemon_pid_file(vm->label != NULL, name);
    vm->cpus = vm->spec->cpus;
    if (!limits_check(vm, vm->cpus, vm->cpus == duet_vm_vcpus(vm->spec), error) ||
        !name_is_free(vm, name, error))
        return FALSE;
    vm->defined = TRUE;
    vm->domain = virDomainDefineXMLFlags(
        vm->connection, vm->domain_xml, vm->spec->xml_patch ? VIR_DOMAIN_DEFINE_VALIDATE : 0);
    if (!vm->domain)
        return duet_virt_error_set(error, "cannot define '%s'", name);
    if (!domain_start(vm, error) || !duet_vm_qemu_find_pid(vm, pid_file, error) ||
        !limit_start(vm, error) || !find_channel(vm, error))
        return FALSE;
    find_cgroup(vm);
    watch_folders(vm);
    duet_vm_daemon_link(vm);
    return TRUE;
}

static gboolean daemon_end(DuetVm *vm, GError **error)
{
    duet_vm_qemu_kill(vm);
    gboolean ok = !vm->defined ||
        (daemon_reopen(vm, error) && duet_vm_daemon_remove(vm->connection, vm->spec, error));
    duet_vm_daemon_unlink(vm);
    g_clear_pointer(&vm->domain, virDomainFree);
    if (!vm->label && vm->agent_socket)
        unlink(vm->agent_socket);
    vm->defined = !ok;
    return ok;
}

const DuetVmLibvirtOps duet_vm_daemon = {
    .open = daemon_open,
    .reopen = daemon_reopen,
    .show_file = daemon_show_file,
    .show_folder = daemon_show_folder,
    .show_disk = daemon_show_disk,
    .create = daemon_create,
    .limit = daemon_limit,
    .end = daemon_end,
};
