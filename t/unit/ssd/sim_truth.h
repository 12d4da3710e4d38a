/* SPDX-License-Identifier: Apache-2.0
 *
 * What is really there: keys with numbers, payloads that tell key and version,
 * and a search of the whole disk, unit by unit and without footers or index,
 * for what a restart may find at best.
 */
#ifndef T_UNIT_SSD_SIM_TRUTH_H
#define T_UNIT_SSD_SIM_TRUTH_H

#include "sim_disk.h"

typedef struct {
    uint64_t  seq;             /* of the newest whole record; 0: none */
    uint64_t  version;         /* 0: a tombstone, or none */
} sim_truth_t;

s3c_hash128_t sim_key(uint64_t n);
/* Payload of a version, valid until the process ends; tag = { version, n }. */
const uint8_t *sim_payload(uint64_t n, uint64_t version);
#define SIM_PAYLOAD_MAX  (2u << 20)
/* Mostly small; at most `most`. */
uint32_t sim_size(uint64_t n, uint64_t version, uint32_t most);
/* Number of a key, or n_keys. */
uint32_t sim_key_number(uint64_t key_lo, uint32_t n_keys);

/* Of keys 0..n_keys - 1, by what a reader of the disk sees. Records below the
 * floor of their store do not count. */
void sim_truth_find(sim_disk_t *disk, const s3c_ssd_conf_t *conf,
    uint32_t n_keys, sim_truth_t *truth);

/* For disk->on_write: calls `found` for each tombstone in a write. */
void sim_tombstones(const uint8_t *data, uint32_t len,
    void (*found)(void *ctx, const s3c_ssd_frame_rec_t *head), void *ctx);

#endif
