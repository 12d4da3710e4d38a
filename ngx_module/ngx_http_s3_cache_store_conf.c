/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_store: its parameters, and the zone that it belongs to.
 */

#include "ngx_http_s3_cache_store.h"


#define SEGMENT_DEFAULT_MAX  (64 * 1024 * 1024)
#define BLOCK_MAX            (16 * 1024 * 1024)    /* the tier can stage */
#define SEGMENT_FOR_BLOCKS   (4 * 1024 * 1024)     /* of 1m, the default */
#define OBJECT_DEFAULT       (16 * 1024)
#define TIMEOUT_MAX          (60 * 60 * 1000)


static char *ngx_http_s3_cache_store_param(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store, ngx_str_t *param);
static char *ngx_http_s3_cache_store_sizes(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store);
static char *ngx_http_s3_cache_store_error(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store, const char *why, ngx_str_t *what);


/* s3_cache_store path size=size [zone=name] [segment=size] [budget=size/s]
 *                [objects=n] [timeout=time] [take] */

char *
ngx_http_s3_cache_store_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_s3_cache_main_conf_t *mcf = conf;

    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_s3_cache_store_t   *store, **sp;

    value = cf->args->elts;

    store = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_store_t));
    if (store == NULL) {
        return NGX_CONF_ERROR;
    }

    store->path = value[1];
    store->timeout = 1000;
    store->conf_file = cf->conf_file->file.name.data;
    store->conf_line = cf->conf_file->line;

    if (store->path.len == 0) {
        return "needs a path";
    }

    if (ngx_conf_full_name(cf->cycle, &store->path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_s3_cache_store_param(cf, store, &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_s3_cache_store_sizes(cf, store) != NGX_CONF_OK
        || ngx_http_s3_cache_store_check(cf, store, &mcf->stores)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    sp = ngx_array_push(&mcf->stores);
    if (sp == NULL) {
        return NGX_CONF_ERROR;
    }

    *sp = store;

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_store_param(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store, ngx_str_t *param)
{
    u_char     *p;
    ngx_int_t   ms;
    ngx_str_t   s;

    if (ngx_strcmp(param->data, "take") == 0) {
        store->take = 1;
        return NGX_CONF_OK;
    }

    p = (u_char *) ngx_strchr(param->data, '=');
    if (p == NULL) {
        goto invalid;
    }

    s.data = p + 1;
    s.len = param->data + param->len - s.data;

    if (ngx_strncmp(param->data, "size=", 5) == 0) {
        store->size = ngx_parse_offset(&s);

        if (store->size == NGX_ERROR || store->size == 0) {
            goto invalid;
        }

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "zone=", 5) == 0 && s.len > 0) {
        store->zone = s;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "segment=", 8) == 0) {
        store->segment = ngx_parse_offset(&s);

        if (store->segment < (off_t) S3C_SSD_SEGMENT_MIN
            || store->segment > (off_t) S3C_SSD_SEGMENT_MAX
            || (store->segment & (store->segment - 1)) != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"%V\": a power of two between %udm "
                               "and %udm is needed", param,
                               S3C_SSD_SEGMENT_MIN >> 20,
                               S3C_SSD_SEGMENT_MAX >> 20);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "budget=", 7) == 0) {

        if (s.len < 3 || ngx_strcmp(s.data + s.len - 2, "/s") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"%V\": bytes a second are needed, "
                               "as in \"budget=100m/s\"", param);
            return NGX_CONF_ERROR;
        }

        s.len -= 2;
        store->budget = ngx_parse_offset(&s);

        if (store->budget == NGX_ERROR || store->budget == 0) {
            goto invalid;
        }

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "objects=", 8) == 0) {
        store->objects = ngx_atoof(s.data, s.len);

        if (store->objects == NGX_ERROR || store->objects == 0) {
            goto invalid;
        }

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(param->data, "timeout=", 8) == 0) {
        ms = ngx_parse_time(&s, 0);

        if (ms == NGX_ERROR || ms == 0 || ms > TIMEOUT_MAX) {
            goto invalid;
        }

        store->timeout = ms;
        return NGX_CONF_OK;
    }

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of s3_cache_store", param);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_s3_cache_store_sizes(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store)
{
    off_t  segment;

    if (store->size == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_store \"%V\" needs \"size=\"",
                           &store->path);
        return NGX_CONF_ERROR;
    }

    if ((uint64_t) store->size > S3C_SSD_STORE_BYTES_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_store \"%V\" is too large: at most %uLg",
                           &store->path, S3C_SSD_STORE_BYTES_MAX >> 30);
        return NGX_CONF_ERROR;
    }

    segment = store->segment;

    if (segment == 0) {
        segment = S3C_SSD_SEGMENT_MIN;

        while ((segment * 2 <= store->size / 256
                && segment < SEGMENT_DEFAULT_MAX)
               || (segment * 2 <= store->size / 32
                   && segment < SEGMENT_FOR_BLOCKS))
        {
            segment *= 2;
        }

        store->segment = segment;
    }

    store->bytes = store->size / segment * segment;

    if (store->bytes / segment < S3C_SSD_SEGMENTS_MIN + 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_store \"%V\" is too small: %d segments "
                           "of %Om and one more need %Om", &store->path,
                           S3C_SSD_SEGMENTS_MIN, segment >> 20,
                           segment * (S3C_SSD_SEGMENTS_MIN + 1) >> 20);
        return NGX_CONF_ERROR;
    }

    if (store->bytes / segment > S3C_SSD_SEGMENTS_MAX
        && segment < (off_t) S3C_SSD_SEGMENT_MAX)
    {
        while (store->bytes / segment > S3C_SSD_SEGMENTS_MAX
               && segment < (off_t) S3C_SSD_SEGMENT_MAX)
        {
            segment *= 2;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "segments of s3_cache_store \"%V\" are too small "
                           "for its size: \"segment=%Om\" is needed",
                           &store->path, segment >> 20);
        return NGX_CONF_ERROR;
    }

    if (store->objects == 0) {
        store->objects = store->bytes / OBJECT_DEFAULT;
    }

    if (store->objects > store->bytes / (off_t) S3C_SSD_UNIT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"objects=%O\" of s3_cache_store \"%V\": it has "
                           "room for %O at most", store->objects,
                           &store->path, store->bytes / (off_t) S3C_SSD_UNIT);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_store_error(ngx_conf_t *cf,
    ngx_http_s3_cache_store_t *store, const char *why, ngx_str_t *what)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "s3_cache_store \"%V\" %s \"%V\" in %s:%ui",
                  &store->path, why, what, store->conf_file,
                  store->conf_line);

    return NGX_CONF_ERROR;
}


char *
ngx_http_s3_cache_store_init_conf(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    ngx_uint_t                   i;
    ngx_http_s3_cache_zone_t    *zone;
    ngx_http_s3_cache_store_t   *store, **stores, **sp;

    static ngx_str_t  param = ngx_string("zone=");

    ngx_conf_init_uint_value(mcf->io, NGX_HTTP_S3_CACHE_IO_AUTO);

    stores = mcf->stores.elts;

    for (i = 0; i < mcf->stores.nelts; i++) {
        store = stores[i];

        if (store->zone.len > 0) {
            zone = ngx_http_s3_cache_conf_zone_find(mcf, &store->zone);

            if (zone == NULL) {
                return ngx_http_s3_cache_store_error(cf, store,
                                     "is for an unknown zone", &store->zone);
            }

        } else if (mcf->zones.nelts == 1) {
            zone = *(ngx_http_s3_cache_zone_t **) mcf->zones.elts;

        } else {
            return ngx_http_s3_cache_store_error(cf, store,
                              mcf->zones.nelts == 0
                              ? "needs an \"s3_cache_zone\" and its name in"
                              : "is for one of several zones: name it by",
                              &param);
        }

        if (zone->stores == NULL) {
            zone->stores = ngx_array_create(cf->pool, 4,
                                         sizeof(ngx_http_s3_cache_store_t *));
            if (zone->stores == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        if (zone->stores->nelts == S3C_SSD_STORES_MAX) {
            return ngx_http_s3_cache_store_error(cf, store,
                               "is one too many, 16 is the most of the zone",
                               &zone->name);
        }

        sp = ngx_array_push(zone->stores);
        if (sp == NULL) {
            return NGX_CONF_ERROR;
        }

        *sp = store;
    }

    return NGX_CONF_OK;
}


void
ngx_http_s3_cache_store_check_block(ngx_conf_t *cf,
    ngx_http_s3_cache_zone_t *zone, size_t block_size)
{
    ngx_uint_t                   i;
    ngx_http_s3_cache_store_t  **stores;

    if (zone->stores == NULL) {
        return;
    }

    if (block_size > BLOCK_MAX) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "blocks of %uzk are too large for s3_cache_store: "
                           "they are kept in memory only; at most 16m are "
                           "kept on flash", block_size >> 10);
        return;
    }

    stores = zone->stores->elts;

    for (i = 0; i < zone->stores->nelts; i++) {

        /* a record is at most half a segment, and a block has heads, too */

        if (stores[i]->segment / 2 <= (off_t) block_size) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "segments of s3_cache_store \"%V\" are too "
                               "small for blocks of %uzk: they are kept in "
                               "memory only; \"segment=%uzm\" would do",
                               &stores[i]->path, block_size >> 10,
                               ngx_max(block_size * 4 >> 20, 1));
        }
    }
}
