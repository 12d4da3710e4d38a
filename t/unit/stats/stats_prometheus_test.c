/* SPDX-License-Identifier: Apache-2.0
 *
 * The Prometheus text: a strict reader of format 0.0.4 (one HELP and TYPE per
 * family, families together, names, labels, escapes, no series twice, sound
 * histograms), and the values.
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

#define TEXT_BYTES   (1 << 20)
#define SERIES_MAX   4096

typedef struct {
    s3c_slice_t  series;       /* name{labels} as it stands */
    s3c_slice_t  value;
} sample_t;

static char         text[TEXT_BYTES];
static sample_t     sample[SERIES_MAX];
static size_t       n_samples;
static s3c_stats_t  stats;
static void        *mem;


static bool
starts(s3c_slice_t s, s3c_slice_t with)
{
    return s.len >= with.len && memcmp(s.data, with.data, with.len) == 0;
}


/* The length of a name at p, 0 if there is none. */
static size_t
name_len(const char *p)
{
    size_t  n = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return p[0] >= '0' && p[0] <= '9' ? 0 : n;
}


/* Past a label's value, which begins after its first quote. */
static const char *
skip_label_value(const char *p)
{
    while (*p != '"') {
        s3c_slice_t  rest = s3c_slice(p, strlen(p));

        assert_int_not_equal(*p, '\0');
        assert_int_not_equal(*p, '\n');
        assert_ptr_equal(s3c_stats_text_next(&rest).data, p);

        if (*p == '\\') {
            p++;
            assert_non_null(strchr("\\\"n", *p));
            p++;
            continue;
        }

        p = (const char *) rest.data;
    }

    return p + 1;
}


/* Past name{label="value",...}. */
static const char *
skip_series(const char *p)
{
    size_t  n = name_len(p);

    assert_int_not_equal(n, 0);
    p += n;
    assert_int_equal(*p, '{');

    do {
        p++;
        n = name_len(p);
        assert_int_not_equal(n, 0);
        p += n;
        assert_memory_equal(p, "=\"", 2);
        p = skip_label_value(p + 2);
    } while (*p == ',');

    assert_int_equal(*p, '}');

    return p + 1;
}


/* Does a sample's name belong to the family, by its type? */
static void
assert_belongs(const char *series, s3c_slice_t family, s3c_slice_t type)
{
    const char  *rest = series + family.len;

    assert_memory_equal(series, family.data, family.len);

    if (s3c_slice_eq(type, S3C_SLICE("histogram"))) {
        assert_true(strncmp(rest, "_bucket{", 8) == 0
                    || strncmp(rest, "_sum{", 5) == 0
                    || strncmp(rest, "_count{", 7) == 0);

    } else {
        assert_int_equal(rest[0], '{');
    }
}


static void
read_text(void)
{
    size_t       n_families = 0;
    const char  *p = text, *end;
    s3c_slice_t  family = S3C_SLICE_NONE, type = S3C_SLICE_NONE;
    s3c_slice_t  families[200];

    n_samples = 0;

    while (*p != '\0') {
        end = strchr(p, '\n');
        assert_non_null(end);

        if (strncmp(p, "# HELP ", 7) == 0) {
            family = s3c_slice(p + 7, name_len(p + 7));
            assert_int_not_equal(family.len, 0);
            assert_int_equal(family.data[family.len], ' ');
            assert_true((const char *) family.data + family.len + 1 < end);

            for (size_t i = 0; i < n_families; i++) {
                assert_false(s3c_slice_eq(families[i], family));
            }

            assert_true(n_families < 200);
            families[n_families++] = family;

            p = end + 1;
            end = strchr(p, '\n');
            assert_non_null(end);
            assert_memory_equal(p, "# TYPE ", 7);
            assert_memory_equal(p + 7, family.data, family.len);
            p += 7 + family.len;
            assert_int_equal(*p, ' ');
            type = s3c_slice(p + 1, (size_t) (end - p - 1));
            assert_true(s3c_slice_eq(type, S3C_SLICE("counter"))
                        || s3c_slice_eq(type, S3C_SLICE("gauge"))
                        || s3c_slice_eq(type, S3C_SLICE("histogram")));

        } else {
            const char  *after = skip_series(p);
            char        *number_end;

            assert_belongs(p, family, type);
            assert_int_equal(*after, ' ');
            assert_in_range(after[1], '0', '9');
            (void) strtod(after + 1, &number_end);
            assert_ptr_equal(number_end, end);

            assert_true(n_samples < SERIES_MAX);
            sample[n_samples++] = (sample_t) {
                s3c_slice(p, (size_t) (after - p)),
                s3c_slice(after + 1, (size_t) (end - after - 1))
            };
        }

        p = end + 1;
    }
}


static void
print(const s3c_stats_zone_t *zones, unsigned n)
{
    s3c_writer_t  w;

    s3c_writer_init(&w, text, sizeof(text) - 1);
    s3c_stats_print_prometheus(&w, zones, n);
    assert_true(s3c_writer_ok(&w));
    assert_null(memchr(text, '\0', (size_t) (w.pos - w.start)));
    *w.pos = '\0';
    read_text();
}


static void
assert_sample(const char *series, const char *want)
{
    for (size_t i = 0; i < n_samples; i++) {
        if (s3c_slice_eq(sample[i].series,
                         s3c_slice(series, strlen(series))))
        {
            if (!s3c_slice_eq(sample[i].value, s3c_slice(want, strlen(want))))
            {
                print_error("%s %.*s, not %s\n", series,
                            (int) sample[i].value.len, sample[i].value.data,
                            want);
                fail();
            }

            return;
        }
    }

    print_error("no %s\n", series);
    fail();
}


static void
assert_no_series_twice(void)
{
    for (size_t i = 0; i < n_samples; i++) {
        for (size_t k = i + 1; k < n_samples; k++) {
            assert_false(s3c_slice_eq(sample[i].series, sample[k].series));
        }
    }
}


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
                     2 + 3 * 5
                     + 2 * (4 + S3C_HIST_BUCKETS + 3
                            + s3c_stats_node_rows.n));
#undef A
#undef B
#undef C
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
