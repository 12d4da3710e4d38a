/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of an upload, each captured by whichever worker it came through. A
 * small entry under a key of bucket, key, upload and number says where its
 * bytes are; it is evicted like any other. A part that is sent again replaces
 * it.
 *
 * That a part is what the origin has is proved by its ETag, an MD5; one that
 * has another is not captured. That an object is made of these parts is proved
 * by its ETag, which is the MD5 of theirs.
 */

#include "ngx_http_s3_cache_through.h"


/* after so many numbers without a part there are no more of an upload */
#define PARTS_GAP  64


static ngx_int_t ngx_http_s3_cache_through_ident(
    ngx_http_s3_cache_write_t *w, s3c_ident_t *ident);
static ngx_int_t ngx_http_s3_cache_through_put(
    ngx_http_s3_cache_zone_t *zone, s3c_hash128_t key,
    const s3c_written_t *body);
static ngx_int_t ngx_http_s3_cache_through_get(
    ngx_http_s3_cache_zone_t *zone, s3c_hash128_t key, s3c_written_t *body);
static void ngx_http_s3_cache_through_lose(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t key);


void
ngx_http_s3_cache_through_part(ngx_http_s3_cache_write_t *w)
{
    uint8_t                       md5[S3C_DIGEST_MD5_BYTES];
    s3c_ident_t                   ident;
    s3c_written_t                *body;
    s3c_hash128_t                 key;
    ngx_http_s3_cache_zone_t     *zone;
    ngx_http_s3_cache_through_t  *t;

    t = w->through;
    zone = w->ctx->zone;
    body = &t->capture.body;

    if (ngx_http_s3_cache_through_ident(w, &ident) != NGX_OK) {
        goto failed;
    }

    key = s3c_key_part(zone->secret, &ident, t->part);

    ngx_http_s3_cache_through_lose(zone, key);

    if (s3c_s3_etag_md5(ngx_http_s3_cache_slice(&t->etag), md5) != S3C_OK
        || ngx_memcmp(md5, body->md5, S3C_DIGEST_MD5_BYTES) != 0)
    {
        s3c_stats_add(&zone->stats, S3C_STAT_THROUGH_CHANGED, 1);
        goto failed;
    }

    if (ngx_http_s3_cache_through_put(zone, key, body) == NGX_OK) {
        return;
    }

    s3c_stats_add(&zone->stats, S3C_STAT_THROUGH_ROOM, 1);

failed:

    ngx_http_s3_cache_capture_forget(zone, body, 0, s3c_written_chunks(body));
}


/* It must not be any object's: the upload stands where a version would. */

static ngx_int_t
ngx_http_s3_cache_through_ident(ngx_http_s3_cache_write_t *w,
    s3c_ident_t *ident)
{
    ngx_http_s3_cache_ctx_t  *ctx;

    ctx = w->ctx;

    return s3c_ident_make(ident, ctx->conf->origin->id,
                          ctx->target->addr.bucket, ctx->target->addr.key,
                          w->through->upload)
           == S3C_OK ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_s3_cache_through_put(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t key, const s3c_written_t *body)
{
    s3c_ram_t      *ram;
    s3c_status_t    st;
    s3c_ram_pin_t   pin;

    ram = zone->ram;
    ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

    st = s3c_ram_fill_begin(ram, key, ngx_http_s3_cache_now(), &pin);

    if (st != S3C_OK) {
        /* the same part is being sent twice: one of them is enough */
        if (s3c_ram_pinned(&pin)) {
            s3c_ram_unpin(ram, &pin);
        }

        return NGX_DECLINED;
    }

    st = s3c_ram_fill_alloc(ram, &pin, sizeof(s3c_written_sh_t),
                            sizeof(s3c_written_sh_t),
                            ngx_http_s3_cache_now());

    if (st == S3C_OK) {
        s3c_written_seal(s3c_ram_head(ram, &pin), body);
        st = s3c_ram_fill_commit(ram, &pin, ngx_http_s3_cache_now());

    } else {
        s3c_ram_fill_fail(ram, &pin, NGX_HTTP_S3_CACHE_FILL_ROOM);
    }

    s3c_ram_unpin(ram, &pin);

    return st == S3C_OK ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_s3_cache_through_get(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t key, s3c_written_t *body)
{
    s3c_ram_t      *ram;
    ngx_int_t       rc;
    s3c_status_t    st;
    s3c_ram_pin_t   pin;

    ram = zone->ram;
    rc = NGX_DECLINED;
    ngx_memzero(&pin, sizeof(s3c_ram_pin_t));

    st = s3c_ram_peek(ram, key, &pin);

    if (st == S3C_OK
        && s3c_written_open(s3c_ram_head(ram, &pin),
                            s3c_ram_size(ram, &pin), body)
           == S3C_OK)
    {
        rc = NGX_OK;
    }

    if (s3c_ram_pinned(&pin)) {
        s3c_ram_unpin(ram, &pin);
    }

    return rc;
}


static void
ngx_http_s3_cache_through_lose(ngx_http_s3_cache_zone_t *zone,
    s3c_hash128_t key)
{
    s3c_written_t  body;

    if (ngx_http_s3_cache_through_get(zone, key, &body) == NGX_OK) {
        (void) s3c_ram_drop(zone->ram, key);
        ngx_http_s3_cache_capture_forget(zone, &body, 0,
                                         s3c_written_chunks(&body));
    }
}


/* Which parts there are nobody has noted: those that were captured here, whose
 * numbers are not far from each other. What stays is evicted in time. */

void
ngx_http_s3_cache_through_abort(ngx_http_s3_cache_write_t *w)
{
    uint32_t                   i, last;
    s3c_ident_t                ident;
    s3c_hash128_t              key;
    s3c_written_t              body;
    ngx_http_s3_cache_zone_t  *zone;

    zone = w->ctx->zone;

    if (ngx_http_s3_cache_through_ident(w, &ident) != NGX_OK) {
        return;
    }

    for (i = 1, last = 0; i <= last + PARTS_GAP && i <= S3C_S3_PARTS_MAX; i++)
    {
        key = s3c_key_part(zone->secret, &ident, i);

        if (ngx_http_s3_cache_through_get(zone, key, &body) == NGX_OK) {
            last = i;
            ngx_http_s3_cache_through_lose(zone, key);
        }
    }
}


ngx_int_t
ngx_http_s3_cache_through_complete(ngx_http_s3_cache_write_t *w,
    ngx_pool_t *pool, ngx_http_s3_cache_keep_t *keep)
{
    s3c_sha_t                     md5;
    ngx_int_t                     rc;
    ngx_uint_t                    i, known;
    s3c_s3_part_t                *part;
    s3c_written_part_t           *body;
    ngx_http_s3_cache_zone_t     *zone;
    ngx_http_s3_cache_through_t  *t;

    t = w->through;
    zone = w->ctx->zone;

    if (t->names == NULL || !s3c_s3_complete_is_done(t->names)
        || t->parts.nelts == 0)
    {
        return NGX_DECLINED;
    }

    part = t->parts.elts;

    keep->parts = keep->nbodies = t->parts.nelts;
    keep->bodies = ngx_pcalloc(pool, keep->parts * sizeof(s3c_written_part_t));
    keep->numbers = ngx_palloc(pool, keep->parts * sizeof(uint32_t));
    keep->upload = ngx_palloc(pool, sizeof(s3c_ident_t));

    if (keep->bodies == NULL || keep->numbers == NULL || keep->upload == NULL
        || ngx_http_s3_cache_through_ident(w, keep->upload) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = s3c_md5_init(&md5) == S3C_OK ? NGX_OK : NGX_DECLINED;

    for (i = 0, known = 0; rc == NGX_OK && i < keep->parts; i++) {
        body = &keep->bodies[i];
        keep->numbers[i] = part[i].number;

        if (s3c_sha_add(&md5, s3c_slice(part[i].md5, S3C_DIGEST_MD5_BYTES))
            != S3C_OK)
        {
            rc = NGX_DECLINED;
        }

        body->known = ngx_http_s3_cache_through_get(zone,
                          s3c_key_part(zone->secret, keep->upload,
                                       part[i].number), &body->body)
                      == NGX_OK
                      && ngx_memcmp(body->body.md5, part[i].md5,
                                    S3C_DIGEST_MD5_BYTES) == 0;
        known += body->known;
    }

    if (rc == NGX_OK && s3c_sha_end(&md5, keep->md5) != S3C_OK) {
        rc = NGX_DECLINED;
    }

    s3c_sha_fini(&md5);

    return known > 0 ? rc : NGX_DECLINED;
}


void
ngx_http_s3_cache_through_forget(ngx_http_s3_cache_zone_t *zone,
    const ngx_http_s3_cache_keep_t *keep)
{
    ngx_uint_t      i;
    s3c_written_t  *body;

    for (i = 0; i < keep->nbodies; i++) {

        if (!keep->bodies[i].known) {
            continue;
        }

        body = &keep->bodies[i].body;

        ngx_http_s3_cache_capture_forget(zone, body, 0,
                                         s3c_written_chunks(body));

        if (keep->numbers != NULL) {
            (void) s3c_ram_drop(zone->ram, s3c_key_part(zone->secret,
                                        keep->upload, keep->numbers[i]));
        }
    }
}
