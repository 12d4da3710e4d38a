/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_events: its parameters, and what its location must have. Of tokens
 * only digests are kept, and no message holds a byte of one.
 */

#include "ngx_http_s3_cache_events.h"
#include "ngx_http_s3_cache_origin_internal.h"
#include "ngx_http_s3_cache_secret.h"


/* who guesses one could empty the cache */
#define EVENTS_TOKEN_MIN  16


static ngx_int_t ngx_http_s3_cache_events_param(ngx_conf_t *cf,
    ngx_http_s3_cache_events_conf_t *ecf, ngx_str_t *param);
static ngx_int_t ngx_http_s3_cache_events_add_token(ngx_conf_t *cf,
    ngx_http_s3_cache_events_conf_t *ecf, ngx_str_t *text);
static ngx_int_t ngx_http_s3_cache_events_add_confirm(ngx_conf_t *cf,
    ngx_http_s3_cache_events_conf_t *ecf, ngx_str_t *url);
static ngx_int_t ngx_http_s3_cache_events_sns_url(ngx_conf_t *cf,
    ngx_http_s3_cache_events_conf_t *ecf);
static char *ngx_http_s3_cache_events_sns_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf);


/* s3_cache_events token=text | token_file=path ... [topic=arn]
       [confirm=url | off] [refresh] */

char *
ngx_http_s3_cache_events_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_str_t                        *value;
    ngx_uint_t                        i;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_s3_cache_events_conf_t  *ecf;

    if (lcf->events != NULL) {
        return "is duplicate";
    }

    ecf = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_events_conf_t));
    if (ecf == NULL
        || ngx_array_init(&ecf->tokens, cf->pool, 1,
                          sizeof(ngx_http_s3_cache_events_token_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ecf->file = cf->conf_file->file.name;
    ecf->line = cf->conf_file->line;
    ecf->confirms = 1;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        switch (ngx_http_s3_cache_events_param(cf, ecf, &value[i])) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            /* not shown: a mistyped name may have a secret behind it */
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter number %ui of \"%V\"", i,
                               &value[0]);
            /* fall through */

        default:
            return NGX_CONF_ERROR;
        }
    }

    if (ecf->tokens.nelts == 0) {
        return "needs \"token=\" or \"token_file=\": without one anybody "
               "could empty the cache";
    }

    if (ecf->topic.len == 0 && (ecf->confirm.len > 0 || !ecf->confirms)) {
        return "needs \"topic=\" for \"confirm=\"";
    }

    if (ecf->topic.len > 0 && ecf->confirms && ecf->confirm.len == 0
        && ngx_http_s3_cache_events_sns_url(cf, ecf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_s3_cache_events_handler;

    lcf->events = ecf;

    return NGX_CONF_OK;
}


/* NGX_DECLINED: there is no such parameter; of NGX_ERROR it was told why. */

static ngx_int_t
ngx_http_s3_cache_events_param(ngx_conf_t *cf,
    ngx_http_s3_cache_events_conf_t *ecf, ngx_str_t *param)
{
    ngx_str_t  value, line;

#define param_is(lit)                                                         \
    (param->len > sizeof(lit) - 1                                             \
     && ngx_strncmp(param->data, lit, sizeof(lit) - 1) == 0                   \
     && (value.data = param->data + sizeof(lit) - 1,                          \
         value.len = param->len - (sizeof(lit) - 1), 1))

    if (param_is("token=")) {
        return ngx_http_s3_cache_events_add_token(cf, ecf, &value);
    }

    if (param_is("token_file=")) {
        /* what the reader of secrets knows as "file=path" */
        value.data -= sizeof("file=") - 1;
        value.len += sizeof("file=") - 1;

        return ngx_http_s3_cache_secret_line(cf, &value, &line) == NGX_OK
               ? ngx_http_s3_cache_events_add_token(cf, ecf, &line)
               : NGX_ERROR;
    }

    if (param_is("topic=") && ecf->topic.len == 0) {
        ecf->topic = value;
        return NGX_OK;
    }

    if (param_is("confirm=") && ecf->confirm.len == 0 && ecf->confirms) {
        return ngx_http_s3_cache_events_add_confirm(cf, ecf, &value);
    }

#undef param_is

    if (ngx_strcmp(param->data, "refresh") == 0 && !ecf->refresh) {
        ecf->refresh = 1;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_s3_cache_events_add_token(ngx_conf_t *cf,
    ngx_http_s3_cache_events_conf_t *ecf, ngx_str_t *text)
{
    size_t                             i;
    ngx_http_s3_cache_events_token_t  *token;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] <= ' ' || text->data[i] >= 0x7f) {
            break;
        }
    }

    if (i < text->len || text->len < EVENTS_TOKEN_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a token of \"s3_cache_events\" must have at least "
                           "%d visible characters, and no space",
                           EVENTS_TOKEN_MIN);
        return NGX_ERROR;
    }

    token = ngx_array_push(&ecf->tokens);
    if (token == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_s3_cache_events_token(token, text);
}


static ngx_int_t
ngx_http_s3_cache_events_add_confirm(ngx_conf_t *cf,
    ngx_http_s3_cache_events_conf_t *ecf, ngx_str_t *url)
{
    char        *err;
    ngx_str_t    rest;
    ngx_uint_t   ssl;

    if (url->len == 3 && ngx_strncmp(url->data, "off", 3) == 0) {
        ecf->confirms = 0;
        return NGX_OK;
    }

    err = ngx_http_s3_cache_origin_url_parse(url, &rest, &ssl);

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"confirm=%V\" %s", url,
                           err);
        return NGX_ERROR;
    }

    ecf->confirm = *url;

    return NGX_OK;
}


/* SNS of the region that the topic names: arn:aws:sns:REGION:ACCOUNT:NAME. */

static ngx_int_t
ngx_http_s3_cache_events_sns_url(ngx_conf_t *cf,
    ngx_http_s3_cache_events_conf_t *ecf)
{
    size_t       i, n;
    u_char      *p;
    ngx_str_t    region;
    ngx_uint_t   china;

    static ngx_str_t  heads[] = {
        ngx_string("arn:aws:sns:"),
        ngx_string("arn:aws-us-gov:sns:"),
        ngx_string("arn:aws-cn:sns:")
    };

    for (n = 0; n < sizeof(heads) / sizeof(heads[0]); n++) {
        if (ecf->topic.len > heads[n].len
            && ngx_strncmp(ecf->topic.data, heads[n].data, heads[n].len) == 0)
        {
            break;
        }
    }

    china = (n == 2);

    if (n == sizeof(heads) / sizeof(heads[0])) {
        goto unknown;
    }

    region.data = ecf->topic.data + heads[n].len;

    for (i = 0; i < ecf->topic.len - heads[n].len; i++) {
        if (!((region.data[i] >= 'a' && region.data[i] <= 'z')
              || (region.data[i] >= '0' && region.data[i] <= '9')
              || region.data[i] == '-'))
        {
            break;
        }
    }

    region.len = i;

    if (i == 0 || i > 32 || region.data + i == ecf->topic.data + ecf->topic.len
        || region.data[i] != ':')
    {
        goto unknown;
    }

    p = ngx_pnalloc(cf->pool, sizeof("https://sns..amazonaws.com.cn") + i);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ecf->sns_conf.url.data = p;
    ecf->sns_conf.url.len = ngx_sprintf(p, "https://sns.%V.amazonaws.com%s",
                                        &region, china ? ".cn" : "")
                            - p;

    return NGX_OK;

unknown:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"topic=%V\" is not of a region that is known: say "
                       "\"confirm=\" https:// and the host of its SNS, or "
                       "\"confirm=off\"", &ecf->topic);
    return NGX_ERROR;
}


char *
ngx_http_s3_cache_events_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *prev, ngx_http_s3_cache_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_s3_cache_events_conf_t  *ecf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* "if" and "limit_except" within the location are no way around it */

    if (conf->events == NULL && clcf->noname && clcf->handler == NULL
        && prev->events != NULL)
    {
        conf->events = prev->events;
        clcf->handler = ngx_http_s3_cache_events_handler;
    }

    ecf = conf->events;

    if (ecf == NULL) {
        return NGX_CONF_OK;
    }

    if (clcf->handler != ngx_http_s3_cache_events_handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"s3_cache_events\" cannot stand beside what else "
                      "answers in location \"%V\" in %V:%ui", &clcf->name,
                      &ecf->file, ecf->line);
        return NGX_CONF_ERROR;
    }

    if (conf->zone == NULL || conf->origin == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"s3_cache_events\" needs \"s3_cache\" and "
                      "\"s3_cache_origin\", whose events they are, here or at "
                      "an outer level in %V:%ui", &ecf->file, ecf->line);
        return NGX_CONF_ERROR;
    }

    /* a document is read as a whole, in memory */

    if (clcf->client_max_body_size == 0
        || clcf->client_max_body_size > S3C_S3_EVENT_DOCUMENT_MAX)
    {
        clcf->client_max_body_size = S3C_S3_EVENT_DOCUMENT_MAX;
    }

    clcf->client_body_buffer_size = S3C_S3_EVENT_DOCUMENT_MAX;

    return ngx_http_s3_cache_events_sns_merge(cf, conf);
}


static char *
ngx_http_s3_cache_events_sns_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf)
{
    ngx_str_t                         url;
    ngx_http_s3_cache_origin_conf_t  *ocf;
    ngx_http_s3_cache_events_conf_t  *ecf;

    ecf = conf->events;

    if (ecf->topic.len == 0 || !ecf->confirms || ecf->sns != NULL) {
        return NGX_CONF_OK;
    }

    ocf = &ecf->sns_conf;
    url = ecf->confirm.len > 0 ? ecf->confirm : ocf->url;

    ngx_http_s3_cache_origin_conf_init(ocf);

    ocf->url = url;
    ocf->file = ecf->file;
    ocf->line = ecf->line;
    ocf->credentials = 0;
    ocf->keepalive = 0;
    ngx_str_set(&ocf->ssl_name, "");

    if (ecf->confirm.len == 0) {
        /* Amazon's own is verified whatever the origin is */
        ocf->ssl_verify = 1;
        ngx_str_set(&ocf->ssl_trusted_certificate, "");
    }

    return ngx_http_s3_cache_origin_conf_merge(cf, &conf->origin_conf, ocf,
                                               &ecf->sns);
}
