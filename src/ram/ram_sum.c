/* SPDX-License-Identifier: Apache-2.0
 *
 * Checksums of payloads: CRC32C over all but the bytes at the front that may
 * change, computed by the leader just before the commit, when they are still in
 * the processor's cache, and outside the lock. It is in place before the entry
 * is live; who dies in between leaves a fill, which the sweep fails.
 */
#include "ram/ram_internal.h"

#include "base/crc32c.h"

#define SPANS  16


bool
s3c_ram_sum_add(const s3c_ram_t *ram, const s3c_ram_pin_t *pin, uint32_t off,
    uint32_t len, uint32_t *crc)
{
    int           i, n;
    size_t        got;
    struct iovec  iov[SPANS];

    while (len > 0) {
        n = SPANS;
        got = s3c_ram_span(ram, pin, off, len, iov, &n);

        if (got == 0) {
            return false;
        }

        for (i = 0; i < n; i++) {
            *crc = s3c_crc32c(*crc, iov[i].iov_base, iov[i].iov_len);
        }

        off += (uint32_t) got;
        len -= (uint32_t) got;
    }

    return true;
}


uint32_t
s3c_ram_sum_from(const s3c_ram_t *ram, const s3c_ram_pin_t *pin)
{
    int           n = 1;
    uint32_t      from, size = s3c_ram_size(ram, pin);
    struct iovec  iov;

    if (ram->skip == NULL
        || s3c_ram_span(ram, pin, 0, size, &iov, &n) == 0)
    {
        return 0;
    }

    from = ram->skip(iov.iov_base, iov.iov_len);

    return from < size ? from : size;
}


void
s3c_ram_sum_seal(s3c_ram_t *ram, const s3c_ram_pin_t *pin)
{
    uint32_t             from, size, crc = 0;
    s3c_ram_entry_sh_t  *e = s3c_ram_entry_at(ram, pin->entry);

    if (e == NULL) {
        return;
    }

    size = s3c_ram_size(ram, pin);
    from = s3c_ram_sum_from(ram, pin);

    if (size > 0 && s3c_ram_sum_add(ram, pin, from, size - from, &crc)) {
        S3C_RAM_SET(*s3c_ram_sum_at(e, pin->entry), s3c_ram_sum_of(crc));
    }
}


void
s3c_ram_sums(s3c_ram_t *ram, s3c_ram_skip_pt skip)
{
    ram->skip = skip;
}
