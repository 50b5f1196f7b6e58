# SPDX-License-Identifier: LGPL-2.1-or-later
# Arms relative to the native one, by test. The scale is logarithmic where ratios lie far apart.
load 'style.gnuplot'

tests = |test|
array shown[arms]
do for [a = 1:arms] { shown[a] = 0 }
lo = 1.0
hi = 1.0
set table $ignored
plot rows using (shown[int($2)] = valid(3) ? 1 : shown[int($2)], lo = least(lo, 3), \
    lo = least(lo, 4), hi = most(hi, 3), hi = most(hi, 5), 0):(0) with table
unset table
place(a) = a < 1 ? 0 : place(a - 1) + shown[int(a)]
in_group = max(place(arms), 1)

name_width = 0
do for [t = 1:tests] { name_width = max(name_width, text_width(test[t])) }
left = narrow ? 16 : 28 + min(name_width, 260)
right = width - 20
top = key_height + 10
row = 15
name_height = narrow ? 20 : 0
group = name_height + max(in_group * row, narrow ? 0 : 18) + (narrow ? 8 : 12)
bottom = top + tests * group
height = bottom + foot(xlabel)
load 'style.gnuplot'

far = lo > 0 && hi / lo > 8
pad = far ? (hi / lo) ** 0.05 : max((hi - lo) * 0.05, 0.02)
lo = far ? lo / pad : lo > 0 && lo < 0.35 * hi ? 0.0 : lo - pad
hi = far ? hi * pad : hi + pad
group_top(t) = top + (t - 1) * group
middle(t, a) = group_top(t) + name_height + (group - name_height - in_group * row) / 2.0 + \
    (place(a) - 0.5) * row
tic_room = right - left
set lmargin at screen X(left)
set rmargin at screen X(right)
set tmargin at screen Y(top)
set bmargin at screen Y(bottom)
set xrange [lo:hi]
set yrange [bottom:top]
unset ytics
if (far) {
    set logscale x
    set xtics (1)
    set for [j = 0:40] xtics add (log_tic(lo, hi, j))
    set for [j = 0:90] xtics add ('' minor_tic(lo, hi, j) 1)
} else {
    set xtics tic_step(lo, hi)
}
do for [i = 1:key_items] {
    # The native arm is what the others are relative to: the line at 1.
    if (shown[i] == 0 && color[i] eq word(palette, 3)) {
        set arrow from screen X(key_x[i] + 8),Y(key_y[i] - 8) rto screen 0,-16 / real(height) \
            nohead lc rgb muted lw 1.4
    } else {
        set label '' at screen X(key_x[i] + 8),Y(key_y[i]) point pt solid(i) ps 0.9 lc rgb color[i]
    }
    set label key_label[i] at screen X(key_x[i] + key_swatch),Y(key_y[i]) \
        textcolor rgb ink font text_font
}
do for [t = 1:tests] {
    if (narrow) {
        unset grid
        set arrow from first 1,group_top(t) + name_height to first 1,group_top(t) + group - 4 \
            nohead back lc rgb muted lw 1.4
        set label fitted(test[t], width - 24) at screen X(12),Y(group_top(t) + 12) \
            textcolor rgb ink font text_font
    } else {
        set label fitted(test[t], left - 28) at screen X(12),Y(group_top(t) + group / 2) \
            textcolor rgb ink font text_font
        if (t > 1) {
            set arrow from screen X(12),Y(group_top(t)) to screen X(right),Y(group_top(t)) \
                nohead back lc rgb rule lw 1
        }
    }
}
if (!narrow) {
    set arrow from first 1,top to first 1,bottom nohead back lc rgb muted lw 1.4
}
set label axis_text(xlabel) \
    at screen X(foot_middle(xlabel, (left + right) / 2)),Y(foot_first(bottom)) \
    center textcolor rgb ink font text_font
plot for [a = 1:arms] rows using ($2 == a ? $4 : NaN):(middle($1, a)):($5 - $4):(0) \
        with vectors nohead lc rgb color[a] lw 1.8, \
    for [a = 1:arms] rows using ($2 == a ? $3 : NaN):(middle($1, a)) \
        with points pt solid(a) ps 0.9 lc rgb color[a]
unset output
