/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/overhead/overhead-analysis.h"
#include "run-fixture.h"

/* Tests cpu (a rate) and syscall (a time) in all kinds, ten samples of each; @slow: what the VM is
 * slower by. */
DuetRun *overhead_fixture_run(const char *accel, double slow);
