/* SPDX-License-Identifier: Apache-2.0
 *
 * A link begins and ends, and streams come and go on it. See
 * ngx_http_s3_cache_link.h.
 */

#include "ngx_http_s3_cache_link_internal.h"


#define IDLE_MSEC     60000   /* without a stream */


static void ngx_http_s3_cache_link_finish(ngx_http_s3_cache_link_t *link);


ngx_http_s3_cache_link_t *
ngx_http_s3_cache_link_create(ngx_connection_t *c,
    const ngx_http_s3_cache_link_role_t *role, void *data, ngx_msec_t timeout,
    s3c_wire_keys_t *keys, ngx_uint_t client)
{
    s3c_status_t               st;
    ngx_http_s3_cache_link_t  *link;

    link = ngx_calloc(sizeof(ngx_http_s3_cache_link_t), c->log);
    if (link == NULL) {
        s3c_digest_wipe(keys, sizeof(s3c_wire_keys_t));
        return NULL;
    }

    st = s3c_wire_sealer_init(&link->sealer,
                              client ? keys->client : keys->server);

    if (st == S3C_OK) {
        st = s3c_wire_opener_init(&link->opener,
                                  client ? keys->server : keys->client);
    }

    s3c_digest_wipe(keys, sizeof(s3c_wire_keys_t));

    link->in = ngx_alloc(S3C_WIRE_RECORD_BYTES, c->log);
    link->out = ngx_alloc(S3C_WIRE_RECORD_BYTES, c->log);

    if (st != S3C_OK || link->in == NULL || link->out == NULL) {
        ngx_http_s3_cache_link_finish(link);
        return NULL;
    }

    link->connection = c;
    link->role = role;
    link->data = data;
    link->timeout = timeout;

    ngx_rbtree_init(&link->streams, &link->sentinel, ngx_rbtree_insert_value);
    ngx_queue_init(&link->ready);

    link->server = !client;

    link->flush.handler = ngx_http_s3_cache_link_flush;
    link->flush.data = link;
    link->flush.log = c->log;

    if (client) {
        /* the other end waits for a sign that these keys are known */
        link->ping = 1;
        ngx_http_s3_cache_link_post(link);
    }

    ngx_http_s3_cache_link_rest(link);

    return link;
}


/* Frees what is the link's own. */

static void
ngx_http_s3_cache_link_finish(ngx_http_s3_cache_link_t *link)
{
    s3c_wire_sealer_fini(&link->sealer);
    s3c_wire_opener_fini(&link->opener);

    if (link->in != NULL) {
        ngx_free(link->in);
    }

    if (link->out != NULL) {
        ngx_free(link->out);
    }

    ngx_free(link);
}


void
ngx_http_s3_cache_link_close(ngx_http_s3_cache_link_t *link, const char *why)
{
    ngx_http_s3_cache_stream_t           *stream;
    const ngx_http_s3_cache_link_role_t  *role;

    if (link->busy) {
        if (!link->dead) {
            link->dead = 1;
            link->why = why;
        }

        return;
    }

    role = link->role;
    link->busy = 1;
    link->dead = 1;
    link->why = why;

    while (link->nstreams > 0) {
        stream = ngx_rbtree_data(ngx_rbtree_min(link->streams.root,
                                                &link->sentinel),
                                 ngx_http_s3_cache_stream_t, node);
        ngx_http_s3_cache_link_remove(stream);
        role->gone(link, stream);
    }

    /* its log is the connection's, which closed() may free */
    if (link->flush.posted) {
        ngx_delete_posted_event(&link->flush);
    }

    role->closed(link, why);
    ngx_http_s3_cache_link_finish(link);
}


/* A callback has returned. True: the link is gone, or soon will be. */

ngx_uint_t
ngx_http_s3_cache_link_over(ngx_http_s3_cache_link_t *link)
{
    link->busy = 0;

    if (link->dead) {
        ngx_http_s3_cache_link_close(link, link->why);
        return 1;
    }

    return 0;
}


/* --- streams ------------------------------------------------------------- */

void
ngx_http_s3_cache_link_add(ngx_http_s3_cache_link_t *link,
    ngx_http_s3_cache_stream_t *stream, uint32_t id)
{
    ngx_connection_t  *c;

    stream->link = link;
    stream->ready = 0;
    stream->node.key = id;
    ngx_rbtree_insert(&link->streams, &stream->node);

    if (link->nstreams++ == 0) {
        /* silence counts from now on */
        link->pinged = 0;
        link->heard = ngx_current_msec;
        c = link->connection;
        c->idle = 0;
        ngx_add_timer(c->read, link->timeout / 2);
    }
}


/* Nothing is under way. The end that asked closes it after a while; the other
 * one waits a little longer, so that no question meets a closing link. */

void
ngx_http_s3_cache_link_rest(ngx_http_s3_cache_link_t *link)
{
    ngx_add_timer(link->connection->read,
                  !link->opened ? link->timeout
                  : link->server ? IDLE_MSEC + IDLE_MSEC / 4 : IDLE_MSEC);
}


void
ngx_http_s3_cache_link_remove(ngx_http_s3_cache_stream_t *stream)
{
    ngx_http_s3_cache_link_t  *link;

    link = stream->link;

    if (link == NULL) {
        return;
    }

    if (stream->ready) {
        ngx_queue_remove(&stream->queue);
        stream->ready = 0;
    }

    ngx_rbtree_delete(&link->streams, &stream->node);
    stream->link = NULL;

    if (--link->nstreams == 0 && !link->dead) {
        ngx_http_s3_cache_link_rest(link);
        ngx_http_s3_cache_link_post(link);
    }
}


void
ngx_http_s3_cache_link_ready(ngx_http_s3_cache_stream_t *stream)
{
    if (!stream->ready && stream->link != NULL) {
        stream->ready = 1;
        ngx_queue_insert_tail(&stream->link->ready, &stream->queue);
        ngx_http_s3_cache_link_post(stream->link);
    }
}


ngx_http_s3_cache_stream_t *
ngx_http_s3_cache_link_find(ngx_http_s3_cache_link_t *link, uint32_t id)
{
    ngx_rbtree_node_t  *node;

    node = link->streams.root;

    while (node != &link->sentinel) {

        if (node->key == id) {
            return ngx_rbtree_data(node, ngx_http_s3_cache_stream_t, node);
        }

        node = (id < node->key) ? node->left : node->right;
    }

    return NULL;
}


void
ngx_http_s3_cache_link_leave(ngx_http_s3_cache_link_t *link)
{
    if (!link->leaving) {
        link->leaving = 1;
        link->goodbye = 1;
        ngx_http_s3_cache_link_post(link);
    }
}


void
ngx_http_s3_cache_link_say(ngx_http_s3_cache_link_t *link)
{
    ngx_http_s3_cache_link_post(link);
}


void
ngx_http_s3_cache_link_ping(ngx_http_s3_cache_link_t *link)
{
    link->ping = 1;
    ngx_http_s3_cache_link_post(link);
}
