/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts over generated histories: each second some traffic is counted, a sample
 * is taken and judged if that is due, as a worker does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "stats/stats_alert.h"

#define T0  (1ull << 40)

static void              *memory;
static void              *counters;
static void              *shared;
static s3c_stats_t        stats;
static s3c_stats_store_t  store;
static s3c_ram_usage_t    usage;
static s3c_history_sh_t  *history;
static s3c_alert_sh_t    *alerts;
static s3c_alert_conf_t   conf;
static s3c_alert_seen_t   extra;       /* stores and nodes */
static uint64_t           now;
static unsigned           raised[S3C_ALERT_N], cleared[S3C_ALERT_N];

/* Of a second. */
typedef struct {
    unsigned  hits, misses, calls, failed, usec;
    unsigned  inserts, ghosts;
} traffic_t;

static const traffic_t  calm = {
    .hits = 90, .misses = 10, .calls = 10, .usec = 50000, .inserts = 10
};


static void
begin(void)
{
    memset(&stats, 0, sizeof(stats));
    s3c_stats_format(counters, 1);
    assert_int_equal(s3c_stats_attach(&stats, counters, 1, 0), S3C_OK);
    memset(&usage, 0, sizeof(usage));
    usage.arena_bytes = 100u << 20;

    memset(memory, 0, s3c_history_bytes());
    s3c_history_format(memory, now);
    history = s3c_history_attach(memory);
    assert_non_null(history);

    memset(shared, 0, s3c_alert_bytes());
    s3c_alert_format(shared);
    alerts = s3c_alert_attach(shared);
    assert_non_null(alerts);
}


static int
setup(void **state)
{
    (void) state;
    now = T0;
    counters = aligned_alloc(64, s3c_stats_bytes(1));
    memory = calloc(1, s3c_history_bytes());
    shared = calloc(1, s3c_alert_bytes());
    memset(&extra, 0, sizeof(extra));
    memset(raised, 0, sizeof(raised));
    memset(cleared, 0, sizeof(cleared));
    s3c_alert_conf_init(&conf);
    begin();

    return 0;
}


static int
teardown(void **state)
{
    (void) state;
    free(memory);
    free(counters);
    free(shared);

    return 0;
}


static void
judge(void)
{
    uint64_t              ticket;
    s3c_alert_seen_t      seen = extra;
    s3c_alert_turn_t      turn[S3C_ALERT_N];
    s3c_alert_state_t     state;
    s3c_history_sample_t  place[4];

    ticket = s3c_alert_claim(alerts, conf.window_ms, now);

    if (ticket == 0) {
        return;
    }

    s3c_alert_look(&seen, history, conf.window_ms, now, place);
    seen.arena_bytes = usage.arena_bytes;
    s3c_alert_load(alerts, &state);
    s3c_alert_judge(&state, &conf, &seen, turn);
    assert_true(s3c_alert_store(alerts, ticket, &state));

    for (int i = 0; i < S3C_ALERT_N; i++) {
        raised[i] += turn[i] == S3C_ALERT_RAISED;
        cleared[i] += turn[i] == S3C_ALERT_CLEARED;
    }
}


static void
pass(unsigned seconds, const traffic_t *t)
{
    s3c_stats_zone_t  zone = {
        .stats = &stats, .stores = &store, .n_stores = 1
    };

    for (unsigned s = 0; s < seconds; s++) {
        s3c_stats_add(&stats, S3C_STAT_REQ_HIT, t->hits);
        s3c_stats_add(&stats, S3C_STAT_REQ_MISS, t->misses);
        s3c_stats_add(&stats, S3C_STAT_ORIGIN_REQUESTS, t->calls);
        s3c_stats_add(&stats, S3C_STAT_ORIGIN_5XX, t->failed);

        for (unsigned i = 0; i < t->calls; i++) {
            s3c_stats_observe(&stats, S3C_HIST_TIER_ORIGIN, t->usec);
        }

        usage.n_insert += t->inserts;
        usage.n_evict += t->inserts;
        usage.evict_bytes += 1000000ull * t->inserts;
        usage.n_ghost_hit += t->ghosts;
        zone.usage = usage;

        now += 1000;
        s3c_history_sample(history, &zone, now);
        judge();
    }
}


static bool
is_raised(s3c_alert_which_t which)
{
    s3c_alert_state_t  state;

    s3c_alert_load(alerts, &state);

    return state.of[which].since_ms != 0;
}


static void
assert_turns(unsigned all)
{
    unsigned  n = 0;

    for (int i = 0; i < S3C_ALERT_N; i++) {
        n += raised[i] + cleared[i];
    }

    assert_int_equal(n, all);
}


static void
nothing_is_raised_without_traffic(void **state)
{
    static const traffic_t  none;

    (void) state;
    pass(4000, &none);
    assert_turns(0);
}


static void
nothing_is_raised_where_all_is_well(void **state)
{
    (void) state;
    extra.n_stores = 1;
    extra.n_nodes = 2;
    pass(4000, &calm);
    assert_turns(0);
}


static void
little_traffic_says_nothing(void **state)
{
    traffic_t  t = { .misses = 1, .calls = 1, .failed = 1, .inserts = 1,
                     .ghosts = 1 };

    (void) state;
    pass(1000, &calm);

    for (int i = 0; i < 20; i++) {
        static const traffic_t  none;

        /* nine of ten seconds nothing: six a window */
        pass(1, &t);
        pass(9, &none);
    }

    assert_turns(0);
}


static void
a_short_fault_raises_nothing(void **state)
{
    traffic_t  t = calm;

    (void) state;
    t.failed = 10;
    t.usec = 900000;
    pass(600, &calm);
    pass(5, &t);
    pass(600, &calm);
    assert_turns(0);
}


static void
errors_of_the_origin_are_raised_and_cleared_once(void **state)
{
    traffic_t  t = calm;

    (void) state;
    pass(300, &calm);
    t.failed = 2;
    pass(60, &t);
    assert_turns(0);
    pass(60, &t);
    assert_int_equal(raised[S3C_ALERT_ORIGIN_ERRORS], 1);
    assert_true(is_raised(S3C_ALERT_ORIGIN_ERRORS));
    pass(3600, &t);
    assert_int_equal(raised[S3C_ALERT_ORIGIN_ERRORS], 1);

    pass(120, &calm);
    assert_true(is_raised(S3C_ALERT_ORIGIN_ERRORS));
    pass(120, &calm);
    assert_false(is_raised(S3C_ALERT_ORIGIN_ERRORS));
    assert_turns(2);
}


/* Four of a hundred are below the threshold and above what clears it. */
static void
between_the_bounds_it_stays_as_it_is(void **state)
{
    traffic_t  bad = calm, between = calm;

    (void) state;
    bad.calls = between.calls = 100;
    bad.failed = 20;
    between.failed = 4;
    pass(600, &between);
    assert_turns(0);
    pass(300, &bad);
    assert_true(is_raised(S3C_ALERT_ORIGIN_ERRORS));
    pass(1200, &between);
    assert_true(is_raised(S3C_ALERT_ORIGIN_ERRORS));
    pass(300, &calm);
    assert_turns(2);
}


static void
when_nobody_asks_any_more_it_is_over(void **state)
{
    traffic_t               t = calm;
    static const traffic_t  none;

    (void) state;
    t.failed = 10;
    pass(300, &t);
    assert_true(is_raised(S3C_ALERT_ORIGIN_ERRORS));
    pass(300, &none);
    assert_turns(2);
}


static void
a_hit_ratio_that_falls(void **state)
{
    traffic_t  t = calm;

    (void) state;
    pass(900, &calm);
    t.hits = 50;
    t.misses = 50;
    pass(180, &t);
    assert_int_equal(raised[S3C_ALERT_HIT_RATIO], 1);
    pass(300, &calm);
    assert_int_equal(cleared[S3C_ALERT_HIT_RATIO], 1);
    assert_turns(2);

    /* a slow fall that nobody notices is the usual one in the end */
    for (unsigned hits = 90; hits >= 30; hits -= 3) {
        t.hits = hits;
        t.misses = 100 - hits;
        pass(1200, &t);
    }

    assert_turns(2);
}


static void
a_cold_start_is_no_fall(void **state)
{
    traffic_t  t = calm;

    (void) state;

    for (unsigned hits = 0; hits <= 90; hits += 10) {
        t.hits = hits;
        t.misses = 100 - hits;
        pass(60, &t);
    }

    pass(600, &calm);
    assert_turns(0);
}


static void
an_origin_that_gets_slow(void **state)
{
    traffic_t  t = calm;

    (void) state;
    pass(600, &calm);
    t.usec = 800000;
    pass(180, &t);
    assert_int_equal(raised[S3C_ALERT_ORIGIN_LATENCY], 1);
    pass(300, &calm);
    assert_int_equal(cleared[S3C_ALERT_ORIGIN_LATENCY], 1);
    assert_turns(2);

    /* times the usual, but fast */
    begin();
    t.usec = 1000;
    pass(600, &t);
    t.usec = 60000;
    pass(180, &t);
    assert_turns(2);
}


static void
a_zone_that_is_too_small(void **state)
{
    traffic_t          t = calm;
    s3c_alert_state_t  s;

    (void) state;
    t.ghosts = 5;
    pass(600, &t);
    assert_int_equal(raised[S3C_ALERT_ZONE_SMALL], 1);
    s3c_alert_load(alerts, &s);
    /* half of what was evicted, but not more than the ghost remembers */
    assert_int_equal(s.of[S3C_ALERT_ZONE_SMALL].last.number[2],
                     (100u << 20) / 5 * 4);
    pass(300, &calm);
    assert_turns(2);

    begin();
    usage.arena_bytes = 1ull << 40;
    pass(300, &t);
    s3c_alert_load(alerts, &s);
    assert_in_range(s.of[S3C_ALERT_ZONE_SMALL].last.number[2],
                    5000000ull * 280, 5000000ull * 300);
}


static void
nodes_and_stores(void **state)
{
    static const traffic_t  none;

    (void) state;
    extra = (s3c_alert_seen_t) {
        .n_nodes = 2, .n_down = 1, .node = S3C_SLICE("node2"), .n_stores = 2,
        .n_failed = 1, .failed = S3C_SLICE("/dev/x")
    };
    pass(120, &none);
    assert_true(is_raised(S3C_ALERT_PEER_DOWN));
    assert_true(is_raised(S3C_ALERT_FLASH_FAILING));
    assert_turns(2);

    extra.n_down = extra.n_failed = 0;
    extra.n_unready = 1;
    pass(300, &none);
    assert_turns(4);
    pass(200, &none);
    assert_false(is_raised(S3C_ALERT_RECOVERY_SLOW));
    pass(300, &none);
    assert_true(is_raised(S3C_ALERT_RECOVERY_SLOW));
    extra.n_unready = 0;
    pass(200, &none);
    assert_turns(6);
    /* from anew */
    extra.n_unready = 1;
    pass(500, &none);
    assert_turns(6);
}


static void
what_is_off_is_not_judged(void **state)
{
    traffic_t  t = calm;

    (void) state;
    t.failed = 10;
    pass(200, &t);
    assert_turns(1);
    conf.threshold[S3C_ALERT_ORIGIN_ERRORS] = 0;
    pass(30, &t);
    assert_false(is_raised(S3C_ALERT_ORIGIN_ERRORS));
    pass(200, &t);
    assert_turns(1);
}


static void
a_counter_that_goes_back_raises_nothing(void **state)
{
    (void) state;

    for (int i = 0; i < 20; i++) {
        pass(45, &calm);
        /* as after a restart that has left the history */
        s3c_stats_format(counters, 1);
        usage.n_insert = usage.n_ghost_hit = usage.n_evict = 0;
    }

    assert_turns(0);
}


static void
a_gap_raises_nothing(void **state)
{
    traffic_t  t = calm;

    (void) state;
    pass(600, &calm);

    /* nginx stood still, and what it found then is not what is usual */
    now += 400000;
    t.hits = 0;
    t.misses = 1000;
    t.failed = 10;
    pass(2, &t);
    pass(300, &calm);
    assert_turns(0);

    /* nobody samples any more: what is old is not judged */
    t = calm;
    t.failed = 10;
    pass(50, &t);

    for (int i = 0; i < 100; i++) {
        now += 16000;
        judge();
    }

    assert_turns(0);
}


static void
a_restart_forgets_and_begins_anew(void **state)
{
    traffic_t  t = calm;

    (void) state;
    t.failed = 10;
    pass(200, &t);
    assert_turns(1);
    begin();
    assert_false(is_raised(S3C_ALERT_ORIGIN_ERRORS));
    pass(60, &calm);
    assert_turns(1);
}


/* --- in shared memory ----------------------------------------------------- */

static void
one_of_all_workers_judges(void **state)
{
    uint64_t           ticket;
    s3c_alert_state_t  s, got;

    (void) state;
    ticket = s3c_alert_claim(alerts, 60000, T0);
    assert_true(ticket != 0);
    assert_int_equal(s3c_alert_claim(alerts, 60000, T0), 0);
    assert_int_equal(s3c_alert_claim(alerts, 60000, T0 + 14999), 0);
    memset(&s, 0, sizeof(s));
    s.unready_ms = 1;

    /* the first was slow: the second's judgement holds */
    assert_true(s3c_alert_claim(alerts, 60000, T0 + 15000) != 0);
    assert_false(s3c_alert_store(alerts, ticket, &s));
    s3c_alert_load(alerts, &got);
    assert_int_equal(got.unready_ms, 0);

    /* not more than once a second */
    assert_true(s3c_alert_claim(alerts, 1000, T0 + 15000) != 0);
    assert_int_equal(s3c_alert_claim(alerts, 1000, T0 + 15999), 0);
    assert_true(s3c_alert_claim(alerts, 1000, T0 + 16000) != 0);
    /* a time far ahead does not stop it */
    assert_true(s3c_alert_claim(alerts, 1000, T0) != 0);
}


static void
who_dies_while_it_stores_leaves_the_former_state(void **state)
{
    uint64_t           ticket, *words = shared, saved;
    size_t             n = s3c_alert_bytes() / 8, spoiled = 0;
    s3c_alert_state_t  s, got;

    (void) state;
    memset(&s, 0, sizeof(s));

    for (uint64_t i = 1; i <= 3; i++) {
        ticket = s3c_alert_claim(alerts, 1000, T0 + i * 1000);
        s.unready_ms = i;
        s.of[0].since_ms = 1000 + i;
        assert_true(s3c_alert_store(alerts, ticket, &s));
        s3c_alert_load(alerts, &got);
        assert_memory_equal(&got, &s, sizeof(s));
    }

    /* any word of the copy that nobody reads may be anything; one of the other
     * is found to be wrong, and nothing is believed */
    for (size_t i = 4; i < n; i++) {
        saved = words[i];
        words[i] ^= 0x55;
        s3c_alert_load(alerts, &got);
        words[i] = saved;

        if (got.unready_ms != 3) {
            assert_int_equal(got.unready_ms, 0);
            assert_int_equal(got.of[0].since_ms, 0);
            spoiled++;
        }
    }

    assert_int_equal(spoiled, (n - 4) / 2);

    words[0]++;
    assert_null(s3c_alert_attach(shared));
    assert_null(s3c_alert_attach(NULL));
}


int
main(void)
{
#define T(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest  tests[] = {
        T(nothing_is_raised_without_traffic),
        T(nothing_is_raised_where_all_is_well),
        T(little_traffic_says_nothing),
        T(a_short_fault_raises_nothing),
        T(errors_of_the_origin_are_raised_and_cleared_once),
        T(between_the_bounds_it_stays_as_it_is),
        T(when_nobody_asks_any_more_it_is_over),
        T(a_hit_ratio_that_falls),
        T(a_cold_start_is_no_fall),
        T(an_origin_that_gets_slow),
        T(a_zone_that_is_too_small),
        T(nodes_and_stores),
        T(what_is_off_is_not_judged),
        T(a_counter_that_goes_back_raises_nothing),
        T(a_gap_raises_nothing),
        T(a_restart_forgets_and_begins_anew),
        T(one_of_all_workers_judges),
        T(who_dies_while_it_stores_leaves_the_former_state)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
