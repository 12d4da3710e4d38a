/* SPDX-License-Identifier: Apache-2.0
 *
 * What the origin has allowed a moment ago: SHA-256 of the request that it was
 * asked, and the version that it showed. Of one worker: another one asks for
 * itself, which costs the origin a byte, and no lock, no memory that outlives
 * a crash and no reload has to be thought of. Times are given by who looks.
 *
 * LIMITS  SEEN_SETS * SEEN_WAYS; in a full set the oldest goes.
 */

#include "ngx_http_s3_cache_auth_origin.h"


#define SEEN_SETS  1024
#define SEEN_WAYS  4


static ngx_http_s3_cache_asked_t  seen[SEEN_SETS * SEEN_WAYS];


static ngx_http_s3_cache_asked_t *
seen_set(const ngx_http_s3_cache_asked_t *asked)
{
    ngx_uint_t  set;

    set = (asked->hash[0] << 8 | asked->hash[1]) % SEEN_SETS;

    return seen + set * SEEN_WAYS;
}


ngx_int_t
ngx_http_s3_cache_seen_find(ngx_http_s3_cache_asked_t *asked, time_t valid)
{
    uint64_t                    now;
    ngx_uint_t                  i;
    ngx_http_s3_cache_asked_t  *set;

    set = seen_set(asked);
    now = ngx_http_s3_cache_now();

    for (i = 0; i < SEEN_WAYS; i++) {

        if (!set[i].shown
            || ngx_memcmp(set[i].hash, asked->hash, S3C_SHA256_BYTES) != 0)
        {
            continue;
        }

        if (now - set[i].asked_ms >= (uint64_t) valid * 1000
            || ngx_time() >= set[i].end_sec)
        {
            return NGX_DECLINED;
        }

        asked->asked_ms = set[i].asked_ms;
        asked->generation = set[i].generation;
        asked->bounded = set[i].bounded;
        asked->first = set[i].first;
        asked->last = set[i].last;
        asked->etag_len = set[i].etag_len;
        ngx_memcpy(asked->etag, set[i].etag, set[i].etag_len);

        return NGX_OK;
    }

    return NGX_DECLINED;
}


void
ngx_http_s3_cache_seen_put(const ngx_http_s3_cache_asked_t *asked)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_asked_t  *set, *slot;

    set = seen_set(asked);
    slot = set;

    for (i = 0; i < SEEN_WAYS; i++) {

        if (ngx_memcmp(set[i].hash, asked->hash, S3C_SHA256_BYTES) == 0) {
            slot = &set[i];
            break;
        }

        if (set[i].asked_ms < slot->asked_ms) {
            slot = &set[i];
        }
    }

    *slot = *asked;
}


void
ngx_http_s3_cache_seen_forget(const ngx_http_s3_cache_asked_t *asked)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_asked_t  *set;

    set = seen_set(asked);

    for (i = 0; i < SEEN_WAYS; i++) {
        if (ngx_memcmp(set[i].hash, asked->hash, S3C_SHA256_BYTES) == 0) {
            ngx_memzero(&set[i], sizeof(ngx_http_s3_cache_asked_t));
        }
    }
}
