/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring is built of the members of a roster, a step in each turn of the event
 * loop, and takes the place of the one that this worker went by. Who owned what
 * is this node's from now on is kept.
 */

#include "ngx_http_s3_cache_peer_view_internal.h"


static void view_swap(view_t *v);
static void view_formers(view_t *v, const view_ring_t *old);
static uint16_t *view_numbers(view_t *v, const view_ring_t *old);


ngx_int_t
ngx_http_s3_cache_view_build(view_t *v, view_ring_t *to)
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
        ngx_http_s3_cache_view_ring_free(to);
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

void
ngx_http_s3_cache_view_step(ngx_event_t *ev)
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

        if (ngx_http_s3_cache_view_build(v, &v->next) != NGX_OK) {
            ngx_http_s3_cache_view_done(v);
            v->version--;
        }

        return;
    }

    view_swap(v);
    ngx_http_s3_cache_view_done(v);
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
        ngx_http_s3_cache_view_ring_free(&v->now);
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
    ngx_uint_t                  i, fresh;
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

    numbers = view_numbers(v, old);

    if (numbers == NULL) {
        return;
    }

    for (i = 0; i < S3C_RING_SLOTS; i++) {
        point = (uint64_t) i << (64 - S3C_RING_SLOT_BITS);
        member = s3c_ring_find(v->next.ring, point)[0];

        if (v->next.nears[member] != NULL) {
            v->former[i] = NGX_HTTP_S3_CACHE_VIEW_NOBODY;
            continue;
        }

        member = s3c_ring_find(old->ring, point)[0];
        before = old->nears[member];

        if (before != NULL) {
            v->former[i] = numbers[member];

        } else if (ngx_http_s3_cache_view_learnt(v, i, v->since)) {
            v->former[i] = NGX_HTTP_S3_CACHE_VIEW_NOBODY;
        }
    }

    ngx_free(numbers);

    v->formers = 1;
    v->since = (uint32_t) v->peers->shared->published;
}


/* The old ring's members as numbers; NULL: no memory. */

static uint16_t *
view_numbers(view_t *v, const view_ring_t *old)
{
    uint16_t    *numbers;
    ngx_uint_t   i, k, n;

    n = s3c_ring_members(old->ring);
    numbers = ngx_alloc(n * sizeof(uint16_t), ngx_cycle->log);

    if (numbers == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        numbers[i] = NGX_HTTP_S3_CACHE_VIEW_NOBODY;

        for (k = 0; k < v->nnears; k++) {
            if (v->nears[k] == old->nears[i]) {
                numbers[i] = (uint16_t) k;
                break;
            }
        }
    }

    return numbers;
}


/* What was needed to build is given back. */

void
ngx_http_s3_cache_view_done(view_t *v)
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

    ngx_http_s3_cache_view_ring_free(&v->others);
}


void
ngx_http_s3_cache_view_ring_free(view_ring_t *r)
{
    ngx_free(r->ring);
    ngx_free(r->nears);
    r->ring = NULL;
    r->nears = NULL;
}
