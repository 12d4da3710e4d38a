/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a write's fence at the other nodes. If nobody knows what became of
 * the write, they hold it back for as long as it may come true, and those that
 * could not be told are told again.
 */

#include "ngx_http_s3_cache_tell.h"
#include "ngx_http_s3_cache_write.h"


#define AGAIN_MSEC  1000


/* That it is over, on its way to the nodes of each ring. */
typedef struct {
    ngx_pool_t                *pool;
    ngx_http_s3_cache_tell_t  *tells;
    ngx_uint_t                 ntells;
    ngx_uint_t                 out;
    ngx_msec_t                 until;      /* of an unknown outcome */
    ngx_event_t                again;
    unsigned                   lingers:1;
} lift_t;


static void lift_tell(lift_t *lift, ngx_uint_t all);
static void lift_told(ngx_http_s3_cache_tell_t *tell);
static void lift_over(lift_t *lift);
static void lift_again(ngx_event_t *ev);


/* The request may be gone before they know. */

void
ngx_http_s3_cache_fence_lift_all(ngx_http_s3_cache_fence_t *fence,
    ngx_msec_t msec, ngx_uint_t refused)
{
    lift_t      *lift;
    ngx_uint_t   i;

    lift = ngx_pcalloc(fence->pool, sizeof(lift_t));

    if (lift == NULL) {
        /* they forget it by themselves, but not what they were not told */
        ngx_destroy_pool(fence->pool);
        return;
    }

    lift->pool = fence->pool;
    lift->tells = fence->tells;
    lift->ntells = fence->ntells;
    lift->lingers = (msec > 0);
    lift->until = ngx_current_msec + msec;

    lift->again.handler = lift_again;
    lift->again.data = lift;
    lift->again.log = ngx_cycle->log;
    lift->again.cancelable = 1;

    for (i = 0; i < lift->ntells; i++) {
        lift->tells[i].what = lift->lingers ? S3C_WIRE_FENCE : S3C_WIRE_LIFT;
        lift->tells[i].msec = msec;
        lift->tells[i].sure = 1;
        lift->tells[i].denied = refused;
        lift->tells[i].done = lift_told;
        lift->tells[i].on_missed = NULL;
        lift->tells[i].data = lift;
    }

    lift_tell(lift, 1);
}


static void
lift_tell(lift_t *lift, ngx_uint_t all)
{
    ngx_uint_t  i;

    lift->out = 1;

    for (i = 0; i < lift->ntells; i++) {
        if ((all || lift->tells[i].missed)
            && ngx_http_s3_cache_tell(&lift->tells[i]) == NGX_AGAIN)
        {
            lift->out++;
        }
    }

    if (--lift->out == 0) {
        lift_over(lift);
    }
}


static void
lift_told(ngx_http_s3_cache_tell_t *tell)
{
    lift_t *lift = tell->data;

    if (--lift->out == 0) {
        lift_over(lift);
    }
}


static void
lift_over(lift_t *lift)
{
    ngx_uint_t  i, missed;

    missed = 0;

    for (i = 0; i < lift->ntells; i++) {
        missed |= lift->tells[i].missed;
    }

    if (missed && lift->lingers && !ngx_exiting && !ngx_terminate
        && (ngx_msec_int_t) (lift->until - ngx_current_msec) > AGAIN_MSEC)
    {
        ngx_add_timer(&lift->again, AGAIN_MSEC);
        return;
    }

    ngx_destroy_pool(lift->pool);
}


static void
lift_again(ngx_event_t *ev)
{
    lift_t *lift = ev->data;

    ngx_uint_t      i;
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (lift->until - ngx_current_msec);

    if (left <= 0) {
        ngx_destroy_pool(lift->pool);
        return;
    }

    for (i = 0; i < lift->ntells; i++) {
        lift->tells[i].msec = (ngx_msec_t) left;
    }

    lift_tell(lift, 0);
}
