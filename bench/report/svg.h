/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libxml/tree.h>

G_BEGIN_DECLS

/*
 * Pictures as parts of a page, whose style sheet sets their colours: each one that charts/style
 * has becomes a variable of CSS, with the colour itself where the page sets none:
 *
 *   --ink     #222222 #000000     text, what is measured where no arm is meant
 *   --soft    #595959             less important text, the line at 1
 *   --axis    #8a8a8a             axes and their tics
 *   --grid    #dedede             lines behind the data
 *   --paper   #ffffff             the page: hatches, gaps between bars, the inside of symbols
 *   --c-vm    #0072b2   --c-container #d55e00   --c-native #009e73
 *   --c-peer1 #cc79a7   --c-peer2     #e69f00   --c-peer3  #56b4e9   --c-peer4 #666666
 *   --c-part1 #77aadd   --c-part2     #ee8866   --c-part3  #eedd88   --c-part4 #44bb99
 *   --c-part5 #ffaabb   --c-part6     #99ddff   --c-part7  #bbcc33   --c-part8 #aaaa00
 *   --c-part9 #dddddd
 *   --on-part #111111             figures on all of --c-part
 *
 * The font is the page's, sizes are those of a picture of 760 or 344 pixels' width.
 */

/**
 * duet_svg_load:
 * @path: a picture of gnuplot's medium page or page-narrow
 * @prefix: goes before its ids, so that several pictures can be in one page
 * @title: (nullable): what it shows, for those who cannot see it
 *
 * What is known to draw is taken over, and nothing else: no script, no event, no style sheet and
 * no reference that leaves the picture.
 * Returns: (transfer full): or %NULL with %DUET_ERROR_FAILED or, for no picture,
 * %DUET_ERROR_BROKEN
 */
xmlDoc *duet_svg_load(const char *path, const char *prefix, const char *title, GError **error);

G_END_DECLS
