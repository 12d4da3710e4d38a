/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be said of s3_cache_peers only when all of the configuration has
 * been read: its zone, its endpoint, its ring.
 */

#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_redis.h"
#include "ngx_http_s3_cache_roster.h"
#include "base/digest.h"


#define POINT_LABEL  "s3c place"

static_assert(S3C_HASH_SECRET_BYTES % S3C_DIGEST_SHA256_BYTES == 0,
              "point secret");


static char *ngx_http_s3_cache_peers_init_one(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf, ngx_http_s3_cache_peers_t *peers);
static int ngx_libc_cdecl ngx_http_s3_cache_peers_cmp(const void *one,
    const void *two);
static char *ngx_http_s3_cache_peers_tls(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);
static char *ngx_http_s3_cache_peers_place_points(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);
static char *ngx_http_s3_cache_peers_ring(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers);


/* s3_cache_peer_endpoint zone */

char *
ngx_http_s3_cache_peers_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_s3_cache_loc_conf_t *lcf = conf;

    ngx_str_t                  *value;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_s3_cache_peers_t  *peers;

    if (lcf->endpoint) {
        return "is duplicate";
    }

    if (lcf->enable == 1) {
        return "cannot stand beside \"s3_cache\"";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "cannot stand beside what else answers in this location";
    }

    value = cf->args->elts;

    peers = ngx_http_s3_cache_peers_get(cf, &value[1]);
    if (peers == NULL) {
        return NGX_CONF_ERROR;
    }

    if (peers->endpoint.line == 0) {
        peers->endpoint.file = cf->conf_file->file.name;
        peers->endpoint.line = cf->conf_file->line;
    }

    lcf->endpoint = peers;
    clcf->handler = ngx_http_s3_cache_peer_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_s3_cache_peers_init(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    char                        *rv;
    ngx_uint_t                   i;
    ngx_http_s3_cache_peers_t  **peers;

    peers = mcf->peers.elts;

    for (i = 0; i < mcf->peers.nelts; i++) {
        rv = ngx_http_s3_cache_peers_init_one(cf, mcf, peers[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return ngx_http_s3_cache_redis_init(cf, mcf);
}


static char *
ngx_http_s3_cache_peers_init_one(ngx_conf_t *cf,
    ngx_http_s3_cache_main_conf_t *mcf, ngx_http_s3_cache_peers_t *peers)
{
    ngx_http_s3_cache_node_t  *self;

    if (peers->place.line == 0) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->endpoint,
                "is not defined, but \"s3_cache_peer_endpoint\" needs it");
    }

    peers->zone = ngx_http_s3_cache_conf_zone_find(mcf, &peers->name);

    if (peers->zone == NULL) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                               "is for an unknown zone: no \"s3_cache_zone\" "
                               "has this name");
    }

    if (peers->member.line) {
        peers->redis = ngx_http_s3_cache_redis_find_conf(mcf, &peers->name);

        if (peers->redis == NULL) {
            return ngx_http_s3_cache_peers_error(cf, peers, &peers->member,
                                   "has a \"member\", but there is no "
                                   "\"s3_cache_redis\" of this zone");
        }

        peers->redis->peers = peers;
    }

    /* as in the ring: by the bytes of their names */

    qsort(peers->nodes.elts, peers->nodes.nelts,
          sizeof(ngx_http_s3_cache_node_t), ngx_http_s3_cache_peers_cmp);

    if (ngx_http_s3_cache_peers_find_self(cf, peers) != NGX_CONF_OK
        || ngx_http_s3_cache_peers_tls(cf, peers) != NGX_CONF_OK
        || ngx_http_s3_cache_peers_place_points(cf, peers) != NGX_CONF_OK
        || ngx_http_s3_cache_peers_ring(cf, peers) != NGX_CONF_OK
        || ngx_http_s3_cache_roster_add(cf, peers) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    self = (ngx_http_s3_cache_node_t *) peers->nodes.elts + peers->self;

    if (self->weight > 0 && peers->endpoint.line == 0) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "s3_cache_peers \"%V\": no location has "
                      "\"s3_cache_peer_endpoint %V\", so no node can ask "
                      "this one (\"%V\", weight %ui) for what it owns in "
                      "%V:%ui", &peers->name, &peers->name, &self->name,
                      self->weight, &peers->place.file, peers->place.line);
    }

    peers->zone->peers = peers;

    return NGX_CONF_OK;
}


/* Of the links that this node makes: what the endpoint shows and asks for is
 * said by nginx's own ssl_* directives there. */

static char *
ngx_http_s3_cache_peers_tls(ngx_conf_t *cf, ngx_http_s3_cache_peers_t *peers)
{
    char  *rv;

    if (!peers->ssl_enable) {
        return NGX_CONF_OK;
    }

    rv = ngx_http_s3_cache_conf_tls(cf, &peers->ssl_certificate,
                                    &peers->ssl_certificate_key,
                                    &peers->ssl_trusted_certificate, 1,
                                    &peers->ssl);

    return (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR)
           ? rv : ngx_http_s3_cache_peers_error(cf, peers, &peers->place, rv);
}


static int ngx_libc_cdecl
ngx_http_s3_cache_peers_cmp(const void *one, const void *two)
{
    const ngx_http_s3_cache_node_t  *a = one, *b = two;

    return (int) ngx_memn2cmp(a->name.data, b->name.data,
                              a->name.len, b->name.len);
}


/* Who does not know the secret cannot choose keys that all fall to one node.
 * 192 bytes: HMAC-SHA256(secret, label | 0), (secret, label | 1).. */

static char *
ngx_http_s3_cache_peers_place_points(ngx_conf_t *cf,
    ngx_http_s3_cache_peers_t *peers)
{
    u_char      in[sizeof(POINT_LABEL)];        /* the counter is its last */
    uint8_t    *out;
    ngx_uint_t  i;

    ngx_memcpy(in, POINT_LABEL, sizeof(POINT_LABEL));

    for (i = 0; i < S3C_HASH_SECRET_BYTES / S3C_DIGEST_SHA256_BYTES; i++) {

        in[sizeof(in) - 1] = (u_char) i;
        out = peers->point_secret + i * S3C_DIGEST_SHA256_BYTES;

        if (s3c_hmac_sha256(ngx_http_s3_cache_slice(&peers->secret),
                            s3c_slice(in, sizeof(in)), out)
            != S3C_OK)
        {
            return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                                                 "cannot use HMAC-SHA256");
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_s3_cache_peers_ring(ngx_conf_t *cf, ngx_http_s3_cache_peers_t *peers)
{
    void                      *mem;
    size_t                     bytes;
    ngx_uint_t                 i;
    s3c_status_t               st;
    s3c_ring_member_t         *members;
    s3c_ring_builder_t        *builder;
    ngx_http_s3_cache_node_t  *nodes;

    nodes = peers->nodes.elts;
    bytes = 0;

    members = ngx_palloc(cf->temp_pool,
                         peers->nodes.nelts * sizeof(s3c_ring_member_t));
    if (members == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < peers->nodes.nelts; i++) {
        members[i].name = ngx_http_s3_cache_slice(&nodes[i].name);
        members[i].zone = ngx_http_s3_cache_slice(&nodes[i].rack);
        members[i].weight = (uint32_t) nodes[i].weight;

        bytes += nodes[i].name.len + nodes[i].rack.len;
    }

    bytes = s3c_ring_bytes((uint32_t) peers->nodes.nelts, bytes);

    /* large: an allocation of its own, freed with the pool */

    mem = ngx_palloc(cf->pool, bytes);
    if (mem == NULL) {
        return NGX_CONF_ERROR;
    }

    st = s3c_ring_builder_create(&builder, mem, bytes, members,
                                 (uint32_t) peers->nodes.nelts);
    if (st != S3C_OK) {
        return ngx_http_s3_cache_peers_error(cf, peers, &peers->place,
                                         st == S3C_FULL
                                         ? "has no memory for its ring"
                                         : "cannot be made a ring");
    }

    /* Nothing can fail any more, and many nodes take a while: nginx -t and
     * -s need no ring. */

    if (ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER) {
        s3c_ring_builder_destroy(builder);
        return NGX_CONF_OK;
    }

    do {
        st = s3c_ring_build_step(builder, S3C_RING_STEP);
    } while (st == S3C_AGAIN);

    s3c_ring_builder_destroy(builder);

    peers->ring = mem;

    for (i = 0; i < peers->nodes.nelts; i++) {
        assert(s3c_ring_member(peers->ring, members[i].name) == i);
    }

    return NGX_CONF_OK;
}


char *
ngx_http_s3_cache_peers_merge(ngx_conf_t *cf,
    ngx_http_s3_cache_loc_conf_t *prev, ngx_http_s3_cache_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* "if" and "limit_except" within the location are no way around it */

    if (conf->endpoint == NULL && clcf->noname && clcf->handler == NULL
        && prev->endpoint)
    {
        conf->endpoint = prev->endpoint;
        clcf->handler = ngx_http_s3_cache_peer_handler;
    }

    if (conf->endpoint && clcf->handler != ngx_http_s3_cache_peer_handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"s3_cache_peer_endpoint %V\" in location \"%V\" "
                      "cannot stand beside what else answers there, see "
                      "s3_cache_peers in %V:%ui",
                      &conf->endpoint->name, &clcf->name,
                      &conf->endpoint->place.file,
                      conf->endpoint->place.line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_s3_cache_peers_check_block(ngx_conf_t *cf,
    ngx_http_s3_cache_zone_t *zone, size_t block_size)
{
    ngx_http_s3_cache_peers_t  *peers;

    peers = zone->peers;

    if (peers == NULL || peers->stripe % (off_t) block_size == 0) {
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "s3_cache_peers \"%V\" has a \"stripe\" of %Ok that is no "
                  "multiple of \"s3_cache_block_size %uzk\" of its zone in "
                  "%V:%ui", &peers->name, peers->stripe >> 10,
                  block_size >> 10, &peers->place.file, peers->place.line);

    return NGX_CONF_ERROR;
}


/* What nodes must agree about, or an answer would not fit its question. */

ngx_int_t
ngx_http_s3_cache_peers_location(ngx_http_s3_cache_loc_conf_t *conf)
{
    uint64_t                        in[16];
    ngx_uint_t                      i, n;
    ngx_http_s3_cache_valid_t      *valid;
    ngx_http_s3_cache_peers_t      *peers;
    ngx_http_s3_cache_loc_conf_t  **slot;

    peers = conf->zone->peers;

    if (peers == NULL) {
        return NGX_OK;
    }

    ngx_memzero(in, sizeof(in));

    in[0] = conf->identity;
    in[1] = conf->block_size;
    in[2] = peers->stripe;

    /* how long something is fresh is for its owner to say */

    in[3] = conf->rules.mode;
    in[4] = conf->rules.while_revalidate_ms;
    in[5] = conf->rules.if_error_ms;
    in[6] = conf->rules.client_revalidates;

    n = (conf->valid != NULL) ? conf->valid->nelts : 0;
    valid = (n > 0) ? conf->valid->elts : NULL;

    for (i = 0; i < n; i++) {
        in[7] = s3c_hash64(in, sizeof(in));
        in[8] = valid[i].status;
        in[9] = (uint64_t) valid[i].valid;
    }

    conf->location = s3c_hash64(in, sizeof(in));

    slot = ngx_array_push(&peers->locations);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = conf;

    return NGX_OK;
}


ngx_http_s3_cache_loc_conf_t *
ngx_http_s3_cache_peer_location(ngx_http_s3_cache_peers_t *peers,
    uint64_t number)
{
    ngx_uint_t                      i;
    ngx_http_s3_cache_loc_conf_t  **locations;

    locations = peers->locations.elts;

    for (i = 0; i < peers->locations.nelts; i++) {
        if (locations[i]->location == number) {
            return locations[i];
        }
    }

    return NULL;
}
