/* SPDX-License-Identifier: Apache-2.0
 *
 * One job. run_pump() takes what has ended, counts what is done in the order of
 * the source, and begins more, as concurrency and rate allow.
 */

#include "ngx_http_s3_cache_warm_internal.h"


#define WINDOW_MORE   64       /* objects begun, beside those that may be */
#define TURN_PARTS    64       /* begun in one turn of the event loop */
#define BUDGET_MSEC   1000     /* of the rate that may be saved up */


static void run_pump(warm_run_t *run);
static void run_on_timer(ngx_event_t *ev);
static void run_ended(warm_run_t *run);
static void run_count(warm_run_t *run);
static void run_count_object(warm_run_t *run, warm_object_t *object);
static ngx_uint_t run_may(warm_run_t *run);
static warm_object_t *run_next(warm_run_t *run);


warm_run_t *
ngx_http_s3_cache_warm_run(ngx_http_s3_cache_warm_conf_t *conf,
    ngx_http_s3_cache_main_conf_t *mcf, const s3c_warm_job_t *job)
{
    warm_run_t  *run;
    const char  *why;

    run = ngx_calloc(sizeof(warm_run_t), ngx_cycle->log);
    if (run == NULL) {
        return NULL;
    }

    run->conf = conf;
    run->job = *job;
    run->job.error.len = 0;
    run->saved_at = ngx_current_msec;
    run->budget_at = ngx_current_msec;
    run->source.fd = NGX_INVALID_FILE;

    ngx_queue_init(&run->objects);
    ngx_queue_init(&run->todo);
    ngx_queue_init(&run->ended);

    run->pump.handler = run_on_timer;
    run->pump.data = run;
    run->pump.log = ngx_cycle->log;
    run->pump.cancelable = 1;
    run->post = run->pump;

    run->location = ngx_http_s3_cache_warm_location(mcf,
                                                s3c_warm_text(&job->zone),
                                                s3c_warm_text(&job->origin),
                                                &why);
    if (run->location == NULL) {
        ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED, why);
        return run;
    }

    run->zone = run->location->zone;

    if (ngx_http_s3_cache_warm_source_open(run) != NGX_OK) {
        ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED,
                                       "its list cannot be read");
        return run;
    }

    ngx_http_s3_cache_warm_run_kick(run);

    return run;
}


void
ngx_http_s3_cache_warm_run_end(warm_run_t *run, s3c_warm_state_t state,
    const char *why)
{
    ngx_uint_t  level;

    if (run->over) {
        return;
    }

    run->over = 1;
    run->waiting = NULL;
    run->job.state = state;
    run->job.ended = (uint64_t) ngx_time();
    run->job.error.len = 0;

    if (why != NULL) {
        (void) s3c_warm_text_set(&run->job.error,
                                 s3c_slice(why, ngx_strlen(why)));
    }

    level = (state == S3C_WARM_FAILED) ? NGX_LOG_ERR : NGX_LOG_NOTICE;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "s3_cache_warmup: %*s %s: objects: %uL, fetched: %uL, "
                  "failed: %uL%s%s", (size_t) S3C_WARM_ID_BYTES, run->job.id,
                  s3c_warm_state_name(state),
                  run->job.count[S3C_WARM_N_OBJECTS],
                  run->job.count[S3C_WARM_N_FETCHED],
                  run->job.count[S3C_WARM_N_FAILED],
                  why ? ": " : "", why ? why : "");

    run->dirty = 1;
    ngx_http_s3_cache_warm_run_save(run);
}


void
ngx_http_s3_cache_warm_run_save(warm_run_t *run)
{
    const char  *waiting;

    if (!run->dirty) {
        return;
    }

    if (!run->over) {
        waiting = run->waiting ? run->waiting : "";
        (void) s3c_warm_text_set(&run->job.error,
                                 s3c_slice(waiting, ngx_strlen(waiting)));
    }

    run->saved_at = ngx_current_msec;

    if (ngx_http_s3_cache_warm_save(run->conf, &run->job) == NGX_OK) {
        run->dirty = 0;
    }
}


void
ngx_http_s3_cache_warm_run_free(warm_run_t *run)
{
    warm_object_t  *object;

    /* their parts first: those that are under way are in no queue */

    while (!ngx_queue_empty(&run->ended)) {
        warm_part_t  *part;

        part = ngx_queue_data(ngx_queue_head(&run->ended), warm_part_t,
                              queue);
        ngx_queue_remove(&part->queue);
        ngx_http_s3_cache_warm_part_free(part);
    }

    while (!ngx_queue_empty(&run->objects)) {
        object = ngx_queue_data(ngx_queue_head(&run->objects), warm_object_t,
                                queue);
        ngx_http_s3_cache_warm_object_free(object);
    }

    ngx_http_s3_cache_warm_source_close(run);

    if (run->pump.timer_set) {
        ngx_del_timer(&run->pump);
    }

    if (run->post.posted) {
        ngx_delete_posted_event(&run->post);
    }

    ngx_free(run);
}


void
ngx_http_s3_cache_warm_run_kick(warm_run_t *run)
{
    if (!run->pumping && !run->over) {
        ngx_post_event(&run->post, &ngx_posted_events);
    }
}


static void
run_on_timer(ngx_event_t *ev)
{
    run_pump(ev->data);
}


static void
run_pump(warm_run_t *run)
{
    ngx_uint_t      n;
    warm_object_t  *object;

    if (run->over || ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    run->pumping = 1;
    run_ended(run);

    for (n = 0; n < TURN_PARTS && !run->over && run_may(run); n++) {
        object = run_next(run);
        if (object == NULL) {
            break;
        }

        ngx_http_s3_cache_warm_object_step(object);
        run_ended(run);
    }

    run_count(run);
    run->pumping = 0;

    if (n == TURN_PARTS && !run->over) {
        /* others have their turn */
        ngx_add_timer(&run->pump, 1);
    }
}


static void
run_ended(warm_run_t *run)
{
    warm_part_t  *part;

    while (!ngx_queue_empty(&run->ended)) {
        part = ngx_queue_data(ngx_queue_head(&run->ended), warm_part_t,
                              queue);
        ngx_queue_remove(&part->queue);

        if (part->end == WARM_FETCHED) {
            run->budget -= (int64_t) part->bytes;
        }

        ngx_http_s3_cache_warm_object_ended(part);
    }
}


/* Concurrency, rate, and a ring that is known. */

static ngx_uint_t
run_may(warm_run_t *run)
{
    int64_t     most, more;
    ngx_msec_t  passed;

    if (run->zone->peers != NULL
        && !ngx_http_s3_cache_view_ready(run->zone->peers))
    {
        run->waiting = "ring";
        return 0;
    }

    if (run->waiting != NULL && ngx_strcmp(run->waiting, "ring") == 0) {
        run->waiting = NULL;
    }

    if (run->nparts >= run->job.concurrency) {
        return 0;
    }

    if (run->job.rate == 0) {
        return 1;
    }

    most = (int64_t) ngx_min(run->job.rate, (uint64_t) INT64_MAX / 4096);
    passed = ngx_min(ngx_current_msec - run->budget_at, 2 * BUDGET_MSEC);

    more = most * (int64_t) passed / 1000;

    if (more > 0) {
        /* parts of a byte add up to one */
        run->budget = ngx_min(run->budget + more, most * BUDGET_MSEC / 1000);
        run->budget_at = ngx_current_msec;
    }

    if (run->budget >= 0) {
        return 1;
    }

    if (!run->pump.timer_set) {
        ngx_add_timer(&run->pump,
                      (ngx_msec_t) ngx_min(-run->budget / (most / 1000 + 1)
                                           + 1, BUDGET_MSEC));
    }

    return 0;
}


/* Whose next part is to begin: NULL: nobody's, now. */

static warm_object_t *
run_next(warm_run_t *run)
{
    uint64_t                offset;
    ngx_int_t               rc;
    warm_object_t          *object;
    static s3c_warm_line_t  line;

    if (!ngx_queue_empty(&run->todo)) {
        return ngx_queue_data(ngx_queue_head(&run->todo), warm_object_t,
                              todo);
    }

    if (run->nobjects >= run->job.concurrency + WINDOW_MORE) {
        run_count(run);

        if (run->nobjects >= run->job.concurrency + WINDOW_MORE) {
            return NULL;
        }
    }

    rc = ngx_http_s3_cache_warm_source_next(run, &line, &offset);

    if (rc != NGX_OK) {
        run->source.done = (rc == NGX_DONE);
        return NULL;
    }

    object = ngx_http_s3_cache_warm_object(run, &line);

    if (object == NULL) {
        ngx_http_s3_cache_warm_run_end(run, S3C_WARM_FAILED, "no memory");
        return NULL;
    }

    object->offset = offset;
    object->bad_lines = run->source.bad_lines;
    run->source.bad_lines = 0;
    ngx_http_s3_cache_warm_object_todo(object);

    return object;
}


/* Of all that have ended, up to the first one that has not. */

static void
run_count(warm_run_t *run)
{
    warm_object_t  *object;

    while (!ngx_queue_empty(&run->objects)) {
        object = ngx_queue_data(ngx_queue_head(&run->objects), warm_object_t,
                                queue);

        if (object->state != WARM_OVER) {
            return;
        }

        run_count_object(run, object);
        ngx_http_s3_cache_warm_object_free(object);
        run->dirty = 1;
    }

    if (!run->over && run->source.done) {
        run->job.count[S3C_WARM_N_BAD_LINES] += run->source.bad_lines;
        run->job.offset = run->job.list_bytes;
        ngx_http_s3_cache_warm_run_end(run, S3C_WARM_DONE, NULL);
    }
}


static void
run_count_object(warm_run_t *run, warm_object_t *object)
{
    uint64_t  *count;

    static const s3c_warm_count_t  counts[] = {
        [WARM_CACHED] = S3C_WARM_N_CACHED,
        [WARM_FETCHED] = S3C_WARM_N_FETCHED,
        [WARM_EVICTED] = S3C_WARM_N_EVICTED,
        [WARM_MISSING] = S3C_WARM_N_MISSING,
        [WARM_DENIED] = S3C_WARM_N_DENIED,
        [WARM_NO_ROOM] = S3C_WARM_N_NO_ROOM,
        [WARM_FAILED] = S3C_WARM_N_FAILED,
        [WARM_CHANGED] = S3C_WARM_N_FAILED
    };

    static const s3c_stat_t  stats[] = {
        [WARM_CACHED] = S3C_STAT_WARM_CACHED,
        [WARM_FETCHED] = S3C_STAT_WARM_FETCHED,
        [WARM_EVICTED] = S3C_STAT_WARM_EVICTED,
        [WARM_MISSING] = S3C_STAT_WARM_MISSING,
        [WARM_DENIED] = S3C_STAT_WARM_MISSING,
        [WARM_NO_ROOM] = S3C_STAT_WARM_NO_ROOM,
        [WARM_FAILED] = S3C_STAT_WARM_FAILED,
        [WARM_CHANGED] = S3C_STAT_WARM_FAILED
    };

    count = run->job.count;

    count[S3C_WARM_N_OBJECTS]++;
    count[S3C_WARM_N_BAD_LINES] += object->bad_lines;
    count[S3C_WARM_N_BYTES] += object->bytes;
    count[S3C_WARM_N_CACHED_BYTES] += object->cached_bytes;
    count[S3C_WARM_N_FETCHED_BYTES] += object->fetched_bytes;
    count[counts[object->end]]++;

    s3c_stats_add(&run->zone->stats, stats[object->end], 1);
    s3c_stats_add(&run->zone->stats, S3C_STAT_WARM_BYTES,
                  object->fetched_bytes);

    run->job.offset = object->offset;

    if (!run->job.list) {
        (void) s3c_warm_text_set(&run->job.after, object->key);
    }
}
