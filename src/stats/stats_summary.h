/* SPDX-License-Identifier: Apache-2.0
 *
 * How a node is, in a few numbers, for another node that shows them: what was
 * counted in its last ten seconds, and what it holds. Little-endian, between
 * nodes of different versions: who gets more numbers than it knows leaves the
 * rest out, who gets fewer takes zeros.
 */
#ifndef S3C_STATS_STATS_SUMMARY_H
#define S3C_STATS_STATS_SUMMARY_H

#include "stats/stats_history.h"

/* Added to at the end only. */
#define S3C_SUMMARY(X)                                                         \
    X(took_ms)                                                                 \
    X(requests)                                                                \
    X(hits)                                                                    \
    X(misses)                                                                  \
    X(sent_bytes)                                                              \
    X(origin_requests)                                                         \
    X(origin_errors)                                                           \
    X(origin_bytes)                                                            \
    X(arena_bytes)                                                             \
    X(memory_bytes)                                                            \
    X(flash_bytes)                                                             \
    X(flash_live_bytes)                                                        \
    X(entries)                                                                 \
    X(fills)                                                                   \
    X(waiting)

typedef struct {
#define X(name)  uint64_t  name;
    S3C_SUMMARY(X)
#undef X
} s3c_summary_t;

#define S3C_SUMMARY_NUMBERS    (sizeof(s3c_summary_t) / 8)
#define S3C_SUMMARY_BYTES      (8 + sizeof(s3c_summary_t))
#define S3C_SUMMARY_BYTES_MAX  (8 + 8 * 256)

/* h may be NULL: nothing was counted. Of the zone: its usage and stores. */
void s3c_summary_make(s3c_summary_t *s, const s3c_history_sh_t *h,
    const s3c_stats_zone_t *zone);
void s3c_summary_encode(const s3c_summary_t *s,
    uint8_t out[S3C_SUMMARY_BYTES]);
/* INVALID: it is none. */
s3c_status_t s3c_summary_decode(s3c_summary_t *s, s3c_slice_t in)
    S3C_MUST_CHECK;
/* ,"took_ms":1,... */
void s3c_summary_print_json(s3c_writer_t *w, const s3c_summary_t *s);

#endif
