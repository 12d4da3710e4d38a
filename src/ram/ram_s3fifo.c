/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `s3fifo`: a small queue of 20 % of the bytes where new objects prove
 * themselves, a main queue for those that were hit there or are remembered by
 * the ghost, and the ghost: fingerprints of what the small queue threw out. A
 * hit adds to a counter of two bits and moves nothing; at the end of the main
 * queue a count buys another round.
 *
 * The ghost is a table of 4-way buckets, 4 bytes an object: 16 bits of the key
 * and 16 bits of age. What is older than as many insertions as there are
 * objects in the main queue, or would be if it had its share, is forgotten. A
 * false match (about 1 in 16000) sends an object to the main queue at once, no
 * more.
 */
#include "ram/ram_internal.h"

#define SMALL        0
#define MAIN         1
#define SMALL_SHARE  5                   /* 1/5 of the bytes */
#define ROUNDS_MAX   4096                /* entries passed for one victim */
#define WAYS         4


static uint32_t *
ghost_bucket(const s3c_ram_t *ram, const s3c_ram_entry_sh_t *e)
{
    return &ram->at.ghost[e->key_hi & (ram->c.n_ghost - WAYS)];
}


static uint32_t
ghost_print(const s3c_ram_entry_sh_t *e)
{
    uint32_t  print = (uint32_t) (e->key_hi >> 48);

    return print == 0 ? 1 : print;
}


/* Ages count in steps such that the whole table is 2^14 steps at most: far
 * from where 16 bits wrap. */
static uint32_t
ghost_shift(const s3c_ram_t *ram)
{
    uint32_t  bits = 31 - (uint32_t) __builtin_clz(ram->c.n_ghost);

    return bits > 14 ? bits - 14 : 0;
}


static uint32_t
ghost_age(const s3c_ram_t *ram, uint32_t cell)
{
    return (uint16_t) ((ram->s->ghost_clock >> ghost_shift(ram)) - cell);
}


static void
ghost_add(s3c_ram_t *ram, const s3c_ram_entry_sh_t *e)
{
    uint32_t  i, best = 0, *b;

    if (ram->c.n_ghost == 0) {
        return;
    }

    b = ghost_bucket(ram, e);

    for (i = 0; i < WAYS; i++) {
        if (b[i] == 0) {
            best = i;
            break;
        }

        if (ghost_age(ram, b[i]) > ghost_age(ram, b[best])) {
            best = i;
        }
    }

    ram->s->ghost_clock++;
    b[best] = ghost_print(e) << 16
              | (uint16_t) (ram->s->ghost_clock >> ghost_shift(ram));
}


static bool
ghost_take(s3c_ram_t *ram, const s3c_ram_entry_sh_t *e)
{
    uint32_t  i, *b;
    uint64_t  most;

    if (ram->c.n_ghost == 0) {
        return false;
    }

    /* while nothing has come back yet, all that there is is in the small one */
    most = ram->s->n_entries * (SMALL_SHARE - 1) / SMALL_SHARE;

    if (most < ram->s->n_main) {
        most = ram->s->n_main;
    }

    if (most > ram->c.n_ghost) {
        most = ram->c.n_ghost;
    }

    most >>= ghost_shift(ram);
    b = ghost_bucket(ram, e);

    for (i = 0; i < WAYS; i++) {
        if (b[i] >> 16 == ghost_print(e) && ghost_age(ram, b[i]) <= most) {
            b[i] = 0;
            return true;
        }
    }

    return false;
}


static void
queue_add(s3c_ram_t *ram, uint32_t entry, uint32_t queue)
{
    uint32_t             size;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e == NULL) {
        return;
    }

    size = e->size & ~S3C_RAM_F_MAIN;

    if (queue == MAIN) {
        size |= S3C_RAM_F_MAIN;
        ram->s->n_main++;
        ram->s->main_bytes += size & S3C_RAM_SIZE_MASK;

    } else {
        ram->s->small_bytes += size & S3C_RAM_SIZE_MASK;
    }

    S3C_RAM_SET(e->size, size);
    s3c_ram_list_push_tail_locked(ram, queue, entry);
}


static void
fifo_remove(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e == NULL) {
        return;
    }

    if (e->size & S3C_RAM_F_MAIN) {
        ram->s->n_main--;
        ram->s->main_bytes -= e->size & S3C_RAM_SIZE_MASK;

    } else {
        ram->s->small_bytes -= e->size & S3C_RAM_SIZE_MASK;
    }

    s3c_ram_list_remove_locked(ram, entry);
}


static void
fifo_reset(s3c_ram_t *ram)
{
    s3c_ram_list_reset_locked(ram, SMALL);
    s3c_ram_list_reset_locked(ram, MAIN);

    ram->s->small_bytes = 0;
    ram->s->main_bytes = 0;
    ram->s->n_main = 0;
}


static void
fifo_insert(s3c_ram_t *ram, uint32_t entry)
{
    bool                 known;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e == NULL) {
        return;
    }

    known = !s3c_ram_is_cold(e) && ghost_take(ram, e);
    ram->s->n_ghost_hit += known;
    queue_add(ram, entry, known ? MAIN : SMALL);
}


static void
fifo_rebuild(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e != NULL) {
        queue_add(ram, entry, e->size & S3C_RAM_F_MAIN ? MAIN : SMALL);
    }
}


/* May something cold pass this one on its way to a victim? Only what is new, or
 * what flash has, too, leaves for it; what was asked for goes to the main
 * queue, as it would for anybody. */
static bool
fifo_yields(const s3c_ram_t *ram, const s3c_ram_entry_sh_t *e, uint8_t hits)
{
    if (e->size & S3C_RAM_F_MAIN) {
        return false;
    }

    return hits & S3C_RAM_COLD ? ram->cold == S3C_RAM_COLD_KEPT
                                 && hits == S3C_RAM_COLD_KEPT : true;
}


/* A victim keeps S3C_RAM_F_MAIN: where it was. */
static uint32_t
fifo_victim(s3c_ram_t *ram)
{
    uint8_t              hits;
    uint32_t             entry, queue, rounds;
    s3c_ram_entry_sh_t  *e;

    for (rounds = 0; !ram->broken; rounds++) {
        queue = ram->cold || ram->s->small_bytes * SMALL_SHARE
                             >= ram->s->small_bytes + ram->s->main_bytes
                ? SMALL : MAIN;

        entry = s3c_ram_list_first_locked(ram, queue);
        if (entry == 0) {
            entry = s3c_ram_list_first_locked(ram, 1 - queue);
        }

        e = entry == 0 ? NULL : s3c_ram_entry_get(ram, entry);
        if (e == NULL) {
            return 0;
        }

        hits = S3C_RAM_GET(e->hits);

        if (ram->cold
            && (rounds >= ROUNDS_MAX || !fifo_yields(ram, e, hits)))
        {
            return 0;
        }

        fifo_remove(ram, entry);

        if (hits == 0 || (hits & S3C_RAM_COLD) || rounds >= ROUNDS_MAX) {
            return entry;
        }

        /* A hit that comes between the two is lost: no harm. */
        hits = hits < 3 ? hits : 3;
        S3C_RAM_SET(e->hits, e->size & S3C_RAM_F_MAIN ? hits - 1 : 0);
        queue_add(ram, entry, MAIN);
    }

    return 0;
}


static void
fifo_spare(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e != NULL) {
        queue_add(ram, entry, e->size & S3C_RAM_F_MAIN ? MAIN : SMALL);
    }
}


static void
fifo_gone(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e != NULL && !(e->size & S3C_RAM_F_MAIN) && !s3c_ram_is_cold(e)) {
        ghost_add(ram, e);
    }
}


const s3c_ram_policy_ops_t  s3c_ram_s3fifo = {
    .reset = fifo_reset,
    .insert = fifo_insert,
    .remove = fifo_remove,
    .victim = fifo_victim,
    .spare = fifo_spare,
    .gone = fifo_gone,
    .rebuild = fifo_rebuild
};
