/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/domain-xml.h"
#include "core/machine.h"
#include "vmm/kernel/initramfs.h"
#include "vmm/kernel/kernel.h"
#include "vmm/kvm-probe.h"

#include <duet/driver.h>

#include <libvirt/libvirt.h>

G_BEGIN_DECLS

typedef struct _DuetVm DuetVm;

/**
 * DuetVmLibvirtOps: what differs between a libvirt inside of this process and a daemon.
 * @open: sets vm->connection; before it, after duet_vm_prepare()
 * @reopen: (nullable): makes a connection that was lost anew
 * @show_file: Returns: (transfer full): the path by which QEMU opens the file @source; @name is
 *     unique for it within the VM
 * @show_folder: the same for spec->mounts[@index]
 * @show_disk: the same for a further disk, the VM's @index-th, of which @fd is open
 * @create: the domain of vm->domain_xml, paused; sets vm->domain, vm->pid, vm->pidfd
 * @limit: (nullable): bounds what runs: bytes of memory, and @cpus of time, 0 for all; @is_guard:
 *     its vCPUs can't take more
 * @end: takes away what create() and open() made, whatever of it is there; may be called twice
 */
typedef struct {
    gboolean (*open)(DuetVm *vm, GError **error);
    gboolean (*reopen)(DuetVm *vm, GError **error);
    char *(*show_file)(DuetVm *vm, const char *name, const char *source, GError **error);
    DuetVmFolder *(*show_folder)(DuetVm *vm, const DuetMount *mount, guint index, GError **error);
    char *(*show_disk)(DuetVm *vm, const DuetDataDisk *disk, guint index, int fd, GError **error);
    gboolean (*create)(DuetVm *vm, GError **error);
    gboolean (*limit)(DuetVm *vm, guint64 bytes, double cpus, gboolean is_guard, GError **error);
    gboolean (*end)(DuetVm *vm, GError **error);
} DuetVmLibvirtOps;

extern const DuetVmLibvirtOps duet_vm_embed;
extern const DuetVmLibvirtOps duet_vm_daemon;

/**
 * DuetVm: a runtime of the kind `vm`, in its worker.
 * @libvirt: where libvirt is
 * @kvm_usable: whether this host has a KVM that works
 * @kvm: which accelerator was chosen
 * @emulator: path of QEMU
 * @in_namespace: whether the worker has its own mounts
 * @folders: (nullable) (element-type DuetVmFolder): an ordinary user's, which are served already
 * @servers: (element-type DuetVmServer): of each folder that duet itself serves, the virtiofsd
 * @fault: (nullable): for want of what QEMU was killed
 * @notice: what the user should know; grows while starting
 * @domain_xml: what libvirt was given
 * @pidfd: QEMU; a copy of the one that the monitor gets
 * @hold: see hold.h, or -1
 * @console_watch_fd, @console_source: what keeps both logs small
 * @label: daemon: "+uid:+gid" that QEMU runs as; NULL: the daemon is an ordinary user's
 * @qemu_uid, @qemu_gid: daemon: the same as numbers
 * @cgroup: daemon: see #DuetStarted
 * @cpus: daemon: the CPU time that it has it keep to, 0 for all
 * @defined: daemon: it may know the domain
 * @retry_source, @retries: daemon: how often it was tried since it was lost
 * @detaching: the disk that the guest is asked to let go of, its index and 1, or 0
 * @detach_asked_us: and when
 * @domain_lock: other threads' part of @domain
 * @domain_id: the instance whose memory it has, and so libvirt's name and uuid of it: a clone goes
 * on under those of its source
 * @powerdown: daemon: the callback of the VM's power button, or -1
 * @lifecycle: daemon: that of who pauses it, or -1
 * @shutdown: that of QEMU's last words, or -1; @ended: what they were
 * @reset: that of a daemon's machine that begins anew, or -1
 * @console_socket: (nullable): disk guest: where QEMU listens for who is at its serial console
 * @vnc_socket, @vnc_password: (nullable): disk guest with a screen: where it is shown
 * @proxy: (nullable): disk guest: what plays its agent
 * @proxy_events: disk guest: the callbacks that it needs, or -1
 * @memory_watched_s: disk guest: since when its balloon is to tell of its memory, of the real time
 */
struct _DuetVm {
    DuetRuntime base;
    const DuetVmLibvirtOps *libvirt;
    const DuetSpec *spec;
    const DuetPlace *place;
    gboolean kvm_usable;
    gboolean kvm;
    gboolean in_namespace;
    char *emulator;
    char *console_log;
    char *agent_socket;
    char *domain_xml;
    DuetGuestKernel *kernel;
    DuetInitramfs *initramfs;
    GPtrArray *folders;
    GPtrArray *servers;
    char *fault;
    GString *notice;
    virConnectPtr connection;
    virDomainPtr domain;
    GMutex domain_lock;
    pid_t pid;
    int pidfd;
    int hold;
    int console_watch_fd;
    guint console_source;
    char *label;
    guint32 qemu_uid;
    guint32 qemu_gid;
    char *cgroup;
    double cpus;
    gboolean defined;
    guint retry_source;
    guint retries;
    int detaching;
    gint64 detach_asked_us;
    int powerdown;
    int lifecycle;
    int shutdown;
    int reset;
    DuetEnd ended;
    char *domain_id;
    char *console_socket;
    char *vnc_socket;
    char *vnc_password;
    struct _DuetGuestProxy *proxy;
    int proxy_events[2];
    gint64 memory_watched_s;
};

/** duet_vm_cmdline: Returns: (transfer full): the command line of the guest's kernel. */
char *duet_vm_cmdline(const DuetVm *vm);

/** duet_vm_prepare: all that needs no libvirt: refuses bad wishes, makes kernel, disk, mounts. */
gboolean duet_vm_prepare(DuetVm *vm, GError **error);

/** duet_vm_disk_make: the writable disk, if it is missing; it belongs to @uid afterwards. */
gboolean duet_vm_disk_make(const DuetVm *vm, guint32 uid, GError **error);

/** duet_vm_run_dir_make: the run directory, if its path leaves room for a VM's sockets. */
gboolean duet_vm_run_dir_make(const DuetVm *vm, GError **error);

/** duet_vm_start: #DuetRuntimeOps start. */
gboolean duet_vm_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error);

/** duet_vm_reach: makes sure that there is a connection, and the domain in it. */
gboolean duet_vm_reach(DuetVm *vm, GError **error);

/** duet_vm_domain_ref: for other threads than the main loop's: Returns: (transfer full)
 * (nullable): the domain; NULL: there is no connection. */
virDomainPtr duet_vm_domain_ref(DuetVm *vm);
/** duet_vm_domain_set: @domain: (transfer full) (nullable): in place of the one that was there. */
void duet_vm_domain_set(DuetVm *vm, virDomainPtr domain);

/**
 * duet_vm_disk_show: opens and shows a further disk, with its backing file, to QEMU: their paths
 * are those that it has there from then on.
 */
gboolean duet_vm_disk_show(DuetVm *vm, DuetDataDisk *disk, GError **error);
/** duet_vm_update: #DuetRuntimeOps update. */
gboolean duet_vm_update(DuetRuntime *runtime, GVariant *changes, guint64 *out_left, GError **error);

/** duet_vm_end_watch: from now on QEMU's last words are heard. */
void duet_vm_end_watch(DuetVm *vm);
/** duet_vm_end_unwatch: before the connection is closed. */
void duet_vm_end_unwatch(DuetVm *vm);
/** duet_vm_how_ended: #DuetRuntimeOps how_ended. */
DuetEnd duet_vm_how_ended(DuetRuntime *runtime, GError **error);
/** duet_vm_saved_check: whether place->saved, if there is any, goes with what was prepared; sets
 * vm->domain_id. */
gboolean duet_vm_saved_check(DuetVm *vm, GError **error);
/** duet_vm_saved_load: in place of creating the domain: it is paused. Returns: (nullable): it */
virDomainPtr duet_vm_saved_load(DuetVm *vm, GError **error);
/** duet_vm_saved_run: lets the CPUs run; from then on the state is used. */
gboolean duet_vm_saved_run(DuetVm *vm, GError **error);
/** duet_vm_save: #DuetRuntimeOps save. */
gboolean duet_vm_save(DuetRuntime *runtime, GVariant **out_facts, GError **error);

/** duet_vm_end: kills QEMU if it lives, and closes all that start opened. */
gboolean duet_vm_end(DuetVm *vm, GError **error);

/** duet_vm_hold: sets vm->hold. Not while libvirt waits for an answer of QEMU's: if that died, it
 * would wait for ever. */
void duet_vm_hold(DuetVm *vm);

/** duet_vm_qemu_kill: SIGKILL for QEMU, if there is one, and a wait for its end. */
void duet_vm_qemu_kill(DuetVm *vm);

/** duet_vm_qemu_find_pid: sets vm->pid and vm->pidfd by the file that libvirt wrote. */
gboolean duet_vm_qemu_find_pid(DuetVm *vm, const char *pid_file, GError **error);

/**
 * duet_vm_daemon_link: from now on a daemon that goes is tried again from the main loop, some
 * dozens of times, and a press of the VM's power button (`virsh shutdown`) stops the instance.
 */
void duet_vm_daemon_link(DuetVm *vm);
/** duet_vm_daemon_unlink: before the connection is closed. */
void duet_vm_daemon_unlink(DuetVm *vm);

/** duet_vm_facts: Returns: (transfer full): #DuetStarted facts. */
GVariant *duet_vm_facts(const DuetVm *vm);

/** duet_vm_console_make: an empty log, for the coming boot alone. */
gboolean duet_vm_console_make(const DuetVm *vm, GError **error);

/** duet_vm_console_watch: from now on the main loop keeps the console's log, and QEMU's, from
 * filling the disk. */
void duet_vm_console_watch(DuetVm *vm);
void duet_vm_console_unwatch(DuetVm *vm);

/** duet_vm_console_trim: drops the old part of long logs; their offsets stay. */
void duet_vm_console_trim(const DuetVm *vm);

/** duet_vm_console_tail: #DuetRuntimeOps console_tail. */
char *duet_vm_console_tail(DuetRuntime *runtime);

/** duet_vm_check: #DuetDriverOps check. */
GPtrArray *duet_vm_check(void);

#define DUET_VM_KVM_DEVICE "/dev/kvm"
/** duet_vm_kvm: Returns: (transfer full): how far this host's KVM gets, asked once per boot. */
DuetKvm *duet_vm_kvm(void);

G_END_DECLS
