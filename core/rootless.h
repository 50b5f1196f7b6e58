/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/*
 * duet as an ordinary user; rootless.c has the theory of operation. Nothing is kept in memory: what
 * a process may do is asked of the kernel, so the answers hold in client, monitor and worker alike.
 */

/** duet_is_rootless: Returns: whether this process's powers end at a user namespace, or are none.
 */
gboolean duet_is_rootless(void);

/**
 * duet_is_flat: Returns: whether there is no user namespace either: one id is all there is, and on
 * disk every file of an image is the user's own, which stands for root.
 */
gboolean duet_is_flat(void);

/**
 * duet_rootless_enter: gives an ordinary user a user namespace, and a mount namespace in it, in
 * which the process is root. Nothing happens to root, and where user namespaces are forbidden.
 * The process must have one thread.
 */
gboolean duet_rootless_enter(GError **error);

/**
 * duet_rootless_leave: makes the process an ordinary user again, in its own eyes: a further user
 * namespace, in which it has its true id and no other. For libvirt, which asks who it is.
 */
gboolean duet_rootless_leave(GError **error);

/**
 * duet_rootless_obstacle: Returns: (transfer full) (nullable): why this user can have no user
 * namespace, and what helps; NULL: nothing hinders.
 */
char *duet_rootless_obstacle(void);

/** duet_rootless_uid: Returns: the user's id as the host knows it. */
uid_t duet_rootless_uid(void);

/** duet_rootless_check: Returns: (transfer full) (element-type DuetCheck): lines of `duet check`.
 */
GPtrArray *duet_rootless_check(void);

/* ---- rootless-ids.c ---- */

/**
 * DuetIdRange: @count ids from @inside on are those from @outside on to who made the namespace.
 */
typedef struct {
    guint32 inside;
    guint32 outside;
    guint32 count;
} DuetIdRange;

typedef enum { DUET_ID_USER, DUET_ID_GROUP } DuetIdType;

/** duet_ids_own: Returns: (transfer full) (element-type DuetIdRange): what this process can map. */
GArray *duet_ids_own(DuetIdType type);
/** duet_ids_contain: Returns: whether @inside is one of @ranges. */
gboolean duet_ids_contain(const GArray *ranges, guint32 inside);
/** duet_ids_of_users: Returns: (transfer full) (element-type DuetIdRange): all that /etc/subuid and
 * /etc/subgid give to anybody; @inside is of no meaning. */
GArray *duet_ids_of_users(void);
/** duet_ids_overlap: Returns: whether any of the @count ids from @first on is in @ranges, outside.
 */
gboolean duet_ids_overlap(const GArray *ranges, guint32 first, guint32 count);
/** duet_ids_parse: duet_ids_granted() of a file's text. */
GArray *duet_ids_parse(const char *text, const char *user, uid_t uid, guint32 id);
/**
 * duet_ids_granted: what /etc/subuid or /etc/subgid give @user (or @uid, as a number), after the
 * user's own @id as 0.
 * Returns: (transfer full) (element-type DuetIdRange)
 */
GArray *duet_ids_granted(DuetIdType type, const char *user, uid_t uid, guint32 id);
/** duet_ids_advice: Returns: (transfer full): the command that gives the user ids up to @wanted. */
char *duet_ids_advice(guint32 wanted);

G_END_DECLS
