/* SPDX-License-Identifier: Apache-2.0
 *
 * Which object explain.c is asked about: foreign bytes, checked by the rules by
 * which requests for objects are.
 */

#include "ngx_http_s3_cache_explain_internal.h"

#include "s3/s3_uri.h"


#define PATH_MAX_LEN  (S3C_S3_BUCKET_BYTES_MAX + S3C_S3_KEY_BYTES_MAX + 2)


static ngx_int_t explain_arg(ngx_http_request_t *r, ngx_str_t *value,
    size_t max, s3c_slice_t *out);
static const char *explain_zone(explain_t *e);


const char *
ngx_http_s3_cache_explain_arguments(explain_t *e, ngx_str_t *path)
{
    off_t                offset;
    u_char              *p;
    size_t               size;
    ngx_str_t            value;
    s3c_slice_t          text;
    s3c_writer_t         w;
    s3c_s3_error_t       err;
    ngx_http_request_t  *r;

    r = e->request;

    if (explain_arg(r, path, PATH_MAX_LEN, &text) != NGX_OK) {
        return "explain: too long, or a percent sign without two hex digits";
    }

    if (text.len == 0 || text.data[0] != '/') {
        return "explain: /bucket/key is needed";
    }

    /* once more as a client would send it: by the rules of the reader */

    size = 3 * text.len;

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return "no memory";
    }

    s3c_writer_init(&w, p, size);
    s3c_uri_encode(&w, text, true);

    if (s3c_s3_address_parse(&e->addr, S3C_SLICE_NONE, s3c_writer_slice(&w),
                             NULL, 0, &err)
        != S3C_OK)
    {
        return s3c_s3_error_message(err);
    }

    if (e->addr.bucket.len == 0 || e->addr.key.len == 0) {
        return "explain: /bucket/key is needed";
    }

    e->version_id = S3C_SLICE_NONE;

    if (ngx_http_arg(r, (u_char *) "versionId", 9, &value) == NGX_OK
        && explain_arg(r, &value, S3C_WIRE_VERSION_ID_MAX, &e->version_id)
           != NGX_OK)
    {
        return "versionId: too long, or a percent sign without two hex digits";
    }

    if (ngx_http_arg(r, (u_char *) "offset", 6, &value) == NGX_OK) {
        offset = ngx_atoof(value.data, value.len);

        if (offset == NGX_ERROR) {
            return "offset: a number of bytes is needed";
        }

        e->offset = (uint64_t) offset;
        e->with_offset = 1;
    }

    return explain_zone(e);
}


/* Decoded once; '+' is a plus, as in a path. */

static ngx_int_t
explain_arg(ngx_http_request_t *r, ngx_str_t *value, size_t max,
    s3c_slice_t *out)
{
    u_char        *p;
    s3c_writer_t   w;

    *out = S3C_SLICE_NONE;

    if (value->len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, max);
    if (p == NULL) {
        return NGX_ERROR;
    }

    s3c_writer_init(&w, p, max);

    if (s3c_uri_decode(&w, ngx_http_s3_cache_slice(value), false) != S3C_OK
        || !s3c_writer_ok(&w))
    {
        return NGX_ERROR;
    }

    *out = s3c_writer_slice(&w);

    return NGX_OK;
}


static const char *
explain_zone(explain_t *e)
{
    ngx_str_t                        value, name;
    s3c_slice_t                      text;
    ngx_http_request_t              *r;
    ngx_http_s3_cache_zone_t       **zones;
    ngx_http_s3_cache_main_conf_t   *mcf;

    r = e->request;
    mcf = ngx_http_get_module_main_conf(r, ngx_http_s3_cache_module);

    if (ngx_http_arg(r, (u_char *) "zone", 4, &value) == NGX_OK) {

        if (explain_arg(r, &value, 256, &text) != NGX_OK) {
            return "zone: there is none of this name";
        }

        name.data = (u_char *) text.data;
        name.len = text.len;
        e->zone = ngx_http_s3_cache_conf_zone_find(mcf, &name);

        if (e->zone == NULL) {
            return "zone: there is none of this name";
        }

    } else if (mcf->zones.nelts == 1) {
        zones = mcf->zones.elts;
        e->zone = zones[0];

    } else {
        return "zone: needed where there is not just one";
    }

    if (e->zone->locations == NULL) {
        return "zone: no location uses it";
    }

    return NULL;
}
