/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/domain-xml.h"

#include <libxml/tree.h>

G_BEGIN_DECLS

/* What domain-xml.c, and nobody else, makes a domain of. */

/** duet_xml_add: adds <name>text</name> (@text may be NULL) with attributes: pairs of name and
 * value, then NULL. Returns: (transfer none): it. */
xmlNode *duet_xml_add(
    xmlNode *parent, const char *name, const char *text, ...) G_GNUC_NULL_TERMINATED;

/** duet_xml_add_devices: adds <devices>. */
void duet_xml_add_devices(xmlNode *domain, const DuetSpec *spec, const DuetVmPlan *plan);

G_END_DECLS
