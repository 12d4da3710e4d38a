/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper: in one worker of a node, it renews the node's lease three times
 * in its life, publishes who else holds one (redis_keeper_heard.c), and says at
 * once when the state of this node changes. Whatever happens to Redis, the last
 * roster stays.
 *
 * There is one keeper at a time: worker 0 of the newest cycle. An older one
 * goes on until the newer has renewed the lease, so that a reload is not seen
 * by others. All timers are cancelable: no worker stays for Redis.
 */

#include "ngx_http_s3_cache_redis_internal.h"


#define BACKOFF_MIN   50
#define BACKOFF_MAX   2000
#define LOOK_MSEC     100
#define TAKEN_MSEC    60000             /* between two lines about it */


static ngx_http_s3_cache_keeper_t *ngx_http_s3_cache_keeper_create(
    ngx_cycle_t *cycle, ngx_http_s3_cache_peers_t *peers);
static void ngx_http_s3_cache_keeper_beat(ngx_event_t *ev);
static void ngx_http_s3_cache_keeper_look(ngx_event_t *ev);
static ngx_uint_t ngx_http_s3_cache_keeper_relieved(
    ngx_http_s3_cache_keeper_t *k);
static ngx_uint_t ngx_http_s3_cache_keeper_superseded(
    ngx_http_s3_cache_keeper_t *k);
static void ngx_http_s3_cache_keeper_stop(ngx_http_s3_cache_keeper_t *k);
static ngx_int_t ngx_http_s3_cache_keeper_address(
    ngx_http_s3_cache_keeper_t *k);
static ngx_int_t ngx_http_s3_cache_keeper_value(
    ngx_http_s3_cache_keeper_t *k, s3c_member_state_t state);
static void ngx_http_s3_cache_keeper_lost(void *data, ngx_uint_t reason,
    ngx_err_t err);


/* Of this process. */
static ngx_http_s3_cache_keeper_t  **ngx_http_s3_cache_keepers;
static ngx_uint_t                    ngx_http_s3_cache_nkeepers;


/* The configuration is in force from here on: a keeper of an older cycle that
 * leaves knows by it that it is a reload, and not the end. */

ngx_int_t
ngx_http_s3_cache_redis_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_http_s3_cache_redis_t      **rp;
    ngx_http_s3_cache_main_conf_t   *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_s3_cache_module);

    if (mcf == NULL || ngx_test_config) {
        return NGX_OK;
    }

    rp = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        rp[i]->generation = ngx_atomic_fetch_add(
                                &rp[i]->peers->shared->generation, 1) + 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_s3_cache_redis_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    ngx_uint_t                    i;
    ngx_http_s3_cache_redis_t   **rp;
    ngx_http_s3_cache_keeper_t  **kp;

    if (mcf->redis.nelts == 0 || ngx_worker != 0) {
        return NGX_OK;
    }

    kp = ngx_pcalloc(cycle->pool, mcf->redis.nelts
                                  * sizeof(ngx_http_s3_cache_keeper_t *));
    if (kp == NULL) {
        return NGX_ERROR;
    }

    rp = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        kp[i] = ngx_http_s3_cache_keeper_create(cycle, rp[i]->peers);

        if (kp[i] == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_http_s3_cache_keepers = kp;
    ngx_http_s3_cache_nkeepers = mcf->redis.nelts;

    return NGX_OK;
}


static ngx_http_s3_cache_keeper_t *
ngx_http_s3_cache_keeper_create(ngx_cycle_t *cycle,
    ngx_http_s3_cache_peers_t *peers)
{
    ngx_http_s3_cache_keeper_t  *k;

    k = ngx_pcalloc(cycle->pool, sizeof(ngx_http_s3_cache_keeper_t));
    if (k == NULL) {
        return NULL;
    }

    k->redis = peers->redis;
    k->peers = peers;

    k->items = ngx_palloc(cycle->pool, S3C_RING_MEMBERS_MAX
                                       * sizeof(s3c_roster_item_t));
    k->before = ngx_palloc(cycle->pool, NGX_HTTP_S3_CACHE_ROSTER_BYTES);
    k->after = ngx_palloc(cycle->pool, NGX_HTTP_S3_CACHE_ROSTER_BYTES);

    if (k->items == NULL || k->before == NULL || k->after == NULL
        || ngx_http_s3_cache_redis_script_init(k->redis, cycle->pool)
           != NGX_OK)
    {
        return NULL;
    }

    k->conn.redis = k->redis;
    k->conn.failed = ngx_http_s3_cache_keeper_lost;
    k->conn.data = k;

    k->epoch = peers->shared->epoch;

    k->beat.handler = ngx_http_s3_cache_keeper_beat;
    k->beat.data = k;
    k->beat.log = cycle->log;
    k->beat.cancelable = 1;

    k->look.handler = ngx_http_s3_cache_keeper_look;
    k->look.data = k;
    k->look.log = cycle->log;
    k->look.cancelable = 1;

    ngx_add_timer(&k->beat, 1);
    ngx_add_timer(&k->look, LOOK_MSEC);

    return k;
}


/* A worker ends: the last chance to give the lease back. Nothing is waited
 * for; if it does not get through, the lease expires. */

void
ngx_http_s3_cache_redis_exit_worker(void)
{
    ngx_str_t                    argv[NGX_HTTP_S3_CACHE_REDIS_ARGS_MAX];
    ngx_uint_t                   i, n;
    ngx_http_s3_cache_keeper_t  *k;

    for (i = 0; i < ngx_http_s3_cache_nkeepers; i++) {
        k = ngx_http_s3_cache_keepers[i];

        if (!k->stopped && k->ready && k->claimed
            && !ngx_http_s3_cache_keeper_superseded(k)
            && !ngx_http_s3_cache_keeper_relieved(k))
        {
            k->peers->shared->leased_until = ngx_current_msec;
            n = ngx_http_s3_cache_redis_script(k, 1, 0, argv);
            ngx_http_s3_cache_redis_tell(&k->conn, n, argv);
        }

        ngx_http_s3_cache_keeper_stop(k);
    }

    ngx_http_s3_cache_nkeepers = 0;
}


static void
ngx_http_s3_cache_keeper_stop(ngx_http_s3_cache_keeper_t *k)
{
    ngx_http_s3_cache_redis_close(&k->conn);

    if (k->beat.timer_set) {
        ngx_del_timer(&k->beat);
    }

    if (k->look.timer_set) {
        ngx_del_timer(&k->look);
    }

    k->ready = 0;
    k->asked = 0;
    k->stopped = 1;
}


void
ngx_http_s3_cache_keeper_count(ngx_http_s3_cache_keeper_t *k,
    s3c_stat_t stat, uint64_t n)
{
    s3c_stats_add(&k->peers->zone->stats, stat, n);
}


/* Has a newer cycle begun, whose keeper will go on? */

static ngx_uint_t
ngx_http_s3_cache_keeper_superseded(ngx_http_s3_cache_keeper_t *k)
{
    return k->peers->shared->generation != k->redis->generation;
}


/* Has another worker renewed the lease after this one? */

static ngx_uint_t
ngx_http_s3_cache_keeper_relieved(ngx_http_s3_cache_keeper_t *k)
{
    if (!k->claimed) {
        return ngx_exiting && ngx_http_s3_cache_keeper_superseded(k);
    }

    return k->peers->shared->keeper != (ngx_atomic_uint_t) ngx_pid;
}


s3c_member_state_t
ngx_http_s3_cache_keeper_state(ngx_http_s3_cache_keeper_t *k)
{
    if (ngx_http_s3_cache_keeper_superseded(k) && k->claimed) {
        return k->state;                 /* what is new the newer one says */
    }

    if (ngx_exiting) {
        return S3C_MEMBER_LEAVING;
    }

    return ngx_http_s3_cache_roster_state(k->peers);
}


static void
ngx_http_s3_cache_keeper_look(ngx_event_t *ev)
{
    ngx_http_s3_cache_keeper_t *k = ev->data;

    if (ngx_http_s3_cache_keeper_relieved(k)) {
        ngx_http_s3_cache_keeper_stop(k);
        return;
    }

    ngx_add_timer(ev, LOOK_MSEC);

    if (k->ready && !k->asked
        && ngx_http_s3_cache_keeper_state(k) != k->state)
    {
        ngx_http_s3_cache_keeper_ask(k);
    }
}


static void
ngx_http_s3_cache_keeper_beat(ngx_event_t *ev)
{
    ngx_http_s3_cache_keeper_t *k = ev->data;

    if (ngx_http_s3_cache_keeper_relieved(k)) {
        ngx_http_s3_cache_keeper_stop(k);
        return;
    }

    if (k->ready) {
        if (!k->asked) {
            ngx_http_s3_cache_keeper_ask(k);
        }

        return;
    }

    ngx_http_s3_cache_redis_find(k);
}


void
ngx_http_s3_cache_keeper_found(ngx_http_s3_cache_keeper_t *k)
{
    k->ready = 1;
    k->in_contact = 0;

    if (ngx_http_s3_cache_keeper_address(k) != NGX_OK) {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_SELF, 0,
                                        NULL);
        return;
    }

    ngx_http_s3_cache_keeper_ask(k);
}


/* Where others reach this node: as configured, or at the address by which it
 * reaches Redis. */

static ngx_int_t
ngx_http_s3_cache_keeper_address(ngx_http_s3_cache_keeper_t *k)
{
    u_char                    *p;
    socklen_t                  len;
    ngx_str_t                  name;
    ngx_sockaddr_t             local;
    ngx_http_s3_cache_node_t  *self;

    self = k->peers->nodes.elts;

    if (self->url.naddrs) {
        name = self->url.addrs[0].name;

        if (name.len > NGX_SOCKADDR_STRLEN) {
            return NGX_ERROR;
        }

        ngx_memcpy(k->address, name.data, name.len);
        k->address_len = name.len;

        return NGX_OK;
    }

    len = sizeof(ngx_sockaddr_t);

    if (getsockname(k->conn.connection->fd, &local.sockaddr, &len) == -1
        || local.sockaddr.sa_family == AF_UNIX)
    {
        return NGX_ERROR;
    }

    ngx_inet_set_port(&local.sockaddr, k->peers->member_port);

    k->address_len = ngx_sock_ntop(&local.sockaddr, len, k->address,
                                   NGX_SOCKADDR_STRLEN, 1);

    p = k->address;

    if (!k->far
        && (ngx_strncmp(p, "127.", 4) == 0 || ngx_strncmp(p, "[::1]", 5) == 0))
    {
        k->far = 1;

        name.data = k->address;
        name.len = k->address_len;

        ngx_log_error(NGX_LOG_WARN, k->beat.log, 0,
                      "s3_cache_redis \"%V\": Redis is on this machine, so "
                      "this node says that it is at %V, where no other "
                      "machine finds it: \"member\" of s3_cache_peers may "
                      "have an address", &k->redis->name, &name);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_s3_cache_keeper_value(ngx_http_s3_cache_keeper_t *k,
    s3c_member_state_t state)
{
    s3c_member_t               m;
    s3c_writer_t               w;
    ngx_http_s3_cache_node_t  *self;

    self = k->peers->nodes.elts;

    ngx_memzero(&m, sizeof(s3c_member_t));

    m.name = ngx_http_s3_cache_slice(&self->name);
    m.address = s3c_slice(k->address, k->address_len);
    m.zone = ngx_http_s3_cache_slice(&self->rack);
    m.id = s3c_slice(k->peers->shared->id, S3C_MEMBER_ID_MAX);
    m.weight = (uint32_t) self->weight;
    m.state = state;

    s3c_writer_init(&w, k->value, sizeof(k->value));

    if (s3c_member_print(&w, &m) != S3C_OK) {
        return NGX_ERROR;
    }

    k->value_len = s3c_writer_slice(&w).len;

    return NGX_OK;
}


void
ngx_http_s3_cache_keeper_ask(ngx_http_s3_cache_keeper_t *k)
{
    ngx_str_t           argv[NGX_HTTP_S3_CACHE_REDIS_ARGS_MAX];
    ngx_uint_t          n, all;
    s3c_member_state_t  state;

    state = ngx_http_s3_cache_keeper_state(k);

    if (ngx_http_s3_cache_keeper_value(k, state) != NGX_OK) {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_SELF, 0,
                                        NULL);
        return;
    }

    k->state = state;
    k->asked = 1;
    k->asked_msec = ngx_current_msec;

    /* what is published may hold others than what has this epoch there */

    all = !k->in_contact || k->held;

    n = ngx_http_s3_cache_redis_script(k, 0, all, argv);

    ngx_http_s3_cache_redis_ask(&k->conn, n, argv,
                                ngx_http_s3_cache_keeper_answered);
}


static void
ngx_http_s3_cache_keeper_lost(void *data, ngx_uint_t reason, ngx_err_t err)
{
    ngx_http_s3_cache_keeper_failed(data, reason, err, NULL);
}


/* The next attempt comes later each time. Each reason is told once until a
 * server has answered. */

void
ngx_http_s3_cache_keeper_failed(ngx_http_s3_cache_keeper_t *k,
    ngx_uint_t reason, ngx_err_t err, ngx_str_t *said)
{
    size_t       i;
    u_char       buf[128];
    uint64_t     bit;
    ngx_str_t    text;
    ngx_uint_t   loud;
    ngx_msec_t   max;

    ngx_http_s3_cache_redis_close(&k->conn);

    k->ready = 0;
    k->asked = 0;
    k->whole = 0;
    k->in_contact = 0;

    if (k->stopped) {
        return;
    }

    ngx_http_s3_cache_keeper_count(k,
                             ngx_http_s3_cache_redis_reason_stat(reason), 1);

    bit = (uint64_t) 1 << reason;
    loud = !(k->told & bit);

    if (reason == NGX_HTTP_S3_CACHE_REDIS_TAKEN
        && ngx_current_msec - k->taken >= TAKEN_MSEC)
    {
        k->taken = ngx_current_msec;
        loud = 1;
    }

    k->told |= bit;

    text.data = buf;
    text.len = said ? ngx_min(said->len, sizeof(buf)) : 0;

    for (i = 0; i < text.len; i++) {
        buf[i] = (said->data[i] < ' ' || said->data[i] > '~')
                 ? '?' : said->data[i];
    }

    if (loud) {
        ngx_log_error(NGX_LOG_ERR, k->beat.log, err,
                      "s3_cache_redis \"%V\": %V %s%s%V%s; the ring stays as "
                      "it is", &k->redis->name, &k->server,
                      ngx_http_s3_cache_redis_reason_text(reason),
                      said ? " (\"" : "", &text, said ? "\")" : "");
    }

    max = ngx_min(k->redis->lease / 2, BACKOFF_MAX);

    k->backoff = k->backoff ? ngx_min(k->backoff * 2, max) : BACKOFF_MIN;

    ngx_add_timer(&k->beat, k->backoff);
}
