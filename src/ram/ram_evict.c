/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes room. The policy names victims; this file finds out who is in use and
 * frees the others. The pins of all workers are read once for a batch of
 * victims: they are condemned first, then looked for, and who is held lives
 * on. So one look both skips what is in use and proves that the rest is not.
 *
 * A little more is freed than was asked for (1/512 of the arena), so that the
 * look at the pins is shared by the next insertions too.
 *
 * What was dropped while held waits in limbo, a list that is collected when it
 * has grown to twice what the last collection had to leave.
 */
#include "ram/ram_internal.h"

#define AHEAD_SHARE   512
#define LIMBO_SLACK   16


/* `last`: the policy has no more. */
static uint32_t
condemn(s3c_ram_t *ram, uint32_t *cand, uint64_t units, bool *last)
{
    uint32_t             n = 0, entry;
    uint64_t             sum = 0;
    s3c_ram_entry_sh_t  *e;

    while (n < S3C_RAM_BATCH && sum < units) {
        entry = ram->policy->victim(ram);
        if (entry == 0) {
            *last = true;
            break;
        }

        e = s3c_ram_entry_get(ram, entry);

        if (e == NULL || e->state != S3C_RAM_LIVE) {
            s3c_ram_break(ram);
            break;
        }

        S3C_RAM_SET_SEQ(e->state, S3C_RAM_CONDEMNED);
        cand[n++] = entry;
        sum += s3c_ram_extents_units(ram, e);
    }

    return n;
}


static uint64_t
execute(s3c_ram_t *ram, uint32_t entry)
{
    uint32_t             size;
    uint64_t             before = ram->s->free_units;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e == NULL) {
        return 0;
    }

    size = e->size & S3C_RAM_SIZE_MASK;
    s3c_ram_index_remove_locked(ram, entry);
    ram->policy->gone(ram, entry);

    ram->s->n_entries--;
    ram->s->n_evict++;
    ram->s->evict_bytes += size;
    ram->s->payload_bytes -= size;

    s3c_ram_entry_free_locked(ram, entry);

    return ram->s->free_units - before;
}


s3c_status_t
s3c_ram_evict_locked(s3c_ram_t *ram, uint32_t units)
{
    bool                 last = false;
    uint32_t             i, n, most, skipped = 0, cand[S3C_RAM_BATCH];
    uint64_t             held, freed = 0, before, goal;
    s3c_ram_entry_sh_t  *e;

    goal = units + (ram->cold ? 0 : ram->c.n_units / AHEAD_SHARE);

    if (ram->s->n_limbo > 2 * (uint64_t) ram->s->limbo_kept + LIMBO_SLACK) {
        freed = s3c_ram_limbo_collect_locked(ram);
    }

    /* what is cold does not insist */
    most = ram->cold ? S3C_RAM_BATCH : S3C_RAM_SKIP_MAX;

    while (freed < units && skipped < most && !ram->broken) {
        n = condemn(ram, cand, goal - freed, &last);
        if (n == 0) {
            break;
        }

        held = s3c_ram_pins_hold_locked(ram, cand, n);
        before = freed;

        for (i = 0; i < n; i++) {
            if (!(held & 1ull << i)) {
                freed += execute(ram, cand[i]);
                continue;
            }

            e = s3c_ram_entry_get(ram, cand[i]);

            if (e != NULL) {
                S3C_RAM_SET_SEQ(e->state, S3C_RAM_LIVE);
                ram->policy->spare(ram, cand[i]);
            }

            skipped++;
        }

        if (freed == before && last) {
            break;                       /* all that there is, is in use */
        }
    }

    if (freed == 0) {
        freed = s3c_ram_limbo_collect_locked(ram);
    }

    return freed > 0 ? S3C_OK : S3C_FULL;
}


void
s3c_ram_limbo_add_locked(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e != NULL) {
        S3C_RAM_SET(e->size, e->size & ~S3C_RAM_F_SEEN);
        e->next = ram->s->limbo;
        ram->s->limbo = entry;
        ram->s->n_limbo++;
        ram->s->limbo_units += s3c_ram_extents_units(ram, e);
    }
}


static bool
too_young(const s3c_ram_t *ram, const s3c_ram_entry_sh_t *e)
{
    return (e->size & S3C_RAM_F_AGED)
           && (int32_t) (s3c_ram_tick(ram->s->now_ms) - e->prev) < 0;
}


uint64_t
s3c_ram_limbo_collect_locked(s3c_ram_t *ram)
{
    uint32_t             entry, next;
    uint64_t             left, before = ram->s->free_units;
    s3c_ram_entry_sh_t  *e;

    if (ram->s->limbo == 0) {
        return 0;
    }

    s3c_ram_pins_mark_locked(ram);

    entry = ram->s->limbo;
    left = ram->s->n_limbo;
    ram->s->limbo = 0;
    ram->s->n_limbo = 0;
    ram->s->limbo_units = 0;

    for ( /* void */ ; entry != 0; entry = next) {
        e = s3c_ram_entry_get(ram, entry);

        if (e == NULL || left-- == 0
            || (e->state != S3C_RAM_DEAD && e->state != S3C_RAM_FAILED))
        {
            s3c_ram_break(ram);
            break;
        }

        next = e->next;

        if ((e->size & S3C_RAM_F_SEEN) || too_young(ram, e)) {
            s3c_ram_limbo_add_locked(ram, entry);

        } else {
            s3c_ram_entry_free_locked(ram, entry);
        }
    }

    ram->s->limbo_kept = (uint32_t) ram->s->n_limbo;

    return ram->s->free_units - before;
}
