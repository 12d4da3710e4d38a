/* SPDX-License-Identifier: Apache-2.0
 *
 * One object of a job. Its record comes first, with the block that is wanted
 * first; then all its other blocks, in parallel, each by the node that owns it.
 * What fails is tried again, from the record on: the object may have changed.
 */

#include "ngx_http_s3_cache_warm_internal.h"


#define TRIES       5
#define TRIES_ROOM  2
#define RETRY_MSEC  200        /* before the second try; then twice that */


static void object_retry(ngx_event_t *ev);
static void object_settle(warm_object_t *object);
static ngx_int_t object_copy(ngx_pool_t *pool, s3c_slice_t *to,
    s3c_slice_t from);


warm_object_t *
ngx_http_s3_cache_warm_object(warm_run_t *run, const s3c_warm_line_t *line)
{
    ngx_pool_t     *pool;
    warm_object_t  *object;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    object = ngx_pcalloc(pool, sizeof(warm_object_t));

    if (object == NULL
        || object_copy(pool, &object->bucket, line->bucket) != NGX_OK
        || object_copy(pool, &object->key, line->key) != NGX_OK
        || object_copy(pool, &object->version, line->version) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    object->run = run;
    object->pool = pool;
    object->first = line->first;
    object->last = line->last;

    object->retry.handler = object_retry;
    object->retry.data = object;
    object->retry.log = ngx_cycle->log;
    object->retry.cancelable = 1;

    ngx_queue_insert_tail(&run->objects, &object->queue);
    ngx_queue_init(&object->parts);
    run->nobjects++;

    return object;
}


void
ngx_http_s3_cache_warm_object_free(warm_object_t *object)
{
    warm_part_t  *part;

    while (!ngx_queue_empty(&object->parts)) {
        part = ngx_queue_data(ngx_queue_head(&object->parts), warm_part_t,
                              link);
        ngx_http_s3_cache_warm_part_free(part);
    }

    if (object->listed) {
        ngx_queue_remove(&object->todo);
    }

    if (object->retry.timer_set) {
        ngx_del_timer(&object->retry);
    }

    ngx_queue_remove(&object->queue);
    object->run->nobjects--;
    ngx_destroy_pool(object->pool);
}


void
ngx_http_s3_cache_warm_object_todo(warm_object_t *object)
{
    if (!object->listed) {
        object->listed = 1;
        ngx_queue_insert_tail(&object->run->todo, &object->todo);
    }
}


void
ngx_http_s3_cache_warm_object_step(warm_object_t *object)
{
    uint64_t                       block, stripe;
    ngx_http_s3_cache_loc_conf_t  *conf;

    conf = object->run->location;

    if (object->state == WARM_NEW) {
        ngx_queue_remove(&object->todo);
        object->listed = 0;
        object->state = WARM_RECORD;

        block = object->first / conf->block_size;
        object->block = block + 1;

        /* a block of another stripe is another node's; and who checks asks
           for the record alone, which tells of all the others */

        stripe = object->run->zone->peers != NULL
                 ? (uint64_t) object->run->zone->peers->stripe : UINT64_MAX;

        if (object->run->job.mode == S3C_WARM_CHECK
            || object->first >= stripe)
        {
            object->block = block;
            block = UINT64_MAX;
        }

        ngx_http_s3_cache_warm_part(object, 1, block);
        return;
    }

    /* WARM_BLOCKS */

    block = object->block++;

    if (object->block >= object->end_block) {
        ngx_queue_remove(&object->todo);
        object->listed = 0;
    }

    ngx_http_s3_cache_warm_part(object, 0, block);
}


void
ngx_http_s3_cache_warm_object_ended(warm_part_t *part)
{
    warm_object_t  *object;

    object = part->object;

    object->bytes += part->bytes;

    if (part->end == WARM_CACHED) {
        object->cached_bytes += part->bytes;

    } else if (part->end == WARM_FETCHED) {
        object->fetched_bytes += part->bytes;
        object->fetched = 1;
    }

    object->end = ngx_max(object->end, part->end);
    object->truth |= (part->end == WARM_CHANGED);

    if (part->record && object->state == WARM_RECORD) {
        object->state = WARM_BLOCKS;

        if (object->end <= WARM_FETCHED
            && object->block < object->end_block)
        {
            ngx_http_s3_cache_warm_object_todo(object);
        }
    }

    if (object->end > WARM_FETCHED && object->listed) {
        if (object->run->job.mode != S3C_WARM_CHECK) {
            /* there is no use in the rest */
            ngx_queue_remove(&object->todo);
            object->listed = 0;
        }
    }

    ngx_http_s3_cache_warm_part_free(part);

    if (ngx_queue_empty(&object->parts) && !object->listed) {
        object_settle(object);
    }
}


static void
object_settle(warm_object_t *object)
{
    ngx_uint_t  tries;

    tries = (object->end == WARM_NO_ROOM) ? TRIES_ROOM
            : object->end >= WARM_FAILED ? TRIES : 0;

    if (++object->tries >= tries) {
        object->state = WARM_OVER;

        if (object->end == WARM_CACHED && object->fetched) {
            /* at an earlier try */
            object->end = WARM_FETCHED;
            object->cached_bytes -= ngx_min(object->cached_bytes,
                                            object->fetched_bytes);
        }

        return;
    }

    /* what it brought stays, and will be found there */

    object->state = WARM_NEW;
    object->end = WARM_CACHED;
    object->bytes = 0;
    object->cached_bytes = 0;

    ngx_add_timer(&object->retry,
                  (ngx_msec_t) RETRY_MSEC << (object->tries - 1));
}


static void
object_retry(ngx_event_t *ev)
{
    warm_object_t *object = ev->data;

    ngx_http_s3_cache_warm_object_todo(object);
    ngx_http_s3_cache_warm_run_kick(object->run);
}


static ngx_int_t
object_copy(ngx_pool_t *pool, s3c_slice_t *to, s3c_slice_t from)
{
    u_char  *p;

    *to = S3C_SLICE_NONE;

    if (from.len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, from.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, from.data, from.len);
    *to = s3c_slice(p, from.len);

    return NGX_OK;
}
