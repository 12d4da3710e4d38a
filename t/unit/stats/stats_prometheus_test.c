/* SPDX-License-Identifier: Apache-2.0
 *
 * The Prometheus text, read strictly: no series twice, sound histograms, and the
 * values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "stats/stats_rows.h"
#include "stats/stats_sh.h"
#include "prometheus_reader.h"

static s3c_stats_t  stats;
static void        *mem;


static s3c_stats_zone_t
zone(void)
{
    return (s3c_stats_zone_t) {
        .name = S3C_SLICE("main"), .stats = &stats,
        .policy = S3C_SLICE("s3fifo")
    };
}


static int
setup(void **state)
{
    (void) state;

    mem = aligned_alloc(64, s3c_stats_bytes(2));
    s3c_stats_format(mem, 2);

    return s3c_stats_attach(&stats, mem, 2, 1) == S3C_OK ? 0 : -1;
}


static int
teardown(void **state)
{
    (void) state;
    free(mem);

    return 0;
}


static void
every_row_of_every_zone_is_one_series(void **state)
{
    s3c_stats_zone_t   zones[3] = { zone(), zone(), zone() };
    s3c_stats_store_t  stores[2] = { { .path = S3C_SLICE("/a") },
                                     { .path = S3C_SLICE("/b") } };
    size_t             want;

    (void) state;

    zones[1].name = S3C_SLICE("second");
    zones[1].stats = NULL;
    zones[1].stores = stores;
    zones[1].n_stores = 2;
    zones[2].name = S3C_SLICE("third");
    zones[2].stores = stores;
    zones[2].n_stores = 1;
    (void) s3c_stats_bucket(&stats, S3C_SLICE("data"));

    print(zones, 3);
    assert_no_series_twice();

    want = 3 * (s3c_stats_counter_rows.n + s3c_stats_usage_rows.n
                + s3c_stats_flash_rows.n
                + s3c_stats_hist_rows.n * (S3C_HIST_BUCKETS + 3))
           + 5 * s3c_stats_bucket_rows.n        /* "other" thrice, data twice */
           + 3 * (s3c_stats_store_rows.n + 6);  /* up, 4 states, amplification */
    assert_int_equal(n_samples, want);
}


static void
a_row_has_its_own_value(void **state)
{
    char              series[256], want[32];
    uint64_t          n = 1000;
    s3c_stats_zone_t  z = zone();

    (void) state;

    for (size_t i = 0; i < s3c_stats_counter_rows.n; i++) {
        s3c_stats_add(&stats, s3c_stats_counter_rows.rows[i].at, n++);
    }

    for (size_t i = 0; i < s3c_stats_usage_rows.n; i++, n++) {
        memcpy((uint8_t *) &z.usage + s3c_stats_usage_rows.rows[i].at, &n, 8);
    }

    print(&z, 1);

    n = 1000;

    for (size_t i = 0; i < s3c_stats_counter_rows.n + s3c_stats_usage_rows.n;
         i++)
    {
        const s3c_stats_row_t  *row = i < s3c_stats_counter_rows.n
            ? &s3c_stats_counter_rows.rows[i]
            : &s3c_stats_usage_rows.rows[i - s3c_stats_counter_rows.n];
        s3c_slice_t             f = s3c_stats_row_family(row);
        s3c_slice_t             l = s3c_stats_row_labels(row);

        snprintf(series, sizeof(series), "%.*s{zone=\"main\"%s%.*s}",
                 (int) f.len, (const char *) f.data, l.len ? "," : "",
                 (int) l.len, l.len ? (const char *) l.data : "");
        snprintf(want, sizeof(want), "%llu", (unsigned long long) n++);
        assert_sample(series, want);
    }
}


static void
a_store_is_a_label_and_its_state_a_one(void **state)
{
    s3c_stats_zone_t   z = zone();
    s3c_stats_store_t  stores[2] = {
        { .path = S3C_SLICE("/a \"b\""), .usage = {
              .state = S3C_SSD_RECOVERING, .bytes = 7, .recovery_ms = 1500,
              .put_bytes = 1000, .written_bytes = 1250 } },
        { .path = S3C_SLICE("/c"), .usage = { .state = S3C_SSD_FAILED } }
    };

    (void) state;

    z.stores = stores;
    z.n_stores = 2;
    print(&z, 1);

#define S  "{zone=\"main\",store=\"/a \\\"b\\\"\""
#define C  "{zone=\"main\",store=\"/c\""
    assert_sample("s3_cache_store_bytes" S ",kind=\"size\"}", "7");
    assert_sample("s3_cache_store_recovery_seconds" S "}", "1.5");
    assert_sample("s3_cache_store_write_amplification" S "}", "1.25");
    assert_sample("s3_cache_store_up" S "}", "1");
    assert_sample("s3_cache_store_state" S ",state=\"recovering\"}", "1");
    assert_sample("s3_cache_store_state" S ",state=\"serving\"}", "0");
    assert_sample("s3_cache_store_up" C "}", "0");
    assert_sample("s3_cache_store_state" C ",state=\"failed\"}", "1");
    assert_sample("s3_cache_store_state" C ",state=\"waiting\"}", "0");
    assert_sample("s3_cache_flash_bytes{zone=\"main\",kind=\"index\"}", "0");
#undef S
#undef C
}


static void
a_node_is_a_label_and_its_state_a_one(void **state)
{
    size_t              own;
    s3c_stats_zone_t    zones[2] = { zone(), zone() };
    s3c_stats_member_t  members[3] = {
        { .name = S3C_SLICE("a \"b\""), .state = S3C_SLICE("ready"),
          .weight = 2, .share = 2.0 / 3 },
        { .name = S3C_SLICE("me"), .state = S3C_SLICE("ready"), .self = true,
          .share = 1.0 / 3 },
        { .name = S3C_SLICE("c"), .state = S3C_SLICE("joining") }
    };
    s3c_stats_ring_t    ring = {
        .epoch = 9, .members = members, .n_members = 3
    };

    (void) state;

    print(zones, 2);
    own = n_samples;

    zones[1].name = S3C_SLICE("second");
    zones[1].ring = &ring;
    members[0].counts.counter[S3C_NODE_STAT_AWAY] = 5;
    members[0].counts.rests = true;
    members[2].counts.counter[S3C_NODE_STAT_ASKED] = 4;
    members[2].counts.links = 2;
    members[2].counts.first_byte.count = 3;
    members[2].counts.first_byte.place[1] = 3;
    members[2].counts.first_byte.sum_usec = 60;
    print(zones, 2);
    assert_no_series_twice();

#define A  "{zone=\"second\",node=\"a \\\"b\\\"\""
#define B  "{zone=\"second\",node=\"me\""
#define C  "{zone=\"second\",node=\"c\""
    assert_sample("s3_cache_ring_epoch{zone=\"second\"}", "9");
    assert_sample("s3_cache_ring_members{zone=\"second\"}", "3");
    assert_sample("s3_cache_ring_vouched{zone=\"second\"}", "0");
    assert_sample("s3_cache_ring_share" A "}", "0.666667");
    assert_sample("s3_cache_ring_share" B "}", "0.333333");
    assert_sample("s3_cache_node_weight" A "}", "2");
    assert_sample("s3_cache_node_state" B ",state=\"ready\"}", "1");
    assert_sample("s3_cache_node_state" C ",state=\"joining\"}", "1");
    assert_sample("s3_cache_node_state" C ",state=\"ready\"}", "0");
    assert_sample("s3_cache_node_reach" A ",reach=\"resting\"}", "1");
    assert_sample("s3_cache_node_reach" C ",reach=\"up\"}", "1");
    assert_sample("s3_cache_node_links" C "}", "2");
    assert_sample("s3_cache_node_failures_total" A ",kind=\"away\"}", "5");
    assert_sample("s3_cache_node_asks_total" C "}", "4");
    assert_sample("s3_cache_node_first_byte_seconds_count" C "}", "3");
    assert_sample("s3_cache_node_first_byte_seconds_bucket" C
                  ",le=\"0.000016\"}", "0");
    assert_sample("s3_cache_node_first_byte_seconds_bucket" C
                  ",le=\"0.000032\"}", "3");

    /* share, weight, 3 states; of others 3 reaches, links, the histogram */
    assert_int_equal(n_samples - own,
                     3 + 3 * 5
                     + 2 * (4 + S3C_HIST_BUCKETS + 3
                            + s3c_stats_node_rows.n));
#undef A
#undef B
#undef C
}


static void
sources_of_keys_are_a_label(void **state)
{
    size_t            own;
    s3c_stats_zone_t  zones[2] = { zone(), zone() };
    s3c_stats_keys_t  keys[2] = {
        { .source = S3C_SLICE("a \"b\""), .refreshed = 1, .failed = 2 },
        { .source = S3C_SLICE("instance"), .refreshed = 3, .valid = true,
          .expires = true, .seconds = 4 }
    };

    (void) state;

    print(zones, 2);
    own = n_samples;

    zones[1].name = S3C_SLICE("second");
    zones[1].keys = keys;
    zones[1].n_keys = 2;
    print(zones, 2);
    assert_no_series_twice();

#define A  "{zone=\"second\",source=\"a \\\"b\\\"\""
#define B  "{zone=\"second\",source=\"instance\""
    assert_sample("s3_cache_origin_keys_refreshes_total" A
                  ",result=\"ok\"}", "1");
    assert_sample("s3_cache_origin_keys_refreshes_total" A
                  ",result=\"failed\"}", "2");
    assert_sample("s3_cache_origin_keys_refreshes_total" B
                  ",result=\"ok\"}", "3");
    assert_sample("s3_cache_origin_keys_valid" A "}", "0");
    assert_sample("s3_cache_origin_keys_valid" B "}", "1");
    assert_sample("s3_cache_origin_keys_expiry_seconds" B "}", "4");

    /* what does not expire has no such sample */
    assert_int_equal(n_samples - own, 7);
#undef A
#undef B
}


static void
alerts_are_a_label(void **state)
{
    size_t             own;
    s3c_stats_zone_t   zones[2] = { zone(), zone() };
    s3c_stats_alert_t  alerts[2] = {
        { .name = S3C_SLICE("hit_ratio") },
        { .name = S3C_SLICE("peer_down"), .raised = true }
    };

    (void) state;

    print(zones, 2);
    own = n_samples;

    zones[1].name = S3C_SLICE("second");
    zones[1].alerts = alerts;
    zones[1].n_alerts = 2;
    print(zones, 2);
    assert_no_series_twice();
    assert_sample("s3_cache_alert{zone=\"second\",alert=\"hit_ratio\"}", "0");
    assert_sample("s3_cache_alert{zone=\"second\",alert=\"peer_down\"}", "1");
    assert_int_equal(n_samples - own, 2);
}


static void
types_follow_from_the_names(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    print(&z, 1);
    assert_non_null(strstr(text, "# TYPE s3_cache_evictions_total counter\n"));
    assert_non_null(strstr(text, "# TYPE s3_cache_zone_bytes gauge\n"));
    assert_non_null(strstr(text, "# TYPE s3_cache_fill_seconds histogram\n"));
    assert_non_null(strstr(text, "# HELP s3_cache_requests_total Client "
                                 "requests by how they were answered\n"));
}


static void
a_bucket_is_a_label(void **state)
{
    uint32_t          n;
    s3c_stats_zone_t  z = zone();

    (void) state;

    n = s3c_stats_bucket(&stats, S3C_SLICE("a\"b\\c"));
    s3c_stats_bucket_add(&stats, n, S3C_BSTAT_HITS, 7);
    s3c_stats_bucket_add(&stats, 0, S3C_BSTAT_MISS_BYTES, 8);
    print(&z, 1);
    assert_sample("s3_cache_bucket_requests_total{zone=\"main\","
                  "bucket=\"a\\\"b\\\\c\",result=\"hit\"}", "7");
    assert_sample("s3_cache_bucket_sent_bytes_total{zone=\"main\","
                  "bucket=\"other\",result=\"miss\"}", "8");
}


static void
a_histogram_is_cumulative_and_in_seconds(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    s3c_stats_observe(&stats, S3C_HIST_FIRST_BYTE_HIT, 10);
    s3c_stats_observe(&stats, S3C_HIST_FIRST_BYTE_HIT, 20);
    s3c_stats_observe(&stats, S3C_HIST_FIRST_BYTE_HIT, 200000000);
    print(&z, 1);

#define H  "s3_cache_first_byte_seconds"
#define L  "{zone=\"main\",result=\"hit\""
    assert_sample(H "_bucket" L ",le=\"0.000016\"}", "1");
    assert_sample(H "_bucket" L ",le=\"0.000032\"}", "2");
    assert_sample(H "_bucket" L ",le=\"1.048576\"}", "2");
    assert_sample(H "_bucket" L ",le=\"134.217728\"}", "2");
    assert_sample(H "_bucket" L ",le=\"+Inf\"}", "3");
    assert_sample(H "_sum" L "}", "200.00003");
    assert_sample(H "_count" L "}", "3");
    assert_sample(H "_count{zone=\"main\",result=\"miss\"}", "0");
    assert_sample("s3_cache_fill_seconds_bucket{zone=\"main\",le=\"+Inf\"}",
                  "0");
}


static void
buckets_of_a_histogram_rise_to_its_count(void **state)
{
    double            le, last_le = 0;
    uint64_t          n, last = 0;
    s3c_stats_zone_t  z = zone();

    (void) state;

    for (uint64_t i = 0; i < 1000; i++) {
        s3c_stats_observe(&stats, S3C_HIST_FILL_TIME, i * i * i);
    }

    print(&z, 1);

    for (size_t i = 0; i < n_samples; i++) {
        const char  *p;

        if (starts(sample[i].series,
                   S3C_SLICE("s3_cache_fill_seconds_bucket")))
        {
            p = strstr((const char *) sample[i].series.data, "le=\"") + 4;
            le = strtod(p, NULL);                    /* knows +Inf */
            n = strtoull((const char *) sample[i].value.data, NULL, 10);
            assert_true(le > last_le);
            assert_true(n >= last);
            last_le = le;
            last = n;
        }
    }

    assert_int_equal(last, 1000);
    assert_sample("s3_cache_fill_seconds_count{zone=\"main\"}", "1000");
}


static void
zone_names_are_escaped(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    z.name = S3C_SLICE("q\"b\\n\nz\0e\xff.");
    print(&z, 1);
    assert_sample("s3_cache_zone_entries{zone=\"q\\\"b\\\\n\\nz\xef\xbf\xbd"
                  "e\xef\xbf\xbd.\"}", "0");
}


/* After a crash the memory may hold anything. */
static void
garbage_in_the_shared_memory_is_still_valid_text(void **state)
{
    uint8_t          *p = mem;
    uint32_t          seed = 1;
    s3c_stats_sh_t   *sh = mem;
    s3c_stats_zone_t  z = zone();

    (void) state;

    for (int round = 0; round < 50; round++) {
        for (size_t i = sizeof(sh->head); i < s3c_stats_bytes(2); i++) {
            seed = seed * 1664525 + 1013904223;
            p[i] = (uint8_t) (seed >> 24);
        }

        for (int i = 0; i < S3C_STATS_BUCKETS_MAX; i += 2) {
            sh->names.tag[i] = S3C_STATS_TAG_READY;
        }

        print(&z, 1);
    }
}


static void
a_short_buffer_overflows_and_is_never_passed(void **state)
{
    size_t            full;
    s3c_writer_t      w;
    s3c_stats_zone_t  z = zone();

    (void) state;

    print(&z, 1);
    full = strlen(text);

    for (size_t size = 0; size <= full; size += size + 97 < full ? 97 : 1) {
        void  *buf = malloc(size + !size);

        s3c_writer_init(&w, buf, size);
        s3c_stats_print_prometheus(&w, &z, 1);
        assert_int_equal(s3c_writer_ok(&w), size == full);
        free(buf);
    }
}


int
main(void)
{
#define T(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest  tests[] = {
        T(every_row_of_every_zone_is_one_series),
        T(a_row_has_its_own_value),
        T(a_store_is_a_label_and_its_state_a_one),
        T(a_node_is_a_label_and_its_state_a_one),
        T(sources_of_keys_are_a_label),
        T(alerts_are_a_label),
        T(types_follow_from_the_names),
        T(a_bucket_is_a_label),
        T(a_histogram_is_cumulative_and_in_seconds),
        T(buckets_of_a_histogram_rise_to_its_count),
        T(zone_names_are_escaped),
        T(garbage_in_the_shared_memory_is_still_valid_text),
        T(a_short_buffer_overflows_and_is_never_passed)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
