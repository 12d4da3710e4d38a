/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of one notification: who sends it, its body, what it says, and then
 * each of its events, one after the other: the object that it names is dropped,
 * and if that was in use, read anew.
 *
 *   handler -> read -> open -> run -> answer
 *                               |
 *                  forget -> forgot    (resume() of forget() may come between)
 *
 * An event says that a version is over, never which one is there: nothing is
 * put into the cache by what it tells. So its order does not matter, and a
 * second one of the same does no harm.
 */

#include "ngx_http_s3_cache_events.h"
#include "ngx_http_s3_cache_write.h"
#include "ngx_http_s3_cache_refresh.h"


/* so many are dropped in one turn of the event loop */
#define EVENTS_TURN     64

/* of one notification, in a ring of its first objects; the others are read when
   somebody asks for them */
#define EVENTS_REFRESH  64


typedef struct {
    ngx_http_s3_cache_ctx_t           ctx;     /* of a request for no object */
    ngx_http_s3_cache_events_conf_t  *conf;
    ngx_http_s3_cache_fence_t         fence;
    ngx_event_t                       turn;
    s3c_s3_events_t                   document;
    s3c_s3_event_t                    event;
    ngx_uint_t                        key;     /* of the event's, the next */
    ngx_uint_t                        nkeys;   /* at least 1, once it has one */
    ngx_uint_t                        nrefreshed;
    unsigned                          hot:1;   /* it was there until now */
} ngx_http_s3_cache_events_t;


static ngx_http_s3_cache_events_t *ngx_http_s3_cache_events_create(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_s3_cache_events_unknown(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_s3_cache_events_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_s3_cache_events_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_s3_cache_events_open(ngx_http_s3_cache_events_t *e);
static ngx_int_t ngx_http_s3_cache_events_is_topic(
    ngx_http_s3_cache_events_t *e);
static ngx_int_t ngx_http_s3_cache_events_subscribed(
    ngx_http_s3_cache_events_t *e);
static void ngx_http_s3_cache_events_run(ngx_http_s3_cache_events_t *e);
static ngx_int_t ngx_http_s3_cache_events_next(ngx_http_s3_cache_events_t *e);
static ngx_int_t ngx_http_s3_cache_events_forget(
    ngx_http_s3_cache_events_t *e);
static void ngx_http_s3_cache_events_forgot(ngx_http_s3_cache_events_t *e);
static void ngx_http_s3_cache_events_resume(void *data, ngx_int_t rc);
static void ngx_http_s3_cache_events_turn(ngx_event_t *ev);
static ngx_int_t ngx_http_s3_cache_events_refuse(
    ngx_http_s3_cache_events_t *e, s3c_s3_error_t err, const char *message);
static ngx_int_t ngx_http_s3_cache_events_answer(ngx_http_request_t *r);
static void ngx_http_s3_cache_events_over(ngx_http_s3_cache_events_t *e,
    ngx_int_t rc);
static void ngx_http_s3_cache_events_cleanup(void *data);


ngx_int_t
ngx_http_s3_cache_events_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_s3_cache_events_t    *e;
    ngx_http_s3_cache_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_s3_cache_module);

    if (r != r->main) {
        return NGX_HTTP_NOT_FOUND;         /* its body is another request's */
    }

    if (r->method != NGX_HTTP_POST) {
        e = ngx_http_s3_cache_events_create(r);

        return e ? ngx_http_s3_cache_events_refuse(e,
                                             S3C_ERR_METHOD_NOT_ALLOWED, NULL)
                 : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_s3_cache_events_auth(r, lcf->events);

    if (rc != NGX_OK) {
        return ngx_http_s3_cache_events_unknown(r, rc);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_s3_cache_events_read);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        s3c_stats_add(&lcf->zone->stats, S3C_STAT_EVENT_REFUSED, 1);
        return rc;
    }

    return NGX_DONE;
}


static ngx_http_s3_cache_events_t *
ngx_http_s3_cache_events_create(ngx_http_request_t *r)
{
    u_char                        *end;
    ngx_pool_cleanup_t            *cln;
    ngx_http_s3_cache_ctx_t       *ctx;
    ngx_http_s3_cache_events_t    *e;
    ngx_http_s3_cache_loc_conf_t  *lcf;

    e = ngx_pcalloc(r->pool, sizeof(ngx_http_s3_cache_events_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (e == NULL || cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_s3_cache_events_cleanup;
    cln->data = e;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_s3_cache_module);
    ctx = &e->ctx;

    ctx->request = r;
    ctx->log = r->connection->log;
    ctx->conf = lcf;
    ctx->zone = lcf->zone;
    ctx->counted = 1;                      /* it is no request of a client */
    ctx->uri = r->unparsed_uri;

    /* without the query: it may hold the token */

    end = ngx_strlchr(ctx->uri.data, ctx->uri.data + ctx->uri.len, '?');

    if (end != NULL) {
        ctx->uri.len = end - ctx->uri.data;
    }

    ngx_http_s3_cache_name(ctx);

    e->conf = lcf->events;
    e->fence.ctx = ctx;
    e->fence.resume = ngx_http_s3_cache_events_resume;
    e->fence.data = e;

    e->turn.handler = ngx_http_s3_cache_events_turn;
    e->turn.data = e;
    e->turn.log = ctx->log;

    return e;
}


/* SNS shows the password of its URL only to who asks for it. */

static ngx_int_t
ngx_http_s3_cache_events_unknown(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_s3_cache_events_t      *e;
    static const s3c_http_header_t   challenge = {
        { (const uint8_t *) "WWW-Authenticate",
          sizeof("WWW-Authenticate") - 1 },
        { (const uint8_t *) "Basic realm=\"s3_cache_events\"",
          sizeof("Basic realm=\"s3_cache_events\"") - 1 }
    };

    e = ngx_http_s3_cache_events_create(r);

    if (e == NULL || rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_s3_cache_set_header(r, &challenge, 0) == NGX_OK
               ? ngx_http_s3_cache_events_refuse(e, S3C_ERR_UNAUTHORIZED,
                                                 NULL)
               : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "s3_cache_events: a wrong token");

    return ngx_http_s3_cache_events_refuse(e, S3C_ERR_ACCESS_DENIED, NULL);
}


/* The body is here. */

static void
ngx_http_s3_cache_events_read(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_str_t                    body;
    ngx_http_s3_cache_events_t  *e;

    e = ngx_http_s3_cache_events_create(r);

    if (e == NULL || ngx_http_s3_cache_events_body(r, &body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (s3c_s3_event_open(&e->document, body.data, body.len) != S3C_OK) {
        rc = ngx_http_s3_cache_events_refuse(e, S3C_ERR_INVALID_REQUEST,
                                             "The body is no notification of "
                                             "a known form.");
    } else {
        rc = ngx_http_s3_cache_events_open(e);
    }

    if (rc == NGX_DECLINED) {
        ngx_http_s3_cache_events_run(e);
        return;
    }

    ngx_http_finalize_request(r, rc);
}


/* In one piece, in memory; "client_body_in_file_only" may have it in a file. */

static ngx_int_t
ngx_http_s3_cache_events_body(ngx_http_request_t *r, ngx_str_t *body)
{
    size_t        size;
    u_char       *p;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *bufs;

    bufs = r->request_body ? r->request_body->bufs : NULL;
    size = 0;

    for (cl = bufs; cl != NULL; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > S3C_S3_EVENT_DOCUMENT_MAX) {
        return NGX_ERROR;
    }

    p = ngx_palloc(r->pool, size + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = size;

    for (cl = bufs; cl != NULL; cl = cl->next) {
        b = cl->buf;
        size = ngx_buf_size(b);

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(p, b->pos, size);

        } else if (size > 0) {
            n = ngx_read_file(b->file, p, size, b->file_pos);

            if (n != (ssize_t) size) {
                return NGX_ERROR;
            }
        }

        p += size;
    }

    return NGX_OK;
}


/* NGX_DECLINED: there are events; else what the request ends with. */

static ngx_int_t
ngx_http_s3_cache_events_open(ngx_http_s3_cache_events_t *e)
{
    if (ngx_http_s3_cache_events_is_topic(e) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, e->ctx.log, 0,
                      "s3_cache_events: a message of another topic");
        return ngx_http_s3_cache_events_refuse(e, S3C_ERR_ACCESS_DENIED,
                                               "Another topic is expected.");
    }

    switch (e->document.notice) {

    case S3C_S3_NOTICE_SUBSCRIBED:
        return ngx_http_s3_cache_events_subscribed(e);

    case S3C_S3_NOTICE_UNSUBSCRIBED:
        ngx_log_error(NGX_LOG_WARN, e->ctx.log, 0,
                      "s3_cache_events: the subscription to \"%*s\" has been "
                      "deleted: its events will not come any more",
                      e->document.topic.len, e->document.topic.data);
        return ngx_http_s3_cache_events_answer(e->ctx.request);

    default:
        break;
    }

    if (e->document.n_events == 0) {
        return ngx_http_s3_cache_events_answer(e->ctx.request);
    }

    if (ngx_http_s3_cache_fence_can(ngx_http_s3_cache_main_conf(&e->ctx),
                                    e->ctx.conf->origin->id)
        == NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_s3_cache_events_refuse(e, S3C_ERR_SLOW_DOWN, NULL);
}


/* Raw messages of SNS say it in a header, the others in themselves. */

static ngx_int_t
ngx_http_s3_cache_events_is_topic(ngx_http_s3_cache_events_t *e)
{
    s3c_slice_t                topic, expected;
    ngx_table_elt_t           *h;
    ngx_http_s3_cache_walk_t   walk;

    topic = e->document.topic;
    expected = ngx_http_s3_cache_slice(&e->conf->topic);

    ngx_http_s3_cache_walk(&walk, &e->ctx.request->headers_in.headers);

    while (topic.len == 0 && (h = ngx_http_s3_cache_next(&walk)) != NULL) {
        if (h->key.len == sizeof("x-amz-sns-topic-arn") - 1
            && ngx_strncmp(h->lowcase_key, "x-amz-sns-topic-arn", h->key.len)
               == 0)
        {
            topic = ngx_http_s3_cache_slice(&h->value);
        }
    }

    return expected.len == 0 || topic.len == 0 || s3c_slice_eq(topic, expected)
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_s3_cache_events_subscribed(ngx_http_s3_cache_events_t *e)
{
    if (e->conf->sns != NULL) {
        ngx_http_s3_cache_events_confirm(e->conf, e->document.token,
                                         e->ctx.log);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, e->ctx.log, 0,
                      "s3_cache_events: to confirm the subscription to "
                      "\"%*s\" open %*s", e->document.topic.len,
                      e->document.topic.data, e->document.url.len,
                      e->document.url.data);
    }

    return ngx_http_s3_cache_events_answer(e->ctx.request);
}


/* --- the events ---------------------------------------------------------- */

static void
ngx_http_s3_cache_events_run(ngx_http_s3_cache_events_t *e)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    for (n = 0; n < EVENTS_TURN; n++) {
        rc = ngx_http_s3_cache_events_next(e);

        if (rc == NGX_OK) {
            rc = ngx_http_s3_cache_events_forget(e);
        }

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc != NGX_OK) {
            ngx_http_s3_cache_events_over(e, rc);
            return;
        }

        ngx_http_s3_cache_events_forgot(e);
    }

    /* others are waiting, too */

    ngx_post_event(&e->turn, &ngx_posted_next_events);
}


/* NGX_OK: e->key is to be dropped. NGX_DONE: that was all. */

static ngx_int_t
ngx_http_s3_cache_events_next(ngx_http_s3_cache_events_t *e)
{
    s3c_s3_event_t  *event;

    event = &e->event;

    while (e->key == e->nkeys) {

        switch (s3c_s3_event_next(&e->document, event)) {

        case S3C_OK:
            break;

        case S3C_MISS:
            return NGX_DONE;

        default:                           /* all of them have been checked */
            return NGX_ERROR;
        }

        s3c_stats_add(&e->ctx.zone->stats, S3C_STAT_EVENT_RECEIVED, 1);

        ngx_log_debug5(NGX_LOG_DEBUG_HTTP, e->ctx.log, 0,
                       "s3_cache_events: \"%*s\" in \"%*s\", keys: %ud",
                       event->name.len, event->name.data, event->bucket.len,
                       event->bucket.data, event->n_keys);

        e->key = 0;
        e->nkeys = event->kind == S3C_S3_EVENT_NOTHING
                   ? 0 : ngx_max(event->n_keys, 1);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_events_forget(ngx_http_s3_cache_events_t *e)
{
    ngx_http_s3_cache_name_t  name;

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = e->event.bucket;
    name.version = e->event.version;

    if (e->event.n_keys > 0) {
        name.key = e->event.keys[e->key];
    }

    e->hot = 0;

    if (e->conf->refresh && e->nrefreshed < EVENTS_REFRESH
        && name.key.len > 0 && e->event.kind != S3C_S3_EVENT_REMOVED)
    {
        e->hot = ngx_http_s3_cache_refresh_can(&e->ctx, name.bucket, name.key);

        if (e->ctx.zone->peers != NULL && !e->hot) {
            /* if it was in use, its owner knows, and counts it */
            name.refresh = 1;
            e->nrefreshed++;
        }
    }

    return ngx_http_s3_cache_forget(&e->fence, &name);
}


static void
ngx_http_s3_cache_events_forgot(ngx_http_s3_cache_events_t *e)
{
    s3c_stats_add(&e->ctx.zone->stats, S3C_STAT_EVENT_DROPPED, 1);

    if (e->hot && ngx_http_s3_cache_refresh(&e->ctx, e->event.bucket,
                                            e->event.keys[e->key])
                  == NGX_OK)
    {
        e->nrefreshed++;
        s3c_stats_add(&e->ctx.zone->stats, S3C_STAT_EVENT_REFRESHED, 1);
    }

    e->key++;
}


static void
ngx_http_s3_cache_events_resume(void *data, ngx_int_t rc)
{
    ngx_http_s3_cache_events_t *e = data;

    ngx_http_set_log_request(e->ctx.log, e->ctx.request);

    if (rc != NGX_OK) {
        ngx_http_s3_cache_events_over(e, rc);
        return;
    }

    ngx_http_s3_cache_events_forgot(e);
    ngx_http_s3_cache_events_run(e);
}


static void
ngx_http_s3_cache_events_turn(ngx_event_t *ev)
{
    ngx_http_s3_cache_events_t *e = ev->data;

    ngx_http_set_log_request(e->ctx.log, e->ctx.request);
    ngx_http_s3_cache_events_run(e);
}


/* --- the answer ---------------------------------------------------------- */

static ngx_int_t
ngx_http_s3_cache_events_refuse(ngx_http_s3_cache_events_t *e,
    s3c_s3_error_t err, const char *message)
{
    s3c_stats_add(&e->ctx.zone->stats, S3C_STAT_EVENT_REFUSED, 1);

    return ngx_http_s3_cache_refuse(&e->ctx, err, message);
}


static ngx_int_t
ngx_http_s3_cache_events_answer(ngx_http_request_t *r)
{
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


/* NGX_DONE: all is dropped; else what forget() answered. */

static void
ngx_http_s3_cache_events_over(ngx_http_s3_cache_events_t *e, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = e->ctx.request;
    c = r->connection;

    switch (rc) {

    case NGX_DONE:
        rc = ngx_http_s3_cache_events_answer(r);
        break;

    case NGX_BUSY:
        /* it will be sent again, from its first event on */
        rc = ngx_http_s3_cache_events_refuse(e, S3C_ERR_SLOW_DOWN, NULL);
        break;

    default:
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_s3_cache_events_cleanup(void *data)
{
    ngx_http_s3_cache_events_t *e = data;

    if (e->turn.posted) {
        ngx_delete_posted_event(&e->turn);
    }

    ngx_http_s3_cache_fence_end(&e->fence,
                                NGX_HTTP_S3_CACHE_FENCE_KNOWN);
}
