/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * `--xml-patch`: what of libvirt's domain XML duet has no option for. The patch's root is <domain>.
 * What is in its <devices>, or in <qemu:commandline>, is added to ours (a <memballoon> or <panic>
 * replaces ours, of which there can be one); its other children replace ours of the same name, or
 * are added. A network card without a MAC gets one that follows from the instance's id, the same at
 * each start. libvirt may be root, and QEMU never is: what libvirt itself would open is refused.
 * What an instance stands on can't be changed: who it is, its kernel, its limits, its console, and
 * how it ends.
 */

/**
 * duet_vm_xml_patch_check: refuses what can't be merged, whatever the domain is: what is not
 * well-formed or too long, has a DTD, or would change what a patch may not.
 *
 * Returns: %FALSE with %DUET_ERROR_INVALID.
 */
gboolean duet_vm_xml_patch_check(const char *patch, GError **error);

/** duet_vm_xml_patch_has_card: whether it adds a network card; %FALSE of what can't be merged. */
gboolean duet_vm_xml_patch_has_card(const char *patch);

/**
 * duet_vm_xml_patch_apply: a pure function.
 * Returns: (transfer full): @xml, a domain of ours, with @patch merged into it; or NULL with
 *     @error. libvirt has not seen it yet.
 */
char *duet_vm_xml_patch_apply(const char *xml, const char *patch, GError **error);

G_END_DECLS
