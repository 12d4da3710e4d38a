/* SPDX-License-Identifier: Apache-2.0
 *
 * What one node tells another of itself.
 */
#include "stats/stats_summary.h"

#include <assert.h>

#define SUMMARY_VERSION  1u
#define SUMMARY_SECONDS  10u

static_assert(S3C_SUMMARY_BYTES <= S3C_SUMMARY_BYTES_MAX, "of this version");


static uint64_t
summary_counts(const s3c_history_sample_t *was, const s3c_history_sample_t *is,
    s3c_history_count_t first, s3c_history_count_t last)
{
    uint64_t  n = 0;

    for (unsigned i = first; i <= last; i++) {
        n += (uint32_t) (is->count[i] - was->count[i]);
    }

    return n;
}


static uint64_t
summary_bytes(const s3c_history_sample_t *was, const s3c_history_sample_t *is,
    s3c_history_bytes_t first, s3c_history_bytes_t last)
{
    uint64_t  n = 0;

    for (unsigned i = first; i <= last; i++) {
        n += is->bytes[i] > was->bytes[i] ? is->bytes[i] - was->bytes[i] : 0;
    }

    return n;
}

#define COUNT(of)  S3C_HISTORY_COUNT_STAT_##of
#define BYTES(of)  S3C_HISTORY_BYTES_STAT_##of


static void
summary_lately(s3c_summary_t *s, const s3c_history_sh_t *h)
{
    uint32_t               n;
    s3c_history_sample_t   last[SUMMARY_SECONDS + 1];
    s3c_history_sample_t  *was = &last[0], *is;

    n = s3c_history_read(h, S3C_HISTORY_BY_SECOND, 0, last,
                         SUMMARY_SECONDS + 1);
    if (n < 2) {
        return;
    }

    is = &last[n - 1];

    s->took_ms = is->ms - was->ms;
    s->requests = summary_counts(was, is, COUNT(REQ_HIT), COUNT(REQ_ERROR));
    s->hits = summary_counts(was, is, COUNT(FROM_RAM), COUNT(FROM_JOINED));
    s->misses = summary_counts(was, is, COUNT(FROM_ORIGIN),
                               COUNT(FROM_ORIGIN));
    s->origin_requests = summary_counts(was, is, COUNT(ORIGIN_REQUESTS),
                                        COUNT(ORIGIN_REQUESTS));
    s->origin_errors = summary_counts(was, is, COUNT(ORIGIN_UNREACHABLE),
                                      COUNT(ORIGIN_5XX));
    s->sent_bytes = summary_bytes(was, is, BYTES(SENT_RAM), BYTES(SENT_PASS));
    s->origin_bytes = summary_bytes(was, is, BYTES(ORIGIN_BYTES),
                                    BYTES(ORIGIN_BYTES));
    s->waiting = is->gauge[S3C_HISTORY_GAUGE_WAITING_all];
}


void
s3c_summary_make(s3c_summary_t *s, const s3c_history_sh_t *h,
    const s3c_stats_zone_t *zone)
{
    memset(s, 0, sizeof(*s));

    s->arena_bytes = zone->usage.arena_bytes;
    s->memory_bytes = zone->usage.allocated_bytes;
    s->entries = zone->usage.entries;
    s->fills = zone->usage.fills;

    for (unsigned i = 0; i < zone->n_stores; i++) {
        s->flash_bytes += zone->stores[i].usage.bytes;
        s->flash_live_bytes += zone->stores[i].usage.live_bytes;
    }

    if (h != NULL) {
        summary_lately(s, h);
    }
}


void
s3c_summary_encode(const s3c_summary_t *s, uint8_t out[S3C_SUMMARY_BYTES])
{
    uint32_t  head[2] = { SUMMARY_VERSION, S3C_SUMMARY_NUMBERS };

    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), s, sizeof(*s));
}


s3c_status_t
s3c_summary_decode(s3c_summary_t *s, s3c_slice_t in)
{
    size_t    bytes;
    uint32_t  head[2];

    memset(s, 0, sizeof(*s));

    if (in.len < sizeof(head) || in.len > S3C_SUMMARY_BYTES_MAX) {
        return S3C_INVALID;
    }

    memcpy(head, in.data, sizeof(head));

    if (head[0] != SUMMARY_VERSION
        || in.len != sizeof(head) + 8 * (uint64_t) head[1])
    {
        return S3C_INVALID;
    }

    bytes = in.len - sizeof(head);
    memcpy(s, in.data + sizeof(head), bytes < sizeof(*s) ? bytes : sizeof(*s));

    return S3C_OK;
}


void
s3c_summary_print_json(s3c_writer_t *w, const s3c_summary_t *s)
{
#define X(name)                                                               \
    s3c_write_lit(w, ",\"" #name "\":");                                      \
    s3c_write_u64(w, s->name);
    S3C_SUMMARY(X)
#undef X
}
