/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that are not those of the origin, though the version is: they are said,
 * and dropped here at once, and then as a purge drops a key, at all nodes, with
 * all of its blocks. Which of them were made of the same mistake nobody knows.
 */

#include "ngx_http_s3_cache_verify.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_flash.h"

#include "s3/s3_uri.h"


static void ngx_http_s3_cache_verify_say(ngx_http_s3_cache_verify_t *v);
static void ngx_http_s3_cache_verify_forgotten(void *data, ngx_int_t rc);


void
ngx_http_s3_cache_verify_drop(ngx_http_s3_cache_verify_t *v)
{
    ngx_int_t                       rc;
    ngx_http_s3_cache_ctx_t        *ctx;
    ngx_http_s3_cache_name_t        name;
    ngx_http_s3_cache_main_conf_t  *mcf;

    ngx_http_s3_cache_verify_say(v);

    (void) ngx_http_s3_cache_drop(v->zone, v->entry, &v->pin);

    if (!v->is_inline) {
        ngx_http_s3_cache_flash_drop(v->zone,
                           s3c_key_block(v->zone->secret, v->object,
                                         v->generation, v->block,
                                         v->conf->block_size));
    }

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_s3_cache_module);

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = v->bucket;
    name.key = v->key;
    name.version = v->version;
    name.zone = v->zone;
    name.whole = 1;

    ctx = ngx_pcalloc(v->pool, sizeof(ngx_http_s3_cache_ctx_t));

    if (ctx == NULL
        || ngx_http_s3_cache_fence_can(mcf, v->conf->origin->id) != NGX_OK)
    {
        rc = NGX_ERROR;

    } else {
        ctx->log = ngx_cycle->log;
        ctx->conf = v->conf;
        ctx->zone = v->zone;

        v->fence.ctx = ctx;
        v->fence.conf = mcf;
        v->fence.owner = v->pool;
        v->fence.zone = v->zone;
        v->fence.resume = ngx_http_s3_cache_verify_forgotten;
        v->fence.data = v;

        rc = ngx_http_s3_cache_forget(&v->fence, &name);

        if (rc == NGX_AGAIN) {
            return;
        }
    }

    if (rc != NGX_OK) {
        /* without a fence, but here at least */
        ngx_http_s3_cache_fence_drop(mcf, v->conf->origin->id, &name);
    }

    ngx_http_s3_cache_verify_forgotten(v, rc);
}


static void
ngx_http_s3_cache_verify_forgotten(void *data, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "s3_cache_verify: the mismatch was dropped here, but not "
                      "all nodes could be told");
    }

    ngx_http_s3_cache_verify_end(data);
}


static void
ngx_http_s3_cache_verify_say(ngx_http_s3_cache_verify_t *v)
{
    u_char        buf[2048];
    s3c_slice_t   name;
    s3c_writer_t  w;

    static const char  *tiers[] = {
        "none", "ram", "flash", "mirror", "peer", "origin"
    };

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_uri_encode(&w, v->bucket, false);
    s3c_write_byte(&w, '/');
    s3c_uri_encode(&w, v->key, true);

    name = s3c_writer_ok(&w) ? s3c_writer_slice(&w) : v->bucket;

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                  "s3_cache_verify: zone \"%V\", \"%*s\", bytes %uL-%uL, tier "
                  "%s: not what the origin has of the same version; dropped",
                  &v->zone->name, name.len, name.data, v->from, v->to,
                  tiers[v->tier]);
}
