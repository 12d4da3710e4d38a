/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node says of itself: made of its history, read by older and newer
 * nodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "stats/stats_summary.h"

#define T0  (1ull << 40)


static void
it_is_of_the_last_ten_seconds(void **state)
{
    void              *counters = aligned_alloc(64, s3c_stats_bytes(1));
    void              *memory = calloc(1, s3c_history_bytes());
    s3c_stats_t        stats;
    s3c_summary_t      s;
    s3c_history_sh_t  *h;
    s3c_stats_store_t  store = { .usage = { .bytes = 100, .live_bytes = 7 } };
    s3c_stats_zone_t   zone = {
        .stats = &stats, .stores = &store, .n_stores = 1,
        .usage = { .arena_bytes = 50, .allocated_bytes = 20, .fills = 2 }
    };

    (void) state;
    s3c_stats_format(counters, 1);
    assert_int_equal(s3c_stats_attach(&stats, counters, 1, 0), S3C_OK);
    s3c_history_format(memory, T0);
    h = s3c_history_attach(memory);

    for (uint64_t i = 0; i < 30; i++) {
        s3c_stats_add(&stats, S3C_STAT_REQ_HIT, 1);
        s3c_stats_add(&stats, S3C_STAT_FROM_RAM, 1);
        s3c_stats_add(&stats, S3C_STAT_REQ_MISS, 2);
        s3c_stats_add(&stats, S3C_STAT_FROM_ORIGIN, 2);
        s3c_stats_add(&stats, S3C_STAT_SENT_PASS, 1000);
        s3c_stats_add(&stats, S3C_STAT_ORIGIN_5XX, 1);
        s3c_history_waiting(h, 0, 5, T0 + 1000 * i);
        s3c_history_sample(h, &zone, T0 + 1000 * i);
    }

    s3c_summary_make(&s, h, &zone);
    assert_int_equal(s.took_ms, 10000);
    assert_int_equal(s.requests, 30);
    assert_int_equal(s.hits, 10);
    assert_int_equal(s.misses, 20);
    assert_int_equal(s.sent_bytes, 10000);
    assert_int_equal(s.origin_errors, 10);
    assert_int_equal(s.waiting, 5);
    assert_int_equal(s.arena_bytes, 50);
    assert_int_equal(s.memory_bytes, 20);
    assert_int_equal(s.flash_live_bytes, 7);
    assert_int_equal(s.fills, 2);

    s3c_summary_make(&s, NULL, &zone);
    assert_int_equal(s.took_ms, 0);
    assert_int_equal(s.flash_bytes, 100);

    free(memory);
    free(counters);
}


static void
other_versions_are_read(void **state)
{
    uint8_t        bytes[S3C_SUMMARY_BYTES_MAX + 8] = { 0 };
    uint32_t       n;
    s3c_summary_t  s = { .took_ms = 1, .requests = 2, .waiting = 3 }, got;

    (void) state;
    s3c_summary_encode(&s, bytes);
    assert_int_equal(s3c_summary_decode(&got, s3c_slice(bytes,
                                                        S3C_SUMMARY_BYTES)),
                     S3C_OK);
    assert_memory_equal(&s, &got, sizeof(s));

    /* a newer one says more */
    n = S3C_SUMMARY_NUMBERS + 1;
    memcpy(bytes + 4, &n, 4);
    assert_int_equal(s3c_summary_decode(&got, s3c_slice(bytes,
                                                     S3C_SUMMARY_BYTES + 8)),
                     S3C_OK);
    assert_memory_equal(&s, &got, sizeof(s));

    /* an older one less */
    n = 1;
    memcpy(bytes + 4, &n, 4);
    assert_int_equal(s3c_summary_decode(&got, s3c_slice(bytes, 16)), S3C_OK);
    assert_int_equal(got.took_ms, 1);
    assert_int_equal(got.requests, 0);
}


static void
what_is_none_is_refused(void **state)
{
    uint8_t        bytes[S3C_SUMMARY_BYTES_MAX + 8] = { 0 };
    uint32_t       n = 257;
    s3c_summary_t  s = { .took_ms = 1 }, got;

    (void) state;
    s3c_summary_encode(&s, bytes);

    for (size_t len = 0; len < S3C_SUMMARY_BYTES; len++) {
        assert_int_equal(s3c_summary_decode(&got, s3c_slice(bytes, len)),
                         S3C_INVALID);
    }

    assert_int_equal(s3c_summary_decode(&got, s3c_slice(bytes,
                                                     S3C_SUMMARY_BYTES + 1)),
                     S3C_INVALID);
    memcpy(bytes + 4, &n, 4);
    assert_int_equal(s3c_summary_decode(&got, s3c_slice(bytes, 8 + 8 * 257)),
                     S3C_INVALID);
    s3c_summary_encode(&s, bytes);
    bytes[0]++;
    assert_int_equal(s3c_summary_decode(&got, s3c_slice(bytes,
                                                        S3C_SUMMARY_BYTES)),
                     S3C_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(it_is_of_the_last_ten_seconds),
        cmocka_unit_test(other_versions_are_read),
        cmocka_unit_test(what_is_none_is_refused)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
