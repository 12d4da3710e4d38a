/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON text: a strict reader takes it, whatever the names and the shared
 * memory hold, and finds each value at its path.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "json_reader.h"
#include "stats/stats_sh.h"

#define TEXT_BYTES  (1 << 20)

static uint8_t            text[TEXT_BYTES];
static json_reader_t      reader;
static s3c_stats_t        stats;
static s3c_stats_store_t  stores[2];
static void              *mem;


static void
print(const s3c_stats_zone_t *zones, unsigned n)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, text, sizeof(text));
    s3c_stats_print_json(&w, zones, n);
    assert_true(s3c_writer_ok(&w));
    assert_true(json_read(&reader, s3c_writer_slice(&w)));
}


static s3c_slice_t
value(const char *prefix, const char *path)
{
    char  full[256];

    snprintf(full, sizeof(full), "%s%s", prefix, path);

    for (size_t i = 0; i < reader.n; i++) {
        if (strcmp(reader.leaf[i].path, full) == 0) {
            return reader.leaf[i].value;
        }
    }

    print_error("no %s\n", full);
    fail();

    return S3C_SLICE_NONE;
}


static void
assert_value(const char *path, const char *want)
{
    s3c_slice_t  got = value("zones.0.", path);

    if (!s3c_slice_eq(got, s3c_slice(want, strlen(want)))) {
        print_error("%s: %.*s, not %s\n", path, (int) got.len, got.data, want);
        fail();
    }
}


static s3c_stats_zone_t
zone(void)
{
    return (s3c_stats_zone_t) {
        .name = S3C_SLICE("main"), .stats = &stats,
        .policy = S3C_SLICE("s3fifo"), .io = S3C_SLICE("none")
    };
}


/* The same with two stores. */
static s3c_stats_zone_t
flash_zone(void)
{
    s3c_stats_zone_t  z = zone();

    memset(stores, 0, sizeof(stores));
    stores[0].path = S3C_SLICE("/a");
    stores[0].usage.state = S3C_SSD_SERVING;
    stores[1].path = S3C_SLICE("/b \"\xff");
    stores[1].usage.state = S3C_SSD_FAILED;
    z.io = S3C_SLICE("io_uring");
    z.stores = stores;
    z.n_stores = 2;

    return z;
}


static int
setup(void **state)
{
    (void) state;

    mem = aligned_alloc(64, s3c_stats_bytes(2));
    s3c_stats_format(mem, 2);

    return s3c_stats_attach(&stats, mem, 2, 0) == S3C_OK ? 0 : -1;
}


static int
teardown(void **state)
{
    (void) state;
    free(mem);

    return 0;
}


static void
no_zone_is_an_empty_list(void **state)
{
    (void) state;

    print(NULL, 0);
    assert_memory_equal(text, "{\"zones\":[]}\n", 13);
}


static void
every_row_stands_once_at_its_path_with_its_own_value(void **state)
{
    char              want[32];
    uint64_t          n = 1000;
    s3c_stats_zone_t  z = zone();

    (void) state;

    for (size_t i = 0; i < s3c_stats_counter_rows.n; i++) {
        s3c_stats_add(&stats, s3c_stats_counter_rows.rows[i].at, n++);
    }

    for (size_t i = 0; i < s3c_stats_usage_rows.n; i++, n++) {
        memcpy((uint8_t *) &z.usage + s3c_stats_usage_rows.rows[i].at, &n, 8);
    }

    for (size_t i = 0; i < s3c_stats_bucket_rows.n; i++) {
        s3c_stats_bucket_add(&stats, 0, s3c_stats_bucket_rows.rows[i].at, n++);
    }

    print(&z, 1);
    n = 1000;

    for (size_t i = 0; i < s3c_stats_counter_rows.n; i++) {
        snprintf(want, sizeof(want), "%llu", (unsigned long long) n++);
        assert_value(s3c_stats_counter_rows.rows[i].path, want);
    }

    for (size_t i = 0; i < s3c_stats_usage_rows.n; i++) {
        snprintf(want, sizeof(want), "%llu", (unsigned long long) n++);
        assert_value(s3c_stats_usage_rows.rows[i].path, want);
    }

    for (size_t i = 0; i < s3c_stats_bucket_rows.n; i++) {
        s3c_slice_t  got = value("zones.0.buckets.0.",
                                 s3c_stats_bucket_rows.rows[i].path);

        snprintf(want, sizeof(want), "%llu", (unsigned long long) n++);
        assert_memory_equal(got.data, want, strlen(want));
    }

    assert_value("name", "\"main\"");
    assert_value("policy", "\"s3fifo\"");
    assert_value("buckets.0.name", "\"other\"");
}


static void
every_row_of_a_store_stands_once_at_its_path(void **state)
{
    char                     path[128], want[32];
    uint64_t                 n = 1000;
    s3c_stats_zone_t         z = flash_zone();
    const s3c_stats_rows_t  *rows = &s3c_stats_store_rows;

    (void) state;

    for (size_t i = 0; i < rows->n; i++, n++) {
        memcpy((uint8_t *) &stores[1].usage + rows->rows[i].at, &n, 8);
    }

    z.flash = (s3c_stats_flash_t) { .index_bytes = 5, .memory_bytes = 6 };
    print(&z, 1);
    n = 1000;

    for (size_t i = 0; i < rows->n; i++) {
        snprintf(path, sizeof(path), "stores.1.%s", rows->rows[i].path);
        snprintf(want, sizeof(want), "%llu", (unsigned long long) n++);
        assert_value(path, want);
        snprintf(path, sizeof(path), "stores.0.%s", rows->rows[i].path);
        assert_value(path, "0");
    }

    assert_value("flash.io", "\"io_uring\"");
    assert_value("flash.index_bytes", "5");
    assert_value("flash.memory_bytes", "6");
    assert_value("stores.0.path", "\"/a\"");
    assert_value("stores.0.state", "\"serving\"");
    assert_value("stores.0.writes.amplification", "1");
    assert_value("stores.1.path", "\"/b \\\"\xef\xbf\xbd\"");
    assert_value("stores.1.state", "\"failed\"");
}


static void
a_zone_without_stores_says_so(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    print(&z, 1);
    assert_value("flash.io", "\"none\"");
    assert_value("flash.memory_bytes", "0");
    assert_non_null(strstr((char *) text, "\"stores\":[],"));
}


static void
every_row_of_a_node_stands_once_at_its_path(void **state)
{
    char                     path[128], want[32];
    s3c_stats_zone_t         z = zone();
    const s3c_stats_rows_t  *rows = &s3c_stats_node_rows;
    s3c_stats_member_t       members[3] = {
        { .name = S3C_SLICE("a \"\xff"), .address = S3C_SLICE("[::1]:9"),
          .zone = S3C_SLICE("r1"), .state = S3C_SLICE("ready"), .weight = 3,
          .share = 0.25 },
        { .name = S3C_SLICE("b"), .state = S3C_SLICE("ready"), .self = true },
        { .name = S3C_SLICE("c"), .state = S3C_SLICE("leaving") }
    };
    s3c_stats_ring_t         ring = {
        .epoch = 7, .digest = 0x00ab0000000000cd, .members = members,
        .n_members = 3
    };

    (void) state;

    for (size_t i = 0; i < rows->n; i++) {
        members[0].counts.counter[rows->rows[i].at] = 1000 + i;
    }

    members[0].counts.links = 4;
    members[0].counts.first_byte.count = 1;
    members[0].counts.first_byte.sum_usec = 16;
    members[0].counts.first_byte.place[0] = 1;
    members[2].counts.rests = true;
    z.ring = &ring;
    print(&z, 1);

    for (size_t i = 0; i < rows->n; i++) {
        snprintf(path, sizeof(path), "ring.members.0.%s", rows->rows[i].path);
        snprintf(want, sizeof(want), "%zu", 1000 + i);
        assert_value(path, want);
        snprintf(path, sizeof(path), "ring.members.2.%s", rows->rows[i].path);
        assert_value(path, "0");
    }

    assert_value("ring.epoch", "7");
    assert_value("ring.vouched", "false");
    assert_value("ring.digest", "\"00ab0000000000cd\"");
    assert_value("ring.members.0.name", "\"a \\\"\xef\xbf\xbd\"");
    assert_value("ring.members.0.address", "\"[::1]:9\"");
    assert_value("ring.members.0.zone", "\"r1\"");
    assert_value("ring.members.0.weight", "3");
    assert_value("ring.members.0.self", "false");
    assert_value("ring.members.0.share", "0.25");
    assert_value("ring.members.0.reach", "\"up\"");
    assert_value("ring.members.0.links", "4");
    assert_value("ring.members.0.first_byte.sum", "0.000016");
    assert_value("ring.members.1.self", "true");
    assert_value("ring.members.1.reach", "\"self\"");
    assert_value("ring.members.2.state", "\"leaving\"");
    assert_value("ring.members.2.reach", "\"resting\"");
    assert_value("ring.members.2.first_byte.p50", "null");

    members[2].counts.rests = false;
    print(&z, 1);
    assert_value("ring.members.2.reach", "\"unasked\"");
    z.ring = NULL;
    print(&z, 1);
    assert_value("ring", "null");
}


static void
sources_of_keys_stand_in_their_zone(void **state)
{
    s3c_stats_zone_t  z = zone();
    s3c_stats_keys_t  keys[2] = {
        { .source = S3C_SLICE("file=\"\xff"), .refreshed = 1 },
        { .source = S3C_SLICE("instance"), .refreshed = 3, .failed = 4,
          .valid = true, .expires = true, .seconds = 5 }
    };

    (void) state;

    z.keys = keys;
    z.n_keys = 2;
    print(&z, 1);
    assert_value("origin_keys.0.source", "\"file=\\\"\xef\xbf\xbd\"");
    assert_value("origin_keys.0.refreshes.ok", "1");
    assert_value("origin_keys.0.refreshes.failed", "0");
    assert_value("origin_keys.0.valid", "false");
    assert_value("origin_keys.0.expiry_seconds", "null");
    assert_value("origin_keys.1.source", "\"instance\"");
    assert_value("origin_keys.1.refreshes.failed", "4");
    assert_value("origin_keys.1.valid", "true");
    assert_value("origin_keys.1.expiry_seconds", "5");
}


static void
raised_alerts_stand_in_their_zone(void **state)
{
    s3c_stats_zone_t   z = zone();
    s3c_stats_alert_t  alerts[2] = {
        { .name = S3C_SLICE("hit_ratio"), .threshold = 300 },
        { .name = S3C_SLICE("peer_down"), .severity = S3C_SLICE("warning"),
          .text = S3C_SLICE("1 of 2: \"\n"), .advice = S3C_SLICE("look"),
          .raised = true, .since_ms = 1763805600123, .value = 1500,
          .threshold = 1000 }
    };

    (void) state;

    z.alerts = alerts;
    z.n_alerts = 2;
    print(&z, 1);
    assert_value("alerts.0.name", "\"peer_down\"");
    assert_value("alerts.0.severity", "\"warning\"");
    assert_value("alerts.0.since", "1763805600123");
    assert_value("alerts.0.value", "1.5");
    assert_value("alerts.0.threshold", "1");
    assert_value("alerts.0.text", "\"1 of 2: \\\"\\u000a\"");
    assert_value("alerts.0.advice", "\"look\"");
}


static void
a_bucket_that_was_seen_is_listed_by_name(void **state)
{
    uint32_t          n;
    s3c_stats_zone_t  z = zone();

    (void) state;

    n = s3c_stats_bucket(&stats, S3C_SLICE("a\"b\\c"));
    s3c_stats_bucket_add(&stats, n, S3C_BSTAT_PASSES, 7);
    print(&z, 1);
    assert_value("buckets.1.name", "\"a\\\"b\\\\c\"");
    assert_value("buckets.1.requests.pass", "7");
}


static void
the_hit_ratio_is_null_before_the_first_request(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    s3c_stats_add(&stats, S3C_STAT_REQ_BYPASS, 5);
    print(&z, 1);
    assert_value("hit_ratio", "null");
}


static void
the_hit_ratio_counts_what_needed_no_body_from_the_origin(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    s3c_stats_add(&stats, S3C_STAT_REQ_MISS, 1);
    print(&z, 1);
    assert_value("hit_ratio", "0");

    s3c_stats_add(&stats, S3C_STAT_REQ_HIT, 3);
    s3c_stats_add(&stats, S3C_STAT_REQ_BYPASS, 50);
    print(&z, 1);
    assert_value("hit_ratio", "0.75");

    s3c_stats_add(&stats, S3C_STAT_REQ_SHARED, 1);
    s3c_stats_add(&stats, S3C_STAT_REQ_STALE, 1);
    s3c_stats_add(&stats, S3C_STAT_REQ_REVALIDATED, 1);
    print(&z, 1);
    assert_value("hit_ratio", "0.8571");

    s3c_stats_add(&stats, S3C_STAT_REQ_HIT, 1000000);
    print(&z, 1);
    assert_value("hit_ratio", "0.9999");
}


static void
latencies_are_seconds_and_null_without_observations(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    s3c_stats_observe(&stats, S3C_HIST_FIRST_BYTE_HIT, 2000);
    s3c_stats_observe(&stats, S3C_HIST_FIRST_BYTE_HIT, 1100);
    print(&z, 1);

    assert_value("latency.first_byte_hit.count", "2");
    assert_value("latency.first_byte_hit.sum", "0.0031");
    assert_value("latency.first_byte_hit.p50", "0.001536");
    assert_value("latency.first_byte_miss.count", "0");
    assert_value("latency.first_byte_miss.p50", "null");
    assert_value("latency.fill.p99", "null");
}


static void
a_zone_without_counters_prints_zeros(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    z.stats = NULL;
    z.usage.entries = 5;
    print(&z, 1);
    assert_value("requests.hit", "0");
    assert_value("memory.entries", "5");
    assert_value("buckets.0.requests.hit", "0");
    assert_value("latency.fill.count", "0");
}


static void
zone_names_are_escaped(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    z.name = S3C_SLICE("q\"b\\n\nz\0e\xff.");
    z.policy = S3C_SLICE_NONE;
    print(&z, 1);
    assert_value("name",
                 "\"q\\\"b\\\\n\\u000az\\u0000e\xef\xbf\xbd.\"");
    assert_value("policy", "\"\"");
}


static void
largest_numbers_print_in_full(void **state)
{
    s3c_stats_zone_t  z = zone();

    (void) state;

    s3c_stats_add(&stats, S3C_STAT_SENT_RAM, UINT64_MAX);
    print(&z, 1);
    assert_value("sent_bytes.ram", "18446744073709551615");
}


/* After a crash the memory may hold anything. */
static void
garbage_in_the_shared_memory_is_still_valid_json(void **state)
{
    uint8_t          *p = mem;
    uint32_t          seed = 1;
    s3c_stats_sh_t   *sh = mem;
    s3c_stats_zone_t  zones[2] = { zone(), zone() };

    (void) state;

    for (int round = 0; round < 50; round++) {
        for (size_t i = sizeof(sh->head); i < s3c_stats_bytes(2); i++) {
            seed = seed * 1664525 + 1013904223;
            p[i] = (uint8_t) (seed >> 24);
        }

        for (int i = 0; i < S3C_STATS_BUCKETS_MAX; i += 2) {
            sh->names.tag[i] = S3C_STATS_TAG_READY;
        }

        print(zones, 2);
    }
}


static void
a_short_buffer_overflows_and_is_never_passed(void **state)
{
    size_t            full;
    s3c_writer_t      w;
    s3c_stats_zone_t  z = flash_zone();

    (void) state;

    print(&z, 1);
    full = (size_t) (reader.end - text);

    for (size_t size = 0; size <= full; size += size + 61 < full ? 61 : 1) {
        void  *buf = malloc(size + !size);

        s3c_writer_init(&w, buf, size);
        s3c_stats_print_json(&w, &z, 1);
        assert_int_equal(s3c_writer_ok(&w), size == full);
        free(buf);
    }
}


int
main(void)
{
#define T(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest  tests[] = {
        T(no_zone_is_an_empty_list),
        T(every_row_stands_once_at_its_path_with_its_own_value),
        T(every_row_of_a_store_stands_once_at_its_path),
        T(a_zone_without_stores_says_so),
        T(every_row_of_a_node_stands_once_at_its_path),
        T(sources_of_keys_stand_in_their_zone),
        T(raised_alerts_stand_in_their_zone),
        T(a_bucket_that_was_seen_is_listed_by_name),
        T(the_hit_ratio_is_null_before_the_first_request),
        T(the_hit_ratio_counts_what_needed_no_body_from_the_origin),
        T(latencies_are_seconds_and_null_without_observations),
        T(a_zone_without_counters_prints_zeros),
        T(zone_names_are_escaped),
        T(largest_numbers_print_in_full),
        T(garbage_in_the_shared_memory_is_still_valid_json),
        T(a_short_buffer_overflows_and_is_never_passed)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
