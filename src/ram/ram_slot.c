/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's seat in the region: join, leave, and the sweep of those who died
 * without leaving. The sign of life is a robust lock that the worker takes at
 * join and holds until it leaves: no pid is ever compared, none can be reused.
 *
 * Order of locks: a slot's lock (tried, never waited for), then the writers'.
 *
 * What a dead worker was filling stays in limbo for S3C_RAM_AGE_MS even if
 * nobody holds it. Fills are read by recv(2), which ends with its process; a
 * tier that has the kernel read into the region by itself (io_uring) must
 * raise this to its device's time-out: such reads outlive the process.
 */
#include "ram/ram_internal.h"

#include <stdlib.h>
#include <unistd.h>


void
s3c_ram_slot_reclaim_locked(s3c_ram_t *ram, uint32_t slot)
{
    uint32_t            i;
    s3c_ram_news_t      news;
    s3c_ram_fill_sh_t  *f;
    s3c_ram_slot_sh_t  *s = s3c_ram_slot_at(ram, slot);

    for (i = 0; i < ram->c.n_fills; i++) {
        f = s3c_ram_fill_at(ram, i);

        (void) __atomic_fetch_and(&f->watchers[slot / 64],
                                  ~(1ull << slot % 64), __ATOMIC_SEQ_CST);

        if (f->entry != 0 && f->leader == slot) {
            s3c_ram_fill_fail_locked(ram, f->entry, S3C_FILL_REASON_DIED,
                                     true, &news);
        }
    }

    s3c_ram_pins_clear_locked(ram, slot);

    for (i = 0; i < (ram->c.n_fills + 63) / 64; i++) {
        S3C_RAM_SET_SEQ(s->dirty[i], 0);
    }

    S3C_RAM_SET_SEQ(s->kicked, 0);
    S3C_RAM_SET(s->pid, 0);
    S3C_RAM_SET_REL(s->taken, 0);
}


/* The first slot that nobody living holds, its lock taken. */
static uint32_t
seat_find(s3c_ram_t *ram, bool *died)
{
    uint32_t      slot;
    s3c_status_t  st;

    for (slot = 0; slot < ram->c.n_slots; slot++) {
        st = s3c_robust_lock_try(s3c_ram_slot_lock(ram, slot));

        if (st == S3C_OK || st == S3C_CORRUPT) {
            *died = st == S3C_CORRUPT;
            return slot;
        }
    }

    return S3C_RAM_NO_SLOT;
}


/* Under the lock of the slot. False: no memory for its pins. */
static bool
seat_take(s3c_ram_t *ram, uint32_t slot, bool *died)
{
    uint32_t            i;
    s3c_ram_slot_sh_t  *s = s3c_ram_slot_at(ram, slot);

    *died = *died || S3C_RAM_GET(s->taken) != 0;

    if (*died) {
        s3c_ram_slot_reclaim_locked(ram, slot);
        S3C_RAM_ADD(ram->s->n_dead_worker, 1);
    }

    ram->n_pins = 0;

    for (i = 0; i < S3C_RAM_PINS_CHUNKS; i++) {
        ram->pins[i] = s3c_ram_pins_of(ram, slot, i);

        if (ram->pins[i] == NULL) {
            break;
        }

        ram->n_pins += S3C_RAM_PINS_CHUNK;
    }

    if (ram->n_pins == 0 && s3c_ram_pins_grow_locked(ram, slot) != S3C_OK) {
        return false;
    }

    s3c_ram_pins_clear_locked(ram, slot);

    for (i = 0; i < (ram->c.n_fills + 63) / 64; i++) {
        S3C_RAM_SET_SEQ(s->dirty[i], 0);
    }

    S3C_RAM_SET_SEQ(s->kicked, 0);
    S3C_RAM_SET(s->pid, (uint32_t) getpid());
    S3C_RAM_SET_REL(s->taken, 1);
    ram->slot = slot;

    return true;
}


s3c_status_t
s3c_ram_join(s3c_ram_t **out, void *region, size_t bytes,
    void (*wake)(void *ctx, uint32_t slot), void *ctx, uint64_t now_ms)
{
    bool                      died = false, seated = false;
    uint32_t                  slot;
    s3c_ram_t                *ram;

    *out = NULL;

    if (s3c_ram_check_region(region, bytes) != S3C_OK) {
        return S3C_CORRUPT;
    }

    ram = calloc(1, sizeof(*ram));
    if (ram == NULL) {
        return S3C_BUSY;
    }

    s3c_ram_bind(ram, region);
    ram->wake = wake;
    ram->wake_ctx = ctx;

    slot = seat_find(ram, &died);

    if (slot != S3C_RAM_NO_SLOT) {
        if (s3c_ram_lock(ram) == S3C_OK) {
            s3c_ram_now_set_locked(ram, now_ms);
            seated = seat_take(ram, slot, &died);
            s3c_ram_unlock(ram);
        }

        if (died) {
            s3c_robust_lock_mended(s3c_ram_slot_lock(ram, slot));
            s3c_ram_alarm(ram);
        }

        if (!seated) {
            s3c_robust_lock_drop(s3c_ram_slot_lock(ram, slot));
        }
    }

    if (!seated) {
        free(ram);
        return S3C_BUSY;
    }

    *out = ram;

    return S3C_OK;
}


void
s3c_ram_leave(s3c_ram_t *ram)
{
    if (ram == NULL) {
        return;
    }

    s3c_ram_scrub_end(ram);

    /* If the lock is not to be had, `taken` stays, and the sweep does it. */
    if (s3c_ram_lock(ram) == S3C_OK) {
        s3c_ram_slot_reclaim_locked(ram, ram->slot);
        s3c_ram_unlock(ram);
        s3c_ram_alarm(ram);
    }

    s3c_robust_lock_drop(s3c_ram_slot_lock(ram, ram->slot));
    free(ram);
}


static bool
sweep_slot(s3c_ram_t *ram, uint32_t slot)
{
    bool           died = false;
    s3c_status_t   st = s3c_robust_lock_try(s3c_ram_slot_lock(ram, slot));

    if (st != S3C_OK && st != S3C_CORRUPT) {
        return false;                    /* lives */
    }

    if (s3c_ram_lock(ram) == S3C_OK) {
        if (S3C_RAM_GET(s3c_ram_slot_at(ram, slot)->taken) != 0) {
            s3c_ram_slot_reclaim_locked(ram, slot);
            S3C_RAM_ADD(ram->s->n_dead_worker, 1);
            died = true;
        }

        s3c_ram_unlock(ram);

        if (st == S3C_CORRUPT) {
            s3c_robust_lock_mended(s3c_ram_slot_lock(ram, slot));
        }
    }

    s3c_robust_lock_drop(s3c_ram_slot_lock(ram, slot));

    return died;
}


uint32_t
s3c_ram_sweep(s3c_ram_t *ram, uint64_t now_ms)
{
    uint32_t  slot, n = 0;

    for (slot = 0; slot < ram->c.n_slots; slot++) {
        if (slot != ram->slot
            && S3C_RAM_GET(s3c_ram_slot_at(ram, slot)->taken) != 0)
        {
            n += sweep_slot(ram, slot);
        }
    }

    if (n > 0) {
        s3c_ram_alarm(ram);
    }

    if (S3C_RAM_GET(ram->s->limbo) != 0 && s3c_ram_lock(ram) == S3C_OK) {
        s3c_ram_now_set_locked(ram, now_ms);
        (void) s3c_ram_limbo_collect_locked(ram);
        s3c_ram_unlock(ram);
    }

    return n;
}


uint32_t
s3c_ram_fills_max(const s3c_ram_t *ram)
{
    return ram->c.n_fills;
}


uint32_t
s3c_ram_slot(const s3c_ram_t *ram)
{
    return ram->slot;
}


const uint8_t *
s3c_ram_secret(const s3c_ram_t *ram)
{
    return ram->c.secret;
}
