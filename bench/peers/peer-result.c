/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-result.h"

void duet_peer_sample_write(const DuetSample *sample, JsonObject *object)
{
    if (sample->command_exit_ns == 0)
        return;
    JsonObject *command = json_object_new();
    if (sample->command_output_ns != 0)
        json_object_set_int_member(command, "output", sample->command_output_ns);
    json_object_set_int_member(command, "exit", sample->command_exit_ns);
    json_object_set_object_member(object, "command_ns", command);
}

void duet_peer_sample_read(DuetJsonReader *reader, JsonObject *object, DuetSample *sample)
{
    if (!duet_json_member(object, "command_ns"))
        return;
    JsonObject *command = duet_json_get_object(reader, object, "command_ns");
    sample->command_output_ns = duet_json_get_int(reader, command, "output", 0, G_MAXINT64, 0);
    sample->command_exit_ns = duet_json_get_int(reader, command, "exit", 0, G_MAXINT64, 0);
}

void duet_peer_root_write(const DuetRun *run, JsonObject *root)
{
    if (run->skipped->len > 0)
        duet_json_set_strings(
            root, "skipped_peers", (char *const *)run->skipped->pdata, run->skipped->len);
}

void duet_peer_root_read(DuetJsonReader *reader, JsonObject *root, DuetRun *run)
{
    if (duet_json_member(root, "skipped_peers"))
        duet_json_get_strings(reader, root, "skipped_peers", run->skipped);
}
