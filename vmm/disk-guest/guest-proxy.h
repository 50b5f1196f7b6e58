/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest-agent.h"

#include <duet/spec.h>

G_BEGIN_DECLS

/*
 * A disk guest has no agent of ours. Towards the monitor this plays one, in the worker: the payload
 * is the whole system, its terminal the serial console; an exec is the work of QEMU's guest agent.
 */
typedef struct _DuetGuestProxy DuetGuestProxy;

/**
 * DuetGuestHost: what the proxy needs of the VM.
 * @ask: a question to the guest agent; in a thread
 * @press: the power button; does not wait for what comes of it
 * @power_off: the plug
 * @watch_memory: whether its balloon is to tell of its memory
 * @available: Returns: the bytes of it that are not in use, or 0: not told since
 * @set_paused: its CPUs stand still, or run again
 */
typedef struct {
    DuetGuestAsk ask;
    void (*press)(gpointer data);
    void (*power_off)(gpointer data);
    void (*watch_memory)(gpointer data, gboolean on);
    guint64 (*available)(gpointer data);
    void (*set_paused)(gpointer data, gboolean paused);
} DuetGuestHost;

/** DuetGuestBegin: by a boot, or from a saved state, with a guest agent in it or without. */
typedef enum {
    DUET_GUEST_BOOTS,
    DUET_GUEST_GOES_ON,
    DUET_GUEST_GOES_ON_WITH_AGENT,
} DuetGuestBegin;

/**
 * duet_guest_proxy_new: says HELLO, and STARTED as soon as spec->wait allows. Of a guest that goes
 * on the first follows GO_ON, once what that brings is in the guest, or nobody there takes it.
 * @spec: outlives it
 * @monitor_fd, @console_fd: sockets, taken over
 */
DuetGuestProxy *duet_guest_proxy_new(const DuetSpec *spec, DuetGuestBegin begin, int monitor_fd,
    int console_fd, const DuetGuestHost *host, gpointer host_data);
void duet_guest_proxy_free(DuetGuestProxy *proxy);

/** duet_guest_proxy_set_agent: whether the guest's agent is there. */
void duet_guest_proxy_set_agent(DuetGuestProxy *proxy, gboolean is_there);

/** duet_guest_proxy_has_agent: Returns: what it was told last. */
gboolean duet_guest_proxy_has_agent(const DuetGuestProxy *proxy);

/** duet_guest_proxy_powered_off: the guest did it; that is how its payload ends well. */
void duet_guest_proxy_powered_off(DuetGuestProxy *proxy);

/** duet_guest_proxy_console: Returns: (transfer none): what its console wrote last. */
const GByteArray *duet_guest_proxy_console(const DuetGuestProxy *proxy);

G_END_DECLS
