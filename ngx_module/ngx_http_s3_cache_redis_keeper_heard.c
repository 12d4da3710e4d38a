/* SPDX-License-Identifier: Apache-2.0
 *
 * What the keeper hears from Redis: whether it has the lease, and who else has
 * one, which is published to all workers.
 */

#include "ngx_http_s3_cache_redis_internal.h"


#define NAMED_MAX     16                /* members in a line of the log */


static void ngx_http_s3_cache_keeper_error(ngx_http_s3_cache_keeper_t *k,
    redisReply *reply);
static ngx_uint_t ngx_http_s3_cache_keeper_heard(
    ngx_http_s3_cache_keeper_t *k, ngx_http_s3_cache_redis_answer_t *answer);
static ngx_int_t ngx_http_s3_cache_keeper_publish(
    ngx_http_s3_cache_keeper_t *k, ngx_http_s3_cache_redis_answer_t *answer,
    ngx_uint_t drop);
static void ngx_http_s3_cache_keeper_say(ngx_http_s3_cache_keeper_t *k,
    s3c_slice_t text, s3c_roster_sums_t *sums);


void
ngx_http_s3_cache_keeper_answered(void *data, redisReply *reply)
{
    ngx_http_s3_cache_keeper_t *k = data;

    ngx_msec_t                        part;
    ngx_http_s3_cache_redis_answer_t  answer;

    k->asked = 0;

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_s3_cache_keeper_error(k, reply);
        return;
    }

    k->whole = 0;

    if (ngx_http_s3_cache_redis_answer(k, reply, &answer) != NGX_OK) {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_GARBLED, 0,
                                        NULL);
        return;
    }

    if (!ngx_http_s3_cache_keeper_heard(k, &answer)) {
        return;
    }

    if (k->told) {
        k->told = 0;

        ngx_log_error(NGX_LOG_NOTICE, k->beat.log, 0,
                      "s3_cache_redis \"%V\": %V answers again",
                      &k->redis->name, &k->server);
    }

    k->backoff = 0;

    if (ngx_http_s3_cache_keeper_state(k) != k->state) {
        ngx_http_s3_cache_keeper_ask(k);
        return;
    }

    /* a tenth sooner or later, or all nodes would come at one time */

    part = k->redis->lease / 3;
    part -= ngx_random() % (part / 10 + 1);

    ngx_add_timer(&k->beat, part);
}


static void
ngx_http_s3_cache_keeper_error(ngx_http_s3_cache_keeper_t *k,
    redisReply *reply)
{
    ngx_str_t  text;

    text.data = (u_char *) reply->str;
    text.len = reply->len;

    if (ngx_strncmp(reply->str, "NOSCRIPT", 8) == 0 && !k->whole) {
        k->whole = 1;
        ngx_http_s3_cache_keeper_ask(k);
        return;
    }

    ngx_http_s3_cache_keeper_failed(k, ngx_http_s3_cache_redis_reason(reply),
                                    0, &text);

    /* once; from there it is the next server's turn */

    if (ngx_strncmp(reply->str, "MOVED ", 6) == 0
        && k->server.data != k->target.text)
    {
        (void) ngx_http_s3_cache_redis_follow(k, &text);
    }
}


/* Is it good? If not, it has been told. */

static ngx_uint_t
ngx_http_s3_cache_keeper_heard(ngx_http_s3_cache_keeper_t *k,
    ngx_http_s3_cache_redis_answer_t *answer)
{
    ngx_uint_t  drop;

    if (answer->word == NGX_HTTP_S3_CACHE_REDIS_OTHER) {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_TAKEN, 0,
                                        &answer->holder);
        return 0;
    }

    if (answer->word == NGX_HTTP_S3_CACHE_REDIS_OLDER) {

        if (!k->older) {
            k->older = 1;

            ngx_log_error(NGX_LOG_NOTICE, k->beat.log, 0,
                          "s3_cache_redis \"%V\": a later nginx has this "
                          "node's lease now, this one only reads",
                          &k->redis->name);
        }

    } else {
        k->older = 0;
        k->claimed = 1;
        k->peers->shared->keeper = ngx_pid;
        k->peers->shared->leased_until = k->asked_msec + k->redis->lease;

        ngx_http_s3_cache_keeper_count(k, S3C_STAT_REDIS_BEATS, 1);
    }

    /*
     * Who is not in the answer is dropped only if he had a lease's time to
     * come back: a Redis that begins empty, or a replica that had missed
     * something, knows nobody at first. That ours was gone says the same of
     * one that was emptied while we were connected.
     */

    if (!k->in_contact || answer->word == NGX_HTTP_S3_CACHE_REDIS_NEW) {
        k->in_contact = 1;
        k->contact = ngx_current_msec;
    }

    drop = ((ngx_msec_int_t) (ngx_current_msec - k->contact)
            >= (ngx_msec_int_t) k->redis->lease);

    if (answer->members > S3C_RING_MEMBERS_MAX) {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_TOO_MANY,
                                        0, NULL);
        return 0;
    }

    if (answer->listed
        && ngx_http_s3_cache_keeper_publish(k, answer, drop) != NGX_OK)
    {
        return 0;
    }

    return 1;
}


static ngx_int_t
ngx_http_s3_cache_keeper_publish(ngx_http_s3_cache_keeper_t *k,
    ngx_http_s3_cache_redis_answer_t *answer, ngx_uint_t drop)
{
    uint64_t            epoch;
    s3c_slice_t         before, after;
    s3c_status_t        st;
    s3c_writer_t        w;
    s3c_roster_sums_t   sums;
    ngx_atomic_uint_t   version;

    before = s3c_slice(k->before,
                       ngx_http_s3_cache_roster_read(k->peers, k->before,
                                                     &version, &epoch));

    s3c_writer_init(&w, k->after, NGX_HTTP_S3_CACHE_ROSTER_BYTES);

    st = s3c_roster_merge(&w, before, k->items, answer->n, drop, &sums);

    if (sums.refused) {
        ngx_http_s3_cache_keeper_count(k, S3C_STAT_REDIS_REFUSED,
                                       sums.refused);
    }

    if (st != S3C_OK) {
        ngx_http_s3_cache_keeper_failed(k, st == S3C_INVALID
                                  ? NGX_HTTP_S3_CACHE_REDIS_ALL_WRONG
                                  : NGX_HTTP_S3_CACHE_REDIS_MEMORY, 0, NULL);
        return NGX_ERROR;
    }

    after = s3c_writer_slice(&w);

    if (ngx_http_s3_cache_roster_publish(k->peers, answer->epoch, after)
        != NGX_OK)
    {
        ngx_http_s3_cache_keeper_failed(k, NGX_HTTP_S3_CACHE_REDIS_MEMORY, 0,
                                        NULL);
        return NGX_ERROR;
    }

    k->epoch = answer->epoch;
    k->held = sums.held;

    if (version == 0 || epoch != answer->epoch || !s3c_slice_eq(before, after))
    {
        ngx_http_s3_cache_keeper_say(k, after, &sums);
    }

    return NGX_OK;
}


/* What others rely on: who is there, in one line. */

static void
ngx_http_s3_cache_keeper_say(ngx_http_s3_cache_keeper_t *k,
    s3c_slice_t text, s3c_roster_sums_t *sums)
{
    u_char        *p, *last, line[NGX_MAX_ERROR_STR / 2];
    ngx_uint_t     n[S3C_MEMBER_LEAVING + 1];
    s3c_slice_t    rest;
    s3c_member_t   m;

    p = line;
    last = line + sizeof(line);
    rest = text;

    ngx_memzero(n, sizeof(n));

    while (s3c_member_next(&rest, &m) == S3C_OK) {
        n[m.state]++;

        if (sums->members <= NAMED_MAX) {
            p = ngx_slprintf(p, last, " %*s=%s", m.name.len, m.name.data,
                             s3c_member_state_name(m.state));
        }
    }

    if (sums->members > NAMED_MAX) {
        p = ngx_slprintf(p, last, " %uD: %ui joining, %ui ready, %ui leaving",
                         sums->members, n[S3C_MEMBER_JOINING],
                         n[S3C_MEMBER_READY], n[S3C_MEMBER_LEAVING]);
    }

    if (sums->held) {
        p = ngx_slprintf(p, last, ", %uD of them not heard of yet",
                         sums->held);
    }

    if (sums->refused) {
        p = ngx_slprintf(p, last, ", %uD refused", sums->refused);
    }

    ngx_log_error(NGX_LOG_NOTICE, k->beat.log, 0,
                  "s3_cache_redis \"%V\": epoch %uL, members%*s",
                  &k->redis->name, k->epoch, (size_t) (p - line), line);
}
