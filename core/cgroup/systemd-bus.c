/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The module duet-systemd: all that needs libsystemd. sd-bus, because it brings no threads: the
 * monitor clones.
 */
#include "scope.h"

#include <duet/error.h>
#include <duet/mark.h>

#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define DESTINATION "org.freedesktop.systemd1"
#define OBJECT "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"

/* A manager that is well answers within milliseconds. */
#define TIMEOUT_US (5 * G_USEC_PER_SEC)
#define TIMEOUT_TEXT "5 s"

/**
 * _DuetScopeBus:
 * @job: the one that is waited for
 * @result: what became of it; NULL while it is under way
 */
struct _DuetScopeBus {
    sd_bus *bus;
    gboolean user;
    char *job;
    char *result;
};

static const char *whose(gboolean user)
{
    return user ? "your own systemd" : "systemd";
}

static void bus_disconnect(DuetScopeBus *bus)
{
    /* Nothing is left to be sent, and a flush would wait for a bus that does not answer. */
    sd_bus_close_unref(bus->bus);
    g_free(bus->job);
    g_free(bus->result);
    g_free(bus);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetScopeBus, bus_disconnect)

static gboolean fail(
    GError **error, const DuetScopeBus *bus, int code, const sd_bus_error *told, const char *verb)
{
    gboolean late = code == -ETIMEDOUT && !sd_bus_error_has_name(told, SD_BUS_ERROR_NO_REPLY);
    const char *why = told->message ? told->message : g_strerror(-code);
    g_set_error(error, DUET_ERROR, late ? DUET_ERROR_TIMEOUT : DUET_ERROR_FAILED,
        "cannot %s: %s %s%s", verb, whose(bus->user), late ? "did not do it within " : "says: ",
        late ? TIMEOUT_TEXT "; is the host overloaded?" : why);
    return FALSE;
}

static gboolean fail_to_connect(GError **error, gboolean user, const char *why)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
        "cannot reach %s over its bus: %s; install the package '%s'%s", whose(user), why,
        user ? "dbus-user-session" : "dbus",
        user ? " and log in (ssh, console, `machinectl shell`), or as root `loginctl enable-linger "
               "USER`"
             : "");
    return FALSE;
}

/* Returns: 0 when it @is so, or a negative errno value. */
static int await(DuetScopeBus *bus, gboolean (*is)(const DuetScopeBus *bus))
{
    gint64 deadline_us = g_get_monotonic_time() + TIMEOUT_US;
    while (!is(bus)) {
        int code = sd_bus_process(bus->bus, NULL);
        gint64 left_us = deadline_us - g_get_monotonic_time();
        if (code == 0 && !is(bus))
            code = left_us > 0 ? sd_bus_wait(bus->bus, (guint64)left_us) : -ETIMEDOUT;
        if (code < 0 && code != -EINTR)
            return code;
    }
    return 0;
}

static gboolean is_ready(const DuetScopeBus *bus)
{
    return sd_bus_is_ready(bus->bus) > 0;
}

/*
 * The bus of the user's manager is where logind has put it: su and sudo leave the environment with
 * another user's, or none. The environment is for hosts that have it elsewhere.
 */
static int open_user(sd_bus **out_bus, uid_t uid)
{
    g_autofree char *path = g_strdup_printf("/run/user/%u/bus", (guint)uid);
    if (access(path, F_OK) < 0)
        return sd_bus_open_user(out_bus);
    g_autofree char *address = g_strconcat("unix:path=", path, NULL);
    int code = sd_bus_new(out_bus);
    if (code >= 0)
        code = sd_bus_set_address(*out_bus, address);
    if (code >= 0)
        code = sd_bus_set_bus_client(*out_bus, TRUE);
    return code >= 0 ? sd_bus_start(*out_bus) : code;
}

static DuetScopeBus *bus_connect(uid_t uid, char **out_root, GError **error)
{
    gboolean user = uid != 0;
    g_autoptr(DuetScopeBus) bus = g_new0(DuetScopeBus, 1);
    bus->user = user;
    int code = user ? open_user(&bus->bus, uid) : sd_bus_open_system(&bus->bus);
    if (code >= 0)
        code = await(bus, is_ready);
    if (code < 0) {
        fail_to_connect(error, user, g_strerror(-code));
        return NULL;
    }
    sd_bus_set_method_call_timeout(bus->bus, TIMEOUT_US);
    sd_bus_error told = SD_BUS_ERROR_NULL;
    char *root = NULL;
    code = sd_bus_get_property_string(
        bus->bus, DESTINATION, OBJECT, MANAGER, "ControlGroup", &told, &root);
    if (code < 0)
        fail_to_connect(error, user, told.message ? told.message : g_strerror(-code));
    sd_bus_error_free(&told);
    *out_root = code < 0 ? NULL : g_strdup(root);
    free(root);
    return code < 0 ? NULL : g_steal_pointer(&bus);
}

static int on_job_removed(sd_bus_message *message, void *data, sd_bus_error *ignored)
{
    DuetScopeBus *bus = data;
    const char *job = NULL, *result = NULL;
    (void)ignored;
    if (sd_bus_message_read(message, "uoss", NULL, &job, NULL, &result) >= 0 && bus->job &&
        strcmp(job, bus->job) == 0) {
        g_free(bus->result);
        bus->result = g_strdup(result);
    }
    return 0;
}

/* To be called before the job is asked for: it may be over before the answer is read. */
static int watch_jobs(DuetScopeBus *bus)
{
    return sd_bus_match_signal_async(
        bus->bus, NULL, DESTINATION, OBJECT, MANAGER, "JobRemoved", on_job_removed, NULL, bus);
}

static gboolean job_is_over(const DuetScopeBus *bus)
{
    return bus->result != NULL;
}

/* Begins a call of @method that makes a job of @unit. Returns: 0 or a negative errno value. */
static int job_call(DuetScopeBus *bus, const char *method, const char *unit, const char *mode,
    sd_bus_message **out_call)
{
    int code = watch_jobs(bus);
    if (code >= 0)
        code = sd_bus_message_new_method_call(
            bus->bus, out_call, DESTINATION, OBJECT, MANAGER, method);
    return code >= 0 ? sd_bus_message_append(*out_call, "ss", unit, mode) : code;
}

/* Takes @call, sends it, unless @code says that it could not be made, and waits for its job. */
static gboolean run_job(
    DuetScopeBus *bus, sd_bus_message *call, int code, const char *verb, GError **error)
{
    sd_bus_error told = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *job = NULL;
    g_clear_pointer(&bus->job, g_free);
    g_clear_pointer(&bus->result, g_free);
    if (code >= 0)
        code = sd_bus_call(bus->bus, call, 0, &told, &reply);
    sd_bus_message_unref(call);
    if (code >= 0)
        code = sd_bus_message_read(reply, "o", &job);
    bus->job = g_strdup(job);
    if (code >= 0)
        code = await(bus, job_is_over);
    gboolean absent = sd_bus_error_has_name(&told, "org.freedesktop.systemd1.NoSuchUnit");
    gboolean ok = code >= 0 || absent || fail(error, bus, code, &told, verb);
    if (ok && !absent && strcmp(bus->result, "done") != 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "cannot %s: the job of %s ended as '%s'; `journalctl -b` tells more", verb,
            whose(bus->user), bus->result);
        ok = FALSE;
    }
    sd_bus_error_free(&told);
    sd_bus_message_unref(reply);
    return ok;
}

/* @all: those that are as others' as well. */
static int append_shares(sd_bus_message *call, const DuetScopeShares *shares, gboolean all)
{
    const struct {
        const char *name;
        guint64 value, usual;
    } rows[] = {
        { "CPUWeight", shares->cpu_weight, G_MAXUINT64 },
        { "IOWeight", shares->io_weight, G_MAXUINT64 },
        { "MemoryLow", shares->memory_low_bytes, 0 },
    };
    int code = 0;
    for (guint i = 0; i < G_N_ELEMENTS(rows) && code >= 0; i++)
        if (all || rows[i].value != 0)
            code = sd_bus_message_append(call, "(sv)", rows[i].name, "t",
                rows[i].value != 0 ? rows[i].value : rows[i].usual);
    return code;
}

/*
 * Limits are ours, below the scope; none of the manager's defaults may add to them. The unit goes
 * by itself when its last process did, however that came. Who stops it, or the whole host, signals
 * all processes in it, and only the monitor shall end by that: it lets the payload end well.
 */
static int append_properties(sd_bus_message *call, const DuetScopeRequest *request)
{
    int code = sd_bus_message_open_container(call, 'a', "(sv)");
    if (code >= 0)
        code = sd_bus_message_append(call, "(sv)(sv)", "Description", "s", request->description,
            "Slice", "s", request->slice);
    if (code >= 0)
        code = sd_bus_message_append(call, "(sv)(sv)(sv)(sv)(sv)", "PIDs", "au", 1,
            (guint32)request->pid, "Delegate", "b", TRUE, "CollectMode", "s", "inactive-or-failed",
            "TasksMax", "t", G_MAXUINT64, "KillSignal", "i", DUET_SCOPE_STOP_SIGNAL);
    if (code >= 0)
        code = append_shares(call, &request->shares, FALSE);
    return code >= 0 ? sd_bus_message_close_container(call) : code;
}

static gboolean scope_start(DuetScopeBus *bus, const DuetScopeRequest *request, GError **error)
{
    sd_bus_message *call = NULL;
    g_autofree char *verb = g_strdup_printf("start the scope '%s'", request->unit);
    int code = job_call(bus, "StartTransientUnit", request->unit, "fail", &call);
    if (code >= 0)
        code = append_properties(call, request);
    if (code >= 0)
        code = sd_bus_message_append(call, "a(sa(sv))", 0);
    return run_job(bus, call, code, verb, error);
}

static gboolean scope_share(
    DuetScopeBus *bus, const char *unit, const DuetScopeShares *shares, GError **error)
{
    sd_bus_message *call = NULL;
    sd_bus_error told = SD_BUS_ERROR_NULL;
    g_autofree char *verb = g_strdup_printf("change the scope '%s'", unit);
    int code = sd_bus_message_new_method_call(
        bus->bus, &call, DESTINATION, OBJECT, MANAGER, "SetUnitProperties");
    /* as long as it lives */
    if (code >= 0)
        code = sd_bus_message_append(call, "sb", unit, TRUE);
    if (code >= 0)
        code = sd_bus_message_open_container(call, 'a', "(sv)");
    if (code >= 0)
        code = append_shares(call, shares, TRUE);
    if (code >= 0)
        code = sd_bus_message_close_container(call);
    if (code >= 0)
        code = sd_bus_call(bus->bus, call, 0, &told, NULL);
    gboolean ok = code >= 0 || fail(error, bus, code, &told, verb);
    sd_bus_error_free(&told);
    sd_bus_message_unref(call);
    return ok;
}

static gboolean scope_stop(DuetScopeBus *bus, const char *unit, GError **error)
{
    sd_bus_message *call = NULL;
    g_autofree char *verb = g_strdup_printf("stop the scope '%s'", unit);
    int code = job_call(bus, "StopUnit", unit, "replace", &call);
    return run_job(bus, call, code, verb, error);
}

extern const DuetScopeOps duet_scope_ops;

const DuetScopeOps duet_scope_ops = {
    .connect = bus_connect,
    .start = scope_start,
    .share = scope_share,
    .stop = scope_stop,
    .disconnect = bus_disconnect,
};
