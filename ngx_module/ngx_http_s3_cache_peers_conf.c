/* SPDX-License-Identifier: Apache-2.0
 *
 * s3_cache_peers: the block as a whole, and what has to be there at its end.
 */

#include "ngx_http_s3_cache_peers.h"


static char *ngx_http_s3_cache_peers_complete(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);


char *
ngx_http_s3_cache_peers_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                       *rv;
    ngx_str_t                  *value;
    ngx_http_s3_cache_peers_t  *peers;

    value = cf->args->elts;

    peers = ngx_http_s3_cache_peers_get(cf, &value[1]);
    if (peers == NULL) {
        return NGX_CONF_ERROR;
    }

    if (peers->place.line) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "s3_cache_peers \"%V\" is given twice, see %V:%ui",
                           &peers->name, &peers->place.file,
                           peers->place.line);
        return NGX_CONF_ERROR;
    }

    peers->place.file = cf->conf_file->file.name;
    peers->place.line = cf->conf_file->line;

    rv = ngx_http_s3_cache_conf_block(cf, &ngx_http_s3_cache_peers_params,
                                      peers);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_s3_cache_peers_complete(cf, peers);
}


ngx_http_s3_cache_peers_t *
ngx_http_s3_cache_peers_get(ngx_conf_t *cf, ngx_str_t *zone)
{
    ngx_uint_t                      i;
    ngx_http_s3_cache_peers_t      *peers, **pp;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_s3_cache_module);

    pp = mcf->peers.elts;

    for (i = 0; i < mcf->peers.nelts; i++) {
        if (pp[i]->name.len == zone->len
            && ngx_memcmp(pp[i]->name.data, zone->data, zone->len) == 0)
        {
            return pp[i];
        }
    }

    peers = ngx_pcalloc(cf->pool, sizeof(ngx_http_s3_cache_peers_t));
    if (peers == NULL) {
        return NULL;
    }

    if (ngx_array_init(&peers->nodes, cf->pool, 8,
                       sizeof(ngx_http_s3_cache_node_t))
        != NGX_OK
        || ngx_array_init(&peers->locations, cf->pool, 8,
                          sizeof(ngx_http_s3_cache_loc_conf_t *))
           != NGX_OK)
    {
        return NULL;
    }

    peers->name = *zone;
    peers->stripe = NGX_CONF_UNSET;
    peers->connect_timeout = NGX_CONF_UNSET_MSEC;
    peers->timeout = NGX_CONF_UNSET_MSEC;
    peers->retry = NGX_CONF_UNSET_MSEC;
    peers->hedge = NGX_CONF_UNSET_MSEC;
    peers->handover = NGX_CONF_UNSET_MSEC;
    peers->staleness = NGX_CONF_UNSET_MSEC;
    peers->links = NGX_CONF_UNSET_UINT;
    peers->mirror_share = NGX_CONF_UNSET_UINT;
    peers->mirror_time = NGX_CONF_UNSET_MSEC;
    peers->ssl_enable = NGX_CONF_UNSET;

    pp = ngx_array_push(&mcf->peers);
    if (pp == NULL) {
        return NULL;
    }

    *pp = peers;

    return peers;
}


char *
ngx_http_s3_cache_peers_error(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers, ngx_http_s3_cache_place_t *place,
    const char *why)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "s3_cache_peers \"%V\" %s in %V:%ui",
                  &peers->name, why, &place->file, place->line);

    return NGX_CONF_ERROR;
}


/* At the end of the block: what has to be there, and fits together. */

static char *
ngx_http_s3_cache_peers_complete(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers)
{
    ngx_uint_t                 i, weight, given;
    ngx_http_s3_cache_node_t  *nodes;

    nodes = peers->nodes.elts;
    weight = 0;

    for (i = 0; i < peers->nodes.nelts; i++) {
        weight += nodes[i].weight;
    }

    if (peers->nodes.nelts == 0) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                              "has no \"node\" and no \"member\"");
    }

    /* others may own what a member does not */

    if (weight == 0 && peers->member.line == 0) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                    "has only nodes of weight 0: one of 1 or more is needed");
    }

    given = peers->ssl_certificate.len || peers->ssl_certificate_key.len
            || peers->ssl_trusted_certificate.len;

    if (given && peers->ssl_enable == NGX_CONF_UNSET) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                   "has a certificate, but no \"ssl on\" (or \"ssl off\")");
    }

    ngx_conf_init_value(peers->ssl_enable, 0);

    if (peers->ssl_enable
        && (peers->ssl_certificate.len == 0
            || peers->ssl_certificate_key.len == 0
            || peers->ssl_trusted_certificate.len == 0))
    {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                    "has \"ssl on\": it needs \"ssl_certificate\", "
                    "\"ssl_certificate_key\" and \"ssl_trusted_certificate\"");
    }

    if (!peers->ssl_enable && peers->secret.len == 0) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                     "needs a \"secret\" of 16 characters, or \"ssl on\"");
    }

    ngx_conf_init_value(peers->stripe, 16 * 1024 * 1024);
    ngx_conf_init_msec_value(peers->connect_timeout, 500);
    ngx_conf_init_msec_value(peers->timeout, 2000);
    ngx_conf_init_msec_value(peers->retry, 5000);
    ngx_conf_init_msec_value(peers->hedge, 300);
    ngx_conf_init_msec_value(peers->handover, 120000);
    ngx_conf_init_msec_value(peers->staleness, 5000);
    ngx_conf_init_uint_value(peers->links, 4);
    ngx_conf_init_uint_value(peers->mirror_share, 5);
    ngx_conf_init_msec_value(peers->mirror_time, 10000);

    return NGX_CONF_OK;
}
