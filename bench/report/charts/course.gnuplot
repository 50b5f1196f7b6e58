# SPDX-License-Identifier: LGPL-2.1-or-later
# What becomes of each arm's value from place to place, with intervals. The scale is logarithmic.
load 'style.gnuplot'

places = |place|
left = 60
right = width - 20
top = key_height + 30
bottom = top + (narrow ? 200 : 240)
height = bottom + foot(xlabel)
load 'style.gnuplot'

lo = huge
hi = -huge
set table $ignored
plot dots using (lo = least_positive(lo, 2), lo = least_positive(lo, 3), hi = most(hi, 2), \
    hi = most(hi, 4), 0):(0) with table
unset table
if (lo > hi) { lo = 1.0; hi = 2.0 }
pad = max((hi / lo) ** 0.06, 1.02)
lo = lo / pad
hi = hi * pad

tic_room = 1.3 * (bottom - top)
set lmargin at screen X(left)
set rmargin at screen X(right)
set tmargin at screen Y(top)
set bmargin at screen Y(bottom)
set logscale y
set xrange [0.5:places + 0.5]
set yrange [lo:hi]
set ytics (1)
set for [j = 0:40] ytics add (log_tic(lo, hi, j))
set for [j = 0:90] ytics add ('' minor_tic(lo, hi, j) 1)
set xtics 1
set format x ''
set grid noxtics ytics
set border 3
do for [i = 1:places] {
    set label fitted(place[i], (right - left) / places - 4) \
        at first i,screen Y(bottom + 16) center textcolor rgb ink font small_font
}
do for [i = 1:key_items] {
    set arrow from screen X(key_x[i]),Y(key_y[i]) rto screen X(key_swatch - 6),0 nohead \
        lc rgb color[i] lw 2 dt slot[i]
    set label key_label[i] at screen X(key_x[i] + key_swatch),Y(key_y[i]) \
        textcolor rgb ink font text_font
    set label '' at screen X(key_x[i] + key_swatch / 2 - 3),Y(key_y[i]) \
        point pt solid(i) ps 0.9 lc rgb color[i]
}
set label fitted(ylabel, width - 24) at screen X(12),Y(top - 14) textcolor rgb muted font small_font
set label axis_text(xlabel) \
    at screen X(foot_middle(xlabel, (left + right) / 2)),Y(foot_first(bottom)) center \
    textcolor rgb ink font text_font

# A bound that is not known, or that a logarithmic scale has not, is beyond the edge.
bound(edge, c) = valid(c) && column(c) > 0 ? column(c) : edge
# Beside each other, as intervals would hide one another.
beside(a) = (a - (arms + 1) / 2.0) * min(0.08, 0.5 / arms)
plot for [a = 1:arms] dots index a - 1 using ($1 + beside(a)):2 \
        with lines lc rgb color[a] lw 2 dt slot[a], \
    for [a = 1:arms] dots index a - 1 using \
        (valid(3) || valid(4) ? $1 + beside(a) : NaN):(bound(lo, 3)):(0): \
        (bound(hi, 4) - bound(lo, 3)) \
        with vectors nohead lc rgb color[a] lw 1.8, \
    for [a = 1:arms] dots index a - 1 using ($1 + beside(a)):2 \
        with points pt solid(a) ps 0.9 lc rgb color[a]
unset output
