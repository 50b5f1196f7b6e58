/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Small inputs that look like a kernel's files, made byte by byte. */

/** fixture_vmlinux: an ELF file whose only segment holds notes, the PVH entry among them if @pvh.
 */
GBytes *fixture_vmlinux(gboolean pvh);
/** fixture_bzimage: a bzImage of release @version that holds @payload, compressed by @filter. */
GBytes *fixture_bzimage(const char *version, GBytes *payload, int filter);
/** fixture_module: a kernel module that needs @depends (comma separated). */
GBytes *fixture_module(const char *name, const char *depends);
/** fixture_compress: @bytes through libarchive's ARCHIVE_FILTER_ @filter. */
GBytes *fixture_compress(GBytes *bytes, int filter);
/** fixture_write: writes @bytes to @dir/@name, making folders. */
void fixture_write(const char *dir, const char *name, GBytes *bytes);
