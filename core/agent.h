/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** The static agent program, as linked into the duet executable (an ELF file of its own). */
extern const unsigned char duet_agent_start[];
extern const unsigned char duet_agent_end[];

/** duet_agent_memfd: Returns: a sealed, executable memfd with the agent, or -1 with @error. */
int duet_agent_memfd(GError **error);

G_END_DECLS
