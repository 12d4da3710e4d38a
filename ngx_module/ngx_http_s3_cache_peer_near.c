/* SPDX-License-Identifier: Apache-2.0
 *
 * Links from this worker to another node: made when somebody asks, one more
 * when those that are there have much to do, given up after a minute without
 * work.
 *
 * A node that cannot be reached, is not who it should be, or falls silent is
 * left alone for a while: who asks is told at once, and asks elsewhere. The
 * first question after that is the probe.
 */

#include "ngx_http_s3_cache_peer.h"


#define STREAMS_GOOD   32         /* on a link; with more, another is made */


static ngx_http_s3_cache_link_t *near_best(ngx_http_s3_cache_near_t *near,
    ngx_uint_t *usable);
static ngx_uint_t near_is_missed(ngx_http_s3_cache_near_t *near);
static void near_link_read(ngx_event_t *ev);
static void near_link_write(ngx_event_t *ev);


ngx_int_t
ngx_http_s3_cache_near_ask(ngx_http_s3_cache_near_t *near,
    ngx_http_s3_cache_ask_t *ask)
{
    ngx_uint_t                 usable;
    ngx_http_s3_cache_link_t  *link;

    if (near->rests && !ask->insists) {

        if ((ngx_msec_int_t) (near->rest_until - ngx_current_msec) > 0) {
            return NGX_DECLINED;
        }

        near->rests = 0;
    }

    link = near_best(near, &usable);

    if ((link == NULL || link->nstreams >= STREAMS_GOOD)
        && usable < near->peers->links
        && near->nlinks < NGX_HTTP_S3_CACHE_LINKS_MAX
        && near->knock == NULL && !ngx_terminate)
    {
        (void) ngx_http_s3_cache_knock(near);
    }

    if (link != NULL) {
        ngx_http_s3_cache_ask_up(ask, link);
        return NGX_OK;
    }

    if (near->knock == NULL) {
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&near->waiting, &ask->queue);
    ngx_http_s3_cache_ask_wait(ask);

    return NGX_OK;
}


/* The one with the least to do. Those that end take no more. */

static ngx_http_s3_cache_link_t *
near_best(ngx_http_s3_cache_near_t *near, ngx_uint_t *usable)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_link_t  *link, *best;

    best = NULL;
    *usable = 0;

    for (i = 0; i < near->nlinks; i++) {
        link = near->links[i];

        if (link->leaving || link->dead) {
            continue;
        }

        (*usable)++;

        if (link->nstreams < NGX_HTTP_S3_CACHE_LINK_STREAMS_MAX
            && (best == NULL || link->nstreams < best->nstreams))
        {
            best = link;
        }
    }

    return best;
}


/* Does anybody wait for it who does not ask just to see whether it is there?
 * Else it may have yet to begin. */

static ngx_uint_t
near_is_missed(ngx_http_s3_cache_near_t *near)
{
    ngx_queue_t              *q;
    ngx_http_s3_cache_ask_t  *ask;

    for (q = ngx_queue_head(&near->waiting);
         q != ngx_queue_sentinel(&near->waiting);
         q = ngx_queue_next(q))
    {
        ask = ngx_queue_data(q, ngx_http_s3_cache_ask_t, queue);

        if (!ask->probe) {
            return 1;
        }
    }

    return 0;
}


/* No link came of it. */

void
ngx_http_s3_cache_near_down(ngx_http_s3_cache_near_t *near, const char *why)
{
    ngx_queue_t               gone, *q;
    ngx_http_s3_cache_ask_t  *ask;

    if (near->nlinks == 0 && near_is_missed(near)) {

        if (!near->rests) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "s3_cache_peers: no link to node \"%V\" (%V): %s",
                          &near->name, &near->address, why);
        }

        ngx_http_s3_cache_near_rest(near);
    }

    /* who is told may ask again at once, and does not wait for this one */

    ngx_queue_init(&gone);

    if (!ngx_queue_empty(&near->waiting)) {
        ngx_queue_add(&gone, &near->waiting);
        ngx_queue_init(&near->waiting);
    }

    while (!ngx_queue_empty(&gone)) {
        q = ngx_queue_head(&gone);
        ask = ngx_queue_data(q, ngx_http_s3_cache_ask_t, queue);

        ngx_http_s3_cache_ask_away(ask);
    }
}


void
ngx_http_s3_cache_near_rest(ngx_http_s3_cache_near_t *near)
{
    near->rests = 1;
    near->rest_until = ngx_current_msec + near->peers->retry;
    s3c_stats_node_rest(ngx_http_s3_cache_near_counts(near), 1);
}


void
ngx_http_s3_cache_near_up(ngx_http_s3_cache_near_t *near, ngx_connection_t *c,
    s3c_wire_hello_t *hello, u_char *rest, size_t len)
{
    ngx_queue_t                    *q;
    ngx_http_s3_cache_near_link_t  *end;
    s3c_wire_keys_t                 keys;
    ngx_http_s3_cache_ask_t        *ask;
    ngx_http_s3_cache_link_t       *link;

    end = ngx_pcalloc(c->pool, sizeof(ngx_http_s3_cache_near_link_t));

    if (end == NULL
        || s3c_wire_hello_keys(hello,
                               ngx_http_s3_cache_slice(&near->peers->secret),
                               &keys)
           != S3C_OK)
    {
        ngx_http_s3_cache_near_close_connection(c);
        ngx_http_s3_cache_near_down(near, "no memory");
        return;
    }

    end->near = near;
    end->stream = UINT32_MAX;            /* the first is 1 */
    ngx_queue_init(&end->fed);

    link = ngx_http_s3_cache_link_create(c, &ngx_http_s3_cache_asker, end,
                                         near->peers->timeout, &keys, 1);
    if (link == NULL) {
        ngx_http_s3_cache_near_close_connection(c);
        ngx_http_s3_cache_near_down(near, "no memory");
        return;
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    near->rests = 0;

    c->data = link;
    c->read->handler = near_link_read;
    c->write->handler = near_link_write;
    c->idle = 1;

    near->links[near->nlinks++] = link;
    s3c_stats_node_rest(ngx_http_s3_cache_near_counts(near), 0);
    ngx_http_s3_cache_near_counts_links(near);

    ngx_log_error(NGX_LOG_INFO, c->log, 0,
                  "s3_cache_peers: link to node \"%V\"", &near->name);

    while (!ngx_queue_empty(&near->waiting)) {
        q = ngx_queue_head(&near->waiting);
        ask = ngx_queue_data(q, ngx_http_s3_cache_ask_t, queue);

        ngx_http_s3_cache_ask_up(ask, link);
    }

    if (len > 0) {
        ngx_http_s3_cache_link_feed(link, rest, len);
        return;
    }

    ngx_post_event(c->read, &ngx_posted_events);
}


void
ngx_http_s3_cache_near_close_connection(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

    pool = c->pool;

#if (NGX_SSL)
    if (c->ssl != NULL) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }
#endif

    ngx_close_connection(c);
    ngx_destroy_pool(pool);
}


/* --- a link ------------------------------------------------------------------ */

static void
near_link_read(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_s3_cache_link_t  *link;

    c = ev->data;
    link = c->data;

    if (c->close) {
        /* this worker ends, or nginx is short of connections */
        ngx_http_s3_cache_link_close(link, NULL);
        return;
    }

    ngx_http_s3_cache_link_read(link);
}


static void
near_link_write(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    ngx_http_s3_cache_link_write(c->data);
}


void
ngx_http_s3_cache_near_closed(ngx_http_s3_cache_link_t *link, const char *why)
{
    ngx_uint_t                      i;
    ngx_http_s3_cache_near_t       *near;
    ngx_http_s3_cache_near_link_t  *end;

    end = link->data;
    near = end->near;

    for (i = 0; i < near->nlinks; i++) {
        if (near->links[i] == link) {
            near->links[i] = near->links[--near->nlinks];
            break;
        }
    }

    ngx_http_s3_cache_near_counts_links(near);

    if (why != NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "s3_cache_peers: link to node \"%V\" lost: %s",
                      &near->name, why);

        if (link->silent) {
            /* it hangs: the other links would only find out as slowly */
            ngx_http_s3_cache_near_rest(near);
        }
    }

    ngx_http_s3_cache_near_close_connection(link->connection);
}


void
ngx_http_s3_cache_near_close(ngx_http_s3_cache_near_t *near)
{
    if (near->knock != NULL) {
        ngx_http_s3_cache_knock_end(near->knock, "this worker ends");
    }

    while (near->nlinks > 0) {
        ngx_http_s3_cache_link_close(near->links[0], NULL);
    }
}
