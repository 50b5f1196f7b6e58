# SPDX-License-Identifier: LGPL-2.1-or-later
# Samples in the order in which they were taken, relative to their arm's median: drift shows.
load 'style.gnuplot'

columns = narrow ? 1 : arms == 4 ? 2 : min(arms, 3)
panel_rows = (arms + columns - 1) / columns
left = 52
right = width - 16
gap = 18
panel_width = (right - left - (columns - 1) * gap) / columns
heading = 28
plot_height = narrow ? 110 : panel_rows > 1 ? 130 : 180
panel_height = heading + plot_height
top = 26
bottom = top + panel_rows * panel_height
height = bottom + foot(xlabel)
load 'style.gnuplot'

lo = 1.0
hi = 1.0
from = huge
to = -huge
array there[arms]
do for [a = 1:arms] { there[a] = 0 }
block(a) = int(column(-2)) + 1
set table $ignored
plot dots using (from = least(from, 1), to = most(to, 1), lo = least(lo, 2), hi = most(hi, 2), \
    there[block(0)] = valid(2) ? 1 : there[block(0)], 0):(0) with table
unset table
if (from > to) { from = 1; to = 2 }
pad = max((hi - lo) * 0.08, 0.01)
set xrange [from - max(to - from, 1) * 0.03:to + max(to - from, 1) * 0.03]
set yrange [lo - pad:hi + pad]
set xtics max(1, rounded((to - from) / (columns > 2 ? 3.0 : 5.0)))
set ytics rounded((hi - lo + 2 * pad) / 4)
set border 3

set multiplot
do for [a = 1:arms] {
    column_at = (a - 1) % columns
    row_at = (a - 1) / columns
    x = left + column_at * (panel_width + gap)
    y = top + row_at * panel_height
    lowest = a + columns > arms
    set lmargin at screen X(x)
    set rmargin at screen X(x + panel_width)
    set tmargin at screen Y(y + heading)
    set bmargin at screen Y(y + panel_height)
    set format y (column_at == 0 ? '%g' : '')
    set format x (lowest ? '%g' : '')
    set grid noxtics ytics
    if (a == 1) {
        set label fitted(ylabel, width - 24) at screen X(12),Y(14) \
            textcolor rgb muted font small_font
        set label axis_text(xlabel) \
            at screen X(foot_middle(xlabel, (left + right) / 2)),Y(foot_first(bottom)) center \
            textcolor rgb ink font text_font
    }
    set label '' at screen X(x + 7),Y(y + 14) point pt solid(a) ps 1 lc rgb color[a]
    set label fitted(arm[a], panel_width - 22) at screen X(x + 20),Y(y + 14) \
        textcolor rgb ink font text_font
    if (there[a] == 0) {
        set label '–' at graph 0.5,0.5 offset 0,0.6 center textcolor rgb muted font text_font
    }
    plot 1 with lines lc rgb muted lw 1.2, \
        dots index a - 1 using 1:2 with points pt solid(a) ps 0.6 lc rgb color[a]
    unset label
}
unset multiplot
unset output
