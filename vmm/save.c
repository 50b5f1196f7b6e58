/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory and devices of a VM in a file of libvirt's, and back. The machine is the one that was
 * saved, with all that came and went while it ran, which only that file knows: its XML is taken
 * from there, with the paths of now. What libvirt does not look at (the files behind the paths,
 * QEMU's version, the kernel, what the spec says) is compared here, before anything starts.
 *
 * A daemon writes to that file, too, rather than to its own store of managed saves: what it has
 * there it would start by `virsh start`, without anybody at the agent's port, and that guest powers
 * off.
 */
#include "vmm/data-disk.h"
#include "vmm/disk-guest/disk-guest.h"
#include "vmm/disk-guest/guest-proxy.h"
#include "vmm/machine.h"
#include "vmm/root.h"
#include "vmm/virt-error.h"
#include "vmm/vm.h"
#include "core/disk-list.h"
#include "core/saved.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DOMAIN_ID "domain-id"
#define PATHS "paths"

/* What one of a VM's properties is called in a message. */
static const struct {
    const char *key;
    const char *what;
} properties[] = {
    { "qemu", "QEMU" },
    { "accel", "accelerator" },
    { "machine", "machine type" },
    { "cpu-model", "CPU model" },
    { "vcpus", "number of vCPUs" },
    { "memory", "amount of memory" },
    { "kernel", "guest kernel" },
    { "firmware", "firmware" },
    { "root-disk", "disk of its image" },
    { "rw-disk", "state of its writable disk" },
    { "disk-list", "list of its further disks" },
    { "disks", "state of its further disks" },
    { "pids-limit", "limit of processes" },
    { "memory-file", "memory file" },
    /* What a daemon's domain has of its own: */
    { "domain-name", "name" },
    { "cpu-time", "limit of CPU time" },
};

static void add_file(GString *text, const char *path)
{
    struct stat st = { 0 };
    if (stat(path, &st) < 0)
        g_string_append(text, "missing");
    else
        g_string_append_printf(text, "%" G_GINT64_FORMAT " bytes of %" G_GINT64_FORMAT ".%09ld",
            (gint64)st.st_size, (gint64)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void put(GVariantDict *dict, const char *key, const char *value)
{
    g_variant_dict_insert(dict, key, "s", value ? value : "");
}

static void put_file(GVariantDict *dict, const char *key, const char *path)
{
    g_autoptr(GString) text = g_string_new(NULL);
    add_file(text, path);
    put(dict, key, text->str);
}

static void put_disks(GVariantDict *dict, const DuetSpec *spec)
{
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(spec->disks, NULL);
    g_autoptr(GString) states = g_string_new(NULL);
    g_autoptr(GString) list = g_string_new(NULL);
    for (guint i = 0; disks && i < disks->len; i++) {
        const DuetDataDisk *disk = disks->pdata[i];
        g_autofree char *text = duet_data_disk_to_text(disk);
        g_string_append_printf(list, "%s%s", i ? ", " : "", text);
        g_string_append(states, i ? ", " : "");
        for (const DuetDataDisk *file = disk; file; file = file->backing)
            add_file(states, file->path);
    }
    g_autofree char *valid = g_utf8_make_valid(list->str, -1);
    put(dict, "disk-list", valid);
    put(dict, "disks", states->str);
}

static void put_spec(GVariantDict *dict, const DuetVm *vm, const DuetSpec *spec)
{
    /* How many of them there are is the memory's; more can come. */
    g_autofree char *vcpus = g_strdup_printf("%u", duet_vm_vcpus_max(spec));
    g_autofree char *bytes = duet_format_bytes(duet_vm_memory_bytes(spec));
    g_autofree char *pids = g_strdup_printf("%" G_GUINT64_FORMAT, spec->pids_limit);
    put(dict, "machine", duet_vm_machine(spec));
    put(dict, "cpu-model", duet_vm_cpu_model(spec, vm->kvm));
    put(dict, "vcpus", vcpus);
    put(dict, "memory", bytes);
    put(dict, "pids-limit", pids);
    put_file(dict, "root-disk", spec->disk_image ? spec->disk_image : spec->root_disk);
    put_disks(dict, spec);
}

static void put_daemon(GVariantDict *dict, const DuetSpec *spec)
{
    g_autofree char *cpus = g_strdup_printf("%g", spec->cpus);
    put(dict, "domain-name", spec->name);
    put(dict, "cpu-time", cpus);
}

/* Below, or at, these are all files of ours that the XML names; and whom a daemon's QEMU runs as,
 * which is another user at each start. */
static GVariant *paths_new(const DuetVm *vm)
{
    const char *of_image[] = { "", "", vm->spec->disk_image };
    if (!vm->spec->disk_image) {
        of_image[0] = vm->kernel->boot_path;
        of_image[1] = vm->initramfs->path;
        of_image[2] = vm->spec->root_disk;
    }
    const char *const paths[] = { vm->place->run_dir, vm->place->instance_dir, vm->emulator,
        of_image[0], of_image[1], of_image[2], vm->label ? vm->label : "", NULL };
    return g_variant_new_bytestring_array(paths, -1);
}

/* A disk guest has its own kernel. Its UEFI's variables are a part of the memory, and its seed is
 * kept beside that. */
static void put_guest(GVariantDict *dict, const DuetVm *vm)
{
    if (!vm->spec->disk_image) {
        put(dict, "kernel", vm->kernel->sha256);
        return;
    }
    put(dict, "firmware", duet_disk_guest_loader(vm->spec));
    g_variant_dict_insert(
        dict, DUET_SAVED_AGENT, "b", vm->proxy && duet_guest_proxy_has_agent(vm->proxy));
}

/* Returns: (transfer floating): as it is now. @memory: path of the saved memory */
static GVariant *facts_new(const DuetVm *vm, const DuetSpec *spec, const char *memory)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_autofree char *qemu = duet_vm_qemu_version(vm->emulator, NULL);
    g_autofree char *rw = g_build_filename(
        vm->place->instance_dir, spec->disk_image ? DUET_DISK_OVERLAY : "rw.img", NULL);
    put(&dict, "qemu", qemu);
    put(&dict, "accel", vm->kvm ? "kvm" : "tcg");
    put_guest(&dict, vm);
    put(&dict, DOMAIN_ID, vm->domain_id);
    put_spec(&dict, vm, spec);
    if (spec->connect)
        put_daemon(&dict, spec);
    put_file(&dict, "rw-disk", rw);
    put_file(&dict, "memory-file", memory);
    g_variant_dict_insert_value(&dict, PATHS, paths_new(vm));
    return g_variant_dict_end(&dict);
}

/* ---- saving ---- */

/* Ours is the spec of the start; it may have been changed since. */
static DuetSpec *spec_of_now(const DuetVm *vm, GError **error)
{
    g_autofree char *path = g_build_filename(vm->place->instance_dir, "spec", NULL);
    g_autoptr(GVariant) variant = duet_variant_read(AT_FDCWD, path, error);
    return variant ? duet_spec_from_variant(variant, error) : NULL;
}

gboolean duet_vm_save(DuetRuntime *runtime, GVariant **out_facts, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    const char *path = vm->place->save_path;
    g_autoptr(DuetSpec) spec = spec_of_now(vm, error);
    if (!spec)
        return FALSE;
    if (!duet_vm_reach(vm, error) || (spec->disk_image && !duet_disk_guest_keep_seed(vm, error)))
        return FALSE;
    duet_fd_clear(&vm->hold);
    if (virDomainSaveFlags(vm->domain, path, NULL, 0) < 0) {
        duet_virt_error_set(error, "cannot save the memory of '%s'", vm->spec->name);
        /* libvirt lets it go on, if it can. */
        duet_runtime_resume(runtime, NULL);
        duet_vm_hold(vm);
        return FALSE;
    }
    *out_facts = g_variant_ref_sink(facts_new(vm, spec, path));
    return TRUE;
}

/* ---- going on ---- */

static char *memory_path(const DuetVm *vm)
{
    return g_build_filename(vm->place->saved_dir, DUET_SAVED_MEMORY, NULL);
}

/* Returns: the place of the first item that differs, of two lists. */
static guint differs_at(const char *was, const char *is)
{
    guint start = 0;
    for (guint i = 0; was[i] && was[i] == is[i]; i++)
        if (i > 0 && was[i] == ' ' && was[i - 1] == ',')
            start = i + 1;
    return start;
}

static gboolean compare(const DuetVm *vm, GVariant *now, GError **error)
{
    const char *name = vm->spec->name;
    for (guint i = 0; i < G_N_ELEMENTS(properties); i++) {
        const char *was = NULL, *is = NULL;
        g_variant_lookup(vm->place->saved, properties[i].key, "&s", &was);
        g_variant_lookup(now, properties[i].key, "&s", &is);
        was = was ? was : "unknown";
        if (!is || g_str_equal(was, is))
            continue;
        guint at = differs_at(was, is);
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the saved state of '%s' does not go with what is here: another %s ('%.96s' then, "
            "'%.96s' now); put back what it was, or boot without that state: `duet start "
            "--force-boot %s`",
            name, properties[i].what, was + at, is + at, name);
        return FALSE;
    }
    return TRUE;
}

gboolean duet_vm_saved_check(DuetVm *vm, GError **error)
{
    const char *id = NULL;
    if (!vm->place->saved)
        return TRUE;
    g_autofree char *path = memory_path(vm);
    g_autoptr(GVariant) now = g_variant_ref_sink(facts_new(vm, vm->spec, path));
    if (!compare(vm, now, error))
        return FALSE;
    g_variant_lookup(vm->place->saved, DOMAIN_ID, "&s", &id);
    g_free(vm->domain_id);
    vm->domain_id = g_strdup(id ? id : vm->spec->id);
    return TRUE;
}

static void replace(GString *xml, const char *was, const char *is)
{
    g_autofree char *from = g_markup_escape_text(was, -1);
    g_autofree char *to = g_markup_escape_text(is, -1);
    if (*was && !g_str_equal(was, is))
        g_string_replace(xml, from, to, 0);
}

/* It was set while the VM ran, and will be again: see limit_memory() of daemon.c. */
static void drop_memory_limit(GString *xml)
{
    static const char from[] = "<hard_limit", to[] = "</hard_limit>";
    const char *start = strstr(xml->str, from);
    const char *end = start ? strstr(start, to) : NULL;
    if (end)
        g_string_erase(xml, start - xml->str, end + strlen(to) - start);
}

/* A screen's, which is another at each start. */
static void replace_password(GString *xml, const char *password)
{
    static const char name[] = "passwd='";
    char *graphics = password ? strstr(xml->str, "<graphics type='vnc'") : NULL;
    char *at = graphics ? strstr(graphics, name) : NULL;
    if (!at || at > strchr(graphics, '>'))
        return;
    gssize start = at + strlen(name) - xml->str;
    g_string_erase(xml, start, (gssize)strcspn(xml->str + start, "'"));
    g_string_insert(xml, start, password);
}

/* Returns: (nullable): of the machine that was saved, which may have been another instance's. */
static char *saved_xml(const DuetVm *vm, const char *memory)
{
    g_autoptr(GVariant) now = g_variant_ref_sink(paths_new(vm));
    g_autofree const char **were = NULL;
    g_autofree const char **are = g_variant_get_bytestring_array(now, NULL);
    char *text =
        virDomainSaveImageGetXMLDesc(vm->connection, memory, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
    if (!text)
        return NULL;
    g_autoptr(GString) xml = g_string_new(text);
    free(text);
    gboolean known = g_variant_lookup(vm->place->saved, PATHS, "^a&ay", &were);
    for (guint i = 0; known && were[i] && are[i]; i++)
        replace(xml, were[i], are[i]);
    replace_password(xml, vm->vnc_password);
    if (vm->spec->connect)
        drop_memory_limit(xml);
    return g_strdup(xml->str);
}

virDomainPtr duet_vm_saved_load(DuetVm *vm, GError **error)
{
    g_autofree char *path = memory_path(vm);
    g_autofree char *uuid = duet_vm_uuid(vm->domain_id);
    virDomainPtr domain = NULL;
    char *xml = saved_xml(vm, path);
    if (xml) {
        g_free(vm->domain_xml);
        vm->domain_xml = xml;
    }
    if (xml && virDomainRestoreFlags(vm->connection, path, xml, VIR_DOMAIN_SAVE_PAUSED) == 0)
        domain = virDomainLookupByUUIDString(vm->connection, uuid);
    if (domain)
        return domain;
    duet_virt_error_set(error,
        "cannot restore the memory of '%s', which is kept (`duet start --force-boot %s` boots "
        "without it)",
        vm->spec->name, vm->spec->name);
    return NULL;
}

gboolean duet_vm_saved_run(DuetVm *vm, GError **error)
{
    const DuetPlace *place = vm->place;
    /* From its first instruction on the disk is another than the memory knows. */
    if (place->saved && rename(place->saved_dir, place->used_dir) < 0)
        return duet_error_set_errno(error, errno, "cannot use up '%s'", place->saved_dir);
    if (virDomainResume(vm->domain) == 0)
        return TRUE;
    duet_virt_error_set(error, "cannot run the vCPUs of '%s'", vm->spec->name);
    if (place->saved)
        (void)!rename(place->used_dir, place->saved_dir);
    return FALSE;
}
