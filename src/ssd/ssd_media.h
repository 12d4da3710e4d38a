/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies on flash, little-endian, and its checked reading. Every structure
 * carries magic, the store's id and a CRC32C; what does not fit is a MISS, a
 * CORRUPT or an UNSUPPORTED, never an assert.
 *
 *   store    [superblock copy 0 | copy 1 | (pad to 1 segment)] [segment]...
 *   segment  [header 4 KiB][records ...][footer: entries][trailer 4 KiB]
 *   record   [frame]...  begins on a unit (512 B); frames follow each other
 *            without a gap: head of 80 B, then up to 32 KiB of payload
 *
 * The first segment_bytes of a store are the superblock's; segment number i
 * (from 0) lies at (i + 1) * segment_bytes.
 *
 * A frame tells everything about itself, so that one I/O over it alone can be
 * believed: key, record, segment's use, place in the record, both CRCs. A
 * segment is used again and again: `segment_seq` tells the uses apart, so old
 * bytes under a new header are never taken for new ones.
 *
 * record_seq orders all records of a zone: the highest of a key wins. A
 * segment's header carries `floor`: records of a lower seq, wherever they lie,
 * are of reclaimed segments or as old as those, and count no more (or a
 * tombstone could be reclaimed before what it kills). A segment that is
 * reclaimed gets a header without a use, which says that it is free and has
 * the raised floor, before anything of it leaves the index.
 *
 * A torn segment has a header but no trailer of the same use: its records are
 * found by looking for frames that begin a record, unit by unit.
 */
#ifndef S3C_SSD_SSD_MEDIA_H
#define S3C_SSD_SSD_MEDIA_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "ssd/ssd.h"

#define S3C_SSD_VERSION        1u
#define S3C_SSD_MAGIC_SUPER    0x5353435331443353ull   /* any constant */
#define S3C_SSD_MAGIC_SEGMENT  0x53533353u
#define S3C_SSD_MAGIC_FRAME    0x46533353u
#define S3C_SSD_MAGIC_TRAILER  0x54533353u
#define S3C_SSD_BLOCK          4096u     /* every write is whole blocks */
#define S3C_SSD_SEQ_FREE       0u        /* no use of a segment has this seq */

typedef struct {                         /* one copy: first bytes of a block */
    uint64_t  magic;
    uint32_t  version;
    uint32_t  crc;                       /* of the block with this as 0 */
    uint64_t  store_id;
    uint64_t  epoch;
    uint64_t  bytes;
    uint32_t  segment_bytes;
    uint32_t  zero;
    uint8_t   secret[S3C_HASH_SECRET_BYTES];
} s3c_ssd_super_rec_t;
static_assert(sizeof(s3c_ssd_super_rec_t) == 240, "superblock");

typedef struct {
    uint32_t  magic;
    uint32_t  crc;                       /* of the rest */
    uint64_t  store_id;
    uint64_t  segment_seq;               /* this use of the segment, or
                                            S3C_SSD_SEQ_FREE */
    uint64_t  floor;
    uint32_t  segment;                   /* its number */
    uint32_t  version;
} s3c_ssd_segment_rec_t;
static_assert(sizeof(s3c_ssd_segment_rec_t) == 40, "segment header");

typedef enum {
    S3C_SSD_KIND_RECORD = 1,
    S3C_SSD_KIND_TOMBSTONE               /* no payload */
} s3c_ssd_kind_t;

typedef struct {
    uint32_t  magic;
    uint32_t  head_crc;                  /* of the 72 bytes after this */
    uint64_t  key_lo, key_hi;
    uint64_t  store_id;
    uint64_t  segment_seq;
    uint64_t  record_seq;
    uint64_t  tag[2];
    uint32_t  size;                      /* payload of the whole record */
    uint16_t  frame;                     /* its number in the record */
    uint8_t   kind;
    uint8_t   zero;
    uint32_t  payload_crc;               /* of this frame's payload */
    uint32_t  whole_crc;                 /* last frame: composed; else 0 */
} s3c_ssd_frame_rec_t;
static_assert(sizeof(s3c_ssd_frame_rec_t) == 80, "frame head");

typedef struct {
    uint64_t  key_lo, key_hi;
    uint64_t  record_seq;
    uint32_t  unit;                      /* of its start, in the segment */
    uint32_t  size;                      /* payload */
    uint8_t   kind;
    uint8_t   zero[7];
} s3c_ssd_footer_rec_t;
static_assert(sizeof(s3c_ssd_footer_rec_t) == 40, "footer entry");

typedef struct {                         /* begins the segment's last block */
    uint32_t  magic;
    uint32_t  crc;                       /* of the rest */
    uint64_t  store_id;
    uint64_t  segment_seq;
    uint64_t  last_seq;                  /* highest record_seq in it */
    uint32_t  n_records;                 /* entries, tombstones included */
    uint32_t  footer_crc;                /* of all entries */
    uint32_t  footer_off;                /* in the segment, of the entries:
                                            a multiple of the block */
    uint32_t  version;
} s3c_ssd_trailer_rec_t;
static_assert(sizeof(s3c_ssd_trailer_rec_t) == 48, "trailer");

#define S3C_SSD_HEAD_BYTES   ((uint32_t) sizeof(s3c_ssd_frame_rec_t))

/* --- geometry, pure ------------------------------------------------------ */

static inline uint32_t
s3c_ssd_n_frames(uint32_t size)          /* a tombstone has one */
{
    return size == 0 ? 1 : (size - 1) / S3C_SSD_FRAME_BYTES + 1;
}

/* Bytes of a record: heads and payload, not rounded. */
static inline uint64_t
s3c_ssd_record_bytes(uint32_t size)
{
    return (uint64_t) s3c_ssd_n_frames(size) * S3C_SSD_HEAD_BYTES + size;
}

static inline uint32_t
s3c_ssd_record_units(uint32_t size)
{
    return (uint32_t) ((s3c_ssd_record_bytes(size) + S3C_SSD_UNIT - 1)
                       / S3C_SSD_UNIT);
}

/* Where frame `frame` begins in its record. */
static inline uint64_t
s3c_ssd_frame_off(uint32_t frame)
{
    return (uint64_t) frame * (S3C_SSD_HEAD_BYTES + S3C_SSD_FRAME_BYTES);
}

static inline uint32_t
s3c_ssd_frame_len(uint32_t size, uint32_t frame)   /* its payload */
{
    uint32_t  at = frame * S3C_SSD_FRAME_BYTES;

    return size <= at ? 0
           : size - at < S3C_SSD_FRAME_BYTES ? size - at : S3C_SSD_FRAME_BYTES;
}

/* Bytes at a segment's end for `n` records: entries in whole blocks, and the
 * trailer's block. */
static inline uint32_t
s3c_ssd_footer_bytes(uint32_t n)
{
    uint64_t  entries = (uint64_t) n * sizeof(s3c_ssd_footer_rec_t);

    return (uint32_t) ((entries + S3C_SSD_BLOCK - 1) / S3C_SSD_BLOCK
                       * S3C_SSD_BLOCK) + S3C_SSD_BLOCK;
}

/* --- encode: what is written; never fails -------------------------------- */

/* One copy into a zeroed block of S3C_SSD_BLOCK bytes. Copy number
 * epoch % 2 is the one to overwrite. */
void s3c_ssd_super_encode(uint8_t block[S3C_SSD_BLOCK],
    const s3c_ssd_super_t *super);
void s3c_ssd_segment_encode(void *out, uint64_t store_id, uint32_t segment,
    uint64_t segment_seq, uint64_t floor);
/* Fills in magic, head_crc; all else is the caller's. */
void s3c_ssd_frame_encode(s3c_ssd_frame_rec_t *head);
/* Entries (padded with zeros to whole blocks) and trailer: `out` has
 * s3c_ssd_footer_bytes(n) bytes. segment_bytes tells footer_off. */
void s3c_ssd_footer_encode(void *out, uint64_t store_id, uint64_t segment_seq,
    uint64_t last_seq, const s3c_ssd_footer_rec_t *entries, uint32_t n,
    uint32_t segment_bytes);

/* --- decode: foreign bytes ------------------------------------------------ */

/* MISS: no header of this store and segment number is there; UNSUPPORTED.
 * CORRUPT: a header's magic with a wrong CRC; *out is what it says. */
s3c_status_t s3c_ssd_segment_decode(const void *in, uint64_t store_id,
    uint32_t segment, s3c_ssd_segment_rec_t *out) S3C_MUST_CHECK;
/* What a reader expects of a frame; 0 in store_id..record_seq: not compared
 * (a reader that came by the index knows no seq before frame 0). */
typedef struct {
    s3c_hash128_t  key;
    bool           any_key;              /* a scan: do not compare the key */
    uint64_t       store_id;
    uint64_t       segment_seq;
    uint64_t       record_seq;
    uint32_t       frame;
} s3c_ssd_expect_t;
/* The head at `in`, of which `avail` bytes may be read. OK: whole, as expected,
 * and its payload (s3c_ssd_frame_len) lies within avail and has its CRC. MISS:
 * no such frame is here (other magic, key, store, use, number). CORRUPT: the
 * head's or the payload's CRC is wrong. AGAIN: avail is too short for it.
 * check_payload false: the head alone (avail: 80 bytes do). */
s3c_status_t s3c_ssd_frame_decode(const uint8_t *in, size_t avail,
    const s3c_ssd_expect_t *expect, bool check_payload,
    s3c_ssd_frame_rec_t *out) S3C_MUST_CHECK;
/* The trailer in a segment's last block. OK only if it fits this use and its
 * footer_off and n_records are possible; MISS or CORRUPT otherwise. */
s3c_status_t s3c_ssd_trailer_decode(const void *block, uint64_t store_id,
    uint64_t segment_seq, uint32_t segment_bytes, s3c_ssd_trailer_rec_t *out)
    S3C_MUST_CHECK;
/* All entries: CRC, every unit and size inside the segment's record area. */
s3c_status_t s3c_ssd_footer_decode(const uint8_t *entries,
    const s3c_ssd_trailer_rec_t *trailer, uint32_t segment_bytes)
    S3C_MUST_CHECK;
/* Entry i of a footer that was decoded (may be unaligned). */
s3c_ssd_footer_rec_t s3c_ssd_footer_entry(const uint8_t *entries, uint32_t i);

#endif
