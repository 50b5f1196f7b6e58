/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What monitor.c (life of the instance), monitor-start.c, monitor-end.c, monitor-agent.c and
 * monitor-client.c (the two protocols) share; nobody else includes this. */

#include "core/link.h"
#include "core/log.h"
#include "core/monitor.h"
#include "core/util.h"

#include <duet/driver.h>

G_BEGIN_DECLS

typedef struct _Monitor Monitor;

#define NO_SESSION (-1)

/*
 * A connection to us. It has at most one session: 0 if it is attached to the payload, another if
 * it did an exec. On its own side the session is always numbered 0.
 * @uncredited: bytes of stdout and stderr that it was sent and has not granted credit for
 * @draining: its session's process ended, and the rest of the output is on its way
 * @stale: how much of @uncredited is of runs that are over: no agent waits for that credit
 * @unread: bytes of stdin that no agent has granted credit for
 * @held: (nullable): stdin that came between two runs
 * @input_ended, @closed: what it said, and every run has to be told
 */
typedef struct {
    Monitor *monitor;
    DuetLink *link;
    int session;
    gboolean wants_started;
    gboolean wants_released;
    guint32 uncredited[3];
    gboolean draining;
    guint32 stale[3];
    guint32 unread;
    GByteArray *held;
    gboolean input_ended, closed[3];
    gboolean wants_health;
} Client;

struct _Monitor {
    DuetContext *context;
    const DuetSpec *spec;
    const DuetDriverEntry *entry;
    GMainLoop *loop;

    char *dir, *run_dir;
    int dir_fd, lock_fd, ids_fd, listen_fd, signal_fd;
    DuetLog log;
    GArray *private_fds;
    DuetPlace place;
    DuetCgroup *cgroup;
    DuetRuntime *runtime;
    int pidfd;
    int wait_status;
    /* The payload's cgroup where another manager keeps it, or NULL. */
    DuetCgroup *elsewhere;
    DuetInfo *info;
    GError *failure;

    DuetLink *agent;
    GPtrArray *clients;
    Client *sessions[DUET_SESSIONS_MAX];
    gboolean taken[DUET_SESSIONS_MAX]; /* the agent has it, also when its client is gone */
    guint16 sessions_used;

    /* @starting: the driver is at work on the start; clients are answered meanwhile */
    /* @waiting: it is at work on something else, and must not be asked for more */
    /* @helper_gone: the driver's worker died */
    /* @asked_to_stop: by a client or a signal, so an end before the start is no failure */
    /* @left_behind: something of it could not be taken away: the next command must try again */
    gboolean starting, waiting, helper_gone, hello, started, exit_known, payload_gone, over,
        stopping, asked_to_stop, left_behind;
    /* @resting: between two runs: of the last nothing is left, the next has not begun */
    /* @for_good: somebody wants it to end, and not to be started again */
    /* @ran: its payload was started once: else there is nothing to start again */
    /* @again: another run follows, whatever the policy */
    gboolean resting, for_good, ran, again;
    struct _MonitorHealth *health; /* NULL: nothing is to be checked */
    guint restart_delay_ms;
    guint boot_timeout_s;
    guint boot_timer, run_timer, stop_timer, quit_timer, listen_source, over_source;
    guint deferred_grace_ms;
    gint64 kill_due_us; /* while there is a stop_timer: when it will be killed at the latest */
};

/* monitor.c */
void monitor_save_state(Monitor *monitor);
/* Reaps, and hears who wants the instance to end. */
void monitor_read_signals(Monitor *monitor);
/* Nobody can manage the instance any more: it ends. */
void monitor_helper_gone(Monitor *monitor);
/* Whoever it was started for may take it along. */
void monitor_end_with_owner(const Monitor *monitor);

/* monitor-start.c */
/* Cgroup, directories, socket, and a driver that has done nothing yet. */
gboolean monitor_prepare(Monitor *monitor, GError **error);
gboolean monitor_bring_up(Monitor *monitor, GError **error);

/* monitor-restart.c */
/* Whether one run may follow another. */
gboolean monitor_may_restart(const Monitor *monitor);
/* Decides whether another run follows, and waits for its time, serving clients. Returns: %FALSE:
 * it is the end. */
gboolean monitor_rest(Monitor *monitor);
/* As monitor_prepare(), once the last run's state is cleared away. */
gboolean monitor_prepare_again(Monitor *monitor, GError **error);

/* monitor-end.c */
/* Watches for the end of what the driver started, and for its times to be up. */
void monitor_watch(Monitor *monitor);
void monitor_kill_payload(Monitor *monitor);
/* Asks the agent to end everything; kills through the driver if it does not obey in time. */
void monitor_shut_down(Monitor *monitor, guint patience_ms);
/* Stop signal now, monitor_shut_down() after the grace. */
void monitor_stop(Monitor *monitor, guint grace_ms);

/* The same, and another run may follow. */
void monitor_end_payload(Monitor *monitor, guint grace_ms);

/* monitor-health.c */
#define DUET_HEALTH_GRACE_MS 10000
/* The payload runs: from now on it is checked, if it is to be. */
void monitor_health_begin(Monitor *monitor);
/* It does not any more. */
void monitor_health_end(Monitor *monitor);
/* Has it checked now; clients that want to know are told the result. */
gboolean monitor_health_run(Monitor *monitor, GError **error);
/* The agent's word on a session that no client has. */
void monitor_health_frame(Monitor *monitor, const struct duet_frame *frame);

/* monitor-elsewhere.c */
void monitor_elsewhere_open(Monitor *monitor, char *path);
/* Takes the figures of a payload that lives elsewhere, while there is something to read. */
void monitor_elsewhere_sample(Monitor *monitor);
/* The runtime goes, with all that it holds. */
void monitor_release_runtime(Monitor *monitor);

/* monitor-agent.c */
/* What the agent is to do, and what clients say to it, waits until it has a connection. */
void monitor_agent_begin(Monitor *monitor);

/* monitor-client.c */
Client *monitor_client_add(Monitor *monitor, int fd);
void monitor_clients_listen(Monitor *monitor);
void monitor_clients_tell_started(Monitor *monitor);
void monitor_clients_tell_released(Monitor *monitor);
/* The session's client, or NULL: nobody listens. */
Client *monitor_session_client(Monitor *monitor, guint16 session);
/* A run is over: who was in its exec sessions is told, the payload's client stays. */
void monitor_clients_end_run(Monitor *monitor);
/* Another begins: what the payload's client said, and what it still holds, is brought along. */
void monitor_clients_begin_run(Monitor *monitor);
/* Returns: a free number, taken now, or NO_SESSION. */
int monitor_session_take(Monitor *monitor);
/* Its exit was passed on: the number may be used again. */
void monitor_session_end(Monitor *monitor, guint16 session);

G_END_DECLS
