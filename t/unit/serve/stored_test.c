/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/serve/stored.c: times survive the way to flash and back and
 * never become younger; only whole heads are taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/stored.h"

#define NOW_MS  ((1ull << 40) + 5000000)
#define WALL_S  1800000000ull

static const s3c_stored_now_t  now = { NOW_MS, WALL_S };

static s3c_ident_t  ident;


static size_t
write_record(uint8_t *buf, unsigned flags, uint64_t total,
    uint64_t validated_ms, uint64_t expires_ms)
{
    s3c_record_spec_t  spec = {
        .status = 200,
        .flags = flags,
        .total = total,
        .generation = 42,
        .last_modified = 1700000000,
        .etag = S3C_SLICE("\"abc\""),
        .headers = S3C_SLICE("ETag: \"abc\"\r\n"),
        .ident = &ident,
        .asked_ms = validated_ms,
        .expires_ms = expires_ms,
    };

    assert_int_equal(s3c_ident_make(&ident, 5, S3C_SLICE("bucket"),
                                    S3C_SLICE("a/key"), S3C_SLICE_NONE),
                     S3C_OK);
    s3c_record_write(buf, &spec);

    return s3c_record_head_bytes(&spec);
}


static void
round_trip(uint64_t validated_ms, uint64_t expires_ms,
    s3c_stored_now_t later, uint64_t *validated, uint64_t *expires)
{
    uint8_t             buf[1024];
    s3c_record_sh_t    *rec = (s3c_record_sh_t *) buf;
    s3c_stored_times_t  times;

    (void) write_record(buf, S3C_RECORD_INLINE, 10, validated_ms, expires_ms);
    times = s3c_stored_times(rec, now);
    times = s3c_stored_unpack(s3c_stored_pack(times));
    s3c_stored_adopt(buf, times, later, false);

    *validated = rec->validated_ms;
    *expires = rec->expires_ms;
}


static void
test_times_come_back_as_old_as_they_are(void **state)
{
    uint64_t          validated, expires;
    s3c_stored_now_t  boot = { (1ull << 40) + 7000, WALL_S + 86400 };

    (void) state;

    /* the same moment: to the second, and never younger */
    round_trip(NOW_MS - 30500, NOW_MS + 29500, now, &validated, &expires);
    assert_true(validated <= NOW_MS - 30500 && validated > NOW_MS - 32000);
    assert_true(expires <= NOW_MS + 29500 && expires > NOW_MS + 28000);

    /* a day and a boot later: older than the boot, and expired */
    round_trip(NOW_MS, NOW_MS + 60000, boot, &validated, &expires);
    assert_int_equal(validated, boot.ms - 86400000);
    assert_int_equal(expires, boot.ms - 86400000 + 60000);
}


static void
test_never_stays_never(void **state)
{
    uint64_t  validated, expires;

    (void) state;

    round_trip(NOW_MS, UINT64_MAX, now, &validated, &expires);
    assert_true(expires == UINT64_MAX);
}


static void
test_a_clock_that_went_back_makes_it_expired(void **state)
{
    uint64_t          validated, expires;
    s3c_stored_now_t  earlier = { NOW_MS + 1000, WALL_S - 3600 };

    (void) state;

    round_trip(NOW_MS, NOW_MS + 60000, earlier, &validated, &expires);
    assert_int_equal(expires, 0);

    round_trip(NOW_MS, UINT64_MAX, earlier, &validated, &expires);
    assert_int_equal(expires, 0);
}


static void
test_a_head_is_peeked_at(void **state)
{
    bool      is_inline;
    size_t    head, got;
    uint8_t   buf[1024];
    uint64_t  version, other;

    (void) state;

    head = write_record(buf, S3C_RECORD_INLINE, 100, 1, 2);

    assert_int_equal(s3c_stored_peek(buf, head, head + 100, &got, &version,
                                     &is_inline),
                     S3C_OK);
    assert_int_equal(got, head);
    assert_true(is_inline);
    assert_true(version == s3c_stored_version(42, head));

    /* another length of the head is another version of where bytes lie */
    other = s3c_stored_version(42, head + 1);
    assert_true(version != other);

    head = write_record(buf, 0, 5u << 20, 1, 2);
    assert_int_equal(s3c_stored_peek(buf, head, head, &got, &version,
                                     &is_inline),
                     S3C_OK);
    assert_false(is_inline);
}


static void
test_what_is_no_whole_record_is_refused(void **state)
{
    bool      is_inline;
    size_t    i, head, got;
    uint8_t   buf[1024];
    uint64_t  version;

    (void) state;

    head = write_record(buf, S3C_RECORD_INLINE, 100, 1, 2);

    assert_int_equal(s3c_stored_peek(buf, 40, head + 100, &got, &version,
                                     &is_inline),
                     S3C_CORRUPT);
    assert_int_equal(s3c_stored_peek(buf, head, head + 99, &got, &version,
                                     &is_inline),
                     S3C_CORRUPT);
    assert_int_equal(s3c_stored_peek(buf, head, head - 1, &got, &version,
                                     &is_inline),
                     S3C_CORRUPT);

    for (i = 0; i < offsetof(s3c_record_sh_t, validated_ms); i++) {
        buf[i] ^= 1;
        assert_int_equal(s3c_stored_peek(buf, head, head + 100, &got,
                                         &version, &is_inline),
                         S3C_CORRUPT);
        buf[i] ^= 1;
    }

    head = write_record(buf, S3C_RECORD_INLINE | S3C_RECORD_ERROR, 100, 1, 2);
    assert_int_equal(s3c_stored_peek(buf, head, head + 100, &got, &version,
                                     &is_inline),
                     S3C_CORRUPT);
}


static void
test_an_adopted_record_opens_and_says_where_its_body_is(void **state)
{
    size_t              head;
    uint8_t             buf[1024];
    s3c_record_view_t   view;
    s3c_stored_times_t  times = { WALL_S - 10, WALL_S + 10 };

    (void) state;

    head = write_record(buf, S3C_RECORD_INLINE, 100, 1, 2);
    s3c_stored_adopt(buf, times, now, true);

    assert_int_equal(s3c_record_open(buf, head, head, &ident, &view), S3C_OK);
    assert_true(view.flags & S3C_RECORD_STORED);
    assert_true(view.flags & S3C_RECORD_APART);
    assert_false(view.flags & S3C_RECORD_INLINE);
    assert_int_equal(view.total, 100);

    head = write_record(buf, S3C_RECORD_INLINE, 100, 1, 2);
    s3c_stored_adopt(buf, times, now, false);

    assert_int_equal(s3c_record_open(buf, head, head + 100, &ident, &view),
                     S3C_OK);
    assert_true(view.flags & S3C_RECORD_INLINE);
    assert_false(view.flags & S3C_RECORD_APART);
}


static void
test_small_or_mostly_wanted_is_read_whole(void **state)
{
    (void) state;

    assert_true(s3c_stored_whole(0, 64 << 10));
    assert_true(s3c_stored_whole(512 << 10, 1 << 20));
    assert_false(s3c_stored_whole((512 << 10) - 1, 1 << 20));
    assert_false(s3c_stored_whole(0, (64 << 10) + 1));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_times_come_back_as_old_as_they_are),
        cmocka_unit_test(test_never_stays_never),
        cmocka_unit_test(test_a_clock_that_went_back_makes_it_expired),
        cmocka_unit_test(test_a_head_is_peeked_at),
        cmocka_unit_test(test_what_is_no_whole_record_is_refused),
        cmocka_unit_test(
            test_an_adopted_record_opens_and_says_where_its_body_is),
        cmocka_unit_test(test_small_or_mostly_wanted_is_read_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
