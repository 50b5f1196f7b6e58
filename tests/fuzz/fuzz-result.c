/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A result file of anybody's: read, described, checked, shown in every format. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/against/against.h"
#include "bench/benchmark.h"
#include "bench/check.h"
#include "bench/result/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What goes to a terminal is text, and moves no cursor. */
static void assert_harmless(const char *text)
{
    if (!g_utf8_validate(text, -1, NULL) || strchr(text, '\x1b') || strchr(text, '\r'))
        abort();
}

/* @format: "json" must be read again, what is for a terminal or a page must be harmless. */
static void check_text(const char *format, const char *text)
{
    if (g_str_equal(format, "csv") || g_str_equal(format, "openmetrics") ||
        g_str_equal(format, "json")) {
        if (!g_utf8_validate(text, -1, NULL))
            abort();
    } else {
        assert_harmless(text);
    }
}

static void compare(const DuetRun *run, const DuetRun *again)
{
    DuetAgainstOptions options = { .floor = -1, .force = TRUE, .ratio_with_failures = TRUE };
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetAgainst) against = duet_against_new(run, "a", again, "b", &options, &error);

    if (!against == !error)
        abort();
    if (error)
        assert_harmless(error->message);
    if (!against)
        return;
    g_autofree char *table = duet_against_table(against);
    g_autofree char *markdown = duet_against_markdown(against);
    g_autofree char *json = duet_against_json(against);
    assert_harmless(table);
    assert_harmless(markdown);
    check_text("json", json);
}

static void show(const DuetRun *run)
{
    const DuetBenchmark *benchmark = run->benchmark;
    g_autoptr(DuetRun) again = NULL;

    for (guint i = 0; benchmark->formats[i]; i++) {
        g_autofree char *text = benchmark->show(run, i, TRUE);
        check_text(benchmark->formats[i], text);
        if (g_str_equal(benchmark->formats[i], "json"))
            again = duet_result_parse(text, -1, NULL);
    }
    if (!again)
        abort();
    if (benchmark->check) {
        g_autoptr(GPtrArray) notes = benchmark->check(run);
        g_autofree char *weak = duet_bench_check_text(run, notes);
        g_autofree char *json = duet_bench_check_json(run, notes);
        assert_harmless(weak);
        check_text("json", json);
    }
    if (benchmark->measure)
        compare(run, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) run = duet_result_parse(text, size, &error);

    if (!run == !error)
        abort();
    if (error)
        assert_harmless(error->message);
    /* Resampling is slow, and reads no foreign bytes. */
    if (run && run->arms->len <= 3 && run->samples->len <= 8)
        show(run);
    return 0;
}
