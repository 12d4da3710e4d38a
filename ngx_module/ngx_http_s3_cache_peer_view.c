/* SPDX-License-Identifier: Apache-2.0
 *
 * Which nodes there are and which of them own a key, as this worker sees it.
 * It begins with the ring of the configuration; when the keeper has published a
 * roster (peer_view_roster.c), a ring is built of that, a step in each turn of
 * the event loop, and takes the place of the old one (peer_view_ring.c).
 *
 * What was another node's before is asked of it first for a while ("handover"):
 * so the origin does not notice that a node has come.
 */

#include "ngx_http_s3_cache_peer_view_internal.h"
#include "ngx_http_s3_cache_vouch.h"


static ngx_int_t view_static(view_t *v, ngx_cycle_t *cycle);


ngx_int_t
ngx_http_s3_cache_view_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    view_t                      *v;
    ngx_uint_t                   i;
    ngx_http_s3_cache_zone_t   **zones;
    ngx_http_s3_cache_peers_t   *peers;

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        peers = zones[i]->peers;

        if (peers == NULL) {
            continue;
        }

        v = ngx_pcalloc(cycle->pool, sizeof(view_t));
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->nears = ngx_palloc(cycle->pool, NGX_HTTP_S3_CACHE_NEARS_MAX
                                           * sizeof(void *));
        if (v->nears == NULL) {
            return NGX_ERROR;
        }

        v->peers = peers;
        peers->view = v;

        if (view_static(v, cycle) != NGX_OK) {
            return NGX_ERROR;
        }

        if (peers->redis == NULL) {
            continue;
        }

        v->step.handler = ngx_http_s3_cache_view_step;
        v->step.data = v;
        v->step.log = cycle->log;

        v->poll.handler = ngx_http_s3_cache_view_poll;
        v->poll.data = v;
        v->poll.log = cycle->log;
        v->poll.cancelable = 1;

        ngx_http_s3_cache_view_poll(&v->poll);

        /* a worker of a node that runs takes no request before it knows what
           the others do */

        while (v->builder != NULL) {
            ngx_http_s3_cache_view_step(&v->step);
        }
    }

    return NGX_OK;
}


void
ngx_http_s3_cache_view_exit_worker(ngx_http_s3_cache_main_conf_t *mcf)
{
    view_t                      *v;
    ngx_uint_t                   i, k;
    ngx_http_s3_cache_peers_t  **peers;

    peers = mcf->peers.elts;

    for (i = 0; i < mcf->peers.nelts; i++) {
        v = peers[i]->view;

        if (v == NULL) {
            continue;
        }

        if (v->poll.timer_set) {
            ngx_del_timer(&v->poll);
        }

        v->over = 1;

        /* who is told of one may be about to ask another */

        for (k = 0; k < v->nnears; k++) {
            ngx_http_s3_cache_near_close(v->nears[k]);
        }

        for (k = 0; k < v->nnears; k++) {
            ngx_http_s3_cache_vouch_forget(v->nears[k]);
            ngx_free(v->nears[k]);
        }

        v->nnears = 0;

        ngx_http_s3_cache_view_done(v);
        ngx_http_s3_cache_view_ring_free(&v->next);

        if (!v->configured) {
            ngx_http_s3_cache_view_ring_free(&v->now);
        }

        ngx_free(v->former);
    }
}


/* The nodes of the configuration. */

static ngx_int_t
view_static(view_t *v, ngx_cycle_t *cycle)
{
    ngx_uint_t                  i, n;
    ngx_addr_t                 *addr;
    ngx_http_s3_cache_near_t   *near;
    ngx_http_s3_cache_node_t   *nodes;

    nodes = v->peers->nodes.elts;
    n = v->peers->nodes.nelts;

    v->configured = 1;
    v->now.ring = (s3c_ring_t *) v->peers->ring;

    v->now.nears = ngx_pcalloc(cycle->pool, n * sizeof(void *));
    if (v->now.nears == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (i == v->peers->self) {
            continue;
        }

        addr = &nodes[i].url.addrs[0];

        near = ngx_http_s3_cache_view_near(v,
                                    ngx_http_s3_cache_slice(&nodes[i].name),
                                    addr->sockaddr, addr->socklen);
        if (near == NULL) {
            return NGX_ERROR;
        }

        near->listed = 1;
        near->state = S3C_MEMBER_READY;
        near->weight = (uint32_t) nodes[i].weight;

        v->now.nears[i] = near;
    }

    return NGX_OK;
}


/* --- who owns ------------------------------------------------------------ */

ngx_uint_t
ngx_http_s3_cache_view_owners(ngx_http_s3_cache_peers_t *peers,
    uint64_t point, ngx_http_s3_cache_near_t **owners)
{
    view_t          *v;
    ngx_uint_t       i, n;
    const uint16_t  *members;

    v = peers->view;
    n = s3c_ring_owners(v->now.ring);
    members = s3c_ring_find(v->now.ring, point);

    for (i = 0; i < n; i++) {
        owners[i] = v->now.nears[members[i]];
    }

    return n;
}


void
ngx_http_s3_cache_view_truth(ngx_http_s3_cache_peers_t *peers, uint64_t point)
{
    uint32_t  now;

    now = (uint32_t) ngx_current_msec;

    peers->shared->truth[point >> (64 - S3C_RING_SLOT_BITS)] = now ? now : 1;
}


/* Has anything been learnt there since? */

ngx_uint_t
ngx_http_s3_cache_view_learnt(view_t *v, ngx_uint_t slot, uint32_t since)
{
    uint32_t  truth;

    truth = v->peers->shared->truth[slot];

    return truth != 0 && (int32_t) (truth - since) >= 0;
}


ngx_uint_t
ngx_http_s3_cache_view_settled(ngx_http_s3_cache_peers_t *peers)
{
    view_t *v = peers->view;

    return !v->configured
           && (ngx_msec_int_t) (v->former_until - ngx_current_msec) <= 0;
}


ngx_uint_t
ngx_http_s3_cache_view_ready(ngx_http_s3_cache_peers_t *peers)
{
    view_t *v = peers->view;

    return peers->redis == NULL || !v->configured;
}


ngx_uint_t
ngx_http_s3_cache_view_over(ngx_http_s3_cache_peers_t *peers)
{
    view_t *v = peers->view;

    return v->over;
}


ngx_http_s3_cache_near_t *
ngx_http_s3_cache_view_former(ngx_http_s3_cache_peers_t *peers,
    uint64_t point)
{
    view_t                    *v;
    uint16_t                   number;
    ngx_uint_t                 slot;
    ngx_http_s3_cache_near_t  *near;

    v = peers->view;

    if (!v->formers) {
        return NULL;
    }

    if ((ngx_msec_int_t) (v->former_until - ngx_current_msec) <= 0) {
        v->formers = 0;
        return NULL;
    }

    slot = point >> (64 - S3C_RING_SLOT_BITS);
    number = v->former[slot];

    if (number == NGX_HTTP_S3_CACHE_VIEW_NOBODY
        || ngx_http_s3_cache_view_learnt(v, slot, v->since))
    {
        return NULL;
    }

    near = v->nears[number];

    return near->listed ? near : NULL;
}


uint64_t
ngx_http_s3_cache_view_point(ngx_http_s3_cache_peers_t *peers,
    uint64_t identity, const s3c_ident_t *ident, uint64_t off)
{
    uint64_t       stripe;
    s3c_ident_t    plain;
    s3c_hash128_t  point;

    /* generations are this node's alone */

    if (ngx_memcmp(ident->bytes, &identity, sizeof(identity)) != 0) {
        plain.len = ident->len;
        ngx_memcpy(plain.bytes, ident->bytes, ident->len);
        ngx_memcpy(plain.bytes, &identity, sizeof(identity));
        ident = &plain;
    }

    point = s3c_hash128(peers->point_secret, ident->bytes, ident->len);
    stripe = off / peers->stripe;

    if (stripe > 0) {
        point.hi ^= stripe;
        point = s3c_hash128(peers->point_secret, &point, sizeof(point));
    }

    return point.lo;
}


/* --- what others look at ------------------------------------------------- */

ngx_http_s3_cache_near_t *
ngx_http_s3_cache_view_member(ngx_http_s3_cache_peers_t *peers, ngx_uint_t *i)
{
    view_t *v = peers->view;

    while (v != NULL && !v->over && *i < v->nnears) {
        if (v->nears[(*i)++]->listed) {
            return v->nears[*i - 1];
        }
    }

    return NULL;
}


ngx_http_s3_cache_near_t *
ngx_http_s3_cache_view_lately(ngx_http_s3_cache_peers_t *peers,
    ngx_msec_t msec, ngx_uint_t *i)
{
    view_t *v = peers->view;

    ngx_http_s3_cache_near_t  *near;

    while (v != NULL && !v->over && *i < v->nnears) {
        near = v->nears[(*i)++];

        if (near->listed
            || (near->left && ngx_current_msec - near->left_at < msec))
        {
            return near;
        }
    }

    return NULL;
}


const s3c_ring_t *
ngx_http_s3_cache_view_ring(ngx_http_s3_cache_peers_t *peers,
    ngx_http_s3_cache_near_t ***nears, uint64_t *epoch)
{
    view_t  *v;

    v = peers->view;

    if (v == NULL) {
        return NULL;
    }

    *nears = v->now.nears;
    *epoch = v->epoch;

    return v->now.ring;
}
