/* SPDX-License-Identifier: Apache-2.0
 *
 * Pins: hazard pointers, one table of entry numbers a slot. Only the slot's
 * worker writes its table; whoever evicts reads all of them. No entry counts
 * its holders, so that a hit writes nothing that another worker's hit waits
 * for, and a dead worker's pins go by clearing its table.
 *
 * WHY A PIN HOLDS. Four accesses, all sequentially consistent, hence in one
 * order S that everybody agrees on:
 *
 *     reader                              evictor (under the lock)
 *     R1  table[place] = entry            E1  entry.state = CONDEMNED or DEAD
 *     R2  read entry.state                E2  read every table
 *
 * If R2 answers LIVE or FILLING (of this life of the entry: the key is looked
 * at after R2), R2 comes before E1 in S; so R1, R2, E1, E2 and E2 sees the
 * word: the memory stays. If E2 does not see the word, E2 comes before R1, so
 * E1 before R2, which then sees the state gone: the reader takes its word
 * back and has touched nothing but the entry, which is an entry for ever. The
 * same holds for `high`, which is raised before R1 and read before the table;
 * its later, lower values never go below a place that is held.
 *
 * What if the entry was freed and filled anew between the reader's first look
 * and R1? R2 then speaks of the new life; so does the key, which cannot change
 * while the state is LIVE or FILLING and the word stands. If the key is the
 * same, that is a hit as good as any.
 *
 * UNPIN is a release store of 0, and E2 reads with acquire: all that the
 * holder read or wrote is over before the memory gets a new owner.
 *
 * A TABLE GROWS by chunks of 4 KiB from the arena, when it is full: that one
 * time find takes the lock. A slot keeps its chunks for good, so that the
 * table of a dead worker can always be read, and the next one has it at once.
 *
 * A SECOND PIN copies a word, and a scan that has passed the new place before
 * it was written and comes to the old one after it was cleared sees neither.
 * When the entry is still LIVE or FILLING the proof above covers the copy.
 * When not, one pass through the lock between writing the copy and answering
 * ends every scan that may have passed by: later ones see it.
 */
#include "ram/ram_internal.h"


static inline void
high_set(s3c_ram_t *ram, uint32_t high)
{
    ram->pins_high = high;
    S3C_RAM_SET_SEQ(s3c_ram_slot_at(ram, ram->slot)->high, high);
}


/* Lowest first, so that the part of the table in use stays short. */
static uint32_t
place_take(s3c_ram_t *ram)
{
    uint32_t  i, word, bit, n_words = ram->n_pins / 64;

    for (i = 0; i * 64 < n_words; i++) {
        if (~ram->pins_full[i] == 0) {
            continue;
        }

        word = i * 64 + (uint32_t) __builtin_ctzll(~ram->pins_full[i]);
        if (word >= n_words) {
            break;
        }

        bit = (uint32_t) __builtin_ctzll(~ram->pins_used[word]);
        ram->pins_used[word] |= 1ull << bit;

        if (~ram->pins_used[word] == 0) {
            ram->pins_full[i] |= 1ull << word % 64;
        }

        /* By whole words: one pin that comes and goes does not move it. */
        if ((word + 1) * 64 > ram->pins_high) {
            high_set(ram, (word + 1) * 64);
        }

        return word * 64 + bit;
    }

    return UINT32_MAX;
}


static void
place_give(s3c_ram_t *ram, uint32_t place)
{
    uint32_t  word = place / 64;

    assert(ram->pins_used[word] & 1ull << place % 64);

    ram->pins_used[word] &= ~(1ull << place % 64);
    ram->pins_full[word / 64] &= ~(1ull << word % 64);

    if (ram->pins_used[word] == 0 && (word + 1) * 64 == ram->pins_high
        && word > 0)
    {
        while (word > 1 && ram->pins_used[word - 1] == 0) {
            word--;
        }

        high_set(ram, word * 64);
    }
}


static inline uint32_t *
word_of(const s3c_ram_t *ram, uint32_t place)
{
    return &ram->pins[place / S3C_RAM_PINS_CHUNK][place % S3C_RAM_PINS_CHUNK];
}


s3c_status_t
s3c_ram_pin_reserve(s3c_ram_t *ram)
{
    uint32_t      place = place_take(ram);
    s3c_status_t  st;

    if (place != UINT32_MAX) {
        place_give(ram, place);
        return S3C_OK;
    }

    if (ram->n_pins < ram->c.n_pins && s3c_ram_lock(ram) == S3C_OK) {
        st = s3c_ram_pins_grow_locked(ram, ram->slot);
        s3c_ram_unlock(ram);

        if (st == S3C_OK) {
            return S3C_OK;
        }
    }

    S3C_RAM_ADD(ram->s->n_busy, 1);

    return S3C_BUSY;
}


s3c_status_t
s3c_ram_pin_set(s3c_ram_t *ram, uint32_t entry, s3c_ram_pin_t *pin)
{
    uint32_t  place = place_take(ram);

    if (place == UINT32_MAX) {
        if (s3c_ram_pin_reserve(ram) != S3C_OK) {
            return S3C_BUSY;
        }

        place = place_take(ram);
    }

    S3C_RAM_SET_SEQ(*word_of(ram, place), entry);
    *pin = (s3c_ram_pin_t) { entry, place };

    return S3C_OK;
}


void
s3c_ram_unpin(s3c_ram_t *ram, s3c_ram_pin_t *pin)
{
    if (pin->entry != 0) {
        assert(pin->place < ram->n_pins);

        S3C_RAM_SET_REL(*word_of(ram, pin->place), 0);
        place_give(ram, pin->place);
        *pin = (s3c_ram_pin_t) { 0, 0 };
    }
}


s3c_status_t
s3c_ram_pin_again(s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    s3c_ram_pin_t *out)
{
    uint8_t              state;
    s3c_ram_entry_sh_t  *e;

    *out = (s3c_ram_pin_t) { 0, 0 };

    if (s3c_ram_pin_set(ram, pin->entry, out) != S3C_OK) {
        return S3C_BUSY;
    }

    e = s3c_ram_entry_at(ram, pin->entry);
    state = e == NULL ? S3C_RAM_FREE : S3C_RAM_GET_SEQ(e->state);

    if (state != S3C_RAM_LIVE && state != S3C_RAM_FILLING) {
        if (s3c_ram_lock(ram) == S3C_OK) {
            s3c_ram_unlock(ram);
        }
    }

    return S3C_OK;
}


uint32_t *
s3c_ram_pins_of(const s3c_ram_t *ram, uint32_t slot, uint32_t chunk)
{
    uint32_t  unit = S3C_RAM_GET_ACQ(s3c_ram_slot_at(ram, slot)->pins[chunk]);

    if (unit - 1 > ram->c.n_units - (1u << S3C_RAM_PAGE_ORDER)) {
        return NULL;                                       /* 0, or a lie */
    }

    return (uint32_t *) s3c_ram_unit_at(ram, unit - 1);
}


s3c_status_t
s3c_ram_pins_grow_locked(s3c_ram_t *ram, uint32_t slot)
{
    uint32_t  unit, tries, chunk = ram->n_pins / S3C_RAM_PINS_CHUNK;

    if (ram->n_pins >= ram->c.n_pins) {
        return S3C_FULL;
    }

    unit = s3c_ram_arena_take_locked(ram, S3C_RAM_PAGE_ORDER);

    for (tries = 0; unit == S3C_RAM_NIL && tries < 64; tries++) {
        if (s3c_ram_evict_locked(ram, 64) != S3C_OK) {
            break;
        }

        unit = s3c_ram_arena_take_locked(ram, S3C_RAM_PAGE_ORDER);
    }

    if (unit == S3C_RAM_NIL) {
        return S3C_FULL;
    }

    ram->pins[chunk] = (uint32_t *) s3c_ram_unit_at(ram, unit);
    memset(ram->pins[chunk], 0, S3C_RAM_UNIT << S3C_RAM_PAGE_ORDER);

    S3C_RAM_ORDER();
    S3C_RAM_SET_REL(s3c_ram_slot_at(ram, slot)->pins[chunk], unit + 1);
    ram->n_pins += S3C_RAM_PINS_CHUNK;

    return S3C_OK;
}


void
s3c_ram_pins_clear_locked(s3c_ram_t *ram, uint32_t slot)
{
    uint32_t  i, j, *pins;

    for (i = 0; i < S3C_RAM_PINS_CHUNKS; i++) {
        pins = s3c_ram_pins_of(ram, slot, i);

        for (j = 0; pins != NULL && j < S3C_RAM_PINS_CHUNK; j++) {
            S3C_RAM_SET(pins[j], 0);
        }
    }

    S3C_RAM_SET_SEQ(s3c_ram_slot_at(ram, slot)->high, 0);
}


static uint32_t
high_of(const s3c_ram_t *ram, uint32_t slot)
{
    uint32_t  high = S3C_RAM_GET_SEQ(s3c_ram_slot_at(ram, slot)->high);

    return high < ram->c.n_pins ? high : ram->c.n_pins;
}


/* One step over all pin words of all slots. */
typedef struct {
    uint32_t  slot;
    uint32_t  chunk;
    uint32_t  n;           /* words of `pins` that may be set */
    uint32_t  *pins;
} walk_t;


static bool
walk_next(const s3c_ram_t *ram, walk_t *w)
{
    uint32_t  high, from;

    for ( ;; ) {
        if (w->chunk == S3C_RAM_PINS_CHUNKS) {
            w->chunk = 0;
            w->slot++;
        }

        if (w->slot >= ram->c.n_slots) {
            return false;
        }

        high = high_of(ram, w->slot);
        from = w->chunk * S3C_RAM_PINS_CHUNK;

        if (from >= high) {
            w->chunk = S3C_RAM_PINS_CHUNKS;
            continue;
        }

        w->pins = s3c_ram_pins_of(ram, w->slot, w->chunk++);
        w->n = high - from < S3C_RAM_PINS_CHUNK ? high - from
                                                : S3C_RAM_PINS_CHUNK;
        if (w->pins != NULL) {
            return true;
        }
    }
}


/* A small filter first: nearly no word is one of the candidates. */
uint64_t
s3c_ram_pins_hold_locked(s3c_ram_t *ram, const uint32_t *cand, uint32_t n)
{
    walk_t    w = { 0, 0, 0, NULL };
    uint32_t  i, j, word;
    uint64_t  held = 0, filter[64] = { 0 };

    for (i = 0; i < n; i++) {
        filter[cand[i] / 64 % 64] |= 1ull << cand[i] % 64;
    }

    while (walk_next(ram, &w)) {
        for (j = 0; j < w.n; j++) {
            word = S3C_RAM_GET_SEQ(w.pins[j]);

            if (!(filter[word / 64 % 64] & 1ull << word % 64)) {
                continue;
            }

            for (i = 0; i < n; i++) {
                held |= (uint64_t) (cand[i] == word) << i;
            }
        }
    }

    return held;
}


void
s3c_ram_pins_mark_locked(s3c_ram_t *ram)
{
    walk_t               w = { 0, 0, 0, NULL };
    uint32_t             j;
    s3c_ram_entry_sh_t  *e;

    while (walk_next(ram, &w)) {
        for (j = 0; j < w.n; j++) {
            e = s3c_ram_entry_at(ram, S3C_RAM_GET_SEQ(w.pins[j]));

            if (e != NULL
                && (e->state == S3C_RAM_DEAD || e->state == S3C_RAM_FAILED))
            {
                S3C_RAM_SET(e->size, e->size | S3C_RAM_F_SEEN);
            }
        }
    }
}


uint64_t
s3c_ram_pins_count(const s3c_ram_t *ram)
{
    walk_t    w = { 0, 0, 0, NULL };
    uint32_t  j;
    uint64_t  n = 0;

    while (walk_next(ram, &w)) {
        for (j = 0; j < w.n; j++) {
            n += S3C_RAM_GET(w.pins[j]) != 0;
        }
    }

    return n;
}
