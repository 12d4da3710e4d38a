/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes on a link: records are opened, frames handed on to the role; and
 * what is to be done when nothing comes. See ngx_http_s3_cache_link.h.
 */

#include "ngx_http_s3_cache_link_internal.h"


#define READS_TURN    16      /* then others have their turn */


static void ngx_http_s3_cache_link_receive(ngx_http_s3_cache_link_t *link);
static void ngx_http_s3_cache_link_timer(ngx_http_s3_cache_link_t *link);
static void ngx_http_s3_cache_link_parse(ngx_http_s3_cache_link_t *link);
static ngx_int_t ngx_http_s3_cache_link_payload(
    ngx_http_s3_cache_link_t *link, s3c_slice_t payload);
static ngx_int_t ngx_http_s3_cache_link_own(ngx_http_s3_cache_link_t *link,
    const s3c_wire_frame_t *f);


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
    ngx_event_t  *rev;

    rev = link->connection->read;

    if (rev->timedout) {
        rev->timedout = 0;
        ngx_http_s3_cache_link_timer(link);
        return;
    }

    ngx_http_s3_cache_link_receive(link);
}


static void
ngx_http_s3_cache_link_receive(ngx_http_s3_cache_link_t *link)
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

static void
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
