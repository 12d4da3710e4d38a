/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `lru`: victims in the order of their last request. A hit is one store
 * of a tick of 4 ms into the entry; nothing is moved. The entries stand in a
 * ring of 1024 lists, each for a span of ticks. Who looks for a victim takes
 * the head of the oldest list; if it was requested since, it goes to the list
 * of that request, else it is the victim. An entry is moved at most once for
 * each time that it was hit, and only when the oldest list comes to it.
 *
 * PRECISION  The span of a list is the bucket: within it victims leave in the
 * order in which they came. It is one tick as long as the ring spans 4 s; when
 * the time between the oldest entry and now no longer fits, pairs of lists are
 * joined and the span doubles; when it would fit a quarter of the ring, the
 * span is halved. So the bucket is at most 1/256 of the age of the oldest
 * entry, and mostly 1/512 to 1/1024. Halving moves no entry: each list goes to
 * the older half of its span, and the search for a victim carries on from
 * there those that belong to the newer one.
 *
 * LIMITS  MOVES_MAX entries are moved for one victim; then the one at hand is
 * taken as it is. Ticks wrap after 199 days; an entry not asked for in 99 days
 * of a zone that never filled up may be taken for a young one.
 */
#include "ram/ram_internal.h"

#define RING       S3C_RAM_LRU_LISTS
#define MOVES_MAX  16384


static inline uint32_t
list_of(const s3c_ram_t *ram, uint32_t i)
{
    return (ram->s->ring_first + i) % RING;
}


static inline bool
list_empty(const s3c_ram_t *ram, uint32_t i)
{
    uint32_t  list = list_of(ram, i);

    return ram->at.lists[list].next == (S3C_RAM_LIST | list);
}


/* How many spans after the oldest list this tick lies; may be past the ring. */
static inline uint32_t
span_of(const s3c_ram_t *ram, uint32_t tick)
{
    int32_t  age = (int32_t) (tick - ram->s->ring_base);

    return age < 0 ? 0 : (uint32_t) age >> (ram->s->ring_shift & 31);
}


/* The ring begins one list later. */
static void
ring_step(s3c_ram_t *ram)
{
    ram->s->ring_first = (ram->s->ring_first + 1) % RING;
    ram->s->ring_base += 1u << (ram->s->ring_shift & 31);
}


/* Leaves empty lists behind; answers false when all are empty. */
static bool
ring_advance(s3c_ram_t *ram)
{
    uint32_t  i;

    for (i = 0; i < RING; i++) {
        if (!list_empty(ram, 0)) {
            return true;
        }

        ring_step(ram);
    }

    return false;
}


static void
ring_double(s3c_ram_t *ram)
{
    uint32_t  i;

    for (i = 0; i < RING / 2; i++) {
        if (i > 0) {
            s3c_ram_list_append_locked(ram, list_of(ram, i),
                                       list_of(ram, 2 * i));
        }

        s3c_ram_list_append_locked(ram, list_of(ram, i),
                                   list_of(ram, 2 * i + 1));
    }

    ram->s->ring_shift++;
}


static bool
ring_halve(s3c_ram_t *ram)
{
    uint32_t  i;

    for (i = RING / 2; i < RING; i++) {
        if (!list_empty(ram, i)) {
            return false;                /* it would fall off the ring */
        }
    }

    for (i = RING / 2 - 1; i > 0; i--) {
        s3c_ram_list_append_locked(ram, list_of(ram, 2 * i), list_of(ram, i));
    }

    ram->s->ring_shift--;

    return true;
}


/* The list for this tick; makes the ring fit it. */
static uint32_t
ring_list(s3c_ram_t *ram, uint32_t tick)
{
    uint32_t  i = span_of(ram, tick);

    if (i >= RING || (i < RING / 4 && ram->s->ring_shift > 0)) {
        if (!ring_advance(ram)) {
            ram->s->ring_base = tick;
            ram->s->ring_shift = 0;
        }

        i = span_of(ram, tick);
    }

    while (i >= RING && ram->s->ring_shift < 31) {
        ring_double(ram);
        i = span_of(ram, tick);
    }

    return list_of(ram, i < RING ? i : RING - 1);
}


static void
lru_reset(s3c_ram_t *ram)
{
    uint32_t  i;

    for (i = 0; i < RING; i++) {
        s3c_ram_list_reset_locked(ram, i);
    }

    ram->s->ring_base = s3c_ram_tick(ram->s->now_ms);
    ram->s->ring_first = 0;
    ram->s->ring_shift = 0;
}


/* The ring begins one list earlier, if the last one is empty. */
static void
ring_back(s3c_ram_t *ram)
{
    if (list_empty(ram, RING - 1)) {
        ram->s->ring_first = list_of(ram, RING - 1);
        ram->s->ring_base -= 1u << (ram->s->ring_shift & 31);
    }
}


/* What nobody has asked for is older than all that somebody did: in a list
 * before theirs. Not by ring_list(), which leaves that behind while it is
 * empty. */
static void
cold_insert(s3c_ram_t *ram, uint32_t entry, s3c_ram_entry_sh_t *e)
{
    const s3c_ram_entry_sh_t  *first;

    if (!ring_advance(ram)) {
        ram->s->ring_base = s3c_ram_tick(ram->s->now_ms);
        ram->s->ring_shift = 0;

    } else {
        first = s3c_ram_entry_get(ram,
                                  s3c_ram_list_first_locked(ram,
                                                            list_of(ram, 0)));

        if (first != NULL && !s3c_ram_is_cold(first)) {
            if (!list_empty(ram, RING - 1) && ram->s->ring_shift < 31) {
                ring_double(ram);
            }

            ring_back(ram);
        }
    }

    S3C_RAM_SET(e->tick, ram->s->ring_base);
    s3c_ram_list_push_tail_locked(ram, list_of(ram, 0), entry);
}


static void
lru_insert(s3c_ram_t *ram, uint32_t entry)
{
    uint32_t             tick;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e != NULL && s3c_ram_is_cold(e)) {
        cold_insert(ram, entry, e);

    } else if (e != NULL) {
        tick = S3C_RAM_GET(e->tick);
        s3c_ram_list_push_tail_locked(ram, ring_list(ram, tick), entry);

        while (ram->s->ring_shift > 0 && span_of(ram, tick) < RING / 4
               && ring_halve(ram))
        {
            /* void */
        }
    }
}


/* Heal comes with the oldest first. */
static void
lru_rebuild(s3c_ram_t *ram, uint32_t entry)
{
    uint32_t             tick;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e != NULL) {
        tick = S3C_RAM_GET(e->tick);

        if (!ring_advance(ram)) {
            ram->s->ring_base = tick;
            ram->s->ring_shift = 0;
        }

        s3c_ram_list_push_tail_locked(ram, ring_list(ram, tick), entry);
    }
}


static void
lru_remove(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_list_remove_locked(ram, entry);
}


static uint32_t
lru_victim(s3c_ram_t *ram)
{
    bool                 yields;
    uint32_t             entry, moves, list;
    s3c_ram_entry_sh_t  *e;

    for (moves = 0; !ram->broken; moves++) {
        if (!ring_advance(ram)) {
            return 0;
        }

        entry = s3c_ram_list_first_locked(ram, list_of(ram, 0));
        e = s3c_ram_entry_get(ram, entry);
        if (e == NULL) {
            return 0;
        }

        yields = ram->cold == 0
                 || (ram->cold == S3C_RAM_COLD_KEPT
                     && S3C_RAM_GET(e->hits) == S3C_RAM_COLD_KEPT);

        if (!yields && (moves == MOVES_MAX
                        || span_of(ram, S3C_RAM_GET(e->tick)) == 0))
        {
            return 0;                    /* all was asked for once */
        }

        s3c_ram_list_remove_locked(ram, entry);
        list = ring_list(ram, S3C_RAM_GET(e->tick));

        if (yields && (list == list_of(ram, 0) || moves == MOVES_MAX)) {
            return entry;
        }

        s3c_ram_list_push_tail_locked(ram, list, entry);
    }

    return 0;
}


/* In use is as good as requested; also of what was cold, which else would be
 * the next victim again. */
static void
lru_spare(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e != NULL) {
        S3C_RAM_SET(e->hits, 0);
        S3C_RAM_SET(e->tick, s3c_ram_tick(ram->s->now_ms));
        lru_insert(ram, entry);
    }
}


static void
lru_gone(s3c_ram_t *ram, uint32_t entry)
{
    (void) ram;
    (void) entry;
}


const s3c_ram_policy_ops_t  s3c_ram_lru = {
    .reset = lru_reset,
    .insert = lru_insert,
    .remove = lru_remove,
    .victim = lru_victim,
    .spare = lru_spare,
    .gone = lru_gone,
    .rebuild = lru_rebuild
};
