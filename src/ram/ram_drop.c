/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes objects out of the index. What is live goes to limbo and is readable
 * for who holds it; a fill goes on for who holds it, and its commit will say
 * CHANGED.
 */
#include "ram/ram_internal.h"


void
s3c_ram_drop_locked(s3c_ram_t *ram, uint32_t entry)
{
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_get(ram, entry);

    if (e == NULL) {
        return;
    }

    ram->s->n_drop++;

    if (e->state == S3C_RAM_FILLING) {
        S3C_RAM_SET_SEQ(e->state, S3C_RAM_OUT);
        S3C_RAM_ORDER();
        s3c_ram_index_remove_locked(ram, entry);
        return;
    }

    S3C_RAM_SET_SEQ(e->state, S3C_RAM_DEAD);
    S3C_RAM_ORDER();

    s3c_ram_index_remove_locked(ram, entry);
    ram->policy->remove(ram, entry);
    ram->s->n_entries--;
    ram->s->payload_bytes -= e->size & S3C_RAM_SIZE_MASK;

    s3c_ram_limbo_add_locked(ram, entry);
}


s3c_status_t
s3c_ram_drop(s3c_ram_t *ram, s3c_hash128_t key)
{
    uint32_t  entry;

    if (s3c_ram_lock(ram) != S3C_OK) {
        return S3C_MISS;
    }

    entry = s3c_ram_index_find_locked(ram, key);

    if (entry != 0) {
        s3c_ram_drop_locked(ram, entry);
    }

    s3c_ram_unlock(ram);

    return entry != 0 ? S3C_OK : S3C_MISS;
}


s3c_status_t
s3c_ram_drop_pinned(s3c_ram_t *ram, const s3c_ram_pin_t *pin)
{
    s3c_status_t         st = S3C_MISS;
    s3c_ram_entry_sh_t  *e;

    if (s3c_ram_lock(ram) != S3C_OK) {
        return S3C_MISS;
    }

    e = s3c_ram_entry_at(ram, pin->entry);

    if (e != NULL
        && (e->state == S3C_RAM_LIVE || e->state == S3C_RAM_FILLING))
    {
        s3c_ram_drop_locked(ram, pin->entry);
        st = S3C_OK;
    }

    s3c_ram_unlock(ram);

    return st;
}


void
s3c_ram_drop_all(s3c_ram_t *ram)
{
    uint32_t             entry, end;
    s3c_ram_entry_sh_t  *e;

    if (s3c_ram_lock(ram) != S3C_OK) {
        return;
    }

    end = ram->s->pages_used < ram->c.n_pages ? ram->s->pages_used
                                              : ram->c.n_pages;
    end *= S3C_RAM_PAGE_ENTRIES;

    for (entry = 1; entry < end && !ram->broken; entry++) {
        e = s3c_ram_entry_at(ram, entry);

        if (e != NULL
            && (e->state == S3C_RAM_LIVE || e->state == S3C_RAM_FILLING))
        {
            s3c_ram_drop_locked(ram, entry);
        }
    }

    if (!ram->broken) {
        (void) s3c_ram_limbo_collect_locked(ram);
    }

    s3c_ram_unlock(ram);
}
