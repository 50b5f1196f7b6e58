# SPDX-License-Identifier: LGPL-2.1-or-later
# What a start takes as instances accumulate, up to where each arm stopped (a ring), and why it did.
load 'style.gnuplot'

left = 60
right = width - 24
top = 30
bottom = top + (narrow ? 220 : 280)
said_top = bottom + foot(xlabel) + 4
array said[arms]
array said_from[arms]
y = said_top
do for [a = 1:arms] {
    said[a] = wrapped(why[a], width - 24 - key_swatch, 7)
    said_from[a] = y
    y = y + 26 + 18 * lines(said[a])
}
height = y
load 'style.gnuplot'

to = 1
lo = huge
hi = -huge
array last_n[arms]
array last[arms]
do for [a = 1:arms] {
    last_n[a] = NaN
    last[a] = NaN
}
block(a) = int(column(-2)) + 1
set table $ignored
plot dots using (to = most(to, 1), lo = least_positive(lo, 2), hi = most(hi, 2), \
    valid(2) ? (last_n[block(0)] = $1, last[block(0)] = $2) : 0, 0):(0) with table
unset table
if (lo > hi) { lo = 1.0; hi = 10.0 }
pad = max((hi / lo) ** 0.06, 1.05)
lo = lo / pad
hi = hi * pad

tic_room = 1.3 * (bottom - top)
set lmargin at screen X(left)
set rmargin at screen X(right)
set tmargin at screen Y(top)
set bmargin at screen Y(bottom)
set logscale y
set xrange [0:to * 1.02]
set yrange [lo:hi]
set xtics max(1, rounded(to / (narrow ? 5.0 : 8.0)))
set ytics (1)
set for [j = 0:40] ytics add (log_tic(lo, hi, j))
set for [j = 0:90] ytics add ('' minor_tic(lo, hi, j) 1)
set grid noxtics ytics
set border 3
set label fitted(ylabel, width - 24) at screen X(12),Y(14) textcolor rgb muted font small_font
set label axis_text(xlabel) \
    at screen X(foot_middle(xlabel, (left + right) / 2)),Y(foot_first(bottom)) \
    center textcolor rgb ink font text_font
do for [a = 1:arms] {
    set arrow from screen X(12),Y(said_from[a] + 10) rto screen X(key_swatch - 6),0 nohead \
        lc rgb color[a] lw 1.6
    set label '' at screen X(12 + key_swatch / 2 - 3),Y(said_from[a] + 10) \
        point pt solid(a) ps 0.9 lc rgb color[a]
    set label fitted(arm[a], width - 24 - key_swatch) \
        at screen X(12 + key_swatch),Y(said_from[a] + 10) \
        textcolor rgb ink font text_font
    set label said[a] at screen X(12 + key_swatch),Y(said_from[a] + 28) \
        textcolor rgb muted font small_font
}
plot for [a = 1:arms] dots index a - 1 using 1:2 with lines lc rgb faded(a, 128) lw 1, \
    for [a = 1:arms] dots index a - 1 using 1:2 with points pt solid(a) ps 0.35 lc rgb color[a], \
    for [a = 1:arms] '+' using (last_n[a]):(last[a]) every ::0::0 \
        with points pt solid(a) ps 0.9 lc rgb color[a], \
    for [a = 1:arms] '+' using (last_n[a]):(last[a]) every ::0::0 \
        with points pt 6 ps 2 lw 1.6 lc rgb ink
unset output
