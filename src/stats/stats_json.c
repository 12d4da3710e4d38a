/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers as one JSON text (RFC 8259), valid whatever the names hold. The
 * layout is that of the paths in stats_table.h: rows with a common parent
 * stand together, so that one walk opens and closes every object once.
 */
#include "stats/stats_rows.h"

/* One object being written: where its last value stood. */
typedef struct {
    s3c_writer_t  *w;
    const char    *path;       /* "" before the first value */
} json_object_t;


void
s3c_stats_write_string(s3c_writer_t *w, s3c_slice_t s)
{
    s3c_write_byte(w, '"');

    while (s.len > 0) {
        s3c_slice_t  c = s3c_stats_text_next(&s);

        if (c.data[0] < 0x20) {
            s3c_write_lit(w, "\\u00");
            s3c_write_hex(w, c.data, 1);
            continue;
        }

        if (c.data[0] == '"' || c.data[0] == '\\') {
            s3c_write_byte(w, '\\');
        }

        s3c_write_slice(w, c);
    }

    s3c_write_byte(w, '"');
}


/* Closes and opens what lies between the last path and this one, up to the
 * colon before the value. */
static void
json_key(json_object_t *o, const char *path)
{
    size_t         parent = 0;
    const char    *p;
    s3c_writer_t  *w = o->w;

    for (size_t i = 0; path[i] != '\0' && path[i] == o->path[i]; i++) {
        if (path[i] == '.') {
            parent = i + 1;
        }
    }

    for (p = o->path + parent; *p != '\0'; p++) {
        if (*p == '.') {
            s3c_write_byte(w, '}');
        }
    }

    s3c_write_byte(w, o->path[0] == '\0' ? '{' : ',');

    for (p = path + parent; ; ) {
        size_t  n = strcspn(p, ".");

        s3c_stats_write_string(w, s3c_slice(p, n));
        s3c_write_byte(w, ':');

        if (p[n] == '\0') {
            break;
        }

        s3c_write_byte(w, '{');
        p += n + 1;
    }

    o->path = path;
}


static void
json_end(json_object_t *o)
{
    if (o->path[0] == '\0') {
        s3c_write_byte(o->w, '{');
    }

    for (const char *p = o->path; *p != '\0'; p++) {
        if (*p == '.') {
            s3c_write_byte(o->w, '}');
        }
    }

    s3c_write_byte(o->w, '}');
}


static void
json_rows(json_object_t *o, const s3c_stats_rows_t *rows,
    const s3c_stats_zone_t *zone, uint32_t bucket)
{
    for (size_t i = 0; i < rows->n; i++) {
        json_key(o, rows->rows[i].path);
        s3c_write_u64(o->w, rows->value(zone, bucket, rows->rows[i].at));
    }
}


static void
json_buckets(s3c_writer_t *w, const s3c_stats_zone_t *zone)
{
    uint8_t  buf[S3C_STATS_BUCKET_NAME];

    s3c_write_byte(w, '[');

    for (uint32_t i = 0; i < S3C_STATS_BUCKETS_MAX; i++) {
        s3c_slice_t    name = s3c_stats_zone_bucket(zone, i, buf);
        json_object_t  o = { w, "" };

        if (name.len == 0) {
            continue;
        }

        if (i > 0) {
            s3c_write_byte(w, ',');
        }

        json_key(&o, "name");
        s3c_stats_write_string(w, name);
        json_rows(&o, &s3c_stats_bucket_rows, zone, i);
        json_end(&o);
    }

    s3c_write_byte(w, ']');
}


/* One value is computed: it stands behind the last of its object. */
static void
json_stores(s3c_writer_t *w, const s3c_stats_zone_t *zone)
{
    const s3c_stats_rows_t  *rows = &s3c_stats_store_rows;

    s3c_write_byte(w, '[');

    for (unsigned i = 0; i < zone->n_stores; i++) {
        const s3c_stats_store_t  *store = &zone->stores[i];
        const char               *state;
        json_object_t             o = { w, "" };

        if (i > 0) {
            s3c_write_byte(w, ',');
        }

        state = s3c_ssd_state_name(store->usage.state);

        json_key(&o, "path");
        s3c_stats_write_string(w, store->path);
        json_key(&o, "state");
        s3c_stats_write_string(w, s3c_slice(state, strlen(state)));

        for (size_t k = 0; k < rows->n; k++) {
            json_key(&o, rows->rows[k].path);
            s3c_write_u64(w, rows->value(zone, i, rows->rows[k].at));

            if (rows->rows[k].at == offsetof(s3c_ssd_usage_t, n_denied)) {
                json_key(&o, "writes.amplification");
                s3c_stats_write_amplification(w, &store->usage);
            }
        }

        json_end(&o);
    }

    s3c_write_byte(w, ']');
}


static void
json_latency(s3c_writer_t *w, const s3c_hist_sums_t *sums)
{
    static const struct {
        const char  *key;
        uint32_t     percent;
    } quantiles[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 } };

    json_object_t  o = { w, "" };

    json_key(&o, "count");
    s3c_write_u64(w, sums->count);
    json_key(&o, "sum");
    s3c_stats_write_seconds(w, sums->sum_usec);

    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        json_key(&o, quantiles[i].key);

        if (sums->count == 0) {
            s3c_write_lit(w, "null");
            continue;
        }

        s3c_stats_write_seconds(w,
            s3c_hist_quantile_usec(sums, quantiles[i].percent));
    }

    json_end(&o);
}


/* Of the reads that the cache may answer, those that it answered without
 * asking the origin for the body. Four decimals; null before the first. */
static void
json_hit_ratio(s3c_writer_t *w, const s3c_stats_zone_t *zone)
{
    static const s3c_stat_t  hits[] = {
        S3C_STAT_REQ_HIT, S3C_STAT_REQ_SHARED, S3C_STAT_REQ_STALE,
        S3C_STAT_REQ_REVALIDATED
    };

    double    n = 0, all;
    uint32_t  parts;

    for (size_t i = 0; i < sizeof(hits) / sizeof(hits[0]); i++) {
        n += (double) s3c_stats_counter_rows.value(zone, 0, hits[i]);
    }

    all = n + (double) s3c_stats_counter_rows.value(zone, 0,
                                                    S3C_STAT_REQ_MISS);

    if (all == 0) {
        s3c_write_lit(w, "null");
        return;
    }

    /* rounded down: 1 says that there was no miss at all */
    parts = (uint32_t) (n * 10000 / all);
    s3c_stats_write_seconds(w, (uint64_t) parts * 100);
}


static void
json_member(s3c_writer_t *w, const s3c_stats_zone_t *zone, unsigned i)
{
    json_object_t              o = { w, "" };
    const s3c_stats_member_t  *m = &zone->ring->members[i];

    json_key(&o, "name");
    s3c_stats_write_string(w, m->name);
    json_key(&o, "address");
    s3c_stats_write_string(w, m->address);
    json_key(&o, "zone");
    s3c_stats_write_string(w, m->zone);
    json_key(&o, "weight");
    s3c_write_u64(w, m->weight);
    json_key(&o, "state");
    s3c_stats_write_string(w, m->state);
    json_key(&o, "self");
    s3c_write_str(w, m->self ? "true" : "false");
    json_key(&o, "share");
    s3c_stats_write_share(w, m->share);
    json_key(&o, "reach");
    s3c_stats_write_string(w, s3c_stats_member_reach(m));

    if (!m->self) {
        json_key(&o, "links");
        s3c_write_u64(w, m->counts.links);
        json_rows(&o, &s3c_stats_node_rows, zone, i);
        json_key(&o, "first_byte");
        json_latency(w, &m->counts.first_byte);
    }

    json_end(&o);
}


static void
json_ring(s3c_writer_t *w, const s3c_stats_zone_t *zone)
{
    uint8_t                  digest[8];
    json_object_t            o = { w, "" };
    const s3c_stats_ring_t  *ring = zone->ring;

    if (ring == NULL) {
        s3c_write_lit(w, "null");
        return;
    }

    for (int i = 0; i < 8; i++) {
        digest[i] = (uint8_t) (ring->digest >> (56 - 8 * i));
    }

    json_key(&o, "epoch");
    s3c_write_u64(w, ring->epoch);
    json_key(&o, "digest");
    s3c_write_byte(w, '"');
    s3c_write_hex(w, digest, sizeof(digest));
    s3c_write_byte(w, '"');
    json_key(&o, "vouched");
    s3c_write_bytes(w, ring->vouched ? "true" : "false", ring->vouched ? 4 : 5);
    json_key(&o, "members");
    s3c_write_byte(w, '[');

    /* no use in going on once it is too long */

    for (unsigned i = 0; i < ring->n_members && s3c_writer_ok(w); i++) {
        if (i > 0) {
            s3c_write_byte(w, ',');
        }

        json_member(w, zone, i);
    }

    s3c_write_byte(w, ']');
    json_end(&o);
}


static void
json_keys(s3c_writer_t *w, const s3c_stats_zone_t *zone)
{
    s3c_write_byte(w, '[');

    for (unsigned i = 0; i < zone->n_keys; i++) {
        json_object_t            o = { w, "" };
        const s3c_stats_keys_t  *k = &zone->keys[i];

        if (i > 0) {
            s3c_write_byte(w, ',');
        }

        json_key(&o, "source");
        s3c_stats_write_string(w, k->source);
        json_key(&o, "refreshes.ok");
        s3c_write_u64(w, k->refreshed);
        json_key(&o, "refreshes.failed");
        s3c_write_u64(w, k->failed);
        json_key(&o, "valid");
        s3c_write_str(w, k->valid ? "true" : "false");
        json_key(&o, "expiry_seconds");

        if (k->expires) {
            s3c_write_u64(w, k->seconds);

        } else {
            s3c_write_lit(w, "null");
        }

        json_end(&o);
    }

    s3c_write_byte(w, ']');
}


/* Those that are raised. */
static void
json_alerts(s3c_writer_t *w, const s3c_stats_zone_t *zone)
{
    unsigned  n = 0;

    s3c_write_byte(w, '[');

    for (unsigned i = 0; i < zone->n_alerts; i++) {
        json_object_t             o = { w, "" };
        const s3c_stats_alert_t  *a = &zone->alerts[i];

        if (!a->raised) {
            continue;
        }

        if (n++ > 0) {
            s3c_write_byte(w, ',');
        }

        json_key(&o, "name");
        s3c_stats_write_string(w, a->name);
        json_key(&o, "severity");
        s3c_stats_write_string(w, a->severity);
        json_key(&o, "since");
        s3c_write_u64(w, a->since_ms);
        json_key(&o, "value");
        s3c_stats_write_seconds(w, a->value * 1000);
        json_key(&o, "threshold");
        s3c_stats_write_seconds(w, a->threshold * 1000);
        json_key(&o, "text");
        s3c_stats_write_string(w, a->text);
        json_key(&o, "advice");
        s3c_stats_write_string(w, a->advice);
        json_end(&o);
    }

    s3c_write_byte(w, ']');
}


static void
json_zone(s3c_writer_t *w, const s3c_stats_zone_t *zone)
{
    s3c_hist_sums_t  sums;
    json_object_t    o = { w, "" };

    json_key(&o, "name");
    s3c_stats_write_string(w, zone->name);
    json_key(&o, "policy");
    s3c_stats_write_string(w, zone->policy);

    json_rows(&o, &s3c_stats_counter_rows, zone, 0);
    json_rows(&o, &s3c_stats_usage_rows, zone, 0);

    json_key(&o, "flash.io");
    s3c_stats_write_string(w, zone->io);
    json_rows(&o, &s3c_stats_flash_rows, zone, 0);
    json_key(&o, "stores");
    json_stores(w, zone);

    json_key(&o, "ring");
    json_ring(w, zone);

    json_key(&o, "origin_keys");
    json_keys(w, zone);

    json_key(&o, "alerts");
    json_alerts(w, zone);
    json_key(&o, "warmup_jobs");
    s3c_write_byte(w, '[');
    s3c_write_slice(w, zone->warmups);
    s3c_write_byte(w, ']');

    json_key(&o, "buckets");
    json_buckets(w, zone);

    for (size_t i = 0; i < s3c_stats_hist_rows.n; i++) {
        json_key(&o, s3c_stats_hist_rows.rows[i].path);
        s3c_stats_zone_hist(zone, &s3c_stats_hist_rows.rows[i], &sums);
        json_latency(w, &sums);
    }

    json_key(&o, "hit_ratio");
    json_hit_ratio(w, zone);

    json_end(&o);
}


void
s3c_stats_print_json(s3c_writer_t *w, const s3c_stats_zone_t *zones,
    unsigned n_zones)
{
    s3c_write_lit(w, "{\"zones\":[");

    for (unsigned i = 0; i < n_zones; i++) {
        if (i > 0) {
            s3c_write_byte(w, ',');
        }

        json_zone(w, &zones[i]);
    }

    s3c_write_lit(w, "]}\n");
}
