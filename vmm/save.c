/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory and devices of a VM in a file of libvirt's, and back. The file names disks and sockets by
 * their paths in the run directory of then: a restore gives libvirt the XML of now, which must
 * describe the same machine. That libvirt checks; what it does not look at (the files behind the
 * paths, QEMU's version, the kernel) is compared here, before anything starts.
 */
#include "vmm/data-disk.h"
#include "vmm/machine.h"
#include "vmm/root.h"
#include "vmm/virt-error.h"
#include "vmm/vm.h"
#include "core/saved.h"
#include "core/disk-list.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define DOMAIN_ID "domain-id"

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
    { "root-disk", "disk of its image" },
    { "rw-disk", "state of its writable disk" },
    { "disks", "state of its further disks" },
    { "memory-file", "memory file" },
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

static void put_disks(GVariantDict *dict, const DuetVm *vm)
{
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(vm->spec->disks, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; disks && i < disks->len; i++) {
        g_string_append(text, i ? ", " : "");
        add_file(text, ((const DuetDataDisk *)disks->pdata[i])->path);
    }
    put(dict, "disks", text->str);
}

/* Returns: (transfer floating): as it is now. @memory: path of the saved memory */
static GVariant *facts_new(const DuetVm *vm, const char *memory)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_autofree char *qemu = duet_vm_qemu_version(vm->emulator, NULL);
    g_autofree char *vcpus = g_strdup_printf("%u", duet_vm_vcpus(vm->spec));
    g_autofree char *bytes = duet_format_bytes(duet_vm_memory_bytes(vm->spec));
    g_autofree char *rw = g_build_filename(vm->place->instance_dir, "rw.img", NULL);
    put(&dict, "qemu", qemu);
    put(&dict, "accel", vm->kvm ? "kvm" : "tcg");
    put(&dict, "machine", duet_vm_machine(vm->spec));
    put(&dict, "cpu-model", duet_vm_cpu_model(vm->spec, vm->kvm));
    put(&dict, "vcpus", vcpus);
    put(&dict, "memory", bytes);
    put(&dict, "kernel", vm->kernel->sha256);
    put(&dict, DOMAIN_ID, vm->domain_id);
    put_file(&dict, "root-disk", vm->spec->root_disk);
    put_file(&dict, "rw-disk", rw);
    put_file(&dict, "memory-file", memory);
    put_disks(&dict, vm);
    return g_variant_dict_end(&dict);
}

/* ---- saving ---- */

gboolean duet_vm_save(DuetRuntime *runtime, GVariant **out_facts, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    const char *path = vm->place->save_path;
    duet_fd_clear(&vm->hold);
    if (!vm->domain || virDomainSaveFlags(vm->domain, path, NULL, 0) < 0) {
        duet_virt_error_set(error, "cannot save the memory of '%s'", vm->spec->name);
        /* libvirt lets it go on, if it can. */
        if (vm->domain)
            duet_runtime_resume(runtime, NULL);
        duet_vm_hold(vm);
        return FALSE;
    }
    *out_facts = g_variant_ref_sink(facts_new(vm, path));
    return TRUE;
}

/* ---- going on ---- */

static char *memory_path(const DuetVm *vm)
{
    return g_build_filename(vm->place->saved_dir, DUET_SAVED_MEMORY, NULL);
}

static gboolean compare(const DuetVm *vm, GVariant *now, GError **error)
{
    const char *name = vm->spec->name;
    for (guint i = 0; i < G_N_ELEMENTS(properties); i++) {
        const char *was = NULL, *is = NULL;
        g_variant_lookup(vm->place->saved, properties[i].key, "&s", &was);
        g_variant_lookup(now, properties[i].key, "&s", &is);
        if (g_strcmp0(was, is) == 0)
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the saved state of '%s' does not go with what is here: another %s ('%.48s' then, "
            "'%.48s' now); put back what it was, or boot without that state: `duet start "
            "--force-boot %s`",
            name, properties[i].what, was ? was : "unknown", is, name);
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
    g_autoptr(GVariant) now = g_variant_ref_sink(facts_new(vm, path));
    if (!compare(vm, now, error))
        return FALSE;
    g_variant_lookup(vm->place->saved, DOMAIN_ID, "&s", &id);
    g_free(vm->domain_id);
    vm->domain_id = g_strdup(id ? id : vm->spec->id);
    return TRUE;
}

virDomainPtr duet_vm_saved_load(DuetVm *vm, GError **error)
{
    g_autofree char *path = memory_path(vm);
    g_autofree char *uuid = duet_vm_uuid(vm->domain_id);
    virDomainPtr domain = NULL;
    if (virDomainRestoreFlags(vm->connection, path, vm->domain_xml, VIR_DOMAIN_SAVE_PAUSED) == 0)
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
