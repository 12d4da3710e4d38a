/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of a segment that has no footer: heads of a first frame are
 * looked for unit by unit, and a record counts when all of its frames follow,
 * whole. Goes forward only: after a bad frame the search goes on behind it,
 * for nothing can begin inside a record. Memory in, records out; no I/O.
 */
#include "ssd/ssd_keeper.h"

#include <string.h>

#include "base/crc32c.h"


void
s3c_ssd_scan_init(s3c_ssd_scan_t *scan, uint64_t store_id,
    uint64_t segment_seq, uint32_t segment_bytes)
{
    memset(scan, 0, sizeof(*scan));
    scan->store_id = store_id;
    scan->segment_seq = segment_seq;
    scan->segment_bytes = segment_bytes;
    scan->at = S3C_SSD_BLOCK;
}


uint32_t
s3c_ssd_scan_next(const s3c_ssd_scan_t *scan)
{
    if (scan->at > scan->segment_bytes - S3C_SSD_UNIT) {
        return scan->segment_bytes;
    }

    return scan->at & ~(S3C_SSD_BLOCK - 1);
}


static uint32_t
unit_up(uint32_t at)
{
    return (at + S3C_SSD_UNIT - 1) & ~(S3C_SSD_UNIT - 1);
}


/* No record that can be believed lies here. */
static void
scan_skip(s3c_ssd_scan_t *scan)
{
    scan->at = scan->in_record ? unit_up(scan->at + 1)
                               : scan->at + S3C_SSD_UNIT;
    scan->in_record = false;
}


/* A whole frame at `at`. True: it was the record's last, and all is well. */
static bool
scan_frame(s3c_ssd_scan_t *scan, const s3c_ssd_frame_rec_t *head)
{
    uint32_t  len = s3c_ssd_frame_len(head->size, scan->frame);

    if (!scan->in_record) {
        scan->in_record = true;
        scan->first = *head;
        scan->start = scan->at;
        scan->crc = 0;

    } else if (head->size != scan->first.size
               || head->kind != scan->first.kind)
    {
        scan_skip(scan);
        return false;
    }

    scan->crc = scan->frame == 0 ? head->payload_crc
                : s3c_crc32c_combine(scan->crc, head->payload_crc, len);
    scan->at += S3C_SSD_HEAD_BYTES + len;
    scan->frame++;

    if (scan->frame < s3c_ssd_n_frames(scan->first.size)) {
        return false;
    }

    scan->in_record = false;
    scan->at = unit_up(scan->at);

    return head->whole_crc == scan->crc;
}


uint32_t
s3c_ssd_scan_step(s3c_ssd_scan_t *scan, const uint8_t *window, uint32_t len,
    s3c_ssd_footer_rec_t found[S3C_SSD_SCAN_MAX])
{
    bool                  last;
    uint32_t              n = 0, off = s3c_ssd_scan_next(scan);
    s3c_status_t          st;
    s3c_ssd_expect_t      expect;
    s3c_ssd_frame_rec_t   head;

    last = off + len >= scan->segment_bytes;

    while (scan->at < off + len && n < S3C_SSD_SCAN_MAX) {

        if (!scan->in_record) {
            scan->frame = 0;
        }

        expect = (s3c_ssd_expect_t) {
            .any_key = !scan->in_record,
            .key = { .lo = scan->first.key_lo, .hi = scan->first.key_hi },
            .store_id = scan->store_id,
            .segment_seq = scan->segment_seq,
            .record_seq = scan->in_record ? scan->first.record_seq : 0,
            .frame = scan->frame
        };

        st = s3c_ssd_frame_decode(window + (scan->at - off),
                                  off + len - scan->at, &expect, true, &head);

        if (st == S3C_AGAIN && !last) {
            break;
        }

        if (st != S3C_OK) {
            scan_skip(scan);
            continue;
        }

        if (scan_frame(scan, &head)) {
            found[n++] = (s3c_ssd_footer_rec_t) {
                .key_lo = scan->first.key_lo,
                .key_hi = scan->first.key_hi,
                .record_seq = scan->first.record_seq,
                .unit = scan->start / S3C_SSD_UNIT,
                .size = scan->first.size,
                .kind = scan->first.kind
            };
        }
    }

    return n;
}
