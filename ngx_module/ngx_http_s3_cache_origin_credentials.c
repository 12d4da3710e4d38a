/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_origin_credentials: where the keys for the origin come from. Some
 * are read once, when the configuration is; others come from a source that
 * gives new ones (origin_keys). No message ever holds a byte of them, nor of
 * an argument (a mistyped name may have a secret behind it).
 */

#include "ngx_http_s3_cache_origin_internal.h"
#include "ngx_http_s3_cache_origin_keys.h"
#include "ngx_http_s3_cache_secret.h"
#include "auth/credentials.h"


static char *credentials_from_args(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_conf_t *ocf);
static char *credentials_from_env(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_conf_t *ocf);
static char *credentials_from_file(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_conf_t *ocf, ngx_str_t *file,
    ngx_str_t *profile);
static ngx_int_t credentials_copy(ngx_conf_t *cf, ngx_str_t *dst,
    const void *data, size_t len);
static char *credentials_check(ngx_http_s3_cache_origin_conf_t *ocf);
static ngx_uint_t credentials_arg(ngx_str_t *arg, const char *name,
    ngx_str_t *value);


char *
ngx_http_s3_cache_origin_credentials_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_s3_cache_origin_conf_t  *ocf;

    char       *rv;
    ngx_str_t  *value, file, profile;

    ocf = (ngx_http_s3_cache_origin_conf_t *) ((char *) conf + cmd->offset);

    if (ocf->credentials != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "none") == 0) {
        ocf->credentials = 0;
        return NGX_CONF_OK;
    }

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "env") == 0) {
        rv = credentials_from_env(cf, ocf);

    } else if (ngx_strcmp(value[1].data, "container") == 0
               || ngx_strcmp(value[1].data, "instance") == 0
               || ngx_strcmp(value[1].data, "web_identity") == 0)
    {
        rv = ngx_http_s3_cache_origin_keys_conf(cf, &ocf->keys);

    } else if (credentials_arg(&value[1], "file=", &file)) {

        ngx_str_set(&profile, "default");

        if (cf->args->nelts > 3
            || (cf->args->nelts == 3
                && !credentials_arg(&value[2], "profile=", &profile)))
        {
            return "takes \"file=PATH [profile=NAME]\"";
        }

        rv = credentials_from_file(cf, ocf, &file, &profile);

    } else {
        rv = credentials_from_args(cf, ocf);
    }

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ocf->credentials = 1;

    return ocf->keys ? NGX_CONF_OK : credentials_check(ocf);
}


static ngx_uint_t
credentials_arg(ngx_str_t *arg, const char *name, ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(name);

    if (arg->len <= len || ngx_strncmp(arg->data, name, len) != 0) {
        return 0;
    }

    value->data = arg->data + len;
    value->len = arg->len - len;

    return 1;
}


static char *
credentials_from_args(ngx_conf_t *cf, ngx_http_s3_cache_origin_conf_t *ocf)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (credentials_arg(&value[i], "access_key=", &ocf->access_key)
            || credentials_arg(&value[i], "secret_key=", &ocf->secret_key)
            || credentials_arg(&value[i], "session_token=",
                               &ocf->session_token))
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter number %ui of \"%V\"",
                           i, &value[0]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
credentials_from_env(ngx_conf_t *cf, ngx_http_s3_cache_origin_conf_t *ocf)
{
    char        *p;
    ngx_str_t   *dst;
    ngx_uint_t   i;

    static const char  *names[] = {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN"
    };

    for (i = 0; i < 3; i++) {

        p = getenv(names[i]);

        if (p == NULL || *p == '\0') {

            if (i == 2) {
                break;
            }

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "environment variable \"%s\" is not set",
                               names[i]);
            return NGX_CONF_ERROR;
        }

        dst = (i == 0) ? &ocf->access_key
                       : (i == 1) ? &ocf->secret_key : &ocf->session_token;

        if (credentials_copy(cf, dst, p, ngx_strlen(p)) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
credentials_from_file(ngx_conf_t *cf, ngx_http_s3_cache_origin_conf_t *ocf,
    ngx_str_t *file, ngx_str_t *profile)
{
    char               *rv;
    ngx_str_t           text;
    s3c_status_t        st;
    s3c_credentials_t   cred;
    s3c_origin_keys_t   read;

    if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_s3_cache_secret_load(cf, file, &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rv = NGX_CONF_ERROR;

    st = s3c_credentials_parse(s3c_slice(text.data, text.len),
                               s3c_slice(profile->data, profile->len), &cred);

    if (st == S3C_MISS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no profile \"%V\" in \"%V\"", profile, file);

    } else if (st != S3C_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid credentials in \"%V\", line %ui",
                           file, (ngx_uint_t) cred.error_line);

    } else if (s3c_origin_keys_set(&read, cred.access_key, cred.secret_key,
                                   cred.session_token, 0)
               != S3C_OK)
    {
        rv = "must give an access key without \"/\", and keys that are not "
             "too long";

    } else {
        rv = ngx_http_s3_cache_origin_keys_conf_file(cf, file, profile, &read,
                                              &ocf->keys);
        ngx_explicit_memzero(&read, sizeof(s3c_origin_keys_t));
    }

    ngx_explicit_memzero(text.data, text.len);
    ngx_free(text.data);

    return rv;
}


static ngx_int_t
credentials_copy(ngx_conf_t *cf, ngx_str_t *dst, const void *data, size_t len)
{
    dst->len = len;

    if (len == 0) {
        dst->data = NULL;
        return NGX_OK;
    }

    dst->data = ngx_pnalloc(cf->pool, len);

    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dst->data, data, len);

    return NGX_OK;
}


/* They become header values: a control byte or a blank is a mistake. */

static char *
credentials_check(ngx_http_s3_cache_origin_conf_t *ocf)
{
    size_t       k;
    ngx_str_t   *str[3];
    ngx_uint_t   i;

    str[0] = &ocf->access_key;
    str[1] = &ocf->secret_key;
    str[2] = &ocf->session_token;

    if (str[0]->len == 0 || str[1]->len == 0) {
        return "must give an access key and a secret key";
    }

    for (i = 0; i < 3; i++) {
        for (k = 0; k < str[i]->len; k++) {
            if (str[i]->data[k] <= ' ' || str[i]->data[k] >= 0x7f) {
                return "must give printable keys without blanks";
            }
        }
    }

    if (ngx_strlchr(str[0]->data, str[0]->data + str[0]->len, '/')) {
        return "must give an access key without \"/\"";
    }

    return NGX_CONF_OK;
}
