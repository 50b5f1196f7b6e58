/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/vm.h"

#include <libxml/tree.h>

G_BEGIN_DECLS

/*
 * The screen of a disk guest, shown by QEMU's VNC server: at a socket that only the one who runs
 * the VM reaches, or at a port of the loopback device, which all users of the host reach and a
 * password guards.
 */

/** duet_vm_graphics_prepare: what must be there before QEMU: a directory for its socket, or a
 * password. Does nothing for a VM without a screen. */
gboolean duet_vm_graphics_prepare(DuetVm *vm, GError **error);

/**
 * duet_xml_add_graphics: the screen, what shows it, and a pointer for it.
 * @socket: (nullable): where it is shown
 * @password: in place of that: at a port that is free
 */
void duet_xml_add_graphics(xmlNode *devices, const char *socket, const char *password);

/** duet_vm_graphics_uri: Returns: (transfer full) (nullable): where it is shown, for a viewer. */
char *duet_vm_graphics_uri(const DuetVm *vm);

G_END_DECLS
