/* SPDX-License-Identifier: Apache-2.0
 *
 * What was kept of a write, told to the other nodes of the ring: those who own
 * it, or stripes of it, ask here before they ask the origin. One that does not
 * hear of it asks the origin.
 */

#include "ngx_http_s3_cache_fill.h"
#include "ngx_http_s3_cache_tell.h"
#include "ngx_http_s3_cache_through.h"


typedef struct {
    ngx_pool_t                   *pool;
    ngx_http_s3_cache_name_t      name;
    ngx_http_s3_cache_tell_t      tell;
} have_t;


static void through_told(ngx_http_s3_cache_tell_t *tell);


void
ngx_http_s3_cache_through_tell(ngx_http_s3_cache_job_t *job, uint64_t tag,
    ngx_uint_t foreign, const s3c_record_spec_t *spec)
{
    u_char                     *p;
    have_t                     *have;
    uint64_t                    now;
    ngx_pool_t                 *pool;
    ngx_http_s3_cache_peers_t  *peers;

    peers = job->zone->peers;

    if (peers == NULL
        || (!foreign && spec->total <= (uint64_t) peers->stripe))
    {
        return;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    have = ngx_pcalloc(pool, sizeof(have_t));
    p = ngx_pnalloc(pool, job->path.len);

    if (have == NULL || p == NULL) {
        ngx_destroy_pool(pool);
        return;
    }

    /* "/bucket/key" */
    ngx_memcpy(p, job->path.data, job->path.len);

    have->pool = pool;
    have->name.bucket = s3c_slice(p + 1, job->bucket_len);
    have->name.key = s3c_slice(p + 2 + job->bucket_len,
                               job->path.len - 2 - job->bucket_len);

    now = ngx_http_s3_cache_now();

    have->tell.peers = peers;
    have->tell.what = S3C_WIRE_HAVE;
    have->tell.origin = job->conf->origin->id;
    have->tell.tag = tag;
    have->tell.msec = spec->expires_ms > now
                      ? ngx_min(spec->expires_ms - now, S3C_WIRE_HAVE_MAX)
                      : 0;
    have->tell.names = &have->name;
    have->tell.nnames = 1;
    have->tell.done = through_told;
    have->tell.data = have;

    if (ngx_http_s3_cache_tell(&have->tell) != NGX_AGAIN) {
        ngx_destroy_pool(pool);
    }
}


static void
through_told(ngx_http_s3_cache_tell_t *tell)
{
    have_t *have = tell->data;

    ngx_destroy_pool(have->pool);
}
