/* SPDX-License-Identifier: Apache-2.0
 *
 * The superblock: which of its two copies is to be believed. The keeper writes
 * it, the master reads it before it gives a file to the workers.
 *
 * Magic, version, checksum (of the whole block) and epoch lie at the same
 * place in every version, so that a block of another version can be told from
 * a broken one, and a newer from an older.
 */
#include "ssd/ssd_media.h"

#include <string.h>

#include "base/crc32c.h"

/* A number above it would leave no room for the sequence numbers that are made
   from it. */
#define SUPER_EPOCH_MAX  ((1ull << 24) - 1)

static_assert(2 * S3C_SSD_BLOCK == S3C_SSD_SUPER_BYTES, "two copies");


static uint32_t
super_crc(const uint8_t block[S3C_SSD_BLOCK])
{
    size_t          at = offsetof(s3c_ssd_super_rec_t, crc);
    uint32_t        crc;
    const uint32_t  zero = 0;

    crc = s3c_crc32c(0, block, at);
    crc = s3c_crc32c(crc, &zero, sizeof(zero));
    at += sizeof(zero);

    return s3c_crc32c(crc, block + at, S3C_SSD_BLOCK - at);
}


void
s3c_ssd_super_encode(uint8_t block[S3C_SSD_BLOCK],
    const s3c_ssd_super_t *super)
{
    s3c_ssd_super_rec_t  rec = {
        .magic = S3C_SSD_MAGIC_SUPER,
        .version = S3C_SSD_VERSION,
        .store_id = super->store_id,
        .epoch = super->epoch,
        .bytes = super->bytes,
        .segment_bytes = super->segment_bytes,
    };

    memcpy(rec.secret, super->secret, sizeof(rec.secret));

    memset(block, 0, S3C_SSD_BLOCK);
    memcpy(block, &rec, sizeof(rec));
    rec.crc = super_crc(block);
    memcpy(block, &rec, sizeof(rec));
}


static bool
block_zero(const uint8_t block[S3C_SSD_BLOCK])
{
    return block[0] == 0 && memcmp(block, block + 1, S3C_SSD_BLOCK - 1) == 0;
}


/* One copy, by itself. Of another version only magic and epoch are known. */
static s3c_status_t
copy_decode(const uint8_t block[S3C_SSD_BLOCK], s3c_ssd_super_rec_t *rec)
{
    memcpy(rec, block, sizeof(*rec));

    if (rec->magic != S3C_SSD_MAGIC_SUPER) {
        return block_zero(block) ? S3C_MISS : S3C_INVALID;
    }

    if (rec->crc != super_crc(block)) {
        return S3C_CORRUPT;
    }

    if (rec->version != S3C_SSD_VERSION) {
        return S3C_UNSUPPORTED;
    }

    if (rec->zero != 0
        || rec->store_id == 0
        || rec->epoch > SUPER_EPOCH_MAX
        || rec->segment_bytes < S3C_SSD_SEGMENT_MIN
        || rec->segment_bytes > S3C_SSD_SEGMENT_MAX
        || (rec->segment_bytes & (rec->segment_bytes - 1)) != 0
        || rec->bytes > S3C_SSD_STORE_BYTES_MAX
        || rec->bytes % rec->segment_bytes != 0
        || rec->bytes / rec->segment_bytes < S3C_SSD_SEGMENTS_MIN)
    {
        return S3C_CORRUPT;
    }

    return S3C_OK;
}


static inline bool
copy_whole(s3c_status_t st)
{
    return st == S3C_OK || st == S3C_UNSUPPORTED;
}


/* Neither is whole: what can be said of both. */
static s3c_status_t
neither(s3c_status_t a, s3c_status_t b)
{
    if (a == S3C_CORRUPT || b == S3C_CORRUPT) {
        return S3C_CORRUPT;
    }

    return a == S3C_MISS && b == S3C_MISS ? S3C_MISS : S3C_INVALID;
}


s3c_status_t
s3c_ssd_super_decode(const uint8_t in[S3C_SSD_SUPER_BYTES],
    s3c_ssd_super_t *super)
{
    uint32_t             i;
    s3c_status_t         st[2];
    s3c_ssd_super_rec_t  rec[2];

    for (i = 0; i < 2; i++) {
        st[i] = copy_decode(in + i * S3C_SSD_BLOCK, &rec[i]);
    }

    if (!copy_whole(st[0]) && !copy_whole(st[1])) {
        return neither(st[0], st[1]);
    }

    i = !copy_whole(st[0])
        || (copy_whole(st[1]) && rec[1].epoch > rec[0].epoch);

    /* A newer copy of another version: what an older one of ours leads to is
       out of date. */
    if (st[i] == S3C_UNSUPPORTED) {
        return S3C_UNSUPPORTED;
    }

    *super = (s3c_ssd_super_t) {
        .store_id = rec[i].store_id,
        .epoch = rec[i].epoch,
        .bytes = rec[i].bytes,
        .segment_bytes = rec[i].segment_bytes,
        .lost_copy = st[1 - i] == S3C_CORRUPT || st[1 - i] == S3C_INVALID,
    };
    memcpy(super->secret, rec[i].secret, sizeof(super->secret));

    return S3C_OK;
}
