/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/loop.h"

static guint attach(GSource *source, GSourceFunc function, gpointer data)
{
    g_source_set_callback(source, function, data, NULL);
    /* Else GLib takes each source out while it is dispatched, and wakes itself up for that: two
     * system calls and a vain round of the loop for each event. A handler that steps the loop may
     * be met again: link.c sees to it. */
    g_source_set_can_recurse(source, TRUE);
    guint id = g_source_attach(source, g_main_context_get_thread_default());
    g_source_unref(source);
    return id;
}

guint duet_loop_add_fd(
    int fd, GIOCondition condition, int priority, GUnixFDSourceFunc function, gpointer data)
{
    GSource *source = g_unix_fd_source_new(fd, condition);
    g_source_set_priority(source, priority);
    return attach(source, G_SOURCE_FUNC(function), data);
}

guint duet_loop_add_timeout(guint ms, GSourceFunc function, gpointer data)
{
    return attach(g_timeout_source_new(ms), function, data);
}

guint duet_loop_add_idle(GSourceFunc function, gpointer data)
{
    return attach(g_idle_source_new(), function, data);
}

void duet_loop_remove(guint *id)
{
    GSource *source =
        *id ? g_main_context_find_source_by_id(g_main_context_get_thread_default(), *id) : NULL;
    *id = 0;
    if (source)
        g_source_destroy(source);
}

void duet_loop_step(void)
{
    g_main_context_iteration(g_main_context_get_thread_default(), TRUE);
}
