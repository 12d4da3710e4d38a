/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk over all live entries that compares their payloads with their sums.
 * It takes no lock but to drop what is wrong: an entry is pinned like a
 * reader's, by its number, and the pin stays while it is gone through in
 * several calls.
 *
 * WHOSE     The worker that holds the lock of the walk, which is robust: of one
 *           that has died the next one takes it. What lay in the dead worker's
 *           memory is lost, which is the sum of a part of one entry; its pin is
 *           cleared with its slot.
 * WHERE     The number of the entry is in the region, so that a pass that takes
 *           hours is not begun anew by each reload. It is not trusted.
 * WHAT      Entries that were live when the walk came by. What is dropped or
 *           evicted meanwhile is left.
 */
#include "ram/ram_internal.h"

#include <stdlib.h>

#define ENTRIES_MAX  4096        /* looked at in one call */
#define ENTRY_BYTES  256         /* what a look costs at least, as bytes */
#define WHOLE_BYTES  (64u << 10) /* not cut in two: not pinned between calls */

struct s3c_ram_walk_s {
    s3c_ram_pin_t  pin;          /* of the one under way */
    uint32_t       off;          /* of it, so far */
    uint32_t       size;
    uint32_t       crc;
    void         (*bad)(void *ctx, const s3c_ram_pin_t *pin);
    void          *ctx;
};


s3c_status_t
s3c_ram_scrub_begin(s3c_ram_t *ram,
    void (*bad)(void *ctx, const s3c_ram_pin_t *pin), void *ctx)
{
    s3c_status_t  st;

    if (ram->walk != NULL) {
        return S3C_OK;
    }

    st = s3c_robust_lock_try(&ram->at.head->scrub);

    if (st == S3C_CORRUPT) {
        s3c_robust_lock_mended(&ram->at.head->scrub);

    } else if (st != S3C_OK) {
        return S3C_BUSY;
    }

    ram->walk = calloc(1, sizeof(*ram->walk));

    if (ram->walk == NULL) {
        s3c_robust_lock_drop(&ram->at.head->scrub);
        return S3C_BUSY;
    }

    ram->walk->bad = bad;
    ram->walk->ctx = ctx;

    return S3C_OK;
}


void
s3c_ram_scrub_end(s3c_ram_t *ram)
{
    if (ram->walk == NULL) {
        return;
    }

    s3c_ram_unpin(ram, &ram->walk->pin);
    free(ram->walk);
    ram->walk = NULL;
    s3c_robust_lock_drop(&ram->at.head->scrub);
}


bool
s3c_ram_scrubs(const s3c_ram_t *ram)
{
    return ram->walk != NULL;
}


static bool
is_live(const s3c_ram_t *ram, uint32_t entry)
{
    const s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, entry);

    return e != NULL && S3C_RAM_GET_SEQ(e->state) == S3C_RAM_LIVE;
}


/* The next entry; true: it is live, and pinned. *passes: it was the last. */
static bool
walk_next(s3c_ram_t *ram, uint64_t *passes)
{
    uint32_t         pages = S3C_RAM_GET(ram->s->pages_used), end, entry;
    s3c_ram_walk_t  *w = ram->walk;

    end = (pages < ram->c.n_pages ? pages : ram->c.n_pages)
          * S3C_RAM_PAGE_ENTRIES;
    entry = S3C_RAM_GET(ram->s->scrub_at) + 1;

    if (entry >= end) {
        *passes += entry == end;
        S3C_RAM_SET(ram->s->scrub_at, 0);
        return false;
    }

    S3C_RAM_SET(ram->s->scrub_at, entry);

    if (!is_live(ram, entry)
        || s3c_ram_pin_set(ram, entry, &w->pin) != S3C_OK)
    {
        return false;
    }

    if (!is_live(ram, entry)) {
        s3c_ram_unpin(ram, &w->pin);
        return false;
    }

    w->size = s3c_ram_size(ram, &w->pin);
    w->off = s3c_ram_sum_from(ram, &w->pin);
    w->crc = 0;

    return true;
}


static void
walk_judge(s3c_ram_t *ram, s3c_ram_scrubbed_t *found)
{
    uint32_t            *sum, was;
    s3c_ram_walk_t      *w = ram->walk;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, w->pin.entry);

    if (e == NULL) {
        return;
    }

    sum = s3c_ram_sum_at(e, w->pin.entry);
    was = S3C_RAM_GET(*sum);

    found->entries++;

    if (was == 0) {
        S3C_RAM_SET(*sum, s3c_ram_sum_of(w->crc));
        found->sealed++;

    } else if (was != s3c_ram_sum_of(w->crc) && is_live(ram, w->pin.entry)) {
        found->bad++;

        if (w->bad != NULL) {
            w->bad(w->ctx, &w->pin);
        }

        (void) s3c_ram_drop_pinned(ram, &w->pin);
    }
}


void
s3c_ram_scrub(s3c_ram_t *ram, uint32_t bytes, s3c_ram_scrubbed_t *found)
{
    uint32_t         n, part;
    s3c_ram_walk_t  *w = ram->walk;

    if (w == NULL || ram->skip == NULL) {
        return;
    }

    for (n = 0; bytes > 0 && n < ENTRIES_MAX; n++) {
        if (w->pin.entry == 0 && !walk_next(ram, &found->passes)) {
            if (S3C_RAM_GET(ram->s->scrub_at) == 0) {
                return;                  /* the next pass in another call */
            }

            continue;
        }

        part = w->size - w->off;
        part = part <= bytes || part <= WHOLE_BYTES ? part : bytes;

        if (!s3c_ram_sum_add(ram, &w->pin, w->off, part, &w->crc)) {
            s3c_ram_unpin(ram, &w->pin);
            continue;
        }

        w->off += part;
        found->bytes += part;
        bytes -= part < bytes ? part : bytes;

        if (w->off == w->size) {
            walk_judge(ram, found);
            s3c_ram_unpin(ram, &w->pin);
            bytes -= bytes < ENTRY_BYTES ? bytes : ENTRY_BYTES;
        }
    }
}
