/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>

/* The smallest driver there is: the agent as a child process, no isolation, no image. Of the
 * optional ops it has the console's alone. It calls itself a container. */
/* What runs in place of the native agent, in a child of the monitor: it speaks on @fd. NULL: the
 * agent. To be set before the instance is started. */
extern void (*fake_agent)(int fd);
/* How long it has for its first word, 0: as the monitor thinks; what its console shows then, NULL:
 * there is none. To be set as well before the instance is started. */
extern guint fake_boot_timeout_s;
extern const char *fake_console;

extern const DuetDriverOps fake_driver;
