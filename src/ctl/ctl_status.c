/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl status: each zone of a node on a screen.
 */
#include <stdlib.h>

#include "ctl/ctl_node.h"
#include "ctl/ctl_table.h"
#include "ctl/ctl_text.h"

#define STATUS_BUCKETS  10

static const char *const  status_tiers[] = {
    "ram", "flash", "mirror", "peer", "origin", "pass"
};

static const char *const  status_results[] = {
    "hit", "shared", "stale", "revalidated", "miss", "bypass", "refused",
    "error"
};

static const char *const  status_asked[] = { "hit", "miss", "pass" };

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))


static uint64_t
status_of(const json_t *zone, const char *group, const char *name)
{
    return ctl_json_u64(ctl_json_at(zone, group), name);
}


static uint64_t
status_sum(const json_t *zone, const char *group, const char *const *names,
    size_t n)
{
    uint64_t  sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += status_of(zone, group, names[i]);
    }

    return sum;
}


static void
status_requests(const json_t *zone)
{
    double    ratio = ctl_json_real(zone, "hit_ratio", -1);
    uint64_t  sent = status_sum(zone, "sent_bytes", status_tiers,
                                LEN(status_tiers));
    uint64_t  asked = status_sum(zone, "requests", status_results,
                                 LEN(status_results));

    (void) printf("  hit ratio  %s of %s requests", ctl_share(ratio, ratio < 0
                                                             ? 0 : 1),
                  ctl_count(asked));

    for (size_t i = 0, shown = 0; i < LEN(status_results); i++) {
        uint64_t  n = status_of(zone, "requests", status_results[i]);

        if (n > 0) {
            (void) printf("%s %s %s", shown++ > 0 ? "," : ":",
                          status_results[i], ctl_count(n));
        }
    }

    (void) printf("\n  sent       %s", ctl_bytes(sent));

    for (size_t i = 0, shown = 0; i < LEN(status_tiers); i++) {
        uint64_t  n = status_of(zone, "sent_bytes", status_tiers[i]);

        if (n > 0) {
            (void) printf("%s %s %s", shown++ > 0 ? "," : ":",
                          status_tiers[i],
                          ctl_share((double) n, (double) sent));
        }
    }

    (void) printf("\n");
}


static void
status_memory(const json_t *zone)
{
    uint64_t  arena = ctl_json_u64(zone, "memory.arena_bytes");
    uint64_t  used = ctl_json_u64(zone, "memory.allocated_bytes");

    (void) printf("  memory     %s of %s (%s), %s entries, %s fills, "
                  "%s evicted\n",
                  ctl_bytes(used), ctl_bytes(arena),
                  ctl_share((double) used, (double) arena),
                  ctl_count(ctl_json_u64(zone, "memory.entries")),
                  ctl_count(ctl_json_u64(zone, "memory.fills")),
                  ctl_count(ctl_json_u64(zone, "memory.evictions")));
}


static void
status_origin(const json_t *zone)
{
    static const char *const  errors[] = {
        "unreachable", "timeout", "cut", "malformed", "5xx"
    };

    (void) printf("  origin     %s requests, %s received, %s errors, "
                  "first byte p50 %s, p99 %s\n",
                  ctl_count(ctl_json_u64(zone, "origin.requests")),
                  ctl_bytes(ctl_json_u64(zone, "origin.received_bytes")),
                  ctl_count(status_sum(zone, "origin.errors", errors,
                                       LEN(errors))),
                  ctl_seconds(ctl_json_real(zone,
                              "latency.origin_first_byte.p50", -1)),
                  ctl_seconds(ctl_json_real(zone,
                              "latency.origin_first_byte.p99", -1)));
    (void) printf("  first byte hit p50 %s, p99 %s; miss p50 %s, p99 %s\n",
                  ctl_seconds(ctl_json_real(zone,
                              "latency.first_byte_hit.p50", -1)),
                  ctl_seconds(ctl_json_real(zone,
                              "latency.first_byte_hit.p99", -1)),
                  ctl_seconds(ctl_json_real(zone,
                              "latency.first_byte_miss.p50", -1)),
                  ctl_seconds(ctl_json_real(zone,
                              "latency.first_byte_miss.p99", -1)));
}


static void
status_stores(const json_t *zone)
{
    ctl_table_t               table;
    const json_t             *stores = ctl_json_at(zone, "stores");
    static const char *const  heads[] = {
        "FLASH", "STATE", "LIVE", "SIZE", "RECORDS", "HITS", "ERRORS"
    };

    if (json_array_size(stores) == 0) {
        return;
    }

    ctl_table_init(&table, heads, LEN(heads), 0x7c);

    for (size_t i = 0; i < json_array_size(stores); i++) {
        const json_t  *s = json_array_get(stores, i);

        ctl_table_text(&table, ctl_json_text(s, "path"));
        ctl_table_text(&table, ctl_json_text(s, "state"));
        ctl_table_word(&table, ctl_bytes(ctl_json_u64(s, "live_bytes")));
        ctl_table_word(&table, ctl_bytes(ctl_json_u64(s, "bytes")));
        ctl_table_word(&table, ctl_count(ctl_json_u64(s, "records")));
        ctl_table_word(&table, ctl_count(ctl_json_u64(s, "reads.hits")));
        ctl_table_word(&table, ctl_count(ctl_json_u64(s, "reads.errors")
                                         + ctl_json_u64(s, "reads.corrupt")
                                         + ctl_json_u64(s,
                                                        "writes.errors")));
    }

    (void) printf("\n");
    ctl_table_print(&table, stdout, 2);
    ctl_table_fini(&table);
}


static uint64_t
status_bucket_bytes(const json_t *bucket)
{
    return ctl_json_u64(bucket, "sent_bytes.hit")
           + ctl_json_u64(bucket, "sent_bytes.miss");
}


static int
status_by_bytes(const void *a, const void *b)
{
    uint64_t  x = status_bucket_bytes(*(const json_t *const *) a);
    uint64_t  y = status_bucket_bytes(*(const json_t *const *) b);

    return (x < y) - (x > y);
}


static void
status_buckets(const json_t *zone)
{
    size_t                    n;
    ctl_table_t               table;
    const json_t            **sorted, *buckets;
    static const char *const  heads[] = {
        "BUCKET", "HITS", "MISSES", "PASSED", "SENT", "OF IT HITS"
    };

    buckets = ctl_json_at(zone, "buckets");
    n = json_array_size(buckets);

    if (n == 0) {
        return;
    }

    sorted = ctl_alloc(n * sizeof(*sorted));
    n = 0;

    for (size_t i = 0; i < json_array_size(buckets); i++) {
        sorted[n] = json_array_get(buckets, i);
        n += status_sum(sorted[n], "requests", status_asked,
                        LEN(status_asked)) > 0;
    }

    if (n == 0) {
        free(sorted);
        return;
    }

    qsort(sorted, n, sizeof(*sorted), status_by_bytes);
    ctl_table_init(&table, heads, LEN(heads), 0x3e);

    for (size_t i = 0; i < n && i < STATUS_BUCKETS; i++) {
        uint64_t  sent = status_bucket_bytes(sorted[i]);

        ctl_table_text(&table, ctl_json_text(sorted[i], "name"));
        ctl_table_word(&table, ctl_count(ctl_json_u64(sorted[i],
                                                      "requests.hit")));
        ctl_table_word(&table, ctl_count(ctl_json_u64(sorted[i],
                                                      "requests.miss")));
        ctl_table_word(&table, ctl_count(ctl_json_u64(sorted[i],
                                                      "requests.pass")));
        ctl_table_word(&table, ctl_bytes(sent));
        ctl_table_word(&table, ctl_share((double) ctl_json_u64(sorted[i],
                                                     "sent_bytes.hit"),
                                         (double) sent));
    }

    (void) printf("\n");
    ctl_table_print(&table, stdout, 2);

    if (n > STATUS_BUCKETS) {
        (void) printf("  and %s more\n", ctl_count(n - STATUS_BUCKETS));
    }

    ctl_table_fini(&table);
    free(sorted);
}


static void
status_alerts(const json_t *zone)
{
    const json_t  *alerts = ctl_json_at(zone, "alerts");

    for (size_t i = 0; i < json_array_size(alerts); i++) {
        const json_t  *a = json_array_get(alerts, i);

        (void) printf("  ALERT      ");
        ctl_text_put(stdout, ctl_json_text(a, "name"));
        (void) printf(": ");
        ctl_text_put(stdout, ctl_json_text(a, "text"));
        (void) printf("; ");
        ctl_text_put(stdout, ctl_json_text(a, "advice"));
        (void) printf("\n");
    }
}


static void
status_zone(const json_t *zone)
{
    size_t         away = 0, n;
    const json_t  *members = ctl_json_at(zone, "ring.members");

    (void) printf("zone ");
    ctl_text_put(stdout, ctl_json_text(zone, "name"));
    (void) printf(" (");
    ctl_text_put(stdout, ctl_json_text(zone, "policy"));
    (void) printf(")\n");

    status_alerts(zone);
    status_requests(zone);
    status_memory(zone);
    status_origin(zone);

    n = json_array_size(members);

    for (size_t i = 0; i < n; i++) {
        away += ctl_json_says(json_array_get(members, i), "reach", "resting");
    }

    if (n > 0) {
        (void) printf("  ring       %zu nodes, %zu away%s\n", n, away,
                      ctl_json_is(zone, "ring.vouched")
                      ? "" : ", not vouched for");
    }

    status_stores(zone);
    status_buckets(zone);
}


ctl_exit_t
ctl_status(ctl_t *ctl)
{
    json_t        *json;
    ctl_exit_t     end;
    const json_t  *zones;

    end = ctl_node_status(ctl, &json);

    if (end != CTL_OK) {
        return end;
    }

    zones = ctl_json_at(json, "zones");

    if (ctl->options.json) {
        ctl_json_print(stdout, json);

    } else {
        size_t  shown = 0;

        for (size_t i = 0; i < json_array_size(zones); i++) {
            const json_t  *zone = json_array_get(zones, i);

            if (!ctl_node_zone_meant(ctl, zone)) {
                continue;
            }

            if (shown++ > 0) {
                (void) printf("\n");
            }

            status_zone(zone);
        }

        if (shown == 0) {
            end = ctl_fail(ctl, CTL_REFUSED, "the node has no such zone");
        }
    }

    json_decref(json);

    return end;
}
