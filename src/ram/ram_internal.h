/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the memory tier share among themselves; nobody else
 * includes it, but for the tier's own tests and measurements.
 *
 * THE LOCK     A function named _locked is called with the writers' lock held.
 * DISTRUST     Every index read from the region is checked before use. A
 *              reader that finds a bad one answers MISS. A writer calls
 *              s3c_ram_break(), goes on with whatever is harmless, and the
 *              unlock then empties the zone (n_heal counts it).
 * CRASH ORDER  A worker may be killed between any two instructions while it
 *              holds the lock. S3C_RAM_ORDER() stands where what was written
 *              before must not be overtaken, in the compiled program, by what
 *              is written after. The processor needs no more than that: a
 *              killed process has executed a prefix of its program, and who
 *              takes the lock from it sees that prefix.
 */
#ifndef S3C_RAM_RAM_INTERNAL_H
#define S3C_RAM_RAM_INTERNAL_H

#include <stdatomic.h>

#include "ram/ram.h"
#include "ram/ram_layout.h"

#define S3C_RAM_CHAIN_MAX        256         /* steps of a lock-free look-up */
#define S3C_RAM_BATCH            64          /* victims per look at the pins */
#define S3C_RAM_SKIP_MAX         16384       /* pinned victims in a row: FULL */
#define S3C_RAM_AGE_MS           1000        /* see ram_slot.c */
#define S3C_RAM_TICK_SHIFT       2           /* a tick is 4 ms */

#define S3C_RAM_ORDER()          atomic_signal_fence(memory_order_seq_cst)

#define S3C_RAM_GET(x)           __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define S3C_RAM_GET_ACQ(x)       __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define S3C_RAM_GET_SEQ(x)       __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define S3C_RAM_SET(x, v)        __atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define S3C_RAM_SET_REL(x, v)    __atomic_store_n(&(x), v, __ATOMIC_RELEASE)
#define S3C_RAM_SET_SEQ(x, v)    __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)
#define S3C_RAM_ADD(x, v)                                                     \
    ((void) __atomic_fetch_add(&(x), v, __ATOMIC_RELAXED))

#define S3C_RAM_PIN_WORDS        (S3C_RAM_PINS_CHUNKS * S3C_RAM_PINS_CHUNK / 64)

typedef struct {
    s3c_ram_head_sh_t   *head;
    uint8_t             *base;
    uint32_t            *heads;
    uint32_t            *ghost;
    uint32_t            *pages;
    uint8_t             *map;
    uint8_t             *arena;
    s3c_ram_list_sh_t   *lists;
} s3c_ram_at_t;

typedef struct s3c_ram_policy_ops_s  s3c_ram_policy_ops_t;
typedef struct s3c_ram_walk_s  s3c_ram_walk_t;                /* ram_scrub.c */

struct s3c_ram_s {
    s3c_ram_at_t                 at;
    s3c_ram_const_sh_t           c;        /* a copy: foreign writes miss it */
    s3c_ram_state_sh_t          *s;
    const s3c_ram_policy_ops_t  *policy;

    uint32_t                     slot;     /* S3C_RAM_NO_SLOT before join */
    bool                         broken;   /* see DISTRUST */
    uint8_t                      cold;     /* S3C_RAM_COLD..: room is made for
                                              such a one; or 0 */
    uint64_t                     now_ms;   /* the latest that I was told */
    uint32_t                    *pins[S3C_RAM_PINS_CHUNKS];   /* mine */
    uint32_t                     n_pins;   /* places that I have now */
    uint32_t                     pins_high;
    uint64_t                     pins_full[S3C_RAM_PIN_WORDS / 64];
    uint64_t                     pins_used[S3C_RAM_PIN_WORDS];

    void                       (*wake)(void *ctx, uint32_t slot);
    void                        *wake_ctx;

    s3c_ram_skip_pt              skip;     /* NULL: commits leave no sums */
    s3c_ram_walk_t              *walk;     /* NULL: it is not mine */
};

/* A policy: which entry leaves next. All _locked. */
struct s3c_ram_policy_ops_s {
    void      (*reset)(s3c_ram_t *ram);
    /* A new live entry; `e->tick` and the key are set. */
    void      (*insert)(s3c_ram_t *ram, uint32_t entry);
    void      (*remove)(s3c_ram_t *ram, uint32_t entry);
    /* The next victim, taken from its queue; 0 when there is none. */
    uint32_t  (*victim)(s3c_ram_t *ram);
    /* A victim that turned out to be in use. */
    void      (*spare)(s3c_ram_t *ram, uint32_t entry);
    /* A victim that is really gone. */
    void      (*gone)(s3c_ram_t *ram, uint32_t entry);
    /* Heal: takes back an entry that was in some queue. */
    void      (*rebuild)(s3c_ram_t *ram, uint32_t entry);
};

extern const s3c_ram_policy_ops_t  s3c_ram_lru;
extern const s3c_ram_policy_ops_t  s3c_ram_s3fifo;


static inline void
s3c_ram_break(s3c_ram_t *ram)
{
    ram->broken = true;
}


static inline bool
s3c_ram_is_cold(const s3c_ram_entry_sh_t *e)
{
    return (S3C_RAM_GET(e->hits) & S3C_RAM_COLD) != 0;
}


/* Under the lock. */
static inline void
s3c_ram_now_set_locked(s3c_ram_t *ram, uint64_t now_ms)
{
    ram->now_ms = now_ms > ram->now_ms ? now_ms : ram->now_ms;

    if (now_ms > ram->s->now_ms) {
        S3C_RAM_SET(ram->s->now_ms, now_ms);
    }
}


static inline uint32_t
s3c_ram_tick(uint64_t now_ms)
{
    return (uint32_t) (now_ms >> S3C_RAM_TICK_SHIFT);
}


static inline s3c_ram_slot_sh_t *
s3c_ram_slot_at(const s3c_ram_t *ram, uint32_t slot)
{
    return (s3c_ram_slot_sh_t *)
           (ram->at.base + ram->c.slots_off
            + (size_t) slot * ram->c.slot_bytes);
}


static inline s3c_robust_lock_sh_t *
s3c_ram_slot_lock(const s3c_ram_t *ram, uint32_t slot)
{
    return (s3c_robust_lock_sh_t *)
           (ram->at.base + ram->c.locks_off + (size_t) slot * S3C_RAM_LINE);
}


/* The fill of that number, or NULL when the number is none. */
static inline s3c_ram_fill_sh_t *
s3c_ram_fill_at(const s3c_ram_t *ram, uint32_t fill)
{
    if (fill >= ram->c.n_fills) {
        return NULL;
    }

    return (s3c_ram_fill_sh_t *)
           (ram->at.base + ram->c.fills_off
            + (size_t) fill * ram->c.fill_bytes);
}


static inline uint8_t *
s3c_ram_unit_at(const s3c_ram_t *ram, uint32_t unit)
{
    return ram->at.arena + ((size_t) unit << S3C_RAM_UNIT_SHIFT);
}


/* The entry of that index, or NULL when the index is none. Pages are never
 * given back, so what this answers is an entry for as long as the region is. */
static inline s3c_ram_entry_sh_t *
s3c_ram_entry_at(const s3c_ram_t *ram, uint32_t entry)
{
    uint32_t  unit, page = entry / S3C_RAM_PAGE_ENTRIES;

    if (entry == 0 || page >= ram->c.n_pages) {
        return NULL;
    }

    unit = S3C_RAM_GET_ACQ(ram->at.pages[page]) - 1;

    if (unit > ram->c.n_units - (1u << S3C_RAM_PAGE_ORDER)) {
        return NULL;
    }

    return (s3c_ram_entry_sh_t *) s3c_ram_unit_at(ram, unit)
           + entry % S3C_RAM_PAGE_ENTRIES;
}


/* Of an entry that s3c_ram_entry_at() has answered. */
static inline uint32_t *
s3c_ram_sum_at(s3c_ram_entry_sh_t *e, uint32_t entry)
{
    uint32_t            nth = entry % S3C_RAM_PAGE_ENTRIES;
    s3c_ram_page_sh_t  *page = (s3c_ram_page_sh_t *) (e - nth);

    return &page->sum[nth];
}


/* The order of the used block that begins at `unit`, or -1. */
static inline int
s3c_ram_block_order(const s3c_ram_t *ram, uint32_t unit)
{
    uint8_t   m;
    uint32_t  order;

    if (unit >= ram->c.n_units) {
        return -1;
    }

    m = S3C_RAM_GET(ram->at.map[unit]);
    order = m & S3C_RAM_MAP_ORDER;

    if ((m & (S3C_RAM_MAP_USED | S3C_RAM_MAP_FREE)) != S3C_RAM_MAP_USED
        || order >= S3C_RAM_ORDERS
        || (unit & ((1u << order) - 1)) != 0
        || (1u << order) > ram->c.n_units - unit)
    {
        return -1;
    }

    return (int) order;
}


/* What an extent list looks like to who walks it. */
typedef struct {
    const uint32_t  *ext;
    uint32_t         n;
} s3c_ram_extents_t;

/* --- ram_format.c ------------------------------------------------------ */

/* A handle without a slot: for format, and for tests of single files. */
void s3c_ram_bind(s3c_ram_t *ram, void *region);
/* Is it a whole region of this size, whatever its conf? */
s3c_status_t s3c_ram_check_region(const void *region, size_t bytes)
    S3C_MUST_CHECK;
s3c_status_t s3c_ram_lock(s3c_ram_t *ram) S3C_MUST_CHECK;   /* IO: never */
void s3c_ram_unlock(s3c_ram_t *ram);

/* --- ram_arena.c: who has which unit ----------------------------------- */

void s3c_ram_arena_reset_locked(s3c_ram_t *ram);
/* A block of 1 << order units, or S3C_RAM_NIL. */
uint32_t s3c_ram_arena_take_locked(s3c_ram_t *ram, uint32_t order);
void s3c_ram_arena_give_locked(s3c_ram_t *ram, uint32_t unit);
/* Puts a block on its free list as it is, merging nothing: for heal. */
void s3c_ram_arena_push_locked(s3c_ram_t *ram, uint32_t unit, uint32_t order);

/* --- ram_extent.c: a payload in pieces --------------------------------- */

/* Memory for `size` bytes into ext[] and `flags`. MISS: not with what is free
 * as it lies. Writes nothing else of the entry. */
s3c_status_t s3c_ram_extents_take_locked(s3c_ram_t *ram, uint32_t size,
    uint32_t head_bytes, uint32_t ext[S3C_RAM_DIRECT], uint32_t *flags)
    S3C_MUST_CHECK;
void s3c_ram_extents_give_locked(s3c_ram_t *ram, const uint32_t *ext,
    uint32_t flags);
/* The list of an entry with memory; n is 0 when it is none or broken. */
s3c_ram_extents_t s3c_ram_extents(const s3c_ram_t *ram,
    const s3c_ram_entry_sh_t *e);
/* All units that an entry holds, its indirect unit included. */
uint32_t s3c_ram_extents_units(const s3c_ram_t *ram,
    const s3c_ram_entry_sh_t *e);

/* --- ram_entry.c: entries and their pages ------------------------------ */

/* After s3c_ram_arena_reset_locked: the first page, at unit 0. */
void s3c_ram_entry_reset_locked(s3c_ram_t *ram);
/* A FREE entry, taken from the free list; 0 when there is no page for it. */
uint32_t s3c_ram_entry_take_locked(s3c_ram_t *ram);
/* Onto the free list; its state is FREE already. */
void s3c_ram_entry_give_locked(s3c_ram_t *ram, uint32_t entry);
/* Like s3c_ram_entry_at, but a bad index breaks. */
s3c_ram_entry_sh_t *s3c_ram_entry_get(s3c_ram_t *ram, uint32_t entry);
/* Memory and entry become free. Nobody may hold a pin. */
void s3c_ram_entry_free_locked(s3c_ram_t *ram, uint32_t entry);

/* --- ram_index.c: key to entry ----------------------------------------- */

/* Notes a request for the policy. */
void s3c_ram_touch(s3c_ram_t *ram, s3c_ram_entry_sh_t *e, uint64_t now_ms);
uint32_t s3c_ram_index_find_locked(s3c_ram_t *ram, s3c_hash128_t key);
void s3c_ram_index_add_locked(s3c_ram_t *ram, uint32_t entry);
void s3c_ram_index_remove_locked(s3c_ram_t *ram, uint32_t entry);

/* --- ram_claim.c: which unit is whose, from scratch -------------------- */

/* Bits in the map; begin and end wipe them. */
void s3c_ram_claim_wipe_locked(s3c_ram_t *ram);
/* The block for its owner, unless any of it has one already. */
bool s3c_ram_claim_block_locked(s3c_ram_t *ram, uint32_t unit, int order);
/* All blocks of an entry, or none: answers their units, 0 when they are not
 * all to be had or do not hold its bytes. */
uint32_t s3c_ram_claim_extents_locked(s3c_ram_t *ram,
    const s3c_ram_entry_sh_t *e);

/* --- ram_list.c: queues ------------------------------------------------ */

void s3c_ram_list_reset_locked(s3c_ram_t *ram, uint32_t list);
void s3c_ram_list_push_tail_locked(s3c_ram_t *ram, uint32_t list,
    uint32_t entry);
void s3c_ram_list_remove_locked(s3c_ram_t *ram, uint32_t entry);
/* The entry at the head, 0 when empty. */
uint32_t s3c_ram_list_first_locked(s3c_ram_t *ram, uint32_t list);
/* All of `from` goes behind the tail of `to`; `from` is then empty. */
void s3c_ram_list_append_locked(s3c_ram_t *ram, uint32_t to, uint32_t from);

/* --- ram_pin.c: who holds what ----------------------------------------- */

/* Stores my word; BUSY when my table is full. Not yet a pin: look at the
 * entry again, see ram_pin.c. */
s3c_status_t s3c_ram_pin_set(s3c_ram_t *ram, uint32_t entry,
    s3c_ram_pin_t *pin) S3C_MUST_CHECK;
/* Makes sure of one free place; may take the lock. BUSY: none to be had. */
s3c_status_t s3c_ram_pin_reserve(s3c_ram_t *ram) S3C_MUST_CHECK;
/* One more chunk for the slot; FULL: none to be had. */
s3c_status_t s3c_ram_pins_grow_locked(s3c_ram_t *ram, uint32_t slot)
    S3C_MUST_CHECK;
/* All pins of the slot go. */
void s3c_ram_pins_clear_locked(s3c_ram_t *ram, uint32_t slot);
/* Bit i of the answer: somebody holds cand[i]. n <= S3C_RAM_BATCH. */
uint64_t s3c_ram_pins_hold_locked(s3c_ram_t *ram, const uint32_t *cand,
    uint32_t n);
/* Sets S3C_RAM_F_SEEN in every entry of the limbo that somebody holds. */
void s3c_ram_pins_mark_locked(s3c_ram_t *ram);
/* A chunk of a slot's table, or NULL. */
uint32_t *s3c_ram_pins_of(const s3c_ram_t *ram, uint32_t slot, uint32_t chunk);
uint64_t s3c_ram_pins_count(const s3c_ram_t *ram);

/* --- ram_evict.c: making room ------------------------------------------ */

/* Frees at least some of `units` (more than asked, a little); FULL when there
 * is nothing to free. */
s3c_status_t s3c_ram_evict_locked(s3c_ram_t *ram, uint32_t units)
    S3C_MUST_CHECK;
/* The entry left the index: it waits in limbo for its last pin. */
void s3c_ram_limbo_add_locked(s3c_ram_t *ram, uint32_t entry);
/* Frees what nobody holds any more; answers the units. */
uint64_t s3c_ram_limbo_collect_locked(s3c_ram_t *ram);

/* --- ram_fill.c: who fills what ---------------------------------------- */

/* A copy of a fill's watchers: what remains to be told after the unlock. */
typedef struct {
    uint32_t  fill;
    uint64_t  watchers[S3C_RAM_SLOTS_MAX / 64];
} s3c_ram_news_t;

void s3c_ram_fills_reset_locked(s3c_ram_t *ram);
/* The entry fails: out of the index and into limbo, its number is free.
 * `aged`: not before S3C_RAM_AGE_MS from now. */
void s3c_ram_fill_fail_locked(s3c_ram_t *ram, uint32_t entry, uint32_t reason,
    bool aged, s3c_ram_news_t *news);
void s3c_ram_fill_release_locked(s3c_ram_t *ram, uint32_t fill);
/* Tells every slot that every fill may have moved. */
void s3c_ram_alarm(s3c_ram_t *ram);
void s3c_ram_tell(s3c_ram_t *ram, const s3c_ram_news_t *news);

/* --- ram_sum.c: checksums of payloads ---------------------------------- */

/* Goes on from `crc` over [off, off + len) of what is pinned; false: that is
 * not to be had. */
bool s3c_ram_sum_add(const s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    uint32_t off, uint32_t len, uint32_t *crc) S3C_MUST_CHECK;
/* Where the sum of what is pinned begins. */
uint32_t s3c_ram_sum_from(const s3c_ram_t *ram, const s3c_ram_pin_t *pin);
/* What stands for this value: 0 is none. */
static inline uint32_t
s3c_ram_sum_of(uint32_t crc)
{
    return crc != 0 ? crc : 1;
}
/* Leader, before the commit. */
void s3c_ram_sum_seal(s3c_ram_t *ram, const s3c_ram_pin_t *pin);

/* --- ram_drop.c -------------------------------------------------------- */

void s3c_ram_drop_locked(s3c_ram_t *ram, uint32_t entry);

/* --- ram_heal.c -------------------------------------------------------- */

/* Rebuilds all that is derived from the ground truth. `empty`: and drops every
 * object. What workers hold stays readable either way. */
void s3c_ram_heal_locked(s3c_ram_t *ram, bool empty);

/* --- ram_slot.c -------------------------------------------------------- */

/* The worker of this slot is no more: its pins, fills and watches go. */
void s3c_ram_slot_reclaim_locked(s3c_ram_t *ram, uint32_t slot);

#endif
