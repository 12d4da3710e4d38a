/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/serve/record.c: what is written can be opened, and nothing
 * else can.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "serve/record.h"

static const uint8_t  secret[S3C_HASH_SECRET_BYTES] = { 7, 1, 9 };

static s3c_ident_t    ident;


static size_t
write_record(uint8_t *buf, unsigned flags, uint64_t total)
{
    s3c_record_spec_t  spec = {
        .status = 200,
        .flags = flags,
        .total = total,
        .generation = 42,
        .last_modified = 1700000000,
        .etag = S3C_SLICE("\"abc\""),
        .headers = S3C_SLICE("ETag: \"abc\"\r\nx-amz-meta-a: b\r\n"),
        .ident = &ident,
        .asked_ms = 1000,
        .expires_ms = 61000,
    };

    assert_int_equal(s3c_ident_make(&ident, 5, S3C_SLICE("bucket"),
                                    S3C_SLICE("a/key"), S3C_SLICE_NONE),
                     S3C_OK);
    s3c_record_write(buf, &spec);

    return s3c_record_head_bytes(&spec);
}


static void
test_a_written_record_opens_as_it_was(void **state)
{
    size_t             head;
    uint8_t            buf[4096];
    s3c_record_view_t  view;

    (void) state;

    head = write_record(buf, S3C_RECORD_INLINE, 100);

    assert_int_equal(s3c_record_open(buf, head, head + 100, &ident, &view),
                     S3C_OK);
    assert_int_equal(view.status, 200);
    assert_int_equal(view.total, 100);
    assert_int_equal(view.generation, 42);
    assert_int_equal(view.last_modified, 1700000000);
    assert_int_equal(view.head_bytes, head);
    assert_true(s3c_slice_eq(view.etag, S3C_SLICE("\"abc\"")));
    assert_true(s3c_slice_eq(view.headers,
                   S3C_SLICE("ETag: \"abc\"\r\nx-amz-meta-a: b\r\n")));
    assert_int_equal(atomic_load(&view.rec->expires_ms), 61000);
    assert_int_equal(atomic_load(&view.rec->validated_ms), 1000);
}


static void
test_a_record_of_another_object_is_a_miss(void **state)
{
    size_t             head;
    uint8_t            buf[4096];
    s3c_ident_t        other;
    s3c_record_view_t  view;

    (void) state;

    head = write_record(buf, 0, 100);
    assert_int_equal(s3c_ident_make(&other, 5, S3C_SLICE("bucket"),
                                    S3C_SLICE("a/kez"), S3C_SLICE_NONE),
                     S3C_OK);
    assert_int_equal(s3c_record_open(buf, head, head, &other, &view),
                     S3C_MISS);
}


static void
test_every_flipped_bit_of_the_fixed_part_is_noticed(void **state)
{
    size_t             head, checked;
    uint8_t            buf[4096];
    s3c_record_view_t  view;

    (void) state;

    head = write_record(buf, S3C_RECORD_INLINE, 100);
    checked = offsetof(s3c_record_sh_t, validated_ms);

    for (size_t bit = 0; bit < checked * 8; bit++) {
        buf[bit / 8] ^= (uint8_t) (1 << bit % 8);
        assert_int_equal(s3c_record_open(buf, head, head + 100, &ident,
                                         &view),
                         S3C_CORRUPT);
        buf[bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
}


static void
test_a_record_cut_short_is_corrupt_at_every_length(void **state)
{
    size_t             head;
    uint8_t            buf[4096], *copy;
    s3c_record_view_t  view;

    (void) state;

    head = write_record(buf, 0, 100);

    for (size_t n = 0; n < head; n++) {
        copy = malloc(n + 1);
        memcpy(copy, buf, n);
        assert_int_equal(s3c_record_open(copy, n, head, &ident, &view),
                         S3C_CORRUPT);
        free(copy);
    }
}


static void
test_an_inline_body_of_the_wrong_length_is_corrupt(void **state)
{
    size_t             head;
    uint8_t            buf[4096];
    s3c_record_view_t  view;

    (void) state;

    head = write_record(buf, S3C_RECORD_INLINE, 100);
    assert_int_equal(s3c_record_open(buf, head, head + 99, &ident, &view),
                     S3C_CORRUPT);
    assert_int_equal(s3c_record_open(buf, head, head + 101, &ident, &view),
                     S3C_CORRUPT);
}


static void
test_identities_never_run_into_each_other(void **state)
{
    size_t       n = 0;
    s3c_ident_t  id[6];

    (void) state;

#define make(origin, b, k, v)                                                 \
    assert_int_equal(s3c_ident_make(&id[n++], origin, S3C_SLICE(b),           \
                                    S3C_SLICE(k), S3C_SLICE(v)), S3C_OK)

    make(1, "ab", "c", "");
    make(1, "a", "bc", "");
    make(1, "a", "b", "c");
    make(2, "ab", "c", "");
    make(1, "ab", "", "c");
    make(1, "abc", "", "");

#undef make

    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            assert_false(s3c_hash128_eq(s3c_key_object(secret, &id[i]),
                                        s3c_key_object(secret, &id[j])));
        }
    }
}


static void
test_an_identity_that_does_not_fit_is_refused(void **state)
{
    static uint8_t  big[S3C_IDENT_BYTES_MAX];

    (void) state;

    assert_int_equal(s3c_ident_make(&ident, 1, S3C_SLICE("b"),
                                    s3c_slice(big, sizeof(big)),
                                    S3C_SLICE_NONE),
                     S3C_INVALID);
}


static void
test_keys_of_blocks_differ_in_every_part(void **state)
{
    s3c_hash128_t  object = { 3, 4 }, other = { 4, 3 }, key;

    (void) state;

    key = s3c_key_block(secret, object, 9, 0, 1 << 20);

    assert_false(s3c_hash128_eq(key, s3c_key_block(secret, other, 9, 0,
                                                   1 << 20)));
    assert_false(s3c_hash128_eq(key, s3c_key_block(secret, object, 8, 0,
                                                   1 << 20)));
    assert_false(s3c_hash128_eq(key, s3c_key_block(secret, object, 9, 1,
                                                   1 << 20)));
    assert_false(s3c_hash128_eq(key, s3c_key_block(secret, object, 9, 0,
                                                   1 << 19)));
    assert_false(s3c_hash128_eq(s3c_key_revalidate(secret, object, 0),
                                s3c_key_revalidate(secret, object, 1)));
}


static void
test_an_identity_tells_its_names(void **state)
{
    s3c_slice_t  bucket, key;

    (void) state;

    assert_int_equal(s3c_ident_make(&ident, 5, S3C_SLICE("bucket"),
                                    S3C_SLICE("a/key"), S3C_SLICE("v1")),
                     S3C_OK);
    assert_int_equal(s3c_ident_names(s3c_slice(ident.bytes, ident.len),
                                     &bucket, &key), S3C_OK);
    assert_true(s3c_slice_eq(bucket, S3C_SLICE("bucket")));
    assert_true(s3c_slice_eq(key, S3C_SLICE("a/key")));

    for (size_t n = 0; n < ident.len - 2; n++) {
        assert_int_equal(s3c_ident_names(s3c_slice(ident.bytes, n), &bucket,
                                         &key), S3C_INVALID);
    }
}


static void
test_only_the_times_of_a_record_are_left_out_of_its_sum(void **state)
{
    uint8_t  buf[4096] = { 0 };
    size_t   head;

    (void) state;

    assert_int_equal(s3c_record_skip(buf, sizeof(buf)), 0);
    head = write_record(buf, S3C_RECORD_INLINE, 100);
    assert_int_equal(s3c_record_skip(buf, head), sizeof(s3c_record_sh_t));
    assert_int_equal(s3c_record_skip(buf, sizeof(s3c_record_sh_t) - 1), 0);
    buf[8] ^= 1;
    assert_int_equal(s3c_record_skip(buf, head), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_a_written_record_opens_as_it_was),
        cmocka_unit_test(test_a_record_of_another_object_is_a_miss),
        cmocka_unit_test(test_every_flipped_bit_of_the_fixed_part_is_noticed),
        cmocka_unit_test(test_a_record_cut_short_is_corrupt_at_every_length),
        cmocka_unit_test(test_an_inline_body_of_the_wrong_length_is_corrupt),
        cmocka_unit_test(test_identities_never_run_into_each_other),
        cmocka_unit_test(test_an_identity_that_does_not_fit_is_refused),
        cmocka_unit_test(test_keys_of_blocks_differ_in_every_part),
        cmocka_unit_test(test_an_identity_tells_its_names),
        cmocka_unit_test(
            test_only_the_times_of_a_record_are_left_out_of_its_sum),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
