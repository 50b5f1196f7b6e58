/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation: "user[:group]" is resolved by the instance's own /etc/passwd and /etc/group,
 * never by the host's and never by a C library's name service. The files belong to the payload:
 * they may be huge, binary, FIFOs or missing. They are read whole, bounded, by the child that is
 * about to become the payload; what is wrong with them costs that session alone.
 *
 * The rules are podman's. A name must exist. A number need not: then its group is 0 and its home
 * "/". Without a group, the user's own one and all that list the user as a member; with a group,
 * that group alone. Further groups that were asked for come on top; a name must exist there too.
 */

#include "agent.h"

#include <errno.h>
#include <string.h>

#define FILE_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define ID_MAX 4294967294u /* the next one means "no change" to setresuid() */

/* A missing file is an empty one. */
static bool map_table(const char *path, struct agent_file *out, struct agent_text *error)
{
    int failure = agent_file_map(path, FILE_MAX_BYTES, out);

    if (failure == 0 || failure == ENOENT || failure == ENOTDIR)
        return true;
    agent_text_fail(error, "cannot read", path, failure);
    return false;
}

/* Walks the lines; *cursor starts as NULL. */
static bool next_line(
    const struct agent_file *file, const char **cursor, struct agent_span *out_line)
{
    if (!file->bytes)
        return false;
    if (!*cursor)
        *cursor = file->bytes;
    return agent_span_next(cursor, file->bytes + file->length, '\n', out_line);
}

struct passwd_line {
    struct agent_span name, home;
    uint32_t uid, gid;
};

/* Cuts "name:password:uid:gid:comment:home:shell"; false for a line that is none. */
static bool passwd_cut(struct agent_span line, struct passwd_line *out)
{
    const char *cursor = line.at, *end = line.at + line.length;
    struct agent_span fields[6];

    for (size_t i = 0; i < 6; i++)
        if (!agent_span_next(&cursor, end, ':', &fields[i]))
            return false;
    out->name = fields[0];
    out->home = fields[5];
    return fields[0].length > 0 &&
        agent_number(fields[2].at, fields[2].length, ID_MAX, &out->uid) &&
        agent_number(fields[3].at, fields[3].length, ID_MAX, &out->gid);
}

struct group_line {
    struct agent_span name, members;
    uint32_t gid;
};

static bool group_cut(struct agent_span line, struct group_line *out)
{
    const char *cursor = line.at, *end = line.at + line.length;
    struct agent_span password, number;

    if (!agent_span_next(&cursor, end, ':', &out->name) ||
        !agent_span_next(&cursor, end, ':', &password) ||
        !agent_span_next(&cursor, end, ':', &number) ||
        !agent_number(number.at, number.length, ID_MAX, &out->gid) || out->name.length == 0)
        return false;
    if (!agent_span_next(&cursor, end, ':', &out->members))
        out->members = (struct agent_span){ end, 0 };
    return true;
}

/* Finds a user by name, else by number: a name that is all digits goes first, as in runc. */
static bool passwd_find(struct agent_file passwd, struct agent_span wanted, struct passwd_line *out)
{
    const char *cursor = NULL;
    struct agent_span line;
    struct passwd_line found;
    uint32_t uid = 0;
    bool numeric = agent_number(wanted.at, wanted.length, ID_MAX, &uid), by_number = false;

    while (next_line(&passwd, &cursor, &line)) {
        if (!passwd_cut(line, &found))
            continue;
        if (agent_span_equal(found.name, wanted.at, wanted.length)) {
            *out = found;
            return true;
        }
        if (numeric && !by_number && found.uid == uid) {
            by_number = true;
            *out = found;
        }
    }
    return by_number;
}

bool agent_user_name(const struct agent_file *passwd, uint32_t uid, struct agent_span *out_name)
{
    const char *cursor = NULL;
    struct agent_span line;
    struct passwd_line found;

    while (next_line(passwd, &cursor, &line))
        if (passwd_cut(line, &found) && found.uid == uid) {
            *out_name = found.name;
            return true;
        }
    return false;
}

static bool group_find(struct agent_file group, struct agent_span wanted, gid_t *out_gid)
{
    const char *cursor = NULL;
    struct agent_span line;
    struct group_line found;

    while (next_line(&group, &cursor, &line)) {
        if (group_cut(line, &found) && agent_span_equal(found.name, wanted.at, wanted.length)) {
            *out_gid = found.gid;
            return true;
        }
    }
    return agent_number(wanted.at, wanted.length, ID_MAX, out_gid);
}

static bool lists_member(struct agent_span members, struct agent_span name)
{
    const char *cursor = members.at, *end = members.at + members.length;
    struct agent_span member;

    while (agent_span_next(&cursor, end, ',', &member))
        if (agent_span_equal(member, name.at, name.length))
            return true;
    return false;
}

static bool add_group(struct agent_user *user, gid_t gid, struct agent_text *error)
{
    for (size_t i = 0; i < user->group_count; i++)
        if (user->groups[i] == gid)
            return true;
    if (user->group_count == AGENT_GROUPS_MAX) {
        agent_text_add(error, "the user is in more than ", NULL);
        agent_text_add_number(error, AGENT_GROUPS_MAX);
        agent_text_add(error, " groups of '/etc/group'", NULL);
        return false;
    }
    user->groups[user->group_count++] = gid;
    return true;
}

static bool add_memberships(struct agent_file group, struct agent_span name,
    struct agent_user *user, struct agent_text *error)
{
    const char *cursor = NULL;
    struct agent_span line;
    struct group_line found;

    while (next_line(&group, &cursor, &line))
        if (group_cut(line, &found) && lists_member(found.members, name) &&
            !add_group(user, found.gid, error))
            return false;
    return true;
}

/* Says that a name is not in a table of the instance. */
static void name_unknown(
    struct agent_text *error, const char *what, struct agent_span name, const char *path)
{
    char copy[128];
    size_t length = name.length < sizeof(copy) - 1 ? name.length : sizeof(copy) - 1;

    memcpy(copy, name.at, length);
    copy[length] = '\0';
    agent_text_add(error, "no ", what, " '", copy, "' in the image's '", path,
        "'; use a number or a name that it lists", NULL);
}

static void set_home(struct agent_user *user, struct agent_span home)
{
    if (home.length == 0 || home.length >= sizeof(user->home) || home.at[0] != '/')
        home = (struct agent_span){ "/", 1 };
    memcpy(user->home, home.at, home.length);
    user->home[home.length] = '\0';
}

static bool add_more(struct agent_file group, const char *group_path, char *const *more,
    struct agent_user *user, struct agent_text *error)
{
    gid_t gid;

    for (; more && *more; more++) {
        struct agent_span name = { *more, strlen(*more) };

        if (!group_find(group, name, &gid)) {
            name_unknown(error, "group", name, group_path);
            return false;
        }
        if (!add_group(user, gid, error))
            return false;
    }
    return true;
}

bool agent_user_resolve(const char *passwd_path, const char *group_path, const char *wanted,
    char *const *more, struct agent_user *out_user, struct agent_text *error)
{
    const char *cursor = wanted && wanted[0] ? wanted : "0", *end = cursor + strlen(cursor);
    struct agent_span name, group_name = { NULL, 0 };
    struct agent_file passwd = { 0 }, group = { 0 };
    struct passwd_line line = { 0 };
    bool known, ok = false;

    out_user->group_count = 0;
    agent_span_next(&cursor, end, ':', &name);
    if (cursor <= end)
        group_name = (struct agent_span){ cursor, (size_t)(end - cursor) };
    if (name.length == 0)
        name = (struct agent_span){ "0", 1 };
    if (!map_table(passwd_path, &passwd, error) || !map_table(group_path, &group, error))
        goto out;

    known = passwd_find(passwd, name, &line);
    if (!known && !agent_number(name.at, name.length, ID_MAX, &line.uid)) {
        name_unknown(error, "user", name, passwd_path);
        goto out;
    }
    out_user->uid = line.uid;
    out_user->gid = known ? line.gid : 0;
    set_home(out_user, known ? line.home : (struct agent_span){ "/", 1 });
    if (group_name.length && !group_find(group, group_name, &out_user->gid)) {
        name_unknown(error, "group", group_name, group_path);
        goto out;
    }
    ok = add_group(out_user, out_user->gid, error);
    if (ok && known && !group_name.length)
        ok = add_memberships(group, line.name, out_user, error);
    ok = ok && add_more(group, group_path, more, out_user, error);
out:
    agent_file_unmap(&passwd);
    agent_file_unmap(&group);
    return ok;
}
