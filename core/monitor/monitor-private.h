/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What monitor.c (life of the instance), monitor-start.c, monitor-end.c, monitor-agent.c and
 * monitor-client.c (the two protocols) share; nobody else includes this. */

#include "core/events.h"
#include "link.h"
#include "core/log/log.h"
#include "monitor.h"
#include "core/util.h"

#include <duet/driver.h>

G_BEGIN_DECLS

typedef struct _Monitor Monitor;

#define NO_SESSION (-1)

/* What others are told of a borrowed one, see duet_instance_borrow(). */
#define NOT_RUNNING "it is not running: files of it are being copied"
#define RESTING "it is restarting: it ended, and waits to be started again; `duet stop` ends that"
#define BEING_SAVED "it is being saved; `duet restore` lets it go on then"

/*
 * A connection to us. It has at most one session: 0 if it is attached to the payload, another if
 * it did an exec. On its own side the session is always numbered 0.
 * @uncredited: bytes of stdout and stderr that it was sent and has not granted credit for
 * @lends: a borrowed instance ends with it
 * @draining: its exec's process ended, and the rest of the output is on its way
 * @tty: its session has a terminal
 * And of one that is attached, see monitor-attach.c:
 * @from_start: since before the payload's first byte
 * @read_us: when it last read something, of one that is not @from_start
 * @input_window: what it may still send of input
 * @held: (nullable): input of its that the agent does not take yet
 * @input_ended: EOF follows what is held, in each run; @end_told: in this one it did
 * @closed: it reads no more, in each run
 * @stale: how much of @uncredited is of runs that are over: no agent waits for that credit
 */
typedef struct {
    Monitor *monitor;
    DuetLink *link;
    int session;
    gboolean wants_started;
    gboolean wants_released;
    guint32 uncredited[3];
    gboolean draining;
    gboolean lends;
    gboolean tty, from_start, input_ended, end_told;
    gint64 read_us;
    guint32 input_window;
    GByteArray *held;
    guint32 stale[3];
    gboolean closed[3];
    gboolean wants_health;
} Client;

struct _Monitor {
    DuetContext *context;
    DuetSpec *spec;
    const DuetDriverEntry *entry;
    GMainLoop *loop;

    char *dir, *run_dir, *saved_dir, *used_dir, *save_path;
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
    Client *sessions[DUET_SESSIONS_MAX]; /* of session 0 none: see monitor-attach.c */
    gboolean taken[DUET_SESSIONS_MAX]; /* the agent has it, also when its client is gone */
    guint16 sessions_used;
    GArray *input_runs; /* (nullable): of session 0: whose input is under way to the agent */
    guint32 input_used; /* its bytes */
    guint32 owed[3]; /* of session 0: output that the agent has no credit for yet */
    guint stall_timer;

    /* @starting: the driver is at work on the start; clients are answered meanwhile */
    /* @waiting: it is at work on something else, and must not be asked for more */
    /* @helper_gone: the driver's worker died */
    /* @asked_to_stop: by a client or a signal, so an end before the start is no failure */
    /* @left_behind: something of it could not be taken away: the next command must try again */
    /* @borrowed: see duet_instance_borrow() */
    gboolean borrowed;
    /* @payload_ended: its process did; the rest of its output is on its way */
    /* @ready: it was told to be */
    gboolean starting, waiting, helper_gone, hello, started, ready, exit_known, payload_gone, over,
        stopping, asked_to_stop, left_behind, payload_ended;
    /* @input_ended: who was attached from the start is gone: no run gets more input */
    gboolean input_ended;
    /* @resting: between two runs: of the last nothing is left, the next has not begun */
    /* @for_good: somebody wants it to end, and not to be started again */
    /* @ran: its payload was started once: else there is nothing to start again */
    /* @again: another run follows, whatever the policy */
    /* @end_told: that the run is over */
    gboolean resting, for_good, ran, again, end_told;
    /* @saving: the agent is to be silent, or is, and its link holds back what is sent */
    /* @saved: the run did not end: it can go on from what was saved */
    gboolean saving, saved;
    Client *saver; /* (nullable): who wants it */
    guint save_timer;
    GVariant *restored; /* (nullable): what this run goes on from: see saved.h */
    gint64 ran_ms; /* before it was saved */
    guint32 window; /* of the payload's terminal when it starts, see DUET_FIELD_WINDOW */
    struct _MonitorHealth *health; /* NULL: nothing is to be checked */
    guint restart_delay_ms;
    guint boot_timeout_s;
    guint vcpus; /* that a VM has now */
    /* And what it was started with: the most that it can have. */
    guint vcpus_max;
    guint64 memory_max_bytes;
    /* @changing: see monitor-live.c; the rest is what its guest says then. */
    gboolean changing, guest_answered;
    guint8 guest_question;
    guint guest_cpus;
    guint64 guest_available_bytes;
    char *guest_message;
    char *change_notice; /* (nullable): what of it the guest did not do */
    guint boot_timer, run_timer, stop_timer, quit_timer, listen_source, over_source, look_source;
    guint deferred_grace_ms;
    gint64 kill_due_us; /* while there is a stop_timer: when it will be killed at the latest */
};

/* monitor.c */
void monitor_save_state(Monitor *monitor);
/* @attributes: see duet_event_add() */
void monitor_tell_event(Monitor *monitor, DuetEventType type, GVariant *attributes);
/* That it runs, @type being START or RESTORE, and is ready if nothing else is to come. */
void monitor_tell_start(Monitor *monitor, DuetEventType type);
/* That it is ready, once a run. */
void monitor_tell_ready(Monitor *monitor);
/* That the run is over, once. @removed: and the instance gone */
void monitor_tell_end(Monitor *monitor, gboolean removed);
/* Reaps, and hears who wants the instance to end. */
void monitor_read_signals(Monitor *monitor);
/* Nobody can manage the instance any more: it ends. */
void monitor_helper_gone(Monitor *monitor);
/* What `ps` shows of the process. */
void monitor_show_name(const Monitor *monitor);
/* Whoever it was started for may take it along. */
void monitor_end_with_owner(const Monitor *monitor);

/* monitor-start.c */
/* Cgroup, directories, socket, and a driver that has done nothing yet. */
gboolean monitor_prepare(Monitor *monitor, GError **error);
gboolean monitor_bring_up(Monitor *monitor, GError **error);

/* monitor-restart.c */
/* Whether it is to be started again by what it was made with. */
gboolean monitor_has_policy(const Monitor *monitor);
/* Whether one run may follow another: a daemon's machine can be reset by others as well. */
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
/* What a payload has where nobody says how much. */
#define STOP_GRACE_MS 10000
/* Stop signal now, monitor_shut_down() after the grace. */
void monitor_stop(Monitor *monitor, guint grace_ms);

/* The same, and another run may follow, */
void monitor_end_payload(Monitor *monitor, guint grace_ms);
/* and does, but for somebody who wants no more. */
void monitor_end_for_another(Monitor *monitor, guint grace_ms);

/* monitor-health.c */
/* The payload runs: from now on it is checked, if it is to be. */
void monitor_health_begin(Monitor *monitor);
/* It does not any more. */
void monitor_health_end(Monitor *monitor);
/* Has it checked now; clients that want to know are told the result. */
gboolean monitor_health_run(Monitor *monitor, GError **error);
/* The agent's word on a session that no client has. */
void monitor_health_frame(Monitor *monitor, const struct duet_frame *frame);

/* monitor-pause.c */
gboolean monitor_pause(Monitor *monitor, gboolean pause, GError **error);
/* Soon: whether somebody else did, or ended it. */
void monitor_pause_look(Monitor *monitor);

/* monitor-elsewhere.c */
void monitor_elsewhere_open(Monitor *monitor, char *path);
/* Takes the figures of a payload that lives elsewhere, while there is something to read. */
void monitor_elsewhere_sample(Monitor *monitor);
/* The runtime goes, with all that it holds. */
void monitor_release_runtime(Monitor *monitor);

/* monitor-agent.c */
/* What the agent is to do, and what clients say to it, waits until it has a connection. */
void monitor_agent_begin(Monitor *monitor);

/* monitor-save.c */
/* A client wants it: answers ERROR, or RELEASED in the end. */
void monitor_save_request(Client *client);
/* The agent is silent now. */
void monitor_save_quiet(Monitor *monitor);
/* Goes on as before, if it was being saved. */
void monitor_save_cancel(Monitor *monitor, const GError *why);
/* Whether there may be files of saved.h: others are spared the look. */
gboolean monitor_can_be_saved(const Monitor *monitor);
/* Whether this run is to go on from a saved state, and with how many vCPUs it begins; %FALSE if
 * that can't be read. */
gboolean monitor_saved_load(Monitor *monitor, GError **error);
/* In place of CONFIG and SPAWN: what is sent waits for GO_ON. */
void monitor_restore_begin(Monitor *monitor);
/* The CPUs run, and the agent is about to be connected. */
void monitor_restore_connected(Monitor *monitor);
/* The agent has answered. */
void monitor_restore_done(Monitor *monitor);

/* monitor-update.c */
/* Those of @spec: what QEMU may use beyond the RAM depends on how many vCPUs it has. */
DuetLimits monitor_limits(const Monitor *monitor, const DuetSpec *spec);
/* Changes limits and the name; @text is a client's. What is to be said of it beside is in
 * monitor->change_notice then. */
gboolean monitor_update(Monitor *monitor, const char *text, gsize length, GError **error);

/* monitor-live.c */
/* The guest's word on a change. */
void monitor_live_answer(Monitor *monitor, const struct duet_frame *frame);
/* What a VM that runs has to get, or to give back. They serve others while the guest is at work on
 * it, and fail if it does not get done; but for vCPUs all is as it was then. Of a disk's own system
 * that leaves new vCPUs off it is no failure, but said. */
gboolean monitor_live_memory(
    Monitor *monitor, const DuetSpec *from, const DuetSpec *to, GError **error);
gboolean monitor_live_vcpus(Monitor *monitor, guint n, GError **error);
/* Has another manager keep its part of @limits. */
gboolean monitor_live_limits(Monitor *monitor, const DuetLimits *limits, GError **error);
/* @limit: 0: none */
gboolean monitor_live_pids(Monitor *monitor, guint64 limit, GError **error);
gboolean monitor_live_disks(
    Monitor *monitor, const DuetSpec *from, const DuetSpec *to, GError **error);

/* monitor-attach.c */
/* Gives it the payload's streams. @from_start: of the first byte on */
void monitor_attach(Client *client, gboolean from_start);
/* The same, when a client asks for it: answers STARTED, now or when the payload has, or ERROR. */
void monitor_attach_request(Client *client);
void monitor_attached_leave(Client *client);
/* A connection that had a session gets another one: nothing of the last counts. */
void monitor_client_begin_session(Client *client);
/* A frame of one that is attached, about session 0. */
void monitor_attached_frame(Client *client, const struct duet_frame *frame);
/* DATA of the payload, for all. Returns: FALSE when it was more than there was credit for. */
gboolean monitor_attached_output(Monitor *monitor, const struct duet_frame *frame);
/* Any other frame, to all. */
void monitor_attached_send(
    Monitor *monitor, guint8 type, guint8 channel, const void *payload, guint32 length);
/* Its process ended: at most the pipes' contents come now, taken at once, whoever reads how slowly.
 */
void monitor_attached_ended(Monitor *monitor);
/* CREDIT of the agent for input. */
void monitor_attached_input_taken(Monitor *monitor, guint32 bytes);
/* Another run begins: what they said that holds for each, and input that is held, is passed on. */
void monitor_attached_begin_run(Monitor *monitor);
/* Whether one of them has so much of earlier runs unread that the next must wait. */
gboolean monitor_attached_lag(Monitor *monitor);

/* monitor-client.c */
Client *monitor_client_add(Monitor *monitor, int fd);
void monitor_clients_listen(Monitor *monitor);
void monitor_clients_tell_started(Monitor *monitor);
void monitor_clients_tell_released(Monitor *monitor);
/* The session's client, or NULL: nobody listens. */
Client *monitor_session_client(Monitor *monitor, guint16 session);
/* A run is over: who was in its exec sessions is told, who is attached to the payload stays. */
void monitor_clients_end_run(Monitor *monitor);
/* Whether the user who sends it wants an end, and not another run. */
gboolean monitor_signal_is_end(const Monitor *monitor, guint32 signal_number);
/* Returns: a free number, taken now, or NO_SESSION. */
int monitor_session_take(Monitor *monitor);
/* Its exit was passed on: the number may be used again. */
void monitor_session_end(Monitor *monitor, guint16 session);

G_END_DECLS
