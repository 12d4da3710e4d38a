/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/cluster/wire_frame.c: every field of every frame comes back,
 * and what breaks the grammar is refused at both ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/wire.h"

static uint8_t  bytes_a[S3C_WIRE_HEAD_MAX + 1], bytes_b[S3C_WIRE_HEAD_MAX];


static int
fill(void **state)
{
    (void) state;

    for (size_t i = 0; i < sizeof(bytes_a); i++) {
        bytes_a[i] = (uint8_t) (i * 7 + i / 256);
    }

    for (size_t i = 0; i < sizeof(bytes_b); i++) {
        bytes_b[i] = (uint8_t) (i * 11 + 3);
    }

    return 0;
}


/* A frame with its tail, as it lies in a payload. */
static size_t
put(uint8_t *out, size_t size, const s3c_wire_frame_t *f)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, out, size);
    assert_int_equal(s3c_wire_frame_encode(&w, f), S3C_OK);
    s3c_write_slice(&w, s3c_wire_frame_tail(f));
    assert_true(s3c_writer_ok(&w));

    return s3c_writer_slice(&w).len;
}


static s3c_status_t
encode(const s3c_wire_frame_t *f)
{
    uint8_t       out[S3C_WIRE_FRAME_WRITES_MAX];
    s3c_status_t  st;
    s3c_writer_t  w;

    s3c_writer_init(&w, out, sizeof(out));
    st = s3c_wire_frame_encode(&w, f);

    if (st != S3C_OK) {
        assert_int_equal(s3c_writer_slice(&w).len, 0);
        assert_true(s3c_writer_ok(&w));
    }

    return st;
}


/* Of bytes that end where they end: ASan looks at every read behind them. */
static s3c_status_t
decode(const uint8_t *in, size_t len)
{
    uint8_t           *copy = malloc(len + 1);
    s3c_slice_t        rest = s3c_slice(copy + 1, len);
    s3c_status_t       st;
    s3c_wire_frame_t   f;

    assert_non_null(copy);
    memcpy(copy + 1, in, len);
    st = s3c_wire_frame_decode(&rest, &f);
    free(copy);

    return st;
}


static s3c_wire_frame_t
ask_of(s3c_wire_what_t what)
{
    s3c_wire_frame_t  f = {
        .type = S3C_WIRE_ASK, .stream = 0x80000001u,
        .ask = {
            .location = 0x0102030405060708ull, .window = 0xfffefdfcu,
            .what = (uint8_t) what, .flags = S3C_WIRE_TRUTH,
            .bucket = S3C_SLICE("photos"), .key = S3C_SLICE("2026/\0\xff.jpg"),
            .version_id = S3C_SLICE("v1")
        }
    };

    if (what != S3C_WIRE_HEAD) {
        f.ask.block = 0x1112131415161718ull;
    }

    if (what == S3C_WIRE_BLOCK) {
        f.ask.generation = 0x2122232425262728ull;
        f.ask.total = 0x3132333435363738ull;
        f.ask.last_modified = -1;
        f.ask.etag = S3C_SLICE("\"etag\"");
    }

    return f;
}


static s3c_wire_frame_t
meta_of(uint32_t off, uint32_t len, uint32_t head_bytes)
{
    return (s3c_wire_frame_t) {
        .type = S3C_WIRE_META, .stream = 7,
        .meta = {
            .age_ms = 0x0102030405060708ull, .left_ms = UINT64_MAX,
            .first = 0x1112131415161718ull, .bytes = 0x2122232425262728ull,
            .head_bytes = head_bytes, .head_off = off,
            .flags = S3C_WIRE_FLASH, .head_part = s3c_slice(bytes_a + off, len)
        }
    };
}


static void
assert_same(const s3c_wire_frame_t *a, const s3c_wire_frame_t *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->stream, b->stream);

    switch (a->type) {

    case S3C_WIRE_ASK:
        assert_int_equal(a->ask.location, b->ask.location);
        assert_int_equal(a->ask.block, b->ask.block);
        assert_int_equal(a->ask.generation, b->ask.generation);
        assert_int_equal(a->ask.total, b->ask.total);
        assert_int_equal(a->ask.last_modified, b->ask.last_modified);
        assert_int_equal(a->ask.window, b->ask.window);
        assert_int_equal(a->ask.what, b->ask.what);
        assert_int_equal(a->ask.flags, b->ask.flags);
        assert_true(s3c_slice_eq(a->ask.etag, b->ask.etag));
        assert_true(s3c_slice_eq(a->ask.bucket, b->ask.bucket));
        assert_true(s3c_slice_eq(a->ask.key, b->ask.key));
        assert_true(s3c_slice_eq(a->ask.version_id, b->ask.version_id));
        break;

    case S3C_WIRE_META:
        assert_int_equal(a->meta.age_ms, b->meta.age_ms);
        assert_int_equal(a->meta.left_ms, b->meta.left_ms);
        assert_int_equal(a->meta.first, b->meta.first);
        assert_int_equal(a->meta.bytes, b->meta.bytes);
        assert_int_equal(a->meta.head_bytes, b->meta.head_bytes);
        assert_int_equal(a->meta.head_off, b->meta.head_off);
        assert_int_equal(a->meta.flags, b->meta.flags);
        assert_true(s3c_slice_eq(a->meta.head_part, b->meta.head_part));
        break;

    case S3C_WIRE_DATA:
        assert_true(s3c_slice_eq(a->data, b->data));
        break;

    case S3C_WIRE_END:
        assert_int_equal(a->code, b->code);
        break;

    case S3C_WIRE_WINDOW:
        assert_int_equal(a->window, b->window);
        break;

    case S3C_WIRE_PING:
    case S3C_WIRE_PONG:
        assert_int_equal(a->echo, b->echo);
        break;

    default:
        break;
    }
}


/* One of each, small. */
static size_t
all_frames(s3c_wire_frame_t *f)
{
    size_t  n = 0;

    f[n++] = ask_of(S3C_WIRE_OBJECT);
    f[n++] = ask_of(S3C_WIRE_HEAD);
    f[n++] = ask_of(S3C_WIRE_BLOCK);
    f[n++] = meta_of(0, 50, 50);
    f[n++] = meta_of(0, 0, 0);
    f[n++] = (s3c_wire_frame_t) { .type = S3C_WIRE_DATA, .stream = 1,
                                  .data = s3c_slice(bytes_b, 77) };
    f[n++] = (s3c_wire_frame_t) { .type = S3C_WIRE_END, .stream = UINT32_MAX,
                                  .code = 0xabcd };
    f[n++] = (s3c_wire_frame_t) { .type = S3C_WIRE_END, .stream = 3,
                                  .code = S3C_WIRE_COMPLETE };
    f[n++] = (s3c_wire_frame_t) { .type = S3C_WIRE_CANCEL, .stream = 5 };
    f[n++] = (s3c_wire_frame_t) { .type = S3C_WIRE_WINDOW, .stream = 5,
                                  .window = 0x81828384u };
    f[n++] = (s3c_wire_frame_t) { .type = S3C_WIRE_PING,
                                  .echo = 0x8877665544332211ull };
    f[n++] = (s3c_wire_frame_t) { .type = S3C_WIRE_PONG, .echo = UINT64_MAX };
    f[n++] = (s3c_wire_frame_t) { .type = S3C_WIRE_GOODBYE };

    return n;
}


static void
every_field_of_every_frame_comes_back(void **state)
{
    size_t             n, len = 0;
    uint8_t            buf[4096];
    s3c_slice_t        rest;
    s3c_wire_frame_t   f[16], got;

    (void) state;
    n = all_frames(f);

    for (size_t i = 0; i < n; i++) {
        len += put(buf + len, sizeof(buf) - len, &f[i]);
    }

    rest = s3c_slice(buf, len);

    for (size_t i = 0; i < n; i++) {
        assert_int_equal(s3c_wire_frame_decode(&rest, &got), S3C_OK);
        assert_same(&f[i], &got);
    }

    assert_int_equal(s3c_wire_frame_decode(&rest, &got), S3C_MISS);
    assert_int_equal(rest.len, 0);
}


static void
a_frame_is_the_bytes_that_the_header_says(void **state)
{
    static const uint8_t  end[16] = { 0, 0, 0, 0, 4, 0, 0xcd, 0xab,
                                      0x78, 0x56, 0x34, 0x12 };
    static const uint8_t  ask[16 + 56 + 2] = {
        58, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 0, 0, 0, 0x80,           /* location */
        2, 0, 0, 0, 0, 0, 0, 0,              /* block */
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,              /* last modified */
        3, 0, 0, 0, 1, 1,                    /* window, what, flags */
        0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 'b', 'k'
    };

    size_t            n;
    uint8_t           buf[128];
    s3c_wire_frame_t  f;

    (void) state;

    f = (s3c_wire_frame_t) { .type = S3C_WIRE_END, .stream = 0x12345678u,
                             .code = 0xabcd };
    n = put(buf, sizeof(buf), &f);
    assert_int_equal(n, sizeof(end));
    assert_memory_equal(buf, end, n);

    f = (s3c_wire_frame_t) {
        .type = S3C_WIRE_ASK, .stream = 9,
        .ask = { .location = 0x8000000000000001ull, .block = 2, .window = 3,
                 .what = S3C_WIRE_OBJECT, .flags = S3C_WIRE_TRUTH,
                 .bucket = S3C_SLICE("b"), .key = S3C_SLICE("k") }
    };
    n = put(buf, sizeof(buf), &f);
    assert_int_equal(n, sizeof(ask));
    assert_memory_equal(buf, ask, n);
}


static void
frames_of_maximal_size_come_back(void **state)
{
    size_t             len;
    uint8_t           *buf = malloc(S3C_WIRE_RECORD_MAX);
    s3c_slice_t        rest;
    s3c_wire_frame_t   f, got;

    (void) state;
    assert_non_null(buf);

    f = ask_of(S3C_WIRE_BLOCK);
    f.ask.etag = s3c_slice(bytes_a, S3C_WIRE_ETAG_MAX);
    f.ask.bucket = s3c_slice(bytes_b, S3C_WIRE_BUCKET_MAX);
    f.ask.key = s3c_slice(bytes_a + 1, S3C_WIRE_KEY_MAX);
    f.ask.version_id = s3c_slice(bytes_b + 1, S3C_WIRE_VERSION_ID_MAX);
    assert_int_equal(put(buf, S3C_WIRE_RECORD_MAX, &f),
                     S3C_WIRE_FRAME_WRITES_MAX);
    rest = s3c_slice(buf, S3C_WIRE_FRAME_WRITES_MAX);
    assert_int_equal(s3c_wire_frame_decode(&rest, &got), S3C_OK);
    assert_same(&f, &got);

    f = meta_of(S3C_WIRE_HEAD_MAX - S3C_WIRE_DATA_MAX, S3C_WIRE_DATA_MAX,
                S3C_WIRE_HEAD_MAX);
    rest = s3c_slice(buf, put(buf, S3C_WIRE_RECORD_MAX, &f));
    assert_int_equal(s3c_wire_frame_decode(&rest, &got), S3C_OK);
    assert_same(&f, &got);
    assert_true(s3c_wire_meta_last(&got.meta));

    /* Two full ones fit into a record. */
    f = (s3c_wire_frame_t) { .type = S3C_WIRE_DATA, .stream = 1,
                             .data = s3c_slice(bytes_b, S3C_WIRE_DATA_MAX) };
    len = put(buf, S3C_WIRE_RECORD_MAX, &f);
    len += put(buf + len, S3C_WIRE_RECORD_MAX - len, &f);
    rest = s3c_slice(buf, len);
    assert_int_equal(s3c_wire_frame_decode(&rest, &got), S3C_OK);
    assert_same(&f, &got);
    assert_int_equal(s3c_wire_frame_decode(&rest, &got), S3C_OK);
    assert_same(&f, &got);
    assert_int_equal(s3c_wire_frame_decode(&rest, &got), S3C_MISS);

    free(buf);
}


static void
what_breaks_a_limit_is_not_encoded(void **state)
{
    s3c_wire_frame_t  f;

    (void) state;

#define refused(make, change)                                                 \
    f = make;                                                                 \
    assert_int_equal(encode(&f), S3C_OK);                                     \
    change;                                                                   \
    assert_int_equal(encode(&f), S3C_INVALID)

#define simple(t, s)  (s3c_wire_frame_t) { .type = (t), .stream = (s),        \
                                           .window = 1 }

    refused(simple(S3C_WIRE_CANCEL, 1), f.type = 0);
    refused(simple(S3C_WIRE_CANCEL, 1), f.type = S3C_WIRE_TYPES);
    refused(simple(S3C_WIRE_CANCEL, 1), f.type = 0x101);
    refused(simple(S3C_WIRE_CANCEL, 1), f.stream = 0);
    refused(simple(S3C_WIRE_END, 1), f.stream = 0);
    refused(simple(S3C_WIRE_WINDOW, 1), f.stream = 0);
    refused(simple(S3C_WIRE_WINDOW, 1), f.window = 0);
    refused(simple(S3C_WIRE_PING, 0), f.stream = 1);
    refused(simple(S3C_WIRE_PONG, 0), f.stream = 1);
    refused(simple(S3C_WIRE_GOODBYE, 0), f.stream = 1);

    for (int what = S3C_WIRE_OBJECT; what < S3C_WIRE_WHATS; what++) {
        s3c_wire_frame_t  ask = ask_of((s3c_wire_what_t) what);

        refused(ask, f.stream = 0);
        refused(ask, f.ask.what = 0);
        refused(ask, f.ask.what = S3C_WIRE_WHATS);
        refused(ask, f.ask.flags = S3C_WIRE_FULL << 1);
        refused(ask, f.ask.flags |= 0x80);
        refused(ask, f.ask.bucket = S3C_SLICE_NONE);
        refused(ask, f.ask.bucket = s3c_slice(bytes_a, 256));
        refused(ask, f.ask.key = S3C_SLICE_NONE);
        refused(ask, f.ask.key = s3c_slice(bytes_a, 1025));
        refused(ask, f.ask.version_id = s3c_slice(bytes_a, 1025));
        refused(ask, f.ask.etag = s3c_slice(bytes_a, 1025));
        refused(ask, f.ask.key = s3c_slice(bytes_a, 65536 + 5));

        if (what != S3C_WIRE_BLOCK) {
            refused(ask, f.ask.generation = 1);
            refused(ask, f.ask.total = 1);
            refused(ask, f.ask.last_modified = -1);
            refused(ask, f.ask.etag = S3C_SLICE("e"));
        }
    }

    refused(ask_of(S3C_WIRE_HEAD), f.ask.block = 1);

    refused(meta_of(0, 10, 10), f.stream = 0);
    refused(meta_of(0, 10, 10), f.meta.head_bytes = 9);
    refused(meta_of(0, 10, 10), f.meta.head_off = 1);
    refused(meta_of(0, 10, 10), f.meta.head_off = UINT32_MAX);
    refused(meta_of(0, 10, 10), f.meta.head_part.len = 0);
    refused(meta_of(0, 10, 10), f.meta.head_part.len = SIZE_MAX);
    refused(meta_of(0, 10, 10), f.meta.head_bytes = S3C_WIRE_HEAD_MAX + 1);
    refused(meta_of(0, S3C_WIRE_DATA_MAX, S3C_WIRE_HEAD_MAX),
            f.meta.head_part.len++);
    refused(meta_of(0, 0, 0), f.meta.head_off = 1);
    refused(meta_of(0, 0, 0), f.meta.flags = S3C_WIRE_FLASH << 1);
    refused(meta_of(0, 0, 0), f.meta.head_part.len = 1);
    refused(meta_of(0, 0, 0),
            f.meta.bytes = UINT64_MAX; f.meta.first = 1);

    f = meta_of(0, 0, 0);
    f.meta.bytes = UINT64_MAX;
    f.meta.first = 0;
    assert_int_equal(encode(&f), S3C_OK);

    f = (s3c_wire_frame_t) { .type = S3C_WIRE_DATA, .stream = 1,
                             .data = s3c_slice(bytes_a, S3C_WIRE_DATA_MAX) };
    refused(f, f.data.len++);
    f.data.len = 1;
    refused(f, f.data.len = 0);
    f.data.len = 1;
    refused(f, f.data.len = SIZE_MAX);
    f.data.len = 1;
    refused(f, f.data.len = (1ull << 32) + 1);

#undef refused
#undef simple
}


static void
a_frame_without_room_is_full_and_leaves_nothing(void **state)
{
    size_t             n, writes;
    uint8_t            buf[512], room[512];
    s3c_writer_t       w;
    s3c_wire_frame_t   f[16];

    (void) state;
    n = all_frames(f);

    for (size_t i = 0; i < n; i++) {
        writes = put(buf, sizeof(buf), &f[i])
                 - s3c_wire_frame_tail(&f[i]).len;

        for (size_t size = 0; size <= writes; size++) {
            s3c_writer_init(&w, room, size);
            assert_int_equal(s3c_wire_frame_encode(&w, &f[i]),
                             size < writes ? S3C_FULL : S3C_OK);
            assert_int_equal(s3c_writer_slice(&w).len,
                             size < writes ? 0 : writes);
            assert_true(s3c_writer_ok(&w));
        }
    }
}


static void
every_truncated_frame_is_invalid(void **state)
{
    size_t             n, len;
    uint8_t            buf[512];
    s3c_wire_frame_t   f[16];

    (void) state;
    n = all_frames(f);

    for (size_t i = 0; i < n; i++) {
        len = put(buf, sizeof(buf), &f[i]);
        assert_int_equal(decode(buf, len), S3C_OK);
        assert_int_equal(decode(buf, 0), S3C_MISS);

        for (size_t k = 1; k < len; k++) {
            assert_int_equal(decode(buf, k), S3C_INVALID);
        }

        /* Nor may its head say less than is there. */
        for (uint32_t k = 0; k < len - 16; k++) {
            memcpy(buf, &k, 4);

            if (f[i].type != S3C_WIRE_DATA && f[i].type != S3C_WIRE_META) {
                assert_int_equal(decode(buf, 16 + k), S3C_INVALID);
            }
        }
    }
}


/* A flipped bit of a frame is another frame or none: never one that cannot be
 * encoded again to the same bytes. */
static void
every_flipped_bit_is_read_as_it_is_or_refused(void **state)
{
    size_t             n, len;
    uint8_t            buf[512], again[512];
    s3c_slice_t        rest;
    s3c_status_t       st;
    s3c_wire_frame_t   f[16], got;

    (void) state;
    n = all_frames(f);

    for (size_t i = 0; i < n; i++) {
        len = put(buf, sizeof(buf), &f[i]);

        for (size_t bit = 0; bit < 8 * len; bit++) {
            buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
            rest = s3c_slice(buf, len);
            st = s3c_wire_frame_decode(&rest, &got);

            if (st == S3C_OK) {
                size_t  used = len - rest.len;

                assert_int_equal(put(again, sizeof(again), &got), used);
                assert_memory_equal(again, buf, used);

            } else {
                assert_int_equal(st, S3C_INVALID);
            }

            /* flags, zero */
            if (bit / 8 == 5 || bit / 8 >= 12) {
                assert_true(st == S3C_INVALID || bit / 8 >= 16);
            }

            buf[bit / 8] ^= (uint8_t) (1u << bit % 8);
        }
    }
}


static void
a_head_that_cannot_be_is_invalid(void **state)
{
    uint8_t               buf[64] = { 0 };
    s3c_wire_frame_rec_t  rec;

    (void) state;

#define look(expected, ...)                                                   \
    rec = (s3c_wire_frame_rec_t) { __VA_ARGS__ };                             \
    memcpy(buf, &rec, sizeof(rec));                                           \
    memset(buf + 16, 1, 48);                                                  \
    assert_int_equal(decode(buf, 16 + rec.bytes % 49), expected)

    look(S3C_OK, .type = S3C_WIRE_CANCEL, .stream = 1);
    look(S3C_INVALID, .type = S3C_WIRE_CANCEL, .stream = 1, .zero = 1);
    look(S3C_INVALID, .type = S3C_WIRE_CANCEL, .stream = 1, .code = 1);
    look(S3C_INVALID, .type = S3C_WIRE_CANCEL, .stream = 1, .flags = 1);
    look(S3C_INVALID, .type = S3C_WIRE_CANCEL, .stream = 1, .bytes = 1);
    look(S3C_INVALID, .type = S3C_WIRE_CANCEL);
    look(S3C_INVALID, .type = S3C_WIRE_CANCEL, .stream = 1,
         .flags = S3C_WIRE_OPTIONAL);
    look(S3C_OK, .type = S3C_WIRE_END, .stream = 1, .code = 9);
    look(S3C_INVALID, .type = S3C_WIRE_END, .code = 9);
    look(S3C_OK, .type = S3C_WIRE_WINDOW, .stream = 1, .bytes = 4);
    look(S3C_INVALID, .type = S3C_WIRE_WINDOW, .stream = 1, .bytes = 3);
    look(S3C_INVALID, .type = S3C_WIRE_WINDOW, .stream = 1, .bytes = 5);
    look(S3C_OK, .type = S3C_WIRE_PING, .bytes = 8);
    look(S3C_INVALID, .type = S3C_WIRE_PING, .bytes = 7);
    look(S3C_INVALID, .type = S3C_WIRE_PONG, .bytes = 9);
    look(S3C_INVALID, .type = S3C_WIRE_PONG, .bytes = 8, .stream = 2);
    look(S3C_OK, .type = S3C_WIRE_GOODBYE);
    look(S3C_INVALID, .type = S3C_WIRE_GOODBYE, .stream = 2);
    look(S3C_INVALID, .type = S3C_WIRE_DATA, .stream = 2);
    look(S3C_OK, .type = S3C_WIRE_DATA, .stream = 2, .bytes = 48);
    look(S3C_INVALID, .type = S3C_WIRE_DATA, .stream = 2, .bytes = UINT32_MAX);
    look(S3C_INVALID, .type = S3C_WIRE_ASK, .stream = 2, .bytes = 48);
    look(S3C_INVALID, .type = S3C_WIRE_META, .stream = 2, .bytes = 39);
    look(S3C_INVALID, .type = 0);
    look(S3C_INVALID, .type = 0, .flags = S3C_WIRE_OPTIONAL);

#undef look
}


static void
body_and_head_bytes_over_the_limit_are_invalid(void **state)
{
    uint8_t               *buf = calloc(1, S3C_WIRE_RECORD_MAX);
    s3c_wire_meta_rec_t    meta = { .head_bytes = S3C_WIRE_HEAD_MAX };
    s3c_wire_frame_rec_t   rec = { .type = S3C_WIRE_DATA, .stream = 1 };

    (void) state;
    assert_non_null(buf);

    for (uint32_t over = 0; over < 2; over++) {
        rec.type = S3C_WIRE_DATA;
        rec.bytes = S3C_WIRE_DATA_MAX + over;
        memcpy(buf, &rec, sizeof(rec));
        assert_int_equal(decode(buf, 16 + rec.bytes),
                         over ? S3C_INVALID : S3C_OK);

        rec.type = S3C_WIRE_META;
        rec.bytes = (uint32_t) sizeof(meta) + S3C_WIRE_DATA_MAX + over;
        memcpy(buf, &rec, sizeof(rec));
        memcpy(buf + 16, &meta, sizeof(meta));
        assert_int_equal(decode(buf, 16 + rec.bytes),
                         over ? S3C_INVALID : S3C_OK);
    }

    free(buf);
}


static void
what_cannot_be_asked_is_invalid(void **state)
{
    size_t              len;
    uint8_t             buf[8192];
    s3c_wire_ask_rec_t  rec;
    s3c_wire_frame_t    f;

    (void) state;
    memset(buf, 'x', sizeof(buf));

#define look(of, change, expected)                                            \
    f = ask_of(of);                                                           \
    len = put(buf, sizeof(buf), &f);                                          \
    memcpy(&rec, buf + 16, sizeof(rec));                                      \
    change;                                                                   \
    memcpy(buf + 16, &rec, sizeof(rec));                                      \
    memcpy(buf, &(uint32_t) { (uint32_t) (len - 16) }, 4);                    \
    assert_int_equal(decode(buf, len), expected)

    look(S3C_WIRE_BLOCK, (void) 0, S3C_OK);
    look(S3C_WIRE_BLOCK, rec.zero = 1, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.what = 0, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.what = S3C_WIRE_WHATS, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.what = S3C_WIRE_OBJECT, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.what = S3C_WIRE_HEAD, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.flags = 0, S3C_OK);
    look(S3C_WIRE_BLOCK, rec.flags = 15, S3C_OK);
    look(S3C_WIRE_BLOCK, rec.flags = 16, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.etag_bytes++, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.etag_bytes--, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.etag_bytes++; rec.key_bytes--, S3C_OK);
    look(S3C_WIRE_BLOCK, rec.bucket_bytes = 0; rec.key_bytes += 6,
         S3C_INVALID);
    look(S3C_WIRE_BLOCK,
         rec.bucket_bytes = (uint16_t) (rec.bucket_bytes + rec.key_bytes);
         rec.key_bytes = 0, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.key_bytes = UINT16_MAX, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.etag_bytes = rec.bucket_bytes = rec.key_bytes
         = rec.version_id_bytes = UINT16_MAX, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.bucket_bytes = 255; len += 249, S3C_OK);
    look(S3C_WIRE_BLOCK, rec.bucket_bytes = 256; len += 250, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.version_id_bytes = 1024; len += 1022, S3C_OK);
    look(S3C_WIRE_BLOCK, rec.version_id_bytes = 1025; len += 1023,
         S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.etag_bytes = 1025; len += 1019, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.key_bytes = 1025; len += 1014, S3C_INVALID);
    look(S3C_WIRE_BLOCK, len++, S3C_INVALID);
    look(S3C_WIRE_BLOCK, len--, S3C_INVALID);
    look(S3C_WIRE_OBJECT, rec.block = UINT64_MAX, S3C_OK);
    look(S3C_WIRE_OBJECT, rec.generation = 1, S3C_INVALID);
    look(S3C_WIRE_OBJECT, rec.total = 1, S3C_INVALID);
    look(S3C_WIRE_OBJECT, rec.last_modified = 1, S3C_INVALID);
    look(S3C_WIRE_OBJECT, rec.etag_bytes = 1; rec.key_bytes--, S3C_INVALID);
    look(S3C_WIRE_HEAD, rec.block = 1, S3C_INVALID);

#undef look
}


static void
what_is_optional_is_skipped_and_nothing_else(void **state)
{
    size_t                len;
    uint8_t               buf[256];
    s3c_slice_t           rest;
    s3c_wire_frame_t      got, bye = { .type = S3C_WIRE_GOODBYE };
    s3c_wire_frame_rec_t  rec = { .bytes = 100, .type = S3C_WIRE_TYPES,
                                  .flags = S3C_WIRE_OPTIONAL | 5, .code = 3,
                                  .stream = 8 };

    (void) state;
    memset(buf, 0xee, sizeof(buf));
    len = 16 + 100;
    len += put(buf + len, sizeof(buf) - len, &bye);

    for (int type = S3C_WIRE_TYPES; type < 256; type++) {
        rec.type = (uint8_t) type;
        rec.flags |= S3C_WIRE_OPTIONAL;
        memcpy(buf, &rec, sizeof(rec));
        rest = s3c_slice(buf, len);
        assert_int_equal(s3c_wire_frame_decode(&rest, &got), S3C_OK);
        assert_int_equal(got.type, S3C_WIRE_GOODBYE);
        assert_int_equal(decode(buf, 116), S3C_MISS);
        assert_int_equal(decode(buf, 115), S3C_INVALID);

        rec.flags = 0x7f;
        memcpy(buf, &rec, sizeof(rec));
        assert_int_equal(decode(buf, len), S3C_INVALID);
    }
}


static void
a_head_comes_in_parts_that_follow_each_other(void **state)
{
    uint32_t           got = 0;
    uint8_t           *head = malloc(S3C_WIRE_HEAD_MAX);
    uint8_t           *buf = malloc(S3C_WIRE_RECORD_MAX);
    s3c_slice_t        rest;
    s3c_wire_meta_t    first = { 0 }, bad;
    s3c_wire_frame_t   f;

    (void) state;
    assert_non_null(head);
    assert_non_null(buf);

    do {
        uint32_t  n = S3C_WIRE_HEAD_MAX - got;

        f = meta_of(got, n < S3C_WIRE_DATA_MAX ? n : S3C_WIRE_DATA_MAX,
                    S3C_WIRE_HEAD_MAX);
        rest = s3c_slice(buf, put(buf, S3C_WIRE_RECORD_MAX, &f));
        assert_int_equal(s3c_wire_frame_decode(&rest, &f), S3C_OK);

        if (got == 0) {
            first = f.meta;
        }

        assert_int_equal(s3c_wire_meta_follows(&first, got, &f.meta), S3C_OK);
        assert_int_equal(s3c_wire_meta_follows(&first, got + 1, &f.meta),
                         S3C_INVALID);
        memcpy(head + got, f.meta.head_part.data, f.meta.head_part.len);
        got += (uint32_t) f.meta.head_part.len;
        assert_int_equal(s3c_wire_meta_last(&f.meta),
                         got == S3C_WIRE_HEAD_MAX);
    } while (!s3c_wire_meta_last(&f.meta));

    assert_memory_equal(head, bytes_a, S3C_WIRE_HEAD_MAX);

#define refused(change)                                                       \
    bad = first;                                                              \
    change;                                                                   \
    assert_int_equal(s3c_wire_meta_follows(&first, 0, &bad), S3C_INVALID)

    refused(bad.age_ms++);
    refused(bad.left_ms--);
    refused(bad.first++);
    refused(bad.bytes++);
    refused(bad.head_bytes--);
    refused(bad.head_off++);
    refused(bad.flags ^= S3C_WIRE_RAM);

#undef refused

    free(head);
    free(buf);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(every_field_of_every_frame_comes_back),
        cmocka_unit_test(a_frame_is_the_bytes_that_the_header_says),
        cmocka_unit_test(frames_of_maximal_size_come_back),
        cmocka_unit_test(what_breaks_a_limit_is_not_encoded),
        cmocka_unit_test(a_frame_without_room_is_full_and_leaves_nothing),
        cmocka_unit_test(every_truncated_frame_is_invalid),
        cmocka_unit_test(every_flipped_bit_is_read_as_it_is_or_refused),
        cmocka_unit_test(a_head_that_cannot_be_is_invalid),
        cmocka_unit_test(body_and_head_bytes_over_the_limit_are_invalid),
        cmocka_unit_test(what_cannot_be_asked_is_invalid),
        cmocka_unit_test(what_is_optional_is_skipped_and_nothing_else),
        cmocka_unit_test(a_head_comes_in_parts_that_follow_each_other),
    };

    return cmocka_run_group_tests(tests, fill, NULL);
}
