/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads what lies in sealed segments, at a low rate, and has it judged
 * (ssd_judge): what has gone bad is found before somebody asks for it, and
 * before its second copy, if there is one, goes bad as well.
 *
 *   IDLE -> TRAILER -> FOOTER -> RECORDS <-> (reads) -> IDLE, the next segment
 *   the segment is used anew, its store fails:   any -> IDLE
 *
 * Segments that are open are looked at once they are sealed; those without a
 * footer (TORN) are not: they come from a crash, and are the first to be
 * reclaimed. A read that fails costs its record, as a reader's would.
 *
 * WHOSE  The keeper's, like reclaiming, with which it never meets: both run in
 *        one thread, and a segment that is being reclaimed is not SEALED. A
 *        keeper may die at any moment: nothing is promised to anybody, and its
 *        reads go with it, or end into memory that is nobody's (ssd_job).
 * WHERE  The next segment of each store is in shared memory: the next keeper
 *        goes on there.
 * RATE   Bytes a second, of all stores together, saved up for half a second.
 */
#include "ssd/ssd_scrub.h"

#include <errno.h>
#include <stdlib.h>

#define READ_BYTES   (256u << 10)      /* at least two frames */
#define REST_MS      1000              /* between two passes */
#define STEPS        64                /* in one run, without a read */
#define SEGMENTS     1024              /* looked at in one of these */

static void scrub_step(s3c_ssd_scrub_t *s);


s3c_status_t
s3c_ssd_scrub_create(s3c_ssd_t *ssd, s3c_ssd_scrub_t **scrub)
{
    s3c_ssd_scrub_t  *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return S3C_FULL;
    }

    s->ssd = ssd;
    s->tokens_ms = ssd->now_ms;
    *scrub = s;

    return S3C_OK;
}


/* IDLE, and the next segment. */
static void
scrub_leave(s3c_ssd_scrub_t *s)
{
    s3c_ssd_job_destroy(s->job);
    free(s->footer);
    s->job = NULL;
    s->footer = NULL;
    s->begun = false;
    s->len = 0;
    s->state = S3C_SSD_SCRUB_IDLE;
}


void
s3c_ssd_scrub_destroy(s3c_ssd_scrub_t *s)
{
    if (s != NULL) {
        scrub_leave(s);
        free(s);
    }
}


/* --- reading ------------------------------------------------------------- */

static void scrub_read_done(s3c_ssd_job_t *job);


static void
scrub_send(s3c_ssd_scrub_t *s)
{
    if (s->tokens <= 0) {
        return;                          /* later: run() comes again */
    }

    s->begun = s3c_ssd_job_begin(s->job, S3C_IO_READ, s->off + s->from,
                                 s->len) == S3C_OK;
    s->tokens -= s->begun ? s->len : 0;
}


/* Whole blocks that cover [from, to) of the segment. */
static void
scrub_read(s3c_ssd_scrub_t *s, uint32_t from, uint32_t to)
{
    s->from = from & ~(S3C_SSD_BLOCK - 1);
    s->len = ((to + S3C_SSD_BLOCK - 1) & ~(S3C_SSD_BLOCK - 1)) - s->from;
    s->begun = false;

    if (s->job != NULL && s->job->cap < s->len) {
        s3c_ssd_job_destroy(s->job);
        s->job = NULL;
    }

    if (s->job == NULL) {
        s->job = s3c_ssd_job_create(s->ssd, s->store, s->len);

        if (s->job == NULL) {
            scrub_leave(s);
            return;
        }

        s->job->done = scrub_read_done;
        s->job->data = s;
    }

    scrub_send(s);
}


static void
trailer_take(s3c_ssd_scrub_t *s)
{
    if (s3c_ssd_trailer_decode(s->job->buf,
                               s->ssd->stores[s->store].store_id, s->seq,
                               s->bytes, &s->trailer) != S3C_OK)
    {
        s3c_ssd_scrub_torn(s);
        scrub_leave(s);

    } else if (s->trailer.n_records == 0) {
        scrub_leave(s);

    } else {
        s->state = S3C_SSD_SCRUB_FOOTER;
        scrub_read(s, s->trailer.footer_off, s->bytes - S3C_SSD_BLOCK);
    }
}


static void
footer_take(s3c_ssd_scrub_t *s)
{
    if (s3c_ssd_footer_decode(s->job->buf, &s->trailer, s->bytes) != S3C_OK) {
        s3c_ssd_scrub_torn(s);
        scrub_leave(s);
        return;
    }

    s->footer = s->job->buf;
    s->job->buf = NULL;
    s3c_ssd_job_destroy(s->job);
    s->job = NULL;
    s->at = 0;
    s->frame = 0;
    s->crc = 0;
    s->state = S3C_SSD_SCRUB_RECORDS;
}


/* An error: of the table, the next segment; of a record, the next one. */
static void
read_failed(s3c_ssd_scrub_t *s)
{
    if (s->state != S3C_SSD_SCRUB_RECORDS) {
        scrub_leave(s);

    } else {
        s3c_ssd_scrub_lose(s, false);
    }
}


static void
scrub_read_done(s3c_ssd_job_t *job)
{
    int               err = job->err;
    uint32_t          store = job->store;
    s3c_ssd_t        *ssd = job->ssd;
    s3c_ssd_scrub_t  *s = job->data;

    s->begun = false;
    s->len = 0;

    if (!s3c_ssd_scrub_stands(s)) {
        scrub_leave(s);

    } else if (err != 0) {
        read_failed(s);

    } else if (s->state == S3C_SSD_SCRUB_TRAILER) {
        trailer_take(s);

    } else if (s->state == S3C_SSD_SCRUB_FOOTER) {
        footer_take(s);

    } else {
        s3c_ssd_scrub_judge(s, job->buf, s->from, job->got);
    }

    scrub_step(s);

    /* Last: the store may be out of service after it. */
    s3c_ssd_store_result(ssd, store, S3C_IO_READ, err);
}


/* --- the machine --------------------------------------------------------- */

/* The next sealed segment of this store becomes the one under way. False: not
 * in this slice; *passed: its last one was reached. */
static bool
segment_next(s3c_ssd_scrub_t *s, bool *passed)
{
    uint32_t               n, i;
    s3c_ssd_store_sh_t    *st = &s->ssd->stores[s->store];
    s3c_ssd_segment_sh_t  *g;

    for (n = 0; n < SEGMENTS; n++) {
        i = atomic_load_explicit(&st->scrub_at, memory_order_relaxed);

        if (i >= st->n_segments) {
            atomic_store_explicit(&st->scrub_at, 0, memory_order_relaxed);
            *passed = true;
            return false;
        }

        atomic_store_explicit(&st->scrub_at, i + 1, memory_order_relaxed);
        g = &s->ssd->segments[st->first_segment + i];

        if (__atomic_load_n(&g->state, __ATOMIC_RELAXED)
            == S3C_SSD_SEGMENT_SEALED)
        {
            s->segment = st->first_segment + i;
            s->seq = __atomic_load_n(&g->seq, __ATOMIC_RELAXED);
            return true;
        }
    }

    return false;
}


/* True: something was begun. */
static bool
scrub_begin(s3c_ssd_scrub_t *s)
{
    bool                 passed = false;
    s3c_ssd_store_sh_t  *st = &s->ssd->stores[s->store];

    if (s->ssd->now_ms < s->rest_ms) {
        return false;
    }

    if (s3c_ssd_state(s->ssd, s->store) == S3C_SSD_SERVING
        && segment_next(s, &passed))
    {
        s->bytes = st->conf.segment_bytes;
        s->off = s3c_ssd_segment_off(st, s->segment);
        s->state = S3C_SSD_SCRUB_TRAILER;
        scrub_read(s, s->bytes - S3C_SSD_BLOCK, s->bytes);
        return true;
    }

    if (passed) {
        s3c_ssd_count(&st->n_scrub_pass, 1);
    }

    if (passed || s3c_ssd_state(s->ssd, s->store) != S3C_SSD_SERVING) {
        s->store = (s->store + 1) % s->ssd->n_stores;

        if (s->store == 0) {
            s->rest_ms = s->ssd->now_ms + REST_MS;
        }
    }

    return true;
}


/* The next read of records; or the segment is done with. */
static void
scrub_records(s3c_ssd_scrub_t *s)
{
    uint32_t              from, to;
    uint64_t              end;
    s3c_ssd_footer_rec_t  e;

    if (!s3c_ssd_scrub_seek(s)) {
        if (s->at == s->trailer.n_records) {
            scrub_leave(s);
        }
        return;
    }

    e = s3c_ssd_footer_entry(s->footer, s->at);
    from = e.unit * S3C_SSD_UNIT + (uint32_t) s3c_ssd_frame_off(s->frame);
    end = (uint64_t) (from & ~(S3C_SSD_BLOCK - 1)) + READ_BYTES;
    to = end < s->trailer.footer_off ? (uint32_t) end
                                     : s->trailer.footer_off;

    scrub_read(s, from, to);
}


static void
scrub_step(s3c_ssd_scrub_t *s)
{
    for (uint32_t i = 0; i < STEPS && s->len == 0; i++) {

        if (s->state != S3C_SSD_SCRUB_IDLE && !s3c_ssd_scrub_stands(s)) {
            scrub_leave(s);
        }

        if (s->state == S3C_SSD_SCRUB_RECORDS) {
            scrub_records(s);

        } else if (s->state == S3C_SSD_SCRUB_IDLE && !scrub_begin(s)) {
            return;
        }
    }
}


static void
tokens_add(s3c_ssd_scrub_t *s)
{
    int64_t   rate = (int64_t) s->ssd->env.scrub, most = rate / 2 + 1;
    uint64_t  gone = s->ssd->now_ms - s->tokens_ms;

    gone = gone < 1000 ? gone : 1000;
    s->tokens_ms = s->ssd->now_ms;
    s->tokens += rate * (int64_t) gone / 1000;
    s->tokens = s->tokens < most ? s->tokens : most;
}


void
s3c_ssd_scrub_run(s3c_ssd_t *ssd, s3c_ssd_scrub_t *s)
{
    uint32_t  store = s->store;

    tokens_add(s);

    if (s->begun && s->job->busy) {

        if (s3c_ssd_job_hangs(s->job, ssd->stores[store].conf.timeout_ms)) {
            s3c_ssd_count(&ssd->stores[store].n_timeout, 1);
            scrub_leave(s);
            s3c_ssd_store_result(ssd, store, S3C_IO_READ, ETIME);
        }

        return;
    }

    if (s->len != 0) {
        if (s3c_ssd_scrub_stands(s)) {
            scrub_send(s);
            return;
        }

        scrub_leave(s);
    }

    scrub_step(s);
}


void
s3c_ssd_keeper_scrub(s3c_ssd_t *ssd)
{
    s3c_ssd_keeper_t  *k = ssd->keeper;

    if (ssd->env.scrub > 0
        && (k->scrub != NULL
            || s3c_ssd_scrub_create(ssd, &k->scrub) == S3C_OK))
    {
        s3c_ssd_scrub_run(ssd, k->scrub);
    }
}
