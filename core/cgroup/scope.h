/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <signal.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* What systemd ends a scope with: it means nothing to all that is in it but the monitor. */
#define DUET_SCOPE_STOP_SIGNAL SIGWINCH

/*
 * Where systemd is the init every cgroup has one writer, systemd itself, but for subtrees that it
 * delegates. An instance's cgroup is there a transient scope unit: of the system's manager for
 * root, of the user's own manager else. core speaks to it through the module duet-systemd, which
 * alone links libsystemd and is loaded only where systemd runs.
 */

/** DuetScopeBus: a connection to a manager; the module's. */
typedef struct _DuetScopeBus DuetScopeBus;

/**
 * DuetScopeShares: what a scope has among the others of its slice. The files of that are the
 * manager's, which writes them again whenever it likes. 0: as others have it.
 * @cpu_weight, @io_weight: 1 to 10000
 * @memory_low_bytes: the last of its memory to be taken
 */
typedef struct {
    guint64 cpu_weight;
    guint64 io_weight;
    guint64 memory_low_bytes;
} DuetScopeShares;

/**
 * DuetScopeRequest:
 * @unit: "duet-<id>.scope"
 * @slice: the unit that it shall be in
 * @description: for people
 * @pid: the first process in it
 */
typedef struct {
    const char *unit;
    const char *slice;
    const char *description;
    pid_t pid;
    DuetScopeShares shares;
} DuetScopeRequest;

/**
 * DuetScopeOps: what the module exports as `duet_scope_ops`. All are mandatory.
 * @connect: to the manager of the user @uid, or for 0 to the system's. @out_root: (transfer full):
 *     the cgroup that all units of it are below, "" or "/..."
 * @start: makes the scope and returns when the process is in it
 * @share: changes what a scope has among others
 * @stop: ends what is left of the scope; one that is not there is no error
 */
typedef struct {
    DuetScopeBus *(*connect)(uid_t uid, char **out_root, GError **error);
    gboolean (*start)(DuetScopeBus *bus, const DuetScopeRequest *request, GError **error);
    gboolean (*share)(
        DuetScopeBus *bus, const char *unit, const DuetScopeShares *shares, GError **error);
    gboolean (*stop)(DuetScopeBus *bus, const char *unit, GError **error);
    void (*disconnect)(DuetScopeBus *bus);
} DuetScopeOps;

/** DuetScopeManager: the manager that makes scopes for us, with an open connection. */
typedef struct _DuetScopeManager DuetScopeManager;

/** duet_scope_booted: Returns: whether systemd is the init. */
gboolean duet_scope_booted(void);
/**
 * duet_scope_manager_open: loads the module and connects. Short-lived: a bus has few connections to
 * give, and libsystemd would be a third of a monitor's memory.
 *
 * Returns: NULL with an error that says why there can't be a scope.
 */
DuetScopeManager *duet_scope_manager_open(GError **error);
/** duet_scope_manager_close: disconnects and unloads the module. */
void duet_scope_manager_close(DuetScopeManager *manager);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetScopeManager, duet_scope_manager_close)

/** duet_scope_manager_uid: Returns: the user whose own it is; 0: the system's. */
uid_t duet_scope_manager_uid(const DuetScopeManager *manager);
/** duet_scope_manager_root: Returns: the cgroup of all its units, without a leading slash. */
const char *duet_scope_manager_root(const DuetScopeManager *manager);
/** duet_scope_manager_slice: Returns: the cgroup that scopes are made in, likewise. */
const char *duet_scope_manager_slice(const DuetScopeManager *manager);

/** duet_scope_start: puts the calling process into a new scope. */
gboolean duet_scope_start(DuetScopeManager *manager, const char *unit, const char *description,
    const DuetScopeShares *shares, GError **error);
gboolean duet_scope_share(
    DuetScopeManager *manager, const char *unit, const DuetScopeShares *shares, GError **error);
gboolean duet_scope_stop(DuetScopeManager *manager, const char *unit, GError **error);

G_END_DECLS
