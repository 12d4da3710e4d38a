/* SPDX-License-Identifier: Apache-2.0
 *
 * Services that give keys, as the parameters and the environment of the master
 * name them: workers have no environment. The names of the variables and what
 * they mean are those of AWS's SDKs. A URL or token is never printed when it
 * is refused.
 */

#include "ngx_http_s3_cache_origin_internal.h"
#include "ngx_http_s3_cache_origin_keys.h"
#include "s3/s3_uri.h"


#define METADATA_URL     "http://169.254.169.254"
#define METADATA_URL_V6  "http://[fd00:ec2::254]"
#define CONTAINER_URL    "http://169.254.170.2"
#define SESSION_NAME     "nginx-s3-cache"
#define ARN_MAX          2048


static char *keys_env_target(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t *keys, const ngx_str_t *value);
static ngx_uint_t keys_env_is_local(ngx_str_t *rest);
static char *keys_env_web_identity(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_params_t *params);
static ngx_int_t keys_env_sts(ngx_conf_t *cf, ngx_str_t *url);
static char *keys_env_url(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t *keys, const ngx_str_t *value,
    const char *what);
static ngx_uint_t keys_env_is_word(const ngx_str_t *value);
static ngx_uint_t keys_env_get(const char *name, ngx_str_t *value);
static ngx_int_t keys_env_copy(ngx_conf_t *cf, ngx_str_t *dst,
    const ngx_str_t *src);


char *
ngx_http_s3_cache_origin_keys_container(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t **keys)
{
    char       *rv;
    ngx_str_t   value, name;

    ngx_str_set(&name, "container");

    *keys = ngx_http_s3_cache_origin_keys_create(cf,
                          NGX_HTTP_S3_CACHE_ORIGIN_KEYS_CONTAINER, &name);
    if (*keys == NULL) {
        return NGX_CONF_ERROR;
    }

    if (keys_env_get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", &value)) {

        if (value.data[0] != '/') {
            return "needs a path in AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        }

        ngx_str_set(&(*keys)->url, CONTAINER_URL);

    } else if (!keys_env_get("AWS_CONTAINER_CREDENTIALS_FULL_URI", &value)) {
        return "needs AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or "
               "AWS_CONTAINER_CREDENTIALS_FULL_URI in the environment";
    }

    rv = keys_env_target(cf, *keys, &value);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (keys_env_get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &value)) {
        if (keys_env_copy(cf, &(*keys)->token_file, &value) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else if (keys_env_get("AWS_CONTAINER_AUTHORIZATION_TOKEN", &value)
               && keys_env_copy(cf, &(*keys)->authorization, &value)
                  != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_s3_cache_origin_keys_register(cf, keys);
}


/* A path behind keys->url, or without that all of a URL. */

static char *
keys_env_target(ngx_conf_t *cf, ngx_http_s3_cache_origin_keys_t *keys,
    const ngx_str_t *value)
{
    u_char        *p, *last, *slash, *query;
    ngx_str_t      copy, rest;
    ngx_uint_t     ssl;
    s3c_writer_t   w;

    if (keys_env_copy(cf, &copy, value) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    p = copy.data;
    last = p + copy.len;

    if (keys->url.len) {
        slash = p;

    } else {
        slash = (u_char *) ngx_strstr(p, "://");
        slash = slash ? ngx_strlchr(slash + 3, last, '/') : NULL;

        keys->url.data = p;
        keys->url.len = (slash ? slash : last) - p;

        if (ngx_http_s3_cache_origin_url_parse(&keys->url, &rest, &ssl)
            != NULL)
        {
            return "has an invalid URL in AWS_CONTAINER_CREDENTIALS_FULL_URI";
        }

        /* else the token would go to whoever reads along */

        if (!ssl && !keys_env_is_local(&rest)) {
            return "may use AWS_CONTAINER_CREDENTIALS_FULL_URI with https, "
                   "or with an address of this machine or link only";
        }
    }

    if (slash == NULL) {
        ngx_str_set(&keys->path, "/");
        return NGX_CONF_OK;
    }

    query = ngx_strlchr(slash, last, '?');

    if (query) {
        keys->query.data = query + 1;
        keys->query.len = last - (query + 1);
        last = query;
    }

    s3c_writer_init(&w, slash, last - slash);

    if (s3c_uri_decode(&w, s3c_slice(slash, last - slash), false) != S3C_OK) {
        return "has an invalid path in the URL of the environment";
    }

    keys->path.data = slash;
    keys->path.len = s3c_writer_slice(&w).len;

    return NGX_CONF_OK;
}


/* rest is host[:port] */

static ngx_uint_t
keys_env_is_local(ngx_str_t *rest)
{
    u_char     *p;
    ngx_str_t   host;
    in_addr_t   addr;
#if (NGX_HAVE_INET6)
    struct in6_addr   addr6, pod;
#endif

    host = *rest;

    if (host.len > 0 && host.data[0] == '[') {

        p = ngx_strlchr(host.data, host.data + host.len, ']');

#if (NGX_HAVE_INET6)
        /* and that of EKS Pod Identity, which is no link's */

        return p != NULL
               && ngx_inet6_addr(host.data + 1, p - host.data - 1,
                                 addr6.s6_addr) == NGX_OK
               && ngx_inet6_addr((u_char *) "fd00:ec2::23", 12, pod.s6_addr)
                  == NGX_OK
               && (IN6_IS_ADDR_LOOPBACK(&addr6)
                   || IN6_IS_ADDR_LINKLOCAL(&addr6)
                   || ngx_memcmp(&addr6, &pod, sizeof(addr6)) == 0);
#else
        return 0;
#endif
    }

    p = ngx_strlchr(host.data, host.data + host.len, ':');

    if (p) {
        host.len = p - host.data;
    }

    if (host.len == 9
        && ngx_strncasecmp(host.data, (u_char *) "localhost", 9) == 0)
    {
        return 1;
    }

    addr = ngx_inet_addr(host.data, host.len);

    if (addr == INADDR_NONE) {
        return 0;
    }

    addr = ntohl(addr);

    return (addr >> 24) == 127 || (addr >> 16) == ((169 << 8) | 254);
}


char *
ngx_http_s3_cache_origin_keys_instance(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_params_t *params,
    ngx_http_s3_cache_origin_keys_t **keys)
{
    char        *rv;
    u_char      *p;
    ngx_str_t    value, name;
    const char  *what;

    static ngx_str_t  v4 = ngx_string(METADATA_URL);
    static ngx_str_t  v6 = ngx_string(METADATA_URL_V6);

    if (params->role.len && !keys_env_is_word(&params->role)) {
        return "has an invalid name in \"role\"";
    }

    name.len = sizeof("instance role= endpoint=") + params->role.len
               + params->endpoint.len;
    name.data = ngx_pnalloc(cf->pool, name.len);
    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_sprintf(name.data, "instance%s%V%s%V",
                    params->role.len ? " role=" : "", &params->role,
                    params->endpoint.len ? " endpoint=" : "",
                    &params->endpoint);
    name.len = p - name.data;

    *keys = ngx_http_s3_cache_origin_keys_create(cf,
                          NGX_HTTP_S3_CACHE_ORIGIN_KEYS_INSTANCE, &name);
    if (*keys == NULL) {
        return NGX_CONF_ERROR;
    }

    (*keys)->role = params->role;
    what = "\"endpoint\"";

    if (params->endpoint.len) {
        value = params->endpoint;

    } else if (keys_env_get("AWS_EC2_METADATA_SERVICE_ENDPOINT", &value)) {
        what = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

    } else {
        (*keys)->amazon = 1;
        value = v4;

        if (keys_env_get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", &value)) {
            value = (value.len == 4
                     && ngx_strncasecmp(value.data, (u_char *) "ipv6", 4) == 0)
                    ? v6 : v4;
        }
    }

    rv = keys_env_url(cf, *keys, &value, what);

    return rv == NGX_CONF_OK
           ? ngx_http_s3_cache_origin_keys_register(cf, keys) : rv;
}


char *
ngx_http_s3_cache_origin_keys_web_identity(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_params_t *params,
    ngx_http_s3_cache_origin_keys_t **keys)
{
    char        *rv;
    u_char      *p;
    ngx_str_t    name, value;
    const char  *what;

    rv = keys_env_web_identity(cf, params);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    name.len = sizeof("web_identity role_arn= endpoint=")
               + params->role_arn.len + params->endpoint.len;
    name.data = ngx_pnalloc(cf->pool, name.len);
    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_sprintf(name.data, "web_identity role_arn=%V%s%V",
                    &params->role_arn,
                    params->endpoint.len ? " endpoint=" : "",
                    &params->endpoint);
    name.len = p - name.data;

    *keys = ngx_http_s3_cache_origin_keys_create(cf,
                          NGX_HTTP_S3_CACHE_ORIGIN_KEYS_WEB_IDENTITY, &name);

    if (*keys == NULL
        || keys_env_copy(cf, &(*keys)->role, &params->role_arn) != NGX_OK
        || keys_env_copy(cf, &(*keys)->session_name, &params->session_name)
           != NGX_OK
        || keys_env_copy(cf, &(*keys)->token_file, &params->token_file)
           != NGX_OK
        || ngx_conf_full_name(cf->cycle, &(*keys)->token_file, 1) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    what = "\"endpoint\"";

    if (params->endpoint.len) {
        value = params->endpoint;

    } else if (keys_env_get("AWS_ENDPOINT_URL_STS", &value)) {
        what = "AWS_ENDPOINT_URL_STS";

    } else {
        (*keys)->amazon = 1;
        what = "AWS_REGION";

        if (keys_env_sts(cf, &value) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    rv = keys_env_url(cf, *keys, &value, what);

    return rv == NGX_CONF_OK
           ? ngx_http_s3_cache_origin_keys_register(cf, keys) : rv;
}


static char *
keys_env_web_identity(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_params_t *params)
{
    size_t  i;

    if (params->role_arn.len == 0
        && !keys_env_get("AWS_ROLE_ARN", &params->role_arn))
    {
        return "needs \"role_arn\", or AWS_ROLE_ARN in the environment";
    }

    if (params->role_arn.len > ARN_MAX
        || ngx_strncmp(params->role_arn.data, "arn:", 4) != 0)
    {
        return "needs an ARN as \"role_arn\"";
    }

    for (i = 0; i < params->role_arn.len; i++) {
        if (params->role_arn.data[i] <= ' ' || params->role_arn.data[i] > '~')
        {
            return "needs an ARN as \"role_arn\"";
        }
    }

    if (params->token_file.len == 0
        && !keys_env_get("AWS_WEB_IDENTITY_TOKEN_FILE", &params->token_file))
    {
        return "needs \"token_file\", or AWS_WEB_IDENTITY_TOKEN_FILE in the "
               "environment";
    }

    if (params->session_name.len == 0
        && !keys_env_get("AWS_ROLE_SESSION_NAME", &params->session_name))
    {
        ngx_str_set(&params->session_name, SESSION_NAME);
    }

    if (params->session_name.len < 2
        || !keys_env_is_word(&params->session_name))
    {
        return "has an invalid \"session_name\"";
    }

    return NGX_CONF_OK;
}


/* The STS of the region, or that of all. */

static ngx_int_t
keys_env_sts(ngx_conf_t *cf, ngx_str_t *url)
{
    ngx_str_t  region;

    if (!keys_env_get("AWS_REGION", &region)
        && !keys_env_get("AWS_DEFAULT_REGION", &region))
    {
        ngx_str_set(url, "https://sts.amazonaws.com");
        return NGX_OK;
    }

    url->data = ngx_pnalloc(cf->pool, region.len
                            + sizeof("https://sts..amazonaws.com.cn"));
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    url->len = ngx_sprintf(url->data, "https://sts.%V.amazonaws.com%s",
                           &region,
                           ngx_strncmp(region.data, "cn-", 3) == 0 ? ".cn"
                                                                   : "")
               - url->data;

    return NGX_OK;
}


/* SDKs take it with a slash at its end. */

static char *
keys_env_url(ngx_conf_t *cf, ngx_http_s3_cache_origin_keys_t *keys,
    const ngx_str_t *value, const char *what)
{
    char        *err;
    ngx_str_t    rest;
    ngx_uint_t   ssl;

    if (keys_env_copy(cf, &keys->url, value) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (keys->url.len && keys->url.data[keys->url.len - 1] == '/') {
        keys->url.len--;
    }

    err = ngx_http_s3_cache_origin_url_parse(&keys->url, &rest, &ssl);

    if (err != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the URL in %s %s", what,
                           err);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* A name of a role or session, by the rules of IAM. */

static ngx_uint_t
keys_env_is_word(const ngx_str_t *value)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9')
            && (ch == '\0' || ngx_strchr("+=,.@_-", ch) == NULL))
        {
            return 0;
        }
    }

    return value->len > 0 && value->len <= 64;
}


static ngx_uint_t
keys_env_get(const char *name, ngx_str_t *value)
{
    char  *p;

    p = getenv(name);

    if (p == NULL || *p == '\0') {
        return 0;
    }

    value->data = (u_char *) p;
    value->len = ngx_strlen(p);

    return 1;
}


/* NUL-terminated. */

static ngx_int_t
keys_env_copy(ngx_conf_t *cf, ngx_str_t *dst, const ngx_str_t *src)
{
    u_char  *p;

    p = ngx_pnalloc(cf->pool, src->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, src->data, src->len);
    p[src->len] = '\0';

    dst->data = p;
    dst->len = src->len;

    return NGX_OK;
}
