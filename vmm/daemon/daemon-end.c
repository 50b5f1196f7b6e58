/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking a VM out of a libvirt daemon: by its own driver, or by whoever finds it left behind. */
#include "daemon.h"
#include "vmm/apparmor.h"
#include "vmm/domain-xml.h"
#include "vmm/virt-error.h"
#include "core/util.h"

#include <duet/error.h>

#include <fcntl.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CMDLINE_MAX_BYTES (1u << 20)
/* A request that a killed worker sent may still be on its way to a domain. */
#define STRAGGLER_US (300 * 1000)

/* The element that add_identity() wrote. What bears our uuid and not our word is not touched. */
static gboolean is_ours(virDomainPtr domain, const DuetSpec *spec, GError **error)
{
    char *element = virDomainGetMetadata(
        domain, VIR_DOMAIN_METADATA_ELEMENT, DUET_VM_XML_NAMESPACE, VIR_DOMAIN_AFFECT_CURRENT);
    gboolean ours = element && strstr(element, spec->id);
    int code = element ? VIR_ERR_OK : virGetLastErrorCode();
    free(element);
    if (ours || code == VIR_ERR_NO_DOMAIN)
        return TRUE;
    if (element || code == VIR_ERR_NO_DOMAIN_METADATA)
        g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
            "the domain '%s' has the uuid of the instance '%s' and does not say that it is its "
            "domain: it was left alone",
            virDomainGetName(domain), spec->name);
    else
        duet_virt_error_set(error, "cannot ask whose the domain of '%s' is", spec->name);
    return FALSE;
}

static gboolean is_gone(void)
{
    int code = virGetLastErrorCode();
    return code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID;
}

static gboolean domain_remove(virDomainPtr domain, const DuetSpec *spec, GError **error)
{
    /* A disk guest's UEFI variables are the instance's, for its next start. */
    unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
        (spec->disk_image ? VIR_DOMAIN_UNDEFINE_KEEP_NVRAM : VIR_DOMAIN_UNDEFINE_NVRAM) |
        VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
    if (virDomainDestroy(domain) < 0 && !is_gone())
        return duet_virt_error_set(error, "cannot end the domain of '%s'", spec->name);
    /* One that somebody had undefined while it ran is gone with its end. */
    return virDomainUndefineFlags(domain, flags) == 0 || is_gone() ||
        duet_virt_error_set(error, "cannot undefine the domain of '%s'", spec->name);
}

/* What the daemon keeps of a domain that it knows no longer. A name may be another's by now. */
static void files_remove(virConnectPtr connection, const DuetSpec *spec)
{
    g_autofree char *name = duet_vm_domain_name(spec);
    virDomainPtr other = virDomainLookupByName(connection, name);
    if (other)
        virDomainFree(other);
    else
        duet_vm_daemon_log_remove(geteuid() == 0, name);
    /* Unloaded, and kept for a domain that may come again: not this one. */
    duet_vm_apparmor_forget(spec->id);
}

gboolean duet_vm_daemon_remove(virConnectPtr connection, const DuetSpec *spec, GError **error)
{
    g_autofree char *uuid = duet_vm_uuid(spec->id);
    virDomainPtr domain = virDomainLookupByUUIDString(connection, uuid);
    if (!domain && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
        return duet_virt_error_set(error, "cannot look for the domain of '%s'", spec->name);
    gboolean ok = !domain || (is_ours(domain, spec, error) && domain_remove(domain, spec, error));
    if (domain)
        virDomainFree(domain);
    if (ok)
        files_remove(connection, spec);
    return ok;
}

/* Whether @pid is the QEMU of that uuid: the number may be another process's by now. */
static gboolean is_qemu_of(pid_t pid, const char *uuid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    gsize length = 0;
    g_autofree char *words = duet_file_read(AT_FDCWD, path, CMDLINE_MAX_BYTES, &length, NULL);
    return words && memmem(words, length, uuid, strlen(uuid) + 1);
}

static void kill_qemu(pid_t pid, const char *uuid)
{
    DUET_AUTO_FD pidfd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pidfd >= 0 && is_qemu_of(pid, uuid))
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

gboolean duet_vm_daemon_recover(const DuetSpec *spec, pid_t pid, GError **error)
{
    g_autofree char *uuid = duet_vm_uuid(spec->id);
    /* First of all, and without the daemon: nobody speaks with that guest any more. */
    kill_qemu(pid, uuid);
    virConnectPtr connection = duet_vm_daemon_connect(spec, error);
    if (!connection)
        return FALSE;
    gboolean ok = duet_vm_daemon_remove(connection, spec, error);
    if (ok && pid <= 1) {
        g_usleep(STRAGGLER_US);
        ok = duet_vm_daemon_remove(connection, spec, error);
    }
    virConnectClose(connection);
    return ok;
}
