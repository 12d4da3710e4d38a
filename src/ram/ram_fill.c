/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills: one leader brings the bytes of an entry, followers in all workers
 * read what has arrived. The leader's calls; what followers see is in
 * ram_watch.c.
 *
 *     begin   -> FILLING   in the index: others find it and follow
 *     alloc                memory, once
 *     publish              more bytes are readable (no lock)
 *     commit  FILLING -> LIVE; OUT -> DEAD (dropped meanwhile)
 *     fail    FILLING, OUT -> FAILED
 *
 * A fill's number is free again as soon as its entry has left FILLING and OUT;
 * its watchers are copied before and told after the unlock. Who dies in
 * between leaves it to the sweep, which alarms everybody.
 */
#include "ram/ram_internal.h"

#define FIT_SHARE(n)   ((n) / 4 * 3)     /* larger can never be: FULL */
#define EVICT_TIMES    8                 /* of what is asked for, at most */
#define EVICT_MORE     4096              /* and these units */


void
s3c_ram_fills_reset_locked(s3c_ram_t *ram)
{
    uint32_t            i;
    s3c_ram_fill_sh_t  *f;

    ram->s->free_fill = S3C_RAM_NIL;

    for (i = ram->c.n_fills; i-- > 0; /* the lowest is taken first */) {
        f = s3c_ram_fill_at(ram, i);

        if (f->entry == 0) {
            f->next = ram->s->free_fill;
            ram->s->free_fill = i;
        }
    }
}


/* My fill of this pinned entry, or NULL when it is over. */
static s3c_ram_fill_sh_t *
fill_mine(const s3c_ram_t *ram, const s3c_ram_pin_t *pin)
{
    uint8_t              state;
    s3c_ram_fill_sh_t   *f;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, pin->entry);

    if (e == NULL) {
        return NULL;
    }

    state = S3C_RAM_GET_SEQ(e->state);
    if (state != S3C_RAM_FILLING && state != S3C_RAM_OUT) {
        return NULL;
    }

    f = s3c_ram_fill_at(ram, S3C_RAM_GET(e->fill));

    if (f == NULL || S3C_RAM_GET(f->entry) != pin->entry
        || S3C_RAM_GET(f->leader) != ram->slot)
    {
        return NULL;
    }

    return f;
}


static s3c_ram_fill_sh_t *
fill_take(s3c_ram_t *ram, uint32_t entry, uint32_t *number)
{
    uint32_t            i;
    s3c_ram_fill_sh_t  *f;

    *number = ram->s->free_fill;
    f = s3c_ram_fill_at(ram, *number);

    if (f == NULL || f->entry != 0) {
        s3c_ram_break(ram);
        return NULL;
    }

    ram->s->free_fill = f->next;

    f->leader = ram->slot;
    S3C_RAM_SET(f->phase, S3C_FILL_ASKING);
    S3C_RAM_SET(f->filled, 0);
    S3C_RAM_SET(f->mark, 0);

    for (i = 0; i < (ram->c.n_slots + 63) / 64; i++) {
        S3C_RAM_SET(f->watchers[i], 0);
    }

    S3C_RAM_ORDER();
    S3C_RAM_SET_SEQ(f->entry, entry);

    return f;
}


void
s3c_ram_fill_release_locked(s3c_ram_t *ram, uint32_t fill)
{
    s3c_ram_fill_sh_t  *f = s3c_ram_fill_at(ram, fill);

    if (f == NULL || f->entry == 0) {
        s3c_ram_break(ram);
        return;
    }

    S3C_RAM_SET_SEQ(f->entry, 0);
    f->next = ram->s->free_fill;
    ram->s->free_fill = fill;
}


static void
news_of(const s3c_ram_t *ram, uint32_t fill, s3c_ram_news_t *news)
{
    uint32_t                  i;
    const s3c_ram_fill_sh_t  *f = s3c_ram_fill_at(ram, fill);

    *news = (s3c_ram_news_t) { UINT32_MAX, { 0 } };

    if (f != NULL) {
        news->fill = fill;

        for (i = 0; i < (ram->c.n_slots + 63) / 64; i++) {
            news->watchers[i] = S3C_RAM_GET_SEQ(f->watchers[i]);
        }
    }
}


static uint32_t
entry_take(s3c_ram_t *ram)
{
    uint32_t  tries, entry = s3c_ram_entry_take_locked(ram);

    for (tries = 0; entry == 0 && !ram->broken && tries < 64; tries++) {
        if (s3c_ram_evict_locked(ram, 1u << S3C_RAM_PAGE_ORDER) != S3C_OK) {
            return 0;
        }

        entry = s3c_ram_entry_take_locked(ram);
    }

    return entry;
}


/* The key is not there: lead. */
static s3c_status_t
lead(s3c_ram_t *ram, s3c_hash128_t key, s3c_ram_pin_t *pin)
{
    uint32_t             entry, number;
    s3c_ram_entry_sh_t  *e;

    if (ram->s->free_fill == S3C_RAM_NIL) {
        return S3C_BUSY;
    }

    entry = entry_take(ram);
    e = entry == 0 ? NULL : s3c_ram_entry_get(ram, entry);

    if (e == NULL || fill_take(ram, entry, &number) == NULL
        || s3c_ram_pin_set(ram, entry, pin) != S3C_OK)
    {
        if (e != NULL) {
            s3c_ram_entry_give_locked(ram, entry);
        }

        return S3C_BUSY;
    }

    S3C_RAM_SET(*s3c_ram_sum_at(e, entry), 0);
    S3C_RAM_SET(e->size, 0);
    S3C_RAM_SET(e->key_lo, key.lo);
    S3C_RAM_SET(e->key_hi, key.hi);
    S3C_RAM_SET(e->fill, (uint16_t) number);
    S3C_RAM_SET(e->hits, ram->cold);
    S3C_RAM_SET(e->tick, s3c_ram_tick(ram->s->now_ms));
    S3C_RAM_ORDER();
    S3C_RAM_SET_SEQ(e->state, S3C_RAM_FILLING);

    s3c_ram_index_add_locked(ram, entry);
    ram->s->n_filling++;

    return S3C_OK;
}


s3c_status_t
s3c_ram_fill_begin(s3c_ram_t *ram, s3c_hash128_t key, uint64_t now_ms,
    s3c_ram_pin_t *pin)
{
    uint32_t             entry;
    s3c_status_t         st;
    s3c_ram_entry_sh_t  *e;

    *pin = (s3c_ram_pin_t) { 0, 0 };

    if (s3c_ram_pin_reserve(ram) != S3C_OK || s3c_ram_lock(ram) != S3C_OK) {
        return S3C_BUSY;
    }

    s3c_ram_now_set_locked(ram, now_ms);
    entry = s3c_ram_index_find_locked(ram, key);

    if (ram->broken) {
        st = S3C_BUSY;

    } else if (entry == 0) {
        st = lead(ram, key, pin);

    } else {
        e = s3c_ram_entry_at(ram, entry);
        st = s3c_ram_pin_set(ram, entry, pin);

        if (st == S3C_OK && e->state == S3C_RAM_LIVE) {
            if (ram->cold == 0) {
                s3c_ram_touch(ram, e, now_ms);
            }

            st = S3C_EXISTS;

        } else if (st == S3C_OK) {
            st = S3C_AGAIN;
        }
    }

    if (ram->broken) {                   /* the unlock empties the zone */
        st = S3C_BUSY;
        s3c_ram_unpin(ram, pin);
    }

    s3c_ram_unlock(ram);

    if (st == S3C_BUSY) {
        S3C_RAM_ADD(ram->s->n_busy, 1);
    }

    return st;
}


s3c_status_t
s3c_ram_fill_begin_cold(s3c_ram_t *ram, s3c_hash128_t key, bool replaces,
    uint64_t now_ms, s3c_ram_pin_t *pin)
{
    s3c_status_t  st;

    ram->cold = replaces ? S3C_RAM_COLD_KEPT : S3C_RAM_COLD;
    st = s3c_ram_fill_begin(ram, key, now_ms, pin);
    ram->cold = 0;

    return st;
}


static s3c_status_t
memory_take(s3c_ram_t *ram, uint32_t size, uint32_t head_bytes,
    uint32_t ext[S3C_RAM_DIRECT], uint32_t *flags)
{
    uint32_t  units, ask;
    uint64_t  evicted = 0, before;

    units = (size + S3C_RAM_UNIT - 1) >> S3C_RAM_UNIT_SHIFT;

    if (size > S3C_RAM_ENTRY_MAX || units > FIT_SHARE(ram->c.n_units)) {
        return S3C_FULL;
    }

    for ( ;; ) {
        if (s3c_ram_extents_take_locked(ram, size, head_bytes, ext, flags)
            == S3C_OK)
        {
            return S3C_OK;
        }

        if (ram->broken
            || evicted > EVICT_TIMES * (uint64_t) units + EVICT_MORE)
        {
            return S3C_FULL;
        }

        /* Short of memory: the rest of it. In pieces too small: some more. */
        before = ram->s->free_units;
        ask = before < units ? units - (uint32_t) before : units / 8 + 8;

        if (s3c_ram_evict_locked(ram, ask) != S3C_OK) {
            return S3C_FULL;
        }

        evicted += ram->s->free_units - before;
    }
}


s3c_status_t
s3c_ram_fill_alloc(s3c_ram_t *ram, const s3c_ram_pin_t *pin, uint32_t size,
    uint32_t head_bytes, uint64_t now_ms)
{
    uint32_t             i, flags = 0, ext[S3C_RAM_DIRECT] = { 0 };
    s3c_status_t         st;
    s3c_ram_entry_sh_t  *e;

    if (s3c_ram_lock(ram) != S3C_OK) {
        return S3C_BUSY;
    }

    s3c_ram_now_set_locked(ram, now_ms);
    e = s3c_ram_entry_at(ram, pin->entry);

    if (fill_mine(ram, pin) == NULL) {
        st = S3C_FULL;                   /* the zone was emptied meanwhile */

    } else if (ram->s->fill_bytes + size > ram->c.fill_bytes_max) {
        st = S3C_BUSY;

    } else {
        assert(!(e->size & S3C_RAM_F_MEM));
        ram->cold = s3c_ram_is_cold(e) ? S3C_RAM_GET(e->hits) : 0;
        st = memory_take(ram, size, head_bytes, ext, &flags);
        ram->cold = 0;
    }

    if (st == S3C_OK) {
        for (i = 0; i < S3C_RAM_DIRECT; i++) {
            S3C_RAM_SET(e->ext[i], ext[i]);
        }

        S3C_RAM_ORDER();
        S3C_RAM_SET_SEQ(e->size, size | flags);

        ram->s->fill_bytes += size;
        ram->s->payload_bytes += size;
        ram->s->payload_units += s3c_ram_extents_units(ram, e);
    }

    s3c_ram_unlock(ram);

    if (st == S3C_FULL) {
        S3C_RAM_ADD(ram->s->n_full, 1);

    } else if (st == S3C_BUSY) {
        S3C_RAM_ADD(ram->s->n_busy, 1);
    }

    return st;
}


void
s3c_ram_fill_publish(s3c_ram_t *ram, const s3c_ram_pin_t *pin, uint32_t filled)
{
    s3c_ram_news_t       news;
    s3c_ram_fill_sh_t   *f = fill_mine(ram, pin);
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, pin->entry);

    if (f == NULL || !(S3C_RAM_GET(e->size) & S3C_RAM_F_MEM)) {
        return;
    }

    S3C_RAM_SET_SEQ(f->filled, filled);

    if (S3C_RAM_GET(f->phase) != S3C_FILL_BODY) {
        S3C_RAM_SET_SEQ(f->phase, S3C_FILL_BODY);
    }

    news_of(ram, S3C_RAM_GET(e->fill), &news);
    s3c_ram_tell(ram, &news);
}


void
s3c_ram_fill_mark(s3c_ram_t *ram, const s3c_ram_pin_t *pin, uint32_t mark)
{
    s3c_ram_news_t       news;
    s3c_ram_fill_sh_t   *f = fill_mine(ram, pin);
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, pin->entry);

    if (f == NULL || S3C_RAM_GET(f->mark) == mark) {
        return;
    }

    S3C_RAM_SET_SEQ(f->mark, mark);

    news_of(ram, S3C_RAM_GET(e->fill), &news);
    s3c_ram_tell(ram, &news);
}


s3c_status_t
s3c_ram_fill_commit(s3c_ram_t *ram, const s3c_ram_pin_t *pin, uint64_t now_ms)
{
    uint32_t             size, fill;
    s3c_status_t         st = S3C_CHANGED;
    s3c_ram_news_t       news = { UINT32_MAX, { 0 } };
    s3c_ram_entry_sh_t  *e;

    if (ram->skip != NULL) {
        s3c_ram_sum_seal(ram, pin);
    }

    if (s3c_ram_lock(ram) != S3C_OK) {
        return S3C_CHANGED;
    }

    s3c_ram_now_set_locked(ram, now_ms);

    if (fill_mine(ram, pin) != NULL) {
        e = s3c_ram_entry_at(ram, pin->entry);
        fill = e->fill;
        assert(e->size & S3C_RAM_F_MEM);

        size = e->size & S3C_RAM_SIZE_MASK;
        ram->s->fill_bytes -= size;
        ram->s->n_filling--;

        if (e->state == S3C_RAM_FILLING) {
            st = S3C_OK;
            ram->s->n_insert++;
            ram->s->n_entries++;
            S3C_RAM_SET(e->tick, s3c_ram_tick(ram->s->now_ms));
            ram->policy->insert(ram, pin->entry);
            S3C_RAM_ORDER();
            S3C_RAM_SET_SEQ(e->state, S3C_RAM_LIVE);

        } else {
            ram->s->payload_bytes -= size;
            S3C_RAM_SET_SEQ(e->state, S3C_RAM_DEAD);
            s3c_ram_limbo_add_locked(ram, pin->entry);
        }

        S3C_RAM_ORDER();
        news_of(ram, fill, &news);
        s3c_ram_fill_release_locked(ram, fill);
    }

    s3c_ram_unlock(ram);
    s3c_ram_tell(ram, &news);

    return st;
}


void
s3c_ram_fill_fail_locked(s3c_ram_t *ram, uint32_t entry, uint32_t reason,
    bool aged, s3c_ram_news_t *news)
{
    uint32_t             size, fill;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    *news = (s3c_ram_news_t) { UINT32_MAX, { 0 } };

    if (e == NULL) {
        return;
    }

    if (e->state == S3C_RAM_FILLING) {
        s3c_ram_index_remove_locked(ram, entry);
    }

    fill = e->fill;
    ram->s->n_filling--;

    if (e->size & S3C_RAM_F_MEM) {
        size = e->size & S3C_RAM_SIZE_MASK;
        ram->s->fill_bytes -= size;
        ram->s->payload_bytes -= size;

        if (aged) {
            e->prev = s3c_ram_tick(ram->s->now_ms + S3C_RAM_AGE_MS);
            S3C_RAM_SET(e->size, e->size | S3C_RAM_F_AGED);
        }
    }

    S3C_RAM_SET(e->tick, reason);
    S3C_RAM_ORDER();
    S3C_RAM_SET_SEQ(e->state, S3C_RAM_FAILED);
    S3C_RAM_ORDER();

    news_of(ram, fill, news);
    s3c_ram_fill_release_locked(ram, fill);
    s3c_ram_limbo_add_locked(ram, entry);
}


void
s3c_ram_fill_fail(s3c_ram_t *ram, const s3c_ram_pin_t *pin, uint32_t reason)
{
    s3c_ram_news_t  news = { UINT32_MAX, { 0 } };

    assert(reason != 0);

    if (s3c_ram_lock(ram) != S3C_OK) {
        return;
    }

    if (fill_mine(ram, pin) != NULL) {
        s3c_ram_fill_fail_locked(ram, pin->entry, reason, false, &news);
    }

    s3c_ram_unlock(ram);
    s3c_ram_tell(ram, &news);
}
