/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting for a client to take what it was given; for bodies of the cache and
 * for those that pass through. Knows nothing of where bytes come from.
 */

#include "ngx_http_s3_cache_module.h"


/*
 * Has all of a chain been taken? Nothing else tells: a subrequest (SSI) whose
 * turn has not come is told NGX_OK, while nginx keeps its buffers for later; a
 * filter that wants all before it sends any (image_filter) says that it is
 * "buffered", and no event would come.
 */

ngx_uint_t
ngx_http_s3_cache_drained(ngx_chain_t *chain)
{
    for ( /* void */ ; chain; chain = chain->next) {
        if (ngx_buf_size(chain->buf) != 0) {
            return 0;
        }
    }

    return 1;
}


/* NGX_DONE: `handler` runs when the client can take more. */

ngx_int_t
ngx_http_s3_cache_await_write(ngx_http_s3_cache_ctx_t *ctx,
    ngx_http_event_handler_pt handler)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = ctx->request;
    wev = r->connection->write;

    if (ngx_http_s3_cache_hold(ctx) != NGX_DONE) {
        return NGX_ERROR;
    }

    r->write_event_handler = handler;

    if (r->connection->data != r) {
        /* nginx runs the handler when its turn comes */
        return NGX_DONE;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


/* From `handler`: NGX_OK when all of the chain is gone, NGX_DONE while it is
 * not, else what the request ends with. */

ngx_int_t
ngx_http_s3_cache_flush(ngx_http_s3_cache_ctx_t *ctx, ngx_chain_t *chain,
    ngx_http_event_handler_pt handler)
{
    ngx_event_t         *wev;
    ngx_http_request_t  *r;

    r = ctx->request;
    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;
        return NGX_HTTP_REQUEST_TIME_OUT;
    }

    if (wev->delayed) {
        return ngx_http_s3_cache_await_write(ctx, handler);
    }

    if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (!ngx_http_s3_cache_drained(chain)) {
        return ngx_http_s3_cache_await_write(ctx, handler);
    }

    /* the timer of limit_rate is the only one who ends a delay */

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}
