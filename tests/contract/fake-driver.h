/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>

/* The smallest driver there is: the agent as a child process, no isolation, no image. It has
 * no optional op. It calls itself a container. */
/* What runs in place of the native agent, in a child of the monitor: it speaks on @fd. NULL: the
 * agent. To be set before the instance is started. */
extern void (*fake_agent)(int fd);

extern const DuetDriverOps fake_driver;
