/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>

G_BEGIN_DECLS

extern const DuetDriverOps duet_container_driver;
extern const DuetDriverOps duet_native_driver;

G_END_DECLS
