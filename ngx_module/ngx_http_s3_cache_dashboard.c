/* SPDX-License-Identifier: Apache-2.0
 *
 * The content handler of s3_cache_dashboard:
 *
 *   GET                  the page
 *   GET ?settings        what the directive says, for the page
 *   GET ?anything else   what s3_cache_status answers to that
 *
 * so that one location, with its rules of access, is all that the page needs.
 * The page is the files of dashboard/ in a row, put into the module when it is
 * assembled. Its script and its style are known to the browser by their
 * SHA-256, which is reckoned of those very bytes when the directive is read:
 * nothing that is slipped into the page can run.
 */

#include "ngx_http_s3_cache_dashboard.h"
#include "ngx_http_s3_cache_module.h"
#include "ngx_http_s3_cache_status.h"

#include "base/digest.h"


#define PRICE_INTEGER  9               /* digits at most */
#define PRICE_DECIMALS 9
#define POLICY_MAX     512

#define FILE(name)  ".incbin \"dashboard/" name "\"\n"
#define LABEL(name)                                                           \
    ".globl s3c_dashboard_" name "\n"                                         \
    ".hidden s3c_dashboard_" name "\n"                                        \
    "s3c_dashboard_" name ":\n"

/* found where headers are, in the folder of this file */

__asm__(".pushsection .rodata\n"
        LABEL("page") FILE("head.html")
        LABEL("style") FILE("style.css")
        LABEL("body") FILE("body.html")
        LABEL("script") FILE("units.js") FILE("model.js") FILE("chart.js")
                        FILE("panels.js") FILE("tables.js") FILE("main.js")
        LABEL("tail") FILE("tail.html")
        LABEL("end")
        ".popsection\n");

#define EXTERN(name)                                                          \
    extern const u_char  s3c_dashboard_##name[]                               \
        __attribute__((visibility("hidden")))

EXTERN(page);
EXTERN(style);
EXTERN(body);
EXTERN(script);
EXTERN(tail);
EXTERN(end);


struct ngx_http_s3_cache_dashboard_s {
    ngx_str_t  price_requests;         /* of 1000; decimal, empty: not said */
    ngx_str_t  price_gb;
    ngx_str_t  currency;
    ngx_str_t  policy;                 /* Content-Security-Policy */
};

typedef struct ngx_http_s3_cache_dashboard_s  ngx_http_s3_cache_dashboard_t;


static ngx_int_t ngx_http_s3_cache_dashboard_handler(ngx_http_request_t *r);
static ngx_int_t dashboard_page(ngx_http_request_t *r,
    ngx_http_s3_cache_dashboard_t *d);
static ngx_int_t dashboard_settings(ngx_http_request_t *r,
    ngx_http_s3_cache_dashboard_t *d);


/* --- the directive -------------------------------------------------------- */

/* What JSON takes as it is, and no exponents. */

static ngx_uint_t
dashboard_is_price(ngx_str_t *s)
{
    size_t  i, point;

    for (point = 0; point < s->len && s->data[point] != '.'; point++) {
        /* void */
    }

    if (point == 0 || point > PRICE_INTEGER
        || (point > 1 && s->data[0] == '0')
        || (point < s->len && s->len - point - 1 == 0)
        || s->len > point + 1 + PRICE_DECIMALS)
    {
        return 0;
    }

    for (i = 0; i < s->len; i++) {
        if (i != point && (s->data[i] < '0' || s->data[i] > '9')) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
dashboard_is_currency(ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < 'A' || s->data[i] > 'Z') {
            return 0;
        }
    }

    return s->len == 3;
}


static char *
dashboard_param(ngx_conf_t *cf, ngx_http_s3_cache_dashboard_t *d,
    ngx_str_t *word)
{
    size_t      i, len;
    ngx_str_t  *field, value;

    static const struct {
        const char  *name;
        size_t       field;
        ngx_uint_t (*is)(ngx_str_t *s);
        const char  *must;
    } params[] = {
        { "price_requests=",
          offsetof(ngx_http_s3_cache_dashboard_t, price_requests),
          dashboard_is_price, "a decimal number" },
        { "price_gb=", offsetof(ngx_http_s3_cache_dashboard_t, price_gb),
          dashboard_is_price, "a decimal number" },
        { "currency=", offsetof(ngx_http_s3_cache_dashboard_t, currency),
          dashboard_is_currency, "three capital letters" }
    };

    for (i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        len = ngx_strlen(params[i].name);

        if (word->len < len
            || ngx_strncmp(word->data, params[i].name, len) != 0)
        {
            continue;
        }

        value.data = word->data + len;
        value.len = word->len - len;
        field = (ngx_str_t *) ((u_char *) d + params[i].field);

        if (field->data != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\" in "
                               "\"s3_cache_dashboard\"", word);
            return NGX_CONF_ERROR;
        }

        if (!params[i].is(&value)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"s3_cache_dashboard\": %s is needed", word,
                               params[i].must);
            return NGX_CONF_ERROR;
        }

        *field = value;

        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" in \"s3_cache_dashboard\"",
                       word);

    return NGX_CONF_ERROR;
}


static ngx_int_t
dashboard_hash(const u_char *from, const u_char *to, u_char base64[44])
{
    uint8_t    sum[S3C_DIGEST_SHA256_BYTES];
    ngx_str_t  in, out;

    if (s3c_sha256(s3c_slice(from, to - from), sum) != S3C_OK) {
        return NGX_ERROR;
    }

    in.data = sum;
    in.len = sizeof(sum);
    out.data = base64;

    ngx_encode_base64(&out, &in);

    return out.len == 44 ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
dashboard_policy(ngx_conf_t *cf, ngx_http_s3_cache_dashboard_t *d)
{
    u_char  style[44], script[44];

    if (dashboard_hash(s3c_dashboard_style, s3c_dashboard_body, style)
        != NGX_OK
        || dashboard_hash(s3c_dashboard_script, s3c_dashboard_tail, script)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    d->policy.data = ngx_pnalloc(cf->pool, POLICY_MAX);
    if (d->policy.data == NULL) {
        return NGX_ERROR;
    }

    d->policy.len = ngx_snprintf(d->policy.data, POLICY_MAX,
                        "default-src 'none'; script-src 'sha256-%*s'; "
                        "style-src 'sha256-%*s'; connect-src 'self'; "
                        "img-src data:; base-uri 'none'; "
                        "form-action 'none'; frame-ancestors 'none'; "
                        "require-trusted-types-for 'script'; "
                        "trusted-types 'none'",
                        (size_t) 44, script, (size_t) 44, style)
                    - d->policy.data;

    return NGX_OK;
}


char *
ngx_http_s3_cache_dashboard_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_s3_cache_dashboard_t  *d;

    if (lcf->dashboard != NULL) {
        return "is duplicate";
    }

    d = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_dashboard_t));
    if (d == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        if (dashboard_param(cf, d, &value[i]) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (d->currency.len == 0) {
        ngx_str_set(&d->currency, "USD");
    }

    if (dashboard_policy(cf, d) != NGX_OK) {
        return "cannot reckon the SHA-256 of its page";
    }

    lcf->dashboard = d;
    lcf->guarded = 1;                  /* its numbers are status.c's */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_s3_cache_dashboard_handler;

    return NGX_CONF_OK;
}


/* --- requests ------------------------------------------------------------- */

static ngx_int_t
ngx_http_s3_cache_dashboard_handler(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_http_s3_cache_loc_conf_t   *lcf;
    ngx_http_s3_cache_dashboard_t  *d;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_s3_cache_module);
    d = lcf->dashboard;

    if (r->args.len > 0
        && !(r->args.len == sizeof("settings") - 1
             && ngx_strncmp(r->args.data, "settings", r->args.len) == 0))
    {
        return ngx_http_s3_cache_status_handler(r);
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return r->args.len > 0 ? dashboard_settings(r, d) : dashboard_page(r, d);
}


static ngx_int_t
dashboard_header(ngx_http_request_t *r, const char *name, const char *value,
    size_t len)
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
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = len;

    return NGX_OK;
}

#define header(r, name, lit)                                                  \
    dashboard_header(r, name, lit, sizeof(lit) - 1)


static ngx_int_t
dashboard_page(ngx_http_request_t *r, ngx_http_s3_cache_dashboard_t *d)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (dashboard_header(r, "Content-Security-Policy",
                         (char *) d->policy.data, d->policy.len)
        != NGX_OK
        || header(r, "X-Content-Type-Options", "nosniff") != NGX_OK
        || header(r, "Referrer-Policy", "no-referrer") != NGX_OK
        || header(r, "Cache-Control", "no-store") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = (u_char *) s3c_dashboard_page;
    b->last = (u_char *) s3c_dashboard_end;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "text/html");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    ngx_str_set(&r->headers_out.charset, "utf-8");

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static void
dashboard_price(s3c_writer_t *w, const char *name, ngx_str_t *price)
{
    s3c_write_str(w, name);

    if (price->len == 0) {
        s3c_write_lit(w, "null");

    } else {
        s3c_write_bytes(w, price->data, price->len);
    }
}


static ngx_int_t
dashboard_settings(ngx_http_request_t *r, ngx_http_s3_cache_dashboard_t *d)
{
    size_t        size;
    u_char       *p;
    s3c_writer_t  w;

    size = 256 + 6 * ngx_cycle->hostname.len;

    p = ngx_palloc(r->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s3c_writer_init(&w, p, size);
    s3c_write_lit(&w, "{\"host\":");
    s3c_stats_write_string(&w, ngx_http_s3_cache_slice(
                                   (ngx_str_t *) &ngx_cycle->hostname));
    dashboard_price(&w, ",\"price_requests\":", &d->price_requests);
    dashboard_price(&w, ",\"price_gb\":", &d->price_gb);
    s3c_write_lit(&w, ",\"currency\":\"");
    s3c_write_bytes(&w, d->currency.data, d->currency.len);
    s3c_write_lit(&w, "\"}\n");

    if (!s3c_writer_ok(&w)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_s3_cache_status_send(r, NGX_HTTP_OK, &w);
}
