/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes on a link: the streams that have something to say are asked in turn
 * for frames, which go out in sealed records. See ngx_http_s3_cache_link.h.
 */

#include "ngx_http_s3_cache_link_internal.h"


#define RECORDS_TURN  16      /* sent in one go, then others have their turn */


static void ngx_http_s3_cache_link_send(ngx_http_s3_cache_link_t *link);
static ngx_int_t ngx_http_s3_cache_link_fill(ngx_http_s3_cache_link_t *link);
static void ngx_http_s3_cache_link_words(ngx_http_s3_cache_link_t *link,
    s3c_writer_t *w);


void
ngx_http_s3_cache_link_post(ngx_http_s3_cache_link_t *link)
{
    if (!link->dead) {
        ngx_post_event(&link->flush, &ngx_posted_events);
    }
}


void
ngx_http_s3_cache_link_flush(ngx_event_t *ev)
{
    ngx_http_s3_cache_link_send(ev->data);
}


void
ngx_http_s3_cache_link_write(ngx_http_s3_cache_link_t *link)
{
    ngx_event_t  *wev;

    wev = link->connection->write;

    if (wev->timedout) {
        wev->timedout = 0;
        ngx_http_s3_cache_link_close(link, "sending timed out");
        return;
    }

    ngx_http_s3_cache_link_send(link);
}


static void
ngx_http_s3_cache_link_send(ngx_http_s3_cache_link_t *link)
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
