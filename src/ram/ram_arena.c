/* SPDX-License-Identifier: Apache-2.0
 *
 * The buddy allocator over the arena's units. One byte a unit says what begins
 * there; free blocks of an order form a list whose links lie in the blocks
 * themselves. Any freed block serves any object, so that the policy's order of
 * victims need not bend to the allocator.
 *
 * The links lie where a late write of a dead worker's I/O could hit them: each
 * one is checked against the map before it is followed.
 */
#include "ram/ram_internal.h"

typedef struct {
    uint32_t  prev;
    uint32_t  next;
} free_link_t;


static inline free_link_t *
link_at(s3c_ram_t *ram, uint32_t unit)
{
    return (free_link_t *) s3c_ram_unit_at(ram, unit);
}


static inline bool
is_free(s3c_ram_t *ram, uint32_t unit, uint32_t order)
{
    return unit < ram->c.n_units
           && (1u << order) <= ram->c.n_units - unit
           && ram->at.map[unit] == (S3C_RAM_MAP_FREE | order);
}


static inline void
map_set(s3c_ram_t *ram, uint32_t unit, uint8_t what)
{
    S3C_RAM_SET(ram->at.map[unit], what);
}


void
s3c_ram_arena_push_locked(s3c_ram_t *ram, uint32_t unit, uint32_t order)
{
    uint32_t      next = ram->s->free_head[order];
    free_link_t  *link = link_at(ram, unit);

    if (next != S3C_RAM_NIL && !is_free(ram, next, order)) {
        s3c_ram_break(ram);
        next = S3C_RAM_NIL;
    }

    link->prev = S3C_RAM_NIL;
    link->next = next;

    if (next != S3C_RAM_NIL) {
        link_at(ram, next)->prev = unit;
    }

    map_set(ram, unit, S3C_RAM_MAP_FREE | order);
    ram->s->free_head[order] = unit;
    ram->s->n_free[order]++;
    ram->s->free_units += 1u << order;
}


/* Takes a free block off its list. False, and broken, when the links lie. */
static bool
unlink_free(s3c_ram_t *ram, uint32_t unit, uint32_t order)
{
    free_link_t  *link = link_at(ram, unit);

    if (link->next != S3C_RAM_NIL
        && (!is_free(ram, link->next, order)
            || link_at(ram, link->next)->prev != unit))
    {
        s3c_ram_break(ram);
        return false;
    }

    if (link->prev == S3C_RAM_NIL) {
        if (ram->s->free_head[order] != unit) {
            s3c_ram_break(ram);
            return false;
        }

        ram->s->free_head[order] = link->next;

    } else {
        if (!is_free(ram, link->prev, order)
            || link_at(ram, link->prev)->next != unit)
        {
            s3c_ram_break(ram);
            return false;
        }

        link_at(ram, link->prev)->next = link->next;
    }

    if (link->next != S3C_RAM_NIL) {
        link_at(ram, link->next)->prev = link->prev;
    }

    map_set(ram, unit, 0);
    ram->s->n_free[order]--;
    ram->s->free_units -= 1u << order;

    return true;
}


uint32_t
s3c_ram_arena_take_locked(s3c_ram_t *ram, uint32_t order)
{
    uint32_t  unit, have = order;

    while (have < S3C_RAM_ORDERS && ram->s->free_head[have] == S3C_RAM_NIL) {
        have++;
    }

    if (have >= S3C_RAM_ORDERS) {
        return S3C_RAM_NIL;
    }

    unit = ram->s->free_head[have];

    if (!is_free(ram, unit, have)) {
        s3c_ram_break(ram);
        return S3C_RAM_NIL;
    }

    if (!unlink_free(ram, unit, have)) {
        return S3C_RAM_NIL;
    }

    while (have > order) {               /* keep the lower half */
        have--;
        s3c_ram_arena_push_locked(ram, unit + (1u << have), have);
    }

    map_set(ram, unit, S3C_RAM_MAP_USED | order);

    return unit;
}


void
s3c_ram_arena_give_locked(s3c_ram_t *ram, uint32_t unit)
{
    int       n = s3c_ram_block_order(ram, unit);
    uint32_t  buddy, order;

    if (n < 0) {
        s3c_ram_break(ram);
        return;
    }

    order = (uint32_t) n;
    map_set(ram, unit, 0);

    while (order + 1 < S3C_RAM_ORDERS) {
        buddy = unit ^ (1u << order);

        if (!is_free(ram, buddy, order) || !unlink_free(ram, buddy, order)) {
            break;
        }

        unit &= ~(1u << order);
        order++;
    }

    s3c_ram_arena_push_locked(ram, unit, order);
}


/* All units free, in the largest aligned blocks that fit, but for the first
 * page of entries: so that 0 is nobody's extent and entry 0 is none. */
void
s3c_ram_arena_reset_locked(s3c_ram_t *ram)
{
    uint32_t  order, left, unit = 1u << S3C_RAM_PAGE_ORDER;

    for (order = 0; order < S3C_RAM_ORDERS; order++) {
        ram->s->free_head[order] = S3C_RAM_NIL;
        ram->s->n_free[order] = 0;
    }

    ram->s->free_units = 0;
    memset(ram->at.map, 0, ram->c.n_units);
    ram->at.map[0] = S3C_RAM_MAP_USED | S3C_RAM_PAGE_ORDER;
    left = ram->c.n_units - unit;

    while (left > 0) {
        order = S3C_RAM_ORDERS - 1;

        while ((1u << order) > left || (unit & ((1u << order) - 1)) != 0) {
            order--;
        }

        s3c_ram_arena_push_locked(ram, unit, order);
        unit += 1u << order;
        left -= 1u << order;
    }
}
