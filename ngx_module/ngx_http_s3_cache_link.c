/* SPDX-License-Identifier: Apache-2.0
 *
 * See ngx_http_s3_cache_link.h.
 *
 * Nothing is closed while one of its callbacks runs: it is marked, and closed
 * when the callback has returned.
 */

#include "ngx_http_s3_cache_link.h"


#define RECORDS_TURN  16      /* sent in one go, then others have their turn */
#define READS_TURN    16
#define IDLE_MSEC     60000   /* without a stream */


static void ngx_http_s3_cache_link_parse(ngx_http_s3_cache_link_t *link);
static ngx_int_t ngx_http_s3_cache_link_payload(
    ngx_http_s3_cache_link_t *link, s3c_slice_t payload);
static ngx_int_t ngx_http_s3_cache_link_own(ngx_http_s3_cache_link_t *link,
    const s3c_wire_frame_t *f);
static ngx_int_t ngx_http_s3_cache_link_fill(ngx_http_s3_cache_link_t *link);
static void ngx_http_s3_cache_link_words(ngx_http_s3_cache_link_t *link,
    s3c_writer_t *w);
static void ngx_http_s3_cache_link_flush(ngx_event_t *ev);
static void ngx_http_s3_cache_link_post(ngx_http_s3_cache_link_t *link);
static void ngx_http_s3_cache_link_rest(ngx_http_s3_cache_link_t *link);
static void ngx_http_s3_cache_link_finish(ngx_http_s3_cache_link_t *link);
static ngx_uint_t ngx_http_s3_cache_link_over(ngx_http_s3_cache_link_t *link);
static ngx_http_s3_cache_stream_t *ngx_http_s3_cache_link_find(
    ngx_http_s3_cache_link_t *link, uint32_t id);


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

static ngx_uint_t
ngx_http_s3_cache_link_over(ngx_http_s3_cache_link_t *link)
{
    link->busy = 0;

    if (link->dead) {
        ngx_http_s3_cache_link_close(link, link->why);
        return 1;
    }

    return 0;
}


/* --- streams --------------------------------------------------------------- */

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

static void
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


static ngx_http_s3_cache_stream_t *
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


/* --- what comes ------------------------------------------------------------- */

void
ngx_http_s3_cache_link_feed(ngx_http_s3_cache_link_t *link, u_char *data,
    size_t len)
{
    if (len > S3C_WIRE_RECORD_BYTES) {
        ngx_http_s3_cache_link_close(link, "too much at once");
        return;
    }

    ngx_memcpy(link->in, data, len);
    link->in_len = len;
    link->busy = 1;

    ngx_http_s3_cache_link_parse(link);

    if (!ngx_http_s3_cache_link_over(link)) {
        ngx_post_event(link->connection->read, &ngx_posted_events);
    }
}


void
ngx_http_s3_cache_link_read(ngx_http_s3_cache_link_t *link)
{
    ssize_t            n;
    ngx_uint_t         reads;
    ngx_connection_t  *c;

    c = link->connection;
    reads = 0;

    if (ngx_exiting && link->server) {
        ngx_http_s3_cache_link_leave(link);
    }

    for ( ;; ) {
        n = c->recv(c, link->in + link->in_len,
                    S3C_WIRE_RECORD_BYTES - link->in_len);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {
            ngx_http_s3_cache_link_close(link, link->leaving ? NULL : "closed");
            return;
        }

        link->in_len += n;
        link->pinged = 0;
        link->n_heard++;
        link->heard = ngx_current_msec;
        link->busy = 1;

        ngx_http_s3_cache_link_parse(link);

        if (ngx_http_s3_cache_link_over(link)) {
            return;
        }

        if (!c->read->ready) {
            break;
        }

        if (++reads == READS_TURN) {
            /* others have their turn */
            ngx_post_event(c->read, &ngx_posted_next_events);
            break;
        }
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_s3_cache_link_close(link, "no event");
        return;
    }

    link->busy = 1;
    link->role->idle(link);
    (void) ngx_http_s3_cache_link_over(link);
}


static void
ngx_http_s3_cache_link_parse(ngx_http_s3_cache_link_t *link)
{
    size_t        pos, bytes;
    s3c_slice_t   payload;
    s3c_status_t  st;

    for (pos = 0; pos < link->in_len; pos += bytes) {

        st = s3c_wire_record_open(&link->opener,
                                  s3c_slice(link->in + pos,
                                            link->in_len - pos),
                                  &payload, &bytes);
        if (st == S3C_AGAIN) {
            break;
        }

        if (st != S3C_OK) {
            ngx_http_s3_cache_link_close(link, "a record was refused");
            return;
        }

        if (!link->opened) {
            link->opened = 1;

            if (link->nstreams == 0) {
                ngx_http_s3_cache_link_rest(link);
            }
        }

        if (ngx_http_s3_cache_link_payload(link, payload) != NGX_OK) {
            ngx_http_s3_cache_link_close(link, "a frame was refused");
            return;
        }

        if (link->dead) {
            return;
        }
    }

    if (pos > 0) {
        link->in_len -= pos;
        ngx_memmove(link->in, link->in + pos, link->in_len);
    }
}


static ngx_int_t
ngx_http_s3_cache_link_payload(ngx_http_s3_cache_link_t *link,
    s3c_slice_t payload)
{
    ngx_int_t          rc;
    s3c_status_t       st;
    s3c_wire_frame_t   f;

    for ( ;; ) {
        st = s3c_wire_frame_decode(&payload, &f);

        if (st == S3C_MISS) {
            return NGX_OK;
        }

        if (st != S3C_OK) {
            return NGX_ERROR;
        }

        rc = (f.stream == 0)
             ? ngx_http_s3_cache_link_own(link, &f)
             : link->role->frame(link,
                                 ngx_http_s3_cache_link_find(link, f.stream),
                                 &f);

        if (rc != NGX_OK || link->dead) {
            return rc;
        }
    }
}


static ngx_int_t
ngx_http_s3_cache_link_own(ngx_http_s3_cache_link_t *link,
    const s3c_wire_frame_t *f)
{
    switch (f->type) {

    case S3C_WIRE_PING:
        link->pong = f->echo;
        ngx_http_s3_cache_link_post(link);
        return NGX_OK;

    case S3C_WIRE_PONG:
        return NGX_OK;

    case S3C_WIRE_GOODBYE:
        link->leaving = 1;

        if (link->nstreams == 0) {
            ngx_http_s3_cache_link_post(link);
        }

        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


/* Silence: asked after half of the time, closed after all of it. */

void
ngx_http_s3_cache_link_timer(ngx_http_s3_cache_link_t *link)
{
    ngx_msec_t  silence;

    if (link->nstreams == 0) {
        ngx_http_s3_cache_link_close(link, link->opened ? NULL
                                     : "nothing came on it");
        return;
    }

    if (link->role->tick != NULL) {
        link->role->tick(link);
    }

    silence = ngx_current_msec - link->heard;

    if (silence >= link->timeout) {
        link->silent = 1;
        ngx_http_s3_cache_link_close(link, "timed out");
        return;
    }

    if (silence < link->timeout / 2) {
        ngx_add_timer(link->connection->read, link->timeout / 2 - silence);
        return;
    }

    if (!link->pinged) {
        link->pinged = 1;
        ngx_http_s3_cache_link_ping(link);
    }

    ngx_add_timer(link->connection->read, link->timeout - silence);
}


/* --- what goes --------------------------------------------------------------- */

static void
ngx_http_s3_cache_link_post(ngx_http_s3_cache_link_t *link)
{
    if (!link->dead) {
        ngx_post_event(&link->flush, &ngx_posted_events);
    }
}


static void
ngx_http_s3_cache_link_flush(ngx_event_t *ev)
{
    ngx_http_s3_cache_link_write(ev->data);
}


void
ngx_http_s3_cache_link_write(ngx_http_s3_cache_link_t *link)
{
    ssize_t            n;
    ngx_int_t          rc;
    ngx_uint_t         records;
    ngx_connection_t  *c;

    c = link->connection;

    for (records = 0; records < RECORDS_TURN; /* void */ ) {

        if (link->out_pos == link->out_len) {
            records++;
            rc = ngx_http_s3_cache_link_fill(link);

            if (rc == NGX_DONE) {
                return;                  /* it is gone */
            }

            if (rc == NGX_ERROR) {
                ngx_http_s3_cache_link_close(link, "a record was not sealed");
                return;
            }

            if (link->out_len == 0) {

                if (link->nstreams > 0) {
                    return;
                }

                if (link->leaving || ngx_exiting) {
                    ngx_http_s3_cache_link_close(link, NULL);
                    return;
                }

                /* all is said: nginx may close it when it needs to */
                c->idle = 1;
                return;
            }
        }

        n = c->send(c, link->out + link->out_pos,
                    link->out_len - link->out_pos);

        if (n == NGX_ERROR) {
            ngx_http_s3_cache_link_close(link, "sending failed");
            return;
        }

        if (n > 0) {
            link->out_pos += n;
        }

        if (link->out_pos == link->out_len && c->write->timer_set) {
            ngx_del_timer(c->write);
        }

        if (link->out_pos < link->out_len) {

            if (n > 0 || !c->write->timer_set) {
                ngx_add_timer(c->write, link->timeout);
            }

            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                ngx_http_s3_cache_link_close(link, "no event");
            }

            return;
        }
    }

    ngx_post_event(&link->flush, &ngx_posted_next_events);
}


/* The next record, if anybody has anything to say. DONE: the link is gone. */

static ngx_int_t
ngx_http_s3_cache_link_fill(ngx_http_s3_cache_link_t *link)
{
    ngx_int_t                    rc;
    s3c_slice_t                  payload;
    s3c_writer_t                 w;
    ngx_queue_t                 *q;
    ngx_http_s3_cache_stream_t  *stream;

    link->out_pos = 0;
    link->out_len = 0;

    s3c_writer_init(&w, link->out + S3C_WIRE_RECORD_HEAD, S3C_WIRE_RECORD_MAX);

    link->busy = 1;
    ngx_http_s3_cache_link_words(link, &w);

    while (!ngx_queue_empty(&link->ready) && !link->dead) {

        q = ngx_queue_head(&link->ready);
        stream = ngx_queue_data(q, ngx_http_s3_cache_stream_t, queue);

        /* behind the others, if it stays */
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&link->ready, q);

        rc = link->role->pull(stream, &w);

        if (rc == NGX_DECLINED) {
            ngx_queue_remove(q);
            ngx_queue_insert_head(&link->ready, q);
            break;
        }

        if (rc == NGX_DONE) {
            ngx_queue_remove(q);
            stream->ready = 0;
        }
    }

    if (ngx_http_s3_cache_link_over(link)) {
        return NGX_DONE;
    }

    payload = s3c_writer_slice(&w);

    if (payload.len == 0) {
        return NGX_OK;
    }

    if (s3c_wire_record_seal(&link->sealer, &payload, 1, link->out,
                             link->out + S3C_WIRE_RECORD_HEAD + payload.len)
        != S3C_OK)
    {
        return NGX_ERROR;
    }

    link->out_len = S3C_WIRE_RECORD_HEAD + payload.len + S3C_WIRE_RECORD_TAG;

    return NGX_OK;
}


/* What belongs to no stream. */

static void
ngx_http_s3_cache_link_words(ngx_http_s3_cache_link_t *link, s3c_writer_t *w)
{
    s3c_wire_frame_t  f;

    ngx_memzero(&f, sizeof(s3c_wire_frame_t));

    if (link->pong != 0) {
        f.type = S3C_WIRE_PONG;
        f.echo = link->pong;

        if (s3c_wire_frame_encode(w, &f) == S3C_OK) {
            link->pong = 0;
        }
    }

    if (link->ping) {
        f.type = S3C_WIRE_PING;
        f.echo = link->n_ping + 1;

        if (s3c_wire_frame_encode(w, &f) == S3C_OK) {
            link->ping = 0;
            link->n_ping++;
        }
    }

    if (link->goodbye) {
        f.type = S3C_WIRE_GOODBYE;

        if (s3c_wire_frame_encode(w, &f) == S3C_OK) {
            link->goodbye = 0;
        }
    }

    if (link->role->say != NULL) {
        link->role->say(link, w);
    }
}
