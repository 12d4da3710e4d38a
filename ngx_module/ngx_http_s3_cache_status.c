/* SPDX-License-Identifier: Apache-2.0
 *
 * The content handler of s3_cache_status: chooses the format, prints all
 * zones into one buffer of the request's pool, sends it. It only reads.
 */

#include "ngx_http_s3_cache_status.h"
#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_explain.h"
#include "ngx_http_s3_cache_history.h"


#define NGX_HTTP_S3_CACHE_STATUS_ZONES      16
#define NGX_HTTP_S3_CACHE_STATUS_ZONES_MAX  4096
#define NGX_HTTP_S3_CACHE_STATUS_ZONE_SIZE  (64 * 1024)
#define NGX_HTTP_S3_CACHE_STATUS_SIZE_MAX   (256 * 1024 * 1024)


typedef struct {
    ngx_str_t    name;
    ngx_str_t    content_type;
    size_t       type_len;         /* of the type alone, for gzip_types */
    void       (*print)(s3c_writer_t *w, const s3c_stats_zone_t *zones,
                        unsigned n_zones);
} ngx_http_s3_cache_status_format_t;


static ngx_int_t ngx_http_s3_cache_status_prometheus_handler(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_s3_cache_status_reply(ngx_http_request_t *r,
    const ngx_http_s3_cache_status_format_t *format);
static ngx_buf_t *ngx_http_s3_cache_status_buf(ngx_http_request_t *r,
    const s3c_writer_t *w);
static ngx_int_t ngx_http_s3_cache_status_output(ngx_http_request_t *r,
    ngx_uint_t status, const ngx_http_s3_cache_status_format_t *format,
    ngx_buf_t *b);


static const ngx_http_s3_cache_status_format_t
    ngx_http_s3_cache_status_json =
{
    ngx_string("json"),
    ngx_string("application/json"),
    sizeof("application/json") - 1,
    s3c_stats_print_json
};


static const ngx_http_s3_cache_status_format_t
    ngx_http_s3_cache_status_prometheus =
{
    ngx_string("prometheus"),
    ngx_string("text/plain; version=0.0.4; charset=utf-8"),
    sizeof("text/plain") - 1,
    s3c_stats_print_prometheus
};


char *
ngx_http_s3_cache_status_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_str_t                 *value;
    ngx_http_handler_pt        handler;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;
    handler = ngx_http_s3_cache_status_handler;

    if (cf->args->nelts > 1) {

        if (ngx_strcmp(value[1].data, "prometheus") == 0) {
            handler = ngx_http_s3_cache_status_prometheus_handler;

        } else if (ngx_strcmp(value[1].data, "json") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid format \"%V\" in \"%V\" directive, "
                               "it must be \"json\" or \"prometheus\"",
                               &value[1], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == ngx_http_s3_cache_status_handler
        || clcf->handler == ngx_http_s3_cache_status_prometheus_handler)
    {
        return "is duplicate";
    }

    clcf->handler = handler;
    lcf->guarded = 1;

    return NGX_CONF_OK;
}


/* Does a list of media ranges (RFC 9110, 12.5.1) name this very type? */

static ngx_uint_t
ngx_http_s3_cache_status_accepts(ngx_str_t *list, ngx_str_t *type)
{
    u_char  *p, *last, *end;

    p = list->data;
    end = list->data + list->len;

    while (p < end) {

        while (p < end && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        for (last = p; last < end; last++) {
            if (*last == ',' || *last == ';' || *last == ' '
                || *last == '\t')
            {
                break;
            }
        }

        if ((size_t) (last - p) == type->len
            && ngx_strncasecmp(p, type->data, type->len) == 0)
        {
            return 1;
        }

        while (last < end && *last != ',') {
            last++;
        }

        p = last;
    }

    return 0;
}


/* nginx keeps a pointer to Accept in some builds only, hence the list. JSON
 * wins where a client names both. */

static const ngx_http_s3_cache_status_format_t *
ngx_http_s3_cache_status_accepted(ngx_http_request_t *r)
{
    ngx_uint_t                                i;
    ngx_list_part_t                          *part;
    ngx_table_elt_t                          *h;
    const ngx_http_s3_cache_status_format_t  *found;

    static ngx_str_t  accept = ngx_string("Accept");
    static ngx_str_t  json = ngx_string("application/json");
    static ngx_str_t  text = ngx_string("text/plain");

    found = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != accept.len
                || ngx_strncasecmp(h[i].key.data, accept.data, accept.len)
                   != 0)
            {
                continue;
            }

            if (ngx_http_s3_cache_status_accepts(&h[i].value, &json)) {
                return &ngx_http_s3_cache_status_json;
            }

            if (ngx_http_s3_cache_status_accepts(&h[i].value, &text)) {
                found = &ngx_http_s3_cache_status_prometheus;
            }
        }
    }

    return found;
}


/* The argument, then Accept, then the directive; NULL: no such format. */

static const ngx_http_s3_cache_status_format_t *
ngx_http_s3_cache_status_choose(ngx_http_request_t *r,
    const ngx_http_s3_cache_status_format_t *format)
{
    ngx_str_t                                 value;
    ngx_uint_t                                i;
    const ngx_http_s3_cache_status_format_t  *accepted;

    static const ngx_http_s3_cache_status_format_t  *formats[] = {
        &ngx_http_s3_cache_status_json,
        &ngx_http_s3_cache_status_prometheus
    };

    if (ngx_http_arg(r, (u_char *) "format", sizeof("format") - 1, &value)
        == NGX_OK)
    {
        for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
            if (value.len == formats[i]->name.len
                && ngx_strncmp(value.data, formats[i]->name.data, value.len)
                   == 0)
            {
                return formats[i];
            }
        }

        return NULL;
    }

    accepted = ngx_http_s3_cache_status_accepted(r);

    return accepted ? accepted : format;
}


static s3c_stats_zone_t *
ngx_http_s3_cache_status_zones(ngx_http_request_t *r, ngx_uint_t *n)
{
    ngx_uint_t         max;
    s3c_stats_zone_t  *zones;

    for (max = NGX_HTTP_S3_CACHE_STATUS_ZONES;
         max <= NGX_HTTP_S3_CACHE_STATUS_ZONES_MAX;
         max *= 4)
    {
        zones = ngx_pcalloc(r->pool, max * sizeof(s3c_stats_zone_t));
        if (zones == NULL) {
            return NULL;
        }

        *n = ngx_http_s3_cache_zones_view(r, zones, max);

        if (*n < max) {
            return zones;
        }

        (void) ngx_pfree(r->pool, zones);
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "too many s3 cache zones to print: %ui", *n);

    return NULL;
}


static ngx_buf_t *
ngx_http_s3_cache_status_print(ngx_http_request_t *r,
    const ngx_http_s3_cache_status_format_t *format)
{
    size_t             size;
    u_char            *p;
    ngx_uint_t         n;
    s3c_writer_t       w;
    ngx_uint_t         i, units;
    s3c_stats_zone_t  *zones;

    zones = ngx_http_s3_cache_status_zones(r, &n);
    if (zones == NULL) {
        return NULL;
    }

    units = n + 1;

    for (i = 0; i < n; i++) {
        /* most of it is histograms: ten nodes or so have room in a unit */
        units += zones[i].ring ? zones[i].ring->n_members / 10 : 0;
    }

    for (size = units * NGX_HTTP_S3_CACHE_STATUS_ZONE_SIZE;
         size <= NGX_HTTP_S3_CACHE_STATUS_SIZE_MAX;
         size *= 2)
    {
        p = ngx_palloc(r->pool, size);
        if (p == NULL) {
            return NULL;
        }

        s3c_writer_init(&w, p, size);
        format->print(&w, zones, (unsigned) n);

        if (s3c_writer_ok(&w)) {
            return ngx_http_s3_cache_status_buf(r, &w);
        }

        (void) ngx_pfree(r->pool, p);
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "s3 cache status of %ui zones is too large", n);

    return NULL;
}


static ngx_buf_t *
ngx_http_s3_cache_status_buf(ngx_http_request_t *r, const s3c_writer_t *w)
{
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NULL;
    }

    b->pos = w->start;
    b->last = w->pos;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    return b;
}


static ngx_int_t
ngx_http_s3_cache_status_no_store(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    ngx_str_set(&h->key, "Cache-Control");
    ngx_str_set(&h->value, "no-store");

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_status_reply(ngx_http_request_t *r,
    const ngx_http_s3_cache_status_format_t *format)
{
    ngx_int_t   rc;
    ngx_str_t   path;
    ngx_buf_t  *b;

    rc = ngx_http_s3_cache_guard(r, S3C_ACTION_LIST);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_arg(r, (u_char *) "explain", sizeof("explain") - 1, &path)
        == NGX_OK)
    {
        return ngx_http_s3_cache_explain(r, &path);
    }

    rc = ngx_http_s3_cache_history_reply(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    format = ngx_http_s3_cache_status_choose(r, format);
    if (format == NULL) {
        return NGX_HTTP_BAD_REQUEST;
    }

    b = ngx_http_s3_cache_status_print(r, format);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_s3_cache_status_output(r, NGX_HTTP_OK, format, b);
}


ngx_int_t
ngx_http_s3_cache_status_send(ngx_http_request_t *r, ngx_uint_t status,
    const s3c_writer_t *w)
{
    ngx_buf_t  *b;

    b = ngx_http_s3_cache_status_buf(r, w);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_s3_cache_status_output(r, status,
                                           &ngx_http_s3_cache_status_json, b);
}


static ngx_int_t
ngx_http_s3_cache_status_output(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_http_s3_cache_status_format_t *format, ngx_buf_t *b)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    if (ngx_http_s3_cache_status_no_store(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.content_type = format->content_type;
    r->headers_out.content_type_len = format->type_len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_s3_cache_status_handler(ngx_http_request_t *r)
{
    return ngx_http_s3_cache_status_reply(r, &ngx_http_s3_cache_status_json);
}


static ngx_int_t
ngx_http_s3_cache_status_prometheus_handler(ngx_http_request_t *r)
{
    return ngx_http_s3_cache_status_reply(r,
                                     &ngx_http_s3_cache_status_prometheus);
}
