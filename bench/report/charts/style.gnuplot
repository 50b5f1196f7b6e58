# SPDX-License-Identifier: LGPL-2.1-or-later
# How all charts look. To restyle a chart for a paper, change colours, sizes and dashes here or in
# the chart's own script and draw ID.gnuplot again; README.md says what a script may count on.
#
# Loaded twice: first for its measures and functions, from which a chart makes up its `height` in
# pixels, and then, with that, to open the picture. A text comes from anybody: it is compared,
# measured, shortened and shown, but never becomes a format, a command or a tic's label.

if (!exists('height')) {
    set encoding utf8
    narrow = strstrt(medium, '-narrow') > 0
    width = narrow ? 344 : 760

    ink = '#222222'
    muted = '#595959'
    axis = '#8a8a8a'
    rule = '#dedede'
    paper = '#ffffff'
    text_font = 'sans-serif,13'
    small_font = 'sans-serif,12'

    # Okabe and Ito's colours, in the order of the shapes and dashes that go with them in grey
    # print.
    palette = '#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #666666 #000000'
    solid_shapes = '7 5 9 13 11 15 7 5'
    hollow_shapes = '6 4 8 12 10 14 6 4'
    set dashtype 2 (14,6)
    set dashtype 3 (3,5)
    set dashtype 4 (14,5,3,5)
    set dashtype 5 (8,5)
    set dashtype 6 (20,5,3,4,3,5)
    set dashtype 7 (2,3)
    set dashtype 8 (24,8)
    # Tol's light colours, for parts of a whole: dark figures are legible on each of them.
    part_palette = '#77AADD #EE8866 #EEDD88 #44BB99 #FFAABB #99DDFF #BBCC33 #AAAA00 #DDDDDD'
    part_color(p) = word(part_palette, (int(p) - 1) % 9 + 1)
    on_part = '#111111'

    # Which of the eight styles is an arm's: that of its colour, or the next that no arm has yet.
    arms = 0
    if (exists('arm')) { arms = |arm| }
    array slot[arms > 0 ? arms : 1]
    taken = ' '
    is_taken(s) = strstrt(taken, sprintf(' %d ', s)) > 0
    free_slot(s, tries) = tries > 7 || !is_taken(s) ? s : free_slot(s % 8 + 1, tries + 1)
    own_slot(i) = (strstrt(palette, color[i]) + 7) / 8
    do for [i = 1:arms] {
        slot[i] = free_slot(own_slot(i) > 0 ? own_slot(i) : (i - 1) % 8 + 1, 0)
        taken = taken . sprintf('%d ', slot[i])
    }
    solid(i) = int(word(solid_shapes, slot[i]))
    hollow(i) = int(word(hollow_shapes, slot[i]))
    # With an opacity from 0 (none) to 255, as points and lines take it.
    faded(i, opacity) = sprintf('#%02X', 255 - opacity) . substr(color[i], 2, 7)

    # From pixels, counted from the left and the top, to gnuplot's `screen`.
    X(x) = x / real(width)
    Y(y) = 1 - y / real(height)
    max(a, b) = a > b ? a : b
    min(a, b) = a < b ? a : b

    # A text's width in pixels, for one of 13 pixels' height in a wide font. Korean and the like is
    # as wide as it is high.
    narrow_letters = "iljtfrI.,:;'|!()[] /-"
    wide_letters = 'mwMW%@'
    letters = 'abcdeghknopqsuvxyzABCDEFGHJKLNOPQRSTUVXYZ0123456789"#$&*+<=>?\^_`{}~µ×–·±éèöäüßçñÄÖÜ'
    letter_width(c) = strstrt(narrow_letters, c) ? 0.37 : strstrt(wide_letters, c) ? 0.98 : \
        strstrt(letters, c) ? 0.63 : 1.0
    text_width(s) = 13 * (sum [text_i = 1:strlen(s)] letter_width(substr(s, text_i, text_i)))

    # Shortened in its middle, as names often differ at their ends.
    shortened(s, n) = substr(s, 1, (n + 1) / 2) . '…' . substr(s, strlen(s) - n / 2 + 1, strlen(s))
    shorter(s, n, w) = n < 2 || text_width(shortened(s, n)) <= w ? shortened(s, n) : \
        shorter(s, n - 1, w)
    fitted(s, w) = text_width(substr(s, 1, 200)) <= w && strlen(s) <= 200 ? s : \
        shorter(s, int(min(strlen(s) - 1, 120)), w)

    # In lines: each as long as fits, or as far as its last blank.
    fitting(s, w) = int(sum [fit_i = 1:min(strlen(s), 160)] (text_width(substr(s, 1, fit_i)) <= w))
    blank(s, n) = n < 1 ? 0 : substr(s, n, n) eq ' ' ? n : blank(s, n - 1)
    broken(s, n) = blank(s, n + 1) > 1 ? blank(s, n + 1) - 1 : max(n, 1)
    rest(s, n) = substr(s, n + (substr(s, n + 1, n + 1) eq ' ' ? 2 : 1), strlen(s))
    wrapped_at(s, n, w, more) = \
        substr(s, 1, n) . "\n" . wrapped(rest(s, n), w, more - 1)
    wrapped(s, w, more) = strlen(s) <= fitting(s, w) ? s : \
        more < 1 ? fitted(s, w) : wrapped_at(s, broken(s, fitting(s, w)), w, more)
    lines(s) = 1 + (sum [line_i = 1:strlen(s)] (substr(s, line_i, line_i) eq "\n"))

    # The text below an axis, in up to two lines, and the pixels that it and the tics' take there;
    # where its first line is, and its middle: as near to x as it can be within the page, or within
    # that part of it which is a panel's.
    axis_text(s) = wrapped(s, width - 24, 1)
    foot(s) = 26 + 18 * lines(axis_text(s))
    foot_first(bottom) = bottom + 34
    centred(s, x, from, to) = \
        max(from + 8 + text_width(s) / 2, min(to - 8 - text_width(s) / 2, x))
    foot_middle(s, x) = lines(axis_text(s)) > 1 ? width / 2 : centred(s, x, 0, width)

    number(x) = x >= 100 ? sprintf('%.0f', x) : x >= 10 ? sprintf('%.1f', x) : \
        x >= 1 ? sprintf('%.2f', x) : sprintf('%.3g', x)

    # To go through a file for its extremes, where a missing value is none: plotted "with table".
    least(a, c) = valid(c) && column(c) < a ? column(c) : a
    most(a, c) = valid(c) && column(c) > a ? column(c) : a
    least_positive(a, c) = valid(c) && column(c) > 0 && column(c) < a ? column(c) : a
    huge = 1e300

    # Tics of a logarithmic axis: within decades, but linear ones where it spans less than a factor
    # of 3. There are as many as one wants; those beyond the axis are not drawn. `tic_room` is the
    # axis' length in pixels.
    nice(x) = x < 1.5 ? 1 : x < 3 ? 2 : x < 7 ? 5 : 10
    rounded(x) = x > 0 ? nice(x / 10**floor(log10(x))) * 10**floor(log10(x)) : 1
    tic_step(lo, hi) = rounded((hi - lo) * 70.0 / tic_room)
    decade_room(lo, hi) = tic_room / log10(hi / lo)
    log_steps(lo, hi) = decade_room(lo, hi) < 115 ? '1' : decade_room(lo, hi) < 450 ? '1 2 5' : \
        '1 1.5 2 3 4 5 7'
    step_tic(lo, steps, j, decades) = word(steps, j % words(steps) + 1) * \
        10.0**((floor(log10(lo) / decades) + j / words(steps)) * decades)
    log_tic(lo, hi, j) = hi / lo < 3 ? (floor(lo / tic_step(lo, hi)) + j) * tic_step(lo, hi) : \
        step_tic(lo, log_steps(lo, hi), j, decade_room(lo, hi) < 42 ? 2 : 1)
    minor_tic(lo, hi, j) = hi / lo < 3 ? lo / 10 : step_tic(lo, '2 3 4 5 6 7 8 9', j, 1)

    # The legend: of parts where a chart has them, else of arms, in rows of what fits.
    key_items = arms
    if (exists('part')) { key_items = |part| }
    array key_label[max(key_items, 1)]
    array key_x[max(key_items, 1)]
    array key_y[max(key_items, 1)]
    key_swatch = 24
    key_row = 20
    x = 12
    y = key_row / 2 + 4
    do for [i = 1:key_items] {
        key_label[i] = fitted(exists('part') ? part[i] : arm[i], width - 24 - key_swatch)
        item_width = key_swatch + text_width(key_label[i])
        if (x > 12 && x + item_width > width - 12) {
            x = 12
            y = y + key_row
        }
        key_x[i] = x
        key_y[i] = y
        x = x + item_width + 20
    }
    key_height = key_items > 0 ? y + key_row / 2 + 4 : 0
} else {
    # What must not be lost where a picture is taken out of its page.
    if (exists('stamp')) {
        stamp_text = wrapped(stamp, width - 24, 2)
        stamp_from = height + 12
        height = height + 4 + 16 * lines(stamp_text)
        set label stamp_text at screen X(12),Y(stamp_from) textcolor rgb ink font small_font
    }
    kind = narrow ? substr(medium, 1, strlen(medium) - 7) : medium
    file = id . (narrow ? '-narrow' : '')
    if (kind eq 'page') {
        set terminal svg size width,height dynamic noenhanced font 'sans-serif,12'
        set output file . '.svg'
    } else { if (kind eq 'svg') {
        set terminal svg size width,height fixed noenhanced font 'sans-serif,12' background paper
        set output file . '.svg'
    } else { if (kind eq 'png') {
        # Twice as many pixels; a font's size is in points there, of which a pixel is 3/4.
        set terminal pngcairo size 2*width,2*height noenhanced font 'sans-serif,12' \
            fontscale 1.5 linewidth 2 pointscale 2.5 dashlength 2
        set output file . '.png'
    } else { if (kind eq 'pdf') {
        # A page's text width in a paper of two columns, or one of its columns.
        inch = (narrow ? 3.33 : 7.0) / width
        set terminal pdfcairo size inch*width,inch*height noenhanced font 'sans-serif,12' \
            fontscale 54*inch linewidth 144*inch pointscale 100*inch dashlength 2
        set output file . '.pdf'
    } else {
        exit error 'medium is none of page, svg, png, pdf or one of these with -narrow'
    }}}}
    if (kind eq 'page' || kind eq 'svg') {
        # This terminal keeps tics' texts farther from their axis than the others do.
        set xtics offset 0,0.4
        set ytics offset 0.4,0
    }
    set key noautotitle
    unset key
    set border 1 lc rgb axis lw 1
    set tics nomirror out scale 0.5,0.3 textcolor rgb ink font small_font
    set xtics nomirror out
    set ytics nomirror out
    set grid xtics noytics lt 1 lw 1 lc rgb rule
    set format '%g'
    set style fill solid 1 noborder
    set errorbars small
}
