/* SPDX-License-Identifier: Apache-2.0
 *
 * How the numbers of a zone moved: samples of them in shared memory, one each
 * second for ten minutes and one each minute for a day. They outlive workers
 * and reloads, as the counters do.
 *
 * A sample holds counters as they stood, not what was added: so who samples
 * keeps nothing between two, a sample that is missing costs nothing but
 * detail, and what lies between two of them is right whatever time has passed.
 * Small counters are kept modulo 2^32.
 *
 * WRITERS  any worker. Whoever finds a sample due claims it by one compare and
 *          swap, so it does not matter which of them are there, leave, or hang.
 *          Who claims and dies leaves a number without a sample.
 * READERS  any process, any time. A sample has a check of all its bytes: one
 *          that is not whole, or was written by a worker that slept while its
 *          place was used again, is left out.
 * TIME     milliseconds, monotonic and the same for all processes. Wall clocks
 *          jump, so there is none in here.
 * LIMITS   S3C_HISTORY_BYTES_MAX for a zone.
 */
#ifndef S3C_STATS_STATS_HISTORY_H
#define S3C_STATS_STATS_HISTORY_H

#include <stdatomic.h>

#include "stats/stats.h"

#define S3C_HISTORY_SECONDS    600u
#define S3C_HISTORY_MINUTES    1440u
#define S3C_HISTORY_BYTES_MAX  (2u << 20)

/* Tiers are those of the FROM_ counters and of the TIER_ histograms, of which
 * the places above 8.4 seconds are one. */
#define S3C_HISTORY_TIERS   (S3C_STAT_FROM_PASS - S3C_STAT_FROM_RAM + 1)
#define S3C_HISTORY_PLACES  21

/* The columns: JSON name, kind of source, which of them. */
#define S3C_HISTORY_COUNTS(X)                                                  \
    X("hit", STAT, REQ_HIT)                                                    \
    X("miss", STAT, REQ_MISS)                                                  \
    X("shared", STAT, REQ_SHARED)                                              \
    X("stale", STAT, REQ_STALE)                                                \
    X("revalidated", STAT, REQ_REVALIDATED)                                    \
    X("bypass", STAT, REQ_BYPASS)                                              \
    X("refused", STAT, REQ_REFUSED)                                            \
    X("error", STAT, REQ_ERROR)                                                \
    X("from_ram", STAT, FROM_RAM)                                              \
    X("from_flash", STAT, FROM_FLASH)                                          \
    X("from_mirror", STAT, FROM_MIRROR)                                        \
    X("from_peer", STAT, FROM_PEER)                                            \
    X("from_joined", STAT, FROM_JOINED)                                        \
    X("from_origin", STAT, FROM_ORIGIN)                                        \
    X("from_pass", STAT, FROM_PASS)                                            \
    X("fills_started", STAT, FILL_STARTED)                                     \
    X("fills_done", STAT, FILL_DONE)                                           \
    X("fills_failed", STAT, FILL_FAILED)                                       \
    X("fills_refused", STAT, FILL_REFUSED)                                     \
    X("followed", STAT, FILL_FOLLOWED)                                         \
    X("origin_requests", STAT, ORIGIN_REQUESTS)                                \
    X("origin_connects", STAT, ORIGIN_CONNECTS)                                \
    X("origin_unreachable", STAT, ORIGIN_UNREACHABLE)                          \
    X("origin_timeout", STAT, ORIGIN_TIMEOUT)                                  \
    X("origin_cut", STAT, ORIGIN_CUT)                                          \
    X("origin_malformed", STAT, ORIGIN_MALFORMED)                              \
    X("origin_5xx", STAT, ORIGIN_5XX)                                          \
    X("writes_done", STAT, WRITE_DONE)                                         \
    X("writes_failed", STAT, WRITE_FAILED)                                     \
    X("peers_asked", STAT, PEER_ASKED)                                         \
    X("peers_failed", STAT, PEER_FAILED)                                       \
    X("peers_served", STAT, PEER_SERVED)                                       \
    X("peers_hedged", STAT, PEER_HEDGED)                                       \
    X("inserts", USAGE, n_insert)                                              \
    X("evictions", USAGE, n_evict)                                             \
    X("drops", USAGE, n_drop)                                                  \
    X("ghost_hits", USAGE, n_ghost_hit)                                        \
    X("full", USAGE, n_full)                                                   \
    X("flash_hits", STORE, n_hit)                                              \
    X("flash_puts", STORE, n_put)                                              \
    X("flash_shed", STORE, n_shed)                                             \
    X("flash_denied", STORE, n_denied)                                         \
    X("flash_evicted", STORE, n_evict)                                         \
    X("flash_read_errors", STORE, n_read_error)                                \
    X("flash_timeouts", STORE, n_timeout)                                      \
    X("flash_corrupt", STORE, n_corrupt)                                       \
    X("flash_write_errors", STORE, n_write_error)

#define S3C_HISTORY_BYTES(X)                                                   \
    X("sent_ram", STAT, SENT_RAM)                                              \
    X("sent_flash", STAT, SENT_FLASH)                                          \
    X("sent_mirror", STAT, SENT_MIRROR)                                        \
    X("sent_peer", STAT, SENT_PEER)                                            \
    X("sent_origin", STAT, SENT_ORIGIN)                                        \
    X("sent_pass", STAT, SENT_PASS)                                            \
    X("origin_received", STAT, ORIGIN_BYTES)                                   \
    X("origin_sent", STAT, ORIGIN_SENT)                                        \
    X("peers_received", STAT, PEER_BYTES)                                      \
    X("peers_sent", STAT, PEER_SENT)                                           \
    X("evicted", USAGE, evict_bytes)                                           \
    X("flash_read", STORE, read_bytes)                                         \
    X("flash_written", STORE, written_bytes)

/* As they are at that moment. */
#define S3C_HISTORY_GAUGES(X)                                                  \
    X("entries", USAGE, entries)                                               \
    X("payload_bytes", USAGE, payload_bytes)                                   \
    X("allocated_bytes", USAGE, allocated_bytes)                               \
    X("fills", USAGE, fills)                                                   \
    X("fill_bytes", USAGE, fill_bytes)                                         \
    X("pins", USAGE, pins)                                                     \
    X("flash_live_bytes", STORE, live_bytes)                                   \
    X("waiting", WAITING, all)

/* Where each is, by kind and source. */
typedef enum {
#define X(name, kind, of)  S3C_HISTORY_COUNT_##kind##_##of,
    S3C_HISTORY_COUNTS(X)
#undef X
    S3C_HISTORY_COUNTS_N
} s3c_history_count_t;

typedef enum {
#define X(name, kind, of)  S3C_HISTORY_BYTES_##kind##_##of,
    S3C_HISTORY_BYTES(X)
#undef X
    S3C_HISTORY_BYTES_N
} s3c_history_bytes_t;

typedef enum {
#define X(name, kind, of)  S3C_HISTORY_GAUGE_##kind##_##of,
    S3C_HISTORY_GAUGES(X)
#undef X
    S3C_HISTORY_GAUGES_N
} s3c_history_gauge_t;

typedef struct {
    uint64_t  check;            /* hash of all that follows */
    uint64_t  number;           /* in its series, from one on without a gap */
    uint64_t  ms;
    uint64_t  bytes[S3C_HISTORY_BYTES_N];
    uint64_t  gauge[S3C_HISTORY_GAUGES_N];
    uint32_t  count[S3C_HISTORY_COUNTS_N];
    uint32_t  place[S3C_HISTORY_TIERS][S3C_HISTORY_PLACES];
} s3c_history_sample_t;

typedef enum {
    S3C_HISTORY_BY_SECOND = 0,
    S3C_HISTORY_BY_MINUTE,
    S3C_HISTORY_SERIES
} s3c_history_series_t;

typedef struct s3c_history_sh_s  s3c_history_sh_t;

size_t s3c_history_bytes(void);
/* `mem` is of zeros, aligned to 8. Numbers begin with the time in seconds: a
 * later life of the memory has greater ones. */
void s3c_history_format(void *mem, uint64_t now_ms);
/* NULL: it is not this build's. */
s3c_history_sh_t *s3c_history_attach(void *mem);

/* Is a sample of any series due? Cheap. */
bool s3c_history_due(const s3c_history_sh_t *h, uint64_t now_ms);
/* Takes those that are, of the zone as it is; whether there was a minute's. */
bool s3c_history_sample(s3c_history_sh_t *h, const s3c_stats_zone_t *zone,
    uint64_t now_ms);
/* So many requests of the worker with this slot wait for a fill. Counts for two
 * seconds, so that a worker that dies need not take it back. */
void s3c_history_waiting(s3c_history_sh_t *h, uint32_t slot, uint32_t n,
    uint64_t now_ms);

/* How many samples a series can have, one before the first that is shown
 * included. */
uint32_t s3c_history_max(s3c_history_series_t series);
uint64_t s3c_history_period_ms(s3c_history_series_t series);
/* The samples after number `since`, oldest first, and before them one to
 * reckon from, if there is one; `since` of another life answers all. */
uint32_t s3c_history_read(const s3c_history_sh_t *h,
    s3c_history_series_t series, uint64_t since, s3c_history_sample_t *out,
    uint32_t max);
/* The last sample that is not later than ms, and the first that is not earlier:
 * false if there is none. */
bool s3c_history_until(const s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t ms, s3c_history_sample_t *out);
bool s3c_history_since(const s3c_history_sh_t *h, s3c_history_series_t series,
    uint64_t ms, s3c_history_sample_t *out);

/* One object of what lies between each two samples and the next. The wall clock
 * was wall_ms at now_ms. */
void s3c_history_print_json(s3c_writer_t *w, s3c_slice_t zone,
    const s3c_history_sample_t *samples, uint32_t n, uint64_t now_ms,
    uint64_t wall_ms);

#endif
