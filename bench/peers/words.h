/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetPeerValues: what the placeholders of a peer's file stand for.
 * @texts: (element-type utf8 utf8): by name, without braces
 * @argv: what `{argv...}` stands for: a word of its own becomes as many words
 */
typedef struct {
    GHashTable *texts;
    char *const *argv;
} DuetPeerValues;

/** duet_peer_words_check: Returns: %FALSE with @error for a placeholder that is none. */
gboolean duet_peer_words_check(const char *text, gboolean is_word, GError **error);
/** duet_peer_words_use: Returns: whether @text has the placeholder `{name}`. */
gboolean duet_peer_words_use(const char *text, const char *name);

/**
 * duet_peer_words_text: Returns: (transfer full): @text with its placeholders replaced; what has no
 *     value becomes nothing.
 */
char *duet_peer_words_text(const char *text, const DuetPeerValues *values);
/** duet_peer_words: the same of a command, but a word with a placeholder that has no value is left
 * out. Returns: (transfer full). */
char **duet_peer_words(char *const *command, const DuetPeerValues *values);

G_END_DECLS
