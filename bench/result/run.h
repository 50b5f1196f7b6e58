/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/mark.h>
#include <json-glib/json-glib.h>

#include "bench/density/density-outcome.h"
#include "bench/load/load-point.h"
#include "bench/memory/memory-point.h"
#include "bench/overhead/overhead-point.h"
#include "bench/plan.h"

G_BEGIN_DECLS

typedef struct DuetBenchmark DuetBenchmark;

/**
 * DuetSampleStatus:
 * @DUET_SAMPLE_OK: the payload ran and exited with 0
 * @DUET_SAMPLE_FAILED: it exited with another code, by a signal, or could not be started
 * @DUET_SAMPLE_TIMEOUT: given up; how long it would have taken is not known (censored)
 */
typedef enum {
    DUET_SAMPLE_OK,
    DUET_SAMPLE_FAILED,
    DUET_SAMPLE_TIMEOUT,
} DuetSampleStatus;

const char *duet_sample_status_to_string(DuetSampleStatus status);
gboolean duet_sample_status_from_string(const char *text, DuetSampleStatus *out_status);

/**
 * DuetSample: one measurement.
 * @arm: index of the run's arm
 * @discarded: the warm-up; kept in the file, in no figure
 * @block: which block of the plan; 0 for a warm-up
 * @seq: place in the order of measuring, from 0, warm-ups included
 * @exit_code: -1: the payload did not get that far
 * @error: (nullable): why it failed
 * @ready_ns: when the plan's probe said so, on the clock of the marks; 0: not asked, or never
 * @guest_agent_ns, @guest_kernel_ns: by the guest's clock; 0: not applicable
 * @managing_cpu_ns, @payload_cpu_ns, @peak_memory_bytes: 0: not known
 * @bare_spawn_ns: `native`: a spawn of the same payload without duet, just after; 0: not known
 * @clone_ns: of what starts from a saved state: how long the making of the clone took, before
 * `request`; 0: not applicable
 * @command_output_ns, @command_exit_ns: beside peers: of the arm as a whole command, from the fork
 * to the first byte on its pipe and to its end; 0: not known
 * @memory: (nullable): `bench memory`: the point
 * @density: (nullable): `bench density`: the start
 * @overhead: (nullable): `bench overhead`: what its tool measured
 * @load: (nullable): `bench boot --parallel` and `--rate`: the batch
 * @warnings: (element-type utf8): what makes this sample doubtful
 */
typedef struct DuetSample {
    guint arm;
    gboolean discarded;
    guint block;
    guint seq;
    DuetSampleStatus status;
    int exit_code;
    int exit_signal;
    gboolean oom;
    char *error;
    DuetMarks marks;
    gint64 ready_ns;
    gint64 guest_agent_ns;
    gint64 guest_kernel_ns;
    gint64 managing_cpu_ns;
    gint64 payload_cpu_ns;
    guint64 peak_memory_bytes;
    gint64 bare_spawn_ns;
    gint64 clone_ns;
    gint64 command_output_ns;
    gint64 command_exit_ns;
    DuetMemoryPoint *memory;
    DuetDensityStart *density;
    DuetOverheadPoint *overhead;
    DuetLoadPoint *load;
    GPtrArray *warnings;
} DuetSample;

DuetSample *duet_sample_new(guint arm, guint block, guint seq);
void duet_sample_free(DuetSample *sample);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetSample, duet_sample_free)
void duet_sample_warn(DuetSample *sample, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** duet_sample_check_marks: warns if the marks are not in their order. */
void duet_sample_check_marks(DuetSample *sample);

/* The kind of an arm that is a foreign engine: it has no marks, only the times of whole commands.
 */
#define DUET_RUN_ARM_PEER "peer"

/**
 * DuetRunArm: one thing compared.
 * @kind: a #DuetKind's name, or DUET_RUN_ARM_PEER
 * @argv: the payload
 * @driver: (nullable): the driver's facts (accel, versions, ...), known after the first sample
 */
typedef struct {
    char *name;
    char *kind;
    char *image_ref;
    char *image_digest;
    char **argv;
    guint64 memory_bytes;
    double cpus;
    guint64 pids_limit;
    JsonObject *driver;
} DuetRunArm;

DuetRunArm *duet_run_arm_new(const char *name, const char *kind);
void duet_run_arm_free(DuetRunArm *arm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetRunArm, duet_run_arm_free)
/** duet_run_arm_is_saved: whether its VMs go on from a saved state. */
gboolean duet_run_arm_is_saved(const DuetRunArm *arm);
/* Facts of a foreign engine: the RAM in bytes and the CPUs that its guests were given; not there
 * where its file takes them from elsewhere. */
#define DUET_RUN_PEER_GUEST_MEMORY "peer_guest_memory_bytes"
#define DUET_RUN_PEER_GUEST_CPUS "peer_guest_cpus"

/** duet_run_arm_facts: names of the driver's facts that a figure depends on, ended by NULL. */
extern const char *const duet_run_arm_facts[];
/** duet_run_arm_walls: the same of what a container is kept in by, which each system call pays for.
 */
extern const char *const duet_run_arm_walls[];

/** duet_run_arm_accel: Returns: (nullable): "kvm" or "tcg" where the driver told. */
const char *duet_run_arm_accel(const DuetRunArm *arm);
/** duet_run_arm_tcg: whether it ran under QEMU's TCG, without hardware virtualization. */
gboolean duet_run_arm_tcg(const DuetRunArm *arm);
gboolean duet_run_arm_is_peer(const DuetRunArm *arm);

/**
 * DuetRun: all samples of one plan: what a result file holds.
 * @benchmark: what was measured: benchmark.h
 * @started: RFC 3339 wall clock time, for people
 * @tool, @host: environment.h
 * @arms: (element-type DuetRunArm), @samples: (element-type DuetSample) in the order of measuring
 * @idle_noise: (element-type DuetHostMemory): `bench memory`: the host before the first sample,
 *     while nothing of ours ran; NULL else
 * @skipped: (element-type utf8): peers that were asked for and left out, and why
 * @density: (element-type DuetDensityOutcome): `bench density`: one for each arm; NULL else
 * @reread_bytes: `bench memory`: of files that were read before each block; 0: not known
 * @compared: (nullable): `compare`: its file's members "outputs" and "idle_memory", as they are
 * @interrupted: the user stopped it before the plan's end
 * @warnings: (element-type utf8): what makes the whole run doubtful
 */
typedef struct {
    const DuetBenchmark *benchmark;
    char *run_id;
    char *started;
    JsonObject *tool;
    JsonObject *host;
    DuetPlan *plan;
    GPtrArray *arms;
    GPtrArray *samples;
    GArray *idle_noise;
    GPtrArray *skipped;
    GPtrArray *density;
    guint64 reread_bytes;
    JsonObject *compared;
    gboolean interrupted;
    GPtrArray *warnings;
} DuetRun;

/** duet_run_new: @plan: (transfer full). Fresh id, start time now, empty tool and host. */
DuetRun *duet_run_new(const DuetBenchmark *benchmark, DuetPlan *plan);
void duet_run_free(DuetRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetRun, duet_run_free)
DuetRunArm *duet_run_arm(const DuetRun *run, guint arm);
/** duet_run_arm_kernel: Returns: (nullable): the release of the kernel that an arm's programs meet:
 * its guest's where the driver told of one, else the host's. */
const char *duet_run_arm_kernel(const DuetRun *run, const DuetRunArm *arm);
/** duet_run_tcg: whether any of its arms did. */
gboolean duet_run_tcg(const DuetRun *run);
DuetSample *duet_run_sample(const DuetRun *run, guint i);

G_END_DECLS
