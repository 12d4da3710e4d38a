/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/cluster/wire_frame.c: what breaks the grammar is refused at both
 * ends.
 */
#include "wire_frame_test.h"


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
        refused(ask, f.ask.flags = S3C_WIRE_WARM << 1);
        refused(ask, f.ask.flags |= 0x81 | S3C_WIRE_KEPT);
        refused(ask, f.ask.bucket = s3c_slice(bytes_a, 256));
        refused(ask, f.ask.key = s3c_slice(bytes_a, 1025));
        refused(ask, f.ask.version_id = s3c_slice(bytes_a, 1025));
        refused(ask, f.ask.etag = s3c_slice(bytes_a, 1025));
        refused(ask, f.ask.key = s3c_slice(bytes_a, 65536 + 5));

        if (what != S3C_WIRE_OBJECT && what != S3C_WIRE_BLOCK
            && what != S3C_WIRE_FENCE && what != S3C_WIRE_LIFT)
        {
            refused(ask, f.ask.flags = S3C_WIRE_WARM);
        }

        if (what != S3C_WIRE_VOUCH && what != S3C_WIRE_SUMMARY) {
            refused(ask, f.ask.bucket = S3C_SLICE_NONE);
            refused(ask, f.ask.key = S3C_SLICE_NONE);

        } else {
            refused(ask, f.ask.bucket = S3C_SLICE("b"));
            refused(ask, f.ask.key = S3C_SLICE("k"));
            refused(ask, f.ask.version_id = S3C_SLICE("v"));
            refused(ask, f.ask.block = 1);
        }

        if (what >= S3C_WIRE_FENCE) {
            refused(ask, f.ask.flags = S3C_WIRE_FIRST);
        }

        if (what != S3C_WIRE_BLOCK) {
            refused(ask, f.ask.generation = (what == S3C_WIRE_FENCE
                                             || what == S3C_WIRE_LIFT
                                             || what == S3C_WIRE_HAVE)
                                            ? 0 : 1);
            refused(ask, f.ask.total = 1);
            refused(ask, f.ask.last_modified = -1);
            refused(ask, f.ask.etag = S3C_SLICE("e"));
        }
    }

    refused(ask_of(S3C_WIRE_HEAD), f.ask.block = 1);
    refused(ask_of(S3C_WIRE_FENCE), f.ask.block++);
    refused(ask_of(S3C_WIRE_FENCE), f.ask.flags = S3C_WIRE_REFRESH;
            f.ask.block = 0);
    refused(ask_of(S3C_WIRE_FENCE), f.ask.flags = S3C_WIRE_LATER;
            f.ask.block = 0);
    refused(ask_of(S3C_WIRE_LIFT), f.ask.block++);
    refused(ask_of(S3C_WIRE_HAVE), f.ask.block++);
    refused(ask_of(S3C_WIRE_HAVE), f.ask.version_id = S3C_SLICE("v"));

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

    /* of a bucket: it has no key, and so no version */
    look(S3C_WIRE_FENCE, (void) 0, S3C_OK);
    look(S3C_WIRE_FENCE, rec.bucket_bytes += rec.key_bytes; rec.key_bytes = 0,
         S3C_INVALID);
    look(S3C_WIRE_FENCE, rec.bucket_bytes += rec.key_bytes
                                             + rec.version_id_bytes;
                         rec.key_bytes = 0; rec.version_id_bytes = 0, S3C_OK);
    look(S3C_WIRE_BLOCK, (void) 0, S3C_OK);
    look(S3C_WIRE_BLOCK, rec.zero = 1, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.what = 0, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.what = S3C_WIRE_WHATS, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.what = S3C_WIRE_OBJECT, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.what = S3C_WIRE_HEAD, S3C_INVALID);
    look(S3C_WIRE_BLOCK, rec.flags = 0, S3C_OK);
    look(S3C_WIRE_BLOCK, rec.flags = 31, S3C_OK);
    look(S3C_WIRE_BLOCK, rec.flags = 32, S3C_INVALID);
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


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_breaks_a_limit_is_not_encoded),
        cmocka_unit_test(a_frame_without_room_is_full_and_leaves_nothing),
        cmocka_unit_test(every_truncated_frame_is_invalid),
        cmocka_unit_test(every_flipped_bit_is_read_as_it_is_or_refused),
        cmocka_unit_test(a_head_that_cannot_be_is_invalid),
        cmocka_unit_test(body_and_head_bytes_over_the_limit_are_invalid),
        cmocka_unit_test(what_cannot_be_asked_is_invalid),
    };

    return cmocka_run_group_tests(tests, fill, NULL);
}
