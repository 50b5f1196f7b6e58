/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "bench/instance/capture.h"
#include "bench/compare/compare.h"
#include "bench/benchmark.h"
#include "bench/compare/side.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/boot/waterfall.h"

#define MS G_GINT64_CONSTANT(1000000)

/* ---- numbers and columns ---- */

static void test_times(void)
{
    static const struct {
        double ns;
        const char *text;
    } cases[] = {
        { 2412345678.0, "2.41 s" },
        { 999.6e6, "1.00 s" },
        { 14234567, "14.2 ms" },
        { 143.6e6, "144 ms" },
        { 9.996e6, "10.0 ms" },
        { 870e3, "870 us" },
        { 12, "12 ns" },
        { -14234567, "-14.2 ms" },
        { 0, "0 ns" },
        { NAN, "n/a" },
        { INFINITY, "n/a" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = duet_text_time(cases[i].ns);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
    g_autofree char *ratio = duet_text_ratio(172.4), *near = duet_text_ratio(1.138);
    g_autofree char *tiny = duet_text_ratio(0.0123), *none = duet_text_ratio(NAN);
    g_assert_cmpstr(ratio, ==, "172");
    g_assert_cmpstr(near, ==, "1.14");
    g_assert_cmpstr(tiny, ==, "0.0123");
    g_assert_cmpstr(none, ==, "n/a");
    g_autofree char *wide = duet_text_ratio_interval(1.136, 1.152);
    g_autofree char *narrow = duet_text_ratio_interval(1.136, 1.143);
    g_autofree char *point = duet_text_ratio_interval(1, 1);
    g_assert_cmpstr(wide, ==, "1.14 to 1.15");
    g_assert_cmpstr(narrow, ==, "1.136 to 1.143");
    g_assert_cmpstr(point, ==, "1.00 to 1.00");
    g_autofree char *range = duet_text_time_range(duet_unit_for(12e6), 11.1e6, 12.5e6);
    g_autofree char *no_range = duet_text_time_range(duet_unit_for(12e6), NAN, NAN);
    g_assert_cmpstr(range, ==, "11.1 to 12.5 ms");
    g_assert_cmpstr(no_range, ==, "n/a");
    g_autofree char *p = duet_text_p(0.0001), *half = duet_text_p(0.5);
    g_assert_cmpstr(p, ==, "<0.001");
    g_autofree char *near_zero = duet_text_bytes_range(-52000 * 1024.0, 53000 * 1024.0);
    g_autofree char *usual = duet_text_bytes_range(635 * 1024.0, 797 * 1024.0);
    g_autofree char *small = duet_text_bytes_range(-3, 12);
    g_assert_cmpstr(near_zero, ==, "-50.8 to 51.8 MiB");
    g_assert_cmpstr(usual, ==, "635 to 797 KiB");
    g_assert_cmpstr(small, ==, "-3 to 12 B");
    static const struct {
        double bytes;
        const char *text;
    } sizes[] = {
        { NAN, "n/a" },
        { -0.4, "0 B" },
        { 1023, "1023 B" },
        { 1023.6, "1.0 KiB" },
        { 99.9 * 1024, "99.9 KiB" },
        { -166.2 * 1024, "-166 KiB" },
        { 1021.9 * 1024, "1022 KiB" },
        { 1023.9 * 1024, "1.0 MiB" },
        { 3.5 * 1024 * 1024 * 1024, "3.5 GiB" },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *text = duet_text_bytes(sizes[i].bytes);
        g_assert_cmpstr(text, ==, sizes[i].text);
    }
    g_assert_cmpstr(half, ==, "0.500");
}

static void test_columns(void)
{
    g_autoptr(GString) out = g_string_new(NULL);

    duet_text_append_padded(out, "größe", 7);
    g_string_append_c(out, '|');
    duet_text_append_right(out, "ab", 4);
    g_string_append_c(out, '|');
    duet_text_append_figure(out, "1234567", 4);
    g_string_append_c(out, '|');
    /* A wide character that has no room is left out, not cut in half. */
    duet_text_append_padded(out, "a漢字", 4);
    g_assert_cmpstr(out->str, ==, "größe  |  ab| 1234567|a漢 ");

    g_string_truncate(out, 0);
    g_autofree char *word = g_strnfill(200, 'x');
    g_autofree char *text = g_strconcat("some words before ", word, " and after", NULL);
    duet_text_append_wrapped(out, "! ", "  ", text);
    g_auto(GStrv) lines = g_strsplit(out->str, "\n", -1);
    g_assert_cmpstr(lines[0], ==, "! some words before");
    g_assert_cmpuint(strlen(lines[1]), ==, 202);
    g_assert_cmpstr(lines[2], ==, "  and after");
}

static void test_printable(void)
{
    g_autofree char *control = duet_text_printable("\033[31mred\r\n\tx\x7f", -1);
    g_autofree char *bytes = duet_text_printable("a\xff"
                                                 "b",
        -1);
    /* A text that turns its reading direction could show what is not there. */
    g_autofree char *bidi = duet_text_printable("a\xe2\x80\xae"
                                                "b",
        -1);
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)"echo 'a' \n", (char *)"", NULL };
    g_autofree char *command = duet_text_command(argv);

    g_assert_cmpstr(control, ==, "^[[31mred^M\n\tx?");
    g_assert_cmpstr(bytes, ==,
        "a\xef\xbf\xbd"
        "b");
    g_assert_cmpstr(bidi, ==, "a?b");
    g_assert_cmpstr(command, ==, "sh -c 'echo '\\''a'\\'' \n' ''");
}

/* ---- captured output ---- */

static DuetCaptured *capture(const void *bytes, gsize length)
{
    g_autoptr(GError) error = NULL;
    DuetCapture *running = duet_capture_new(&error);
    const char *at = bytes;

    g_assert_no_error(error);
    while (length > 0) {
        gssize n = write(duet_capture_fd(running), at, length);
        g_assert_cmpint(n, >, 0);
        at += n;
        length -= n;
    }
    return duet_capture_finish(running);
}

static void test_capture(void)
{
    gsize length = 3 * 1024 * 1024 + 5;
    g_autofree char *large = g_malloc(length);
    for (gsize i = 0; i < length; i++)
        large[i] = (char)(i * 7 + i / 251);
    g_autoptr(DuetCaptured) all = capture(large, length);
    g_autoptr(DuetCaptured) none = capture("", 0);
    g_autoptr(DuetCaptured) few = capture("a\0b\n", 4);
    g_autofree char *digest =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)large, length);

    g_assert_cmpuint(all->total, ==, length);
    g_assert_cmpstr(all->sha256, ==, digest);
    gsize kept;
    const void *bytes = g_bytes_get_data(all->kept, &kept);
    g_assert_cmpmem(bytes, kept, large, DUET_CAPTURE_KEPT_BYTES);
    g_assert_cmpuint(none->total, ==, 0);
    g_assert_cmpstr(
        none->sha256, ==, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    bytes = g_bytes_get_data(few->kept, &kept);
    g_assert_cmpmem(bytes, kept, "a\0b\n", 4);
    g_assert_true(duet_captured_is_text(none));
    g_assert_false(duet_captured_is_text(few));
}

/* Standard output and error are captured at once: neither may keep the other's pipe open. */
static void test_capture_two(void)
{
    g_autoptr(GError) error = NULL;
    gint64 before = g_get_monotonic_time();
    DuetCapture *first = duet_capture_new(&error), *second = duet_capture_new(&error);

    g_assert_no_error(error);
    g_assert_cmpint(write(duet_capture_fd(first), "1", 1), ==, 1);
    g_autoptr(DuetCaptured) one = duet_capture_finish(first);
    g_autoptr(DuetCaptured) two = duet_capture_finish(second);
    g_assert_cmpuint(one->total, ==, 1);
    g_assert_cmpuint(two->total, ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - before, <, G_USEC_PER_SEC / 2);
}

/* A process that keeps the pipe open must not hold up the end. */
static void test_capture_held_open(void)
{
    g_autoptr(GError) error = NULL;
    DuetCapture *running = duet_capture_new(&error);
    g_assert_no_error(error);
    int held = dup(duet_capture_fd(running));

    g_assert_cmpint(write(held, "said\n", 5), ==, 5);
    gint64 before = g_get_monotonic_time();
    g_autoptr(DuetCaptured) captured = duet_capture_finish(running);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 5 * G_USEC_PER_SEC);
    g_assert_cmpuint(captured->total, ==, 5);
    close(held);
}

static void test_cut_character(void)
{
    /* The last character of what is kept is cut in two: it is text all the same. */
    g_autoptr(GString) text = g_string_new("x");
    while (text->len < DUET_CAPTURE_KEPT_BYTES + 10)
        g_string_append(text, "ö");
    g_autoptr(DuetCaptured) cut = capture(text->str, text->len);
    g_autoptr(DuetCaptured) latin1 = capture("\xf6", 1);

    g_assert_true(duet_captured_is_text(cut));
    g_assert_false(duet_captured_is_text(latin1));
}

/* ---- side by side ---- */

static char *side_by_side(const char *left_bytes, gssize left_length, const char *right_bytes,
    gssize right_length, gboolean color)
{
    g_autoptr(DuetCaptured) left =
        capture(left_bytes, left_length < 0 ? strlen(left_bytes) : (gsize)left_length);
    g_autoptr(DuetCaptured) right =
        capture(right_bytes, right_length < 0 ? strlen(right_bytes) : (gsize)right_length);
    DuetSide sides[] = { { "vm", left }, { "container", right } };
    GString *out = g_string_new(NULL);

    duet_side_by_side(out, "output", &sides[0], &sides[1], color);
    for (const char *line = out->str; *line && !color; line = strchr(line, '\n') + 1) {
        g_autofree char *copy = g_strndup(line, strchr(line, '\n') - line);
        g_assert_cmpuint(duet_text_width(copy), <=, 80);
    }
    return g_string_free(out, FALSE);
}

static void test_sides(void)
{
    g_autofree char *same = side_by_side("a\nb\n", -1, "a\nb\n", -1, FALSE);
    g_autofree char *differ = side_by_side("Linux 6.1\nb\n", -1, "Linux 6.18\nb\n", -1, FALSE);
    g_autofree char *bright = side_by_side("x\n", -1, "y\n", -1, TRUE);
    g_autofree char *nothing = side_by_side("", 0, "", 0, FALSE);
    g_autofree char *shorter = side_by_side("a\n", -1, "a\n\n", -1, FALSE);

    g_assert_nonnull(strstr(same, "the same in both"));
    g_assert_null(strchr(same, '|'));
    g_assert_nonnull(strstr(differ, "differs"));
    g_assert_nonnull(strstr(differ, "Linux 6.1                              | Linux 6.18\n"));
    g_assert_nonnull(strstr(bright, "\033[1;33m"));
    g_assert_nonnull(strstr(nothing, "(nothing)"));
    /* An empty line is not no line. */
    g_assert_nonnull(strstr(shorter, " |\n"));
}

static void test_sides_long(void)
{
    g_autoptr(GString) left = g_string_new(NULL), right = g_string_new(NULL);
    g_autofree char *wide = g_strnfill(300, 'w');

    for (guint i = 0; i < 100; i++) {
        g_string_append_printf(left, "line %u\n", i);
        g_string_append_printf(right, "line %u\n", i == 50 ? 999 : i);
    }
    g_autofree char *view = side_by_side(left->str, -1, right->str, -1, FALSE);
    g_assert_nonnull(strstr(view, "(88 more lines, 1 of them differ)"));
    g_assert_nonnull(strstr(view, "output: differs"));
    g_autofree char *cut = side_by_side(wide, -1, wide, -1, FALSE);
    g_assert_nonnull(strstr(cut, "w>"));
    g_autofree char *hostile = side_by_side("\033[2J\033]0;title\007\n", -1, "", 0, FALSE);
    g_assert_null(strchr(hostile, '\033'));
}

static void test_sides_binary(void)
{
    g_autofree char *view = side_by_side("\0\1\2", 3, "\0\1\3", 3, FALSE);

    g_assert_nonnull(strstr(view, "(binary, 3 bytes)"));
    g_assert_nonnull(strstr(view, "differs"));
    g_autofree char *same = side_by_side("\0\1\2", 3, "\0\1\2", 3, FALSE);
    g_assert_nonnull(strstr(same, "the same in both"));
}

/* ---- waterfall ---- */

static DuetSample *vm_sample(void)
{
    static const gint64 at_ms[] = { 0, 250, 300, 2100, 2300, 2310, -1, 2500, 2700 };
    DuetSample *sample = duet_sample_new(0, 0, 0);

    for (guint mark = 0; mark < DUET_MARK_COUNT; mark++)
        sample->marks.ns[mark] = at_ms[mark] < 0 ? 0 : 5000 * MS + at_ms[mark] * MS;
    sample->guest_kernel_ns = 1500 * MS;
    sample->guest_agent_ns = 170 * MS;
    sample->status = DUET_SAMPLE_OK;
    return sample;
}

static void test_waterfall(void)
{
    g_autoptr(DuetSample) vm = vm_sample(), container = duet_sample_new(1, 0, 1);
    g_autoptr(GString) out = g_string_new(NULL);

    container->marks = vm->marks;
    container->marks.ns[DUET_MARK_RUNNING] = 0;
    for (guint mark = DUET_MARK_SPAWNED; mark < DUET_MARK_COUNT; mark++) {
        if (container->marks.ns[mark] != 0)
            container->marks.ns[mark] = 5000 * MS + (container->marks.ns[mark] - 5000 * MS) / 200;
    }
    DuetWaterfall rows[] = { { "vm", vm }, { "container", container }, { "native", NULL } };
    duet_waterfall_scale(out, rows, 3);
    g_assert_cmpstr(out->str, ==,
        "vm          |##########################################|     2.70 s\n"
        "container   |#                                         |    13.5 ms\n"
        "native                                                          n/a\n");
    g_string_truncate(out, 0);
    duet_waterfall_draw(out, &rows[0]);
    g_auto(GStrv) lines = g_strsplit(out->str, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 10);
    g_assert_cmpstr(lines[1], ==,
        "  spawned   |####                                      |     250 ms     250 ms");
    g_assert_cmpstr(lines[3], ==,
        "  init      |    #############################         |     1.80 s     2.10 s");
    g_assert_nonnull(strstr(lines[8], "guest's own clock"));
    for (char **line = lines; *line; line++)
        g_assert_cmpuint(strlen(*line), <=, 80);
    g_assert_null(strstr(out->str, "stop"));
    g_string_truncate(out, 0);
    duet_waterfall_draw(out, &rows[1]);
    g_assert_nonnull(strstr(out->str, "  running  "));
    g_assert_nonnull(strstr(out->str, "n/a"));
    g_string_truncate(out, 0);
    duet_waterfall_draw(out, &rows[2]);
    g_assert_nonnull(strstr(out->str, "did not run"));
}

/* ---- the whole view ---- */

static DuetRun *small_run(void)
{
    DuetRun *run = duet_run_new(&duet_benchmark_boot, duet_plan_new(2, 1, 1, 1000, 0.02));
    static char *uname[] = { (char *)"uname", (char *)"-srm", NULL };
    static const char *const names[] = { "vm", "container" };

    for (guint i = 0; i < 2; i++) {
        DuetRunArm *arm = duet_run_arm_new(names[i], names[i]);
        DuetSample *sample = vm_sample();
        arm->argv = g_strdupv(uname);
        arm->image_ref = g_strdup("busybox:latest");
        arm->driver = json_object_new();
        if (i == 0)
            json_object_set_string_member(arm->driver, "accel", "tcg");
        g_ptr_array_add(run->arms, arm);
        sample->arm = i;
        sample->exit_code = 0;
        g_ptr_array_add(run->samples, sample);
    }
    return run;
}

static void test_compare(void)
{
    g_autoptr(DuetRun) run = small_run();
    DuetCaptured *outs[] = { capture("Linux 6.1\n", 10), capture("Linux 6.18\n", 11) };
    DuetCaptured *errs[] = { capture("", 0), capture("", 0) };
    DuetInstanceSampler sampler = { .captured_stdout = outs, .captured_stderr = errs };
    DuetIdle idle[] = { { .measured = TRUE, .age_ns = 2000 * MS, .memory = { 200 << 20, 6 << 20 } },
        { .error = (char *)"no luck" } };

    for (guint round = 0; round < 2; round++) {
        if (round == 1) {
            duet_run_sample(run, 1)->status = DUET_SAMPLE_FAILED;
            duet_run_sample(run, 1)->exit_code = 3;
        }
        g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
        DuetCompareView view = { run, analysis, &sampler, idle, FALSE, FALSE };
        g_autofree char *text = duet_compare_text(&view);
        g_autofree char *json = duet_compare_json(&view);
        g_assert_nonnull(strstr(text, "Linux 6.18"));
        g_assert_nonnull(strstr(text, "200.0 MiB"));
        g_assert_nonnull(strstr(text, "memory not measured: no luck"));
        if (round == 0) {
            g_assert_nonnull(strstr(text, "ratio of times, vm / container: 1.00"));
            g_assert_nonnull(strstr(text, "upper bound"));
        } else {
            g_assert_nonnull(strstr(text, "exit code 3"));
            g_assert_nonnull(strstr(text, "ratio of times, vm / container: withheld"));
        }
        g_autoptr(JsonNode) node = json_from_string(json, NULL);
        g_assert_nonnull(node);
        JsonObject *root = json_node_get_object(node);
        JsonArray *outputs = json_object_get_array_member(root, "outputs");
        JsonObject *out =
            json_object_get_object_member(json_array_get_object_element(outputs, 0), "stdout");
        g_assert_cmpstr(json_object_get_string_member(out, "text"), ==, "Linux 6.1\n");
        JsonArray *memory = json_object_get_array_member(root, "idle_memory");
        g_assert_cmpint(json_object_get_int_member(
                            json_array_get_object_element(memory, 0), "payload_pss_bytes"),
            ==, 200 << 20);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
            g_assert_cmpuint(duet_text_width(*line), <=, 80);
    }
    for (guint i = 0; i < 2; i++) {
        duet_captured_free(outs[i]);
        duet_captured_free(errs[i]);
    }
}

/* ---- names of arms ---- */

static char *table_of(const char *first, const char *second)
{
    g_autoptr(DuetRun) run = small_run();
    const char *const names[] = { first, second };

    for (guint i = 0; i < 2; i++) {
        g_free(duet_run_arm(run, i)->name);
        duet_run_arm(run, i)->name = g_strdup(names[i]);
    }
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    char *table = duet_bench_table(run, analysis);
    g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line; line++)
        g_assert_cmpuint(duet_text_width(*line), <=, 80);
    return table;
}

static void test_arm_names(void)
{
    g_autofree char *alike =
        table_of("duet run --rm --as container busybox true", "duet run --rm --as vm busybox true");
    g_assert_nonnull(strstr(alike, "\nA              1"));
    g_assert_nonnull(strstr(alike, "\nB              1"));
    g_assert_nonnull(strstr(alike, "\nA / B  "));
    g_assert_nonnull(
        strstr(alike, "\nA = duet run --rm --as container busybox true\nB = duet run"));

    g_autofree char *longer = table_of("hyperfine -N true", "bash -c true, in a folder");
    g_assert_nonnull(strstr(longer, "\nhyperfine -    1"));
    g_assert_nonnull(strstr(longer, "\nhyperfine  / bash -c tru"));
    g_assert_null(strstr(longer, "\nA"));

    g_autofree char *one = table_of("vm", "bash -c true, in a folder");
    g_assert_nonnull(strstr(one, "\nvm / bash -c true, in a  "));
    g_autofree char *other = table_of("bash -c true, in a folder", "vm");
    g_assert_nonnull(strstr(other, "\nbash -c true, in a  / vm"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text/times", test_times);
    g_test_add_func("/text/columns", test_columns);
    g_test_add_func("/text/printable", test_printable);
    g_test_add_func("/capture/all", test_capture);
    g_test_add_func("/capture/two", test_capture_two);
    g_test_add_func("/capture/held-open", test_capture_held_open);
    g_test_add_func("/capture/cut-character", test_cut_character);
    g_test_add_func("/side/lines", test_sides);
    g_test_add_func("/side/long", test_sides_long);
    g_test_add_func("/side/binary", test_sides_binary);
    g_test_add_func("/waterfall/draw", test_waterfall);
    g_test_add_func("/compare/view", test_compare);
    g_test_add_func("/table/arm-names", test_arm_names);
    return g_test_run();
}
