/* SPDX-License-Identifier: Apache-2.0
 *
 * Cuts a payload into blocks of the arena. 40.3 KiB is 32K + 8K + 512: the
 * plan is made on the counts of free blocks alone, before anything is taken,
 * so that a plan that fails costs nothing.
 *
 * Up to four extents are named in the entry, the last one rounded up. When
 * that would waste DIRECT_WASTE units or more, or when what is free lies in
 * smaller pieces than that, one more unit lists up to 127 extents. So a full
 * cache takes more and smaller pieces before it evicts more.
 */
#include "ram/ram_internal.h"

/* The indirect unit costs one unit and a cache miss on the first byte. */
#define DIRECT_WASTE  3

typedef struct {
    uint32_t  n;
    uint32_t  waste;                     /* units beyond what was asked for */
    uint8_t   order[S3C_RAM_INDIRECT];
} plan_t;


static inline uint32_t
log2_floor(uint32_t n)
{
    return 31 - (uint32_t) __builtin_clz(n);
}


static inline uint32_t
log2_ceil(uint32_t n)
{
    return n <= 1 ? 0 : log2_floor(n - 1) + 1;
}


/* Takes one block of `order` out of the counts, splitting a larger one. */
static bool
count_take(uint32_t n_free[S3C_RAM_ORDERS], uint32_t order)
{
    uint32_t  have = order;

    while (have < S3C_RAM_ORDERS && n_free[have] == 0) {
        have++;
    }

    if (have >= S3C_RAM_ORDERS) {
        return false;
    }

    n_free[have]--;

    while (have > order) {
        n_free[--have]++;
    }

    return true;
}


/* `max` pieces at most; with `round`, the last one may be rounded up. */
static bool
plan_make(const s3c_ram_t *ram, uint32_t units, uint32_t head_order,
    uint32_t max, bool round, bool list, plan_t *plan)
{
    uint32_t  want, least, left = units, n_free[S3C_RAM_ORDERS];

    memcpy(n_free, ram->s->n_free, sizeof(n_free));
    plan->n = 0;
    plan->waste = 0;

    /* The list's own unit first: the pieces must not use up the last one. */
    if (list && !count_take(n_free, 0)) {
        return false;
    }

    while (left > 0) {
        if (plan->n == max) {
            return false;
        }

        want = round && plan->n + 1 == max ? log2_ceil(left) : log2_floor(left);
        least = round && plan->n + 1 == max ? want : 0;

        if (plan->n == 0) {
            want = want < head_order ? head_order : want;
            least = least < head_order ? head_order : least;
        }

        if (want >= S3C_RAM_ORDERS) {
            want = S3C_RAM_ORDERS - 1;
        }

        while (!count_take(n_free, want)) {
            if (want == 0 || want <= least) {
                return false;
            }

            want--;
        }

        plan->order[plan->n++] = (uint8_t) want;

        if ((1u << want) >= left) {
            plan->waste = (1u << want) - left;
            left = 0;

        } else {
            left -= 1u << want;
        }
    }

    return true;
}


/* The plan that wastes least of what is free as it lies. */
static bool
plan_choose(const s3c_ram_t *ram, uint32_t units, uint32_t head_order,
    plan_t *plan, bool *indirect)
{
    bool    direct;
    plan_t  list;

    *indirect = false;

    if (units > ram->s->free_units) {
        return false;
    }

    direct = plan_make(ram, units, head_order, S3C_RAM_DIRECT, true, false,
                       plan);

    if (direct && plan->waste < DIRECT_WASTE) {
        return true;
    }

    if (plan_make(ram, units, head_order, S3C_RAM_INDIRECT, false, true, &list)
        && (!direct || list.waste + 1 < plan->waste))
    {
        *plan = list;
        *indirect = true;
        return true;
    }

    return direct;
}


s3c_status_t
s3c_ram_extents_take_locked(s3c_ram_t *ram, uint32_t size, uint32_t head_bytes,
    uint32_t ext[S3C_RAM_DIRECT], uint32_t *flags)
{
    bool                    indirect;
    plan_t                  plan;
    uint32_t                i, units, head_order, *out = ext;
    s3c_ram_indirect_sh_t  *list = NULL;

    units = (size + S3C_RAM_UNIT - 1) >> S3C_RAM_UNIT_SHIFT;
    units = units == 0 ? 1 : units;
    head_bytes = head_bytes < size ? head_bytes : size;
    head_order = log2_ceil((head_bytes + S3C_RAM_UNIT - 1)
                           >> S3C_RAM_UNIT_SHIFT);

    if (head_order >= S3C_RAM_ORDERS
        || !plan_choose(ram, units, head_order, &plan, &indirect))
    {
        return S3C_MISS;
    }

    memset(ext, 0, S3C_RAM_DIRECT * sizeof(ext[0]));
    *flags = S3C_RAM_F_MEM;

    if (indirect) {
        ext[0] = s3c_ram_arena_take_locked(ram, 0);
        if (ext[0] == S3C_RAM_NIL) {
            return S3C_MISS;
        }

        list = (s3c_ram_indirect_sh_t *) s3c_ram_unit_at(ram, ext[0]);
        memset(list, 0, sizeof(*list));
        list->n = plan.n;
        out = list->ext;
        *flags |= S3C_RAM_F_INDIRECT;
    }

    for (i = 0; i < plan.n; i++) {
        out[i] = s3c_ram_arena_take_locked(ram, plan.order[i]);

        /* The counts promised it: they lie. What was taken is not given back,
         * since the zone is about to be emptied. */
        if (out[i] == S3C_RAM_NIL) {
            s3c_ram_break(ram);
            return S3C_MISS;
        }
    }

    return S3C_OK;
}


/* Direct lists end at the first 0: unit 0 is the first page of entries. */
s3c_ram_extents_t
s3c_ram_extents(const s3c_ram_t *ram, const s3c_ram_entry_sh_t *e)
{
    uint32_t                      size = S3C_RAM_GET(e->size), n;
    s3c_ram_extents_t             x = { NULL, 0 };
    const s3c_ram_indirect_sh_t  *list;

    if (!(size & S3C_RAM_F_MEM)) {
        return x;
    }

    if (!(size & S3C_RAM_F_INDIRECT)) {
        x.ext = e->ext;

        while (x.n < S3C_RAM_DIRECT && S3C_RAM_GET(e->ext[x.n]) != 0) {
            x.n++;
        }

        return x;
    }

    n = S3C_RAM_GET(e->ext[0]);
    if (s3c_ram_block_order(ram, n) != 0) {
        return x;
    }

    list = (const s3c_ram_indirect_sh_t *) s3c_ram_unit_at(ram, n);
    n = S3C_RAM_GET(list->n);

    if (n <= S3C_RAM_INDIRECT) {
        x.ext = list->ext;
        x.n = n;
    }

    return x;
}


uint32_t
s3c_ram_extents_units(const s3c_ram_t *ram, const s3c_ram_entry_sh_t *e)
{
    int                order;
    uint32_t           i, units = 0;
    s3c_ram_extents_t  x = s3c_ram_extents(ram, e);

    for (i = 0; i < x.n; i++) {
        order = s3c_ram_block_order(ram, x.ext[i]);

        if (order >= 0) {
            units += 1u << order;
        }
    }

    return units + (e->size & S3C_RAM_F_INDIRECT ? 1 : 0);
}


void
s3c_ram_extents_give_locked(s3c_ram_t *ram, const uint32_t *ext,
    uint32_t flags)
{
    uint32_t                      i, n;
    const s3c_ram_indirect_sh_t  *list;

    if (!(flags & S3C_RAM_F_MEM)) {
        return;
    }

    if (!(flags & S3C_RAM_F_INDIRECT)) {
        for (i = 0; i < S3C_RAM_DIRECT && ext[i] != 0; i++) {
            s3c_ram_arena_give_locked(ram, ext[i]);
        }

        return;
    }

    if (s3c_ram_block_order(ram, ext[0]) != 0) {
        s3c_ram_break(ram);
        return;
    }

    list = (const s3c_ram_indirect_sh_t *) s3c_ram_unit_at(ram, ext[0]);
    n = list->n;

    if (n > S3C_RAM_INDIRECT) {
        s3c_ram_break(ram);
        return;
    }

    for (i = 0; i < n; i++) {
        s3c_ram_arena_give_locked(ram, list->ext[i]);
    }

    s3c_ram_arena_give_locked(ram, ext[0]);
}
