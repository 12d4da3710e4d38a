/* SPDX-License-Identifier: Apache-2.0
 *
 * Setters of the directives that need more than a slot function, and the
 * look-up of what they set.
 */

#include "ngx_http_s3_cache_module.h"


#define ZONE_MIN     (8 * 1024 * 1024)
#define FILLS_MIN    64
#define FILLS_MAX    65536
#define SCRUB_MIN    (64 * 1024)
#define SCRUB_MAX    (256 * 1024 * 1024)


static char *ngx_http_s3_cache_conf_zone_param(ngx_conf_t *cf,
    ngx_http_s3_cache_zone_t *zone, ngx_str_t *param);


/* s3_cache_zone name:size [policy=s3fifo|lru] [fills=n] [fill_memory=size]
 *               [scrub=rate|off] */

char *
ngx_http_s3_cache_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_main_conf_t *mcf = conf;

    u_char                     *p;
    ngx_str_t                  *value, size, shm_name;
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t   *zone, **zp;

    value = cf->args->elts;

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    p = (u_char *) ngx_strlchr(value[1].data, value[1].data + value[1].len,
                               ':');
    if (p == NULL || p == value[1].data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"s3_cache_zone\" needs \"name:size\", got \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    zone->pool = cf->pool;
    zone->name.data = value[1].data;
    zone->name.len = p - value[1].data;

    size.data = p + 1;
    size.len = value[1].data + value[1].len - size.data;

    zone->size = ngx_parse_offset(&size);

    if (zone->size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of s3_cache_zone \"%V\"",
                           &size, &zone->name);
        return NGX_CONF_ERROR;
    }

    if (zone->size < ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_zone \"%V\" is too small, the least "
                           "is 8m", &zone->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_s3_cache_conf_zone_find(mcf, &zone->name) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_zone \"%V\" is already defined",
                           &zone->name);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_s3_cache_conf_zone_param(cf, zone, &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (zone->fill_memory == 0) {
        zone->fill_memory = zone->size / 4;
    }

    /*
     * The nginx zone is only the peg that carries our region from one cycle
     * to the next; the region itself is mapped by us (zone.c says why).
     */

    shm_name.len = sizeof("s3_cache:") - 1 + zone->name.len;
    shm_name.data = ngx_pnalloc(cf->pool, shm_name.len);
    if (shm_name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_cpymem(shm_name.data, "s3_cache:", sizeof("s3_cache:") - 1);
    ngx_memcpy(p, zone->name.data, zone->name.len);

    zone->shm_zone = ngx_shared_memory_add(cf, &shm_name, 8 * ngx_pagesize,
                                           &ngx_http_s3_cache_module);
    if (zone->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->shm_zone->init = ngx_http_s3_cache_zone_init;
    zone->shm_zone->data = zone;

    zp = ngx_array_push(&mcf->zones);
    if (zp == NULL) {
        return NGX_CONF_ERROR;
    }

    *zp = zone;

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_conf_zone_param(ngx_conf_t *cf,
    ngx_http_s3_cache_zone_t *zone, ngx_str_t *param)
{
    ngx_int_t  n;
    ngx_str_t  s;

    if (ngx_strcmp(param->data, "policy=s3fifo") == 0) {
        zone->policy = S3C_RAM_S3FIFO;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(param->data, "policy=lru") == 0) {
        zone->policy = S3C_RAM_LRU;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "fills=", 6) == 0) {
        n = ngx_atoi(param->data + 6, param->len - 6);

        if (n < FILLS_MIN || n > FILLS_MAX || (n & (n - 1)) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"%V\": a power of two between "
                               "%d and %d is needed",
                               param, FILLS_MIN, FILLS_MAX);
            return NGX_CONF_ERROR;
        }

        zone->fills = n;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "fill_memory=", 12) == 0) {
        s.data = param->data + 12;
        s.len = param->len - 12;

        zone->fill_memory = ngx_parse_offset(&s);

        if (zone->fill_memory < 1024 * 1024
            || zone->fill_memory > zone->size)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"%V\": at least 1m and at most the "
                               "zone's size", param);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    if (ngx_strcmp(param->data, "scrub=off") == 0) {
        zone->scrub = 0;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "scrub=", 6) == 0) {
        s.data = param->data + 6;
        s.len = param->len - 6;

        zone->scrub = ngx_parse_offset(&s);

        if (zone->scrub < SCRUB_MIN || zone->scrub > SCRUB_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"%V\": bytes a second, at least 64k "
                               "and at most 256m, or \"off\"", param);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of s3_cache_zone", param);

    return NGX_CONF_ERROR;
}


ngx_http_s3_cache_zone_t *
ngx_http_s3_cache_conf_zone_find(ngx_http_s3_cache_main_conf_t *mcf,
    ngx_str_t *name)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_zone_t  **zones;

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        if (zones[i]->name.len == name->len
            && ngx_strncmp(zones[i]->name.data, name->data, name->len) == 0)
        {
            return zones[i];
        }
    }

    return NULL;
}


/* s3_cache zone | off */

char *
ngx_http_s3_cache_conf_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_str_t                      *value;
    ngx_http_s3_cache_main_conf_t  *mcf;

    if (lcf->enable != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        lcf->enable = 0;
        return NGX_CONF_OK;
    }

    if (lcf->endpoint) {
        return "cannot stand beside \"s3_cache_peer_endpoint\"";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);

    lcf->zone = ngx_http_s3_cache_conf_zone_find(mcf, &value[1]);

    if (lcf->zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown zone \"%V\": define it above by "
                           "\"s3_cache_zone %V:size\"", &value[1], &value[1]);
        return NGX_CONF_ERROR;
    }

    lcf->enable = 1;

    return NGX_CONF_OK;
}


/* s3_cache_domain name ... */

char *
ngx_http_s3_cache_conf_domain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_str_t    *value;
    ngx_uint_t    i;
    s3c_slice_t  *domain;

    if (lcf->domains != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    lcf->domains = ngx_array_create(cf->pool, 2, sizeof(s3c_slice_t));
    if (lcf->domains == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0 || value[i].data[0] == '.'
            || ngx_strlchr(value[i].data, value[i].data + value[i].len, ':')
            || ngx_strlchr(value[i].data, value[i].data + value[i].len, '/'))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid domain \"%V\": a plain host name "
                               "is needed", &value[i]);
            return NGX_CONF_ERROR;
        }

        domain = ngx_array_push(lcf->domains);
        if (domain == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_strlow(value[i].data, value[i].data, value[i].len);
        *domain = ngx_http_s3_cache_slice(&value[i]);
    }

    return NGX_CONF_OK;
}


/* s3_cache_valid [code ... | any] time | forever */

char *
ngx_http_s3_cache_conf_valid(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    time_t                      valid;
    ngx_int_t                   status;
    ngx_str_t                  *value;
    ngx_uint_t                  i, n;
    ngx_http_s3_cache_valid_t  *v;

    if (lcf->valid == NGX_CONF_UNSET_PTR) {
        lcf->valid = ngx_array_create(cf->pool, 4,
                                      sizeof(ngx_http_s3_cache_valid_t));
        if (lcf->valid == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (ngx_strcmp(value[n].data, "forever") == 0) {
        valid = NGX_HTTP_S3_CACHE_VALID_FOREVER;

    } else {
        valid = ngx_parse_time(&value[n], 1);

        if (valid == (time_t) NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid time value \"%V\"", &value[n]);
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < n || n == 1; i++) {

        status = 200;

        if (n > 1) {
            if (ngx_strcmp(value[i].data, "any") == 0) {
                status = 0;

            } else {
                status = ngx_atoi(value[i].data, value[i].len);

                /* what S3 answers to a read that may be remembered at all */
                if (status != 200 && status != 206 && status != 404) {
                    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                       "invalid status \"%V\": 200, 206, 404 "
                                       "or any", &value[i]);
                    return NGX_CONF_ERROR;
                }
            }
        }

        v = ngx_array_push(lcf->valid);
        if (v == NULL) {
            return NGX_CONF_ERROR;
        }

        v->status = status;
        v->valid = valid;

        if (n == 1) {
            break;
        }
    }

    return NGX_CONF_OK;
}


/* s3_cache_list time | off */

char *
ngx_http_s3_cache_conf_list(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_str_t  *value;

    if (lcf->list != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        lcf->list = 0;
        return NGX_CONF_OK;
    }

    lcf->list = ngx_parse_time(&value[1], 1);

    if (lcf->list == (time_t) NGX_ERROR || lcf->list == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time value \"%V\" of \"s3_cache_list\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* s3_cache_write_through time | forever | off [max=size] */

char *
ngx_http_s3_cache_conf_write_through(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_str_t  *value, s;

    if (lcf->write_through != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    lcf->write_through = 1;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        lcf->write_through = 0;

    } else if (ngx_strcmp(value[1].data, "forever") == 0) {
        lcf->write_through_valid = NGX_HTTP_S3_CACHE_VALID_FOREVER;

    } else {
        lcf->write_through_valid = ngx_parse_time(&value[1], 1);

        if (lcf->write_through_valid == (time_t) NGX_ERROR
            || lcf->write_through_valid == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid time value \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (lcf->write_through == 0
        || ngx_strncmp(value[2].data, "max=", 4) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    s.data = value[2].data + 4;
    s.len = value[2].len - 4;

    lcf->write_through_max = ngx_parse_offset(&s);

    if (lcf->write_through_max <= 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\"", &s);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


uint64_t
ngx_http_s3_cache_conf_expires(ngx_http_s3_cache_loc_conf_t *lcf,
    ngx_uint_t status, uint64_t now_ms)
{
    time_t                      valid;
    ngx_uint_t                  i;
    ngx_http_s3_cache_valid_t  *v;

    /* an object is an object, whether it came whole or in part */
    status = (status == 206) ? 200 : status;
    valid = (status == 200) ? 60 : 0;

    if (lcf->valid != NULL) {
        v = lcf->valid->elts;

        for (i = 0; i < lcf->valid->nelts; i++) {
            if (v[i].status == status
                || (v[i].status == 206 && status == 200)
                || (v[i].status == 0 && (status == 200 || status == 404)))
            {
                valid = v[i].valid;
                break;
            }
        }
    }

    if (valid == NGX_HTTP_S3_CACHE_VALID_FOREVER) {
        return UINT64_MAX;
    }

    return now_ms + (uint64_t) valid * 1000;
}
