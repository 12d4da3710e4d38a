/* SPDX-License-Identifier: Apache-2.0
 *
 * The module itself: its directives, its configurations and their merging.
 * Only wires; what a directive does is in the file of its name.
 */

#include "ngx_http_s3_cache_module.h"
#include "ngx_http_s3_cache_admin.h"
#include "ngx_http_s3_cache_alert.h"
#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_auth_off.h"
#include "ngx_http_s3_cache_dashboard.h"
#include "ngx_http_s3_cache_origin_keys.h"
#include "ngx_http_s3_cache_profile.h"
#include "ngx_http_s3_cache_redis.h"
#include "ngx_http_s3_cache_reload.h"
#include "ngx_http_s3_cache_events.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_status.h"
#include "ngx_http_s3_cache_store.h"
#include "ngx_http_s3_cache_warm.h"


#define loc(field)     offsetof(ngx_http_s3_cache_loc_conf_t, field)
#define origin(field)  (loc(origin_conf)                                     \
                        + offsetof(ngx_http_s3_cache_origin_conf_t, field))

#define ANYWHERE  (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


static ngx_int_t ngx_http_s3_cache_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_s3_cache_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_s3_cache_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_s3_cache_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_s3_cache_create_loc_conf(ngx_conf_t *cf);


static ngx_conf_enum_t  ngx_http_s3_cache_freshness[] = {
    { ngx_string("ttl"), S3C_FRESHNESS_TTL },
    { ngx_string("strict"), S3C_FRESHNESS_STRICT },
    { ngx_string("immutable"), S3C_FRESHNESS_IMMUTABLE },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_s3_cache_auth[] = {
    { ngx_string("off"), NGX_HTTP_S3_CACHE_AUTH_OFF },
    { ngx_string("keys"), NGX_HTTP_S3_CACHE_AUTH_KEYS },
    { ngx_string("origin"), NGX_HTTP_S3_CACHE_AUTH_ORIGIN },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_s3_cache_io[] = {
    { ngx_string("auto"), NGX_HTTP_S3_CACHE_IO_AUTO },
    { ngx_string("io_uring"), NGX_HTTP_S3_CACHE_IO_URING },
    { ngx_string("threads"), NGX_HTTP_S3_CACHE_IO_THREADS },
    { ngx_null_string, 0 }
};


static ngx_conf_num_bounds_t  ngx_http_s3_cache_ahead_bounds = {
    ngx_conf_check_num_bounds, 1, NGX_HTTP_S3_CACHE_AHEAD_MAX
};


static ngx_conf_num_bounds_t  ngx_http_s3_cache_tries_bounds = {
    ngx_conf_check_num_bounds, 1, 16
};


static ngx_command_t  ngx_http_s3_cache_commands[] = {

    { ngx_string("s3_cache_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_s3_cache_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_s3_cache_store_set,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_io"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_s3_cache_main_conf_t, io),
      ngx_http_s3_cache_io },

    { ngx_string("s3_cache_alerts"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_s3_cache_alert_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_peers"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_s3_cache_redis_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_peer_endpoint"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_s3_cache_peers_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_http_s3_cache_conf_cache,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_origin"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_http_s3_cache_origin_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(origin_conf),
      NULL },

    { ngx_string("s3_cache_origin_credentials"),
      ANYWHERE|NGX_CONF_1MORE,
      ngx_http_s3_cache_origin_credentials_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(origin_conf),
      NULL },

    { ngx_string("s3_cache_origin_region"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(region),
      NULL },

    { ngx_string("s3_cache_origin_ssl_name"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(ssl_name),
      NULL },

    { ngx_string("s3_cache_origin_ssl_verify"),
      ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(ssl_verify),
      NULL },

    { ngx_string("s3_cache_origin_ssl_verify_depth"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(ssl_verify_depth),
      NULL },

    { ngx_string("s3_cache_origin_ssl_trusted_certificate"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(ssl_trusted_certificate),
      NULL },

    { ngx_string("s3_cache_origin_connect_timeout"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(connect_timeout),
      NULL },

    { ngx_string("s3_cache_origin_send_timeout"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(send_timeout),
      NULL },

    { ngx_string("s3_cache_origin_read_timeout"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(read_timeout),
      NULL },

    { ngx_string("s3_cache_origin_keepalive"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(keepalive),
      NULL },

    { ngx_string("s3_cache_origin_keepalive_timeout"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(keepalive_timeout),
      NULL },

    { ngx_string("s3_cache_origin_tries"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      origin(tries),
      &ngx_http_s3_cache_tries_bounds },

    { ngx_string("s3_cache_domain"),
      ANYWHERE|NGX_CONF_1MORE,
      ngx_http_s3_cache_conf_domain,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_block_size"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(block_size),
      NULL },

    { ngx_string("s3_cache_valid"),
      ANYWHERE|NGX_CONF_1MORE,
      ngx_http_s3_cache_conf_valid,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_list"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_http_s3_cache_conf_list,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_freshness"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(freshness),
      ngx_http_s3_cache_freshness },

    { ngx_string("s3_cache_stale_while_revalidate"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(stale_while_revalidate),
      NULL },

    { ngx_string("s3_cache_stale_if_error"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(stale_if_error),
      NULL },

    { ngx_string("s3_cache_client_no_cache"),
      ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(client_no_cache),
      NULL },

    { ngx_string("s3_cache_read_ahead"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(read_ahead),
      &ngx_http_s3_cache_ahead_bounds },

    { ngx_string("s3_cache_headers"),
      ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(headers),
      NULL },

    { ngx_string("s3_cache_direct_send"),
      ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(direct_send),
      NULL },

    { ngx_string("s3_cache_verify"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_http_s3_cache_conf_verify,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_write_through"),
      ANYWHERE|NGX_CONF_TAKE12,
      ngx_http_s3_cache_conf_write_through,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_auth"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(auth),
      ngx_http_s3_cache_auth },

    { ngx_string("s3_cache_credentials"),
      ANYWHERE|NGX_CONF_TAKE12,
      ngx_http_s3_cache_keyring_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_auth_hosts"),
      ANYWHERE|NGX_CONF_1MORE,
      ngx_http_s3_cache_auth_hosts_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(auth_hosts),
      NULL },

    { ngx_string("s3_cache_auth_regions"),
      ANYWHERE|NGX_CONF_1MORE,
      ngx_http_s3_cache_auth_regions_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(auth_regions),
      NULL },

    { ngx_string("s3_cache_auth_skew"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(auth_skew),
      NULL },

    { ngx_string("s3_cache_auth_presigned_max"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(auth_presigned_max),
      NULL },

    { ngx_string("s3_cache_auth_v2"),
      ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(auth_v2),
      NULL },

    { ngx_string("s3_cache_auth_valid"),
      ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      loc(auth_valid),
      NULL },

    { ngx_string("s3_cache_admin"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_s3_cache_admin_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_warmup"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_s3_cache_warm_set,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_profile"),
      ANYWHERE|NGX_CONF_TAKE12,
      ngx_http_s3_cache_profile_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_events"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_s3_cache_events_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_s3_cache_status_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("s3_cache_dashboard"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      ngx_http_s3_cache_dashboard_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_s3_cache_module_ctx = {
    ngx_http_s3_cache_preconfiguration,    /* preconfiguration */
    ngx_http_s3_cache_auth_off_check,      /* postconfiguration */

    ngx_http_s3_cache_create_main_conf,    /* create main configuration */
    ngx_http_s3_cache_init_main_conf,      /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_s3_cache_create_loc_conf,     /* create location configuration */
    ngx_http_s3_cache_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_s3_cache_module = {
    NGX_MODULE_V1,
    &ngx_http_s3_cache_module_ctx,         /* module context */
    ngx_http_s3_cache_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_s3_cache_init_module,         /* init module */
    ngx_http_s3_cache_worker_init,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_s3_cache_worker_exit,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_s3_cache_init_module(ngx_cycle_t *cycle)
{
    ngx_http_s3_cache_fence_init_module(cycle);

    if (ngx_http_s3_cache_reload_init_module(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_s3_cache_origin_keys_init_module(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_s3_cache_redis_init_module(cycle);
}


static ngx_int_t
ngx_http_s3_cache_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_s3_cache_add_variables(cf);
}


static void *
ngx_http_s3_cache_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mcf->zones, cf->pool, 2,
                       sizeof(ngx_http_s3_cache_zone_t *))
        != NGX_OK
        || ngx_array_init(&mcf->stores, cf->pool, 4,
                          sizeof(ngx_http_s3_cache_store_t *))
           != NGX_OK
        || ngx_array_init(&mcf->peers, cf->pool, 2,
                          sizeof(ngx_http_s3_cache_peers_t *))
           != NGX_OK
        || ngx_array_init(&mcf->redis, cf->pool, 2,
                          sizeof(struct ngx_http_s3_cache_redis_s *))
           != NGX_OK
        || ngx_array_init(&mcf->keyrings, cf->pool, 2,
                          sizeof(ngx_http_s3_cache_keyring_t *))
           != NGX_OK)
    {
        return NULL;
    }

    mcf->io = NGX_CONF_UNSET_UINT;

    return mcf;
}


static char *
ngx_http_s3_cache_init_main_conf(ngx_conf_t *cf, void *conf)
{
    char  *rv;

    rv = ngx_http_s3_cache_alert_init_conf(cf, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_s3_cache_store_init_conf(cf, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_s3_cache_peers_init(cf, conf);
}


static void *
ngx_http_s3_cache_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_s3_cache_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    /* set by ngx_pcalloc(): zone, origin, endpoint, events, rules,
       dashboard = 0 */

    lcf->enable = NGX_CONF_UNSET;
    ngx_http_s3_cache_origin_conf_init(&lcf->origin_conf);
    lcf->domains = NGX_CONF_UNSET_PTR;
    lcf->block_size = NGX_CONF_UNSET_SIZE;
    lcf->valid = NGX_CONF_UNSET_PTR;
    lcf->list = NGX_CONF_UNSET;
    lcf->freshness = NGX_CONF_UNSET_UINT;
    lcf->stale_while_revalidate = NGX_CONF_UNSET;
    lcf->stale_if_error = NGX_CONF_UNSET;
    lcf->client_no_cache = NGX_CONF_UNSET;
    lcf->read_ahead = NGX_CONF_UNSET_UINT;
    lcf->headers = NGX_CONF_UNSET;
    lcf->direct_send = NGX_CONF_UNSET;
    lcf->verify = NGX_CONF_UNSET_UINT;
    lcf->write_through = NGX_CONF_UNSET;
    lcf->auth = NGX_CONF_UNSET_UINT;
    lcf->keyring = NGX_CONF_UNSET_PTR;
    lcf->auth_hosts = NGX_CONF_UNSET_PTR;
    lcf->auth_regions = NGX_CONF_UNSET_PTR;
    lcf->auth_skew = NGX_CONF_UNSET;
    lcf->auth_presigned_max = NGX_CONF_UNSET;
    lcf->auth_v2 = NGX_CONF_UNSET;
    lcf->profile = NGX_CONF_UNSET_PTR;
    lcf->file = cf->conf_file->file.name.data;
    lcf->line = cf->conf_file->line;
    lcf->auth_valid = NGX_CONF_UNSET;

    return lcf;
}
