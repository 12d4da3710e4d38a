/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring under construction, for ring*.c only: ring_begin.c decides who takes
 * part and how much each may own, ring_claim.c on first owners, ring_follow.c
 * on the others; ring_build.c runs them.
 */
#ifndef S3C_CLUSTER_RING_BUILD_H
#define S3C_CLUSTER_RING_BUILD_H

#include "cluster/ring_rank.h"

#define S3C_RING_BATCH  64u      /* turns computed together */
/* 2^58 / ln 2: divided by the sum of weights, the horizon at which a slot has
 * been the turn of one member on average. No part of the mapping. */
#define S3C_RING_ONE_TURN  0x5c551d94ae0bf85ull

typedef struct {
    uint32_t  slots[S3C_RING_BATCH];
    uint64_t  keys[S3C_RING_BATCH];
} s3c_ring_batch_t;

/* A member at the table; by its number. Weight 0: all is 0. */
typedef struct {
    s3c_ring_rank_t  rank;
    uint64_t         next_key;   /* of `turn`; 0: not known; NONE: over */
    uint32_t         turn;       /* the next one */
    uint32_t         load;       /* slots that it holds as the first owner.. */
    uint32_t         cap;        /* ..and how many it may; not 0 */
    uint16_t         zone;
} s3c_ring_seat_t;

struct s3c_ring_builder_s {
    s3c_ring_t            *ring;
    s3c_ring_member_sh_t  *members;        /* of the image */

    uint32_t               phase;
    uint32_t               cursor;         /* slot or member, by the phase */
    bool                   finished;       /* the phase is */
    uint32_t               n_zones;        /* with a weight in them */
    uint32_t               heavy_weight;   /* of the heaviest: two zones, or
                                              one of two */
    uint32_t               n_free;         /* slots without a first owner */
    uint32_t               n_idle;         /* members in a row that had nothing
                                              to propose */
    uint32_t               n_turns;        /* by which the horizon was moved */
    uint64_t               horizon;        /* keys above are not looked at */

    s3c_ring_log_t         log;
    s3c_ring_seat_t        seats[S3C_RING_MEMBERS_MAX];
    uint64_t               second[S3C_RING_SLOTS];   /* keys of the owners */
    uint64_t               third[S3C_RING_SLOTS];
};

/* Phases. Each does up to about `budget` units of its work, answers how many
 * it did, and says so in b->finished when there are no more. */
uint32_t s3c_ring_clear_run(s3c_ring_builder_t *b, uint32_t budget);
uint32_t s3c_ring_claim_run(s3c_ring_builder_t *b, uint32_t budget);
uint32_t s3c_ring_first_run(s3c_ring_builder_t *b, uint32_t budget);
uint32_t s3c_ring_follow_run(s3c_ring_builder_t *b, uint32_t budget);
uint32_t s3c_ring_settle_run(s3c_ring_builder_t *b, uint32_t budget);
void s3c_ring_follow_begin(s3c_ring_builder_t *b);

/* By bytes, a beginning before what goes on. */
int s3c_ring_cmp(s3c_slice_t a, s3c_slice_t b);


static inline uint64_t
s3c_ring_horizon(const s3c_ring_builder_t *b, uint32_t turns)
{
    uint64_t  one = S3C_RING_ONE_TURN / b->ring->weight;

    return turns < S3C_RING_KEY_NONE / one ? turns * one
                                           : S3C_RING_KEY_NONE - 1;
}


static inline uint16_t
s3c_ring_owner(uint64_t key)
{
    return key == S3C_RING_KEY_NONE ? S3C_RING_NONE
                                    : (uint16_t) (key & S3C_RING_MEMBER_MASK);
}


static inline uint32_t
s3c_ring_rest(uint32_t at, uint32_t end, uint32_t budget)
{
    return end - at < budget ? end - at : budget;
}

#endif
