/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks every invariant of the region against the entries, under the lock:
 * that each unit has one owner or is free, that chains, queues, limbo and free
 * lists hold exactly what they should, and that the accounts agree. Changes
 * nothing but scratch bits, names the first broken thing. A look at every unit
 * and entry: for tests and the admin, not for every minute.
 */
#include "ram/ram_internal.h"

typedef struct {
    s3c_ram_t  *ram;
    uint64_t    by_state[S3C_RAM_STATES];
    uint64_t    entry_units;
    uint64_t    limbo_units;
    uint64_t    claimed;                 /* entries, pages, pin chunks */
    uint64_t    payload_bytes;
    uint64_t    fill_bytes;
    uint64_t    main_bytes;
    uint64_t    small_bytes;
    uint64_t    n_main;
} audit_t;

typedef const char *(*audit_step_pt)(audit_t *a);


static const char *
audit_pages(audit_t *a)
{
    uint32_t    i, j, unit, used = 0;
    s3c_ram_t  *ram = a->ram;

    for (i = 0; i < ram->c.n_pages; i++) {
        unit = ram->at.pages[i] - 1;

        if (ram->at.pages[i] == 0) {
            continue;
        }

        if (s3c_ram_block_order(ram, unit) != S3C_RAM_PAGE_ORDER
            || !s3c_ram_claim_block_locked(ram, unit, S3C_RAM_PAGE_ORDER))
        {
            return "a page of entries is not a block of its own";
        }

        a->claimed += 1u << S3C_RAM_PAGE_ORDER;
        used = i + 1;
    }

    if (used != ram->s->pages_used || ram->at.pages[0] != 1) {
        return "the count of pages is wrong";
    }

    for (i = 0; i < ram->c.n_slots; i++) {
        for (j = 0; j < S3C_RAM_PINS_CHUNKS; j++) {
            unit = s3c_ram_slot_at(ram, i)->pins[j];

            if (unit == 0) {
                continue;
            }

            if (s3c_ram_block_order(ram, unit - 1) != S3C_RAM_PAGE_ORDER
                || !s3c_ram_claim_block_locked(ram, unit - 1,
                                               S3C_RAM_PAGE_ORDER))
            {
                return "a chunk of pins is not a block of its own";
            }

            a->claimed += 1u << S3C_RAM_PAGE_ORDER;
        }
    }

    return NULL;
}


static const char *
audit_entry(audit_t *a, uint32_t entry, const s3c_ram_entry_sh_t *e)
{
    uint32_t                  units = 0, size = e->size & S3C_RAM_SIZE_MASK;
    const s3c_ram_fill_sh_t  *f;

    if (e->state >= S3C_RAM_STATES || e->state == S3C_RAM_CONDEMNED) {
        return "an entry has no proper state";
    }

    a->by_state[e->state]++;

    if (e->state == S3C_RAM_FREE) {
        return e->size & S3C_RAM_F_MEM ? "a free entry has memory" : NULL;
    }

    if (e->size & S3C_RAM_F_MEM) {
        units = s3c_ram_claim_extents_locked(a->ram, e);

        if (units == 0) {
            return "an entry's memory is not its own, or too small";
        }
    }

    a->claimed += units;
    a->entry_units += units;

    if (e->state == S3C_RAM_DEAD || e->state == S3C_RAM_FAILED) {
        a->limbo_units += units;
        return NULL;
    }

    a->payload_bytes += units > 0 ? size : 0;

    if (e->state == S3C_RAM_LIVE) {
        if (units == 0) {
            return "a live entry has no memory";
        }

        if (e->size & S3C_RAM_F_MAIN) {
            a->n_main++;
            a->main_bytes += size;

        } else {
            a->small_bytes += size;
        }

        return NULL;
    }

    f = s3c_ram_fill_at(a->ram, e->fill);
    a->fill_bytes += units > 0 ? size : 0;

    return f == NULL || f->entry != entry || f->leader >= a->ram->c.n_slots
           ? "an entry and its fill do not agree" : NULL;
}


static const char *
audit_entries(audit_t *a)
{
    uint32_t                   i, end;
    const char                *what;
    const s3c_ram_entry_sh_t  *e;

    end = a->ram->s->pages_used * S3C_RAM_PAGE_ENTRIES;

    for (i = 1; i < end; i++) {
        e = s3c_ram_entry_at(a->ram, i);
        what = e == NULL ? NULL : audit_entry(a, i, e);

        if (what != NULL) {
            return what;
        }
    }

    return NULL;
}


static const char *
audit_accounts(audit_t *a)
{
    const uint64_t            *by = a->by_state;
    const s3c_ram_state_sh_t  *s = a->ram->s;

    if (s->n_entries != by[S3C_RAM_LIVE]) {
        return "n_entries";
    }

    if (s->n_filling != by[S3C_RAM_FILLING] + by[S3C_RAM_OUT]) {
        return "n_filling";
    }

    if (s->n_limbo != by[S3C_RAM_DEAD] + by[S3C_RAM_FAILED]) {
        return "n_limbo";
    }

    if (s->payload_bytes != a->payload_bytes) {
        return "payload_bytes";
    }

    if (s->payload_units != a->entry_units) {
        return "payload_units";
    }

    if (s->limbo_units != a->limbo_units) {
        return "limbo_units";
    }

    if (s->fill_bytes != a->fill_bytes) {
        return "fill_bytes";
    }

    if (a->ram->c.policy == S3C_RAM_S3FIFO
        && (s->small_bytes != a->small_bytes || s->main_bytes != a->main_bytes
            || s->n_main != a->n_main))
    {
        return "bytes of the small and the main queue";
    }

    return NULL;
}


/* Each unit is in a claimed block or in a free one, and no two free buddies
 * lie side by side. */
static const char *
audit_map(audit_t *a)
{
    uint8_t     m;
    uint32_t    i, unit, order, buddy, n_free[S3C_RAM_ORDERS] = { 0 };
    uint64_t    claimed = 0, free_units = 0;
    s3c_ram_t  *ram = a->ram;

    for (unit = 0; unit < ram->c.n_units; unit += 1u << order) {
        m = ram->at.map[unit];
        order = m & S3C_RAM_MAP_ORDER;

        if (order >= S3C_RAM_ORDERS || (unit & ((1u << order) - 1)) != 0
            || (1u << order) > ram->c.n_units - unit)
        {
            return "a block's order is wrong";
        }

        m &= ~S3C_RAM_MAP_ORDER;

        if (m != S3C_RAM_MAP_FREE
            && m != (S3C_RAM_MAP_USED | S3C_RAM_MAP_CLAIMED))
        {
            return "a used block has no owner";
        }

        for (i = 1; i < 1u << order; i++) {
            if ((ram->at.map[unit + i] & ~S3C_RAM_MAP_CLAIMED) != 0) {
                return "a block begins inside another";
            }
        }

        if (m != S3C_RAM_MAP_FREE) {
            claimed += 1u << order;
            continue;
        }

        n_free[order]++;
        free_units += 1u << order;
        buddy = unit ^ (1u << order);

        if (order + 1 < S3C_RAM_ORDERS && buddy < ram->c.n_units
            && ram->at.map[buddy] == (S3C_RAM_MAP_FREE | order))
        {
            return "two free buddies are not one";
        }
    }

    if (claimed != a->claimed || free_units != ram->s->free_units
        || memcmp(n_free, ram->s->n_free, sizeof(n_free)) != 0)
    {
        return "the counts of blocks are wrong";
    }

    return NULL;
}


static const char *
audit_free_lists(audit_t *a)
{
    uint32_t    order, unit, prev, n;
    uint32_t   *link;
    s3c_ram_t  *ram = a->ram;

    for (order = 0; order < S3C_RAM_ORDERS; order++) {
        unit = ram->s->free_head[order];
        prev = S3C_RAM_NIL;

        for (n = 0; unit != S3C_RAM_NIL; n++) {
            if (unit >= ram->c.n_units || n >= ram->s->n_free[order]
                || ram->at.map[unit] != (S3C_RAM_MAP_FREE | order))
            {
                return "a free list holds what is not free";
            }

            link = (uint32_t *) s3c_ram_unit_at(ram, unit);

            if (link[0] != prev) {
                return "a free list's back link is wrong";
            }

            prev = unit;
            unit = link[1];
        }

        if (n != ram->s->n_free[order]) {
            return "a free list is short";
        }
    }

    return NULL;
}


static const char *
audit_index(audit_t *a)
{
    uint32_t                   i, entry;
    uint64_t                   n = 0, most;
    s3c_ram_t                 *ram = a->ram;
    const s3c_ram_entry_sh_t  *e;

    most = a->by_state[S3C_RAM_LIVE] + a->by_state[S3C_RAM_FILLING];

    for (i = 0; i < ram->c.n_heads; i++) {
        for (entry = ram->at.heads[i]; entry != 0; entry = e->chain) {
            e = s3c_ram_entry_at(ram, entry);

            if (e == NULL || n++ >= most
                || (e->state != S3C_RAM_LIVE && e->state != S3C_RAM_FILLING)
                || (e->key_lo & (ram->c.n_heads - 1)) != i)
            {
                return "a chain holds what does not belong there";
            }

            if (s3c_ram_index_find_locked(ram,
                    (s3c_hash128_t) { e->key_lo, e->key_hi }) != entry)
            {
                return "a key is in the index twice";
            }
        }
    }

    return n == most ? NULL : "the index is short";
}


static const char *
audit_queues(audit_t *a)
{
    uint32_t                   i, at, prev;
    uint64_t                   n = 0;
    s3c_ram_t                 *ram = a->ram;
    const s3c_ram_entry_sh_t  *e;

    for (i = 0; i < ram->c.n_lists; i++) {
        prev = S3C_RAM_LIST | i;

        for (at = ram->at.lists[i].next; at != (S3C_RAM_LIST | i);
             at = e->next)
        {
            e = at & S3C_RAM_LIST ? NULL : s3c_ram_entry_at(ram, at);

            if (e == NULL || e->state != S3C_RAM_LIVE || e->prev != prev
                || n++ >= ram->s->n_entries)
            {
                return "a queue holds what does not belong there";
            }

            if (ram->c.policy == S3C_RAM_S3FIFO
                && (i == 1) != ((e->size & S3C_RAM_F_MAIN) != 0))
            {
                return "an entry is in the other queue";
            }

            prev = at;
        }

        if (ram->at.lists[i].prev != prev) {
            return "a queue's end is wrong";
        }
    }

    return n == ram->s->n_entries ? NULL : "the queues are short";
}


static const char *
audit_spare(audit_t *a)
{
    uint32_t                   at, n_fills = 0, left;
    uint64_t                   n = 0, n_free;
    s3c_ram_t                 *ram = a->ram;
    const s3c_ram_fill_sh_t   *f;
    const s3c_ram_entry_sh_t  *e;

    for (at = ram->s->limbo; at != 0; at = e->next) {
        e = s3c_ram_entry_at(ram, at);

        if (e == NULL || n++ >= ram->s->n_limbo
            || (e->state != S3C_RAM_DEAD && e->state != S3C_RAM_FAILED))
        {
            return "the limbo holds what does not belong there";
        }
    }

    if (n != ram->s->n_limbo) {
        return "the limbo is short";
    }

    n_free = a->by_state[S3C_RAM_FREE];

    for (at = ram->s->free_entry, n = 0; at != 0; at = e->next) {
        e = s3c_ram_entry_at(ram, at);

        if (e == NULL || n++ >= n_free || e->state != S3C_RAM_FREE) {
            return "a free entry is not free";
        }
    }

    if (n != n_free) {
        return "free entries are lost";
    }

    left = ram->c.n_fills - (uint32_t) ram->s->n_filling;

    for (at = ram->s->free_fill; at != S3C_RAM_NIL; at = f->next) {
        f = s3c_ram_fill_at(ram, at);

        if (f == NULL || f->entry != 0 || n_fills++ >= left) {
            return "a free fill is not free";
        }
    }

    return n_fills == left ? NULL : "free fills are lost";
}


s3c_status_t
s3c_ram_audit(s3c_ram_t *ram, const char **what)
{
    size_t    i;
    audit_t   a = { .ram = ram };

    static const audit_step_pt  steps[] = {
        audit_pages, audit_entries, audit_accounts, audit_map,
        audit_free_lists, audit_index, audit_queues, audit_spare
    };

    *what = NULL;

    if (s3c_ram_lock(ram) != S3C_OK) {
        *what = "the lock is lost";
        return S3C_CORRUPT;
    }

    s3c_ram_claim_wipe_locked(ram);

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]) && *what == NULL; i++) {
        *what = steps[i](&a);
    }

    s3c_ram_claim_wipe_locked(ram);

    ram->broken = false;                 /* to look is not to mend */
    s3c_ram_unlock(ram);

    return *what == NULL ? S3C_OK : S3C_CORRUPT;
}
