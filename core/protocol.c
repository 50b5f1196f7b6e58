/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Frames and fields of the protocol (include/duet/protocol.h). Plain C without GLib: the agent
 * compiles this file too. The bytes come from the other side of a trust boundary: every length is
 * checked before it is used, and no input can make the reader hold more than its largest frame.
 */

#include <duet/protocol.h>

#include <stdlib.h>
#include <string.h>

#define SPACE_BYTES ((size_t)4096)
#define SMALL_BYTES (DUET_FRAME_HEADER_BYTES + (size_t)DUET_FRAME_MAX_BYTES + SPACE_BYTES)
#define LARGE_BYTES (DUET_FRAME_HEADER_BYTES + (size_t)DUET_FRAME_MAX_SPAWN_BYTES + SPACE_BYTES)
#define FIELD_HEADER_BYTES 5

uint32_t duet_get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
        (uint32_t)bytes[3] << 24;
}

uint64_t duet_get_u64(const uint8_t *bytes)
{
    return (uint64_t)duet_get_u32(bytes) | (uint64_t)duet_get_u32(bytes + 4) << 32;
}

void duet_put_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

void duet_put_u64(uint8_t *bytes, uint64_t value)
{
    duet_put_u32(bytes, (uint32_t)value);
    duet_put_u32(bytes + 4, (uint32_t)(value >> 32));
}

void duet_frame_header(uint8_t out[DUET_FRAME_HEADER_BYTES], uint8_t type, uint8_t channel,
    uint16_t session, uint32_t length)
{
    out[0] = type;
    out[1] = channel;
    out[2] = (uint8_t)session;
    out[3] = (uint8_t)(session >> 8);
    duet_put_u32(out + 4, length);
}

/* The largest payload of a frame of @type, or -1 for a type that this version does not know. */
static int64_t frame_bound(uint8_t type)
{
    switch (type) {
    case DUET_FRAME_SPAWN:
        return DUET_FRAME_MAX_SPAWN_BYTES;
    case DUET_FRAME_HELLO:
    case DUET_FRAME_CONFIG:
    case DUET_FRAME_STARTED:
    case DUET_FRAME_FAILED:
    case DUET_FRAME_DATA:
    case DUET_FRAME_EOF:
    case DUET_FRAME_CLOSE:
    case DUET_FRAME_CREDIT:
    case DUET_FRAME_SIGNAL:
    case DUET_FRAME_EXIT:
    case DUET_FRAME_SHUTDOWN:
    case DUET_FRAME_ENDED:
    case DUET_FRAME_RESIZE:
    case DUET_FRAME_CHANGE:
    case DUET_FRAME_QUIESCE:
    case DUET_FRAME_QUIET:
    case DUET_FRAME_GO_ON:
    case DUET_FRAME_READY:
    case DUET_FRAME_ATTACH:
    case DUET_FRAME_STOP:
    case DUET_FRAME_KILL:
    case DUET_FRAME_WAIT:
    case DUET_FRAME_STATE:
    case DUET_FRAME_PAUSE:
    case DUET_FRAME_RESUME:
    case DUET_FRAME_UPDATE:
    case DUET_FRAME_HEALTH:
    case DUET_FRAME_SAVE:
    case DUET_FRAME_OK:
    case DUET_FRAME_ERROR:
    case DUET_FRAME_NOTICE:
    case DUET_FRAME_RELEASED:
        return DUET_FRAME_MAX_BYTES;
    default:
        return -1;
    }
}

/* How many bytes the frame at the front takes in all; 0 while its header is not complete, or wrong:
 * duet_frame_reader_next() is the one to refuse it. */
static size_t frame_bytes(const struct duet_frame_reader *reader)
{
    const uint8_t *header;
    uint32_t length;
    int64_t bound;

    if (reader->end - reader->start < DUET_FRAME_HEADER_BYTES)
        return 0;
    header = reader->buffer + reader->start;
    length = duet_get_u32(header + 4);
    bound = frame_bound(header[0]);
    if (bound < 0 || length > bound)
        return 0;
    return DUET_FRAME_HEADER_BYTES + (size_t)length;
}

/* Moves what is held to a buffer of @size bytes. */
static int reader_resize(struct duet_frame_reader *reader, size_t size)
{
    size_t held = reader->end - reader->start;
    uint8_t *buffer = malloc(size);

    if (!buffer)
        return -1;
    if (held)
        memcpy(buffer, reader->buffer + reader->start, held);
    free(reader->buffer);
    *reader = (struct duet_frame_reader){ .buffer = buffer, .size = size, .end = held };
    return 0;
}

uint8_t *duet_frame_reader_space(struct duet_frame_reader *reader, size_t *out_bytes)
{
    size_t held = reader->end - reader->start;
    size_t wanted = frame_bytes(reader);

    if (wanted < held)
        wanted = held;
    wanted += SPACE_BYTES;
    if (wanted > LARGE_BYTES)
        return NULL; /* the caller feeds without ever taking a frame */
    /* Two sizes only; the large one goes when what is held fits the small one again. */
    if (wanted > reader->size || (reader->size > SMALL_BYTES && wanted <= SMALL_BYTES)) {
        if (reader_resize(reader, wanted <= SMALL_BYTES ? SMALL_BYTES : LARGE_BYTES) < 0)
            return NULL;
    } else if (held == 0) {
        reader->start = reader->end = 0;
    } else if (reader->size - reader->start < wanted) {
        memmove(reader->buffer, reader->buffer + reader->start, held);
        reader->start = 0;
        reader->end = held;
    }
    *out_bytes = reader->size - reader->end;
    return reader->buffer + reader->end;
}

void duet_frame_reader_fed(struct duet_frame_reader *reader, size_t bytes)
{
    size_t room = reader->size - reader->end;

    reader->end += bytes < room ? bytes : room;
}

int duet_frame_reader_next(struct duet_frame_reader *reader, struct duet_frame *out_frame)
{
    const uint8_t *header;
    size_t held = reader->end - reader->start, bytes;

    if (held == 0)
        return 0;
    header = reader->buffer + reader->start;
    /* A wrong type is told by its first byte: no need to wait for the rest. */
    if (frame_bound(header[0]) < 0)
        return -1;
    if (held < DUET_FRAME_HEADER_BYTES)
        return 0;
    bytes = frame_bytes(reader);
    if (bytes == 0)
        return -1;
    if (held < bytes)
        return 0;
    *out_frame = (struct duet_frame){
        .type = header[0],
        .channel = header[1],
        .session = (uint16_t)(header[2] | header[3] << 8),
        .length = duet_get_u32(header + 4),
        .payload = header + DUET_FRAME_HEADER_BYTES,
    };
    reader->start += bytes;
    return 1;
}

void duet_frame_reader_clear(struct duet_frame_reader *reader)
{
    free(reader->buffer);
    *reader = (struct duet_frame_reader){ 0 };
}

int duet_field_next(const uint8_t *payload, size_t length, size_t *cursor, uint8_t *out_tag,
    const uint8_t **out_bytes, uint32_t *out_length)
{
    size_t left = length - *cursor;
    uint32_t bytes;

    if (*cursor > length)
        return -1;
    if (left == 0)
        return 0;
    if (left < FIELD_HEADER_BYTES)
        return -1;
    bytes = duet_get_u32(payload + *cursor + 1);
    if (bytes > left - FIELD_HEADER_BYTES)
        return -1;
    *out_tag = payload[*cursor];
    *out_bytes = payload + *cursor + FIELD_HEADER_BYTES;
    *out_length = bytes;
    *cursor += FIELD_HEADER_BYTES + (size_t)bytes;
    return 1;
}
