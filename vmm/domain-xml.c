/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine with what a payload needs and nothing that costs time to bring up: no USB, no graphics,
 * virtio 1.0 alone, all devices on the root bus but for what may come and go (see add_ports()).
 * There is no virtio-rng, unless it is asked for: both CPU models have RDRAND, which seeds the
 * guest's generator, and a device that needs one more module would be loaded in every boot. The
 * balloon's module is loaded when it is first needed.
 */
#include "vmm/domain-devices.h"
#include "vmm/machine.h"

#include <duet/vm-limits.h>

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

/* Explicit paths: what libvirt would choose by itself depends on the host's firmware descriptions.
 */
static void add_firmware(xmlNode *os, const DuetVmPlan *plan)
{
    if (!plan->loader)
        return;
    duet_xml_add(os, "loader", plan->loader, "readonly", "yes", "type", "pflash", NULL);
    duet_xml_add(os, "nvram", plan->nvram, NULL);
}

static void add_boot(xmlNode *domain, const DuetSpec *spec, const DuetVmPlan *plan)
{
    xmlNode *os = duet_xml_add(domain, "os", NULL, NULL);
    duet_xml_add(os, "type", "hvm", "arch", "x86_64", "machine", duet_vm_machine(spec), NULL);
    if (plan->disk) {
        add_firmware(os, plan);
        return;
    }
    duet_xml_add(os, "kernel", plan->kernel, NULL);
    duet_xml_add(os, "initrd", plan->initramfs, NULL);
    duet_xml_add(os, "cmdline", plan->cmdline, NULL);
}

static void add_topology(xmlNode *cpu, const DuetTopology *topology)
{
    if (!topology->sockets)
        return;
    g_autofree char *sockets = g_strdup_printf("%d", topology->sockets);
    g_autofree char *cores = g_strdup_printf("%d", topology->cores);
    g_autofree char *threads = g_strdup_printf("%d", topology->threads);
    duet_xml_add(
        cpu, "topology", NULL, "sockets", sockets, "cores", cores, "threads", threads, NULL);
}

/*
 * A named model under KVM must be one that this host's CPU can be. TCG lacks some feature of most
 * models, so nobody would get any: the guest sees what it has.
 */
static void add_cpu_model(xmlNode *domain, const DuetSpec *spec, gboolean kvm)
{
    const char *model = duet_vm_cpu_model(spec, kvm);
    gboolean is_mode = g_str_equal(model, DUET_VM_CPU_KVM) || g_str_equal(model, DUET_VM_CPU_TCG);
    xmlNode *cpu = duet_xml_add(domain, "cpu", NULL, "mode", is_mode ? model : "custom",
        is_mode ? "check" : "match", is_mode ? "none" : "exact", NULL);
    if (!is_mode) {
        xmlNewProp(cpu, (const xmlChar *)"check", (const xmlChar *)(kvm ? "partial" : "none"));
        duet_xml_add(cpu, "model", model, "fallback", "forbid", NULL);
    }
    add_topology(cpu, &spec->topology);
}

static void add_cpu(xmlNode *domain, const DuetSpec *spec, const DuetVmPlan *plan)
{
    xmlNode *features = duet_xml_add(domain, "features", NULL, NULL);
    duet_xml_add(features, "acpi", NULL, NULL);
    duet_xml_add(features, "apic", NULL, NULL);
    gboolean is_microvm = duet_vm_machine_is_microvm(duet_vm_machine(spec));
    if (!is_microvm)
        duet_xml_add(features, "vmport", NULL, "state", "off", NULL);
    if (!plan->kvm) {
        /* Without it the cache grows to a share of the host's memory. */
        g_autofree char *mib = g_strdup_printf("%u", (guint)(duet_vm_tb_cache_bytes(spec) >> 20));
        xmlNode *tcg = duet_xml_add(features, "tcg", NULL, NULL);
        duet_xml_add(tcg, "tb-cache", mib, "unit", "MiB", NULL);
    }
    add_cpu_model(domain, spec, plan->kvm);
    xmlNode *clock = duet_xml_add(domain, "clock", NULL, "offset", "utc", NULL);
    if (!is_microvm)
        duet_xml_add(clock, "timer", NULL, "name", "hpet", "present", "no", NULL);
}

/* For the eyes of those who meet it in virsh or virt-manager, and for duet_vm_daemon_remove(). */
static void add_identity(xmlNode *domain, const DuetSpec *spec)
{
    g_autofree char *ref = g_utf8_make_valid(spec->image_ref ? spec->image_ref : "?", -1);
    g_autofree char *title = g_strdup_printf("duet: %s (%s)", spec->name, ref);
    g_autofree char *description = g_strdup_printf(
        "Instance %s of duet. It lives as long as this domain runs: end it by `duet stop %s`.",
        spec->id, spec->name);
    duet_xml_add(domain, "title", title, NULL);
    duet_xml_add(domain, "description", description, NULL);
    xmlNode *metadata = duet_xml_add(domain, "metadata", NULL, NULL);
    xmlNode *instance = duet_xml_add(metadata, "instance", NULL, "id", spec->id, NULL);
    xmlSetNs(instance,
        xmlNewNs(instance, (const xmlChar *)DUET_VM_XML_NAMESPACE, (const xmlChar *)"duet"));
}

/*
 * QEMU as the one user that owns this VM's disk, and no file changes its owner: else libvirt gives
 * kernel, initramfs and root disk, which all VMs share, to the user of the VM that starts.
 */
static void add_label(xmlNode *domain, const char *label)
{
    xmlNode *security = duet_xml_add(
        domain, "seclabel", NULL, "type", "static", "model", "dac", "relabel", "no", NULL);
    duet_xml_add(security, "label", label, NULL);
}

/* What the cgroup's quota is for a libvirt of our own. The memory's limit: daemon.c. */
static void add_quota(xmlNode *domain, double cpus)
{
    g_autofree char *period = g_strdup_printf("%d", DUET_VM_QUOTA_PERIOD_US);
    g_autofree char *quota = g_strdup_printf("%.0f", cpus * DUET_VM_QUOTA_PERIOD_US);
    xmlNode *tune = duet_xml_add(domain, "cputune", NULL, NULL);
    duet_xml_add(tune, "global_period", period, NULL);
    duet_xml_add(tune, "global_quota", quota, NULL);
}

static void add_limits(xmlNode *domain, const DuetSpec *spec, const DuetVmPlan *plan)
{
    g_autofree char *memory = g_strdup_printf("%" G_GUINT64_FORMAT, duet_vm_memory_bytes(spec));
    g_autofree char *vcpus = g_strdup_printf("%u", duet_vm_vcpus(spec));
    g_autofree char *most = g_strdup_printf("%u", duet_vm_vcpus_max(spec));
    duet_xml_add(domain, "memory", memory, "unit", "b", NULL);
    if (plan->folders->len) {
        /* virtiofsd reads and writes the guest's memory. */
        xmlNode *backing = duet_xml_add(domain, "memoryBacking", NULL, NULL);
        duet_xml_add(backing, "source", NULL, "type", "memfd", NULL);
        duet_xml_add(backing, "access", NULL, "mode", "shared", NULL);
    }
    xmlNode *vcpu = duet_xml_add(domain, "vcpu", most, "placement", "static", NULL);
    if (!g_str_equal(vcpus, most))
        xmlNewProp(vcpu, (const xmlChar *)"current", (const xmlChar *)vcpus);
    if (plan->label && spec->cpus > 0)
        add_quota(domain, spec->cpus);
}

/*
 * libvirt has QEMU wait for it when the guest powers off. If the worker was killed nobody would
 * come: a guest that lost its channel and powered off must be gone without anybody's help.
 * The transport of a microvm's devices speaks a draft of virtio unless it is told otherwise, which
 * shared folders do not.
 */
static void add_qemu_arguments(xmlNode *domain, gboolean is_microvm)
{
    static const char *const arguments[] = { "-action", "shutdown=poweroff", "-global",
        "virtio-mmio.force-legacy=off" };
    guint n = is_microvm ? G_N_ELEMENTS(arguments) : 2;
    xmlNs *qemu = xmlNewNs(domain, (const xmlChar *)"http://libvirt.org/schemas/domain/qemu/1.0",
        (const xmlChar *)"qemu");
    xmlNode *list = duet_xml_add(domain, "commandline", NULL, NULL);
    xmlSetNs(list, qemu);
    for (guint i = 0; i < n; i++)
        xmlSetNs(duet_xml_add(list, "arg", NULL, "value", arguments[i], NULL), qemu);
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
    duet_xml_add(domain, "name", name, NULL);
    duet_xml_add(domain, "uuid", uuid, NULL);
    if (plan->for_daemon)
        add_identity(domain, spec);
    add_limits(domain, spec, plan);
    add_boot(domain, spec, plan);
    add_cpu(domain, spec, plan);
    /* A guest that is over, in whatever way, is over: the monitor learns it from QEMU's exit. But a
     * whole system may boot again, and what asks a daemon for a reset wants to be told that it was
     * done: see end-watch.c. */
    duet_xml_add(domain, "on_poweroff", "destroy", NULL);
    duet_xml_add(domain, "on_reboot", plan->disk || plan->for_daemon ? "restart" : "destroy", NULL);
    duet_xml_add(domain, "on_crash", "destroy", NULL);
    duet_xml_add_devices(domain, spec, plan);
    if (plan->label)
        add_label(domain, plan->label);
    add_qemu_arguments(domain, duet_vm_machine_is_microvm(duet_vm_machine(spec)));
    xmlChar *text = NULL;
    int length = 0;
    xmlDocDumpFormatMemory(document, &text, &length, 1);
    char *xml = g_strndup((const char *)text, (gsize)length);
    xmlFree(text);
    xmlFreeDoc(document);
    return xml;
}
