/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/mark.h>

#include <time.h>

static const char *const mark_names[DUET_MARK_COUNT] = {
    [DUET_MARK_REQUEST] = "request",
    [DUET_MARK_SPAWNED] = "spawned",
    [DUET_MARK_RUNNING] = "running",
    [DUET_MARK_INIT] = "init",
    [DUET_MARK_EXEC] = "exec",
    [DUET_MARK_OUTPUT] = "output",
    [DUET_MARK_STOP] = "stop",
    [DUET_MARK_EXITED] = "exited",
    [DUET_MARK_RELEASED] = "released",
};

const char *duet_mark_to_string(DuetMark mark)
{
    g_return_val_if_fail(mark < DUET_MARK_COUNT, NULL);
    return mark_names[mark];
}

gboolean duet_mark_from_string(const char *text, DuetMark *out_mark)
{
    for (int i = 0; i < DUET_MARK_COUNT; i++)
        if (g_str_equal(text, mark_names[i])) {
            *out_mark = (DuetMark)i;
            return TRUE;
        }
    return FALSE;
}

gint64 duet_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (gint64)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void duet_marks_set(DuetMarks *marks, DuetMark mark)
{
    if (!marks->ns[mark])
        marks->ns[mark] = duet_now_ns();
}
