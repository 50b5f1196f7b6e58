/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/json.h"
#include "bench/result/run.h"

G_BEGIN_DECLS

/* What a run with peers has in its result file beside other runs: the rows of a #DuetBenchmark. */
void duet_peer_sample_write(const DuetSample *sample, JsonObject *object);
void duet_peer_sample_read(DuetJsonReader *reader, JsonObject *object, DuetSample *sample);
void duet_peer_root_write(const DuetRun *run, JsonObject *root);
void duet_peer_root_read(DuetJsonReader *reader, JsonObject *root, DuetRun *run);

G_END_DECLS
