/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries: 56 bytes each and a sum of 4, in pages of 4 KiB that are taken from
 * the arena when they are needed and kept for good. Kept, because a reader may look at an
 * entry that was just freed: it must find an entry there, not a payload that
 * a client wrote. The price: after a time of very small objects up to 1/20 of
 * the arena stays with the entries.
 */
#include "ram/ram_internal.h"


s3c_ram_entry_sh_t *
s3c_ram_entry_get(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, entry);

    if (e == NULL) {
        s3c_ram_break(ram);
    }

    return e;
}


void
s3c_ram_entry_give_locked(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e != NULL) {
        S3C_RAM_SET(e->next, ram->s->free_entry);
        ram->s->free_entry = entry;
    }
}


static void
page_fill(s3c_ram_t *ram, uint32_t page, uint32_t unit)
{
    uint32_t  i;

    memset(s3c_ram_unit_at(ram, unit), 0, S3C_RAM_UNIT << S3C_RAM_PAGE_ORDER);

    S3C_RAM_ORDER();
    S3C_RAM_SET_REL(ram->at.pages[page], unit + 1);

    for (i = S3C_RAM_PAGE_ENTRIES; i-- > 0; /* the lowest is taken first */) {
        if (page > 0 || i > 0) {
            s3c_ram_entry_give_locked(ram, page * S3C_RAM_PAGE_ENTRIES + i);
        }
    }
}


void
s3c_ram_entry_reset_locked(s3c_ram_t *ram)
{
    ram->s->free_entry = 0;
    ram->s->pages_used = 1;
    page_fill(ram, 0, 0);
}


static bool
page_add(s3c_ram_t *ram)
{
    uint32_t  unit, page = ram->s->pages_used;

    if (page >= ram->c.n_pages) {
        return false;
    }

    unit = s3c_ram_arena_take_locked(ram, S3C_RAM_PAGE_ORDER);
    if (unit == S3C_RAM_NIL) {
        return false;
    }

    ram->s->pages_used = page + 1;
    page_fill(ram, page, unit);

    return true;
}


uint32_t
s3c_ram_entry_take_locked(s3c_ram_t *ram)
{
    uint32_t             entry = ram->s->free_entry;
    s3c_ram_entry_sh_t  *e;

    if (entry == 0) {
        if (!page_add(ram)) {
            return 0;
        }

        entry = ram->s->free_entry;
    }

    e = s3c_ram_entry_get(ram, entry);
    if (e == NULL) {
        return 0;
    }

    if (e->state != S3C_RAM_FREE) {
        s3c_ram_break(ram);
        return 0;
    }

    ram->s->free_entry = e->next;

    return entry;
}


void
s3c_ram_entry_free_locked(s3c_ram_t *ram, uint32_t entry)
{
    uint32_t             size, units;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e == NULL) {
        return;
    }

    size = e->size;
    units = s3c_ram_extents_units(ram, e);

    /* From this store on the units are nobody's: only then may they go. */
    S3C_RAM_SET_SEQ(e->state, S3C_RAM_FREE);
    S3C_RAM_ORDER();

    s3c_ram_extents_give_locked(ram, e->ext, size);
    ram->s->payload_units -= units;

    S3C_RAM_SET(e->size, 0);
    s3c_ram_entry_give_locked(ram, entry);
}
