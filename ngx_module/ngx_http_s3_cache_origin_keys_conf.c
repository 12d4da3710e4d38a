/* SPDX-License-Identifier: Apache-2.0
 *
 * Sources of keys as directives name them: parameters, who shares one, and
 * what a location adds when all of it is known.
 */

#include "ngx_http_s3_cache_origin_keys.h"


static char *keys_conf_params(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_kind_e kind,
    ngx_http_s3_cache_origin_keys_params_t *params);
static ngx_uint_t keys_conf_same(ngx_http_s3_cache_origin_keys_t *a,
    ngx_http_s3_cache_origin_keys_t *b);


char *
ngx_http_s3_cache_origin_keys_conf(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t **keys)
{
    char                                    *rv;
    ngx_str_t                               *value;
    ngx_http_s3_cache_origin_keys_kind_e     kind;
    ngx_http_s3_cache_origin_keys_params_t   params;

    value = cf->args->elts;

    kind = ngx_strcmp(value[1].data, "container") == 0
           ? NGX_HTTP_S3_CACHE_ORIGIN_KEYS_CONTAINER
           : ngx_strcmp(value[1].data, "instance") == 0
             ? NGX_HTTP_S3_CACHE_ORIGIN_KEYS_INSTANCE
             : NGX_HTTP_S3_CACHE_ORIGIN_KEYS_WEB_IDENTITY;

    ngx_memzero(&params, sizeof(ngx_http_s3_cache_origin_keys_params_t));

    rv = keys_conf_params(cf, kind, &params);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    switch (kind) {

    case NGX_HTTP_S3_CACHE_ORIGIN_KEYS_CONTAINER:
        return ngx_http_s3_cache_origin_keys_container(cf, keys);

    case NGX_HTTP_S3_CACHE_ORIGIN_KEYS_INSTANCE:
        return ngx_http_s3_cache_origin_keys_instance(cf, &params, keys);

    default:
        return ngx_http_s3_cache_origin_keys_web_identity(cf, &params, keys);
    }
}


static char *
keys_conf_params(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_kind_e kind,
    ngx_http_s3_cache_origin_keys_params_t *params)
{
    size_t       len;
    ngx_str_t   *value, *to;
    ngx_uint_t   i, n;

#define param(field, kind)                                                    \
    { #field "=", offsetof(ngx_http_s3_cache_origin_keys_params_t, field),    \
      NGX_HTTP_S3_CACHE_ORIGIN_KEYS_##kind }

    static const struct {
        const char                            *name;
        size_t                                 at;
        ngx_http_s3_cache_origin_keys_kind_e   kind;
    } names[] = {
        param(endpoint, INSTANCE),
        param(role, INSTANCE),
        param(endpoint, WEB_IDENTITY),
        param(role_arn, WEB_IDENTITY),
        param(token_file, WEB_IDENTITY),
        param(session_name, WEB_IDENTITY)
    };

#undef param

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {
        to = NULL;
        len = 0;

        for (n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
            len = ngx_strlen(names[n].name);

            if (names[n].kind == kind && value[i].len > len
                && ngx_strncmp(value[i].data, names[n].name, len) == 0)
            {
                to = (ngx_str_t *) ((u_char *) params + names[n].at);
                break;
            }
        }

        if (to == NULL || to->data != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter number %ui of \"%V\"",
                               i, &value[0]);
            return NGX_CONF_ERROR;
        }

        to->data = value[i].data + len;
        to->len = value[i].len - len;
    }

    return NGX_CONF_OK;
}


ngx_http_s3_cache_origin_keys_t *
ngx_http_s3_cache_origin_keys_create(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_kind_e kind, ngx_str_t *name)
{
    ngx_http_s3_cache_origin_keys_t  *keys;

    keys = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_origin_keys_t));
    if (keys == NULL) {
        return NULL;
    }

    keys->kind = kind;
    keys->name = *name;
    keys->conf_file = cf->conf_file->file.name;
    keys->conf_line = cf->conf_file->line;

    if (ngx_array_init(&keys->zones, cf->pool, 2,
                       sizeof(ngx_http_s3_cache_zone_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return keys;
}


char *
ngx_http_s3_cache_origin_keys_register(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_keys_t **keys)
{
    ngx_uint_t                         i;
    ngx_http_s3_cache_origin_keys_t  **kp;
    ngx_http_s3_cache_main_conf_t     *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);

    if (mcf->keys == NULL) {
        mcf->keys = ngx_array_create(cf->pool, 2, sizeof(void *));
        if (mcf->keys == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    kp = mcf->keys->elts;

    for (i = 0; i < mcf->keys->nelts; i++) {
        if (keys_conf_same(kp[i], *keys)) {
            *keys = kp[i];
            return NGX_CONF_OK;
        }

        if (kp[i]->name.len == (*keys)->name.len
            && ngx_memcmp(kp[i]->name.data, (*keys)->name.data,
                          kp[i]->name.len)
               == 0)
        {
            /* they would be one in metrics and logs */
            return "asks for the role of another directive by another token "
                   "or session";
        }
    }

    kp = ngx_array_push(mcf->keys);

    if (kp == NULL || ngx_http_s3_cache_origin_keys_add(cf, *keys) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    *kp = *keys;

    return NGX_CONF_OK;
}


/* Who asks the same of the same is one. */

static ngx_uint_t
keys_conf_same(ngx_http_s3_cache_origin_keys_t *a,
    ngx_http_s3_cache_origin_keys_t *b)
{
    ngx_uint_t  i;

    ngx_str_t  *strs[][2] = {
        { &a->name, &b->name },
        { &a->url, &b->url },
        { &a->path, &b->path },
        { &a->query, &b->query },
        { &a->token_file, &b->token_file },
        { &a->session_name, &b->session_name }
    };

    for (i = 0; i < sizeof(strs) / sizeof(strs[0]); i++) {
        if (strs[i][0]->len != strs[i][1]->len
            || (strs[i][0]->len
                && ngx_memcmp(strs[i][0]->data, strs[i][1]->data,
                              strs[i][0]->len)
                   != 0))
        {
            return 0;
        }
    }

    return 1;
}


char *
ngx_http_s3_cache_origin_keys_conf_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *profile, const s3c_origin_keys_t *read,
    ngx_http_s3_cache_origin_keys_t **keys)
{
    char       *rv;
    u_char     *p;
    ngx_str_t   name;

    name.len = sizeof("file= profile=") - 1 + path->len + profile->len;
    name.data = ngx_pnalloc(cf->pool, name.len);
    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_sprintf(name.data, "file=%V profile=%V", path, profile);
    name.len = p - name.data;

    *keys = ngx_http_s3_cache_origin_keys_create(cf,
                                  NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE, &name);
    if (*keys == NULL) {
        return NGX_CONF_ERROR;
    }

    (*keys)->path = *path;
    (*keys)->profile = *profile;

    rv = ngx_http_s3_cache_origin_keys_register(cf, keys);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    /* read later than what another location has read */

    if ((*keys)->read == NULL) {
        (*keys)->read = ngx_palloc(cf->pool, sizeof(s3c_origin_keys_t));
        if ((*keys)->read == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    *(*keys)->read = *read;

    return NGX_CONF_OK;
}


/* The service is asked like an origin that nobody signs for. One that was
 * named may be as private as the origin: it is verified in the same way. */

char *
ngx_http_s3_cache_origin_keys_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_origin_conf_t *conf)
{
    ngx_http_s3_cache_origin_keys_t  *keys;
    ngx_http_s3_cache_origin_conf_t  *ocf;

    keys = conf->keys;

    if (keys == NULL || keys->origin != NULL
        || keys->kind == NGX_HTTP_S3_CACHE_ORIGIN_KEYS_FILE)
    {
        return NGX_CONF_OK;
    }

    ocf = &keys->origin_conf;

    ngx_http_s3_cache_origin_conf_init(ocf);

    ocf->url = keys->url;
    ocf->file = keys->conf_file;
    ocf->line = keys->conf_line;
    ocf->credentials = 0;
    ocf->keepalive = 0;
    ocf->connect_timeout = 3000;
    ocf->send_timeout = 5000;
    ocf->read_timeout = 10000;
    ocf->tries = 2;

    /* without TLS it is here or on this link, whatever a name server says */
    ocf->local = keys->kind == NGX_HTTP_S3_CACHE_ORIGIN_KEYS_CONTAINER
                 && ngx_strncasecmp(keys->url.data, (u_char *) "http:", 5)
                    == 0;

    ngx_str_set(&ocf->region, "us-east-1");
    ngx_str_set(&ocf->ssl_name, "");

    if (keys->amazon) {
        ocf->ssl_verify = 1;
        ngx_str_set(&ocf->ssl_trusted_certificate, "");
    }

    return ngx_http_s3_cache_origin_conf_merge(cf, conf, ocf, &keys->origin);
}


ngx_int_t
ngx_http_s3_cache_origin_keys_zone(ngx_http_s3_cache_origin_keys_t *keys,
    ngx_http_s3_cache_zone_t *zone)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t  **zp;

    if (keys == NULL) {
        return NGX_OK;
    }

    zp = keys->zones.elts;

    for (i = 0; i < keys->zones.nelts; i++) {
        if (zp[i] == zone) {
            return NGX_OK;
        }
    }

    zp = ngx_array_push(&keys->zones);
    if (zp == NULL) {
        return NGX_ERROR;
    }

    *zp = zone;

    return NGX_OK;
}
