/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/state.h"

G_BEGIN_DECLS

/**
 * DuetMonitorArgs:
 * @instance: with its lock held; the monitor takes the lock over
 * @client_fd: connection to the client that starts the instance
 * @attach: that client gets the payload's streams from the first byte on
 * @request_ns: when the client asked (%DUET_MARK_REQUEST)
 * @borrowed: without the payload, and nothing is recorded: see duet_instance_borrow()
 * @window: size of the payload's terminal, see duet_fields_add_window()
 */
typedef struct {
    DuetInstance *instance;
    int client_fd;
    gboolean attach;
    gint64 request_ns;
    gboolean borrowed;
    guint32 window;
} DuetMonitorArgs;

/**
 * duet_monitor_set_caller: tells what is the caller's, before anything else is opened. Each monitor
 * wipes the command line where it lies: it may have secrets in it (`-e PASSWORD=...`), and any user
 * may read a process's command line for as long as that lives. And it closes what was open.
 */
void duet_monitor_set_caller(char **argv);

/**
 * duet_monitor_main: owns the instance from start to exit, in a freshly forked process. The first
 * client is told STARTED, or ERROR, and RELEASED when everything of the instance is gone.
 */
G_NORETURN void duet_monitor_main(const DuetMonitorArgs *args);

G_END_DECLS
