# SPDX-License-Identifier: LGPL-2.1-or-later
# Box plots, one row per arm, with every sample as a dot below its box.
load 'style.gnuplot'

name_width = 0
do for [a = 1:arms] { name_width = max(name_width, text_width(arm[a])) }
left = narrow ? 16 : 28 + min(name_width, 260)
right = width - 20
top = 8
row = narrow ? 66 : 50
bottom = top + arms * row
height = bottom + foot(xlabel)
load 'style.gnuplot'

lo = huge
hi = -huge
array median[arms]
do for [a = 1:arms] { median[a] = NaN }
least_of(a, c) = log ? least_positive(a, c) : least(a, c)
set table $ignored
plot dots using (lo = least_of(lo, 1), hi = most(hi, 1), 0):(0) with table, \
    boxes using (lo = least_of(lo, 2), hi = most(hi, 6), \
        median[int($1)] = valid(4) ? $4 : NaN, 0):(0) with table
unset table
if (lo > hi) { lo = 1.0; hi = 2.0 }
pad = log ? max((hi / lo) ** 0.03, 1.01) : max((hi - lo) * 0.03, abs(hi) * 0.005)
lo = log ? lo / pad : lo - pad
hi = log ? hi * pad : hi + pad

# The middle of a row's box, in pixels from the top, and where its dots are.
middle(a) = top + (a - 1) * row + (narrow ? 32 : 18)
dot(a, jitter) = middle(a) + 13 + 13 * jitter
tic_room = right - left
set lmargin at screen X(left)
set rmargin at screen X(right)
set tmargin at screen Y(top)
set bmargin at screen Y(bottom)
set xrange [lo:hi]
set yrange [bottom:top]
unset ytics
if (narrow) { unset grid }
if (log) {
    set logscale x
    set xtics (1)
    set for [j = 0:40] xtics add (log_tic(lo, hi, j))
    set for [j = 0:90] xtics add ('' minor_tic(lo, hi, j) 1)
} else {
    set xtics tic_step(lo, hi)
}
do for [a = 1:arms] {
    set label fitted(arm[a], narrow ? width - 24 : left - 28) \
        at screen X(12),Y(narrow ? middle(a) - 20 : middle(a) + 3) textcolor rgb ink font text_font
    if (median[a] != median[a]) {
        set label '–' at screen X(left + 4),Y(middle(a)) textcolor rgb muted font text_font
    }
}
set label axis_text(xlabel) \
    at screen X(foot_middle(xlabel, (left + right) / 2)),Y(foot_first(bottom)) \
    center textcolor rgb ink font text_font
plot for [a = 1:arms] dots index a - 1 using 1:(dot(a, $2)) \
        with points pt solid(a) ps 0.45 lc rgb faded(a, 128), \
    for [a = 1:arms] boxes using ($1 == a ? $2 : NaN):(middle(a)):($6 - $2):(0) \
        with vectors nohead lc rgb color[a] lw 1.6, \
    for [a = 1:arms] boxes \
        using ($1 == a ? $3 : NaN):(middle(a)):3:5:(middle(a) - 8):(middle(a) + 8) \
        with boxxyerror fc rgb paper fs solid 1 noborder, \
    for [a = 1:arms] boxes \
        using ($1 == a ? $3 : NaN):(middle(a)):3:5:(middle(a) - 8):(middle(a) + 8) \
        with boxxyerror fc rgb color[a] fs transparent solid 0.3 border lc rgb color[a], \
    boxes using 4:(middle($1) - 8):(0):(16) with vectors nohead lc rgb ink lw 2.4
unset output
