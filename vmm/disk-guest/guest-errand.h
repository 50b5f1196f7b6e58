/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest-agent.h"
#include "guest-json.h"
#include "guest-places.h"

G_BEGIN_DECLS

/*
 * What duet's own agent does in an image's guest, and QEMU's guest agent can't: it packs and
 * unpacks files, lists processes, mounts folders. So that program, 72 kB and static, is put into a
 * directory of the disk guest's, does one errand, and is removed with all that it left there. What
 * goes in or out lies in a file beside it meanwhile, and is written and read in pieces: of an
 * exec's own input and output a guest agent takes little.
 */
typedef struct _DuetGuestErrand DuetGuestErrand;

typedef enum {
    DUET_GUEST_ERRAND_PLAIN, /* what it says is short */
    DUET_GUEST_ERRAND_TAKES, /* it has a standard input */
    DUET_GUEST_ERRAND_GIVES, /* its standard output, if it ends well, is read in pieces */
} DuetGuestErrandKind;

/**
 * DuetGuestErrandEvents:
 * @taken: so many bytes of input are in the guest
 * @given: a piece of output; the next one comes after duet_guest_errand_go_on()
 * @over: one of @status and @failure is NULL; the last one, and frees the errand
 */
typedef struct {
    void (*taken)(gpointer data, guint32 bytes);
    void (*given)(gpointer data, GByteArray *piece);
    void (*over)(gpointer data, DuetGuestStatus *status, const char *failure);
} DuetGuestErrandEvents;

/**
 * duet_guest_errand_new:
 * @words: the arguments of agent_errand()
 * @places: (transfer none): what is left there is removed first
 */
DuetGuestErrand *duet_guest_errand_new(DuetGuestAgent *agent, DuetGuestErrandKind kind,
    const char *const *words, DuetGuestPlaces *places, const DuetGuestErrandEvents *events,
    gpointer data);
void duet_guest_errand_free(DuetGuestErrand *errand);

void duet_guest_errand_put(DuetGuestErrand *errand, const guint8 *bytes, guint length);
/** duet_guest_errand_waiting: Returns: how many bytes of input are not in the guest yet. */
guint duet_guest_errand_waiting(const DuetGuestErrand *errand);
void duet_guest_errand_put_end(DuetGuestErrand *errand);
void duet_guest_errand_go_on(DuetGuestErrand *errand);
/** duet_guest_errand_cancel: ends it early; it is over when all is removed. */
void duet_guest_errand_cancel(DuetGuestErrand *errand);

G_END_DECLS
