/* SPDX-License-Identifier: Apache-2.0
 *
 * What a location inherits, and what its settings must not contradict.
 */

#include "ngx_http_s3_cache_module.h"
#include "ngx_http_s3_cache_auth.h"
#include "ngx_http_s3_cache_auth_off.h"
#include "ngx_http_s3_cache_explain.h"
#include "ngx_http_s3_cache_peers.h"
#include "ngx_http_s3_cache_events.h"
#include "ngx_http_s3_cache_profile.h"
#include "ngx_http_s3_cache_fence.h"
#include "ngx_http_s3_cache_origin_keys.h"
#include "ngx_http_s3_cache_store.h"


char *
ngx_http_s3_cache_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_s3_cache_loc_conf_t  *prev = parent;
    ngx_http_s3_cache_loc_conf_t  *conf = child;

    char                          *rv;
    uint64_t                       in[2];
    ngx_str_t                     *who;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_core_srv_conf_t      *cscf;

    rv = ngx_http_s3_cache_peers_merge(cf, prev, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (conf->enable == NGX_CONF_UNSET) {
        conf->enable = prev->enable;
        conf->zone = prev->zone;
    }

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_ptr_value(conf->domains, prev->domains, NULL);
    ngx_conf_merge_size_value(conf->block_size, prev->block_size,
                              1024 * 1024);
    ngx_conf_merge_ptr_value(conf->valid, prev->valid, NULL);
    ngx_conf_merge_value(conf->list, prev->list, 0);
    ngx_conf_merge_uint_value(conf->freshness, prev->freshness,
                              S3C_FRESHNESS_TTL);
    ngx_conf_merge_sec_value(conf->stale_while_revalidate,
                             prev->stale_while_revalidate, 0);
    ngx_conf_merge_sec_value(conf->stale_if_error, prev->stale_if_error, 0);
    ngx_conf_merge_value(conf->client_no_cache, prev->client_no_cache, 1);
    ngx_conf_merge_uint_value(conf->read_ahead, prev->read_ahead, 4);
    ngx_conf_merge_value(conf->headers, prev->headers, 1);
    ngx_conf_merge_value(conf->direct_send, prev->direct_send, 0);
    ngx_conf_merge_uint_value(conf->verify, prev->verify, 0);

    if (conf->write_through == NGX_CONF_UNSET) {
        conf->write_through = prev->write_through;
        conf->write_through_valid = prev->write_through_valid;
        conf->write_through_max = prev->write_through_max;
    }

    ngx_conf_merge_value(conf->write_through, prev->write_through, 0);
    ngx_http_s3_cache_profile_merge(prev, conf);

    /* a power of two, so that blocks of one size never overlap another's */
    if (conf->block_size < 64 * 1024 || conf->block_size > 16 * 1024 * 1024
        || (conf->block_size & (conf->block_size - 1)) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"s3_cache_block_size\" must be a power of two "
                           "between 64k and 16m");
        return NGX_CONF_ERROR;
    }

    conf->rules.mode = conf->freshness;
    conf->rules.while_revalidate_ms =
                                (uint64_t) conf->stale_while_revalidate * 1000;
    conf->rules.if_error_ms = (uint64_t) conf->stale_if_error * 1000;
    conf->rules.client_revalidates = conf->client_no_cache;

    rv = ngx_http_s3_cache_origin_conf_merge(cf, &prev->origin_conf,
                                             &conf->origin_conf,
                                             &conf->origin);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_s3_cache_auth_merge(cf, prev, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_s3_cache_guard_check(cf, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (!conf->enable) {
        conf->zone = NULL;
    }

    rv = ngx_http_s3_cache_events_merge(cf, prev, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (!conf->enable) {
        return NGX_CONF_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->origin == NULL) {

        if (clcf->name.len > 0 && clcf->handler == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"s3_cache\" is on in location \"%V\", but "
                               "there is no \"s3_cache_origin\"",
                               &clcf->name);
            return NGX_CONF_ERROR;
        }

        /* an outer level, whose inner ones may name one */
        return NGX_CONF_OK;
    }

    rv = ngx_http_s3_cache_auth_check(cf, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if ((off_t) conf->block_size > conf->zone->fill_memory) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"s3_cache_block_size\" is larger than what "
                           "fills of s3_cache_zone \"%V\" may take: %O "
                           "bytes (its \"fill_memory\")",
                           &conf->zone->name, conf->zone->fill_memory);
        return NGX_CONF_ERROR;
    }

    ngx_http_s3_cache_store_check_block(cf, conf->zone, conf->block_size);

    rv = ngx_http_s3_cache_peers_check_block(cf, conf->zone,
                                             conf->block_size);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    /* who asked is part of what was got: two credentials may see two worlds.
       Keys that change are named by where they come from (ADR 0026) */
    who = conf->origin_conf.keys ? &conf->origin_conf.keys->name
                                 : &conf->origin_conf.access_key;
    in[0] = conf->origin->id;
    in[1] = s3c_hash64(who->data, who->len);
    in[1] = conf->origin_conf.keys ? ~in[1] : in[1];
    conf->identity = s3c_hash64(in, sizeof(in));

    if (ngx_http_s3_cache_origin_keys_zone(conf->origin_conf.keys, conf->zone)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_s3_cache_peers_location(conf) != NGX_OK
        || ngx_http_s3_cache_fence_add_view(cf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_s3_cache_explain_location(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (clcf->handler == NULL) {
        clcf->handler = ngx_http_s3_cache_handler;

        /* nginx's default is for web forms; another value is the user's own */
        if (clcf->client_max_body_size == 1024 * 1024) {
            clcf->client_max_body_size = 0;
        }

        /* else nginx loses x-amz-meta-a_b on its way to the origin */
        cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
        cscf->underscores_in_headers = 1;

        if (conf->auth == NGX_HTTP_S3_CACHE_AUTH_OFF
            && ngx_http_s3_cache_auth_off_add(cf, conf) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}
