/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/serve/plan.c: freshness, and the answer made of a record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/plan.h"

#define NOW  1000000u

static s3c_record_sh_t  rec;


static s3c_record_view_t
view_of(unsigned flags, uint64_t total, uint64_t expires_ms)
{
    atomic_store(&rec.expires_ms, expires_ms);
    atomic_store(&rec.validated_ms, NOW - 5000);

    return (s3c_record_view_t) {
        .rec = &rec,
        .status = (flags & S3C_RECORD_ERROR) ? 404 : 200,
        .flags = flags,
        .total = total,
        .generation = 1,
        .last_modified = 784111777,      /* Sun, 06 Nov 1994 08:49:37 GMT */
        .etag = S3C_SLICE("\"v1\""),
    };
}


static void
test_freshness_follows_mode_expiry_and_client(void **state)
{
    /* mode, expires in ms, swr ms, client no-cache honoured, no_cache,
       needs_full, flags -> use */
    static const struct {
        s3c_freshness_t  mode;
        int64_t          expires_in;
        uint64_t         swr;
        bool             honour, no_cache, needs_full;
        unsigned         flags;
        s3c_use_t        use;
    } rows[] = {
        { S3C_FRESHNESS_TTL, 1, 0, 1, 0, 0, 2, S3C_USE_FRESH },
        { S3C_FRESHNESS_TTL, 0, 0, 1, 0, 0, 2, S3C_REVALIDATE_FIRST },
        { S3C_FRESHNESS_TTL, -10, 11, 1, 0, 0, 2, S3C_USE_AND_REVALIDATE },
        { S3C_FRESHNESS_TTL, -11, 11, 1, 0, 0, 2, S3C_REVALIDATE_FIRST },
        { S3C_FRESHNESS_TTL, 1, 0, 1, 1, 0, 2, S3C_REVALIDATE_FIRST },
        { S3C_FRESHNESS_TTL, 1, 0, 0, 1, 0, 2, S3C_USE_FRESH },
        { S3C_FRESHNESS_TTL, 1, 0, 1, 0, 1, 2, S3C_USE_FRESH },
        { S3C_FRESHNESS_TTL, 1, 0, 1, 0, 1, 0, S3C_REVALIDATE_FIRST },
        { S3C_FRESHNESS_STRICT, 1, 99, 0, 0, 0, 2, S3C_REVALIDATE_FIRST },
        { S3C_FRESHNESS_IMMUTABLE, -99, 0, 0, 0, 0, 2, S3C_USE_FRESH },
        { S3C_FRESHNESS_IMMUTABLE, -99, 0, 1, 1, 0, 2,
          S3C_REVALIDATE_FIRST },
        /* errors are never revalidated and never stale */
        { S3C_FRESHNESS_TTL, 1, 0, 1, 0, 0, 4, S3C_USE_FRESH },
        { S3C_FRESHNESS_TTL, -1, 99, 1, 0, 0, 4, S3C_REFETCH },
        { S3C_FRESHNESS_TTL, 1, 0, 1, 1, 0, 4, S3C_REFETCH },
        { S3C_FRESHNESS_TTL, 1, 0, 0, 1, 0, 4, S3C_USE_FRESH },
        { S3C_FRESHNESS_STRICT, 1, 0, 0, 0, 0, 4, S3C_REFETCH },
        { S3C_FRESHNESS_IMMUTABLE, -1, 0, 1, 0, 0, 4, S3C_REFETCH },
    };

    (void) state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        s3c_record_view_t  view = view_of(rows[i].flags, 100,
                                          NOW + (uint64_t) rows[i].expires_in);
        s3c_fresh_rules_t  rules = {
            .mode = rows[i].mode,
            .while_revalidate_ms = rows[i].swr,
            .client_revalidates = rows[i].honour,
        };

        if (s3c_plan_use(&rules, &view, NOW, rows[i].no_cache,
                         rows[i].needs_full)
            != rows[i].use)
        {
            fail_msg("row %zu", i);
        }
    }
}


static void
test_a_record_that_never_expires_stays_fresh(void **state)
{
    s3c_fresh_rules_t  rules = { .mode = S3C_FRESHNESS_TTL };
    s3c_record_view_t  view = view_of(2, 1, UINT64_MAX);

    (void) state;

    assert_int_equal(s3c_plan_use(&rules, &view, UINT64_MAX - 1, false,
                                  false),
                     S3C_USE_FRESH);
}


static void
test_stale_is_served_on_error_within_its_window_only(void **state)
{
    s3c_fresh_rules_t  rules = { .if_error_ms = 100 };
    s3c_record_view_t  view = view_of(2, 1, NOW);

    (void) state;

    assert_true(s3c_plan_stale_on_error(&rules, &view, NOW + 99));
    assert_false(s3c_plan_stale_on_error(&rules, &view, NOW + 100));
    rules.if_error_ms = 0;
    assert_false(s3c_plan_stale_on_error(&rules, &view, NOW));
    assert_false(s3c_plan_stale_on_error(&rules, &view, NOW - 1));
    rules.if_error_ms = 100;
    view.flags = S3C_RECORD_ERROR;
    assert_false(s3c_plan_stale_on_error(&rules, &view, NOW));
}


static void
test_age_counts_from_the_last_validation(void **state)
{
    s3c_record_view_t  view = view_of(2, 1, NOW);

    (void) state;

    assert_int_equal(s3c_plan_age(&view, NOW), 5);
    assert_int_equal(s3c_plan_age(&view, NOW - 6000), 0);
}


static void
test_whole_part_and_unsatisfiable_answers(void **state)
{
    s3c_reply_t        reply;
    s3c_record_view_t  view = view_of(2, 100, NOW);

    (void) state;

    s3c_plan_reply(&(s3c_ask_t) { .checksum_mode = true }, &view, &reply);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.first, 0);
    assert_int_equal(reply.last, 99);
    assert_true(reply.checksums);

    s3c_plan_reply(&(s3c_ask_t) { .checksum_mode = true,
                   .range = s3c_http_range_parse(S3C_SLICE("bytes=-10")) },
                   &view, &reply);
    assert_int_equal(reply.status, 206);
    assert_int_equal(reply.first, 90);
    assert_int_equal(reply.last, 99);
    assert_false(reply.checksums);

    s3c_plan_reply(&(s3c_ask_t) {
                   .range = s3c_http_range_parse(S3C_SLICE("bytes=100-")) },
                   &view, &reply);
    assert_int_equal(reply.status, 416);
    assert_int_equal(reply.error, S3C_ERR_INVALID_RANGE);
    assert_true(reply.first > reply.last);
}


static void
test_an_empty_object_has_no_body_to_send(void **state)
{
    s3c_reply_t        reply;
    s3c_record_view_t  view = view_of(2, 0, NOW);

    (void) state;

    s3c_plan_reply(&(s3c_ask_t) { .checksum_mode = false }, &view, &reply);
    assert_int_equal(reply.status, 200);
    assert_true(reply.first > reply.last);
}


static void
test_conditions_come_before_the_range(void **state)
{
    s3c_ask_t          ask = {
        .range = s3c_http_range_parse(S3C_SLICE("bytes=100-")),
        .cond.if_none_match = S3C_SLICE("\"v1\""),
    };
    s3c_reply_t        reply;
    s3c_record_view_t  view = view_of(2, 100, NOW);

    (void) state;

    s3c_plan_reply(&ask, &view, &reply);
    assert_int_equal(reply.status, 304);
    assert_int_equal(reply.error, S3C_ERR_NONE);

    ask.cond.if_match = S3C_SLICE("\"other\"");
    s3c_plan_reply(&ask, &view, &reply);
    assert_int_equal(reply.status, 412);
    assert_string_equal(reply.condition, "If-Match");

    ask.cond = (s3c_precond_t) {
        .if_unmodified_since = S3C_SLICE("Sun, 06 Nov 1994 08:49:36 GMT"),
    };
    s3c_plan_reply(&ask, &view, &reply);
    assert_int_equal(reply.status, 412);
    assert_string_equal(reply.condition, "If-Unmodified-Since");
}


static void
test_a_range_of_another_version_is_the_whole(void **state)
{
    s3c_ask_t          ask = {
        .range = s3c_http_range_parse(S3C_SLICE("bytes=0-9")),
        .cond.if_range = S3C_SLICE("\"v0\""),
    };
    s3c_reply_t        reply;
    s3c_record_view_t  view = view_of(2, 100, NOW);

    (void) state;

    s3c_plan_reply(&ask, &view, &reply);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.last, 99);

    ask.cond.if_range = S3C_SLICE("\"v1\"");
    s3c_plan_reply(&ask, &view, &reply);
    assert_int_equal(reply.status, 206);
}


static void
test_a_stored_error_is_answered_whatever_was_asked(void **state)
{
    s3c_ask_t          ask = {
        .range = s3c_http_range_parse(S3C_SLICE("bytes=0-9")),
        .cond.if_none_match = S3C_SLICE("*"),
    };
    s3c_reply_t        reply;
    s3c_record_view_t  view = view_of(S3C_RECORD_ERROR, 250, NOW);

    (void) state;

    s3c_plan_reply(&ask, &view, &reply);
    assert_int_equal(reply.status, 404);
    assert_int_equal(reply.first, 0);
    assert_int_equal(reply.last, 249);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_freshness_follows_mode_expiry_and_client),
        cmocka_unit_test(test_a_record_that_never_expires_stays_fresh),
        cmocka_unit_test(test_stale_is_served_on_error_within_its_window_only),
        cmocka_unit_test(test_age_counts_from_the_last_validation),
        cmocka_unit_test(test_whole_part_and_unsatisfiable_answers),
        cmocka_unit_test(test_an_empty_object_has_no_body_to_send),
        cmocka_unit_test(test_conditions_come_before_the_range),
        cmocka_unit_test(test_a_range_of_another_version_is_the_whole),
        cmocka_unit_test(test_a_stored_error_is_answered_whatever_was_asked),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
