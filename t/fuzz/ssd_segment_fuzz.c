/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment's header, its trailer and its footer, of arbitrary bytes: nothing
 * is read outside of them, and every entry that is believed lies within the
 * segment. The first byte says which magics and checksums are put right.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "ssd/ssd_media.h"

#define SEGMENT  (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
header_try(const uint8_t *data, bool fix)
{
    uint8_t                *in = malloc(sizeof(s3c_ssd_segment_rec_t));
    s3c_ssd_segment_rec_t   rec, out;

    memcpy(&rec, data, sizeof(rec));

    if (fix) {
        rec.magic = S3C_SSD_MAGIC_SEGMENT;
        rec.crc = s3c_crc32c(0, (uint8_t *) &rec + 8, sizeof(rec) - 8);
    }

    memcpy(in, &rec, sizeof(rec));

    if (s3c_ssd_segment_decode(in, rec.store_id, rec.segment, &out) == S3C_OK
        && (out.version != S3C_SSD_VERSION
            || memcmp(&out, &rec, sizeof(rec)) != 0))
    {
        abort();
    }

    free(in);
}


/* `n` bytes of entries follow the trailer; as many whole entries as the
 * trailer says are there are given, zeros where the input ends. */
static void
footer_try(const uint8_t *data, size_t n, uint8_t how)
{
    size_t                  bytes;
    uint64_t                end;
    uint8_t                *entries, *in;
    s3c_ssd_footer_rec_t    e;
    s3c_ssd_trailer_rec_t   t, out;

    memcpy(&t, data, sizeof(t));
    data += sizeof(t);

    if (how & 2) {                       /* possible, but for a few */
        t.version = S3C_SSD_VERSION;
        t.n_records %= 64;
        t.footer_off = SEGMENT - s3c_ssd_footer_bytes(t.n_records);
    }

    bytes = t.n_records < 4096 ? t.n_records * sizeof(e) : 0;
    entries = calloc(1, bytes + 1);
    memcpy(entries, data, n < bytes ? n : bytes);

    if (how & 4) {
        t.footer_crc = s3c_crc32c(0, entries, bytes);
    }

    if (how & 8) {
        t.magic = S3C_SSD_MAGIC_TRAILER;
        t.crc = s3c_crc32c(0, (uint8_t *) &t + 8, sizeof(t) - 8);
    }

    in = malloc(sizeof(t));
    memcpy(in, &t, sizeof(t));

    if (s3c_ssd_trailer_decode(in, t.store_id, t.segment_seq, SEGMENT, &out)
        == S3C_OK)
    {
        if (out.n_records >= 4096
            || out.footer_off + s3c_ssd_footer_bytes(out.n_records)
               != SEGMENT)
        {
            abort();
        }

        if (s3c_ssd_footer_decode(entries, &out, SEGMENT) == S3C_OK) {
            for (uint32_t i = 0; i < out.n_records; i++) {
                e = s3c_ssd_footer_entry(entries, i);
                end = (uint64_t) e.unit * S3C_SSD_UNIT
                      + s3c_ssd_record_bytes(e.size);

                if (e.unit < S3C_SSD_BLOCK / S3C_SSD_UNIT
                    || end > out.footer_off || e.record_seq > out.last_seq)
                {
                    abort();
                }
            }
        }
    }

    free(entries);
    free(in);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + sizeof(s3c_ssd_trailer_rec_t)) {
        return 0;
    }

    header_try(data + 1, data[0] & 1);
    footer_try(data + 1, size - 1 - sizeof(s3c_ssd_trailer_rec_t), data[0]);

    return 0;
}
