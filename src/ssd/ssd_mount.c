/* SPDX-License-Identifier: Apache-2.0
 *
 * The mount of all stores together: lock, read, decide, write, and only when
 * all of that is over is anything of it true in shared memory.
 *
 * A store that cannot be trusted is formatted. Looks at its I/O from run(); an
 * I/O that hangs keeps its store out, never the others.
 */
#include "ssd/ssd_mount.h"

#include <stdlib.h>

#define EPOCH_BEGIN_S  1767225600ull     /* 2026-01-01 */

typedef s3c_ssd_item_t  item_t;
typedef s3c_ssd_step_t  step_t;

struct s3c_ssd_mount_s {
    step_t    step;
    uint64_t  again_ms;                  /* locks: not before */
    bool      told;                      /* that it waits */
    uint64_t  epoch;                     /* of this mount */
    item_t    items[S3C_SSD_STORES_MAX];
};


/* --- what becomes true of a store -------------------------------------- */

/* As store_empty, but before the first mount: nothing points into it. */
static void
store_fresh_locked(s3c_ssd_t *ssd, uint32_t store)
{
    uint32_t             i;
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    for (i = 0; i < st->n_segments; i++) {
        ssd->segments[st->first_segment + i].state = S3C_SSD_SEGMENT_FREE;
    }

    st->n_free = st->n_segments;
}


void
s3c_ssd_store_format_locked(s3c_ssd_t *ssd, uint32_t store, uint64_t store_id,
    bool fresh)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    if (fresh) {
        store_fresh_locked(ssd, store);
    } else {
        s3c_ssd_store_empty_locked(ssd, store);
    }

    st->store_id = store_id;
    st->floor = 0;
    st->lost_tombstones = 0;
    st->recovery_begun_ms = ssd->now_ms;
    st->recovery_ms = 0;
    atomic_store(&st->recovered_segments, st->n_segments);
    atomic_store(&st->recovered_records, 0);
    atomic_store(&st->errors[0], 0);
    atomic_store(&st->errors[1], 0);
    atomic_store(&st->state, S3C_SSD_SERVING);
}


/* Its segments are UNKNOWN, as in all fresh memory. */
static void
store_keep_locked(s3c_ssd_t *ssd, uint32_t store, const item_t *it)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    st->store_id = it->super.store_id;
    st->floor = 0;
    st->recovery_begun_ms = ssd->now_ms;
    ssd->head->recovering++;
    atomic_store(&st->errors[0], 0);
    atomic_store(&st->errors[1], 0);
    atomic_store(&st->state, S3C_SSD_RECOVERING);
}


/* Drops of what it holds are not noted from here on: whatever comes back has
 * to be formatted. */
static void
store_out_locked(s3c_ssd_t *ssd, uint32_t store, uint64_t wait_ms)
{
    s3c_ssd_store_sh_t  *st = &ssd->stores[store];

    st->lost_tombstones++;
    st->retry_ms = ssd->now_ms + wait_ms;
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
        return S3C_SSD_STEP_LOCK;
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

        return S3C_SSD_STEP_LOCK;
    }

    return S3C_SSD_STEP_READ;
}


/* The number of the minute: higher than all epochs that were only counted. */
static uint64_t
epoch_by_clock(const s3c_ssd_t *ssd)
{
    uint64_t  epoch, now_s = 0;

    if (ssd->env.wall_s != NULL) {
        now_s = ssd->env.wall_s(ssd->env.ctx);
    }

    epoch = now_s > EPOCH_BEGIN_S ? (now_s - EPOCH_BEGIN_S) / 60 : 0;

    return epoch < S3C_SSD_EPOCH_MAX ? epoch : S3C_SSD_EPOCH_MAX - 1;
}


/* Above all that were found, and above what could not be read. */
static uint64_t
epoch_next(const s3c_ssd_t *ssd, uint64_t found, bool unsure)
{
    uint64_t  epoch = found + 1, clock = unsure ? epoch_by_clock(ssd) : 0;

    if (clock > epoch) {
        /* the older copy is the one to overwrite */
        epoch = clock - ((clock ^ epoch) & 1);
    }

    return epoch;
}


/* The new epoch is above all, and who is not at the highest missed a mount. */
static void
mount_decide(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    bool      unsure = false;
    uint32_t  i;
    uint64_t  epoch = 0;
    item_t   *it;

    for (i = 0; i < ssd->n_stores; i++) {
        it = &m->items[i];
        s3c_ssd_item_next(it);
        unsure |= it->failed;

        if (it->failed) {
            continue;
        }

        s3c_ssd_item_judge(ssd, it, i);
        unsure |= it->unsure;

        if (it->ours && it->super.epoch > epoch) {
            epoch = it->super.epoch;
        }
    }

    for (i = 0; i < ssd->n_stores; i++) {
        it = &m->items[i];

        if (it->failed || it->format != NULL) {
            continue;
        }

        if (it->super.epoch < epoch) {
            it->format = "missed a mount";

        } else if (ssd->stores[i].lost_tombstones != 0) {
            it->format = "lost tombstones";
        }
    }

    m->epoch = epoch_next(ssd, epoch, unsure);
}


static step_t
mount_read(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    bool      over = true;
    uint32_t  i;

    for (i = 0; i < ssd->n_stores; i++) {
        over &= s3c_ssd_item_read(&m->items[i]);
    }

    if (!over) {
        return S3C_SSD_STEP_READ;
    }

    mount_decide(ssd, m);

    return S3C_SSD_STEP_WRITE;
}


static step_t
mount_write(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    bool      over = true;
    uint32_t  i;

    for (i = 0; i < ssd->n_stores; i++) {
        over &= s3c_ssd_item_write(ssd, &m->items[i], i, m->epoch);
    }

    return over ? S3C_SSD_STEP_COMMIT : S3C_SSD_STEP_WRITE;
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
    item_t             *it;
    s3c_ssd_head_sh_t  *h = ssd->head;

    if (!s3c_ssd_lock(ssd)) {
        return S3C_SSD_STEP_COMMIT;
    }

    for (i = 0; i < ssd->n_stores; i++) {
        ssd->stores[i].epoch = m->items[i].written ? m->epoch : 0;
    }

    s3c_ssd_seq_raise(ssd, m->epoch);
    h->recovering = 0;
    atomic_store(&h->run_seq, m->epoch << S3C_SSD_EPOCH_SHIFT);
    atomic_store(&h->epoch, m->epoch);

    for (i = 0; i < ssd->n_stores; i++) {
        it = &m->items[i];

        if (it->failed) {
            store_out_locked(ssd, i, S3C_SSD_RETRY_MS);

        } else if (it->format != NULL) {
            s3c_ssd_store_format_locked(ssd, i, it->super.store_id, true);

        } else if (ssd->stores[i].lost_tombstones != 0) {
            store_out_locked(ssd, i, 0);         /* since it was decided */

        } else {
            store_keep_locked(ssd, i, it);
        }
    }

    s3c_ssd_unlock(ssd);
    mount_log(ssd, m);

    return S3C_SSD_STEP_DONE;
}


static step_t (*const mount_steps[])(s3c_ssd_t *ssd, s3c_ssd_mount_t *m) = {
    [S3C_SSD_STEP_LOCK]   = mount_lock,      /* READ */
    [S3C_SSD_STEP_READ]   = mount_read,      /* WRITE */
    [S3C_SSD_STEP_WRITE]  = mount_write,     /* COMMIT */
    [S3C_SSD_STEP_COMMIT] = mount_commit     /* DONE */
};


bool
s3c_ssd_mount_run(s3c_ssd_t *ssd, s3c_ssd_mount_t *m)
{
    step_t  before;

    do {
        before = m->step;
        m->step = mount_steps[before](ssd, m);
    } while (m->step != before && m->step != S3C_SSD_STEP_DONE);

    return m->step == S3C_SSD_STEP_DONE;
}


s3c_ssd_retry_t *
s3c_ssd_mount_rest(s3c_ssd_mount_t *m, uint32_t store)
{
    return s3c_ssd_retry_adopt(store, &m->items[store].job);
}
