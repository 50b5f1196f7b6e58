/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk-guest.h"
#include "vmm/disk.h"
#include "guest-ready.h"
#include "seed.h"
#include "vmm/xml-patch.h"
#include "core/saved.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <unistd.h>

#define QEMU_IMG "qemu-img"

/* UEFI, code and variables, where distributions put it; none of these checks signatures. */
typedef struct {
    const char *code;
    const char *vars;
} Firmware;

static const Firmware firmwares[] = {
    { "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
    { "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd" },
    { "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
    { "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd" },
};

static const Firmware *find_firmware(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(firmwares); i++)
        if (access(firmwares[i].code, R_OK) == 0 && access(firmwares[i].vars, R_OK) == 0)
            return &firmwares[i];
    return NULL;
}

static gboolean is_uefi(const DuetSpec *spec)
{
    return g_strcmp0(spec->firmware, DUET_FIRMWARE_UEFI) == 0;
}

const char *duet_disk_guest_loader(const DuetSpec *spec)
{
    const Firmware *firmware = is_uefi(spec) ? find_firmware() : NULL;
    return firmware ? firmware->code : NULL;
}

static gboolean check_card(const DuetSpec *spec, GError **error)
{
    /* A card can come by the patch alone. */
    if (!g_str_equal(spec->wait, DUET_WAIT_IP) ||
        (spec->xml_patch && duet_vm_xml_patch_has_card(spec->xml_patch)))
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--wait ip: it has no network card, which no address can come without: add an <interface> "
        "with --xml-patch, or use --wait agent");
    return FALSE;
}

gboolean duet_disk_guest_check(const DuetSpec *spec, GError **error)
{
    if (spec->wait && (!duet_guest_wait_check(spec->wait, error) || !check_card(spec, error)))
        return FALSE;
    g_autofree char *qemu_img = g_find_program_in_path(QEMU_IMG);
    if (!qemu_img) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "a disk needs the program " QEMU_IMG " (package qemu-utils)");
        return FALSE;
    }
    if (is_uefi(spec) && !find_firmware()) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "this host has no UEFI for VMs: install the package ovmf, or use --firmware bios if "
            "the disk boots so");
        return FALSE;
    }
    if (access(spec->disk_image, R_OK) == 0)
        return TRUE;
    int err = errno;
    return duet_error_set_errno(error, err,
        "cannot read the disk of the image '%s' (`duet image inspect %s` makes it anew)",
        spec->image_ref, spec->image_digest);
}

/* -u: the image's disk was looked at when it was imported; nothing is opened for this. */
static gboolean overlay_make(const DuetSpec *spec, const char *path, GError **error)
{
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, spec->disk_bytes);
    const char *const argv[] = { QEMU_IMG, "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b",
        spec->disk_image, fresh, bytes, NULL };
    unlink(fresh); /* of a start that was killed in the middle */
    g_autofree char *out = duet_capture(argv, error);
    if (out)
        return duet_disk_put(fresh, path, error);
    unlink(fresh);
    return FALSE;
}

static gboolean vars_make(const char *path, GError **error)
{
    const Firmware *firmware = find_firmware();
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);
    unlink(fresh);
    return duet_file_clone(firmware->vars, fresh, 0600, error) && duet_disk_put(fresh, path, error);
}

gboolean duet_disk_guest_keep_seed(const DuetVm *vm, GError **error)
{
    g_autofree char *seed = g_build_filename(vm->place->instance_dir, DUET_DISK_SEED, NULL);
    g_autofree char *dir = g_path_get_dirname(vm->place->save_path);
    g_autofree char *kept = g_build_filename(dir, DUET_SAVED_SEED, NULL);
    return duet_file_clone(seed, kept, 0600, error);
}

/* Each time: a clone has another id and name. But what a guest has seen goes with its memory. */
static gboolean seed_make(const DuetVm *vm, const char *path, guint32 uid, GError **error)
{
    if (!vm->place->saved)
        return duet_seed_make(vm->spec, path, uid, error);
    g_autofree char *kept = g_build_filename(vm->place->saved_dir, DUET_SAVED_SEED, NULL);
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);
    unlink(fresh);
    return duet_file_clone(kept, fresh, 0600, error) && duet_disk_put(fresh, path, error) &&
        duet_disk_give(path, uid, error);
}

gboolean duet_disk_guest_make(const DuetVm *vm, guint32 uid, GError **error)
{
    const char *dir = vm->place->instance_dir;
    g_autofree char *overlay = g_build_filename(dir, DUET_DISK_OVERLAY, NULL);
    g_autofree char *seed = g_build_filename(dir, DUET_DISK_SEED, NULL);
    g_autofree char *vars = g_build_filename(dir, DUET_DISK_VARS, NULL);
    if (access(overlay, F_OK) != 0 && !overlay_make(vm->spec, overlay, error))
        return FALSE;
    if (is_uefi(vm->spec) &&
        ((access(vars, F_OK) != 0 && !vars_make(vars, error)) || !duet_disk_give(vars, uid, error)))
        return FALSE;
    return duet_disk_give(overlay, uid, error) && seed_make(vm, seed, uid, error);
}
