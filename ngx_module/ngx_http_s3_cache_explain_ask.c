/* SPDX-License-Identifier: Apache-2.0
 *
 * What another node has of an object: a question for "only what you have", of
 * whose answer the head is enough.
 */

#include "ngx_http_s3_cache_explain_internal.h"


static ngx_int_t explain_on_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t explain_on_data(ngx_http_s3_cache_ask_t *ask,
    const u_char *data, size_t len);
static void explain_on_idle(ngx_http_s3_cache_ask_t *ask);
static void explain_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);


/* The node is asked for its record, then perhaps for its block. */

void
ngx_http_s3_cache_explain_ask(explain_node_t *n)
{
    uint64_t                  block_size;
    explain_t                *e;
    s3c_wire_ask_t           *ask;
    explain_object_t         *o;
    ngx_http_s3_cache_ask_t  *a;

    o = n->object;
    e = o->explain;
    a = &n->ask;

    ngx_memzero(a, sizeof(ngx_http_s3_cache_ask_t));

    a->pool = e->request->pool;
    a->patience = e->zone->peers->timeout;
    a->data = n;
    a->on_meta = explain_on_meta;
    a->on_data = explain_on_data;
    a->on_idle = explain_on_idle;
    a->on_end = explain_on_end;

    ask = &a->ask;
    ask->location = o->conf->location;
    ask->flags = S3C_WIRE_KEPT;
    ask->bucket = e->addr.bucket;
    ask->key = e->addr.key;
    ask->version_id = e->version_id;
    ask->what = S3C_WIRE_HEAD;

    if (o->blocks) {
        block_size = o->conf->block_size;

        /* no window: none of its bytes come */
        ask->what = S3C_WIRE_BLOCK;
        ask->block = e->offset / block_size;
        ask->generation = o->generation;
        ask->total = o->total;
        ask->last_modified = o->last_modified;
        ask->etag = o->etag;
    }

    if (ngx_http_s3_cache_ask_start(a, n->near) != NGX_OK) {
        n->error = "unreachable";
        return;
    }

    n->active = 1;
    o->pending++;
    e->pending++;
}


static ngx_int_t
explain_on_meta(ngx_http_s3_cache_ask_t *ask, const s3c_wire_meta_t *meta,
    u_char *head)
{
    explain_node_t *n = ask->data;

    const char         *tier;
    s3c_record_sh_t    *rec;
    s3c_record_view_t   view;

    tier = (meta->flags & S3C_WIRE_RAM) ? "ram"
           : (meta->flags & S3C_WIRE_FLASH) ? "flash" : NULL;

    if (n->object->blocks) {
        n->block = tier;

    } else {
        rec = (s3c_record_sh_t *) head;

        if (head != NULL && meta->head_bytes >= sizeof(s3c_record_sh_t)
                                                + sizeof(uint64_t))
        {
            /* that node's generations are its own */
            ngx_memcpy(head + sizeof(s3c_record_sh_t),
                       n->object->ident.bytes, sizeof(uint64_t));
        }

        if (head == NULL || meta->head_bytes < sizeof(s3c_record_sh_t)
            || s3c_record_open(head, meta->head_bytes,
                               meta->head_bytes
                               + ((rec->flags & S3C_RECORD_INLINE)
                                  ? rec->total : 0),
                               &n->object->ident, &view)
               != S3C_OK)
        {
            n->error = "wrong";
            s3c_stats_node_add(&ask->near->counts, S3C_NODE_STAT_WRONG, 1);

        } else {
            n->tier = tier;
            ngx_http_s3_cache_explain_learn(n, &view, meta->age_ms,
                                            meta->left_ms);
        }
    }

    ngx_http_s3_cache_ask_cancel(ask);
    ngx_http_s3_cache_explain_over(n);

    return NGX_ERROR;
}


static ngx_int_t
explain_on_data(ngx_http_s3_cache_ask_t *ask, const u_char *data, size_t len)
{
    return NGX_OK;
}


static void
explain_on_idle(ngx_http_s3_cache_ask_t *ask)
{
}


static void
explain_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code)
{
    explain_node_t *n = ask->data;

    switch (code) {

    case NGX_HTTP_S3_CACHE_ASK_LOST:

        if (!n->again) {
            /* a worker of it has ended, perhaps; another is there */
            n->again = 1;

            if (ngx_http_s3_cache_ask_start(ask, n->near) == NGX_OK) {
                return;
            }
        }

        n->error = "unreachable";
        break;

    case NGX_HTTP_S3_CACHE_ASK_AWAY:
        n->error = "unreachable";
        break;

    case NGX_HTTP_S3_CACHE_FILL_PASS:
    case NGX_HTTP_S3_CACHE_FILL_ELSEWHERE:
        /* it has nothing that it would answer with, or, of a block, nothing
           at all */
        break;

    case NGX_HTTP_S3_CACHE_FILL_ROOM:

        if (!n->object->blocks) {
            n->error = "busy";
        }
        break;

    default:
        n->error = "failed";
    }

    ngx_http_s3_cache_explain_over(n);
}
