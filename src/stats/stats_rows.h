/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of stats_table.h as arrays that the two printers walk, and the
 * bits of text that both need. Private to this room.
 */
#ifndef S3C_STATS_STATS_ROWS_H
#define S3C_STATS_STATS_ROWS_H

#include "stats/stats.h"

typedef struct {
    const char  *name;      /* family, or family{label="value"} */
    const char  *path;      /* of the JSON value, words joined by dots */
    const char  *help;
    size_t       at;        /* enum value, or offset in the struct that the
                               table is of */
} s3c_stats_row_t;

/* What a table's rows are once each of. */
typedef enum {
    S3C_STATS_PER_ZONE = 0,
    S3C_STATS_PER_BUCKET,
    S3C_STATS_PER_STORE,
    S3C_STATS_PER_NODE
} s3c_stats_per_t;

/* nth: the number of the bucket, store or member. */
typedef uint64_t (*s3c_stats_value_pt)(const s3c_stats_zone_t *zone,
    uint32_t nth, size_t at);

typedef struct {
    const s3c_stats_row_t  *rows;
    size_t                  n;
    s3c_stats_value_pt      value;      /* NULL: histograms */
    s3c_stats_per_t         per;
} s3c_stats_rows_t;

extern const s3c_stats_rows_t  s3c_stats_counter_rows;
extern const s3c_stats_rows_t  s3c_stats_usage_rows;
extern const s3c_stats_rows_t  s3c_stats_flash_rows;
extern const s3c_stats_rows_t  s3c_stats_store_rows;
extern const s3c_stats_rows_t  s3c_stats_bucket_rows;
extern const s3c_stats_rows_t  s3c_stats_hist_rows;
extern const s3c_stats_rows_t  s3c_stats_node_rows;

/* Families of a store that no row holds; the last has no name. */
typedef enum {
    S3C_STATS_UP = 0,
    S3C_STATS_STATE,
    S3C_STATS_AMPLIFICATION
} s3c_stats_computed_t;

typedef struct {
    const char            *family;
    const char            *help;
    s3c_stats_computed_t   what;
} s3c_stats_family_t;

extern const s3c_stats_family_t  s3c_stats_computed[];

/* Families of a ring that no row holds; the last has no name. */
typedef enum {
    S3C_STATS_RING_EPOCH = 0,
    S3C_STATS_RING_MEMBERS,
    S3C_STATS_RING_VOUCHED,
    S3C_STATS_RING_SHARE,            /* from here on: of each member */
    S3C_STATS_NODE_WEIGHT,
    S3C_STATS_NODE_STATE,
    S3C_STATS_NODE_REACH,            /* from here on: not of this node */
    S3C_STATS_NODE_LINKS,
    S3C_STATS_NODE_FIRST_BYTE        /* the one histogram */
} s3c_stats_ring_what_t;

typedef struct {
    const char             *family;
    const char             *help;
    s3c_stats_ring_what_t   what;
} s3c_stats_ring_family_t;

extern const s3c_stats_ring_family_t  s3c_stats_ring_families[];

/* Families of the sources of keys; the last has no name. */
typedef enum {
    S3C_STATS_KEYS_REFRESHES = 0,    /* a counter, by its result */
    S3C_STATS_KEYS_VALID,
    S3C_STATS_KEYS_EXPIRY            /* of those that have one */
} s3c_stats_keys_what_t;

typedef struct {
    const char             *family;
    const char             *help;
    s3c_stats_keys_what_t   what;
} s3c_stats_keys_family_t;

extern const s3c_stats_keys_family_t  s3c_stats_keys_families[];

/* The one family of alerts. */
#define S3C_STATS_ALERT_FAMILY  "s3_cache_alert"

/* How it goes with another node: "up", "resting", "unasked"; of this node
 * "self". */
s3c_slice_t s3c_stats_member_reach(const s3c_stats_member_t *member);
/* A share, to six decimals. */
void s3c_stats_write_share(s3c_writer_t *w, double share);

/* The part of a row's name before '{', and the labels between the braces. */
s3c_slice_t s3c_stats_row_family(const s3c_stats_row_t *row);
s3c_slice_t s3c_stats_row_labels(const s3c_stats_row_t *row);
/* How many rows from `first` on are of its family; at least 1. */
size_t s3c_stats_rows_family(const s3c_stats_rows_t *rows, size_t first);

/* As their namesakes in stats.h, for a zone that may have no stats. */
s3c_slice_t s3c_stats_zone_bucket(const s3c_stats_zone_t *zone,
    uint32_t bucket, uint8_t buf[S3C_STATS_BUCKET_NAME]);
void s3c_stats_zone_hist(const s3c_stats_zone_t *zone,
    const s3c_stats_row_t *row, s3c_hist_sums_t *sums);

/* Cuts the next character off *s and answers its bytes: always valid UTF-8,
 * U+FFFD in place of each byte that is not. s->len must not be 0. */
s3c_slice_t s3c_stats_text_next(s3c_slice_t *s);
/* Bytes to the device for each byte of payload, to three decimals; 1 before
 * the first. */
void s3c_stats_write_amplification(s3c_writer_t *w,
    const s3c_ssd_usage_t *usage);
/* Decimal seconds without needless zeros. */
void s3c_stats_write_seconds(s3c_writer_t *w, uint64_t usec);

#endif
