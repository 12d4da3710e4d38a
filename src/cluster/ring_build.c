/* SPDX-License-Identifier: Apache-2.0
 *
 * A build is a row of phases, each done in bounded steps.
 */
#include "cluster/ring_build.h"


/* What is done in this order. Each may be left and gone on with at any unit
 * of its work, and says when it has finished. */
static uint32_t  (*const phases[])(s3c_ring_builder_t *b, uint32_t budget) = {
    s3c_ring_clear_run,       /* no slot has an owner */
    s3c_ring_claim_run,       /* first owners, as keys.. */
    s3c_ring_first_run,       /* ..and as members in the image */
    s3c_ring_follow_run,      /* the others, by the turns within the horizon */
    s3c_ring_settle_run,      /* what that left, and the counts */
};
#define PHASES  (sizeof(phases) / sizeof(phases[0]))


s3c_status_t
s3c_ring_build_step(s3c_ring_builder_t *b, uint32_t budget)
{
    uint32_t  used;

    while (b->phase < PHASES && budget > 0) {
        used = phases[b->phase](b, budget);
        budget -= used < budget ? used : budget;

        if (b->finished) {
            b->finished = false;
            b->cursor = 0;
            b->phase++;
        }
    }

    return b->phase == PHASES ? S3C_OK : S3C_AGAIN;
}


s3c_status_t
s3c_ring_build(void *mem, size_t bytes, const s3c_ring_member_t *members,
    uint32_t n_members)
{
    s3c_status_t         st;
    s3c_ring_builder_t  *builder;

    st = s3c_ring_builder_create(&builder, mem, bytes, members, n_members);
    if (st != S3C_OK) {
        return st;
    }

    do {
        st = s3c_ring_build_step(builder, S3C_RING_STEP);
    } while (st == S3C_AGAIN);

    s3c_ring_builder_destroy(builder);

    return st;
}
