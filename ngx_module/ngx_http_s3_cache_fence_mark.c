/* SPDX-License-Identifier: Apache-2.0
 *
 * Flash outlives the generations of buckets, origins and keys, and the purged
 * prefixes, which are in memory. So each place of theirs that was ever counted
 * up has a mark there; after a start it goes on with a number that was never
 * used, and what was kept under older ones is not found. A prefix marks its
 * bucket.
 */

#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_flash.h"
#include "ngx_http_s3_cache_reload.h"

#include "serve/purge.h"


static s3c_hash128_t ngx_http_s3_cache_fence_mark(
    ngx_http_s3_cache_zone_t *zone, uint32_t place);


static s3c_hash128_t
ngx_http_s3_cache_fence_mark(ngx_http_s3_cache_zone_t *zone, uint32_t place)
{
    uint64_t  in[2];

    in[0] = 'G';
    in[1] = place;

    return s3c_hash128(zone->secret, in, sizeof(in));
}


/* In no earlier life of what is on flash: they began before this one. */

uint64_t
ngx_http_s3_cache_fence_never_used(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return ((uint64_t) tp->sec * 1000 + tp->msec) << 20;
}


void
ngx_http_s3_cache_fence_load(ngx_http_s3_cache_zone_t *zone)
{
    uint32_t          i;
    uint64_t          bytes;
    s3c_ssd_usage_t   usage;

    for (i = 0; i < s3c_ssd_n_stores(zone->ssd); i++) {
        s3c_ssd_usage(zone->ssd, i, &usage);

        if (usage.state == S3C_SSD_RECOVERING
            || usage.state == S3C_SSD_WAITING)
        {
            return;
        }
    }

    for (i = 0; i < S3C_PURGE_PLACES; i++) {
        if (s3c_ssd_find(zone->ssd, ngx_http_s3_cache_fence_mark(zone, i),
                         &bytes)
            == S3C_OK)
        {
            s3c_purge_forget(zone->shared->fence, i,
                             ngx_http_s3_cache_fence_never_used());
        }
    }

    for (i = 0; i < NGX_HTTP_S3_CACHE_RELOAD_PLACES; i++) {
        if (s3c_ssd_find(zone->ssd,
                         ngx_http_s3_cache_fence_mark(zone,
                                                      S3C_PURGE_PLACES + i),
                         &bytes)
            == S3C_OK)
        {
            ngx_http_s3_cache_reload_forget(i);
        }
    }

    s3c_fence_loaded(zone->shared->fence);
}


void
ngx_http_s3_cache_fence_save(ngx_http_s3_cache_zone_t *zone, uint32_t place)
{
    uint64_t       bytes, tag[2];
    struct iovec   iov;
    s3c_hash128_t  key;

    if (zone->ssd == NULL) {
        return;
    }

    key = ngx_http_s3_cache_fence_mark(zone, place);

    if (s3c_ssd_find(zone->ssd, key, &bytes) == S3C_OK) {
        return;
    }

    tag[0] = 0;
    tag[1] = 0;
    iov.iov_base = tag;
    iov.iov_len = sizeof(tag);

    /* if it is not taken, the next sweep tries again */

    if (s3c_ssd_put(zone->ssd, key, tag, &iov, 1, sizeof(tag),
                    ngx_http_s3_cache_now())
        == S3C_OK)
    {
        ngx_http_s3_cache_store_kick(zone);
    }
}
