/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written to flash, and what is taken away from it: entries as they
 * become complete, the news that a record was vouched for, and drops.
 */

#include "ngx_http_s3_cache_flash.h"


void
ngx_http_s3_cache_flash_clock(s3c_stored_now_t *now)
{
    now->ms = ngx_http_s3_cache_now();
    now->wall_s = ngx_time();
}


ngx_int_t
ngx_http_s3_cache_flash_put(ngx_http_s3_cache_zone_t *zone, s3c_hash128_t key,
    const s3c_ram_pin_t *pin, ngx_uint_t object, uint64_t generation)
{
    int                     n;
    bool                    is_inline;
    size_t                  head_bytes;
    uint32_t                size;
    uint64_t                tag[2];
    s3c_status_t            st;
    struct iovec            iov[S3C_RAM_SPANS_MAX];
    s3c_stored_now_t        now;
    const s3c_record_sh_t  *rec;

    if (zone->ssd == NULL) {
        return NGX_DECLINED;
    }

    size = s3c_ram_size(zone->ram, pin);

    if (object) {
        rec = s3c_ram_head(zone->ram, pin);

        if (s3c_stored_peek(rec, size, size, &head_bytes, &tag[0], &is_inline)
            != S3C_OK)
        {
            return NGX_DECLINED;
        }

        ngx_http_s3_cache_flash_clock(&now);
        tag[1] = s3c_stored_pack(s3c_stored_times(rec, now));

    } else {
        tag[0] = s3c_stored_version(generation, 0);
        tag[1] = 0;
    }

    n = S3C_RAM_SPANS_MAX;

    if (s3c_ram_span(zone->ram, pin, 0, size, iov, &n) != size) {
        return NGX_DECLINED;
    }

    st = s3c_ssd_put(zone->ssd, key, tag, iov, n, size,
                     ngx_http_s3_cache_now());
    ngx_http_s3_cache_store_kick(zone);

    return st == S3C_OK ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_s3_cache_flash_vouch(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t object, const s3c_record_view_t *view)
{
    uint64_t                bytes, tag[2];
    struct iovec            iov;
    s3c_stored_now_t        now;
    s3c_stored_vouch_rec_t  vouch;

    if (zone->ssd == NULL || s3c_ssd_find(zone->ssd, object, &bytes) != S3C_OK)
    {
        return;
    }

    ngx_http_s3_cache_flash_clock(&now);

    vouch.version = s3c_stored_version(view->generation, view->head_bytes);
    vouch.times = s3c_stored_pack(s3c_stored_times(view->rec, now));

    tag[0] = vouch.version;
    tag[1] = vouch.times;

    iov.iov_base = &vouch;
    iov.iov_len = sizeof(vouch);

    if (s3c_ssd_put(zone->ssd, s3c_key_times(zone->secret, object), tag, &iov,
                    1, sizeof(vouch), ngx_http_s3_cache_now())
        != S3C_OK)
    {
        /* the record looks older than it is, and is validated again */
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "s3_cache: times not written to flash");
    }

    ngx_http_s3_cache_store_kick(zone);
}


void
ngx_http_s3_cache_flash_drop(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t key)
{
    if (zone->ssd != NULL) {
        (void) s3c_ssd_drop(zone->ssd, key, ngx_http_s3_cache_now());
        ngx_http_s3_cache_store_kick(zone);
    }
}


void
ngx_http_s3_cache_flash_superseded(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t object)
{
    uint64_t  bytes;

    /* a rare case: flash was passed over, being too busy or failing */

    if (zone->ssd != NULL && s3c_ssd_find(zone->ssd, object, &bytes) == S3C_OK)
    {
        ngx_http_s3_cache_flash_drop(zone, object);
    }
}


/*
 * Flash first: once it is gone from memory, the next reader looks on flash.
 * While this pin is what is found, nobody fills the key, so nothing older can
 * be written in between.
 */

s3c_status_t
ngx_http_s3_cache_drop(ngx_http_s3_cache_zone_t *zone, s3c_hash128_t key,
    const s3c_ram_pin_t *pin)
{
    ngx_http_s3_cache_flash_drop(zone, key);

    return s3c_ram_drop_pinned(zone->ram, pin);
}
