/* SPDX-License-Identifier: Apache-2.0
 *
 * The tier's numbers. Read without the lock: each is right by itself, their
 * sum may be off by what happens meanwhile.
 */
#include "ram/ram_internal.h"


void
s3c_ram_usage(const s3c_ram_t *ram, s3c_ram_usage_t *u)
{
    uint32_t                   slot, chunk, chunks = 0;
    uint64_t                   limbo, units;
    const s3c_ram_state_sh_t  *s = ram->s;

    memset(u, 0, sizeof(*u));

    for (slot = 0; slot < ram->c.n_slots; slot++) {
        u->slots += S3C_RAM_GET(s3c_ram_slot_at(ram, slot)->taken) != 0;

        for (chunk = 0; chunk < S3C_RAM_PINS_CHUNKS; chunk++) {
            chunks += s3c_ram_pins_of(ram, slot, chunk) != NULL;
        }
    }

    units = S3C_RAM_GET(s->payload_units);
    limbo = S3C_RAM_GET(s->limbo_units);

    u->region_bytes = ram->c.region_bytes;
    u->arena_bytes = (uint64_t) ram->c.n_units << S3C_RAM_UNIT_SHIFT;
    u->payload_bytes = S3C_RAM_GET(s->payload_bytes);
    u->allocated_bytes = (units > limbo ? units - limbo : 0)
                         << S3C_RAM_UNIT_SHIFT;
    u->index_bytes = u->region_bytes - u->arena_bytes
                     + ((uint64_t) (S3C_RAM_GET(s->pages_used) + chunks)
                        << (S3C_RAM_UNIT_SHIFT + S3C_RAM_PAGE_ORDER));
    u->fill_bytes = S3C_RAM_GET(s->fill_bytes);
    u->entries = S3C_RAM_GET(s->n_entries);
    u->fills = S3C_RAM_GET(s->n_filling);
    u->limbo = S3C_RAM_GET(s->n_limbo);
    u->pins = s3c_ram_pins_count(ram);

    u->n_insert = S3C_RAM_GET(s->n_insert);
    u->n_evict = S3C_RAM_GET(s->n_evict);
    u->evict_bytes = S3C_RAM_GET(s->evict_bytes);
    u->n_drop = S3C_RAM_GET(s->n_drop);
    u->n_ghost_hit = S3C_RAM_GET(s->n_ghost_hit);
    u->n_full = S3C_RAM_GET(s->n_full);
    u->n_busy = S3C_RAM_GET(s->n_busy);
    u->n_heal = S3C_RAM_GET(s->n_heal);
    u->n_dead_worker = S3C_RAM_GET(s->n_dead_worker);
}
