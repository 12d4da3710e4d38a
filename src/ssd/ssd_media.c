/* SPDX-License-Identifier: Apache-2.0
 *
 * Segment headers, frames, footers and trailers: written as they lie on flash,
 * and read back with every doubt. Superblocks have a file of their own.
 *
 * The order of the doubts is the same everywhere: magic (else nothing of ours
 * is there), checksum, does it belong here (store, use, key), can it be. So
 * what belongs to somebody else is never called broken, and no field is looked
 * at before its checksum. Input may lie at any address.
 */
#include "ssd/ssd_media.h"

#include <string.h>

#include "base/crc32c.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "what lies on flash is little-endian, and read as it is"
#endif

#define RECORD_SIZE_MAX  (S3C_SSD_SEGMENT_MAX / 2)

/* Every structure but the superblock begins with magic and checksum, in this
   order; the checksum is of the rest. */
#define CHECKED_FROM  (2 * sizeof(uint32_t))

static_assert(offsetof(s3c_ssd_segment_rec_t, store_id) == CHECKED_FROM,
              "segment header");
static_assert(offsetof(s3c_ssd_frame_rec_t, key_lo) == CHECKED_FROM, "frame");
static_assert(offsetof(s3c_ssd_trailer_rec_t, store_id) == CHECKED_FROM,
              "trailer");


static uint32_t
rest_crc(const void *rec, size_t bytes)
{
    return s3c_crc32c(0, (const uint8_t *) rec + CHECKED_FROM,
                      bytes - CHECKED_FROM);
}


void
s3c_ssd_segment_encode(void *out, uint64_t store_id, uint32_t segment,
    uint64_t segment_seq, uint64_t floor)
{
    s3c_ssd_segment_rec_t  rec = {
        .magic = S3C_SSD_MAGIC_SEGMENT,
        .store_id = store_id,
        .segment_seq = segment_seq,
        .floor = floor,
        .segment = segment,
        .version = S3C_SSD_VERSION,
    };

    rec.crc = rest_crc(&rec, sizeof(rec));
    memcpy(out, &rec, sizeof(rec));
}


s3c_status_t
s3c_ssd_segment_decode(const void *in, uint64_t store_id, uint32_t segment,
    s3c_ssd_segment_rec_t *out)
{
    s3c_ssd_segment_rec_t  rec;

    memcpy(&rec, in, sizeof(rec));

    if (rec.magic != S3C_SSD_MAGIC_SEGMENT) {
        return S3C_MISS;
    }

    if (rec.crc != rest_crc(&rec, sizeof(rec))) {
        *out = rec;
        return S3C_CORRUPT;
    }

    if (rec.store_id != store_id || rec.segment != segment) {
        return S3C_MISS;
    }

    if (rec.version != S3C_SSD_VERSION) {
        return S3C_UNSUPPORTED;
    }

    *out = rec;

    return S3C_OK;
}


void
s3c_ssd_frame_encode(s3c_ssd_frame_rec_t *head)
{
    head->magic = S3C_SSD_MAGIC_FRAME;
    head->head_crc = rest_crc(head, sizeof(*head));
}


static inline bool
seq_other(uint64_t expected, uint64_t is)
{
    return expected != 0 && expected != is;
}


static bool
frame_expected(const s3c_ssd_frame_rec_t *head, const s3c_ssd_expect_t *expect)
{
    if (!expect->any_key
        && (head->key_lo != expect->key.lo || head->key_hi != expect->key.hi))
    {
        return false;
    }

    return !seq_other(expect->store_id, head->store_id)
           && !seq_other(expect->segment_seq, head->segment_seq)
           && !seq_other(expect->record_seq, head->record_seq)
           && head->frame == expect->frame;
}


/* kind, and the payload that a record of this kind can have */
static bool
kind_possible(uint8_t kind, uint32_t size)
{
    switch (kind) {
    case S3C_SSD_KIND_RECORD:
        return size <= RECORD_SIZE_MAX;
    case S3C_SSD_KIND_TOMBSTONE:
        return size == 0;
    default:
        return false;
    }
}


/* A seq of 0 means "not known" to readers, who learn theirs from frame 0. */
static bool
frame_possible(const s3c_ssd_frame_rec_t *head)
{
    uint32_t  n;

    if (head->zero != 0
        || head->segment_seq == 0
        || head->record_seq == 0
        || !kind_possible(head->kind, head->size))
    {
        return false;
    }

    n = s3c_ssd_n_frames(head->size);

    return head->frame < n && (head->frame == n - 1 || head->whole_crc == 0);
}


s3c_status_t
s3c_ssd_frame_decode(const uint8_t *in, size_t avail,
    const s3c_ssd_expect_t *expect, bool check_payload,
    s3c_ssd_frame_rec_t *out)
{
    uint32_t             len;
    s3c_ssd_frame_rec_t  head;

    if (avail < sizeof(head)) {
        return S3C_AGAIN;
    }

    memcpy(&head, in, sizeof(head));

    if (head.magic != S3C_SSD_MAGIC_FRAME) {
        return S3C_MISS;
    }

    if (head.head_crc != rest_crc(&head, sizeof(head))) {
        return S3C_CORRUPT;
    }

    if (!frame_expected(&head, expect)) {
        return S3C_MISS;
    }

    if (!frame_possible(&head)) {
        return S3C_CORRUPT;
    }

    if (check_payload) {
        len = s3c_ssd_frame_len(head.size, head.frame);

        if (avail - sizeof(head) < len) {
            return S3C_AGAIN;
        }

        if (s3c_crc32c(0, in + sizeof(head), len) != head.payload_crc) {
            return S3C_CORRUPT;
        }
    }

    *out = head;

    return S3C_OK;
}


void
s3c_ssd_footer_encode(void *out, uint64_t store_id, uint64_t segment_seq,
    uint64_t last_seq, const s3c_ssd_footer_rec_t *entries, uint32_t n,
    uint32_t segment_bytes)
{
    size_t                 bytes = (size_t) n * sizeof(*entries);
    uint32_t               total = s3c_ssd_footer_bytes(n);
    s3c_ssd_trailer_rec_t  rec = {
        .magic = S3C_SSD_MAGIC_TRAILER,
        .store_id = store_id,
        .segment_seq = segment_seq,
        .last_seq = last_seq,
        .n_records = n,
        .footer_off = segment_bytes - total,
        .version = S3C_SSD_VERSION,
    };

    assert(total <= segment_bytes - S3C_SSD_BLOCK);

    memset(out, 0, total);

    if (n > 0) {
        rec.footer_crc = s3c_crc32c_copy(0, out, entries, bytes);
    }

    rec.crc = rest_crc(&rec, sizeof(rec));
    memcpy((uint8_t *) out + total - S3C_SSD_BLOCK, &rec, sizeof(rec));
}


/* Each record has a unit at least, between the header and the footer; said
   without a product that could overflow. */
static bool
trailer_possible(const s3c_ssd_trailer_rec_t *rec, uint32_t segment_bytes)
{
    return rec->version == S3C_SSD_VERSION
           && rec->n_records <= segment_bytes / S3C_SSD_UNIT
           && rec->footer_off >= S3C_SSD_BLOCK
           && rec->footer_off < segment_bytes
           && rec->footer_off + s3c_ssd_footer_bytes(rec->n_records)
              == segment_bytes
           && rec->n_records <= (rec->footer_off - S3C_SSD_BLOCK)
                                / S3C_SSD_UNIT;
}


s3c_status_t
s3c_ssd_trailer_decode(const void *block, uint64_t store_id,
    uint64_t segment_seq, uint32_t segment_bytes, s3c_ssd_trailer_rec_t *out)
{
    s3c_ssd_trailer_rec_t  rec;

    memcpy(&rec, block, sizeof(rec));

    if (rec.magic != S3C_SSD_MAGIC_TRAILER) {
        return S3C_MISS;
    }

    if (rec.crc != rest_crc(&rec, sizeof(rec))) {
        return S3C_CORRUPT;
    }

    if (rec.store_id != store_id || rec.segment_seq != segment_seq) {
        return S3C_MISS;
    }

    /* its header, of the same use, had our version: so has this */
    if (!trailer_possible(&rec, segment_bytes)) {
        return S3C_CORRUPT;
    }

    *out = rec;

    return S3C_OK;
}


static bool
entry_possible(const s3c_ssd_footer_rec_t *e,
    const s3c_ssd_trailer_rec_t *trailer, uint32_t segment_bytes)
{
    uint64_t              off = (uint64_t) e->unit * S3C_SSD_UNIT;
    static const uint8_t  zero[sizeof(e->zero)];

    return memcmp(e->zero, zero, sizeof(zero)) == 0
           && kind_possible(e->kind, e->size)
           && e->size <= segment_bytes / 2
           && e->record_seq != 0
           && e->record_seq <= trailer->last_seq
           && off >= S3C_SSD_BLOCK
           && off + (uint64_t) s3c_ssd_record_units(e->size) * S3C_SSD_UNIT
              <= trailer->footer_off;
}


s3c_status_t
s3c_ssd_footer_decode(const uint8_t *entries,
    const s3c_ssd_trailer_rec_t *trailer, uint32_t segment_bytes)
{
    size_t                bytes;
    uint32_t              i;
    s3c_ssd_footer_rec_t  e;

    bytes = (size_t) trailer->n_records * sizeof(e);

    if (s3c_crc32c(0, entries, bytes) != trailer->footer_crc) {
        return S3C_CORRUPT;
    }

    for (i = 0; i < trailer->n_records; i++) {
        e = s3c_ssd_footer_entry(entries, i);

        if (!entry_possible(&e, trailer, segment_bytes)) {
            return S3C_CORRUPT;
        }
    }

    return S3C_OK;
}


s3c_ssd_footer_rec_t
s3c_ssd_footer_entry(const uint8_t *entries, uint32_t i)
{
    s3c_ssd_footer_rec_t  e;

    memcpy(&e, entries + (size_t) i * sizeof(e), sizeof(e));

    return e;
}
