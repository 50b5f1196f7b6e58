/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "overhead-point.h"

G_BEGIN_DECLS

/*
 * The outputs of the tools. They come from programs of an image, so from anybody: what is not as
 * it should be is %DUET_ERROR_BROKEN, and @point is then of no use. Figures must be above 0.
 */

/** duet_parse_sysbench_cpu: events per second. */
gboolean duet_parse_sysbench_cpu(const char *output, DuetOverheadPoint *point, GError **error);

/** duet_parse_sysbench_memory: bytes per second. */
gboolean duet_parse_sysbench_memory(const char *output, DuetOverheadPoint *point, GError **error);

/** duet_parse_dd: of dd bs=1: nanoseconds of a call. */
gboolean duet_parse_dd(const char *output, DuetOverheadPoint *point, GError **error);

/** duet_parse_programs: of a shell's loop: programs per second. */
gboolean duet_parse_programs(const char *output, DuetOverheadPoint *point, GError **error);

/** duet_parse_stress_switch: of stress-ng's YAML: nanoseconds of a context switch. */
gboolean duet_parse_stress_switch(const char *output, DuetOverheadPoint *point, GError **error);

/** duet_parse_stress_stream: of stress-ng's YAML: bytes read and written per second. */
gboolean duet_parse_stress_stream(const char *output, DuetOverheadPoint *point, GError **error);

/** duet_parse_fio: of fio's JSON: operations per second, mean latency in nanoseconds. */
gboolean duet_parse_fio(const char *output, DuetOverheadPoint *point, GError **error);

/** duet_parse_iperf: of iperf3's JSON: bytes per second that arrived. */
gboolean duet_parse_iperf(const char *output, DuetOverheadPoint *point, GError **error);

/** duet_parse_sockperf: nanoseconds of a round trip. */
gboolean duet_parse_sockperf(const char *output, DuetOverheadPoint *point, GError **error);

G_END_DECLS
