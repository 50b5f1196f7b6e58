/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/instance/capture.h"

G_BEGIN_DECLS

/** DuetSide: one half of a side-by-side view. @captured: (nullable): nothing was run. */
typedef struct {
    const char *name;
    const DuetCaptured *captured;
} DuetSide;

/**
 * duet_side_by_side: appends two outputs, line by line beside each other within 80 columns. A
 * line that differs has a '|' between its halves, as with `diff -y`. Of long outputs the first
 * lines are shown, of binary ones size and digest; whether they are equal is told of all of it.
 * @title: what they are ("standard output")
 */
void duet_side_by_side(
    GString *out, const char *title, const DuetSide *left, const DuetSide *right, gboolean color);

/** duet_captured_is_text: UTF-8 (but for a character cut at the end of what was kept), no NUL. */
gboolean duet_captured_is_text(const DuetCaptured *captured);

G_END_DECLS
