/* SPDX-License-Identifier: Apache-2.0
 *
 * The two images of a file, sector by sector.
 */
#include "sim_image.h"

#include <string.h>


void
sim_file_dirty(sim_file_t *f, uint64_t off, uint64_t len, bool dirty)
{
    for (uint64_t s = off / SIM_SECTOR; s < (off + len) / SIM_SECTOR; s++) {
        if (dirty) {
            f->dirty[s / 8] |= (uint8_t) (1u << s % 8);

        } else {
            f->dirty[s / 8] &= (uint8_t) ~(1u << s % 8);
        }
    }
}


/* Sector s becomes one in both images. */
static void
sector_choose(sim_file_t *f, uint64_t s, bool keep_new)
{
    uint8_t  *seen = f->seen + s * SIM_SECTOR;
    uint8_t  *stable = f->stable + s * SIM_SECTOR;

    memcpy(keep_new ? stable : seen, keep_new ? seen : stable, SIM_SECTOR);
    f->dirty[s / 8] &= (uint8_t) ~(1u << s % 8);
}


void
sim_file_settle(sim_file_t *f, uint64_t *rng, uint32_t permille)
{
    for (uint64_t s = 0; s < f->bytes / SIM_SECTOR; s++) {
        if (f->dirty[s / 8] == 0) {
            s |= 7;
            continue;
        }

        if (f->dirty[s / 8] >> s % 8 & 1) {
            sector_choose(f, s, sim_below(rng, 1000) < permille);
        }
    }
}


uint32_t
sim_file_clip(const sim_file_t *f, uint64_t off, uint32_t len)
{
    return off >= f->end ? 0
           : f->end - off < len ? (uint32_t) (f->end - off) : len;
}


void
sim_disk_flip(sim_disk_t *disk, uint32_t file, uint64_t off, uint32_t bit)
{
    disk->files[file].seen[off] ^= (uint8_t) (1u << bit);
    disk->files[file].stable[off] ^= (uint8_t) (1u << bit);
}


void
sim_disk_read(sim_disk_t *disk, uint32_t file, uint64_t off, void *to,
    size_t len)
{
    sim_check(off + len <= disk->files[file].bytes);
    memcpy(to, disk->files[file].seen + off, len);
}


void
sim_disk_write(sim_disk_t *disk, uint32_t file, uint64_t off,
    const void *from, size_t len)
{
    sim_check(off + len <= disk->files[file].bytes);
    memcpy(disk->files[file].seen + off, from, len);
    memcpy(disk->files[file].stable + off, from, len);
}


void
sim_disk_truncate(sim_disk_t *disk, uint32_t file, uint64_t bytes)
{
    sim_check(bytes <= disk->files[file].bytes);
    disk->files[file].end = bytes;
}
