/* SPDX-License-Identifier: Apache-2.0
 *
 * What this node knows of the others, for who looks at it: rows of counters in
 * the memory of all workers (src/stats/stats_node.h), and the ring as this
 * worker goes by it. Reads the view, changes nothing of it.
 */

#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_roster.h"


static bool status_alive(int64_t pid);


static ngx_inline ngx_slab_pool_t *
status_pool(ngx_http_s3_cache_peers_t *peers)
{
    return (ngx_slab_pool_t *) peers->shm_zone->shm.addr;
}


const s3c_stats_node_t *
ngx_http_s3_cache_node_counts(ngx_http_s3_cache_peers_t *peers,
    ngx_str_t *name, s3c_stats_node_t *counts)
{
    if (s3c_stats_node_valid(counts)) {
        return counts;
    }

    ngx_shmtx_lock(&status_pool(peers)->mutex);

    *counts = s3c_stats_node_get_locked(&peers->shared->nodes,
                                        ngx_http_s3_cache_slice(name),
                                        ngx_current_msec);

    ngx_shmtx_unlock(&status_pool(peers)->mutex);

    return counts;
}


void
ngx_http_s3_cache_near_counts_links(ngx_http_s3_cache_near_t *near)
{
    ngx_http_s3_cache_zone_t  *zone;

    zone = near->peers->zone;

    if (zone->stats.mem != NULL) {
        s3c_stats_node_links(&near->counts, zone->stats.slot,
                             (uint32_t) near->nlinks);
    }
}


void
ngx_http_s3_cache_counts_init_worker(ngx_http_s3_cache_main_conf_t *mcf)
{
    ngx_uint_t                   i;
    ngx_http_s3_cache_zone_t   **zones;
    ngx_http_s3_cache_peers_t   *peers;

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        peers = zones[i]->peers;

        if (peers == NULL || zones[i]->stats.mem == NULL) {
            continue;
        }

        ngx_shmtx_lock(&status_pool(peers)->mutex);
        s3c_stats_node_worker_locked(&peers->shared->nodes,
                                     zones[i]->stats.slot, ngx_pid,
                                     status_alive);
        ngx_shmtx_unlock(&status_pool(peers)->mutex);
    }
}


static bool
status_alive(int64_t pid)
{
    return kill((pid_t) pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}


ngx_str_t *
ngx_http_s3_cache_peer_owner(ngx_http_s3_cache_peers_t *peers, uint64_t point)
{
    ngx_http_s3_cache_near_t  *owners[S3C_RING_OWNERS];

    static ngx_str_t  nobody;

    if (peers->view == NULL
        || ngx_http_s3_cache_view_owners(peers, point, owners) == 0)
    {
        return &nobody;
    }

    return owners[0] ? &owners[0]->name : ngx_http_s3_cache_peer_self(peers);
}


/* --- the ring, as it is shown -------------------------------------------- */

static void
status_self(ngx_http_s3_cache_peers_t *peers, s3c_stats_member_t *m)
{
    const char                *state;
    ngx_http_s3_cache_node_t  *self;

    self = (ngx_http_s3_cache_node_t *) peers->nodes.elts + peers->self;

    /* nodes of the configuration say nothing of themselves */
    state = s3c_member_state_name(peers->redis
                                  ? ngx_http_s3_cache_roster_state(peers)
                                  : S3C_MEMBER_READY);
    m->self = 1;
    m->weight = (uint32_t) self->weight;
    m->state = s3c_slice(state, ngx_strlen(state));
    m->address = ngx_http_s3_cache_slice(self->url.naddrs
                                         ? &self->url.addrs[0].name
                                         : &self->url.url);
}


void
ngx_http_s3_cache_peer_status(ngx_pool_t *pool, ngx_http_s3_cache_zone_t *zone,
    s3c_stats_zone_t *out)
{
    uint16_t                     i;
    uint64_t                     epoch;
    const char                  *state;
    s3c_stats_ring_t            *shown;
    const s3c_ring_t            *ring;
    s3c_stats_member_t          *members, *m;
    ngx_http_s3_cache_near_t   **nears;
    ngx_http_s3_cache_peers_t   *peers;

    peers = zone->peers;

    if (peers == NULL) {
        return;
    }

    ring = ngx_http_s3_cache_view_ring(peers, &nears, &epoch);
    if (ring == NULL) {
        return;
    }

    shown = ngx_pcalloc(pool, sizeof(s3c_stats_ring_t));
    members = ngx_pcalloc(pool, s3c_ring_members(ring)
                                * sizeof(s3c_stats_member_t));

    if (shown == NULL || members == NULL) {
        return;
    }

    for (i = 0; i < s3c_ring_members(ring); i++) {
        m = &members[i];

        m->name = s3c_ring_name(ring, i);
        m->zone = s3c_ring_zone(ring, i);
        m->share = (double) s3c_ring_share(ring, i, 0) / S3C_RING_SLOTS;

        if (nears[i] == NULL) {
            status_self(peers, m);
            continue;
        }

        state = s3c_member_state_name(nears[i]->state);
        m->state = s3c_slice(state, ngx_strlen(state));
        m->weight = nears[i]->weight;
        m->address = ngx_http_s3_cache_slice(&nears[i]->address);

        ngx_shmtx_lock(&status_pool(peers)->mutex);
        s3c_stats_node_read_locked(&peers->shared->nodes, m->name, &m->counts);
        ngx_shmtx_unlock(&status_pool(peers)->mutex);
    }

    shown->vouched = s3c_vouch_stands(&peers->shared->vouch,
                                      ngx_http_s3_cache_now());
    shown->epoch = epoch;
    shown->digest = s3c_ring_digest(ring);
    shown->members = members;
    shown->n_members = s3c_ring_members(ring);

    out->ring = shown;
}
