/* SPDX-License-Identifier: Apache-2.0
 *
 * SNS sends nothing to whom it has not heard from: a subscription begins with
 * a message that has a token, which is to be sent back. It goes to the SNS that
 * the configuration names, for the topic that it names; the URL in the message
 * is not followed, so that nobody can make this server ask for what he likes.
 */

#include "ngx_http_s3_cache_events.h"

#include "s3/s3_uri.h"


#define CONFIRM_BYTES  512               /* of the answer, at a time */


typedef struct {
    ngx_http_s3_cache_events_conf_t  *ecf;
    ngx_uint_t                        status;
    u_char                            answer[CONFIRM_BYTES];
} ngx_http_s3_cache_confirm_t;


static ngx_int_t ngx_http_s3_cache_confirm_query(
    ngx_http_s3_cache_call_t *call, ngx_str_t *topic, s3c_slice_t token);
static ngx_int_t ngx_http_s3_cache_confirm_on_head(
    ngx_http_s3_cache_call_t *call, s3c_http_head_t *head);
static void ngx_http_s3_cache_confirm_on_space(ngx_http_s3_cache_call_t *call,
    u_char **pos, size_t *len);
static ngx_int_t ngx_http_s3_cache_confirm_on_body(
    ngx_http_s3_cache_call_t *call, size_t n);
static void ngx_http_s3_cache_confirm_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end);


void
ngx_http_s3_cache_events_confirm(ngx_http_s3_cache_events_conf_t *ecf,
    s3c_slice_t token, ngx_log_t *log)
{
    ngx_http_s3_cache_call_t     *call;
    ngx_http_s3_cache_confirm_t  *confirm;

    call = ngx_http_s3_cache_call_create(ecf->sns, ngx_cycle->log);

    if (call == NULL) {
        goto failed;
    }

    confirm = ngx_pcalloc(call->pool, sizeof(ngx_http_s3_cache_confirm_t));

    if (confirm == NULL
        || ngx_http_s3_cache_confirm_query(call, &ecf->topic, token)
           != NGX_OK)
    {
        ngx_http_s3_cache_call_abort(call, 1);
        goto failed;
    }

    confirm->ecf = ecf;

    ngx_str_set(&call->path, "/");
    call->close = 1;
    call->data = confirm;
    call->on_head = ngx_http_s3_cache_confirm_on_head;
    call->on_space = ngx_http_s3_cache_confirm_on_space;
    call->on_body = ngx_http_s3_cache_confirm_on_body;
    call->on_end = ngx_http_s3_cache_confirm_on_end;

    ngx_http_s3_cache_call_start(call);

    return;

failed:

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "s3_cache_events: no memory to confirm a subscription");
}


static ngx_int_t
ngx_http_s3_cache_confirm_query(ngx_http_s3_cache_call_t *call,
    ngx_str_t *topic, s3c_slice_t token)
{
    size_t        size;
    u_char       *p;
    s3c_writer_t  w;

    size = sizeof("Action=ConfirmSubscription&TopicArn=&Token=")
           + 3 * topic->len + token.len;

    p = ngx_pnalloc(call->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, p, size);
    s3c_write_lit(&w, "Action=ConfirmSubscription&TopicArn=");
    s3c_uri_encode(&w, ngx_http_s3_cache_slice(topic), false);
    s3c_write_lit(&w, "&Token=");
    s3c_write_slice(&w, token);

    call->query.data = p;
    call->query.len = s3c_writer_slice(&w).len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_confirm_on_head(ngx_http_s3_cache_call_t *call,
    s3c_http_head_t *head)
{
    ngx_http_s3_cache_confirm_t *confirm = call->data;

    confirm->status = head->status;

    return NGX_OK;
}


/* What SNS says beside its status is not looked at. */

static void
ngx_http_s3_cache_confirm_on_space(ngx_http_s3_cache_call_t *call,
    u_char **pos, size_t *len)
{
    ngx_http_s3_cache_confirm_t *confirm = call->data;

    *pos = confirm->answer;
    *len = CONFIRM_BYTES;
}


static ngx_int_t
ngx_http_s3_cache_confirm_on_body(ngx_http_s3_cache_call_t *call, size_t n)
{
    return NGX_OK;
}


static void
ngx_http_s3_cache_confirm_on_end(ngx_http_s3_cache_call_t *call,
    ngx_http_s3_cache_call_end_e end)
{
    ngx_http_s3_cache_confirm_t *confirm = call->data;

    if (end == NGX_HTTP_S3_CACHE_CALL_DONE && confirm->status == 200) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "s3_cache_events: the subscription to \"%V\" is "
                      "confirmed", &confirm->ecf->topic);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "s3_cache_events: the subscription to \"%V\" could not be "
                  "confirmed: %s, status %ui", &confirm->ecf->topic,
                  ngx_http_s3_cache_call_end_name(end), confirm->status);
}
