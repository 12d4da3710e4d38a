/* SPDX-License-Identifier: Apache-2.0
 *
 * What this node has of an object, by a look that nothing is changed by; and
 * what is learnt of a record, whoever has it.
 */

#include "ngx_http_s3_cache_explain_internal.h"


/* Into this node's own tiers. Of flash only the index. */

void
ngx_http_s3_cache_explain_look(explain_node_t *n)
{
    int                        k;
    uint64_t                   now, validated, expires;
    struct iovec               iov;
    s3c_status_t               st;
    s3c_ram_pin_t              pin;
    explain_object_t          *o;
    s3c_record_view_t          view;
    ngx_http_s3_cache_zone_t  *zone;

    o = n->object;
    zone = o->explain->zone;
    st = s3c_ram_peek(zone->ram, o->key, &pin);

    if (st == S3C_OK) {
        k = 1;

        if (s3c_ram_span(zone->ram, &pin, 0, s3c_ram_size(zone->ram, &pin),
                         &iov, &k)
            > 0
            && s3c_record_open(iov.iov_base, iov.iov_len,
                               s3c_ram_size(zone->ram, &pin), &o->ident,
                               &view)
               == S3C_OK)
        {
            now = ngx_http_s3_cache_now();
            validated = atomic_load_explicit(&view.rec->validated_ms,
                                             memory_order_relaxed);
            expires = atomic_load_explicit(&view.rec->expires_ms,
                                           memory_order_relaxed);
            n->tier = "ram";
            ngx_http_s3_cache_explain_learn(n, &view,
                                            now - ngx_min(now, validated),
                                            expires == UINT64_MAX ? UINT64_MAX
                                            : expires - ngx_min(now, expires));
        }
    }

    if (s3c_ram_pinned(&pin)) {
        n->filling = (st == S3C_AGAIN);
        s3c_ram_unpin(zone->ram, &pin);
    }

    if (n->tier == NULL && zone->ssd != NULL
        && s3c_ssd_peek(zone->ssd, o->key) == S3C_OK)
    {
        n->tier = "flash";
    }
}


/* The record's bytes go when this is over. */

void
ngx_http_s3_cache_explain_learn(explain_node_t *n,
    const s3c_record_view_t *view, uint64_t age_ms, uint64_t left_ms)
{
    u_char            *p;
    explain_object_t  *o;

    o = n->object;

    n->known = 1;
    n->status = view->status;
    n->size = view->total;
    n->age_ms = age_ms;
    n->left_ms = left_ms;

    if (view->etag.len > 0 && view->etag.len <= S3C_WIRE_ETAG_MAX) {
        p = ngx_pnalloc(o->explain->request->pool, view->etag.len);

        if (p != NULL) {
            ngx_memcpy(p, view->etag.data, view->etag.len);
            n->etag = s3c_slice(p, view->etag.len);
        }
    }

    if (!o->known && !(view->flags & S3C_RECORD_ERROR)) {
        o->known = 1;
        o->generation = view->generation;
        o->total = view->total;
        o->last_modified = view->last_modified;
        o->etag = n->etag;
    }
}


const char *
ngx_http_s3_cache_explain_look_block(explain_object_t *o)
{
    s3c_status_t               st;
    s3c_hash128_t              key;
    s3c_ram_pin_t              pin;
    ngx_http_s3_cache_zone_t  *zone;

    zone = o->explain->zone;

    key = s3c_key_block(zone->secret, o->key, o->generation,
                        o->explain->offset / o->conf->block_size,
                        (uint32_t) o->conf->block_size);

    st = s3c_ram_peek(zone->ram, key, &pin);

    if (s3c_ram_pinned(&pin)) {
        s3c_ram_unpin(zone->ram, &pin);
    }

    if (st == S3C_OK) {
        return "ram";
    }

    return (zone->ssd != NULL && s3c_ssd_peek(zone->ssd, key) == S3C_OK)
           ? "flash" : NULL;
}
