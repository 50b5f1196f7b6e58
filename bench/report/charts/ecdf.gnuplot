# SPDX-License-Identifier: LGPL-2.1-or-later
# Empirical distributions as steps, one per arm. Each arm's symbol marks its median.
load 'style.gnuplot'

left = 48
right = width - 20
top = key_height + 30
bottom = top + (narrow ? 210 : 260)
height = bottom + foot(xlabel)
load 'style.gnuplot'

lo = huge
hi = -huge
set table $ignored
plot steps using (lo = log ? least_positive(lo, 1) : least(lo, 1), hi = most(hi, 1), 0):(0) \
    with table
unset table
if (lo > hi) { lo = 1.0; hi = 2.0 }
lo = log ? lo / max((hi / lo) ** 0.03, 1.01) : lo - max((hi - lo) * 0.03, abs(hi) * 0.005)
hi = log ? hi * max((hi / lo) ** 0.03, 1.01) : hi + max((hi - lo) * 0.03, abs(hi) * 0.005)

tic_room = right - left
set lmargin at screen X(left)
set rmargin at screen X(right)
set tmargin at screen Y(top)
set bmargin at screen Y(bottom)
set xrange [lo:hi]
set yrange [0:1.02]
set ytics 0,0.25
set grid ytics
set border 3
if (log) {
    set logscale x
    set xtics (1)
    set for [j = 0:40] xtics add (log_tic(lo, hi, j))
    set for [j = 0:90] xtics add ('' minor_tic(lo, hi, j) 1)
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

# Whether a column of shares rises to a half in this row of its block.
previous = 0
rises(c) = (before = column(0) == 0 ? 0 : previous, previous = column(c), \
    before < 0.5 && previous >= 0.5)
plot for [i = 1:arms] steps index i - 1 using 1:2 with steps lc rgb color[i] lw 2 dt slot[i], \
    for [i = 1:arms] steps index i - 1 using (column(0) == 0 ? $1 : NaN):(0):(0):2 \
        with vectors nohead lc rgb color[i] lw 2 dt slot[i], \
    for [i = 1:arms] steps index i - 1 using (rises(2) ? $1 : NaN):2 \
        with points pt solid(i) ps 1.6 lc rgb paper, \
    for [i = 1:arms] steps index i - 1 using (rises(2) ? $1 : NaN):2 \
        with points pt solid(i) ps 1.1 lc rgb color[i]
unset output
