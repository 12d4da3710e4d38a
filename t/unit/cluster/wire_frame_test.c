/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/cluster/wire_frame.c: every field of every frame comes back.
 */
#include "wire_frame_test.h"


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


/* A purge: an object, a bucket, a prefix in one, all of an origin. */
static void
what_can_be_purged(void **state)
{
    uint8_t           buf[4096];
    size_t            len;
    s3c_slice_t       rest;
    s3c_wire_frame_t  f, got;

    (void) state;

    for (unsigned what = S3C_WIRE_FENCE; what <= S3C_WIRE_LIFT; what++) {
        for (unsigned flags = 0; flags < 256; flags++) {
            for (unsigned named = 0; named < 8; named++) {
                bool  bucket = named & 1, key = named & 2, version = named & 4;
                bool  prefix = flags & S3C_WIRE_PREFIX;
                bool  whole = flags & S3C_WIRE_WHOLE;
                bool  refresh = what == S3C_WIRE_FENCE && key && !prefix
                                && !whole && (flags & S3C_WIRE_REFRESH);
                bool  later = flags == S3C_WIRE_LATER;
                bool  ok = (later || (flags & 15) == (refresh
                                                      ? S3C_WIRE_REFRESH : 0))
                           && !(prefix && whole);

                f = ask_of((s3c_wire_what_t) what);
                f.ask.flags = (uint8_t) flags;

                if (later && what == S3C_WIRE_LIFT) {
                    assert_int_equal(encode(&f), S3C_INVALID);
                    f.ask.block = 0;       /* at once, or not at all */
                }

                if (!bucket) {
                    f.ask.bucket = S3C_SLICE_NONE;
                }

                if (!key) {
                    f.ask.key = S3C_SLICE_NONE;
                }

                if (!version) {
                    f.ask.version_id = S3C_SLICE_NONE;
                }

                ok &= flags & S3C_WIRE_ALL
                      ? !bucket && !key && !version && !prefix && !whole
                      : bucket && (key || !version) && (key || !prefix)
                        && (key || !whole) && (!version || !prefix);

                if (!ok) {
                    assert_int_equal(encode(&f), S3C_INVALID);
                    continue;
                }

                len = put(buf, sizeof(buf), &f);
                rest = s3c_slice(buf, len);
                assert_int_equal(s3c_wire_frame_decode(&rest, &got), S3C_OK);
                assert_same(&f, &got);
            }
        }
    }
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
        cmocka_unit_test(what_can_be_purged),
        cmocka_unit_test(what_is_optional_is_skipped_and_nothing_else),
        cmocka_unit_test(a_head_comes_in_parts_that_follow_each_other),
    };

    return cmocka_run_group_tests(tests, fill, NULL);
}
