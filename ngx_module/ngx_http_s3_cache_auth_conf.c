/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of s3_cache_auth: what of a signature is accepted.
 */

#include "ngx_http_s3_cache_auth.h"


static char *auth_words(ngx_conf_t *cf, ngx_array_t **words, const char *what,
    size_t max);


/* s3_cache_auth_hosts host[:port] ... */

char *
ngx_http_s3_cache_auth_hosts_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    if (cf->args->nelts - 1 > S3C_SIGV4_HOSTS_MAX) {
        return "takes at most 16 hosts";
    }

    return auth_words(cf, &lcf->auth_hosts, "host", NGX_MAXHOSTNAMELEN);
}


/* s3_cache_auth_regions region ... */

char *
ngx_http_s3_cache_auth_regions_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    return auth_words(cf, &lcf->auth_regions, "region", S3C_SIGV4_REGION_MAX);
}


static char *
auth_words(ngx_conf_t *cf, ngx_array_t **words, const char *what, size_t max)
{
    size_t        k;
    ngx_str_t    *value;
    ngx_uint_t    i;
    s3c_slice_t  *word;

    if (*words != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    *words = ngx_array_create(cf->pool, 2, sizeof(s3c_slice_t));
    if (*words == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < value[i].len; k++) {
            if (value[i].data[k] <= ' ' || value[i].data[k] >= 0x7f
                || value[i].data[k] == '/')
            {
                break;
            }
        }

        if (value[i].len == 0 || value[i].len > max || k < value[i].len) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid %s \"%V\"",
                               what, &value[i]);
            return NGX_CONF_ERROR;
        }

        word = ngx_array_push(*words);
        if (word == NULL) {
            return NGX_CONF_ERROR;
        }

        *word = ngx_http_s3_cache_slice(&value[i]);
    }

    return NGX_CONF_OK;
}


char *
ngx_http_s3_cache_auth_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *prev, ngx_http_s3_cache_loc_conf_t *conf)
{
    s3c_sigv4_rules_t  *rules;

    ngx_conf_merge_uint_value(conf->auth, prev->auth,
                              NGX_HTTP_S3_CACHE_AUTH_OFF);
    ngx_conf_merge_ptr_value(conf->keyring, prev->keyring, NULL);
    ngx_conf_merge_ptr_value(conf->auth_hosts, prev->auth_hosts, NULL);
    ngx_conf_merge_ptr_value(conf->auth_regions, prev->auth_regions, NULL);
    ngx_conf_merge_sec_value(conf->auth_skew, prev->auth_skew,
                             S3C_SIGV4_SKEW_SEC);
    ngx_conf_merge_sec_value(conf->auth_presigned_max,
                             prev->auth_presigned_max,
                             S3C_SIGV4_PRESIGNED_MAX_SEC);
    ngx_conf_merge_value(conf->auth_v2, prev->auth_v2, 0);
    ngx_conf_merge_sec_value(conf->auth_valid, prev->auth_valid, 10);

    if (conf->auth_presigned_max > S3C_SIGV4_PRESIGNED_MAX_SEC) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"s3_cache_auth_presigned_max\" must be at most "
                           "7 days, as at S3");
        return NGX_CONF_ERROR;
    }

    rules = &conf->signing;

    if (conf->auth_hosts) {
        rules->hosts = conf->auth_hosts->elts;
        rules->n_hosts = conf->auth_hosts->nelts;
    }

    if (conf->auth_regions) {
        rules->regions = conf->auth_regions->elts;
        rules->n_regions = conf->auth_regions->nelts;
    }

    rules->skew_sec = conf->auth_skew;
    rules->presigned_max_sec = conf->auth_presigned_max;
    rules->allow_v2_presigned = conf->auth_v2;

    return NGX_CONF_OK;
}


/* Of a location that answers clients. */

char *
ngx_http_s3_cache_auth_check(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *conf)
{
    if (conf->auth == NGX_HTTP_S3_CACHE_AUTH_KEYS && conf->keyring == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"s3_cache_auth keys\" needs "
                           "\"s3_cache_credentials\"");
        return NGX_CONF_ERROR;
    }

    return ngx_http_s3_cache_auth_origin_check(cf, conf);
}
