/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/**
 * duet_environment_host:
 * @root: the directory whose file system holds images and writable layers
 *
 * Returns: (transfer full): what is known of this host that can move a figure. A member that
 *     can't be read here is null, never guessed.
 */
JsonObject *duet_environment_host(const char *root);

/** duet_environment_under_tcg: Returns: whether @host says that its CPUs are emulated by TCG. */
gboolean duet_environment_under_tcg(JsonObject *host);

/** duet_environment_tool: Returns: (transfer full): version, commit and build flags of duet. */
JsonObject *duet_environment_tool(void);

/* Member of the host (true): what the same command measured before is in "load_1min". */
#define DUET_ENVIRONMENT_LOAD_OWN "load_includes_own"

/** DuetEnvironmentCount: counters of the kernel since boot: what moved during a run. */
typedef struct {
    guint64 busy_ticks; /* CPU time wanted, steal_ticks among it */
    guint64 steal_ticks; /* of it what a hypervisor below did not give */
    guint64 swapped_in_bytes;
} DuetEnvironmentCount;

void duet_environment_count(DuetEnvironmentCount *out_count);

/** duet_environment_finish: adds "during_run" to @host: what moved since @before. */
void duet_environment_finish(JsonObject *host, const DuetEnvironmentCount *before);

/**
 * duet_environment_warnings:
 * Returns: (transfer full) (element-type utf8): what about this host makes figures weak
 *     (load, frequency scaling, KSM, swap in use), and this @tool.
 */
GPtrArray *duet_environment_warnings(JsonObject *host, JsonObject *tool);

/** duet_environment_warnings_after: the same of what only the end of a run can tell. */
GPtrArray *duet_environment_warnings_after(JsonObject *host);

/**
 * duet_environment_memory_warnings: adds what about @host moves memory behind the back of a
 * benchmark: reclaimers that work without pressure.
 */
void duet_environment_memory_warnings(JsonObject *host, GPtrArray *warnings);

/**
 * duet_environment_translate:
 * @warnings: (element-type utf8): of a run on that @host by that @tool
 *
 * Returns: (transfer full) (element-type utf8): each in the language of the report, where there is
 * a translation.
 */
GPtrArray *duet_environment_translate(
    JsonObject *host, JsonObject *tool, const GPtrArray *warnings);

G_END_DECLS
