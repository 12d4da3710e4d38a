/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of stats_table.h unrolled, with the function that reads a row's
 * value; and the text that both printers need.
 */
#include "stats/stats_rows.h"

#include <assert.h>


static uint64_t
rows_counter(const s3c_stats_zone_t *zone, uint32_t bucket, size_t at)
{
    (void) bucket;

    return zone->stats ? s3c_stats_sum(zone->stats, (s3c_stat_t) at) : 0;
}


static uint64_t
rows_usage(const s3c_stats_zone_t *zone, uint32_t bucket, size_t at)
{
    uint64_t  v;

    (void) bucket;
    memcpy(&v, (const uint8_t *) &zone->usage + at, sizeof(v));

    return v;
}


static uint64_t
rows_flash(const s3c_stats_zone_t *zone, uint32_t nth, size_t at)
{
    uint64_t  v;

    (void) nth;
    memcpy(&v, (const uint8_t *) &zone->flash + at, sizeof(v));

    return v;
}


static uint64_t
rows_store(const s3c_stats_zone_t *zone, uint32_t store, size_t at)
{
    uint64_t  v;

    memcpy(&v, (const uint8_t *) &zone->stores[store].usage + at, sizeof(v));

    return v;
}


static uint64_t
rows_bucket(const s3c_stats_zone_t *zone, uint32_t bucket, size_t at)
{
    if (zone->stats == NULL) {
        return 0;
    }

    return s3c_stats_bucket_sum(zone->stats, bucket, (s3c_bucket_stat_t) at);
}


static uint64_t
rows_node(const s3c_stats_zone_t *zone, uint32_t member, size_t at)
{
    return zone->ring->members[member].counts.counter[at];
}


static const s3c_stats_row_t  counter_rows[] = {
#define X(word, name, path, help)  { name, path, help, S3C_STAT_##word },
    S3C_STATS_COUNTERS(X)
#undef X
};

static const s3c_stats_row_t  usage_rows[] = {
#define X(word, name, path, help)                                             \
    { name, path, help, offsetof(s3c_ram_usage_t, word) },
    S3C_STATS_USAGE(X)
#undef X
};

static const s3c_stats_row_t  flash_rows[] = {
#define X(word, name, path, help)                                             \
    { name, path, help, offsetof(s3c_stats_flash_t, word) },
    S3C_STATS_FLASH(X)
#undef X
};

static const s3c_stats_row_t  store_rows[] = {
#define X(word, name, path, help)                                             \
    { name, path, help, offsetof(s3c_ssd_usage_t, word) },
    S3C_STATS_STORE(X)
#undef X
};

static const s3c_stats_row_t  bucket_rows[] = {
#define X(word, name, path, help)  { name, path, help, S3C_BSTAT_##word },
    S3C_STATS_BUCKET_COUNTERS(X)
#undef X
};

static const s3c_stats_row_t  hist_rows[] = {
#define X(word, name, path, help)  { name, path, help, S3C_HIST_##word },
    S3C_STATS_HISTS(X)
#undef X
};

static const s3c_stats_row_t  node_rows[] = {
#define X(word, name, path, help)  { name, path, help, S3C_NODE_STAT_##word },
    S3C_STATS_NODE_COUNTERS(X)
#undef X
};

#define ROWS_N(rows)  (sizeof(rows) / sizeof(rows[0]))

#define X(word, name, path, help)                                             \
    static_assert(sizeof(((s3c_ram_usage_t *) 0)->word) == 8, "a counter");
S3C_STATS_USAGE(X)
#undef X

static_assert(sizeof(s3c_ram_usage_t) == 8 * ROWS_N(usage_rows),
              "every field of the usage is a row");

#define X(word, name, path, help)                                             \
    static_assert(sizeof(((s3c_ssd_usage_t *) 0)->word) == 8, "a counter");
S3C_STATS_STORE(X)
#undef X

static_assert(sizeof(s3c_ssd_usage_t) == 8 + 8 * ROWS_N(store_rows),
              "every field of a store's usage but its state is a row");


const s3c_stats_rows_t  s3c_stats_counter_rows = {
    counter_rows, ROWS_N(counter_rows), rows_counter, S3C_STATS_PER_ZONE
};

const s3c_stats_rows_t  s3c_stats_usage_rows = {
    usage_rows, ROWS_N(usage_rows), rows_usage, S3C_STATS_PER_ZONE
};

const s3c_stats_rows_t  s3c_stats_flash_rows = {
    flash_rows, ROWS_N(flash_rows), rows_flash, S3C_STATS_PER_ZONE
};

const s3c_stats_rows_t  s3c_stats_store_rows = {
    store_rows, ROWS_N(store_rows), rows_store, S3C_STATS_PER_STORE
};

const s3c_stats_rows_t  s3c_stats_bucket_rows = {
    bucket_rows, ROWS_N(bucket_rows), rows_bucket, S3C_STATS_PER_BUCKET
};

const s3c_stats_rows_t  s3c_stats_hist_rows = {
    hist_rows, ROWS_N(hist_rows), NULL, S3C_STATS_PER_ZONE
};


const s3c_stats_rows_t  s3c_stats_node_rows = {
    node_rows, ROWS_N(node_rows), rows_node, S3C_STATS_PER_NODE
};


const s3c_stats_ring_family_t  s3c_stats_ring_families[] = {
    { "s3_cache_ring_epoch", "Number of the ring that a worker goes by",
      S3C_STATS_RING_EPOCH },
    { "s3_cache_ring_members", "Nodes in the ring, this one included",
      S3C_STATS_RING_MEMBERS },
    { "s3_cache_ring_vouched",
      "1 while all other nodes answer for what they write",
      S3C_STATS_RING_VOUCHED },
    { "s3_cache_ring_share", "Share of all objects that the node owns",
      S3C_STATS_RING_SHARE },
    { "s3_cache_node_weight", "Weight of the node", S3C_STATS_NODE_WEIGHT },
    { "s3_cache_node_state", "1 for the state that the node is in",
      S3C_STATS_NODE_STATE },
    { "s3_cache_node_reach", "1 for how it goes with questions to the node",
      S3C_STATS_NODE_REACH },
    { "s3_cache_node_links", "Connections to the node",
      S3C_STATS_NODE_LINKS },
    { "s3_cache_node_first_byte_seconds",
      "Time from a question to the node to the head of its answer",
      S3C_STATS_NODE_FIRST_BYTE },
    { NULL, NULL, S3C_STATS_RING_EPOCH }
};


const s3c_stats_keys_family_t  s3c_stats_keys_families[] = {
    { "s3_cache_origin_keys_refreshes_total",
      "Times that keys for the origin were asked for or read anew",
      S3C_STATS_KEYS_REFRESHES },
    { "s3_cache_origin_keys_valid",
      "1 while there are keys to sign requests to the origin with",
      S3C_STATS_KEYS_VALID },
    { "s3_cache_origin_keys_expiry_seconds",
      "Time until the keys for the origin expire", S3C_STATS_KEYS_EXPIRY },
    { NULL, NULL, S3C_STATS_KEYS_REFRESHES }
};


const s3c_stats_family_t  s3c_stats_computed[] = {
    { "s3_cache_store_up", "1 while the store reads and writes",
      S3C_STATS_UP },
    { "s3_cache_store_state", "1 for the state that the store is in",
      S3C_STATS_STATE },
    { "s3_cache_store_write_amplification",
      "Bytes written to the device for each byte of payload",
      S3C_STATS_AMPLIFICATION },
    { NULL, NULL, S3C_STATS_UP }
};


s3c_slice_t
s3c_stats_row_family(const s3c_stats_row_t *row)
{
    return s3c_slice(row->name, strcspn(row->name, "{"));
}


s3c_slice_t
s3c_stats_row_labels(const s3c_stats_row_t *row)
{
    const char  *p = strchr(row->name, '{');

    if (p == NULL) {
        return S3C_SLICE_NONE;
    }

    return s3c_slice(p + 1, strlen(p) - 2);
}


size_t
s3c_stats_rows_family(const s3c_stats_rows_t *rows, size_t first)
{
    size_t       n;
    s3c_slice_t  family = s3c_stats_row_family(&rows->rows[first]);

    for (n = first + 1; n < rows->n; n++) {
        if (!s3c_slice_eq(s3c_stats_row_family(&rows->rows[n]), family)) {
            break;
        }
    }

    return n - first;
}


s3c_slice_t
s3c_stats_zone_bucket(const s3c_stats_zone_t *zone, uint32_t bucket,
    uint8_t buf[S3C_STATS_BUCKET_NAME])
{
    static const s3c_stats_t  none;

    return s3c_stats_bucket_name(zone->stats ? zone->stats : &none, bucket,
                                 buf);
}


void
s3c_stats_zone_hist(const s3c_stats_zone_t *zone, const s3c_stats_row_t *row,
    s3c_hist_sums_t *sums)
{
    static const s3c_stats_t  none;

    s3c_stats_hist_sum(zone->stats ? zone->stats : &none,
                       (s3c_hist_t) row->at, sums);
}


/* The length of the character at p (RFC 3629), 0 if there is none. */
static size_t
text_utf8_len(const uint8_t *p, size_t len)
{
    size_t   n;
    uint8_t  low = 0x80, high = 0xbf;

    if (p[0] < 0x80) {
        return 1;
    }

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;       /* no shorter form */
        high = p[0] == 0xed ? 0x9f : high;     /* no surrogate */

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        low = p[0] == 0xf0 ? 0x90 : low;
        high = p[0] == 0xf4 ? 0x8f : high;     /* at most U+10FFFF */

    } else {
        return 0;
    }

    if (len < n || p[1] < low || p[1] > high) {
        return 0;
    }

    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


s3c_slice_t
s3c_stats_text_next(s3c_slice_t *s)
{
    size_t       n = text_utf8_len(s->data, s->len);
    s3c_slice_t  c = n ? s3c_slice(s->data, n) : S3C_SLICE("\xef\xbf\xbd");

    s->data += n ? n : 1;
    s->len -= n ? n : 1;

    return c;
}


void
s3c_stats_write_amplification(s3c_writer_t *w, const s3c_ssd_usage_t *usage)
{
    uint64_t  parts = 1000;

    if (usage->put_bytes > 0) {
        parts = (uint64_t) ((double) usage->written_bytes * 1000
                            / (double) usage->put_bytes);
    }

    s3c_stats_write_seconds(w, parts * 1000);
}


s3c_slice_t
s3c_stats_member_reach(const s3c_stats_member_t *member)
{
    return member->self ? S3C_SLICE("self")
           : member->counts.rests ? S3C_SLICE("resting")
           : member->counts.links > 0 ? S3C_SLICE("up")
           /* all are asked all the time whether they vouch */
           : member->counts.counter[S3C_NODE_STAT_ASKED] > 0
             ? S3C_SLICE("resting")
           : S3C_SLICE("unasked");
}


void
s3c_stats_write_share(s3c_writer_t *w, double share)
{
    s3c_stats_write_seconds(w, (uint64_t) (share * 1e6 + 0.5));
}


void
s3c_stats_write_seconds(s3c_writer_t *w, uint64_t usec)
{
    uint8_t   digits[6];
    size_t    n = sizeof(digits);
    uint64_t  part = usec % 1000000;

    s3c_write_u64(w, usec / 1000000);

    if (part == 0) {
        return;
    }

    for (size_t i = n; i > 0; i--) {
        digits[i - 1] = (uint8_t) ('0' + part % 10);
        part /= 10;
    }

    while (digits[n - 1] == '0') {
        n--;
    }

    s3c_write_byte(w, '.');
    s3c_write_bytes(w, digits, n);
}
