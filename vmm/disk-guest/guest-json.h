/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The words of QEMU's guest agent. What it answers is the guest's to write: nothing in it is
 * believed but its form. */

/**
 * How much standard input a program can be given: it is part of one message. What is more than a
 * few times that has been seen to get stuck between QEMU's port and a guest that is slow.
 */
#define DUET_GUEST_INPUT_MAX_BYTES (64u << 10)

/**
 * duet_guest_exec_request:
 * @argv: the program, which the guest looks up in its PATH, and its arguments
 * @env: "NAME=value": set beside the agent's own
 * @cwd: (nullable): NULL: the agent's, which is /
 * @input: (nullable): all of standard input; NULL: /dev/null
 *
 * Returns: (transfer full): a request, or NULL with %DUET_ERROR_INVALID for what JSON can't say.
 */
char *duet_guest_exec_request(const char *const *argv, const char *const *env, const char *cwd,
    const GByteArray *input, GError **error);
/** duet_guest_exec_pid: reads the answer to it. */
gboolean duet_guest_exec_pid(const char *reply, gint64 *out_pid, GError **error);

/** duet_guest_kill_request: Returns: (transfer full): a request that runs the guest's own kill. */
char *duet_guest_kill_request(gint64 pid, guint signal_number);

/**
 * DuetGuestStatus: what became of a program.
 * @out: standard output and error; NULL until it ended
 * @truncated: the agent kept no more of it
 */
typedef struct {
    gboolean exited;
    guint exit_code;
    guint signal_number;
    GByteArray *out[2];
    gboolean truncated[2];
} DuetGuestStatus;

char *duet_guest_status_request(gint64 pid);
/** duet_guest_status_read: @out_status: to be cleared by duet_guest_status_clear(), also on failure
 */
gboolean duet_guest_status_read(const char *reply, DuetGuestStatus *out_status, GError **error);
void duet_guest_status_clear(DuetGuestStatus *status);
/** duet_guest_said: Returns: (transfer full): the first @most bytes of @out, "" for none. */
char *duet_guest_said(const GByteArray *out, gsize most);

/*
 * Files of the guest's. A handle is a number of its guest agent's; what it writes may not be on its
 * disk, or have failed, before the file is closed.
 */
char *duet_guest_file_open_request(const char *path, const char *mode);
gboolean duet_guest_file_opened(const char *reply, gint64 *out_handle, GError **error);
char *duet_guest_file_close_request(gint64 handle);
char *duet_guest_file_write_request(gint64 handle, const guint8 *bytes, gsize length);
/** duet_guest_file_written: fails if it was not all @length. */
gboolean duet_guest_file_written(const char *reply, gsize length, GError **error);
char *duet_guest_file_read_request(gint64 handle, gsize most);
/**
 * duet_guest_file_bytes: Returns: (transfer full): at most @most of them; none at the end alone.
 * @out_eof: there are no more behind them
 */
GByteArray *duet_guest_file_bytes(const char *reply, gsize most, gboolean *out_eof, GError **error);

#define DUET_GUEST_ADDRESSES_REQUEST "{\"execute\":\"guest-network-get-interfaces\"}"
/**
 * duet_guest_addresses: Returns: (transfer full): those by which others may reach it, neither
 * loopback nor link-local; empty if there are none, and if the answer is nonsense.
 */
char **duet_guest_addresses(const char *reply);

#define DUET_GUEST_VCPUS_REQUEST "{\"execute\":\"guest-get-vcpus\"}"
/**
 * duet_guest_vcpus: reads the answer to it.
 * @out_off: (transfer full) (element-type gint64): those that are off, and can be switched on
 *
 * Returns: how many are on, or -1 with @error.
 */
int duet_guest_vcpus(const char *reply, GArray **out_off, GError **error);
/** duet_guest_switch_on_request: Returns: (transfer full): switches these on. */
char *duet_guest_switch_on_request(const GArray *vcpus);
/** duet_guest_set_time_request: Returns: (transfer full): one that sets its clock, and its RTC. */
char *duet_guest_set_time_request(gint64 ns);

/** A request to shut down, which is not answered. */
#define DUET_GUEST_SHUTDOWN_REQUEST "{\"execute\":\"guest-shutdown\"}"

G_END_DECLS
