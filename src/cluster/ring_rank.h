/* SPDX-License-Identifier: Apache-2.0
 *
 * The rank of members at a slot, for ring*.c and their tests only.
 *
 * Weighted rendezvous: a member's score at a slot is -log2(1 - v) / weight, v
 * evenly spread in [0, 1); the lowest score is the first rank. A member has it
 * with a probability of weight / sum of weights, whoever the others are.
 *
 * What is ours: v is no hash of (member, slot) but the place of the slot in a
 * permutation of all slots that is the member's own. So the slots of a member
 * can be named in the order of their scores, turn by turn, and a ring is built
 * from the first few turns of each: in a time that does not grow with their
 * number. And since every member has one v in each 2^-18 exactly, the variance
 * of what it wins is half of what hashes would give.
 *
 * THE MAPPING  is this, the caps of ring_begin.c, and what ring_claim.c and
 *              ring_follow.c decide; with any change S3C_RING_MAPPING must
 *              change.
 *   words   XXH3-64 of the name is the state of splitmix64; its next 5 values
 *   slot    of a turn: x = turn * mul[0] + add; x ^= x >> 9; x *= mul[1];
 *           x ^= x >> 9; x *= mul[2]; x ^= x >> 9; all modulo 2^18, mul odd
 *   v       of 32 bits: the turn, then the upper 14 bits of turn * jitter
 *   score   -log2(1 - v) of 32 fraction bits, * floor(2^26 / weight)
 *   key     the score, its lower 11 bits replaced by the member's number
 */
#ifndef S3C_CLUSTER_RING_RANK_H
#define S3C_CLUSTER_RING_RANK_H

#include "cluster/ring.h"

#define S3C_RING_MEMBER_BITS   11
#define S3C_RING_MEMBER_MASK   ((1u << S3C_RING_MEMBER_BITS) - 1)
#define S3C_RING_KEY_NONE      UINT64_MAX   /* behind all; no member's */
#define S3C_RING_LOG_BITS      10

static_assert(S3C_RING_MEMBERS_MAX <= S3C_RING_MEMBER_MASK, "key");

typedef struct {
    uint32_t  mul[3];
    uint32_t  add;
    uint32_t  undo[3];       /* the inverses of mul */
    uint32_t  per_weight;    /* 2^26 / weight */
    uint64_t  jitter;
    uint32_t  member;
    uint32_t  dither;        /* 16 bits of fraction: see ring_begin.c */
} s3c_ring_rank_t;

/* log2(1 + i / 1024), 32 fraction bits. */
typedef uint64_t  s3c_ring_log_t[(1u << S3C_RING_LOG_BITS) + 1];

void s3c_ring_log_init(s3c_ring_log_t log);
/* `weight` is not 0. */
void s3c_ring_rank_init(s3c_ring_rank_t *r, uint32_t member, s3c_slice_t name,
    uint32_t weight);
/* The turn in which the member comes to this slot. */
uint32_t s3c_ring_rank_turn(const s3c_ring_rank_t *r, uint32_t slot);
/* Slots and keys of n turns from `turn` on, in the order of their scores. */
void s3c_ring_rank_turns(const s3c_ring_rank_t *r, const s3c_ring_log_t log,
    uint32_t turn, uint32_t n, uint32_t *slots, uint64_t *keys);


/* -log2(x / 2^32), 32 fraction bits; x in 1..2^32. Between the values of the
 * table straight lines: never falling, within 2^-22 of the truth. */
static inline uint64_t
s3c_ring_log_of(const s3c_ring_log_t log, uint64_t x)
{
    uint32_t  i, zeros;
    uint64_t  part, y;

    zeros = (uint32_t) __builtin_clzll(x);
    x <<= zeros;
    i = (uint32_t) (x >> (63 - S3C_RING_LOG_BITS))
        & ((1u << S3C_RING_LOG_BITS) - 1);
    part = x >> (31 - S3C_RING_LOG_BITS) & UINT32_MAX;
    y = log[i] + ((log[i + 1] - log[i]) * part >> 32);

    return ((uint64_t) (zeros - 31) << 32) - y;
}


static inline uint64_t
s3c_ring_rank_key(const s3c_ring_rank_t *r, const s3c_ring_log_t log,
    uint32_t turn)
{
    uint32_t  v, bits = 32 - S3C_RING_SLOT_BITS;

    v = turn << bits | (uint32_t) (turn * r->jitter >> (64 - bits));

    return (s3c_ring_log_of(log, (1ull << 32) - v) * r->per_weight
            & ~(uint64_t) S3C_RING_MEMBER_MASK) | r->member;
}

#endif
