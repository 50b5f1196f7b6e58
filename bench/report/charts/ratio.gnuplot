# SPDX-License-Identifier: LGPL-2.1-or-later
# Ratios of medians with their intervals, one row each, on a logarithmic axis.
load 'style.gnuplot'

n = |label|
value_width = 0
label_width = 0
do for [i = 1:n] {
    value_width = max(value_width, text_width(value_text[i]))
    label_width = max(label_width, text_width(label[i]))
}
value_width = min(value_width, narrow ? 180 : 220)
left = narrow ? 16 : 24 + min(label_width, 510 - value_width)
right = width - value_width - 24
top = 8
row = narrow ? 44 : 28
bottom = top + n * row + 2
height = bottom + foot(xlabel)
load 'style.gnuplot'

# A row's middle, in pixels from the top, as is the y axis; a narrow page has the label above it.
middle(i) = top + (i - 0.5) * row + (narrow ? 9 : 0)
lo = 1.0
hi = 1.0
set table $ignored
plot rows using (lo = least_positive(lo, 2), lo = least_positive(lo, 3), hi = most(hi, 2), \
    hi = most(hi, 4), 0):(0) with table
unset table
pad = max((hi / lo) ** 0.05, 1.02)
lo = lo / pad
hi = hi * pad

tic_room = right - left
set lmargin at screen X(left)
set rmargin at screen X(right)
set tmargin at screen Y(top)
set bmargin at screen Y(bottom)
set logscale x
set xrange [lo:hi]
set yrange [bottom:top]
unset ytics
set xtics (1)
set for [j = 0:40] xtics add (log_tic(lo, hi, j))
set for [j = 0:90] xtics add ('' minor_tic(lo, hi, j) 1)
set label axis_text(xlabel) \
    at screen X(foot_middle(xlabel, (left + right) / 2)),Y(foot_first(bottom)) center \
    textcolor rgb ink font text_font
do for [i = 1:n] {
    set label fitted(label[i], narrow ? width - 24 : left - 24) \
        at screen X(12),Y(middle(i) - (narrow ? 20 : 0)) textcolor rgb ink font text_font
    set label fitted(value_text[i], value_width) at screen X(width - 12),Y(middle(i)) right \
        textcolor rgb ink font text_font
}
if (narrow) {
    unset grid
    set for [i = 1:n] arrow from 1,middle(i) - 11 to 1,middle(i) + 11 nohead lc rgb muted lw 1.4
} else {
    set arrow from 1,graph 0 to 1,graph 1 nohead lc rgb muted lw 1.4
}
shown(lo_or_hi, c) = valid(c) && column(c) > 0 ? column(c) : lo_or_hi
plot rows using (shown($2, 3)):(middle($1)):(shown($2, 4) - shown($2, 3)):(0) \
        with vectors nohead lc rgb ink lw 2, \
    rows using ($5 == 0 ? $2 : NaN):(middle($1)) with points pt 7 ps 0.9 lc rgb ink, \
    rows using ($5 == 0 ? NaN : $2):(middle($1)) with points pt 7 ps 0.9 lc rgb paper, \
    rows using ($5 == 0 ? NaN : $2):(middle($1)) with points pt 6 ps 0.9 lw 1.6 lc rgb ink
unset output
