/* SPDX-License-Identifier: Apache-2.0
 *
 * The other nodes are asked, again and again, whether they have told this one
 * of all their writes. What they say counts from when they were asked.
 */

#include "ngx_http_s3_cache_vouch.h"
#include "ngx_http_s3_cache_reload.h"
#include "ngx_http_s3_cache_roster.h"


#define BEATS          5              /* in the time of `staleness` */
#define LOOKS          5              /* in a beat */
#define LOOK_MSEC_MIN  20
#define LOOK_MSEC_NEW  50             /* until it stands for the first time */

/* a node that has just been heard of: not all workers know it yet, and tell it
 * of what they write */
#define KNOWN_MSEC     300


typedef struct ngx_http_s3_cache_word_s {
    ngx_http_s3_cache_ask_t     ask;           /* first */
    uint64_t                    node;          /* its name */
    uint64_t                    asked_ms;
    unsigned                    out:1;
} word_t;


typedef struct {
    ngx_event_t                 look;
    ngx_http_s3_cache_peers_t  *peers;
    ngx_msec_t                  every;
    ngx_uint_t                  n;             /* looks, since the last beat */
    ngx_uint_t                  stands;        /* 2: not known yet */
    uint64_t                    names[S3C_RING_MEMBERS_MAX];
} vouch_t;


static void vouch_look(ngx_event_t *ev);
static void vouch_ask(vouch_t *v, ngx_http_s3_cache_near_t *near,
    uint64_t name);
static ngx_int_t word_on_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t word_on_data(ngx_http_s3_cache_ask_t *ask,
    const u_char *data, size_t len);
static void word_on_idle(ngx_http_s3_cache_ask_t *ask);
static void word_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);


ngx_int_t
ngx_http_s3_cache_vouch_init_worker(ngx_cycle_t *cycle,
    ngx_http_s3_cache_main_conf_t *mcf)
{
    vouch_t                     *v;
    ngx_uint_t                   i;
    ngx_http_s3_cache_peers_t  **peers;

    peers = mcf->peers.elts;

    for (i = 0; ngx_worker == 0 && i < mcf->peers.nelts; i++) {

        v = ngx_pcalloc(cycle->pool, sizeof(vouch_t));
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->peers = peers[i];
        v->stands = 2;
        v->every = ngx_max(peers[i]->staleness / (BEATS * LOOKS),
                           LOOK_MSEC_MIN);

        v->look.handler = vouch_look;
        v->look.data = v;
        v->look.log = cycle->log;
        v->look.cancelable = 1;

        ngx_add_timer(&v->look, 1);
    }

    return NGX_OK;
}


static void
vouch_look(ngx_event_t *ev)
{
    vouch_t *v = ev->data;

    uint64_t                    now;
    ngx_uint_t                  i, n, stands, is_new;
    ngx_http_s3_cache_near_t   *near;
    ngx_http_s3_cache_peers_t  *peers;

    if (ngx_exiting) {
        /* a worker of the newer cycle does it, or nobody has to */
        return;
    }

    peers = v->peers;
    now = ngx_http_s3_cache_now_exact();
    is_new = s3c_vouch_is_new(&peers->shared->vouch)
             && ngx_current_msec - peers->shared->born < peers->staleness;

    ngx_add_timer(ev, is_new ? LOOK_MSEC_NEW : v->every);

    if (!ngx_http_s3_cache_view_ready(peers)
        || ngx_http_s3_cache_view_over(peers))
    {
        return;
    }

    n = 0;
    i = 0;

    while ((near = ngx_http_s3_cache_view_member(peers, &i)) != NULL
           && n < S3C_RING_MEMBERS_MAX)
    {
        v->names[n] = s3c_hash64(near->name.data, near->name.len);

        if (v->n == 0 || is_new) {
            vouch_ask(v, near, v->names[n]);
        }

        n++;
    }

    v->n = (v->n + 1) % LOOKS;

    stands = s3c_vouch_judge(&peers->shared->vouch, v->names, (uint32_t) n,
                             peers->staleness, now);

    if (stands != v->stands) {

        if (v->stands == 2) {
            /* the beginning */

        } else if (stands) {
            ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                          "s3_cache_peers \"%V\": all nodes answer for what "
                          "they write again", &peers->name);

        } else if (!s3c_vouch_was_known(&peers->shared->vouch, now)) {
            ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                          "s3_cache_peers \"%V\": a node does not know this "
                          "one, and tells it of nothing: what is kept is "
                          "validated for each read", &peers->name);

        } else {
            ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                          "s3_cache_peers \"%V\": a node does not answer for "
                          "what it writes: what is kept is validated every "
                          "%M ms", &peers->name, peers->staleness);
        }

        v->stands = stands;
    }
}


/* One question at a time. */

static void
vouch_ask(vouch_t *v, ngx_http_s3_cache_near_t *near, uint64_t name)
{
    word_t                   *word;
    ngx_http_s3_cache_ask_t  *a;

    if (near->word == NULL) {
        near->word = ngx_calloc(sizeof(word_t), ngx_cycle->log);
        if (near->word == NULL) {
            return;
        }
    }

    word = near->word;

    if (word->out) {

        if (word->node == name) {
            return;
        }

        ngx_http_s3_cache_ask_cancel(&word->ask);
    }

    ngx_memzero(word, sizeof(word_t));
    word->node = name;
    word->asked_ms = ngx_http_s3_cache_now();

    a = &word->ask;
    a->patience = v->peers->timeout;
    a->probe = 1;
    a->insists = 1;
    a->on_meta = word_on_meta;
    a->on_data = word_on_data;
    a->on_idle = word_on_idle;
    a->on_end = word_on_end;
    a->ask.what = S3C_WIRE_VOUCH;

    word->out = (ngx_http_s3_cache_ask_start(a, near) == NGX_OK);
}


void
ngx_http_s3_cache_vouch_forget(ngx_http_s3_cache_near_t *near)
{
    if (near->word != NULL) {
        ngx_free(near->word);
        near->word = NULL;
    }
}


static ngx_int_t
word_on_meta(ngx_http_s3_cache_ask_t *ask, const s3c_wire_meta_t *meta,
    u_char *head)
{
    word_t *word = (word_t *) ask;

    if (meta->left_ms == 0) {
        return NGX_ABORT;
    }

    s3c_vouch_heard(&ask->near->peers->shared->vouch, word->node,
                    meta->left_ms, meta->age_ms, word->asked_ms,
                    ngx_http_s3_cache_now_exact());

    return NGX_OK;
}


static ngx_int_t
word_on_data(ngx_http_s3_cache_ask_t *ask, const u_char *data, size_t len)
{
    return NGX_ABORT;
}


static void
word_on_idle(ngx_http_s3_cache_ask_t *ask)
{
}


static void
word_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code)
{
    word_t *word = (word_t *) ask;

    word->out = 0;

    if (code == NGX_HTTP_S3_CACHE_FILL_ELSEWHERE) {
        s3c_vouch_shunned(&ask->near->peers->shared->vouch, word->node,
                          ngx_http_s3_cache_now_exact());
    }
}


ngx_uint_t
ngx_http_s3_cache_vouched(ngx_http_s3_cache_ctx_t *ctx)
{
    uint64_t                    now, validated;
    ngx_http_s3_cache_peers_t  *peers;

    peers = ctx->zone->peers;

    if (peers == NULL
        || (ctx->conf->rules.mode == S3C_FRESHNESS_IMMUTABLE && !ctx->page))
    {
        /* objects may never change; a list does when one is added */
        return 1;
    }

    now = ngx_http_s3_cache_now();
    validated = atomic_load_explicit(&ctx->view.rec->validated_ms,
                                     memory_order_relaxed);

    if (validated > now) {
        /* by another worker, whose turn began later than this one's */
        now = ngx_http_s3_cache_now_exact();
    }

    if (s3c_vouch_stands(&peers->shared->vouch, now)) {
        return s3c_vouch_holds(&peers->shared->vouch, validated, now);
    }

    if (s3c_vouch_is_new(&peers->shared->vouch)
        && ngx_current_msec - peers->shared->born < peers->staleness)
    {
        /* the others have yet to see that this node is there */
        return 0;
    }

    /* who cannot reach the others may be late; who reaches them, and is told
       nothing since they do not know it, need not be */

    return validated <= now && now - validated < peers->staleness
           && s3c_vouch_was_known(&peers->shared->vouch, validated);
}


uint64_t
ngx_http_s3_cache_vouch_life(ngx_http_s3_cache_peers_t *peers,
    ngx_str_t *node, uint64_t *owed)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_near_t  *near;

    i = 0;

    while ((near = ngx_http_s3_cache_view_member(peers, &i)) != NULL) {

        if (near->listed_since != 0
            && ngx_current_msec - near->listed_since < KNOWN_MSEC)
        {
            continue;
        }

        if (near->name.len == node->len
            && ngx_memcmp(near->name.data, node->data, node->len) == 0)
        {
            *owed = s3c_vouch_grant(&peers->shared->vouch,
                                    s3c_hash64(node->data, node->len),
                                    ngx_http_s3_cache_now())
                    + ngx_http_s3_cache_reload_strays();

            return s3c_hash64(peers->shared->id, S3C_MEMBER_ID_MAX) | 1;
        }
    }

    return 0;
}
