/* SPDX-License-Identifier: Apache-2.0
 *
 * The history of a zone: when samples are taken, what is left out, and what is
 * printed of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "json_reader.h"
#include "stats/stats_history.h"
#include "stats/stats_sh.h"

#define T0  (1ull << 40)

static void              *memory;
static void              *counters;
static s3c_stats_t        stats;
static s3c_stats_store_t  stores[2];
static s3c_history_sh_t  *history;
static json_reader_t      reader;
static uint8_t            text[1 << 20];

static s3c_history_sample_t  got[S3C_HISTORY_MINUTES + 1];


static int
setup(void **state)
{
    (void) state;
    memset(&stats, 0, sizeof(stats));
    memset(stores, 0, sizeof(stores));

    counters = aligned_alloc(64, s3c_stats_bytes(2));
    s3c_stats_format(counters, 2);
    assert_int_equal(s3c_stats_attach(&stats, counters, 2, 0), S3C_OK);

    memory = calloc(1, s3c_history_bytes());
    s3c_history_format(memory, T0);
    history = s3c_history_attach(memory);
    assert_non_null(history);

    return 0;
}


static int
teardown(void **state)
{
    (void) state;
    free(memory);
    free(counters);

    return 0;
}


static s3c_stats_zone_t
zone(void)
{
    return (s3c_stats_zone_t) {
        .name = S3C_SLICE("main"), .stats = &stats, .stores = stores,
        .n_stores = 2
    };
}


static bool
sample(uint64_t ms)
{
    s3c_stats_zone_t  z = zone();

    return s3c_history_sample(history, &z, ms);
}


static uint32_t
seconds(uint64_t since)
{
    return s3c_history_read(history, S3C_HISTORY_BY_SECOND, since, got,
                            s3c_history_max(S3C_HISTORY_BY_SECOND));
}


static void
print(uint32_t n, uint64_t now_ms, uint64_t wall_ms)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, text, sizeof(text));
    s3c_history_print_json(&w, S3C_SLICE("a\"b"), got, n, now_ms, wall_ms);
    s3c_write_lit(&w, "\n");
    assert_true(s3c_writer_ok(&w));
    assert_true(json_read(&reader, s3c_writer_slice(&w)));
}


static void
assert_value(const char *path, const char *want)
{
    for (size_t i = 0; i < reader.n; i++) {
        if (strcmp(reader.leaf[i].path, path) == 0) {
            s3c_slice_t  v = reader.leaf[i].value;

            if (!s3c_slice_eq(v, s3c_slice(want, strlen(want)))) {
                print_error("%s: %.*s, not %s\n", path, (int) v.len, v.data,
                            want);
                fail();
            }

            return;
        }
    }

    print_error("no %s\n", path);
    fail();
}


static void
memory_of_another_layout_is_not_read(void **state)
{
    (void) state;

    assert_true(s3c_history_bytes() <= S3C_HISTORY_BYTES_MAX);
    assert_null(s3c_history_attach(NULL));
    *(uint8_t *) memory ^= 1;
    assert_null(s3c_history_attach(memory));
}


static void
a_sample_is_due_each_second_and_each_minute(void **state)
{
    unsigned  minutes = 0;

    (void) state;
    assert_true(s3c_history_due(history, T0));

    for (uint64_t ms = 0; ms <= 120000; ms += 300) {
        minutes += sample(T0 + ms);
        assert_false(s3c_history_due(history, T0 + ms));
    }

    assert_int_equal(minutes, 3);
    assert_int_equal(seconds(0), 121);

    for (uint32_t i = 1; i < 121; i++) {
        assert_int_equal(got[i].number, got[i - 1].number + 1);
        assert_in_range(got[i].ms - got[i - 1].ms, 900, 1200);
    }

    assert_int_equal(s3c_history_read(history, S3C_HISTORY_BY_MINUTE, 0, got,
                                      10), 3);
}


static void
whoever_comes_second_takes_none(void **state)
{
    (void) state;

    sample(T0);
    sample(T0);
    assert_int_equal(seconds(0), 1);
    sample(T0 + 999);
    assert_int_equal(seconds(0), 1);
    sample(T0 + 1000);
    sample(T0 + 1000);
    assert_int_equal(seconds(0), 2);
}


static void
a_pause_makes_one_long_interval(void **state)
{
    (void) state;

    sample(T0);
    sample(T0 + 1000);
    s3c_stats_add(&stats, S3C_STAT_REQ_HIT, 70);
    sample(T0 + 11000);
    /* the beat goes on from there, and nothing is made up for */
    assert_false(s3c_history_due(history, T0 + 11999));
    sample(T0 + 12000);
    assert_int_equal(seconds(0), 4);

    print(4, T0 + 12500, 1000000);
    assert_value("took_ms.1", "10000");
    assert_value("counts.hit.1", "70");
    assert_value("counts.hit.2", "0");
    assert_value("time_ms.2", "999500");
}


static void
a_time_far_ahead_does_not_stop_it(void **state)
{
    (void) state;

    sample(T0 + 1000000);
    /* as if the clock had gone back */
    assert_true(s3c_history_due(history, T0));
    sample(T0);
    assert_false(s3c_history_due(history, T0 + 500));
    sample(T0 + 1000);
    /* what is older than the one before it is left out */
    assert_int_equal(seconds(0), 1);
}


static void
the_oldest_makes_room(void **state)
{
    uint64_t  last;

    (void) state;

    for (uint64_t s = 0; s < 2 * S3C_HISTORY_SECONDS; s++) {
        sample(T0 + 1000 * s);
    }

    assert_int_equal(seconds(0), S3C_HISTORY_SECONDS + 1);
    last = got[S3C_HISTORY_SECONDS].number;
    assert_int_equal(got[0].number, last - S3C_HISTORY_SECONDS);

    /* those after one, and that one to reckon from */
    assert_int_equal(seconds(last - 3), 4);
    assert_int_equal(got[0].number, last - 3);
    assert_int_equal(seconds(last), 1);
    /* of another life */
    assert_int_equal(seconds(last + 5), S3C_HISTORY_SECONDS + 1);
    assert_int_equal(seconds(1), S3C_HISTORY_SECONDS + 1);
}


static void
a_later_life_has_greater_numbers(void **state)
{
    uint64_t  last;

    (void) state;

    for (uint64_t s = 0; s < 50; s++) {
        sample(T0 + 1000 * s);
    }

    assert_int_equal(seconds(0), 50);
    last = got[49].number;

    memset(memory, 0, s3c_history_bytes());
    s3c_history_format(memory, T0 + 51000);
    sample(T0 + 51000);
    assert_int_equal(seconds(0), 1);
    assert_true(got[0].number > last);
}


/* Every word of the newest sample, spoiled in turn. */
static void
a_torn_sample_is_left_out(void **state)
{
    uint64_t  *words = memory;
    size_t     n = s3c_history_bytes() / 8, hit = 0;

    (void) state;

    sample(T0);
    sample(T0 + 1000);
    s3c_stats_add(&stats, S3C_STAT_REQ_MISS, 5);
    sample(T0 + 2000);
    assert_int_equal(seconds(0), 3);

    for (size_t i = n; i-- > 0; ) {
        if (words[i] != T0 + 1000) {
            continue;
        }

        words[i]++;

        if (seconds(0) == 2) {
            hit++;
            /* what was in between is in the next */
            print(2, T0 + 2000, T0);
            assert_value("took_ms.0", "2000");
            assert_value("counts.miss.0", "5");
        }

        words[i]--;
    }

    assert_true(hit > 0);
}


static void
a_number_without_a_sample_is_passed_over(void **state)
{
    uint64_t   last;
    uint64_t  *words = memory;

    (void) state;
    sample(T0);
    sample(T0 + 1000);
    assert_int_equal(seconds(0), 2);
    last = got[1].number;

    /* who claimed it died: the next number is taken, nothing is written */

    for (size_t i = 0; i < 16; i++) {
        if (words[i] == last + 1) {
            words[i] = last + 2;
            break;
        }
    }

    sample(T0 + 2000);
    assert_int_equal(seconds(0), 3);
    assert_int_equal(got[2].number, last + 2);
    /* asked for what comes after the missing one: from the one before */
    assert_int_equal(seconds(last + 1), 2);
    assert_int_equal(got[0].number, last);
}


static void
all_columns_are_printed(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;
    sample(T0);

    s3c_stats_add(&stats, S3C_STAT_FROM_FLASH, 3);
    s3c_stats_add(&stats, S3C_STAT_SENT_FLASH, 5000000000ull);
    s3c_stats_observe(&stats, S3C_HIST_TIER_FLASH, 20);
    s3c_stats_observe(&stats, S3C_HIST_TIER_FLASH, 100);
    s3c_stats_observe(&stats, S3C_HIST_TIER_FLASH, 100);
    s3c_stats_observe(&stats, S3C_HIST_TIER_PASS, 1000000000);
    stores[0].usage.n_hit = 2;
    stores[1].usage.n_hit = 5;
    stores[1].usage.live_bytes = 77;
    z.usage.entries = 12;
    s3c_history_waiting(history, 0, 3, T0 + 900);
    s3c_history_waiting(history, 1, 4, T0 - 5000);
    assert_false(s3c_history_sample(history, &z, T0 + 1000));

    print(seconds(0), T0 + 1000, T0);
    assert_value("name", "\"a\\\"b\"");
    assert_value("counts.from_flash.0", "3");
    assert_value("counts.flash_hits.0", "7");
    assert_value("bytes.sent_flash.0", "5000000000");
    assert_value("gauges.entries.0", "12");
    assert_value("gauges.flash_live_bytes.0", "77");
    assert_value("gauges.waiting.0", "3");
    assert_value("first_byte.ram.0", "0");
    assert_value("first_byte.flash.0.0", "1");
    assert_value("first_byte.flash.0.1", "1");
    assert_value("first_byte.flash.0.2", "0");
    assert_value("first_byte.flash.0.3", "2");
    assert_value("first_byte.pass.0.0", "20");
    assert_value("first_byte.pass.0.1", "1");
}


/* Counters that have passed 2^32 between two samples. */
static void
small_counters_wrap(void **state)
{
    (void) state;
    s3c_stats_add(&stats, S3C_STAT_REQ_HIT, 0xfffffff0ull);
    sample(T0);
    s3c_stats_add(&stats, S3C_STAT_REQ_HIT, 0x20);
    sample(T0 + 1000);
    print(seconds(0), T0 + 1000, T0);
    assert_value("counts.hit.0", "32");
}


static void
one_is_found_by_its_time(void **state)
{
    s3c_history_sample_t  s;

    (void) state;
    assert_false(s3c_history_until(history, S3C_HISTORY_BY_SECOND,
                                   UINT64_MAX, &s));
    assert_false(s3c_history_since(history, S3C_HISTORY_BY_SECOND, 0, &s));

    for (uint64_t ms = 0; ms <= 700000; ms += 1000) {
        sample(T0 + ms);
    }

    assert_true(s3c_history_until(history, S3C_HISTORY_BY_SECOND,
                                  UINT64_MAX, &s));
    assert_int_equal(s.ms, T0 + 700000);
    assert_true(s3c_history_until(history, S3C_HISTORY_BY_SECOND,
                                  T0 + 650999, &s));
    assert_int_equal(s.ms, T0 + 650000);
    assert_false(s3c_history_until(history, S3C_HISTORY_BY_SECOND,
                                   T0 + 99999, &s));
    assert_true(s3c_history_since(history, S3C_HISTORY_BY_SECOND, 0, &s));
    assert_int_equal(s.ms, T0 + 100000);
    assert_true(s3c_history_since(history, S3C_HISTORY_BY_SECOND,
                                  T0 + 650001, &s));
    assert_int_equal(s.ms, T0 + 651000);
    assert_false(s3c_history_since(history, S3C_HISTORY_BY_SECOND,
                                   T0 + 700001, &s));
    assert_true(s3c_history_since(history, S3C_HISTORY_BY_MINUTE, 0, &s));
    assert_int_equal(s.ms, T0);
    assert_true(s3c_history_until(history, S3C_HISTORY_BY_MINUTE,
                                  T0 + 659999, &s));
    assert_int_equal(s.ms, T0 + 600000);
}


static void
an_empty_history_is_valid_json(void **state)
{
    (void) state;
    assert_int_equal(seconds(0), 0);
    print(0, T0, T0);
    assert_value("last", "0");
}


int
main(void)
{
#define T(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest  tests[] = {
        T(memory_of_another_layout_is_not_read),
        T(a_sample_is_due_each_second_and_each_minute),
        T(whoever_comes_second_takes_none),
        T(a_pause_makes_one_long_interval),
        T(a_time_far_ahead_does_not_stop_it),
        T(the_oldest_makes_room),
        T(a_later_life_has_greater_numbers),
        T(a_torn_sample_is_left_out),
        T(a_number_without_a_sample_is_passed_over),
        T(all_columns_are_printed),
        T(small_counters_wrap),
        T(one_is_found_by_its_time),
        T(an_empty_history_is_valid_json)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
