/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds out from scratch which unit is whose: heal rebuilds the map by it, the
 * audit compares with it. A claim is a bit in the map byte of each unit of a
 * block, so that it needs no memory of its own; readers mask it out.
 */
#include "ram/ram_internal.h"


void
s3c_ram_claim_wipe_locked(s3c_ram_t *ram)
{
    uint8_t   m;
    uint32_t  i;

    for (i = 0; i < ram->c.n_units; i++) {
        m = ram->at.map[i];

        if (m & S3C_RAM_MAP_CLAIMED) {
            S3C_RAM_SET(ram->at.map[i], m & ~S3C_RAM_MAP_CLAIMED);
        }
    }
}


bool
s3c_ram_claim_block_locked(s3c_ram_t *ram, uint32_t unit, int order)
{
    uint32_t  i, end = unit + (1u << order);

    for (i = unit; i < end; i++) {
        if (ram->at.map[i] & S3C_RAM_MAP_CLAIMED) {
            return false;
        }
    }

    for (i = unit; i < end; i++) {
        S3C_RAM_SET(ram->at.map[i], ram->at.map[i] | S3C_RAM_MAP_CLAIMED);
    }

    return true;
}


static void
unclaim(s3c_ram_t *ram, uint32_t unit, int order)
{
    uint32_t  i;

    for (i = unit; i < unit + (1u << order); i++) {
        S3C_RAM_SET(ram->at.map[i], ram->at.map[i] & ~S3C_RAM_MAP_CLAIMED);
    }
}


uint32_t
s3c_ram_claim_extents_locked(s3c_ram_t *ram, const s3c_ram_entry_sh_t *e)
{
    int                order;
    bool               list = e->size & S3C_RAM_F_INDIRECT;
    uint32_t           i, units = 0;
    s3c_ram_extents_t  x = s3c_ram_extents(ram, e);

    if (x.n == 0 || (list && !s3c_ram_claim_block_locked(ram, e->ext[0], 0))) {
        return 0;
    }

    for (i = 0; i < x.n; i++) {
        order = s3c_ram_block_order(ram, x.ext[i]);

        if (order < 0 || !s3c_ram_claim_block_locked(ram, x.ext[i], order)) {
            break;
        }

        units += 1u << order;
    }

    if (i == x.n && ((uint64_t) units << S3C_RAM_UNIT_SHIFT)
                    >= (e->size & S3C_RAM_SIZE_MASK))
    {
        return units + list;
    }

    while (i-- > 0) {
        unclaim(ram, x.ext[i], s3c_ram_block_order(ram, x.ext[i]));
    }

    if (list) {
        unclaim(ram, e->ext[0], 0);
    }

    return 0;
}
