/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/disk-guest/guest-proxy.h"

#include <duet/protocol.h>

/* The proxy that plays the agent of a disk guest, between a monitor's and a console's other ends,
 * with a guest that is made up. */

/* Answers of the guest agent: an interface, and a program that ended well. */
#define INTERFACE(address)                                                                         \
    "{\"name\":\"e\",\"ip-addresses\":[{\"ip-address\":\"" address "\",\"prefix\":8}]}"
#define WELL "{\"return\":{\"exited\":true,\"exitcode\":0}}"

typedef struct {
    DuetSpec *spec;
    DuetGuestProxy *proxy;
    int monitor, console;
    struct duet_frame_reader reader;
    guint presses, power_offs;
    gboolean paused;
    gint asked; /* atomic: by a thread */
    gint64 set_time_ns;
    /* Errands: what the guest has, and was asked; by a thread, but only one at a time. */
    GByteArray *written, *file;
    gsize at;
    guint removals, opened;
    const char *errand_status;
    gboolean hostile, has_address, no_removal, was_left;
    const char *place_status; /* NULL: made well */
    guint watches; /* of its memory; odd: it is watched */
    guint64 available;
    gboolean second_is_on, stays_off, is_deaf;
    char last[64];
} GuestFixture;

/* @wait: (nullable): what readiness is */
void guest_set_up(GuestFixture *fixture, gconstpointer wait);
/* @how: a DuetGuestBegin. What it was to wait for when it booted does not come again. */
void guest_set_up_saved(GuestFixture *fixture, gconstpointer how);
void guest_tear_down(GuestFixture *fixture, gconstpointer wait);
/* A case of that. */
#define GUEST_TEST(name, wait, function)                                                           \
    g_test_add("/vmm-guest/" name, GuestFixture, wait, guest_set_up, function, guest_tear_down)
/* The other end of the proxy: sends, and gets. */
void guest_tell(GuestFixture *fixture, guint8 type, guint8 channel, guint16 session,
    const void *payload, guint32 length);
void guest_tell_u32(
    GuestFixture *fixture, guint8 type, guint8 channel, guint16 session, guint32 value);
/* The next frame; NULL: none comes for a while. */
const struct duet_frame *guest_next(GuestFixture *fixture);
const struct duet_frame *guest_expect(GuestFixture *fixture, guint8 type, guint16 session);
void guest_spawn(GuestFixture *fixture, guint16 session, const char *program, guint32 flags);
/* From its hello to the start of what it is to run. */
void guest_begin(GuestFixture *fixture);
/* The same, and a guest agent answers. */
void guest_begin_with_agent(GuestFixture *fixture);
/* After it the guest has nothing of ours. */
void guest_expect_end(GuestFixture *fixture, guint8 type, guint16 session, guint32 code);
/* Writes so much more to the console than there is credit for; what there is credit for came. */
void guest_flood(GuestFixture *fixture, guint beyond_bytes);
/* The file that an errand leaves in the guest. */
void guest_fill(GuestFixture *fixture, guint length);
