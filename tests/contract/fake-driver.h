/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>

/* The smallest driver there is: the agent as a child process, no isolation, no image. It has
 * no optional op. It calls itself a container. */
extern const DuetDriverOps fake_driver;
