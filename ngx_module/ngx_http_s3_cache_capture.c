/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunk after chunk. One is being filled at a time: it holds a fill's number
 * and its bytes count as a fill's, so that captures stay within the limits of
 * the zone. They begin one only while half of these are free: the rest is left
 * to reads.
 */

#include "ngx_http_s3_cache_capture.h"


static ngx_int_t ngx_http_s3_cache_capture_chunk(
    ngx_http_s3_cache_capture_t *cap);


ngx_int_t
ngx_http_s3_cache_capture_begin(ngx_http_s3_cache_capture_t *cap,
    ngx_http_s3_cache_zone_t *zone, size_t chunk_bytes, uint64_t length)
{
    static uint64_t  nonce;

    ngx_memzero(cap, sizeof(ngx_http_s3_cache_capture_t));

    if (s3c_md5_init(&cap->md5) != S3C_OK) {
        s3c_sha_fini(&cap->md5);
        return NGX_DECLINED;
    }

    cap->zone = zone;
    cap->active = 1;
    cap->body.chunk_bytes = chunk_bytes;
    cap->body.length = length;
    cap->body.name = s3c_written_name(zone->secret, ngx_pid, ++nonce,
                                      ngx_http_s3_cache_usec());

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_capture_take(ngx_http_s3_cache_capture_t *cap,
    const u_char *pos, size_t len)
{
    int           n;
    size_t        part;
    struct iovec  iov;

    if (!cap->active) {
        return NGX_OK;
    }

    if (len > cap->body.length - cap->taken
        || s3c_sha_add(&cap->md5, s3c_slice(pos, len)) != S3C_OK)
    {
        goto failed;
    }

    while (len > 0) {

        if (!s3c_ram_pinned(&cap->pin)
            && ngx_http_s3_cache_capture_chunk(cap) != NGX_OK)
        {
            goto failed;
        }

        n = 1;

        if (s3c_ram_span(cap->zone->ram, &cap->pin, cap->off,
                         cap->size - cap->off, &iov, &n) == 0)
        {
            goto failed;
        }

        part = ngx_min(len, iov.iov_len);
        ngx_memcpy(iov.iov_base, pos, part);

        pos += part;
        len -= part;
        cap->off += part;
        cap->taken += part;

        if (cap->off < cap->size) {
            continue;
        }

        (void) s3c_ram_fill_commit(cap->zone->ram, &cap->pin,
                                   ngx_http_s3_cache_now());
        s3c_ram_unpin(cap->zone->ram, &cap->pin);
    }

    return NGX_OK;

failed:

    ngx_http_s3_cache_capture_drop(cap);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_s3_cache_capture_chunk(ngx_http_s3_cache_capture_t *cap)
{
    s3c_ram_t        *ram;
    s3c_hash128_t     key;
    s3c_ram_usage_t   usage;

    ram = cap->zone->ram;

    cap->off = 0;
    cap->size = s3c_written_chunk_size(&cap->body,
                                  cap->taken / cap->body.chunk_bytes);

    s3c_ram_usage(ram, &usage);

    if (usage.fills >= s3c_ram_fills_max(ram) / 2
        || usage.fill_bytes + cap->size > (uint64_t) cap->zone->fill_memory / 2)
    {
        return NGX_DECLINED;
    }

    key = s3c_key_chunk(cap->zone->secret, cap->body.name,
                        cap->taken / cap->body.chunk_bytes);

    if (s3c_ram_fill_begin(ram, key, ngx_http_s3_cache_now(), &cap->pin)
        != S3C_OK)
    {
        if (s3c_ram_pinned(&cap->pin)) {
            s3c_ram_unpin(ram, &cap->pin);
        }

        return NGX_DECLINED;
    }

    /* who fails it now is capture_drop() */

    return s3c_ram_fill_alloc(ram, &cap->pin, cap->size, 0,
                              ngx_http_s3_cache_now())
           == S3C_OK ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_s3_cache_capture_end(ngx_http_s3_cache_capture_t *cap)
{
    if (!cap->active) {
        return NGX_DECLINED;
    }

    if (cap->taken != cap->body.length
        || s3c_sha_end(&cap->md5, cap->body.md5) != S3C_OK)
    {
        ngx_http_s3_cache_capture_drop(cap);
        return NGX_DECLINED;
    }

    s3c_sha_fini(&cap->md5);
    cap->active = 0;

    return NGX_OK;
}


void
ngx_http_s3_cache_capture_drop(ngx_http_s3_cache_capture_t *cap)
{
    if (!cap->active) {
        return;
    }

    cap->active = 0;
    s3c_sha_fini(&cap->md5);

    if (s3c_ram_pinned(&cap->pin)) {
        s3c_ram_fill_fail(cap->zone->ram, &cap->pin,
                          NGX_HTTP_S3_CACHE_FILL_ROOM);
        s3c_ram_unpin(cap->zone->ram, &cap->pin);
    }

    ngx_http_s3_cache_capture_forget(cap->zone, &cap->body, 0,
                                 (cap->taken + cap->body.chunk_bytes - 1)
                                 / cap->body.chunk_bytes);
}


void
ngx_http_s3_cache_capture_forget(ngx_http_s3_cache_zone_t *zone,
    const s3c_written_t *body, uint64_t first, uint64_t n)
{
    for ( /* void */ ; n > 0; n--, first++) {
        (void) s3c_ram_drop(zone->ram, s3c_key_chunk(zone->secret, body->name,
                                                     first));
    }
}
