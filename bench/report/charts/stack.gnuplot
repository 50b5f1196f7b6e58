# SPDX-License-Identifier: LGPL-2.1-or-later
# Parts of a whole, one bar per arm, each on a scale of its own. A part's number is in its stretch
# of a bar too, for print without colours.
load 'style.gnuplot'

parts_n = |part|
cell(a, p) = int((a - 1) * parts_n + p)
array size[arms * parts_n]
do for [c = 1:arms * parts_n] { size[c] = 0.0 }
set table $ignored
plot parts using (size[cell($1, $2)] = valid(3) && $3 > 0 ? $3 : 0, 0):(0) with table
unset table
before(a, p) = p < 2 ? 0.0 : before(a, p - 1) + size[cell(a, p - 1)]
whole(a) = before(a, parts_n + 1)
panels = 0
do for [a = 1:arms] { panels = panels + (whole(a) > 0) }

left = 16
right = width - 24
heading = 28
bar = 26
panel_height = heading + bar + 54
key_top = 26
top = key_top + key_height + 8
height = top + max(panels, 1) * panel_height
load 'style.gnuplot'

set multiplot
tic_room = right - left
set lmargin at screen X(left)
set rmargin at screen X(right)
set yrange [0:1]
unset ytics
set label fitted(xlabel, width - 24) at screen X(12),Y(14) textcolor rgb muted font small_font
do for [p = 1:parts_n] {
    set object p rectangle fc rgb part_color(p) fs solid 1 noborder \
        from screen X(key_x[p]),Y(key_top + key_y[p] - 8) \
        to screen X(key_x[p] + 16),Y(key_top + key_y[p] + 8)
    set label sprintf('%d', p) front at screen X(key_x[p] + 8),Y(key_top + key_y[p]) center \
        textcolor rgb on_part font small_font
    set label key_label[p] at screen X(key_x[p] + key_swatch),Y(key_top + key_y[p]) \
        textcolor rgb ink font text_font
}
panel = -1
do for [a = 1:arms] { if (whole(a) > 0) {
    panel = panel + 1
    y = top + panel * panel_height
    pixel = whole(a) / (right - left)
    set tmargin at screen Y(y + heading)
    set bmargin at screen Y(y + heading + bar)
    set xrange [0:whole(a)]
    set xtics tic_step(0, whole(a))
    set label '' at screen X(20),Y(y + 14) point pt solid(a) ps 1 lc rgb color[a]
    set label fitted(arm[a], width - 52) at screen X(12 + key_swatch),Y(y + 14) \
        textcolor rgb ink font text_font
    set label fitted(arm_unit[a], width - 24) \
        at screen X((left + right) / 2),Y(y + heading + bar + 34) center \
        textcolor rgb ink font small_font
    do for [p = 1:parts_n] {
        if (size[cell(a, p)] > 14 * pixel) {
            set label sprintf('%d', p) front \
                at first before(a, p) + size[cell(a, p)] / 2,0.5 center \
                textcolor rgb on_part font small_font
        }
    }
    # A line of the page's colour between two parts, but for those that it would hide.
    edge(p) = size[cell(a, p)] > 3 * pixel ? pixel : 0
    plot for [p = 1:parts_n] parts using ($1 == a && $2 == p ? before(a, p) : NaN):(0.5): \
        (before(a, p)):(before(a, p) + size[cell(a, p)] - edge(p)):(0):(1) \
        with boxxyerror fc rgb part_color(p) fs solid 1 noborder
    unset label
    unset object
} }
unset multiplot
tic_room = right - left
unset output
