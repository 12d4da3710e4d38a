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
    size_t       at;        /* enum value, or offset in s3c_ram_usage_t */
} s3c_stats_row_t;

typedef uint64_t (*s3c_stats_value_pt)(const s3c_stats_zone_t *zone,
    uint32_t bucket, size_t at);

typedef struct {
    const s3c_stats_row_t  *rows;
    size_t                  n;
    s3c_stats_value_pt      value;      /* NULL: histograms */
    bool                    bucketed;   /* every row once per bucket */
} s3c_stats_rows_t;

extern const s3c_stats_rows_t  s3c_stats_counter_rows;
extern const s3c_stats_rows_t  s3c_stats_usage_rows;
extern const s3c_stats_rows_t  s3c_stats_bucket_rows;
extern const s3c_stats_rows_t  s3c_stats_hist_rows;

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
/* Decimal seconds without needless zeros. */
void s3c_stats_write_seconds(s3c_writer_t *w, uint64_t usec);

#endif
