/* SPDX-License-Identifier: Apache-2.0
 *
 * Where everything lies: plans the parts of a region, writes an empty cache,
 * recognises one again, and binds a process-local handle to it. Also the
 * writers' lock, since whoever takes it after a death heals.
 */
#include "ram/ram_internal.h"

/* A table of heads as large as one object each 2 to 4 KiB; the ghost has as
 * many cells of the same 4 bytes. Each is 0.1 to 0.2 % of the region. */
#define BYTES_PER_HEAD  2048
#define PAGE_BYTES      4096             /* what I/O wants to be aligned to */


static uint64_t
part(uint64_t *off, uint64_t bytes)
{
    uint64_t  at = *off;

    *off = (at + bytes + S3C_RAM_LINE - 1) & ~(uint64_t) (S3C_RAM_LINE - 1);

    return at;
}


static uint64_t
pow2_floor(uint64_t n)
{
    return 1ull << (63 - __builtin_clzll(n));
}


static uint32_t
pins_most(uint64_t bytes)
{
    uint64_t  n = bytes / 32768;

    n = n < S3C_RAM_PINS_CHUNK ? S3C_RAM_PINS_CHUNK : pow2_floor(n);

    return n < S3C_RAM_PINS_CHUNK * S3C_RAM_PINS_CHUNKS
           ? (uint32_t) n : S3C_RAM_PINS_CHUNK * S3C_RAM_PINS_CHUNKS;
}


static bool
conf_possible(size_t bytes, const s3c_ram_conf_t *conf)
{
    return bytes >= S3C_RAM_MIN_BYTES
           && bytes / S3C_RAM_UNIT < S3C_RAM_UNITS_MAX
           && (conf->policy == S3C_RAM_S3FIFO || conf->policy == S3C_RAM_LRU)
           && conf->n_slots >= 1 && conf->n_slots <= S3C_RAM_SLOTS_MAX
           && conf->n_fills >= 1 && conf->n_fills <= S3C_RAM_FILLS_MAX
           && (conf->n_fills & (conf->n_fills - 1)) == 0
           && conf->fill_bytes_max > 0;
}


/* False when the fixed parts leave less than half for the arena. */
static bool
plan(s3c_ram_const_sh_t *c, size_t bytes, const s3c_ram_conf_t *conf)
{
    uint64_t  off = 0, units, dirty;

    memset(c, 0, sizeof(*c));
    c->magic = S3C_RAM_MAGIC;
    c->layout = S3C_RAM_LAYOUT;
    c->policy = conf->policy;
    c->n_slots = conf->n_slots;
    c->n_fills = conf->n_fills;
    c->fill_bytes_max = conf->fill_bytes_max;
    c->region_bytes = bytes;
    memcpy(c->secret, conf->secret, sizeof(c->secret));

    c->n_lists = conf->policy == S3C_RAM_LRU ? S3C_RAM_LRU_LISTS
                                             : S3C_RAM_FIFO_LISTS;
    c->n_heads = (uint32_t) pow2_floor(bytes / BYTES_PER_HEAD);
    c->n_ghost = conf->policy == S3C_RAM_S3FIFO ? c->n_heads : 0;
    c->n_pins = pins_most(bytes);

    dirty = (conf->n_fills + 63) / 64 * 8;
    c->slot_bytes = (uint32_t) ((sizeof(s3c_ram_slot_sh_t) + dirty
                                 + S3C_RAM_LINE - 1) & ~(S3C_RAM_LINE - 1));
    c->fill_bytes = (uint32_t) (sizeof(s3c_ram_fill_sh_t)
                                + (conf->n_slots + 63) / 64 * 8);

    (void) part(&off, sizeof(s3c_ram_head_sh_t));
    c->locks_off = part(&off, (uint64_t) c->n_slots * S3C_RAM_LINE);
    c->slots_off = part(&off, (uint64_t) c->n_slots * c->slot_bytes);
    c->fills_off = part(&off, (uint64_t) c->n_fills * c->fill_bytes);
    c->lists_off = part(&off, c->n_lists * sizeof(s3c_ram_list_sh_t));
    c->heads_off = part(&off, c->n_heads * 4ull);
    c->ghost_off = part(&off, c->n_ghost * 4ull);

    if (off + bytes / 2 > bytes) {
        return false;
    }

    /* Each unit also has a map byte; each 68 objects, which are at least as
     * many units, have a page and 4 bytes to say where it is. */
    units = (bytes - off - 2 * PAGE_BYTES) / (S3C_RAM_UNIT + 2);
    c->n_pages = (uint32_t) (units / (S3C_RAM_PAGE_ENTRIES
                                      + (1u << S3C_RAM_PAGE_ORDER))
                             + c->n_fills / S3C_RAM_PAGE_ENTRIES + 2);

    c->pages_off = part(&off, c->n_pages * 4ull);
    c->map_off = off;
    units = (bytes - off - PAGE_BYTES) / (S3C_RAM_UNIT + 1);
    c->arena_off = (off + units + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1ull);
    c->n_units = (uint32_t) ((bytes - c->arena_off) / S3C_RAM_UNIT);
    c->n_units = c->n_units < units ? c->n_units : (uint32_t) units;

    c->check = s3c_hash64(c, offsetof(s3c_ram_const_sh_t, check));

    return true;
}


void
s3c_ram_bind(s3c_ram_t *ram, void *region)
{
    s3c_ram_at_t        *at = &ram->at;
    s3c_ram_const_sh_t  *c = &ram->c;

    memset(ram, 0, sizeof(*ram));

    at->head = region;
    at->base = region;
    ram->c = at->head->c;
    ram->s = &at->head->s;
    ram->slot = S3C_RAM_NO_SLOT;
    ram->policy = c->policy == S3C_RAM_LRU ? &s3c_ram_lru : &s3c_ram_s3fifo;

    at->lists = (s3c_ram_list_sh_t *) (at->base + c->lists_off);
    at->heads = (uint32_t *) (at->base + c->heads_off);
    at->ghost = (uint32_t *) (at->base + c->ghost_off);
    at->pages = (uint32_t *) (at->base + c->pages_off);
    at->map = at->base + c->map_off;
    at->arena = at->base + c->arena_off;
}


s3c_status_t
s3c_ram_format(void *region, size_t bytes, const s3c_ram_conf_t *conf)
{
    uint32_t             i;
    s3c_ram_t            ram;
    s3c_ram_const_sh_t   c;
    s3c_ram_head_sh_t   *head = region;

    if ((uintptr_t) region % PAGE_BYTES != 0 || !conf_possible(bytes, conf)
        || !plan(&c, bytes, conf))
    {
        return S3C_INVALID;
    }

    memset(region, 0, c.map_off);
    head->c = c;
    s3c_ram_bind(&ram, region);

    if (s3c_robust_lock_init(&head->lock) != S3C_OK
        || s3c_robust_lock_init(&head->scrub) != S3C_OK)
    {
        return S3C_INVALID;
    }

    for (i = 0; i < c.n_slots; i++) {
        if (s3c_robust_lock_init(s3c_ram_slot_lock(&ram, i)) != S3C_OK) {
            return S3C_INVALID;
        }
    }

    s3c_ram_arena_reset_locked(&ram);
    s3c_ram_entry_reset_locked(&ram);
    s3c_ram_fills_reset_locked(&ram);
    ram.policy->reset(&ram);

    return S3C_OK;
}


s3c_status_t
s3c_ram_check_region(const void *region, size_t bytes)
{
    const s3c_ram_head_sh_t  *head = region;

    if (bytes < S3C_RAM_MIN_BYTES
        || (uintptr_t) region % PAGE_BYTES != 0
        || head->c.magic != S3C_RAM_MAGIC
        || head->c.layout != S3C_RAM_LAYOUT
        || head->c.region_bytes != bytes
        || head->c.check != s3c_hash64(&head->c,
                                offsetof(s3c_ram_const_sh_t, check)))
    {
        return S3C_CORRUPT;
    }

    return S3C_OK;
}


s3c_status_t
s3c_ram_check(const void *region, size_t bytes, const s3c_ram_conf_t *conf)
{
    const s3c_ram_head_sh_t  *head = region;

    if (s3c_ram_check_region(region, bytes) != S3C_OK
        || head->c.policy != (uint32_t) conf->policy
        || head->c.n_slots != conf->n_slots
        || head->c.n_fills != conf->n_fills
        || head->c.fill_bytes_max != conf->fill_bytes_max)
    {
        return S3C_CORRUPT;
    }

    return S3C_OK;
}


s3c_status_t
s3c_ram_lock(s3c_ram_t *ram)
{
    s3c_status_t  st = s3c_robust_lock_take(&ram->at.head->lock);

    if (st == S3C_CORRUPT) {
        s3c_ram_heal_locked(ram, false);
        s3c_robust_lock_mended(&ram->at.head->lock);
        st = S3C_OK;
    }

    return st;
}


void
s3c_ram_unlock(s3c_ram_t *ram)
{
    bool  alarm = ram->broken;

    if (ram->broken) {
        s3c_ram_heal_locked(ram, true);
    }

    s3c_robust_lock_drop(&ram->at.head->lock);

    if (alarm && ram->wake != NULL) {
        s3c_ram_alarm(ram);
    }
}
