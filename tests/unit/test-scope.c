/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the module speaks to systemd, on a real bus of our own. The manager on it is ours, as a real
 * one won't lose jobs or fail them on demand; tests/integration/systemd.bats has the real one. What
 * becomes of a job is in the unit's name.
 */
#include "core/cgroup/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

#define OBJECT "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define JOB OBJECT "/job/7"

/* A user who has no bus in /run/user, so that the environment decides. */
#define SOME_UID 4000000000u

extern const DuetScopeOps duet_scope_ops;

typedef struct {
    char *dir;
    pid_t bus_daemon;
    pid_t manager;
} Fixture;

/* ---- the manager ---- */

static int send_removed(sd_bus *bus, const char *job, const char *unit, const char *result)
{
    return sd_bus_emit_signal(bus, OBJECT, MANAGER, "JobRemoved", "uoss", 7, job, unit, result);
}

static int on_job(sd_bus_message *call, void *data, sd_bus_error *error)
{
    const char *unit = NULL;
    sd_bus *bus = sd_bus_message_get_bus(call);
    FILE *file = fopen(data, "w");
    sd_bus_message_dump(call, file, 0);
    fclose(file);
    sd_bus_message_rewind(call, TRUE);
    sd_bus_message_read(call, "s", &unit);
    if (strstr(unit, "refused"))
        return sd_bus_error_set(error, "org.freedesktop.systemd1.UnitExists", "It is there.");
    if (strstr(unit, "absent"))
        return sd_bus_error_set(error, "org.freedesktop.systemd1.NoSuchUnit", "It is not there.");
    if (strstr(unit, "vanish"))
        _exit(0);
    send_removed(bus, OBJECT "/job/6", unit, "failed"); /* somebody else's */
    if (strstr(unit, "early"))
        send_removed(bus, JOB, unit, "done");
    int code = sd_bus_reply_method_return(call, "o", JOB);
    if (strstr(unit, "late"))
        g_usleep(300000);
    if (!strstr(unit, "early") && !strstr(unit, "lost"))
        send_removed(bus, JOB, unit, strstr(unit, "failing") ? "failed" : "done");
    return code;
}

static int on_properties(sd_bus_message *call, void *data, sd_bus_error *error)
{
    const char *unit = NULL;
    FILE *file = fopen(data, "w");
    sd_bus_message_dump(call, file, 0);
    fclose(file);
    sd_bus_message_rewind(call, TRUE);
    sd_bus_message_read(call, "s", &unit);
    if (strstr(unit, "absent"))
        return sd_bus_error_set(error, "org.freedesktop.systemd1.NoSuchUnit", "It is not there.");
    return sd_bus_reply_method_return(call, "");
}

static int on_control_group(sd_bus *bus, const char *path, const char *interface,
    const char *property, sd_bus_message *reply, void *data, sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)property, (void)data, (void)error;
    return sd_bus_message_append(reply, "s", "/user.slice/of a user");
}

static const sd_bus_vtable manager_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD(
        "StartTransientUnit", "ssa(sv)a(sa(sv))", "o", on_job, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("SetUnitProperties", "sba(sv)", "", on_properties, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StopUnit", "ss", "o", on_job, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("ControlGroup", "s", on_control_group, 0, 0),
    SD_BUS_VTABLE_END,
};

static G_NORETURN void manager_main(char *call_path, int ready_fd)
{
    sd_bus *bus = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sd_bus_open_user(&bus) < 0 ||
        sd_bus_add_object_vtable(bus, NULL, OBJECT, MANAGER, manager_table, call_path) < 0 ||
        sd_bus_request_name(bus, "org.freedesktop.systemd1", 0) < 0)
        _exit(1);
    close(ready_fd);
    for (;;) {
        int code = sd_bus_process(bus, NULL);
        if (code < 0 || (code == 0 && sd_bus_wait(bus, UINT64_MAX) < 0))
            _exit(1);
    }
}

/* ---- the fixture ---- */

static void start_bus(Fixture *fixture)
{
    fixture->dir = g_dir_make_tmp("duet-scope-XXXXXX", NULL);
    g_autofree char *socket = g_build_filename(fixture->dir, "bus", NULL);
    g_autofree char *address = g_strconcat("unix:path=", socket, NULL);
    g_autofree char *option = g_strconcat("--address=", address, NULL);
    fixture->bus_daemon = fork();
    if (fixture->bus_daemon == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", option, NULL);
        _exit(127);
    }
    for (guint i = 0; i < 1000 && access(socket, F_OK) < 0; i++)
        g_usleep(10000);
    g_assert_cmpint(access(socket, F_OK), ==, 0);
    g_setenv("DBUS_SESSION_BUS_ADDRESS", address, TRUE);
}

static void start_manager(Fixture *fixture)
{
    int ends[2];
    char byte;
    g_autofree char *call_path = g_build_filename(fixture->dir, "call", NULL);
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    fixture->manager = fork();
    if (fixture->manager == 0) {
        close(ends[0]);
        manager_main(call_path, ends[1]);
    }
    close(ends[1]);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 0);
    close(ends[0]);
}

static void fixture_up(Fixture *fixture, gconstpointer data)
{
    (void)data;
    start_bus(fixture);
    start_manager(fixture);
}

static void fixture_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    pid_t pids[] = { fixture->manager, fixture->bus_daemon };
    for (guint i = 0; i < G_N_ELEMENTS(pids); i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->dir, NULL));
    g_free(fixture->dir);
}

static DuetScopeBus *connect_bus(void)
{
    g_autofree char *root = NULL;
    g_autoptr(GError) error = NULL;
    DuetScopeBus *bus = duet_scope_ops.connect(SOME_UID, &root, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(root, ==, "/user.slice/of a user");
    return bus;
}

static gboolean start(DuetScopeBus *bus, const char *unit, GError **error)
{
    DuetScopeRequest request = { unit, "app.slice", "duet instance box", getpid() };
    return duet_scope_ops.start(bus, &request, error);
}

/* ---- the cases ---- */

static void test_start(Fixture *fixture, gconstpointer data)
{
    static const char *const units[] = { "duet-a.scope", "duet-early.scope", "duet-late.scope" };
    (void)data;
    DuetScopeBus *bus = connect_bus();
    for (guint i = 0; i < G_N_ELEMENTS(units); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_true(start(bus, units[i], &error));
        g_assert_no_error(error);
    }
    duet_scope_ops.disconnect(bus);
    g_autofree char *call = NULL, *path = g_build_filename(fixture->dir, "call", NULL);
    g_assert_true(g_file_get_contents(path, &call, NULL, NULL));
    g_autofree char *pid = g_strdup_printf("UINT32 %d;", getpid());
    const char *const wanted[] = { "\"duet-late.scope\"", "\"fail\"", "\"Delegate\"",
        "BOOLEAN true;", "\"PIDs\"", pid, "\"Slice\"", "\"app.slice\"", "\"CollectMode\"",
        "\"inactive-or-failed\"", "\"duet instance box\"", "\"TasksMax\"",
        "UINT64 18446744073709551615;" };
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++) {
        g_test_message("the call has %s", wanted[i]);
        g_assert_nonnull(strstr(call, wanted[i]));
    }
}

static gboolean call_has(Fixture *fixture, const char *text)
{
    g_autofree char *call = NULL, *path = g_build_filename(fixture->dir, "call", NULL);
    g_assert_true(g_file_get_contents(path, &call, NULL, NULL));
    return strstr(call, text) != NULL;
}

/* What it has among others is systemd's to write: at the start what is asked for, later all. */
static void test_shares(Fixture *fixture, gconstpointer data)
{
    (void)data;
    DuetScopeBus *bus = connect_bus();
    g_autoptr(GError) error = NULL;
    DuetScopeRequest request = { "duet-a.scope", "app.slice", "duet instance box", getpid(),
        { .cpu_weight = 59 } };
    g_assert_true(duet_scope_ops.start(bus, &request, &error));
    g_assert_true(call_has(fixture, "\"CPUWeight\""));
    g_assert_true(call_has(fixture, "UINT64 59;"));
    g_assert_false(call_has(fixture, "\"IOWeight\""));
    g_assert_false(call_has(fixture, "\"MemoryLow\""));
    DuetScopeShares shares = { .io_weight = 2930, .memory_low_bytes = 4096 };
    g_assert_true(duet_scope_ops.share(bus, "duet-a.scope", &shares, &error));
    g_assert_no_error(error);
    static const char *const wanted[] = { "\"duet-a.scope\"", "BOOLEAN true;", "\"CPUWeight\"",
        "UINT64 18446744073709551615;", "\"IOWeight\"", "UINT64 2930;", "\"MemoryLow\"",
        "UINT64 4096;" };
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
        g_assert_true(call_has(fixture, wanted[i]));
    g_assert_false(duet_scope_ops.share(bus, "duet-absent.scope", &shares, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "cannot change the scope 'duet-absent.scope'"));
    duet_scope_ops.disconnect(bus);
}

static void test_failures(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *unit;
        const char *says;
    } cases[] = {
        { "duet-refused.scope",
            "cannot start the scope 'duet-refused.scope': your own systemd "
            "says: It is there." },
        { "duet-failing.scope", "ended as 'failed'" },
        { "duet-vanish.scope", "systemd says: " },
    };
    (void)fixture, (void)data;
    DuetScopeBus *bus = connect_bus();
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(start(bus, cases[i].unit, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_FAILED);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, cases[i].says));
    }
    duet_scope_ops.disconnect(bus);
}

/* A job that is never done: given up after 5 s, and said. */
static void test_lost(Fixture *fixture, gconstpointer data)
{
    (void)fixture, (void)data;
    DuetScopeBus *bus = connect_bus();
    g_autoptr(GError) error = NULL;
    gint64 begin_us = g_get_monotonic_time();
    g_assert_false(start(bus, "duet-lost.scope", &error));
    gint64 took_us = g_get_monotonic_time() - begin_us;
    g_assert_error(error, DUET_ERROR, DUET_ERROR_TIMEOUT);
    g_assert_nonnull(strstr(error->message, "within 5 s"));
    g_assert_cmpint(took_us, >, 4 * G_USEC_PER_SEC);
    g_assert_cmpint(took_us, <, 8 * G_USEC_PER_SEC);
    duet_scope_ops.disconnect(bus);
}

static void test_stop(Fixture *fixture, gconstpointer data)
{
    (void)fixture, (void)data;
    DuetScopeBus *bus = connect_bus();
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_scope_ops.stop(bus, "duet-a.scope", &error));
    g_assert_true(duet_scope_ops.stop(bus, "duet-absent.scope", &error));
    g_assert_no_error(error);
    g_assert_false(duet_scope_ops.stop(bus, "duet-failing.scope", &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_FAILED);
    duet_scope_ops.disconnect(bus);
}

/* Nobody who listens, nobody who answers, a bus without a systemd. */
static void test_unreachable(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *root = NULL;
    g_autoptr(GError) none = NULL, nobody = NULL, mute = NULL;
    kill(fixture->manager, SIGKILL);
    waitpid(fixture->manager, NULL, 0);
    g_assert_null(duet_scope_ops.connect(SOME_UID, &root, &none));
    g_assert_nonnull(strstr(none->message, "cannot reach your own systemd over its bus: "));
    gint64 begin_us = g_get_monotonic_time();
    kill(fixture->bus_daemon, SIGSTOP);
    g_assert_null(duet_scope_ops.connect(SOME_UID, &root, &mute));
    g_assert_nonnull(strstr(mute->message, "timed out"));
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 8 * G_USEC_PER_SEC);
    g_setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus", TRUE);
    g_assert_null(duet_scope_ops.connect(SOME_UID, &root, &nobody));
    g_assert_nonnull(strstr(nobody->message, "install the package 'dbus-user-session'"));
    g_assert_null(root);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *fixture, gconstpointer data);
    } cases[] = {
        { "/scope/start", test_start },
        { "/scope/shares", test_shares },
        { "/scope/failures", test_failures },
        { "/scope/lost", test_lost },
        { "/scope/stop", test_stop },
        { "/scope/unreachable", test_unreachable },
    };
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add(cases[i].path, Fixture, NULL, fixture_up, cases[i].run, fixture_down);
    return g_test_run();
}
