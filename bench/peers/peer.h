/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetPeerVerb: what a peer's file says how to do.
 * @DUET_PEER_PREPARE: once, before the first sample: give the peer the image
 * @DUET_PEER_RUN: one whole command that runs the payload and ends with it
 * @DUET_PEER_START: start an instance that stays
 * @DUET_PEER_READY: succeeds once it answers
 * @DUET_PEER_EXEC: run the payload in it
 * @DUET_PEER_STOP: end it
 * @DUET_PEER_LEFT: prints something if anything of the name is left
 * @DUET_PEER_REMOVE: removes what is left of the name
 * @DUET_PEER_CLEANUP: once, at the end: undoes what @DUET_PEER_PREPARE did
 */
typedef enum {
    DUET_PEER_PREPARE,
    DUET_PEER_RUN,
    DUET_PEER_START,
    DUET_PEER_READY,
    DUET_PEER_EXEC,
    DUET_PEER_STOP,
    DUET_PEER_LEFT,
    DUET_PEER_REMOVE,
    DUET_PEER_CLEANUP,
    DUET_PEER_VERB_COUNT,
} DuetPeerVerb;

const char *duet_peer_verb_to_string(DuetPeerVerb verb);

/** DUET_PEER_ENDING: of a key file's name. */
#define DUET_PEER_ENDING ".peer"

/**
 * DuetPeer: a foreign engine as its key file describes it (docs/peers.md).
 * @name: the file's name without its ending; the arm's name
 * @origin: where it was read from, for messages
 * @kind: "container" or "vm"
 * @needs: programs on the PATH, paths that must be there, or "root"
 * @version: (nullable): prints the version; fails where the peer can't work
 * @commands: per verb: (element-type GStrv): words with placeholders, one command after the other
 * @cgroup: (nullable): glob of the cgroups of an instance
 * @pid_file: (nullable): a file that holds a process's number
 * @process: (nullable): stands in the command line of its processes and of no others
 * @files: (element-type utf8 utf8): texts that are written to {dir} before each command
 */
typedef struct {
    char *name;
    char *origin;
    char *description;
    char *kind;
    char **needs;
    char **version;
    GPtrArray *commands[DUET_PEER_VERB_COUNT];
    char *cgroup;
    char *pid_file;
    char *process;
    GHashTable *files;
} DuetPeer;

/**
 * duet_peer_parse:
 * Returns: (transfer full): or NULL with %DUET_ERROR_INVALID, which names @origin and the key.
 */
DuetPeer *duet_peer_parse(
    const char *name, const char *origin, const char *text, gsize length, GError **error);
/** duet_peer_load: reads a file; the peer is named after it. */
DuetPeer *duet_peer_load(const char *path, GError **error);
void duet_peer_free(DuetPeer *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPeer, duet_peer_free)

/** duet_peer_uses: Returns: whether a command or text of @peer has that placeholder. */
gboolean duet_peer_uses(const DuetPeer *peer, const char *placeholder);

/** duet_peer_names: Returns: (transfer full): all that are known, bundled and the user's, sorted.
 */
char **duet_peer_names(void);
/**
 * duet_peer_find: the user's file of that name ($XDG_CONFIG_HOME/duet/peers/NAME.peer), else the
 * bundled one. Returns: (transfer full): or NULL with @error, which lists what there is.
 */
DuetPeer *duet_peer_find(const char *name, GError **error);

G_END_DECLS
