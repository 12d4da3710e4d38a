/* SPDX-License-Identifier: Apache-2.0
 *
 * How each node of a ring is: this one by a look at its own history, the others
 * by a question over the links that there are. A node that does not answer in
 * time is shown without numbers. Lives in the request's pool; when that goes,
 * nobody is waited for.
 */

#include "ngx_http_s3_cache_history.h"
#include "ngx_http_s3_cache_history_internal.h"
#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_status.h"


#define NODES_MAX   128                /* that are asked */
#define NODE_BYTES  (64 + 6 * S3C_RING_NAME_MAX + 40 * S3C_SUMMARY_NUMBERS)
#define PATIENCE    2000               /* ms; the page asks again soon */


typedef struct ring_ask_s  ring_ask_t;


typedef struct {
    ngx_http_s3_cache_ask_t     ask;
    ring_ask_t                 *all;
    ngx_str_t                  *name;
    const char                 *error;         /* a constant word, or NULL */
    unsigned                    self:1;
    unsigned                    active:1;
    s3c_summary_t               summary;
} ring_node_t;


struct ring_ask_s {
    ngx_http_request_t         *request;
    ngx_http_s3_cache_zone_t   *zone;
    ring_node_t                *nodes;
    ngx_uint_t                  nnodes;
    ngx_uint_t                  pending;
    unsigned                    starting:1;
};


static void ring_ask(ring_node_t *n, ngx_http_s3_cache_near_t *near);
static void ring_over(ring_node_t *n);
static void ring_cleanup(void *data);
static ngx_int_t ring_reply(ring_ask_t *all);
static ngx_int_t ring_on_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t ring_on_data(ngx_http_s3_cache_ask_t *ask,
    const u_char *data, size_t len);
static void ring_on_idle(ngx_http_s3_cache_ask_t *ask);
static void ring_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);


ngx_int_t
ngx_http_s3_cache_history_ring(ngx_http_request_t *r,
    ngx_http_s3_cache_zone_t *zone)
{
    ngx_uint_t                 i;
    ring_ask_t                *all;
    ring_node_t               *n;
    ngx_pool_cleanup_t        *cln;
    ngx_http_s3_cache_near_t  *near;

    if (zone->peers == NULL || zone->peers->view == NULL) {
        return ngx_http_s3_cache_history_refuse(r, "zone: it has no peers");
    }

    all = ngx_pcalloc(r->pool, sizeof(ring_ask_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (all == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    all->nodes = ngx_pcalloc(r->pool, NODES_MAX * sizeof(ring_node_t));
    if (all->nodes == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    all->request = r;
    all->zone = zone;
    all->starting = 1;

    cln->handler = ring_cleanup;
    cln->data = all;

    n = &all->nodes[all->nnodes++];
    n->self = 1;
    n->name = ngx_http_s3_cache_peer_self(zone->peers);
    ngx_http_s3_cache_history_made(zone, &n->summary);

    i = 0;

    while (all->nnodes < NODES_MAX
           && (near = ngx_http_s3_cache_view_member(zone->peers, &i)) != NULL)
    {
        n = &all->nodes[all->nnodes++];
        n->all = all;
        n->name = &near->name;
        ring_ask(n, near);
    }

    all->starting = 0;

    if (all->pending == 0) {
        return ring_reply(all);
    }

    r->main->count++;

    /* a client that goes away ends it */
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ring_ask(ring_node_t *n, ngx_http_s3_cache_near_t *near)
{
    ngx_http_s3_cache_ask_t  *a;

    a = &n->ask;

    a->pool = n->all->request->pool;
    a->patience = ngx_min(n->all->zone->peers->timeout, PATIENCE);
    a->probe = 1;
    a->data = n;
    a->on_meta = ring_on_meta;
    a->on_data = ring_on_data;
    a->on_idle = ring_on_idle;
    a->on_end = ring_on_end;
    a->ask.what = S3C_WIRE_SUMMARY;

    if (ngx_http_s3_cache_ask_start(a, near) != NGX_OK) {
        n->error = "unreachable";
        return;
    }

    n->active = 1;
    n->all->pending++;
}


/* Nothing more comes of this node. */

static void
ring_over(ring_node_t *n)
{
    ngx_int_t            rc;
    ring_ask_t          *all;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    all = n->all;
    n->active = 0;

    if (--all->pending > 0 || all->starting) {
        return;
    }

    r = all->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ring_reply(all);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ring_cleanup(void *data)
{
    ring_ask_t *all = data;

    ngx_uint_t  i;

    for (i = 0; i < all->nnodes; i++) {
        if (all->nodes[i].active) {
            all->nodes[i].active = 0;
            ngx_http_s3_cache_ask_cancel(&all->nodes[i].ask);
        }
    }
}


static ngx_int_t
ring_on_meta(ngx_http_s3_cache_ask_t *ask, const s3c_wire_meta_t *meta,
    u_char *head)
{
    ring_node_t *n = ask->data;

    if (s3c_summary_decode(&n->summary, s3c_slice(head, meta->head_bytes))
        != S3C_OK)
    {
        n->error = "wrong";
    }

    ngx_http_s3_cache_ask_cancel(ask);
    ring_over(n);

    return NGX_ERROR;
}


static ngx_int_t
ring_on_data(ngx_http_s3_cache_ask_t *ask, const u_char *data, size_t len)
{
    return NGX_ABORT;
}


static void
ring_on_idle(ngx_http_s3_cache_ask_t *ask)
{
}


static void
ring_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code)
{
    ring_node_t *n = ask->data;

    n->error = "unreachable";
    ring_over(n);
}


static ngx_int_t
ring_reply(ring_ask_t *all)
{
    size_t         size;
    u_char        *p;
    ngx_uint_t     i;
    ring_node_t   *n;
    s3c_writer_t   w;

    size = 64 + 6 * all->zone->name.len + all->nnodes * NODE_BYTES;

    p = ngx_palloc(all->request->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, p, size);
    s3c_write_lit(&w, "{\"zone\":");
    s3c_stats_write_string(&w, ngx_http_s3_cache_slice(&all->zone->name));
    s3c_write_lit(&w, ",\"nodes\":[");

    for (i = 0; i < all->nnodes; i++) {
        n = &all->nodes[i];

        s3c_write_str(&w, i > 0 ? ",{\"name\":" : "{\"name\":");
        s3c_stats_write_string(&w, ngx_http_s3_cache_slice(n->name));
        s3c_write_lit(&w, ",\"self\":");
        s3c_write_str(&w, n->self ? "true" : "false");
        s3c_write_lit(&w, ",\"error\":");

        if (n->error != NULL) {
            s3c_stats_write_string(&w, s3c_slice(n->error,
                                                 ngx_strlen(n->error)));

        } else {
            s3c_write_lit(&w, "null");
            s3c_summary_print_json(&w, &n->summary);
        }

        s3c_write_byte(&w, '}');
    }

    s3c_write_lit(&w, "]}\n");

    if (!s3c_writer_ok(&w)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_s3_cache_status_send(all->request, NGX_HTTP_OK, &w);
}
