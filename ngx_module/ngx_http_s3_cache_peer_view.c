/* SPDX-License-Identifier: Apache-2.0
 *
 * Which nodes there are and which of them own a key, as this worker sees it.
 * It begins with the ring of the configuration; when the keeper has published a
 * roster, a ring is built of that, a step in each turn of the event loop, and
 * takes the place of the old one.
 *
 *   poll      a newer roster? -> read
 *   read      its members are known by name; same owners: done, else build
 *   build     (the ring of the others, if this is the first roster) the ring
 *   swap      what this node owns now, and who owned that before
 *
 * What was another node's before is asked of it first for a while ("handover"):
 * so the origin does not notice that a node has come.
 */

#include "ngx_http_s3_cache_peer.h"
#include "ngx_http_s3_cache_roster.h"


#define POLL_MSEC   100
#define NOBODY      UINT16_MAX


/* A ring, and who its members are. */
typedef struct {
    s3c_ring_t                 *ring;
    ngx_http_s3_cache_near_t  **nears;         /* by member; NULL: this node */
} view_ring_t;


typedef struct ngx_http_s3_cache_view_s {
    ngx_http_s3_cache_peers_t  *peers;

    ngx_http_s3_cache_near_t  **nears;         /* all that are known */
    ngx_uint_t                  nnears;

    view_ring_t                 now;
    unsigned                    configured:1;  /* it is that of the conf */
    unsigned                    over:1;        /* the worker ends */
    uint64_t                    inputs;        /* hash of what made it */
    ngx_atomic_uint_t           version;       /* of the roster seen last */
    unsigned                    read:1;        /* there was one */
    uint64_t                    epoch;

    /* by slot of the ring: the number of a near, or NOBODY */
    uint16_t                   *former;        /* NULL: never was one */
    uint32_t                    since;         /* when the ring changed last */
    ngx_msec_t                  former_until;
    unsigned                    formers:1;     /* it is not over */

    /* under way */
    view_ring_t                 next;
    view_ring_t                 others;        /* without this node */
    s3c_ring_builder_t         *builder;
    s3c_ring_member_t          *members;       /* of what is built */
    ngx_uint_t                  nmembers;
    u_char                     *text;
    uint64_t                    next_inputs;
    uint64_t                    next_epoch;
    ngx_event_t                 step;
    ngx_event_t                 poll;
} view_t;


static ngx_uint_t view_learnt(view_t *v, ngx_uint_t slot, uint32_t since);
static ngx_int_t view_static(view_t *v, ngx_cycle_t *cycle);
static ngx_http_s3_cache_near_t *view_near(view_t *v, s3c_slice_t name,
    const struct sockaddr *sockaddr, socklen_t socklen);
static ngx_int_t view_address(ngx_http_s3_cache_near_t *near,
    const struct sockaddr *sockaddr, socklen_t socklen);
static void view_poll(ngx_event_t *ev);
static ngx_int_t view_read(view_t *v);
static ngx_int_t view_member(view_t *v, const s3c_member_t *m);
static ngx_int_t view_begin(view_t *v, view_ring_t *to);
static void view_step(ngx_event_t *ev);
static void view_swap(view_t *v);
static void view_formers(view_t *v, const view_ring_t *old);
static void view_done(view_t *v);
static void view_ring_free(view_ring_t *r);


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

        v->step.handler = view_step;
        v->step.data = v;
        v->step.log = cycle->log;

        v->poll.handler = view_poll;
        v->poll.data = v;
        v->poll.log = cycle->log;
        v->poll.cancelable = 1;

        view_poll(&v->poll);

        /* a worker of a node that runs takes no request before it knows what
           the others do */

        while (v->builder != NULL) {
            view_step(&v->step);
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
            ngx_free(v->nears[k]);
        }

        v->nnears = 0;

        view_done(v);
        view_ring_free(&v->next);

        if (!v->configured) {
            view_ring_free(&v->now);
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

        near = view_near(v, ngx_http_s3_cache_slice(&nodes[i].name),
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


/* --- who owns ---------------------------------------------------------------- */

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

static ngx_uint_t
view_learnt(view_t *v, ngx_uint_t slot, uint32_t since)
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

    if (number == NOBODY || view_learnt(v, slot, v->since)) {
        return NULL;
    }

    near = v->nears[number];

    return near->listed ? near : NULL;
}


/* --- who there is ------------------------------------------------------------- */

/* The node of this name, known from now on; NULL: no memory, or too many. */

static ngx_http_s3_cache_near_t *
view_near(view_t *v, s3c_slice_t name, const struct sockaddr *sockaddr,
    socklen_t socklen)
{
    ngx_uint_t                 i, number;
    ngx_http_s3_cache_near_t  *near, *old;

    old = NULL;
    number = 0;

    for (i = 0; i < v->nnears; i++) {
        near = v->nears[i];

        if (s3c_slice_eq(ngx_http_s3_cache_slice(&near->name), name)) {
            return view_address(near, sockaddr, socklen) == NGX_OK ? near
                                                                   : NULL;
        }

        if (!near->listed && !near->stays && near->nlinks == 0
            && near->knock == NULL)
        {
            old = near;
            number = i;
        }
    }

    if (v->nnears < NGX_HTTP_S3_CACHE_NEARS_MAX) {

        near = ngx_calloc(sizeof(ngx_http_s3_cache_near_t), ngx_cycle->log);
        if (near == NULL) {
            return NULL;
        }

        near->peers = v->peers;
        ngx_queue_init(&near->waiting);
        v->nears[v->nnears++] = near;

    } else if (old != NULL) {
        /* one that went long ago makes room */
        near = old;
        near->rests = 0;
        near->counts.row = NULL;

        for (i = 0; v->former != NULL && i < S3C_RING_SLOTS; i++) {
            if (v->former[i] == number) {
                v->former[i] = NOBODY;
            }
        }

    } else {
        return NULL;
    }

    near->name.data = near->text;
    near->name.len = name.len;
    ngx_memcpy(near->text, name.data, name.len);
    near->socklen = 0;

    return view_address(near, sockaddr, socklen) == NGX_OK ? near : NULL;
}


static ngx_int_t
view_address(ngx_http_s3_cache_near_t *near, const struct sockaddr *sockaddr,
    socklen_t socklen)
{
    ngx_uint_t  i;

    if (socklen > sizeof(ngx_sockaddr_t)) {
        return NGX_ERROR;
    }

    if (near->socklen == socklen
        && ngx_memcmp(&near->sockaddr, sockaddr, socklen) == 0)
    {
        return NGX_OK;
    }

    /* it has moved: links to where it was take no more questions */

    for (i = 0; i < near->nlinks; i++) {
        ngx_http_s3_cache_link_leave(near->links[i]);
    }

    near->rests = 0;
    near->socklen = socklen;
    ngx_memcpy(&near->sockaddr, sockaddr, socklen);

    near->address.data = near->text + near->name.len;
    near->address.len = ngx_sock_ntop(&near->sockaddr.sockaddr, socklen,
                                      near->address.data,
                                      NGX_SOCKADDR_STRLEN, 1);

    return NGX_OK;
}


static void
view_poll(ngx_event_t *ev)
{
    view_t *v = ev->data;

    if (v->builder == NULL && v->peers->shared->version != v->version
        && view_read(v) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                      "s3_cache_peers \"%V\": no memory for a new ring: "
                      "this worker goes by the old one", &v->peers->name);
        view_done(v);
        v->version--;                    /* later, perhaps */
    }

    ngx_add_timer(&v->poll, POLL_MSEC);
}


static ngx_int_t
view_read(view_t *v)
{
    size_t                     len;
    s3c_slice_t                rest, last;
    ngx_uint_t                 i, first;
    s3c_member_t               m;
    s3c_status_t               st;
    s3c_ring_member_t         *rm;

    first = !v->read;

    v->text = ngx_alloc(NGX_HTTP_S3_CACHE_ROSTER_BYTES, ngx_cycle->log);
    v->members = ngx_alloc(S3C_RING_MEMBERS_MAX * sizeof(s3c_ring_member_t),
                           ngx_cycle->log);

    if (v->text == NULL || v->members == NULL) {
        return NGX_ERROR;
    }

    len = ngx_http_s3_cache_roster_read(v->peers, v->text, &v->version,
                                        &v->next_epoch);
    rest = s3c_slice(v->text, len);
    v->nmembers = 0;
    last = S3C_SLICE_NONE;

    for (i = 0; i < v->nnears; i++) {
        v->nears[i]->stays = v->nears[i]->listed;
        v->nears[i]->listed = 0;
    }

    while ((st = s3c_member_next(&rest, &m)) == S3C_OK) {

        if (last.len > 0
            && ngx_memn2cmp((u_char *) last.data, (u_char *) m.name.data,
                            last.len, m.name.len)
               >= 0)
        {
            /* not in the order of the ring */
            st = S3C_INVALID;
            break;
        }

        if (view_member(v, &m) != NGX_OK) {
            return NGX_ERROR;
        }

        last = m.name;
    }

    if (st != S3C_MISS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "s3_cache_peers \"%V\": a damaged roster",
                      &v->peers->name);
        view_done(v);
        return NGX_OK;
    }

    v->read = 1;

    /* only what is in these decides who owns what */

    v->next_inputs = v->nmembers;

    for (i = 0; i < v->nmembers; i++) {
        rm = &v->members[i];
        v->next_inputs = s3c_hash64(rm->name.data, rm->name.len)
                         ^ (v->next_inputs * 0x9e3779b97f4a7c15ull);
        v->next_inputs = s3c_hash64(rm->zone.data, rm->zone.len) + rm->weight
                         + (v->next_inputs * 0x9e3779b97f4a7c15ull);
    }

    if (v->nmembers == 0 || v->next_inputs == v->inputs) {
        v->epoch = v->next_epoch;
        view_done(v);
        return NGX_OK;
    }

    if (first) {
        /* Who had what this node owns before it came? Unless it has been here
         * all the time, and it is only this worker that is new. */
        return view_begin(v, v->peers->handover > 0
                             && ngx_http_s3_cache_roster_fresh(v->peers)
                             ? &v->others : &v->next);
    }

    return view_begin(v, &v->next);
}


static ngx_int_t
view_member(view_t *v, const s3c_member_t *m)
{
    u_char                      buf[S3C_MEMBER_ADDRESS_MAX];
    ngx_int_t                   rc;
    ngx_str_t                  *self;
    ngx_addr_t                  addr;
    ngx_pool_t                 *pool;
    s3c_ring_member_t          *rm;
    ngx_http_s3_cache_near_t   *near;

    if (v->nmembers == S3C_RING_MEMBERS_MAX) {
        return NGX_OK;
    }

    self = ngx_http_s3_cache_peer_self(v->peers);

    if (!s3c_slice_eq(m->name, ngx_http_s3_cache_slice(self))) {

        pool = ngx_create_pool(512, ngx_cycle->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(buf, m->address.data, m->address.len);
        near = NULL;

        rc = ngx_parse_addr_port(pool, &addr, buf, m->address.len);

        if (rc == NGX_OK && ngx_inet_get_port(addr.sockaddr) != 0) {
            near = view_near(v, m->name, addr.sockaddr, addr.socklen);
        }

        ngx_destroy_pool(pool);

        if (rc != NGX_OK) {
            /* the keeper lets none of these in */
            return NGX_OK;
        }

        if (near == NULL) {
            return NGX_ERROR;
        }

        near->listed = 1;
        near->state = m->state;
        near->weight = m->weight;
    }

    rm = &v->members[v->nmembers++];
    rm->name = m->name;
    rm->zone = m->zone;
    rm->weight = (m->state == S3C_MEMBER_READY) ? m->weight : 0;

    return NGX_OK;
}


/* --- a ring is built ------------------------------------------------------------ */

static ngx_int_t
view_begin(view_t *v, view_ring_t *to)
{
    size_t              bytes;
    ngx_str_t          *self;
    ngx_uint_t          i, k, saved;
    s3c_ring_member_t  *rm;

    self = ngx_http_s3_cache_peer_self(v->peers);
    saved = 0;
    bytes = 0;

    to->nears = ngx_calloc(v->nmembers * sizeof(void *), ngx_cycle->log);
    if (to->nears == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < v->nmembers; i++) {
        rm = &v->members[i];
        bytes += rm->name.len + rm->zone.len;

        if (s3c_slice_eq(rm->name, ngx_http_s3_cache_slice(self))) {

            if (to == &v->others) {
                saved = rm->weight;
                rm->weight = 0;
            }

            continue;
        }

        for (k = 0; k < v->nnears; k++) {
            if (s3c_slice_eq(rm->name,
                             ngx_http_s3_cache_slice(&v->nears[k]->name)))
            {
                to->nears[i] = v->nears[k];
                break;
            }
        }
    }

    bytes = s3c_ring_bytes((uint32_t) v->nmembers, bytes);

    to->ring = ngx_alloc(bytes, ngx_cycle->log);

    if (to->ring == NULL
        || s3c_ring_builder_create(&v->builder, to->ring, bytes, v->members,
                                   (uint32_t) v->nmembers)
           != S3C_OK)
    {
        v->builder = NULL;
        view_ring_free(to);
        return NGX_ERROR;
    }

    if (saved) {
        for (i = 0; i < v->nmembers; i++) {
            if (to->nears[i] == NULL) {
                v->members[i].weight = (uint32_t) saved;
            }
        }
    }

    ngx_post_event(&v->step, &ngx_posted_next_events);

    return NGX_OK;
}


/* The members of a roster are sorted by name, as those of the ring are: their
 * numbers are the same. */

static void
view_step(ngx_event_t *ev)
{
    view_t *v = ev->data;

    if (s3c_ring_build_step(v->builder, S3C_RING_STEP) == S3C_AGAIN) {

        if (!v->step.posted) {
            ngx_post_event(&v->step, &ngx_posted_next_events);
        }

        return;
    }

    s3c_ring_builder_destroy(v->builder);
    v->builder = NULL;

    if (v->next.ring == NULL) {
        /* those were the others alone */

        if (view_begin(v, &v->next) != NGX_OK) {
            view_done(v);
            v->version--;
        }

        return;
    }

    view_swap(v);
    view_done(v);
}


static void
view_swap(view_t *v)
{
    const view_ring_t  *old;

    old = v->others.ring != NULL ? &v->others
          : v->configured ? NULL : &v->now;

    if (v->formers
        && (ngx_msec_int_t) (v->former_until - ngx_current_msec) <= 0)
    {
        v->formers = 0;
    }

    v->former_until = ngx_current_msec + v->peers->handover;

    if (old != NULL && v->peers->handover > 0) {
        view_formers(v, old);
    }

    if (!v->configured) {
        view_ring_free(&v->now);
    }

    v->configured = 0;
    v->now = v->next;
    v->next.ring = NULL;
    v->next.nears = NULL;
    v->inputs = v->next_inputs;
    v->epoch = v->next_epoch;

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "s3_cache_peers \"%V\": ring of epoch %uL, digest %016xL, "
                  "%ui members", &v->peers->name, v->epoch,
                  s3c_ring_digest(v->now.ring), v->nmembers);
}


/* Who owned what this node owns from now on. What it owned already keeps whom
 * it had. */

static void
view_formers(view_t *v, const view_ring_t *old)
{
    uint16_t                   *numbers, member;
    ngx_uint_t                  i, k, n, fresh;
    uint64_t                    point;
    ngx_http_s3_cache_near_t   *before;

    if (s3c_ring_owners(old->ring) == 0
        || s3c_ring_owners(v->next.ring) == 0)
    {
        return;
    }

    fresh = 0;

    if (v->former == NULL) {
        v->former = ngx_alloc(S3C_RING_SLOTS * sizeof(uint16_t),
                              ngx_cycle->log);
        if (v->former == NULL) {
            return;
        }

        fresh = 1;
    }

    if (!v->formers || fresh) {
        ngx_memset(v->former, 0xff, S3C_RING_SLOTS * sizeof(uint16_t));
    }

    /* the old ring's members as numbers */

    n = s3c_ring_members(old->ring);
    numbers = ngx_alloc(n * sizeof(uint16_t), ngx_cycle->log);

    if (numbers == NULL) {
        return;
    }

    for (i = 0; i < n; i++) {
        numbers[i] = NOBODY;

        for (k = 0; k < v->nnears; k++) {
            if (v->nears[k] == old->nears[i]) {
                numbers[i] = (uint16_t) k;
                break;
            }
        }
    }

    for (i = 0; i < S3C_RING_SLOTS; i++) {
        point = (uint64_t) i << (64 - S3C_RING_SLOT_BITS);
        member = s3c_ring_find(v->next.ring, point)[0];

        if (v->next.nears[member] != NULL) {
            v->former[i] = NOBODY;
            continue;
        }

        member = s3c_ring_find(old->ring, point)[0];
        before = old->nears[member];

        if (before != NULL) {
            v->former[i] = numbers[member];

        } else if (view_learnt(v, i, v->since)) {
            v->former[i] = NOBODY;
        }
    }

    ngx_free(numbers);

    v->formers = 1;
    v->since = (uint32_t) v->peers->shared->published;
}


/* What was needed to build is given back. */

static void
view_done(view_t *v)
{
    if (v->builder != NULL) {
        s3c_ring_builder_destroy(v->builder);
        v->builder = NULL;
    }

    if (v->step.posted) {
        ngx_delete_posted_event(&v->step);
    }

    if (v->text != NULL) {
        ngx_free(v->text);
        v->text = NULL;
    }

    if (v->members != NULL) {
        ngx_free(v->members);
        v->members = NULL;
    }

    view_ring_free(&v->others);
}


static void
view_ring_free(view_ring_t *r)
{
    ngx_free(r->ring);
    ngx_free(r->nears);
    r->ring = NULL;
    r->nears = NULL;
}


/* --- what others look at ----------------------------------------------------- */

uint64_t
ngx_http_s3_cache_view_point(ngx_http_s3_cache_peers_t *peers,
    const s3c_ident_t *ident, uint64_t off)
{
    uint64_t       stripe;
    s3c_hash128_t  point;

    point = s3c_hash128(peers->point_secret, ident->bytes, ident->len);
    stripe = off / peers->stripe;

    if (stripe > 0) {
        point.hi ^= stripe;
        point = s3c_hash128(peers->point_secret, &point, sizeof(point));
    }

    return point.lo;
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
