/* SPDX-License-Identifier: Apache-2.0
 *
 * Where is this object? Who owns it, and what each of those has: this node by
 * a look into its tiers that nothing is changed by, the others by a question
 * for "only what you have". The origin is never asked.
 *
 *   explain   arguments -> an object for each different origin -> asked
 *   asked     this node is looked at, the others are asked for the record
 *   blocks    with an offset, and when some node has told the version: the same
 *             for the block
 *   reply     when nobody is waited for any more
 *
 * Lives in the request's pool; when that goes, nobody is waited for.
 */

#include "ngx_http_s3_cache_explain.h"
#include "ngx_http_s3_cache_explain_internal.h"
#include "ngx_http_s3_cache_status.h"


static ngx_int_t explain_object(explain_t *e,
    ngx_http_s3_cache_loc_conf_t *conf);
static void explain_owners(explain_object_t *o, uint64_t off,
    explain_owners_t *owners);
static void explain_nodes(explain_object_t *o,
    const explain_owners_t *owners);
static void explain_node(explain_object_t *o, ngx_http_s3_cache_near_t *near);
static void explain_asked(explain_object_t *o);
static void explain_ask(explain_node_t *n);
static void explain_look(explain_node_t *n);
static void explain_learn(explain_node_t *n, const s3c_record_view_t *view,
    uint64_t age_ms, uint64_t left_ms);
static void explain_blocks(explain_object_t *o);
static const char *explain_look_block(explain_object_t *o);
static ngx_int_t explain_on_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t explain_on_data(ngx_http_s3_cache_ask_t *ask,
    const u_char *data, size_t len);
static void explain_on_idle(ngx_http_s3_cache_ask_t *ask);
static void explain_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);
static void explain_over(explain_node_t *n);
static void explain_cleanup(void *data);
static ngx_int_t explain_reply(explain_t *e);
static ngx_int_t explain_refuse(ngx_http_request_t *r, const char *why);


/* One location of each origin and block size is enough to look. */

ngx_int_t
ngx_http_s3_cache_explain_location(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf)
{
    ngx_uint_t                      i;
    ngx_array_t                    *locations;
    ngx_http_s3_cache_loc_conf_t  **slot;

    if (conf->zone->locations == NULL) {
        conf->zone->locations = ngx_array_create(cf->pool, 4, sizeof(void *));

        if (conf->zone->locations == NULL) {
            return NGX_ERROR;
        }
    }

    locations = conf->zone->locations;
    slot = locations->elts;

    for (i = 0; i < locations->nelts; i++) {
        if (slot[i]->identity == conf->identity
            && slot[i]->block_size == conf->block_size)
        {
            return NGX_OK;
        }
    }

    slot = ngx_array_push(locations);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = conf;

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_explain(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_uint_t                      i;
    explain_t                      *e;
    const char                     *why;
    ngx_array_t                    *locations;
    ngx_pool_cleanup_t             *cln;
    ngx_http_s3_cache_loc_conf_t  **confs;

    e = ngx_pcalloc(r->pool, sizeof(explain_t));
    if (e == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    e->request = r;

    why = ngx_http_s3_cache_explain_arguments(e, path);
    if (why != NULL) {
        return explain_refuse(r, why);
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = explain_cleanup;
    cln->data = e;

    locations = e->zone->locations;
    confs = locations->elts;
    e->starting = 1;

    for (i = 0; i < locations->nelts && i < NGX_HTTP_S3_CACHE_EXPLAIN_OBJECTS; i++) {
        if (explain_object(e, confs[i]) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    for (i = 0; i < e->nobjects; i++) {
        explain_asked(e->objects[i]);
    }

    e->starting = 0;

    if (e->pending == 0) {
        return explain_reply(e);
    }

    r->main->count++;

    /* a client that goes away ends it */
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


/* --- an object ----------------------------------------------------------- */

static ngx_int_t
explain_object(explain_t *e, ngx_http_s3_cache_loc_conf_t *conf)
{
    explain_object_t  *o;

    o = ngx_pcalloc(e->request->pool, sizeof(explain_object_t));
    if (o == NULL) {
        return NGX_ERROR;
    }

    o->explain = e;
    o->conf = conf;

    if (s3c_ident_make(&o->ident, conf->identity, e->addr.bucket, e->addr.key,
                       e->version_id)
        != S3C_OK)
    {
        /* longer than anything that is kept: nobody has it */
        return NGX_OK;
    }

    explain_node(o, NULL);

    if (e->zone->peers != NULL) {
        explain_owners(o, 0, &o->record);
        explain_owners(o, e->offset, &o->stripe);
        explain_nodes(o, &o->stripe);
        explain_nodes(o, &o->record);
    }

    e->objects[e->nobjects++] = o;

    return NGX_OK;
}


static void
explain_owners(explain_object_t *o, uint64_t off, explain_owners_t *owners)
{
    uint64_t                    point;
    ngx_http_s3_cache_peers_t  *peers;

    peers = o->explain->zone->peers;

    if (peers->view == NULL) {
        return;
    }

    point = ngx_http_s3_cache_view_point(peers, &o->ident, off);

    owners->n = ngx_http_s3_cache_view_owners(peers, point, owners->nears);
    owners->former = ngx_http_s3_cache_view_former(peers, point);
}


static void
explain_nodes(explain_object_t *o, const explain_owners_t *owners)
{
    ngx_uint_t  i;

    for (i = 0; i < owners->n; i++) {
        explain_node(o, owners->nears[i]);
    }

    if (owners->former != NULL) {
        explain_node(o, owners->former);
    }
}


/* Each once. */

static void
explain_node(explain_object_t *o, ngx_http_s3_cache_near_t *near)
{
    ngx_uint_t       i;
    explain_node_t  *n;

    for (i = 0; i < o->nnodes; i++) {
        if (o->nodes[i].near == near) {
            return;
        }
    }

    n = &o->nodes[o->nnodes++];
    n->object = o;
    n->near = near;
}


/* --- the record ---------------------------------------------------------- */

static void
explain_asked(explain_object_t *o)
{
    ngx_uint_t  i;
    explain_t  *e;

    e = o->explain;

    if (e->zone->ram != NULL) {
        o->key = s3c_key_object(e->zone->secret, &o->ident);
        explain_look(&o->nodes[0]);

    } else {
        o->nodes[0].error = "no_slot";
    }

    for (i = 1; i < o->nnodes; i++) {
        explain_ask(&o->nodes[i]);
    }

    if (o->pending == 0) {
        explain_blocks(o);
    }
}


/* Into this node's own tiers. Of flash only the index. */

static void
explain_look(explain_node_t *n)
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
            explain_learn(n, &view, now - ngx_min(now, validated),
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

static void
explain_learn(explain_node_t *n, const s3c_record_view_t *view,
    uint64_t age_ms, uint64_t left_ms)
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


/* The node is asked for its record, then perhaps for its block. */

static void
explain_ask(explain_node_t *n)
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


/* --- the block ----------------------------------------------------------- */

static void
explain_blocks(explain_object_t *o)
{
    ngx_uint_t       i;
    explain_t       *e;
    explain_node_t  *n;

    e = o->explain;

    if (o->blocks || !e->with_offset) {
        return;
    }

    o->blocks = 1;

    if (!o->known || e->offset >= o->total) {
        return;
    }

    if (o->total <= o->conf->block_size) {
        /* it lies behind the record */

        for (i = 0; i < o->nnodes; i++) {
            o->nodes[i].block = o->nodes[i].tier;
        }

        return;
    }

    for (i = 0; i < o->nnodes; i++) {
        n = &o->nodes[i];
        n->again = 0;

        if (n->near != NULL) {
            if (n->error == NULL) {
                explain_ask(n);
            }

        } else if (e->zone->ram != NULL) {
            n->block = explain_look_block(o);
        }
    }
}


static const char *
explain_look_block(explain_object_t *o)
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


/* --- an answer ----------------------------------------------------------- */

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
            explain_learn(n, &view, meta->age_ms, meta->left_ms);
        }
    }

    ngx_http_s3_cache_ask_cancel(ask);
    explain_over(n);

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

    explain_over(n);
}


/* Nothing more comes of this node for now. */

static void
explain_over(explain_node_t *n)
{
    ngx_int_t            rc;
    explain_t           *e;
    ngx_connection_t    *c;
    explain_object_t    *o;
    ngx_http_request_t  *r;

    o = n->object;
    e = o->explain;

    n->active = 0;
    o->pending--;
    e->pending--;

    if (o->pending == 0) {
        explain_blocks(o);
    }

    if (e->pending > 0 || e->starting) {
        return;
    }

    r = e->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = explain_reply(e);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
explain_cleanup(void *data)
{
    explain_t *e = data;

    ngx_uint_t         i, k;
    explain_object_t  *o;

    for (i = 0; i < e->nobjects; i++) {
        o = e->objects[i];

        for (k = 0; k < o->nnodes; k++) {
            if (o->nodes[k].active) {
                o->nodes[k].active = 0;
                ngx_http_s3_cache_ask_cancel(&o->nodes[k].ask);
            }
        }
    }
}


/* --- what is said -------------------------------------------------------- */

static ngx_int_t
explain_reply(explain_t *e)
{
    size_t        size;
    u_char       *p;
    s3c_writer_t  w;

    size = ngx_http_s3_cache_explain_bytes(e);

    p = ngx_palloc(e->request->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, p, size);
    ngx_http_s3_cache_explain_print(&w, e);

    if (!s3c_writer_ok(&w)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_s3_cache_status_send(e->request, NGX_HTTP_OK, &w);
}


static ngx_int_t
explain_refuse(ngx_http_request_t *r, const char *why)
{
    u_char       *p;
    s3c_writer_t  w;

    p = ngx_palloc(r->pool, 1024);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, p, 1024);
    s3c_write_lit(&w, "{\"error\":");
    s3c_stats_write_string(&w, s3c_slice(why, ngx_strlen(why)));
    s3c_write_lit(&w, "}\n");

    return ngx_http_s3_cache_status_send(r, NGX_HTTP_BAD_REQUEST, &w);
}
