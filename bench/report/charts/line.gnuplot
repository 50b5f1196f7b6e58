# SPDX-License-Identifier: LGPL-2.1-or-later
# Measured points, a line fitted to them, and its band; one panel per arm, with a scale of its own.
load 'style.gnuplot'

columns = narrow || arms == 1 ? 1 : 2
panel_rows = (arms + columns - 1) / columns
panel_width = width / columns
inset = 60
heading = 52
plot_height = 160
panel_height = heading + plot_height + 30
height = panel_rows * panel_height + foot(xlabel) - 26
load 'style.gnuplot'

from = huge
to = -huge
array lo[arms]
array hi[arms]
array intercept[arms]
array slope[arms]
do for [a = 1:arms] {
    lo[a] = huge
    hi[a] = -huge
    intercept[a] = NaN
    slope[a] = NaN
}
block(a) = int(column(-2)) + 1
set table $ignored
plot dots using (from = least(from, 1), to = most(to, 1), lo[block(0)] = least(lo[block(0)], 2), \
        hi[block(0)] = most(hi[block(0)], 2), 0):(0) with table, \
    band using (lo[block(0)] = least(lo[block(0)], 2), \
        hi[block(0)] = most(hi[block(0)], 3), 0):(0) with table, \
    fits using (intercept[int($1)] = valid(2) ? $2 : NaN, \
        slope[int($1)] = valid(3) ? $3 : NaN, 0):(0) with table
unset table
if (from > to) { to = 1 }
# Where there is no instance is where the line begins.
from = 0
set xrange [from - max(to - from, 0.1) * 0.03:to + max(to - from, 0.1) * 0.03]
set xtics max(1, rounded((to - from) / (columns > 1 ? 5.0 : 6.0)))
set samples 2
set border 3
set grid noxtics ytics

set multiplot
set label axis_text(xlabel) \
    at screen X(foot_middle(xlabel, width / 2)),Y(foot_first(panel_rows * panel_height - 30)) \
    center textcolor rgb ink font text_font
do for [a = 1:arms] {
    left = ((a - 1) % columns) * panel_width
    top = ((a - 1) / columns) * panel_height
    set lmargin at screen X(left + inset)
    set rmargin at screen X(left + panel_width - 16)
    set tmargin at screen Y(top + heading)
    set bmargin at screen Y(top + heading + plot_height)
    empty = lo[a] > hi[a]
    # From zero, where that leaves what is shown high enough.
    bottom = empty || (lo[a] >= 0 && lo[a] < 0.6 * hi[a]) ? 0.0 : lo[a]
    span = empty ? 1.0 : max(hi[a] - bottom, abs(hi[a]) * 0.01 + 1e-9)
    set yrange [bottom == 0 ? 0 : bottom - 0.05 * span:bottom + 1.05 * span]
    set ytics rounded(span / 4)
    set format y (empty ? '' : '%g')
    if (empty) {
        set label '–' at graph 0.5,0.5 offset 0,0.6 center textcolor rgb muted font text_font
    }
    set label '' at screen X(left + 19),Y(top + 14) point pt solid(a) ps 1 lc rgb color[a]
    set label fitted(arm[a], panel_width - 50) at screen X(left + 32),Y(top + 14) \
        textcolor rgb ink font text_font
    set label fitted(arm_ylabel[a], panel_width - 24) at screen X(left + 12),Y(top + 33) \
        textcolor rgb muted font small_font
    plot band index a - 1 using 1:2:3 with filledcurves fc rgb color[a] \
            fs transparent solid 0.2 noborder, \
        intercept[a] + slope[a] * x with lines lc rgb color[a] lw 2 dt slot[a], \
        dots index a - 1 using 1:2 with points pt solid(a) ps 0.7 lc rgb color[a]
    unset label
}
unset multiplot
unset output
