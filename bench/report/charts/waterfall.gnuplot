# SPDX-License-Identifier: LGPL-2.1-or-later
# Where the time goes: all arms on one scale, then each arm's phases on a scale of its own.
load 'style.gnuplot'

phases = |phase|
columns = narrow || arms == 1 ? 1 : 2
panel_width = width / columns
inset = 0
do for [p = 1:phases] { inset = max(inset, text_width(phase[p])) }
inset = 24 + min(inset, 130)

# The phases that an arm has, and where they begin and end, by cell(arm, phase).
cell(a, p) = int((a - 1) * phases + p)
array from[arms * phases]
array to[arms * phases]
array longest[arms]
do for [c = 1:arms * phases] {
    from[c] = NaN
    to[c] = NaN
}
do for [a = 1:arms] { longest[a] = 0 }
set table $ignored
plot bars using (from[cell($1, $2)] = $3, to[cell($1, $2)] = $4, \
    longest[int($1)] = most(most(longest[int($1)], 4), 6), 0):(0) with table
unset table
has(a, p) = to[cell(a, p)] == to[cell(a, p)]
rows_until(a, p) = p < 1 ? 0 : rows_until(a, p - 1) + has(a, p)

# The overview on top; a narrow page has the names above the bars.
row = narrow ? 40 : 26
name_width = 0
do for [a = 1:arms] { name_width = max(name_width, text_width(arm[a])) }
over_left = narrow ? 12 : 24 + min(name_width, 260)
over_bottom = 8 + arms * row
key_top = over_bottom + foot(total_unit) + 10
keys = exists('guest_part') ? (narrow ? 40 : 20) : 0
panels_top = key_top + keys + 8

# The panels of those arms that have phases; two beside each other are equally high.
bar = 18
heading = 30
array left_of[arms]
array top_of[arms]
array bottom_of[arms]
panel = 0
y = panels_top
do for [a = 1:arms] { if (longest[a] > 0) {
    if (panel % columns == 0) { rows_beside = 0 }
    rows_beside = max(rows_beside, rows_until(a, phases))
    left_of[a] = (panel % columns) * panel_width
    top_of[a] = y
    bottom_of[a] = y + heading + rows_beside * bar + 2
    if (panel % columns == 1) { bottom_of[before] = bottom_of[a] }
    before = a
    panel = panel + 1
    if (panel % columns == 0) { y = bottom_of[a] + 52 }
} }
height = panel % columns == 0 ? y : bottom_of[before] + 52
load 'style.gnuplot'

set multiplot
hi = 0.0
array total[arms]
array until[arms]
do for [a = 1:arms] {
    total[a] = NaN
    until[a] = 0
}
set table $ignored
plot totals using (total[int($1)] = valid(2) ? $2 : NaN, \
    until[int($1)] = most(most(0, 2), 4), hi = max(hi, until[int($1)]), 0):(0) with table
unset table
if (hi <= 0) { hi = 1.0 }

over_right = width - 92
over_middle(a) = 8 + (a - 0.5) * row + (narrow ? 9 : 0)
set lmargin at screen X(over_left)
set rmargin at screen X(over_right)
set tmargin at screen Y(8)
set bmargin at screen Y(over_bottom)
set xrange [0:hi]
set yrange [over_bottom:8]
unset ytics
tic_room = over_right - over_left
set xtics tic_step(0, hi)
if (narrow) { unset grid }
pixel = hi / (over_right - over_left)
do for [a = 1:arms] {
    set label fitted(arm[a], narrow ? width - 24 : over_left - 24) \
        at screen X(12),Y(over_middle(a) - (narrow ? 19 : 0)) textcolor rgb ink font text_font
    if (total[a] == total[a]) {
        set label total_text[a] \
            at first max(until[a], total[a]),over_middle(a) offset 0.8,0 \
            textcolor rgb ink font text_font
    } else {
        set label '–' at screen X(over_left + 4),Y(over_middle(a)) \
            textcolor rgb muted font text_font
    }
}
set label axis_text(total_unit) \
    at screen X(foot_middle(total_unit, (over_left + over_right) / 2)),Y(foot_first(over_bottom)) \
    center textcolor rgb ink font text_font
plot for [a = 1:arms] totals \
        using ($1 == a ? $2 : NaN):(over_middle(a)):(0):(max($2, 1.5 * pixel)): \
        (over_middle(a) - 7):(over_middle(a) + 7) \
        with boxxyerror fc rgb color[a] fs solid 1 noborder, \
    totals using 3:(over_middle($1)):($4 - $3):(0) with vectors nohead lc rgb paper lw 3.4, \
    totals using 3:(over_middle($1)):($4 - $3):(0) with vectors nohead lc rgb ink lw 1.4

# The guest's parts, by its own clock, are hatched over the row in which they lie.
lies_in(a, p, at) = has(a, p) && from[cell(a, p)] <= at && at <= to[cell(a, p)]
in_row(a, p, at) = p > phases ? NaN : lies_in(a, p, at) ? p : in_row(a, p + 1, at)
pattern(part) = part == 1 ? 4 : 5
key_from(part) = 12 + (narrow || part == 1 ? 0 : text_width(guest_part[1]) + 60)
key_middle(part) = key_top + 10 + (narrow && part == 2 ? 20 : 0)
unset label
if (keys > 0) {
    do for [part = 1:2] {
        set object part rectangle front fc rgb muted fs pattern pattern(part) border lc rgb muted \
            from screen X(key_from(part)),Y(key_middle(part) - 6) \
            to screen X(key_from(part) + 28),Y(key_middle(part) + 6)
        set label fitted(guest_part[part], width - 64) \
            at screen X(key_from(part) + 38),Y(key_middle(part)) textcolor rgb ink font small_font
    }
}
set grid xtics
panel_middle(a, p) = p == p ? heading + (rows_until(a, p) - 0.5) * bar : NaN
guest_middle(a, start, end) = panel_middle(a, in_row(a, 1, (start + end) / 2))
do for [a = 1:arms] { if (longest[a] > 0) {
    left = left_of[a]
    top = top_of[a]
    bottom = bottom_of[a]
    inner = left + panel_width - 16
    set lmargin at screen X(left + inset)
    set rmargin at screen X(inner)
    set tmargin at screen Y(top + heading)
    set bmargin at screen Y(bottom)
    set xrange [0:longest[a] * 1.02]
    set yrange [bottom - top:heading]
    pixel = longest[a] / (inner - left - inset)
    tic_room = inner - left - inset
    set xtics tic_step(0, longest[a])
    set label '' at screen X(left + 17),Y(top + 12) point pt solid(a) ps 0.9 lc rgb color[a]
    set label fitted(arm[a], panel_width - 48) at screen X(left + 30),Y(top + 12) \
        textcolor rgb ink font text_font
    set for [p = 1:phases] label (has(a, p) ? fitted(phase[p], inset - 18) : '') \
        at screen X(left + inset - 8),Y(top + panel_middle(a, p)) right \
        textcolor rgb ink font small_font
    unit = fitted(arm_unit[a], panel_width - 24)
    set label unit center \
        at screen X(centred(unit, (left + inset + inner) / 2, left, inner + 16)),Y(bottom + 34) \
        textcolor rgb ink font small_font
    plot bars using ($1 == a ? $3 : NaN):(panel_middle(a, $2)):3:(max($4, $3 + pixel)): \
            (panel_middle(a, $2) - 6):(panel_middle(a, $2) + 6) \
            with boxxyerror fc rgb color[a] fs solid 1 noborder, \
        for [part = 1:2] guest using ($1 == a && $4 == part ? $2 : NaN): \
            (guest_middle(a, $2, $3)):2:3: \
            (guest_middle(a, $2, $3) - 6):(guest_middle(a, $2, $3) + 6) \
            with boxxyerror fc rgb paper fs transparent pattern pattern(part) border lc rgb paper, \
        bars using ($1 == a ? $5 : NaN):(panel_middle(a, $2)):($6 - $5):(0) \
            with vectors nohead lc rgb paper lw 3.4, \
        bars using ($1 == a ? $5 : NaN):(panel_middle(a, $2)):($6 - $5):(0) \
            with vectors nohead lc rgb ink lw 1.4
    unset label
    unset object
} }
unset multiplot
unset output
