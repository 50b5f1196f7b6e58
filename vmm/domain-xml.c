/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine with what a payload needs and nothing that costs time to bring up: no USB, no graphics,
 * virtio 1.0 alone, all devices on the root bus but for what may come and go (see add_ports()).
 * There is no virtio-rng, unless it is asked for: both CPU models have RDRAND, which seeds the
 * guest's generator, and a device that needs one more module would be loaded in every boot. The
 * balloon's module is loaded when it is first needed.
 */
#include "vmm/domain-xml.h"
#include "vmm/machine.h"
#include "core/machine.h"

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
    g_free(folder->socket);
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

static xmlNode *add_pci_place(xmlNode *device, guint bus, guint slot, guint function)
{
    g_autofree char *bus_text = g_strdup_printf("0x%02x", bus);
    g_autofree char *slot_text = g_strdup_printf("0x%02x", slot);
    g_autofree char *function_text = g_strdup_printf("0x%x", function);
    return add(device, "address", NULL, "type", "pci", "domain", "0x0000", "bus", bus_text, "slot",
        slot_text, "function", function_text, NULL);
}

/* @slot: 0: where libvirt will */
static void add_pci_address(xmlNode *device, guint slot)
{
    if (slot)
        add_pci_place(device, 0, slot, 0);
}

static void add_boot(xmlNode *domain, const DuetSpec *spec, const DuetVmPlan *plan)
{
    xmlNode *os = add(domain, "os", NULL, NULL);
    add(os, "type", "hvm", "arch", "x86_64", "machine", duet_vm_machine(spec), NULL);
    add(os, "kernel", plan->kernel, NULL);
    add(os, "initrd", plan->initramfs, NULL);
    add(os, "cmdline", plan->cmdline, NULL);
}

static void add_topology(xmlNode *cpu, const DuetTopology *topology)
{
    if (!topology->sockets)
        return;
    g_autofree char *sockets = g_strdup_printf("%d", topology->sockets);
    g_autofree char *cores = g_strdup_printf("%d", topology->cores);
    g_autofree char *threads = g_strdup_printf("%d", topology->threads);
    add(cpu, "topology", NULL, "sockets", sockets, "cores", cores, "threads", threads, NULL);
}

/*
 * A named model under KVM must be one that this host's CPU can be. TCG lacks some feature of most
 * models, so nobody would get any: the guest sees what it has.
 */
static void add_cpu_model(xmlNode *domain, const DuetSpec *spec, gboolean kvm)
{
    const char *model = duet_vm_cpu_model(spec, kvm);
    gboolean is_mode = g_str_equal(model, DUET_VM_CPU_KVM) || g_str_equal(model, DUET_VM_CPU_TCG);
    xmlNode *cpu = add(domain, "cpu", NULL, "mode", is_mode ? model : "custom",
        is_mode ? "check" : "match", is_mode ? "none" : "exact", NULL);
    if (!is_mode) {
        xmlNewProp(cpu, (const xmlChar *)"check", (const xmlChar *)(kvm ? "partial" : "none"));
        add(cpu, "model", model, "fallback", "forbid", NULL);
    }
    add_topology(cpu, &spec->topology);
}

static void add_cpu(xmlNode *domain, const DuetSpec *spec, const DuetVmPlan *plan)
{
    xmlNode *features = add(domain, "features", NULL, NULL);
    add(features, "acpi", NULL, NULL);
    add(features, "apic", NULL, NULL);
    add(features, "vmport", NULL, "state", "off", NULL);
    if (!plan->kvm) {
        /* Without it the cache grows to a share of the host's memory. */
        g_autofree char *mib = g_strdup_printf("%u", (guint)(DUET_VM_TB_CACHE_BYTES >> 20));
        xmlNode *tcg = add(features, "tcg", NULL, NULL);
        add(tcg, "tb-cache", mib, "unit", "MiB", NULL);
    }
    add_cpu_model(domain, spec, plan->kvm);
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
    g_autofree char *most = g_strdup_printf("%u", duet_vm_vcpus_max(spec));
    add(domain, "memory", memory, "unit", "b", NULL);
    if (plan->folders->len) {
        /* virtiofsd reads and writes the guest's memory. */
        xmlNode *backing = add(domain, "memoryBacking", NULL, NULL);
        add(backing, "source", NULL, "type", "memfd", NULL);
        add(backing, "access", NULL, "mode", "shared", NULL);
    }
    xmlNode *vcpu = add(domain, "vcpu", most, "placement", "static", NULL);
    if (!g_str_equal(vcpus, most))
        xmlNewProp(vcpu, (const xmlChar *)"current", (const xmlChar *)vcpus);
    if (plan->label && spec->cpus > 0)
        add_quota(domain, spec->cpus);
}

/**
 * DiskRow: one virtio-blk device.
 * @serial: how the agent finds it
 * @alias: (nullable): how libvirt is told of it later
 */
typedef struct {
    const char *path;
    const char *target;
    const char *serial;
    const char *alias;
    gboolean readonly;
    gboolean is_qcow2;
    const char *cache;
    const char *io;
} DiskRow;

static xmlNode *add_disk(xmlNode *devices, const DiskRow *row)
{
    xmlNode *disk =
        add(devices, "disk", NULL, "type", "file", "device", "disk", "model", VIRTIO_MODEL, NULL);
    /* The host's page cache: the root disk's pages are shared by all VMs of the image. */
    xmlNode *driver = add(disk, "driver", NULL, "name", "qemu", "type",
        row->is_qcow2 ? "qcow2" : "raw", "cache", row->cache ? row->cache : "writeback",
        /* A host whose disk is full stops no VM in silence: the guest gets the error. */
        "error_policy", "report", NULL);
    if (row->io)
        xmlNewProp(driver, (const xmlChar *)"io", (const xmlChar *)row->io);
    add(disk, "source", NULL, "file", row->path, NULL);
    /* Else libvirt looks for what the image itself names. */
    if (row->is_qcow2)
        add(disk, "backingStore", NULL, NULL);
    add(disk, "target", NULL, "dev", row->target, "bus", "virtio", NULL);
    if (row->readonly)
        add(disk, "readonly", NULL, NULL);
    add(disk, "serial", row->serial, NULL);
    if (row->alias)
        add(disk, "alias", NULL, "name", row->alias, NULL);
    return disk;
}

static void add_folder(
    xmlNode *devices, const DuetVmFolder *folder, const char *virtiofsd, guint slot)
{
    xmlNode *device =
        add(devices, "filesystem", NULL, "type", "mount", "accessmode", "passthrough", NULL);
    add(device, "driver", NULL, "type", "virtiofs", "queue", "1024", NULL);
    if (virtiofsd && !folder->socket)
        add(device, "binary", NULL, "path", virtiofsd, NULL);
    if (folder->socket)
        add(device, "source", NULL, "socket", folder->socket, NULL);
    else
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

char *duet_vm_disk_alias(int index)
{
    return g_strdup_printf("ua-duet-disk-%d", index);
}

static xmlNode *add_data_disk(xmlNode *devices, const DuetDataDisk *disk)
{
    /* Behind our own two. */
    g_autofree char *target = duet_data_disk_target(disk->index);
    g_autofree char *serial = g_strdup_printf("duet-disk-%d", disk->index);
    g_autofree char *alias = duet_vm_disk_alias(disk->index);
    const DiskRow row = { disk->path, target, serial, alias, disk->readonly, disk->is_qcow2,
        disk->cache, disk->io };
    return add_disk(devices, &row);
}

/*
 * The root bus of a q35 takes nothing while it runs: what is to come or go sits behind a port of
 * its own. Eight of them share a slot. Bus numbers follow from the order: the first is bus 1.
 */
static void add_ports(xmlNode *devices, guint n, guint *slot)
{
    for (guint i = 0; i < n; i++) {
        g_autofree char *number = g_strdup_printf("%u", i + 1);
        g_autofree char *port = g_strdup_printf("0x%x", i + 1);
        xmlNode *controller = add(devices, "controller", NULL, "type", "pci", "index", number,
            "model", "pcie-root-port", NULL);
        add(controller, "target", NULL, "chassis", number, "port", port, NULL);
        xmlNode *place = add_pci_place(controller, 0, *slot + i / 8, i % 8);
        if (i % 8 == 0)
            xmlNewProp(place, (const xmlChar *)"multifunction", (const xmlChar *)"on");
    }
    *slot += (n + 7) / 8;
}

static void add_data_disks(xmlNode *devices, const GPtrArray *disks, guint *slot)
{
    guint n = disks ? disks->len : 0;
    gboolean ports = *slot != 0;
    if (ports)
        add_ports(devices, n + DUET_VM_SPARE_PORTS, slot);
    for (guint i = 0; i < n; i++) {
        xmlNode *disk = add_data_disk(devices, disks->pdata[i]);
        if (ports)
            add_pci_place(disk, i + 1, 0, 0);
    }
}

char *duet_vm_disk_xml(const DuetDataDisk *disk)
{
    xmlDoc *document = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *devices = xmlNewNode(NULL, (const xmlChar *)"devices");
    xmlDocSetRootElement(document, devices);
    xmlNode *node = add_data_disk(devices, disk);
    xmlBuffer *buffer = xmlBufferCreate();
    xmlNodeDump(buffer, document, node, 0, 0);
    char *xml = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    xmlFreeDoc(document);
    return xml;
}

static void add_balloon(xmlNode *devices, guint slot)
{
    /* Not autodeflate: what was taken would be given back when the guest runs short of memory, and
     * QEMU would be killed by its cgroup for it. */
    xmlNode *balloon =
        add(devices, "memballoon", NULL, "model", VIRTIO_MODEL, "freePageReporting", "on", NULL);
    add_pci_address(balloon, slot);
}

static void add_rng(xmlNode *devices, guint slot)
{
    xmlNode *rng = add(devices, "rng", NULL, "model", VIRTIO_MODEL, NULL);
    /* QEMU's own source, the host's getrandom(): no file has to be there. */
    add(rng, "backend", NULL, "model", "builtin", NULL);
    add_pci_address(rng, slot);
}

/* The slots after *slot, or 0 again. */
static guint next_slot(guint *slot)
{
    return *slot ? (*slot)++ : 0;
}

static void add_devices(xmlNode *domain, const DuetSpec *spec, const DuetVmPlan *plan)
{
    const DiskRow rows[] = {
        { .path = plan->root_disk, .target = "vda", .serial = "duet-root", .readonly = TRUE },
        { .path = plan->rw_disk, .target = "vdb", .serial = "duet-rw" },
    };
    gboolean is_q35 = duet_vm_machine_is_q35(duet_vm_machine(spec));
    guint slot = is_q35 ? 1 : 0;
    xmlNode *devices = add(domain, "devices", NULL, NULL);
    add(devices, "emulator", plan->emulator, NULL);
    add(devices, "controller", NULL, "type", "pci", "index", "0", "model",
        is_q35 ? "pcie-root" : "pci-root", NULL);
    add(devices, "controller", NULL, "type", "usb", "model", "none", NULL);
    add_channels(devices, plan, next_slot(&slot));
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        add_pci_address(add_disk(devices, &rows[i]), next_slot(&slot));
    for (guint i = 0; i < plan->folders->len; i++)
        add_folder(devices, plan->folders->pdata[i], plan->virtiofsd, next_slot(&slot));
    if (spec->rng)
        add_rng(devices, next_slot(&slot));
    add_balloon(devices, next_slot(&slot));
    add_data_disks(devices, plan->disks, &slot);
    /* QEMU tells of a guest's panic, whatever its console says. */
    add(devices, "panic", NULL, "model", "isa", NULL);
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
    const char *domain_id = plan->domain_id ? plan->domain_id : spec->id;
    g_autofree char *uuid = duet_vm_uuid(domain_id);
    xmlDoc *document = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *domain = xmlNewNode(NULL, (const xmlChar *)"domain");
    xmlDocSetRootElement(document, domain);
    xmlNewProp(domain, (const xmlChar *)"type", (const xmlChar *)(plan->kvm ? "kvm" : "qemu"));
    g_autofree char *name = plan->for_daemon ? duet_vm_domain_name(spec) : g_strdup(domain_id);
    add(domain, "name", name, NULL);
    add(domain, "uuid", uuid, NULL);
    if (plan->for_daemon)
        add_identity(domain, spec);
    add_limits(domain, spec, plan);
    add_boot(domain, spec, plan);
    add_cpu(domain, spec, plan);
    /* A guest that is over, in whatever way, is over: the monitor learns it from QEMU's exit. */
    add(domain, "on_poweroff", "destroy", NULL);
    add(domain, "on_reboot", "destroy", NULL);
    add(domain, "on_crash", "destroy", NULL);
    add_devices(domain, spec, plan);
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
