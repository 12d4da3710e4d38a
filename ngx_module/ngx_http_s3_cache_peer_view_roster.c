/* SPDX-License-Identifier: Apache-2.0
 *
 * The nodes that a worker knows, and how it reads the roster that the keeper
 * has published. A node is known by its name; one that is listed no more stays
 * known until its place is needed.
 */

#include "ngx_http_s3_cache_peer_view_internal.h"


#define POLL_MSEC   100


static ngx_int_t view_address(ngx_http_s3_cache_near_t *near,
    const struct sockaddr *sockaddr, socklen_t socklen);
static ngx_int_t view_read(view_t *v);
static void view_stays(view_t *v);
static ngx_int_t view_members(view_t *v, s3c_slice_t rest);
static ngx_int_t view_member(view_t *v, const s3c_member_t *m);
static uint64_t view_inputs(view_t *v);


/* --- who there is -------------------------------------------------------- */

/* The node of this name, known from now on; NULL: no memory, or too many. */

ngx_http_s3_cache_near_t *
ngx_http_s3_cache_view_near(view_t *v, s3c_slice_t name,
    const struct sockaddr *sockaddr, socklen_t socklen)
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
            && near->knock == NULL
            && !(near->left && ngx_current_msec - near->left_at
                               < 2 * v->peers->staleness))
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
                v->former[i] = NGX_HTTP_S3_CACHE_VIEW_NOBODY;
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


/* --- the roster ---------------------------------------------------------- */

void
ngx_http_s3_cache_view_poll(ngx_event_t *ev)
{
    view_t *v = ev->data;

    if (v->builder == NULL && v->peers->shared->version != v->version
        && view_read(v) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                      "s3_cache_peers \"%V\": no memory for a new ring: "
                      "this worker goes by the old one", &v->peers->name);
        ngx_http_s3_cache_view_done(v);
        v->version--;                    /* later, perhaps */
        view_stays(v);
    }

    ngx_add_timer(&v->poll, POLL_MSEC);
}


/* Nothing was learnt: those who were members still are. */

static void
view_stays(view_t *v)
{
    ngx_uint_t  i;

    for (i = 0; i < v->nnears; i++) {
        v->nears[i]->listed |= v->nears[i]->stays;
    }
}


static ngx_int_t
view_read(view_t *v)
{
    size_t      len;
    ngx_int_t   rc;
    ngx_uint_t  first;

    first = !v->read;

    v->text = ngx_alloc(NGX_HTTP_S3_CACHE_ROSTER_BYTES, ngx_cycle->log);
    v->members = ngx_alloc(S3C_RING_MEMBERS_MAX * sizeof(s3c_ring_member_t),
                           ngx_cycle->log);

    if (v->text == NULL || v->members == NULL) {
        return NGX_ERROR;
    }

    len = ngx_http_s3_cache_roster_read(v->peers, v->text, &v->version,
                                        &v->next_epoch);
    rc = view_members(v, s3c_slice(v->text, len));

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "s3_cache_peers \"%V\": a damaged roster",
                      &v->peers->name);
        ngx_http_s3_cache_view_done(v);
        view_stays(v);
        return NGX_OK;
    }

    v->read = 1;
    v->next_inputs = view_inputs(v);

    if (v->nmembers == 0 || v->next_inputs == v->inputs) {
        v->epoch = v->next_epoch;
        ngx_http_s3_cache_view_done(v);
        return NGX_OK;
    }

    if (first) {
        /* Who had what this node owns before it came? Unless it has been here
         * all the time, and it is only this worker that is new. */
        return ngx_http_s3_cache_view_build(v,
                                    v->peers->handover > 0
                                    && ngx_http_s3_cache_roster_fresh(v->peers)
                                    ? &v->others : &v->next);
    }

    return ngx_http_s3_cache_view_build(v, &v->next);
}


/* Who is in the roster. DECLINED: it is damaged. */

static ngx_int_t
view_members(view_t *v, s3c_slice_t rest)
{
    s3c_slice_t   last;
    ngx_uint_t    i;
    s3c_member_t  m;
    s3c_status_t  st;

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
            return NGX_DECLINED;
        }

        if (view_member(v, &m) != NGX_OK) {
            return NGX_ERROR;
        }

        last = m.name;
    }

    for (i = 0; i < v->nnears; i++) {

        if (v->nears[i]->listed) {
            v->nears[i]->left = 0;

        } else if (v->nears[i]->stays) {
            v->nears[i]->left = 1;
            v->nears[i]->left_at = ngx_current_msec;
        }
    }

    return st == S3C_MISS ? NGX_OK : NGX_DECLINED;
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
            near = ngx_http_s3_cache_view_near(v, m->name, addr.sockaddr,
                                               addr.socklen);
        }

        ngx_destroy_pool(pool);

        if (rc != NGX_OK) {
            /* the keeper lets none of these in */
            return NGX_OK;
        }

        if (near == NULL) {
            return NGX_ERROR;
        }

        if (!near->stays) {
            near->listed_since = ngx_current_msec;
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


/* Only what is in these decides who owns what. */

static uint64_t
view_inputs(view_t *v)
{
    uint64_t            inputs;
    ngx_uint_t          i;
    s3c_ring_member_t  *rm;

    inputs = v->nmembers;

    for (i = 0; i < v->nmembers; i++) {
        rm = &v->members[i];
        inputs = s3c_hash64(rm->name.data, rm->name.len)
                 ^ (inputs * 0x9e3779b97f4a7c15ull);
        inputs = s3c_hash64(rm->zone.data, rm->zone.len) + rm->weight
                 + (inputs * 0x9e3779b97f4a7c15ull);
    }

    return inputs;
}
