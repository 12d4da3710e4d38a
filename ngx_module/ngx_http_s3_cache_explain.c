/* SPDX-License-Identifier: Apache-2.0
 *
 * Where is this object? Who owns it, and what each of those has: this node by
 * a look into its tiers that nothing is changed by (explain_look.c), the others
 * by a question for "only what you have" (explain_ask.c). The origin is never
 * asked.
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
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_status.h"


static ngx_int_t explain_object(explain_t *e,
    ngx_http_s3_cache_loc_conf_t *conf);
static void explain_owners(explain_object_t *o, uint64_t off,
    explain_owners_t *owners);
static void explain_nodes(explain_object_t *o,
    const explain_owners_t *owners);
static void explain_node(explain_object_t *o, ngx_http_s3_cache_near_t *near);
static void explain_asked(explain_object_t *o);
static void explain_blocks(explain_object_t *o);
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

    for (i = 0;
         i < locations->nelts && i < NGX_HTTP_S3_CACHE_EXPLAIN_OBJECTS;
         i++)
    {
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

    if (s3c_ident_make(&o->ident,
                       ngx_http_s3_cache_fence_mix(e->zone, conf->identity,
                                                   conf->origin->id,
                                                   e->addr.bucket,
                                                   e->addr.key,
                                                   e->version_id),
                       e->addr.bucket, e->addr.key, e->version_id)
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

    point = ngx_http_s3_cache_view_point(peers, o->conf->identity, &o->ident,
                                         off);

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


/* --- who is asked -------------------------------------------------------- */

static void
explain_asked(explain_object_t *o)
{
    ngx_uint_t  i;
    explain_t  *e;

    e = o->explain;

    if (e->zone->ram != NULL) {
        o->key = s3c_key_object(e->zone->secret, &o->ident);
        ngx_http_s3_cache_explain_look(&o->nodes[0]);

    } else {
        o->nodes[0].error = "no_slot";
    }

    for (i = 1; i < o->nnodes; i++) {
        ngx_http_s3_cache_explain_ask(&o->nodes[i]);
    }

    if (o->pending == 0) {
        explain_blocks(o);
    }
}


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
                ngx_http_s3_cache_explain_ask(n);
            }

        } else if (e->zone->ram != NULL) {
            n->block = ngx_http_s3_cache_explain_look_block(o);
        }
    }
}


/* Nothing more comes of this node for now. */

void
ngx_http_s3_cache_explain_over(explain_node_t *n)
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
