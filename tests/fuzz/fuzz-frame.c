/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The frame reader. The first byte says how large the pieces are in which the rest arrives: the
 * frames that come out, and where the reader gives up, must not depend on that.
 */

#include <duet/protocol.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    size_t frames, bytes;
    uint32_t hash;
    int last;
};

static void take(struct result *result, const struct duet_frame *frame)
{
    result->frames++;
    result->bytes += DUET_FRAME_HEADER_BYTES + (size_t)frame->length;
    result->hash = result->hash * 31 + frame->type + frame->channel * 7u + frame->session * 13u;
    for (uint32_t i = 0; i < frame->length; i++)
        result->hash = result->hash * 31 + frame->payload[i];
}

static struct result feed(const uint8_t *data, size_t size, size_t piece)
{
    struct duet_frame_reader reader = { 0 };
    struct result result = { 0 };
    struct duet_frame frame;

    while (size > 0 && result.last >= 0) {
        size_t room, n = size < piece ? size : piece;
        uint8_t *space = duet_frame_reader_space(&reader, &room);

        if (!space || room < 4096)
            abort();
        if (n > room)
            n = room;
        memcpy(space, data, n);
        duet_frame_reader_fed(&reader, n);
        data += n;
        size -= n;
        while ((result.last = duet_frame_reader_next(&reader, &frame)) > 0)
            take(&result, &frame);
    }
    duet_frame_reader_clear(&reader);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result whole, pieces;

    if (size < 1)
        return 0;
    whole = feed(data + 1, size - 1, SIZE_MAX);
    pieces = feed(data + 1, size - 1, (size_t)data[0] + 1);
    if (whole.frames != pieces.frames || whole.bytes != pieces.bytes || whole.hash != pieces.hash ||
        whole.last != pieces.last || whole.bytes > size - 1)
        abort();
    return 0;
}
