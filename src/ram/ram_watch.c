/* SPDX-License-Identifier: Apache-2.0
 *
 * What followers see of a fill, and how they are told that it moved. No lock.
 *
 * A fill keeps a bit for each slot that watches it; a slot keeps a bit for
 * each fill that moved, and a flag that says its worker is being woken. So a
 * leader that publishes a hundred times before a follower runs wakes it once.
 *
 * NO WAKE IS LOST. Leader: write what moved, then read the watchers. Follower:
 * set its bit, then read what moved. All four sequentially consistent, so one
 * of the two sees the other. In the same way: the teller sets the dirty bit,
 * then raises the flag; the woken one lowers the flag, then takes the bits.
 * If the teller finds the flag up, it is lowered later, and the bit is taken.
 *
 * Fill numbers are used again while late hands still set bits in them: that
 * makes a false alarm, which costs one look at a view.
 */
#include "ram/ram_internal.h"


static inline bool
filling(uint8_t state)
{
    return state == S3C_RAM_FILLING || state == S3C_RAM_OUT;
}


/* The pin keeps the entry; its fill's struct is another's as soon as the
 * entry is no longer FILLING, so the state is looked at again afterwards. It
 * moves on but a few times in a life: FILLING, OUT, then LIVE or the end. */
void
s3c_ram_view(const s3c_ram_t *ram, const s3c_ram_pin_t *pin,
    s3c_fill_view_t *view)
{
    int                        tries;
    uint8_t                    state;
    uint32_t                   phase, filled, size, mark;
    const s3c_ram_fill_sh_t   *f;
    const s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, pin->entry);

    *view = (s3c_fill_view_t) { S3C_FILL_FAILED, 0, 0, S3C_FILL_REASON_DIED,
                                0 };

    if (e == NULL) {
        return;
    }

    for (tries = 0; tries < 8; tries++) {
        state = S3C_RAM_GET_SEQ(e->state);
        size = s3c_ram_size(ram, pin);

        if (state == S3C_RAM_LIVE || state == S3C_RAM_CONDEMNED
            || state == S3C_RAM_DEAD)
        {
            *view = (s3c_fill_view_t) { S3C_FILL_DONE, size, size, 0, 0 };
            return;
        }

        if (!filling(state)) {
            if (state == S3C_RAM_FAILED) {
                view->reason = S3C_RAM_GET(e->tick);
            }

            view->reason = view->reason == 0 ? S3C_FILL_REASON_DIED
                                             : view->reason;
            return;
        }

        f = s3c_ram_fill_at(ram, S3C_RAM_GET(e->fill));
        if (f == NULL) {
            return;
        }

        phase = S3C_RAM_GET_SEQ(f->phase);
        filled = S3C_RAM_GET_SEQ(f->filled);
        mark = S3C_RAM_GET_SEQ(f->mark);

        if (S3C_RAM_GET_SEQ(f->entry) != pin->entry
            || !filling(S3C_RAM_GET_SEQ(e->state)))
        {
            continue;
        }

        if (phase == S3C_FILL_BODY) {
            filled = filled < size ? filled : size;
            *view = (s3c_fill_view_t) { S3C_FILL_BODY, filled, size, 0, mark };

        } else {
            *view = (s3c_fill_view_t) { S3C_FILL_ASKING, 0, 0, 0, mark };
        }

        return;
    }
}


uint32_t
s3c_ram_watch(s3c_ram_t *ram, const s3c_ram_pin_t *pin)
{
    uint32_t             fill;
    s3c_ram_fill_sh_t   *f;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, pin->entry);

    if (e == NULL || !filling(S3C_RAM_GET_SEQ(e->state))) {
        return UINT32_MAX;
    }

    fill = S3C_RAM_GET(e->fill);
    f = s3c_ram_fill_at(ram, fill);
    if (f == NULL) {
        return UINT32_MAX;
    }

    (void) __atomic_fetch_or(&f->watchers[ram->slot / 64],
                             1ull << ram->slot % 64, __ATOMIC_SEQ_CST);

    return filling(S3C_RAM_GET_SEQ(e->state)) ? fill : UINT32_MAX;
}


static void
tell_slot(s3c_ram_t *ram, uint32_t slot, uint32_t fill)
{
    s3c_ram_slot_sh_t  *s = s3c_ram_slot_at(ram, slot);

    (void) __atomic_fetch_or(&s->dirty[fill / 64], 1ull << fill % 64,
                             __ATOMIC_SEQ_CST);

    if (__atomic_exchange_n(&s->kicked, 1, __ATOMIC_SEQ_CST) == 0) {
        ram->wake(ram->wake_ctx, slot);
    }
}


void
s3c_ram_tell(s3c_ram_t *ram, const s3c_ram_news_t *news)
{
    uint32_t  i, slot;
    uint64_t  bits;

    if (news->fill >= ram->c.n_fills) {
        return;
    }

    for (i = 0; i * 64 < ram->c.n_slots; i++) {
        for (bits = news->watchers[i]; bits != 0; bits &= bits - 1) {
            slot = i * 64 + (uint32_t) __builtin_ctzll(bits);

            if (slot < ram->c.n_slots) {
                tell_slot(ram, slot, news->fill);
            }
        }
    }
}


/* After a death or a heal: who was about to be told may never be, and a raised
 * flag may belong to a wake that was never sent. So everybody looks at
 * everything once. */
void
s3c_ram_alarm(s3c_ram_t *ram)
{
    uint32_t            i, slot;
    s3c_ram_slot_sh_t  *s;

    for (slot = 0; slot < ram->c.n_slots; slot++) {
        s = s3c_ram_slot_at(ram, slot);

        if (S3C_RAM_GET(s->taken) == 0) {
            continue;
        }

        for (i = 0; i < (ram->c.n_fills + 63) / 64; i++) {
            S3C_RAM_SET_SEQ(s->dirty[i], UINT64_MAX);
        }

        (void) __atomic_exchange_n(&s->kicked, 1, __ATOMIC_SEQ_CST);
        ram->wake(ram->wake_ctx, slot);
    }
}


uint32_t
s3c_ram_woken(s3c_ram_t *ram, uint32_t *fills, uint32_t max)
{
    uint32_t            i, n = 0;
    uint64_t            bits;
    s3c_ram_slot_sh_t  *s = s3c_ram_slot_at(ram, ram->slot);

    (void) __atomic_exchange_n(&s->kicked, 0, __ATOMIC_SEQ_CST);

    for (i = 0; i < (ram->c.n_fills + 63) / 64 && n < max; i++) {
        if (S3C_RAM_GET_SEQ(s->dirty[i]) == 0) {
            continue;
        }

        bits = __atomic_exchange_n(&s->dirty[i], 0, __ATOMIC_SEQ_CST);

        for ( /* void */ ; bits != 0 && n < max; bits &= bits - 1) {
            if (i * 64 + (uint32_t) __builtin_ctzll(bits) < ram->c.n_fills) {
                fills[n++] = i * 64 + (uint32_t) __builtin_ctzll(bits);
            }
        }

        if (bits != 0) {                 /* the rest for the next call */
            (void) __atomic_fetch_or(&s->dirty[i], bits, __ATOMIC_SEQ_CST);
        }
    }

    return n;
}
