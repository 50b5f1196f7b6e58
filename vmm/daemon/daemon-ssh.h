/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * A libvirt daemon that is reached by ssh (`qemu+ssh://`). A VM's disks, sockets and processes are
 * those of the host that duet runs on, so the far end must be this very host; what that ssh says is
 * asked before libvirt is, which tells no name that is wrong from a key that is missing, and waits
 * without end.
 */

/** duet_vm_ssh_is: whether @uri goes by ssh. */
gboolean duet_vm_ssh_is(const char *uri);

/** duet_vm_ssh_is_session: whether @uri, of a kind that goes by ssh, means a user's own daemon. */
gboolean duet_vm_ssh_is_session(const char *uri);

/**
 * duet_vm_ssh_check: whether the far end of @uri lets us in without a question, and is this host.
 * @file: of the VM's, which both have to see
 *
 * Returns: %FALSE with @error, after some seconds at most: %DUET_ERROR_UNSUPPORTED for another
 *     host.
 */
gboolean duet_vm_ssh_check(const char *uri, const char *file, GError **error);

/** duet_vm_ssh_uri: Returns: (transfer full): what libvirt is given for @uri: it asks nobody for a
 * password. */
char *duet_vm_ssh_uri(const char *uri);

/** duet_vm_ssh_argv: Returns: (transfer full): how @command is run at the far end of @uri, as
 * libvirt would; NULL with @error. */
char **duet_vm_ssh_argv(const char *uri, const char *command, GError **error);

/** duet_vm_ssh_target: Returns: (transfer full): the host of @uri as the programs of ssh are told
 * of it: "-p 2222 user@host". */
char *duet_vm_ssh_target(const char *uri);

/** duet_vm_ssh_advice: Returns: (transfer full): what to try, if ssh to @target said @said. */
char *duet_vm_ssh_advice(const char *target, const char *said);

G_END_DECLS
