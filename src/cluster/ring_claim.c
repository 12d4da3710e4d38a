/* SPDX-License-Identifier: Apache-2.0
 *
 * First owners. Every member may own its fair share and a little more (its
 * cap). The first owners are the one assignment in which no member and no slot
 * would both rather have each other than what they have: a member wants its
 * next turn, if it has room; a slot wants the lowest key. Members propose turn
 * by turn and are displaced by better ones (Gale and Shapley), which ends
 * there in whatever order they do it, and so with any budget.
 *
 * Turns beyond the horizon could only win slots that are free until then. It
 * is moved until there are none.
 */
#include "cluster/ring_build.h"

#define CLAIM_TURNS  8u      /* the first horizon.. */
#define CLAIM_MORE   2u      /* ..and by how much it is moved */


uint32_t
s3c_ring_clear_run(s3c_ring_builder_t *b, uint32_t budget)
{
    uint32_t  n = s3c_ring_rest(b->cursor, S3C_RING_SLOTS, budget);

    memset(&b->second[b->cursor], 0xff, n * sizeof(b->second[0]));
    memset(&b->third[b->cursor], 0xff, n * sizeof(b->third[0]));
    b->cursor += n;

    if (b->cursor == S3C_RING_SLOTS) {
        b->n_free = S3C_RING_SLOTS;
        b->finished = true;

        if (b->ring->n_owners > 0) {
            b->horizon = s3c_ring_horizon(b, CLAIM_TURNS);
        }
    }

    return n;
}


/* The member proposes until it has all it may have, or nothing is left to
 * propose within the horizon. While first owners are sought, second[] holds
 * their keys. */
static uint32_t
claim_member(s3c_ring_builder_t *b, s3c_ring_seat_t *m, uint32_t budget)
{
    uint32_t          n, i, slot, used = 0;
    uint64_t          held;
    s3c_ring_batch_t  batch;

    while (m->load < m->cap && m->next_key <= b->horizon && used < budget) {
        n = m->cap - m->load;
        n = n < S3C_RING_BATCH / 4 ? 4 * n : S3C_RING_BATCH;
        n = s3c_ring_rest(m->turn, S3C_RING_SLOTS, n);
        s3c_ring_rank_turns(&m->rank, b->log, m->turn, n, batch.slots,
                            batch.keys);

        for (i = 0; i < n; i++) {
            if (m->load == m->cap || batch.keys[i] > b->horizon) {
                break;
            }

            slot = batch.slots[i];
            held = b->second[slot];

            if (batch.keys[i] > held) {
                continue;
            }

            b->second[slot] = batch.keys[i];
            m->load++;

            if (held == S3C_RING_KEY_NONE) {
                b->n_free--;

            } else {
                b->seats[held & S3C_RING_MEMBER_MASK].load--;
            }
        }

        m->turn += i;
        m->next_key = i < n ? batch.keys[i] : 0;
        used += n;

        if (m->turn == S3C_RING_SLOTS) {
            m->next_key = S3C_RING_KEY_NONE;
        }
    }

    return used;
}


uint32_t
s3c_ring_claim_run(s3c_ring_builder_t *b, uint32_t budget)
{
    uint32_t  n, used = 0;

    if (b->ring->n_owners == 0) {
        b->finished = true;
        return 0;
    }

    while (used < budget) {
        n = claim_member(b, &b->seats[b->cursor], budget - used);
        used += n + 1;
        b->n_idle = n > 0 ? 0 : b->n_idle + 1;

        if (++b->cursor == b->ring->n_members) {
            b->cursor = 0;
        }

        if (b->n_idle < b->ring->n_members) {
            continue;
        }

        if (b->n_free == 0) {
            b->finished = true;
            break;
        }

        b->n_idle = 0;
        b->n_turns += CLAIM_MORE;
        b->horizon = s3c_ring_horizon(b, CLAIM_TURNS + b->n_turns);
    }

    return used;
}


uint32_t
s3c_ring_first_run(s3c_ring_builder_t *b, uint32_t budget)
{
    uint32_t  n = s3c_ring_rest(b->cursor, S3C_RING_SLOTS, budget);

    for (uint32_t end = b->cursor + n; b->cursor < end; b->cursor++) {
        b->ring->owners[b->cursor][0] = s3c_ring_owner(b->second[b->cursor]);
        b->second[b->cursor] = S3C_RING_KEY_NONE;
    }

    if (b->cursor == S3C_RING_SLOTS) {
        b->finished = true;

        if (b->ring->n_owners > 1) {
            s3c_ring_follow_begin(b);
        }
    }

    return n;
}
