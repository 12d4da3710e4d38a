/* SPDX-License-Identifier: Apache-2.0
 *
 * Every metric of the product, one row each. Names are s3_cache_<what>_<unit>,
 * counters end in _total, and a label is part of the name, as Prometheus
 * writes it. Rows whose names are equal up to the '{' are one family: they
 * stand together and the first that has a help text speaks for all. The JSON
 * path says where the number stands in a zone's object; rows that share a
 * parent stand together too. docs/metrics.md is checked against these tables
 * by a test.
 */
#ifndef S3C_STATS_STATS_TABLE_H
#define S3C_STATS_STATS_TABLE_H

#define S3C_STATS_COUNTERS(X)                                                  \
    X(REQ_HIT, "s3_cache_requests_total{result=\"hit\"}",                      \
      "requests.hit", "Client requests by how they were answered")             \
    X(REQ_MISS, "s3_cache_requests_total{result=\"miss\"}",                    \
      "requests.miss", "")                                                     \
    X(REQ_SHARED, "s3_cache_requests_total{result=\"shared\"}",                \
      "requests.shared", "")                                                   \
    X(REQ_STALE, "s3_cache_requests_total{result=\"stale\"}",                  \
      "requests.stale", "")                                                    \
    X(REQ_REVALIDATED, "s3_cache_requests_total{result=\"revalidated\"}",      \
      "requests.revalidated", "")                                              \
    X(REQ_BYPASS, "s3_cache_requests_total{result=\"bypass\"}",                \
      "requests.bypass", "")                                                   \
    X(REQ_REFUSED, "s3_cache_requests_total{result=\"refused\"}",              \
      "requests.refused", "")                                                  \
    X(REQ_ERROR, "s3_cache_requests_total{result=\"error\"}",                  \
      "requests.error", "")                                                    \
    X(SENT_RAM, "s3_cache_sent_bytes_total{tier=\"ram\"}",                     \
      "sent_bytes.ram",                                                        \
      "Body bytes sent to clients by the tier they came from")                 \
    X(SENT_ORIGIN, "s3_cache_sent_bytes_total{tier=\"origin\"}",               \
      "sent_bytes.origin", "")                                                 \
    X(SENT_PASS, "s3_cache_sent_bytes_total{tier=\"pass\"}",                   \
      "sent_bytes.pass", "")                                                   \
    X(FILL_STARTED, "s3_cache_fills_total{event=\"started\"}",                 \
      "fills.started", "Fills of objects and blocks")                          \
    X(FILL_DONE, "s3_cache_fills_total{event=\"done\"}",                       \
      "fills.done", "")                                                        \
    X(FILL_FAILED, "s3_cache_fills_total{event=\"failed\"}",                   \
      "fills.failed", "")                                                      \
    X(FILL_FOLLOWED, "s3_cache_followers_total",                               \
      "fills.followed", "Requests that joined a fill in flight")               \
    X(WAITERS_LEFT, "s3_cache_waiters_left_total", "fills.waiters_left",       \
      "Clients that left while they waited for a fill, which goes on")         \
    X(FILL_CHANGED, "s3_cache_changed_total",                                  \
      "fills.changed", "Times that an object was found changed at the origin") \
    X(FILL_REFUSED, "s3_cache_fills_refused_total",                            \
      "fills.refused",                                                         \
      "Fills not begun for lack of memory or budget; served uncached")         \
    X(ORIGIN_REQUESTS, "s3_cache_origin_requests_total",                       \
      "origin.requests", "HTTP requests sent to origins, retries included")    \
    X(ORIGIN_BYTES, "s3_cache_origin_received_bytes_total",                    \
      "origin.received_bytes", "Body bytes received from origins")             \
    X(ORIGIN_CONNECTS, "s3_cache_origin_connects_total",                       \
      "origin.connects", "New connections to origins")                         \
    X(ORIGIN_REUSED, "s3_cache_origin_reused_total",                           \
      "origin.reused", "Requests sent over a kept connection")                 \
    X(ORIGIN_UNREACHABLE,                                                      \
      "s3_cache_origin_errors_total{kind=\"unreachable\"}",                    \
      "origin.errors.unreachable", "Failed calls to origins")                  \
    X(ORIGIN_TIMEOUT, "s3_cache_origin_errors_total{kind=\"timeout\"}",        \
      "origin.errors.timeout", "")                                             \
    X(ORIGIN_CUT, "s3_cache_origin_errors_total{kind=\"cut\"}",                \
      "origin.errors.cut", "")                                                 \
    X(ORIGIN_MALFORMED, "s3_cache_origin_errors_total{kind=\"malformed\"}",    \
      "origin.errors.malformed", "")                                           \
    X(ORIGIN_5XX, "s3_cache_origin_errors_total{kind=\"5xx\"}",                \
      "origin.errors.5xx", "")                                                 \
    X(RECORD_CORRUPT, "s3_cache_corrupt_total",                                \
      "memory.corrupt",                                                        \
      "Cached records that failed their check and were dropped")

/* The word is the field of s3c_ram_usage_t. */
#define S3C_STATS_USAGE(X)                                                     \
    X(region_bytes, "s3_cache_zone_bytes{kind=\"region\"}",                    \
      "memory.region_bytes", "Memory of the zone by what it is or holds")      \
    X(arena_bytes, "s3_cache_zone_bytes{kind=\"arena\"}",                      \
      "memory.arena_bytes", "")                                                \
    X(payload_bytes, "s3_cache_zone_bytes{kind=\"payload\"}",                  \
      "memory.payload_bytes", "")                                              \
    X(allocated_bytes, "s3_cache_zone_bytes{kind=\"allocated\"}",              \
      "memory.allocated_bytes", "")                                            \
    X(index_bytes, "s3_cache_zone_bytes{kind=\"index\"}",                      \
      "memory.index_bytes", "")                                                \
    X(fill_bytes, "s3_cache_zone_bytes{kind=\"fill\"}",                        \
      "memory.fill_bytes", "")                                                 \
    X(entries, "s3_cache_zone_entries",                                        \
      "memory.entries", "Live entries")                                        \
    X(fills, "s3_cache_zone_fills",                                            \
      "memory.fills", "Fills in flight")                                       \
    X(pins, "s3_cache_zone_pins",                                              \
      "memory.pins", "Pins held by all workers")                               \
    X(limbo, "s3_cache_zone_limbo",                                            \
      "memory.limbo", "Entries removed but still pinned")                      \
    X(slots, "s3_cache_zone_workers",                                          \
      "memory.workers", "Worker slots taken")                                  \
    X(n_evict, "s3_cache_evictions_total",                                     \
      "memory.evictions", "Entries evicted to make room")                      \
    X(evict_bytes, "s3_cache_evicted_bytes_total",                             \
      "memory.evicted_bytes", "Bytes of the entries evicted")                  \
    X(n_insert, "s3_cache_inserts_total",                                      \
      "memory.inserts", "Entries that became live")                            \
    X(n_drop, "s3_cache_drops_total",                                          \
      "memory.drops",                                                          \
      "Entries dropped because they were invalidated or wrong")                \
    X(n_ghost_hit, "s3_cache_ghost_hits_total",                                \
      "memory.ghost_hits",                                                     \
      "Entries asked for again soon after their eviction")                     \
    X(n_full, "s3_cache_full_total",                                           \
      "memory.full", "Times that no memory could be freed")                    \
    X(n_busy, "s3_cache_busy_total",                                           \
      "memory.busy", "Times that a maximum of the memory tier was reached")    \
    X(n_heal, "s3_cache_heals_total",                                          \
      "memory.heals", "Index rebuilds after a worker died in the lock")        \
    X(n_dead_worker, "s3_cache_dead_workers_total",                            \
      "memory.dead_workers", "Slots swept after their worker died")

/* Per bucket; the path is that in the bucket's own object. */
#define S3C_STATS_BUCKET_COUNTERS(X)                                           \
    X(HITS, "s3_cache_bucket_requests_total{result=\"hit\"}",                  \
      "requests.hit", "Client requests by bucket and result")                  \
    X(MISSES, "s3_cache_bucket_requests_total{result=\"miss\"}",               \
      "requests.miss", "")                                                     \
    X(PASSES, "s3_cache_bucket_requests_total{result=\"pass\"}",               \
      "requests.pass", "")                                                     \
    X(HIT_BYTES, "s3_cache_bucket_sent_bytes_total{result=\"hit\"}",           \
      "sent_bytes.hit", "Body bytes sent to clients by bucket and result")     \
    X(MISS_BYTES, "s3_cache_bucket_sent_bytes_total{result=\"miss\"}",         \
      "sent_bytes.miss", "")

#define S3C_STATS_HISTS(X)                                                     \
    X(FIRST_BYTE_HIT, "s3_cache_first_byte_seconds{result=\"hit\"}",           \
      "latency.first_byte_hit",                                                \
      "Time from a request to the first byte of its answer")                   \
    X(FIRST_BYTE_MISS, "s3_cache_first_byte_seconds{result=\"miss\"}",         \
      "latency.first_byte_miss", "")                                           \
    X(ORIGIN_FIRST_BYTE, "s3_cache_origin_first_byte_seconds",                 \
      "latency.origin_first_byte",                                             \
      "Time from a request to an origin to the head of its answer")            \
    X(FILL_TIME, "s3_cache_fill_seconds",                                      \
      "latency.fill", "Time that a fill took")

typedef enum {
#define X(word, name, path, help)  S3C_STAT_##word,
    S3C_STATS_COUNTERS(X)
#undef X
    S3C_STAT_N
} s3c_stat_t;

typedef enum {
#define X(word, name, path, help)  S3C_BSTAT_##word,
    S3C_STATS_BUCKET_COUNTERS(X)
#undef X
    S3C_BSTAT_N
} s3c_bucket_stat_t;

typedef enum {
#define X(word, name, path, help)  S3C_HIST_##word,
    S3C_STATS_HISTS(X)
#undef X
    S3C_HIST_N
} s3c_hist_t;

#endif
