/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/results.h>

G_BEGIN_DECLS

/** duet_import: see #DuetResultsOps.import. */
gboolean duet_import(const DuetResultsImport *request, GError **error);

G_END_DECLS
