/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instance-sampler.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "cache.h"
#include "group.h"
#include "leftover.h"
#include "bench/result/record.h"

/* What does not end at its stop signal is killed then, as by `duet stop`. */
#define STOP_GRACE_MS 10000

void duet_instance_sampler_init(
    DuetInstanceSampler *sampler, const DuetBenchRequest *request, DuetRun *run, gboolean capture)
{
    *sampler = (DuetInstanceSampler){
        .request = request,
        .run = run,
        .capture = capture,
        .captured_stdout = g_new0(DuetCaptured *, request->n_arms + 1),
        .captured_stderr = g_new0(DuetCaptured *, request->n_arms + 1),
    };
}

gboolean duet_instance_sampler_set_ready(
    DuetInstanceSampler *sampler, const char *probe, GError **error)
{
    sampler->probe = probe ? duet_probe_new(probe, error) : NULL;
    return !probe || sampler->probe;
}

void duet_instance_sampler_end(DuetInstanceSampler *sampler)
{
    sigset_t old;

    if (!sampler->template.instance)
        return;
    duet_hold_signals(&old);
    duet_template_clear(&sampler->template, sampler->run->warnings);
    sampler->run->interrupted |= duet_release_signals(&old);
}

static void forget_later(DuetInstanceSampler *sampler)
{
    g_clear_pointer(&sampler->later_id, g_free);
    g_clear_pointer(&sampler->later_info, duet_info_free);
}

void duet_instance_sampler_clear(DuetInstanceSampler *sampler)
{
    for (gsize arm = 0; sampler->request && arm < sampler->request->n_arms; arm++) {
        duet_captured_free(sampler->captured_stdout[arm]);
        duet_captured_free(sampler->captured_stderr[arm]);
    }
    duet_instance_sampler_end(sampler);
    duet_probe_free(sampler->probe);
    g_free(sampler->captured_stdout);
    g_free(sampler->captured_stderr);
    forget_later(sampler);
    memset(sampler, 0, sizeof *sampler);
}

DuetSpec *duet_bench_spec_copy(const DuetSpec *spec, GError **error)
{
    g_autoptr(GVariant) variant = g_variant_ref_sink(duet_spec_to_variant(spec));
    g_autoptr(DuetSpec) fresh = duet_spec_new();
    DuetSpec *copy = duet_spec_from_variant(variant, error);

    if (!copy)
        return NULL;
    g_free(copy->id);
    copy->id = g_steal_pointer(&fresh->id);
    g_clear_pointer(&copy->name, g_free);
    copy->owner_pid = getpid();
    return copy;
}

static void warn_if_other(
    JsonObject *arm, JsonObject *facts, const char *const *names, DuetSample *sample)
{
    for (; *names; names++) {
        g_autofree char *one = duet_record_text(facts, *names);
        g_autofree char *others = duet_record_text(arm, *names);
        if (!g_str_equal(one, others))
            duet_sample_warn(
                sample, "its %s is '%s', that of others of its arm '%s'", *names, one, others);
    }
}

void duet_bench_take_facts(DuetRun *run, guint arm, GVariant *facts_variant, DuetSample *sample)
{
    DuetRunArm *run_arm = duet_run_arm(run, arm);

    if (!facts_variant)
        return;
    g_autoptr(JsonNode) node = json_gvariant_serialize(facts_variant);
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return;
    JsonObject *facts = json_node_get_object(node);
    if (!run_arm->driver) {
        run_arm->driver = json_object_ref(facts);
        return;
    }
    DuetRunArm now = { .driver = facts };
    if (g_strcmp0(duet_run_arm_accel(run_arm), duet_run_arm_accel(&now)) != 0)
        duet_sample_warn(sample, "ran on accelerator '%s', others of its arm on '%s'",
            duet_run_arm_accel(&now), duet_run_arm_accel(run_arm));
    warn_if_other(run_arm->driver, facts, duet_run_arm_facts, sample);
    warn_if_other(run_arm->driver, facts, duet_run_arm_walls, sample);
}

/* The instance is killed by its monitor at the time-out, and a kill is all that is seen here. */
static gboolean timed_out(const DuetInfo *info, gint64 timeout_ms)
{
    gint64 end = info->marks.ns[DUET_MARK_EXITED];

    if (timeout_ms <= 0 || info->exit_code == 0 || info->marks.ns[DUET_MARK_REQUEST] == 0)
        return FALSE;
    if (end == 0)
        end = info->marks.ns[DUET_MARK_RELEASED];
    return end - info->marks.ns[DUET_MARK_REQUEST] >= timeout_ms * 1000000;
}

static void take_info(const DuetInfo *info, gint64 timeout_ms, DuetSample *sample)
{
    sample->exit_code = info->exit_code;
    sample->exit_signal = info->exit_signal;
    sample->oom = info->oom;
    sample->error = g_strdup(info->error);
    sample->marks = info->marks;
    sample->guest_agent_ns = info->guest_agent_ns;
    sample->guest_kernel_ns = info->guest_kernel_ns;
    sample->managing_cpu_ns = info->managing_cpu_ns;
    sample->payload_cpu_ns = info->payload_cpu_ns;
    sample->peak_memory_bytes = info->peak_memory_bytes;
    if (timed_out(info, timeout_ms))
        sample->status = DUET_SAMPLE_TIMEOUT;
    else if (info->exit_code == 0 && !info->error && info->marks.ns[DUET_MARK_EXEC] != 0)
        sample->status = DUET_SAMPLE_OK;
    else
        sample->status = DUET_SAMPLE_FAILED;
}

gboolean duet_bench_is_hopeless(const GError *error)
{
    return g_error_matches(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND) ||
        g_error_matches(error, DUET_ERROR, DUET_ERROR_NOT_RUNNABLE) ||
        g_error_matches(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED) ||
        g_error_matches(error, DUET_ERROR, DUET_ERROR_INVALID) ||
        g_error_matches(error, DUET_ERROR, DUET_ERROR_NOT_FOUND) ||
        g_error_matches(error, DUET_ERROR, DUET_ERROR_PERMISSION);
}

static const DuetBenchArm *arm_of(const DuetInstanceSampler *sampler, const DuetSample *sample)
{
    return &sampler->request->arms[sample->arm];
}

/* Without what it is to be a clone of there is nothing to measure: a time-out of that is none of
 * the arm's, and would be one in each sample. */
static gboolean has_no_template(const DuetInstanceSampler *sampler, const DuetSample *sample)
{
    return arm_of(sampler, sample)->saved && !sampler->template.instance && !sampler->interrupted;
}

/* A sample that could not be started. Returns: FALSE with @error if no other can be, either. */
static gboolean failed(
    const DuetInstanceSampler *sampler, DuetSample *sample, GError *failure, GError **error)
{
    sample->error = g_strdup(failure->message);
    sample->status = g_error_matches(failure, DUET_ERROR, DUET_ERROR_TIMEOUT) ? DUET_SAMPLE_TIMEOUT
                                                                              : DUET_SAMPLE_FAILED;
    sample->exit_code = duet_error_exit_code(failure);
    if (duet_bench_is_hopeless(failure) || has_no_template(sampler, sample)) {
        g_propagate_error(error, failure);
        return FALSE;
    }
    g_error_free(failure);
    return TRUE;
}

/* The first one of its arm makes the template as well, which is no part of the sample. */
static DuetInstance *new_clone(DuetInstanceSampler *sampler, DuetSample *sample, GError **error)
{
    const DuetBenchRequest *request = sampler->request;
    const DuetPlan *plan = sampler->run->plan;

    if (!sampler->template.instance &&
        !duet_template_make(&sampler->template, request->context, arm_of(sampler, sample)->spec,
            sampler->probe, plan->timeout_ms, &sampler->interrupted, error))
        return NULL;
    return duet_template_clone(&sampler->template, request->context, plan->mode,
        duet_run_arm(sampler->run, sample->arm)->driver, sample, error);
}

/* Just before it is started, the host is brought into the plan's cache mode. */
static DuetInstance *create(
    DuetInstanceSampler *sampler, gboolean remove_at_exit, DuetSample *sample, GError **error)
{
    const DuetPlan *plan = sampler->run->plan;

    if (arm_of(sampler, sample)->saved)
        return new_clone(sampler, sample, error);
    DuetSpec *spec = duet_bench_spec_copy(arm_of(sampler, sample)->spec, error);
    if (!spec)
        return NULL;
    spec->remove_at_exit = remove_at_exit;
    spec->timeout_ms = plan->timeout_ms;
    duet_cache_cool(
        plan->mode, spec, NULL, duet_run_arm(sampler->run, sample->arm)->driver, sample);
    return duet_instance_create(sampler->request->context, spec, error);
}

void duet_instance_sampler_look(DuetInstanceSampler *sampler, DuetSample *sample)
{
    if (sampler->later_id)
        duet_leftover_check(
            sampler->request->context, sampler->later_id, sampler->later_info, sample);
    forget_later(sampler);
}

/* That the client returned is no earlier than that all was released, or the mark is wrong. */
static void check_released(const DuetInfo *info, gint64 returned_ns, DuetSample *sample)
{
    gint64 released_ns = info->marks.ns[DUET_MARK_RELEASED];

    if (sample->status == DUET_SAMPLE_OK && (released_ns == 0 || released_ns > returned_ns))
        duet_sample_warn(sample, "left behind: the client returned before 'released'");
}

static gboolean run_once(
    DuetInstanceSampler *sampler, const DuetIo *io, DuetSample *sample, GError **error)
{
    GError *failure = NULL;
    g_autoptr(DuetInstance) instance = create(sampler, TRUE, sample, &failure);

    if (!instance)
        return failed(sampler, sample, failure, error);
    g_autofree char *id = g_strdup(duet_instance_spec(instance)->id);
    /* ^\ is no failure of the payload's: it ends the benchmark at once. */
    g_autoptr(DuetInfo) info = duet_instance_run(instance, io, DUET_PROXY_ENDING, &failure);
    gint64 returned_ns = duet_now_ns();
    if (!info) {
        /* Before the driver was called the instance's files are still there. */
        duet_instance_remove(instance, TRUE, NULL);
    } else {
        take_info(info, sampler->run->plan->timeout_ms, sample);
        check_released(info, returned_ns, sample);
    }
    /* By the signal, not by how the payload ended: that may have codes of its own for it. */
    sampler->interrupted |= info && info->asked_to_end;
    if (info)
        duet_bench_take_facts(sampler->run, sample->arm, info->facts, sample);
    sampler->later_id = g_steal_pointer(&id);
    sampler->later_info = g_steal_pointer(&info);
    if (!sampler->looks_later)
        duet_instance_sampler_look(sampler, sample);
    return !failure || failed(sampler, sample, failure, error);
}

static gboolean run_captured(DuetInstanceSampler *sampler, DuetSample *sample, GError **error)
{
    DuetCapture *out = duet_capture_new(error);
    DuetCapture *err = out ? duet_capture_new(error) : NULL;

    if (!err) {
        if (out)
            duet_captured_free(duet_capture_finish(out));
        return FALSE;
    }
    DuetIo io = { -1, duet_capture_fd(out), duet_capture_fd(err), TRUE };
    gboolean ran = run_once(sampler, &io, sample, error);
    duet_captured_free(sampler->captured_stdout[sample->arm]);
    duet_captured_free(sampler->captured_stderr[sample->arm]);
    sampler->captured_stdout[sample->arm] = duet_capture_finish(out);
    sampler->captured_stderr[sample->arm] = duet_capture_finish(err);
    return ran;
}

/* What the probe says stands above the exit code, which is that of being stopped. */
static gboolean judge_ready(DuetInstanceSampler *sampler, const DuetInfo *info, GError *failure,
    DuetSample *sample, GError **error)
{
    gint64 ready_ns = sample->ready_ns;

    take_info(info, sampler->run->plan->timeout_ms, sample);
    /* Its guest's clock tells how old the template was. */
    if (arm_of(sampler, sample)->saved)
        sample->guest_agent_ns = sample->guest_kernel_ns = 0;
    duet_bench_take_facts(sampler->run, sample->arm, info->facts, sample);
    if (duet_probe_mark(sampler->probe) != DUET_MARK_REQUEST)
        ready_ns = info->marks.ns[duet_probe_mark(sampler->probe)];
    sample->ready_ns = failure ? 0 : ready_ns;
    if (!failure) {
        sample->status = DUET_SAMPLE_OK;
        return TRUE;
    }
    if (sample->status == DUET_SAMPLE_TIMEOUT) {
        g_error_free(failure);
        return TRUE;
    }
    g_clear_pointer(&sample->error, g_free);
    return failed(sampler, sample, failure, error);
}

/* Starts an instance, waits until it is ready, and stops it. */
static gboolean run_until_ready(DuetInstanceSampler *sampler, DuetSample *sample, GError **error)
{
    GError *failure = NULL;
    g_autoptr(DuetInfo) info = NULL;
    g_autoptr(DuetInstance) instance = create(sampler, FALSE, sample, &failure);

    if (!instance)
        return failed(sampler, sample, failure, error);
    g_autofree char *id = g_strdup(duet_instance_spec(instance)->id);
    if (duet_instance_start_quietly(instance, &failure) &&
        (info = duet_instance_info(instance, &failure))) {
        gint64 until = info->marks.ns[DUET_MARK_REQUEST] + sampler->run->plan->timeout_ms * 1000000;
        duet_probe_wait(
            sampler->probe, instance, until, &sample->ready_ns, &sampler->interrupted, &failure);
        /* It may have ended by itself: then there is nothing to stop. */
        duet_instance_stop(instance, STOP_GRACE_MS, NULL);
        duet_info_free(info);
        info = duet_instance_info(instance, failure ? NULL : &failure);
    }
    duet_instance_remove(instance, TRUE, NULL);
    duet_leftover_check(sampler->request->context, id, info, sample);
    return info ? judge_ready(sampler, info, failure, sample, error)
                : failed(sampler, sample, failure, error);
}

gboolean duet_instance_sampler_take(DuetSample *sample, gpointer data, GError **error)
{
    DuetInstanceSampler *sampler = data;

    if (sampler->probe) {
        sigset_t old;
        duet_hold_signals(&old);
        gboolean taken = run_until_ready(sampler, sample, error);
        sampler->interrupted |= duet_release_signals(&old);
        return taken;
    }
    if (sampler->capture)
        return run_captured(sampler, sample, error);
    DUET_AUTO_FD null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null_fd < 0)
        return duet_error_set_errno(error, errno, "cannot open '/dev/null'");
    DuetIo io = { -1, null_fd, null_fd, TRUE };
    return run_once(sampler, &io, sample, error);
}

gboolean duet_instance_sampler_interrupted(const DuetSample *sample, gpointer data)
{
    const DuetInstanceSampler *sampler = data;

    (void)sample;
    return sampler->interrupted || duet_signal_waits();
}
