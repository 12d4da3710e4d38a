/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of frames share: frames of every kind, with bytes to put into
 * them, and how they are compared.
 */
#ifndef T_UNIT_CLUSTER_WIRE_FRAME_TEST_H
#define T_UNIT_CLUSTER_WIRE_FRAME_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/wire.h"

static uint8_t  bytes_a[S3C_WIRE_HEAD_MAX + 1], bytes_b[S3C_WIRE_HEAD_MAX];


static inline int
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
static inline size_t
put(uint8_t *out, size_t size, const s3c_wire_frame_t *f)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, out, size);
    assert_int_equal(s3c_wire_frame_encode(&w, f), S3C_OK);
    s3c_write_slice(&w, s3c_wire_frame_tail(f));
    assert_true(s3c_writer_ok(&w));

    return s3c_writer_slice(&w).len;
}


static inline s3c_status_t
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
static inline s3c_status_t
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


static inline s3c_wire_frame_t
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

    if (what == S3C_WIRE_FENCE || what == S3C_WIRE_LIFT) {
        f.ask.generation = 0x2122232425262728ull;
        f.ask.block = S3C_WIRE_HOLD_MAX;
        f.ask.flags = 0;
    }

    if (what == S3C_WIRE_HAVE) {
        f.ask.generation = 0x2122232425262728ull;
        f.ask.block = S3C_WIRE_HAVE_MAX;
        f.ask.flags = 0;
        f.ask.version_id = S3C_SLICE_NONE;
    }

    if (what == S3C_WIRE_VOUCH || what == S3C_WIRE_SUMMARY) {
        f.ask.block = 0;
        f.ask.flags = 0;
        f.ask.bucket = S3C_SLICE_NONE;
        f.ask.key = S3C_SLICE_NONE;
        f.ask.version_id = S3C_SLICE_NONE;
    }

    return f;
}


static inline s3c_wire_frame_t
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


static inline void
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
static inline size_t
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


#endif /* T_UNIT_CLUSTER_WIRE_FRAME_TEST_H */
