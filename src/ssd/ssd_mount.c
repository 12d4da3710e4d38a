/* SPDX-License-Identifier: Apache-2.0
 *
 * Superblocks. The mount of all stores together: lock, read, decide, write,
 * and only when all of that is over is anything of it true in shared memory.
 * And of one store that had failed: it is in service again when its superblock
 * can be read and written.
 *
 * A store that cannot be trusted is formatted: a new store_id, in both copies,
 * makes everything that lies on it foreign. Looks at its I/O from run(); an
 * I/O that hangs keeps its store out, never the others.
 */
#include "ssd/ssd_keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    s3c_ssd_job_t    *job;
    s3c_ssd_super_t   super;             /* read, then as it is written */
    bool              ours;              /* of this zone: its epoch counts */
    bool              failed;
    const char       *format;            /* why; NULL: kept */
    bool              begun;             /* the I/O of this step */
} item_t;

typedef enum { LOCK = 0, READ, WRITE, COMMIT, DONE } step_t;

struct s3c_ssd_mount_s {
    step_t    step;
    uint64_t  again_ms;                  /* locks: not before */
    bool      told;                      /* that it waits */
    uint64_t  epoch;                     /* of this mount */
    item_t    items[S3C_SSD_STORES_MAX];
};

struct s3c_ssd_retry_s {
    uint32_t  store;
    step_t    step;                      /* LOCK: waits for its time */
    item_t    item;
};


/* --- one superblock ---------------------------------------------------- */

/* What was read, judged by itself. */
static void
item_judge(s3c_ssd_t *ssd, item_t *it, uint32_t store)
{
    const s3c_ssd_store_conf_t  *conf = &ssd->stores[store].conf;

    it->ours = false;

    switch (s3c_ssd_super_decode(it->job->buf, &it->super)) {

    case S3C_OK:
        break;

    case S3C_MISS:
        it->format = "new";
        return;

    default:                             /* the master let it pass: "take" */
        it->format = "damaged";
        return;
    }

    if (memcmp(it->super.secret, ssd->head->secret, sizeof(it->super.secret))
        != 0)
    {
        it->format = "secret";

    } else if (it->super.epoch >= S3C_SSD_EPOCH_MAX) {
        it->format = "damaged";

    } else {
        it->ours = true;
        it->format = it->super.bytes == conf->bytes
                     && it->super.segment_bytes == conf->segment_bytes
                     ? NULL : "geometry";
    }
}


/* The blocks to be written: what is kept has one new copy, else both go. */
static s3c_status_t
item_write(s3c_ssd_t *ssd, item_t *it, uint32_t store, uint64_t epoch)
{
    uint32_t                     copy = (uint32_t) (epoch & 1);
    const s3c_ssd_store_conf_t  *conf = &ssd->stores[store].conf;

    if (it->format != NULL) {
        ssd->env.random(ssd->env.ctx, &it->super.store_id,
                        sizeof(it->super.store_id));
        it->super.store_id |= it->super.store_id == 0;
    }

    it->super.epoch = epoch;
    it->super.bytes = conf->bytes;
    it->super.segment_bytes = conf->segment_bytes;
    memcpy(it->super.secret, ssd->head->secret, sizeof(it->super.secret));

    memset(it->job->buf, 0, S3C_SSD_SUPER_BYTES);

    if (it->format == NULL) {
        s3c_ssd_super_encode(it->job->buf, &it->super);

        return s3c_ssd_job_begin(it->job, S3C_IO_WRITE_DSYNC,
                                 (uint64_t) copy * S3C_SSD_BLOCK,
                                 S3C_SSD_BLOCK);
    }

    s3c_ssd_super_encode(it->job->buf + copy * S3C_SSD_BLOCK, &it->super);

    return s3c_ssd_job_begin(it->job, S3C_IO_WRITE_DSYNC, 0,
                             S3C_SSD_SUPER_BYTES);
}


/* True: its I/O of this step is over, well or not. */
static bool
item_over(item_t *it)
{
    if (it->failed) {
        return true;
    }

    if (!it->begun) {
        return false;
    }

    if (it->job->busy) {
        it->failed = s3c_ssd_job_hangs(it->job, S3C_SSD_SUPER_WAIT_MS);
        return it->failed;
    }

    it->failed = it->job->err != 0;

    return true;
}


/* --- what becomes true of a store -------------------------------------- */

static void
store_format_locked(s3c_ssd_t *ssd, uint32_t store, const item_t *it)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    s3c_ssd_store_empty_locked(ssd, store, S3C_SSD_SEGMENT_FREE);
    st->store_id = it->super.store_id;
    st->floor = 0;
    st->floor_flash = 0;
    st->lost_tombstones = 0;
    st->recovery_begun_ms = ssd->now_ms;
    st->recovery_ms = 0;
    atomic_store(&st->recovered_segments, st->n_segments);
    atomic_store(&st->recovered_records, 0);
    atomic_store(&st->errors[0], 0);
    atomic_store(&st->errors[1], 0);
    atomic_store(&st->state, S3C_SSD_SERVING);
}


static void
store_keep_locked(s3c_ssd_t *ssd, uint32_t store, const item_t *it)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    s3c_ssd_store_empty_locked(ssd, store, S3C_SSD_SEGMENT_UNKNOWN);
    st->store_id = it->super.store_id;
    st->floor = 0;
    st->floor_flash = 0;
    st->recovery_begun_ms = ssd->now_ms;
    ssd->head->recovering++;
    atomic_store(&st->errors[0], 0);
    atomic_store(&st->errors[1], 0);
    atomic_store(&st->state, S3C_SSD_RECOVERING);
}


/* Drops of what it holds are not noted from here on: whatever comes back has
 * to be formatted. */
static void
store_out_locked(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    st->lost_tombstones++;
    st->retry_ms = ssd->now_ms + S3C_SSD_RETRY_MS;
    st->n_failures++;
    s3c_ssd_count(&st->n_out_of_service, 1);
    atomic_store(&st->state, S3C_SSD_FAILED);
}


/* --- the mount of all -------------------------------------------------- */

s3c_ssd_mount_t *
s3c_ssd_mount_create(s3c_ssd_t *ssd)
{
    uint32_t          i;
    s3c_ssd_mount_t  *m = calloc(1, sizeof(*m));

    for (i = 0; m != NULL && i < ssd->n_stores; i++) {
        m->items[i].job = s3c_ssd_job_create(ssd, i, S3C_SSD_SUPER_BYTES);

        if (m->items[i].job == NULL) {
            s3c_ssd_mount_destroy(m);
            return NULL;
        }
    }

    return m;
}


void
s3c_ssd_mount_destroy(s3c_ssd_mount_t *m)
{
    uint32_t  i;

    if (m == NULL) {
        return;
    }

    for (i = 0; i < S3C_SSD_STORES_MAX; i++) {
        s3c_ssd_job_destroy(m->items[i].job);
    }

    free(m);
}


/* All or none: a zone is mounted together. */
static step_t
mount_lock(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    uint32_t  i;

    if (ssd->now_ms < m->again_ms) {
        return LOCK;
    }

    for (i = 0; i < ssd->n_stores; i++) {
        if (ssd->env.lock(ssd->env.ctx, i)) {
            continue;
        }

        if (!m->told) {
            s3c_ssd_say(ssd, S3C_SSD_LOG_WAITING, i, 0, NULL);
            m->told = true;
        }

        m->again_ms = ssd->now_ms + S3C_SSD_LOCK_RETRY_MS;

        return LOCK;
    }

    return READ;
}


static bool
mount_over(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    bool      over = true;
    uint32_t  i;

    for (i = 0; i < ssd->n_stores; i++) {
        over &= item_over(&m->items[i]);
    }

    return over;
}


/* The new epoch is above all, and who is not at the highest missed a mount. */
static void
mount_decide(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    uint32_t  i;
    uint64_t  epoch = 0;
    item_t   *it;

    for (i = 0; i < ssd->n_stores; i++) {
        it = &m->items[i];
        it->begun = false;

        if (it->failed) {
            continue;
        }

        item_judge(ssd, it, i);

        if (it->ours && it->super.epoch > epoch) {
            epoch = it->super.epoch;
        }
    }

    for (i = 0; i < ssd->n_stores; i++) {
        it = &m->items[i];

        if (!it->failed && it->format == NULL && it->super.epoch < epoch) {
            it->format = "missed a mount";
        }
    }

    m->epoch = epoch + 1;
}


static step_t
mount_read(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    uint32_t  i;
    item_t   *it;

    for (i = 0; i < ssd->n_stores; i++) {
        it = &m->items[i];

        if (!it->begun && !it->failed) {
            it->begun = s3c_ssd_job_begin(it->job, S3C_IO_READ, 0,
                                          S3C_SSD_SUPER_BYTES) == S3C_OK;
        }
    }

    if (!mount_over(ssd, m)) {
        return READ;
    }

    mount_decide(ssd, m);

    return WRITE;
}


static step_t
mount_write(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    uint32_t  i;
    item_t   *it;

    for (i = 0; i < ssd->n_stores; i++) {
        it = &m->items[i];

        if (!it->begun && !it->failed) {
            it->begun = item_write(ssd, it, i, m->epoch) == S3C_OK;
        }
    }

    return mount_over(ssd, m) ? COMMIT : WRITE;
}


static void
mount_log(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    uint32_t  i;
    item_t   *it;

    for (i = 0; i < ssd->n_stores; i++) {
        it = &m->items[i];

        if (it->failed) {
            s3c_ssd_say(ssd, S3C_SSD_LOG_FAILED, i, 0, NULL);

        } else if (it->format != NULL) {
            s3c_ssd_say(ssd, S3C_SSD_LOG_FORMATTED, i, 0, it->format);
            s3c_ssd_say(ssd, S3C_SSD_LOG_MOUNTED, i, 0, NULL);
        }
    }
}


/* Seq and epoch first: a store in service has both. Who dies between leaves
 * stores that wait though there is an epoch; the next keeper formats them. */
static step_t
mount_commit(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    uint32_t            i;
    uint64_t            seq = m->epoch << S3C_SSD_EPOCH_SHIFT;
    s3c_ssd_head_sh_t  *h = ssd->head;

    if (!s3c_ssd_lock(ssd)) {
        return COMMIT;
    }

    if (atomic_load(&h->seq) < seq) {
        atomic_store(&h->seq, seq);
    }

    h->recovering = 0;
    atomic_store(&h->epoch, m->epoch);

    for (i = 0; i < ssd->n_stores; i++) {
        if (m->items[i].failed || ssd->stores[i].lost_tombstones != 0) {
            store_out_locked(ssd, i);

        } else if (m->items[i].format != NULL) {
            store_format_locked(ssd, i, &m->items[i]);

        } else {
            store_keep_locked(ssd, i, &m->items[i]);
        }
    }

    s3c_ssd_unlock(ssd);
    mount_log(ssd, m);

    return DONE;
}


static step_t (*const mount_steps[])(s3c_ssd_t *ssd, s3c_ssd_mount_t *m) = {
    [LOCK]   = mount_lock,               /* READ */
    [READ]   = mount_read,               /* WRITE */
    [WRITE]  = mount_write,              /* COMMIT */
    [COMMIT] = mount_commit              /* DONE */
};


bool
s3c_ssd_mount_run(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    step_t  before;

    do {
        before = m->step;
        m->step = mount_steps[before](ssd, m);
    } while (m->step != before && m->step != DONE);

    return m->step == DONE;
}


/* --- one store again --------------------------------------------------- */

s3c_ssd_retry_t *
s3c_ssd_retry_create(s3c_ssd_t *ssd, uint32_t store)
{
    s3c_ssd_retry_t  *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return NULL;
    }

    r->store = store;
    r->item.job = s3c_ssd_job_create(ssd, store, S3C_SSD_SUPER_BYTES);

    if (r->item.job == NULL) {
        free(r);
        return NULL;
    }

    return r;
}


s3c_ssd_retry_t *
s3c_ssd_mount_rest(s3c_ssd_mount_t *m, uint32_t store)
{
    item_t           *it = &m->items[store];
    s3c_ssd_retry_t  *r;

    if (!it->job->busy) {
        return NULL;
    }

    r = calloc(1, sizeof(*r));

    if (r != NULL) {
        r->store = store;
        r->item.job = it->job;
        it->job = NULL;
    }

    return r;
}


void
s3c_ssd_retry_destroy(s3c_ssd_retry_t *r)
{
    if (r != NULL) {
        s3c_ssd_job_destroy(r->item.job);
        free(r);
    }
}


/* Not while an old write may still arrive: it would undo the new one. */
static step_t
retry_wait(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    if (r->item.job->busy || ssd->now_ms < ssd->stores[r->store].retry_ms) {
        return LOCK;
    }

    r->item.failed = false;
    r->item.begun = false;
    r->item.format = NULL;

    return READ;
}


static step_t
retry_failed(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[r->store];
    uint32_t             n = st->n_failures < 16 ? st->n_failures : 16;
    uint64_t             wait = (uint64_t) S3C_SSD_RETRY_MS << n;

    st->retry_ms = ssd->now_ms + (wait < S3C_SSD_RETRY_MAX_MS
                                  ? wait : S3C_SSD_RETRY_MAX_MS);
    st->n_failures++;

    return LOCK;
}


static step_t
retry_read(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    item_t              *it = &r->item;
    s3c_ssd_store_sh_t  *st = &ssd->stores[r->store];

    if (!it->begun) {
        it->begun = s3c_ssd_job_begin(it->job, S3C_IO_READ, 0,
                                      S3C_SSD_SUPER_BYTES) == S3C_OK;
    }

    if (!item_over(it)) {
        return READ;
    }

    if (it->failed) {
        return retry_failed(ssd, r);
    }

    it->begun = false;
    item_judge(ssd, it, r->store);

    if (it->format == NULL
        && (st->lost_tombstones != 0 || it->super.store_id != st->store_id
            || it->super.epoch != atomic_load(&ssd->head->epoch)))
    {
        it->format = "damaged";
    }

    return WRITE;
}


static step_t
retry_write(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    item_t  *it = &r->item;

    if (!it->begun) {
        it->begun = item_write(ssd, it, r->store,
                               atomic_load(&ssd->head->epoch)) == S3C_OK;
    }

    if (!item_over(it)) {
        return WRITE;
    }

    return it->failed ? retry_failed(ssd, r) : COMMIT;
}


static step_t
retry_commit(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[r->store];

    /* Before it can be written to again. */
    if (ssd->writer != NULL) {
        s3c_ssd_writer_abandon(ssd, r->store);
    }

    if (!s3c_ssd_lock(ssd)) {
        return COMMIT;
    }

    if (r->item.format != NULL) {
        store_format_locked(ssd, r->store, &r->item);

    } else if (st->lost_tombstones != 0) {
        s3c_ssd_unlock(ssd);             /* meanwhile: from the start */
        return LOCK;

    } else {
        atomic_store(&st->errors[0], 0);
        atomic_store(&st->errors[1], 0);
        atomic_store(&st->state, S3C_SSD_SERVING);
    }

    st->retry_ms = ssd->now_ms;          /* since when it is well */
    s3c_ssd_unlock(ssd);

    if (r->item.format != NULL) {
        s3c_ssd_say(ssd, S3C_SSD_LOG_FORMATTED, r->store, 0, r->item.format);
    }

    s3c_ssd_say(ssd, S3C_SSD_LOG_BACK, r->store, 0, NULL);

    return DONE;
}


static step_t (*const retry_steps[])(s3c_ssd_t *ssd, s3c_ssd_retry_t *r) = {
    [LOCK]   = retry_wait,               /* READ */
    [READ]   = retry_read,               /* WRITE, LOCK */
    [WRITE]  = retry_write,              /* COMMIT, LOCK */
    [COMMIT] = retry_commit              /* DONE, LOCK */
};


bool
s3c_ssd_retry_run(s3c_ssd_t *ssd, s3c_ssd_retry_t *r)
{
    step_t  before;

    do {
        before = r->step;
        r->step = retry_steps[before](ssd, r);
    } while (r->step > before && r->step != DONE);

    return r->step == DONE;
}
