/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Claims on what instances can do to each other and to the host. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench/host/environment.h"
#include "bench/instance/instance-sampler.h"
#include "bench/words.h"
#include "core/util.h"
#include "judge.h"
#include "live.h"

#define THROTTLE_CPUS 0.5
#define THROTTLE_MS 3000

/* Which CPU time was not used: the host's idle CPUs, on average. */
typedef struct {
    DuetEnvironmentCount count;
    gint64 at_ns;
} Clock;

static void clock_read(Clock *clock)
{
    duet_environment_count(&clock->count);
    clock->at_ns = duet_now_ns();
}

static double idle_cpus(const Clock *begin, const Clock *end)
{
    double seconds = (end->at_ns - begin->at_ns) / 1e9;
    double busy =
        (double)(end->count.busy_ticks - begin->count.busy_ticks) / sysconf(_SC_CLK_TCK) / seconds;

    return sysconf(_SC_NPROCESSORS_ONLN) - busy;
}

/* From exec to its end, so that what is charged is what is timed. */
static gboolean see_throttle(DuetLive *live, DuetThrottleSeen *out_seen, GError **error)
{
    g_autoptr(DuetSpec) spec = duet_bench_spec_copy(live->trial->request->container, error);
    Clock begin, end;
    guint index;

    if (!spec)
        return FALSE;
    spec->cpus = THROTTLE_CPUS;
    if (!duet_live_start(live, spec, "while :; do :; done", NULL, &index, error))
        return FALSE;
    clock_read(&begin);
    if (!duet_group_wait(&live->group, THROTTLE_MS, error) ||
        !duet_instance_stop(duet_group_instance(&live->group, index), 0, error))
        return FALSE;
    clock_read(&end);
    g_autoptr(DuetInfo) info = duet_live_info(live, index, error);
    if (!info)
        return FALSE;
    double wall_ns = info->marks.ns[DUET_MARK_EXITED] - info->marks.ns[DUET_MARK_EXEC];
    *out_seen = (DuetThrottleSeen){ info->payload_cpu_ns / wall_ns, THROTTLE_CPUS,
        idle_cpus(&begin, &end) };
    return TRUE;
}

gboolean duet_claim_throttle(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    DuetThrottleSeen seen;
    DuetLive live;

    duet_live_begin(&live, trial, trial->request->context);
    gboolean saw = see_throttle(&live, &seen, error);
    if (!duet_live_end(&live, error) || !saw)
        return FALSE;
    duet_judge_throttle(&seen, finding);
    return TRUE;
}

#define PANIC_STEP_MS 500
#define PANIC_PATIENCE_MS 60000

static const char panic_script[] = "sleep 1; echo c >/proc/sysrq-trigger; sleep 3";

static gboolean has_ended(const DuetInfo *info)
{
    return info->state == DUET_STATE_EXITED;
}

/* Returns: (transfer full): the last that is known of it, whether it has ended or not. */
static DuetInfo *wait_for_end(DuetLive *live, guint index, GError **error)
{
    for (guint age_ms = PANIC_STEP_MS;; age_ms += PANIC_STEP_MS) {
        if (!duet_group_wait(&live->group, age_ms, error))
            return NULL;
        g_autoptr(DuetInfo) info = duet_live_info(live, index, error);
        if (!info || has_ended(info) || age_ms >= PANIC_PATIENCE_MS)
            return g_steal_pointer(&info);
    }
}

static gboolean answers(DuetLive *live, guint index)
{
    g_autofree char *answer = duet_live_ask(live, index, "echo alive", NULL);

    return answer && g_str_equal(answer, "alive\n");
}

static char *boot_id(void)
{
    return duet_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 128, NULL, NULL);
}

static gboolean see_panic(DuetLive *live, DuetFinding *finding, GError **error)
{
    const DuetClaimsRequest *request = live->trial->request;
    g_autofree char *before = boot_id();
    guint container, neighbour, victim;

    if (!duet_live_start(live, request->container, NULL, NULL, &container, error) ||
        !duet_live_start(live, request->vm, NULL, NULL, &neighbour, error) ||
        !duet_live_start(live, request->vm, panic_script, NULL, &victim, error))
        return FALSE;
    g_autoptr(DuetInfo) info = wait_for_end(live, victim, error);
    if (!info)
        return FALSE;
    g_autofree char *end = !has_ended(info) ? NULL
        : info->error                       ? g_strdup(info->error)
                      : g_strdup_printf(_("it ended with code %d"), info->exit_code);
    g_autofree char *after = boot_id();
    DuetPanicSeen seen = {
        .panicked = info->error && strstr(info->error, "panic"),
        .end = end,
        .host = g_strcmp0(before, after) == 0,
        .container = answers(live, container),
        .vm = answers(live, neighbour),
    };
    duet_judge_panic(&seen, finding);
    return TRUE;
}

gboolean duet_claim_panic(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    DuetLive live;

    duet_live_begin(&live, trial, trial->request->context);
    gboolean saw = see_panic(&live, finding, error);
    return duet_live_end(&live, error) && saw;
}

gboolean duet_claim_panic_container(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    (void)trial;
    (void)error;
    duet_finding_set(finding, DUET_FINDING_NOT_RUN,
        "a container has the host's kernel: its panic would be the host's, and end this trial");
    return TRUE;
}
