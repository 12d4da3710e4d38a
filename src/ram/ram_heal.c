/* SPDX-License-Identifier: Apache-2.0
 *
 * Rebuilds the region after a writer died in the middle, or empties it after
 * something impossible was found. Only the ground truth is read (ram_layout.h);
 * free lists, map, chains, queues, limbo and accounts are made anew from it.
 *
 * WHY THAT IS ENOUGH. Every change of ownership of memory is one store that
 * everything else follows or precedes (S3C_RAM_ORDER):
 *     an extent becomes an entry's   by the store of `size` with F_MEM, after
 *                                    its map byte and ext[] are written
 *     an entry's become nobody's     by the store of state FREE, before any
 *                                    map byte changes
 *     a page becomes entries         by the store into pages[], after it was
 *                                    zeroed (all FREE)
 *     a chunk becomes a slot's pins  by the store into slot.pins[]
 *     an object is live              by the store of LIVE
 * So at any instant each unit has at most one owner by the ground truth, and
 * the map byte at the head of each owned block is right. A killed healer
 * changes none of this before the next one starts over.
 *
 * A region that is not the work of a crash but of wild writes may say
 * anything: what does not fit is dropped, first come first served.
 *
 * Readers go on meanwhile: they see FREE, DEAD and FAILED as always, and miss
 * what is not yet back in its chain. Nothing that a pin may hold is freed
 * here; what is dropped goes to limbo.
 */
#include "ram/ram_internal.h"

#define HEAP_LISTS  1024                 /* to order the queues by age */

typedef struct {
    s3c_ram_t  *ram;
    bool        empty;
    uint32_t    oldest;                  /* ticks before now */
    uint32_t    first[HEAP_LISTS];       /* live entries by age, by `next` */
} heal_t;


/* Pages and pin chunks come first: they hold the rest. */
static void
claim_page(heal_t *h, uint32_t *where)
{
    uint32_t  unit = *where - 1;

    if (*where == 0) {
        return;
    }

    if (s3c_ram_block_order(h->ram, unit) != S3C_RAM_PAGE_ORDER
        || !s3c_ram_claim_block_locked(h->ram, unit, S3C_RAM_PAGE_ORDER))
    {
        S3C_RAM_SET_REL(*where, 0);
    }
}


static bool
fill_fits(heal_t *h, const s3c_ram_entry_sh_t *e, uint32_t entry)
{
    const s3c_ram_fill_sh_t  *f = s3c_ram_fill_at(h->ram, e->fill);

    return f != NULL && f->entry == entry && f->leader < h->ram->c.n_slots
           && (f->phase == S3C_FILL_ASKING || f->phase == S3C_FILL_BODY);
}


/* The state in which an entry comes out of it. */
static uint8_t
state_next(heal_t *h, const s3c_ram_entry_sh_t *e, uint32_t entry, bool mem)
{
    switch (e->state) {
    case S3C_RAM_LIVE:
    case S3C_RAM_CONDEMNED:
        if (!mem) {
            return S3C_RAM_FAILED;
        }

        return h->empty || s3c_ram_index_find_locked(h->ram,
                   (s3c_hash128_t) { e->key_lo, e->key_hi }) != 0
               ? S3C_RAM_DEAD : S3C_RAM_LIVE;

    case S3C_RAM_FILLING:
    case S3C_RAM_OUT:
        if (h->empty || !fill_fits(h, e, entry)
            || (!mem && (e->size & S3C_RAM_F_MEM)))
        {
            return S3C_RAM_FAILED;
        }

        return e->state == S3C_RAM_OUT || s3c_ram_index_find_locked(h->ram,
                   (s3c_hash128_t) { e->key_lo, e->key_hi }) != 0
               ? S3C_RAM_OUT : S3C_RAM_FILLING;

    case S3C_RAM_DEAD:
        return mem ? S3C_RAM_DEAD : S3C_RAM_FAILED;

    case S3C_RAM_FREE:
        return S3C_RAM_FREE;

    default:               /* FAILED, or none at all: somebody may hold it */
        return S3C_RAM_FAILED;
    }
}


static void
by_age(heal_t *h, s3c_ram_entry_sh_t *e, uint32_t entry)
{
    uint32_t  i, age;

    age = s3c_ram_tick(h->ram->s->now_ms) - S3C_RAM_GET(e->tick);

    if ((int32_t) age < 0) {
        age = 0;                         /* a reader's clock was ahead */
    }

    age = age < h->oldest ? age : h->oldest;
    i = (uint32_t) ((uint64_t) age * (HEAP_LISTS - 1) / (h->oldest + 1ull));
    e->next = h->first[i];
    h->first[i] = entry;
}


static void
entry_failed(s3c_ram_t *ram, s3c_ram_entry_sh_t *e)
{
    if (e->state == S3C_RAM_FAILED) {
        return;
    }

    /* Somebody may still be writing there: see ram_slot.c. */
    if ((e->state == S3C_RAM_FILLING || e->state == S3C_RAM_OUT)
        && (e->size & S3C_RAM_F_MEM))
    {
        e->prev = s3c_ram_tick(ram->s->now_ms + S3C_RAM_AGE_MS);
        S3C_RAM_SET(e->size, e->size | S3C_RAM_F_AGED);
    }

    S3C_RAM_SET(e->tick, S3C_FILL_REASON_DIED);
}


static void
heal_entry(heal_t *h, uint32_t entry)
{
    uint8_t              next;
    uint32_t             units = 0, size;
    s3c_ram_t           *ram = h->ram;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, entry);

    if (e == NULL) {
        return;
    }

    S3C_RAM_SET(e->size, e->size & ~S3C_RAM_F_SEEN);

    if (e->state != S3C_RAM_FREE && (e->size & S3C_RAM_F_MEM)) {
        units = s3c_ram_claim_extents_locked(ram, e);
    }

    next = state_next(h, e, entry, units > 0);

    if (next == S3C_RAM_FREE) {
        S3C_RAM_SET_SEQ(e->state, next);
        S3C_RAM_SET(e->size, 0);
        s3c_ram_entry_give_locked(ram, entry);
        return;
    }

    if (next == S3C_RAM_FAILED) {
        entry_failed(ram, e);
    }

    if (units == 0) {
        S3C_RAM_SET(e->size, 0);         /* what it named is another's */
    }

    S3C_RAM_ORDER();
    S3C_RAM_SET_SEQ(e->state, next);
    ram->s->payload_units += units;
    size = e->size & S3C_RAM_SIZE_MASK;

    switch (next) {
    case S3C_RAM_LIVE:
        ram->s->n_entries++;
        ram->s->payload_bytes += size;
        s3c_ram_index_add_locked(ram, entry);
        by_age(h, e, entry);
        break;

    case S3C_RAM_FILLING:
        s3c_ram_index_add_locked(ram, entry);
        /* fall through */
    case S3C_RAM_OUT:
        ram->s->n_filling++;
        ram->s->payload_bytes += size;
        ram->s->fill_bytes += size;
        break;

    default:
        s3c_ram_limbo_add_locked(ram, entry);
        break;
    }
}


/* Numbers whose entry does not know them are free. */
static void
heal_fills(heal_t *h)
{
    uint32_t             i;
    s3c_ram_fill_sh_t   *f;
    s3c_ram_entry_sh_t  *e;

    for (i = 0; i < h->ram->c.n_fills; i++) {
        f = s3c_ram_fill_at(h->ram, i);
        e = f->entry == 0 ? NULL : s3c_ram_entry_at(h->ram, f->entry);

        if (e == NULL || e->fill != i
            || (e->state != S3C_RAM_FILLING && e->state != S3C_RAM_OUT))
        {
            S3C_RAM_SET_SEQ(f->entry, 0);
        }
    }

    s3c_ram_fills_reset_locked(h->ram);
}


/* What nobody claimed is free. The map bytes of what was claimed stay. */
static void
heal_arena(heal_t *h)
{
    int         n;
    uint32_t    unit, order, end, run;
    s3c_ram_t  *ram = h->ram;

    for (order = 0; order < S3C_RAM_ORDERS; order++) {
        ram->s->free_head[order] = S3C_RAM_NIL;
        ram->s->n_free[order] = 0;
    }

    ram->s->free_units = 0;
    end = ram->c.n_units;

    for (unit = 0; unit < end; /* void */) {
        if (ram->at.map[unit] & S3C_RAM_MAP_CLAIMED) {
            n = s3c_ram_block_order(ram, unit);
            S3C_RAM_SET(ram->at.map[unit],
                        ram->at.map[unit] & ~S3C_RAM_MAP_CLAIMED);

            for (run = 1; n > 0 && run < 1u << n; run++) {
                S3C_RAM_SET(ram->at.map[unit + run], 0);
            }

            unit += n < 0 ? 1 : 1u << n;
            continue;
        }

        for (run = unit; run < end; run++) {
            if (ram->at.map[run] & S3C_RAM_MAP_CLAIMED) {
                break;
            }

            S3C_RAM_SET(ram->at.map[run], 0);
        }

        while (unit < run) {
            order = S3C_RAM_ORDERS - 1;

            while ((1u << order) > run - unit
                   || (unit & ((1u << order) - 1)) != 0)
            {
                order--;
            }

            s3c_ram_arena_push_locked(ram, unit, order);
            unit += 1u << order;
        }
    }
}


/* Where my own pins lie I know better than the region: they must not become
 * somebody's payload. */
static void
heal_my_pins(s3c_ram_t *ram)
{
    uint32_t            i, unit;
    s3c_ram_slot_sh_t  *s;

    if (ram->slot == S3C_RAM_NO_SLOT) {
        return;
    }

    s = s3c_ram_slot_at(ram, ram->slot);

    for (i = 0; i < ram->n_pins / S3C_RAM_PINS_CHUNK; i++) {
        unit = (uint32_t) (((uint8_t *) ram->pins[i] - ram->at.arena)
                           >> S3C_RAM_UNIT_SHIFT);
        S3C_RAM_SET(ram->at.map[unit],
                    S3C_RAM_MAP_USED | S3C_RAM_PAGE_ORDER);
        S3C_RAM_SET_REL(s->pins[i], unit + 1);

        (void) s3c_ram_claim_block_locked(ram, unit, S3C_RAM_PAGE_ORDER);
    }
}


static void
heal_pages(heal_t *h)
{
    uint32_t    i, j, used = 1;
    s3c_ram_t  *ram = h->ram;

    /* The first page is where it always was. */
    S3C_RAM_SET_REL(ram->at.pages[0], 1);
    S3C_RAM_SET(ram->at.map[0], S3C_RAM_MAP_USED | S3C_RAM_PAGE_ORDER);

    heal_my_pins(ram);

    for (i = 0; i < ram->c.n_pages; i++) {
        claim_page(h, &ram->at.pages[i]);
        used = ram->at.pages[i] != 0 ? i + 1 : used;
    }

    for (i = 0; i < ram->c.n_slots; i++) {
        j = i == ram->slot ? ram->n_pins / S3C_RAM_PINS_CHUNK : 0;

        for ( /* void */ ; j < S3C_RAM_PINS_CHUNKS; j++) {
            claim_page(h, &s3c_ram_slot_at(ram, i)->pins[j]);
        }
    }

    ram->s->pages_used = used;
}


static void
accounts_reset(s3c_ram_t *ram)
{
    ram->s->free_entry = 0;
    ram->s->limbo = 0;
    ram->s->limbo_kept = 0;
    ram->s->payload_bytes = 0;
    ram->s->payload_units = 0;
    ram->s->fill_bytes = 0;
    ram->s->n_entries = 0;
    ram->s->n_filling = 0;
    ram->s->n_limbo = 0;
    ram->s->limbo_units = 0;

    for (uint32_t i = 0; i < ram->c.n_heads; i++) {
        S3C_RAM_SET(ram->at.heads[i], 0);
    }

    ram->policy->reset(ram);
}


/* The age of the oldest live entry. */
static uint32_t
oldest_age(s3c_ram_t *ram)
{
    uint32_t                   i, age, most = 0;
    const s3c_ram_entry_sh_t  *e;

    for (i = ram->s->pages_used * S3C_RAM_PAGE_ENTRIES; i-- > 1; /* void */) {
        e = s3c_ram_entry_at(ram, i);

        if (e != NULL
            && (e->state == S3C_RAM_LIVE || e->state == S3C_RAM_CONDEMNED))
        {
            age = s3c_ram_tick(ram->s->now_ms) - S3C_RAM_GET(e->tick);
            most = (int32_t) age > 0 && age > most ? age : most;
        }
    }

    return most;
}


void
s3c_ram_heal_locked(s3c_ram_t *ram, bool empty)
{
    uint32_t             i, entry, next;
    heal_t               h = { ram, empty, 0, { 0 } };
    s3c_ram_entry_sh_t  *e;

    S3C_RAM_ADD(ram->s->n_heal, 1);
    ram->broken = false;

    if (empty) {
        ram->s->now_ms = ram->now_ms;    /* the region's may be a lie */
    }

    s3c_ram_claim_wipe_locked(ram);
    accounts_reset(ram);
    heal_pages(&h);
    h.oldest = oldest_age(ram);

    for (i = ram->s->pages_used * S3C_RAM_PAGE_ENTRIES; i-- > 1; /* void */) {
        heal_entry(&h, i);
    }

    heal_fills(&h);
    heal_arena(&h);

    for (i = HEAP_LISTS; i-- > 0; /* the oldest first */) {
        for (entry = h.first[i]; entry != 0; entry = next) {
            e = s3c_ram_entry_at(ram, entry);
            next = e->next;
            ram->policy->rebuild(ram, entry);
        }
    }

    /* A second sign of wild writes, now that all is made anew: the chains are
     * longer than they can be. Once more, and nothing is kept. */
    if (ram->broken && !empty) {
        s3c_ram_heal_locked(ram, true);
    }

    ram->broken = false;
}
