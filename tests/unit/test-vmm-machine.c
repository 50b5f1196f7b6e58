/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hardware of a VM: what of it this host has, and patches of its XML. */
#include "vmm/code-cache.h"
#include "vmm/data-disk.h"
#include "vmm/machine.h"
#include "vmm/xml-patch.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTED                                                                                     \
    "Supported machines are:\n"                                                                    \
    "microvm              microvm (i386)\n"                                                        \
    "pc                   Standard PC (alias of pc-i440fx-7.2)\n"                                  \
    "pc-i440fx-7.2        Standard PC (default)\n"                                                 \
    "q35                  Standard PC (alias of pc-q35-7.2)\n"                                     \
    "isapc                ISA-only PC\n"

static void test_machine(void)
{
    static const struct {
        const char *machine;
        int code; /* -1: none */
        const char *word;
    } rows[] = {
        { "q35", -1, NULL },
        { "pc", -1, NULL },
        { "pc-i440fx-7.2", -1, NULL },
        { "pc-q35-99", DUET_ERROR_INVALID, "there are: microvm, pc, pc-i440fx-7.2, q35" },
        { "", DUET_ERROR_INVALID, "there are:" },
        { "Supported", DUET_ERROR_INVALID, "there are:" },
        { "q35,accel=kvm", DUET_ERROR_INVALID, "there are:" },
        { "microvm", -1, NULL },
        { "isapc", DUET_ERROR_UNSUPPORTED, "PCI" },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(
            duet_vm_machine_check(rows[i].machine, LISTED, &error), ==, rows[i].code == -1);
        if (rows[i].code == -1)
            continue;
        g_assert_error(error, DUET_ERROR, rows[i].code);
        g_assert_nonnull(strstr(error->message, rows[i].word));
    }
}

static void test_cpu(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(GError) error = NULL;
    g_assert_cmpstr(duet_vm_cpu_model(spec, TRUE), ==, "host-passthrough");
    g_assert_cmpstr(duet_vm_cpu_model(spec, FALSE), ==, "maximum");
    spec->cpu_model = g_strdup("Haswell");
    g_assert_cmpstr(duet_vm_cpu_model(spec, TRUE), ==, "Haswell");
    g_assert_true(duet_vm_accel_check(spec, FALSE, &error));
    g_free(spec->cpu_model);
    spec->cpu_model = g_strdup("host");
    g_assert_true(duet_vm_accel_check(spec, TRUE, &error));
    g_assert_false(duet_vm_accel_check(spec, FALSE, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
}

static void test_microvm(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(GError) error = NULL;
    spec->machine = g_strdup("microvm");
    g_assert_true(duet_vm_accel_check(spec, TRUE, &error));
    g_assert_false(duet_vm_accel_check(spec, FALSE, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
    spec->rng = TRUE;
    for (guint i = 1; i < DUET_VM_MICROVM_DEVICES_MAX; i++)
        g_ptr_array_add(spec->mounts, duet_mount_new("/a", "/b", FALSE));
    g_assert_true(duet_vm_devices_check(spec, NULL));
    g_ptr_array_add(spec->mounts, duet_mount_new("/a", "/b", FALSE));
    g_assert_false(duet_vm_devices_check(spec, NULL));
    spec->rng = FALSE;
    g_assert_true(duet_vm_devices_check(spec, NULL));
    spec->disk_image = g_strdup("/d");
    g_assert_false(duet_vm_devices_check(spec, NULL));
}

static void test_too_many(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(GError) error = NULL;
    spec->disks = g_new0(char *, DUET_VM_DISKS_MAX + 2);
    for (guint i = 0; i < DUET_VM_DISKS_MAX; i++)
        spec->disks[i] = g_strdup("/a");
    spec->rng = TRUE;
    g_assert_true(duet_vm_devices_check(spec, &error));
    for (guint i = 0; i < DUET_VM_DEVICES_MAX - DUET_VM_DISKS_MAX; i++)
        g_ptr_array_add(spec->mounts, duet_mount_new("/a", "/b", FALSE));
    g_assert_false(duet_vm_devices_check(spec, NULL));
    spec->rng = FALSE;
    g_assert_true(duet_vm_devices_check(spec, &error));
    g_ptr_array_set_size(spec->mounts, 0);
    spec->disks[DUET_VM_DISKS_MAX] = g_strdup("/a");
    g_assert_false(duet_vm_devices_check(spec, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
}

/* A qcow2 header, version 3. */
static void write_qcow2(const char *path, guint8 backing_offset, guint8 features)
{
    static const char backing_name[] = "/gone\033/base";
    guint8 bytes[512] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };
    bytes[15] = backing_offset;
    bytes[19] = backing_offset ? strlen(backing_name) : 0;
    memcpy(bytes + 200, backing_name, sizeof backing_name);
    bytes[79] = features;
    g_assert_true(g_file_set_contents(path, (const char *)bytes, sizeof bytes, NULL));
}

static void assert_disk(const char *path, const char *options, int code, const char *word)
{
    g_autofree char *text = g_strconcat(path, options, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetDataDisk) disk = duet_data_disk_parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpint(duet_data_disk_check(disk, &error), ==, code == -1);
    if (code == -1)
        return;
    g_assert_error(error, DUET_ERROR, code);
    g_assert_nonnull(strstr(error->message, path));
    g_assert_nonnull(strstr(error->message, word));
}

/* It is @base that is refused. */
static void assert_base(
    const char *path, const char *options, const char *base, int code, const char *word)
{
    g_autofree char *text = g_strconcat(path, options, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetDataDisk) disk = duet_data_disk_parse(text, NULL);
    g_assert_false(duet_data_disk_check(disk, &error));
    g_assert_error(error, DUET_ERROR, code);
    g_assert_nonnull(strstr(error->message, base));
    g_assert_nonnull(strstr(error->message, word));
}

static void assert_open(const char *path, int code)
{
    DuetDataDisk disk = { .path = (char *)path, .format_given = TRUE };
    g_autoptr(GError) error = NULL;
    DUET_AUTO_FD fd = duet_data_disk_open(&disk, &error);
    g_assert_cmpint(fd >= 0, ==, code == -1);
    if (code != -1)
        g_assert_error(error, DUET_ERROR, code);
}

static void test_disks(void)
{
    g_autofree char *dir = g_dir_make_tmp("duet-machine-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "disk", NULL);
    assert_disk(path, "", DUET_ERROR_NOT_FOUND, "No such file");
    assert_disk(dir, "", DUET_ERROR_INVALID, "-v");
    assert_disk("/dev/null", "", DUET_ERROR_INVALID, "no file");
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    assert_disk(path, "", DUET_ERROR_INVALID, "no file");
    g_unlink(path);
    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    assert_disk(path, "", DUET_ERROR_INVALID, "empty");
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    assert_disk(path, "", -1, NULL);
    assert_disk(path, ",format=qcow2", DUET_ERROR_INVALID, "no qcow2");
    write_qcow2(path, 0, 0);
    assert_disk(path, "", DUET_ERROR_INVALID, "format=raw");
    assert_disk(path, ",format=raw", -1, NULL);
    assert_disk(path, ",format=qcow2", -1, NULL);
    g_autofree char *base = g_build_filename(dir, "base", NULL);
    g_autofree char *on_raw = g_strconcat(",format=qcow2,backing_store=", base, NULL);
    g_autofree char *on_qcow2 = g_strconcat(on_raw, ",backing_format=qcow2", NULL);
    g_assert_true(g_file_set_contents(base, "x", 1, NULL));
    assert_disk(path, on_raw, DUET_ERROR_INVALID, "no backing file");
    write_qcow2(path, 200, 0);
    assert_disk(path, ",format=qcow2", DUET_ERROR_UNSUPPORTED, "'/gone\\033/base'");
    assert_disk(path, ",format=raw", -1, NULL);
    assert_disk(path, on_raw, -1, NULL);
    assert_disk(base, on_raw, DUET_ERROR_INVALID, "no qcow2");
    write_qcow2(base, 0, 0);
    assert_disk(path, on_qcow2, -1, NULL);
    write_qcow2(base, 200, 0);
    g_autofree char *on_raw_given = g_strconcat(on_raw, ",backing_format=raw", NULL);
    assert_disk(path, on_raw_given, -1, NULL);
    assert_base(path, on_raw, base, DUET_ERROR_INVALID, "backing_format");
    assert_base(path, on_qcow2, base, DUET_ERROR_UNSUPPORTED, "'/gone");
    g_unlink(base);
    assert_base(path, on_raw, base, DUET_ERROR_NOT_FOUND, "No such file");
    /* A link is followed when the instance is made, and never again. */
    g_autofree char *link = g_build_filename(dir, "link", NULL);
    g_assert_cmpint(symlink("disk", link), ==, 0);
    assert_disk(link, ",format=raw", -1, NULL);
    assert_open(path, -1);
    assert_open(link, DUET_ERROR_PERMISSION);
    g_unlink(link);
    g_assert_cmpint(symlink(dir, link), ==, 0);
    g_autofree char *through = g_build_filename(link, "disk", NULL);
    assert_open(through, DUET_ERROR_PERMISSION);
    g_unlink(link);
    write_qcow2(path, 0, 4);
    assert_disk(path, ",format=qcow2", DUET_ERROR_UNSUPPORTED, "another file");
    g_unlink(path);
    g_rmdir(dir);
}

static void test_patch_refused(void)
{
    static const struct {
        const char *patch, *word;
    } rows[] = {
        { "", "empty" },
        { "<domain>", "well-formed" },
        { "<domain/><domain/>", "well-formed" },
        { "<network/>", "<network>" },
        { "<domain type='kvm'/>", "'type'" },
        { "<domain id='1'/>", "'id'" },
        { "<domain><name>x</name></domain>", "<name>" },
        { "<domain><uuid>x</uuid></domain>", "<uuid>" },
        { "<domain><os><kernel>/x</kernel></os></domain>", "--kernel" },
        { "<domain><memory>1</memory></domain>", "--memory" },
        { "<domain><vcpu>9</vcpu></domain>", "--vcpus" },
        { "<domain><seclabel type='none'/></domain>", "<seclabel>" },
        { "<domain><metadata/></domain>", "<metadata>" },
        { "<domain><on_reboot>restart</on_reboot></domain>", "<on_reboot>" },
        { "<d:domain xmlns:d='u'><d:name>x</d:name></d:domain>", "without a namespace" },
        { "<domain xmlns='u'><devices/></domain>", "without a namespace" },
        { "<domain><os xmlns='u'/></domain>", "<os>" },
        { "<domain><q:os xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'/></domain>", "<os>" },
        { "<domain><devices xmlns='u'/></domain>", "<devices>" },
        { "<domain><devices><x:serial xmlns:x='u'/></devices></domain>", "<serial>" },
        { "<?xml version='1.0'?><?a b?><domain><?c d?><devices/><devices><?e f?><emulator/>"
          "</devices></domain>",
            "--qemu" },
        { "<domain><devices><emulator>/x</emulator></devices></domain>", "--qemu" },
        { "<domain><devices><filesystem/></devices></domain>", "-v" },
        { "<domain><devices><console/></devices></domain>", "<console>" },
        { "<domain><devices/><devices><serial/></devices></domain>", "<serial>" },
        { "<domain><devices><channel><target name='org.duet.agent.0'/></channel></devices>"
          "</domain>",
            "<channel>" },
        { "<domain><devices><channel type='file'><source path='/x'/></channel></devices></domain>",
            "<source> in <channel>" },
        { "<domain><devices><rng><backend type='unix'><source mode='bind' path='/x'/></backend>"
          "</rng></devices></domain>",
            "<source> in <backend>" },
        { "<domain><devices><interface><source type='unix' path='/x'/></interface></devices>"
          "</domain>",
            "<source> in <interface>" },
        { "<domain><devices><parallel type='null'><log file='/x'/></parallel></devices></domain>",
            "<log> in <parallel>" },
        { "<domain><devices><disk><source file='/x'><seclabel relabel='yes'/></source></disk>"
          "</devices></domain>",
            "<seclabel> in <source>" },
        { "<!DOCTYPE domain><domain/>", "DOCTYPE" },
        { "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain><title>&x;</title>"
          "</domain>",
            "DOCTYPE" },
        { "<!DOCTYPE d SYSTEM 'http://127.0.0.1:1/x.dtd'><domain/>", "DOCTYPE" },
        { "<domain><title>&x;</title></domain>", "well-formed" },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(duet_vm_xml_patch_check(rows[i].patch, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, rows[i].word));
    }
    g_autofree char *blanks = g_strnfill(DUET_VM_XML_PATCH_MAX_BYTES, ' ');
    g_autofree char *large = g_strconcat("<domain>", blanks, "</domain>", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_false(duet_vm_xml_patch_check(large, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
}

/* What QEMU 7.2 says of caches of 64, 256, 4 and 1 MiB, and a log that has nothing of it. */
static void test_code_cache(void)
{
    static const struct {
        const char *info;
        guint vcpus, max, more;
        gboolean has_room;
    } rows[] = {
        { "Translation buffer state:\ngen code size       0/67026944\n", 1, 2, 1, TRUE },
        /* 16 regions of 4189184 bytes, 14 of which may be full when another comes */
        { "gen code size       60743000/67026944\n", 1, 2, 1, TRUE },
        { "gen code size       60744000/67026944\n", 1, 2, 1, FALSE },
        { "gen code size       67026000/67026944\n", 1, 2, 1, FALSE },
        /* 64 of 1 MiB: each vCPU needs one */
        { "gen code size       0/66781184\n", 1, 64, 63, TRUE },
        { "gen code size       1043456/66781184\n", 1, 64, 63, FALSE },
        { "gen code size       1043456/66781184\n", 1, 64, 62, TRUE },
        /* 128 of 2 MiB */
        { "gen code size       235353600/267780096\n", 2, 16, 14, FALSE },
        { "gen code size       235353600/267780096\n", 2, 16, 13, TRUE },
        /* a cache of fewer MiB than vCPUs */
        { "gen code size       2092032/4184064\n", 1, 2, 1, FALSE },
        { "gen code size       200000/1038336\n", 1, 2, 1, TRUE },
        { "gen code size       300000/1038336\n", 1, 2, 1, FALSE },
        { "Error: JIT information is only available with accel=tcg\n", 1, 2, 1, TRUE },
        { "gen code size       0/0\n", 1, 2, 1, TRUE },
        { "gen code size       0/1\n", 1, 0, 1, TRUE },
        { "", 1, 2, 1, TRUE },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].info);
        g_assert_cmpint(
            duet_code_cache_has_room(rows[i].info, rows[i].vcpus, rows[i].max, rows[i].more), ==,
            rows[i].has_room);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmm-machine/machine", test_machine);
    g_test_add_func("/vmm-machine/cpu", test_cpu);
    g_test_add_func("/vmm-machine/microvm", test_microvm);
    g_test_add_func("/vmm-machine/too-many", test_too_many);
    g_test_add_func("/vmm-machine/disks", test_disks);
    g_test_add_func("/vmm-machine/patch-refused", test_patch_refused);
    g_test_add_func("/vmm-machine/code-cache", test_code_cache);
    return g_test_run();
}
