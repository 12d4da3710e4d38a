/* SPDX-License-Identifier: Apache-2.0
 *
 * Permutations and logarithms; ring_rank.h states what they must be. Nothing
 * here may differ between machines: no floating point, no libm.
 */
#include "cluster/ring_rank.h"

#include "base/hash.h"

#define MASK   (S3C_RING_SLOTS - 1)
#define HALF   (S3C_RING_SLOT_BITS / 2)   /* x ^= x >> HALF undoes itself */

static_assert(S3C_RING_SLOT_BITS % 2 == 0, "halves");


static uint64_t
splitmix64(uint64_t *state)
{
    uint64_t  z;

    z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}


/* Newton: the bits that are right double, from 3. */
static uint32_t
inverse(uint32_t odd)
{
    uint32_t  x = odd;

    for (int i = 0; i < 4; i++) {
        x *= 2 - odd * x;
    }

    return x;
}


/* Bit by bit: the logarithm of a square is twice as large. */
void
s3c_ring_log_init(s3c_ring_log_t log)
{
    uint64_t  x, y;

    for (uint32_t i = 0; i < 1u << S3C_RING_LOG_BITS; i++) {
        x = (1ull << 31) + ((uint64_t) i << (31 - S3C_RING_LOG_BITS));
        y = 0;

        for (int bit = 0; bit < 32; bit++) {
            x = x * x >> 31;            /* in [1, 4), 31 fraction bits */
            y = y << 1 | x >> 32;
            x >>= x >> 32;
        }

        log[i] = y;
    }

    log[1u << S3C_RING_LOG_BITS] = 1ull << 32;
}


void
s3c_ring_rank_init(s3c_ring_rank_t *r, uint32_t member, s3c_slice_t name,
    uint32_t weight)
{
    uint64_t  word, state;

    assert(weight > 0 && weight <= S3C_RING_WEIGHT_MAX);

    state = s3c_hash64(name.data, name.len);

    for (int i = 0; i < 3; i++) {
        r->mul[i] = (uint32_t) (splitmix64(&state) >> 32) | 1;
        r->undo[i] = inverse(r->mul[i]);
    }

    word = splitmix64(&state);
    r->add = (uint32_t) (word >> 32);
    r->dither = (uint32_t) word & UINT16_MAX;
    r->jitter = splitmix64(&state) | 1;
    r->per_weight = (1u << 26) / weight;
    r->member = member;
}


static inline uint32_t
rank_slot(const s3c_ring_rank_t *r, uint32_t turn)
{
    uint32_t  x;

    x = (turn * r->mul[0] + r->add) & MASK;
    x ^= x >> HALF;
    x = x * r->mul[1] & MASK;
    x ^= x >> HALF;
    x = x * r->mul[2] & MASK;

    return x ^ x >> HALF;
}


uint32_t
s3c_ring_rank_turn(const s3c_ring_rank_t *r, uint32_t slot)
{
    uint32_t  x;

    x = slot ^ slot >> HALF;
    x = x * r->undo[2] & MASK;
    x ^= x >> HALF;
    x = x * r->undo[1] & MASK;
    x ^= x >> HALF;

    return (x - r->add) * r->undo[0] & MASK;
}


void
s3c_ring_rank_turns(const s3c_ring_rank_t *r, const s3c_ring_log_t log,
    uint32_t turn, uint32_t n, uint32_t *slots, uint64_t *keys)
{
    for (uint32_t i = 0; i < n; i++) {
        slots[i] = rank_slot(r, turn + i);
    }

    for (uint32_t i = 0; i < n; i++) {
        keys[i] = s3c_ring_rank_key(r, log, turn + i);
    }
}
