/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the answer to a client came from and how long it took to its first
 * byte: once a request, by what the client had to wait for. $s3_cache_tier says
 * where the bytes were, which is another thing: who joins the fill of another
 * gets them from memory, and has waited for the origin.
 */

#include "ngx_http_s3_cache_module.h"


/* of the FROM_ counters and of the TIER_ histograms, in their order */

typedef enum {
    FROM_RAM = 0,
    FROM_FLASH,
    FROM_MIRROR,
    FROM_PEER,
    FROM_JOINED,
    FROM_ORIGIN,
    FROM_PASS,
    FROM_NOWHERE
} from_e;


static_assert(S3C_STAT_FROM_PASS - S3C_STAT_FROM_RAM == FROM_PASS,
              "the order of the counters");
static_assert(S3C_HIST_TIER_PASS - S3C_HIST_TIER_RAM == FROM_PASS,
              "the order of the histograms");


static from_e
count_from(ngx_http_s3_cache_ctx_t *ctx)
{
    switch (ctx->result) {

    case NGX_HTTP_S3_CACHE_HIT:
    case NGX_HTTP_S3_CACHE_STALE:
        return ctx->tier == NGX_HTTP_S3_CACHE_TIER_FLASH ? FROM_FLASH
               : ctx->tier == NGX_HTTP_S3_CACHE_TIER_MIRROR ? FROM_MIRROR
               : ctx->tier == NGX_HTTP_S3_CACHE_TIER_PEER ? FROM_PEER
               : FROM_RAM;

    case NGX_HTTP_S3_CACHE_SHARED:
    case NGX_HTTP_S3_CACHE_REVALIDATED:
        return FROM_JOINED;

    case NGX_HTTP_S3_CACHE_MISS:
        return FROM_ORIGIN;

    case NGX_HTTP_S3_CACHE_BYPASS:
        return FROM_PASS;

    default:
        return FROM_NOWHERE;
    }
}


void
ngx_http_s3_cache_count_tier(ngx_http_s3_cache_ctx_t *ctx)
{
    from_e        from;
    uint64_t      usec;
    s3c_stats_t  *stats;

    stats = &ctx->zone->stats;
    from = count_from(ctx);

    if (from != FROM_NOWHERE) {
        s3c_stats_add(stats, (s3c_stat_t) (S3C_STAT_FROM_RAM + from), 1);
    }

    if (ctx->begun_us == 0) {
        return;
    }

    usec = ngx_http_s3_cache_usec() - ctx->begun_us;

    if (from != FROM_PASS) {
        s3c_stats_observe(stats,
                          ctx->led ? S3C_HIST_FIRST_BYTE_MISS
                                   : S3C_HIST_FIRST_BYTE_HIT,
                          usec);
    }

    /* that of a write would be the time that its client took to send */

    if (from != FROM_NOWHERE && ctx->write == NULL) {
        s3c_stats_observe(stats, (s3c_hist_t) (S3C_HIST_TIER_RAM + from),
                          usec);
    }
}
