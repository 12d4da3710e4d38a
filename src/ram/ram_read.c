/* SPDX-License-Identifier: Apache-2.0
 *
 * What the holder of a pin may look at: size, head, spans. No lock. The pin
 * keeps extents and map bytes still; what a broken region says is checked all
 * the same, and a broken extent ends the walk: fewer bytes are covered.
 */
#include "ram/ram_internal.h"


static inline uint32_t
size_of(const s3c_ram_entry_sh_t *e)
{
    uint32_t  size;

    if (e == NULL) {
        return 0;
    }

    size = S3C_RAM_GET_ACQ(e->size);

    return size & S3C_RAM_F_MEM ? size & S3C_RAM_SIZE_MASK : 0;
}


uint32_t
s3c_ram_size(const s3c_ram_t *ram, const s3c_ram_pin_t *pin)
{
    return size_of(s3c_ram_entry_at(ram, pin->entry));
}


void *
s3c_ram_head(const s3c_ram_t *ram, const s3c_ram_pin_t *pin)
{
    s3c_ram_extents_t          x;
    const s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, pin->entry);

    if (e == NULL) {
        return NULL;
    }

    x = s3c_ram_extents(ram, e);

    if (x.n == 0 || s3c_ram_block_order(ram, S3C_RAM_GET(x.ext[0])) < 0) {
        return NULL;
    }

    return s3c_ram_unit_at(ram, S3C_RAM_GET(x.ext[0]));
}


size_t
s3c_ram_span(const s3c_ram_t *ram, const s3c_ram_pin_t *pin, size_t off,
    size_t len, struct iovec *iov, int *n)
{
    int                        order, used = 0;
    size_t                     bytes, covered = 0, size;
    uint8_t                   *p;
    uint32_t                   i, unit;
    s3c_ram_extents_t          x;
    const s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, pin->entry);

    size = size_of(e);

    if (off >= size) {                        /* 0 when there is no entry */
        *n = 0;
        return 0;
    }

    len = len < size - off ? len : size - off;
    x = s3c_ram_extents(ram, e);

    for (i = 0; i < x.n && covered < len; i++) {
        unit = S3C_RAM_GET(x.ext[i]);
        order = s3c_ram_block_order(ram, unit);
        if (order < 0) {
            break;
        }

        bytes = (size_t) S3C_RAM_UNIT << order;

        if (off >= bytes) {
            off -= bytes;
            continue;
        }

        p = s3c_ram_unit_at(ram, unit) + off;
        bytes -= off;
        bytes = bytes < len - covered ? bytes : len - covered;
        off = 0;

        if (used > 0 && (uint8_t *) iov[used - 1].iov_base
                        + iov[used - 1].iov_len == p)
        {
            iov[used - 1].iov_len += bytes;      /* neighbours by chance */

        } else if (used < *n) {
            iov[used++] = (struct iovec) { p, bytes };

        } else {
            break;
        }

        covered += bytes;
    }

    *n = used;

    return covered;
}
