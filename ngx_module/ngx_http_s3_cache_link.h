/* SPDX-License-Identifier: Apache-2.0
 *
 * A link: one connection between two nodes, with many streams on it. What it
 * carries is in src/cluster/wire.h.
 *
 * It pulls: a stream says that it has something to send, and is asked for one
 * frame after the other when the socket can take it, in turn with the others.
 * So nothing queues up here but one record, and what the streams of one turn of
 * the event loop have to say goes out in one write.
 *
 * OWNER   of one worker; the streams are their users', who unlink them.
 * ENDS    role->closed() comes once, from the event loop or from inside
 *         link_close(); after it the link is gone, and its streams have been
 *         told by role->gone().
 */

#ifndef NGX_HTTP_S3_CACHE_LINK_H
#define NGX_HTTP_S3_CACHE_LINK_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "cluster/wire.h"


#define NGX_HTTP_S3_CACHE_LINK_STREAMS_MAX  4096


typedef struct ngx_http_s3_cache_link_s    ngx_http_s3_cache_link_t;
typedef struct ngx_http_s3_cache_stream_s  ngx_http_s3_cache_stream_t;


struct ngx_http_s3_cache_stream_s {
    ngx_rbtree_node_t           node;          /* of link->streams; key: id */
    ngx_queue_t                 queue;         /* of link->ready */
    ngx_http_s3_cache_link_t   *link;          /* NULL: not on one */
    unsigned                    ready:1;
};


typedef struct {
    /* What belongs to no stream on the link; few and small frames. NULL: the
     * role has none. */
    void                      (*say)(ngx_http_s3_cache_link_t *link,
                                     s3c_writer_t *w);
    /* One more frame of the stream into `w`. OK: there may be more; DONE: not
     * before the next link_ready(); DECLINED: the room is too small for it;
     * ABORT: it has left the link, with or without a frame. */
    ngx_int_t                 (*pull)(ngx_http_s3_cache_stream_t *stream,
                                      s3c_writer_t *w);
    /* A frame; stream: that it names, or NULL. ERROR: nobody who keeps to the
     * rules says that, close. */
    ngx_int_t                 (*frame)(ngx_http_s3_cache_link_t *link,
                                       ngx_http_s3_cache_stream_t *stream,
                                       const s3c_wire_frame_t *f);
    /* All that has come for now has been handed on. */
    void                      (*idle)(ngx_http_s3_cache_link_t *link);
    /* Now and then, more than once in `timeout`, while there are streams. NULL
     * allowed. */
    void                      (*tick)(ngx_http_s3_cache_link_t *link);
    /* The stream has left the link, which is being closed; link->why. */
    void                      (*gone)(ngx_http_s3_cache_link_t *link,
                                      ngx_http_s3_cache_stream_t *stream);
    void                      (*closed)(ngx_http_s3_cache_link_t *link,
                                        const char *why);
} ngx_http_s3_cache_link_role_t;


struct ngx_http_s3_cache_link_s {
    ngx_connection_t           *connection;
    const ngx_http_s3_cache_link_role_t  *role;
    void                       *data;
    ngx_msec_t                  timeout;       /* of silence while streams
                                                  wait, or of what is sent not
                                                  being taken: it is closed */
    s3c_wire_sealer_t           sealer;
    s3c_wire_opener_t           opener;

    u_char                     *in;
    size_t                      in_len;
    u_char                     *out;           /* one sealed record */
    size_t                      out_pos;
    size_t                      out_len;

    ngx_rbtree_t                streams;
    ngx_rbtree_node_t           sentinel;
    ngx_uint_t                  nstreams;
    ngx_queue_t                 ready;
    ngx_event_t                 flush;         /* posted */

    uint64_t                    pong;          /* to be sent; 0: none */
    uint64_t                    n_ping;
    uint64_t                    n_heard;       /* grows with what comes */
    ngx_msec_t                  heard;         /* when the last of it came */
    unsigned                    ping:1;        /* to be sent */
    unsigned                    pinged:1;      /* nothing has come since */
    unsigned                    goodbye:1;     /* to be sent */
    unsigned                    leaving:1;     /* GOODBYE has come or gone */
    unsigned                    server:1;      /* this end answers */
    unsigned                    opened:1;      /* a record was right */
    unsigned                    busy:1;        /* in a callback: no close */
    unsigned                    dead:1;        /* is to be closed then */
    const char                 *why;           /* it was closed */
    unsigned                    silent:1;      /* ...for silence */
};


/* On a connection whose handshake is over; keys are wiped. `extra`: what has
 * been read beyond it. NULL: no memory, the connection is the caller's. */
ngx_http_s3_cache_link_t *ngx_http_s3_cache_link_create(ngx_connection_t *c,
    const ngx_http_s3_cache_link_role_t *role, void *data, ngx_msec_t timeout,
    s3c_wire_keys_t *keys, ngx_uint_t client);
/* What came with the handshake. */
void ngx_http_s3_cache_link_feed(ngx_http_s3_cache_link_t *link, u_char *data,
    size_t len);
/* The socket can be read, written, or the event's timer is over: handlers of
 * the connection's events call them. */
void ngx_http_s3_cache_link_read(ngx_http_s3_cache_link_t *link);
void ngx_http_s3_cache_link_write(ngx_http_s3_cache_link_t *link);
/* `why`: constant words for the log, NULL: nothing is wrong. */
void ngx_http_s3_cache_link_close(ngx_http_s3_cache_link_t *link,
    const char *why);
/* No more streams, please; it closes when the last has ended. */
void ngx_http_s3_cache_link_leave(ngx_http_s3_cache_link_t *link);

void ngx_http_s3_cache_link_add(ngx_http_s3_cache_link_t *link,
    ngx_http_s3_cache_stream_t *stream, uint32_t id);
void ngx_http_s3_cache_link_remove(ngx_http_s3_cache_stream_t *stream);
/* It has something to send; the role has something to say(). */
void ngx_http_s3_cache_link_ready(ngx_http_s3_cache_stream_t *stream);
void ngx_http_s3_cache_link_say(ngx_http_s3_cache_link_t *link);
/* A sign of life, please. */
void ngx_http_s3_cache_link_ping(ngx_http_s3_cache_link_t *link);


#endif /* NGX_HTTP_S3_CACHE_LINK_H */
