/* SPDX-License-Identifier: Apache-2.0
 *
 * Key to entry: a table of chain heads, linked through the entries. Readers
 * walk a chain while writers change it: they may miss what is there, never
 * find what is not, since they pin and then look at the entry again. The key
 * is a keyed hash, so its low bits are the bucket.
 */
#include "ram/ram_internal.h"


static inline uint32_t *
bucket_of(const s3c_ram_t *ram, uint64_t key_lo)
{
    return &ram->at.heads[key_lo & (ram->c.n_heads - 1)];
}


/* How often a key's request is noted: one store at most, none if the value is
 * there already, so that a hot entry's line stays shared. */
void
s3c_ram_touch(s3c_ram_t *ram, s3c_ram_entry_sh_t *e, uint64_t now_ms)
{
    uint8_t   hits;
    uint32_t  tick;

    if (ram->c.policy == S3C_RAM_LRU) {
        tick = s3c_ram_tick(now_ms);

        if (S3C_RAM_GET(e->tick) != tick) {
            S3C_RAM_SET(e->tick, tick);

            if (s3c_ram_is_cold(e)) {
                S3C_RAM_SET(e->hits, 0);
            }
        }

        return;
    }

    hits = S3C_RAM_GET(e->hits);

    if (hits < 3) {
        S3C_RAM_SET(e->hits, hits + 1);

    } else if (hits > 3) {
        S3C_RAM_SET(e->hits, 1);         /* it was cold */
    }
}


static inline s3c_status_t
index_pin(s3c_ram_t *ram, s3c_hash128_t key, s3c_ram_pin_t *pin,
    s3c_ram_entry_sh_t **found)
{
    uint8_t              state;
    uint32_t             entry, steps;
    s3c_ram_entry_sh_t  *e;

    *pin = (s3c_ram_pin_t) { 0, 0 };

    entry = S3C_RAM_GET_ACQ(*bucket_of(ram, key.lo));

    for (steps = 0; steps < S3C_RAM_CHAIN_MAX; steps++) {
        e = s3c_ram_entry_at(ram, entry);
        if (e == NULL) {
            return S3C_MISS;
        }

        if (S3C_RAM_GET(e->key_lo) != key.lo
            || S3C_RAM_GET(e->key_hi) != key.hi)
        {
            entry = S3C_RAM_GET_ACQ(e->chain);
            continue;
        }

        state = S3C_RAM_GET(e->state);
        if (state != S3C_RAM_LIVE && state != S3C_RAM_FILLING) {
            return S3C_MISS;
        }

        if (s3c_ram_pin_set(ram, entry, pin) != S3C_OK) {
            return S3C_BUSY;
        }

        /* The proof that this holds is in ram_pin.c. */
        state = S3C_RAM_GET_SEQ(e->state);

        if ((state == S3C_RAM_LIVE || state == S3C_RAM_FILLING)
            && S3C_RAM_GET(e->key_lo) == key.lo
            && S3C_RAM_GET(e->key_hi) == key.hi)
        {
            if (state == S3C_RAM_FILLING) {
                return S3C_AGAIN;
            }

            *found = e;
            return S3C_OK;
        }

        s3c_ram_unpin(ram, pin);
        return S3C_MISS;
    }

    return S3C_MISS;
}


s3c_status_t
s3c_ram_find(s3c_ram_t *ram, s3c_hash128_t key, uint64_t now_ms,
    s3c_ram_pin_t *pin)
{
    s3c_status_t         st;
    s3c_ram_entry_sh_t  *e;

    st = index_pin(ram, key, pin, &e);

    if (st == S3C_OK) {
        s3c_ram_touch(ram, e, now_ms);
    }

    return st;
}


s3c_status_t
s3c_ram_peek(s3c_ram_t *ram, s3c_hash128_t key, s3c_ram_pin_t *pin)
{
    s3c_ram_entry_sh_t  *e;

    return index_pin(ram, key, pin, &e);
}


uint32_t
s3c_ram_index_find_locked(s3c_ram_t *ram, s3c_hash128_t key)
{
    uint32_t             entry = *bucket_of(ram, key.lo), steps;
    s3c_ram_entry_sh_t  *e;

    for (steps = 0; entry != 0; steps++) {
        e = s3c_ram_entry_get(ram, entry);
        if (e == NULL) {
            return 0;
        }

        if (steps > S3C_RAM_CHAIN_MAX
            || (e->state != S3C_RAM_LIVE && e->state != S3C_RAM_FILLING))
        {
            s3c_ram_break(ram);
            return 0;
        }

        if (e->key_lo == key.lo && e->key_hi == key.hi) {
            return entry;
        }

        entry = e->chain;
    }

    return 0;
}


void
s3c_ram_index_add_locked(s3c_ram_t *ram, uint32_t entry)
{
    uint32_t            *head;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e != NULL) {
        head = bucket_of(ram, e->key_lo);
        S3C_RAM_SET(e->chain, *head);
        S3C_RAM_SET_REL(*head, entry);
    }
}


void
s3c_ram_index_remove_locked(s3c_ram_t *ram, uint32_t entry)
{
    uint32_t            *link, steps;
    s3c_ram_entry_sh_t  *e, *at;

    e = s3c_ram_entry_get(ram, entry);
    if (e == NULL) {
        return;
    }

    link = bucket_of(ram, e->key_lo);

    for (steps = 0; *link != entry; steps++) {
        at = s3c_ram_entry_get(ram, *link);

        if (at == NULL || steps > S3C_RAM_CHAIN_MAX) {
            s3c_ram_break(ram);
            return;
        }

        link = &at->chain;
    }

    /* e->chain stays: a reader that stands on it finds its way out. */
    S3C_RAM_SET_REL(*link, e->chain);
}
