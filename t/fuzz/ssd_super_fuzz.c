/* SPDX-License-Identifier: Apache-2.0
 *
 * The first 8 KiB of a file, of arbitrary bytes: what is believed is possible.
 * The first byte says for which copies magic, version, sizes and checksum are
 * put right, so that what lies behind them is reached; the rest is shared out
 * between the copies.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "ssd/ssd_media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
copy_fix(uint8_t *block, bool sizes)
{
    s3c_ssd_super_rec_t  rec;

    memcpy(&rec, block, sizeof(rec));
    rec.magic = S3C_SSD_MAGIC_SUPER;
    rec.crc = 0;

    if (sizes) {
        rec.version = S3C_SSD_VERSION;
        rec.segment_bytes = 1u << (20 + rec.segment_bytes % 9);
        rec.bytes = (8 + rec.bytes % 1000) * rec.segment_bytes;
        rec.zero = 0;
    }

    memcpy(block, &rec, sizeof(rec));
    rec.crc = s3c_crc32c(0, block, S3C_SSD_BLOCK);
    memcpy(block, &rec, sizeof(rec));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            half;
    uint8_t          *in;
    s3c_ssd_super_t   s, again;

    if (size < 1 || size > S3C_SSD_SUPER_BYTES) {
        return 0;
    }

    in = calloc(1, S3C_SSD_SUPER_BYTES);
    half = (size - 1) / 2;
    memcpy(in, data + 1, half);
    memcpy(in + S3C_SSD_BLOCK, data + 1 + half, half);

    for (int i = 0; i < 2; i++) {
        if (data[0] & 1 << i) {
            copy_fix(in + i * S3C_SSD_BLOCK, data[0] & 4 << i);
        }
    }

    if (s3c_ssd_super_decode(in, &s) == S3C_OK) {
        if (s.segment_bytes == 0 || s.bytes % s.segment_bytes != 0
            || s.bytes > S3C_SSD_STORE_BYTES_MAX
            || s.epoch >= 1ull << 24)
        {
            abort();
        }

        memset(in, 0, S3C_SSD_SUPER_BYTES);
        s3c_ssd_super_encode(in, &s);

        if (s3c_ssd_super_decode(in, &again) != S3C_OK
            || again.epoch != s.epoch || again.bytes != s.bytes
            || again.store_id != s.store_id || again.lost_copy)
        {
            abort();
        }
    }

    free(in);

    return 0;
}
