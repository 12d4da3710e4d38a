/* SPDX-License-Identifier: Apache-2.0
 *
 * Who has vouched for this node, and since when without a gap.
 */
#include "cluster/vouch.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>


s3c_status_t
s3c_vouch_format(s3c_vouch_sh_t *v)
{
    memset(v, 0, sizeof(*v));

    return s3c_robust_lock_init(&v->lock);
}


/* Who dies in the lock leaves a row half written at most: nothing is known any
 * more, and all begins anew. What is owed is so to everybody. */
static bool
vouch_lock(s3c_vouch_sh_t *v)
{
    switch (s3c_robust_lock_take(&v->lock)) {

    case S3C_OK:
        return true;

    case S3C_CORRUPT:
        atomic_store(&v->until_ms, 1);

        for (uint32_t i = 0; i < S3C_VOUCH_ROWS; i++) {
            v->rows[i].heard_ms = 0;
            v->rows[i].owed++;
        }

        s3c_robust_lock_mended(&v->lock);
        return true;

    default:
        return false;
    }
}


bool
s3c_vouch_stands(const s3c_vouch_sh_t *v, uint64_t now_ms)
{
    return now_ms < atomic_load(&((s3c_vouch_sh_t *) v)->until_ms);
}


bool
s3c_vouch_was_known(const s3c_vouch_sh_t *v, uint64_t validated_ms)
{
    return validated_ms
           >= atomic_load(&((s3c_vouch_sh_t *) v)->shunned_ms);
}


bool
s3c_vouch_is_new(const s3c_vouch_sh_t *v)
{
    return atomic_load(&((s3c_vouch_sh_t *) v)->until_ms) == 0;
}


bool
s3c_vouch_holds(const s3c_vouch_sh_t *v, uint64_t validated_ms,
    uint64_t now_ms)
{
    /* in this order: `since` is set before `until` is */

    return s3c_vouch_stands(v, now_ms) && validated_ms <= now_ms
           && validated_ms >= atomic_load(&((s3c_vouch_sh_t *) v)->since_ms);
}


static s3c_vouch_row_sh_t *
vouch_find_locked(s3c_vouch_sh_t *v, uint64_t name)
{
    for (uint32_t i = 0; i < v->rows_used; i++) {
        if (v->rows[i].name == name) {
            return &v->rows[i];
        }
    }

    return NULL;
}


/* With no room, that of the node that left and was heard longest ago; NULL:
 * all are of the ring. */
static s3c_vouch_row_sh_t *
vouch_row_locked(s3c_vouch_sh_t *v, uint64_t name)
{
    s3c_vouch_row_sh_t  *row = vouch_find_locked(v, name);

    if (row != NULL) {
        return row;
    }

    if (v->rows_used < S3C_VOUCH_ROWS) {
        row = &v->rows[v->rows_used++];

    } else {
        for (uint32_t i = 0; i < S3C_VOUCH_ROWS; i++) {
            if (!v->rows[i].listed
                && (row == NULL || v->rows[i].heard_ms < row->heard_ms))
            {
                row = &v->rows[i];
            }
        }

        if (row == NULL) {
            return NULL;
        }
    }

    memset(row, 0, sizeof(*row));
    row->name = name;

    return row;
}


void
s3c_vouch_missed(s3c_vouch_sh_t *v, uint64_t name)
{
    s3c_vouch_row_sh_t  *row;

    if (!vouch_lock(v)) {
        return;
    }

    row = vouch_row_locked(v, name);

    if (row != NULL) {
        row->owed++;
    }

    s3c_robust_lock_drop(&v->lock);
}


void
s3c_vouch_missed_all(s3c_vouch_sh_t *v)
{
    if (!vouch_lock(v)) {
        return;
    }

    for (uint32_t i = 0; i < v->rows_used; i++) {
        v->rows[i].owed++;
    }

    s3c_robust_lock_drop(&v->lock);
}


uint64_t
s3c_vouch_grant(s3c_vouch_sh_t *v, uint64_t name, uint64_t now_ms)
{
    uint64_t             owed = 0;
    s3c_vouch_row_sh_t  *row;

    if (vouch_lock(v)) {
        row = vouch_row_locked(v, name);

        if (row != NULL) {
            owed = row->owed;
            row->granted_ms = now_ms;
        }

        s3c_robust_lock_drop(&v->lock);
    }

    return owed;
}


bool
s3c_vouch_is_granted(s3c_vouch_sh_t *v, uint64_t name, uint64_t life_ms,
    uint64_t now_ms)
{
    bool                 granted = true;
    s3c_vouch_row_sh_t  *row;

    if (vouch_lock(v)) {
        row = vouch_find_locked(v, name);
        granted = row != NULL && row->granted_ms != 0
                  && now_ms < row->granted_ms + life_ms;
        s3c_robust_lock_drop(&v->lock);
    }

    return granted;
}


void
s3c_vouch_heard(s3c_vouch_sh_t *v, uint64_t name, uint64_t boot,
    uint64_t missed, uint64_t asked_ms, uint64_t now_ms)
{
    bool                 anew;
    s3c_vouch_row_sh_t  *row;

    assert(boot != 0);

    if (!vouch_lock(v)) {
        return;
    }

    row = vouch_row_locked(v, name);

    if (row != NULL) {
        anew = (row->boot == 0) ? missed != 0
               : (row->boot != boot || row->missed != missed);

        if (anew) {
            atomic_store(&v->since_ms, now_ms);
        }

        row->boot = boot;
        row->missed = missed;
        row->shuns_ms = 0;

        if (asked_ms > row->heard_ms) {
            row->heard_ms = asked_ms;
        }
    }

    s3c_robust_lock_drop(&v->lock);
}


void
s3c_vouch_shunned(s3c_vouch_sh_t *v, uint64_t name, uint64_t now_ms)
{
    s3c_vouch_row_sh_t  *row;

    if (!vouch_lock(v)) {
        return;
    }

    row = vouch_row_locked(v, name);

    if (row != NULL) {
        row->shuns_ms = now_ms;
        atomic_store(&v->shunned_ms, UINT64_MAX);
    }

    s3c_robust_lock_drop(&v->lock);
}


/* Is it over? Then what was validated until now may be old. */
static void
vouch_end_shun_locked(s3c_vouch_sh_t *v, uint64_t life_ms, uint64_t now_ms)
{
    if (atomic_load(&v->shunned_ms) != UINT64_MAX) {
        return;
    }

    for (uint32_t i = 0; i < v->rows_used; i++) {
        if (v->rows[i].listed && v->rows[i].shuns_ms != 0
            && now_ms < v->rows[i].shuns_ms + life_ms)
        {
            return;
        }
    }

    atomic_store(&v->shunned_ms, now_ms);
}


/* The oldest word of all that are named. One that has just come to the ring
 * could not have been heard, and tells of its writes from its first one on. */
static uint64_t
vouch_oldest_locked(s3c_vouch_sh_t *v, const uint64_t *names, uint32_t n,
    uint64_t now_ms)
{
    uint64_t             oldest = now_ms;
    s3c_vouch_row_sh_t  *row;

    for (uint32_t i = 0; i < n; i++) {
        row = vouch_row_locked(v, names[i]);

        if (row == NULL) {
            return 0;
        }

        if (!row->listed) {
            row->listed = 1;

            if (s3c_vouch_stands(v, now_ms)) {
                row->heard_ms = now_ms;
            }
        }

        row->round = v->round;

        if (row->heard_ms < oldest) {
            oldest = row->heard_ms;
        }
    }

    return oldest;
}


bool
s3c_vouch_judge(s3c_vouch_sh_t *v, const uint64_t *names, uint32_t n,
    uint64_t life_ms, uint64_t now_ms)
{
    bool      left = false, stands;
    uint64_t  oldest;

    if (!vouch_lock(v)) {
        return false;
    }

    v->round++;
    oldest = vouch_oldest_locked(v, names, n, now_ms);

    for (uint32_t i = 0; i < v->rows_used; i++) {
        if (v->rows[i].listed && v->rows[i].round != v->round) {
            v->rows[i].listed = 0;
            left = true;
        }
    }

    vouch_end_shun_locked(v, life_ms, now_ms);
    stands = oldest != 0 && now_ms < oldest + life_ms;

    /* what the one that left could not tell nobody will */

    if (left || (stands && !s3c_vouch_stands(v, now_ms))) {
        atomic_store(&v->since_ms, now_ms);
    }

    if (stands) {
        atomic_store(&v->until_ms, oldest + life_ms);
    }

    s3c_robust_lock_drop(&v->lock);

    return stands;
}
