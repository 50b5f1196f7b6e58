/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine with what a payload needs and nothing that costs time to bring up: no USB, no graphics,
 * no balloon, no PCI bridges (all devices sit on the root bus), virtio 1.0 alone. There is no
 * virtio-rng either: both CPU models have RDRAND, which seeds the guest's generator, and a device
 * that needs one more module would be loaded in every boot.
 */
#include "vmm/domain-xml.h"

#include <duet/vm-limits.h>

#include <libxml/tree.h>
#include <stdarg.h>

#define VIRTIO_MODEL "virtio-non-transitional"

DuetVmFolder *duet_vm_folder_new(const char *tag, const char *path)
{
    DuetVmFolder *folder = g_new0(DuetVmFolder, 1);
    folder->tag = g_strdup(tag);
    folder->path = g_strdup(path);
    return folder;
}

void duet_vm_folder_free(DuetVmFolder *folder)
{
    if (!folder)
        return;
    g_free(folder->tag);
    g_free(folder->path);
    g_free(folder);
}

char *duet_vm_uuid(const char *id)
{
    g_autofree char *name = g_strconcat("duet:", id, NULL);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA1, name, -1);
    /* The layout of a name-based UUID, version 5 (RFC 9562). */
    return g_strdup_printf(
        "%.8s-%.4s-5%.3s-8%.3s-%.12s", sum, sum + 8, sum + 13, sum + 17, sum + 20);
}

char *duet_vm_domain_name(const DuetSpec *spec)
{
    return g_strconcat("duet-", spec->name, NULL);
}

/* Adds <name>text</name> (@text may be NULL) with attributes: pairs of name and value, then NULL.
 */
static xmlNode *add(xmlNode *parent, const char *name, const char *text, ...)
{
    xmlNode *node = xmlNewTextChild(parent, NULL, (const xmlChar *)name, (const xmlChar *)text);
    va_list args;
    va_start(args, text);
    const char *attribute;
    while ((attribute = va_arg(args, const char *)))
        xmlNewProp(node, (const xmlChar *)attribute, (const xmlChar *)va_arg(args, const char *));
    va_end(args);
    return node;
}

static void add_pci_address(xmlNode *device, guint slot)
{
    g_autofree char *text = g_strdup_printf("0x%02x", slot);
    add(device, "address", NULL, "type", "pci", "domain", "0x0000", "bus", "0x00", "slot", text,
        "function", "0x0", NULL);
}

static void add_boot(xmlNode *domain, const DuetVmPlan *plan)
{
    xmlNode *os = add(domain, "os", NULL, NULL);
    add(os, "type", "hvm", "arch", "x86_64", "machine", DUET_VM_MACHINE, NULL);
    add(os, "kernel", plan->kernel, NULL);
    add(os, "initrd", plan->initramfs, NULL);
    add(os, "cmdline", plan->cmdline, NULL);
}

static void add_cpu(xmlNode *domain, const DuetVmPlan *plan)
{
    xmlNode *features = add(domain, "features", NULL, NULL);
    add(features, "acpi", NULL, NULL);
    add(features, "apic", NULL, NULL);
    add(features, "vmport", NULL, "state", "off", NULL);
    if (plan->kvm) {
        add(domain, "cpu", NULL, "mode", DUET_VM_CPU_KVM, "check", "none", NULL);
    } else {
        /* Without it the cache grows to a share of the host's memory. */
        g_autofree char *mib = g_strdup_printf("%u", (guint)(DUET_VM_TB_CACHE_BYTES >> 20));
        xmlNode *tcg = add(features, "tcg", NULL, NULL);
        add(tcg, "tb-cache", mib, "unit", "MiB", NULL);
        /* Never "host": that model needs KVM. */
        add(domain, "cpu", NULL, "mode", DUET_VM_CPU_TCG, "check", "none", NULL);
    }
    xmlNode *clock = add(domain, "clock", NULL, "offset", "utc", NULL);
    add(clock, "timer", NULL, "name", "hpet", "present", "no", NULL);
}

/* For the eyes of those who meet it in virsh or virt-manager, and for duet_vm_daemon_remove(). */
static void add_identity(xmlNode *domain, const DuetSpec *spec)
{
    g_autofree char *ref = g_utf8_make_valid(spec->image_ref ? spec->image_ref : "?", -1);
    g_autofree char *title = g_strdup_printf("duet: %s (%s)", spec->name, ref);
    g_autofree char *description = g_strdup_printf(
        "Instance %s of duet. It lives as long as this domain runs: end it by `duet stop %s`.",
        spec->id, spec->name);
    add(domain, "title", title, NULL);
    add(domain, "description", description, NULL);
    xmlNode *metadata = add(domain, "metadata", NULL, NULL);
    xmlNode *instance = add(metadata, "instance", NULL, "id", spec->id, NULL);
    xmlSetNs(instance,
        xmlNewNs(instance, (const xmlChar *)DUET_VM_XML_NAMESPACE, (const xmlChar *)"duet"));
}

/*
 * QEMU as the one user that owns this VM's disk, and no file changes its owner: else libvirt gives
 * kernel, initramfs and root disk, which all VMs share, to the user of the VM that starts.
 */
static void add_label(xmlNode *domain, const char *label)
{
    xmlNode *security =
        add(domain, "seclabel", NULL, "type", "static", "model", "dac", "relabel", "no", NULL);
    add(security, "label", label, NULL);
}

/* What the cgroup's quota is for a libvirt of our own. The memory's limit: daemon.c. */
static void add_quota(xmlNode *domain, double cpus)
{
    static const int period_us = 100000;
    g_autofree char *period = g_strdup_printf("%d", period_us);
    g_autofree char *quota = g_strdup_printf("%.0f", cpus * period_us);
    xmlNode *tune = add(domain, "cputune", NULL, NULL);
    add(tune, "global_period", period, NULL);
    add(tune, "global_quota", quota, NULL);
}

static void add_limits(xmlNode *domain, const DuetSpec *spec, const DuetVmPlan *plan)
{
    g_autofree char *memory = g_strdup_printf("%" G_GUINT64_FORMAT, duet_vm_memory_bytes(spec));
    g_autofree char *vcpus = g_strdup_printf("%u", duet_vm_vcpus(spec));
    add(domain, "memory", memory, "unit", "b", NULL);
    if (plan->folders->len) {
        /* virtiofsd reads and writes the guest's memory. */
        xmlNode *backing = add(domain, "memoryBacking", NULL, NULL);
        add(backing, "source", NULL, "type", "memfd", NULL);
        add(backing, "access", NULL, "mode", "shared", NULL);
    }
    add(domain, "vcpu", vcpus, "placement", "static", NULL);
    if (plan->label && spec->cpus > 0)
        add_quota(domain, spec->cpus);
}

/**
 * DiskRow: one virtio-blk device.
 * @serial: how the agent finds it
 */
typedef struct {
    const char *path;
    const char *target;
    const char *serial;
    gboolean readonly;
} DiskRow;

static void add_disk(xmlNode *devices, const DiskRow *row, guint slot)
{
    xmlNode *disk =
        add(devices, "disk", NULL, "type", "file", "device", "disk", "model", VIRTIO_MODEL, NULL);
    /* The host's page cache: the root disk's pages are shared by all VMs of the image. */
    add(disk, "driver", NULL, "name", "qemu", "type", "raw", "cache", "writeback",
        /* A host whose disk is full stops no VM in silence: the guest gets the error. */
        "error_policy", "report", NULL);
    add(disk, "source", NULL, "file", row->path, NULL);
    add(disk, "target", NULL, "dev", row->target, "bus", "virtio", NULL);
    if (row->readonly)
        add(disk, "readonly", NULL, NULL);
    add(disk, "serial", row->serial, NULL);
    add_pci_address(disk, slot);
}

static void add_folder(
    xmlNode *devices, const DuetVmFolder *folder, const char *virtiofsd, guint slot)
{
    xmlNode *device =
        add(devices, "filesystem", NULL, "type", "mount", "accessmode", "passthrough", NULL);
    add(device, "driver", NULL, "type", "virtiofs", "queue", "1024", NULL);
    if (virtiofsd)
        add(device, "binary", NULL, "path", virtiofsd, NULL);
    add(device, "source", NULL, "dir", folder->path, NULL);
    add(device, "target", NULL, "dir", folder->tag, NULL);
    add_pci_address(device, slot);
}

static void add_channels(xmlNode *devices, const DuetVmPlan *plan, guint slot)
{
    xmlNode *bus = add(devices, "controller", NULL, "type", "virtio-serial", "index", "0", "model",
        VIRTIO_MODEL, NULL);
    add_pci_address(bus, slot);
    xmlNode *channel = add(devices, "channel", NULL, "type", "unix", NULL);
    if (plan->agent_socket)
        add(channel, "source", NULL, "mode", "bind", "path", plan->agent_socket, NULL);
    add(channel, "target", NULL, "type", "virtio", "name", "org.duet.agent.0", NULL);
    xmlNode *serial = add(devices, "serial", NULL, "type", "file", NULL);
    add(serial, "source", NULL, "path", plan->console_log, "append", "on", NULL);
    add(serial, "target", NULL, "port", "0", NULL);
}

static void add_devices(xmlNode *domain, const DuetVmPlan *plan)
{
    const DiskRow rows[] = {
        { plan->root_disk, "vda", "duet-root", TRUE },
        { plan->rw_disk, "vdb", "duet-rw", FALSE },
    };
    guint slot = 1;
    xmlNode *devices = add(domain, "devices", NULL, NULL);
    add(devices, "emulator", plan->emulator, NULL);
    add(devices, "controller", NULL, "type", "pci", "index", "0", "model", "pcie-root", NULL);
    add(devices, "controller", NULL, "type", "usb", "model", "none", NULL);
    add_channels(devices, plan, slot++);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        add_disk(devices, &rows[i], slot++);
    for (guint i = 0; i < plan->folders->len; i++)
        add_folder(devices, plan->folders->pdata[i], plan->virtiofsd, slot++);
    add(devices, "memballoon", NULL, "model", "none", NULL);
}

/*
 * libvirt has QEMU wait for it when the guest powers off. If the worker was killed nobody would
 * come: a guest that lost its channel and powered off must be gone without anybody's help.
 */
static void add_qemu_arguments(xmlNode *domain)
{
    static const char *const arguments[] = { "-action", "shutdown=poweroff" };
    xmlNs *qemu = xmlNewNs(domain, (const xmlChar *)"http://libvirt.org/schemas/domain/qemu/1.0",
        (const xmlChar *)"qemu");
    xmlNode *list = add(domain, "commandline", NULL, NULL);
    xmlSetNs(list, qemu);
    for (guint i = 0; i < G_N_ELEMENTS(arguments); i++)
        xmlSetNs(add(list, "arg", NULL, "value", arguments[i], NULL), qemu);
}

char *duet_vm_domain_xml(const DuetSpec *spec, const DuetVmPlan *plan)
{
    g_autofree char *uuid = duet_vm_uuid(spec->id);
    xmlDoc *document = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *domain = xmlNewNode(NULL, (const xmlChar *)"domain");
    xmlDocSetRootElement(document, domain);
    xmlNewProp(domain, (const xmlChar *)"type", (const xmlChar *)(plan->kvm ? "kvm" : "qemu"));
    g_autofree char *name = plan->for_daemon ? duet_vm_domain_name(spec) : g_strdup(spec->id);
    add(domain, "name", name, NULL);
    add(domain, "uuid", uuid, NULL);
    if (plan->for_daemon)
        add_identity(domain, spec);
    add_limits(domain, spec, plan);
    add_boot(domain, plan);
    add_cpu(domain, plan);
    /* A guest that is over, in whatever way, is over: the monitor learns it from QEMU's exit. */
    add(domain, "on_poweroff", "destroy", NULL);
    add(domain, "on_reboot", "destroy", NULL);
    add(domain, "on_crash", "destroy", NULL);
    add_devices(domain, plan);
    if (plan->label)
        add_label(domain, plan->label);
    add_qemu_arguments(domain);
    xmlChar *text = NULL;
    int length = 0;
    xmlDocDumpFormatMemory(document, &text, &length, 1);
    char *xml = g_strndup((const char *)text, (gsize)length);
    xmlFree(text);
    xmlFreeDoc(document);
    return xml;
}
