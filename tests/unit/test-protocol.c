/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <duet/protocol.h>

#include <glib.h>
#include <string.h>

static void stream_add(
    GByteArray *stream, guint8 type, guint8 channel, guint16 session, const void *bytes, gsize n)
{
    guint8 header[DUET_FRAME_HEADER_BYTES];

    duet_frame_header(header, type, channel, session, (guint32)n);
    g_byte_array_append(stream, header, sizeof(header));
    if (n)
        g_byte_array_append(stream, bytes, (guint)n);
}

/* Feeds @n bytes as the reader gives space; after each feed, appends what comes out to @seen. */
static int reader_feed(
    struct duet_frame_reader *reader, const guint8 *bytes, gsize n, GByteArray *seen)
{
    struct duet_frame frame;
    int more = 0;

    while (n > 0) {
        size_t room;
        guint8 *space = duet_frame_reader_space(reader, &room);
        gsize part = MIN(room, n);

        g_assert_nonnull(space);
        g_assert_cmpuint(room, >=, 4096);
        memcpy(space, bytes, part);
        duet_frame_reader_fed(reader, part);
        bytes += part;
        n -= part;
        while ((more = duet_frame_reader_next(reader, &frame)) > 0)
            stream_add(seen, frame.type, frame.channel, frame.session, frame.payload, frame.length);
        if (more < 0)
            break;
    }
    return more;
}

static void assert_same(const GByteArray *a, const GByteArray *b)
{
    g_assert_cmpmem(a->data, a->len, b->data, b->len);
}

static void test_numbers(void)
{
    guint8 bytes[8];

    duet_put_u64(bytes, G_GUINT64_CONSTANT(0x8877665544332211));
    g_assert_cmpmem(bytes, 8, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
    g_assert_cmpuint(duet_get_u64(bytes), ==, G_GUINT64_CONSTANT(0x8877665544332211));
    duet_put_u32(bytes, 0xfffefdfc);
    g_assert_cmpmem(bytes, 4, "\xfc\xfd\xfe\xff", 4);
    g_assert_cmpuint(duet_get_u32(bytes), ==, 0xfffefdfc);
}

static void test_header(void)
{
    guint8 header[DUET_FRAME_HEADER_BYTES];

    duet_frame_header(header, DUET_FRAME_DATA, DUET_CHANNEL_STDERR, 0x1234, 0x00010203);
    g_assert_cmpmem(header, 8, "\x06\x02\x34\x12\x03\x02\x01\x00", 8);
}

/* Four frames, cut in two at every byte, and fed byte by byte. */
static void test_split(void)
{
    g_autoptr(GByteArray) stream = g_byte_array_new();

    stream_add(stream, DUET_FRAME_HELLO, 0, 0, "12345678901234567890", 20);
    stream_add(stream, DUET_FRAME_EOF, DUET_CHANNEL_STDOUT, 65535, NULL, 0);
    stream_add(stream, DUET_FRAME_DATA, DUET_CHANNEL_STDERR, 256, "\0\1\2", 3);
    stream_add(stream, DUET_FRAME_RELEASED, 0, 0, "state", 5);
    for (guint cut = 0; cut <= stream->len; cut++) {
        struct duet_frame_reader reader = { 0 };
        g_autoptr(GByteArray) seen = g_byte_array_new();

        g_assert_cmpint(reader_feed(&reader, stream->data, cut, seen), ==, 0);
        g_assert_cmpint(reader_feed(&reader, stream->data + cut, stream->len - cut, seen), ==, 0);
        assert_same(stream, seen);
        duet_frame_reader_clear(&reader);
    }
    struct duet_frame_reader reader = { 0 };
    g_autoptr(GByteArray) seen = g_byte_array_new();
    for (guint i = 0; i < stream->len; i++)
        g_assert_cmpint(reader_feed(&reader, stream->data + i, 1, seen), ==, 0);
    assert_same(stream, seen);
    duet_frame_reader_clear(&reader);
}

/* Random frames in random pieces come out as they went in. */
static void test_random(void)
{
    static const guint8 types[] = { DUET_FRAME_DATA, DUET_FRAME_SPAWN, DUET_FRAME_CREDIT,
        DUET_FRAME_CONFIG, DUET_FRAME_NOTICE };

    for (int round = 0; round < 60; round++) {
        struct duet_frame_reader reader = { 0 };
        g_autoptr(GByteArray) stream = g_byte_array_new();
        g_autoptr(GByteArray) seen = g_byte_array_new();

        for (int i = 0; i < 20; i++) {
            guint8 type = types[g_test_rand_int_range(0, G_N_ELEMENTS(types))];
            gboolean small = g_test_rand_bit();
            gint32 bound = type == DUET_FRAME_SPAWN && round % 10 == 0
                ? (gint32)DUET_FRAME_MAX_SPAWN_BYTES
                : (gint32)DUET_FRAME_MAX_BYTES;
            gsize n = (gsize)g_test_rand_int_range(0, small ? 40 : bound + 1);
            g_autofree guint8 *bytes = g_malloc(n + 1);

            for (gsize at = 0; at < n; at++)
                bytes[at] = (guint8)(at * 31 + n);
            stream_add(stream, type, (guint8)g_test_rand_int_range(0, 256),
                (guint16)g_test_rand_int_range(0, 65536), bytes, n);
        }
        for (guint at = 0; at < stream->len;) {
            guint n = (guint)g_test_rand_int_range(1, 30000);

            n = MIN(n, stream->len - at);
            g_assert_cmpint(reader_feed(&reader, stream->data + at, n, seen), ==, 0);
            at += n;
        }
        assert_same(stream, seen);
        duet_frame_reader_clear(&reader);
    }
}

static int feed_header(guint8 type, guint32 length)
{
    struct duet_frame_reader reader = { 0 };
    g_autoptr(GByteArray) seen = g_byte_array_new();
    guint8 header[DUET_FRAME_HEADER_BYTES];
    int more;

    duet_frame_header(header, type, 0, 0, length);
    more = reader_feed(&reader, header, sizeof(header), seen);
    duet_frame_reader_clear(&reader);
    return more;
}

static void test_bounds(void)
{
    struct duet_frame_reader reader = { 0 };
    g_autoptr(GByteArray) seen = g_byte_array_new();

    for (guint type = 0; type < 256; type++) {
        gboolean known = (type >= DUET_FRAME_HELLO && type <= DUET_FRAME_READY) ||
            (type >= DUET_FRAME_ATTACH && type <= DUET_FRAME_UPDATE) || type == DUET_FRAME_HEALTH ||
            type == DUET_FRAME_SAVE || (type >= DUET_FRAME_OK && type <= DUET_FRAME_RELEASED);
        guint32 bound =
            type == DUET_FRAME_SPAWN ? DUET_FRAME_MAX_SPAWN_BYTES : DUET_FRAME_MAX_BYTES;

        g_assert_cmpint(feed_header((guint8)type, bound), ==, known ? 0 : -1);
        g_assert_cmpint(feed_header((guint8)type, bound + 1), ==, -1);
        g_assert_cmpint(feed_header((guint8)type, G_MAXUINT32), ==, -1);
    }
    /* An unknown type is refused by its first byte alone. */
    g_assert_cmpint(reader_feed(&reader, (const guint8 *)"\xff", 1, seen), ==, -1);
    duet_frame_reader_clear(&reader);
}

/* What the reader holds follows the frame at hand: large for a large one, small again after it. */
static void test_memory(void)
{
    struct duet_frame_reader reader = { 0 };
    g_autoptr(GByteArray) stream = g_byte_array_new();
    g_autoptr(GByteArray) seen = g_byte_array_new();
    g_autofree guint8 *bytes = g_malloc0(DUET_FRAME_MAX_SPAWN_BYTES);
    size_t room;

    stream_add(stream, DUET_FRAME_SPAWN, 0, 0, bytes, DUET_FRAME_MAX_SPAWN_BYTES);
    g_assert_cmpint(reader_feed(&reader, stream->data, stream->len, seen), ==, 0);
    assert_same(stream, seen);
    g_assert_cmpuint(reader.size, >=, stream->len);
    g_assert_nonnull(duet_frame_reader_space(&reader, &room));
    g_assert_cmpuint(reader.size, <, 80 * 1024);
    duet_frame_reader_clear(&reader);

    /* A caller that never takes a frame is stopped, and fed() can't be made to lie. */
    for (int i = 0; i < 100000 && duet_frame_reader_space(&reader, &room); i++)
        duet_frame_reader_fed(&reader, G_MAXSIZE / 2);
    g_assert_null(duet_frame_reader_space(&reader, &room));
    g_assert_cmpuint(reader.size, <, 3 * 1024 * 1024);
    duet_frame_reader_clear(&reader);
}

static void field_add(GByteArray *fields, guint8 tag, const void *bytes, guint32 n)
{
    guint8 header[5] = { tag };

    duet_put_u32(header + 1, n);
    g_byte_array_append(fields, header, sizeof(header));
    if (n)
        g_byte_array_append(fields, bytes, n);
}

/* Every cut of a list of fields is the fields before the cut, then an end or an error. */
static void test_fields(void)
{
    static const char *const texts[] = { "", "a", "longer text", "x" };
    g_autoptr(GByteArray) fields = g_byte_array_new();
    guint ends[G_N_ELEMENTS(texts) + 1] = { 0 };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        field_add(fields, (guint8)(i + 1), texts[i], (guint32)strlen(texts[i]));
        ends[i + 1] = fields->len;
    }
    for (guint cut = 0; cut <= fields->len; cut++) {
        g_autofree guint8 *copy = g_memdup2(fields->data, cut); /* for ASan: no byte beyond */
        const guint8 *bytes;
        guint32 n;
        guint8 tag;
        size_t cursor = 0;
        guint count = 0;
        int more;

        while ((more = duet_field_next(copy, cut, &cursor, &tag, &bytes, &n)) > 0) {
            g_assert_cmpuint(tag, ==, count + 1);
            g_assert_cmpmem(bytes, n, texts[count], strlen(texts[count]));
            count++;
        }
        g_assert_cmpuint(ends[count], <=, cut);
        g_assert_cmpint(more, ==, ends[count] == cut ? 0 : -1);
    }
}

static void test_field_lengths(void)
{
    static const guint32 lengths[] = { 1, 100, G_MAXINT32, G_MAXUINT32 - 5, G_MAXUINT32 };

    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        guint8 field[5] = { DUET_FIELD_ARG };
        const guint8 *bytes;
        guint32 n;
        guint8 tag;
        size_t cursor = 0;

        duet_put_u32(field + 1, lengths[i]);
        g_assert_cmpint(duet_field_next(field, sizeof(field), &cursor, &tag, &bytes, &n), ==, -1);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol/numbers", test_numbers);
    g_test_add_func("/protocol/header", test_header);
    g_test_add_func("/protocol/split", test_split);
    g_test_add_func("/protocol/random", test_random);
    g_test_add_func("/protocol/bounds", test_bounds);
    g_test_add_func("/protocol/memory", test_memory);
    g_test_add_func("/protocol/fields", test_fields);
    g_test_add_func("/protocol/field-lengths", test_field_lengths);
    return g_test_run();
}
