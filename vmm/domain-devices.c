/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices of a VM. */
#include "vmm/domain-devices.h"
#include "vmm/graphics.h"
#include "vmm/machine.h"
#include "core/machine.h"

#include <duet/vm-limits.h>

#include <stdarg.h>

/* In place of a slot: a machine without a PCI bus finds its devices in memory. */
#define SLOT_MMIO G_MAXUINT

xmlNode *duet_xml_add(xmlNode *parent, const char *name, const char *text, ...)
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
    return duet_xml_add(device, "address", NULL, "type", "pci", "domain", "0x0000", "bus", bus_text,
        "slot", slot_text, "function", function_text, NULL);
}

/* @slot: 0: where libvirt will */
static void add_address(xmlNode *device, guint slot)
{
    if (slot == SLOT_MMIO)
        duet_xml_add(device, "address", NULL, "type", "virtio-mmio", NULL);
    else if (slot)
        add_pci_place(device, 0, slot, 0);
}

/* On PCI, virtio 1.0 alone; elsewhere QEMU is told by an argument of its own: see domain-xml.c. */
static const char *virtio_model(guint slot)
{
    return slot == SLOT_MMIO ? "virtio" : "virtio-non-transitional";
}

/**
 * DiskRow: one virtio-blk device.
 * @serial: how the agent finds it
 * @alias: (nullable): how libvirt is told of it later
 * @base: (nullable): what it is an overlay of, a qcow2 unless @base_is_raw
 * @boots: the firmware boots from it: an overlay of the instance's own
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
    const char *base;
    gboolean base_is_raw;
    gboolean boots;
} DiskRow;

/* Else libvirt looks for what the image itself names. */
static void add_backing(xmlNode *disk, const DiskRow *row)
{
    xmlNode *backing = duet_xml_add(disk, "backingStore", NULL, NULL);
    if (!row->base)
        return;
    xmlNewProp(backing, (const xmlChar *)"type", (const xmlChar *)"file");
    duet_xml_add(backing, "format", NULL, "type", row->base_is_raw ? "raw" : "qcow2", NULL);
    duet_xml_add(backing, "source", NULL, "file", row->base, NULL);
    duet_xml_add(backing, "backingStore", NULL, NULL);
}

static xmlNode *add_disk(xmlNode *devices, const DiskRow *row, guint slot)
{
    xmlNode *disk = duet_xml_add(
        devices, "disk", NULL, "type", "file", "device", "disk", "model", virtio_model(slot), NULL);
    /* The host's page cache: the root disk's pages are shared by all VMs of the image. */
    xmlNode *driver = duet_xml_add(disk, "driver", NULL, "name", "qemu", "type",
        row->is_qcow2 ? "qcow2" : "raw", "cache", row->cache ? row->cache : "writeback",
        /* A host whose disk is full stops no VM in silence: the guest gets the error. */
        "error_policy", "report", NULL);
    if (row->io)
        xmlNewProp(driver, (const xmlChar *)"io", (const xmlChar *)row->io);
    /* What the guest gives back with fstrim, its overlay does. */
    if (row->boots)
        xmlNewProp(driver, (const xmlChar *)"discard", (const xmlChar *)"unmap");
    duet_xml_add(disk, "source", NULL, "file", row->path, NULL);
    if (row->is_qcow2)
        add_backing(disk, row);
    duet_xml_add(disk, "target", NULL, "dev", row->target, "bus", "virtio", NULL);
    if (row->readonly)
        duet_xml_add(disk, "readonly", NULL, NULL);
    duet_xml_add(disk, "serial", row->serial, NULL);
    if (row->boots)
        duet_xml_add(disk, "boot", NULL, "order", "1", NULL);
    if (row->alias)
        duet_xml_add(disk, "alias", NULL, "name", row->alias, NULL);
    add_address(disk, slot);
    return disk;
}

static void add_folder(
    xmlNode *devices, const DuetVmFolder *folder, const char *virtiofsd, guint slot)
{
    xmlNode *device = duet_xml_add(
        devices, "filesystem", NULL, "type", "mount", "accessmode", "passthrough", NULL);
    duet_xml_add(device, "driver", NULL, "type", "virtiofs", "queue", "1024", NULL);
    if (virtiofsd && !folder->socket)
        duet_xml_add(device, "binary", NULL, "path", virtiofsd, NULL);
    if (folder->socket)
        duet_xml_add(device, "source", NULL, "socket", folder->socket, NULL);
    else
        duet_xml_add(device, "source", NULL, "dir", folder->path, NULL);
    duet_xml_add(device, "target", NULL, "dir", folder->tag, NULL);
    add_address(device, slot);
}

static void add_channels(xmlNode *devices, const DuetVmPlan *plan, guint slot)
{
    xmlNode *bus = duet_xml_add(devices, "controller", NULL, "type", "virtio-serial", "index", "0",
        "model", virtio_model(slot), NULL);
    add_address(bus, slot);
    xmlNode *channel = duet_xml_add(devices, "channel", NULL, "type", "unix", NULL);
    if (plan->agent_socket)
        duet_xml_add(channel, "source", NULL, "mode", "bind", "path", plan->agent_socket, NULL);
    /* Of QEMU's guest agent libvirt is the peer. */
    duet_xml_add(channel, "target", NULL, "type", "virtio", "name",
        plan->disk ? "org.qemu.guest_agent.0" : "org.duet.agent.0", NULL);
}

/* What an image's guest writes there is its kernel's; a disk guest's is its terminal. */
static void add_console(xmlNode *devices, const DuetVmPlan *plan)
{
    xmlNode *serial =
        duet_xml_add(devices, "serial", NULL, "type", plan->disk ? "unix" : "file", NULL);
    if (plan->disk)
        duet_xml_add(serial, "source", NULL, "mode", "bind", "path", plan->console_socket, NULL);
    else
        duet_xml_add(serial, "source", NULL, "path", plan->console_log, "append", "on", NULL);
    duet_xml_add(serial, "target", NULL, "port", "0", NULL);
}

char *duet_vm_disk_alias(int index)
{
    return g_strdup_printf("ua-duet-disk-%d", index);
}

static xmlNode *add_data_disk(xmlNode *devices, const DuetDataDisk *disk, guint slot)
{
    /* Behind our own two. */
    g_autofree char *target = duet_data_disk_target(disk->index);
    g_autofree char *serial = g_strdup_printf("duet-disk-%d", disk->index);
    g_autofree char *alias = duet_vm_disk_alias(disk->index);
    const DiskRow row = {
        .path = disk->path,
        .target = target,
        .serial = serial,
        .alias = alias,
        .readonly = disk->readonly,
        .is_qcow2 = disk->is_qcow2,
        .cache = disk->cache,
        .io = disk->io,
        .base = disk->backing ? disk->backing->path : NULL,
        .base_is_raw = disk->backing && !disk->backing->is_qcow2,
    };
    return add_disk(devices, &row, slot);
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
        xmlNode *controller = duet_xml_add(devices, "controller", NULL, "type", "pci", "index",
            number, "model", "pcie-root-port", NULL);
        duet_xml_add(controller, "target", NULL, "chassis", number, "port", port, NULL);
        xmlNode *place = add_pci_place(controller, 0, *slot + i / 8, i % 8);
        if (i % 8 == 0)
            xmlNewProp(place, (const xmlChar *)"multifunction", (const xmlChar *)"on");
    }
    *slot += (n + 7) / 8;
}

static void add_data_disks(xmlNode *devices, const GPtrArray *disks, guint *slot)
{
    guint n = disks ? disks->len : 0;
    gboolean ports = *slot != 0 && *slot != SLOT_MMIO;
    if (ports)
        add_ports(devices, n + DUET_VM_SPARE_PORTS, slot);
    for (guint i = 0; i < n; i++) {
        xmlNode *disk = add_data_disk(devices, disks->pdata[i], ports ? 0 : *slot);
        if (ports)
            add_pci_place(disk, i + 1, 0, 0);
    }
}

char *duet_vm_disk_xml(const DuetDataDisk *disk)
{
    xmlDoc *document = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *devices = xmlNewNode(NULL, (const xmlChar *)"devices");
    xmlDocSetRootElement(document, devices);
    xmlNode *node = add_data_disk(devices, disk, 0);
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
    xmlNode *balloon = duet_xml_add(
        devices, "memballoon", NULL, "model", virtio_model(slot), "freePageReporting", "on", NULL);
    add_address(balloon, slot);
}

static void add_rng(xmlNode *devices, guint slot)
{
    xmlNode *rng = duet_xml_add(devices, "rng", NULL, "model", virtio_model(slot), NULL);
    /* QEMU's own source, the host's getrandom(): no file has to be there. */
    duet_xml_add(rng, "backend", NULL, "model", "builtin", NULL);
    add_address(rng, slot);
}

/* The slots after *slot, or what is none again. */
static guint next_slot(guint *slot)
{
    return *slot && *slot != SLOT_MMIO ? (*slot)++ : *slot;
}

static void add_own_disks(xmlNode *devices, const DuetVmPlan *plan, guint *slot)
{
    const DiskRow image[] = {
        { .path = plan->root_disk, .target = "vda", .serial = "duet-root", .readonly = TRUE },
        { .path = plan->rw_disk, .target = "vdb", .serial = "duet-rw" },
    };
    /* The seed is no CD-ROM: cloud-init looks at its label, and cloud kernels lack drivers of
     * others. */
    const DiskRow disk[] = {
        { .path = plan->disk,
            .target = "vda",
            .serial = "duet-disk",
            .is_qcow2 = TRUE,
            .base = plan->disk_base,
            .boots = TRUE },
        { .path = plan->seed, .target = "vdb", .serial = "duet-seed", .readonly = TRUE },
    };
    for (guint i = 0; i < G_N_ELEMENTS(image); i++)
        add_disk(devices, plan->disk ? &disk[i] : &image[i], next_slot(slot));
}

void duet_xml_add_devices(xmlNode *domain, const DuetSpec *spec, const DuetVmPlan *plan)
{
    const char *machine = duet_vm_machine(spec);
    gboolean is_q35 = duet_vm_machine_is_q35(machine);
    gboolean is_microvm = duet_vm_machine_is_microvm(machine);
    guint slot = is_microvm ? SLOT_MMIO : is_q35 ? 1 : 0;
    xmlNode *devices = duet_xml_add(domain, "devices", NULL, NULL);
    duet_xml_add(devices, "emulator", plan->emulator, NULL);
    if (!is_microvm)
        duet_xml_add(devices, "controller", NULL, "type", "pci", "index", "0", "model",
            is_q35 ? "pcie-root" : "pci-root", NULL);
    gboolean has_screen = plan->vnc_socket || plan->vnc_password;
    if (!has_screen)
        duet_xml_add(devices, "controller", NULL, "type", "usb", "model", "none", NULL);
    add_channels(devices, plan, next_slot(&slot));
    add_console(devices, plan);
    add_own_disks(devices, plan, &slot);
    for (guint i = 0; i < plan->folders->len; i++)
        add_folder(devices, plan->folders->pdata[i], plan->virtiofsd, next_slot(&slot));
    /* Others' kernels have the driver; without one some wait for entropy. */
    if (spec->rng || plan->disk)
        add_rng(devices, next_slot(&slot));
    add_balloon(devices, next_slot(&slot));
    add_data_disks(devices, plan->disks, &slot);
    /* QEMU tells of a guest's panic, whatever its console says. */
    duet_xml_add(devices, "panic", NULL, "model", "isa", NULL);
    if (has_screen)
        duet_xml_add_graphics(devices, plan->vnc_socket, plan->vnc_password);
}
