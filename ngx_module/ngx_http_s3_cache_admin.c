/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_admin:
 *
 *   GET  [?zone=name]                   what this node says of itself
 *   POST ?drain=on|off[&zone=name]      it leaves the ring, and comes back
 *   POST ?purge=...                     see purge.c
 *   GET, POST ?warmup=...               see warm_admin.c
 *
 * The answer is JSON, an error's too. Without a zone all are meant whose
 * members come by Redis; by a purge, all.
 */

#include "ngx_http_s3_cache_admin.h"
#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_purge.h"
#include "ngx_http_s3_cache_roster.h"
#include "ngx_http_s3_cache_warm.h"


/* Names in JSON: a byte may become "\u00xx". */
#define MEMBER_BYTES(name)  (64 + 6 * (name)->len)


static ngx_int_t ngx_http_s3_cache_admin_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_s3_cache_admin_drain(ngx_http_request_t *r,
    ngx_uint_t *drain);
static ngx_int_t ngx_http_s3_cache_admin_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *why);
static ngx_int_t ngx_http_s3_cache_admin_send(ngx_http_request_t *r,
    ngx_uint_t status, u_char *data, size_t len);


char *
ngx_http_s3_cache_admin_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == ngx_http_s3_cache_admin_handler) {
        return "is duplicate";
    }

    clcf->handler = ngx_http_s3_cache_admin_handler;
    lcf->guarded = 1;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_s3_cache_admin_handler(ngx_http_request_t *r)
{
    size_t                           len;
    u_char                          *p, *data;
    ngx_int_t                        rc;
    ngx_str_t                        zone;
    ngx_uint_t                       i, drain, chosen, named;
    s3c_writer_t                     w;
    ngx_http_s3_cache_peers_t       *peers;
    ngx_http_s3_cache_zone_t       **zones;
    ngx_http_s3_cache_main_conf_t   *mcf;

    rc = ngx_http_s3_cache_guard(r, S3C_ACTION_ADMIN);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST))) {
        return ngx_http_s3_cache_admin_error(r, NGX_HTTP_NOT_ALLOWED,
                                             "GET or POST is needed");
    }

    if (ngx_http_s3_cache_warm_is(r)) {
        return ngx_http_s3_cache_warm_admin(r);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_s3_cache_purge_is(r)) {
        return ngx_http_s3_cache_purge(r);
    }

    drain = NGX_CONF_UNSET_UINT;

    if (r->method == NGX_HTTP_POST
        && ngx_http_s3_cache_admin_drain(r, &drain) != NGX_OK)
    {
        return ngx_http_s3_cache_admin_error(r, NGX_HTTP_BAD_REQUEST,
                                             "drain=on, drain=off or a "
                                             "purge is needed");
    }

    named = ngx_http_arg(r, (u_char *) "zone", sizeof("zone") - 1, &zone)
            == NGX_OK;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);
    zones = mcf->zones.elts;
    chosen = 0;
    len = sizeof("{\"zones\":[]}\n");

    for (i = 0; i < mcf->zones.nelts; i++) {
        len += MEMBER_BYTES(&zones[i]->name);
    }

    data = ngx_pnalloc(r->pool, len);
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, data, len);
    s3c_write_lit(&w, "{\"zones\":[");

    for (i = 0; i < mcf->zones.nelts; i++) {
        peers = zones[i]->peers;

        if (peers == NULL || peers->redis == NULL
            || (named && (zone.len != zones[i]->name.len
                          || ngx_memcmp(zone.data, zones[i]->name.data,
                                        zone.len)
                             != 0)))
        {
            continue;
        }

        if (drain != NGX_CONF_UNSET_UINT && peers->shared->draining != drain) {
            peers->shared->draining = drain;

            ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                          "s3_cache_peers \"%V\": this node %s",
                          &peers->name, drain ? "is drained: it leaves the "
                          "ring" : "comes back to the ring");
        }

        if (chosen++) {
            s3c_write_byte(&w, ',');
        }

        s3c_write_lit(&w, "{\"zone\":\"");

        p = (u_char *) ngx_escape_json(w.pos, zones[i]->name.data,
                                       zones[i]->name.len);
        w.pos = p;

        s3c_write_lit(&w, "\",\"state\":\"");
        s3c_write_str(&w, s3c_member_state_name(
                              ngx_http_s3_cache_roster_state(peers)));
        s3c_write_lit(&w, "\",\"draining\":");
        s3c_write_str(&w, peers->shared->draining ? "true}" : "false}");
    }

    s3c_write_lit(&w, "]}\n");

    if (chosen == 0) {
        return ngx_http_s3_cache_admin_error(r, NGX_HTTP_NOT_FOUND,
                           named ? "no such zone with members by Redis"
                                 : "no zone has members by Redis");
    }

    if (!s3c_writer_ok(&w)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_s3_cache_admin_send(r, NGX_HTTP_OK, data,
                                        s3c_writer_slice(&w).len);
}


static ngx_int_t
ngx_http_s3_cache_admin_drain(ngx_http_request_t *r, ngx_uint_t *drain)
{
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "drain", sizeof("drain") - 1, &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (value.len == 2 && ngx_strncmp(value.data, "on", 2) == 0) {
        *drain = 1;
        return NGX_OK;
    }

    if (value.len == 3 && ngx_strncmp(value.data, "off", 3) == 0) {
        *drain = 0;
        return NGX_OK;
    }

    return NGX_ERROR;
}


/* `why` needs no escapes. */

static ngx_int_t
ngx_http_s3_cache_admin_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *why)
{
    size_t   len;
    u_char  *data;

    len = sizeof("{\"error\":\"\"}\n") + ngx_strlen(why);

    data = ngx_pnalloc(r->pool, len);
    if (data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_s3_cache_admin_send(r, status, data,
                                        ngx_sprintf(data,
                                                    "{\"error\":\"%s\"}\n",
                                                    why)
                                        - data);
}


static ngx_int_t
ngx_http_s3_cache_admin_send(ngx_http_request_t *r, ngx_uint_t status,
    u_char *data, size_t len)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = data;
    b->last = data + len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    r->headers_out.status = status;
    r->headers_out.content_length_n = (off_t) len;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
