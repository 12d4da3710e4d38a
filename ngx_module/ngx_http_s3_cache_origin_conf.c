/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of the origin: their directives, defaults and inheritance. A URL
 * is never printed when it is refused: it may be wrong by a password in it.
 */

#include "ngx_http_s3_cache_origin_internal.h"
#include "ngx_http_s3_cache_origin_keys.h"


char *
ngx_http_s3_cache_origin_url_parse(ngx_str_t *url, ngx_str_t *rest,
    ngx_uint_t *ssl)
{
    u_char      ch;
    size_t      i;
    ngx_uint_t  literal;

    if (ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0) {
        *ssl = 0;
        rest->data = url->data + 7;
        rest->len = url->len - 7;

    } else if (ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0) {
        *ssl = 1;
        rest->data = url->data + 8;
        rest->len = url->len - 8;

    } else {
        return "must begin with \"http://\" or \"https://\"";
    }

    if (rest->len == 0) {
        return "has no host";
    }

    if (rest->len > 255) {
        return "is too long";
    }

    literal = (rest->data[0] == '[');

    for (i = 0; i < rest->len; i++) {
        ch = rest->data[i];

        if (ch == '/') {
            return "must not have a path, not even \"/\"";
        }

        if (ch == '@') {
            return "must not have a user or password";
        }

        if (ch == '?' || ch == '#') {
            return "must not have a query or fragment";
        }

        if (ch == '$') {
            return "must not have variables";
        }

        if ((ch >= '0' && ch <= '9')
            || (ch >= 'a' && ch <= 'z')
            || (ch >= 'A' && ch <= 'Z')
            || ch == '.' || ch == '-' || ch == '_' || ch == ':'
            || (literal && (ch == '[' || ch == ']')))
        {
            continue;
        }

        return "has an invalid character in the host";
    }

    return NULL;
}


char *
ngx_http_s3_cache_origin_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_origin_conf_t  *ocf;

    char        *err;
    ngx_str_t   *value, rest;
    ngx_uint_t   ssl;

    ocf = (ngx_http_s3_cache_origin_conf_t *) ((char *) conf + cmd->offset);

    if (ocf->url.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    err = ngx_http_s3_cache_origin_url_parse(&value[1], &rest, &ssl);

    if (err) {
        return err;
    }

    ocf->url = value[1];
    ocf->file = cf->conf_file->file.name;
    ocf->line = cf->conf_file->line;

    return NGX_CONF_OK;
}


void
ngx_http_s3_cache_origin_conf_init(ngx_http_s3_cache_origin_conf_t *conf)
{
    ngx_memzero(conf, sizeof(ngx_http_s3_cache_origin_conf_t));

    conf->credentials = NGX_CONF_UNSET;
    conf->ssl_verify = NGX_CONF_UNSET;
    conf->ssl_verify_depth = NGX_CONF_UNSET;
    conf->connect_timeout = NGX_CONF_UNSET_MSEC;
    conf->send_timeout = NGX_CONF_UNSET_MSEC;
    conf->read_timeout = NGX_CONF_UNSET_MSEC;
    conf->keepalive = NGX_CONF_UNSET_UINT;
    conf->keepalive_timeout = NGX_CONF_UNSET_MSEC;
    conf->tries = NGX_CONF_UNSET_UINT;
}


char *
ngx_http_s3_cache_origin_conf_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_conf_t *prev,
    ngx_http_s3_cache_origin_conf_t *conf, ngx_http_s3_cache_origin_t **origin)
{
    ngx_resolver_t            *resolver;
    ngx_http_core_loc_conf_t  *clcf;

    *origin = NULL;

    if (conf->url.data == NULL) {
        conf->url = prev->url;
        conf->file = prev->file;
        conf->line = prev->line;
    }

    conf->said = NGX_HTTP_S3_CACHE_CREDENTIALS_SAID;

    if (conf->credentials == NGX_CONF_UNSET
        && (prev->credentials == NGX_CONF_UNSET
            || prev->said == NGX_HTTP_S3_CACHE_CREDENTIALS_UNSAID))
    {
        conf->said = NGX_HTTP_S3_CACHE_CREDENTIALS_UNSAID;
    }

    if (conf->credentials == NGX_CONF_UNSET) {
        conf->credentials = prev->credentials;
        conf->access_key = prev->access_key;
        conf->secret_key = prev->secret_key;
        conf->session_token = prev->session_token;
        conf->keys = prev->keys;
    }

    ngx_conf_init_value(conf->credentials, 0);

    ngx_conf_merge_str_value(conf->region, prev->region, "us-east-1");
    ngx_conf_merge_str_value(conf->ssl_name, prev->ssl_name, "");
    ngx_conf_merge_value(conf->ssl_verify, prev->ssl_verify, 1);
    ngx_conf_merge_value(conf->ssl_verify_depth, prev->ssl_verify_depth, 5);
    ngx_conf_merge_str_value(conf->ssl_trusted_certificate,
                             prev->ssl_trusted_certificate, "");
    ngx_conf_merge_msec_value(conf->connect_timeout, prev->connect_timeout,
                              5000);
    ngx_conf_merge_msec_value(conf->send_timeout, prev->send_timeout, 30000);
    ngx_conf_merge_msec_value(conf->read_timeout, prev->read_timeout, 60000);
    ngx_conf_merge_uint_value(conf->keepalive, prev->keepalive, 64);
    ngx_conf_merge_msec_value(conf->keepalive_timeout,
                              prev->keepalive_timeout, 60000);
    ngx_conf_merge_uint_value(conf->tries, prev->tries, 3);

    if (conf->url.data == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->tries < 1 || conf->tries > NGX_HTTP_S3_CACHE_TRIES_MAX) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"s3_cache_origin_tries\" must be between 1 and %d "
                      "for the origin in %V:%ui",
                      NGX_HTTP_S3_CACHE_TRIES_MAX, &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_s3_cache_origin_keys_merge(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    /* core is module 0: its part of this location is merged already */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    resolver = clcf->resolver;

    if (conf->local || (resolver && resolver->connections.nelts == 0)) {
        resolver = NULL;
    }

    *origin = ngx_http_s3_cache_origin_build(cf, conf, resolver,
                                             clcf->resolver_timeout);

    return *origin ? NGX_CONF_OK : NGX_CONF_ERROR;
}
