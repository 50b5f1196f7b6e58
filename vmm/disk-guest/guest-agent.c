/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-agent.h"

/* Counted: an answer may be on its way to the main loop when the agent is freed. @gone: main loop's
 * alone. */
struct _DuetGuestAgent {
    DuetGuestAsk ask;
    gpointer ask_data;
    GThreadPool *thread;
    gboolean gone;
};

typedef struct {
    DuetGuestAgent *agent;
    char *request;
    DuetGuestAnswer answer;
    gpointer data;
    GDestroyNotify destroy;
    char *reply;
    GError *error;
} Call;

static void call_free(gpointer data)
{
    Call *call = data;
    g_free(call->request);
    g_free(call->reply);
    g_clear_error(&call->error);
    if (call->destroy)
        call->destroy(call->data);
    g_atomic_rc_box_release(call->agent);
    g_free(call);
}

static gboolean on_answer(gpointer data)
{
    Call *call = data;
    if (!call->agent->gone && call->answer)
        call->answer(call->data, call->reply, call->error);
    return G_SOURCE_REMOVE;
}

static void ask(gpointer data, gpointer user_data)
{
    Call *call = data;
    DuetGuestAgent *agent = user_data;
    call->reply = agent->ask(agent->ask_data, call->request, &call->error);
    g_idle_add_full(G_PRIORITY_DEFAULT, on_answer, call, call_free);
}

DuetGuestAgent *duet_guest_agent_new(DuetGuestAsk ask_it, gpointer ask_data)
{
    DuetGuestAgent *agent = g_atomic_rc_box_new0(DuetGuestAgent);
    agent->ask = ask_it;
    agent->ask_data = ask_data;
    agent->thread = g_thread_pool_new_full(ask, agent, call_free, 1, FALSE, NULL);
    return agent;
}

void duet_guest_agent_free(DuetGuestAgent *agent)
{
    if (!agent)
        return;
    agent->gone = TRUE;
    g_thread_pool_free(agent->thread, TRUE, TRUE);
    g_atomic_rc_box_release(agent);
}

void duet_guest_agent_call(DuetGuestAgent *agent, const char *request, DuetGuestAnswer answer,
    gpointer data, GDestroyNotify destroy)
{
    Call *call = g_new0(Call, 1);
    call->agent = g_atomic_rc_box_acquire(agent);
    call->request = g_strdup(request);
    call->answer = answer;
    call->data = data;
    call->destroy = destroy;
    g_thread_pool_push(agent->thread, call, NULL);
}
