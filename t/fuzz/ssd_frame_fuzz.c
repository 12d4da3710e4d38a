/* SPDX-License-Identifier: Apache-2.0
 *
 * A frame of arbitrary bytes, in memory that ends where it ends: what is
 * believed lies within and is what was asked for. The first byte says which
 * checksums are put right, whether the payload is looked at, and whether the
 * frame is expected to be what it says it is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "ssd/ssd_media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
frame_fix(uint8_t *in, size_t size, uint8_t how)
{
    uint32_t             len;
    s3c_ssd_frame_rec_t  h;

    memcpy(&h, in, sizeof(h));

    if (how & 1) {
        h.kind = 1 + h.kind % 2;
        h.zero = 0;
        h.size %= 1u << 18;
        h.frame %= 9;
    }

    len = s3c_ssd_frame_len(h.size, h.frame);

    if ((how & 2) && len <= size - sizeof(h)) {
        h.payload_crc = s3c_crc32c(0, in + sizeof(h), len);
    }

    if (how & 4) {
        s3c_ssd_frame_encode(&h);
    }

    memcpy(in, &h, sizeof(h));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool                  check;
    uint8_t               how, *in;
    s3c_ssd_expect_t      expect = { .any_key = true };
    s3c_ssd_frame_rec_t   h, out;

    if (size < 1) {
        return 0;
    }

    how = data[0];
    size--;
    check = how & 8;
    in = malloc(size + 1);               /* at an odd address, to its end */
    memcpy(in + 1, data + 1, size);

    if (size >= sizeof(h)) {
        frame_fix(in + 1, size, how);
        memcpy(&h, in + 1, sizeof(h));

        if (how & 16) {
            expect = (s3c_ssd_expect_t) {
                .key = { h.key_lo, h.key_hi }, .store_id = h.store_id,
                .segment_seq = h.segment_seq, .record_seq = h.record_seq,
                .frame = h.frame
            };
        }
    }

    if (s3c_ssd_frame_decode(in + 1, size, &expect, check, &out) == S3C_OK) {
        if (out.frame != expect.frame
            || out.frame >= s3c_ssd_n_frames(out.size)
            || out.size > S3C_SSD_SEGMENT_MAX / 2
            || (out.kind == S3C_SSD_KIND_TOMBSTONE && out.size != 0)
            || (check && s3c_ssd_frame_len(out.size, out.frame)
                         > size - sizeof(out)))
        {
            abort();
        }
    }

    free(in);

    return 0;
}
