/* SPDX-License-Identifier: Apache-2.0
 *
 * One question for each name and node, a few names at a time. A node whose link
 * was lost under the question is asked once more.
 */

#include "ngx_http_s3_cache_tell.h"
#include "ngx_http_s3_cache_list.h"
#include "ngx_http_s3_cache_refresh.h"
#include "ngx_http_s3_cache_roster.h"


#define AT_A_TIME  256


typedef struct {
    ngx_http_s3_cache_ask_t    ask;            /* first */
    ngx_queue_t                queue;
    ngx_http_s3_cache_tell_t  *tell;
    unsigned                   again:1;
} word_t;


static void tell_pump(ngx_http_s3_cache_tell_t *tell);
static ngx_uint_t tell_is_granted(ngx_http_s3_cache_tell_t *tell,
    ngx_http_s3_cache_near_t *near);
static void tell_one(ngx_http_s3_cache_tell_t *tell,
    ngx_http_s3_cache_near_t *near, ngx_http_s3_cache_name_t *name);
static void tell_missed(ngx_http_s3_cache_tell_t *tell,
    ngx_http_s3_cache_near_t *near);
static ngx_int_t word_on_meta(ngx_http_s3_cache_ask_t *ask,
    const s3c_wire_meta_t *meta, u_char *head);
static ngx_int_t word_on_data(ngx_http_s3_cache_ask_t *ask,
    const u_char *data, size_t len);
static void word_on_idle(ngx_http_s3_cache_ask_t *ask);
static void word_on_end(ngx_http_s3_cache_ask_t *ask, ngx_uint_t code);
static ngx_int_t told_name(ngx_http_s3_cache_main_conf_t *mcf,
    const s3c_wire_ask_t *ask, const ngx_http_s3_cache_name_t *name);
static void told_whole(ngx_http_s3_cache_main_conf_t *mcf,
    const s3c_wire_ask_t *ask);


ngx_int_t
ngx_http_s3_cache_tell(ngx_http_s3_cache_tell_t *tell)
{
    tell->next = 0;
    tell->out = 0;
    tell->missed = 0;
    tell->refused = 0;
    ngx_queue_init(&tell->words);

    tell_pump(tell);

    return tell->out > 0 ? NGX_AGAIN : NGX_OK;
}


void
ngx_http_s3_cache_tell_cancel(ngx_http_s3_cache_tell_t *tell)
{
    word_t       *word;
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&tell->words)) {
        q = ngx_queue_head(&tell->words);
        word = ngx_queue_data(q, word_t, queue);

        ngx_queue_remove(q);
        ngx_http_s3_cache_ask_cancel(&word->ask);
        ngx_free(word);
    }

    tell->out = 0;
    tell->next = tell->nnames;
}


static void
tell_pump(ngx_http_s3_cache_tell_t *tell)
{
    ngx_uint_t                 i;
    ngx_http_s3_cache_near_t  *near;
    ngx_http_s3_cache_name_t  *name;

    /* questions may end while others are asked */

    if (tell->pumping) {
        return;
    }

    tell->pumping = 1;

    while (tell->next < tell->nnames && tell->out < AT_A_TIME) {
        name = &tell->names[tell->next++];
        i = 0;

        /* twice: another worker, which saw later that it left, may have
           given it its word until then */

        while ((near = ngx_http_s3_cache_view_lately(tell->peers,
                                                  2 * tell->peers->staleness,
                                                  &i))
               != NULL)
        {
            if (near->listed || tell_is_granted(tell, near)) {
                tell_one(tell, near, name);
            }
        }
    }

    tell->pumping = 0;
}


/*
 * Does it believe that it is told? Then also if it is no member any more: its
 * lease may be over by mistake (a Redis that has lost all is filled again by
 * one node after the other), and it may know nothing of that.
 */

static ngx_uint_t
tell_is_granted(ngx_http_s3_cache_tell_t *tell, ngx_http_s3_cache_near_t *near)
{
    return s3c_vouch_is_granted(&tell->peers->shared->vouch,
                                s3c_hash64(near->name.data, near->name.len),
                                tell->peers->staleness,
                                ngx_http_s3_cache_now());
}


static void
tell_one(ngx_http_s3_cache_tell_t *tell, ngx_http_s3_cache_near_t *near,
    ngx_http_s3_cache_name_t *name)
{
    word_t                   *word;
    ngx_http_s3_cache_ask_t  *a;

    word = ngx_calloc(sizeof(word_t), ngx_cycle->log);
    if (word == NULL) {
        tell_missed(tell, near);
        return;
    }

    word->tell = tell;

    a = &word->ask;
    a->patience = tell->peers->timeout;
    a->on_meta = word_on_meta;
    a->on_data = word_on_data;
    a->on_idle = word_on_idle;
    a->on_end = word_on_end;
    a->insists = tell_is_granted(tell, near);
    a->ask.what = tell->what;
    a->ask.location = tell->origin;
    a->ask.generation = tell->tag;
    a->ask.block = tell->msec;
    a->ask.bucket = name->bucket;
    a->ask.key = name->key;
    a->ask.flags = (name->prefix ? S3C_WIRE_PREFIX : 0)
                   | (name->all ? S3C_WIRE_ALL : 0)
                   | (name->whole ? S3C_WIRE_WHOLE : 0)
                   | (name->zone != NULL ? S3C_WIRE_ZONE : 0);

    if (name->refresh && name->key.len > 0 && tell->what == S3C_WIRE_FENCE
        && tell->msec > 0)
    {
        a->ask.flags |= S3C_WIRE_REFRESH;
    }

    if (name->later && tell->what == S3C_WIRE_FENCE && !tell->sure) {
        a->ask.flags |= S3C_WIRE_LATER;
    }

    if (tell->denied && tell->what == S3C_WIRE_LIFT) {
        a->ask.flags |= S3C_WIRE_REFUSED;
    }

    if (name->key.len > 0 && name->version.len <= S3C_WIRE_VERSION_ID_MAX) {
        /* all others go with the key's generation */
        a->ask.version_id = name->version;
    }

    if (a->ask.key.len > S3C_WIRE_KEY_MAX
        || a->ask.bucket.len > S3C_WIRE_BUCKET_MAX)
    {
        /* longer than anything that is kept */
        ngx_free(word);
        return;
    }

    if (ngx_http_s3_cache_ask_start(a, near) != NGX_OK) {
        tell_missed(tell, near);
        ngx_free(word);
        return;
    }

    ngx_queue_insert_tail(&tell->words, &word->queue);
    tell->out++;
}


static void
tell_missed(ngx_http_s3_cache_tell_t *tell, ngx_http_s3_cache_near_t *near)
{
    if (tell->what == S3C_WIRE_HAVE) {
        return;                        /* then it asks the origin */
    }

    tell->missed = 1;

    if (tell->on_missed != NULL) {
        tell->on_missed(tell, near);
    }

    s3c_stats_add(&tell->peers->zone->stats, S3C_STAT_WRITE_UNTOLD, 1);
    s3c_vouch_missed(&tell->peers->shared->vouch,
                     s3c_hash64(near->name.data, near->name.len));
}


static ngx_int_t
word_on_meta(ngx_http_s3_cache_ask_t *ask, const s3c_wire_meta_t *meta,
    u_char *head)
{
    return NGX_ABORT;
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

    ngx_http_s3_cache_tell_t  *tell;

    tell = word->tell;

    if (code == NGX_HTTP_S3_CACHE_ASK_LOST && !word->again
        && !ngx_http_s3_cache_view_over(tell->peers))
    {
        word->again = 1;

        if (ngx_http_s3_cache_ask_start(ask, ask->near) == NGX_OK) {
            return;
        }
    }

    if (code == NGX_HTTP_S3_CACHE_FILL_ROOM) {
        tell->refused = 1;

        if (tell->on_missed != NULL) {
            tell->on_missed(tell, ask->near);
        }

    } else if (code != NGX_HTTP_S3_CACHE_ASK_COMPLETE) {
        tell_missed(tell, ask->near);
    }

    ngx_queue_remove(&word->queue);
    ngx_free(word);
    tell->out--;

    tell_pump(tell);

    if (tell->out == 0 && !tell->pumping) {
        tell->done(tell);
    }
}


/* --- and when this node is told -------------------------------------------- */

static ngx_int_t
told_name(ngx_http_s3_cache_main_conf_t *mcf, const s3c_wire_ask_t *ask,
    const ngx_http_s3_cache_name_t *name)
{
    if (ask->what == S3C_WIRE_LIFT) {
        ngx_http_s3_cache_fence_lift(mcf, ask->location, name,
                                     ask->generation, ask->block,
                                     ask->flags & S3C_WIRE_REFUSED);

        if (name->key.len > 0) {
            told_whole(mcf, ask);
        }

        return NGX_OK;
    }

    if (ask->block == 0) {
        ngx_http_s3_cache_list_drop(mcf, ask->location, name);
        ngx_http_s3_cache_fence_drop(mcf, ask->location, name);
        return NGX_OK;
    }

    return ngx_http_s3_cache_fence_keep(mcf, ask->location, name,
                                        ask->generation, ask->block);
}


/* An old worker may have fenced the bucket for it: see below. */

static void
told_whole(ngx_http_s3_cache_main_conf_t *mcf, const s3c_wire_ask_t *ask)
{
    uint64_t                   hash;
    ngx_uint_t                 i;
    ngx_http_s3_cache_name_t   name;
    ngx_http_s3_cache_zone_t  *zone;

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = ask->bucket;
    i = 0;

    while ((zone = ngx_http_s3_cache_fence_zone(mcf, ask->location, &i))
           != NULL)
    {
        hash = ngx_http_s3_cache_fence_name(zone, ask->location, &name);

        if (!(ask->flags & S3C_WIRE_REFUSED)
            && s3c_fence_ask(zone->shared->fence, hash, ask->generation)
               == S3C_AGAIN)
        {
            ngx_http_s3_cache_fence_drop(mcf, ask->location, &name);
        }

        (void) s3c_fence_lift(zone->shared->fence, hash, ask->generation,
                              ask->block ? ngx_http_s3_cache_now() + ask->block
                                         : 0);
    }
}


ngx_uint_t
ngx_http_s3_cache_told(ngx_http_s3_cache_peers_t *peers, ngx_str_t *node,
    const s3c_wire_ask_t *ask)
{
    uint64_t                        hash;
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_http_s3_cache_near_t       *near;
    ngx_http_s3_cache_name_t        name;
    ngx_http_s3_cache_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_s3_cache_module);

    if (ngx_http_s3_cache_fence_can(mcf, ask->location) != NGX_OK) {
        return NGX_HTTP_S3_CACHE_FILL_ELSEWHERE;
    }

    ngx_memzero(&name, sizeof(ngx_http_s3_cache_name_t));
    name.bucket = ask->bucket;
    name.key = ask->key;
    name.version = ask->version_id;
    name.prefix = (ask->flags & S3C_WIRE_PREFIX) ? 1 : 0;
    name.all = (ask->flags & S3C_WIRE_ALL) ? 1 : 0;
    name.whole = (ask->flags & S3C_WIRE_WHOLE) ? 1 : 0;
    name.zone = (ask->flags & S3C_WIRE_ZONE) ? peers->zone : NULL;
    name.later = (ask->what == S3C_WIRE_FENCE
                  && (ask->flags & S3C_WIRE_LATER)) ? 1 : 0;

    hash = ngx_http_s3_cache_fence_hash(peers->zone, ask->location,
                                        ask->bucket, ask->key);

    if (ask->what == S3C_WIRE_HAVE) {
        s3c_holder_put(&peers->shared->holders, hash, ask->generation,
                       s3c_hash64(node->data, node->len),
                       ngx_http_s3_cache_now() + ask->block);
        s3c_stats_add(&peers->zone->stats, S3C_STAT_THROUGH_HEARD, 1);
        return NGX_HTTP_S3_CACHE_ASK_COMPLETE;
    }

    if (ask->what == S3C_WIRE_FENCE && (ask->flags & S3C_WIRE_REFRESH)) {
        ngx_http_s3_cache_refresh_note(peers, ask);
    }

    if (ask->what == S3C_WIRE_LIFT && !(ask->flags & S3C_WIRE_REFUSED)) {
        if (hash != 0) {
            s3c_holder_end(&peers->shared->holders, hash, ask->generation);

        } else {
            s3c_holder_clear(&peers->shared->holders);
        }
    }

    rc = told_name(mcf, ask, &name);

    switch (ngx_http_s3_cache_fence_config(mcf, ask->location)) {

    case NGX_OK:
        if (ask->what == S3C_WIRE_LIFT && name.key.len > 0) {
            ngx_http_s3_cache_refresh_noted(peers, ask);
        }
        break;

    case NGX_DECLINED:
        /* nginx was reloaded, and this link is its old worker's, which does not
           know all that the new ones keep */
        if (rc == NGX_OK && name.key.len > 0) {
            name.key = S3C_SLICE_NONE;
            name.version = S3C_SLICE_NONE;
            name.prefix = 0;
            name.whole = 0;
            rc = told_name(mcf, ask, &name);
        }
        break;

    default:
        return NGX_HTTP_S3_CACHE_FILL_ELSEWHERE;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_S3_CACHE_FILL_ROOM;
    }

    if (ask->what == S3C_WIRE_FENCE && ask->block != 0 && hash != 0
        && !name.later)
    {
        s3c_holder_write(&peers->shared->holders, hash, ask->generation);
    }

    i = 0;

    while ((near = ngx_http_s3_cache_view_member(peers, &i)) != NULL) {

        if (near->name.len == node->len
            && ngx_memcmp(near->name.data, node->data, node->len) == 0)
        {
            return NGX_HTTP_S3_CACHE_ASK_COMPLETE;
        }
    }

    /* it may not know of others that are in the ring by now: let it see to it
       that it still is */

    return NGX_HTTP_S3_CACHE_FILL_ELSEWHERE;
}


ngx_uint_t
ngx_http_s3_cache_tell_apart(ngx_http_s3_cache_peers_t *peers)
{
    return peers->redis != NULL
           && (ngx_msec_int_t) (peers->shared->leased_until
                                - ngx_current_msec)
              <= 0;
}


uint64_t
ngx_http_s3_cache_tell_tag(void)
{
    static uint64_t  n;

    uint64_t     in[5];
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    in[0] = (uint64_t) ngx_pid;
    in[1] = (uint64_t) tp->sec * 1000 + tp->msec;
    in[2] = (uint64_t) ngx_random();
    in[3] = (uint64_t) ngx_random();
    in[4] = ++n;

    return s3c_hash64(in, sizeof(in)) | 1;
}
