/* SPDX-License-Identifier: Apache-2.0
 *
 * See sim_truth.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "sim_truth.h"

#define N_KEYS_MAX  4096


s3c_hash128_t
sim_key(uint64_t n)
{
    uint64_t  s = n * 2 + 1;

    return (s3c_hash128_t) { .lo = sim_rng(&s), .hi = sim_rng(&s) };
}


uint32_t
sim_key_number(uint64_t key_lo, uint32_t n_keys)
{
    static uint64_t  known[N_KEYS_MAX];

    sim_check(n_keys <= N_KEYS_MAX);

    for (uint32_t i = 0; i < n_keys; i++) {
        if (known[i] == 0) {
            known[i] = sim_key(i).lo;
        }

        if (known[i] == key_lo) {
            return i;
        }
    }

    return n_keys;
}


/* Of one long row of random bytes, from another place for each. */
const uint8_t *
sim_payload(uint64_t n, uint64_t version)
{
    static uint8_t  row[2 * SIM_PAYLOAD_MAX];
    uint64_t        s = 77;

    if (row[0] == 0) {
        for (uint32_t i = 0; i < sizeof(row) / 8; i++) {
            ((uint64_t *) row)[i] = sim_rng(&s);
        }

        row[0] = 1;
    }

    s = n << 32 ^ version;

    return row + sim_below(&s, SIM_PAYLOAD_MAX);
}


uint32_t
sim_size(uint64_t n, uint64_t version, uint32_t most)
{
    uint64_t  s = (n << 32 ^ version) + 5;
    uint32_t  kind = (uint32_t) sim_below(&s, 20), max;

    max = kind < 11 ? 6000 : kind < 17 ? 90000 : kind < 19 ? 300000 : most;
    max = max < most ? max : most;

    return 1 + (uint32_t) sim_below(&s, max);
}


/* A whole record at `at`, of which `avail` bytes are in its segment. */
static bool
record_decode(const uint8_t *at, size_t avail, uint64_t store_id,
    uint64_t segment_seq, s3c_ssd_frame_rec_t *first)
{
    uint32_t              crc = 0;
    s3c_ssd_frame_rec_t   head;
    s3c_ssd_expect_t      expect = {
        .any_key = true, .store_id = store_id, .segment_seq = segment_seq
    };

    do {
        size_t  off = s3c_ssd_frame_off(expect.frame);

        if (off > avail
            || s3c_ssd_frame_decode(at + off, avail - off, &expect, true,
                                    &head) != S3C_OK)
        {
            return false;
        }

        if (expect.frame == 0) {
            *first = head;
            expect.any_key = false;
            expect.key = (s3c_hash128_t) { head.key_lo, head.key_hi };
            expect.record_seq = head.record_seq;
        }

        crc = s3c_crc32c_combine(crc, head.payload_crc,
                                 s3c_ssd_frame_len(head.size, expect.frame));
    } while (++expect.frame < s3c_ssd_n_frames(first->size));

    return crc == head.whole_crc;
}


static void
segment_search(const uint8_t *in, uint32_t bytes, uint64_t store_id,
    uint64_t segment_seq, uint64_t floor, uint32_t n_keys,
    sim_truth_t *truth)
{
    uint32_t              k;
    uint32_t              magic;
    s3c_ssd_frame_rec_t   head = { 0 };

    for (uint32_t at = S3C_SSD_BLOCK; at < bytes; at += S3C_SSD_UNIT) {
        memcpy(&magic, in + at, sizeof(magic));

        if (magic != S3C_SSD_MAGIC_FRAME
            || !record_decode(in + at, bytes - at, store_id, segment_seq,
                              &head)
            || head.record_seq < floor)
        {
            continue;
        }

        k = sim_key_number(head.key_lo, n_keys);

        if (k < n_keys && head.record_seq > truth[k].seq) {
            truth[k].seq = head.record_seq;
            truth[k].version = head.kind == S3C_SSD_KIND_TOMBSTONE
                               ? 0 : head.tag[0];
        }
    }
}


static void
store_search(sim_disk_t *disk, uint32_t store, uint32_t bytes,
    uint32_t n_segments, uint64_t id, uint32_t n_keys, sim_truth_t *truth)
{
    uint64_t                floor = 0;
    const uint8_t          *in = disk->files[store].seen;
    s3c_ssd_segment_rec_t   rec;

    for (uint32_t i = 0; i < n_segments; i++) {
        if (s3c_ssd_segment_decode(in + (i + 1ull) * bytes, id, i, &rec)
            == S3C_OK
            && rec.floor > floor)
        {
            floor = rec.floor;
        }
    }

    for (uint32_t i = 0; i < n_segments; i++) {
        if (s3c_ssd_segment_decode(in + (i + 1ull) * bytes, id, i, &rec)
            == S3C_OK
            && rec.segment_seq != S3C_SSD_SEQ_FREE)
        {
            segment_search(in + (i + 1ull) * bytes, bytes, id,
                           rec.segment_seq, floor, n_keys, truth);
        }
    }
}


void
sim_truth_find(sim_disk_t *disk, const s3c_ssd_conf_t *conf,
    uint32_t n_keys, sim_truth_t *truth)
{
    bool              ok[S3C_SSD_STORES_MAX];
    uint64_t          epoch = 0;
    s3c_ssd_super_t   super[S3C_SSD_STORES_MAX];

    memset(truth, 0, n_keys * sizeof(*truth));

    for (uint32_t i = 0; i < conf->n_stores; i++) {
        ok[i] = s3c_ssd_super_decode(disk->files[i].seen, &super[i])
                == S3C_OK;

        if (ok[i] && super[i].epoch > epoch) {
            epoch = super[i].epoch;
        }
    }

    /* one that missed a mount does not count */
    for (uint32_t i = 0; i < conf->n_stores; i++) {
        if (ok[i] && super[i].epoch == epoch) {
            uint32_t  bytes = super[i].segment_bytes;

            store_search(disk, i, bytes,
                         (uint32_t) (super[i].bytes / bytes) - 1,
                         super[i].store_id, n_keys, truth);
        }
    }
}


void
sim_tombstones(const uint8_t *data, uint32_t len,
    void (*found)(void *ctx, const s3c_ssd_frame_rec_t *head), void *ctx)
{
    s3c_ssd_expect_t      expect = { .any_key = true };
    s3c_ssd_frame_rec_t   head;

    for (uint32_t at = 0; at + S3C_SSD_UNIT <= len; at += S3C_SSD_UNIT) {
        if (s3c_ssd_frame_decode(data + at, S3C_SSD_UNIT, &expect, true,
                                 &head) == S3C_OK
            && head.kind == S3C_SSD_KIND_TOMBSTONE)
        {
            found(ctx, &head);
        }
    }
}
