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
    X(SENT_FLASH, "s3_cache_sent_bytes_total{tier=\"flash\"}",                 \
      "sent_bytes.flash", "")                                                  \
    X(SENT_MIRROR, "s3_cache_sent_bytes_total{tier=\"mirror\"}",               \
      "sent_bytes.mirror", "")                                                 \
    X(SENT_PEER, "s3_cache_sent_bytes_total{tier=\"peer\"}",                   \
      "sent_bytes.peer", "")                                                   \
    X(SENT_ORIGIN, "s3_cache_sent_bytes_total{tier=\"origin\"}",               \
      "sent_bytes.origin", "")                                                 \
    X(SENT_PASS, "s3_cache_sent_bytes_total{tier=\"pass\"}",                   \
      "sent_bytes.pass", "")                                                   \
    X(FROM_RAM, "s3_cache_answers_total{tier=\"ram\"}",                        \
      "answers.ram", "Answers by where they came from")                        \
    X(FROM_FLASH, "s3_cache_answers_total{tier=\"flash\"}",                    \
      "answers.flash", "")                                                     \
    X(FROM_MIRROR, "s3_cache_answers_total{tier=\"mirror\"}",                  \
      "answers.mirror", "")                                                    \
    X(FROM_PEER, "s3_cache_answers_total{tier=\"peer\"}",                      \
      "answers.peer", "")                                                      \
    X(FROM_JOINED, "s3_cache_answers_total{tier=\"joined\"}",                  \
      "answers.joined", "")                                                    \
    X(FROM_ORIGIN, "s3_cache_answers_total{tier=\"origin\"}",                  \
      "answers.origin", "")                                                    \
    X(FROM_PASS, "s3_cache_answers_total{tier=\"pass\"}",                      \
      "answers.pass", "")                                                      \
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
    X(FLASH_FALLBACK, "s3_cache_flash_fallbacks_total",                        \
      "fills.flash_fallbacks",                                                 \
      "Reads that flash failed and the origin answered")                       \
    X(ORIGIN_REQUESTS, "s3_cache_origin_requests_total",                       \
      "origin.requests", "HTTP requests sent to origins, retries included")    \
    X(ORIGIN_BYTES, "s3_cache_origin_received_bytes_total",                    \
      "origin.received_bytes", "Body bytes received from origins")             \
    X(ORIGIN_SENT, "s3_cache_origin_sent_bytes_total",                         \
      "origin.sent_bytes", "Body bytes of writes sent to origins")             \
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
    X(WRITE_DONE, "s3_cache_writes_total{outcome=\"done\"}",                   \
      "writes.done", "Writes by what became of them at the origin")            \
    X(WRITE_FAILED, "s3_cache_writes_total{outcome=\"failed\"}",               \
      "writes.failed", "")                                                     \
    X(WRITE_UNKNOWN, "s3_cache_writes_total{outcome=\"unknown\"}",             \
      "writes.unknown", "")                                                    \
    X(WRITE_FENCED, "s3_cache_fenced_reads_total", "writes.fenced_reads",      \
      "Reads sent to the origin because what they name was being written")     \
    X(WRITE_BUCKETS, "s3_cache_bucket_drops_total", "writes.bucket_drops",     \
      "Writes that dropped all of a bucket")                                   \
    X(WRITE_BUSY, "s3_cache_writes_refused_total", "writes.refused",           \
      "Writes refused because too many are under way")                         \
    X(WRITE_UNTOLD, "s3_cache_untold_nodes_total", "writes.untold_nodes",      \
      "Times that a node could not be told of a write")                        \
    X(WRITE_UNSURE, "s3_cache_unsure_reads_total", "writes.unsure_reads",      \
      "Reads validated because a node may have written untold")                \
    X(AUTH_ALLOWED, "s3_cache_auth_total{outcome=\"allowed\"}",                \
      "auth.allowed", "Requests by what s3_cache_auth said of them")           \
    X(AUTH_DENIED, "s3_cache_auth_total{outcome=\"denied\"}",                  \
      "auth.denied", "")                                                       \
    X(AUTH_REFUSED, "s3_cache_auth_total{outcome=\"refused\"}",                \
      "auth.refused", "")                                                      \
    X(PURGE_KEY, "s3_cache_purges_total{kind=\"key\"}",                        \
      "purges.key", "Purges by s3_cache_admin, by what they named")            \
    X(PURGE_PREFIX, "s3_cache_purges_total{kind=\"prefix\"}",                  \
      "purges.prefix", "")                                                     \
    X(PURGE_BUCKET, "s3_cache_purges_total{kind=\"bucket\"}",                  \
      "purges.bucket", "")                                                     \
    X(PURGE_ALL, "s3_cache_purges_total{kind=\"all\"}",                        \
      "purges.all", "")                                                        \
    X(PURGE_FULL, "s3_cache_purge_overflows_total", "purges.overflows",        \
      "Purged prefixes for which whole buckets were dropped")                  \
    X(THROUGH_CAPTURED, "s3_cache_write_through_captured_total",               \
      "write_through.captured",                                                \
      "Bodies of writes, whole or parts, that were captured on their way")     \
    X(THROUGH_KEPT, "s3_cache_write_through_kept_total",                       \
      "write_through.kept", "Objects kept of them")                            \
    X(THROUGH_BYTES, "s3_cache_write_through_kept_bytes_total",                \
      "write_through.kept_bytes", "Body bytes of these objects")               \
    X(THROUGH_HEARD, "s3_cache_write_through_heard_total",                     \
      "write_through.heard",                                                   \
      "Times that another node said that it has what was written")             \
    X(THROUGH_LARGE, "s3_cache_write_through_lost_total{reason=\"large\"}",    \
      "write_through.lost.large",                                              \
      "Bodies of writes that were not kept, by why")                           \
    X(THROUGH_ROOM, "s3_cache_write_through_lost_total{reason=\"room\"}",      \
      "write_through.lost.room", "")                                           \
    X(THROUGH_FAILED,                                                          \
      "s3_cache_write_through_lost_total{reason=\"failed\"}",                  \
      "write_through.lost.failed", "")                                         \
    X(THROUGH_OVERTAKEN,                                                       \
      "s3_cache_write_through_lost_total{reason=\"overtaken\"}",               \
      "write_through.lost.overtaken", "")                                      \
    X(THROUGH_CHANGED,                                                         \
      "s3_cache_write_through_lost_total{reason=\"changed\"}",                 \
      "write_through.lost.changed", "")                                        \
    X(THROUGH_ORIGIN,                                                          \
      "s3_cache_write_through_lost_total{reason=\"origin\"}",                  \
      "write_through.lost.origin", "")                                         \
    X(EVENT_RECEIVED, "s3_cache_events_total{outcome=\"received\"}",           \
      "events.received", "Events of origins by what became of them")           \
    X(EVENT_DROPPED, "s3_cache_events_total{outcome=\"dropped\"}",             \
      "events.dropped", "")                                                    \
    X(EVENT_REFRESHED, "s3_cache_events_total{outcome=\"refreshed\"}",         \
      "events.refreshed", "")                                                  \
    X(EVENT_REFUSED, "s3_cache_notifications_refused_total",                   \
      "events.refused", "Notifications that were refused")                     \
    X(ORIGIN_ASKED, "s3_cache_auth_origin_total{outcome=\"asked\"}",           \
      "auth_origin.asked", "Reads by how the origin allowed them, or not")     \
    X(ORIGIN_ALLOWED, "s3_cache_auth_origin_total{outcome=\"allowed\"}",       \
      "auth_origin.allowed", "")                                               \
    X(ORIGIN_REMEMBERED,                                                       \
      "s3_cache_auth_origin_total{outcome=\"remembered\"}",                    \
      "auth_origin.remembered", "")                                            \
    X(ORIGIN_OTHER, "s3_cache_auth_origin_total{outcome=\"other\"}",           \
      "auth_origin.other", "")                                                 \
    X(LIST_KEPT, "s3_cache_lists_total{event=\"kept\"}",                       \
      "lists.kept", "Pages of lists by what became of them")                   \
    X(LIST_HIT, "s3_cache_lists_total{event=\"hit\"}",                         \
      "lists.hit", "")                                                         \
    X(LIST_REFUSED, "s3_cache_lists_total{event=\"refused\"}",                 \
      "lists.refused", "")                                                     \
    X(LIST_DROPS, "s3_cache_list_drops_total", "lists.drops",                  \
      "Directories whose lists a write dropped")                               \
    X(PEER_ASKED, "s3_cache_peer_asks_total",                                  \
      "peers.asked", "Questions sent to other nodes")                          \
    X(PEER_FAILED, "s3_cache_peer_failures_total{kind=\"away\"}",              \
      "peers.failures.away", "Questions to nodes that were not answered")      \
    X(PEER_LIES, "s3_cache_peer_failures_total{kind=\"wrong\"}",               \
      "peers.failures.wrong", "")                                              \
    X(PEER_HEDGED, "s3_cache_peer_hedges_total", "peers.hedges",               \
      "Times that an owner was silent and another or the origin was asked")    \
    X(PEER_FORMER, "s3_cache_peer_former_asks_total", "peers.former_asks",     \
      "Questions to the node that owned it before this one did")               \
    X(PEER_FORMER_HIT, "s3_cache_peer_former_hits_total",                      \
      "peers.former_hits", "Of those, answered with what it still had")        \
    X(PEER_BYTES, "s3_cache_peer_received_bytes_total",                        \
      "peers.received_bytes", "Body bytes received from other nodes")          \
    X(PEER_SERVED, "s3_cache_peer_served_total",                               \
      "peers.served", "Questions of other nodes that were answered")           \
    X(PEER_SENT, "s3_cache_peer_sent_bytes_total",                             \
      "peers.sent_bytes", "Body bytes sent to other nodes")                    \
    X(PEER_STRANGERS, "s3_cache_peer_strangers_total",                         \
      "peers.strangers", "Connections to the endpoint that were refused")      \
    X(REDIS_BEATS, "s3_cache_redis_beats_total",                               \
      "redis.beats", "Times that this node renewed its lease in Redis")        \
    X(REDIS_AWAY, "s3_cache_redis_errors_total{kind=\"away\"}",                \
      "redis.errors.away", "Attempts to renew the lease that failed")          \
    X(REDIS_DENIED, "s3_cache_redis_errors_total{kind=\"denied\"}",            \
      "redis.errors.denied", "")                                               \
    X(REDIS_WRONG, "s3_cache_redis_errors_total{kind=\"wrong\"}",              \
      "redis.errors.wrong", "")                                                \
    X(REDIS_NAME, "s3_cache_redis_errors_total{kind=\"name\"}",                \
      "redis.errors.name", "")                                                 \
    X(REDIS_REFUSED, "s3_cache_redis_refused_values_total",                    \
      "redis.refused_values", "Members in answers of Redis that were refused") \
    X(MIRROR_KEPT, "s3_cache_mirrors_total{event=\"kept\"}",                   \
      "mirrors.kept", "Mirrors of objects and blocks that others own")         \
    X(MIRROR_HITS, "s3_cache_mirrors_total{event=\"hit\"}",                    \
      "mirrors.hit", "")                                                       \
    X(MIRROR_REFUSED, "s3_cache_mirrors_total{event=\"refused\"}",             \
      "mirrors.refused", "")                                                   \
    X(MIRROR_BYTES, "s3_cache_mirror_kept_bytes_total",                        \
      "mirrors.kept_bytes", "Memory that was given to mirrors")                \
    X(VERIFY_SAME, "s3_cache_verifies_total{outcome=\"same\"}",                \
      "verify.same",                                                           \
      "Answers from the cache compared with the origin, by outcome")           \
    X(VERIFY_CHANGED, "s3_cache_verifies_total{outcome=\"changed\"}",          \
      "verify.changed", "")                                                    \
    X(VERIFY_MISMATCH, "s3_cache_verifies_total{outcome=\"mismatch\"}",        \
      "verify.mismatch", "")                                                   \
    X(VERIFY_GONE, "s3_cache_verifies_total{outcome=\"gone\"}",                \
      "verify.gone", "")                                                       \
    X(VERIFY_ERROR, "s3_cache_verifies_total{outcome=\"error\"}",              \
      "verify.error", "")                                                      \
    X(VERIFY_SHED, "s3_cache_verifies_total{outcome=\"shed\"}",                \
      "verify.shed", "")                                                       \
    X(VERIFY_BYTES, "s3_cache_verified_bytes_total",                           \
      "verify.bytes", "Bytes of the cache compared with those of the origin")  \
    X(SCRUB_ENTRIES, "s3_cache_scrubbed_entries_total",                        \
      "scrub.entries", "Entries in memory whose checksum was looked at")       \
    X(SCRUB_BYTES, "s3_cache_scrubbed_bytes_total",                            \
      "scrub.bytes", "Bytes of these entries")                                 \
    X(SCRUB_SEALED, "s3_cache_scrub_sealed_total",                             \
      "scrub.sealed", "Of these, had no checksum and were given one")          \
    X(SCRUB_BAD, "s3_cache_scrub_failures_total",                              \
      "scrub.failures", "Of these, had another checksum and were dropped")     \
    X(SCRUB_PASSES, "s3_cache_scrub_passes_total",                             \
      "scrub.passes", "Times that all of the memory was gone through")         \
    X(WARM_CACHED, "s3_cache_warmup_objects_total{result=\"cached\"}",         \
      "warmup.cached", "Objects of warm-ups by what became of them")           \
    X(WARM_FETCHED, "s3_cache_warmup_objects_total{result=\"fetched\"}",       \
      "warmup.fetched", "")                                                    \
    X(WARM_EVICTED, "s3_cache_warmup_objects_total{result=\"evicted\"}",       \
      "warmup.evicted", "")                                                    \
    X(WARM_MISSING, "s3_cache_warmup_objects_total{result=\"missing\"}",       \
      "warmup.missing", "")                                                    \
    X(WARM_NO_ROOM, "s3_cache_warmup_objects_total{result=\"no_room\"}",       \
      "warmup.no_room", "")                                                    \
    X(WARM_FAILED, "s3_cache_warmup_objects_total{result=\"failed\"}",         \
      "warmup.failed", "")                                                     \
    X(WARM_BYTES, "s3_cache_warmup_bytes_total",                               \
      "warmup.fetched_bytes",                                                  \
      "Body bytes that warm-ups had fetched, also by other nodes")             \
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

/* The word is the field of s3c_stats_flash_t. */
#define S3C_STATS_FLASH(X)                                                     \
    X(index_bytes, "s3_cache_flash_bytes{kind=\"index\"}",                     \
      "flash.index_bytes", "Memory of the flash tier by what it is")           \
    X(memory_bytes, "s3_cache_flash_bytes{kind=\"memory\"}",                   \
      "flash.memory_bytes", "")

/* Per store; the word is the field of s3c_ssd_usage_t, the path that in the
 * store's own object. What is computed of them the printers add. */
#define S3C_STATS_STORE(X)                                                     \
    X(bytes, "s3_cache_store_bytes{kind=\"size\"}",                            \
      "bytes", "Bytes of the store by what they are")                          \
    X(live_bytes, "s3_cache_store_bytes{kind=\"live\"}",                       \
      "live_bytes", "")                                                        \
    X(records, "s3_cache_store_records",                                       \
      "records", "Records that can be found")                                  \
    X(segments, "s3_cache_store_segments{kind=\"all\"}",                       \
      "segments", "Segments by what they are")                                 \
    X(segments_free, "s3_cache_store_segments{kind=\"free\"}",                 \
      "segments_free", "")                                                     \
    X(segments_open, "s3_cache_store_segments{kind=\"open\"}",                 \
      "segments_open", "")                                                     \
    X(recovered_segments, "s3_cache_store_recovered_segments",                 \
      "recovery.segments", "Segments that the last recovery has read")         \
    X(recovered_records, "s3_cache_store_recovered_records",                   \
      "recovery.records", "Records that the last recovery has found")          \
    X(recovery_ms, "s3_cache_store_recovery_seconds",                     \
      "recovery.milliseconds", "Time that the last recovery has taken")        \
    X(n_hit, "s3_cache_store_hits_total",                                      \
      "reads.hits", "Reads that were delivered")                               \
    X(hit_bytes, "s3_cache_store_hit_bytes_total",                             \
      "reads.hit_bytes", "Payload that reads have delivered")                  \
    X(read_bytes, "s3_cache_store_device_read_bytes_total",                    \
      "reads.device_bytes", "Bytes read from the device")                      \
    X(reads_in_flight, "s3_cache_store_reads_in_flight",                       \
      "reads.in_flight", "Reads that the device has not answered")             \
    X(n_read_error, "s3_cache_store_read_errors_total",                        \
      "reads.errors", "Reads that the device failed")                          \
    X(n_timeout, "s3_cache_store_read_timeouts_total",                         \
      "reads.timeouts", "Reads given up because they took too long")           \
    X(n_corrupt, "s3_cache_store_corrupt_total",                               \
      "reads.corrupt", "Checks of bytes from the device that failed")          \
    X(n_scrub, "s3_cache_store_scrubbed_records_total",                        \
      "scrub.records", "Records read again by the scrub, and whole")           \
    X(scrub_bytes, "s3_cache_store_scrubbed_bytes_total",                      \
      "scrub.bytes", "Payload of these records")                               \
    X(n_scrub_bad, "s3_cache_store_scrub_failures_total",                      \
      "scrub.failures", "Records that the scrub found damaged, and dropped")   \
    X(n_scrub_pass, "s3_cache_store_scrub_passes_total",                       \
      "scrub.passes", "Times that all sealed segments were gone through")      \
    X(n_put, "s3_cache_store_put_records_total",                               \
      "writes.records", "Records taken to be written")                         \
    X(put_bytes, "s3_cache_store_put_bytes_total",                             \
      "writes.bytes", "Payload of the records taken")                          \
    X(written_bytes, "s3_cache_store_device_written_bytes_total",              \
      "writes.device_bytes", "Bytes written to the device")                    \
    X(writes_in_flight, "s3_cache_store_writes_in_flight",                     \
      "writes.in_flight", "Writes that the device has not answered")           \
    X(n_write_error, "s3_cache_store_write_errors_total",                      \
      "writes.errors", "Writes that the device failed")                        \
    X(n_shed, "s3_cache_store_shed_total",                                     \
      "writes.shed", "Records not taken for lack of buffers or segments")      \
    X(n_denied, "s3_cache_store_denied_total",                                 \
      "writes.denied", "Records not taken by budget or admission")             \
    X(n_drop, "s3_cache_store_drops_total",                                    \
      "drops", "Records dropped because they were invalidated or wrong")       \
    X(n_reclaim, "s3_cache_store_reclaimed_segments_total",                    \
      "reclaimed_segments", "Segments emptied to be written anew")             \
    X(n_reinsert, "s3_cache_store_reinserted_total",                           \
      "reinserted", "Records kept when their segment was emptied")             \
    X(n_evict, "s3_cache_store_evicted_total",                                 \
      "evicted", "Records that left with their segment")                       \
    X(n_out_of_service, "s3_cache_store_out_of_service_total",                 \
      "out_of_service", "Times that the store was taken out of service")       \
    X(budget, "s3_cache_store_budget_bytes_per_second",                        \
      "budget.bytes_per_second",                                               \
      "Bytes that may be written a second; 0 is no limit")                     \
    X(budget_left, "s3_cache_store_budget_left_bytes",                         \
      "budget.left", "Bytes that may be written at once")

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

/* Per node of the ring; the path is that in the node's own object. */
#define S3C_STATS_NODE_COUNTERS(X)                                             \
    X(ASKED, "s3_cache_node_asks_total",                                       \
      "asks", "Questions that were sent to the node")                          \
    X(ANSWERED, "s3_cache_node_answers_total",                                 \
      "answers", "Questions to which it had something to say")                 \
    X(BYTES, "s3_cache_node_received_bytes_total",                             \
      "received_bytes", "Body bytes received from the node")                   \
    X(AWAY, "s3_cache_node_failures_total{kind=\"away\"}",                     \
      "failures.away", "Questions to the node that failed")                    \
    X(WRONG, "s3_cache_node_failures_total{kind=\"wrong\"}",                   \
      "failures.wrong", "")                                                    \
    X(HEDGED, "s3_cache_node_hedges_total",                                    \
      "hedges", "Times that it was silent and another was asked")              \
    X(FORMER, "s3_cache_node_former_asks_total",                               \
      "former_asks", "Questions to it as the owner before this node")          \
    X(SERVED, "s3_cache_node_served_total",                                    \
      "served", "Questions of the node that this one answered")                \
    X(SENT, "s3_cache_node_sent_bytes_total",                                  \
      "sent_bytes", "Body bytes sent to the node")

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
      "latency.fill", "Time that a fill took")                                 \
    X(FLASH_READ, "s3_cache_flash_read_seconds",                               \
      "latency.flash_read", "Time that a read of a record from flash took")    \
    X(FLASH_WRITE, "s3_cache_flash_write_seconds",                             \
      "latency.flash_write", "Time that a write of a batch to flash took")     \
    X(TIER_RAM, "s3_cache_tier_first_byte_seconds{tier=\"ram\"}",              \
      "latency.tier.ram",                                                      \
      "Time from a request to the first byte of its answer, by tier")          \
    X(TIER_FLASH, "s3_cache_tier_first_byte_seconds{tier=\"flash\"}",          \
      "latency.tier.flash", "")                                                \
    X(TIER_MIRROR, "s3_cache_tier_first_byte_seconds{tier=\"mirror\"}",        \
      "latency.tier.mirror", "")                                               \
    X(TIER_PEER, "s3_cache_tier_first_byte_seconds{tier=\"peer\"}",            \
      "latency.tier.peer", "")                                                 \
    X(TIER_JOINED, "s3_cache_tier_first_byte_seconds{tier=\"joined\"}",        \
      "latency.tier.joined", "")                                               \
    X(TIER_ORIGIN, "s3_cache_tier_first_byte_seconds{tier=\"origin\"}",        \
      "latency.tier.origin", "")                                               \
    X(TIER_PASS, "s3_cache_tier_first_byte_seconds{tier=\"pass\"}",            \
      "latency.tier.pass", "")

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

typedef enum {
#define X(word, name, path, help)  S3C_NODE_STAT_##word,
    S3C_STATS_NODE_COUNTERS(X)
#undef X
    S3C_NODE_STAT_N
} s3c_node_stat_t;

#endif
