/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/apparmor.h"
#include "vmm/domain-xml.h"
#include "vmm/xml-patch.h"
#include "core/disk-list.h"

#include <duet/vm-limits.h>

#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <string.h>

static DuetSpec *spec_new(void)
{
    DuetSpec *spec = duet_spec_new();
    g_free(spec->id);
    spec->id = g_strdup("0123456789ab");
    spec->kind = DUET_KIND_VM;
    spec->name = g_strdup("golden");
    return spec;
}

static DuetVmPlan plan_of(gboolean kvm, GPtrArray *folders)
{
    return (DuetVmPlan){
        .kvm = kvm,
        .emulator = "/usr/bin/qemu-system-x86_64",
        .kernel = "/run/duet/0123456789ab/boot/kernel",
        .initramfs = "/run/duet/0123456789ab/boot/initramfs",
        .cmdline = "console=ttyS0 quiet",
        .root_disk = "/run/duet/0123456789ab/boot/root",
        .rw_disk = "/run/duet/0123456789ab/boot/rw",
        .agent_socket = "/run/duet/0123456789ab/agent.sock",
        .console_log = "/var/lib/duet/instances/0123456789ab/console.log",
        .virtiofsd = "/usr/lib/qemu/virtiofsd",
        .folders = folders,
    };
}

static GPtrArray *folders_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)duet_vm_folder_free);
}

/* DUET_UPDATE_GOLDEN=1 writes the files anew: read the diff before you commit it. */
static void assert_golden(const char *name, const char *xml)
{
    const char *source = g_getenv("DUET_SOURCE_DIR");
    g_assert_nonnull(source);
    g_autofree char *path = g_build_filename(source, "tests/golden", name, NULL);
    if (g_getenv("DUET_UPDATE_GOLDEN"))
        g_assert_true(g_file_set_contents(path, xml, -1, NULL));
    g_autofree char *golden = NULL;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(path, &golden, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(xml, ==, golden);
}

static void test_tcg(void)
{
    g_autoptr(DuetSpec) spec = spec_new();
    g_autoptr(GPtrArray) none = folders_new();
    DuetVmPlan plan = plan_of(FALSE, none);
    g_autofree char *xml = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-tcg.xml", xml);
    /* The host's CPU model needs KVM. */
    g_assert_null(strstr(xml, "host-passthrough"));
    g_assert_null(strstr(xml, "host-model"));
}

static void test_kvm(void)
{
    g_autoptr(DuetSpec) spec = spec_new();
    spec->memory_bytes = G_GUINT64_CONSTANT(1) << 30;
    spec->cpus = 1.5;
    g_autoptr(GPtrArray) none = folders_new();
    DuetVmPlan plan = plan_of(TRUE, none);
    g_autofree char *xml = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-kvm.xml", xml);
    g_assert_null(strstr(xml, "tb-cache"));
}

static void test_folders(void)
{
    g_autoptr(DuetSpec) spec = spec_new();
    g_autoptr(GPtrArray) folders = folders_new();
    g_ptr_array_add(folders, duet_vm_folder_new("duet-vol-0", "/run/duet/0123456789ab/vol/0"));
    g_ptr_array_add(folders, duet_vm_folder_new("duet-vol-1", "/run/duet/0123456789ab/vol/1"));
    /* One that duet serves, and one that a daemon does. */
    ((DuetVmFolder *)folders->pdata[0])->socket = g_strdup("/run/duet/0123456789ab/fs0.sock");
    DuetVmPlan plan = plan_of(FALSE, folders);
    g_autofree char *xml = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-folders.xml", xml);
}

static void test_disk(void)
{
    g_autoptr(DuetSpec) spec = spec_new();
    g_autoptr(GPtrArray) none = folders_new();
    DuetVmPlan plan = plan_of(FALSE, none);
    spec->disk_image = g_strdup("/var/lib/duet/images/vmroot/some.qcow2");
    plan.kernel = plan.initramfs = plan.cmdline = plan.root_disk = plan.rw_disk = NULL;
    plan.disk = "/run/duet/0123456789ab/boot/rw.qcow2";
    plan.disk_base = "/run/duet/0123456789ab/boot/base.qcow2";
    plan.seed = "/run/duet/0123456789ab/boot/seed.img";
    plan.agent_socket = "/run/duet/0123456789ab/agent.sock";
    plan.console_socket = "/run/duet/0123456789ab/console.sock";
    g_autofree char *bios = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-disk-bios.xml", bios);
    plan.loader = "/usr/share/OVMF/OVMF_CODE_4M.fd";
    plan.nvram = "/var/lib/duet/instances/0123456789ab/vars.fd";
    g_autofree char *uefi = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-disk-uefi.xml", uefi);
}

static void test_daemon(void)
{
    g_autoptr(DuetSpec) spec = spec_new();
    g_autoptr(GPtrArray) none = folders_new();
    DuetVmPlan plan = plan_of(FALSE, none);
    spec->image_ref = g_strdup("busybox:latest");
    spec->cpus = 0.5;
    plan.kernel = "/var/cache/duet/boot/kernel.vmlinux";
    plan.initramfs = "/var/cache/duet/initramfs/some.cpio";
    plan.root_disk = "/var/lib/duet/images/vmroot/some.img";
    plan.rw_disk = "/var/lib/duet/instances/0123456789ab/rw.img";
    plan.agent_socket = NULL;
    plan.for_daemon = TRUE;
    plan.label = "+524288:+64055";
    g_autofree char *xml = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-system.xml", xml);
    /* An ordinary user's daemon has no cgroups and no other users. */
    plan.label = NULL;
    plan.agent_socket = "/run/user/1000/duet/0123456789ab/agent.sock";
    g_autofree char *session = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-session.xml", session);
}

static DuetSpec *machine_spec_new(void)
{
    DuetSpec *spec = spec_new();
    spec->cpus = 1.5;
    spec->topology = (DuetTopology){ 4, 2, 2, 1 };
    spec->cpu_model = g_strdup("Haswell");
    spec->rng = TRUE;
    return spec;
}

static GPtrArray *disks_new(void)
{
    static const char *const texts[] = { "/run/duet/0123456789ab/boot/disk-0.img",
        "/run/duet/0123456789ab/boot/disk-1.img,format=qcow2,readonly=on,cache=none,io=native",
        NULL };
    return duet_disk_list_parse((char *const *)texts, NULL);
}

static void test_machine(void)
{
    g_autoptr(DuetSpec) spec = machine_spec_new();
    g_autoptr(GPtrArray) folders = folders_new();
    g_autoptr(GPtrArray) disks = disks_new();
    g_ptr_array_add(folders, duet_vm_folder_new("duet-vol-0", "/run/duet/0123456789ab/vol/0"));
    DuetVmPlan plan = plan_of(FALSE, folders);
    plan.disks = disks;
    g_autofree char *tcg = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-machine-tcg.xml", tcg);
    plan.kvm = TRUE;
    g_autofree char *kvm = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-machine-kvm.xml", kvm);
    spec->machine = g_strdup("microvm");
    g_autofree char *microvm = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-machine-microvm.xml", microvm);
    g_free(spec->machine);
    /* Slots of its root bus are taken: libvirt places the devices. */
    spec->machine = g_strdup("pc");
    g_autofree char *pc = duet_vm_domain_xml(spec, &plan);
    assert_golden("domain-machine-pc.xml", pc);
    g_assert_null(strstr(pc, "<address"));
}

static void test_cpu_models(void)
{
    g_autoptr(DuetSpec) spec = spec_new();
    g_autoptr(GPtrArray) none = folders_new();
    DuetVmPlan plan = plan_of(TRUE, none);
    spec->cpu_model = g_strdup("max");
    g_autofree char *max = duet_vm_domain_xml(spec, &plan);
    g_assert_nonnull(strstr(max, "<cpu mode=\"maximum\" check=\"none\"/>"));
    g_free(spec->cpu_model);
    spec->cpu_model = g_strdup("host");
    g_autofree char *host = duet_vm_domain_xml(spec, &plan);
    g_assert_nonnull(strstr(host, "<cpu mode=\"host-passthrough\" check=\"none\"/>"));
}

static void test_patch(void)
{
    static const char patch[] =
        "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
        "  <!-- of two, both -->\n"
        "  <description>one &amp; two</description>\n"
        "  <clock offset='localtime'/>\n"
        "  <devices>\n"
        "    <watchdog model='i6300esb' action='reset'/>\n"
        "    <memballoon model='virtio'/>\n"
        "    <interface type='user'/>\n"
        "    <interface type='user'><mac address='52:54:00:12:34:56'/></interface>\n"
        "    <interface type='user'/>\n"
        "  </devices>\n"
        "  <qemu:commandline><qemu:arg value='-msg'/><qemu:arg value='timestamp=on'/>"
        "</qemu:commandline>\n"
        "</domain>\n";
    g_autoptr(DuetSpec) spec = spec_new();
    g_autoptr(GPtrArray) none = folders_new();
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_vm_xml_patch_has_card(patch));
    g_assert_false(duet_vm_xml_patch_has_card("<domain><devices/></domain>"));
    for (int kvm = 0; kvm < 2; kvm++) {
        DuetVmPlan plan = plan_of(kvm, none);
        g_autofree char *xml = duet_vm_domain_xml(spec, &plan);
        g_autofree char *merged = duet_vm_xml_patch_apply(xml, patch, &error);
        g_assert_no_error(error);
        assert_golden(kvm ? "domain-patched-kvm.xml" : "domain-patched-tcg.xml", merged);
        g_autofree char *again = duet_vm_xml_patch_apply(xml, "<domain/>", &error);
        g_assert_cmpstr(again, ==, xml);
    }
}

static char *xpath_string(const char *xml, const char *expression)
{
    xmlDoc *document = xmlParseMemory(xml, (int)strlen(xml));
    g_assert_nonnull(document);
    xmlXPathContext *context = xmlXPathNewContext(document);
    xmlXPathObject *object = xmlXPathEvalExpression((const xmlChar *)expression, context);
    xmlChar *value = xmlXPathCastToString(object);
    char *text = g_strdup((const char *)value);
    xmlFree(value);
    xmlXPathFreeObject(object);
    xmlXPathFreeContext(context);
    xmlFreeDoc(document);
    return text;
}

static void test_escapes(void)
{
    g_autoptr(DuetSpec) spec = spec_new();
    g_autoptr(GPtrArray) none = folders_new();
    DuetVmPlan plan = plan_of(FALSE, none);
    plan.console_log = "/tmp/a\"b'<c>&d/console.log";
    plan.emulator = "/opt/q&e<m>u";
    g_autofree char *xml = duet_vm_domain_xml(spec, &plan);
    g_autofree char *log = xpath_string(xml, "string(//serial/source/@path)");
    g_autofree char *emulator = xpath_string(xml, "string(//emulator)");
    g_assert_cmpstr(log, ==, plan.console_log);
    g_assert_cmpstr(emulator, ==, plan.emulator);
}

static void test_uuid(void)
{
    g_autofree char *uuid = duet_vm_uuid("0123456789ab");
    g_autofree char *again = duet_vm_uuid("0123456789ab");
    g_autofree char *other = duet_vm_uuid("0123456789ac");
    g_assert_true(g_uuid_string_is_valid(uuid));
    g_assert_cmpstr(uuid, ==, again);
    g_assert_cmpstr(uuid, !=, other);
}

static void test_limits(void)
{
    g_autoptr(DuetSpec) spec = spec_new();
    g_assert_cmpuint(duet_vm_vcpus(spec), ==, 1);
    g_assert_cmpuint(duet_vm_memory_bytes(spec), ==, DUET_VM_MEMORY_DEFAULT_BYTES);
    spec->memory_bytes = 100000 * 1024;
    g_assert_cmpuint(duet_vm_memory_bytes(spec), ==, 98 * 1048576);
    spec->memory_bytes = 0;
    spec->cpus = 0.25;
    g_assert_cmpuint(duet_vm_vcpus(spec), ==, 1);
    spec->cpus = 2;
    g_assert_cmpuint(duet_vm_vcpus(spec), ==, 2);
    spec->cpus = 2.01;
    g_assert_cmpuint(duet_vm_vcpus(spec), ==, 3);
    guint64 one = duet_vm_memory_allowance_bytes(spec);
    spec->cpus = 1;
    g_assert_cmpuint(duet_vm_memory_allowance_bytes(spec), <, one);
    one = duet_vm_memory_allowance_bytes(spec);
    g_assert_cmpuint(one, >, DUET_VM_TB_CACHE_BYTES);
    spec->topology.max = 1;
    g_assert_cmpuint(duet_vm_memory_allowance_bytes(spec), ==,
        one - DUET_VM_TB_CACHE_BYTES + DUET_VM_TB_CACHE_GROWING_BYTES);
}

/* Whose name libvirt looks for; made only where the host's own libvirtd would confine VMs. */
static void test_apparmor_profile(void)
{
    static const struct {
        const char *loaded, *program, *profile;
    } rows[] = {
        { "", "duet", NULL },
        { "man_filter (enforce)\nduet-x (enforce)\n", "duet", NULL },
        { "libvirtd//qemu_bridge_helper (enforce)\n", "duet", NULL },
        { "libvirtd (enforce)\n", "duet", "profile \"duet\" flags=(unconfined) {\n}\n" },
        { "a (unconfined)\nvirtqemud (enforce)\nduet-x (enforce)\n", "duet",
            "profile \"duet\" flags=(unconfined) {\n}\n" },
        { "libvirtd (enforce)\nduet (unconfined)\n", "duet", NULL },
        { "libvirtd (enforce)\nduet (complain)\n", "duet", NULL },
        { "libvirtd (enforce)\n", "du\"et", NULL },
        { "libvirtd (enforce)\n", "duet (deleted)", NULL },
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *profile = duet_vm_apparmor_profile_for(rows[i].loaded, rows[i].program);
        g_assert_cmpstr(profile, ==, rows[i].profile);
    }
}

/* What `duet check` says: silence about a QEMU that is not confined is what hurt. */
static void test_apparmor_confines(void)
{
    static const struct {
        const char *loaded;
        gboolean can_load, confines, advice;
    } rows[] = {
        { NULL, TRUE, FALSE, FALSE },
        { "man_filter (enforce)\n", TRUE, FALSE, TRUE },
        { "libvirtd (enforce)\n", TRUE, TRUE, FALSE },
        { "libvirtd (enforce)\n", FALSE, FALSE, TRUE },
        { "virtqemud (enforce)\nduet (unconfined)\n", FALSE, TRUE, FALSE },
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *detail = NULL, *advice = "";
        g_assert_cmpint(
            duet_vm_apparmor_confines(rows[i].loaded, "duet", rows[i].can_load, &detail, &advice),
            ==, rows[i].confines);
        g_assert_nonnull(detail);
        g_assert_cmpint(advice != NULL, ==, rows[i].advice);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmm-xml/tcg", test_tcg);
    g_test_add_func("/vmm-xml/kvm", test_kvm);
    g_test_add_func("/vmm-xml/folders", test_folders);
    g_test_add_func("/vmm-xml/disk", test_disk);
    g_test_add_func("/vmm-xml/daemon", test_daemon);
    g_test_add_func("/vmm-xml/machine", test_machine);
    g_test_add_func("/vmm-xml/cpu-models", test_cpu_models);
    g_test_add_func("/vmm-xml/patch", test_patch);
    g_test_add_func("/vmm-xml/escapes", test_escapes);
    g_test_add_func("/vmm-xml/uuid", test_uuid);
    g_test_add_func("/vmm-xml/limits", test_limits);
    g_test_add_func("/vmm-xml/apparmor-profile", test_apparmor_profile);
    g_test_add_func("/vmm-xml/apparmor-confines", test_apparmor_confines);
    return g_test_run();
}
